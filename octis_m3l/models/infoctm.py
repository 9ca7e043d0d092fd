"""InfoCTM: topics of unlinked languages, aligned by the mutual information of words."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from octis_m3l.data.batches import Batch, SparseRows
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.encoders import encode_words
from octis_m3l.losses.word_alignment import block_bounds, word_alignment
from octis_m3l.models.bag_of_words import (
    BagOfWordsModel,
    Sizes,
    WordsNetwork,
    new_topics,
    words_encoder,
)
from octis_m3l.models.base import Fit
from octis_m3l.models.settings import TrainingSettings, unlinked_presets
from octis_m3l.networks import LinkedWords, ViewModules, linked_words


class InfoCTMSettings(TrainingSettings):
    """Hyperparameters of `InfoCTM`; the defaults are those of the authors' script."""

    alignment_weight: float = Field(50.0, ge=0, description="λ_MI, weight of mutual information")
    temperature: float = Field(0.2, ge=0.025, description="τ of mutual information")
    threshold: float = Field(
        0.4, ge=-1, le=1, description="cosine from which two words share their translations"
    )
    presets = unlinked_presets(hidden_size=200, epochs=500, batch_size=128)


class InfoCTMNetwork(WordsNetwork):
    """The network and the loss of InfoCTM."""

    settings: InfoCTMSettings

    def __init__(self, vocabularies: Sizes, settings: InfoCTMSettings) -> None:
        super().__init__(vocabularies, settings.num_topics)
        self.settings = settings
        self.topics = new_topics(vocabularies, settings.num_topics)
        self.encoders = ViewModules(
            {name: words_encoder(size, settings) for name, size in vocabularies.items()}
        )
        self.links = nn.ModuleList()

    def posterior(
        self, view: str, items: SparseRows, batch: Batch | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of a view's documents; in training, of a batch, with dropout."""
        drop = self.drop(batch, view)
        mean, log_variance = self.encoders[view](self.lengths[view](items), drop)
        return mean, log_variance

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of the loss."""
        terms, betas, weight = super().loss(batch), self.betas(), self.settings.alignment_weight
        if weight:
            apart = [links(betas, self.settings.temperature) for links in self.links]
            terms["alignment"] = weight * torch.stack(apart).sum()
        return terms


class Links(nn.Module):
    """The linked words of two languages. Only training needs them, so they are not saved."""

    def __init__(self, first: str, second: str, linked: LinkedWords) -> None:
        super().__init__()
        self.languages = first, second
        self._bounds: list[int] | None = None
        for name in ("first", "second", "forward", "backward"):
            array = torch.from_numpy(getattr(linked, name))
            wanted = array.float() if array.is_floating_point() else array
            self.register_buffer(f"of_{name}", wanted, persistent=False)

    def forward(self, betas: Mapping[str, Tensor], temperature: float) -> Tensor:
        """Return the mutual-information term of the two languages."""
        pairs: Any = self.of_first, self.of_second
        forward: Any = self.of_forward
        backward: Any = self.of_backward
        one, other = (betas[name].T for name in self.languages)
        if self._bounds is None:
            self._bounds = block_bounds(pairs[0], len(one), len(other))
        given: dict[str, Any] = {"temperature": temperature, "bounds": self._bounds}
        return word_alignment(one, other, pairs, forward, backward, **given)


class InfoCTM(BagOfWordsModel[InfoCTMSettings]):
    """InfoCTM: topics of any number of unlinked languages, aligned through dictionaries.

    L = Σ_l [ RL_l + KL(q_l ‖ prior) ] + λ_MI Σ_{a<b} MI(β_a, β_b)

    MI is the contrastive estimate of the mutual information between the topic representations of
    words (columns of β): a word is drawn to its translations, and to the translations of words
    near it. Needs dictionaries that tie all views (``dataset.with_dictionary``). Which words are
    near is read from word vectors within each language, which need share no space
    (``dataset.with_word_vectors``); a view without any gets those of an LSA of its training
    documents.

    Departures from the paper: with more than two languages, every two that a dictionary ties have
    a term. A word without a vector (zeros) is near only itself; in the released code not even
    that, and its translations are lost.

    References
    ----------
    Wu et al. (2023), InfoCTM: a mutual information maximization perspective of cross-lingual topic
    modeling, AAAI.
    """

    name: ClassVar[str] = "infoctm"
    least_views: ClassVar[int] = 2
    needs_dictionary: ClassVar[bool] = True
    settings_class = InfoCTMSettings
    network_class = InfoCTMNetwork
    search_space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "num_topics": (10, 200),
        "alignment_weight": (1.0, 200.0, "log-uniform"),
        "temperature": (0.05, 1.0, "log-uniform"),
        "threshold": (0.2, 0.9),
        "learning_rate": (2e-4, 2e-2, "log-uniform"),
    }

    def _fill(self, network: Any, fit: Fit[InfoCTMSettings]) -> None:
        pairs, vectors = self._translations(fit), _vectors(fit.dataset)
        for a, b in combinations(vectors, 2):
            if (a, b) in pairs:
                linked = linked_words(pairs[a, b], vectors[a], vectors[b], fit.settings.threshold)
                network.links.append(Links(a, b, linked))


def _vectors(dataset: MultiviewDataset) -> dict[str, NDArray[np.floating]]:
    """Return word vectors of each view: its own, else those of an LSA."""
    given = {n: v.word_vectors for n, v in dataset.text_views.items() if v.word_vectors is not None}
    lacking = [name for name in dataset.text_views if name not in given]
    encoded = encode_words(dataset.with_views(lacking), "lsa") if lacking else {}
    return {name: given[name] if name in given else encoded[name] for name in dataset.text_views}
