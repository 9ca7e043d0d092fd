"""How high the linked items stand among all items of another view: MRR and UAP.

Ties are scored by the expectation over every order of the tied targets, in closed form (McSherry &
Najork 2008).
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.metrics.base import mean_of_items
from octis_m3l.metrics.divergence import Neighbours
from octis_m3l.metrics.linked import LinkedMetric, pairs_of_tuples
from octis_m3l.metrics.outputs import check_whole

Integers = NDArray[np.int64]
# Above this number of queries, a sample of so many is scored.
MOST_QUERIES = 20_000
_NORMAL_95 = 1.959964


class Blocks(NamedTuple):
    """The relevant targets of queries; those at the same distance from a query are one block.

    Blocks are ordered by query and distance. `relevant` is how many relevant targets a block has,
    `relevant_nearer` how many of the same query are nearer.
    """

    query: Integers
    distance: NDArray[np.float64]
    relevant: Integers
    relevant_nearer: Integers

    @classmethod
    def of(cls, query: Integers, distance: NDArray[np.float64]) -> Self:
        """Return the blocks of relevant targets, of each of which query and distance are given."""
        order = np.lexsort((distance, query))
        query, distance = query[order], distance[order]
        other = (np.diff(query, prepend=-1) != 0) | (np.diff(distance, prepend=0) != 0)
        begin = np.flatnonzero(other)
        relevant = np.diff(begin, append=len(query))
        query, distance = query[begin], distance[begin]
        return cls(query, distance, relevant, begin - begin[np.searchsorted(query, query)])

    def nearest(self) -> Self:
        """Return the first block of each query."""
        return type(self)(*(values[self.relevant_nearer == 0] for values in self))

    def places(self, distances: NDArray[np.float64]) -> tuple[Integers, Integers]:
        """Return how many of all targets are nearer than each block, and how many in its place."""
        distances, here = distances[self.query], self.distance[:, None]
        return (distances < here).sum(axis=1), (distances == here).sum(axis=1)


def reciprocal_ranks(
    distances: NDArray[np.float64], relevant: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return 1 / rank of each query's nearest relevant target.

    Ties: the expectation over every order of the tied targets.
    """
    blocks = Blocks.of(np.nonzero(relevant)[0], distances[relevant]).nearest()
    return _expected_reciprocal_ranks(*blocks.places(distances), blocks.relevant)


def reciprocal_rank_by_chance(targets: int, relevant: Integers) -> NDArray[np.float64]:
    """Return the expected reciprocal rank of a random order.

    With one relevant among N targets that is (1 + 1/2 + … + 1/N) / N.
    """
    none, all_ = np.zeros_like(relevant), np.full_like(relevant, targets)
    return _expected_reciprocal_ranks(none, all_, relevant)


