"""Any OCTIS metric on any view."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from octis.evaluation_metrics.metrics import AbstractMetric

from octis_m3l.errors import DataError
from octis_m3l.metrics.base import check_dataset
from octis_m3l.metrics.outputs import THETA_KEYS

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

_MATRICES = ("topic-word-matrix", *THETA_KEYS.values())


class OnView(AbstractMetric):  # type: ignore[misc]
    """Run a metric of OCTIS on the output of one view, as if the view were all there is.

    The metric sees `topics` in words and the matrices of that view under OCTIS's own keys. What a
    metric needs of the corpus is given to the metric itself, such as the view's documents.

    Parameters
    ----------
    metric : AbstractMetric of OCTIS
        Any that scores a model's output.
    view : str
        A view; an image view has matrices but no topics in words.
    dataset : MultiviewDataset
        Gives the view's vocabulary.

    Raises
    ------
    DataError
        If the view is unknown.
    """

    def __init__(self, metric: AbstractMetric, view: str, dataset: "MultiviewDataset") -> None:
        super().__init__()
        check_dataset(dataset, "OnView")
        self.view = view
        self._metric = metric
        self._vocabulary: tuple[str, ...] | None = getattr(dataset.view(view), "vocabulary", None)

    def score(self, output: Mapping[str, Any]) -> float:
        """Return what the metric says of the view.

        Parameters
        ----------
        output : mapping
            The output of a trained model; it is not changed.

        Raises
        ------
        DataError
            If the output lacks what the metric reads, or has words outside the view's vocabulary.
        """
        _forget_classifications()
        return float(self._metric.score(self._output_of_view(output)))

    def get_params(self) -> list[str]:
        """Return the name of the scalar argument."""
        return ["view"]

    def info(self) -> dict[str, str]:
        """Return the metric's name with the view, and its citation."""
        given = self._metric.info() if hasattr(self._metric, "info") else {}
        name = given.get("name", type(self._metric).__name__)
        return {"name": f"{name} ({self.view})", "citation": given.get("citation", "")}

    def _output_of_view(self, output: Mapping[str, Any]) -> dict[str, Any]:
        plain = _ViewOutput(self.view, output)
        if "topics" in output and not any("/" in str(key) for key in output):
            # An output of OCTIS's own models is of one view already.
            plain.update(output)
            return plain
        for key in _MATRICES:
            if f"{key}/{self.view}" in output:
                plain[key] = output[f"{key}/{self.view}"]
        if self._vocabulary is not None and f"topics/{self.view}" in output:
            plain["topics"] = [
                [self._word(int(word)) for word in topic] for topic in output[f"topics/{self.view}"]
            ]
        return plain

    def _word(self, index: int) -> str:
        vocabulary = self._vocabulary or ()
        if not 0 <= index < len(vocabulary):
            raise DataError(
                f"the output's 'topics/{self.view}' has word index {index}; the vocabulary has "
                f"{len(vocabulary)} words. Score it on the dataset that the model was trained on."
            )
        return vocabulary[index]


def _forget_classifications() -> None:
    """Make OCTIS's classification metrics compute anew.

    They remember the last score by an abbreviated print of the output, in which two outputs can
    look the same.
    """
    module: Any = sys.modules.get("octis.evaluation_metrics.classification_metrics")
    if module is not None:
        module.stored_model_output_hash = None


class _ViewOutput(dict[str, Any]):
    def __init__(self, view: str, output: Mapping[str, Any]) -> None:
        super().__init__()
        self._view = view
        self._keys = sorted(str(key) for key in output)

    def __missing__(self, key: str) -> Any:
        raise DataError(
            f"the metric reads '{key}', but the output has no '{key}/{self._view}' for it; it has: "
            f"{', '.join(self._keys) or 'none'}. Choose a text view for metrics of topics in "
            "words, and train with partitions (use_partitions=True) for test documents."
        )
