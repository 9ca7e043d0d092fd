"""The result of a comparison: every run's scores, and every model's standing."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from octis_m3l.comparison.statistics import Items, Sample, Standing, pooled, standings
from octis_m3l.errors import StorageError
from octis_m3l.files import damage_errors, read_json, sha256, write_json, written_whole
from octis_m3l.metrics import METRICS

FILE = "comparison.json"
RUNS = "runs"
# With a blank, which names of views can't have.
ALL = "all views"


@dataclass(frozen=True)
class Measured:
    """The score of one run by one metric on one view or pair of views."""

    score: float
    higher: bool
    items: NDArray[np.float64] | None = None
    tuples: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Run:
    """One run of one contender."""

    contender: str
    seed: int
    seconds: float
    measured: dict[str, dict[str, Measured]] = field(default_factory=dict)
    topics: dict[str, list[list[str]]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    trace: str | None = None

    def scores(self) -> Iterator[tuple[str, str, Measured]]:
        """Yield every score with its measure, and its view or pair of views."""
        for measure, by_place in self.measured.items():
            for where, entry in by_place.items():
                yield measure, where, entry

    def write(self, folder: Path) -> None:
        """Store the run: its items first, then the JSON file that marks it as finished."""
        path = run_file(folder, self.contender, self.seed)
        arrays: dict[str, NDArray[Any]] = {}
        scores: dict[str, dict[str, dict[str, Any]]] = {}
        for measure, where, entry in self.scores():
            stored: dict[str, Any] = {"score": entry.score, "higher": entry.higher}
            if entry.items is not None and entry.tuples is not None:
                stored["items"] = len(entry.items)
                arrays[f"{measure}\n{where}\nitems"] = entry.items
                arrays[f"{measure}\n{where}\ntuples"] = entry.tuples
            scores.setdefault(measure, {})[where] = stored
        hashed = {}
        if arrays:
            with written_whole(path.with_suffix(".npz")) as temporary:
                np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
            hashed = {"sha256": sha256(path.with_suffix(".npz"))}
        plain = {name: getattr(self, name) for name in _PLAIN}
        write_json(path, {**plain, "measured": scores, **hashed}, checked=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the run that `write` stored."""
        stored, items = read_json(path), path.with_suffix(".npz")
        arrays: dict[str, NDArray[Any]] = {}
        remedy = "delete it and its .npz, and the same comparison does this run again"
        with damage_errors(path, remedy):
            if "sha256" in stored:
                if sha256(items) != stored["sha256"]:
                    raise ValueError("the SHA-256 of its .npz differs")
                with np.load(items, allow_pickle=False) as file:
                    arrays = {name: file[name] for name in file.files}
            measured: dict[str, dict[str, Measured]] = {}
            for measure, by_place in stored["measured"].items():
                measured[measure] = {}
                for where, entry in by_place.items():
                    keys = (f"{measure}\n{where}\n{kind}" for kind in ("items", "tuples"))
                    found = [arrays[key] for key in keys] if "items" in entry else []
                    measured[measure][where] = Measured(entry["score"], entry["higher"], *found)
            return cls(**{name: stored[name] for name in _PLAIN}, measured=measured)


_PLAIN = ("contender", "seed", "seconds", "topics", "notes", "error", "trace")


