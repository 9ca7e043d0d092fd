"""Confidence intervals of means and tests of differences, with scipy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.05
# Smaller spreads are rounding errors.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Items:
    """Scores of the documents or queries of one view, or pair of views."""

    scores: NDArray[np.float64]
    tuples: NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """A model's scores by one metric."""

    scores: NDArray[np.float64]  # of each run
    # One for each view or pair of views; a run's score is the mean of their means. Empty where
    # items are a model's own, such as topics.
    cells: tuple[Items, ...] = ()
    seeds: tuple[int, ...] = ()  # of the runs; needed where views are pooled

    def of_seeds(self, seeds: Sequence[int]) -> "Sample":
        """Return only the runs of these seeds."""
        runs = [self.seeds.index(seed) for seed in seeds]
        cells = tuple(Items(cell.scores[runs], cell.tuples) for cell in self.cells)
        return Sample(self.scores[runs], cells, tuple(seeds))


@dataclass(frozen=True)
class Standing:
    """A model's mean score by one metric, and how it compares with the best."""

    mean: float
    std: float
    low: float
    high: float
    runs: int
    tuples: int
    p: float
    best: bool
    tied: bool
    contested: bool = True


def standings(
    samples: Mapping[str, Sample], *, higher: bool, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> dict[str, Standing]:
    """Return each model's standing.

    Every model is compared with the best (`difference`), with Benjamini and Hochberg's correction
    for the number of models.
    """
    means = {name: float(np.mean(sample.scores)) for name, sample in samples.items()}
    best = (max if higher else min)(means, key=lambda name: means[name])
    p_values = {
        name: difference(sample, samples[best]) for name, sample in samples.items() if name != best
    }
    known = [name for name, p in p_values.items() if not np.isnan(p)]
    if known:
        corrected = stats.false_discovery_control([p_values[name] for name in known])
        p_values |= dict(zip(known, corrected.tolist(), strict=True))
    found = {}
    for name, sample in samples.items():
        low, high = interval(sample)
        p = p_values.get(name, np.nan)
        found[name] = Standing(
            mean=means[name],
            std=float(np.std(sample.scores, ddof=1)) if len(sample.scores) > 1 else 0.0,
            low=max(low, bounds[0]),
            high=min(high, bounds[1]),
            runs=len(sample.scores),
            tuples=len(set().union(*(cell.tuples.tolist() for cell in sample.cells))),
            p=float(p),
            best=means[name] == means[best],
            tied=not p < LEVEL,
            contested=len(samples) > 1,
        )
    return found


def difference(one: Sample, other: Sample) -> float:
    """Return p of no difference, the larger of two tests; NaN if neither is possible.

    Over tuples, where both were measured on the same items: Student's paired t-test of each item's
    mean over runs, with the items of a tuple taken together (cluster-robust; with one item in each
    tuple, the plain paired test). Over runs, where both have two or more: Welch's t-test. The
    larger p counts, so that a difference holds for other documents and for other seeds.

    References
    ----------
    Smucker, Allan & Carterette (2007), A comparison of statistical significance tests for
    information retrieval evaluation, CIKM: Student's test agrees with the randomisation test.
    Liang & Zeger (1986), Longitudinal data analysis using generalized linear models, Biometrika.
    """
    p_values = []
    if one.cells and len(one.cells) == len(other.cells):
        cells = zip(one.cells, other.cells, strict=True)
        values = _by_tuple(
            [(a.scores.mean(axis=0) - b.scores.mean(axis=0), a.tuples) for a, b in cells]
        )
        if len(values) > 1 and stats.sem(values) > _ROUNDING:
            p_values.append(float(stats.ttest_1samp(values, 0.0).pvalue))
        elif len(values) and abs(values.mean()) <= _ROUNDING:
            p_values.append(1.0)
    if min(len(one.scores), len(other.scores)) > 1:
        if max(np.ptp(one.scores), np.ptp(other.scores)) > _ROUNDING:
            # Unlike ttest_ind, this does not warn of a model whose runs all agree.
            welch = stats.ttest_ind_from_stats(
                *(one.scores.mean(), one.scores.std(ddof=1), len(one.scores)),
                *(other.scores.mean(), other.scores.std(ddof=1), len(other.scores)),
                equal_var=False,
            )
            p_values.append(float(welch.pvalue))
        elif abs(one.scores[0] - other.scores[0]) <= _ROUNDING:
            p_values.append(1.0)
        else:
            # Runs that agree to the last digit do not show how much runs vary.
            return float("nan")
    return max(p_values, default=float("nan"))


def interval(sample: Sample) -> tuple[float, float]:
    """Return the 95 % confidence interval of the mean, by Student's t: the wider of two.

    Over tuples where items are the same for all models, and over runs where there are two or more:
    as in `difference`, it covers other documents and other seeds.
    """
    middle, halves = float(np.mean(sample.scores)), [_half_width(sample.scores)]
    if sample.cells:
        cells = [(cell.scores.mean(axis=0), cell.tuples) for cell in sample.cells]
        halves.append(_half_width(_by_tuple(cells)))
    half = max((h for h in halves if not np.isnan(h)), default=float("nan"))
    return middle - half, middle + half


def _half_width(values: NDArray[np.float64]) -> float:
    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf(1.0 - LEVEL / 2.0, len(values) - 1) * stats.sem(values))


def _by_tuple(
    cells: Sequence[tuple[NDArray[np.float64], NDArray[np.int64]]],
) -> NDArray[np.float64]:
    """Return a value for each tuple: their mean is that of the cells' means over scored items.

    Their standard error is the cluster-robust one, so that plain t-tests of these values are
    cluster-robust tests of the items.
    """
    known = [(values, tuples, ~np.isnan(values)) for values, tuples in cells]
    cells = [(values[scored], tuples[scored]) for values, tuples, scored in known if scored.any()]
    if not cells:
        return np.empty(0)
    numbers, place = np.unique(np.concatenate([of for _, of in cells]), return_inverse=True)
    shares = [(values - values.mean()) / (len(cells) * len(values)) for values, _ in cells]
    of_tuples = np.bincount(place, np.concatenate(shares), minlength=len(numbers))
    mean = float(np.mean([values.mean() for values, _ in cells]))
    return np.asarray(mean + of_tuples * len(numbers), np.float64)


def pooled(samples: Sequence[Sample]) -> Sample | None:
    """Return the mean over views, or pairs of views, each with the same weight."""
    seeds = [s for s in samples[0].seeds if all(s in sample.seeds for sample in samples)]
    if not seeds:
        return None
    alike = [sample.of_seeds(seeds) for sample in samples]
    scores = np.mean([sample.scores for sample in alike], axis=0)
    if not all(sample.cells for sample in alike):
        return Sample(scores, (), tuple(seeds))
    return Sample(scores, tuple(cell for one in alike for cell in one.cells), tuple(seeds))
