"""A search of temperature and contrastive weight, and what its best is worth on new seeds.

``--kept FOLDER`` goes on with a search that was stopped; ``--at processes`` and ``--at ray`` time
the same search elsewhere, whose course only ``--batch`` changes.
"""

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from data_sets import load
from report import finish, mean_std, print_summary, summarise

from octis_m3l import M3LContrast, Optimizer, OverViews
from octis_m3l.reports import draw_search, importances
from octis_m3l.search import OnRay
from octis_m3l.search.record import read_search

SPACE = {
    "temperature": (0.01, 1.0, "log-uniform"),
    "contrastive_weight": (0.1, 500.0, "log-uniform"),
}
NEW_SEEDS = 1000


def searched(arguments: argparse.Namespace, dataset: Any) -> Any:
    """Return the search, gone on with where it was stopped."""
    workers: dict[str, Any] = {"device": arguments.device}
    if arguments.at == "processes":
        workers["processes"] = arguments.workers
    if arguments.at == "ray":
        workers["executor"] = partial(OnRay, workers=arguments.workers)
    file = arguments.kept / "search.json"
    model = M3LContrast(encoder=arguments.encoder, epochs=arguments.epochs)
    if file.exists():
        arguments.batch = read_search(file).settings.batch
        metric = OverViews(dataset, "mrr", "validation")
        return Optimizer().resume_optimization(
            file, dataset=dataset, model=model, metric=metric, progress=True, **workers
        )
    return Optimizer().optimize(
        model,
        dataset,
        OverViews(dataset, "mrr", "validation"),
        SPACE,
        number_of_call=arguments.calls,
        n_random_starts=arguments.random_starts,
        model_runs=arguments.runs,
        random_state=0,
        save_models=False,
        save_path=f"{arguments.kept}/",
        save_name="search",
        progress=True,
        batch=arguments.batch,
        **workers,
    )


def main() -> None:
    """Search, then train the default and the best on new seeds, and score both partitions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kept", type=Path, required=True, help="folder of the search")
    parser.add_argument("--calls", type=int, default=30)
    parser.add_argument("--random-starts", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--encoder", default="clsi")
    parser.add_argument("--at", default="here", choices=["here", "processes", "ray"])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--batch", type=int, default=1, help="points proposed together")
    parser.add_argument("--workers", type=int, default=2, help="of --at processes and --at ray")
    parser.add_argument("--device", help="default: the models' own")
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset = load("bible-passages", ["en", "de"])
    started = time.perf_counter()
    result = searched(arguments, dataset)
    seconds = time.perf_counter() - started
    if arguments.picture:
        draw_search(result, arguments.picture)
    found: dict[str, Any] = {}
    for label, point in (("default", {}), ("best", result.best)):
        runs = []
        for seed in range(NEW_SEEDS, NEW_SEEDS + arguments.seeds):
            placed = {"device": arguments.device} if arguments.device else {}
            fixed = {"encoder": arguments.encoder, "epochs": arguments.epochs, **placed}
            model = M3LContrast(seed=seed, **fixed, **point)
            output = model.train_model(dataset)
            runs.append(
                {
                    f"{label}: {measure}": {
                        part: OverViews(dataset, measure, part).score(output)
                        for part in ("validation", "test")
                    }
                    for measure in ("mrr", "tu")
                }
            )
        if runs:
            found |= summarise(runs)
    print_summary("the default and the best found, on new seeds", found)
    finish(
        found,
        seconds=seconds,
        run_seconds=mean_std([run.seconds for run in result.outcomes]),
        at=arguments.at,
        device=arguments.device,
        best=result.best,
        best_score=result.best_score,
        importances=importances(result),
        calls=len(result.medians),
        runs=arguments.runs,
        epochs=arguments.epochs,
        batch=arguments.batch,
        workers=arguments.workers if arguments.at != "here" else 1,
        seeds=arguments.seeds,
    )


if __name__ == "__main__":
    main()
