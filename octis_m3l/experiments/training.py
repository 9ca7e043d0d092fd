"""Train a model on a data set and keep it."""

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from octis_m3l.data import MultiviewDataset
from octis_m3l.errors import OtherRunError, SettingsError, StorageError, suggest
from octis_m3l.files import check_can_write, held, read_json, recover
from octis_m3l.models import MODELS
from octis_m3l.models.storage import MARKER


def train_and_save(
    dataset: MultiviewDataset,
    model: str,
    out: Path,
    *,
    settings: Mapping[str, Any],
    views: Sequence[str] | None = None,
    data_path: str | None = None,
    checkpoint: Path | None = None,
    overwrite: bool = False,
    progress: bool = True,
    top_words: int = 10,
) -> Any:
    """Train a model, resuming where an earlier call stopped, and save it."""
    if model not in MODELS:
        raise SettingsError(f"unknown model '{model}'.{suggest(model, MODELS)}")
    recover(out, MARKER)
    state = checkpoint or out.parent / f"{out.name}.checkpoint"
    unfinished = state.is_dir() and _was_interrupted(out, model, settings)
    if _stopped(out) == "interrupted" and not (overwrite or unfinished):
        raise StorageError(
            f"{out} holds a training that was interrupted, with other settings or another model: "
            "repeat its command to go on, pass --overwrite to throw it away, or choose another "
            "folder."
        )
    check_device(model, [settings.get("device", "auto")])
    check_can_write(out, overwrite=overwrite or unfinished, marker=MARKER)
    known = MODELS[model].settings_class.model_fields
    settings = {n: v for n, v in settings.items() if n != "device" or n in known}
    new = partial(MODELS[model], checkpoint=state, progress=progress, **settings)
    trained = new()
    for name in views or ():
        dataset.view(name)
    kept = [name for name in dataset.views if not views or name in views]
    chosen = dataset.with_views(kept) if len(kept) < len(dataset.views) else dataset
    with held(out):
        try:
            try:
                trained.train_model(chosen, top_words=top_words)
            except OtherRunError:
                if checkpoint is not None or not overwrite:
                    raise
                shutil.rmtree(state)
                trained = new()
                trained.train_model(chosen, top_words=top_words)
        except KeyboardInterrupt:
            if trained.output is None or not trained.history.epochs:
                raise
        trained.data_path = data_path
        trained.save(out, overwrite=overwrite or unfinished)
        if trained.history.stopped != "interrupted" and checkpoint is None:
            shutil.rmtree(state, ignore_errors=True)
    return trained


def check_device(model: str, devices: Sequence[str] | None) -> None:
    """Refuse a device for a model that is computed on the processor alone."""
    others = [device for device in devices or () if device not in ("auto", "cpu")]
    if others and "device" not in MODELS[model].settings_class.model_fields:
        raise SettingsError(
            f"{model} is computed on the processor alone: device='{others[0]}' would do nothing; "
            "leave it out."
        )


def _stopped(out: Path) -> str | None:
    """Return why the training of the model that is there ended, if it is one."""
    history = read_json(out / MARKER).get("history") if (out / MARKER).is_file() else None
    return history.get("stopped") if isinstance(history, dict) else None


def _was_interrupted(out: Path, model: str, settings: Mapping[str, Any]) -> bool:
    """Return whether a model was left there by Ctrl-C in a run with these settings."""
    if not (out / MARKER).is_file():
        return False
    stored = read_json(out / MARKER)
    history, before = stored.get("history"), stored.get("settings")
    if not isinstance(history, dict) or not isinstance(before, dict):
        return False
    same = all(before.get(n) == v for n, v in settings.items() if n not in ("device", "threads"))
    return history.get("stopped") == "interrupted" and stored.get("model") == model and same
