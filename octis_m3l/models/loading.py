"""Saved models of any kind."""

from pathlib import Path
from typing import Any

from octis_m3l.errors import StorageError
from octis_m3l.models import MODELS
from octis_m3l.models.base import TopicModel
from octis_m3l.models.storage import MARKER, read_description


def load_model(folder: Path | str, *, device: str = "cpu", **given_again: Any) -> TopicModel:
    """Read a model of any kind.

    Parameters
    ----------
    folder : Path or str
        Where `save` wrote it.
    device : str
        Where it goes, whatever device it was trained on.
    **given_again
        Callables that `save` could not store, as for the model's own ``load``: ``tokenizers``,
        ``encoders``.

    Raises
    ------
    StorageError
        If the folder is missing, incomplete, or holds something else.
    SettingsError
        If what is given again does not fit.
    """
    folder = Path(folder)
    described = read_description(folder)
    if described.get("model") not in MODELS:
        raise StorageError(
            f"{folder / MARKER} describes no model that is known here "
            f"('{described.get('model')}'); known are {', '.join(MODELS)}."
        )
    model: TopicModel = MODELS[described["model"]].restored(
        folder, described, device=device, **given_again
    )
    return model
