"""A model and a metric of nobody's, fast enough to search by the hundred."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
from octis.dataset.dataset import Dataset
from octis.evaluation_metrics.metrics import AbstractMetric
from octis.models.model import AbstractModel


class Hill(AbstractModel):  # type: ignore[misc]
    """θ's first entry is highest at x = .3 and y = 3; some noise comes from numpy's generator.

    ``trouble`` names a folder: a run with x above .9 there fails; a file ``kill`` there kills the
    process of the run that finds it, once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hyperparameters = {"x": 0.5, "y": 1, "kind": "round", "trouble": ""}
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
