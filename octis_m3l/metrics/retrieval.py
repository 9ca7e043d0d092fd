"""What MRR and UAP share: items of one view as queries for linked items of another."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics.base import Metric
from octis_m3l.metrics.divergence import jensen_shannon_matrix
from octis_m3l.metrics.outputs import check_partition, document_topics, partition_rows

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

_DISTANCES_AT_ONCE = 2**20
_DECIMALS = 12


def check_ranking(distances: NDArray[np.float64], relevant: NDArray[np.bool_]) -> None:
    """Check that every query has distances to rank and something to find."""
    if distances.ndim != 2 or distances.shape != relevant.shape:
        raise DataError(
            f"distances have shape {distances.shape}, relevant has {relevant.shape}; expected "
            "(queries, targets) for both."
        )
    if np.isnan(distances).any():
        raise DataError("a distance is NaN; expected a number for every query and target.")
    missing = ~relevant.any(axis=1)
    if missing.any():
        raise DataError(
            f"query {np.flatnonzero(missing)[0]} has no relevant target; leave such queries out."
        )


class Retrieval(Metric):
    """Rank the items of one view by Jensen-Shannon divergence to each item of another.

    Queries are the items of the query view that have a linked item in the target view; targets are
    all items of the target view; both of one partition. Divergences are compared after rounding
    to 12 decimals, so equal documents tie, and a subclass scores ties by expectation over their
    random order. `per_item` has one score for each query, in stored order.
    """

    _same_items = True
    direction = "higher"
    range = (0.0, 1.0)

    def __init__(
        self, dataset: "MultiviewDataset", query: str, target: str, partition: str = "test"
    ) -> None:
        super().__init__(dataset)
        self.query = query
        self.target = target
        self.partition = check_partition(partition)
        if query == target:
            raise SettingsError(f"query and target are both '{query}'; name two different views.")
        self._dataset = dataset
        queries = dataset.tuples(query)[partition_rows(dataset, query, partition)]
        self._targets = dataset.tuples(target)[partition_rows(dataset, target, partition)]
        self._rows = np.flatnonzero((queries >= 0) & np.isin(queries, self._targets))
        self._queries = queries[self._rows]
        if not len(self._rows):
            raise DataError(
                f"no item of '{query}' is linked to an item of '{target}' in the {partition} "
                "partition; choose views and a partition with links."
            )

    @abstractmethod
    def _score_queries(
        self, distances: NDArray[np.float64], relevant: NDArray[np.bool_]
    ) -> NDArray[np.float64]: ...

    @abstractmethod
    def _expected_by_chance(self, relevant: NDArray[np.int64]) -> NDArray[np.float64]: ...

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
            relevant = self._queries[chunk, None] == tuples
            scores[chunk] = self._score_queries(distances, relevant)
        return scores

    def item_tuples(self) -> NDArray[np.int64]:
        """Return the tuple of each query."""
        return self._queries

    def chance(self) -> float:
        """Return the expected score of a random order, which is that of a constant model."""
        numbers, counts = np.unique(self._targets, return_counts=True)
        relevant = counts[np.searchsorted(numbers, self._queries)].astype(np.int64)
        return float(np.mean(self._expected_by_chance(relevant)))
