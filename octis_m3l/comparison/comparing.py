"""Run every contender over the seeds, score it, and keep each run as soon as it is there."""

import tempfile
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from octis.models.model import AbstractModel
from tqdm.auto import tqdm

from octis_m3l.comparison.contenders import Contender, Ours, Terms
from octis_m3l.comparison.per_view import OfOCTIS
from octis_m3l.comparison.result import FILE, RUNS, Comparison, Measured, Run
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.encoders import encode
from octis_m3l.encoders.encode import EncoderName
from octis_m3l.errors import DataError, SettingsError, StorageError, suggest
from octis_m3l.files import read_json, write_json
from octis_m3l.metrics import METRICS, applicable
from octis_m3l.metrics.base import Metric, check_dataset
from octis_m3l.metrics.outputs import check_partition, check_topk
from octis_m3l.models.base import TopicModel
from octis_m3l.optimization.executors import Executor, Processes, Sequential
from octis_m3l.optimization.runs import Job, Task

# Measures of one view and of pairs of views, which are not to be averaged.
_WITHIN_TOO = ("classification", "classification-f1")
_NAMES_OF_VIEWS = ("query", "target", "first", "second", "view")


def compare(
    contenders: Mapping[str, Any],
    dataset: MultiviewDataset,
    *,
    metrics: Sequence[str] | None = None,
    others: Mapping[str, Any] | None = None,
    seeds: int | Iterable[int] = 5,
    partition: str = "test",
    topk: int = 10,
    corpus: MultiviewDataset | None = None,
    encoder: EncoderName = "auto",
    out: str | Path | None = None,
    processes: int = 1,
    device: str | Sequence[str] | None = None,
    threads: int = 1,
    executor: Any = None,
    progress: bool = True,
) -> Comparison:
    """Train models on the same data, embeddings and seeds, and score them by the same measures.

    A run that fails is recorded, and the others go on. With `out`, each run is kept when it ends:
    the same call goes on where it was stopped, tries failed runs again, and takes further
    contenders and seeds.

    Parameters
    ----------
    contenders : mapping of name to a model or a `Contender`
        Our models; OCTIS's own, which are trained on each language by itself; `OfContextualized`;
        `External`.
    dataset : MultiviewDataset
        The data. Views without embeddings get them from `encoder`, so that all read the same.
    metrics : sequence of str, optional
        Names among `METRICS`. Default: all that apply.
    others : mapping of name to OCTIS metric, optional
        Further measures, higher ones better, such as ``OnView(KL_uniform(), "en", dataset)``.
    seeds : int or iterable of int
        How many, from 0, or which.
    partition : {'test', 'validation', 'train'}
        Whose documents are scored.
    topk : int
        Words of a topic.
    corpus : MultiviewDataset, optional
        As for `score_all`.
    encoder : str
        As for `encode`.
    out : path, optional
        Folder of the comparison.
    processes, device, threads, executor, progress
        As for `Optimizer.optimize`.

    Returns
    -------
    Comparison

    Raises
    ------
    SettingsError, DataError
        Before any run, if something does not fit.
    StorageError
        If `out` holds another comparison, or other contenders of the same names.
    """
    check_dataset(dataset, "compare")
    named = {str(name): as_contender(of_user, name) for name, of_user in contenders.items()}
    wanted = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    if not named or not wanted:
        raise SettingsError("compare needs a model and a seed at least.")
    for name in metrics or ():
        if name not in METRICS:
            raise SettingsError(f"unknown metric '{name}'.{suggest(name, METRICS)}")
    check_partition(partition)
    check_topk(topk, lowest=2)
    devices = [device] if isinstance(device, str) else list(device or ())
    terms = Terms(partition, max(10, topk), devices[0] if devices else None)
    if not any(view.sizes[_PLACE[partition]] for view in dataset.views.values()):
        raise DataError(f"the {partition} partition holds no items; split the data anew.")
    if any(contender.reads_embeddings for contender in named.values()):
        dataset = _embedded(dataset, encoder)
    for name, contender in named.items():
        try:
            contender.check(dataset, terms)
        except (DataError, SettingsError) as error:
            raise type(error)(f"{name}: {error}") from None
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary if out is None else out)
        job = ComparisonJob(
            model=None,
            dataset=dataset,
            metrics=(),
            contenders=named,
            terms=terms,
            measures=None if metrics is None else tuple(metrics),
            others=dict(others or {}),
            topk=topk,
            corpus=corpus,
            place=place,
        )
        tasks = _begun(job, wanted)
        count = min(processes, len(tasks)) or 1
        chosen = _executor(job, count, devices, threads, executor) if tasks else None
        if chosen is not None:
            bar = tqdm(total=len(tasks), desc="comparing", unit="run", disable=not progress)
            with chosen as at_work, bar:
                for _ in at_work.outcomes(tasks):
                    bar.update()
        found = Comparison.from_folder(place)
    kept = set(wanted)
    runs = [
        run
        for run in found.runs
        if run.contender in named and (run.seed in kept or named[run.contender].runs)
    ]
    result = Comparison(list(named), runs, found.info)
    for run in result.failed:
        warnings.warn(f"{run.contender}, seed {run.seed}, failed: {run.error}", stacklevel=2)
    return result


