"""ZeroshotTM-KD: a trained view teaches its topics to the others."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from octis_m3l.data.batches import Batch, ViewBatch
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.encoders.description import described
from octis_m3l.encoders.encode import Encodings
from octis_m3l.encoders.protocol import Encoder
from octis_m3l.errors import DataError, OctisM3LError, SettingsError
from octis_m3l.losses import kl_between_gaussians
from octis_m3l.models.neural import NeuralTopicModel, ViewNetwork
from octis_m3l.models.settings import NeuralSettings
from octis_m3l.models.zeroshot_tm import ZeroshotTM, ZeroshotTMNetwork, ZeroshotTMSettings
from octis_m3l.networks import InferenceNetwork, TopicDecoder, ViewModules, sample_topics

_OF_TEACHER = ("prior_weight", "prior", "standardised")
_COMPARED = 8


def _equal(first: Encoder, second: Encoder | None) -> bool:
    """Return whether two encoders are one, or described by equal settings."""
    if second is None or first is second:
        return first is second
    known = described(first)
    return known is not None and known == described(second)


def _close(first: NDArray[Any], second: NDArray[Any], precision: str) -> bool:
    """Return whether vectors are equal but for what they were computed in, and where."""
    if precision == "float32":
        return bool(np.allclose(first, second, rtol=1e-3, atol=1e-5))
    first, second = np.asarray(first, np.float32), np.asarray(second, np.float32)
    apart = np.linalg.norm(first - second, axis=1)
    allowed = 0.1 if precision == "bfloat16" else 0.02
    return bool((apart <= allowed * np.linalg.norm(second, axis=1) + 1e-5).all())


class ZeroshotTMKDSettings(NeuralSettings):
    """Hyperparameters of `ZeroshotTMKD`; teacher and students share them."""

    view: str = Field("", description="the text view that teaches; '': the pivot")
    taught: Literal["posterior", "prior"] = Field(
        "posterior",
        description="what stands in the prior's place: the teacher's posterior of the linked item, "
        "or its learned prior alone",
    )
    distillation_weight: float = Field(1.0, ge=0, description="weight of KL(q‖what is taught)")
    image_words: bool = Field(
        True, description="whether students without words decode the linked item's of the teacher"
    )
    prior_weight: float = Field(1.0, ge=0, description="of the teacher's KL(q‖prior)")
    prior: Literal["fixed", "learned", "learned-variance"] = "learned"
    standardised: Literal["own-view", "none"] = Field(
        "own-view", description="whether each view's embeddings are standardised"
    )


class ZeroshotTMKDNetwork(ViewNetwork):
    """A teacher that is trained already, and a network for each student.

    L = Σ_v RL_v + λ KL(q_v ‖ q_teacher) over the students v. An item whose tuple lacks the
    teacher's view is drawn to the teacher's learned prior instead.
    """

    def __init__(
        self,
        dimensions: Mapping[str, int],
        vocabularies: Mapping[str, int],
        settings: ZeroshotTMKDSettings,
        teacher: ZeroshotTMSettings,
    ) -> None:
        super().__init__(dimensions, vocabularies)
        self.settings = settings
        self.view = next(iter(vocabularies))
        self.teacher = ZeroshotTMNetwork(
            {self.view: dimensions[self.view]},
            {self.view: vocabularies[self.view]},
            teacher,
        )
        students = {name: size for name, size in dimensions.items() if name != self.view}
        self.networks = ViewModules(
            {
                name: InferenceNetwork(
                    size,
                    settings.num_topics,
                    settings.hidden_sizes,
                    activation=settings.activation,
                    dropout=settings.dropout,
                    posterior=settings.posterior,
                )
                for name, size in students.items()
            }
        )
        words = {name: vocabularies.get(name, vocabularies[self.view]) for name in students}
        self.decoders = ViewModules(
            {
                name: TopicDecoder(settings.num_topics, size)
                for name, size in words.items()
                if name in vocabularies or settings.image_words
            }
        )
        self.theta_dropout = nn.Dropout(settings.theta_dropout)

    def train(self, mode: bool = True) -> "ZeroshotTMKDNetwork":
        """Set training mode for the students; the teacher only ever answers."""
        super().train(mode)
        self.teacher.eval()
        return self

    def posterior(self, view: str, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of a view's items."""
        if view == self.view:
            return self.teacher.posterior(view, embeddings)
        network = self.networks[view]
        mean, log_variance = network(self.standardisers[view](embeddings))
        return mean, log_variance

    def topic_words(self) -> dict[str, Tensor]:
        """Return each language's distributions of words (K × vocabulary)."""
        vocabularies: dict[str, int] = self.shape["vocabularies"]
        decoders: Any = self.decoders
        own = {n: decoders[n] for n in vocabularies if n != self.view}
        return self.teacher.topic_words() | {
            n: decoder.topic_word_matrix(self.settings.topic_form) for n, decoder in own.items()
        }

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the two terms of the loss, each a mean over each student's items, summed."""
        zero = next(self.networks.parameters()).new_zeros(())
        terms = {"reconstruction": zero, "distillation": zero}
        for name, view in batch.views.items():
            if name == self.view:
                continue
            mean, log_variance = self.posterior(name, view.embeddings)
            taught = self._taught(name, view, batch)
            divergence = kl_between_gaussians(mean, log_variance, *taught)
            weighted = self.settings.distillation_weight * divergence.mean()
            terms["distillation"] = terms["distillation"] + weighted
            theta = self.theta_dropout(sample_topics(mean, log_variance))
            lost = self._lost(name, view, theta, batch)
            if lost is not None:
                terms["reconstruction"] = terms["reconstruction"] + lost
        return terms

    def _taught(self, name: str, view: ViewBatch, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return mean and log variance that each item of a student is drawn to."""
        prior = self.teacher.prior
        rows = len(view.items)
        mean = prior.mean.detach().expand(rows, -1).clone()
        log_variance = prior.log_variance.detach().expand(rows, -1).clone()
        teaching = batch.views.get(self.view)
        if self.settings.taught == "prior" or teaching is None:
            return mean, log_variance
        with torch.no_grad():
            means, log_variances = self.teacher.posterior(self.view, teaching.embeddings)
        mine, theirs = batch.common(name, self.view)
        mean[mine], log_variance[mine] = means[theirs], log_variances[theirs]
        return mean, log_variance

    def _lost(self, name: str, view: ViewBatch, theta: Tensor, batch: Batch) -> Tensor | None:
        decoders: Any = self.decoders
        if view.words is not None:
            own: Tensor = decoders[name].loss(theta, view.words).mean()
            return own
        teaching = batch.views.get(self.view)
        if name not in decoders or teaching is None or teaching.words is None:
            return None
        mine, theirs = batch.common(name, self.view)
        if len(mine) < 2:
            return None
        borrowed: Tensor = decoders[name].loss(theta[mine], teaching.words.take(theirs)).mean()
        return borrowed


def teacher_settings(settings: ZeroshotTMKDSettings, view: str) -> ZeroshotTMSettings:
    """Return the settings of the teacher: those that it shares with its students.

    What the user did not set, and is the teacher's default too, is not set there either.
    """
    shared = settings.model_dump(include={*NeuralSettings.model_fields, *_OF_TEACHER})
    defaults = ZeroshotTMSettings.checked({}, ZeroshotTM.name).model_dump()
    given = {
        name: value
        for name, value in shared.items()
        if name in settings.model_fields_set or value != defaults[name]
    }
    return ZeroshotTMSettings.checked({**given, "view": view}, ZeroshotTM.name)


class ZeroshotTMKD(NeuralTopicModel):
    """ZeroshotTM-KD: topics of one language, distilled into any number of other views.

    A ZeroshotTM of one view is the teacher. Each other view, a language or images, has an
    inference network of its own on its own embeddings, which need share no space with the
    teacher's; it is trained with the teacher's posterior of the linked item in the prior's place,
    and to decode its own words (images: the words of the linked item of the teacher, unless
    ``image_words=False``). ``taught='prior'`` gives students the teacher's learned prior alone.

    Where the paper does not say: embeddings are standardised; an item whose tuple lacks the
    teacher's view is drawn to the teacher's learned prior; the teacher answers without dropout.

    Parameters
    ----------
    num_topics : int, optional
        As for `TopicModel`.
    teacher : ZeroshotTM, optional
        One that is trained already, with hyperparameters of its own but for num_topics and the
        view, on the same vocabulary, and on embeddings of the same encoder. Default: it is trained
        first, with the students' hyperparameters; `trained_teacher` has it afterwards.
    **arguments
        As for `NeuralTopicModel`.

    References
    ----------
    Pivovarova & Zosa (2021), Visual Topic Modelling for NewsImage Task at MediaEval 2021; Zosa &
    Pivovarova (2022), section 4.
    """

    name: ClassVar[str] = "zeroshot-tm-kd"
    least_views: ClassVar[int] = 2
    settings_class = ZeroshotTMKDSettings
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
        self._lost_teacher = False

    def _teacher_view(self, dataset: MultiviewDataset, settings: Any) -> str:
        view: str = settings.view or dataset.pivot
        dataset.text_view(view)
        return view

    def _check(self, dataset: MultiviewDataset, settings: Any) -> None:
        self._check_links(dataset, "use zeroshot-tm for one view")
        self.trained_teacher = None
        if self.teacher is not None:
            self._check_teacher(self.teacher, dataset, settings)
        elif self._lost_teacher:
            raise DataError(
                "the loaded model was trained with a teacher that was given to it; give it again "
                "(model.teacher = ZeroshotTM.load(folder)), or make a new model to have one "
                "trained."
            )

    def _check_teacher(self, teacher: ZeroshotTM, dataset: MultiviewDataset, settings: Any) -> None:
        if not isinstance(teacher, ZeroshotTM):
            raise SettingsError(
                f"the teacher is a {type(teacher).__name__}; expected a trained ZeroshotTM."
            )
        of_teacher = sorted({"prior", "prior_weight"} & settings.model_fields_set)
        if of_teacher:
            raise SettingsError(
                f"{' and '.join(of_teacher)}: of the teacher alone, which is trained already; "
                "leave it out."
            )
        network: Any = teacher._ready()
        view = self._teacher_view(dataset, settings)
        if network.view != view or teacher._topics() != settings.num_topics:
            raise SettingsError(
                f"the teacher learned {teacher._topics()} topics of view '{network.view}', and "
                f"zeroshot-tm-kd is to learn {settings.num_topics} from '{view}'; set num_topics "
                "and view as the teacher's."
            )
        if teacher._trained().vocabularies[view] != dataset.text_view(view).vocabulary:
            raise DataError(
                f"the teacher knows {len(teacher._trained().vocabularies[view])} words of view "
                f"'{view}', and the data set has {len(dataset.text_view(view).vocabulary)} or "
                "others; train it on a data set with the same vocabulary."
            )

    def _vocabularies(self, dataset: MultiviewDataset, settings: Any) -> dict[str, int]:
        first = self._teacher_view(dataset, settings)
        names = [first, *(name for name in dataset.text_views if name != first)]
        return {name: len(dataset.text_view(name).vocabulary) for name in names}

    def _standardised_by(self, dataset: MultiviewDataset, settings: Any) -> dict[str, str]:
        if settings.standardised == "none":
            return {}
        return super()._standardised_by(dataset, settings)

    def _prepare(
        self, dataset: MultiviewDataset, encodings: Encodings, settings: Any, seed: int
    ) -> None:
        view = self._teacher_view(dataset, settings)
        vectors = encodings.embeddings[view]
        if self.teacher is None:
            self.trained_teacher = self._trained_first(dataset, vectors, settings, view, seed)
        else:
            self._check_vectors(self.teacher, dataset, encodings, view)
            self.trained_teacher = self.teacher
        self._teacher_settings = self.trained_teacher.trained_settings

    def _check_vectors(
        self, teacher: ZeroshotTM, dataset: MultiviewDataset, encodings: Encodings, view: str
    ) -> None:
        vectors = encodings.embeddings[view]
        learned = teacher._ready().shape["dimensions"][view]
        same = learned == vectors.shape[1]
        encoder = teacher.encoders.get(view)
        if same and encoder is not None and not _equal(encoder, encodings.encoders.get(view)):
            shown = slice(0, min(_COMPARED, len(vectors)))
            try:
                known = encoder.encode(dataset.view(view).items(shown))
                same = _close(known, vectors[shown], getattr(encoder, "precision", "float32"))
            except OctisM3LError:
                # Its model is not here, so only the dimensions can be compared.
                pass
        if not same:
            raise DataError(
                f"the teacher learned from other embeddings of view '{view}' ({learned} dimensions)"
                f" than zeroshot-tm-kd has here ({vectors.shape[1]}); give it the teacher's encoder"
                f" (encoders={{'{view}': teacher.encoders['{view}']}}), or embeddings to both."
            )

    def _trained_first(
        self,
        dataset: MultiviewDataset,
        vectors: NDArray[Any],
        settings: Any,
        view: str,
        seed: int,
    ) -> ZeroshotTM:
        own = dataset.with_views([view]).with_embeddings({view: vectors}, order="stored")
        shared = teacher_settings(settings, view).model_dump(exclude_unset=True)
        given = {**shared, "seed": seed, "encoder": "given"}
        teacher = ZeroshotTM(
            checkpoint=None if self.checkpoint is None else self.checkpoint / "teacher",
            progress=self.progress,
            **given,
        )
        teacher.partitioning(self.use_partitions)
        teacher.train_model(own, top_words=1)
        return teacher

    def _run(
        self,
        dataset: MultiviewDataset,
        settings: NeuralSettings,
        embeddings: Mapping[str, NDArray[Any]],
    ) -> dict[str, Any]:
        described = super()._run(dataset, settings, embeddings)
        if described and self.trained_teacher is not None:
            weights = self.trained_teacher._ready().state_dict()
            digest = hashlib.sha256()
            for name, tensor in weights.items():
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().numpy().tobytes())
            described["teacher"] = digest.hexdigest()
        return described

    def _save_parts(self, folder: Path) -> dict[str, Any]:
        assert self._teacher_settings is not None
        return {
            **super()._save_parts(folder),
            "teacher": self._teacher_settings.model_dump(),
            "teacher_given": self.teacher is not None or self._lost_teacher,
        }

    def _load_parts(
        self, folder: Path, described: Mapping[str, Any], device: str
    ) -> dict[str, NDArray[Any]]:
        self._teacher_settings = ZeroshotTMSettings.checked(described["teacher"], ZeroshotTM.name)
        self._lost_teacher = described["teacher_given"]
        return super()._load_parts(folder, described, device)

    def _network(
        self, dimensions: Mapping[str, int], vocabularies: Mapping[str, int], settings: Any
    ) -> ViewNetwork:
        assert self._teacher_settings is not None
        network = ZeroshotTMKDNetwork(dimensions, vocabularies, settings, self._teacher_settings)
        if self.trained_teacher is not None:
            own = self.trained_teacher._ready()
            known = {n: t for n, t in own.state_dict().items() if n in network.teacher.state_dict()}
            network.teacher.load_state_dict(known)
        network.teacher.requires_grad_(False)
        return network
