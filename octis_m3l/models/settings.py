"""Hyperparameters: declared once with their ranges, checked before anything is computed."""

import math
import os
import warnings
from collections.abc import Collection, Mapping
from typing import Any, Literal, Self, get_args, get_origin

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from octis_m3l.devices import MOST_THREADS
from octis_m3l.errors import SettingsError, suggest
from octis_m3l.training import LoopSettings

_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_KINDS: dict[Any, str] = {int: "whole number", float: "number", bool: "true, false", str: "text"}
_FEW_UPDATES, _ENOUGH_UPDATES = 500, 2000
_FEW_TOPICS = 10


class Settings(BaseModel):
    """What every model has: scalars, so that OCTIS's Optimizer can search and save them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    num_topics: int = Field(50, ge=2, description="K, the number of topics")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of every random draw")
    threads: int = Field(
        0,
        ge=0,
        le=MOST_THREADS,
        description="of training and inference on the processor; 0: one, and for large batches as "
        "many as torch has; see octis_m3l.devices.on_threads",
    )

    @classmethod
    def checked(cls, given: Mapping[str, Any], model: str) -> Self:
        """Return settings, or one error that lists everything wrong with them.

        Their ``model_fields_set`` has what the user set, and nothing that a preset did.

        Parameters
        ----------
        given : mapping
            Hyperparameters; numpy scalars are taken as Python's.
        model : str
            The model's name, for the message.

        Raises
        ------
        SettingsError
            If a name is unknown (with a suggestion), or a value has another type or is out of
            range.
        """
        plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in given.items()}
        problems = [
            f"'{name}' is no hyperparameter.{suggest(name, list(cls.model_fields))}"
            for name in plain
            if name not in cls.model_fields
        ]
        known = {name: value for name, value in plain.items() if name in cls.model_fields}
        try:
            settings = cls(**known)
        except ValidationError as error:
            problems += [
                f"{'.'.join(map(str, one['loc'])) or 'settings'}={one['input']!r}: {one['msg']}."
                for one in error.errors()
            ]
        if problems:
            raise SettingsError(f"{model}: " + " ".join(problems))
        return cls.model_construct(_fields_set={*known}, **dict(settings))

    @classmethod
    def described(cls) -> dict[str, dict[str, Any]]:
        """Return each hyperparameter's default, range and meaning, as JSON can hold them."""
        return {
            name: {
                "default": field.default,
                "range": _range_of(field),
                "what": field.description or cls._said_above(name),
            }
            for name, field in cls.model_fields.items()
        }

    @classmethod
    def _said_above(cls, name: str) -> str:
        """Return the description of a hyperparameter of which a model changes the default."""
        fields = [c.model_fields.get(name) for c in cls.__mro__[1:] if issubclass(c, Settings)]
        return next((f.description for f in fields if f and f.description), "")


class TrainingSettings(Settings):
    """What every model has that the loop trains."""

    device: str = Field("auto", description="'auto' (a GPU where there is one), 'cpu', 'cuda:1', …")
    hidden_size: int = Field(100, ge=1, description="units in each hidden layer")
    hidden_layers: int = Field(2, ge=1, description="hidden layers of the inference networks")
    activation: Literal["softplus", "relu"] = Field("softplus", description="between layers")
    dropout: float = Field(0.2, ge=0, lt=1, description="in the inference networks")
    epochs: int = Field(100, ge=1, description="at most so many")
    batch_size: int = Field(64, ge=2, description="tuples in a batch")
    learning_rate: float = Field(2e-3, gt=0, description="of Adam")
    schedule: Literal["constant", "cosine", "halving"] = Field(
        "constant",
        description="of the learning rate: as it is; down to 0 on half a cosine; halved every 125 "
        "epochs",
    )
    momentum: float = Field(0.99, ge=0, lt=1, description="β₁ of Adam")
    second_momentum: float = Field(0.99, ge=0, lt=1, description="β₂ of Adam")
    weight_decay: float = Field(0.0, ge=0, description="of Adam")
    patience: int = Field(
        0, ge=0, description="epochs without a better validation loss before stopping; 0: never"
    )
    inference_samples: int = Field(
        20, ge=0, description="samples that θ is averaged over; 0: softmax of the mean"
    )

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        return (self.hidden_size,) * self.hidden_layers

    @property
    def loop(self) -> LoopSettings:
        """How to train."""
        return LoopSettings(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            schedule=self.schedule,
            momentum=self.momentum,
            second_momentum=self.second_momentum,
            weight_decay=self.weight_decay,
            patience=self.patience,
        )


