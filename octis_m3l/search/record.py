"""What a search is made of, as JSON: classes by their path, arguments that JSON holds.

Nothing in a file is evaluated. A class that a file names is of OCTIS or of this package, or one
that the caller gives: anything else is refused before its module is imported.
"""

import hashlib
import inspect
import json
import math
import warnings
from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from octis.dataset.dataset import Dataset
from octis.dataset.downloader import get_data_home
from octis.evaluation_metrics.metrics import AbstractMetric
from octis.models.model import AbstractModel
from skopt.space import Categorical, Dimension, Integer, Real  # type: ignore[import-untyped]

from octis_m3l.data.adopt import partition_sizes
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.describe import content_hashes
from octis_m3l.errors import DataError, SettingsError, StorageError
from octis_m3l.metrics import OnView
from octis_m3l.metrics.base import partitions_read
from octis_m3l.models.base import TopicModel
from octis_m3l.search.result import as_json, plain
from octis_m3l.search.spaces import categorical

_FETCHED = "_py3.pkz"
_BASE = 10
# What scikit-optimize makes of a dimension without one, and a Gaussian process of any.
_TRANSFORMS = {
    Categorical: ("onehot",),
    Integer: ("identity", "normalize"),
    Real: ("identity", "normalize"),
}
_SCALARS = (str, int, float, bool, type(None))
_IMPORTED = ("octis", "octis_m3l", "contextualized_topic_models")
_UNPICKLED = ("bert_path", "embeddings_path", "embeddings_type")


def class_path(of: object) -> str:
    """Return where a class, or the class of an object, is defined: module:name."""
    kind = of if inspect.isclass(of) else type(of)
    return f"{kind.__module__}:{kind.__qualname__}"


def named_class(path: str, kind: type, classes: Collection[type] = ()) -> Any:
    """Return the class that a file names."""
    module, _, name = str(path).partition(":")
    found: Any = {class_path(one): one for one in classes}.get(path)
    if found is None and module.partition(".")[0] not in _IMPORTED:
        raise StorageError(
            f"the file names the class {path}, which belongs neither to OCTIS nor to octis-m3l; it "
            "is not imported, because a file from elsewhere could run any code that way. If it is "
            f"yours, import it and pass it: resume_optimization(file, classes=[{name}])."
        )
    try:
        if found is None:
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


def described_model(model: Any) -> dict[str, Any]:
    """Return a model's class and the hyperparameters that it was given."""
    given = _plain(
        model.given_hyperparameters() if isinstance(model, TopicModel) else model.hyperparameters
    )
    attributes, _ = _attributes(model)
    return {
        "class": class_path(model),
        "hyperparameters": {n: as_json(v) for n, v in given.items() if _is_plain(v)},
        "tuples": sorted(name for name, value in given.items() if isinstance(value, tuple)),
        "attributes": attributes,
        "use_partitions": bool(getattr(model, "use_partitions", True)),
        "whole": all(map(_is_plain, given.values())) and not has_own_parts(model),
    }


def _is_plain(value: Any) -> bool:
    """Say whether JSON holds a value: a number, a text, or a list of them."""
    listed = value if isinstance(value, list | tuple) else [value]
    return all(isinstance(plain(one), _SCALARS) for one in listed)


def has_own_parts(model: Any) -> bool:
    """Return whether a model has what no file holds: a teacher, encoders, objects of its own."""
    given = (getattr(model, name, None) for name in ("teacher", "own_encoders"))
    return any(part is not None for part in given) or not _attributes(model)[1]


def _attributes(model: Any) -> tuple[dict[str, Any], bool]:
    """Return what a model was given beside its hyperparameters, and whether a file holds it all."""
    if isinstance(model, TopicModel):
        return {}, True
    try:
        usual = vars(type(model)())
    except Exception:
        return {}, False
    changed = {
        name: value
        for name, value in _plain(vars(model)).items()
        if name not in ("hyperparameters", "use_partitions")
        and (name not in usual or not _same(value, usual[name]))
    }
    kept = {name: value for name, value in changed.items() if _is_scalar(value)}
    return kept, len(kept) == len(changed)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, _SCALARS)


def _same(one: Any, other: Any) -> bool:
    if _is_scalar(one) or _is_scalar(other):
        return bool(type(one) is type(other) and one == other)
    return type(one) is type(other)


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
    """Refuse to let a file decide what a model of OCTIS unpickles."""
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
            if name == "hyperparameters" or name.startswith("__") or not _is_scalar(value):
                raise StorageError(f"the file is damaged: a model's attribute can't be '{name}'.")
            setattr(model, name, value)
    model.use_partitions = stored["use_partitions"]
    return model


def described_metric(metric: Any, dataset: Any) -> dict[str, Any]:
    """Return a metric's class and arguments."""
    arguments: dict[str, Any] = {}
    unknown: list[str] = []
    for name, parameter in inspect.signature(type(metric)).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            unknown.append(name)
            continue
        value = getattr(metric, name, getattr(metric, f"_{name}", inspect.Parameter.empty))
        if value is dataset or (name == "dataset" and value is inspect.Parameter.empty):
            arguments[name] = {"is": "the data set"}
        elif name == "texts" and value == dataset.get_corpus():
            arguments[name] = {"is": "the corpus"}
        elif name == "texts" and value == _training_corpus(dataset):
            arguments[name] = {"is": "the training corpus"}
        elif isinstance(value, AbstractMetric):
            arguments[name] = described_metric(value, dataset)
        elif isinstance(value, _SCALARS) and not (isinstance(value, float) and math.isnan(value)):
            arguments[name] = value
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
    kind = named_class(stored["class"], AbstractMetric, classes)
    arguments = {}
    for name, value in stored["arguments"].items():
        if not isinstance(value, Mapping):
            arguments[name] = value
        elif "class" in value:
            arguments[name] = rebuilt_metric(value, dataset, classes)
        elif value["is"] == "the data set":
            arguments[name] = dataset
        elif value["is"] == "the corpus":
            arguments[name] = dataset.get_corpus()
        else:
            arguments[name] = _training_corpus(dataset)
    return kind(**arguments)


