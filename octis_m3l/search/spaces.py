"""Search spaces: declared by each model, chosen and changed by a user, checked before any run."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from skopt.space import Categorical, Dimension, Integer, Real  # type: ignore[import-untyped]

from octis_m3l.errors import SettingsError, check_known
from octis_m3l.files import as_json
from octis_m3l.models.base import TopicModel

_NOT_SEARCHED = {
    "seed": "every run has its own, derived from the model's",
    "device": "optimize(…, device=…) says where runs are executed",
}
_PRIORS = ("uniform", "log-uniform")
_RANGE = ("low", "high", "prior")
# Not written to files.
_USUAL = {"prior": None, "transform": "onehot", "base": 10}


class Choices(Categorical):  # type: ignore[misc]
    """Categories of several types.

    scikit-optimize puts categories into one array, which turns numbers beside texts into texts,
    and takes 1 and True for the same. Therefore it gets their positions.
    """

    categories: tuple[Any, ...]

    def set_transformer(self, transform: str = "onehot") -> None:
        """Let scikit-optimize transform positions."""
        categories, self.categories = self.categories, tuple(range(len(self.categories)))
        try:
            super().set_transformer(transform)
        finally:
            self.categories = categories

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Return the transformed positions of categories."""
        keys = [_typed(category) for category in self.categories]
        return super().transform([keys.index(_typed(value)) for value in X])

    def inverse_transform(self, Xt: Any) -> list[Any]:  # noqa: N803
        """Return the categories at transformed positions."""
        return [self.categories[int(position)] for position in super().inverse_transform(Xt)]

    def __contains__(self, point: Any) -> bool:
        """Return whether a value is one of the categories, and of the same type."""
        return _typed(point) in map(_typed, self.categories)


def _typed(value: Any) -> tuple[type, Any]:
    return type(value), value


def search_space(
    model: Any, names: Collection[str] | None = None, changes: Mapping[str, Any] | None = None
) -> dict[str, Dimension]:
    """Return the hyperparameters of a model that are searched, with their ranges.

    Parameters
    ----------
    model : OCTIS model
        Models of this package declare a ``search_space``; others have none.
    names : collection of str, optional
        Only these of the declared ones. Default: those in `changes`, or else all that were not
        set explicitly: with ``M3LContrast(num_topics=20)`` K is not searched.
    changes : mapping of hyperparameter to range, optional
        A range is ``(low, high)`` or ``(low, high, prior)``, ``{"low": …, "high": …, "prior": …}``
        with the prior 'uniform' or 'log-uniform', a list of the values to choose from, or a
        dimension of scikit-optimize. Between whole numbers, whole numbers are searched.

    Raises
    ------
    SettingsError
        If a name is no hyperparameter of the model, a range is not one of the above, or the model
        would reject a value at its ends.
    """
    if not isinstance(changes, Mapping | None):
        raise SettingsError(
            f"search_space={changes!r}: expected a mapping of hyperparameters to ranges, such as "
            '{"num_topics": (10, 100)}. To search declared ranges by name: '
            'search_space(model, ["temperature"]).'
        )
    ours = isinstance(model, TopicModel)
    declared: Mapping[str, Any] = getattr(model, "search_space", {})
    ranges = {**declared, **(changes or {})}
    explicit = model.given_hyperparameters() if ours else {}
    wanted = list(names or changes or [name for name in declared if name not in explicit])
    if not wanted:
        raise SettingsError(
            f"{type(model).__name__} declares nothing to search beyond what was set explicitly; "
            'name a range: {"num_topics": (10, 100)}, or --space FILE.'
        )
    found: dict[str, Dimension] = {}
    for name in wanted:
        check_known(name, model.hyperparameters, "hyperparameter", SettingsError)
        if name not in ranges:
            raise SettingsError(
                f"'{name}' has no declared range; give one: {{'{name}': (low, high)}}. Declared: "
                f"{', '.join(declared) or 'none'}."
            )
        if ours and name in _NOT_SEARCHED:
            raise SettingsError(f"'{name}' is not searched: {_NOT_SEARCHED[name]}.")
        whole = model.settings_class.model_fields[name].annotation is int if ours else None
        found[name] = dimension(name, ranges[name], whole=whole)
        for value in found[name].bounds if ours else ():
            model.settings_class.checked({**model.hyperparameters, name: value}, model.name)
    return found