def read_comparison(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the contenders of a stored comparison, and its data and settings."""
    with damage_errors(folder / FILE):
        info = read_json(folder / FILE)
        contenders = {name: dict(one) for name, one in info.pop("contenders").items()}
    return contenders, info


def run_file(folder: Path, contender: str, seed: int) -> Path:
    """Return the file of a run."""
    name = quote(contender, safe=" ()+,=")
    # A killed process leaves files that begin with a dot.
    name = "%2E" + name[1:] if name.startswith(".") else name
    return folder / RUNS / f"{name}-{seed}.json"


class Comparison:
    """The scores of several models on the same data, and how sure their differences are.

    Parameters
    ----------
    names : sequence of str
        The contenders, in the order that tables show.
    runs : sequence of Run
        Finished and failed ones.
    info : mapping
        Data, partition, topk and versions of packages.
    """

    def __init__(self, names: Sequence[str], runs: Sequence[Run], info: Mapping[str, Any]) -> None:
        self.names, self.info = list(names), dict(info)
        self.runs = sorted(runs, key=lambda run: (self.names.index(run.contender), run.seed))
        self.higher: dict[str, bool] = {}  # by measure: whether higher scores are better
        # The views or pairs on which every contender with a measure was measured; None: all.
        self.common: dict[str, list[str] | None] = {}
        # By measure, and view or pair; 'all views' is the mean over those in `common`.
        self.standings = self._standings()

    @classmethod
    def from_folder(cls, folder: str | Path) -> Self:
        """Return the results so far of the comparison that `compare` was given a folder for.

        StorageError: the folder holds no comparison, or a file of it is damaged.
        """
        place = Path(folder)
        if not (place / FILE).is_file():
            raise StorageError(f"{place} holds no comparison ({FILE} is missing).")
        names, info = read_comparison(place)
        # A process that is killed while it writes leaves a file whose name begins with a dot.
        paths = [p for p in sorted((place / RUNS).glob("*.json")) if not p.name.startswith(".")]
        runs = [Run.read(path) for path in paths]
        there = {run.contender for run in runs}
        kept = [name for name in names if name in there]
        return cls(kept, [run for run in runs if run.contender in kept], info)

    @property
    def failed(self) -> list[Run]:
        """The runs that failed."""
        return [run for run in self.runs if run.error is not None]

    def warn(self) -> None:
        """Warn of failed runs, and of measures that could not be computed for a contender."""
        for run in self.failed:
            warnings.warn(f"{run.contender}, seed {run.seed}, failed: {run.error}", stacklevel=3)
        warned = set()
        for run in self.runs:
            for measure, why in run.notes.items():
                if (run.contender, measure) not in warned:
                    warned.add((run.contender, measure))
                    warnings.warn(f"{run.contender} has no {measure}: {why}", stacklevel=3)

    def _standings(self) -> dict[tuple[str, str], dict[str, Standing]]:
        found = {}
        samples = self._samples()
        in_tables = [name for known in METRICS for name in (known, f"{known} across")]
        place = {name: number for number, name in enumerate(in_tables)}
        for measure in sorted(samples, key=lambda name: (place.get(name, len(place)), name)):
            by_place = samples[measure]
            known = METRICS.get(measure.removesuffix(" across"))
            options: Any = {"higher": self.higher[measure]}
            options |= {"bounds": known.range} if known is not None else {}
            for where, by_name in by_place.items():
                found[measure, where] = standings(by_name, **options)
            measured = [n for n in self.names if any(n in by_name for by_name in by_place.values())]
            shared = [w for w, by_name in by_place.items() if {*measured} == {*by_name}]
            if shared:
                self.common[measure] = None if len(shared) == len(by_place) else shared
                over = {n: pooled([by_place[where][n] for where in shared]) for n in measured}
                whole = {name: sample for name, sample in over.items() if sample is not None}
                if whole:
                    found[measure, ALL] = standings(whole, **options)
        return found

    def _samples(self) -> dict[str, dict[str, dict[str, Sample]]]:
        """Return the samples by measure, place and contender."""
        gathered: dict[str, dict[str, dict[str, list[tuple[int, Measured]]]]] = {}
        for run in self.runs:
            for measure, where, entry in run.scores():
                by_name = gathered.setdefault(measure, {}).setdefault(where, {})
                by_name.setdefault(run.contender, []).append((run.seed, entry))
                self.higher[measure] = entry.higher
        return {
            measure: {
                where: {name: _sample(entries) for name, entries in by_name.items()}
                for where, by_name in by_place.items()
            }
            for measure, by_place in gathered.items()
        }

    def __repr__(self) -> str:
        """Say what was compared; `frame`, `octis_m3l.reports.comparison_table` say the rest."""
        names = ", ".join(self.names)
        return f"<Comparison: {len(self.runs)} runs of {names}, {len(self.failed)} failed>"

    def _place(self, measure: str, where: str) -> str:
        shared = self.common.get(measure) if where == ALL else None
        return f"mean of {', '.join(shared)}" if shared else where

    def frame(self) -> pd.DataFrame:
        """Return a row for each contender, measure and place, with the entries of `Standing`.

        The place is a view or pair; 'all views', the mean over all; or 'mean of …', over those
        that all contenders have.
        """
        rows = [
            {
                "contender": name,
                "measure": measure,
                "where": self._place(measure, where),
                **asdict(by_name[name]),
            }
            for (measure, where), by_name in self.standings.items()
            for name in self.names
            if name in by_name
        ]
        return pd.DataFrame(rows)

    def run_frame(self) -> pd.DataFrame:
        """Return a row for each run, measure and view: contender, seed, measure, where, score."""
        rows = [
            (r.contender, r.seed, m, where, e.score)
            for r in self.runs
            for m, where, e in r.scores()
        ]
        return pd.DataFrame(rows, columns=["contender", "seed", "measure", "where", "score"])

    def item_frames(self) -> Iterator[pd.DataFrame]:
        """Yield a frame for each run, measure and view that has items, with a row for each item."""
        for run in self.runs:
            for measure, where, entry in run.scores():
                if entry.items is not None:
                    of = {"contender": run.contender, "seed": run.seed, "measure": measure}
                    items = {"where": where, "tuple": entry.tuples, "score": entry.items}
                    yield pd.DataFrame({**of, **items})


def _sample(of_seeds: Sequence[tuple[int, Measured]]) -> Sample:
    seeds, entries = zip(*of_seeds, strict=True)
    scores = np.array([entry.score for entry in entries])
    items = [entry.items for entry in entries if entry.items is not None]
    tuples = entries[0].tuples
    if tuples is None or len(items) < len(entries):
        return Sample(scores, (), seeds)
    return Sample(scores, (Items(np.stack(items), tuples),), seeds)
