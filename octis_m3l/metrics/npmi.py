"""OCTIS's coherence on any view's training documents."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.errors import DataError
from octis_m3l.metrics.base import TopicMetric
from octis_m3l.metrics.outputs import check_option

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

MEASURES = ("c_npmi", "c_v", "c_uci", "u_mass")


class NPMI(TopicMetric):
    """Mean coherence of a topic's top words, as OCTIS's ``Coherence`` computes it with gensim.

    Words are counted in the view's training documents, for ``c_npmi`` in sliding windows of ten
    words. A word that no training document has is left out of its topic. `per_item` has one score
    for each topic; their mean is OCTIS's score.

    Parameters
    ----------
    dataset : MultiviewDataset
        Gives the documents of the training partition.
    view : str, optional
        A text view; the pivot if not given.
    topk : int
        Top words of a topic, two or more.
    measure : {'c_npmi', 'c_v', 'c_uci', 'u_mass'}
        Which of gensim's measures; `range` is that of ``c_npmi``.

    Raises
    ------
    DataError
        If the view is unknown or has no words.
    SettingsError
        If `topk` is less than two or the measure is unknown.
    """

    name = "npmi"
    order = 50
    least_words = 2
    direction = "higher"
    range = (-1.0, 1.0)
    reference = (
        "Röder, Both & Hinneburg (2015). Exploring the space of topic coherence measures. WSDM."
    )

    def __init__(
        self,
        dataset: "MultiviewDataset",
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

    @property
    def partitions(self) -> frozenset[str]:
        """Training documents: words are counted in them."""
        return frozenset({"train"})

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the coherence of each topic.

        Raises
        ------
        DataError
            Also if fewer than two words of a topic are in the training documents.
        """
        from gensim.models import CoherenceModel

        vocabulary = self._text_view.vocabulary
        topics = [[vocabulary[word] for word in topic] for topic in self._top_words(output)]
        texts, dictionary = self._coherence._texts, self._coherence._dictionary
        for number, topic in enumerate(topics):
            if sum(word in dictionary.token2id for word in topic) < 2:
                raise DataError(
                    f"topic {number} of '{self.view}' ({', '.join(topic)}): fewer than two of its "
                    "words are in the training documents, so it has no coherence; build the "
                    "vocabulary from the training partition."
                )
        model = CoherenceModel(
            topics=topics,
            texts=texts,
            dictionary=dictionary,
            coherence=self.measure,
            topn=self.topk,
            processes=1,
        )
        return np.asarray(model.get_coherence_per_topic(), dtype=np.float64)
