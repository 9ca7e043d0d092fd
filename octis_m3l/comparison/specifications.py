"""Contenders by name, for the command line."""

import inspect
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from octis_m3l.comparison.contenders import Contender, External, Ours
from octis_m3l.comparison.per_view import OfContextualized, OfOCTIS
from octis_m3l.errors import SettingsError, check_known, suggest
from octis_m3l.files import read_yaml
from octis_m3l.models import MODELS
from octis_m3l.search.record import unpickled_by

TOPICS = 50
"""K of every model by default; their packages' own defaults differ."""

OCTIS: dict[str, tuple[str, dict[str, Any]]] = {
    "octis.LDA": ("LDA", {}),
    "octis.NMF": ("NMF", {}),
    "octis.ETM": ("ETM", {}),
    "octis.ProdLDA": ("ProdLDA", {}),
    "octis.NeuralLDA": ("NeuralLDA", {}),
    "octis.ZeroshotTM": ("CTM", {"inference_type": "zeroshot"}),
    "octis.CombinedTM": ("CTM", {"inference_type": "combined"}),
}
CONTEXTUALIZED: dict[str, tuple[str, bool]] = {
    "ctm.ZeroShotTM": ("ZeroShotTM", False),
    "ctm.CombinedTM": ("CombinedTM", False),
    "ctm.SuperCTM": ("CombinedTM", True),
}
# gensim's default of a single pass is meant for streams of documents.
_PASSES: dict[str, dict[str, Any]] = {
    "octis.LDA": {"passes": 20, "iterations": 200},
    "octis.NMF": {"passes": 20},
}
NAMES = (*MODELS, *OCTIS, *CONTEXTUALIZED)


def contender(
    name: str, topics: int | None = None, *, trusted: bool = False, **settings: Any
) -> Contender:
    """Return a contender by its name on the command line: a model with some hyperparameters."""
    check_known(name, NAMES, "model", SettingsError)
    called = "n_components" if name in CONTEXTUALIZED else "num_topics"
    settings = {called: TOPICS if topics is None else topics, **settings}
    if name in MODELS:
        return Ours(MODELS[name](**settings))
    if name in CONTEXTUALIZED:
        kind, labels = CONTEXTUALIZED[name]
        ctm = import_module("contextualized_topic_models.models.ctm")
        return OfContextualized(getattr(ctm, kind), labels=labels, **settings)
    return _of_octis(name, settings, trusted=trusted)


def _of_octis(name: str, settings: Mapping[str, Any], *, trusted: bool) -> OfOCTIS:
    kind, own = OCTIS[name]
    model = getattr(import_module(f"octis.models.{kind}"), kind)
    takes = inspect.signature(model).parameters
    for key, value in settings.items():
        if key in own:
            raise SettingsError(f"{name}: {key} is what its name says; leave it out.")
        if key.startswith("num_") and not isinstance(value, int):
            raise SettingsError(f"{name}: {key}={value!r}: expected a whole number.")
        if key not in takes:
            raise SettingsError(
                f"{name}: '{key}' is no hyperparameter of OCTIS's {kind}.{suggest(key, takes)}"
            )
    try:
        built = OfOCTIS(model(**{**own, **_PASSES.get(name, {}), **settings}))
    except (TypeError, ValueError, AssertionError) as error:
        raise SettingsError(f"{name}: {error}.") from None
    # CTM never reads the user's bert_path: the comparison sets it to its own embeddings.
    unpickled = None if built.reads_embeddings else unpickled_by(built.model.hyperparameters)
    if unpickled and not trusted:
        raise SettingsError(
            f"{name}: {unpickled}={settings[unpickled]!r} would be read as a pickle, which can run "
            "any code. Give vectors in word2vec's format (embeddings_type: word2vec), or, if you "
            "trust the file, trusted=True (--trusted)."
        )
    return built


def read_contenders(
    path: Path, topics: int | None = None, *, trusted: bool = False
) -> dict[str, Contender]:
    """Return the contenders that a YAML file describes.

    ``{name: {model: octis.LDA, passes: 5}}``; for results of other programs
    ``{name: {topics: {en: FILE.json}, theta: {en: FILE.npy}, aligned: false}}``, with paths
    relative to the YAML file's folder.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise SettingsError(
            f"{path}: expected a name with its settings for each model, as in "
            "'LDA: {model: octis.LDA, passes: 5}'."
        )
    found: dict[str, Contender] = {}
    for name, entry in content.items():
        if "topics" in entry and "model" not in entry:
            found[str(name)] = _external(str(name), entry, path.parent)
            continue
        settings = {str(key): value for key, value in entry.items() if key != "model"}
        model = str(entry.get("model", name))
        found[str(name)] = contender(model, topics, trusted=trusted, **settings)
    return found


def _external(name: str, entry: Mapping[str, Any], folder: Path) -> External:
    try:
        for key in entry:
            check_known(key, ("topics", "theta", "aligned"), "entry", SettingsError)
        topics = {
            view: json.loads((folder / given).read_text("utf-8"))
            if isinstance(given, str)
            else given
            for view, given in entry["topics"].items()
        }
        theta = {
            view: {part: _array(folder, one) for part, one in file.items()}
            if isinstance(file, dict)
            else _array(folder, file)
            for view, file in (entry.get("theta") or {}).items()
        }
        return External(topics, theta, aligned=bool(entry.get("aligned", False)))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise SettingsError(f"{name}: {error}") from None


def _array(folder: Path, file: str) -> Any:
    array = np.load(folder / file, allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise ValueError(f"{file}: expected an array of numbers (.npy).")
    return array
