"""Run every contender over the seeds, score it, and keep each run as soon as it is there."""

import operator
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from octis.models.model import AbstractModel
from tqdm.auto import tqdm

from octis_m3l.comparison.contenders import Contender, Ours, Terms
from octis_m3l.comparison.identity import described_comparison, described_contenders
from octis_m3l.comparison.job import ACROSS_ONLY, Compared, ComparisonJob
from octis_m3l.comparison.per_view import OfOCTIS
from octis_m3l.comparison.result import FILE, RUNS, Comparison, Run, read_comparison, run_file
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.devices import check_device_name, is_watched
from octis_m3l.encoders import encode
from octis_m3l.encoders.encode import EncoderName, check_encoder
from octis_m3l.errors import DataError, OctisM3LError, SettingsError, StorageError
from octis_m3l.files import check_can_create, held, read_json, remove_unfinished, write_json
from octis_m3l.metrics import METRICS
from octis_m3l.metrics.base import check_dataset
from octis_m3l.metrics.outputs import check_partition, check_whole, possible_output
from octis_m3l.metrics.scores import applicable, check_built, chosen_metrics, missing
from octis_m3l.models.base import TopicModel
from octis_m3l.search.placing import Place, place
from octis_m3l.search.runs import Task

_HASH = 64


def compare(
    contenders: Mapping[str, Any],
    dataset: MultiviewDataset,
    *,
    metrics: Any = None,
    others: Mapping[str, Any] | None = None,
    seeds: int | Iterable[int] = 5,
    partition: str = "test",
    topk: int = 10,
    corpus: MultiviewDataset | None = None,
    encoder: EncoderName = "auto",
    out: str | Path | None = None,
    processes: int = 1,
    device: str | Sequence[str] | None = None,
    threads: int | None = None,
    executor: Any = None,
    progress: bool | None = None,
) -> Comparison:
    """Train models on the same data, embeddings and seeds, and score them by the same measures.

    A run that fails is recorded, and the others go on. With `out`, each run is kept when it ends:
    the same call goes on where it was stopped, tries failed runs again, and takes further
    contenders and seeds; the result has all contenders of the folder.

    Parameters
    ----------
    contenders : mapping of name to a model or a `Contender`
        Our models; OCTIS's own, which are trained on each language by itself; `OfContextualized`;
        `External`.
    dataset : MultiviewDataset
        The data. Views without embeddings get them from `encoder`, so that all read the same.
    metrics : str, or sequence of str and OCTIS metrics, optional
        Names among `METRICS`, each of which must apply to the data; and metrics of one's own.
        Default: all that apply.
    others : mapping of name to OCTIS metric, optional
        Metrics of one's own under names of one's own, such as
        ``{"KL": OnView(KL_uniform(), "en", dataset)}``; higher scores are better unless the metric
        has a ``direction`` that says 'lower'. Metrics of OCTIS see the pivot's output.
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
    processes, threads, executor
        As for `Optimizer.optimize`.
    progress : bool, optional
        Whether to show a progress bar. Default: in a terminal or a notebook.
    device : str or sequence of str, optional
        Where to train; several are given out in turn. OCTIS's and contextualized-topic-models'
        classes take a GPU wherever torch sees one: of several the one that is given here; 'cpu'
        they are told by ``CUDA_VISIBLE_DEVICES=``.

    Returns
    -------
    Comparison

    Raises
    ------
    SettingsError, DataError
        Before any run, if something does not fit; or after all, if nothing could be measured.
    StorageError
        If `out` holds another comparison, other contenders of the same names, or contenders that
        read other embeddings; or if another process is at work in it.
    """
    check_dataset(dataset, "compare")
    if not isinstance(contenders, Mapping):
        raise SettingsError(
            f"contenders is a {type(contenders).__name__}; expected a mapping of names to models, "
            "as in {'LDA': LDA(num_topics=50), 'M3L': M3LContrast(num_topics=50)}."
        )
    named = {str(name): as_contender(of_user, name) for name, of_user in contenders.items()}
    if len(named) < len(contenders):
        raise SettingsError("two contenders have the same name; call one otherwise.")
    wanted = _checked_seeds(seeds)
    chosen, own = chosen_metrics(metrics)
    further = {**own, **_checked_others(others)}
    _check_names(named, further)
    _check_measures(chosen, named)
    check_partition(partition)
    check_whole("topk", topk, 2)
    at = place(processes, device, threads, executor)
    terms = Terms(partition, topk, at.device, at.threads)
    if not any(len(range(len(v))[v.rows(partition)]) for v in dataset.views.values()):
        raise DataError(f"the {partition} partition holds no items; split the data anew.")
    _check_applies(dataset, chosen, partition, topk, corpus)
    if any(contender.reads_embeddings for contender in named.values()):
        check_encoder(dataset, encoder)
    for name, contender in named.items():
        try:
            contender.check(dataset, terms)
            if executor is None and not at.devices:
                check_device_name(contender.device)
        except OctisM3LError as error:
            raise type(error)(f"{name}: {error}") from None
    if out is not None:
        _check_folder(Path(out).resolve())
    given = dataset
    if any(contender.reads_embeddings for contender in named.values()):
        dataset = _embedded(given, encoder)
    job = ComparisonJob(
        model=None,
        dataset=dataset,
        metrics=(),
        contenders=named,
        terms=terms,
        measures=chosen,
        others=further,
        topk=topk,
        corpus=corpus,
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary if out is None else out).resolve()
        with held(folder / FILE):
            remove_unfinished(folder / RUNS)
            tasks = _begun(job, given, folder, wanted)
            _run(job, tasks, folder, at, progress)
            found = Comparison.from_folder(folder)
    own = {name: _seeds_of(contender, wanted) for name, contender in named.items()}
    runs = [r for r in found.runs if r.contender not in own or r.seed in own[r.contender]]
    there = {run.contender for run in runs}
    result = Comparison([name for name in found.names if name in there], runs, found.info)
    result.warn()
    if not result.standings and not result.failed:
        raise DataError(
            "no measure applies to any of the models: look for partitions without items, images "
            "without topics of their own, labels and links that are missing."
        )
    return result


