"""How high the linked items stand among all items of another view: MRR and UAP.

Ties are scored by the expectation over every order of the tied targets, in closed form (McSherry &
Najork 2008).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.metrics.divergence import jensen_shannon_matrix
from octis_m3l.metrics.linked import LinkedMetric

_DISTANCES_AT_ONCE = 2**20
_DECIMALS = 12


def reciprocal_ranks(
    distances: NDArray[np.float64], relevant: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return 1 / rank of each query's nearest relevant target.

    Ties: the expectation over every order of the tied targets.
    """
    best = np.min(distances, axis=1, keepdims=True, where=relevant, initial=np.inf)
    tied = distances == best
    return _expected_reciprocal_ranks(
        nearer=(distances < best).sum(axis=1),
        tied=tied.sum(axis=1),
        relevant=(tied & relevant).sum(axis=1),
    )


def reciprocal_rank_by_chance(targets: int, relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the expected reciprocal rank of a random order.

    With one relevant among N targets that is (1 + 1/2 + … + 1/N) / N.
    """
    none, all_ = np.zeros_like(relevant), np.full_like(relevant, targets)
    return _expected_reciprocal_ranks(none, all_, relevant)


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


def average_precisions(
    distances: NDArray[np.float64], relevant: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the uninterpolated average precision of each query.

    The mean, over relevant targets, of the share of relevant ones among all that stand as high.
    Ties: the expectation over every order of the tied targets, in closed form.
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


def average_precision_by_chance(targets: int, relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the expected average precision of a random order."""
    none, all_ = np.zeros_like(relevant), np.full_like(relevant, targets)
    return _summed_precisions(none, none, all_, relevant, targets) / relevant


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


class Retrieval(LinkedMetric):
    """Rank the items of one view by Jensen-Shannon divergence of θ to each item of another.

    Queries are the items of the query view that have a linked item in the target view; targets are
    all items of the target view; both of one partition. Divergences are compared after rounding
    to 12 decimals, so that equal documents tie; ties are scored by expectation over their random
    order, so that a model with the same θ for every item scores `chance`. `per_item` has one score
    for each query, in stored order.

    Parameters
    ----------
    dataset : MultiviewDataset
        Gives the links.
    query, target : str
        Two different views; all items of the target view in the partition are ranked.
    partition : {'test', 'validation', 'train'}
        Which items.
    """

    direction = "higher"
    range = (0.0, 1.0)
    view_arguments = ("query", "target")
    symmetric = False
    # The score of each query from distances and relevance (queries × targets); and that of a
    # random order from the number of targets and of each query's relevant ones.
    _score_queries: "ClassVar[staticmethod[[Any, Any], NDArray[np.float64]]]"
    _expected_by_chance: "ClassVar[staticmethod[[int, Any], NDArray[np.float64]]]"

    def __init__(
        self, dataset: MultiviewDataset, query: str, target: str, partition: str = "test"
    ) -> None:
        super().__init__(dataset, query, target, partition)
        self.query, self.target = query, target
        queries, self._targets = self._of_first, self._of_second
        self._rows = np.flatnonzero(np.isin(queries, self._targets))
        self._queries = queries[self._rows]

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the score of each query."""
        queries = self._theta(output, self.query)[self._rows]
        targets = self._theta(output, self.target)
        known = ~np.isnan(targets[:, 0])
        targets, tuples = targets[known], self._targets[known]
        asked = np.flatnonzero(~np.isnan(queries[:, 0]) & np.isin(self._queries, tuples))
        scores = np.full(len(queries), np.nan)
        step = max(1, _DISTANCES_AT_ONCE // len(targets))
        for start in range(0, len(asked), step):
            chunk = asked[start : start + step]
            distances = jensen_shannon_matrix(queries[chunk], targets)
            np.round(distances, _DECIMALS, out=distances)
            scores[chunk] = self._score_queries(distances, self._queries[chunk, None] == tuples)
        return scores

    def item_tuples(self) -> NDArray[np.int64]:
        """Return the tuple of each query."""
        return self._queries

    def chance(self) -> float:
        """Return the expected score of a random order, which is that of a constant model."""
        numbers, counts = np.unique(self._targets, return_counts=True)
        relevant = counts[np.searchsorted(numbers, self._queries)].astype(np.int64)
        return float(np.mean(self._expected_by_chance(len(self._targets), relevant)))


class MRR(Retrieval):
    """Mean reciprocal rank of the linked item (the best of several) among a view's items.

    Parameters
    ----------
    dataset, query, target, partition
        As for `Retrieval`.
    """

    name = "mrr"
    order = 10
    reference = (
        "Voorhees (1999). The TREC-8 question answering track report. Ties: McSherry & Najork "
        "(2008). Computing information retrieval performance measures efficiently in the presence "
        "of tied scores. ECIR."
    )
    _score_queries = staticmethod(reciprocal_ranks)
    _expected_by_chance = staticmethod(reciprocal_rank_by_chance)


class UAP(Retrieval):
    """Mean uninterpolated average precision of a query's linked items among a view's items.

    Parameters
    ----------
    dataset, query, target, partition
        As for `Retrieval`.
    """

    name = "uap"
    order = 20
    reference = (
        "McSherry & Najork (2008). Computing information retrieval performance measures "
        "efficiently in the presence of tied scores. ECIR."
    )
    _score_queries = staticmethod(average_precisions)
    _expected_by_chance = staticmethod(average_precision_by_chance)
