"""GloCTM: a global context space for topics of unlinked languages."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from octis_m3l.data.batches import Batch, SparseRows
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.encoders import encode
from octis_m3l.encoders.encode import check_encoder
from octis_m3l.losses import cka_loss, kl_between_gaussians
from octis_m3l.models.bag_of_words import (
    BagOfWordsModel,
    WordsNetwork,
    words_of,
)
from octis_m3l.models.settings import EncodedSettings
from octis_m3l.models.word_vectors import (
    check_word_vectors,
    encoder_of_words,
    vectors_of_words,
)
from octis_m3l.networks import (
    BagOfWordsNetwork,
    Expansion,
    SharedDecoder,
    TypicalLength,
    ViewModules,
    expansion_table,
    xavier,
)


class GloCTMSettings(EncodedSettings):
    """Hyperparameters of `GloCTM`; the defaults are the paper's for ECNews."""

    neighbours: int = Field(3, ge=0, description="k, the neighbours of a word in each vocabulary")
    alignment_weight: float = Field(4.0, ge=0, description="λ_KL, of KL(local‖global)")
    cka_weight: float = Field(450.0, ge=0, description="λ_CKA, of CKA(θ, documents' embeddings)")
    global_encoder: bool = Field(
        True, description="whether there is a global path; without one, no expansion and no λ_KL"
    )
    global_hidden_size: int = Field(200, ge=1, description="units in its hidden layers")
    inferred_by: Literal["local", "global"] = Field(
        "local", description="the encoder that the θ of documents comes from"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="in the inference networks")
    epochs: int = Field(150, ge=1, description="at most so many")
    batch_size: int = Field(128, ge=2, description="documents of each view in a batch")
    schedule: Literal["constant", "cosine", "halving"] = "halving"
    momentum: float = Field(0.9, ge=0, lt=1, description="β₁ of Adam")
    second_momentum: float = Field(0.999, ge=0, lt=1, description="β₂ of Adam")

    @model_validator(mode="after")
    def _is_there(self) -> Self:
        if self.inferred_by == "global" and not self.global_encoder:
            raise ValueError("there is no global encoder to infer by: set global_encoder=True")
        return self


