"""M3L-Contrast: topics of many languages and images, aligned by contrast."""

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from octis_m3l.data.batches import Batch
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError
from octis_m3l.losses import averaged_over_views, info_nce, kl_between_views
from octis_m3l.models.neural import NeuralTopicModel, ViewNetwork
from octis_m3l.models.settings import NeuralSettings
from octis_m3l.networks import (
    GaussianPrior,
    InferenceNetwork,
    TopicDecoder,
    ViewModules,
    mean_sample,
    sample_topics,
)

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {
        "contrastive_samples": 1,
        "second_momentum": 0.99,
        "weight_decay": 0.0,
        "average": "present",
        "prior": "fixed",
        "topic_form": "beta",
        "schedule": "constant",
        "learning_rate": 2e-3,
        "prior_weight": 0.0,
        "alignment_weight": 1.0,
        "alignment": "all-pairs",
        "similarity": "dot",
        "negatives": "other-view",
        "contrastive_weight": 100.0,
        "temperature": 0.07,
        "posterior": "ctm",
        "hidden_size": 100,
        "hidden_layers": 1,
        "dropout": 0.2,
        "theta_dropout": 0.2,
        "momentum": 0.99,
        "batch_size": 32,
        "epochs": 100,
    },
}
PRESETS["released-multilingual"] = PRESETS["paper"] | {
    "alignment_weight": 0.01,
    "alignment": "one-way",
    "similarity": "cosine",
    "negatives": "both-views",
    "contrastive_weight": 50.0,
    "hidden_layers": 2,
}
PRESETS["released-m3l"] = PRESETS["released-multilingual"] | {
    "prior_weight": 0.01,
    "alignment_weight": 0.0,
}


_LARGE_TUPLE = 100


