"""How sure a mean is, and whether two differ; distributions and corrections are scipy's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.05
# Below it, a spread is rounding.
_NOTHING = 1e-12


@dataclass(frozen=True)
class Items:
    """Scores of the documents or queries of one view, or pair of views."""

    scores: NDArray[np.float64]
    tuples: NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """What a model scored in one measure.

    Parameters
    ----------
    scores : array (runs)
        Of each run.
    cells : tuple of Items
        One for each view or pair of views; a run's score is the mean of their means. Empty where
        items are a model's own, such as topics.
    seeds : tuple of int
        Of the runs; needed where views are pooled.
    """

    scores: NDArray[np.float64]
    cells: tuple[Items, ...] = ()
    seeds: tuple[int, ...] = ()

    def of_seeds(self, seeds: Sequence[int]) -> "Sample":
        """Return the runs of these seeds alone.

        Parameters
        ----------
        seeds : sequence of int
            Among its own.
        """
        runs = [self.seeds.index(seed) for seed in seeds]
        cells = tuple(Items(cell.scores[runs], cell.tuples) for cell in self.cells)
        return Sample(self.scores[runs], cells, tuple(seeds))


@dataclass(frozen=True)
class Standing:
    """A model's place in one measure."""

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
    samples: Mapping[str, Sample],
    *,
    higher: bool,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> dict[str, Standing]:
    """Return each model's place.

    Every model is compared with the best (`difference`); Benjamini and Hochberg's correction for
    the number of models follows.
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
    """Return p of no difference, the larger of what tuples and runs say; NaN if neither can.

    Over tuples where both were measured on the same items: Student's paired t-test of each item's
    mean over runs, with the items of a tuple taken together (cluster-robust; with one item to a
    tuple, the plain paired test). Over runs where both have two or more: Welch's t-test. The larger
    p counts, so that a difference holds for other documents and for other seeds both.

    References
    ----------
    Smucker, Allan & Carterette (2007), A comparison of statistical significance tests for
    information retrieval evaluation, CIKM: Student's test agrees with the randomisation test.
    Liang & Zeger (1986), Longitudinal data analysis using generalized linear models, Biometrika.
    """
    found = []
    if one.cells and len(one.cells) == len(other.cells):
        apart = [
            (a.scores.mean(axis=0) - b.scores.mean(axis=0), a.tuples)
            for a, b in zip(one.cells, other.cells, strict=True)
        ]
        mean, error, count = _clustered(apart)
        if count > 1 and error > _NOTHING:
            found.append(2.0 * float(stats.t.sf(abs(mean) / error, count - 1)))
        elif abs(mean) <= _NOTHING:
            found.append(1.0)
    if min(len(one.scores), len(other.scores)) > 1:
        if max(np.ptp(one.scores), np.ptp(other.scores)) > _NOTHING:
            a, b = one.scores, other.scores
            welch = stats.ttest_ind_from_stats(
                *(a.mean(), a.std(ddof=1), len(a)),
                *(b.mean(), b.std(ddof=1), len(b)),
                equal_var=False,
            )
            found.append(float(welch.pvalue))
        elif abs(one.scores[0] - other.scores[0]) <= _NOTHING:
            found.append(1.0)
        else:
            # Runs that agree to the last digit say nothing of how runs vary.
            return float("nan")
    return max(found, default=float("nan"))


def interval(sample: Sample) -> tuple[float, float]:
    """Return the 95 % confidence interval of the mean, by Student's t: the wider of two.

    Over tuples where items are the same for all models, and over runs where there are two or more:
    as in `difference`, what is said holds for other documents and for other seeds.
    """
    middle, halves = float(np.mean(sample.scores)), []
    if sample.cells:
        values = [(cell.scores.mean(axis=0), cell.tuples) for cell in sample.cells]
        _, error, count = _clustered(values)
        halves.append(_half(error, count))
    if len(sample.scores) > 1:
        halves.append(_half(float(stats.sem(sample.scores)), len(sample.scores)))
    half = max((h for h in halves if not np.isnan(h)), default=float("nan"))
    return middle - half, middle + half


def _half(error: float, count: int) -> float:
    return float(stats.t.ppf(1.0 - LEVEL / 2.0, count - 1)) * error if count > 1 else float("nan")


def _clustered(
    cells: Sequence[tuple[NDArray[np.float64], NDArray[np.int64]]],
) -> tuple[float, float, int]:
    """Return the mean of the cells' means, its standard error over tuples, and their number."""
    known = [(values, of, ~np.isnan(values)) for values, of in cells]
    cells = [(values[scored], of[scored]) for values, of, scored in known if scored.any()]
    if not cells:
        return float("nan"), 0.0, 0
    tuples, place = np.unique(np.concatenate([of for _, of in cells]), return_inverse=True)
    share = [(values - values.mean()) / (len(cells) * len(values)) for values, _ in cells]
    of_tuples = np.bincount(place, np.concatenate(share), minlength=len(tuples))
    count = len(tuples)
    spread = float(np.square(of_tuples).sum()) * count / max(count - 1, 1)
    return float(np.mean([values.mean() for values, _ in cells])), spread**0.5, count


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
