"""What encoders with pretrained weights share: settings, identity and storage."""

import hashlib
import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import unquote
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from octis_m3l.data.item_checks import as_items, check_characters
from octis_m3l.encoders.base import file_name
from octis_m3l.encoders.specification import specified
from octis_m3l.errors import DataError, OctisM3LError, SettingsError, StorageError
from octis_m3l.files import sha256
from octis_m3l.validation import problems

_WEIGHTS = frozenset({".safetensors", ".bin", ".pt", ".pth", ".npz"})
_HASHED = _WEIGHTS | {".json", ".txt", ".model", ".spm", ".vocab"}
_WITHOUT_EFFECT = frozenset({"batch_size", "device", "progress"})


def _absolute(given: Any) -> Any:
    text = os.fspath(given) if isinstance(given, os.PathLike) else given
    path = existing_path(text) if isinstance(text, str) else None
    return text if path is None else str(path.absolute())


NameOrPath = Annotated[str, Field(min_length=1), BeforeValidator(_absolute)]
"""A model's name, or a path, which is kept as an absolute one if something is there."""


class PretrainedEncoder(BaseModel, ABC):
    """Base class of encoders with pretrained weights; the fields are the settings.

    An encoder is cheap to make: its weights are loaded when it first encodes something. It is
    saved with a model, and pickled, as its settings alone. A subclass sets `kind`, adds the
    settings of its own, and implements `_load` and `_vectors`; being a class in a file of this
    folder is enough for it to be found by `encoder_from` and `load_encoder`.

    Parameters
    ----------
    model : str
        A name on the Hugging Face Hub, or a folder. A model in the Hub's local cache is used as it
        is there.
    normalise : bool
        Whether to divide each vector by its length.
    progress : bool
        Whether to show a progress bar.
    """

    model_config = ConfigDict(extra="forbid", strict=True, validate_assignment=True)

    kind: ClassVar[str]
    schemes: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[Literal["text", "picture"]] = "text"
    paths: ClassVar[tuple[str, ...]] = ("model",)
    """The settings that may be paths."""
    target: ClassVar[tuple[str, ...]] = ("model",)
    """The settings that a specification has before its options."""

    model: NameOrPath
    normalise: bool = False
    progress: bool = False

    _dimensions: int | None = None
    _identity: dict[str, str] | None = None
    # What a saved encoder had; None for a new one.
    _saved_identity: dict[str, str] | None = None

    def __init__(self, **settings: Any) -> None:
        with self._settings_errors():
            super().__init__(**settings)

    __str__ = BaseModel.__repr__
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a setting, and forget the weights that were loaded for its former value."""
        before = getattr(self, name, None)
        with self._settings_errors():
            super().__setattr__(name, value)
        if name not in type(self).model_fields or getattr(self, name) == before:
            return
        if name not in ("batch_size", "progress"):
            _LOADED.pop(self, None)
        if name not in _WITHOUT_EFFECT:
            self._dimensions = self._identity = None
        if name in (*self.paths, "model", "revision"):
            self._saved_identity = None

    @contextmanager
    def _settings_errors(self) -> Iterator[None]:
        """Turn pydantic's errors into one line."""
        try:
            yield
        except ValidationError as error:
            who, known = type(self).__name__, type(self).model_fields
            raise SettingsError(f"{who}: {problems(error, known)}") from None

    @property
    def name(self) -> str:
        """The name of the encoder, which can be part of a file name."""
        return file_name(self._label())

    def _label(self) -> str:
        return "-".join([Path(self.model).name, *(Path(one).stem for one in self._others())])

    def _others(self) -> list[str]:
        """Return the settings beside the model that say where weights are."""
        return [value for name in self.paths if name != "model" and (value := getattr(self, name))]

    @property
    def dimensions(self) -> int:
        """The length of its vectors; if it is not known yet, the weights are loaded to find out."""
        if self._dimensions is None:
            self.encode(["a" if self.reads == "text" else np.zeros((8, 8, 3), np.uint8)])
        assert self._dimensions is not None
        return self._dimensions

    def recall_dimensions(self, dimensions: int) -> None:
        """Take the length of vectors that the same encoder returned before, unless it is known."""
        self._dimensions = self._dimensions or dimensions

    def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
        """Return one vector for each item (items × dimensions).

        Parameters
        ----------
        items : sequence of str, or of pictures
            Raw texts; or paths, PIL images or arrays of uint8 (see `octis_m3l.data.pictures`). An
            error names the first that is empty, can't be opened, or has no finite vector.
        """
        items = as_items(items, f"{self.reads}s to encode")
        if self.reads == "text":
            check_texts(items)
        if not items:
            return np.zeros((0, self.dimensions), np.float32)
        vectors = np.ascontiguousarray(self._vectors(items), np.float32)
        self._dimensions = int(vectors.shape[1])
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            remedy = (
                "float16 overflows in some models: pass precision='bfloat16' or 'float32'."
                if self._precision() == "float16"
                else f"look at that {self.reads}, and check that the model's weights are intact."
            )
            raise DataError(f"the vector of {self.reads} {bad[0]} is not finite; {remedy}")
        if self.normalise:
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors /= np.where(lengths > 0, lengths, 1.0).astype(np.float32)
        return vectors

    @abstractmethod
    def _load(self) -> Any:
        """Return the loaded model; any exception becomes an error that says what was wanted."""

    @abstractmethod
    def _vectors(self, items: list[Any]) -> NDArray[Any]:
        """Return the model's vectors of one item or more, by means of ``self._loaded``."""

    @property
    def _loaded(self) -> Any:
        if self not in _LOADED:
            if self._weights != (self._saved_identity or self._weights):
                where = next((v for n in self.paths if (v := getattr(self, n))), self.model)
                raise StorageError(
                    f"{where} has other weights than the saved encoder had, so vectors of new "
                    f"items would not fit. Put the former weights back.{self._or_another()}"
                )
            try:
                _LOADED[self] = self._load()
            except (MemoryError, OctisM3LError):
                raise
            except Exception as error:
                raise self._not_loaded(self._described(self.model), error) from None
        return _LOADED[self]

    def _described(self, model: str) -> str:
        """Return what messages call the model."""
        weights = [f" with the weights '{weights}'" for weights in self._others()]
        return f"the {self.kind} model '{model}'{''.join(weights)}"

    def _precision(self) -> str:
        return "float32"

    # Names and storage

    @property
    def specification(self) -> str:
        """The string from which `encoder_from` makes this encoder."""
        options = {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if name not in (*self.target, "progress") and getattr(self, name) != field.default
        }
        return specified(*self._target(), options)

    def _target(self) -> tuple[str, str]:
        """Return the parts of its specification before and after the colon."""
        return self.kind, self.model

    @classmethod
    def from_target(cls, scheme: str, target: str) -> dict[str, Any]:
        """Return the settings that the parts of a specification around the colon stand for."""
        return {"model": unquote(target)}

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return no arrays, and the settings that affect its vectors.

        Once the encoder has encoded something, these include which weights it has.
        """
        settings = self.model_dump(exclude={*_WITHOUT_EFFECT})
        settings["dimensions"] = self._dimensions
        if identity := self._identity or self._saved_identity:
            settings["identity"] = dict(identity)
            if "revision" in settings and "commit" in identity:
                settings["revision"] = identity["commit"]
        return {}, settings

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Return the encoder with the settings that `state` returned; no weights are loaded."""
        own = dict(settings)
        dimensions, identity = own.pop("dimensions", None), own.pop("identity", None)
        encoder = cls(**own)
        encoder._dimensions = dimensions
        encoder._saved_identity = dict(identity or {})
        return encoder

    # Which weights it has

    def fingerprint(self) -> str:
        """Return a SHA-256 of everything that affects its vectors, weights included.

        A model of the Hugging Face Hub counts by its commit, a local one by the content of its
        files, wherever they are. The device and the size of batches have no effect; the precision
        has, so that 'auto' differs between CPU and CUDA.
        """
        content = {
            "kind": self.kind,
            "settings": self.model_dump(
                exclude={*_WITHOUT_EFFECT, *self._located_by(), "revision", "precision"}
            ),
            "precision": self._precision(),
            "weights": self._weights,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def _weights(self) -> dict[str, str]:
        """What identifies the weights, found when first asked for."""
        if self._identity is None:
            self._identity = self._identify()
        return self._identity

    def _identify(self) -> dict[str, str]:
        """Return what distinguishes the weights from all others."""
        self._check_paths()
        model = {} if "model" in self._located_by() else {"model": self.model}
        for name in self._located_by():
            if path := existing_path(getattr(self, name)):
                return {**model, "content": content_hash(path)}
        return {**model, **self._published()}

    def _published(self) -> dict[str, str]:
        """Return what distinguishes weights that are not in a local file or folder."""
        name, commit = self._on_hub(self._repositories(), getattr(self, "revision", None))
        return {"model": name, "commit": commit}

    def _repositories(self) -> list[str]:
        """Return the names that the model may have on the Hub; the first that exists counts."""
        return [self.model]

    def _located_by(self) -> tuple[str, ...]:
        """Return the settings that only say where the weights are."""
        return self.paths

    def _on_hub(self, names: Sequence[str], revision: str | None) -> tuple[str, str]:
        """Return the repository and the commit of a model of the Hub; a saved commit stays."""
        saved = self._saved_identity or {}
        if saved.get("commit"):
            return saved.get("repository") or saved["model"], saved["commit"]
        try:
            return commit_on_hub(names, revision)
        except Exception as error:
            at = f" at revision '{revision}'" if revision else ""
            raise self._not_loaded(f"{self._described(names[-1])}{at}", error) from None

    def _check_paths(self) -> None:
        for name in self.paths:
            value = getattr(self, name)
            if value is not None and existing_path(value) is None and looks_like_path(value):
                raise DataError(
                    f"{name}='{value}': there is no such file or folder.{self._or_another()}"
                )

    def _not_loaded(self, what: str, error: Exception | str) -> DataError:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return DataError(
            f"{what} can't be loaded ({lines[0]}). Check the spelling and the network connection, "
            f"or download it elsewhere and pass the local path.{self._or_another()}"
        )

    def _or_another(self) -> str:
        """Return how to go on without the weights that a saved encoder had."""
        if self._saved_identity is None:
            return ""
        new = f"{{view: {type(self).__name__}(…)}}"
        return (
            f" Or give another encoder: to a saved model, load(folder, encoders={new}); to a data "
            f"set, embed(dataset, {new})."
        )


_LOADED: WeakKeyDictionary[PretrainedEncoder, Any] = WeakKeyDictionary()
"""Loaded models, kept outside of the encoders, which are copied and pickled without them."""


def check_texts(texts: Sequence[Any]) -> None:
    """Refuse texts that are empty or no texts, and say which."""
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"text {row} is of type {type(text).__name__}; expected a str.")
        if not text.strip():
            raise DataError(f"text {row} is empty: there is nothing to encode; leave it out.")
        check_characters(text, f"text {row}")


