"""Standings against scipy and plain loops."""

import numpy as np
import pytest
from scipy import stats

from octis_m3l.comparison.statistics import Sample, difference, interval, pooled, standings


def sample(level: float, seed: int, runs: int = 5, items: int = 40) -> Sample:
    random = np.random.default_rng(seed)
    hardness = np.random.default_rng(99).normal(0, 0.5, items)
    scores = level + hardness + random.normal(0, 0.1, (runs, items))
    return Sample(scores.mean(axis=1), scores)


def test_items_are_paired_and_the_larger_p_counts() -> None:
    one, other = sample(0.5, 1), sample(0.52, 2)
    by_items = stats.ttest_rel(one.items.mean(axis=0), other.items.mean(axis=0)).pvalue  # type: ignore[union-attr]
    by_runs = stats.ttest_ind(one.scores, other.scores, equal_var=False).pvalue
    assert difference(one, other) == pytest.approx(max(by_items, by_runs))
    # Items differ far more from each other than the models do: unpaired, nothing would be seen.
    better = sample(0.6, 2)
    unpaired = stats.ttest_ind(one.items.mean(axis=0), better.items.mean(axis=0)).pvalue  # type: ignore[union-attr]
    assert unpaired > 0.1
    assert difference(one, better) < 0.001


def test_a_lucky_seed_is_no_difference() -> None:
    steady = Sample(np.array([0.5, 0.5]), np.full((2, 30), 0.5) + np.arange(30) * 1e-3)
    lucky = Sample(np.array([0.4, 0.7]), np.stack([np.full(30, 0.4), np.full(30, 0.7)]))
    lucky.items[0] += np.arange(30) * 2e-3  # type: ignore[index]
    only_items = stats.ttest_rel(steady.items.mean(axis=0), lucky.items.mean(axis=0)).pvalue  # type: ignore[union-attr]
    assert only_items < 0.001
    assert difference(steady, lucky) > 0.5


def test_where_nothing_can_be_said_p_is_nan_and_where_all_is_equal_it_is_one() -> None:
    single = Sample(np.array([0.5]))
    assert np.isnan(difference(single, Sample(np.array([0.9]))))
    same = sample(0.5, 1)
    assert difference(same, same) == 1.0
    certain = Sample(np.array([1.0, 1.0, 1.0])), Sample(np.array([0.5, 0.5]))
    assert difference(*certain) == 0.0
    assert difference(certain[0], certain[0]) == 1.0


@pytest.mark.parametrize("higher", [True, False])
def test_the_best_is_best_and_the_rest_is_compared_with_it(higher: bool) -> None:
    samples = {"low": sample(0.2, 1), "middle": sample(0.5, 2), "near": sample(0.501, 3)}
    samples["none"] = Sample(np.array([0.4]))
    found = standings(samples, higher=higher)
    assert [name for name, s in found.items() if s.best] == ["near" if higher else "low"]
    best = samples["near" if higher else "low"]
    others = [name for name in ("low", "middle", "near") if samples[name] is not best]
    plain = [difference(samples[name], best) for name in others]
    corrected = stats.false_discovery_control(plain)
    for name, p in zip(others, corrected, strict=True):
        assert found[name].p == pytest.approx(p)
        assert found[name].tied == (p >= 0.05)
    assert found["none"].tied
    assert np.isnan(found["none"].p)
    assert found["none"].items == 0


def test_interval_is_over_items_where_there_are_any() -> None:
    one = sample(0.5, 1)
    values = one.items.mean(axis=0)  # type: ignore[union-attr]
    half = stats.t.ppf(0.975, 39) * values.std(ddof=1) / np.sqrt(40)
    assert interval(one) == pytest.approx((values.mean() - half, values.mean() + half))
    low, high = interval(Sample(np.array([0.1, 0.3])))
    assert low < 0.1 < 0.3 < high
    assert np.isnan(interval(Sample(np.array([0.1])))).all()
    assert interval(Sample(np.array([0.2, 0.2]))) == (0.2, 0.2)


def test_views_weigh_the_same_however_many_items_they_have() -> None:
    small = Sample(np.array([1.0, 1.0]), np.ones((2, 2)))
    large = Sample(np.array([0.0, 0.5]), np.stack([np.zeros(10), np.full(10, 0.5)]))
    both = pooled([small, large])
    assert both.scores.tolist() == [0.5, 0.75]
    assert both.items is not None
    assert both.items.mean(axis=1).tolist() == pytest.approx([0.5, 0.75])
    assert pooled([small, Sample(np.array([0.0, 0.0]))]).items is None
