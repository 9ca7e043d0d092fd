"""How high the linked item stands among all items of another view."""

import numpy as np
from numpy.typing import NDArray

from octis_m3l.metrics.linked import Retrieval


def reciprocal_ranks(
    distances: NDArray[np.float64], relevant: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return 1 / rank of each query's nearest relevant target.

    Ties: the expectation over every order of the tied targets.

    References
    ----------
    McSherry & Najork (2008). Computing information retrieval performance measures efficiently in
    the presence of tied scores.
    """
    best = np.min(distances, axis=1, keepdims=True, where=relevant, initial=np.inf)
    tied = distances == best
    return _expected_reciprocal_ranks(
        nearer=(distances < best).sum(axis=1),
        tied=tied.sum(axis=1),
        relevant=(tied & relevant).sum(axis=1),
    )


def expected_by_chance(targets: int, relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the expected reciprocal rank of a random order.

    With one relevant among N targets that is (1 + 1/2 + … + 1/N) / N.
    """
    counts = np.asarray(relevant)
    return _expected_reciprocal_ranks(np.zeros_like(counts), np.full_like(counts, targets), counts)


def _expected_reciprocal_ranks(
    nearer: NDArray[np.int64], tied: NDArray[np.int64], relevant: NDArray[np.int64]
) -> NDArray[np.float64]:
    cases, inverse = np.unique(
        np.column_stack([nearer, tied, relevant]), axis=0, return_inverse=True
    )
    values = [_expected_reciprocal_rank(*case) for case in cases.tolist()]
    return np.array(values)[inverse.reshape(-1)]


def _expected_reciprocal_rank(nearer: int, tied: int, relevant: int) -> float:
    # P(best at place j of the block) = C(tied − j, relevant − 1) / C(tied, relevant).
    place = np.arange(1, tied - relevant + 2)
    steps = (tied - place[:-1] - relevant + 1) / (tied - place[:-1])
    probability = relevant / tied * np.concatenate([[1.0], np.cumprod(steps)])
    return float(np.sum(probability / (nearer + place)))


class MRR(Retrieval):
    """Mean reciprocal rank of the linked item (the best of several) among a view's items.

    Targets are ranked by Jensen-Shannon divergence of θ to the query. Ties are scored by
    expectation, so that a model with the same θ for every item scores `chance`, not 1. `per_item`
    has one score for each query: each item of the query view with a linked item, in stored order.

    Parameters
    ----------
    dataset : MultiviewDataset
        Gives the links.
    query, target : str
        Two different views; all items of the target view in the partition are ranked.
    partition : {'test', 'validation', 'train'}
        Which items.

    Raises
    ------
    DataError
        If a view is unknown, or no query has a linked item in the partition.
    SettingsError
        If the partition is unknown or both views are the same.
    """

    name = "mrr"
    order = 10
    reference = (
        "Voorhees (1999). The TREC-8 question answering track report. Ties: McSherry & Najork "
        "(2008). Computing information retrieval performance measures efficiently in the presence "
        "of tied scores. ECIR."
    )
    _score_queries = staticmethod(reciprocal_ranks)
    _expected_by_chance = staticmethod(expected_by_chance)
