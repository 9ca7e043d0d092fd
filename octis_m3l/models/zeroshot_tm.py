"""ZeroshotTM: one view is trained, the others are inferred through its network."""

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from octis_m3l.data.batches import Batch
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.encoders.encode import Encodings
from octis_m3l.models.neural import NeuralTopicModel, ViewNetwork
from octis_m3l.models.settings import NeuralSettings
from octis_m3l.networks import GaussianPrior, InferenceNetwork, TopicDecoder, sample_topics


class ZeroshotTMSettings(NeuralSettings):
    """Hyperparameters of `ZeroshotTM`; the defaults are contextualized-topic-models'."""

    view: str = Field("", description="the text view that is trained; '': the pivot")
    prior_weight: float = Field(1.0, ge=0, description="weight of KL(q‖prior)")
    prior: Literal["fixed", "learned", "learned-variance"] = "learned"
    standardised: Literal["none", "trained-view", "own-view"] = Field(
        "none",
        description="whether embeddings are standardised, and by whose training items",
    )


class ZeroshotTMNetwork(ViewNetwork):
    """The network and the loss of ZeroshotTM: L = RL + λ KL(q‖prior), on one view."""

    def __init__(
        self,
        dimensions: Mapping[str, int],
        vocabularies: Mapping[str, int],
        settings: ZeroshotTMSettings,
    ) -> None:
        view, vocabulary = next(iter(vocabularies.items()))
        same = {name: size for name, size in dimensions.items() if size == dimensions[view]}
        super().__init__(same, vocabularies)
        self.view, self.prior_weight = view, settings.prior_weight
        self.topic_form = settings.topic_form
        self.inference = InferenceNetwork(
            dimensions[view],
            settings.num_topics,
            settings.hidden_sizes,
            activation=settings.activation,
            dropout=settings.dropout,
            posterior=settings.posterior,
        )
        self.decoder = TopicDecoder(settings.num_topics, vocabulary)
        self.prior = GaussianPrior(settings.num_topics, settings.prior)
        self.theta_dropout = nn.Dropout(settings.theta_dropout)

    def posterior(self, view: str, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of a view's items, all through the one network."""
        mean, log_variance = self.inference(self.standardisers[view](embeddings))
        return mean, log_variance

    def topic_words(self) -> dict[str, Tensor]:
        """Return the trained view's distributions of words (K × vocabulary)."""
        return {self.view: self.decoder.topic_word_matrix(self.topic_form)}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the two terms of the loss, each a mean over the batch.

        contextualized-topic-models sums over the batch instead: its loss is this times the
        number of rows.
        """
        view = batch.views[self.view]
        assert view.words is not None
        mean, log_variance = self.posterior(self.view, view.embeddings)
        theta = self.theta_dropout(sample_topics(mean, log_variance))
        divergence = self.prior.divergence(mean, log_variance)
        return {
            "reconstruction": self.decoder.loss(theta, view.words).mean(),
            "prior": self.prior_weight * divergence.mean(),
        }


class ZeroshotTM(NeuralTopicModel):
    """ZeroshotTM: topics of one language, inferred for every view that shares its space.

    Equal to contextualized-topic-models' ZeroShotTM (with ``prior='learned-variance'``), but that
    the loss is a mean over the batch, dropout arrives in the inference network, the prior's
    variance can't turn negative by default, and data comes in whole batches.

    Views with embeddings of other dimensions than the trained view's can't be inferred and are
    left out.

    References
    ----------
    Bianchi et al. (2021), Cross-lingual Contextualized Topic Models with Zero-shot Learning, EACL.
    """

    name: ClassVar[str] = "zeroshot-tm"
    settings_class = ZeroshotTMSettings
    search_space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "num_topics": (10, 200),
        "learning_rate": (2e-4, 2e-2, "log-uniform"),
        "hidden_size": (50, 800),
        "hidden_layers": (1, 3),
        "dropout": (0.0, 0.5),
        "batch_size": (16, 256),
    }

    def _trained_view(self, dataset: MultiviewDataset, settings: Any) -> str:
        view: str = settings.view or dataset.pivot
        dataset.text_view(view)
        return view

    def _trained_views(self, dataset: MultiviewDataset, settings: Any) -> list[str]:
        return [self._trained_view(dataset, settings)]

    def _check_encodings(
        self, dataset: MultiviewDataset, encodings: Encodings, settings: Any
    ) -> None:
        sizes = {name: array.shape[1] for name, array in encodings.embeddings.items()}
        view = self._trained_view(dataset, settings)
        other = [f"'{n}' ({size})" for n, size in sizes.items() if size != sizes[view]]
        if other:
            warnings.warn(
                f"embeddings of view '{view}' have {sizes[view]} dimensions, those of "
                f"{', '.join(other)} have others: zeroshot-tm can't infer these views and leaves "
                "them out; give all views one encoder to have them too.",
                stacklevel=5,
            )
        apart = [
            f"'{name}'"
            for name, encoder in encodings.encoders.items()
            if name != view and encoder.name == "lsa" and sizes[name] == sizes[view]
        ]
        if apart:
            warnings.warn(
                f"views {', '.join(apart)} are encoded by LSA, each language in a space of its "
                f"own, so that what zeroshot-tm infers for them from '{view}' says nothing; use "
                "encoder='clsi' on linked data, or embeddings of one multilingual encoder.",
                stacklevel=5,
            )

    def _standardised_by(self, dataset: MultiviewDataset, settings: Any) -> dict[str, str]:
        if settings.standardised == "none":
            return {}
        trained = self._trained_view(dataset, settings)
        own = settings.standardised == "own-view"
        return {name: name if own else trained for name in dataset.views}

    def _spoken(self, dataset: MultiviewDataset, settings: Any) -> list[str]:
        return [self._trained_view(dataset, settings)]

    def _vocabularies(self, dataset: MultiviewDataset, settings: Any) -> dict[str, int]:
        trained = self._trained_view(dataset, settings)
        return {trained: len(dataset.text_view(trained).vocabulary)}

    def _network(
        self, dimensions: Mapping[str, int], vocabularies: Mapping[str, int], settings: Any
    ) -> ViewNetwork:
        return ZeroshotTMNetwork(dimensions, vocabularies, settings)
