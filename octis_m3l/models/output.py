"""What a trained model gives: OCTIS's keys for the pivot, and the same for every view."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from octis_m3l.errors import DataError, SettingsError, suggest, warn
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
    top_words : int
        How many words represent a topic.
    seed : int
        The run's seed, as derived.
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
            self[f"topics/{name}"] = _likeliest(matrix, top_words)
            self[f"topic-word-matrix/{name}"] = matrix
        for name, partitions in document_topics.items():
            for partition, theta in partitions.items():
                self[f"{THETA_KEYS[partition]}/{name}"] = np.ascontiguousarray(theta.T)
        self.update(self.view(pivot))

    @classmethod
    def restored(
        cls,
        pivot: str,
        topic_words: Mapping[str, NDArray[Any]],
        arrays: Mapping[str, NDArray[Any]],
        vocabularies: Mapping[str, tuple[str, ...]],
        top_words: int,
        seed: int,
    ) -> Self:
        """Return an output from the arrays that a saved model holds.

        Parameters
        ----------
        arrays : mapping of key to array
            The entries of every view, except the topic-word matrices.
        pivot, topic_words, vocabularies, top_words, seed
            As for the class.
        """
        output = cls(pivot, topic_words, {}, vocabularies, top_words, seed)
        for key, matrix in arrays.items():
            kind, _, name = key.partition("/")
            theta = kind in THETA_KEYS.values()
            output[key] = finite_topics(matrix.T, name).T if theta else matrix
        output.update(output.view(pivot))
        return output

    @property
    def views(self) -> list[str]:
        """The views whose documents' topics are known."""
        prefix = f"{THETA_KEYS['train']}/"
        return [key.removeprefix(prefix) for key in self if key.startswith(prefix)]

    def topics(self, view: str, words: int | None = None) -> list[list[str]]:
        """Return each topic's first words in a text view.

        Parameters
        ----------
        view : str
            The view.
        words : int, optional
            How many, at most; may be more than ``top_words``, the default.

        Raises
        ------
        DataError
            If the view has no topics: unknown, or images.
        SettingsError
            If `words` is below 1.
        """
        if f"topics/{view}" not in self:
            known = [k.removeprefix("topics/") for k in self if k.startswith("topics/")]
            raise DataError(f"view '{view}' has no topics of its own.{suggest(view, known)}")
        vocabulary, indices = self.vocabularies[view], self[f"topics/{view}"]
        if words is not None:
            if words < 1:
                raise SettingsError(f"words={words}: expected 1 or more.")
            indices = _likeliest(self[f"topic-word-matrix/{view}"], words)
        return [[vocabulary[index] for index in topic] for topic in indices]

    def view(self, name: str) -> dict[str, Any]:
        """Return a plain OCTIS output of one view.

        Parameters
        ----------
        name : str
            The view.
        """
        plain: dict[str, Any] = {}
        if f"topics/{name}" in self:
            plain["topics"] = self.topics(name)
            plain["topic-word-matrix"] = self[f"topic-word-matrix/{name}"]
        for key in THETA_KEYS.values():
            if f"{key}/{name}" in self:
                plain[key] = self[f"{key}/{name}"]
        if not plain:
            raise DataError(f"the output knows no view '{name}'.{suggest(name, self.views)}")
        return plain

    def theta(self, view: str, partition: str = "train") -> NDArray[Any]:
        """Return the topic proportions of a view's items (items × K).

        Parameters
        ----------
        view : str
            The view.
        partition : {'train', 'validation', 'test'}
            Which of its items.
        """
        key = f"{THETA_KEYS[partition]}/{view}"
        if key not in self:
            raise DataError(f"the output knows no view '{view}'.{suggest(view, self.views)}")
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


def _likeliest(matrix: NDArray[Any], words: int) -> NDArray[np.int64]:
    return np.argsort(-matrix, axis=1, kind="stable")[:, :words].astype(np.int64)
