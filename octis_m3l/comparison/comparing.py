"""Run every contender over the seeds, score it, and store each run as soon as it ends."""

import operator
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from octis.models.model import AbstractModel
from tqdm.auto import tqdm

from octis_m3l.comparison.contenders import Contender, Ours, Terms
from octis_m3l.comparison.job import Compared, ComparisonJob
from octis_m3l.comparison.per_view import OfOCTIS
from octis_m3l.comparison.result import FILE, RUNS, Comparison, Run, read_comparison, run_file
from octis_m3l.data.arrays import hash_of_rows
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.parts import content_hashes
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
from octis_m3l.search.executors import Place
from octis_m3l.search.record import described_metric
from octis_m3l.search.runs import Task

_PACKAGES = ("octis-m3l", "octis", "contextualized-topic-models", "gensim", "torch")
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
    """Train models on the same data, embeddings and seeds, and score them by the same metrics.

    A run that fails is recorded, and the others go on. With `out`, each run is stored when it
    ends: the same call continues an interrupted comparison, repeats failed runs, and accepts
    further contenders and seeds; the result has all contenders of the folder.

    Parameters
    ----------
    contenders : mapping of name to a model or a `Contender`
        Our models; OCTIS's own, which are trained on each language separately;
        `OfContextualized`; `External`.
    dataset : MultiviewDataset
        The data. Views without embeddings get them from `encoder`, so that all models read the
        same.
    metrics : str, or sequence of str and OCTIS metrics, optional
        Names in `METRICS`, each of which must apply to the data; and the user's own metrics.
        Default: all that apply.
    others : mapping of name to OCTIS metric, optional
        The user's own metrics under names of their own, such as
        ``{"KL": OnView(KL_uniform(), "en", dataset)}``; higher scores are better unless the metric
        has a ``direction`` of 'lower'. Metrics of OCTIS see the pivot's output.
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
        Where to train; several are used in turn. OCTIS's and contextualized-topic-models' classes
        use a GPU whenever torch sees one: the one given here if there are several; to keep them on
        the CPU, set ``CUDA_VISIBLE_DEVICES=``.

    Raises
    ------
    SettingsError, DataError
        Before any run, if something does not fit; or after all, if no metric applies.
    StorageError
        If `out` holds another comparison, other contenders of the same names, or contenders that
        read other embeddings; or if another process works in it.
    """
    check_dataset(dataset, "compare")
    named = _named_contenders(contenders)
    wanted = _checked_seeds(seeds)
    chosen, own_metrics = chosen_metrics(metrics)
    if not isinstance(others, Mapping | None):
        raise SettingsError(
            f"others is a {type(others).__name__}; expected a mapping of names to metrics."
        )
    further = {**own_metrics, **{str(n): check_built(m) for n, m in (others or {}).items()}}
    for name in further:
        if name in METRICS or name.endswith(" across"):
            raise SettingsError(f"'{name}' is one of the measures already; call it otherwise.")
    apart = not any(contender.aligned for contender in named.values())
    if chosen and apart and all(METRICS[name].compares_views for name in chosen):
        raise SettingsError(
            f"{', '.join(chosen)} compare(s) views, and none of these models has topics that mean "
            "the same in every view; take metrics of one view (npmi, tu), or models of several."
        )
    check_partition(partition)
    check_whole("topk", topk, 2)
    at = Place.checked(processes, device, threads, executor)
    terms = Terms(partition, topk, at.device, at.threads)
    if not any(len(range(len(v))[v.rows(partition)]) for v in dataset.views.values()):
        raise DataError(f"the {partition} partition holds no items; split the data anew.")
    possible = possible_output(dataset, topk)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = applicable(dataset, possible, partition, chosen, topk=topk, corpus=corpus)
    if lacking := missing(chosen, found, partition):
        raise DataError(lacking[0])
    reads_embeddings = any(contender.reads_embeddings for contender in named.values())
    if reads_embeddings:
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
    given, shown = dataset, is_watched() if progress is None else progress
    dataset = _embedded(given, encoder, shown) if reads_embeddings else given
    job = ComparisonJob(None, dataset, (), top_words=topk, contenders=named, terms=terms)
    job.measures, job.others, job.corpus = chosen, further, corpus
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary if out is None else out).resolve()
        with held(folder / FILE):
            remove_unfinished(folder / RUNS)
            _record(job, given, folder)
            _run(job, _unfinished(named, wanted, folder), folder, at, shown)
            stored = Comparison.from_folder(folder)
    ours = {name: _seeds_of(contender, wanted) for name, contender in named.items()}
    runs = [r for r in stored.runs if r.contender not in ours or r.seed in ours[r.contender]]
    present = {run.contender for run in runs}
    result = Comparison([name for name in stored.names if name in present], runs, stored.info)
    result.warn()
    if not result.standings and not result.failed:
        raise DataError(
            "no metric applies to any of the models: look for partitions without items, images "
            "without topics of their own, labels and links that are missing."
        )
    return result


