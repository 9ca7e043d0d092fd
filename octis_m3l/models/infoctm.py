"""InfoCTM: topics of unlinked languages, drawn together by mutual information of words."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from octis_m3l.data.batches import Batch, SparseRows
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.words import translations
from octis_m3l.encoders import encode_words
from octis_m3l.losses import word_alignment
from octis_m3l.models.bag_of_words import BagOfWordsModel, WordsNetwork, words_of
from octis_m3l.models.settings import TrainingSettings
from octis_m3l.networks import (
    BagOfWordsNetwork,
    LinkedWords,
    ViewModules,
    linked_words,
    xavier,
)


class InfoCTMSettings(TrainingSettings):
    """Hyperparameters of `InfoCTM`; the defaults are those of the authors' script."""

    alignment_weight: float = Field(50.0, ge=0, description="λ_MI, of words' mutual information")
    temperature: float = Field(0.2, ge=0.025, description="τ of it")
    threshold: float = Field(
        0.4, ge=-1, le=1, description="cosine from which a word's translations are another's too"
    )
    hidden_size: int = Field(200, ge=1, description="units in each hidden layer")
    dropout: float = Field(0.0, ge=0, lt=1, description="in the inference networks")
    epochs: int = Field(500, ge=1, description="at most so many")
    batch_size: int = Field(128, ge=2, description="documents of each view in a batch")
    schedule: Literal["constant", "cosine", "halving"] = "constant"
    momentum: float = Field(0.9, ge=0, lt=1, description="β₁ of Adam")
    second_momentum: float = Field(0.999, ge=0, lt=1, description="β₂ of Adam")


class InfoCTMNetwork(WordsNetwork):
    """The network and the loss of InfoCTM.

    L = Σ_l [ RL_l + KL(q_l ‖ prior) ] + λ_MI Σ_{a<b} (mutual information of words of a and b)
    """

    def __init__(
        self,
        vocabularies: Mapping[str, int],
        settings: InfoCTMSettings,
        links: Mapping[tuple[str, str], LinkedWords] | None = None,
    ) -> None:
        super().__init__(vocabularies, settings.num_topics)
        self.settings = settings
        topics = settings.num_topics
        self.topics = nn.ParameterList(xavier(topics, size) for size in vocabularies.values())
        self.encoders = ViewModules(
            {
                name: BagOfWordsNetwork(
                    size,
                    topics,
                    settings.hidden_sizes,
                    activation=settings.activation,
                    dropout=settings.dropout,
                )
                for name, size in vocabularies.items()
            }
        )
        self.links = nn.ModuleList(_Links(a, b, linked) for (a, b), linked in (links or {}).items())

    def posterior(self, view: str, words: SparseRows) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of a view's documents."""
        mean, log_variance = self.encoders[view](self.lengths[view](words))
        return mean, log_variance

    def betas(self) -> dict[str, Tensor]:
        """Return each language's β (K × vocabulary)."""
        return dict(zip(self.encoders, self.topics, strict=True))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of the loss."""
        settings, words, betas = self.settings, words_of(batch), self.betas()
        posteriors = {name: self.posterior(name, of_view) for name, of_view in words.items()}
        terms, _ = self.autoencoded(posteriors, words, betas)
        if settings.alignment_weight:
            apart = torch.stack([links(betas, settings.temperature) for links in self.links])
            terms["alignment"] = settings.alignment_weight * apart.sum()
        return terms


class _Links(nn.Module):
    """The linked words of two languages; needed in training alone, and so not saved."""

    def __init__(self, first: str, second: str, linked: LinkedWords) -> None:
        super().__init__()
        self.languages = first, second
        for name in ("first", "second", "forward", "backward"):
            array = torch.from_numpy(getattr(linked, name))
            wanted = array.float() if array.is_floating_point() else array
            self.register_buffer(f"of_{name}", wanted, persistent=False)

    def forward(self, betas: Mapping[str, Tensor], temperature: float) -> Tensor:
        pairs: Any = self.of_first, self.of_second
        forward: Any = self.of_forward
        backward: Any = self.of_backward
        one, other = (betas[name].T for name in self.languages)
        return word_alignment(one, other, pairs, forward, backward, temperature=temperature)


class InfoCTM(BagOfWordsModel):
    """InfoCTM: topics of any number of languages without links, through dictionaries.

    What topics say of a word is drawn to what they say of its translations, and of the
    translations of words near it. Needs a dictionary that ties each view to another
    (``dataset.with_dictionary``). Which words are near is read off word vectors within each
    language, which need share no space (``dataset.with_word_vectors``); a view without any takes
    those of an LSA of its training documents. A word without a vector (zeros) is near none but
    itself; in the released code not even that, and its translations are lost.

    With more than two languages, each two that a dictionary ties have a term (the paper has two).

    References
    ----------
    Wu et al. (2023), InfoCTM: a mutual information maximization perspective of cross-lingual topic
    modeling, AAAI.
    """

    name: ClassVar[str] = "infoctm"
    least_views: ClassVar[int] = 2
    settings_class = InfoCTMSettings
    search_space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "num_topics": (10, 200),
        "alignment_weight": (1.0, 200.0, "log-uniform"),
        "temperature": (0.05, 1.0, "log-uniform"),
        "threshold": (0.2, 0.9),
        "learning_rate": (2e-4, 2e-2, "log-uniform"),
    }

    def _check(self, dataset: MultiviewDataset, settings: Any) -> None:
        translations(dataset.dictionaries, dataset.text_views, self.name)

    def _shape(self, dataset: MultiviewDataset, settings: Any) -> dict[str, Any]:
        sizes = {name: len(view.vocabulary) for name, view in dataset.text_views.items()}
        pairs = translations(dataset.dictionaries, dataset.text_views, self.name)
        vectors = _vectors(dataset)
        links = {
            (a, b): linked_words(pairs[a, b], vectors[a], vectors[b], settings.threshold)
            for number, a in enumerate(sizes)
            for b in list(sizes)[number + 1 :]
            if (a, b) in pairs
        }
        return {"vocabularies": sizes, "links": links}

    def _network(self, described: Mapping[str, Any], settings: Any) -> WordsNetwork:
        return InfoCTMNetwork(described["vocabularies"], settings, described.get("links"))


def _vectors(dataset: MultiviewDataset) -> dict[str, NDArray[np.floating]]:
    """Return word vectors of each view: its own, else what its LSA says of each word."""
    given = {n: v.word_vectors for n, v in dataset.text_views.items() if v.word_vectors is not None}
    lacking = [name for name in dataset.text_views if name not in given]
    encoded = encode_words(dataset.with_views(lacking), "lsa") if lacking else {}
    return {**given, **encoded}
