"""OCTIS's coherence on any view's training documents."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.errors import DataError
from octis_m3l.metrics.base import Metric
from octis_m3l.metrics.outputs import check_option, check_topk, top_words

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

MEASURES = ("c_npmi", "c_v", "c_uci", "u_mass")


class NPMI(Metric):
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
        super().__init__(dataset)
        check_option("measure", measure, MEASURES)
        self.view = dataset.pivot if view is None else view
        self.topk = check_topk(topk, lowest=2)
        self.measure = measure
        self._dataset = dataset
        dataset.text_view(self.view)

    @cached_property
    def _coherence(self) -> Any:
        from octis.evaluation_metrics.coherence_metrics import Coherence

        view = self._dataset.text_view(self.view)
        texts = view.documents(view.rows("train"))
        return Coherence(texts=texts, topk=self.topk, measure=self.measure)

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
            If the output has no topics of the view or too few words in them, or fewer than two
            words of a topic are in the training documents.
        """
        from gensim.models import CoherenceModel

        words = top_words(output, self._dataset, self.view, self.topk)
        vocabulary = self._dataset.text_view(self.view).vocabulary
        topics = [[vocabulary[word] for word in topic] for topic in words]
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
