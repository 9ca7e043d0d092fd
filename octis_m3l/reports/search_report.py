"""What a search found: best points, importances, and the response surface."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from rich.table import Column, Table
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skopt.plots import plot_objective  # type: ignore[import-untyped]
from skopt.space import Categorical, Real, Space  # type: ignore[import-untyped]
from skopt.utils import create_result  # type: ignore[import-untyped]

from octis_m3l.errors import DataError, SettingsError
from octis_m3l.files import check_can_write_file, written_whole
from octis_m3l.metrics.scores import name_of
from octis_m3l.reports.tables import cell
from octis_m3l.search import SearchResult

FEWEST = 4
"""Successful calls that importances and the picture need."""
_EDGE = 0.02
_STEPS = 10


def search_table(result: SearchResult, weights: Mapping[str, float], best: int = 10) -> Table:
    """Return so many of the best points of a search, best first.

    The last row shows each hyperparameter's importance, from `importances`, unless it is empty.
    """
    sign = -1 if result.info["optimization_type"] == "Maximize" else 1
    known = [call for call, median in enumerate(result.medians) if median is not None]
    known.sort(key=lambda call: sign * (result.medians[call] or 0.0))
    failed = len(result.medians) - len(known)
    scored = {
        call: [run.scores[0] for run in result.outcomes if run.call == call and run.scores]
        for call in known[:best]
    }
    several = any(len(runs) > 1 for runs in scored.values())
    title = f"The best of {len(result.medians)} calls"
    if several:
        title += f", medians of {result.info['model_runs']} runs"
    ends = ", ".join(f"{name} ({end})" for name, end in at_edge(result).items())
    caption = f"the best is at the end of the range of {ends}: try a wider range" if ends else None
    table = Table(
        "call",
        Column(cell(name_of(result.metric))),
        *(["lowest and highest run"] if several else []),
        *(Column(cell(name)) for name in result.x_iters),
        title=title + (f"; {failed} failed" if failed else ""),
        caption=caption,
    )
    for call, runs in scored.items():
        spread = [f"{min(runs):.4f} – {max(runs):.4f}"] if several else []
        point = [of[call] for of in result.x_iters.values()]
        shown = [cell(f"{x:.4g}" if isinstance(x, float) else x) for x in point]
        table.add_row(str(call), f"{result.medians[call]:.4f}", *spread, *shown)
    if weights:
        table.add_section()
        shares = [f"{weights[name]:.0%}" for name in result.x_iters]
        table.add_row("explains", "", *([""] if several else []), *shares)
    return table


def at_edge(result: SearchResult) -> dict[str, Literal["low", "high"]]:
    """Return which values of the best point are within 2 % of an end of their range.

    Needs at least ten calls. Ranges that begin at 0, and integers with fewer than ten steps, such
    as dropout and layers, are expected to end there.
    """
    found: dict[str, Literal["low", "high"]] = {}
    if sum(median is not None for median in result.medians) < _STEPS:
        return found
    for name, value in result.best.items():
        searched = result.search_space[name]
        if not hasattr(searched, "low") or (
            isinstance(value, int) and searched.high - searched.low < _STEPS
        ):
            continue
        logarithmic = searched.prior == "log-uniform"
        low, high, here = (
            math.log(number) if logarithmic else number
            for number in (searched.low, searched.high, value)
        )
        place = (here - low) / (high - low)
        if place > 1.0 - _EDGE:
            found[name] = "high"
        elif place < _EDGE and searched.low != 0:
            found[name] = "low"
    return found


def importances(result: SearchResult, *, seed: int = 0) -> dict[str, float]:
    """Return the share of the scores' variation that each hyperparameter explains, highest first.

    The permutation importance in a random forest fitted to the calls' scores, divided by the sum
    (all 0 if no hyperparameter matters). With few calls it is a rough guide; DataError if fewer
    than four did not fail. `seed` is that of the forest and of the shuffling.
    """
    surface, _, points, scores = _fitted(result, seed)
    worse = permutation_importance(surface, points, scores, n_repeats=20, random_state=seed)
    shares = np.maximum(worse.importances_mean, 0.0)
    shares = shares / (shares.sum() or 1.0)
    named = dict(zip(result.x_iters, shares.tolist(), strict=True))
    return dict(sorted(named.items(), key=lambda entry: -entry[1]))


def draw_search(result: SearchResult, path: str | Path, *, seed: int = 0) -> None:
    """Draw how the score depends on each hyperparameter and each pair, as PNG, PDF or SVG.

    The diagonal shows the partial dependence on one hyperparameter, the plots below it on two;
    dots are the calls, the star is the best. What is drawn is a random forest with this `seed`.
    DataError if fewer than four calls did not fail.
    """
    check_picture(path)
    surface, space, points, scores = _fitted(result, seed)
    drawn, listed = _even(space, points.tolist())
    fitted = create_result(listed, scores.tolist(), drawn, models=[surface[-1]])
    _, (best,) = _even(space, [[result.best[name] for name in result.x_iters]])
    look: dict[str, Any] = {"cmap": "viridis", "size": 3.2, "n_points": 25, "n_samples": 50}
    with plt.ioff():
        axes = plot_objective(fitted, dimensions=list(result.x_iters), minimum=best, **look)
    figure = np.ravel(axes)[0].figure
    for axis in figure.axes:
        for of_axis in (axis.xaxis, axis.yaxis):
            label = of_axis.get_label_text()
            if label == "Partial dependence":
                of_axis.set_label_text(name_of(result.metric))
            elif getattr(result.search_space.get(label), "prior", None) == "log-uniform":
                of_axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=True))
                of_axis.set_major_formatter(lambda value, _: f"{10**value:.3g}")
    try:
        with written_whole(Path(path)) as temporary:
            figure.savefig(temporary, dpi=150, bbox_inches="tight")
    finally:
        plt.close(figure)


def check_picture(path: str | Path) -> None:
    """Check that a picture of the format that the file's ending says can be written there."""
    if Path(path).suffix[1:].lower() not in FigureCanvasBase.get_supported_filetypes():
        raise SettingsError(
            f"{path}: pictures cannot be written in this format; use .png, .pdf or .svg."
        )
    check_can_write_file(Path(path))


