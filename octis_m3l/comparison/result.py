"""What a comparison found: every run's scores, and every model's standing."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from octis_m3l.comparison.statistics import Items, Sample, Standing, pooled, standings
from octis_m3l.errors import StorageError
from octis_m3l.files import read_json, sha256, write_json, written_whole
from octis_m3l.metrics import METRICS

FILE = "comparison.json"
RUNS = "runs"
# No view has this name, which holds a blank.
ALL = "all views"


@dataclass(frozen=True)
class Measured:
    """What one measure said of one run."""

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

    def write(self, folder: Path) -> None:
        """Keep the run: its items first, then the file that says that it is there."""
        path = run_file(folder, self.contender, self.seed)
        arrays: dict[str, NDArray[Any]] = {}
        scores: dict[str, dict[str, dict[str, Any]]] = {}
        for measure, of_measure in self.measured.items():
            for where, entry in of_measure.items():
                here = scores.setdefault(measure, {})
                here[where] = {"score": entry.score, "higher": entry.higher}
                if entry.items is not None and entry.tuples is not None:
                    here[where]["items"] = len(entry.items)
                    arrays[f"{measure}\n{where}\nitems"] = entry.items
                    arrays[f"{measure}\n{where}\ntuples"] = entry.tuples
        if arrays:
            with written_whole(path.with_suffix(".npz")) as temporary:
                np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
        plain = {name: getattr(self, name) for name in _PLAIN}
        hashed = {"sha256": sha256(path.with_suffix(".npz"))} if arrays else {}
        write_json(path, {**plain, "measured": scores, **hashed}, checked=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the run that `write` kept."""
        stored = read_json(path)
        arrays: dict[str, NDArray[Any]] = {}
        try:
            listed = [e for of in stored["measured"].values() for e in of.values() if "items" in e]
            if listed:
                found = sha256(path.with_suffix(".npz"))
                if stored.get("sha256", found) != found:
                    raise ValueError("the SHA-256 of the .npz differs")
                with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
                    arrays = {name: file[name] for name in file.files}
            measured = {
                measure: {
                    where: Measured(
                        entry["score"],
                        entry["higher"],
                        arrays[f"{measure}\n{where}\nitems"] if "items" in entry else None,
                        arrays[f"{measure}\n{where}\ntuples"] if "items" in entry else None,
                    )
                    for where, entry in of_measure.items()
                }
                for measure, of_measure in stored["measured"].items()
            }
            return cls(**{name: stored[name] for name in _PLAIN}, measured=measured)
        except (
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            OSError,
            EOFError,
            BadZipFile,
        ) as error:
            raise StorageError(
                f"{path} or its .npz is damaged ({type(error).__name__}: {error}); delete both, "
                "and the same comparison does this run again."
            ) from None


_PLAIN = ("contender", "seed", "seconds", "topics", "notes", "error", "trace")


