"""GloCTM: a global context space for topics of unlinked languages."""

from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from octis_m3l.data.batches import Batch, SparseRows
from octis_m3l.encoders import encode
from octis_m3l.encoders.encode import check_encoder
from octis_m3l.losses import cka_loss, kl_between_gaussians
from octis_m3l.models.bag_of_words import (
    BagOfWordsModel,
    Betas,
    Posteriors,
    Sizes,
    Words,
    WordsNetwork,
    new_topics,
    words_encoder,
    words_of,
)
from octis_m3l.models.base import Embeddings, Fit
from octis_m3l.models.settings import EncodedSettings, unlinked_presets
from octis_m3l.models.word_vectors import check_word_vectors, word_vectors
from octis_m3l.networks import (
    Expansion,
    SharedDecoder,
    TypicalLength,
    ViewModules,
    expansion_table,
)


class GloCTMSettings(EncodedSettings):
    """Hyperparameters of `GloCTM`; the defaults are the paper's for ECNews."""

    neighbours: int = Field(3, ge=0, description="k, neighbours of a word in each vocabulary")
    alignment_weight: float = Field(4.0, ge=0, description="λ_KL, weight of KL(local ‖ global)")
    cka_weight: float = Field(450.0, ge=0, description="λ_CKA, weight of CKA(θ, embeddings)")
    global_encoder: bool = Field(
        True, description="whether there is a global path; without it, no expansion and no λ_KL"
    )
    global_hidden_size: int = Field(200, ge=1, description="units in its hidden layers")
    inferred_by: Literal["local", "global"] = Field(
        "local", description="the encoder that gives the θ of documents"
    )
    presets = unlinked_presets(epochs=150, batch_size=128, schedule="halving")

    @model_validator(mode="after")
    def _global_encoder_exists(self) -> Self:
        if self.inferred_by == "global" and not self.global_encoder:
            raise ValueError("inferred_by='global' needs global_encoder=True")
        return self


