"""Seconds an epoch on the CPU and on a GPU, model by model, and the GPU's memory it takes."""

import argparse
import warnings
from typing import Any

import torch
from data_sets import load
from report import finish
from rich.console import Console
from rich.table import Table

from octis_m3l.models import MODELS

LINKED, UNLINKED = "bible-passages", "ecnews"
DATA = {
    "zeroshot-tm": LINKED,
    "zeroshot-tm-kd": LINKED,
    "m3l-contrast": LINKED,
    "gloctm": UNLINKED,
    "nmtm": UNLINKED,
    "infoctm": UNLINKED,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "zeroshot-tm": {"encoder": "clsi"},
    "zeroshot-tm-kd": {"encoder": "clsi"},
    "m3l-contrast": {"encoder": "clsi"},
    "gloctm": {"encoder": "word-vectors"},
}


def seconds_an_epoch(name: str, dataset: Any, device: str, epochs: int, batch: int | None) -> float:
    """Return the seconds of one epoch: what is done once (warming up, too) is not in it."""
    taken: dict[int, float] = {}
    batches = {"batch_size": batch} if batch else {}
    for count in (1, 1, 1 + epochs):
        model = MODELS[name](
            device=device, epochs=count, **SETTINGS.get(name, {}), **batches, inference_samples=0
        )
        model.train_model(dataset)
        taken[count] = model.history.seconds
    return float(taken[1 + epochs] - taken[1]) / epochs


def main() -> None:
    """Train every model on both devices for a few epochs, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", nargs="*", default=list(DATA))
    parser.add_argument("--epochs", type=int, default=10, help="timed on the GPU")
    parser.add_argument("--cpu-epochs", type=int, default=2, help="timed on the CPU; 0: none")
    parser.add_argument("--batch-size", type=int, help="default: each model's own")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore", UserWarning)
    wanted = {DATA[name] for name in arguments.models}
    datasets = {name: load(name, ["en", "de"] if name == LINKED else None) for name in wanted}
    batch = arguments.batch_size
    found: dict[str, dict[str, float]] = {name: {} for name in arguments.models}
    for name, row in found.items():
        torch.cuda.reset_peak_memory_stats(arguments.device)
        data = datasets[DATA[name]]
        row["gpu"] = seconds_an_epoch(name, data, arguments.device, arguments.epochs, batch)
        row["mebibytes"] = torch.cuda.max_memory_allocated(arguments.device) / 2**20
        print(name, "on the GPU", row, flush=True)
    for name, row in found.items():
        if arguments.cpu_epochs:
            data = datasets[DATA[name]]
            row["cpu"] = seconds_an_epoch(name, data, "cpu", arguments.cpu_epochs, batch)
            row["ratio"] = row["cpu"] / row["gpu"]
    table = Table("model", "data", "CPU, s an epoch", "GPU, s an epoch", "ratio", "GPU, MiB")
    for name, row in found.items():
        numbers = [f"{row.get(key, float('nan')):.2f}" for key in ("cpu", "gpu", "ratio")]
        table.add_row(name, DATA[name], *numbers, f"{row['mebibytes']:.0f}")
    Console(width=100).print(table)
    finish(
        {name: {key: round(x, 3) for key, x in row.items()} for name, row in found.items()},
        settings={"threads": arguments.threads, "batch_size": arguments.batch_size},
        epochs=arguments.epochs,
    )


if __name__ == "__main__":
    main()
