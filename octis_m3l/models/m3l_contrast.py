"""M3L-Contrast: topics of many languages and images, aligned by contrast."""

from collections.abc import Callable
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from octis_m3l.data.batches import Batch
from octis_m3l.files import read_yaml
from octis_m3l.losses import averaged_over_views, info_nce, kl_between_views
from octis_m3l.metrics.retrieval import reciprocal_ranks
from octis_m3l.models.base import Fit
from octis_m3l.models.embeddings import (
    EmbeddingModel,
    Sizes,
    ViewNetwork,
    inference_networks,
    topic_decoders,
)
from octis_m3l.models.settings import NeuralSettings
from octis_m3l.networks import GaussianPrior, sample_topics

_SCORED = 500


class M3LContrastSettings(NeuralSettings):
    """Hyperparameters of `M3LContrast`; a preset's values are used unless set explicitly."""

    presets: ClassVar = read_yaml(Path(__file__).with_suffix(".yaml"))

    preset: Literal["default", "0.1", "paper", "released-multilingual", "released-m3l"] = Field(
        "default",
        description="ours, that of version 0.1, the paper's prose, or the authors' two scripts",
    )
    temperature: float = Field(0.05, gt=0, description="τ of InfoNCE")
    contrastive_weight: float = Field(5.0, ge=0, description="s, weight of InfoNCE of each pair")
    prior_weight: float = Field(0.5, ge=0, description="λ_prior, weight of KL(q ‖ prior)")
    alignment_weight: float = Field(0.0, ge=0, description="λ_align, weight of KL between views")
    alignment: Literal["all-pairs", "one-way"] = Field(
        "all-pairs", description="KL of all ordered pairs, or only of later views to earlier ones"
    )
    contrastive_samples: int = Field(
        4, ge=1, le=1000, description="samples of θ whose mean InfoNCE compares; the first decodes"
    )
    similarity: Literal["cosine", "dot"] = Field("cosine", description="similarity of two θ")
    negatives: Literal["other-view", "both-views", "printed"] = Field(
        "both-views", description="negatives of InfoNCE; see octis_m3l.losses.info_nce"
    )
    average: Literal["pooled", "present", "batch"] = Field(
        "pooled", description="how terms with missing items become means; see losses.averaged"
    )
    shared_networks: Literal["none", "modality", "auto"] = Field(
        "auto", description="which views share an inference network; auto: those of one encoder"
    )


