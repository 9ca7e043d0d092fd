"""A search's file of runs: what the search consists of, and the outcomes so far."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from octis_m3l.errors import OctisM3LError, StorageError
from octis_m3l.files import read_json, write_json
from octis_m3l.search.record import (
    check_same,
    check_same_dataset,
    check_trusted,
    described_dataset,
    described_metric,
    described_model,
    rebuilt_dataset,
    rebuilt_metric,
    rebuilt_model,
)
from octis_m3l.search.result import as_json, without_nan
from octis_m3l.search.runs import Outcome
from octis_m3l.search.settings import SearchSettings
from octis_m3l.search.spaces import described_space, rebuilt_space

_FORMAT, _VERSION = "octis-m3l search", 1


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
        cls,
        model: Any,
        dataset: Any,
        metrics: Sequence[Any],
        space: dict[str, Any],
        **others: Any,
    ) -> Self:
        """Return the record of a search that begins."""
        return cls.model_construct(
            model=described_model(model),
            dataset=described_dataset(dataset),
            metrics=[described_metric(metric, dataset) for metric in metrics],
            search_space=described_space(space),
            **others,
        )

    def write(self, file: Path) -> None:
        """Write the record beside the file that OCTIS writes too."""
        write_json(runs_file(file), without_nan(as_json(self.model_dump())), checked=True)

    def parts(
        self,
        model: Any,
        dataset: Any,
        metric: Any,
        extra_metrics: Sequence[Any] | None,
        classes: Collection[type],
        *,
        trusted: bool,
    ) -> tuple[Any, Any, list[Any], dict[str, Any]]:
        """Return the model, data set, metrics and space: those that are given, or as recorded."""
        dataset = rebuilt_dataset(self.dataset) if dataset is None else dataset
        check_same_dataset(dataset, self.dataset)
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
                check_same("metric", described_metric(given, dataset), stored)
            metrics.append(rebuilt_metric(stored, dataset, classes) if given is None else given)
        is_given = model is not None
        if is_given:
            check_same("model", described_model(model), self.model)
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
    if not beside.is_file() and not file.is_file():
        raise StorageError(
            f"there is no search at {file}; give the JSON file that it was saved to, or its folder."
        )
    content = read_json(beside) if beside.is_file() else {}
    if content.get("format") != _FORMAT:
        raise StorageError(
            f"{file} is no search of octis-m3l, whose runs are in {beside.name} beside it; "
            "searches of OCTIS's own Optimizer are resumed by that."
        )
    if content.get("version") != _VERSION:
        raise StorageError(f"{file} was written by another octis-m3l; upgrade this one.")
    with damaged(file):
        return SearchRecord.model_validate(content)


@contextmanager
def damaged(file: Path) -> Iterator[None]:
    """Raise one StorageError for whatever does not fit in a search's file of runs."""
    try:
        yield
    except OctisM3LError:
        raise
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = str(error)
    else:
        return
    raise StorageError(
        f"{runs_file(file)} is damaged ({reason}); copy it again, or begin the search anew."
    )