def dimension(name: str, given: Any, *, whole: bool | None = None) -> Dimension:
    """Return a dimension of scikit-optimize."""
    if isinstance(given, Real) and whole:
        raise SettingsError(f"{name}: whole numbers are searched by Integer, given Real.")
    if isinstance(given, Real | Integer):
        return given
    if isinstance(given, Categorical):
        options = {"prior": given.prior, "transform": given.transform_}
        return _categorical(name, given.categories, **options)
    if isinstance(given, list):
        return _categorical(name, given)
    if isinstance(given, Mapping) and {"low", "high"} <= {*given} <= {*_RANGE}:
        given = tuple(given[key] for key in _RANGE if key in given)
    if not isinstance(given, tuple) or not 2 <= len(given) <= 3:
        raise SettingsError(
            f"{name}={given!r}: expected (low, high), (low, high, prior), {{'low': …, 'high': …, "
            "'prior': …}, a list of values, or a dimension of scikit-optimize."
        )
    low, high, prior = as_json([*given, "uniform"][:3])
    check_known(prior, _PRIORS, f"prior of {name}", SettingsError)
    lowest = 0 if prior == "log-uniform" else -math.inf
    valid = all(type(end) in (int, float) for end in (low, high)) and lowest < low < high < math.inf
    if whole is None:
        whole = isinstance(low, int) and isinstance(high, int)
    if not valid or (whole and not (float(low).is_integer() and float(high).is_integer())):
        kind, floor = "whole numbers" if whole else "numbers", "0 < low" if lowest == 0 else "low"
        raise SettingsError(f"{name}=({low!r}, {high!r}): expected {kind}, {floor} < high.")
    if whole:
        return Integer(int(low), int(high), prior=prior, name=name)
    return Real(float(low), float(high), prior=prior, name=name)


def _categorical(name: str, given: Sequence[Any], **options: Any) -> Categorical:
    """Return a dimension of categories, each of which is drawn as it is given."""
    values = [value.item() if isinstance(value, np.generic) else value for value in given]
    # True and 1 are two values, 1 and 1.0 are one.
    different = {
        (isinstance(value, bool), value)
        for value in values
        if isinstance(value, str | int | None) or (type(value) is float and math.isfinite(value))
    }
    if len(different) < max(2, len(values)):
        raise SettingsError(
            f"{name}={values!r}: expected two or more different values, each of them a finite "
            "number, a text, True, False or None."
        )
    return _kind(values)(values, name=name, **options)


def _kind(values: Sequence[Any]) -> type[Categorical]:
    return Categorical if len({type(value) for value in values}) == 1 else Choices


def described_space(space: Mapping[str, Dimension]) -> dict[str, Any]:
    """Return a search space as JSON."""
    found: dict[str, Any] = {}
    for name, searched in space.items():
        entry = {"prior": searched.prior}
        if isinstance(searched, Categorical):
            entry |= {"values": searched.categories, "transform": searched.transform_}
        else:
            entry |= {"low": searched.low, "high": searched.high, "base": searched.base}
            entry["whole"] = isinstance(searched, Integer)
        plain = as_json(entry)
        found[name] = {key: of for key, of in plain.items() if of != _USUAL.get(key, ...)}
    return found


def rebuilt_space(stored: Mapping[str, Any]) -> dict[str, Dimension]:
    """Return the search space that `described_space` described."""
    found: dict[str, Dimension] = {}
    for name, entry in stored.items():
        options = {key: entry[key] for key in _USUAL if key in entry}
        if "values" in entry:
            found[name] = _kind(entry["values"])(entry["values"], name=name, **options)
        else:
            kind = Integer if entry["whole"] else Real
            found[name] = kind(entry["low"], entry["high"], name=name, **options)
    return found
