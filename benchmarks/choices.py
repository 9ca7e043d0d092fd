"""What each choice of M3L-Contrast's default is worth, and whether it would be chosen again.

One choice at a time is changed, on the validation partitions of all corpora. Then each source of
corpora is left out in turn: the change with the highest worth on the others, or none, is scored on
its test partitions. Runs are kept as `generalising.py` keeps them, and may be in the same file.
"""

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from data_sets import PASSAGES, SHORTENED
from generalising import (
    CORPORA,
    Contenders,
    Lines,
    complete,
    lines_of,
    number,
    origin,
    parser_of,
    prepare,
)
from report import finish

DEFAULT = "m3l-contrast"
CHANGES: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "temperature .03": {"temperature": 0.03},
    "temperature .07": {"temperature": 0.07},
    "temperature .1": {"temperature": 0.1},
    "contrastive weight 2": {"contrastive_weight": 2.0},
    "contrastive weight 20": {"contrastive_weight": 20.0},
    "prior weight .25": {"prior_weight": 0.25},
    "prior weight 1": {"prior_weight": 1.0},
    "no noise on inputs": {"input_noise": 0.0},
    "noise of 2 on inputs": {"input_noise": 2.0},
    "networks of 300 units": {"hidden_size": 300},
    "learning rate .01": {"learning_rate": 0.01},
    "dropout .2 in the networks": {"dropout": 0.2},
    "inputs standardised dimension by dimension": {"standardised": "own-view"},
    "a network for every view": {"shared_networks": "none"},
    "batches of 32 tuples": {"batch_size": 32},
    "at least 500 updates": {"updates": 500},
    "at least 3,000 updates": {"updates": 3000},
    "cross-language LSI alone": {"encoder": "clsi"},
    "topics from β, centred": {"topic_form": "centred"},
    "default of 0.1": {"preset": "0.1", "encoder": "clsi"},
}
SOURCES = {corpus: corpus.removesuffix("-joined") for corpus in CORPORA}
SOURCES |= dict.fromkeys(PASSAGES, "bible-passages")
SOURCES |= {corpus: whole for corpus, (whole, *_) in SHORTENED.items()}
METRICS = {"mrr": "MRR", "least-mrr": "least MRR", "tu": "TU", "document-npmi": "NPMI"}


def contenders() -> Contenders:
    """Return every change as `generalising.py` runs it."""
    return {label: (label, "m3l-contrast", settings) for label, settings in CHANGES.items()}


def mean_over_sources(lines: Lines, label: str, metric: str, corpora: Collection[str]) -> float:
    """Return the mean over sources of the mean over corpora of the mean over seeds."""
    by_corpus = {
        corpus: np.mean(
            [one["scores"][metric] for run, one in lines.items() if run[:2] == (corpus, label)]
        )
        for corpus in corpora
    }
    sources = {SOURCES[corpus] for corpus in corpora}
    return float(
        np.mean([np.mean([by_corpus[c] for c in corpora if SOURCES[c] == one]) for one in sources])
    )


def worth(lines: Lines, label: str, corpora: Collection[str]) -> float:
    """Return the mean of MRR + document NPMI + min(TU, 0.8)."""
    limited = {
        run: {"scores": {**one["scores"], "tu": min(one["scores"]["tu"], 0.8)}}
        for run, one in lines.items()
    }
    metrics = ("mrr", "document-npmi", "tu")
    return sum(mean_over_sources(limited, label, metric, corpora) for metric in metrics)


def chosen(lines: Lines, labels: Iterable[str], corpora: Collection[str]) -> str:
    """Return the settings with the highest worth on these corpora."""
    return max(labels, key=lambda label: worth(lines, label, corpora))


def in_markdown(rows: Iterable[Collection[str]]) -> str:
    """Return a table whose first row is the head."""
    head, *rest = ([*row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rest))


def main() -> None:
    """Run what is missing, and print both tables."""
    arguments = parser_of(__doc__, CHANGES, seeds=1).parse_args()
    prepare(arguments)
    if len({SOURCES[corpus] for corpus in arguments.only}) < 2:
        raise SystemExit("--only names corpora of one source: give two sources or more.")
    corpora, labels, seeds = arguments.only, arguments.models, range(arguments.seeds)

    def ran(runs: Iterable[tuple[str, str]], partition: str) -> Lines:
        wanted = [(corpus, label, seed) for corpus, label in runs for seed in seeds]
        if not arguments.table:
            complete(arguments.out, wanted, contenders(), partition, arguments.processes)
        known = lines_of(arguments.out, partition)
        if missing := [run for run in wanted if run not in known]:
            raise SystemExit(
                f"{arguments.out} lacks {len(missing)} {partition} runs, {missing[0]} first; "
                "the same command without --table tries them again."
            )
        return {run: known[run] for run in wanted}

    found = ran([(corpus, label) for corpus in corpora for label in labels], "validation")
    means = {
        label: {metric: mean_over_sources(found, label, metric, corpora) for metric in METRICS}
        | {"worth": worth(found, label, corpora)}
        for label in labels
    }
    rows = [[label, *map(number, by_metric.values())] for label, by_metric in means.items()]
    print(in_markdown([["change", *METRICS.values(), "worth"], *rows]), end="\n\n")

    left_out = dict.fromkeys(SOURCES[corpus] for corpus in corpora)
    folds = {
        source: chosen(found, labels, [c for c in corpora if SOURCES[c] != source])
        for source in left_out
    }
    tested = ran([(c, label) for c in corpora for label in {folds[SOURCES[c]], DEFAULT}], "test")
    rows = []
    for source, label in folds.items():
        of = [corpus for corpus in corpora if SOURCES[corpus] == source]
        scores = [
            [mean_over_sources(tested, which, metric, of) for metric in METRICS]
            for which in (label, DEFAULT)
        ]
        rows.append([source, label, *map(number, [*scores[0], *scores[1]])])
    heads = [f"{which}: {title}" for which in ("chosen", "default") for title in METRICS.values()]
    print(in_markdown([["source left out", "chosen without it", *heads], *rows]), end="\n\n")
    runs_of = {"validation": origin(found), "test": origin(tested)}
    finish({"changes": means, "left out": folds}, settings=CHANGES, runs_of=runs_of)


if __name__ == "__main__":
    main()
