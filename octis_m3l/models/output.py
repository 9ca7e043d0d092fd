"""What a trained model gives: OCTIS's keys for the pivot, and the same for every view."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from octis_m3l.errors import DataError, SettingsError, check_known, suggest, warn
from octis_m3l.metrics.outputs import THETA_KEYS


class ModelOutput(dict[str, Any]):
    """OCTIS's model output, for many views.

    ``topics`` (lists of words), ``topic-word-matrix`` (K × words), ``topic-document-matrix``,
    ``validation-topic-document-matrix`` and ``test-topic-document-matrix`` (K × items) are the
    pivot's; ``<key>/<view>`` has every view's, topics as word indices, so that everything is
    numeric and OCTIS's `save_model_output` stores it.

    Parameters
    ----------
    pivot : str
        The view of the plain keys.
    topic_words : mapping of text view to array (K × words)
        A distribution in each row.
    document_topics : mapping of view to mapping of partition to array (items × K)
        θ, inferred from that view alone.
    vocabularies : mapping of text view to tuple of str
        The words; an attribute, not an item.
    top_words, seed : int
        How many words represent a topic, and the run's seed, as derived.
    """

    def __init__(
        self,
        pivot: str,
        topic_words: Mapping[str, NDArray[Any]],
        document_topics: Mapping[str, Mapping[str, NDArray[Any]]],
        vocabularies: Mapping[str, tuple[str, ...]],
        top_words: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.pivot, self.seed, self.top_words = pivot, seed, top_words
        self.vocabularies = dict(vocabularies)
        for name, matrix in topic_words.items():
            self[f"topics/{name}"] = likeliest(matrix, top_words)
            self[f"topic-word-matrix/{name}"] = matrix
        for name, partitions in document_topics.items():
            for partition, theta in partitions.items():
                self[f"{THETA_KEYS[partition]}/{name}"] = np.ascontiguousarray(theta.T)
        self.update(self.view(pivot))

    def filled(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Add the entries of every view that a saved model holds; return the output."""
        for key, matrix in arrays.items():
            kind, _, name = key.partition("/")
            theta = kind in THETA_KEYS.values()
            self[key] = finite_topics(matrix.T, name).T if theta else matrix
        self.update(self.view(self.pivot))
        return self

    @property
    def views(self) -> list[str]:
        """The views whose documents' topics are known."""
        prefix = f"{THETA_KEYS['train']}/"
        return [key.removeprefix(prefix) for key in self if key.startswith(prefix)]

    @property
    def languages(self) -> list[str]:
        """The text views whose topics are known."""
        return [name for name in self.vocabularies if f"topics/{name}" in self]

    def topics(self, view: str, words: int | None = None) -> list[list[str]]:
        """Return each topic's first words in a text view, at most `words`.

        These may be more than ``top_words``, the default.
        """
        if f"topics/{view}" not in self:
            known = suggest(view, self.languages)
            raise DataError(f"view '{view}' has no topics of its own.{known}")
        vocabulary, indices = self.vocabularies[view], self[f"topics/{view}"]
        if words is not None:
            if words < 1:
                raise SettingsError(f"words={words}: expected 1 or more.")
            indices = likeliest(self[f"topic-word-matrix/{view}"], words)
        return [[vocabulary[index] for index in topic] for topic in indices]

    def view(self, name: str) -> dict[str, Any]:
        """Return a plain OCTIS output of one view."""
        plain: dict[str, Any] = {}
        if f"topics/{name}" in self:
            plain["topics"] = self.topics(name)
            plain["topic-word-matrix"] = self[f"topic-word-matrix/{name}"]
        else:
            check_known(name, self.views, "view")
        for key in THETA_KEYS.values():
            if f"{key}/{name}" in self:
                plain[key] = self[f"{key}/{name}"]
        return plain

    def theta(self, view: str, partition: str = "train") -> NDArray[Any]:
        """Return the topic proportions of a view's items in a partition (items × K)."""
        key = f"{THETA_KEYS[partition]}/{view}"
        if key not in self:
            known = suggest(view, self.views)
            raise DataError(f"the output has no {partition} items of a view '{view}'.{known}")
        matrix: NDArray[Any] = self[key].T
        return matrix


def finite_topics(theta: NDArray[Any], view: str) -> NDArray[Any]:
    """Return θ, with equal proportions for items whose θ is not finite, and a warning."""
    unknown = ~np.isfinite(theta).all(axis=1)
    if not unknown.any():
        return theta
    rows = np.flatnonzero(unknown)
    warn(
        f"view '{view}': {len(rows)} of {len(theta)} items have no finite topic proportions (the "
        f"first is number {rows[0]}): they are too far from what the model was trained on, and all "
        "topics are taken as equally likely; leave them out, or look for outliers."
    )
    return np.where(unknown[:, None], np.float32(1.0 / theta.shape[1]), theta)


def likeliest(matrix: NDArray[Any], words: int) -> NDArray[np.int64]:
    """Return the indices of each topic's likeliest words, the first of equal ones first."""
    return np.argsort(-matrix, axis=1, kind="stable")[:, :words].astype(np.int64)
