"""What a search consists of, as JSON: classes by their path, arguments that JSON holds.

Nothing in a file is evaluated. A class that a file names belongs to OCTIS or to this package, or is
one that the caller passes: anything else is rejected before its module is imported.
"""

import hashlib
import inspect
import json
from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from octis.dataset.dataset import Dataset
from octis.dataset.downloader import get_data_home
from octis.evaluation_metrics.metrics import AbstractMetric
from octis.models.model import AbstractModel

from octis_m3l.data.adopt import partition_sizes
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.describe import content_hashes
from octis_m3l.errors import DataError, StorageError
from octis_m3l.models.base import TopicModel
from octis_m3l.search.result import as_json, plain

_FETCHED = "_py3.pkz"
_KNOWN_PACKAGES = ("octis", "octis_m3l", "contextualized_topic_models")
_UNPICKLED = ("bert_path", "embeddings_path", "embeddings_type")


def class_path(of: object) -> str:
    """Return where a class, or the class of an object, is defined: module:name."""
    kind = of if inspect.isclass(of) else type(of)
    return f"{kind.__module__}:{kind.__qualname__}"


def named_class(path: str, kind: type, classes: Collection[type] = ()) -> Any:
    """Return the class that a file names."""
    module, _, name = str(path).partition(":")
    found: Any = {class_path(one): one for one in classes}.get(path)
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
        "class": class_path(model),
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
    return isinstance(plain(value), str | int | float | bool | None)


def _attributes(model: Any) -> tuple[dict[str, Any], bool]:
    """Return the scalar attributes, and whether all others have the type they have by default."""
    given = {name: value for name, value in vars(model).items() if name != "hyperparameters"}
    scalars = {name: value for name, value in as_json(given).items() if _is_scalar(value)}
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
    kind = named_class(stored["class"], AbstractModel, classes)
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
    if hyperparameters.get("embeddings_path") and (
        hyperparameters.get("embeddings_type", "pickle") != "word2vec"
    ):
        return "embeddings_path"
    return None


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
            arguments[name] = plain(value)
        else:
            unknown.append(name)
    return {"class": class_path(metric), "arguments": arguments, "unknown": unknown}


def rebuilt_metric(stored: Mapping[str, Any], dataset: Any, classes: Collection[type] = ()) -> Any:
    """Return the metric that `described_metric` described."""
    if stored["unknown"]:
        raise StorageError(
            f"the metric {stored['class']} was given {', '.join(stored['unknown'])}, which a file "
            "can't hold; give it again: resume_optimization(file, metric=…, extra_metrics=[…])."
        )
    arguments = {}
    for name, value in stored["arguments"].items():
        if not isinstance(value, Mapping):
            arguments[name] = plain(value)
        elif "class" in value:
            arguments[name] = rebuilt_metric(value, dataset, classes)
        elif value["is"] == "the data set":
            arguments[name] = dataset
        elif value["is"] == "the corpus":
            arguments[name] = dataset.get_corpus()
        else:
            arguments[name] = _training_corpus(dataset)
    return named_class(stored["class"], AbstractMetric, classes)(**arguments)


def _training_corpus(dataset: Any) -> list[list[str]]:
    return list((dataset.get_corpus() or [])[: partition_sizes(dataset)[0]])


def check_same(what: str, given: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Reject another model or metric than the one that a search began with."""
    if given["class"] != stored["class"]:
        raise StorageError(
            f"the search began with the {what} {stored['class']}, given is {given['class']}; "
            "continue with that, or begin a new search."
        )
    for part in ("hyperparameters", "arguments", "attributes"):
        before, now = stored.get(part, {}), given.get(part, {})
        for name in sorted({*before, *now}):
            if before.get(name) != now.get(name):
                raise StorageError(
                    f"the search began with {what} {stored['class']} and "
                    f"{name}={before.get(name)!r}, given is {now.get(name)!r}; continue with that, "
                    "or begin a new search."
                )


# Data sets.


def described_dataset(dataset: Any) -> dict[str, Any]:
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
    content = hashlib.sha256()
    for document in dataset.get_corpus() or ():
        content.update("\t".join(document).encode() + b"\n")
    metadata = dataset.get_metadata() or {}
    ends = {name: metadata.get(name) for name in ("last-training-doc", "last-validation-doc")}
    content.update(json.dumps(ends).encode())
    return content.hexdigest()


def rebuilt_dataset(stored: Mapping[str, Any]) -> Any:
    """Return the data set that `described_dataset` described."""
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


def check_same_dataset(dataset: Any, stored: Mapping[str, Any]) -> None:
    """Reject other data than those that a search began with."""
    given = described_dataset(dataset)
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
