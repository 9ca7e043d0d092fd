"""Coherence of a topic's words: how often they meet in documents, or in windows as OCTIS counts."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError
from octis_m3l.metrics.base import TopicMetric
from octis_m3l.metrics.outputs import check_option
from octis_m3l.metrics.windows import window_counts

MEASURES = ("c_npmi", "c_v", "c_uci", "u_mass")


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


def document_npmi(
    topics: NDArray[np.int64], bag_of_words: "csr_array[np.float32]"
) -> NDArray[np.float64]:
    """Return, for each topic, the mean NPMI of its pairs of words in documents.

    NPMI(a, b) = ln(P(a, b) / (P(a) P(b))) / −ln P(a, b), with P the share of documents that have
    the words. A pair that never meets, also because a word never occurs, is −1; a pair that every
    document has is 1, since the two always meet.
    """
    documents = bag_of_words.shape[0]
    if documents == 0:
        raise DataError("there is no document to count words in; give one or more.")
    words, columns = np.unique(topics, return_inverse=True)
    presence = csc_array(bag_of_words[:, words])
    presence.sum_duplicates()
    presence.eliminate_zeros()
    presence.data = np.ones(presence.nnz, dtype=np.float64)
    of_topics = [presence[:, topic] for topic in columns.reshape(topics.shape)]
    together = np.stack([(one.T @ one).toarray() for one in of_topics])
    alone = np.diagonal(together, axis1=1, axis2=2)
    left, right = np.triu_indices(topics.shape[1], k=1)
    joint = together[:, left, right] / documents
    expected = (alone[:, left] / documents) * (alone[:, right] / documents)
    values = normalised_pmi(joint, expected, never=-1.0)
    return np.asarray(np.clip(values, -1.0, 1.0).mean(axis=1))


def window_npmi(
    topics: NDArray[np.int64], windows: int, together: "csr_array[np.float64]"
) -> NDArray[np.float64]:
    """Return, for each topic, the mean NPMI of its pairs of words in windows, as gensim's c_npmi.

    NPMI(a, b) = ln((P(a, b) + ε) / (P(a) P(b))) / −ln(P(a, b) + ε), with P the share of windows and
    ε = 10⁻¹². A word that never occurs is left out of its topic.
    """
    left, right = np.triu_indices(topics.shape[1], k=1)
    chance = together.diagonal()[topics] / windows
    expected = chance[:, left] * chance[:, right]
    met: Any = together[topics[:, left], topics[:, right]]
    joint = np.asarray(met.todense()) / windows + 1e-12
    occur = expected > 0
    values = np.zeros(occur.shape)
    values[occur] = np.log(joint[occur] / expected[occur]) / -np.log(joint[occur])
    return np.asarray(values.sum(axis=1) / occur.sum(axis=1))


class _Coherence(TopicMetric):
    """A metric that counts words in the view's training documents."""

    least_words = 2
    direction = "higher"
    range = (-1.0, 1.0)

    @property
    def partitions(self) -> frozenset[str]:
        """Training documents: words are counted in them."""
        return frozenset({"train"})


class DocumentNPMI(_Coherence):
    """Mean NPMI of the pairs of a topic's top words, counted in training documents.

    The quick measure of coherence: it reads nothing but sparse counts.

    Parameters
    ----------
    dataset, view, topk
        As for `TopicMetric`; `topk` two or more.
    """

    name = "document-npmi"
    order = 60
    reference = (
        "Bouma (2009). Normalized (pointwise) mutual information in collocation extraction. GSCL. "
        "For topics: Lau, Newman & Baldwin (2014). Machine reading tea leaves. EACL."
    )

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the coherence of each topic."""
        view = self._text_view
        return document_npmi(self._top_words(output), view.bag_of_words[view.rows("train")])


class NPMI(_Coherence):
    """Mean coherence of a topic's top words, as OCTIS's ``Coherence`` computes it with gensim.

    Words are counted in the view's training documents, for ``c_npmi`` in sliding windows of ten
    words. A word that no training document has is left out of its topic. The mean over topics is
    OCTIS's score.

    Parameters
    ----------
    dataset, view, topk
        As for `TopicMetric`; `topk` two or more.
    measure : {'c_npmi', 'c_v', 'c_uci', 'u_mass'}
        Which of gensim's measures; `range` is that of ``c_npmi``.
    """

    name = "npmi"
    order = 50
    reference = (
        "Röder, Both & Hinneburg (2015). Exploring the space of topic coherence measures. WSDM."
    )

    def __init__(
        self,
        dataset: MultiviewDataset,
        view: str | None = None,
        topk: int = 10,
        measure: str = "c_npmi",
    ) -> None:
        super().__init__(dataset, view, topk)
        self.measure = check_option("measure", measure, MEASURES)

    @cached_property
    def _coherence(self) -> Any:
        from octis.evaluation_metrics.coherence_metrics import Coherence

        texts = self._text_view.documents(self._text_view.rows("train"))
        return Coherence(texts=texts, topk=self.topk, measure=self.measure)

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the coherence of each topic, which needs two words of the training documents."""
        topics, view = self._top_words(output), self._text_view
        rows = view.rows("train")
        tokens = view.token_ids[view.offsets[rows.start] : view.offsets[rows.stop]]
        occurs = np.zeros(len(view.vocabulary), bool)
        occurs[tokens] = True
        if (lacking := np.flatnonzero(occurs[topics].sum(axis=1) < 2)).size:
            words = ", ".join(view.vocabulary[word] for word in topics[lacking[0]])
            raise DataError(
                f"topic {lacking[0]} of '{self.view}' ({words}): fewer than two of its "
                "words are in the training documents, so it has no coherence; build the "
                "vocabulary from the training partition."
            )
        if self.measure == "c_npmi":
            return window_npmi(topics, *window_counts(view))
        from gensim.models import CoherenceModel

        model = CoherenceModel(
            topics=[[view.vocabulary[word] for word in topic] for topic in topics],
            texts=self._coherence._texts,
            dictionary=self._coherence._dictionary,
            coherence=self.measure,
            topn=self.topk,
            processes=1,
        )
        return np.asarray(model.get_coherence_per_topic(), dtype=np.float64)
