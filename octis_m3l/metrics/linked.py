"""Metrics of linked items of two views; how far apart they are."""

from collections.abc import Mapping
from itertools import combinations, permutations
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError
from octis_m3l.metrics.base import Metric
from octis_m3l.metrics.divergence import jensen_shannon
from octis_m3l.metrics.outputs import (
    Request,
    check_different,
    check_partition,
    document_topics,
    partition_rows,
    shared_tuples,
)

_PAIRS_AT_ONCE = 2**14


def pairs_of_tuples(
    first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of every two items of one tuple, in the order of the first ones."""
    one = pd.DataFrame({"tuple": first}).reset_index(names="row")
    other = pd.DataFrame({"tuple": second}).reset_index(names="column")
    pairs = one.merge(other, on="tuple").sort_values(["row", "column"])
    return pairs["row"].to_numpy(), pairs["column"].to_numpy()


class LinkedMetric(Metric):
    """A metric of linked items of two views, `symmetric` if their order does not matter.

    Parameters
    ----------
    dataset : MultiviewDataset
        Gives the links.
    first, second : str
        Two different views.
    partition : {'test', 'validation', 'train'}
        Which items; some of them must be linked.
    """

    needs = "needs items of two views that are linked in the {partition} partition."
    compares_views = True
    same_items = True
    symmetric: ClassVar[bool]

    def __init__(
        self, dataset: MultiviewDataset, first: str, second: str, partition: str = "test"
    ) -> None:
        super().__init__(dataset)
        self.partition = check_partition(partition)
        check_different(**dict(zip(self.view_arguments, (first, second), strict=True)))
        self._dataset = dataset
        self._of_first, self._of_second = (
            dataset.tuples(view)[partition_rows(dataset, view, partition)]
            for view in (first, second)
        )
        if not len(shared_tuples(dataset, first, second, [partition])):
            raise DataError(
                f"no item of '{first}' is linked to an item of '{second}' in the {partition} "
                "partition; choose views and a partition with links."
            )

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

    def _theta(self, output: Mapping[str, Any], view: str) -> NDArray[np.float64]:
        return document_topics(output, self._dataset, view, self.partition)


class JSD(LinkedMetric):
    """Mean Jensen-Shannon divergence of linked items of two views; 0 where they agree.

    An item linked to several of the other view is compared with each of them. `per_item` has one
    score for each linked pair, ordered by the first view.

    Parameters
    ----------
    dataset, first, second, partition
        As for `LinkedMetric`; the order of the views does not matter to the score.
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
        self, dataset: MultiviewDataset, first: str, second: str, partition: str = "test"
    ) -> None:
        super().__init__(dataset, first, second, partition)
        self.first, self.second = first, second
        self._rows, self._columns = pairs_of_tuples(self._of_first, self._of_second)

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the divergence of each linked pair, in natural units."""
        first, second = self._theta(output, self.first), self._theta(output, self.second)
        scores = np.full(len(self._rows), np.nan)
        known = ~np.isnan(first[self._rows, 0] + second[self._columns, 0])
        pairs = np.flatnonzero(known)
        for start in range(0, len(pairs), _PAIRS_AT_ONCE):
            chunk = pairs[start : start + _PAIRS_AT_ONCE]
            scores[chunk] = jensen_shannon(first[self._rows[chunk]], second[self._columns[chunk]])
        return scores

    def item_tuples(self) -> NDArray[np.int64]:
        """Return the tuple of each pair."""
        return self._of_first[self._rows]