class GloCTMNetwork(WordsNetwork):
    """The network and the loss of GloCTM."""

    settings: GloCTMSettings

    def __init__(self, vocabularies: Sizes, settings: GloCTMSettings) -> None:
        super().__init__(vocabularies, settings.num_topics)
        self.settings = settings
        joint = sum(vocabularies.values())
        self.topics = new_topics(vocabularies, settings.num_topics)
        self.local = ViewModules(
            {name: words_encoder(size, settings) for name, size in vocabularies.items()}
        )
        if settings.global_encoder:
            sizes = (settings.global_hidden_size,) * settings.hidden_layers
            self.everywhere = words_encoder(joint, settings, sizes, views=list(vocabularies))
            self.joint_decoder = SharedDecoder(joint)
            self.wide_lengths = ViewModules({name: TypicalLength() for name in vocabularies})
            tables = {
                n: Expansion.empty(vocabularies, n, settings.neighbours) for n in vocabularies
            }
            self.expansions = ViewModules(tables)

    def posterior(
        self, view: str, items: SparseRows, batch: Batch | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of a view's documents."""
        if self.settings.inferred_by == "local":
            return self._local(view, items)
        expanded = self.wide_lengths[view](self.expansions[view](items))
        return self.everywhere.upper(self.everywhere.input_layer(expanded), view)

    def _local(
        self, view: str, words: SparseRows, batch: Batch | None = None
    ) -> tuple[Tensor, Tensor]:
        drop = self.drop(batch, view)
        mean, log_variance = self.local[view](self.lengths[view](words), drop)
        return mean, log_variance

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of the loss, each a sum over views of means over documents."""
        settings, words, betas = self.settings, words_of(batch), self.betas()
        posteriors = {name: self._local(name, of, batch) for name, of in words.items()}
        terms, thetas = self.autoencoded(posteriors, batch, words, betas)
        if settings.cka_weight:
            apart = [cka_loss(t, batch.views[name].embeddings) for name, t in thetas.items()]
            terms["cka"] = settings.cka_weight * torch.stack(apart).sum()
        if settings.global_encoder:
            terms |= self._global_terms(batch, words, betas, posteriors)
        return terms

    def _global_terms(
        self, batch: Batch, words: Words, betas: Betas, local: Posteriors
    ) -> dict[str, Tensor]:
        """Return VAE(G; global) and λ_KL KL(q_local ‖ q_global)."""
        expanded = {name: self.expansions[name](of_view) for name, of_view in words.items()}
        # One call of the first layer for all views: its gradient is as large as its weights.
        read = [self.wide_lengths[name](of_view) for name, of_view in expanded.items()]
        first = self.everywhere.input_layer(SparseRows.joined(read))
        parts = first.split([len(rows.totals) for rows in expanded.values()])
        posteriors = {
            name: self.everywhere.upper(
                part, name, drop=self.drop(batch, name, what="joint hidden units")
            )
            for name, part in zip(words, parts, strict=True)
        }
        joint = dict.fromkeys(words, torch.cat(list(betas.values()), dim=1))
        terms, _ = self.autoencoded(posteriors, batch, expanded, joint, self.joint_decoder)
        apart = [kl_between_gaussians(*local[name], *posteriors[name]).mean() for name in words]
        return {f"global {name}": term for name, term in terms.items()} | {
            "alignment": self.settings.alignment_weight * torch.stack(apart).sum()
        }


class GloCTM(BagOfWordsModel[GloCTMSettings]):
    """GloCTM: topics of any number of unlinked languages, aligned through neighbours of words.

    L = Σ_l [ VAE(G_l; global) + VAE(w_l; local) + λ_KL KL(q_local,l ‖ q_global,l)
    + λ_CKA CKA(θ_local,l, x_l) ], VAE = RL + KL to the fixed prior

    Every language has a local encoder of its bags of words w_l. A global encoder reads G_l, which
    adds to each document the nearest words, in every vocabulary, of its words. Both paths decode
    with the same topics (the global β is the local ones side by side), their posteriors are drawn
    together, and θ is aligned with the documents' embeddings x_l (CKA).

    Needs word vectors of all vocabularies in one space (``dataset.with_word_vectors``). Without
    any, each word is encoded as a document by the documents' encoder, which must have one space
    for all languages (``encoder='use'``; or ``'clsi'``, for linked data). A word without a vector
    (zeros) has no neighbours. New documents are inferred from their words.

    Departures from the paper: with more than two languages a word has neighbours in each. Batch
    normalisation has torch's momentum, and the global encoder's keeps running statistics for each
    language.

    References
    ----------
    Phat et al. (2026), GloCTM: cross-lingual topic modeling via a global context space, AAAI.
    """

    name: ClassVar[str] = "gloctm"
    settings_class = GloCTMSettings
    network_class = GloCTMNetwork
    search_space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "num_topics": (10, 200),
        "neighbours": (1, 20),
        "alignment_weight": (0.1, 20.0, "log-uniform"),
        "cka_weight": (10.0, 1000.0, "log-uniform"),
        "learning_rate": (2e-4, 2e-2, "log-uniform"),
    }

    def _check(self, fit: Fit[GloCTMSettings]) -> None:
        super()._check(fit)
        check_encoder(fit.dataset, fit.settings.encoder)
        if fit.settings.global_encoder:
            check_word_vectors(fit.dataset, fit.settings.encoder)

    def _embed(self, fit: Fit[GloCTMSettings]) -> Embeddings:
        settings, shown = fit.settings, bool(self.progress)
        found = encode(
            fit.dataset, settings.encoder, dimensions=settings.dimensions, progress=shown
        )
        return found.embeddings

    def _fill(self, network: Any, fit: Fit[GloCTMSettings]) -> None:
        settings = fit.settings
        if settings.global_encoder:
            shown = bool(self.progress)
            vectors = word_vectors(fit.dataset, settings.encoder, settings.dimensions, shown)
            for name in vectors:
                table = expansion_table(vectors, name, settings.neighbours)
                network.expansions[name].table.copy_(torch.from_numpy(table))
