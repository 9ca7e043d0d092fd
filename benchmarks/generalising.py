"""M3L-Contrast as it comes beside other models, on corpora of several kinds, in one table.

Every run is appended to a file of JSON lines when it ends, and the same command goes on with what
is missing.
"""

import argparse
import json
import os
import signal
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache, partial
from itertools import permutations
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import torch
from data_sets import load
from report import context, finish, mean_std

from octis_m3l.data import MultiviewDataset
from octis_m3l.devices import on_threads
from octis_m3l.encoders import encode
from octis_m3l.metrics import applicable, score_all
from octis_m3l.metrics.retrieval import reciprocal_ranks
from octis_m3l.models import MODELS
from octis_m3l.networks import Standardiser

# Data set, views, number of topics.
CORPORA: dict[str, tuple[str, list[str] | None, int]] = {
    "bible-passages": ("bible-passages", None, 50),
    "bible-passages-six": ("bible-passages", ["en", "de", "es", "nl", "cs", "zh"], 50),
    "bible-passages-1500": ("bible-passages-1500", None, 50),
    "bible-passages-500": ("bible-passages-500", None, 25),
    "bible-passages-200": ("bible-passages-200", None, 20),
    "storybooks": ("storybooks", None, 50),
    "storybooks-joined": ("storybooks-joined", None, 50),
    "demo": ("demo", None, 10),
    "package-descriptions": ("package-descriptions", None, 50),
    "manual-pages": ("manual-pages", None, 50),
    "program-messages": ("program-messages", None, 50),
    "desktop-help": ("desktop-help", None, 20),
    "office-help": ("office-help", None, 50),
}
# Title, model, settings beside the number of topics.
CONTENDERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "m3l-contrast": ("M3L-Contrast", "m3l-contrast", {}),
    "pltm": ("PLTM", "pltm", {}),
    "zeroshot-tm-kd": ("ZeroshotTM-KD", "zeroshot-tm-kd", {}),
    "0.1": ("version 0.1", "m3l-contrast", {"preset": "0.1", "encoder": "clsi"}),
}
ENCODER = "encoder"
TABLES = (
    {"mrr": "MRR", "tu": "TU", "document-npmi": "NPMI"},
    {"least-mrr": "least MRR", "pictures-mrr": "MRR with pictures", "cnpmi": "CNPMI"},
)
Run = tuple[str, str, int]
Means = Mapping[tuple[str, str], Mapping[str, Mapping[str, float]]]


@lru_cache(maxsize=1)
def data_of(corpus: str) -> tuple[MultiviewDataset, MultiviewDataset]:
    """Return a corpus, and its texts alone."""
    data, views, _ = CORPORA[corpus]
    dataset = load(data, views)
    return dataset, dataset.with_views(list(dataset.text_views))


def measured(corpus: str, contender: str, seed: int, partition: str) -> dict[str, Any]:
    """Return the scores of one run, or of the vectors that M3L-Contrast reads, and its seconds."""
    with on_threads(1):
        dataset, texts = data_of(corpus)
        topics, started = CORPORA[corpus][2], time.perf_counter()
        if contender == ENCODER:
            scores = {"mrr": mrr_of_vectors(dataset, partition)}
        else:
            _, name, settings = CONTENDERS[contender]
            model = MODELS[name](num_topics=topics, seed=seed, progress=False, **settings)
            output = model.train_model(texts if name == "pltm" else dataset)
        seconds = round(time.perf_counter() - started, 1)
        if contender != ENCODER:
            scores = scored(dataset, texts, output, partition)
    training = len(dataset.partition_tuples("train"))
    return {"training": training, "topics": topics, "scores": scores, "seconds": seconds}


def mrr_of_vectors(dataset: MultiviewDataset, partition: str) -> float:
    """Return the mean MRR, over directions, by the cosine of standardised embeddings of texts."""
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


def scored(
    dataset: MultiviewDataset, texts: MultiviewDataset, output: Any, partition: str
) -> dict[str, float]:
    """Return each score's mean over languages or pairs of them; MRR with pictures apart."""
    found = score_all(texts, output, partition, ["mrr", "tu", "document-npmi", "cnpmi"])
    scores = {metric: float(np.mean([*by.values()])) for metric, by in found.items()}
    scores["least-mrr"] = min(found["mrr"].values())
    if dataset.image_views:
        metrics = applicable(dataset, output, partition, ["mrr"])["mrr"]
        pictured = [m.score(output) for way, m in metrics.items() if way not in found["mrr"]]
        scores |= {"pictures-mrr": float(np.mean(pictured))} if pictured else {}
    return scores


