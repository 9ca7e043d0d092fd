"""One model of all views with their gaps, beside a model for each pair and one with pictures.

Every model is scored on the same test items. The rivals: one model for each pair of views, trained
on the tuples that have both; and English with pictures on all tuples. Paired test: the reciprocal
ranks (UAP: average precisions) of the queries, averaged over seeds, by Wilcoxon's signed ranks.
"""

import argparse
import sys
import warnings
from itertools import combinations
from typing import Any

import numpy as np
import torch
from data_sets import load
from quality import settings_of
from report import finish, mean_std
from rich.console import Console
from rich.table import Table
from scipy.stats import wilcoxon

from octis_m3l import UAP, MultiviewDataset
from octis_m3l.models import M3LContrast

Scores = dict[str, list[Any]]


def scored(dataset: MultiviewDataset, settings: dict[str, Any], seeds: int, label: str) -> Scores:
    """Train over seeds; return for each ordered pair of views the queries' scores, by seed."""
    found: Scores = {}
    for seed in range(seeds):
        output = M3LContrast(seed=seed, **settings).train_model(dataset)
        for first, second in combinations(dataset.views, 2):
            for query, target in ((first, second), (second, first)):
                metric = UAP(dataset, query, target)
                found.setdefault(f"{query}-{target}", []).append(metric.per_item(output))
        print(f"{label}: seed {seed} done", file=sys.stderr, flush=True)
    return found


def compare(ours: list[Any], theirs: list[Any]) -> dict[str, Any]:
    """Return means and standard deviations over seeds, the difference and its p-value."""
    mine, other = np.mean(ours, axis=0), np.mean(theirs, axis=0)
    different = bool((mine != other).any())
    return {
        "joint": mean_std([float(one.mean()) for one in ours]),
        "alone": mean_std([float(one.mean()) for one in theirs]),
        "difference": round(float(mine.mean() - other.mean()), 4),
        "p": float(f"{wilcoxon(mine, other).pvalue:.2g}") if different else 1.0,
        "queries": len(mine),
    }


def main() -> None:
    """Train all, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", default="storybooks")
    parser.add_argument("--split", default="partition_pages")
    parser.add_argument("--views", help="default: all")
    parser.add_argument("--topics", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UserWarning)
    views = arguments.views.split(",") if arguments.views else None
    dataset = load(arguments.data, views, partition=arguments.split)
    settings = {"num_topics": arguments.topics, **settings_of(arguments.set)}
    joint = scored(dataset, settings, arguments.seeds, "joint")
    rivals: dict[str, dict[str, Any]] = {"pair": {}, "with pictures, all tuples": {}}
    for first, second in combinations(dataset.views, 2):
        pair = dataset.with_views([first, second])
        complete = pair.complete(partitions=("train", "validation"))
        alone = scored(complete, settings, arguments.seeds, f"{first} and {second}")
        rivals["pair"] |= {where: compare(joint[where], got) for where, got in alone.items()}
        if "pictures" in (first, second) and dataset.pivot in (first, second):
            every = scored(pair, settings, arguments.seeds, f"{first} and {second}, all tuples")
            rivals["with pictures, all tuples"] |= {
                where: compare(joint[where], got) for where, got in every.items()
            }
    table = Table("rival", "query-target", "joint", "alone", "difference", "p")
    for rival, pairs in rivals.items():
        for where, entry in pairs.items():
            table.add_row(
                rival,
                where,
                "{mean:.3f} ± {std:.3f}".format(**entry["joint"]),
                "{mean:.3f} ± {std:.3f}".format(**entry["alone"]),
                f"{entry['difference']:+.3f}",
                f"{entry['p']:.2g}",
            )
    Console(width=100).print(table)
    finish(
        rivals,
        measure="uap",
        data=dataset.metadata.get("name", arguments.data),
        settings=settings,
        seeds=arguments.seeds,
    )


if __name__ == "__main__":
    main()
