"""What every metric has: a direction, a range, a reference, and a score for each item."""

import inspect
import sys
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from octis.dataset.dataset import Dataset
from octis.evaluation_metrics.metrics import AbstractMetric

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError
from octis_m3l.metrics.outputs import Request, check_whole, top_words

Direction = Literal["higher", "lower"]
_OCTIS_CLASSIFICATION = "octis.evaluation_metrics.classification_metrics"


def check_dataset(given: object, who: str) -> None:
    """Raise if something is not a MultiviewDataset, and say how to make it one."""
    if isinstance(given, MultiviewDataset):
        return
    kind, remedy = type(given).__name__, ""
    if isinstance(given, type):
        kind = f"the class {given.__name__}"
    elif isinstance(given, str | Path):
        reader = "from_octis" if Path(given, "corpus.tsv").is_file() else "from_folder"
        kind, remedy = "a path", f"; read it first: MultiviewDataset.{reader}({str(given)!r})"
    elif isinstance(given, Dataset):
        kind, remedy = "OCTIS's Dataset", "; make it one: MultiviewDataset.from_octis(dataset)"
    elif given is None:
        kind = "None"
        remedy = (
            "; a loaded model has none: read it with MultiviewDataset.from_folder(model.data_path)"
        )
    raise DataError(f"{who} needs a MultiviewDataset, given {kind}{remedy}.")


def score_of(metric: Any, output: Mapping[str, Any]) -> float:
    """Return the score of an output by a metric of any package, computed anew.

    OCTIS's classification metrics remember the last score by an abbreviated print of the output,
    in which two outputs can look the same.
    """
    module: Any = sys.modules.get(_OCTIS_CLASSIFICATION)
    if module is not None:
        module.stored_model_output_hash = None
    return float(metric.score(output))


def partitions_read(metric: Any) -> frozenset[str]:
    """Return the partitions whose documents a metric of any package reads.

    A metric declares them as `partitions`, or reads the one that its `partition` names; OCTIS's
    classification metrics train on training documents and score test documents.
    """
    if any(c.__module__ == _OCTIS_CLASSIFICATION for c in type(metric).__mro__):
        return frozenset({"train", "test"})
    partition = getattr(metric, "partition", None)
    named = frozenset([partition] if partition else ())
    read: frozenset[str] = getattr(metric, "partitions", named)
    return read


def mean_of_items(items: NDArray[np.float64]) -> float:
    """Return the mean of the items that have a score."""
    scored = items[~np.isnan(items)]
    if not len(scored):
        raise DataError(f"none of {len(items)} items can be scored.")
    return float(np.mean(scored))


class Metric(AbstractMetric):  # type: ignore[misc]
    """An OCTIS metric that keeps the score of every item, for significance tests.

    A subclass takes a data set and scalar arguments, keeps each scalar under the argument's own
    name, and writes `per_item`. In a file of `octis_m3l/metrics`, a subclass that assigns `name`
    is known to `score_all` and to the command line.

    All metrics of the package raise DataError for an unknown view and for data without what they
    score, and SettingsError for an argument that is not one of its choices.
    """

    name: ClassVar[str | tuple[str, ...]]  # what the command line calls the metric
    order: ClassVar[int]  # where it stands in tables: lower numbers first, metrics without one last
    direction: ClassVar[Direction]  # which scores are better
    range: ClassVar[tuple[float, float]]  # the lowest and the highest score there can be
    reference: ClassVar[str]  # where the measure is defined
    # What data the metric needs, for the message that it does not apply.
    needs: ClassVar[str] = "needs a view with topics, or with items in the {partition} partition."
    view_arguments: ClassVar[tuple[str, ...]] = ("view",)  # the arguments that name views
    # Whether it only compares two views, so that topic k has to mean the same in both.
    compares_views: ClassVar[bool] = False
    # Whether `per_item` scores the same documents or queries, in the same order, whatever the
    # model, so that models can be compared item by item. Topics are each model's own.
    same_items: bool = False

    def __init__(self, *datasets: object) -> None:
        super().__init__()
        for dataset in datasets:
            check_dataset(dataset, type(self).__name__)

    @classmethod
    def applied(cls, request: Request) -> dict[str, Self]:
        """Return the metric by each view, or pair of views ('en-de'), that it applies to.

        By default, on each view with topics; or, if it takes a `partition`, on each view whose
        items were inferred.
        """
        options = {"topk": request.topk, "partition": request.partition}
        takes = inspect.signature(cls).parameters
        views = request.inferred_views if "partition" in takes else request.topic_views
        given = {name: value for name, value in options.items() if name in takes}
        return {view: cls(request.dataset, view, **given) for view in views}

    @abstractmethod
    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the score of each item: a query, a pair of documents or a topic.

        Documents whose θ is not finite are left out as if they were not in the data set: an item
        that needs one has NaN. The output of a trained model is read, not changed; DataError says
        what it lacks, or that it is of another data set.
        """

    @property
    def views(self) -> tuple[str, ...]:
        """The views that the metric scores or compares."""
        return tuple(getattr(self, name) for name in self.view_arguments)

    @property
    def partitions(self) -> frozenset[str]:
        """The partitions of the data set whose documents the metric reads.

        By default the one that the argument `partition` names, if there is one. A search refuses
        metrics that read test documents.
        """
        partition: str | None = getattr(self, "partition", None)
        return frozenset([partition] if partition else ())

    def item_tuples(self) -> NDArray[np.int64]:
        """Return the tuple of each item of `per_item`, for metrics with the same items.

        Scores of one tuple (a document and its translation; one query in two directions) depend
        on each other, which significance tests take into account.
        """
        raise NotImplementedError(f"{type(self).__name__} scores items that belong to no tuple.")

    def score(self, output: Mapping[str, Any]) -> float:
        """Return the mean over the items that can be scored."""
        return mean_of_items(self.per_item(output))

    def get_params(self) -> list[str]:
        """Return the names of the scalar arguments that the metric was built with."""
        return [
            name
            for name in inspect.signature(type(self)).parameters
            if isinstance(getattr(self, name, None), str | int | float)
        ]

    def info(self) -> dict[str, str]:
        """Return a name, which tells metrics of one class apart, and the citation."""
        arguments = ", ".join(str(getattr(self, name)) for name in self.get_params())
        return {"name": f"{type(self).__name__}({arguments})", "citation": self.reference}


class TopicMetric(Metric):
    """A metric of the top words of one text view's topics; `per_item` scores each topic.

    Parameters
    ----------
    dataset : MultiviewDataset
        What the model was trained on.
    view : str, optional
        A text view; the pivot if not given.
    topk : int
        Top words of a topic; papers of GloCTM's line of work use 15.
    """

    needs = "needs a view of texts."
    least_words: ClassVar[int] = 1

    def __init__(self, dataset: MultiviewDataset, view: str | None = None, topk: int = 10) -> None:
        super().__init__(dataset)
        self.view = dataset.pivot if view is None else view
        self.topk = check_whole("topk", topk, self.least_words)
        self._dataset = dataset
        self._text_view = dataset.text_view(self.view)

    @classmethod
    def applied(cls, request: Request) -> dict[str, Self]:
        """Return the metric on every view with topics."""
        too_few = request.topk < cls.least_words and not request.explicit
        return {} if too_few else super().applied(request)

    def _top_words(self, output: Mapping[str, Any]) -> NDArray[np.int64]:
        return top_words(output, self._dataset, self.view, self.topk)
