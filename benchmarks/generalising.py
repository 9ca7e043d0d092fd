"""M3L-Contrast as it comes beside other models, on corpora of several kinds, in one table a score.

Every run is appended to a file of JSON lines when it ends, and the same command goes on with what
is missing.
"""

import json
import os
import signal
import sys
import time
import warnings
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from functools import lru_cache, partial
from itertools import permutations
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import torch
from data_sets import FROM_DEBIAN, PASSAGES, SHORTENED, load
from report import context, finish, mean_std

from octis_m3l.data import MultiviewDataset
from octis_m3l.devices import on_threads
from octis_m3l.encoders import encode
from octis_m3l.metrics import score_all
from octis_m3l.metrics.retrieval import reciprocal_ranks
from octis_m3l.models import MODELS
from octis_m3l.networks import Standardiser

CORPORA = (*PASSAGES, "storybooks", "storybooks-joined", "demo", *FROM_DEBIAN, *SHORTENED)
TOPICS = {
    "bible-passages-500": 25,
    "bible-passages-200": 20,
    "demo": 10,
    "desktop-help": 20,
    "manual-pages-60": 20,
}
Contenders = Mapping[str, tuple[str, str, dict[str, Any]]]
# Title, model, settings; "vectors" are those that M3L-Contrast reads, which have an MRR too.
CONTENDERS: Contenders = {
    "vectors": ("vectors", "", {}),
    "m3l-contrast": ("M3L-Contrast", "m3l-contrast", {}),
    "pltm": ("PLTM", "pltm", {}),
    "zeroshot-tm-kd": ("ZeroshotTM-KD", "zeroshot-tm-kd", {}),
    "0.1": ("default of 0.1", "m3l-contrast", {"preset": "0.1", "encoder": "clsi"}),
}
TITLES = {
    "mrr": "MRR",
    "tu": "topic uniqueness",
    "document-npmi": "document NPMI",
    "cnpmi": "CNPMI",
    "least-mrr": "least MRR",
    "pictures-mrr": "MRR with pictures",
}
Run = tuple[str, str, int]
Lines = Mapping[Run, Mapping[str, Any]]
loaded = lru_cache(maxsize=1)(load)
Means = dict[str, dict[str, dict[str, dict[str, float]]]]


def measured(
    corpus: str, name: str, settings: Mapping[str, Any], seed: int, partition: str
) -> dict[str, Any]:
    """Return the scores of one run, and the seconds of its training (and encoding, if not kept)."""
    dataset, topics = loaded(corpus, None), TOPICS.get(corpus, 50)
    started = time.perf_counter()
    with on_threads(1):
        if name:
            read = dataset.with_views([*dataset.text_views]) if name == "pltm" else dataset
            model = MODELS[name](num_topics=topics, seed=seed, progress=False, **settings)
            output = model.train_model(read)
            seconds = time.perf_counter() - started
            scores = scored(dataset, output, partition)
        else:
            scores = {"mrr": mrr_of_vectors(dataset, partition)}
            seconds = time.perf_counter() - started
    training = len(dataset.partition_tuples("train"))
    return {"training": training, "topics": topics, "scores": scores, "seconds": round(seconds, 1)}


def mrr_of_vectors(dataset: MultiviewDataset, partition: str) -> float:
    """Return the mean MRR over directions, by the cosine of standardised embeddings of texts."""
    encoded, vectors, tuples = encode(dataset).embeddings, {}, {}
    for name, view in dataset.text_views.items():
        standardiser = Standardiser(encoded[name].shape[1], one_length=True)
        standardiser.fit(encoded[name], view.rows("train"), name)
        rows = torch.tensor(np.asarray(encoded[name][view.rows(partition)], np.float32))
        vectors[name] = standardiser(rows).double().numpy()
        tuples[name] = dataset.tuples(name)[view.rows(partition)]
    found = []
    for query, target in permutations(vectors, 2):
        relevant = tuples[query][:, None] == tuples[target]
        linked = relevant.any(axis=1)
        if linked.any():
            distances = -(vectors[query][linked] @ vectors[target].T)
            found.append(reciprocal_ranks(distances, relevant[linked]).mean())
    return float(np.mean(found))