_PLACE = {"train": 0, "validation": 1, "test": 2}


def as_contender(given: Any, name: object) -> Contender:
    """Return a contender from whatever can be compared.

    Parameters
    ----------
    given : TopicModel, OCTIS model or Contender
        What the user gave.
    name : object
        What it is called, for the message.

    Raises
    ------
    SettingsError
        If it is something else.
    """
    if isinstance(given, Contender):
        return given
    if isinstance(given, TopicModel):
        return Ours(given)
    if isinstance(given, AbstractModel):
        return OfOCTIS(given)
    raise SettingsError(
        f"'{name}' is a {type(given).__name__}; expected one of our models or OCTIS's (an object, "
        "not a class), OfContextualized(ZeroShotTM, …), or External(topics, theta)."
    )


@dataclass
class ComparisonJob(Job):
    """What all runs share; keeps each run's result in a file.

    Parameters
    ----------
    contenders : mapping of name to Contender
        In the order of the tasks' calls.
    terms : Terms
        What is the same for all.
    measures, others, topk, corpus
        What is scored.
    place : Path
        The comparison's folder, which every process sees.
    """

    contenders: Mapping[str, Contender] = field(default_factory=dict)
    terms: Terms = field(default_factory=Terms)
    measures: Sequence[str] | None = None
    others: Mapping[str, Any] = field(default_factory=dict)
    topk: int = 10
    corpus: MultiviewDataset | None = None
    place: Path = field(default_factory=Path)

    def do(self, task: Task) -> Any:
        """Do a run, and write what came of it.

        Parameters
        ----------
        task : Task
            Its call is the number of the contender.
        """
        outcome = super().do(task)
        if outcome.error is not None:
            name = list(self.contenders)[task.call]
            failed = Run(name, task.seed, outcome.seconds, error=outcome.error, trace=outcome.trace)
            self._write(failed)
        return outcome

    def _scores(self, task: Task) -> tuple[list[float], str | None]:
        name, contender = list(self.contenders.items())[task.call]
        terms = (
            self.terms
            if task.device is None
            else Terms(self.terms.partition, self.terms.top_words, task.device)
        )
        started = time.perf_counter()
        output = contender.run(self.dataset, task.seed, task.run, terms)
        measured = self._measured(output, contender.aligned)
        topics = {}
        for view, of_view in self.dataset.text_views.items():
            if f"topics/{view}" in output:
                words = of_view.vocabulary
                topics[view] = [[words[int(w)] for w in t] for t in output[f"topics/{view}"]]
        self._write(Run(name, task.seed, time.perf_counter() - started, measured, topics))
        return [], None

    def _measured(self, output: Mapping[str, Any], aligned: bool) -> dict[str, dict[str, Measured]]:
        found: dict[str, dict[str, Measured]] = {}
        options: dict[str, Any] = {"topk": self.topk, "corpus": self.corpus}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            applying = applicable(
                self.dataset, output, self.terms.partition, self.measures, **options
            )
        for name, by_view in applying.items():
            for where, metric in by_view.items():
                views = _views_of(metric)
                if len(views) == 1:
                    found.setdefault(name, {})[views.pop()] = _measure(metric, output)
                elif aligned:
                    label = f"{name} across" if name in _WITHIN_TOO else name
                    found.setdefault(label, {})[where] = _measure(metric, output)
        for name, other in self.others.items():
            found[name] = {"": Measured(float(other.score(output)), higher=True)}
        return found

    def _write(self, run: Run) -> None:
        described = self.contenders[run.contender].describe()
        write_json(
            run_file(self.place, run.contender, run.seed),
            {"contender": described, "run": run.as_dict()},
        )


