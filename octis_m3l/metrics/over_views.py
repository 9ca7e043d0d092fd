"""One measure on every view, or pair of views, in one number: what a search is steered by."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from octis.evaluation_metrics.metrics import AbstractMetric

from octis_m3l.errors import DataError
from octis_m3l.metrics import METRICS
from octis_m3l.metrics.base import Metric, check_dataset
from octis_m3l.metrics.outputs import check_partition, check_topk, possible_output
from octis_m3l.metrics.scores import applicable, check_name

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset


class OverViews(AbstractMetric):  # type: ignore[misc]
    """The mean of a measure over all views or pairs of views that it applies to.

    Parameters
    ----------
    dataset : MultiviewDataset
        What the model is trained on.
    measure : str
        A name among `METRICS`: 'mrr', 'tu', …
    partition : {'test', 'validation', 'train'}
        For measures of documents.
    topk : int
        For measures of topics: how many words they look at.

    Raises
    ------
    SettingsError
        If the measure or the partition is unknown.
    """

    def __init__(
        self,
        dataset: "MultiviewDataset",
        measure: str = "mrr",
        partition: str = "test",
        topk: int = 10,
    ) -> None:
        super().__init__()
        check_dataset(dataset, type(self).__name__)
        self.measure, self.partition = check_name(measure), check_partition(partition)
        self.topk = check_topk(topk, lowest=1)
        self._dataset = dataset

    def check(self) -> None:
        """Raise if the measure can apply to no model of the data set, before one is trained.

        Raises
        ------
        DataError
            If the partition holds nothing that it could score.
        """
        self._measures(possible_output(self._dataset, self.topk), "any model")

    @property
    def direction(self) -> str:
        """Which scores are better, 'higher' or 'lower'."""
        return METRICS[self.measure].direction

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest score there can be."""
        return METRICS[self.measure].range

    @property
    def partitions(self) -> frozenset[str]:
        """The partitions of the data set whose documents the measure reads."""
        measures = self._measures(possible_output(self._dataset, self.topk), "any model")
        return frozenset().union(*(metric.partitions for metric in measures.values()))

    def score(self, output: Mapping[str, Any]) -> float:
        """Return the mean.

        Parameters
        ----------
        output : mapping
            The output of a trained model.

        Raises
        ------
        DataError
            If the measure applies nowhere.
        """
        measures = self._measures(output, "this model")
        return float(np.mean([metric.score(output) for metric in measures.values()]))

    def _measures(self, output: Mapping[str, Any], of: str) -> Mapping[str, Metric]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = applicable(
                self._dataset, output, self.partition, [self.measure], topk=self.topk
            )
        measures = found.get(self.measure)
        if not measures:
            raise DataError(
                f"'{self.measure}' applies to no view and no pair of views of {of} in the "
                f"{self.partition} partition; take another measure, or data with links (labels, "
                "validation items) there."
            )
        return measures

    def get_params(self) -> list[str]:
        """Return the names of the scalar arguments."""
        return ["measure", "partition", "topk"]

    def info(self) -> dict[str, str]:
        """Return a name, and the measure's citation."""
        # Topics have no partition: their words are counted in training documents.
        of_topics = self.measure in ("tu", "npmi", "document-npmi")
        where = "" if of_topics else f" ({self.partition})"
        name = f"{self.measure}, mean over views{where}"
        return {"name": name, "citation": METRICS[self.measure].reference}