def scored(dataset: MultiviewDataset, output: Any, partition: str) -> dict[str, float]:
    """Return each score's mean over languages or pairs of them; MRR with pictures apart."""
    found = score_all(dataset, output, partition, ["mrr", "tu", "document-npmi", "cnpmi"])
    by_pictures, by_texts = {}, {}
    for way, score in found["mrr"].items():
        (by_pictures if {*way.split("-")} & {*dataset.image_views} else by_texts)[way] = score
    found |= {"mrr": by_texts, "pictures-mrr": by_pictures}
    scores = {metric: float(np.mean([*by.values()])) for metric, by in found.items() if by}
    return {**scores, "least-mrr": min(by_texts.values())}


def outcomes(
    runs: Sequence[Run], contenders: Contenders, partition: str, processes: int
) -> Iterator[tuple[Run, Callable[[], dict[str, Any]]]]:
    """Yield each run when it has ended, with a function that returns its outcome."""
    calls = {
        (corpus, label, seed): partial(measured, corpus, *contenders[label][1:], seed, partition)
        for corpus, label, seed in runs
    }
    if processes == 1:
        yield from calls.items()
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), start_worker) as pool:
        futures = {pool.submit(call): run for run, call in calls.items()}
        try:
            yield from ((futures[future], future.result) for future in as_completed(futures))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in active_children():
                child.terminate()
            raise


def start_worker() -> None:
    """Leave Ctrl-C to the main process, and end when that ends."""
    warnings.simplefilter("ignore", UserWarning)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    Thread(target=lambda: (parent and parent.join(), os._exit(1)), daemon=True).start()


def lines_of(path: Path, partition: str) -> dict[Run, dict[str, Any]]:
    """Return what the file has of each run."""
    rows = [json.loads(line) for line in path.open(encoding="utf-8")] if path.exists() else []
    rows = [row for row in rows if row["partition"] == partition]
    return {(row["corpus"], row["model"], row["seed"]): row for row in rows}


def means_of(lines: Lines) -> Means:
    """Return corpus → model → score → mean, standard deviation and number of runs."""
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for (corpus, contender, _), line in lines.items():
        for metric, value in {**line["scores"], "seconds": line["seconds"]}.items():
            values[corpus, contender, metric].append(value)
    means: Means = defaultdict(lambda: defaultdict(dict))
    for (corpus, contender, metric), of in values.items():
        means[corpus][contender][metric] = {**mean_std(of), "runs": len(of)}
    return means


def number(value: float) -> str:
    """Return a number as the docs write it."""
    digits = f"{abs(value):.3f}".removeprefix("0")
    return f"−{digits}" if value < 0 else digits


def table(lines: Lines, metric: str, seeds: int) -> str:
    """Return one score in Markdown; in brackets the number of runs, if some are missing."""
    means, facts = means_of(lines), {run[0]: line for run, line in lines.items()}
    known = [key for key in CONTENDERS if any(metric in by[key] for by in means.values())]
    titles = [CONTENDERS[key][0] for key in known]
    rows = [["corpus", "training tuples", "K", *titles], ["---"] * (3 + len(known))]
    for corpus in sorted(facts, key=CORPORA.index):
        row = [corpus, f"{facts[corpus]['training']:,}", str(facts[corpus]["topics"])]
        for key in known:
            score = means[corpus][key].get(metric)
            row.append(number(score["mean"]) if score else "–")
            if score and score["runs"] > 1:
                row[-1] += f" ± {number(score['std'])}"
                row[-1] += f" ({score['runs']})" if score["runs"] < seeds else ""
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def below(lines: Lines) -> list[str]:
    """Return where M3L-Contrast falls below a mark, or is not compared yet."""
    means, found = means_of(lines), []
    for corpus, training in {run[0]: line["training"] for run, line in lines.items()}.items():
        ours, pltm, vectors = (
            {metric: score["mean"] for metric, score in means[corpus][key].items()}
            for key in ("m3l-contrast", "pltm", "vectors")
        )
        if not (ours and pltm and vectors):
            found.append(f"{corpus}: not known yet")
            continue
        slack = 0.01 if training >= 1500 else 0.05
        marks = [
            ("tu", 0.75, "the mark"),
            ("mrr", pltm["mrr"], "PLTM's"),
            ("document-npmi", pltm["document-npmi"] - slack, f"PLTM's − {number(slack)}"),
        ]
        if vectors["mrr"] >= 0.95:
            marks.append(("mrr", 0.9, f"the mark where vectors reach {number(vectors['mrr'])}"))
        found += [
            f"{corpus}: {TITLES[metric]} {number(ours[metric])} < {number(mark)}, {which}"
            for metric, mark, which in marks
            if ours[metric] < mark
        ]
    return found


