"""ZeroshotTM-KD: a trained view teaches its topics to the others."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from octis_m3l.data.batches import Batch
from octis_m3l.losses import kl_between_gaussians
from octis_m3l.models.base import Fit
from octis_m3l.models.embeddings import Sizes, ViewNetwork, inference_networks, topic_decoders
from octis_m3l.models.settings import NeuralSettings
from octis_m3l.models.teacher import TaughtModel
from octis_m3l.models.zeroshot_tm import ZeroshotTM, ZeroshotTMNetwork, ZeroshotTMSettings
from octis_m3l.networks import sample_topics


class ZeroshotTMKDSettings(NeuralSettings):
    """Hyperparameters of `ZeroshotTMKD`; teacher and students share them."""

    presets: ClassVar = {"default": {"prior": "learned"}}

    view: str = Field("", description="the text view that teaches; '': the pivot")
    taught: Literal["posterior", "prior"] = Field(
        "posterior",
        description="what replaces the students' prior: the teacher's posterior of the linked "
        "item, or its learned prior",
    )
    distillation_weight: float = Field(1.0, ge=0, description="λ, weight of KL(student ‖ teacher)")
    image_words: bool = Field(
        True, description="whether students without words decode those of the teacher's item"
    )
    prior_weight: float = Field(1.0, ge=0, description="weight of the teacher's KL(q ‖ prior)")


class ZeroshotTMKDNetwork(ViewNetwork[ZeroshotTMKDSettings]):
    """The networks of the students, a teacher that is trained already, and the loss."""

    def __init__(
        self,
        dimensions: Sizes,
        vocabularies: Sizes,
        settings: ZeroshotTMKDSettings,
        teacher: Mapping[str, Any],
    ) -> None:
        super().__init__(dimensions, vocabularies, settings)
        self.shape["teacher"] = dict(teacher)
        self.view = view = next(iter(vocabularies))
        taught = {view: dimensions[view]}, {view: vocabularies[view]}
        of_teacher = ZeroshotTMSettings.checked(teacher, ZeroshotTM.name)
        self.teacher = ZeroshotTMNetwork(*taught, of_teacher).requires_grad_(False)
        students = {name: name for name in dimensions if name != view}
        self.networks = inference_networks(dimensions, settings, students)
        words = {name: vocabularies.get(name, vocabularies[view]) for name in students}
        decoded = [name for name in words if name in vocabularies or settings.image_words]
        self.decoders = topic_decoders({name: words[name] for name in decoded}, settings)

    def train(self, mode: bool = True) -> Self:
        """Set training mode for the students; the teacher never trains."""
        super().train(mode)
        self.teacher.eval()
        return self

    def posterior(self, view: str, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² (rows × K) of a view's items; the teacher infers its own view."""
        if view == self.view:
            return self.teacher.posterior(view, items)
        return super().posterior(view, items)

    def topic_words(self) -> dict[str, Tensor]:
        """Return the distributions of words (K × vocabulary) of the teacher and its students."""
        return self.teacher.topic_words() | super().topic_words()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the two terms of the loss, each a sum over students of means over items."""
        zero = next(self.parameters()).new_zeros(())
        terms = {"reconstruction": zero, "distillation": zero}
        teaching = batch.views.get(self.view)
        for name, view in batch.views.items():
            if name == self.view:
                continue
            mean, log_variance = self.posteriors({name: view.embeddings}, batch)
            divergence = kl_between_gaussians(mean, log_variance, *self._taught(name, batch))
            weighted = self.settings.distillation_weight * divergence.mean()
            terms["distillation"] = terms["distillation"] + weighted
            noise, words = batch.normal("topics", mean, [name]), view.words
            theta = sample_topics(mean, log_variance, noise)
            theta = self.dropped_topics(batch, theta, name)
            if words is None and name in self.decoders and teaching and teaching.words is not None:
                rows, others = batch.common(name, self.view)
                theta, words = theta[rows], teaching.words.take(others)
            if words is not None and len(theta) > 1:
                decoded = self.decoders[name].loss(theta, words).mean()
                terms["reconstruction"] = terms["reconstruction"] + decoded
        return terms

    def _taught(self, name: str, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² that each item of a student is drawn to."""
        prior, rows = self.teacher.prior, len(batch.views[name].items)
        mean = prior.mean.detach().expand(rows, -1).clone()
        log_variance = prior.log_variance.detach().expand(rows, -1).clone()
        if self.settings.taught == "posterior" and self.view in batch.views:
            with torch.no_grad():
                taught = self.teacher.posterior(self.view, batch.views[self.view].embeddings)
            own, others = batch.common(name, self.view)
            mean[own], log_variance[own] = taught[0][others], taught[1][others]
        return mean, log_variance


class ZeroshotTMKD(TaughtModel[ZeroshotTMKDSettings]):
    """ZeroshotTM-KD: topics of one language, distilled into any number of other views.

    L = Σ_v [ RL_v + λ KL(q_v ‖ q_teacher) ] over the students v

    The teacher is a ZeroshotTM of one view. Each other view, a language or images, has an
    inference network on its own embeddings, which need not share the teacher's space. The
    teacher's posterior of the linked item replaces its prior, and it decodes its own words
    (images: those of the teacher's linked item, unless ``image_words=False``). With
    ``taught='prior'`` the teacher's learned prior replaces it.

    Departures: where the paper does not say, embeddings are standardised, an item whose tuple
    lacks the teacher's view is drawn to the teacher's learned prior, and the teacher answers
    without dropout.

    Parameters
    ----------
    num_topics : int, optional
        As for `TopicModel`.
    teacher : ZeroshotTM, optional
        A trained one, with the same number of topics, view, vocabulary and embeddings; its other
        hyperparameters are its own. Default: a teacher is trained first, with the students'
        hyperparameters; `trained_teacher` has it afterwards.
    **arguments
        As for `EmbeddingModel`.

    References
    ----------
    Pivovarova & Zosa (2021), Visual Topic Modelling for NewsImage Task at MediaEval 2021; Zosa &
    Pivovarova (2022), section 4.
    """

    name: ClassVar[str] = "zeroshot-tm-kd"
    least_views: ClassVar[int] = 2
    needs_links: ClassVar[bool] = True
    settings_class = ZeroshotTMKDSettings
    network_class = ZeroshotTMKDNetwork
    search_space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "num_topics": (10, 200),
        "distillation_weight": (0.1, 10.0, "log-uniform"),
        "learning_rate": (2e-4, 2e-2, "log-uniform"),
        "hidden_size": (50, 800),
        "dropout": (0.0, 0.5),
        "batch_size": (16, 256),
    }

    def _topic_views(self, fit: Fit[ZeroshotTMKDSettings]) -> list[str]:
        first = fit.dataset.text_view(fit.settings.view or fit.dataset.pivot).name
        return [first, *(name for name in fit.dataset.text_views if name != first)]
