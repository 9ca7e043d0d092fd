"""What every benchmark prints: a table, and one JSON object as its last line."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table


def commit() -> str:
    """Return the commit that is measured, with a + where files differ from it."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain") else "")


def machine() -> str:
    """Return the processor, or the GPU, and how many cores there are."""
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} cores"


def context() -> dict[str, str]:
    """Return what a measurement is told with: commit, machine, date."""
    return {"commit": commit(), "machine": machine(), "date": date.today().isoformat()}


def mean_std(values: Sequence[float]) -> dict[str, float]:
    """Return mean and sample standard deviation, rounded.

    Parameters
    ----------
    values : sequence of float
        One for each seed.
    """
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": round(float(np.mean(values)), 4), "std": round(spread, 4)}


def summarise(runs: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, Any]]:
    """Return metric → view or pair → mean and standard deviation over runs.

    Parameters
    ----------
    runs : sequence of mapping of metric to mapping of view or pair to score
        One for each seed.
    """
    return {
        metric: {where: mean_std([run[metric][where] for run in runs]) for where in by_view}
        for metric, by_view in runs[0].items()
    }


def print_summary(title: str, summary: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a summary as a table.

    Parameters
    ----------
    title : str
        Above the table.
    summary : mapping
        As from `summarise`.
    """
    table = Table("measure", "of", "mean", "std", title=title)
    for metric, by_view in summary.items():
        for where, value in by_view.items():
            table.add_row(metric, where, f"{value['mean']:.4f}", f"{value['std']:.4f}")
    Console(width=100).print(table)


def finish(content: Mapping[str, Any], **about: Any) -> None:
    """Print the last line: one JSON object.

    Parameters
    ----------
    content : mapping
        What was measured.
    **about
        data, settings, seeds and so on.
    """
    print(json.dumps({**content, **about, **context()}, ensure_ascii=False))
