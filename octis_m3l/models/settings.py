"""Hyperparameters: declared once with their ranges, checked before anything is computed."""

import math
import os
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, ClassVar, Literal, Self, get_args, get_origin

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from octis_m3l.devices import MOST_THREADS
from octis_m3l.encoders.encode import EncoderName
from octis_m3l.errors import SettingsError, warn
from octis_m3l.networks import Posterior, PriorForm, TopicForm
from octis_m3l.training import LoopSettings
from octis_m3l.validation import problems

_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_KINDS: dict[Any, str] = {int: "whole number", float: "number", bool: "true, false", str: "text"}
_FEW_TOPICS = 10


class Settings(BaseModel):
    """What every model has: scalars, so that OCTIS's Optimizer can search and save them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {}}
    """Values that replace the fields' own defaults: of all models of a class, and of presets."""

    num_topics: int = Field(50, ge=2, description="K, the number of topics")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="seed of every random draw")
    threads: int = Field(
        0,
        ge=0,
        le=MOST_THREADS,
        description="threads of training and inference on the CPU; 0: one, and for large batches "
        "as many as torch has; see octis_m3l.devices.on_threads",
    )

    @classmethod
    def checked(cls, given: Mapping[str, Any], model: str) -> Self:
        """Return settings, or one error that lists everything wrong with them.

        Their ``model_fields_set`` has what the user set, without the values of a preset. Numpy
        scalars become Python's. `model` is the model's name, for the message.
        """
        try:
            settings = cls.model_validate(dict(given))
        except ValidationError as error:
            wrong = problems(error, cls.model_fields, "hyperparameter")
            raise SettingsError(f"{model}: {wrong}") from None
        return cls.model_construct(_fields_set={*given}, **dict(settings))

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, given: Any) -> Any:
        plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in given.items()}
        if isinstance(plain.get("preset"), float):  # "0.1", read as JSON
            plain["preset"] = str(plain["preset"])
        preset = cls.presets.get(str(plain.get("preset")), {})
        return {**cls.presets["default"], **preset, **plain}

    @classmethod
    def described(cls) -> dict[str, dict[str, Any]]:
        """Return each hyperparameter's default, range and meaning, as JSON can hold them."""
        return {
            name: {
                "default": cls.presets["default"].get(name, field.default),
                "range": _range_of(field),
                "what": field.description or "",
            }
            for name, field in cls.model_fields.items()
        }


class TrainingSettings(Settings):
    """What every neural model has."""

    device: str = Field("auto", description="'auto' (a GPU if there is one), 'cpu', 'cuda:1', …")
    hidden_size: int = Field(100, ge=1, description="units in each hidden layer")
    hidden_layers: int = Field(2, ge=1, description="hidden layers of the inference networks")
    activation: Literal["softplus", "relu"] = Field("softplus", description="between layers")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout in the inference networks")
    epochs: int = Field(100, ge=1, description="the number of epochs")
    updates: int = Field(
        2000,
        ge=0,
        description="the least number of updates, reached by more epochs unless epochs is set",
    )
    batch_size: int = Field(
        64, ge=2, description="tuples (or, without links, documents of each view) in a batch"
    )
    learning_rate: float = Field(2e-3, gt=0, description="learning rate of Adam")
    schedule: Literal["constant", "cosine", "halving"] = Field(
        "constant",
        description="of the learning rate: constant, down to 0 on half a cosine, or halved every "
        "125 epochs",
    )
    momentum: float = Field(0.99, ge=0, lt=1, description="β₁ of Adam")
    second_momentum: float = Field(0.99, ge=0, lt=1, description="β₂ of Adam")
    weight_decay: float = Field(0.0, ge=0, description="weight decay of Adam")
    patience: int = Field(
        0,
        ge=0,
        description="stop after so many epochs without a better validation loss; 0: only by "
        "retrieval on the validation partition, if the model measures it",
    )
    inference_samples: int = Field(
        20, ge=0, description="samples that θ is averaged over; 0: softmax of the mean"
    )

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        return (self.hidden_size,) * self.hidden_layers

    def loop(self, batches: int) -> LoopSettings:
        """Return how to train on so many batches an epoch."""
        given = self.model_dump(include={field.name for field in fields(LoopSettings)})
        if "epochs" not in self.model_fields_set:
            given["epochs"] = max(self.epochs, math.ceil(self.updates / batches))
        return LoopSettings(**given)


class EncodedSettings(TrainingSettings):
    """What every model has that uses embeddings of documents."""

    encoder: EncoderName = Field(
        "auto", description="where texts' embeddings come from; see octis_m3l.encoders.encode"
    )
    dimensions: int = Field(150, ge=1, description="of the 'lsa' and 'clsi' encoders, at most")


class NeuralSettings(EncodedSettings):
    """What every model has whose networks read embeddings."""

    theta_dropout: float = Field(0.2, ge=0, lt=1, description="dropout of θ before decoding")
    posterior: Posterior = Field(
        "ctm", description="the posterior's parametrisation; see InferenceNetwork"
    )
    prior: PriorForm = Field(
        "fixed", description="the prior's mean and variance; see GaussianPrior"
    )
    topic_form: TopicForm = Field(
        "beta", description="the published topic-word matrix; see TopicDecoder"
    )
    relevance: float = Field(
        0.0,
        ge=0,
        le=1,
        description="λ of topic_form='documents': 1 ranks words by probability, less prefers those "
        "rare elsewhere; 0: the largest from 0.3 to 0.8 with topic uniqueness of at least 0.8",
    )
    standardised: Literal["own-view", "one-length", "none"] = Field(
        "own-view",
        description="whether each view's embeddings are standardised, dimension by dimension; "
        "one-length: centred and scaled to one length",
    )
    input_noise: float = Field(
        0.0,
        ge=0,
        description="σ of noise on standardised embeddings in training; D < 150: × √(D / 150)",
    )

    @field_validator("encoder", mode="before")
    @classmethod
    def _is_used_in_training(cls, given: Any) -> Any:
        if isinstance(given, str) and ":" in given:
            raise ValueError("use this encoder before training: octis-m3l encode, or embed()")
        return given


def unlinked_presets(**defaults: Any) -> dict[str, dict[str, Any]]:
    """Return the defaults of a model of unlinked languages, all of which share some."""
    return {"default": {"dropout": 0.0, "momentum": 0.9, "second_momentum": 0.999, **defaults}}


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
    topics, available = settings.num_topics, _memory()
    needed, sizes = 4 * topics * sum(vocabularies), f"num_topics={topics:,}"
    if isinstance(settings, TrainingSettings):
        units, layers = settings.hidden_size, settings.hidden_layers
        hidden = len(vocabularies) * units * (units * (layers - 1) + 2 * topics)
        # Adam keeps the gradient and two averages beside each weight.
        needed = 4 * (needed + 4 * hidden)
        sizes += f", hidden_size={units:,}, hidden_layers={layers:,}"
    if available is not None and needed > available:
        raise SettingsError(
            f"{sizes} with {sum(vocabularies):,} words: the model needs {needed / 2**30:,.1f} GiB, "
            f"and this machine has {available / 2**30:,.1f}; make it smaller."
        )


def _memory() -> int | None:
    """Return the machine's memory in bytes, if the system tells."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def warn_of_many_topics(settings: Settings, documents: int) -> None:
    """Warn if there are too many topics for so few documents."""
    if settings.num_topics > max(_FEW_TOPICS, documents / 2):
        warn(
            f"num_topics={settings.num_topics:,} for {documents:,} training documents: most topics "
            f"will have one document or none; with so little data use {max(2, documents // 20)} "
            "or so."
        )
