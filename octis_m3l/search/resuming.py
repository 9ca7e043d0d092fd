"""A search's file of runs, read: what it holds, and what must be given again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from octis_m3l.errors import StorageError
from octis_m3l.files import read_json
from octis_m3l.search.record import (
    check_same,
    check_same_dataset,
    check_trusted,
    described_metric,
    described_model,
    rebuilt_dataset,
    rebuilt_metric,
    rebuilt_model,
)

FORMAT, VERSION = "octis-m3l search", 1
_PARTS = (
    "model",
    "dataset",
    "metrics",
    "search_space",
    "settings",
    "kernel",
    "seed",
    "test_allowed",
    "points",
    "runs",
)


@dataclass(frozen=True)
class Given:
    """What a search is made of; None: as its file says."""

    model: Any
    dataset: Any
    metric: Any
    extra_metrics: Sequence[Any] | None
    kernel: Any
    classes: Collection[type] = ()
    trusted: bool = False


def runs_file(file: Path) -> Path:
    """Return the file that holds a search's runs, beside the one that OCTIS writes too."""
    return file.with_name(f"{file.stem}.runs.json")


def read_search(file: Path) -> dict[str, Any]:
    """Return what is known of a search: how it was begun, and its runs."""
    beside = runs_file(file)
    if not beside.is_file() and not file.is_file():
        raise StorageError(
            f"there is no search at {file}; give the JSON file that it was saved to, or its folder."
        )
    # Searches used to have their runs in the one file.
    own = read_json(beside) if beside.is_file() else read_json(file).get("octis_m3l")
    if not isinstance(own, dict) or own.get("format") != FORMAT:
        raise StorageError(
            f"{file} is no search of octis-m3l, whose runs are in {beside.name} beside it; "
            "searches of OCTIS's own Optimizer are resumed by that."
        )
    if own.get("version") != VERSION:
        raise StorageError(f"{file} was written by another octis-m3l; upgrade this one.")
    missing = [name for name in _PARTS if name not in own]
    if missing:
        raise StorageError(f"{file} is damaged: it has no '{missing[0]}'.")
    return own


def completed(given: Given, stored: dict[str, Any]) -> Given:
    """Return all that a search is made of: what was given, and the rest from its file."""
    dataset = rebuilt_dataset(stored["dataset"]) if given.dataset is None else given.dataset
    check_same_dataset(dataset, stored["dataset"])
    if stored["kernel"] and given.kernel is None:
        raise StorageError(f"the search had the kernel {stored['kernel']}; give it again: kernel=…")
    if given.model is not None:
        check_same("model", described_model(given.model), stored["model"])
    before = stored["metrics"]
    if given.extra_metrics is not None and len(given.extra_metrics) != len(before) - 1:
        raise StorageError(
            f"the search began with {len(before) - 1} extra metrics, given are "
            f"{len(given.extra_metrics)}; give the same ones."
        )
    metrics = []
    for one, described in zip(
        [given.metric, *(given.extra_metrics or [None] * (len(before) - 1))], before, strict=True
    ):
        if one is not None:
            check_same("metric", described_metric(one, dataset), described)
        metrics.append(rebuilt_metric(described, dataset, given.classes) if one is None else one)
    model = given.model
    if model is None:
        model = rebuilt_model(stored["model"], given.classes)
    if not given.trusted:
        check_trusted(model, stored["search_space"], given=given.model is not None)
    return Given(model, dataset, metrics[0], metrics[1:], given.kernel)
