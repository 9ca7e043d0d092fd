"""How far apart linked documents are."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.metrics.divergence import jensen_shannon
from octis_m3l.metrics.linked import LinkedMetric
from octis_m3l.metrics.outputs import document_topics

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

_PAIRS_AT_ONCE = 2**14


def linked_pairs(
    first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of every two items with the same tuple number."""
    order = np.argsort(second, kind="stable")
    begin = np.searchsorted(second, first, side="left", sorter=order)
    count = np.searchsorted(second, first, side="right", sorter=order) - begin
    count[first < 0] = 0
    rows = np.repeat(np.arange(len(first)), count)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    return rows, order[begin[rows] + within]


class JSD(LinkedMetric):
    """Mean Jensen-Shannon divergence of linked items of two views; 0 where they agree.

    An item linked to several of the other view is compared with each of them. `per_item` has one
    score for each linked pair, ordered by the first view.

    Parameters
    ----------
    dataset : MultiviewDataset
        Gives the links.
    first, second : str
        Two views; their order does not matter to the score.
    partition : {'test', 'validation', 'train'}
        Which items.

    Raises
    ------
    DataError
        If a view is unknown, or no two items of the partition are linked.
    SettingsError
        If the partition is unknown or both views are the same.
    """

    name = "jsd"
    order = 30
    view_arguments = ("first", "second")
    symmetric = True
    direction = "lower"
    range = (0.0, float(np.log(2)))
    reference = (
        "Lin (1991). Divergence measures based on the Shannon entropy. IEEE Transactions on "
        "Information Theory 37(1)."
    )

    def __init__(
        self, dataset: "MultiviewDataset", first: str, second: str, partition: str = "test"
    ) -> None:
        super().__init__(dataset)
        self.first, self.second, self.partition = first, second, partition
        self._dataset = dataset
        of_first, of_second = self._tuples_of(dataset)
        self._rows, self._columns = linked_pairs(of_first, of_second)
        self._tuples = of_first[self._rows]

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the divergence of each linked pair, in natural units."""
        first = document_topics(output, self._dataset, self.first, self.partition)
        second = document_topics(output, self._dataset, self.second, self.partition)
        scores = np.full(len(self._rows), np.nan)
        known = ~np.isnan(first[self._rows, 0] + second[self._columns, 0])
        pairs = np.flatnonzero(known)
        for start in range(0, len(pairs), _PAIRS_AT_ONCE):
            chunk = pairs[start : start + _PAIRS_AT_ONCE]
            scores[chunk] = jensen_shannon(first[self._rows[chunk]], second[self._columns[chunk]])
        return scores

    def item_tuples(self) -> NDArray[np.int64]:
        """Return the tuple of each pair."""
        return self._tuples
