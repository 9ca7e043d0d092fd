"""ZeroshotTM: one view is trained, the others are inferred through its network."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from octis_m3l.data.batches import Batch
from octis_m3l.errors import warn
from octis_m3l.models.base import Embeddings, Fit
from octis_m3l.models.embeddings import EmbeddingModel, Sizes, ViewNetwork, inference_network
from octis_m3l.models.settings import NeuralSettings
from octis_m3l.networks import GaussianPrior, TopicDecoder, sample_topics


class ZeroshotTMSettings(NeuralSettings):
    """Hyperparameters of `ZeroshotTM`; the defaults are contextualized-topic-models'."""

    presets: ClassVar = {"default": {"prior": "learned"}}

    view: str = Field("", description="the text view that is trained; '': the pivot")
    prior_weight: float = Field(1.0, ge=0, description="weight of KL(q ‖ prior)")
    standardised: Literal["none", "trained-view", "own-view", "one-length"] = Field(  # type: ignore[assignment]
        "none",
        description="whether embeddings are standardised, and by which view's training items",
    )


class ZeroshotTMNetwork(ViewNetwork[ZeroshotTMSettings]):
    """The network and the loss of ZeroshotTM."""

    def __init__(
        self, dimensions: Sizes, vocabularies: Sizes, settings: ZeroshotTMSettings
    ) -> None:
        self.view, vocabulary = next(iter(vocabularies.items()))
        super().__init__(dimensions, vocabularies, settings)
        self.inference = inference_network(dimensions[self.view], settings)
        self.networks, self.network_of = (
            {self.view: self.inference},
            dict.fromkeys(dimensions, self.view),
        )
        self.decoder = TopicDecoder(settings.num_topics, vocabulary, settings.topic_form)
        self.decoders = {self.view: self.decoder}
        self.prior = GaussianPrior(settings.num_topics, settings.prior)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the two terms of the loss, each a mean over the batch."""
        view = batch.views[self.view]
        assert view.words is not None
        mean, log_variance = self.posteriors({self.view: view.embeddings}, batch)
        theta = sample_topics(mean, log_variance, batch.normal("topics", mean))
        theta = self.dropped_topics(batch, theta)
        divergence = self.prior.divergence(mean, log_variance)
        return {
            "reconstruction": self.decoder.loss(theta, view.words).mean(),
            "prior": self.settings.prior_weight * divergence.mean(),
        }


class ZeroshotTM(EmbeddingModel[ZeroshotTMSettings]):
    """ZeroshotTM: topics of one language, inferred for every view that shares its space.

    L = RL + λ KL(q ‖ prior), on one view

    Departures from contextualized-topic-models' ZeroShotTM, to which it is equal otherwise (with
    ``prior='learned-variance'``): the loss is a mean over the batch instead of a sum, the
    inference network's dropout is the one that is set, the prior's variance can't turn negative
    by default, and data comes in whole batches.

    Views whose embeddings have other dimensions than the trained view's can't be inferred and are
    left out.

    References
    ----------
    Bianchi et al. (2021), Cross-lingual Contextualized Topic Models with Zero-shot Learning, EACL.
    """

    name: ClassVar[str] = "zeroshot-tm"
    settings_class = ZeroshotTMSettings
    network_class = ZeroshotTMNetwork

    def _topic_views(self, fit: Fit[ZeroshotTMSettings]) -> list[str]:
        return [fit.dataset.text_view(fit.settings.view or fit.dataset.pivot).name]

    def _trained_views(self, fit: Fit[ZeroshotTMSettings]) -> list[str]:
        return self._topic_views(fit)

    def _embed(self, fit: Fit[ZeroshotTMSettings]) -> Embeddings:
        embeddings = super()._embed(fit)
        (view,) = self._topic_views(fit)
        sizes = {name: array.shape[1] for name, array in embeddings.items()}
        other = [f"'{n}' ({size})" for n, size in sizes.items() if size != sizes[view]]
        if other:
            warn(
                f"embeddings of view '{view}' have {sizes[view]} dimensions, those of "
                f"{', '.join(other)} have others: zeroshot-tm can't infer these views and leaves "
                "them out; give all views one encoder to include them."
            )
        inferred = {name: array for name, array in embeddings.items() if sizes[name] == sizes[view]}
        lsa = [name for name, encoder in self.encoders.items() if encoder.name == "lsa"]
        apart = [f"'{name}'" for name in inferred if name != view and name in lsa]
        if apart:
            warn(
                f"views {', '.join(apart)} are encoded by LSA, each language in a space of its "
                f"own, so that the topic proportions that zeroshot-tm infers for them from "
                f"'{view}' are meaningless; use encoder='clsi' on linked data, or embeddings of "
                "one multilingual encoder."
            )
        return inferred

    def _standardised_by(self, fit: Fit[ZeroshotTMSettings]) -> dict[str, str]:
        if fit.settings.standardised != "trained-view":
            return super()._standardised_by(fit)
        return dict.fromkeys(fit.embeddings, *self._topic_views(fit))