def _named_contenders(contenders: Any) -> dict[str, Contender]:
    if not isinstance(contenders, Mapping):
        raise SettingsError(
            f"contenders is a {type(contenders).__name__}; expected a mapping of names to models, "
            "as in {'LDA': LDA(num_topics=50), 'M3L': M3LContrast(num_topics=50)}."
        )
    if not contenders:
        raise SettingsError("compare needs a model and a seed at least.")
    named: dict[str, Contender] = {}
    for name, given in contenders.items():
        if not isinstance(given, Contender | TopicModel | AbstractModel):
            raise SettingsError(
                f"'{name}' is a {type(given).__name__}; expected one of our models or OCTIS's (an "
                "object, not a class), OfContextualized(ZeroShotTM, …), or External(topics, theta)."
            )
        wrapped = Ours if isinstance(given, TopicModel) else OfOCTIS
        named[str(name)] = given if isinstance(given, Contender) else wrapped(given)
    if len(named) < len(contenders):
        raise SettingsError("two contenders have the same name; call one otherwise.")
    for name in named:
        if not name.strip():
            raise SettingsError(f"{name!r} is no name; call each contender something.")
        if len(run_file(Path(), name, 2**32).name) >= 240:
            raise SettingsError(f"'{name[:60]}…' is too long a name for files; use a shorter one.")
    return named


def _checked_seeds(seeds: Any) -> list[int]:
    counted = isinstance(seeds, int | np.integer)
    try:
        given = list(dict.fromkeys(map(operator.index, range(seeds) if counted else seeds)))
    except TypeError:
        given = None
    if given is None or (counted and seeds < 0):
        raise SettingsError(f"seeds={seeds!r}: expected how many (5), or which ([1, 2, 3]).")
    if not given:
        raise SettingsError("compare needs a model and a seed at least.")
    for seed in given:
        if not 0 <= seed < 2**32:
            raise SettingsError(f"seed {seed}: expected 0 to 2³² − 1.")
    return given


def _embedded(dataset: MultiviewDataset, encoder: EncoderName, progress: bool) -> MultiviewDataset:
    """Return the data set with embeddings of every view."""
    complete = all(view.embeddings is not None for view in dataset.views.values())
    if complete and encoder in ("auto", "given"):
        return dataset
    encodings = encode(dataset, encoder, progress=progress)
    for name, vectors in encodings.embeddings.items():
        called = f"{encoder}-{encodings.spaces[name]}"
        dataset = dataset.with_embeddings({name: vectors}, name=called, order="stored")
    return dataset


def _run(
    job: ComparisonJob, tasks: Sequence[Task], folder: Path, at: Place, progress: bool
) -> None:
    """Do the runs, and store each as it ends."""
    if not tasks:
        return
    bar = tqdm(total=len(tasks), desc="comparing", unit="run", disable=not progress)
    try:
        with at.executor_for(job, len(tasks)) as executor, bar:
            for outcome in executor.outcomes(tasks):
                run = outcome.result if isinstance(outcome, Compared) else None
                if run is None:
                    name = list(job.contenders)[outcome.call]
                    error, trace = outcome.error, outcome.trace
                    run = Run(name, outcome.seed, outcome.seconds, error=error, trace=trace)
                run.write(folder)
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


