"""A search's file of runs: what the search consists of, and the outcomes so far, as JSON.

Nothing in a file is evaluated. A class that a file names belongs to OCTIS or to this package, or is
one that the caller passes: anything else is rejected before its module is imported.
"""

import inspect
import json
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
from octis.dataset.dataset import Dataset
from octis.dataset.downloader import get_data_home
from octis.evaluation_metrics.metrics import AbstractMetric
from octis.models.model import AbstractModel
from pydantic import BaseModel

from octis_m3l.data.adopt import partition_sizes
from octis_m3l.data.arrays import hash_of
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.parts import content_hashes
from octis_m3l.errors import DataError, StorageError
from octis_m3l.files import as_json, damage_errors, read_document, write_json
from octis_m3l.models.base import TopicModel
from octis_m3l.search.runs import Outcome
from octis_m3l.search.settings import SearchSettings
from octis_m3l.search.spaces import described_space, rebuilt_space

_FORMAT, _VERSION = "octis-m3l search", 1
_FETCHED = "_py3.pkz"
_KNOWN_PACKAGES = ("octis", "octis_m3l", "contextualized_topic_models")
_UNPICKLED = ("bert_path", "embeddings_path", "embeddings_type")

Parts = tuple[Any, Any, list[Any], dict[str, Any]]
"""The model, data set, metrics and space of a search."""


class SearchRecord(BaseModel):
    """The content of a search's file of runs."""

    format: str = _FORMAT
    version: int = _VERSION
    model: dict[str, Any]
    dataset: dict[str, Any]
    metrics: list[dict[str, Any]]
    search_space: dict[str, Any]
    settings: SearchSettings
    kernel: str
    seed: int
    test_allowed: bool
    points: list[list[Any]] = []
    runs: list[Outcome] = []
    best: dict[str, Any] = {}

    @classmethod
    def of(
        cls, model: Any, dataset: Any, metrics: Sequence[Any], space: dict[str, Any], **others: Any
    ) -> Self:
        """Return the record of a search that begins."""
        return cls.model_construct(
            model=described_model(model),
            dataset=_described_dataset(dataset),
            metrics=[described_metric(metric, dataset) for metric in metrics],
            search_space=described_space(space),
            **others,
        )

    def write(self, file: Path) -> None:
        """Write the record beside the file that OCTIS writes too."""
        write_json(runs_file(file), as_json(self.model_dump(), finite=True), checked=True)

    def parts(
        self,
        model: Any,
        dataset: Any,
        metric: Any,
        extra_metrics: Sequence[Any] | None,
        classes: Collection[type],
        *,
        trusted: bool,
    ) -> Parts:
        """Return the model, data set, metrics and space: those that are given, or as recorded."""
        dataset = _rebuilt_dataset(self.dataset) if dataset is None else dataset
        _check_same_dataset(dataset, self.dataset)
        extra = len(self.metrics) - 1
        if extra_metrics is not None and len(extra_metrics) != extra:
            raise StorageError(
                f"the search began with {extra} extra metrics, given are {len(extra_metrics)}; "
                "give the same ones."
            )
        metrics = []
        given_metrics = [metric, *([None] * extra if extra_metrics is None else extra_metrics)]
        for given, stored in zip(given_metrics, self.metrics, strict=True):
            if given is not None:
                _check_same("metric", described_metric(given, dataset), stored)
            metrics.append(_rebuilt_metric(stored, dataset, classes) if given is None else given)
        is_given = model is not None
        if is_given:
            _check_same("model", described_model(model), self.model)
        else:
            model = rebuilt_model(self.model, classes)
        if not trusted:
            check_trusted(model, self.search_space, given=is_given)
        return model, dataset, metrics, rebuilt_space(self.search_space)


def runs_file(file: Path) -> Path:
    """Return the file that holds a search's runs, beside the one that OCTIS writes too."""
    return file.with_name(f"{file.stem}.runs.json")


def read_search(file: Path) -> SearchRecord:
    """Return the record of a search."""
    beside = runs_file(file)
    if not beside.is_file():
        raise StorageError(
            f"there is no search at {file} with its runs in {beside.name} beside it; give the JSON "
            "file that octis-m3l saved the search to, or its folder. Searches of OCTIS's own "
            "Optimizer are resumed by that."
        )
    content = read_document(beside, _FORMAT, _VERSION)
    with damage_errors(beside, "copy it again, or begin the search anew"):
        return SearchRecord.model_validate(content)


def _class_path(of: object) -> str:
    """Return where a class, or the class of an object, is defined: module:name."""
    kind = of if inspect.isclass(of) else type(of)
    return f"{kind.__module__}:{kind.__qualname__}"