def _even(space: Any, points: list[list[Any]]) -> tuple[Any, list[list[Any]]]:
    """Return a space and its points with log-uniform dimensions as logarithms.

    scikit-optimize draws equal steps on the original scale.
    """
    logarithmic = [searched.prior == "log-uniform" for searched in space]
    dimensions = [
        Real(*np.log10(searched.bounds)) if log else searched
        for searched, log in zip(space, logarithmic, strict=True)
    ]
    moved = [
        [float(np.log10(x)) if log else x for x, log in zip(point, logarithmic, strict=True)]
        for point in points
    ]
    return Space(dimensions), moved


def _plain_dimension(searched: Any) -> Any:
    """Return a dimension of the same values, as scikit-optimize makes it by default."""
    if isinstance(searched, Categorical):
        return type(searched)(searched.categories, name=searched.name)
    low, high = searched.bounds
    return type(searched)(low, high, prior=searched.prior, name=searched.name)


def _fitted(result: SearchResult, seed: int) -> tuple[Any, Any, NDArray[Any], NDArray[np.float64]]:
    """Return a forest of the medians of calls that did not fail, its space, and these calls."""
    known = [call for call, median in enumerate(result.medians) if median is not None]
    if len(known) < FEWEST:
        raise DataError(
            f"{len(known)} calls of this search did not fail, and {FEWEST} are needed to tell the "
            "influence of hyperparameters: continue it (resume_optimization, --calls)."
        )
    points = np.array([[of[call] for of in result.x_iters.values()] for call in known], object)
    scores = np.array([result.medians[call] for call in known], np.float64)
    # Points as scikit-optimize's forests get them: categories one-hot, numbers on their own scale.
    # A Gaussian process would have normalised the dimensions.
    space = Space([_plain_dimension(result.search_space[name]) for name in result.x_iters])
    surface = make_pipeline(
        FunctionTransformer(lambda points: space.transform(points.tolist())),
        RandomForestRegressor(100, min_samples_leaf=2, random_state=seed),
    )
    return surface.fit(points, scores), space, points, scores