def read_comparison(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the contenders of a comparison, and what they are compared on."""
    info = read_json(folder / FILE)
    contenders = info.pop("contenders", None)
    whole = isinstance(contenders, dict) and all(isinstance(c, dict) for c in contenders.values())
    if not whole:
        raise StorageError(f"{folder / FILE} is damaged: it lists no contenders; copy it again.")
    return contenders, info


def run_file(folder: Path, contender: str, seed: int) -> Path:
    """Return where a run is kept."""
    name = quote(contender, safe=" ()+,=")
    # Files that begin with a dot are those that a killed process left.
    return folder / RUNS / f"{'%2E' + name[1:] if name.startswith('.') else name}-{seed}.json"


class Comparison:
    """Several models on the same data, run by run and in order of merit.

    Parameters
    ----------
    names : sequence of str
        The contenders, in the order that tables show.
    runs : sequence of Run
        Finished and failed ones.
    info : mapping
        What was compared on: data, partition, topk, versions.

    Attributes
    ----------
    higher : dict of measure to bool
        Whether higher scores are better.
    standings : dict of (measure, view or pair or 'all views') to dict of contender to Standing
        'all views': the mean over the views, or pairs of views, that every contender was measured
        on that the measure applies to at all.
    common : dict of measure to list of str
        These views or pairs; None where they are all that any was measured on.
    """

    def __init__(self, names: Sequence[str], runs: Sequence[Run], info: Mapping[str, Any]) -> None:
        self.names, self.info = list(names), dict(info)
        self.runs = sorted(runs, key=lambda run: (self.names.index(run.contender), run.seed))
        self.higher: dict[str, bool] = {}
        self.common: dict[str, list[str] | None] = {}
        self.standings = self._standings()

    @classmethod
    def from_folder(cls, folder: str | Path) -> Self:
        """Return what a comparison has found so far.

        Parameters
        ----------
        folder : str or Path
            That `compare` was given.

        Raises
        ------
        StorageError
            If it holds none, or a file of it is damaged.
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
        """Say which runs failed, and which measures could not be taken of which contender."""
        for run in self.failed:
            warnings.warn(f"{run.contender}, seed {run.seed}, failed: {run.error}", stacklevel=3)
        said = set()
        for run in self.runs:
            for measure, why in run.notes.items():
                if (run.contender, measure) not in said:
                    said.add((run.contender, measure))
                    warnings.warn(f"{run.contender} has no {measure}: {why}", stacklevel=3)

    def _standings(self) -> dict[tuple[str, str], dict[str, Standing]]:
        by = self._samples()
        found = {}
        for measure in sorted({measure for measure, _ in by}, key=_place_of):
            places = [where for name, where in by if name == measure]
            known = METRICS.get(measure.removesuffix(" across"))
            options: Any = {"higher": self.higher[measure]}
            options |= {"bounds": known.range} if known is not None else {}
            for where in places:
                found[measure, where] = standings(by[measure, where], **options)
            measured = [name for name in self.names if any(name in by[measure, w] for w in places)]
            shared = [w for w in places if all(name in by[measure, w] for name in measured)]
            if shared:
                self.common[measure] = None if shared == places else shared
                over = {n: pooled([by[measure, w][n] for w in shared]) for n in measured}
                whole = {name: sample for name, sample in over.items() if sample is not None}
                if whole:
                    found[measure, ALL] = standings(whole, **options)
        return found

    def _samples(self) -> dict[tuple[str, str], dict[str, Sample]]:
        gathered: dict[tuple[str, str], dict[str, list[tuple[int, Measured]]]] = {}
        for run in self.runs:
            for measure, of_measure in run.measured.items():
                for where, entry in of_measure.items():
                    by_name = gathered.setdefault((measure, where), {})
                    by_name.setdefault(run.contender, []).append((run.seed, entry))
                    self.higher[measure] = entry.higher
        return {
            place: {name: _sample(entries) for name, entries in by_name.items()}
            for place, by_name in gathered.items()
        }

    def __repr__(self) -> str:
        """Say what was compared; `frame`, `octis_m3l.reports.comparison_table` say the rest."""
        names = ", ".join(self.names)
        return f"<Comparison: {len(self.runs)} runs of {names}, {len(self.failed)} failed>"

    def _place(self, measure: str, where: str) -> str:
        shared = self.common.get(measure) if where == ALL else None
        return f"mean of {', '.join(shared)}" if shared else where

    def frame(self) -> pd.DataFrame:
        """Return a row for each contender, measure and view, pair of views, and mean over them.

        'all views' is the mean over all, 'mean of …' over those that all contenders have.

        Returns
        -------
        DataFrame
            contender, measure, where, and the entries of `Standing`.
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
            (run.contender, run.seed, measure, where, entry.score)
            for run in self.runs
            for measure, of_measure in run.measured.items()
            for where, entry in of_measure.items()
        ]
        return pd.DataFrame(rows, columns=["contender", "seed", "measure", "where", "score"])

    def item_frames(self) -> Iterator[pd.DataFrame]:
        """Yield a frame for each run, measure and view that has items.

        Yields
        ------
        DataFrame
            contender, seed, measure, where, tuple, score; a row for each item.
        """
        for run in self.runs:
            for measure, of_measure in run.measured.items():
                for where, entry in of_measure.items():
                    if entry.items is not None:
                        yield pd.DataFrame(
                            {
                                "contender": run.contender,
                                "seed": run.seed,
                                "measure": measure,
                                "where": where,
                                "tuple": entry.tuples,
                                "score": entry.items,
                            }
                        )


def _place_of(measure: str) -> tuple[int, str]:
    """Return where a measure stands in tables: as in `METRICS`, others last."""
    order = [name for known in METRICS for name in (known, f"{known} across")]
    return order.index(measure) if measure in order else len(order), measure


def _sample(of_seeds: Sequence[tuple[int, Measured]]) -> Sample:
    seeds = tuple(seed for seed, _ in of_seeds)
    entries = [entry for _, entry in of_seeds]
    scores = np.array([entry.score for entry in entries])
    items = [entry.items for entry in entries if entry.items is not None]
    tuples = entries[0].tuples
    if tuples is None or len(items) < len(entries):
        return Sample(scores, (), seeds)
    return Sample(scores, (Items(np.stack(items), tuples),), seeds)
