"""What every model shares: OCTIS's interface, settings, seeds, and the calls above them."""

import inspect
import textwrap
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from octis.dataset.dataset import Dataset
from octis.models.model import AbstractModel
from typing_extensions import TypeVar

from octis_m3l.data import from_frame, from_lists
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.text import Tokenizer
from octis_m3l.data.views import PARTITIONS, View
from octis_m3l.devices import is_watched
from octis_m3l.errors import DataError, SettingsError, StorageError, suggest, warn
from octis_m3l.files import check_can_create, damage_errors, folder_written_whole, held
from octis_m3l.metrics.base import check_dataset
from octis_m3l.models import MODELS
from octis_m3l.models.exploration import Exploration
from octis_m3l.models.exploration import NotTrainedError as NotTrainedError
from octis_m3l.models.output import ModelOutput
from octis_m3l.models.settings import Settings, check_memory, warn_of_many_topics
from octis_m3l.models.storage import MARKER, read_description, read_output, write_model
from octis_m3l.training import History, derive_seed

S = TypeVar("S", bound=Settings, default=Any)
Embeddings = Mapping[str, NDArray[Any]]
Matrices = dict[str, NDArray[Any]]

_RUNS = 1000


@dataclass(frozen=True)
class Fit(Generic[S]):
    """One training: its data, settings and seed, and the embeddings that networks read."""

    dataset: MultiviewDataset
    settings: S
    top_words: int
    partitions: tuple[str, ...] = PARTITIONS
    seed: int = 0
    embeddings: Embeddings = field(default_factory=dict)

    def rows(self, view: View) -> slice:
        """Return which items of a view the model is trained on."""
        return slice(0, sum(view.sizes[: len(self.partitions)]))

    def output(
        self, topic_words: Embeddings, document_topics: Mapping[str, Embeddings]
    ) -> ModelOutput:
        """Return the output: K × words of each language, items × K of each view and partition."""
        pivot = self.dataset.pivot
        if pivot not in topic_words:
            pivot = next(iter(topic_words))
        words = {name: view.vocabulary for name, view in self.dataset.text_views.items()}
        return ModelOutput(pivot, topic_words, document_topics, words, self.top_words, self.seed)