def complete(
    path: Path, runs: Sequence[Run], contenders: Contenders, partition: str, processes: int
) -> int:
    """Append to the file the runs that it lacks, print each, and return how many failed."""
    about, failed, known = context(), 0, lines_of(path, partition)
    missing = [run for run in runs if run not in known]
    with closing(outcomes(missing, contenders, partition, processes)) as ended:
        for run, outcome in ended:
            try:
                facts = {"partition": partition, **outcome(), **about}
            except Exception as error:
                failed += 1
                print(*run, f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                continue
            line = {**dict(zip(("corpus", "model", "seed"), run, strict=True)), **facts}
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
            print(*run, facts["scores"], file=sys.stderr, flush=True)
    return failed


def origin(lines: Lines) -> dict[str, list[str]]:
    """Return the commits, machines and dates of the runs; several commits are printed."""
    found = {key: sorted({line[key] for line in lines.values()}) for key in context()}
    if len(found["commit"]) > 1:
        print(f"runs are of several commits: {', '.join(found['commit'])}", file=sys.stderr)
    return found


def parser_of(description: str | None, labels: Collection[str], seeds: int) -> ArgumentParser:
    """Return the parser of the options that all commands over these corpora have."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--corpora", help="folder that benchmarks/corpora.py made")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--processes", type=int, default=2)
    for option, known in (("--only", CORPORA), ("--models", labels)):
        parser.add_argument(
            option, type=partial(listed, known=known), default=[*known], metavar="NAME,…"
        )
    parser.add_argument("--table", action="store_true", help="print what the file has, run nothing")
    return parser


def listed(text: str, known: Collection[str]) -> list[str]:
    """Return names separated by commas."""
    names = text.split(",")
    if unknown := sorted({*names} - {*known}):
        raise ArgumentTypeError(f"there is no {unknown[0]!r}; there are {', '.join(known)}")
    return names


def prepare(arguments: Namespace) -> None:
    """Let data sets be found, and leave out warnings."""
    warnings.simplefilter("ignore", UserWarning)
    if arguments.corpora:
        os.environ["OCTIS_M3L_CORPORA"] = arguments.corpora


def main() -> None:
    """Train and score what is missing; print tables, and where M3L-Contrast misses a mark."""
    parser = parser_of(__doc__, CONTENDERS, seeds=5)
    parser.add_argument("--partition", default="test", choices=("test", "validation"))
    arguments = parser.parse_args()
    prepare(arguments)
    runs = [
        (corpus, label, seed)
        for corpus in arguments.only
        for label in arguments.models
        for seed in range(1 if label == "vectors" else arguments.seeds)
    ]
    failed = 0
    if not arguments.table:
        failed = complete(arguments.out, runs, CONTENDERS, arguments.partition, arguments.processes)
    lines = lines_of(arguments.out, arguments.partition)
    for metric, title in TITLES.items():
        print(f"{title}:\n\n{table(lines, metric, arguments.seeds)}", end="\n\n")
    print("M3L-Contrast falls below a mark:", *below(lines) or ["nowhere"], sep="\n- ")
    finish(means_of(lines), partition=arguments.partition, runs_of=origin(lines))
    if failed:
        raise SystemExit(f"runs that failed: {failed}; the same command tries them again.")


if __name__ == "__main__":
    main()