class M3LContrastNetwork(ViewNetwork[M3LContrastSettings]):
    """The networks and the loss of M3L-Contrast."""

    takes_masks: ClassVar[bool] = True

    def __init__(
        self,
        dimensions: Sizes,
        vocabularies: Sizes,
        settings: M3LContrastSettings,
        network_of: dict[str, str] | None = None,
    ) -> None:
        super().__init__(dimensions, vocabularies, settings)
        if settings.shared_networks == "modality":
            self.network_of = {n: "texts" if n in vocabularies else "images" for n in dimensions}
        if network_of is not None:
            self.shape["network_of"] = self.network_of = dict(network_of)
        self.networks = inference_networks(dimensions, settings, self.network_of)
        self.decoders = topic_decoders(vocabularies, settings)
        self.prior = GaussianPrior(settings.num_topics, settings.prior)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of the loss, each a mean over the rows that have it."""
        settings = self.settings
        zero = next(self.parameters()).new_zeros(())
        if not batch.views:
            return {"reconstruction": zero}
        items = {name: view.embeddings for name, view in batch.views.items()}
        mean, log_variance = self.posteriors(items, batch)
        theta = sample_topics(mean, log_variance, batch.normal("topics", mean))
        dropped = self.dropped_topics(batch, theta)
        over_views = partial(averaged_over_views, rows=batch.size, average=settings.average)
        over_pairs: dict[str, Any] = {"average": settings.average, "share": batch.pair_share}

        texts = {n: view.words for n, view in batch.views.items() if view.words is not None}
        present = {name: view.present for name, view in batch.views.items()}
        rows = dict(zip(batch.views, batch.split(dropped), strict=True))
        decoded = [
            self.decoders[name].loss(rows[name], words, present[name])
            for name, words in texts.items()
        ]
        terms = {"reconstruction": zero}
        if decoded:
            of_texts = [present[name] for name in texts]
            terms["reconstruction"] = over_views(decoded, share=batch.text_share, present=of_texts)
        if settings.prior_weight:
            divergences = batch.split(self.prior.divergence(mean, log_variance))
            prior = over_views(divergences, share=batch.item_share, present=list(present.values()))
            terms["prior"] = settings.prior_weight * prior
        if settings.contrastive_weight and len(batch.views) > 1:
            several = theta
            if further := settings.contrastive_samples - 1:
                noise = batch.normal("further topics", mean, copies=further)
                others = sample_topics(mean, log_variance, noise.reshape(further, *mean.shape))
                several = (theta + others.sum(dim=0)) / (1 + further)
            terms["contrast"] = settings.contrastive_weight * info_nce(
                batch.stack(several),
                batch.present(),
                temperature=settings.temperature,
                similarity=settings.similarity,
                negatives=settings.negatives,
                **over_pairs,
            )
        if settings.alignment_weight and len(batch.views) > 1:
            stacked = batch.stack(mean), batch.stack(log_variance), batch.present()
            aligned = kl_between_views(*stacked, pairs=settings.alignment, **over_pairs)
            terms["alignment"] = settings.alignment_weight * aligned
        return terms


class M3LContrast(EmbeddingModel[M3LContrastSettings]):
    """M3L-Contrast: aligned topics of any number of languages and image views.

    L = Σ_l RL_l + λ_prior Σ_v KL(q_v ‖ prior) + λ_align Σ_{a≠b} KL(q_a ‖ q_b)
    + s Σ_{a<b} ½ (InfoNCE_ab + InfoNCE_ba)

    Every view v has an inference network on its own embeddings, which need not share a space, and
    every language l its own topic–word matrix. The contrastive term draws the topics of linked
    items together and keeps others apart. A missing item takes no part in any term.

    Departures from the paper: embeddings are standardised and have one length, views of one
    encoder share a network, the posterior's variance is free, topics are estimated from documents,
    and the weights of the default preset were chosen on validation data; the docs have
    measurements. ``preset='0.1'`` is the default of version 0.1.
    ``preset='paper'``, ``'released-multilingual'`` and ``'released-m3l'`` are the paper's prose
    and the authors' two scripts, with standardised inputs.

    References
    ----------
    Zosa & Pivovarova (2022), Multilingual and Multimodal Topic Modelling with Pretrained
    Embeddings, COLING, equation 1.
    """

    name: ClassVar[str] = "m3l-contrast"
    least_views: ClassVar[int] = 2
    needs_links: ClassVar[bool] = True
    settings_class = M3LContrastSettings
    network_class = M3LContrastNetwork
    search_space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "temperature": (0.01, 1.0, "log-uniform"),
        "contrastive_weight": (0.1, 500.0, "log-uniform"),
        "prior_weight": (0.01, 1.0, "log-uniform"),
        **EmbeddingModel.search_space,
    }

    def _score(
        self, network: Any, fit: Fit[M3LContrastSettings]
    ) -> Callable[[], tuple[float, int]] | None:
        """Return the function that measures MRR of validation items, by the distance of √θ."""
        if not self.use_partitions:
            return None
        rows = {n: view.rows("validation") for n, view in fit.dataset.views.items()}
        rows = {n: slice(of.start, min(of.stop, of.start + _SCORED)) for n, of in rows.items()}
        tuples = {n: fit.dataset.tuples(n)[of] for n, of in rows.items()}
        relevant = {
            pair: tuples[pair[0]][:, None] == tuples[pair[1]] for pair in permutations(tuples, 2)
        }
        relevant = {pair: same for pair, same in relevant.items() if same.any()}
        if not relevant:
            return None
        device = next(network.parameters()).device
        items = {
            n: torch.tensor(np.asarray(fit.embeddings[n][of], np.float32), device=device)
            for n, of in rows.items()
        }

        queries = [tuples[query][same.any(axis=1)] for (query, _), same in relevant.items()]
        measured = len(np.unique(np.concatenate(queries)))

        def mean_reciprocal_rank() -> tuple[float, int]:
            with torch.no_grad():
                roots = {
                    n: network.posterior(n, of)[0].softmax(1).sqrt() for n, of in items.items()
                }
            found = []
            for (query, target), same in relevant.items():
                linked = same.any(axis=1)
                distances = -(roots[query] @ roots[target].T).double().cpu().numpy()[linked]
                found.append(reciprocal_ranks(distances, same[linked]).mean())
            return float(np.mean(found)), measured

        return mean_reciprocal_rank

    def _shape(self, fit: Fit[M3LContrastSettings]) -> dict[str, Any]:
        if fit.settings.shared_networks != "auto":
            return super()._shape(fit)
        sharing: dict[str, list[str]] = {}
        for view, first in self.spaces.items():
            sharing.setdefault(first, []).append(view)
        groups = "; ".join(f"one for {', '.join(views)}" for views in sharing.values())
        why = "views of one encoder share one; set 'shared_networks' to choose otherwise"
        self._tell("networks", f"{groups}, since {why}")
        return {**super()._shape(fit), "network_of": self.spaces}