class GloCTMNetwork(WordsNetwork):
    """The network and the loss of GloCTM.

    L = Σ_l [ VAE(G_l; global) + VAE(w_l; local) + λ_KL KL(q_local,l ‖ q_global,l)
    + λ_CKA CKA(θ_local,l, x_l) ], VAE = RL + KL to the fixed prior.

    G_l is the bag of words w_l widened by its words' neighbours, over all vocabularies; the global
    β is the local ones side by side.
    """

    def __init__(self, vocabularies: Mapping[str, int], settings: GloCTMSettings) -> None:
        super().__init__(vocabularies, settings.num_topics)
        self.settings = settings
        topics, joint = settings.num_topics, sum(vocabularies.values())
        self.topics = nn.ParameterList(xavier(topics, size) for size in vocabularies.values())
        self.local = ViewModules(
            {
                name: self._encoder(size, settings.hidden_sizes)
                for name, size in vocabularies.items()
            }
        )
        if settings.global_encoder:
            sizes = (settings.global_hidden_size,) * settings.hidden_layers
            self.everywhere = self._encoder(joint, sizes, list(vocabularies))
            self.joint_decoder = SharedDecoder(joint)
            self.wide_lengths = ViewModules({name: TypicalLength() for name in vocabularies})
            self.expansions = ViewModules(
                {
                    view: Expansion(np.zeros((size, self._places(vocabularies, view)), np.int64))
                    for view, size in vocabularies.items()
                }
            )

    def _encoder(
        self, words: int, hidden_sizes: tuple[int, ...], views: Sequence[str] = ()
    ) -> BagOfWordsNetwork:
        settings = self.settings
        return BagOfWordsNetwork(
            words,
            settings.num_topics,
            hidden_sizes,
            activation=settings.activation,
            dropout=settings.dropout,
            views=views,
        )

    def _places(self, vocabularies: Mapping[str, int], view: str) -> int:
        return 1 + sum(
            min(self.settings.neighbours, size - (name == view))
            for name, size in vocabularies.items()
        )

    def posterior(self, view: str, words: SparseRows) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of a view's documents."""
        if self.settings.inferred_by == "global":
            widened = self.wide_lengths[view](self.expansions[view](words))
            mean, log_variance = self.everywhere.upper(self.everywhere.input_layer(widened), view)
        else:
            mean, log_variance = self._local(view, words)
        return mean, log_variance

    def _local(self, view: str, words: SparseRows) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.local[view](self.lengths[view](words))
        return mean, log_variance

    def betas(self) -> dict[str, Tensor]:
        """Return each language's β (K × vocabulary)."""
        return dict(zip(self.local, self.topics, strict=True))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of the loss, each a sum over views of means over documents."""
        settings, words, betas = self.settings, words_of(batch), self.betas()
        posteriors = {name: self._local(name, of_view) for name, of_view in words.items()}
        terms, thetas = self.autoencoded(posteriors, words, betas)
        if settings.cka_weight:
            apart = [cka_loss(t, batch.views[name].embeddings) for name, t in thetas.items()]
            terms["cka"] = settings.cka_weight * torch.stack(apart).sum()
        if settings.global_encoder:
            terms |= self._global_terms(words, betas, posteriors)
        return terms

    def _global_terms(
        self,
        words: Mapping[str, SparseRows],
        betas: Mapping[str, Tensor],
        local: Mapping[str, tuple[Tensor, Tensor]],
    ) -> dict[str, Tensor]:
        """Return VAE(G; global) and λ_KL KL(q_local ‖ q_global)."""
        widened, first = self._widened(words)
        posteriors = {name: self.everywhere.upper(one, name) for name, one in first.items()}
        joint = dict.fromkeys(words, torch.cat(list(betas.values()), dim=1))
        decoders = dict.fromkeys(words, self.joint_decoder)
        terms, _ = self.autoencoded(posteriors, widened, joint, decoders)
        apart = [kl_between_gaussians(*local[name], *posteriors[name]).mean() for name in words]
        return {f"global {name}": term for name, term in terms.items()} | {
            "alignment": self.settings.alignment_weight * torch.stack(apart).sum()
        }

    def _widened(
        self, words: Mapping[str, SparseRows]
    ) -> tuple[dict[str, SparseRows], dict[str, Tensor]]:
        """Return each view's G, and what the global encoder's first layer says of it.

        One call of that layer for all views: its gradient is as large as its weights.
        """
        expansions: Any = self.expansions
        widened = {name: expansions[name](of_view) for name, of_view in words.items()}
        lengths: Any = self.wide_lengths
        read = [lengths[name](of_view) for name, of_view in widened.items()]
        first = self.everywhere.input_layer(SparseRows.joined(read))
        parts = first.split([len(rows.totals) for rows in widened.values()])
        return widened, dict(zip(widened, parts, strict=True))


class GloCTM(BagOfWordsModel):
    """GloCTM: topics of any number of languages without links, through words' neighbours.

    Every language has an encoder of its own; a global one reads each document widened by the
    nearest words of its words in every vocabulary; the two posteriors are drawn together, both
    decode with the same topics, and θ is made alike to the documents' embeddings (CKA).

    Needs word vectors of all vocabularies in one space (``dataset.with_word_vectors``); without
    any, each word is encoded as a document by the documents' encoder, which must be one space for
    all (``encoder='clsi'``, for linked data). A word without a vector (zeros) has no neighbours.
    New documents are inferred from their words.

    With more than two languages a word has neighbours in each (the paper has two). Batch
    normalisation has torch's momentum, and the global encoder's keeps running statistics for each
    language.

    References
    ----------
    Phat et al. (2026), GloCTM: cross-lingual topic modeling via a global context space, AAAI.
    """

    name: ClassVar[str] = "gloctm"
    settings_class = GloCTMSettings
    search_space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "num_topics": (10, 200),
        "neighbours": (1, 20),
        "alignment_weight": (0.1, 20.0, "log-uniform"),
        "cka_weight": (10.0, 1000.0, "log-uniform"),
        "learning_rate": (2e-4, 2e-2, "log-uniform"),
    }

    def _check(self, dataset: MultiviewDataset, settings: Any) -> None:
        check_encoder(dataset, settings.encoder)
        if settings.global_encoder:
            check_word_vectors(dataset, settings.encoder)

    def _shape(self, dataset: MultiviewDataset, settings: Any) -> dict[str, Any]:
        sizes = {name: len(view.vocabulary) for name, view in dataset.text_views.items()}
        return {"vocabularies": sizes}

    def _network(self, described: Mapping[str, Any], settings: Any) -> WordsNetwork:
        return GloCTMNetwork(described["vocabularies"], settings)

    def _given_data(
        self, dataset: MultiviewDataset, settings: Any, network: Any
    ) -> Mapping[str, NDArray[Any]]:
        encodings = encode(dataset, settings.encoder, dimensions=settings.dimensions)
        if settings.global_encoder:
            encoders = encodings.encoders
            chosen: Any = encoder_of_words(dataset, settings.encoder)
            names = {getattr(encoders.get(view), "name", None) for view in dataset.text_views}
            silent = None in names or (chosen == "clsi" and names != {"clsi"})
            if settings.encoder == "auto" and chosen and silent:
                # What made the documents' embeddings says nothing of single words.
                encoders = encode(dataset, chosen, dimensions=settings.dimensions).encoders
            vectors = vectors_of_words(dataset, encoders)
            for name in dataset.text_views:
                table = expansion_table(vectors, name, settings.neighbours)
                network.expansions[name].table.copy_(torch.from_numpy(table))
        return encodings.embeddings
