"""Models saved as safetensors and JSON, in one folder written whole."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from octis_m3l.data.folder.reading import Tokenizer
from octis_m3l.data.views import VIEW_NAME
from octis_m3l.encoders.latent_semantic import LatentSemanticEncoder
from octis_m3l.encoders.protocol import Encoder, StoredEncoder
from octis_m3l.encoders.storage import is_stored, load_encoder, save_encoder
from octis_m3l.errors import OctisM3LError, SettingsError, StorageError, suggest
from octis_m3l.files import (
    check_file_sizes,
    file_sizes,
    folder_written_whole,
    read_json,
    write_json,
)
from octis_m3l.models.output import ModelOutput
from octis_m3l.models.settings import chosen_device
from octis_m3l.training import History

if TYPE_CHECKING:
    from octis_m3l.models.neural import NeuralTopicModel

FORMAT, VERSION, MARKER = "octis-m3l model", 1, "model.json"


def save_model(model: "NeuralTopicModel", folder: Path, *, overwrite: bool) -> None:
    """Write a trained model.

    Parameters
    ----------
    model : NeuralTopicModel
        What to write.
    folder : Path
        Written whole.
    overwrite : bool
        Whether a model that is there already may be replaced.

    Raises
    ------
    StorageError
        If the folder is taken.
    NotTrainedError
        If there is nothing to write.
    """
    output, network = model._trained(), model._ready()
    assert model.trained_settings is not None and model.history is not None
    with folder_written_whole(folder, overwrite=overwrite, marker=MARKER) as temporary:
        weights = {n: t.detach().cpu().contiguous() for n, t in network.state_dict().items()}
        save_file(weights, temporary / "weights.safetensors")
        matrices = {
            key: np.ascontiguousarray(value)
            for key, value in output.items()
            if "/" in key and not key.startswith("topic-word-matrix")
        }
        save_arrays(matrices, temporary / "output.safetensors")
        stored = []
        for name, encoder in model.encoders.items():
            if is_stored(encoder):
                save_encoder(cast(StoredEncoder, encoder), temporary / "encoders" / name)
                stored.append(name)
        write_json(
            temporary / MARKER,
            {
                "format": FORMAT,
                "version": VERSION,
                "written_by": version("octis-m3l"),
                "model": model.name,
                "settings": model.trained_settings.model_dump(),
                "given": model.trained_settings.model_dump(include=set(model.trained_given)),
                "pivot": output.pivot,
                "seed": output.seed,
                "top_words": output.top_words,
                "use_partitions": model.use_partitions,
                "network": network.shape,
                "vocabularies": {name: list(v) for name, v in output.vocabularies.items()},
                "encoders": stored,
                "encoders_not_stored": sorted(set(model.encoders) - set(stored)),
                "history": vars(model.history),
                "data": model.data_path,
                "data_fingerprints": model.data_fingerprints,
                "files": file_sizes(temporary),
            },
        )


def load_model(
    folder: Path | str,
    *,
    device: str = "cpu",
    encoders: Mapping[str, Encoder] | None = None,
    tokenizers: Mapping[str, Tokenizer] | None = None,
) -> "NeuralTopicModel":
    """Read a model of any kind.

    Parameters
    ----------
    folder : Path or str
        Where `save` wrote it.
    device : str
        Where it goes, whatever device it was trained on.
    encoders : mapping of view to Encoder, optional
        Encoders of one's own, which are not saved, for views that were trained with them or on
        given embeddings; only raw items need them.
    tokenizers : mapping of text view to callable, optional
        Functions that split texts into words, which are not saved either.

    Raises
    ------
    StorageError
        If the folder is missing, incomplete, or holds something else.
    SettingsError
        If an encoder or a tokenizer is given to a view that has its own, or does not fit.
    """
    from octis_m3l.models import MODELS

    folder = Path(folder)
    if not (folder / MARKER).is_file():
        what = "is no folder" if not folder.is_dir() else f"holds no {MARKER}"
        raise StorageError(f"{folder} {what}: expected a folder that a model was saved to.")
    described = read_json(folder / MARKER)
    if described.get("format") != FORMAT or described.get("model") not in MODELS:
        raise StorageError(
            f"{folder / MARKER} describes no model that is known here (format "
            f"'{described.get('format')}', model '{described.get('model')}'); known are "
            f"{', '.join(MODELS)}."
        )
    if described["version"] > VERSION:
        raise StorageError(
            f"{folder} was written by octis-m3l {described['written_by']}, in a newer format; "
            "upgrade this installation: pip install --upgrade octis-m3l."
        )
    try:
        check_file_sizes(folder, described["files"])
        for name in (*described["encoders"], *described["network"]["dimensions"]):
            if not VIEW_NAME.fullmatch(name):
                raise StorageError(f"{folder / MARKER} names a view '{name}', which none can be.")
        model = _restored(MODELS[described["model"]], folder, described, device)
    except (KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            f"{folder / MARKER} lacks or misstates {error}; it was changed by hand or is damaged."
        ) from error
    _give_tokenizers(model, tokenizers or {})
    _give_encoders(model, encoders or {})
    return model


def _give_tokenizers(model: "NeuralTopicModel", tokenizers: Mapping[str, Tokenizer]) -> None:
    for name, tokenizer in tokenizers.items():
        encoder = model.encoders.get(name)
        if not isinstance(encoder, LatentSemanticEncoder):
            raise SettingsError(
                f"tokenizers: the model splits no texts of a view '{name}' into words."
                f"{suggest(name, model.encoders)}"
            )
        model.encoders[name] = encoder.with_tokenizer(tokenizer)


def _give_encoders(model: "NeuralTopicModel", encoders: Mapping[str, Encoder]) -> None:
    dimensions = model._ready().shape["dimensions"]
    for name, encoder in encoders.items():
        model._known_view(name, list(dimensions))
        if name in model.encoders:
            raise SettingsError(
                f"view '{name}' has the encoder that it was trained with "
                f"({model.encoders[name].name}); leave it out of encoders."
            )
        if encoder.dimensions != dimensions[name]:
            raise SettingsError(
                f"the encoder given for view '{name}' has {encoder.dimensions} dimensions, the "
                f"model was trained on {dimensions[name]}; give the one that it was trained with."
            )
        model.encoders[name] = encoder


def _restored(
    kind: "type[NeuralTopicModel]", folder: Path, described: dict[str, Any], device: str
) -> "NeuralTopicModel":
    model = kind(**described["given"])
    settings: Any = model._settings(described["settings"])
    shape = described["network"]
    network = model._network(shape["dimensions"], shape["vocabularies"], settings)
    try:
        network.load_state_dict(load_file(folder / "weights.safetensors"))
        arrays = load_arrays(folder / "output.safetensors")
    except (SafetensorError, OSError, RuntimeError) as error:
        if isinstance(error, OctisM3LError):
            raise
        raise StorageError(
            f"the weights in {folder} do not fit the model ({str(error).splitlines()[0]}); copy "
            "the folder again."
        ) from None
    network.to(chosen_device(device)).eval()
    model.network, model.trained_settings = network, settings
    model.use_partitions = described["use_partitions"]
    model.trained_given = tuple(described["given"])
    model.data_fingerprints = described["data_fingerprints"]
    model.run_seed, model.data_path = described["seed"], described["data"]
    model.history = History(**described["history"])
    model.encoders = {n: load_encoder(folder / "encoders" / n) for n in described["encoders"]}
    vocabularies = {n: tuple(words) for n, words in described["vocabularies"].items()}
    words = {n: matrix.cpu().numpy() for n, matrix in network.topic_words().items()}
    model.output = ModelOutput.restored(
        described["pivot"], words, arrays, vocabularies, described["top_words"], described["seed"]
    )
    return model
