"""How sure a mean is, and whether two differ; the tests are scipy's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.05


@dataclass(frozen=True)
class Sample:
    """What a model scored in one measure.

    Parameters
    ----------
    scores : array (runs)
        Of each run.
    items : array (runs × items), optional
        Of each document or query, the same ones for every model. None where items are a model's
        own, such as topics.
    """

    scores: NDArray[np.float64]
    items: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Standing:
    """A model's place in one measure.

    Parameters
    ----------
    mean, std : float
        Of the runs' scores; std is 0 of a single run.
    low, high : float
        95 % confidence interval of the mean: over items where these are the same for all models,
        else over runs. NaN of a single value.
    runs, items : int
        How many; items are 0 where they are the model's own.
    p : float
        Of no difference to the best, corrected for how many are compared with it; NaN for the best
        itself and where nothing can be said.
    best : bool
        Whether no mean is better.
    tied : bool
        Whether it is not shown to be worse than the best: p ≥ .05, or nothing can be said.
    """

    mean: float
    std: float
    low: float
    high: float
    runs: int
    items: int
    p: float
    best: bool
    tied: bool


def standings(samples: Mapping[str, Sample], *, higher: bool) -> dict[str, Standing]:
    """Return each model's place.

    Every model is compared with the best: Student's paired t-test over items, with each item's mean
    over runs, where items are the same for all (Smucker, Allan & Carterette 2007: it agrees with
    the randomisation test); and Welch's t-test over runs, where both have two or more. The larger
    p counts, so that a difference holds for other documents and other seeds both.
    Benjamini and Hochberg's correction for the number of models follows.

    Parameters
    ----------
    samples : mapping of model to Sample
        Of one measure.
    higher : bool
        Whether higher scores are better.
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
            low=low,
            high=high,
            runs=len(sample.scores),
            items=0 if sample.items is None else sample.items.shape[1],
            p=float(p),
            best=means[name] == means[best],
            tied=not p < LEVEL,
        )
    return found


def difference(one: Sample, other: Sample) -> float:
    """Return p of no difference, the larger of what items and runs say; NaN if neither can.

    Parameters
    ----------
    one, other : Sample
        Of the same measure.
    """
    found = []
    if one.items is not None and other.items is not None and one.items.shape[1] > 1:
        first, second = one.items.mean(axis=0), other.items.mean(axis=0)
        apart = first - second
        if not apart.any():
            return 1.0
        found.append(0.0 if np.ptp(apart) == 0 else float(stats.ttest_rel(first, second).pvalue))
    if min(len(one.scores), len(other.scores)) > 1:
        if np.ptp(one.scores) == 0 == np.ptp(other.scores):
            found.append(float(one.scores[0] == other.scores[0]))
        else:
            welch = stats.ttest_ind(one.scores, other.scores, equal_var=False)
            found.append(float(welch.pvalue))
    return max(found, default=float("nan"))


def interval(sample: Sample) -> tuple[float, float]:
    """Return the 95 % confidence interval of the mean, by Student's t.

    Parameters
    ----------
    sample : Sample
        Over its items where there are any, else over its runs.
    """
    values = sample.scores if sample.items is None else sample.items.mean(axis=0)
    if len(values) < 2:
        return float("nan"), float("nan")
    middle, error = float(np.mean(values)), float(stats.sem(values))
    if error == 0:
        return middle, middle
    low, high = stats.t.interval(1 - LEVEL, len(values) - 1, loc=middle, scale=error)
    return float(low), float(high)


def pooled(samples: Sequence[Sample]) -> Sample:
    """Return the mean over views, or pairs of views, each with the same weight.

    Parameters
    ----------
    samples : sequence of Sample
        Of one model in one measure, one for each view, with the same runs.
    """
    scores = np.mean([sample.scores for sample in samples], axis=0)
    if any(sample.items is None for sample in samples):
        return Sample(scores)
    items = [sample.items for sample in samples if sample.items is not None]
    total = sum(of_view.shape[1] for of_view in items)
    # Weighted so that the mean over all items is the mean over views.
    weighted = [of_view * (total / len(items) / of_view.shape[1]) for of_view in items]
    return Sample(scores, np.concatenate(weighted, axis=1))
