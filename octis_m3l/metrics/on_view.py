"""Any OCTIS metric on any view."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from octis.evaluation_metrics.metrics import AbstractMetric

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError
from octis_m3l.metrics.base import check_dataset, partitions_read, score_of
from octis_m3l.metrics.outputs import THETA_KEYS, check_output, is_of_one_view


class OnView(AbstractMetric):  # type: ignore[misc]
    """Run a metric of OCTIS on the output of one view, as if there were no other view.

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
    """

    def __init__(self, metric: AbstractMetric, view: str, dataset: MultiviewDataset) -> None:
        super().__init__()
        check_dataset(dataset, "OnView")
        self.view = view
        self.metric, self._dataset = metric, dataset
        dataset.view(view)

    @property
    def partitions(self) -> frozenset[str]:
        """The partitions that the metric reads."""
        return partitions_read(self.metric)

    def score(self, output: Mapping[str, Any]) -> float:
        """Return the metric's score of the view; DataError says what the output lacks for it."""
        return score_of(self.metric, output_of_view(output, self.view, self._dataset))

    def get_params(self) -> list[str]:
        """Return the name of the scalar argument."""
        return ["view"]

    def info(self) -> dict[str, str]:
        """Return the metric's name with the view, and its citation."""
        given = self.metric.info() if hasattr(self.metric, "info") else {}
        name = given.get("name", type(self.metric).__name__)
        return {"name": f"{name} ({self.view})", "citation": given.get("citation", "")}


def output_of_view(
    output: Mapping[str, Any], view: str, dataset: MultiviewDataset
) -> dict[str, Any]:
    """Return a view's part of an output under OCTIS's own keys, with `topics` in words."""
    check_output(output)
    items = dataset.view(view)
    sizes = {key: {n} for key, n in zip(THETA_KEYS.values(), items.sizes, strict=True)}
    # Trained without partitions, a model gives θ of all items under the key of training items.
    sizes[THETA_KEYS["train"]].add(len(items))
    plain = _ViewOutput(view, output, sizes)
    if "topics" in output and is_of_one_view(output):
        plain.update(output)
        return plain
    for key in ("topic-word-matrix", *THETA_KEYS.values()):
        if f"{key}/{view}" in output:
            plain[key] = output[f"{key}/{view}"]
    topics, vocabulary = output.get(f"topics/{view}"), getattr(items, "vocabulary", None)
    if vocabulary is not None and topics is not None:
        plain["topics"] = [[_word(word, view, vocabulary) for word in topic] for topic in topics]
    return plain


def _word(index: Any, view: str, vocabulary: Sequence[str]) -> str:
    if not isinstance(index, int | np.integer) or not 0 <= index < len(vocabulary):
        raise DataError(
            f"the output's 'topics/{view}' has word index {index}; the vocabulary has "
            f"{len(vocabulary)} words. Score it on the dataset that the model was trained on."
        )
    return vocabulary[int(index)]


class _ViewOutput(dict[str, Any]):
    """An output of one view, which checks an entry when a metric reads it."""

    def __init__(self, view: str, output: Mapping[str, Any], sizes: Mapping[str, set[int]]) -> None:
        super().__init__()
        self._view, self._sizes = view, sizes
        self._keys = sorted(str(key) for key in output)

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        shape, sizes = getattr(value, "shape", None), self._sizes.get(key)
        if shape is not None and sizes and not (len(shape) == 2 and shape[1] in sizes):
            raise DataError(
                f"the output's '{key}/{self._view}' has shape {shape}; expected (topics, "
                f"{min(sizes)}). Score it on the dataset that the model was trained on, with the "
                "same partitions."
            )
        return value

    def __missing__(self, key: str) -> Any:
        raise DataError(
            f"the metric reads '{key}', but the output has no '{key}/{self._view}' for it; it has: "
            f"{', '.join(self._keys) or 'none'}. Choose a text view for metrics of topics in "
            "words, and train with partitions (use_partitions=True) for test documents."
        )
