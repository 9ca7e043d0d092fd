"""Pretrained encoders said in a string, in JSON and in a hash."""

import hashlib
import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, Literal, Self, get_args, get_type_hints
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from octis_m3l.encoders.opening import commit_on_hub, is_path, local, no_network
from octis_m3l.encoders.picture import PictureEncoder
from octis_m3l.encoders.protocol import Encoder
from octis_m3l.errors import DataError, SettingsError, StorageError, suggest

_WITHOUT_EFFECT = frozenset({"batch_size", "device", "progress"})
_WHICH_WEIGHTS = frozenset({"model", "revision", "pretrained", "weights"})
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


class PretrainedEncoder(ABC):
    """What encoders over pretrained networks share. Subclasses are dataclasses of settings.

    An encoder is cheap to make: weights are loaded when `encode` is first called, or `dimensions`
    asked for and not known. It is saved with a model as its settings alone, and pickled so too.
    """

    kind: ClassVar[str]
    schemes: ClassVar[tuple[str, ...]]
    paths: ClassVar[tuple[str, ...]] = ("model",)

    _in_target: ClassVar[frozenset[str]] = frozenset({"model", "progress"})

    model: str
    _dimensions: int | None = None
    _owner: Literal["model", "data set"] | None = None
    _found: tuple[str, str] | None = None
    _identity: dict[str, str] | None = None
    _expected: dict[str, str] | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a setting; what was loaded or found for the former value of it is forgotten."""
        changed = name in _settings_of(type(self)) and name in vars(self)
        changed = changed and vars(self)[name] != value
        super().__setattr__(name, value)
        if not changed or name in ("batch_size", "progress"):
            return
        vars(self).pop("_loaded", None)
        if name == "device":
            return
        self._dimensions = self._found = self._identity = None
        if name in _WHICH_WEIGHTS:
            self._expected = None

    def __post_init__(self) -> None:
        """Check the settings."""
        for name, adapter in _adapters(type(self)).items():
            value = getattr(self, name)
            value = os.fspath(value) if isinstance(value, os.PathLike) else value
            setattr(self, name, _checked(name, adapter, value))
        for name in self.paths:
            if getattr(self, name) == "":
                raise SettingsError(f"{name}='' names no model; give a name or a path.")
            path = local(getattr(self, name))
            if path is not None:
                setattr(self, name, str(path.absolute()))

    @property
    def name(self) -> str:
        """What the encoder is called: fit for the name of a file."""
        return file_name(Path(self.model).name)

    @property
    def dimensions(self) -> int:
        """How long its vectors are; the model is loaded if that is not known yet."""
        if self._dimensions is None:
            self._dimensions = self._measured()
        return self._dimensions

    @abstractmethod
    def encode(self, items: Any) -> NDArray[np.float32]:
        """Return one vector for each item (items × dimensions)."""

    @abstractmethod
    def _measured(self) -> int:
        """Return the dimensions, from the loaded model."""

    @abstractmethod
    def _weights(self) -> dict[str, str]:
        """Return what tells the model's weights from any others."""

    def _precision(self) -> str:
        return "float32"

    @property
    def specification(self) -> str:
        """The string that `encoder_from` makes this encoder from."""
        options = [
            f"{one.name}={_written(getattr(self, one.name))}"
            for one in _settings_of(type(self)).values()
            if one.name not in self._in_target and getattr(self, one.name) != one.default
        ]
        return self._target() + ("?" + "&".join(options) if options else "")

    def _target(self) -> str:
        return f"{self.schemes[0]}:{quoted(self.model, '?')}"

    @classmethod
    def from_target(cls, scheme: str, target: str) -> dict[str, Any]:
        """Return the settings that the part of a specification before '?' says.

        Parameters
        ----------
        scheme, target : str
            Before and after the first colon.
        """
        return {"model": unquote(target)}

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return no arrays, and the settings that decide its vectors, paths made absolute.

        With them which weights it has, where that is known: once it has encoded something.
        """
        settings = {
            name: getattr(self, name)
            for name in _settings_of(type(self))
            if name not in _WITHOUT_EFFECT
        }
        for name in self.paths:
            path = local(settings[name])
            settings[name] = settings[name] if path is None else str(path.absolute())
        if "revision" in settings and self._found is not None:
            settings["revision"] = self._found[1]
        settings["dimensions"] = self._dimensions
        identity = self._identity or self._expected
        if identity is not None:
            settings["identity"] = dict(identity)
        return {}, settings

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Return the encoder that `state` described; its weights are loaded when they are needed.

        Parameters
        ----------
        arrays, settings
            As `state` gave them.

        Raises
        ------
        StorageError
            If a setting is not known.
        """
        own = dict(settings)
        dimensions, identity = own.pop("dimensions", None), own.pop("identity", None)
        for name in own:
            if name not in _settings_of(cls):
                raise StorageError(
                    f"a stored encoder of kind '{cls.kind}' has a setting '{name}' that is not "
                    "known; was it written by a newer version?"
                )
        encoder = cls(**own)
        encoder._dimensions, encoder._owner = dimensions, "model"
        encoder._expected = None if identity is None else dict(identity)
        return encoder

    def of_dataset(self) -> Self:
        """Return the encoder itself, which from now on says that a data set's embeddings are its.

        Only messages of errors depend on it.
        """
        self._owner = "data set"
        return self

    def fingerprint(self) -> str:
        """Return a SHA-256 of all that decides its vectors, weights included.

        Of a model from the Hugging Face Hub the commit counts, of a local one the content of its
        files when first asked, wherever they are. Where it computes and in which batches does not
        count; what it computes in does, so that 'auto' differs between a CPU and CUDA.

        Raises
        ------
        DataError
            If the model is not there.
        """
        if self._identity is None:
            self._identity = self._weights()
        left_out = {*_WITHOUT_EFFECT, *self._places(), "revision", "precision"}
        settings = {n: getattr(self, n) for n in _settings_of(type(self)) if n not in left_out}
        content = {
            "kind": self.kind,
            "settings": settings,
            "precision": self._precision(),
            "weights": self._identity,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _places(self) -> tuple[str, ...]:
        """Return the settings that say where weights are, which `_weights` tells by content."""
        return self.paths

    def _check_weights(self) -> None:
        """Note which weights are about to be loaded; refuse others than a restored one had.

        Raises
        ------
        StorageError
            If they are others.
        """
        if self._identity is None:
            self._identity = self._weights()
        if self._expected is None:
            return
        then, now = _which(self._expected), _which(self._identity)
        if then == now:
            return
        where = next((v for n in self.paths if (v := getattr(self, n))), self.model)
        made = "saved model" if self._owner == "model" else "data set's embeddings"
        remedy = (
            "train the model again with these, or give the encoder that has the former ones: "
            f"load(folder, encoders={{view: {type(self).__name__}(…)}})"
            if self._owner == "model"
            else "make the data set's embeddings again with these: "
            f"embed(dataset, {{view: {type(self).__name__}(…)}})"
        )
        raise StorageError(
            f"{where} has other weights than those that the {made} had been made with ({then[:16]} "
            f"then, {now[:16]} now), so vectors of new items would not fit. Put the former ones "
            f"back, or {remedy}."
        )

    def _check_paths(self) -> None:
        for name in self.paths:
            value = getattr(self, name)
            if value is None or local(value) is not None or not is_path(value):
                continue
            if self._owner == "data set":
                raise DataError(
                    f"{value} is not there any more: the encoder that made the data set's "
                    f"embeddings had its {name} there. They are whole without it, but new items "
                    "need it: put it back, or make the embeddings again with one that is here: "
                    f"embed(dataset, {{view: {type(self).__name__}(…)}})."
                )
            if self._owner == "model":
                raise DataError(
                    f"{value} is not there any more: the encoder of a saved model had its {name} "
                    "there. Put it back, or tell where it is now: load(folder, encoders={view: "
                    f"{type(self).__name__}(…)}})."
                )
            raise DataError(f"{name}='{value}': there is no such file or folder.")

    def _on_hub(self, names: Sequence[str], revision: str | None) -> tuple[str, str]:
        """Return the repository and the commit of a model of the Hub, the cached one if any."""
        if self._found is None and self._expected is not None and self._expected.get("commit"):
            name = self._expected.get("repository") or self._expected["model"]
            self._found = name, self._expected["commit"]
        if self._found is None:
            try:
                self._found = commit_on_hub(names, revision)
            except Exception as error:
                at = f" at revision '{revision}'" if revision else ""
                raise self._not_loaded(f"{self._called(names[-1])}{at}", error) from None
        return self._found

    def _called(self, repository: str) -> str:
        return f"the model '{repository}'"

    def _not_loaded(self, given: str, error: Exception | str) -> DataError:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        again = ""
        if self._owner == "model":
            again = (
                ", or give a model that was saved another encoder: load(folder, encoders={view: …})"
            )
        elif self._owner == "data set":
            again = (
                ". It made the data set's embeddings, which are whole without it; new items need it"
            )
        if isinstance(error, Exception) and no_network(error):
            why = f": the network can't be reached ({lines[0]}). Try again later, or"
        else:
            why = f" ({lines[0]}). Check the spelling; where there is no network,"
        return DataError(
            f"{given} can't be loaded{why} download it elsewhere and pass the local path{again}."
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_loaded"}


def encoder_from(text: str, **options: Any) -> Encoder:
    """Return the encoder that a string names, for the command line and YAML.

    ``sentence-transformers:NAME``, ``model2vec:NAME``, ``timm:NAME``, ``open-clip:ARCH/PRETRAINED``
    for images and ``open-clip-text:ARCH/PRETRAINED`` for texts, or ``picture``. NAME is a model or
    a local path. After ``?`` stand options, ``key=value``, with ``&`` between them, as in
    ``sentence-transformers:NAME?max_length=128&long_texts=mean``. In a name ``?`` is written
    ``%3F``, in a value ``&`` is ``%26``, and ``%`` is ``%25``.

    Parameters
    ----------
    text : str
        The specification; `encoder.specification` gives it back.
    **options
        Settings of the encoder, beside those in the text and before them.

    Raises
    ------
    SettingsError
        If a scheme or an option is not known, or a value is not possible.
    """
    known = _schemes()
    before, _, after = text.partition("?")
    scheme, colon, target = before.partition(":")
    if scheme not in known:
        raise SettingsError(f"unknown encoder '{scheme}'.{suggest(scheme, known)}")
    if scheme == "picture":
        if colon or after or options:
            raise SettingsError(f"'{text}': the encoder 'picture' has neither names nor options.")
        return PictureEncoder()
    if not target:
        raise SettingsError(f"'{text}' names no model; expected {scheme}:NAME.")
    encoder_class = known[scheme]
    settings = encoder_class.from_target(scheme, target)
    hints = get_type_hints(encoder_class, include_extras=True)
    possible = [n for n in _settings_of(encoder_class) if n not in settings]
    for part in filter(None, after.split("&")):
        key, equals, value = part.partition("=")
        _check_option(text, key, possible)
        if not equals:
            raise SettingsError(f"'{text}': option '{key}' has no value; write {key}=VALUE.")
        settings[key] = _read(key, hints[key], value)
    for key in options:
        _check_option(text, key, possible)
    encoder: Encoder = encoder_class(**{**settings, **options})
    return encoder


def _schemes() -> dict[str, Any]:
    from octis_m3l.encoders.clip import ClipEncoder
    from octis_m3l.encoders.sentence import SentenceEncoder
    from octis_m3l.encoders.static import StaticEncoder
    from octis_m3l.encoders.timm_encoder import TimmEncoder

    classes: tuple[type[PretrainedEncoder], ...] = (
        SentenceEncoder,
        StaticEncoder,
        ClipEncoder,
        TimmEncoder,
    )
    return {
        "picture": PictureEncoder,
        **{scheme: one for one in classes for scheme in one.schemes},
    }


def file_name(text: str) -> str:
    """Return a text as a name of at most 100 letters, digits, '.', '_' and '-'.

    Parameters
    ----------
    text : str
        Any text.
    """
    return _UNFIT.sub("-", text).lstrip(".-")[:100] or "encoder"


def quoted(text: str, special: str) -> str:
    """Return a text with '%' and one more character written as in an address.

    Parameters
    ----------
    text : str
        Any text.
    special : str
        The character.
    """
    return text.replace("%", "%25").replace(special, f"%{ord(special):02X}")


@cache
def _settings_of(encoder_class: Any) -> dict[str, "Field[Any]"]:
    return {one.name: one for one in fields(encoder_class) if not one.name.startswith("_")}


def _which(identity: Mapping[str, str]) -> str:
    """Return what tells weights from others, wherever they are: a hash, a commit or an address."""
    return identity.get("content") or identity.get("commit") or json.dumps(dict(identity))


@cache
def _adapters(encoder_class: Any) -> dict[str, "TypeAdapter[Any]"]:
    hints = get_type_hints(encoder_class, include_extras=True)
    return {name: TypeAdapter(hints[name]) for name in _settings_of(encoder_class)}


def _checked(name: str, adapter: "TypeAdapter[Any]", value: Any) -> Any:
    try:
        return adapter.validate_python(value, strict=True)
    except ValidationError as error:
        raise SettingsError(f"{name}={value!r}: {_reasons(error)}.") from None


def _reasons(error: ValidationError) -> str:
    reasons = [one["msg"].removeprefix("Input ") for one in error.errors()]
    return "it " + " or ".join(dict.fromkeys(reasons))


def _check_option(text: str, key: str, possible: Sequence[str]) -> None:
    if key not in possible:
        raise SettingsError(f"'{text}': unknown option '{key}'.{suggest(key, possible)}")


def _written(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int):
        text = quoted(str(value), "&")
        return "%6Eone" if text == "none" else text
    return ",".join([*value, ""] if len(value) == 1 else value)


def _read(key: str, hint: Any, text: str) -> Any:
    if text == "none" and NoneType in get_args(hint):
        return None
    text = unquote(text)
    if key == "device" and "," in text:
        return [one for one in text.split(",") if one]
    try:
        return TypeAdapter(hint).validate_strings(text)
    except ValidationError as error:
        raise SettingsError(f"{key}={text}: {_reasons(error)}.") from None
