"""What metrics read from a model's output, with errors that say what is missing."""

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import PARTITIONS
from octis_m3l.errors import DataError, SettingsError, check_known
from octis_m3l.metrics.divergence import as_distributions

THETA_KEYS = {
    partition: ("" if partition == "train" else f"{partition}-") + "topic-document-matrix"
    for partition in PARTITIONS
}
"""The key of θ in a model's output, by partition."""


@dataclass(frozen=True)
class Request:
    """A metric that is asked for by its name in `METRICS`, and what it is to score.

    `explicit` says whether the user named the metric, instead of asking for all that apply; the
    rest is as for `applicable`.
    """

    name: str
    dataset: MultiviewDataset
    output: Mapping[str, Any]
    partition: str = "test"
    topk: int = 10
    corpus: MultiviewDataset | None = None
    explicit: bool = False

    @property
    def inferred_views(self) -> list[str]:
        """The views whose items of the partition have topic proportions."""
        key = THETA_KEYS[self.partition]
        return [view for view in self.dataset.views if f"{key}/{view}" in self.output]

    @property
    def topic_views(self) -> list[str]:
        """The text views that have topics."""
        return [view for view in self.dataset.text_views if f"topics/{view}" in self.output]


def check_partition(partition: str) -> str:
    """Return the partition if there is one of that name."""
    return check_option("partition", partition, PARTITIONS)


def check_option(name: str, value: str, known: Collection[str]) -> str:
    """Return the value of an argument if it is one of the known ones."""
    check_known(value, known, name, SettingsError)
    return value


def check_whole(name: str, value: int, lowest: int) -> int:
    """Return the value of an argument if it is a whole number and large enough."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < lowest:
        raise SettingsError(f"{name}={value!r}: expected a whole number, {lowest} or more.")
    return int(value)


def check_different(**views: str) -> None:
    """Raise if two arguments name the same view."""
    first, second = views.values()
    if first == second:
        raise SettingsError(f"{' and '.join(views)} are both '{first}'; name two different views.")


def check_output(output: object) -> None:
    """Raise if something is not the output of a model."""
    if not isinstance(output, Mapping):
        raise DataError(
            f"the output is a {type(output).__name__}; expected what train_model returned (a model "
            "that is not trained yet has none)."
        )


def partition_rows(dataset: MultiviewDataset, view: str, partition: str) -> NDArray[np.int64]:
    """Return the positions of a partition's items in their view."""
    items = dataset.view(view)
    return np.arange(len(items), dtype=np.int64)[items.rows(partition)]


def shared_tuples(
    dataset: MultiviewDataset, first: str, second: str, partitions: Collection[str]
) -> NDArray[np.int64]:
    """Return the tuples that have items of both views in some partitions."""
    in_first, in_second = (
        np.concatenate([dataset.tuples(view)[partition_rows(dataset, view, p)] for p in partitions])
        for view in (first, second)
    )
    return np.intersect1d(in_first, in_second)


def document_topics(
    output: Mapping[str, Any], dataset: MultiviewDataset, view: str, partition: str
) -> NDArray[np.float64]:
    """Return θ of one partition of a view: a row for each item, summing to one.

    Rows that are not finite become NaN, with a warning that counts them.
    """
    remedy = "train the model on this view and with partitions (use_partitions=True)."
    key, given = _fetch(output, THETA_KEYS[partition], view, remedy)
    matrix, name = _array(given, key, "numbers"), f"the output's '{key}'"
    expected = len(partition_rows(dataset, view, partition))
    if matrix.ndim != 2 or matrix.shape[1] != expected:
        raise DataError(
            f"{name} has shape {matrix.shape}; expected (topics, {expected}): a column for each "
            f"item of '{view}' in the {partition} partition. Score it on the dataset that the "
            "model was trained on, with the same partitions."
        )
    infinite = ~np.isfinite(matrix).all(axis=0)
    if not infinite.any():
        return as_distributions(matrix.T, name)
    if infinite.all():
        raise DataError(f"{name} is finite for none of {expected} items; did training diverge?")
    warnings.warn(
        f"{name} is not finite for {infinite.sum()} of {expected} items (the first: item "
        f"{np.flatnonzero(infinite)[0]}); they are left out.",
        stacklevel=3,
    )
    theta = as_distributions(np.where(infinite, 1 / len(matrix), matrix).T, name)
    theta[infinite] = np.nan
    return theta


