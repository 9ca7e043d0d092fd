"""Models that a trained ZeroshotTM teaches: whether it fits, and what it was trained with."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypeVar

from octis_m3l.data.arrays import hash_of
from octis_m3l.encoders.base import Encoder
from octis_m3l.encoders.saving import described
from octis_m3l.errors import DataError, OctisM3LError, SettingsError
from octis_m3l.models.base import Embeddings, Fit, Matrices
from octis_m3l.models.embeddings import EmbeddingModel
from octis_m3l.models.settings import NeuralSettings
from octis_m3l.models.zeroshot_tm import ZeroshotTM, ZeroshotTMNetwork, ZeroshotTMSettings

K = TypeVar("K", bound=NeuralSettings, default=Any)
_COMPARED = 8
_SHARED = {*NeuralSettings.model_fields, "prior_weight"}


class TaughtModel(EmbeddingModel[K]):
    """A model whose network holds a teacher of one view, given or trained first."""

    def __init__(
        self, num_topics: int | None = None, *, teacher: ZeroshotTM | None = None, **arguments: Any
    ) -> None:
        super().__init__(num_topics, **arguments)
        self.teacher = teacher
        self.trained_teacher: ZeroshotTM | None = None
        self._teacher_is_missing = False

    def _check(self, fit: Fit[K]) -> None:
        super()._check(fit)
        if self.teacher is not None:
            self._check_teacher(self.teacher, fit)
        elif self._teacher_is_missing:
            raise DataError(
                "the loaded model was trained with a teacher that was given to it; give it again "
                "(model.teacher = ZeroshotTM.load(folder)), or make a new model to have one "
                "trained."
            )

    def _check_teacher(self, teacher: ZeroshotTM, fit: Fit[K]) -> None:
        """Refuse a teacher of other topics, of another view or of another vocabulary."""
        if not isinstance(teacher, ZeroshotTM):
            raise SettingsError(
                f"the teacher is a {type(teacher).__name__}; expected a trained ZeroshotTM."
            )
        of_teacher = sorted({"prior", "prior_weight"} & fit.settings.model_fields_set)
        if of_teacher:
            raise SettingsError(
                f"{' and '.join(of_teacher)}: of the teacher alone, which is trained already; "
                "leave it out."
            )
        output, network, view = teacher._trained(), network_of(teacher), self._topic_views(fit)[0]
        topics, learned = fit.settings.num_topics, network.settings.num_topics
        if network.view != view or learned != topics:
            raise SettingsError(
                f"the teacher learned {learned} topics of view '{network.view}', and {self.name} "
                f"is to learn {topics} from '{view}'; set num_topics and view as the teacher's."
            )
        known, words = output.vocabularies[view], fit.dataset.text_view(view).vocabulary
        if known != words:
            raise DataError(
                f"the teacher knows {len(known)} words of view '{view}', and the data set has "
                f"{len(words)} or others; train it on a data set with the same vocabulary."
            )

    def _embed(self, fit: Fit[K]) -> Embeddings:
        embeddings, (view, *_) = super()._embed(fit), self._topic_views(fit)
        if self.teacher is None:
            self.trained_teacher = self._new_teacher(fit, view, embeddings[view])
        else:
            self.trained_teacher = self.teacher
            self._check_embeddings(self.teacher, fit, view, embeddings[view])
        return embeddings

    def _new_teacher(self, fit: Fit[K], view: str, vectors: NDArray[Any]) -> ZeroshotTM:
        """Return a teacher with its students' settings, trained on their embeddings of a view."""
        given = teacher_settings(fit.settings, view).model_dump(exclude_unset=True)
        given |= {"seed": fit.seed, "encoder": "given"}
        checkpoint = None if self.checkpoint is None else self.checkpoint / "teacher"
        teacher = ZeroshotTM(checkpoint=checkpoint, progress=self.progress, **given)
        teacher.partitioning(self.use_partitions)
        own = fit.dataset.with_views([view]).with_embeddings({view: vectors}, order="stored")
        teacher.train_model(own, top_words=1)
        return teacher

    def _check_embeddings(
        self, teacher: ZeroshotTM, fit: Fit[K], view: str, vectors: NDArray[Any]
    ) -> None:
        """Refuse a teacher that learned from other embeddings than the data set's."""
        learned = network_of(teacher).shape["dimensions"][view]
        same, own = learned == vectors.shape[1], teacher.encoders.get(view)
        if same and own is not None and not _equal(own, self.encoders.get(view)):
            shown = slice(0, min(_COMPARED, len(vectors)))
            # If the encoder's model is not on this machine, only dimensions can be compared.
            with suppress(OctisM3LError):
                known = own.encode(fit.dataset.view(view).items(shown))
                same = close(known, vectors[shown], getattr(own, "precision", "float32"))
        if not same:
            raise DataError(
                f"the teacher learned from other embeddings of view '{view}' ({learned} "
                f"dimensions) than {self.name} has here ({vectors.shape[1]}); give it the "
                f"teacher's encoder (encoders={{'{view}': teacher.encoders['{view}']}}), or "
                "embeddings to both."
            )

    def _shape(self, fit: Fit[K]) -> dict[str, Any]:
        teacher = self._taught_by().trained_settings.model_dump()
        return {**super()._shape(fit), "teacher": teacher}

    def _fill(self, network: Any, fit: Fit[K]) -> None:
        super()._fill(network, fit)
        weights = network_of(self._taught_by()).state_dict()
        network.teacher.load_state_dict({n: weights[n] for n in network.teacher.state_dict()})

    def _run(self, fit: Fit[K]) -> dict[str, Any]:
        content: list[Any] = []
        for name, tensor in network_of(self._taught_by()).state_dict().items():
            content += [name, tensor.detach().cpu().numpy()]
        return {**super()._run(fit), "teacher": hash_of(content)}

    def _taught_by(self) -> ZeroshotTM:
        assert self.trained_teacher is not None
        return self.trained_teacher

    def _save_parts(self, folder: Path) -> dict[str, Any]:
        described = super()._save_parts(folder)
        teacher = described["network"].pop("teacher")
        given = self.teacher is not None or self._teacher_is_missing
        return {**described, "teacher": teacher, "teacher_given": given}

    def _load_parts(self, folder: Path, described: Mapping[str, Any], device: str) -> Matrices:
        self._teacher_is_missing = described["teacher_given"]
        network = {**described["network"], "teacher": described["teacher"]}
        return super()._load_parts(folder, {**described, "network": network}, device)