def _training_corpus(dataset: Any) -> list[list[str]]:
    return list((dataset.get_corpus() or [])[: partition_sizes(dataset)[0]])


def described_dataset(dataset: Any) -> dict[str, Any]:
    """Return where a data set is, and what tells it from others."""
    path = getattr(dataset, "dataset_path", None)
    known = isinstance(dataset, MultiviewDataset)
    return {
        "multiview": known,
        "path": None if path is None else str(Path(path).resolve()),
        "fingerprints": dataset.fingerprints() if known else _fingerprint(dataset),
        "contents": content_hashes(dataset.views.values(), dataset.dictionaries) if known else {},
    }


def _fingerprint(dataset: Any) -> str:
    """Return what tells a data set of OCTIS from others: a hash of its texts and partitions."""
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
    # What OCTIS fetched it keeps as a pickle, which is read from OCTIS's own folder alone.
    fetched = path.name.endswith(_FETCHED) and path.parent == Path(get_data_home()).resolve()
    try:
        if fetched:
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
    """Refuse to go on with other data."""
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


def check_same(what: str, given: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Refuse to go on with another model or metric."""
    if given["class"] != stored["class"]:
        raise StorageError(
            f"the search began with the {what} {stored['class']}, given is {given['class']}; go on "
            "with that, or begin a new search."
        )
    for part in ("hyperparameters", "arguments", "attributes"):
        before, now = stored.get(part, {}), given.get(part, {})
        differing = sorted(n for n in {*before, *now} if before.get(n) != now.get(n))
        if differing:
            name = differing[0]
            raise StorageError(
                f"the search began with {what} {stored['class']} and {name}={before.get(name)!r}, "
                f"given is {now.get(name)!r}; go on with that, or begin a new search."
            )


def described_space(space: Mapping[str, Dimension]) -> dict[str, Any]:
    """Return a search space as JSON."""
    found: dict[str, Any] = {}
    for name, searched in space.items():
        entry: dict[str, Any]
        if isinstance(searched, Categorical):
            entry = {"values": list(_plain(dict(enumerate(searched.categories))).values())}
            if searched.prior is not None:
                entry["prior"] = [float(share) for share in searched.prior]
        else:
            low, high = _plain(dict(enumerate(searched.bounds))).values()
            whole = isinstance(searched, Integer)
            entry = {"low": low, "high": high, "prior": searched.prior, "whole": whole}
            if searched.base != _BASE:
                entry["base"] = searched.base
        usual = next(of for kind, of in _TRANSFORMS.items() if isinstance(searched, kind))
        if searched.transform_ not in usual:
            entry["transform"] = searched.transform_
        found[name] = entry
    return found


def rebuilt_space(stored: Mapping[str, Any]) -> dict[str, Dimension]:
    """Return the search space that `described_space` described."""
    found: dict[str, Dimension] = {}
    for name, of in stored.items():
        options = {key: of[key] for key in ("prior", "base", "transform") if key in of}
        if "values" in of:
            found[name] = categorical(of["values"], name=name, **options)
        else:
            kind = Integer if of["whole"] else Real
            found[name] = kind(of["low"], of["high"], name=name, **options)
    return found


def check_test_use(metric: Any, *, extra: bool) -> None:
    """Refuse to search by a metric that looks at the test partition: a search would fit to it."""
    found = _test_use(metric)
    if found is None:
        return
    sees, remedy = found
    if not extra:
        raise SettingsError(
            f"{sees}, which a search must not see; {remedy}. To search by it all the same: "
            "test_allowed=True."
        )
    warnings.warn(
        f"{sees}. An extra metric is reported and does not steer the search; to choose among the "
        f"calls by it would be to fit to the test partition ({remedy}).",
        stacklevel=5,
    )


def _test_use(metric: Any) -> tuple[str, str] | None:
    """Return how a metric looks at the test partition, and what to do instead; None: it doesn't."""
    if "test" not in partitions_read(metric):
        return None
    if isinstance(metric, OnView):
        metric = metric.metric
    name = type(metric).__name__
    if hasattr(metric, "documents"):
        remedy = f"say {name}(…, documents='validation'), or give it another corpus"
        return f"{name} counts words in test documents", remedy
    if hasattr(metric, "partition"):
        remedy = f"score the validation partition: {name}(…, partition='validation')"
        return f"{name} scores the test partition", remedy
    owner = "OCTIS's " if type(metric).__module__.startswith("octis.") else ""
    remedy = "take CrosslingualClassification(dataset, view, view, 'validation')"
    return f"{owner}{name} scores the test partition", remedy


def warn_of_test_words(metric: Any, dataset: Any) -> None:
    """Warn of a metric that counts words in all documents, test documents among them."""
    arguments = described_metric(metric, dataset)["arguments"].values()
    if {"is": "the corpus"} in arguments and partition_sizes(dataset)[2]:
        warnings.warn(
            f"{type(metric).__name__} counts words in all documents, those of the test partition "
            "too; a search that is to know nothing of them takes "
            "texts=dataset.get_partitioned_corpus()[0].",
            stacklevel=5,
        )


def _plain(given: Mapping[Any, Any]) -> dict[Any, Any]:
    return {name: plain(value) for name, value in given.items()}