def _views_of(metric: Metric) -> set[str]:
    return {getattr(metric, name) for name in _NAMES_OF_VIEWS if hasattr(metric, name)}


def _measure(metric: Metric, output: Mapping[str, Any]) -> Measured:
    items = metric.per_item(output).tolist() if metric.same_items else None
    score = metric.score(output) if items is None else sum(items) / len(items)
    return Measured(float(score), metric.direction == "higher", items)


def run_file(place: Path, contender: str, seed: int) -> Path:
    """Return where a run is kept.

    Parameters
    ----------
    place : Path
        The comparison's folder.
    contender : str
        Its name, of any characters.
    seed : int
        The run's.
    """
    return place / RUNS / f"{quote(contender, safe=' ()+-,=')}-{seed}.json"


def _embedded(dataset: MultiviewDataset, encoder: EncoderName) -> MultiviewDataset:
    """Return the data set with embeddings of every view."""
    if encoder in ("auto", "given") and all(
        v.embeddings is not None for v in dataset.views.values()
    ):
        return dataset
    found = encode(dataset, encoder).embeddings
    return dataset.with_embeddings(found, name=encoder, order="stored")


def _begun(job: ComparisonJob, seeds: Sequence[int]) -> list[Task]:
    """Return the runs that are not there yet; the folder says what is compared."""
    file = job.place / FILE
    info: dict[str, Any] = {
        "data": job.dataset.metadata.get("name"),
        "fingerprints": job.dataset.fingerprints(),
        "partition": job.terms.partition,
        "topk": job.topk,
        "measures": None if job.measures is None else list(job.measures),
        "others": list(job.others),
        "corpus": None if job.corpus is None else job.corpus.fingerprints(),
    }
    before: list[str] = []
    if file.is_file():
        stored = read_json(file)
        before = stored.pop("contenders")
        differing = [name for name, value in info.items() if stored.get(name) != value]
        if differing:
            raise StorageError(
                f"{job.place} holds a comparison of other {', '.join(differing)}; choose another "
                "folder."
            )
    elif job.place.is_dir() and any(job.place.iterdir()):
        raise StorageError(
            f"{job.place} exists already and holds no comparison; choose another folder."
        )
    tasks = []
    for call, (name, contender) in enumerate(job.contenders.items()):
        own = seeds[: contender.runs] if contender.runs else seeds
        for number, seed in enumerate(own):
            path = run_file(job.place, name, seed)
            if not _is_there(path, name, contender):
                tasks.append(Task(call, number, {}, seed))
    names = [*before, *(name for name in job.contenders if name not in before)]
    write_json(file, {"contenders": names, **info})
    # Every model's first run comes first: what can't be trained is known early.
    return sorted(tasks, key=lambda task: task.run)


def _is_there(path: Path, name: str, contender: Contender) -> bool:
    if not path.is_file():
        return False
    stored = read_json(path)
    if stored["contender"] != contender.describe():
        raise StorageError(
            f"{path} is a run of another '{name}', with other settings; give this one "
            "another name, or choose another folder."
        )
    return stored["run"]["error"] is None


def _executor(
    job: ComparisonJob, count: int, devices: Sequence[str], threads: int, of_user: Any
) -> Executor:
    if of_user is not None:
        made: Executor = of_user(job)
        return made
    if count == 1 and len(devices) < 2:
        return Sequential(job, threads=threads)
    return Processes(job, count, devices=devices, threads=threads)