def as_contender(given: Any, name: object) -> Contender:
    """Return a contender from whatever can be compared."""
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


def _check_names(named: Mapping[str, Contender], others: Mapping[str, Any]) -> None:
    if not named:
        raise SettingsError("compare needs a model and a seed at least.")
    for name in named:
        if not name.strip():
            raise SettingsError(f"{name!r} is no name; call each contender something.")
        if len(run_file(Path(), name, 2**32).name) >= 240:
            raise SettingsError(f"'{name[:60]}…' is too long a name for files; use a shorter one.")
    for name in others:
        if name in METRICS or name.endswith(" across"):
            raise SettingsError(f"'{name}' is one of the measures already; call it otherwise.")


def _checked_others(others: Any) -> dict[str, Any]:
    if not isinstance(others, Mapping | None):
        raise SettingsError(
            f"others is a {type(others).__name__}; expected a mapping of names to metrics."
        )
    return {str(name): check_built(metric) for name, metric in (others or {}).items()}


def _check_applies(
    dataset: MultiviewDataset,
    metrics: Sequence[str] | None,
    partition: str,
    topk: int,
    corpus: MultiviewDataset | None,
) -> None:
    """Refuse measures that apply to no model of the data set."""
    output = possible_output(dataset, topk)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = applicable(dataset, output, partition, metrics, topk=topk, corpus=corpus)
    if lacking := missing(metrics, found, partition):
        raise DataError(lacking[0])


def _checked_seeds(seeds: Any) -> list[int]:
    if isinstance(seeds, int | np.integer) and seeds < 0:
        raise SettingsError(f"seeds={seeds}: expected how many (5), or which ([1, 2, 3]).")
    given = range(int(seeds)) if isinstance(seeds, int | np.integer) else seeds
    try:
        listed = list(dict.fromkeys(operator.index(seed) for seed in given))
    except TypeError:
        raise SettingsError(
            f"seeds={seeds!r}: expected how many (5), or which ([1, 2, 3])."
        ) from None
    if not listed:
        raise SettingsError("compare needs a model and a seed at least.")
    for seed in listed:
        if not 0 <= seed < 2**32:
            raise SettingsError(f"seed {seed}: expected 0 to 2³² − 1.")
    return listed


def _check_measures(metrics: Sequence[str] | None, named: Mapping[str, Contender]) -> None:
    apart = not any(contender.aligned for contender in named.values())
    if metrics and apart and {*metrics} <= {*ACROSS_ONLY}:
        raise SettingsError(
            f"{', '.join(metrics)} compare(s) views, and none of these models has topics that mean "
            "the same in every view; take measures of one view (npmi, tu), or models of several."
        )


