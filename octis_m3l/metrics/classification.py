"""Labels of one language's documents from topics learned on another's."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.errors import DataError
from octis_m3l.metrics.base import Metric
from octis_m3l.metrics.outputs import (
    check_option,
    check_partition,
    check_whole,
    document_topics,
    partition_rows,
)

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

KERNELS = ("rbf", "linear")
FEATURES = ("log-ratio", "theta")
SCORES = ("accuracy", "macro-f1")

# Several cells and scores share one classifier; those last fitted are kept.
_FITTED: "OrderedDict[str, Any]" = OrderedDict()
_KEPT = 8


class CrosslingualClassification(Metric):
    """How well an SVM that has seen one language's labelled topics labels another's documents.

    Trained on θ of the training documents of one view, scored on a partition of another or of
    the same; documents without a label ('') take no part. `chance` is what always saying the
    commonest training label scores. `per_item` has for the accuracy 1 or 0 for each document, for
    macro-F1 the F1 of each label that the documents have or were given.

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
        What the SVM sees: θ, or log θ less its mean, which of softmax(μ) (``inference_samples=0``)
        is μ less its mean, what GloCTM's authors classify by.
    training_documents : int
        At most so many, drawn at random; 0: all. The draw has a seed of its own and is the same
        for every model.

    Raises
    ------
    DataError
        If a view is unknown, has no labels or no documents there, or no label is in both.
    SettingsError
        If an option is unknown.
    """

    name = ("classification", "classification-f1")
    order = 90
    direction = "higher"
    range = (0.0, 1.0)
    reference = (
        "Yuan, Van Durme & Ying (2018). Multilingual anchoring: interactive topic modeling and "
        "alignment across languages. NeurIPS."
    )

    def __init__(
        self,
        dataset: "MultiviewDataset",
        first: str,
        second: str,
        partition: str = "test",
        score_by: str = "accuracy",
        kernel: str = "rbf",
        features: str = "log-ratio",
        training_documents: int = 8000,
    ) -> None:
        super().__init__(dataset)
        for value, known in ((score_by, SCORES), (kernel, KERNELS), (features, FEATURES)):
            check_option("option", value, known)
        check_whole("training_documents", training_documents, 0)
        self.first, self.second = first, second
        self.partition = check_partition(partition)
        self.score_by, self.kernel, self.features = score_by, kernel, features
        self.training_documents = training_documents
        # Labels have an F1 only where they are given or there, which is the model's own doing.
        self._same_items = score_by == "accuracy"
        self._dataset = dataset
        train, self._rows = (
            _labelled(dataset, view, part) for view, part in ((first, "train"), (second, partition))
        )
        learned, asked = (
            _labels(dataset, first, "train")[train],
            _labels(dataset, second, partition)[self._rows],
        )
        if not set(learned) & set(asked):
            raise DataError(
                f"no label of '{second}' ({', '.join(sorted(set(asked))[:5])}) is one of "
                f"'{first}' ({', '.join(sorted(set(learned))[:5])}); give both the same labels."
            )
        chosen = np.arange(len(learned))
        if 0 < training_documents < len(learned):
            drawn = np.random.default_rng(0).choice(len(learned), training_documents, replace=False)
            chosen = np.sort(drawn)
        self._chosen, self._learned, self._asked = train[chosen], learned[chosen], asked
        if len(set(self._learned)) < 2:
            raise DataError(
                f"the {len(chosen)} training documents of '{first}' all have the label "
                f"'{self._learned[0]}'; there is nothing to tell apart."
            )

    @property
    def partitions(self) -> frozenset[str]:
        """Training documents, and those that are classified."""
        return frozenset({"train", self.partition})

    def item_tuples(self) -> NDArray[np.int64]:
        """Return the tuple of each document, where it is documents that are scored."""
        if not self.same_items:
            return super().item_tuples()
        return self._dataset.tuples(self.second)[
            partition_rows(self._dataset, self.second, self.partition)[self._rows]
        ]

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return 1 or 0 for each document, or the F1 of each label.

        Parameters
        ----------
        output : mapping
            The output of a trained model.

        Raises
        ------
        DataError
            If the output has no distributions for the documents of both views.
        """
        theta = document_topics(output, self._dataset, self.first, "train")[self._chosen]
        asked = document_topics(output, self._dataset, self.second, self.partition)[self._rows]
        if theta.shape[1] != asked.shape[1]:
            raise DataError(
                f"'{self.first}' has {theta.shape[1]} topics, '{self.second}' {asked.shape[1]}; "
                "compare items of one model."
            )
        known, answered = ~np.isnan(theta[:, 0]), ~np.isnan(asked[:, 0])
        learned = self._learned[known]
        if len(set(learned)) < 2 or not answered.any():
            raise DataError(
                f"too few documents of '{self.first}' and '{self.second}' have a finite θ."
            )
        classifier = _fitted(_seen(theta[known], self.features), learned, self.kernel)
        said = classifier.predict(_seen(asked[answered], self.features))
        scores = self._scored(said, self._asked[answered])
        if self.score_by != "accuracy" or answered.all():
            return scores
        of_all = np.full(len(answered), np.nan)
        of_all[answered] = scores
        return of_all

    def chance(self) -> float:
        """Return the score of always saying the commonest label of the training documents."""
        labels, counts = np.unique(self._learned, return_counts=True)
        said = np.full(len(self._asked), labels[counts.argmax()])
        return float(np.mean(self._scored(said, self._asked)))

    def _scored(self, said: NDArray[Any], asked: NDArray[Any]) -> NDArray[np.float64]:
        if self.score_by == "accuracy":
            right: NDArray[np.float64] = (said == asked).astype(np.float64)
            return right
        from sklearn.metrics import f1_score

        labels = np.union1d(said, asked)
        scores = f1_score(asked, said, labels=labels, average=None, zero_division=0.0)
        return np.asarray(scores, np.float64)


def _labels(dataset: "MultiviewDataset", view: str, partition: str) -> NDArray[Any]:
    labels = dataset.view(view).labels
    if labels is None:
        raise DataError(f"view '{view}' has no labels; build the data set with some.")
    rows = partition_rows(dataset, view, partition)
    if not len(rows):
        raise DataError(f"view '{view}' has no documents in the {partition} partition.")
    chosen: NDArray[Any] = np.asarray(labels, dtype=object)[rows].astype(str)
    return chosen


def _labelled(dataset: "MultiviewDataset", view: str, partition: str) -> NDArray[np.int64]:
    """Return which documents of a partition have a label."""
    rows = np.flatnonzero(_labels(dataset, view, partition) != "")
    if not len(rows):
        raise DataError(f"no document of '{view}' in the {partition} partition has a label.")
    return rows


def _seen(theta: NDArray[np.float64], features: str) -> NDArray[np.float64]:
    if features == "theta":
        return theta
    # Single precision rounds small shares to 0.
    logarithms = np.log(np.maximum(theta, np.finfo(np.float32).tiny))
    centred: NDArray[np.float64] = logarithms - logarithms.mean(axis=1, keepdims=True)
    return centred


def _fitted(features: NDArray[np.float64], labels: NDArray[Any], kernel: str) -> Any:
    from sklearn.svm import SVC

    content = hashlib.sha256(np.ascontiguousarray(features).tobytes())
    content.update("\n".join(labels.tolist()).encode())
    key = f"{kernel} {features.shape} {content.hexdigest()}"
    if key not in _FITTED:
        _FITTED[key] = SVC(kernel=kernel, C=1.0, gamma="scale").fit(features, labels)
        while len(_FITTED) > _KEPT:
            _FITTED.popitem(last=False)
    return _FITTED[key]