def _check_folder(folder: Path) -> None:
    """Raise if a folder holds something else than a comparison."""
    occupied = folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())
    if (occupied and not (folder / FILE).is_file()) or folder.is_file():
        raise StorageError(
            f"{folder} exists already and holds no comparison; choose another folder."
        )
    check_can_create(folder / FILE)


def _record(job: ComparisonJob, given: MultiviewDataset, folder: Path) -> None:
    """Add the contenders to the folder's description, if its other contenders are comparable."""
    file, info = folder / FILE, _described_comparison(job, given)
    known: dict[str, Any] = {}
    if file.is_file():
        known, stored = read_comparison(folder)
        differing = [name for name, value in info.items() if stored.get(name) != value]
        if differing:
            raise StorageError(
                f"{folder} holds a comparison with other {', '.join(differing)}; choose another "
                "folder."
            )
    own = _described_contenders(job)
    for name, before in known.items():
        read = before.get("embeddings")
        if read is not None and any(d.get("embeddings", read) != read for d in own.values()):
            raise StorageError(
                f"'{name}' of {folder} read other embeddings than these models would; compare "
                "models on the same (encoder=, --encoder), or choose another folder."
            )
    for name, described in own.items():
        if name in known and (known[name] != described or not described.get("whole", True)):
            differences = ", ".join(_differences(known[name], described))
            raise StorageError(
                f"{folder} holds runs of another '{name}' "
                f"({differences or 'it was given objects that no file can hold'}); give this one "
                "another name, or choose another folder."
            )
        known[name] = described
    write_json(file, {"contenders": known, **info}, checked=True)


def _described_comparison(job: ComparisonJob, given: MultiviewDataset) -> dict[str, Any]:
    """Return as JSON what is the same for all runs of a comparison."""
    return {
        "data": job.dataset.metadata.get("name"),
        "items, links and partitions": job.dataset.fingerprints(),
        "embeddings, labels, word vectors and dictionaries": content_hashes(
            given.views.values(), given.dictionaries
        ),
        "partition": job.terms.partition,
        "topk": job.top_words,
        "measures": None if job.measures is None else sorted(job.measures),
        "further measures": {
            name: described_metric(metric, job.dataset) for name, metric in job.others.items()
        },
        "corpus": None if job.corpus is None else job.corpus.fingerprints(),
        "versions of packages": {name: version(name) for name in _PACKAGES},
    }


def _described_contenders(job: ComparisonJob) -> dict[str, dict[str, Any]]:
    """Return as JSON each contender, and the hashes of the embeddings that it reads."""
    described = {name: contender.describe() for name, contender in job.contenders.items()}
    reading = [name for name, contender in job.contenders.items() if contender.reads_embeddings]
    if reading:
        views = job.dataset.views.items()
        read = {n: hash_of_rows(v.embeddings) for n, v in views if v.embeddings is not None}
        described |= {name: {**described[name], "embeddings": read} for name in reading}
    return described


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of values that differ; with the values, except of hashes."""
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new)
        elif isinstance(old, str) and len(old) == _HASH:
            yield name
        else:
            yield f"{name}: {old!r} there, {new!r} here"


def _unfinished(named: Mapping[str, Contender], seeds: Sequence[int], folder: Path) -> list[Task]:
    """Return the runs that are not stored yet, or failed."""
    tasks = []
    for call, (name, contender) in enumerate(named.items()):
        for number, seed in enumerate(_seeds_of(contender, seeds)):
            path = run_file(folder, name, seed)
            if not path.is_file() or read_json(path).get("error") is not None:
                tasks.append(Task(call, number, {}, seed))
    # Every model's first run comes first, so that models that can't be trained are known early.
    return sorted(tasks, key=lambda task: task.run)
