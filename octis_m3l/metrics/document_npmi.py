"""How often a topic's words meet in one document."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from octis_m3l.errors import DataError
from octis_m3l.metrics.base import Metric
from octis_m3l.metrics.outputs import check_topk, top_words

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset


def document_npmi(
    topics: NDArray[np.int64], bag_of_words: "csr_array[np.float32]"
) -> NDArray[np.float64]:
    """Return, for each topic, the mean NPMI of its pairs of words in documents.

    NPMI(a, b) = ln(P(a, b) / (P(a) P(b))) / −ln P(a, b), with P the share of documents that have
    the words. A pair that never meets, be it that a word is never seen, is −1; a pair that every
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
    return np.asarray(
        _npmi(together[:, left, right], alone[:, left], alone[:, right], documents).mean(axis=1)
    )


def _meetings(presence: "csc_array[np.float64]") -> NDArray[np.float64]:
    return np.asarray((presence.T @ presence).toarray(), dtype=np.float64)


def _npmi(
    together: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    documents: int,
) -> NDArray[np.float64]:
    values = np.full(together.shape, -1.0)
    values[together == documents] = 1.0
    some = (together > 0) & (together < documents)
    joint = together[some] / documents
    independent = (first[some] / documents) * (second[some] / documents)
    values[some] = np.log(joint / independent) / -np.log(joint)
    np.clip(values, -1.0, 1.0, out=values)
    return values


class DocumentNPMI(Metric):
    """Mean NPMI of the pairs of a topic's top words, counted in training documents.

    The quick measure of coherence: it reads sparse counts and nothing else. `per_item` has one
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
    direction = "higher"
    range = (-1.0, 1.0)
    reference = (
        "Bouma (2009). Normalized (pointwise) mutual information in collocation extraction. GSCL. "
        "For topics: Lau, Newman & Baldwin (2014). Machine reading tea leaves. EACL."
    )

    def __init__(
        self, dataset: "MultiviewDataset", view: str | None = None, topk: int = 10
    ) -> None:
        super().__init__(dataset)
        self.view = dataset.pivot if view is None else view
        self.topk = check_topk(topk, lowest=2)
        self._dataset = dataset
        dataset.text_view(self.view)

    @property
    def partitions(self) -> frozenset[str]:
        """Training documents: words are counted in them."""
        return frozenset({"train"})

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the coherence of each topic.

        Parameters
        ----------
        output : mapping
            The output of a trained model.

        Raises
        ------
        DataError
            If the output has no topics of the view, or too few words in them.
        """
        topics = top_words(output, self._dataset, self.view, self.topk)
        view = self._dataset.text_view(self.view)
        return document_npmi(topics, view.bag_of_words[view.rows("train")])
