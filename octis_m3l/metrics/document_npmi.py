"""How often a topic's words meet in one document."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from octis_m3l.errors import DataError
from octis_m3l.metrics.base import TopicMetric


def document_npmi(
    topics: NDArray[np.int64], bag_of_words: "csr_array[np.float32]"
) -> NDArray[np.float64]:
    """Return, for each topic, the mean NPMI of its pairs of words in documents.

    NPMI(a, b) = ln(P(a, b) / (P(a) P(b))) / −ln P(a, b), with P the share of documents that have
    the words. A pair that never meets, also because a word never occurs, is −1; a pair that every
    document has is 1, since the two always meet.

    References
    ----------
    Bouma (2009). Normalized (pointwise) mutual information in collocation extraction.
    """
    documents = bag_of_words.shape[0]
    if documents == 0:
        raise DataError("there is no document to count words in; give one or more.")
    words, columns = np.unique(topics, return_inverse=True)
    presence = csc_array(bag_of_words[:, words])
    presence.sum_duplicates()
    presence.eliminate_zeros()
    presence.data = np.ones(presence.nnz, dtype=np.float64)
    together = np.stack([_meetings(presence[:, topic]) for topic in columns.reshape(topics.shape)])
    alone = np.diagonal(together, axis1=1, axis2=2)
    left, right = np.triu_indices(topics.shape[1], k=1)
    joint = together[:, left, right] / documents
    expected = (alone[:, left] / documents) * (alone[:, right] / documents)
    values = normalised_pmi(joint, expected, never=-1.0)
    return np.asarray(np.clip(values, -1.0, 1.0).mean(axis=1))


def _meetings(presence: "csc_array[np.float64]") -> NDArray[np.float64]:
    return np.asarray((presence.T @ presence).toarray(), dtype=np.float64)


def normalised_pmi(
    joint: NDArray[np.float64], expected: NDArray[np.float64], never: float
) -> NDArray[np.float64]:
    """Return ln(joint / expected) / −ln joint; `never` for pairs that never meet, 1 for always."""
    values = np.full(joint.shape, never)
    met = (joint > 0) & (expected > 0)
    values[met & (joint >= 1)] = 1.0
    some = met & (joint < 1)
    values[some] = np.log(joint[some] / expected[some]) / -np.log(joint[some])
    return values


class DocumentNPMI(TopicMetric):
    """Mean NPMI of the pairs of a topic's top words, counted in training documents.

    The quick measure of coherence: it reads nothing but sparse counts. `per_item` has one
    score for each topic.

    Parameters
    ----------
    dataset : MultiviewDataset
        Gives the documents of the training partition.
    view : str, optional
        A text view; the pivot if not given.
    topk : int
        Top words of a topic, two or more.

    Raises
    ------
    DataError
        If the view is unknown or has no words.
    SettingsError
        If `topk` is less than two.
    """

    name = "document-npmi"
    order = 60
    least_words = 2
    direction = "higher"
    range = (-1.0, 1.0)
    reference = (
        "Bouma (2009). Normalized (pointwise) mutual information in collocation extraction. GSCL. "
        "For topics: Lau, Newman & Baldwin (2014). Machine reading tea leaves. EACL."
    )

    @property
    def partitions(self) -> frozenset[str]:
        """Training documents: words are counted in them."""
        return frozenset({"train"})

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the coherence of each topic."""
        view = self._text_view
        return document_npmi(self._top_words(output), view.bag_of_words[view.rows("train")])
