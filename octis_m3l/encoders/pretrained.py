"""What encoders over pretrained networks share: settings, identity, errors."""

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_type_hints
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from octis_m3l.encoders.opening import commit_on_hub, is_path, local, no_network
from octis_m3l.encoders.strings import file_name, quoted, written
from octis_m3l.errors import DataError, SettingsError, StorageError
from octis_m3l.validation import checked

_WITHOUT_EFFECT = frozenset({"batch_size", "device", "progress"})
_WHICH_WEIGHTS = frozenset({"model", "revision", "pretrained", "weights"})


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
        changed = name in settings_of(type(self)) and name in vars(self)
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
            setattr(self, name, checked(name, adapter, value))
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
            f"{one.name}={written(getattr(self, one.name))}"
            for one in settings_of(type(self)).values()
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
            for name in settings_of(type(self))
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
            if name not in settings_of(cls):
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

    def recall_dimensions(self, dimensions: int | None) -> None:
        """Take the dimensions from one who knows them, so that no weights are loaded for them.

        Parameters
        ----------
        dimensions : int, optional
            What `encode` gave before, with the same fingerprint.
        """
        if self._dimensions is None:
            self._dimensions = dimensions

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
        settings = {n: getattr(self, n) for n in settings_of(type(self)) if n not in left_out}
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


@cache
def settings_of(encoder_class: Any) -> dict[str, "Field[Any]"]:
    """Return the settings of an encoder's class by name.

    Parameters
    ----------
    encoder_class : type
        A subclass of `PretrainedEncoder`.
    """
    return {one.name: one for one in fields(encoder_class) if not one.name.startswith("_")}


def _which(identity: Mapping[str, str]) -> str:
    """Return what tells weights from others, wherever they are: a hash, a commit or an address."""
    return identity.get("content") or identity.get("commit") or json.dumps(dict(identity))


@cache
def _adapters(encoder_class: Any) -> dict[str, "TypeAdapter[Any]"]:
    hints = get_type_hints(encoder_class, include_extras=True)
    return {name: TypeAdapter(hints[name]) for name in settings_of(encoder_class)}