class TopicModel(Exploration, AbstractModel, Generic[S]):  # type: ignore[misc]
    """An OCTIS model over many views.

    Parameters
    ----------
    num_topics : int, optional
        K; the one hyperparameter that may be given without its name.
    checkpoint : str or Path, optional
        A folder where training saves its state and from which it continues after an interruption.
    progress : bool, optional
        Whether to show a progress bar. Default: `fit` shows one in a terminal or a notebook;
        `train_model`, which searches call, shows none.
    **hyperparameters
        See the model's settings; `train_model` and OCTIS's Optimizer take them too.
    """

    settings_class: type[S]
    search_space: ClassVar[dict[str, tuple[Any, ...]]]
    least_views: ClassVar[int] = 1
    trained_settings: S = cast(Any, None)
    """The settings of the last training; None before it."""
    choices: dict[str, str]
    """What the last training chose by its data, and why: of 'encoder', 'epochs', …"""

    def __init__(
        self,
        num_topics: int | None = None,
        *,
        checkpoint: str | Path | None = None,
        progress: bool | None = None,
        **hyperparameters: Any,
    ) -> None:
        super().__init__()
        if num_topics is not None:
            hyperparameters["num_topics"] = num_topics
        self.use_partitions = True
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.progress = progress
        self.hyperparameters = self._settings(hyperparameters).model_dump()
        self._given = dict(hyperparameters)
        self.runs = 0
        self.run_seed: int | None = None
        self.output: ModelOutput | None = None
        self.dataset: MultiviewDataset | None = None
        self.data_path: str | None = None
        self.trained_given: tuple[str, ...] = ()
        self.data_fingerprints: dict[str, str] | None = None
        self.history: History | None = None
        self.choices: dict[str, str] = {}

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "settings_class" in vars(cls):
            # For help(): hyperparameters are keyword arguments, so no signature shows them.
            lines = ["Hyperparameters", "---------------"]
            for name, of_setting in cls.settings_class.described().items():
                lines.append(f"{name} : {of_setting['range']}, default {of_setting['default']!r}")
                lines += [f"    {line}" for line in textwrap.wrap(of_setting["what"], 90)]
            cls.__doc__ = "\n".join([f"{inspect.getdoc(cls)}\n", *lines])

    # OCTIS's interface.

    def set_hyperparameters(self, **hyperparameters: Any) -> None:
        """Set hyperparameters for all later calls; none, if one is unknown or out of range."""
        given = {**self.given_hyperparameters(), **hyperparameters}
        self.hyperparameters = self._settings(given).model_dump()
        self._given = given

    def given_hyperparameters(self) -> dict[str, Any]:
        """Return the hyperparameters that the user set, also by changing `hyperparameters`."""
        before = self._settings(self._given).model_dump()
        now = self.hyperparameters.items()
        return {**self._given, **{n: v for n, v in now if n not in before or before[n] != v}}

    def info(self) -> dict[str, str]:
        """Return the model's name and where it was published, as OCTIS's models do."""
        described = inspect.getdoc(type(self)) or ""
        _, _, rest = described.partition("References\n----------\n")
        return {"name": self.name, "citation": " ".join(rest.partition("\n\n")[0].split())}

    def partitioning(self, use_partitions: bool = True) -> None:
        """Choose whether to train on the training partition alone, as OCTIS's models do."""
        self.use_partitions = use_partitions

    def train_model(
        self,
        dataset: Dataset,
        hyperparameters: Mapping[str, Any] | None = None,
        top_words: int = 10,
    ) -> ModelOutput:
        """Train, and return the topics and the documents' topics of every view.

        The first call uses the seed itself. Every later call on the same object uses a seed
        derived from it, so that OCTIS's `model_runs` differ; `run_seed` has the one used.

        Parameters
        ----------
        dataset : MultiviewDataset or OCTIS dataset
            The data. A plain OCTIS data set becomes one view: see `MultiviewDataset.from_octis`.
        hyperparameters : mapping, optional
            For this call only.
        top_words : int
            How many words represent a topic.

        Raises
        ------
        SettingsError, DataError
            Before any training, if something does not fit.
        StorageError
            Before any training, if checkpoints can't be written, or another process uses them; if
            the existing checkpoint is damaged; or if the disk is full.
        KeyboardInterrupt
            After Ctrl-C, so that a search stops too; the model keeps what it has learned.
        """
        dataset = self.adopted(dataset)
        given = {**self.given_hyperparameters(), **(hyperparameters or {})}
        fit = self._fitting(dataset, given, top_words)
        rows = [fit.rows(view) for view in dataset.text_views.values()]
        warn_of_many_topics(fit.settings, max(part.stop for part in rows))
        self.output = None
        self.trained_given = tuple(given)
        self.data_fingerprints = dataset.fingerprints()
        self.dataset, self.data_path = dataset, dataset.dataset_path
        if self.checkpoint is not None:
            check_can_create(self.checkpoint / "checkpoint")
        with nullcontext() if self.checkpoint is None else held(self.checkpoint):
            output = self._train(fit)
        self.run_seed, self.output = fit.seed, output
        if self.interrupted:
            raise KeyboardInterrupt
        self.runs += 1
        return output

    def adopted(self, dataset: Dataset) -> MultiviewDataset:
        """Return a plain OCTIS data set as a data set of views; a `MultiviewDataset` as it is."""
        if isinstance(dataset, Dataset) and not isinstance(dataset, MultiviewDataset):
            return MultiviewDataset.from_octis(dataset)
        check_dataset(dataset, self.name)
        known: MultiviewDataset = dataset
        return known

    def check(self, dataset: Dataset, top_words: int = 10) -> None:
        """Raise the errors that `train_model` would raise, without training."""
        dataset = self.adopted(dataset)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            fit = self._fitting(dataset, self.given_hyperparameters(), top_words)
            self._check(fit)
            self._check_items(fit)

    def _fitting(
        self, dataset: MultiviewDataset, given: Mapping[str, Any], top_words: int
    ) -> Fit[S]:
        """Return the next training, if its settings fit the data set."""
        if len(dataset.views) < self.least_views:
            raise DataError(
                f"{self.name} learns from two views or more, and this data set has one "
                f"('{next(iter(dataset.views))}'); give it another (several OCTIS data sets "
                "become one: MultiviewDataset.from_octis({'en': first, 'de': second}, "
                "linked='by row')), or use zeroshot-tm, gloctm or pltm for one."
            )
        settings = self._settings(given)
        seed = settings.seed if self.runs == 0 else derive_seed(settings.seed, _RUNS, self.runs)
        partitions = PARTITIONS[:1] if self.use_partitions else PARTITIONS
        fit = Fit(self._used(dataset), settings, top_words, partitions, seed)
        sizes = [len(dataset.text_view(name).vocabulary) for name in self._topic_views(fit)]
        given_words: Any = top_words
        if not isinstance(given_words, int | np.integer) or not 1 <= given_words <= min(sizes):
            raise SettingsError(
                f"top_words={top_words!r}: expected 1 to {min(sizes)}, the size of the smallest "
                "vocabulary."
            )
        check_memory(settings, sizes)
        return fit

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the last training; the model is usable all the same."""
        return self.history is not None and self.history.stopped == "interrupted"

    def fit(self, data: Any, *, top_words: int = 10, **arguments: Any) -> Self:
        """Train on a data set, a mapping of lists, or a pandas frame; return the model itself.

        After Ctrl-C the model keeps what it has learned, and warns.

        Parameters
        ----------
        data : MultiviewDataset, OCTIS dataset, mapping of view to list, or pandas.DataFrame
            Lists and frames go through `MultiviewDataset.from_lists` and ``from_frame``.
        top_words : int
            How many words represent a topic.
        **arguments
            For ``from_lists`` and ``from_frame``: ``images``, ``texts``, ``partition``, …
        """
        if isinstance(data, pd.DataFrame):
            data = from_frame(data, **arguments)
        elif isinstance(data, Mapping):
            data = from_lists(data, **arguments)
        elif arguments:
            raise SettingsError(
                f"{', '.join(arguments)}: only for lists and frames; this is a data set already."
            )
        asked = self.progress
        self.progress = is_watched() if asked is None else asked
        try:
            self.train_model(data, top_words=top_words)
        except KeyboardInterrupt:
            if self.output is None:
                raise
        finally:
            self.progress = asked
        return self

    # What a model adds.

    def _used(self, dataset: MultiviewDataset) -> MultiviewDataset:
        """Return the part of a data set that the model can learn from."""
        return dataset

    def _topic_views(self, fit: Fit[S]) -> list[str]:
        """Return the text views whose topics are learned."""
        return list(fit.dataset.text_views)

    def _check(self, fit: Fit[S]) -> None:
        """Raise an error if the model can't be trained on this data set."""

    def _check_items(self, fit: Fit[S]) -> None:
        """Raise the errors that training would raise when it makes batches of the items."""

    @abstractmethod
    def _train(self, fit: Fit[S]) -> ModelOutput: ...

    @abstractmethod
    def _save_parts(self, folder: Path) -> dict[str, Any]:
        """Write what only this kind of model has; return what the JSON file says of it."""

    @abstractmethod
    def _load_parts(self, folder: Path, described: Mapping[str, Any], device: str) -> Matrices:
        """Restore what `_save_parts` wrote; return each language's topic–word matrix."""

    def _give_again(self, *, tokenizers: Mapping[str, Tokenizer] | None = None) -> None:
        """Restore callables that `save` cannot store."""

    # Storage.

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the model to a folder, whole: safetensors and JSON.

        With `overwrite`, it replaces a model that is there already.
        """
        output = self._trained()
        assert self.history is not None
        with folder_written_whole(Path(folder), overwrite=overwrite, marker=MARKER) as temporary:
            described = {
                "model": self.name,
                "settings": self.trained_settings.model_dump(),
                "given": self.trained_settings.model_dump(include=set(self.trained_given)),
                "use_partitions": self.use_partitions,
                "history": vars(self.history),
                "choices": self.choices,
                "data": self.data_path,
                "data_fingerprints": self.data_fingerprints,
                **self._save_parts(temporary),
            }
            write_model(temporary, output, described)

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "cpu", **given_again: Any) -> Self:
        """Read a model that `save` wrote.

        Parameters
        ----------
        folder : str or Path
            Where it is.
        device : str
            Where it goes, whatever device it was trained on.
        **given_again
            Callables that `save` could not store, needed for raw items only. ``tokenizers``
            (mapping of text view to function): your own functions that split texts into words.
            ``encoders`` (mapping of view to Encoder), of models that read embeddings.
        """
        described = read_description(Path(folder))
        if described.get("model") != cls.name:
            raise DataError(
                f"{folder} holds a {described.get('model')}, not a {cls.name}; use "
                "octis_m3l.load_model."
            )
        return cls._restored(Path(folder), described, device, given_again)

    @classmethod
    def _restored(
        cls, folder: Path, described: Mapping[str, Any], device: str, given_again: Mapping[str, Any]
    ) -> Self:
        """Return a saved model whose description is read already."""
        with damage_errors(folder):
            model = cls(**described["given"])
            model.trained_settings = cls.settings_class.checked(described["settings"], cls.name)
            model.use_partitions = described["use_partitions"]
            model.trained_given = tuple(described["given"])
            model.data_fingerprints = described["data_fingerprints"]
            model.run_seed, model.data_path = described["seed"], described["data"]
            model.history = History(**described["history"])
            model.choices = dict(described.get("choices", {}))
            topic_words = model._load_parts(folder, described, device)
            model.output = read_output(folder, described, topic_words)
        model._give_again(**given_again)
        return model

    # What kinds of models use.

    def _check_links(self, fit: Fit[S], otherwise: str) -> None:
        """Refuse data without links between training items; warn of unlinked views."""
        dataset = fit.dataset
        counted = [dataset.linked_items(partition) for partition in fit.partitions]
        linked = {name: sum(of[name] for of in counted) for name in dataset.views}
        if not any(linked.values()):
            raise DataError(
                f"{self.name} learns from linked items of two views or more, and this data set has "
                f"{len(dataset.views)} view(s) and no links between training items; link it, "
                f"{otherwise}, or use gloctm (by word vectors), infoctm or nmtm (by dictionaries) "
                "for unlinked languages."
            )
        for name, count in linked.items():
            if not count:
                warn(
                    f"no training item of view '{name}' is linked to another view: nothing aligns "
                    "its topics with the others'; link it, or leave it out (dataset.with_views)."
                )

    def _settings(self, given: Mapping[str, Any]) -> S:
        return self.settings_class.checked(given, self.name)


def give_tokenizers(readers: dict[str, Any], tokenizers: Mapping[str, Tokenizer] | None) -> None:
    """Replace views' readers or encoders by the same with a tokenizer that was not stored."""
    for name, tokenizer in (tokenizers or {}).items():
        if not hasattr(readers.get(name), "with_tokenizer"):
            raise SettingsError(
                f"tokenizers: the model splits no texts of a view '{name}' into words."
                f"{suggest(name, readers)}"
            )
        readers[name] = readers[name].with_tokenizer(tokenizer)


def load_model(folder: Path | str, *, device: str = "cpu", **given_again: Any) -> TopicModel:
    """Read a model of any kind, as its own ``load`` does."""
    folder = Path(folder)
    described = read_description(folder)
    if str(described.get("model")) not in MODELS:
        raise StorageError(
            f"{folder / MARKER} describes no model that is known here "
            f"('{described.get('model')}'); known are {', '.join(MODELS)}."
        )
    kind: type[TopicModel] = MODELS[described["model"]]
    return kind._restored(folder, described, device, given_again)
