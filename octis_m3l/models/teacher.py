"""Trained models that teach others: whether they fit, and what they were trained with."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.encoders.base import Encoder
from octis_m3l.encoders.saving import described
from octis_m3l.errors import DataError, OctisM3LError, SettingsError
from octis_m3l.models.settings import NeuralSettings
from octis_m3l.models.zeroshot_tm import ZeroshotTM, ZeroshotTMNetwork, ZeroshotTMSettings

_COMPARED = 8
_SHARED = {*NeuralSettings.model_fields, "prior_weight"}


def check_teacher(
    teacher: ZeroshotTM, dataset: MultiviewDataset, view: str, settings: NeuralSettings
) -> None:
    """Refuse a teacher of other topics, of another view or of another vocabulary."""
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
    output, network = teacher._trained(), network_of(teacher)
    if network.view != view or network.settings.num_topics != settings.num_topics:
        raise SettingsError(
            f"the teacher learned {network.settings.num_topics} topics of view '{network.view}', "
            f"and zeroshot-tm-kd is to learn {settings.num_topics} from '{view}'; set num_topics "
            "and view as the teacher's."
        )
    known, words = output.vocabularies[view], dataset.text_view(view).vocabulary
    if known != words:
        raise DataError(
            f"the teacher knows {len(known)} words of view '{view}', and the data set has "
            f"{len(words)} or others; train it on a data set with the same vocabulary."
        )


def check_embeddings_of(
    teacher: ZeroshotTM,
    dataset: MultiviewDataset,
    view: str,
    vectors: NDArray[Any],
    encoder: Encoder | None,
) -> None:
    """Refuse a teacher that learned from other embeddings than the data set's."""
    learned = network_of(teacher).shape["dimensions"][view]
    same = learned == vectors.shape[1]
    own = teacher.encoders.get(view)
    if same and own is not None and not _equal(own, encoder):
        shown = slice(0, min(_COMPARED, len(vectors)))
        try:
            known = own.encode(dataset.view(view).items(shown))
            same = close(known, vectors[shown], getattr(own, "precision", "float32"))
        except OctisM3LError:
            # The encoder's model is not on this machine, so only dimensions can be compared.
            pass
    if not same:
        raise DataError(
            f"the teacher learned from other embeddings of view '{view}' ({learned} dimensions) "
            f"than zeroshot-tm-kd has here ({vectors.shape[1]}); give it the teacher's encoder "
            f"(encoders={{'{view}': teacher.encoders['{view}']}}), or embeddings to both."
        )


def teacher_settings(settings: NeuralSettings, view: str) -> ZeroshotTMSettings:
    """Return the settings of a teacher: those that it shares with its students.

    Those that the user did not set, and are the teacher's defaults too, count as not set.
    """
    shared = settings.model_dump(include=_SHARED)
    defaults = ZeroshotTMSettings.checked({}, ZeroshotTM.name).model_dump()
    given = {
        name: value
        for name, value in shared.items()
        if name in settings.model_fields_set or value != defaults[name]
    }
    return ZeroshotTMSettings.checked({**given, "view": view}, ZeroshotTM.name)


def new_teacher(
    settings: NeuralSettings, view: str, seed: int, checkpoint: Path | None, progress: bool | None
) -> ZeroshotTM:
    """Return a teacher, not trained, with its students' settings."""
    given = teacher_settings(settings, view).model_dump(exclude_unset=True)
    given |= {"seed": seed, "encoder": "given"}
    return ZeroshotTM(checkpoint=checkpoint, progress=progress, **given)


def network_of(teacher: ZeroshotTM) -> ZeroshotTMNetwork:
    """Return a trained teacher's network."""
    assert isinstance(teacher.network, ZeroshotTMNetwork)
    return teacher.network


def fingerprint(teacher: ZeroshotTM) -> str:
    """Return a hash of a teacher's weights."""
    digest = hashlib.sha256()
    for name, tensor in network_of(teacher).state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


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