def outcomes(
    runs: Sequence[Run], partition: str, processes: int
) -> Iterator[tuple[Run, Callable[[], dict[str, Any]]]]:
    """Yield each run, in the order in which they end, with a function that returns its outcome."""
    if processes == 1:
        yield from ((run, partial(measured, *run, partition)) for run in runs)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), start_worker) as pool:
        futures = {pool.submit(measured, *run, partition): run for run in runs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in active_children():
                child.terminate()
            raise


def start_worker() -> None:
    """Leave Ctrl-C to the main process, and end with it."""
    warnings.simplefilter("ignore", UserWarning)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None
    Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def lines_of(path: Path, partition: str) -> dict[Run, dict[str, Any]]:
    """Return what the file has of each run."""
    rows = [json.loads(line) for line in path.open(encoding="utf-8")] if path.exists() else []
    return {
        (row["corpus"], row["model"], row["seed"]): row
        for row in rows
        if row["partition"] == partition
    }


def means_of(lines: Mapping[Run, Mapping[str, Any]]) -> Means:
    """Return mean and standard deviation, over seeds, of each score of each model on a corpus."""
    values: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (corpus, contender, _), line in lines.items():
        for metric, value in {**line["scores"], "seconds": line["seconds"]}.items():
            values[corpus, contender][metric].append(value)
    return {
        key: {metric: {**mean_std(of), "runs": len(of)} for metric, of in by.items()}
        for key, by in values.items()
    }


def number(value: float, digits: int = 3) -> str:
    """Return a number as the docs write it."""
    return f"{value:.{digits}f}".replace("0.", ".", 1).replace("-", "−")


def table(lines: Mapping[Run, Mapping[str, Any]], columns: Mapping[str, str], seeds: int) -> str:
    """Return scores in Markdown; of fewer runs than seeds, with their number."""
    means, facts = means_of(lines), {run[0]: line for run, line in lines.items()}
    shown = [key for key in CONTENDERS if any(key == run[1] for run in lines)]
    head = ["corpus", "training tuples", "K", "MRR of the encoder's vectors"]
    head += [f"{CONTENDERS[key][0]}: {title}" for key in shown for title in columns.values()]
    rows = [head, ["---"] * len(head)]
    for corpus in (name for name in CORPORA if name in facts):
        vectors = means.get((corpus, ENCODER), {}).get("mrr")
        row = [corpus, f"{facts[corpus]['training']:,}", str(facts[corpus]["topics"])]
        row.append(number(vectors["mean"]) if vectors else "–")
        for score in (means.get((corpus, k), {}).get(metric) for k in shown for metric in columns):
            cell = f"{number(score['mean'])} ± {number(score['std'])}" if score else "–"
            row.append(cell + (f" ({score['runs']})" if score and score["runs"] != seeds else ""))
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def below(lines: Mapping[Run, Mapping[str, Any]]) -> list[str]:
    """Return where M3L-Contrast falls below a mark."""
    means, found = means_of(lines), []
    for corpus, training in {run[0]: line["training"] for run, line in lines.items()}.items():
        of = {
            key: {metric: score["mean"] for metric, score in means.get((corpus, key), {}).items()}
            for key in ("m3l-contrast", "pltm", ENCODER)
        }
        ours, pltm = of["m3l-contrast"], of["pltm"]
        slack = 0.01 if training >= 1500 else 0.05
        marks = [("tu", 0.75, "")]
        if pltm:
            marks.append(("mrr", pltm["mrr"], ", PLTM's"))
            least = pltm["document-npmi"] - slack
            marks.append(("document-npmi", least, f", PLTM's − {number(slack, 2)}"))
        if of[ENCODER].get("mrr", 0) >= 0.95:
            marks.append(("mrr", 0.9, f", since vectors reach {number(of[ENCODER]['mrr'])}"))
        found += [
            f"{corpus}: {TABLES[0][metric]} {number(ours[metric])} < {number(mark)}{why}"
            for metric, mark, why in marks
            if ours and ours[metric] < mark
        ]
    return found


def listed(known: Mapping[str, Any]) -> Callable[[str], list[str]]:
    """Return a parser of names with commas between them."""

    def names(text: str) -> list[str]:
        unknown = [name for name in text.split(",") if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"no {unknown[0]!r}; there are {', '.join(known)}")
        return text.split(",")

    return names


def main() -> None:
    """Train and score what is missing, then print tables, and where marks are missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpora", type=Path, help="folder that benchmarks/corpora.py made")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--partition", default="test", choices=("test", "validation"))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", type=listed(CORPORA), default=list(CORPORA), metavar="CORPUS,…")
    models = {"type": listed(CONTENDERS), "default": list(CONTENDERS), "metavar": "MODEL,…"}
    parser.add_argument("--models", **models, help=", ".join(CONTENDERS))
    parser.add_argument("--table", action="store_true", help="only print what the file has")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    if arguments.corpora:
        os.environ["OCTIS_M3L_CORPORA"] = str(arguments.corpora)
    done = lines_of(arguments.out, arguments.partition)
    runs: list[Run] = []
    for corpus in () if arguments.table else arguments.only:
        runs.append((corpus, ENCODER, 0))
        runs += [(corpus, model, n) for model in arguments.models for n in range(arguments.seeds)]
    runs = [run for run in runs if run not in done]
    about, failed = context(), 0
    for at, (run, outcome) in enumerate(outcomes(runs, arguments.partition, arguments.processes)):
        try:
            line = dict(zip(("corpus", "model", "seed"), run, strict=True), **outcome(), **about)
        except Exception as error:
            failed += 1
            print(f"{run}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            continue
        line["partition"] = arguments.partition
        with arguments.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        print(f"{at + 1} of {len(runs)}", *run, line["scores"], file=sys.stderr, flush=True)
    lines = lines_of(arguments.out, arguments.partition)
    for columns in TABLES:
        print(table(lines, columns, arguments.seeds), end="\n\n")
    print("M3L-Contrast falls below a mark here:", *below(lines) or ["nowhere"], sep="\n- ")
    measured_at = {key: sorted({line[key] for line in lines.values()}) for key in about}
    scores: dict[str, Any] = defaultdict(dict)
    for (corpus, contender), by_metric in means_of(lines).items():
        scores[corpus][contender] = by_metric
    finish(scores, partition=arguments.partition, measured=measured_at)
    if failed:
        raise SystemExit(f"{failed} runs failed; the same command repeats them.")


if __name__ == "__main__":
    main()
