"""ZeroshotTM-KD: a trained view teaches its topics to the others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from octis_m3l.data.batches import Batch
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError
from octis_m3l.losses import kl_between_gaussians
from octis_m3l.models.embeddings import (
    EmbeddingModel,
    ViewNetwork,
    inference_networks,
    topic_decoders,
)
from octis_m3l.models.settings import NeuralSettings, PriorForm
from octis_m3l.models.teacher import (
    check_embeddings_of,
    check_teacher,
    fingerprint,
    network_of,
    new_teacher,
)
from octis_m3l.models.zeroshot_tm import ZeroshotTM, ZeroshotTMNetwork, ZeroshotTMSettings
from octis_m3l.networks import sample_topics


class ZeroshotTMKDSettings(NeuralSettings):
    """Hyperparameters of `ZeroshotTMKD`; teacher and students share them."""

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
    prior: PriorForm = "learned"


class ZeroshotTMKDNetwork(ViewNetwork):
    """The networks of the students, a teacher that is trained already, and the loss."""

    def __init__(
        self,
        dimensions: Mapping[str, int],
        vocabularies: Mapping[str, int],
        settings: ZeroshotTMKDSettings,
        teacher: ZeroshotTMSettings,
    ) -> None:
        super().__init__(dimensions, vocabularies)
        self.settings = settings
        self.view = view = next(iter(vocabularies))
        taught = {view: dimensions[view]}, {view: vocabularies[view]}
        self.teacher = ZeroshotTMNetwork(*taught, teacher)
        students = {name: name for name in dimensions if name != view}
        self.networks = inference_networks(dimensions, settings, students)
        words = {name: vocabularies.get(name, vocabularies[view]) for name in students}
        decoded = [name for name in words if name in vocabularies or settings.image_words]
        self.decoders = topic_decoders({name: words[name] for name in decoded}, settings)
        self.theta_dropout = nn.Dropout(settings.theta_dropout)

    def train(self, mode: bool = True) -> Self:
        """Set training mode for the students; the teacher never trains."""
        super().train(mode)
        self.teacher.eval()
        return self

    def posterior(self, view: str, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of a view's items."""
        if view == self.view:
            return self.teacher.posterior(view, items)
        mean, log_variance = self.networks[view](self.standardisers[view](items))
        return mean, log_variance

    def topic_words(self) -> dict[str, Tensor]:
        """Return each language's distributions of words (K × vocabulary)."""
        own = [name for name in self.shape["vocabularies"] if name != self.view]
        form = self.settings.topic_form
        words = {name: self.decoders[name].topic_word_matrix(form) for name in own}
        return self.teacher.topic_words() | words

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the two terms of the loss, each a sum over students of means over items."""
        zero = next(self.networks.parameters()).new_zeros(())
        terms = {"reconstruction": zero, "distillation": zero}
        teaching = batch.views.get(self.view)
        for name, view in batch.views.items():
            if name == self.view:
                continue
            mean, log_variance = self.posterior(name, view.embeddings)
            divergence = kl_between_gaussians(mean, log_variance, *self._taught(name, batch))
            weighted = self.settings.distillation_weight * divergence.mean()
            terms["distillation"] = terms["distillation"] + weighted
            theta, words = self.theta_dropout(sample_topics(mean, log_variance)), view.words
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


class ZeroshotTMKD(EmbeddingModel[ZeroshotTMKDSettings]):
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

    def __init__(
        self,
        num_topics: int | None = None,
        *,
        teacher: ZeroshotTM | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(num_topics, **arguments)
        self.teacher = teacher
        self.trained_teacher: ZeroshotTM | None = None
        self._teacher_settings: ZeroshotTMSettings | None = None
        self._teacher_is_missing = False

    def _topic_views(self, dataset: MultiviewDataset, settings: ZeroshotTMKDSettings) -> list[str]:
        first = dataset.text_view(settings.view or dataset.pivot).name
        return [first, *(name for name in dataset.text_views if name != first)]

    def _check(self, dataset: MultiviewDataset, settings: ZeroshotTMKDSettings) -> None:
        super()._check(dataset, settings)
        view, *_ = self._topic_views(dataset, settings)
        if self.teacher is not None:
            check_teacher(self.teacher, dataset, view, settings)
        elif self._teacher_is_missing:
            raise DataError(
                "the loaded model was trained with a teacher that was given to it; give it again "
                "(model.teacher = ZeroshotTM.load(folder)), or make a new model to have one "
                "trained."
            )

    def _embed(
        self, dataset: MultiviewDataset, settings: ZeroshotTMKDSettings, seed: int
    ) -> Mapping[str, NDArray[Any]]:
        embeddings = super()._embed(dataset, settings, seed)
        view, *_ = self._topic_views(dataset, settings)
        vectors, teacher = embeddings[view], self.teacher
        if teacher is None:
            checkpoint = None if self.checkpoint is None else self.checkpoint / "teacher"
            teacher = new_teacher(settings, view, seed, checkpoint, self.progress)
            teacher.partitioning(self.use_partitions)
            own = dataset.with_views([view]).with_embeddings({view: vectors}, order="stored")
            teacher.train_model(own, top_words=1)
        else:
            check_embeddings_of(teacher, dataset, view, vectors, self.encoders.get(view))
        self.trained_teacher, self._teacher_settings = teacher, teacher.trained_settings
        return embeddings

    def _network(
        self, shape: Mapping[str, Any], settings: ZeroshotTMKDSettings
    ) -> ZeroshotTMKDNetwork:
        assert self._teacher_settings is not None
        network = ZeroshotTMKDNetwork(**shape, settings=settings, teacher=self._teacher_settings)
        if self.trained_teacher is not None:
            weights, known = network_of(self.trained_teacher).state_dict(), network.teacher
            network.teacher.load_state_dict({n: weights[n] for n in known.state_dict()})
        network.teacher.requires_grad_(False)
        return network

    def _run(
        self,
        dataset: MultiviewDataset,
        settings: ZeroshotTMKDSettings,
        embeddings: Mapping[str, NDArray[Any]],
    ) -> dict[str, Any]:
        assert self.trained_teacher is not None
        described = super()._run(dataset, settings, embeddings)
        return {**described, "teacher": fingerprint(self.trained_teacher)}

    def _save_parts(self, folder: Path) -> dict[str, Any]:
        assert self._teacher_settings is not None
        return {
            **super()._save_parts(folder),
            "teacher": self._teacher_settings.model_dump(),
            "teacher_given": self.teacher is not None or self._teacher_is_missing,
        }

    def _load_parts(
        self, folder: Path, described: Mapping[str, Any], device: str
    ) -> dict[str, NDArray[Any]]:
        self._teacher_settings = ZeroshotTMSettings.checked(described["teacher"], ZeroshotTM.name)
        self._teacher_is_missing = described["teacher_given"]
        return super()._load_parts(folder, described, device)
