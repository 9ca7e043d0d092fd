"""What a search found: each hyperparameter's importance, and a picture of the response surface."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from octis_m3l.errors import DataError, SettingsError
from octis_m3l.files import check_can_write_file, written_whole
from octis_m3l.reports.tables import measured
from octis_m3l.search import SearchResult

FEWEST = 4
"""Calls that did not fail, of which something can be said."""


class _Surface(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A random forest of scores over a search space."""

    def __init__(self, space: Any, seed: int) -> None:
        self.space = space
        self.seed = seed

    def fit(self, points: NDArray[Any], scores: NDArray[Any]) -> "_Surface":
        self.forest_ = RandomForestRegressor(100, min_samples_leaf=2, random_state=self.seed)
        self.forest_.fit(self.space.transform(points.tolist()), scores)
        return self

    def predict(self, points: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = self.forest_.predict(self.space.transform(points.tolist()))
        return found


def importances(result: SearchResult, *, seed: int = 0) -> dict[str, float]:
    """Return which share of the scores' variation each hyperparameter explains, highest first.

    By how much worse a random forest of the calls' scores becomes when a hyperparameter's values
    are shuffled (permutation importance), over the sum. Of few calls it is a rough guide.

    Parameters
    ----------
    result : SearchResult
        Of four calls or more that did not fail.
    seed : int
        Of the forest and of the shuffling.

    Returns
    -------
    dict of str to float
        Shares that add up to 1; all 0 if no hyperparameter matters.

    Raises
    ------
    DataError
        If there are fewer calls.
    """
    surface, points, scores = _fitted(result, seed)
    worse = permutation_importance(surface, points, scores, n_repeats=20, random_state=seed)
    shares = np.maximum(worse.importances_mean, 0.0)
    shares = shares / (shares.sum() or 1.0)
    named = dict(zip(result.x_iters, shares.tolist(), strict=True))
    return dict(sorted(named.items(), key=lambda entry: -entry[1]))


def draw_search(result: SearchResult, path: str | Path, *, seed: int = 0) -> None:
    """Draw how the score depends on each hyperparameter and on each two, to a PNG, PDF or SVG.

    On the diagonal the partial dependence on one, below it on two; dots are the calls, the star is
    the best of them.

    Parameters
    ----------
    result : SearchResult
        Of four calls or more that did not fail.
    path : str or Path
        The file to write; its ending says the format.
    seed : int
        Of the random forest that is drawn.

    Raises
    ------
    DataError
        If there are fewer calls.
    SettingsError
        If the ending is of no format.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator
    from skopt.plots import plot_objective  # type: ignore[import-untyped]
    from skopt.utils import create_result  # type: ignore[import-untyped]

    check_picture(path)
    surface, points, scores = _fitted(result, seed)
    drawn, listed = _even(surface.space, points.tolist())
    told = create_result(listed, scores.tolist(), drawn, models=[surface.forest_])
    _, (best,) = _even(surface.space, [[result.best[name] for name in result.x_iters]])
    with plt.ioff():
        axes = plot_objective(
            told,
            dimensions=list(result.x_iters),
            minimum=best,
            cmap="viridis",
            size=3.2,
            n_points=25,
            n_samples=50,
        )
    figure = np.ravel(axes)[0].figure
    for axis in figure.axes:
        for of_axis in (axis.xaxis, axis.yaxis):
            if of_axis.get_label_text() == "Partial dependence":
                of_axis.set_label_text(measured(result))
            elif _searched(result, of_axis.get_label_text()).prior == "log-uniform":
                of_axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=True))
                of_axis.set_major_formatter(lambda value, _: f"{10**value:.3g}")
    try:
        with written_whole(Path(path)) as temporary:
            figure.savefig(temporary, dpi=150, bbox_inches="tight")
    finally:
        plt.close(figure)


def check_picture(path: str | Path) -> None:
    """Refuse a file that no picture can be drawn to.

    Parameters
    ----------
    path : str or Path
        Its ending says the format.

    Raises
    ------
    SettingsError
        If the ending is of no format.
    StorageError
        If the file can't be written.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    if Path(path).suffix[1:].lower() not in FigureCanvasBase.get_supported_filetypes():
        raise SettingsError(
            f"{path}: a picture can't be drawn to a file of this kind; use .png, .pdf or .svg."
        )
    check_can_write_file(Path(path))


def _even(space: Any, points: list[list[Any]]) -> tuple[Any, list[list[Any]]]:
    """Return a space and its points with logarithms in place of what is log-uniform.

    scikit-optimize draws even steps on the numbers' own scale.
    """
    from skopt.space import Real, Space  # type: ignore[import-untyped]

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
    from skopt.space import Categorical

    if isinstance(searched, Categorical):
        return type(searched)(searched.categories, name=searched.name)
    low, high = searched.bounds
    return type(searched)(low, high, prior=searched.prior, name=searched.name)


def _searched(result: SearchResult, label: str) -> Any:
    return result.search_space.get(label, SimpleNamespace(prior=None))


def _fitted(result: SearchResult, seed: int) -> tuple[_Surface, NDArray[Any], NDArray[np.float64]]:
    """Return a forest of the medians of calls that did not fail, and these calls."""
    from skopt.space import Space

    known = [call for call, median in enumerate(result.medians) if median is not None]
    if len(known) < FEWEST:
        raise DataError(
            f"{len(known)} calls of this search did not fail; {FEWEST} or more say something of "
            "its hyperparameters: go on with it (resume_optimization, --calls)."
        )
    points = np.array([[of[call] for of in result.x_iters.values()] for call in known], object)
    scores = np.array([result.medians[call] for call in known], np.float64)
    # As scikit-optimize's forests see points: categories one by one, numbers on their own scale;
    # a Gaussian process has normalised the dimensions that it was given.
    space = Space([_plain_dimension(result.search_space[name]) for name in result.x_iters])
    return _Surface(space, seed).fit(points, scores), points, scores
