"""What a comparison found: every run's scores, and every model's standing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from octis_m3l.comparison.statistics import Sample, Standing, pooled, standings
from octis_m3l.errors import StorageError
from octis_m3l.files import read_json

FILE = "comparison.json"
RUNS = "runs"
ALL = "all"


@dataclass(frozen=True)
class Measured:
    """What one measure said of one run.

    Parameters
    ----------
    score : float
        The score.
    higher : bool
        Whether higher is better.
    items : list of float, optional
        The scores of documents or queries, if these are the same for every model.
    """

    score: float
    higher: bool
    items: list[float] | None = None


@dataclass(frozen=True)
class Run:
    """One run of one contender.

    Parameters
    ----------
    contender : str
        Its name.
    seed : int
        From which it can be repeated.
    seconds : float
        That training and scoring took.
    measured : dict of measure to dict of view or pair of views to Measured
        Empty if the run failed.
    topics : dict of view to list of list of str
        The topics' words.
    error, trace : str, optional
        Why and where it failed.
    """

    contender: str
    seed: int
    seconds: float
    measured: dict[str, dict[str, Measured]] = field(default_factory=dict)
    topics: dict[str, list[list[str]]] = field(default_factory=dict)
    error: str | None = None
    trace: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON holds."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Return the run that `as_dict` described.

        Parameters
        ----------
        stored : mapping
            As read from JSON.
        """
        measured = {
            name: {where: Measured(**entry) for where, entry in of_name.items()}
            for name, of_name in stored["measured"].items()
        }
        return cls(**{**stored, "measured": measured})


class Comparison:
    """Several models on the same data, run by run and in order of merit.

    Parameters
    ----------
    names : sequence of str
        The contenders, in the order that tables show.
    runs : sequence of Run
        Finished and failed ones.
    info : mapping
        What was compared on: data, partition, topk, seeds.

    Attributes
    ----------
    higher : dict of measure to bool
        Whether higher scores are better.
    standings : dict of (measure, view or pair or 'all') to dict of contender to Standing
        'all': the mean over the views, or pairs of views, that every contender was measured on
        that the measure applies to at all.
    common : dict of measure to list of str
        These views or pairs; None where they are all that any was measured on.
    """

    def __init__(self, names: Sequence[str], runs: Sequence[Run], info: Mapping[str, Any]) -> None:
        self.names, self.runs, self.info = list(names), list(runs), dict(info)
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
            If it holds none.
        """
        place = Path(folder)
        if not (place / FILE).is_file():
            raise StorageError(f"{place} holds no comparison ({FILE} is missing).")
        info = read_json(place / FILE)
        runs = [
            Run.from_dict(read_json(path)["run"]) for path in sorted((place / RUNS).glob("*.json"))
        ]
        names = [name for name in info.pop("contenders") if any(r.contender == name for r in runs)]
        return cls(names, [run for run in runs if run.contender in names], info)

    @property
    def failed(self) -> list[Run]:
        """The runs that failed."""
        return [run for run in self.runs if run.error is not None]

    def _standings(self) -> dict[tuple[str, str], dict[str, Standing]]:
        by = self._samples()
        found = {}
        for measure in dict.fromkeys(measure for measure, _ in by):
            places = [where for name, where in by if name == measure]
            for where in places:
                found[measure, where] = standings(by[measure, where], higher=self.higher[measure])
            measured = [name for name in self.names if any(name in by[measure, w] for w in places)]
            shared = [w for w in places if all(name in by[measure, w] for name in measured)]
            if shared:
                self.common[measure] = None if shared == places else shared
                found[measure, ALL] = standings(
                    {name: pooled([by[measure, w][name] for w in shared]) for name in measured},
                    higher=self.higher[measure],
                )
        return found

    def _samples(self) -> dict[tuple[str, str], dict[str, Sample]]:
        gathered: dict[tuple[str, str], dict[str, list[Measured]]] = {}
        for run in sorted(self.runs, key=lambda run: (self.names.index(run.contender), run.seed)):
            for measure, of_measure in run.measured.items():
                for where, entry in of_measure.items():
                    by_name = gathered.setdefault((measure, where), {})
                    by_name.setdefault(run.contender, []).append(entry)
                    self.higher[measure] = entry.higher
        return {
            place: {name: _sample(entries) for name, entries in by_name.items()}
            for place, by_name in gathered.items()
        }

    def frame(self) -> pd.DataFrame:
        """Return a row for each contender, measure and view (or pair, or 'all').

        Returns
        -------
        DataFrame
            contender, measure, where, and the entries of `Standing`.
        """
        rows = [
            {"contender": name, "measure": measure, "where": where, **asdict(by_name[name])}
            for (measure, where), by_name in self.standings.items()
            for name in self.names
            if name in by_name
        ]
        return pd.DataFrame(rows)

    def run_frame(self) -> pd.DataFrame:
        """Return a row for each run, measure and view: contender, seed, measure, where, score."""
        rows = [
            {
                "contender": run.contender,
                "seed": run.seed,
                "measure": measure,
                "where": where,
                "score": entry.score,
            }
            for run in self.runs
            for measure, of_measure in run.measured.items()
            for where, entry in of_measure.items()
        ]
        return pd.DataFrame(rows)

    def item_frame(self) -> pd.DataFrame:
        """Return a row for each run, measure, view and item: …, item, score."""
        rows = [
            {
                "contender": run.contender,
                "seed": run.seed,
                "measure": measure,
                "where": where,
                "item": item,
                "score": score,
            }
            for run in self.runs
            for measure, of_measure in run.measured.items()
            for where, entry in of_measure.items()
            for item, score in enumerate(entry.items or ())
        ]
        return pd.DataFrame(rows)


def _sample(entries: Sequence[Measured]) -> Sample:
    scores = np.array([entry.score for entry in entries])
    items = [entry.items for entry in entries]
    alike = items[0] is not None and len({len(of_run or ()) for of_run in items}) == 1
    return Sample(scores, np.array(items, np.float64) if alike else None)