# Where weights are, and which version of them


def existing_path(text: str | None) -> Path | None:
    """Return the file or folder of that name, or None if there is none."""
    with suppress(OSError, RuntimeError):
        if text and (path := Path(text).expanduser()).exists():
            return path
    return None


def looks_like_path(text: str) -> bool:
    """Return whether a text can only be meant as a path, not as a name."""
    begins = text.startswith((".", "~")) or Path(text).is_absolute()
    return begins or (":" not in text and text.count("/") > 1) or Path(text).suffix in _WEIGHTS


def content_hash(path: Path) -> str:
    """Return a SHA-256 of a file, or of the files of weights and settings in a folder."""
    digest = hashlib.sha256()
    for one in [path] if path.is_file() else sorted(path.rglob("*")):
        if one.is_file() and (one == path or one.suffix in _HASHED):
            name = "" if one == path else one.relative_to(path).as_posix()
            digest.update(f"{name}\0{sha256(one)}\0".encode())
    return digest.hexdigest()


def commit_on_hub(names: Sequence[str], revision: str | None) -> tuple[str, str]:
    """Return the repository and the commit of a model on the Hugging Face Hub.

    The first of the names that is in the Hub's local cache counts, at the commit found there. If
    none is, the Hub is asked.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    if revision is not None and re.fullmatch("[0-9a-f]{40}", revision) and len(names) == 1:
        return names[0], revision
    for name in names:
        with suppress(LocalEntryNotFoundError):
            cached = snapshot_download(name, revision=revision, local_files_only=True)
            return name, Path(cached).name
    for name in names[:-1]:
        # It may not exist under this name; an error about the last name is the user's.
        with suppress(Exception):
            return name, str(HfApi().model_info(name, revision=revision).sha)
    return names[-1], str(HfApi().model_info(names[-1], revision=revision).sha)


def close_names(given: str, known: Sequence[str]) -> str:
    """Return a question after names like the one given, out of too many to list them all."""
    close = get_close_matches(given, known, n=3)
    return f"did you mean {' or '.join(close)}?" if close else "is it misspelt?"