def _named_class(path: str, kind: type, classes: Collection[type]) -> Any:
    """Return the class that a file names."""
    module, _, name = str(path).partition(":")
    found: Any = {_class_path(one): one for one in classes}.get(path)
    if found is None and module.partition(".")[0] not in _KNOWN_PACKAGES:
        raise StorageError(
            f"the file names the class {path}, which belongs neither to OCTIS nor to octis-m3l; it "
            "is not imported, because a file from elsewhere could run any code that way. If it is "
            f"yours, import it and pass it: resume_optimization(file, classes=[{name}])."
        )
    if found is None:
        try:
            found = import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except (Exception, SystemExit) as error:
            raise StorageError(
                f"{path} can't be imported ({error}); give the object itself: "
                "resume_optimization(file, model=…, dataset=…, metric=…)."
            ) from None
    if not (inspect.isclass(found) and issubclass(found, kind)):
        raise StorageError(f"{path} is no {kind.__name__}; the file is damaged or of another kind.")
    return found


def _check_same(what: str, given: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Reject another model or metric than the one that a search began with."""
    of_class = ({"class": stored["class"]}, {"class": given["class"]})
    # Each by itself: an attribute may have the name of a hyperparameter.
    parts = ("hyperparameters", "arguments", "attributes")
    for before, now in (of_class, *((stored.get(part, {}), given.get(part, {})) for part in parts)):
        for name in before | now:
            if before.get(name) != now.get(name):
                raise StorageError(
                    f"the search began with another {what}: its {name} was {before.get(name)!r}, "
                    f"and is now {now.get(name)!r}; continue with that {what}, or begin a new "
                    "search."
                )


# Models.


def described_model(model: Any) -> dict[str, Any]:
    """Return a model's class and the hyperparameters that it was given."""
    if isinstance(model, TopicModel):
        given, attributes = model.given_hyperparameters(), dict[str, Any]()
        parts = [getattr(model, name, None) for name in ("teacher", "own_encoders")]
        whole = all(part is None for part in parts)
    else:
        given, (attributes, whole) = model.hyperparameters, _attributes(model)
    return {
        "class": _class_path(model),
        "hyperparameters": {n: as_json(value) for n, value in given.items() if _is_plain(value)},
        "tuples": sorted(name for name, value in given.items() if isinstance(value, tuple)),
        "attributes": attributes,
        "use_partitions": bool(getattr(model, "use_partitions", True)),
        "whole": whole and all(map(_is_plain, given.values())),
    }


def _is_plain(value: Any) -> bool:
    """Return whether JSON holds a value: a scalar, or a list of them."""
    return all(map(_is_scalar, value if isinstance(value, list | tuple) else [value]))


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | np.integer | np.floating | np.bool_ | None)


def _attributes(model: Any) -> tuple[dict[str, Any], bool]:
    """Return the scalar attributes, and whether all others have the type they have by default."""
    given = {name: value for name, value in vars(model).items() if name != "hyperparameters"}
    scalars = {name: as_json(value) for name, value in given.items() if _is_scalar(value)}
    try:
        default = vars(type(model)())
    except Exception:
        return scalars, False
    others = given.keys() - scalars
    return scalars, all(type(given[name]) is type(default.get(name)) for name in others)


def rebuilt_model(stored: Mapping[str, Any], classes: Collection[type] = ()) -> Any:
    """Return the model that `described_model` described."""
    if not stored["whole"]:
        raise StorageError(
            f"the model {stored['class']} was given what a file can't hold; give it again: "
            "resume_optimization(file, model=…)."
        )
    kind = _named_class(stored["class"], AbstractModel, classes)
    given = {
        name: tuple(value) if name in stored["tuples"] else value
        for name, value in stored["hyperparameters"].items()
    }
    if issubclass(kind, TopicModel):
        model = kind(**given)
    else:
        model = kind()
        model.hyperparameters.update(given)
        for name, value in stored.get("attributes", {}).items():
            is_hidden = name == "hyperparameters" or name.startswith("__")
            if is_hidden or not _is_scalar(value):
                raise StorageError(f"the file is damaged: a model's attribute can't be '{name}'.")
            setattr(model, name, value)
    model.use_partitions = stored["use_partitions"]
    return model


def unpickled_by(hyperparameters: Mapping[str, Any]) -> str | None:
    """Return the hyperparameter by which a model of OCTIS reads a pickle, which can run any code.

    Its CTM reads pickles from the working folder even where ``bert_path`` is empty.
    """
    if "bert_path" in hyperparameters:
        return "bert_path"
    is_text = hyperparameters.get("embeddings_type", "pickle") == "word2vec"
    return "embeddings_path" if hyperparameters.get("embeddings_path") and not is_text else None


def check_trusted(model: Any, searched: Collection[str], *, given: bool) -> None:
    """Reject a file that decides what a model of OCTIS unpickles."""
    if isinstance(model, TopicModel):
        return
    decided = next((name for name in _UNPICKLED if name in searched), None)
    if decided is None and not given:
        decided = unpickled_by(model.hyperparameters)
    if decided is not None:
        raise StorageError(
            f"{type(model).__name__} reads a pickle from the path in its hyperparameter "
            f"'{decided}', and a pickle can run any code. If you trust both files: "
            "resume_optimization(file, trusted=True)."
        )


