"""What each part of GloCTM is worth: ECNews, 8,000 training documents a language."""

import argparse
import json
import warnings
from typing import Any

import torch
from data_sets import load
from inferring import output_by
from report import finish, mean_std
from rich.console import Console
from rich.table import Table

from octis_m3l.metrics import CrosslingualClassification, TopicUniqueness
from octis_m3l.models import GloCTM

PARTS: dict[str, dict[str, Any]] = {
    "whole, 3 neighbours": {},
    "no expansion": {"neighbours": 0},
    "no global encoder, no KL": {"global_encoder": False},
    "no KL": {"alignment_weight": 0.0},
    "no CKA": {"cka_weight": 0.0},
    "10 neighbours": {"neighbours": 10},
    "40 neighbours": {"neighbours": 40},
}


def scored(model: Any, dataset: Any, inferred_by: str) -> dict[str, float]:
    """Return TU of 15 words, and how well an SVM on μ of one encoder labels documents."""
    output = output_by(model, dataset, inferred_by)
    scores = {
        f"TU {name}": TopicUniqueness(dataset, name, 15).score(output) for name in dataset.views
    }
    for first in dataset.views:
        for second in dataset.views:
            metric = CrosslingualClassification(dataset, first, second)
            scores[f"{first}→{second}"] = metric.score(output)
    return scores


def main() -> None:
    """Train each variant over the seeds, score it by both encoders, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--parts", nargs="*", default=list(PARTS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UserWarning)
    dataset = load("ecnews", ["en", "cn"]).sample(8000)
    found: dict[str, dict[str, Any]] = {}
    for label in arguments.parts:
        runs: dict[str, list[dict[str, float]]] = {}
        for seed in range(arguments.seeds):
            options = {"encoder": "word-vectors", "epochs": arguments.epochs, **PARTS[label]}
            model = GloCTM(seed=seed, **options)
            model.train_model(dataset, top_words=15)
            ways = ["local", "global"] if options.get("global_encoder", True) else ["local"]
            for way in ways:
                runs.setdefault(way, []).append(scored(model, dataset, way))
        for way, of_seeds in runs.items():
            row = {key: mean_std([run[key] for run in of_seeds]) for key in of_seeds[0]}
            found[f"{label}; {way}"] = row
            print(json.dumps({f"{label}; {way}": row}, ensure_ascii=False), flush=True)
    columns = list(next(iter(found.values())))
    table = Table("parts; inferred by", *columns)
    for label, row in found.items():
        table.add_row(label, *[f"{row[c]['mean']:.3f} ± {row[c]['std']:.3f}" for c in columns])
    Console(width=140).print(table)
    finish(
        found,
        data="ecnews, 8,000 training documents a language",
        settings={"num_topics": 50, "epochs": arguments.epochs, "features": "μ", "kernel": "rbf"},
        seeds=arguments.seeds,
    )


if __name__ == "__main__":
    main()
