"""How well all linked items are found among all items of another view."""

import numpy as np
from numpy.typing import NDArray

from octis_m3l.metrics.linked import Retrieval


def average_precisions(
    distances: NDArray[np.float64], relevant: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the uninterpolated average precision of each query.

    The mean, over relevant targets, of the share of relevant ones among all that stand as high.
    Ties: the expectation over every order of the tied targets, in closed form.

    References
    ----------
    McSherry & Najork (2008). Computing information retrieval performance measures efficiently in
    the presence of tied scores.
    """
    queries, targets = distances.shape
    order = np.argsort(distances, axis=1)
    ranked = np.take_along_axis(distances, order, axis=1)
    hits = np.take_along_axis(relevant, order, axis=1).ravel()
    opens = np.ones((queries, targets), dtype=np.bool_)
    opens[:, 1:] = ranked[:, 1:] != ranked[:, :-1]

    # Blocks of tied targets, of all queries one after another.
    begin = np.flatnonzero(opens)
    query, nearer = np.divmod(begin, targets)
    tied = np.diff(begin, append=opens.size)
    found = np.add.reduceat(hits, begin, dtype=np.int64)
    found_nearer = np.cumsum(found) - found
    found_nearer -= found_nearer[np.flatnonzero(nearer == 0)][query]

    useful = found > 0
    total = relevant.sum(axis=1)
    precisions = _summed_precisions(
        nearer[useful], found_nearer[useful], tied[useful], found[useful], targets
    )
    scores: NDArray[np.float64] = np.bincount(query[useful], precisions, minlength=queries) / total
    return scores


def expected_by_chance(targets: int, relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the expected average precision of a random order.

    With one relevant among N targets that is (1 + 1/2 + … + 1/N) / N.
    """
    counts = np.asarray(relevant)
    none = np.zeros_like(counts)
    return _summed_precisions(none, none, np.full_like(counts, targets), counts, targets) / counts


def _summed_precisions(
    nearer: NDArray[np.int64],
    found_nearer: NDArray[np.int64],
    tied: NDArray[np.int64],
    found: NDArray[np.int64],
    targets: int,
) -> NDArray[np.float64]:
    """Return the expected sum of the precisions at a block's relevant targets.

    Place j of the block holds a relevant target with probability found / tied, and then
    (j − 1) · slope others are expected before it. Summed over j that is a difference of harmonic
    numbers.
    """
    slope = (found - 1) / np.maximum(tied - 1, 1)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, targets + 1))])
    inverse = np.where(tied == 1, 1 / (nearer + 1), harmonic[nearer + tied] - harmonic[nearer])
    level = found_nearer + 1 - slope * (nearer + 1)
    return np.asarray(found / tied * (level * inverse + slope * tied), dtype=np.float64)


class UAP(Retrieval):
    """Mean uninterpolated average precision of a query's linked items among a view's items.

    Targets are ranked by Jensen-Shannon divergence of θ to the query. Ties are scored by
    expectation, so that a model with the same θ for every item scores `chance`. `per_item` has one
    score for each query: each item of the query view with a linked item, in stored order.

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

    name = "uap"
    order = 20
    reference = (
        "McSherry & Najork (2008). Computing information retrieval performance measures "
        "efficiently in the presence of tied scores. ECIR."
    )
    _score_queries = staticmethod(average_precisions)
    _expected_by_chance = staticmethod(expected_by_chance)