def _embedded(dataset: MultiviewDataset, encoder: EncoderName) -> MultiviewDataset:
    """Return the data set with embeddings of every view."""
    there = all(view.embeddings is not None for view in dataset.views.values())
    if there and encoder in ("auto", "given"):
        return dataset
    found = encode(dataset, encoder).embeddings
    return dataset.with_embeddings(found, name=encoder, order="stored")


def _run(
    job: ComparisonJob, tasks: Sequence[Task], folder: Path, at: Place, progress: bool | None
) -> None:
    """Do runs, and keep each as it ends."""
    if not tasks:
        return
    shown = is_watched() if progress is None else progress
    bar = tqdm(total=len(tasks), desc="comparing", unit="run", disable=not shown)
    try:
        with at.executor_for(job, len(tasks)) as executor, bar:
            for outcome in executor.outcomes(tasks):
                _run_of(outcome, job.contenders).write(folder)
                bar.update()
    except KeyboardInterrupt:
        print(
            f"stopped after {bar.n} of {len(tasks)} runs; with the same folder (out=, --out) the "
            "same call goes on.",
            file=sys.stderr,
        )
        raise


def _seeds_of(contender: Contender, seeds: Sequence[int]) -> list[int]:
    return list(range(contender.runs)) if contender.runs else list(seeds)


def _run_of(outcome: Any, named: Mapping[str, Contender]) -> Run:
    """Return a run's result; where its process was lost, what is known of it."""
    if isinstance(outcome, Compared) and outcome.result is not None:
        return outcome.result
    name = list(named)[outcome.call]
    return Run(name, outcome.seed, outcome.seconds, error=outcome.error, trace=outcome.trace)


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs, with the values where they are plain."""
    for name in sorted({*before, *now}):
        there, here = before.get(name), now.get(name)
        if there == here:
            continue
        if isinstance(there, dict) and isinstance(here, dict):
            yield from _differing(there, here)
        elif isinstance(there, str) and len(there) == _HASH:
            yield name
        else:
            yield f"{name}: {there!r} there, {here!r} here"


def _check_folder(folder: Path) -> None:
    """Refuse a folder of something else."""
    occupied = folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())
    if (occupied and not (folder / FILE).is_file()) or folder.is_file():
        raise StorageError(
            f"{folder} exists already and holds no comparison; choose another folder."
        )
    check_can_create(folder / FILE)


def _begun(
    job: ComparisonJob, given: MultiviewDataset, folder: Path, seeds: Sequence[int]
) -> list[Task]:
    """Return the runs that are not there yet; the folder says what is compared."""
    file, info = folder / FILE, described_comparison(job, given)
    known: dict[str, Any] = {}
    if file.is_file():
        known, stored = read_comparison(folder)
        differing = [name for name, value in info.items() if stored.get(name) != value]
        if differing:
            raise StorageError(
                f"{folder} holds a comparison with other {', '.join(differing)}; choose another "
                "folder."
            )
    own = described_contenders(job)
    for name, before in known.items():
        for described in own.values():
            if before.get("embeddings", described.get("embeddings")) != described.get(
                "embeddings", before.get("embeddings")
            ):
                raise StorageError(
                    f"'{name}' of {folder} read other embeddings than these models would; compare "
                    "models on the same (encoder=, --encoder), or choose another folder."
                )
    for name, described in own.items():
        if name in known and (known[name] != described or not described.get("whole", True)):
            differing = list(_differing(known[name], described))
            why = (
                f"({', '.join(differing)})"
                if differing
                else "(it was given what a file can't hold)"
            )
            raise StorageError(
                f"{folder} holds runs of another '{name}' {why}; give this one another name, or "
                "choose another folder."
            )
        known[name] = described
    tasks = []
    for call, (name, contender) in enumerate(job.contenders.items()):
        for number, seed in enumerate(_seeds_of(contender, seeds)):
            path = run_file(folder, name, seed)
            if not path.is_file() or read_json(path).get("error") is not None:
                tasks.append(Task(call, number, {}, seed))
    write_json(file, {"contenders": known, **info}, checked=True)
    # Every model's first run comes first: what can't be trained is known early.
    return sorted(tasks, key=lambda task: task.run)
