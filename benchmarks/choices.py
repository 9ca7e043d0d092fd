"""What each choice of M3L-Contrast's default preset is worth, on validation partitions."""

import argparse
import json
import warnings
from typing import Any

import numpy as np
import torch
from data_sets import load
from report import finish, mean_std
from rich.console import Console
from rich.table import Table

from octis_m3l.metrics import score_all
from octis_m3l.models import M3LContrast

DATA: dict[str, tuple[str, list[str], str]] = {
    "passages, clsi": ("bible-passages", ["en", "de"], "clsi"),
    "passages, lsa": ("bible-passages", ["en", "de"], "lsa"),
    "story books, pictures": ("storybooks", ["en", "pictures"], "lsa"),
    "story books, seven views": ("storybooks", [], "clsi"),
}
CHOICES: dict[str, dict[str, Any]] = {
    "default": {},
    "inputs as they are": {"standardised": "none"},
    "posterior as CTM's": {"posterior": "ctm"},
    "300 dimensions of LSA": {"dimensions": 300},
    "one sample of θ in the contrast": {"contrastive_samples": 1},
    "prior weight .2": {"prior_weight": 0.2},
    "prior weight 1": {"prior_weight": 1.0},
    "contrastive weight 2": {"contrastive_weight": 2.0},
    "contrastive weight 10": {"contrastive_weight": 10.0},
    "temperature .05": {"temperature": 0.05},
    "temperature .2": {"temperature": 0.2},
    "no dropout on θ": {"theta_dropout": 0.0},
    "dropout .2 on θ": {"theta_dropout": 0.2},
    "no dropout in the networks": {"dropout": 0.0},
    "constant learning rate .002": {"schedule": "constant", "learning_rate": 2e-3},
    "β₁ = .99": {"momentum": 0.99},
    "dot product": {"similarity": "dot"},
    "negatives of the other view only": {"negatives": "other-view"},
    "every view weighs the same": {"average": "present"},
    "terms divided by the batch": {"average": "batch"},
    "centred topics": {"topic_form": "centred"},
}


def measured(name: str, choice: dict[str, Any], seeds: int) -> dict[str, dict[str, float]]:
    """Return MRR, TU and document NPMI on the validation partition, means over views."""
    data, views, encoder = DATA[name]
    dataset = load(data, views)
    runs = []
    for seed in range(seeds):
        model = M3LContrast(seed=seed, encoder=encoder, **choice)
        output = model.train_model(dataset)
        scores = score_all(dataset, output, "validation", ["mrr", "tu", "document-npmi"])
        runs.append({metric: np.mean(list(by.values())) for metric, by in scores.items()})
    return {metric: mean_std([float(run[metric]) for run in runs]) for metric in runs[0]}


def main() -> None:
    """Measure every choice on every data set, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--choices", nargs="*", default=list(CHOICES))
    parser.add_argument("--data", nargs="*", default=list(DATA))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UserWarning)
    found: dict[str, dict[str, Any]] = {}
    for label in arguments.choices:
        found[label] = {
            name: measured(name, CHOICES[label], arguments.seeds) for name in arguments.data
        }
        print(json.dumps({label: found[label]}, ensure_ascii=False), flush=True)
    table = Table("choice", *[f"{name}: MRR, TU, NPMI" for name in arguments.data])
    for label, by_data in found.items():
        cells = [
            "  ".join(f"{by_data[n][m]['mean']:.3f}" for m in ("mrr", "tu", "document-npmi"))
            for n in arguments.data
        ]
        table.add_row(label, *cells)
    Console(width=120).print(table)
    finish(
        found, data=arguments.data, settings=CHOICES, partition="validation", seeds=arguments.seeds
    )


if __name__ == "__main__":
    main()