def _expected_reciprocal_ranks(
    nearer: Integers, tied: Integers, relevant: Integers
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
    blocks = Blocks.of(np.nonzero(relevant)[0], distances[relevant])
    return _average_precisions(blocks, *blocks.places(distances), distances.shape[1])


def average_precision_by_chance(targets: int, relevant: Integers) -> NDArray[np.float64]:
    """Return the expected average precision of a random order."""
    none, all_ = np.zeros_like(relevant), np.full_like(relevant, targets)
    return _summed_precisions(none, none, all_, relevant, targets) / relevant


def _average_precisions(
    blocks: Blocks, nearer: Integers, tied: Integers, targets: int
) -> NDArray[np.float64]:
    found = blocks.relevant
    precisions = _summed_precisions(nearer, blocks.relevant_nearer, tied, found, targets)
    return np.bincount(blocks.query, precisions) / np.bincount(blocks.query, found)


def _summed_precisions(
    nearer: Integers,
    found_nearer: Integers,
    tied: Integers,
    found: Integers,
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
    for each query, in stored order. The time grows with queries × targets; of more than 20,000
    queries a random sample is scored, the same for every model, among all targets.

    Parameters
    ----------
    dataset : MultiviewDataset
        Gives the links.
    query, target : str
        Two different views; all items of the target view in the partition are ranked.
    partition : {'test', 'validation', 'train'}
        Which items.
    queries : int
        How many queries to score, chosen at random; all if there are not more.
    """

    direction = "higher"
    range = (0.0, 1.0)
    view_arguments = ("query", "target")
    symmetric = False

    def __init__(
        self,
        dataset: MultiviewDataset,
        query: str,
        target: str,
        partition: str = "test",
        queries: int = MOST_QUERIES,
    ) -> None:
        super().__init__(dataset, query, target, partition)
        self.query, self.target = query, target
        self.queries = check_whole("queries", queries, 1)
        of_queries, self._targets = self._of_first, self._of_second
        self._rows = np.flatnonzero(np.isin(of_queries, self._targets))
        self._every, self._margin = len(self._rows), 0.0
        if self._every > self.queries:
            chosen = np.random.default_rng(0).choice(self._every, self.queries, replace=False)
            self._rows = self._rows[np.sort(chosen)]
        self._queries = of_queries[self._rows]

    @property
    def sampled(self) -> tuple[int, int] | None:
        """How many queries are scored, and of how many; None if all are."""
        return (self.queries, self._every) if self.queries < self._every else None

    @property
    def margin(self) -> float:
        """Half the width of the last score's 95 % confidence interval; 0 if all are scored.

        1.96 standard errors of the mean of a sample of n out of N queries; infinite with one.
        """
        return self._margin

    def info(self) -> dict[str, str]:
        """Return a name, and the citation; the number of queries is named if it was chosen."""
        described = super().info()
        if self.queries == MOST_QUERIES:
            described["name"] = described["name"].replace(f", {self.queries})", ")")
        return described

    def score(self, output: Mapping[str, Any]) -> float:
        """Return the mean over the queries that can be scored."""
        items = self.per_item(output)
        known = items[~np.isnan(items)]
        if self.sampled is not None and len(known):
            count, every = self.sampled
            spread = known.std(ddof=1) if len(known) > 1 else np.inf
            left = (1 - count / every) / len(known)
            self._margin = float(_NORMAL_95 * spread * np.sqrt(left))
        return mean_of_items(items)

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the score of each query."""
        queries = self._theta(output, self.query)[self._rows]
        targets = self._theta(output, self.target)
        known = ~np.isnan(targets[:, 0])
        targets, tuples = targets[known], self._targets[known]
        asked = np.flatnonzero(~np.isnan(queries[:, 0]) & np.isin(self._queries, tuples))
        scores = np.full(len(queries), np.nan)
        if len(asked):
            neighbours = Neighbours(queries[asked], targets)
            query, target = pairs_of_tuples(self._queries[asked], tuples)
            distances = neighbours.divergences(query, target)
            scores[asked] = self._scored(neighbours, Blocks.of(query, distances), len(targets))
        return scores

    @abstractmethod
    def _scored(self, neighbours: Neighbours, blocks: Blocks, targets: int) -> NDArray[np.float64]:
        """Return the score of each query from the blocks of its relevant targets."""

    @abstractmethod
    def _expected_by_chance(self, targets: int, relevant: Integers) -> NDArray[np.float64]:
        """Return the score of a random order for each number of relevant targets."""

    def item_tuples(self) -> Integers:
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
    dataset, query, target, partition, queries
        As for `Retrieval`.
    """

    name = "mrr"
    order = 10
    reference = (
        "Voorhees (1999). The TREC-8 question answering track report. Ties: McSherry & Najork "
        "(2008). Computing information retrieval performance measures efficiently in the presence "
        "of tied scores. ECIR."
    )

    def _scored(self, neighbours: Neighbours, blocks: Blocks, targets: int) -> NDArray[np.float64]:
        nearest = blocks.nearest()
        counts = neighbours.count(nearest.query, nearest.distance)
        return _expected_reciprocal_ranks(*counts, nearest.relevant)

    def _expected_by_chance(self, targets: int, relevant: Integers) -> NDArray[np.float64]:
        return reciprocal_rank_by_chance(targets, relevant)


class UAP(Retrieval):
    """Mean uninterpolated average precision of a query's linked items among a view's items.

    Parameters
    ----------
    dataset, query, target, partition, queries
        As for `Retrieval`.
    """

    name = "uap"
    order = 20
    reference = (
        "McSherry & Najork (2008). Computing information retrieval performance measures "
        "efficiently in the presence of tied scores. ECIR."
    )

    def _scored(self, neighbours: Neighbours, blocks: Blocks, targets: int) -> NDArray[np.float64]:
        return _average_precisions(
            blocks, *neighbours.count(blocks.query, blocks.distance), targets
        )

    def _expected_by_chance(self, targets: int, relevant: Integers) -> NDArray[np.float64]:
        return average_precision_by_chance(targets, relevant)
