"""Coherence across languages and distinct topics in one number."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.metrics.cnpmi import CNPMI
from octis_m3l.metrics.topic_uniqueness import TopicUniqueness

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset


class TopicQuality(CNPMI):
    """CNPMI × topic uniqueness, the latter meaned over the two languages.

    `per_item` has one score for each topic: its CNPMI times the uniqueness of all.

    Parameters
    ----------
    dataset, first, second, topk, corpus, corpus_first, corpus_second, documents, counting
        As for `CNPMI`.
    """

    name = "topic-quality"
    order = 80
    direction = "higher"
    range = (-1.0, 1.0)
    reference = (
        "Phat et al. (2026). GloCTM: cross-lingual topic modeling via a global context space. "
        "AAAI. "
        "After Dieng, Ruiz & Blei (2020). Topic modeling in embedding spaces. TACL 8."
    )

    def __init__(
        self,
        dataset: "MultiviewDataset",
        first: str,
        second: str,
        topk: int = 10,
        corpus: "MultiviewDataset | None" = None,
        corpus_first: str = "",
        corpus_second: str = "",
        documents: str = "auto",
        counting: str = "documents",
    ) -> None:
        super().__init__(
            dataset, first, second, topk, corpus, corpus_first, corpus_second, documents, counting
        )
        self._uniqueness = [TopicUniqueness(dataset, view, topk) for view in (first, second)]

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return each topic's CNPMI times the mean uniqueness of all topics.

        Parameters
        ----------
        output : mapping
            The output of a trained model.
        """
        unique = float(np.mean([metric.score(output) for metric in self._uniqueness]))
        return super().per_item(output) * unique
