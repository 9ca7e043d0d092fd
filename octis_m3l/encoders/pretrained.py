"""What encoders with pretrained weights share: settings, identity and storage."""

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from octis_m3l.data.item_checks import as_items, check_characters
from octis_m3l.encoders.base import file_name
from octis_m3l.encoders.weights import commit_on_hub, content_hash, existing_path, looks_like_path
from octis_m3l.errors import DataError, OctisM3LError, SettingsError, StorageError, suggest

_WITHOUT_EFFECT = frozenset({"batch_size", "device", "progress"})


def _absolute(given: Any) -> Any:
    text = os.fspath(given) if isinstance(given, os.PathLike) else given
    path = existing_path(text) if isinstance(text, str) else None
    return text if path is None else str(path.absolute())


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("should be a name or a path")
    return text


NameOrPath = Annotated[str, BeforeValidator(_absolute), AfterValidator(_not_empty)]
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
    target: ClassVar[tuple[str, ...]] = ("model",)

    model: NameOrPath
    normalise: bool = False
    progress: bool = False

    _dimensions: int | None = None
    _owner: Literal["model", "data set"] | None = None
    _identity: dict[str, str] | None = None
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
        if name.startswith("_") or getattr(self, name) == before:
            return
        if name not in ("batch_size", "progress"):
            vars(self).pop("_loaded", None)
        if name not in _WITHOUT_EFFECT:
            self._dimensions = self._identity = None
        if name in (*self.paths, "model", "revision"):
            self._saved_identity = None

    def __getstate__(self) -> dict[Any, Any]:
        """Return what is pickled: everything except the loaded weights."""
        state = super().__getstate__()
        return {**state, "__dict__": {n: v for n, v in vars(self).items() if n != "_loaded"}}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return a copy without the loaded weights."""
        copied = self.model_copy()
        vars(copied).pop("_loaded", None)
        return copied

    @contextmanager
    def _settings_errors(self) -> Iterator[None]:
        """Turn pydantic's errors into one line."""
        try:
            yield
        except ValidationError as error:
            fault, *_ = faults = error.errors()
            if not fault["loc"]:
                raise SettingsError(fault["msg"].removeprefix("Value error, ")) from None
            name = str(fault["loc"][0])
            if fault["type"] in ("extra_forbidden", "no_such_attribute"):
                raise SettingsError(
                    f"{type(self).__name__} has no setting '{name}'."
                    f"{suggest(name, type(self).model_fields)}"
                ) from None
            reasons = dict.fromkeys(
                one["msg"].removeprefix("Input ").removeprefix("Value error, ")
                for one in faults
                if one["loc"][:1] == (name,)
            )
            raise SettingsError(f"{name}={fault['input']!r}: it {' or '.join(reasons)}.") from None

    @property
    def name(self) -> str:
        """The name of the encoder, which can be part of a file name."""
        return file_name(Path(self.model).name)

    @property
    def dimensions(self) -> int:
        """The length of its vectors; if it is not known yet, the weights are loaded to find out."""
        if self._dimensions is None:
            self.encode(["a" if self.reads == "text" else np.zeros((8, 8, 3), np.uint8)])
        assert self._dimensions is not None
        return self._dimensions

    def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
        """Return one vector for each item (items × dimensions).

        Parameters
        ----------
        items : sequence of str, or of pictures
            Raw texts; or paths, PIL images or arrays of uint8 (see `octis_m3l.data.pictures`).

        Raises
        ------
        DataError
            If an item is empty or can't be opened, the model can't be loaded, or a vector is not
            finite.
        MissingDependencyError
            If the library of the model is not installed.
        """
        if self.reads == "text":
            items = _checked_texts(items)
        else:
            items = as_items(items, "pictures to encode")
        if not items:
            return np.zeros((0, self.dimensions), np.float32)
        vectors = np.ascontiguousarray(self._vectors(list(items)), np.float32)
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

    @cached_property
    def _loaded(self) -> Any:
        self._check_weights()
        try:
            return self._load()
        except (MemoryError, OctisM3LError):
            raise
        except Exception as error:
            raise self._not_loaded(self._described(self.model), error) from None

    def _described(self, model: str) -> str:
        """Return what messages call the model."""
        return f"the {self.kind} model '{model}'"

    def _precision(self) -> str:
        return "float32"

    # Names and storage

    @property
    def specification(self) -> str:
        """The string from which `encoder_from` makes this encoder."""
        options = [
            f"{name}={_written(value)}"
            for name, field in type(self).model_fields.items()
            if name not in (*self.target, "progress")
            and (value := getattr(self, name)) != field.default
        ]
        return self._target() + ("?" + "&".join(options) if options else "")

    def _target(self) -> str:
        return f"{self.kind}:{quoted(self.model, '?')}"

    @classmethod
    def from_target(cls, scheme: str, target: str) -> dict[str, Any]:
        """Return the settings in the part of a specification before '?'.

        Parameters
        ----------
        scheme, target : str
            The parts before and after the first colon.
        """
        return {"model": unquote(target)}

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return no arrays, and the settings that affect its vectors.

        Once the encoder has encoded something, these include which weights it has.
        """
        settings = self.model_dump(exclude={*_WITHOUT_EFFECT})
        identity = self._identity or self._saved_identity
        if "revision" in settings and identity is not None:
            settings["revision"] = identity.get("commit", self.revision)  # type: ignore[attr-defined]
        settings["dimensions"] = self._dimensions
        if identity is not None:
            settings["identity"] = dict(identity)
        return {}, settings

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Return the encoder with the settings that `state` returned; no weights are loaded.

        Parameters
        ----------
        arrays, settings
            As returned by `state`.

        Raises
        ------
        StorageError
            If a setting is unknown or has an impossible value.
        """
        own = dict(settings)
        dimensions, identity = own.pop("dimensions", None), own.pop("identity", None)
        try:
            encoder = cls(**own)
        except SettingsError as error:
            raise StorageError(
                f"a stored encoder of kind '{cls.kind}' can't be restored: {error} Was it written "
                "by a newer version?"
            ) from None
        encoder._dimensions, encoder._owner = dimensions, "model"
        encoder._saved_identity = None if identity is None else dict(identity)
        return encoder

    def of_dataset(self) -> Self:
        """Return the encoder itself, whose errors from now on say that a data set records it."""
        self._owner = "data set"
        return self

    def recall_dimensions(self, dimensions: int) -> None:
        """Set the dimensions if they are not known, so that no weights are loaded to find out.

        Parameters
        ----------
        dimensions : int
            The length of vectors that an encoder with the same fingerprint returned.
        """
        if self._dimensions is None:
            self._dimensions = dimensions

    # Which weights it has

    def fingerprint(self) -> str:
        """Return a SHA-256 of everything that affects its vectors, weights included.

        A model of the Hugging Face Hub counts by its commit, a local one by the content of its
        files, wherever they are. The device and the size of batches have no effect; the precision
        has, so that 'auto' differs between CPU and CUDA.

        Raises
        ------
        DataError
            If the model is not found.
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
        folder = existing_path(self.model)
        if folder is not None:
            return {"content": content_hash(folder)}
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
        saved = self._saved_identity
        if saved is not None and saved.get("commit"):
            return saved.get("repository") or saved["model"], saved["commit"]
        try:
            return commit_on_hub(names, revision)
        except Exception as error:
            at = f" at revision '{revision}'" if revision else ""
            raise self._not_loaded(f"{self._described(names[-1])}{at}", error) from None

    def _check_weights(self) -> None:
        """Refuse other weights than the saved encoder had."""
        now = _distinction(self._weights)
        if self._saved_identity is None or (then := _distinction(self._saved_identity)) == now:
            return
        where = next((v for n in self.paths if (v := getattr(self, n))), self.model)
        raise StorageError(
            f"{where} has other weights than the encoder of the {self._made()} had ({then[:16]} "
            f"then, {now[:16]} now), so vectors of new items would not fit. Put the former weights "
            f"back, or {self._remedy()}."
        )

    def _check_paths(self) -> None:
        for name in self.paths:
            value = getattr(self, name)
            if value is None or existing_path(value) is not None or not looks_like_path(value):
                continue
            if self._owner is None:
                raise DataError(f"{name}='{value}': there is no such file or folder.")
            raise DataError(
                f"{value} is missing: the encoder of the {self._made()} had its {name} there. Put "
                f"it back, or {self._remedy()}."
            )

    def _not_loaded(self, what: str, error: Exception | str) -> DataError:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        again = "" if self._owner is None else f". Or {self._remedy()}"
        return DataError(
            f"{what} can't be loaded ({lines[0]}). Check the spelling and the network connection, "
            f"or download it elsewhere and pass the local path{again}."
        )

    def _made(self) -> str:
        return "saved model" if self._owner == "model" else "data set's embeddings"

    def _remedy(self) -> str:
        """Return how to go on without the weights that a saved encoder had."""
        new = f"{{view: {type(self).__name__}(…)}}"
        if self._owner == "model":
            return f"give the model its encoder when loading it: load(folder, encoders={new})"
        return (
            "embed the data set again (its embeddings are intact, but new items need the encoder): "
            f"embed(dataset, {new})"
        )


def _checked_texts(items: Sequence[str]) -> list[str]:
    texts = as_items(items, "texts to encode")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"text {row} is of type {type(text).__name__}; expected a str.")
        if not text.strip():
            raise DataError(f"text {row} is empty: there is nothing to encode; leave it out.")
        check_characters(text, f"text {row}")
    return texts


def quoted(text: str, special: str) -> str:
    """Return a text with '%' and one special character written as in a URL."""
    return text.replace("%", "%25").replace(special, f"%{ord(special):02X}")


def _written(value: Any) -> str:
    """Return a setting as it is written after '?' in a specification."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int):
        text = quoted(str(value), "&")
        return "%6Eone" if text == "none" else text
    return ",".join([*value, ""] if len(value) == 1 else value)


def _distinction(identity: Mapping[str, str]) -> str:
    """Return what distinguishes weights from others: a hash, a commit or an address."""
    return identity.get("content") or identity.get("commit") or json.dumps(dict(identity))
