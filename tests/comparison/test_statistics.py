"""Standings against scipy and plain loops."""

import numpy as np
import pytest
from scipy import stats

from octis_m3l.comparison.statistics import Items, Sample, difference, interval, pooled, standings


def made(scores: np.ndarray) -> Sample:
    items = Items(scores, np.arange(scores.shape[1]))
    return Sample(scores.mean(axis=1), (items,), tuple(range(len(scores))))


def sample(level: float, seed: int, runs: int = 5, items: int = 40) -> Sample:
    random = np.random.default_rng(seed)
    hardness = np.random.default_rng(99).normal(0, 0.5, items)
    return made(level + hardness + random.normal(0, 0.1, (runs, items)))


def values(of: Sample) -> np.ndarray:
    return of.cells[0].scores.mean(axis=0)


def test_items_are_paired_and_the_larger_p_counts() -> None:
    one, other = sample(0.5, 1), sample(0.52, 2)
    by_items = stats.ttest_rel(values(one), values(other)).pvalue
    by_runs = stats.ttest_ind(one.scores, other.scores, equal_var=False).pvalue
    assert difference(one, other) == pytest.approx(max(by_items, by_runs))
    # Items differ far more from each other than the models do: unpaired, nothing would be seen.
    better = sample(0.6, 2)
    assert stats.ttest_ind(values(one), values(better)).pvalue > 0.1
    assert difference(one, better) < 0.001
    # With one run each it is the paired test.
    one, other = sample(0.5, 1, runs=1), sample(0.55, 2, runs=1)
    expected = stats.ttest_rel(values(one), values(other)).pvalue
    assert difference(one, other) == pytest.approx(expected)


def test_a_lucky_seed_is_no_difference() -> None:
    steps = np.arange(30) * 1e-3
    steady = made(np.full((2, 30), 0.5) + steps)
    lucky = made(np.stack([0.4 + 2 * steps, np.full(30, 0.7)]))
    assert stats.ttest_rel(values(steady), values(lucky)).pvalue < 0.001
    assert difference(steady, lucky) > 0.5


def test_where_nothing_can_be_said_p_is_nan_and_where_all_is_equal_it_is_one() -> None:
    single = Sample(np.array([0.5]))
    assert np.isnan(difference(single, Sample(np.array([0.9]))))
    same = sample(0.5, 1)
    assert difference(same, same) == 1.0
    certain = Sample(np.array([1.0, 1.0, 1.0])), Sample(np.array([0.5, 0.5]))
    assert np.isnan(difference(*certain))
    assert difference(certain[0], certain[0]) == 1.0
    # A difference that is the same everywhere, but for rounding, has no spread to measure it by.
    runs = np.array([[0.1, 0.2, 0.3]])
    assert np.isnan(difference(made(runs), made(runs + 0.1)))


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
    assert (found["none"].tuples, found["low"].tuples) == (0, 40)


def test_interval_is_the_wider_of_items_and_runs() -> None:
    one = values(sample(0.5, 1))
    half = stats.t.ppf(0.975, 39) * one.std(ddof=1) / np.sqrt(40)
    assert interval(sample(0.5, 1)) == pytest.approx((one.mean() - half, one.mean() + half))
    low, high = interval(Sample(np.array([0.1, 0.3])))
    assert low < 0.1 < 0.3 < high
    assert np.isnan(interval(Sample(np.array([0.1])))).all()
    assert interval(Sample(np.array([0.2, 0.2]))) == (0.2, 0.2)
    steady = made(np.stack([np.full(50, 0.2), np.full(50, 0.6)]) + np.arange(50) * 1e-4)
    half = stats.t.ppf(0.975, 1) * stats.sem(steady.scores)
    assert interval(steady)[1] - steady.scores.mean() == pytest.approx(half)
    found = standings({"a": steady}, higher=True, bounds=(0.0, 1.0))["a"]
    assert (found.low, found.high) == (0.0, 1.0)


def test_views_weigh_the_same_however_many_items_they_have() -> None:
    small, large = made(np.full((2, 2), 1.0)), made(np.array([[0.0] * 10, [0.5] * 10]))
    both = pooled([small, large])
    assert both is not None
    assert both.scores.tolist() == [0.5, 0.75]
    # Neither view's items vary, but runs do.
    half = stats.t.ppf(0.975, 1) * stats.sem([0.5, 0.75])
    assert interval(both) == pytest.approx((0.625 - half, 0.625 + half))
    without = pooled([small, Sample(np.array([0.0, 0.0]), (), (0, 1))])
    assert without is not None
    assert without.cells == ()


def test_a_run_that_lacks_a_view_is_left_out_of_the_mean_over_views() -> None:
    english = Sample(np.array([0.1, 0.2, 0.3]), (), (0, 1, 2))
    german = Sample(np.array([0.9, 0.5]), (), (2, 1))
    both = pooled([english, german])
    assert both is not None
    assert both.seeds == (1, 2)
    assert both.scores == pytest.approx([0.35, 0.6])
    assert pooled([english, Sample(np.array([0.9]), (), (7,))]) is None


def test_items_of_a_tuple_are_no_independent_witnesses() -> None:
    random = np.random.default_rng(0)
    wrongly, found = 0, 0
    for _ in range(300):
        # Six directions over the same forty tuples, each with the tuple's own luck.
        luck = random.normal(0, 0.3, 40)
        noise = random.normal(0, 0.1, (6, 40))
        cells = tuple(Items((luck + of)[None], np.arange(40)) for of in noise)
        one = Sample(np.array([(luck + noise).mean()]), cells)
        nothing = tuple(Items(np.zeros((1, 40)), np.arange(40)) for _ in range(6))
        other = Sample(np.array([0.0]), nothing)
        found += difference(one, other) < 0.05
        wrongly += stats.ttest_1samp((luck + noise).ravel(), 0.0).pvalue < 0.05
    assert wrongly > 90
    assert 3 <= found <= 30