class EncodedSettings(TrainingSettings):
    """What every model has that takes embeddings of documents."""

    encoder: Literal["auto", "given", "lsa", "clsi", "word-vectors"] = Field(
        "auto", description="where texts' embeddings come from; see octis_m3l.encoders.encode"
    )
    dimensions: int = Field(150, ge=1, description="of the 'lsa' and 'clsi' encoders, at most")


class NeuralSettings(EncodedSettings):
    """What every model has whose networks read embeddings."""

    theta_dropout: float = Field(0.2, ge=0, lt=1, description="on θ before decoding")
    posterior: Literal["ctm", "free-variance", "free"] = Field(
        "ctm", description="the posterior's parametrisation; see InferenceNetwork"
    )
    prior: Literal["fixed", "learned", "learned-variance"] = Field(
        "fixed", description="the prior's mean and variance; see GaussianPrior"
    )
    topic_form: Literal["beta", "centred", "batch-normalised"] = Field(
        "beta", description="the published topic-word matrix; see TopicDecoder"
    )


def _range_of(field: FieldInfo) -> str:
    """Return what values a hyperparameter takes, in words."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(map(str, get_args(field.annotation)))
    bounds = {
        sign: value
        for bound in field.metadata
        for name, sign in _BOUNDS.items()
        if (value := getattr(bound, name, None)) is not None
    }
    kind = _KINDS.get(field.annotation, "")
    limits = " and ".join(f"{sign} {value:,}" for sign, value in bounds.items())
    return f"{kind} {limits}".strip()


def check_memory(settings: Settings, vocabularies: Collection[int]) -> None:
    """Refuse a model whose weights alone are larger than the memory of this machine."""
    topics, there = settings.num_topics, _memory()
    needed, sizes = 4 * topics * sum(vocabularies), f"num_topics={topics:,}"
    if isinstance(settings, TrainingSettings):
        units, layers = settings.hidden_size, settings.hidden_layers
        hidden = len(vocabularies) * units * (units * (layers - 1) + 2 * topics)
        # Adam keeps the gradient and two averages beside each weight.
        needed = 4 * (needed + 4 * hidden)
        sizes += f", hidden_size={units:,}, hidden_layers={layers:,}"
    if there is not None and needed > there:
        raise SettingsError(
            f"{sizes} with {sum(vocabularies):,} words: the model needs {needed / 2**30:,.1f} GiB, "
            f"and this machine has {there / 2**30:,.1f}; make it smaller."
        )


def _memory() -> int | None:
    """Return the machine's memory in bytes, where the system tells."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def warn_of_many_topics(settings: Settings, documents: int) -> None:
    """Warn where there are more topics than documents could tell apart."""
    if settings.num_topics > max(_FEW_TOPICS, documents / 2):
        warnings.warn(
            f"num_topics={settings.num_topics:,} for {documents:,} training documents: most topics "
            f"will be of one document or none; with so little data use {max(2, documents // 20)} "
            "or so.",
            stacklevel=4,
        )


def warn_of_few_updates(settings: TrainingSettings, batches: int) -> None:
    """Warn where the default epochs, which are for thousands of documents, are too few."""
    updates = settings.epochs * batches
    if updates < _FEW_UPDATES and "epochs" not in settings.model_fields_set:
        warnings.warn(
            f"{settings.epochs} epochs of {batches} batches are {updates} updates, too few to tell "
            f"topics apart; with so little data set epochs="
            f"{math.ceil(_ENOUGH_UPDATES / batches)} or so.",
            stacklevel=5,
        )
