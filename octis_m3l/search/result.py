"""The result of a search."""

from pathlib import Path
from typing import Any

from octis.optimization.optimizer_evaluation import OptimizerEvaluation

from octis_m3l.files import as_json, write_json


class SearchResult(OptimizerEvaluation):  # type: ignore[misc]
    """OCTIS's result of a search, with the best point and the outcome of every run.

    Attributes
    ----------
    name_json : str
        The file that it was written to.
    best : dict
        The hyperparameters with the best median score; empty if every call failed.
    best_score : float, optional
        That score.
    outcomes : list of Outcome
        Of all runs, including failed ones, with their seeds.
    surrogate : scikit-optimize result, or None
        With the last model of the response surface.
    medians : list of float or None
        Of each call's scores; None where all of its runs failed.
    search_space : dict of str to Dimension
        The space that was searched.
    """

    x_iters: dict[str, list[Any]]
    func_vals: list[float]

    def __init__(self, optimizer: Any, found: Any) -> None:
        super().__init__(optimizer, BO_results=found)
        self.outcomes = [optimizer.outcomes[key] for key in sorted(optimizer.outcomes)]
        self.x_iters, self.func_vals = as_json(self.x_iters), as_json(self.func_vals)
        self.info |= {"x_iters": self.x_iters, "f_val": self.func_vals}
        self.surrogate = found if getattr(found, "models", None) else None
        self.medians = [optimizer.median(call) for call in range(len(self.func_vals))]
        self.search_space = dict(optimizer.search_space)
        known = [(value, call) for call, value in enumerate(self.medians) if value is not None]
        sign = 1 if optimizer.optimization_type == "Maximize" else -1
        self.best: dict[str, Any] = {}
        self.best_score: float | None = None
        if known:
            self.best_score, call = max(known, key=lambda entry: sign * entry[0])
            self.best = {name: points[call] for name, points in self.x_iters.items()}

    def __repr__(self) -> str:
        """Return a summary."""
        score = "none" if self.best_score is None else f"{self.best_score:.4g}"
        return f"<SearchResult: {len(self.medians)} calls, best {score} at {self.best}>"

    def save(self, name_file: str) -> None:
        """Write the search to a JSON file, whole."""
        self.name_json = name_file
        write_json(Path(name_file), as_json(self.info, finite=True))
