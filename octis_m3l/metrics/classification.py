"""Labels of one language's documents, predicted from topics learned on another's."""

from collections.abc import Mapping
from functools import lru_cache
from itertools import product
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError
from octis_m3l.metrics.base import Metric
from octis_m3l.metrics.outputs import (
    THETA_KEYS,
    Request,
    check_option,
    check_partition,
    check_whole,
    document_topics,
    partition_rows,
)

KERNELS = ("rbf", "linear")
FEATURES = ("log-ratio", "theta")
SCORES = ("accuracy", "macro-f1")


class CrosslingualClassification(Metric):
    """Score of an SVM that is trained on one language's topics and labels another's documents.

    Trained on θ of the training documents of one view, scored on a partition of another or of
    the same; documents without a label ('') are left out. `chance` is the score of always
    predicting the most frequent training label. `per_item` has, for the accuracy, 1 or 0 for each
    document; for macro-F1, the F1 of each label that occurs or was predicted.

    Parameters
    ----------
    dataset : MultiviewDataset
        With labels of both views.
    first : str
        The view whose training documents are learned from.
    second : str
        The view whose documents are labelled; may be the first.
    partition : {'test', 'validation', 'train'}
        Which of the second view's documents.
    score_by : {'accuracy', 'macro-f1'}
        What is scored.
    kernel : {'rbf', 'linear'}
        Of scikit-learn's SVC, C = 1, gamma 'scale'.
    features : {'log-ratio', 'theta'}
        The SVM's input: θ, or log θ minus its mean over topics. For softmax(μ)
        (``inference_samples=0``) the latter is μ minus its mean, which GloCTM's authors classify
        by.
    training_documents : int
        At most so many, drawn at random; 0: all. The draw has a seed of its own and is the same
        for every model.
    """

    name = ("classification", "classification-f1")
    order = 90
    view_arguments = ("first", "second")
    needs = "needs labels that the training documents and those of the partition share."
    direction = "higher"
    range = (0.0, 1.0)
    reference = (
        "Yuan, Van Durme & Ying (2018). Multilingual anchoring: interactive topic modeling and "
        "alignment across languages. NeurIPS."
    )

    def __init__(
        self,
        dataset: MultiviewDataset,
        first: str,
        second: str,
        partition: str = "test",
        score_by: str = "accuracy",
        kernel: str = "rbf",
        features: str = "log-ratio",
        training_documents: int = 8000,
    ) -> None:
        super().__init__(dataset)
        self.first, self.second = first, second
        self.partition = check_partition(partition)
        self.score_by = check_option("option", score_by, SCORES)
        self.kernel = check_option("option", kernel, KERNELS)
        self.features = check_option("option", features, FEATURES)
        self.training_documents = check_whole("training_documents", training_documents, 0)
        self._dataset = dataset
        train, learned = _labelled(dataset, first, "train")
        self._rows, self._labels = _labelled(dataset, second, partition)
        if not set(learned) & set(self._labels):
            raise DataError(
                f"no label of '{second}' ({', '.join(sorted(set(self._labels))[:5])}) is one of "
                f"'{first}' ({', '.join(sorted(set(learned))[:5])}); give both the same labels."
            )
        chosen = np.arange(len(learned))
        if 0 < training_documents < len(learned):
            drawn = np.random.default_rng(0).choice(len(learned), training_documents, replace=False)
            chosen = np.sort(drawn)
        self._training_rows, self._training_labels = train[chosen], learned[chosen]
        if len(set(self._training_labels)) < 2:
            raise DataError(
                f"the {len(chosen)} training documents of '{first}' all have the label "
                f"'{self._training_labels[0]}'; there is nothing to tell apart."
            )

    @classmethod
    def applied(cls, request: Request) -> dict[str, Self]:
        """Return the metric on every view, and pair of views, with labels to learn and predict."""
        score_by = "macro-f1" if request.name == "classification-f1" else "accuracy"
        data, partition = request.dataset, request.partition
        learned = {view: _known_labels(request, view, "train") for view in request.inferred_views}
        asked = {view: _known_labels(request, view, partition) for view in request.inferred_views}
        return {
            f"{first}-{second}": cls(data, first, second, partition, score_by)
            for first, second in product(request.inferred_views, repeat=2)
            if len(learned[first]) > 1 and learned[first] & asked[second]
        }

    @property
    def partitions(self) -> frozenset[str]:
        """Training documents, and those that are classified."""
        return frozenset({"train", self.partition})

    @property
    def same_items(self) -> bool:  # type: ignore[override]
        """Whether documents are scored; labels have an F1 only if they occur or were predicted."""
        return self.score_by == "accuracy"

    def item_tuples(self) -> NDArray[np.int64]:
        """Return the tuple of each document, where it is documents that are scored."""
        if not self.same_items:
            return super().item_tuples()
        rows = partition_rows(self._dataset, self.second, self.partition)[self._rows]
        return self._dataset.tuples(self.second)[rows]

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return 1 or 0 for each document, or the F1 of each label."""
        theta = document_topics(output, self._dataset, self.first, "train")[self._training_rows]
        asked = document_topics(output, self._dataset, self.second, self.partition)[self._rows]
        if theta.shape[1] != asked.shape[1]:
            raise DataError(
                f"'{self.first}' has {theta.shape[1]} topics, '{self.second}' {asked.shape[1]}; "
                "compare items of one model."
            )
        known, answered = ~np.isnan(theta[:, 0]), ~np.isnan(asked[:, 0])
        learned = self._training_labels[known]
        if len(set(learned)) < 2 or not answered.any():
            raise DataError(
                f"too few documents of '{self.first}' and '{self.second}' have a finite θ."
            )
        features = _features(theta[known], self.features)
        classifier = _fitted(features.tobytes(), tuple(learned.tolist()), self.kernel)
        predicted = classifier.predict(_features(asked[answered], self.features))
        scores = self._scored(predicted, self._labels[answered])
        if not self.same_items:
            return scores
        of_all = np.full(len(answered), np.nan)
        of_all[answered] = scores
        return of_all

    def chance(self) -> float:
        """Return the score of always predicting the most frequent training label."""
        labels, counts = np.unique(self._training_labels, return_counts=True)
        predicted = np.full(len(self._labels), labels[counts.argmax()])
        return float(np.mean(self._scored(predicted, self._labels)))

    def _scored(self, predicted: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
        if self.same_items:
            return np.asarray(predicted == labels, np.float64)
        from sklearn.metrics import f1_score

        both = np.union1d(predicted, labels)
        scores = f1_score(labels, predicted, labels=both, average=None, zero_division=0.0)
        return np.asarray(scores, np.float64)


def _labelled(
    dataset: MultiviewDataset, view: str, partition: str
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return which documents of a partition have a label, and their labels."""
    labels = dataset.view(view).labels
    if labels is None:
        raise DataError(f"view '{view}' has no labels; build the data set with some.")
    rows = partition_rows(dataset, view, partition)
    of_partition: NDArray[Any] = np.asarray(labels, dtype=object)[rows].astype(str)
    labelled = np.flatnonzero(of_partition != "")
    if not len(labelled):
        raise DataError(f"no document of '{view}' in the {partition} partition has a label.")
    return labelled, of_partition[labelled]


def _known_labels(request: Request, view: str, partition: str) -> set[str]:
    """Return the labels of a partition's documents, if the output has θ of them."""
    items = request.dataset.view(view)
    if items.labels is None or f"{THETA_KEYS[partition]}/{view}" not in request.output:
        return set()
    return set(items.labels[items.rows(partition)]) - {""}


def _features(theta: NDArray[np.float64], features: str) -> NDArray[np.float64]:
    if features == "theta":
        return theta
    # Single precision rounds small shares to 0.
    logarithms = np.log(np.maximum(theta, np.finfo(np.float32).tiny))
    centred: NDArray[np.float64] = logarithms - logarithms.mean(axis=1, keepdims=True)
    return centred


# Several cells and scores share one classifier.
@lru_cache(maxsize=8)
def _fitted(features: bytes, labels: tuple[str, ...], kernel: str) -> Any:
    from sklearn.svm import SVC

    matrix = np.frombuffer(features).reshape(len(labels), -1)
    return SVC(kernel=kernel, C=1.0, gamma="scale").fit(matrix, np.array(labels))