# Metrics.


def described_metric(metric: Any, dataset: Any) -> dict[str, Any]:
    """Return a metric's class and arguments."""
    arguments: dict[str, Any] = {}
    unknown: list[str] = []
    for name, parameter in inspect.signature(type(metric)).parameters.items():
        value = getattr(metric, name, getattr(metric, f"_{name}", parameter.empty))
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            unknown.append(name)
        elif value is dataset or (name == "dataset" and value is parameter.empty):
            arguments[name] = {"is": "the data set"}
        elif name == "texts" and value == dataset.get_corpus():
            arguments[name] = {"is": "the corpus"}
        elif name == "texts" and value == _training_corpus(dataset):
            arguments[name] = {"is": "the training corpus"}
        elif isinstance(value, AbstractMetric):
            arguments[name] = described_metric(value, dataset)
        elif _is_scalar(value) and value == value:  # not NaN
            arguments[name] = as_json(value)
        else:
            unknown.append(name)
    return {"class": _class_path(metric), "arguments": arguments, "unknown": unknown}


def _rebuilt_metric(stored: Mapping[str, Any], dataset: Any, classes: Collection[type]) -> Any:
    """Return the metric that `described_metric` described."""
    if stored["unknown"]:
        raise StorageError(
            f"the metric {stored['class']} was given {', '.join(stored['unknown'])}, which a file "
            "can't hold; give it again: resume_optimization(file, metric=…, extra_metrics=[…])."
        )
    arguments = {}
    for name, value in stored["arguments"].items():
        if not isinstance(value, Mapping):
            arguments[name] = value
        elif "class" in value:
            arguments[name] = _rebuilt_metric(value, dataset, classes)
        elif value["is"] == "the data set":
            arguments[name] = dataset
        elif value["is"] == "the corpus":
            arguments[name] = dataset.get_corpus()
        else:
            arguments[name] = _training_corpus(dataset)
    return _named_class(stored["class"], AbstractMetric, classes)(**arguments)


def _training_corpus(dataset: Any) -> list[list[str]]:
    return list((dataset.get_corpus() or [])[: partition_sizes(dataset)[0]])


# Data sets.


def _described_dataset(dataset: Any) -> dict[str, Any]:
    """Return where a data set is, and what distinguishes it from others."""
    path = getattr(dataset, "dataset_path", None)
    ours = isinstance(dataset, MultiviewDataset)
    return {
        "multiview": ours,
        "path": None if path is None else str(Path(path).resolve()),
        "fingerprints": dataset.fingerprints() if ours else _fingerprint(dataset),
        "contents": content_hashes(dataset.views.values(), dataset.dictionaries) if ours else {},
    }


def _fingerprint(dataset: Any) -> str:
    """Return a hash of the texts and partitions of OCTIS's data set."""
    documents = ("\t".join(document) + "\n" for document in dataset.get_corpus() or ())
    metadata = dataset.get_metadata() or {}
    ends = {name: metadata.get(name) for name in ("last-training-doc", "last-validation-doc")}
    return hash_of(chain(documents, [json.dumps(ends)]))


def _rebuilt_dataset(stored: Mapping[str, Any]) -> Any:
    """Return the data set that `_described_dataset` described."""
    if stored["path"] is None:
        raise StorageError(
            "the data set of this search was never saved, so it can't be read again; give it: "
            "resume_optimization(file, dataset=…)."
        )
    if stored["multiview"]:
        return MultiviewDataset.from_folder(stored["path"])
    dataset, path = Dataset(), Path(stored["path"])
    # OCTIS keeps what it fetched as a pickle; it is read from OCTIS's own folder only.
    is_fetched = path.name.endswith(_FETCHED) and path.parent == Path(get_data_home()).resolve()
    try:
        if is_fetched:
            dataset.fetch_dataset(path.name.removesuffix(_FETCHED), download_if_missing=False)
        else:
            dataset.load_custom_dataset_from_folder(stored["path"])
    except Exception as error:
        raise StorageError(
            f"{stored['path']} can't be read as a data set of OCTIS ({error}); give it: "
            "resume_optimization(file, dataset=…)."
        ) from None
    return dataset


def _check_same_dataset(dataset: Any, stored: Mapping[str, Any]) -> None:
    """Reject other data than those that a search began with."""
    given = _described_dataset(dataset)
    if given["fingerprints"] != stored["fingerprints"]:
        raise DataError(
            "this is not the data set that the search began with, or it has changed since: items, "
            "partitions or links differ. Give that data set, or begin a new search."
        )
    now, before = given["contents"], stored["contents"]
    differing = sorted(n for n in {*now, *before} if now.get(n) != before.get(n))
    if differing:
        raise DataError(
            f"the search began with other {differing[0]} than this data set has; choose those that "
            "it had (with_embeddings, --embeddings), or begin a new search."
        )
