"""Train a model over several seeds and score it."""

import argparse
import json
import sys
import time
import warnings
from typing import Any

import torch
from data_sets import NAMES, load
from report import finish, mean_std, print_summary, summarise

from octis_m3l.metrics import score_all
from octis_m3l.models import MODELS

QUICK = ("mrr", "uap", "jsd", "tu", "npmi", "document-npmi")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help=f"{', '.join(NAMES)}, or a data set's folder")
    parser.add_argument("--model", default="m3l-contrast", choices=sorted(MODELS))
    parser.add_argument("--views", help="en,de,pictures")
    parser.add_argument("--encoder", default="auto", help="auto, given, lsa or clsi")
    parser.add_argument("--topics", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--partition", default="test", help="scored: test or validation")
    parser.add_argument("--split", default="partition_pages", help="of the story books")
    parser.add_argument("--metrics", default=",".join(QUICK))
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def settings_of(pairs: list[str]) -> dict[str, Any]:
    """Return hyperparameters from KEY=VALUE; numbers are taken as numbers."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        try:
            settings[key] = json.loads(value)
        except json.JSONDecodeError:
            settings[key] = value
    return settings


def main() -> None:
    """Train, score, print."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore", UserWarning)
    views = arguments.views.split(",") if arguments.views else None
    dataset = load(arguments.data, views, partition=arguments.split)
    settings = {"num_topics": arguments.topics, **settings_of(arguments.set)}
    if "encoder" in MODELS[arguments.model].settings_class.model_fields:
        settings = {"encoder": arguments.encoder, **settings}
    runs, seconds = [], []
    for seed in range(arguments.seeds):
        started = time.monotonic()
        model = MODELS[arguments.model](seed=seed, progress=sys.stderr.isatty(), **settings)
        output = model.train_model(dataset)
        seconds.append(time.monotonic() - started)
        metrics = arguments.metrics.split(",")
        runs.append(score_all(dataset, output, arguments.partition, metrics))
    summary = summarise(runs)
    title = f"{arguments.model} on {arguments.data}, {arguments.partition}, {len(runs)} seeds"
    print_summary(title, summary)
    finish(
        summary,
        seconds=mean_std(seconds),
        data=dataset.metadata.get("name", arguments.data),
        views=list(dataset.views),
        model=arguments.model,
        partition=arguments.partition,
        settings=settings,
        seeds=arguments.seeds,
    )


if __name__ == "__main__":
    main()