class M3LContrastSettings(NeuralSettings):
    """Hyperparameters of `M3LContrast`; a preset's values stand unless given."""

    preset: Literal["default", "paper", "released-multilingual", "released-m3l"] = Field(
        "default", description="ours, the paper's prose, or the authors' two scripts"
    )
    temperature: float = Field(0.1, gt=0, description="τ of InfoNCE")
    contrastive_weight: float = Field(5.0, ge=0, description="s, of InfoNCE of each pair of views")
    prior_weight: float = Field(0.5, ge=0, description="λ_prior, of KL(q‖prior) of each view")
    alignment_weight: float = Field(0.0, ge=0, description="λ_align, of KL between views")
    alignment: Literal["all-pairs", "one-way"] = Field(
        "all-pairs", description="KL of all ordered pairs, or of later views to earlier ones"
    )
    contrastive_samples: int = Field(
        4,
        ge=1,
        le=1000,
        description="samples of θ whose mean InfoNCE sees; decoding: the first",
    )
    similarity: Literal["cosine", "dot"] = Field("cosine", description="of θ in InfoNCE")
    negatives: Literal["other-view", "both-views", "printed"] = Field(
        "both-views", description="of InfoNCE; see octis_m3l.losses.info_nce"
    )
    average: Literal["pooled", "present", "batch"] = Field(
        "pooled", description="of terms with gaps; see octis_m3l.losses.averages"
    )
    standardised: Literal["own-view", "none"] = Field(
        "own-view", description="whether each view's embeddings are standardised"
    )
    shared_networks: Literal["none", "modality"] = Field(
        "none", description="whether views of one modality share an inference network"
    )
    posterior: Literal["ctm", "free-variance", "free"] = "free-variance"
    hidden_size: int = Field(300, ge=1)
    hidden_layers: int = Field(1, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)
    theta_dropout: float = Field(0.1, ge=0, lt=1)
    batch_size: int = Field(32, ge=2)
    epochs: int = Field(60, ge=1)
    learning_rate: float = Field(5e-3, gt=0)
    schedule: Literal["constant", "cosine", "halving"] = "cosine"
    momentum: float = Field(0.9, ge=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _preset_first(cls, given: Any) -> Any:
        preset = PRESETS.get(given.get("preset", "default")) if isinstance(given, dict) else None
        return {**preset, **given} if preset else given


class M3LContrastNetwork(ViewNetwork):
    """The network and the loss of M3L-Contrast.

    L = Σ_l RL_l + λ_prior Σ_v KL(q_v‖prior) + λ_align Σ_{a≠b} KL(q_a‖q_b)
    + s Σ_{a<b} ½ (InfoNCE_ab + InfoNCE_ba)

    Each view has an inference network of its own, each language a β; images have no
    reconstruction. A missing item takes no part in any term.
    """

    def __init__(
        self,
        dimensions: Mapping[str, int],
        vocabularies: Mapping[str, int],
        settings: M3LContrastSettings,
    ) -> None:
        super().__init__(dimensions, vocabularies)
        self.settings = settings
        shared = settings.shared_networks == "modality"
        self.network_of = {
            name: ("texts" if name in vocabularies else "images") if shared else name
            for name in dimensions
        }
        sizes: dict[str, int] = {}
        for name, key in self.network_of.items():
            if sizes.setdefault(key, dimensions[name]) != dimensions[name]:
                raise DataError(
                    f"shared_networks='modality': embeddings of '{name}' have {dimensions[name]} "
                    f"dimensions, others of its modality {sizes[key]}; use one encoder for them, "
                    "or shared_networks='none'."
                )
        self.networks = ViewModules(
            {
                key: InferenceNetwork(
                    size,
                    settings.num_topics,
                    settings.hidden_sizes,
                    activation=settings.activation,
                    dropout=settings.dropout,
                    posterior=settings.posterior,
                )
                for key, size in sizes.items()
            }
        )
        self.decoders = ViewModules(
            {name: TopicDecoder(settings.num_topics, size) for name, size in vocabularies.items()}
        )
        self.prior = GaussianPrior(settings.num_topics, settings.prior)
        self.theta_dropout = nn.Dropout(settings.theta_dropout)

    def posterior(self, view: str, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of a view's items."""
        network = self.networks[self.network_of[view]]
        mean, log_variance = network(self.standardisers[view](embeddings))
        return mean, log_variance

    def topic_words(self) -> dict[str, Tensor]:
        """Return each language's distributions of words (K × vocabulary)."""
        decoders: Any = self.decoders
        return {
            name: decoder.topic_word_matrix(self.settings.topic_form)
            for name, decoder in decoders.items()
        }

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of the loss, each a mean over the rows that have it."""
        settings = self.settings
        zero = next(self.parameters()).new_zeros(())
        if not batch.views:
            return {"reconstruction": zero}
        posteriors = [self.posterior(name, view.embeddings) for name, view in batch.views.items()]
        mean, log_variance = (torch.cat(parts) for parts in zip(*posteriors, strict=True))
        theta = sample_topics(mean, log_variance)
        over_views = partial(averaged_over_views, rows=batch.size, average=settings.average)
        over_pairs: dict[str, Any] = {
            "present": batch.present(),
            "average": settings.average,
            "share": batch.pair_share,
        }

        decoded = [
            self.decoders[name].loss(self.theta_dropout(rows), view.words)  # type: ignore[operator]
            for (name, view), rows in zip(batch.views.items(), batch.split(theta), strict=True)
            if view.words is not None
        ]
        terms = {"reconstruction": over_views(decoded, share=batch.text_share) if decoded else zero}
        if settings.prior_weight:
            divergences = batch.split(self.prior.divergence(mean, log_variance))
            prior = over_views(divergences, share=batch.item_share)
            terms["prior"] = settings.prior_weight * prior
        if settings.contrastive_weight and len(batch.views) > 1:
            drawn = mean_sample(theta, mean, log_variance, settings.contrastive_samples)
            terms["contrast"] = settings.contrastive_weight * info_nce(
                batch.stack(drawn),
                temperature=settings.temperature,
                similarity=settings.similarity,
                negatives=settings.negatives,
                **over_pairs,
            )
        if settings.alignment_weight and len(batch.views) > 1:
            terms["alignment"] = settings.alignment_weight * kl_between_views(
                batch.stack(mean),
                batch.stack(log_variance),
                pairs=settings.alignment,
                **over_pairs,
            )
        return terms


class M3LContrast(NeuralTopicModel):
    """M3L-Contrast: aligned topics of any number of languages and image views.

    Every view has an inference network on its own embeddings, which need not share a space; each
    language has its own topic–word matrix; a contrastive term draws the topics of linked items
    together and keeps others apart. What departs from the paper, and how far it carries, is in
    the docs: embeddings are standardised, the posterior's variance is free, and the weights of
    the default preset were chosen on validation data. ``preset='paper'``,
    ``'released-multilingual'`` and ``'released-m3l'`` are the paper's prose and the authors' two
    scripts (inputs standardised there too).

    References
    ----------
    Zosa & Pivovarova (2022), Multilingual and Multimodal Topic Modelling with Pretrained
    Embeddings, COLING, equation 1.
    """

    name: ClassVar[str] = "m3l-contrast"
    least_views: ClassVar[int] = 2
    settings_class = M3LContrastSettings
    search_space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "temperature": (0.01, 1.0, "log-uniform"),
        "contrastive_weight": (0.1, 500.0, "log-uniform"),
        "prior_weight": (0.01, 1.0, "log-uniform"),
        "num_topics": (10, 200),
        "learning_rate": (2e-4, 2e-2, "log-uniform"),
        "hidden_size": (50, 800),
        "hidden_layers": (1, 3),
        "dropout": (0.0, 0.5),
        "batch_size": (16, 256),
    }

    def _check(self, dataset: MultiviewDataset, settings: Any) -> None:
        self._check_links(dataset, "use zeroshot-tm for one view")
        for name, view in dataset.views.items():
            if view.sizes[0] < 2:
                warnings.warn(
                    f"view '{name}' has {view.sizes[0]} training item(s), and a batch needs two of "
                    "a view to learn from it: what is inferred for this view says nothing; leave "
                    "it out (dataset.with_views), or give it more.",
                    stacklevel=5,
                )
        largest = dataset.info()["largest_tuple"]
        if largest > _LARGE_TUPLE and largest > 0.01 * sum(map(len, dataset.views.values())):
            warnings.warn(
                f"one tuple holds {largest} items, and an epoch draws one of each view from it: an "
                "item that many records share (a logo, say) ties them all together; leave it out.",
                stacklevel=5,
            )

    def _standardised_by(self, dataset: MultiviewDataset, settings: Any) -> dict[str, str]:
        if settings.standardised == "none":
            return {}
        return super()._standardised_by(dataset, settings)

    def _network(
        self, dimensions: Mapping[str, int], vocabularies: Mapping[str, int], settings: Any
    ) -> ViewNetwork:
        return M3LContrastNetwork(dimensions, vocabularies, settings)