def possible_output(dataset: MultiviewDataset, topk: int) -> dict[str, Any]:
    """Return an output of two equal topics with every key that a model of the data set can give."""
    output: dict[str, Any] = {
        f"{key}/{name}": np.full((2, size), 0.5, np.float32)
        for name, view in dataset.views.items()
        for key, size in zip(THETA_KEYS.values(), view.sizes, strict=True)
    }
    words = np.zeros((2, topk), np.int64)
    return output | {f"topics/{name}": words for name in dataset.text_views}


def top_words(
    output: Mapping[str, Any], dataset: MultiviewDataset, view: str, topk: int
) -> NDArray[np.int64]:
    """Return the indices of each topic's first words in a text view."""
    key, given = _fetch(output, "topics", view, "train the model on this view.")
    if key == "topics":
        given = _word_indices(given, dataset, view)
    topics, name = _array(given, key, "word indices"), f"the output's '{key}'"
    if topics.ndim != 2 or not len(topics) or not np.issubdtype(topics.dtype, np.integer):
        raise DataError(
            f"{name} has shape {topics.shape} and type {topics.dtype}; expected (topics, words) "
            "of word indices."
        )
    if topics.shape[1] < topk:
        raise DataError(
            f"{name} has {topics.shape[1]} words a topic, topk is {topk}; train with "
            f"top_words={topk} or more, or ask for a smaller topk."
        )
    words = topics[:, :topk].astype(np.int64)
    size = len(dataset.text_view(view).vocabulary)
    if words.min() < 0 or words.max() >= size:
        raise DataError(
            f"{name} has word indices from {words.min()} to {words.max()}; the vocabulary of "
            f"'{view}' has {size} words. Score it on the dataset that the model was trained on."
        )
    repeated = (np.diff(np.sort(words, axis=1), axis=1) == 0).any(axis=1)
    if repeated.any():
        raise DataError(
            f"{name} has a word twice in topic {np.flatnonzero(repeated)[0]}; expected different "
            "words."
        )
    return words


def is_of_one_view(output: Mapping[str, Any]) -> bool:
    """Return whether an output is of a single view, under OCTIS's own keys."""
    return not any("/" in str(key) for key in output)


def _fetch(output: Mapping[str, Any], key: str, view: str, remedy: str) -> tuple[str, Any]:
    """Return the key of a view's entry, and the entry."""
    check_output(output)
    if key not in output or not is_of_one_view(output):
        key = f"{key}/{view}"
    if key not in output:
        keys = ", ".join(sorted(str(known) for known in output)) or "none"
        raise DataError(f"the output has no '{key}'; it has: {keys}. To fix this, {remedy}")
    return key, output[key]


def _word_indices(topics: Any, dataset: MultiviewDataset, view: str) -> list[list[int]]:
    """Return topics in words as word indices."""
    index = {word: number for number, word in enumerate(dataset.text_view(view).vocabulary)}
    try:
        return [[index[word] for word in topic] for topic in topics]
    except TypeError:
        raise DataError("the output's 'topics' are no lists of words.") from None
    except KeyError as error:
        raise DataError(
            f"the output's topics hold the word {error}, which view '{view}' does not know: it is "
            "of another view or vocabulary."
        ) from None


def _array(given: Any, key: str, expected: str) -> NDArray[Any]:
    try:
        array = np.asarray(given)
    except (TypeError, ValueError):
        array = np.array(None)
    if array.dtype.kind not in "biuf":
        raise DataError(f"the output's '{key}' is no array of {expected}.")
    return array
