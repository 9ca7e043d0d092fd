"""A model and a metric of nobody's, fast enough to search by the hundred."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
from octis.dataset.dataset import Dataset
from octis.evaluation_metrics.metrics import AbstractMetric
from octis.models.model import AbstractModel

from octis_m3l import Optimizer


class Hill(AbstractModel):  # type: ignore[misc]
    """θ's first entry is highest at x = .3 and y = 3; some noise comes from numpy's generator.

    ``trouble`` names a folder: a run with x above .9 there fails; a file ``kill`` there kills the
    process of the run that finds it, once.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__()
        self.hyperparameters = {"x": 0.5, "y": 1, "kind": "round", "trouble": "", **given}
        self.use_partitions = True

    def train_model(
        self, dataset: Any, hyperparameters: dict[str, Any], top_words: int = 10
    ) -> dict[str, Any]:
        self.hyperparameters.update(hyperparameters)
        given = self.hyperparameters
        if given["trouble"]:
            place = Path(given["trouble"])
            with (place / "runs").open("a") as log:
                log.write(f"{given['x']!r} {given['y']!r}\n")
            if (place / "kill").exists():
                (place / "kill").unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            if given["x"] > 0.9:
                raise ValueError("too far")
        height = 1 - (given["x"] - 0.3) ** 2 - 0.01 * (given["y"] - 3) ** 2
        height += 0.001 * np.random.normal()
        height -= 0.2 * (given["kind"] == "square")
        return {"topics": [["a", "b"]], "topic-word-matrix": np.array([[height, given["x"]]])}


class Height(AbstractMetric):  # type: ignore[misc]
    """The hill's height, times a factor."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def score(self, output: dict[str, Any]) -> float:
        return float(output["topic-word-matrix"][0, 0]) * self.factor

    def get_params(self) -> list[str]:
        return ["factor"]


class Place(AbstractMetric):  # type: ignore[misc]
    """Where the run was."""

    def score(self, output: dict[str, Any]) -> float:
        return float(output["topic-word-matrix"][0, 1])

    def get_params(self) -> list[str]:
        return []


class Data(Dataset):  # type: ignore[misc]
    """Nothing."""

    def __init__(self) -> None:
        super().__init__(corpus=[["a", "b"]], metadata={})


SPACE: dict[str, Any] = {"x": (0.0, 1.0), "y": (0, 9), "kind": ["round", "square"]}
TOYS = (Hill, Height, Place)
FIRST: dict[str, Any] = {
    "number_of_call": 6,
    "n_random_starts": 3,
    "model_runs": 2,
    "random_state": 5,
    "surrogate_model": "RS",
    "save_models": False,
}


def searched(folder: Path, trouble: Path | str = "", *, model: Any = None, **changes: Any) -> Any:
    """Search the hill."""
    model = Hill() if model is None else model
    model.hyperparameters["trouble"] = str(trouble)
    arguments = {**FIRST, "save_path": f"{folder}/", **changes}
    return Optimizer().optimize(model, Data(), Height(), SPACE, **arguments)


def resumed(file: Path, calls: int = 0, **changes: Any) -> Any:
    """Continue a search of the hill."""
    return Optimizer().resume_optimization(
        file, calls, **{"dataset": Data(), "classes": TOYS, **changes}
    )


def course(result: Any) -> tuple[Any, ...]:
    """Return the points of a search, their scores, and the seeds."""
    runs = [(run.call, run.run, run.seed, run.scores) for run in result.outcomes]
    return result.x_iters, result.func_vals, runs, result.best, result.best_score
