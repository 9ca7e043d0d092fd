"""The settings of OCTIS's ``optimize``: by name, and checked before any run."""

import inspect
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from octis.optimization.optimizer import Optimizer as OctisOptimizer

from octis_m3l.errors import SettingsError, suggest
from octis_m3l.search.result import plain

SURROGATES = ("RF", "ET", "GP", "RS")
ACQUISITIONS = ("LCB", "EI", "PI")
GENERATORS = ("lhs", "sobol", "halton", "hammersly", "grid", "random")
_COUNTS = (
    "number_of_call",
    "model_runs",
    "n_random_starts",
    "save_step",
    "batch",
    "early_step",
    "topk",
)


def check_settings(search: Any) -> None:
    """Raise what is wrong with a search's settings, and make them what they mean."""
    for name, known in (
        ("surrogate_model", SURROGATES),
        ("acq_func", ACQUISITIONS),
        ("optimization_type", ("Maximize", "Minimize")),
        ("initial_point_generator", GENERATORS),
    ):
        value = getattr(search, name)
        if value not in known:
            raise SettingsError(f"unknown {name} '{value}'.{suggest(str(value), known)}")
    # The estimator of OCTIS's random search is refused by today's scikit-learn: never leaving
    # the random starts is the same.
    search._random_search = search.surrogate_model == "RS"
    if search._random_search:
        search.surrogate_model = "RF"
    for name in _COUNTS:
        value = getattr(search, name)
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise SettingsError(f"{name}={value!r}: expected a whole number, 1 or more.")
        setattr(search, name, int(value))
    if not isinstance(search.x0, Mapping):
        raise SettingsError("x0: expected a mapping of hyperparameter to a list of values.")
    given = {name: list(points) for name, points in search.x0.items()}
    search.y0 = [plain(value) for value in search.y0]
    for value in search.y0:
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise SettingsError(f"y0 holds {value!r}; expected finite numbers.")
    for name, points in given.items():
        outside = [
            x for x in points if name in search.search_space and x not in search.search_space[name]
        ]
        if outside:
            raise SettingsError(f"x0: {name}={outside[0]!r} is outside what is searched.")
    if given and set(given) != set(search.hyperparameters):
        raise SettingsError(
            f"x0 has {', '.join(sorted(given))}; expected a list for each of "
            f"{', '.join(search.hyperparameters)}."
        )
    lengths = {len(points) for points in given.values()}
    if len(lengths) > 1 or (search.y0 and lengths != {len(search.y0)}):
        raise SettingsError("x0 and y0: expected lists of the same length.")
    search.x0 = given
    search.lenx0 = lengths.pop() if lengths else 0
    if search.lenx0 > search.number_of_call:
        raise SettingsError(
            f"x0 has {search.lenx0} points for number_of_call={search.number_of_call}."
        )
    for name in ("save_name", "plot_name"):
        value = getattr(search, name)
        if not isinstance(value, str) or not value or Path(value).name != value:
            raise SettingsError(
                f"{name}={value!r}: expected the name of a file; save_path says in which folder."
            )
    search.save_path = f"{search.save_path.rstrip('/') or '.'}/"
    search.save_name = search.save_name.removesuffix(".json")
    search.plot_name = search.plot_name.removesuffix(".png")


def by_name(positional: Sequence[Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of OCTIS's ``optimize`` by name, those given by position too."""
    names = list(inspect.signature(OctisOptimizer.optimize).parameters)[6:]
    unknown = [name for name in settings if name not in names]
    if unknown or len(positional) > len(names):
        said = unknown[0] if unknown else f"{len(positional) + 5} positional arguments"
        raise SettingsError(f"optimize takes no '{said}'.{suggest(str(said), names)}")
    return {**dict(zip(names, positional, strict=False)), **settings}