def teacher_settings(settings: NeuralSettings, view: str) -> ZeroshotTMSettings:
    """Return the settings of a teacher: those that it shares with its students.

    Those that the user did not set, and are the teacher's defaults too, count as not set.
    """
    defaults = ZeroshotTMSettings.checked({}, ZeroshotTM.name).model_dump()
    given = {
        name: value
        for name, value in settings.model_dump(include=_SHARED).items()
        if name in settings.model_fields_set or value != defaults[name]
    }
    return ZeroshotTMSettings.checked({**given, "view": view}, ZeroshotTM.name)


def network_of(teacher: ZeroshotTM) -> ZeroshotTMNetwork:
    """Return a trained teacher's network."""
    assert isinstance(teacher.network, ZeroshotTMNetwork)
    return teacher.network


def _equal(first: Encoder, second: Encoder | None) -> bool:
    """Return whether two encoders are one, or described by equal settings."""
    if second is None or first is second:
        return first is second
    known = described(first)
    return known is not None and known == described(second)


def close(first: NDArray[Any], second: NDArray[Any], precision: str) -> bool:
    """Return whether vectors are equal up to the precision they were computed in."""
    if precision == "float32":
        return bool(np.allclose(first, second, rtol=1e-3, atol=1e-5))
    first, second = np.asarray(first, np.float32), np.asarray(second, np.float32)
    apart = np.linalg.norm(first - second, axis=1)
    allowed = 0.1 if precision == "bfloat16" else 0.02
    return bool((apart <= allowed * np.linalg.norm(second, axis=1) + 1e-5).all())
