"""Metrics of linked items of two views, and retrieval of one view's items by another's."""

from abc import abstractmethod
from collections.abc import Mapping
from itertools import combinations, permutations
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from octis_m3l.errors import DataError
from octis_m3l.metrics.base import Metric
from octis_m3l.metrics.divergence import jensen_shannon_matrix
from octis_m3l.metrics.outputs import (
    Request,
    check_different,
    check_partition,
    document_topics,
    partition_rows,
    shared_tuples,
)

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

_DISTANCES_AT_ONCE = 2**20
_DECIMALS = 12


class LinkedMetric(Metric):
    """A metric of linked items of two views, `symmetric` if their order does not matter."""

    needs = "needs items of two views that are linked in the {partition} partition."
    compares_views = True
    symmetric: ClassVar[bool]

    def _tuples_of(self, dataset: "MultiviewDataset") -> list[NDArray[np.int64]]:
        """Return the tuples of both views' items, after a check that some are linked."""
        check_partition(self.partition)
        check_different(**{name: getattr(self, name) for name in self.view_arguments})
        first, second = self.views
        tuples = [
            dataset.tuples(view)[partition_rows(dataset, view, self.partition)]
            for view in (first, second)
        ]
        if not len(shared_tuples(dataset, first, second, [self.partition])):
            raise DataError(
                f"no item of '{first}' is linked to an item of '{second}' in the {self.partition} "
                "partition; choose views and a partition with links."
            )
        return tuples

    @classmethod
    def applied(cls, request: Request) -> dict[str, Self]:
        """Return the metric on every pair of views with linked items."""
        data, partition = request.dataset, request.partition
        pairs = (combinations if cls.symmetric else permutations)(request.inferred_views, 2)
        return {
            f"{first}-{second}": cls(data, first, second, partition)
            for first, second in pairs
            if len(shared_tuples(data, first, second, [partition]))
        }

    @property
    def same_items(self) -> bool:
        """Whether the items are the same for every model: they are the data set's."""
        return True


class Retrieval(LinkedMetric):
    """Rank the items of one view by Jensen-Shannon divergence to each item of another.

    Queries are the items of the query view that have a linked item in the target view; targets are
    all items of the target view; both of one partition. Divergences are compared after rounding
    to 12 decimals, so that equal documents tie; ties are scored by expectation over their random
    order. `per_item` has one score for each query, in stored order.
    """

    direction = "higher"
    range = (0.0, 1.0)
    view_arguments = ("query", "target")
    symmetric = False

    def __init__(
        self, dataset: "MultiviewDataset", query: str, target: str, partition: str = "test"
    ) -> None:
        super().__init__(dataset)
        self.query, self.target, self.partition = query, target, partition
        self._dataset = dataset
        queries, self._targets = self._tuples_of(dataset)
        self._rows = np.flatnonzero((queries >= 0) & np.isin(queries, self._targets))
        self._queries = queries[self._rows]

    @staticmethod
    @abstractmethod
    def _score_queries(
        distances: NDArray[np.float64], relevant: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the score of each query, from (queries × targets)."""

    @staticmethod
    @abstractmethod
    def _expected_by_chance(targets: int, relevant: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the expected score of a random order, from each query's relevant targets."""

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the score of each query."""
        queries = document_topics(output, self._dataset, self.query, self.partition)[self._rows]
        targets = document_topics(output, self._dataset, self.target, self.partition)
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
