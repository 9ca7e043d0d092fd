"""Search spaces: declared by each model, chosen and changed by a user, checked before any run."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from skopt.space import Categorical, Dimension, Integer, Real  # type: ignore[import-untyped]

from octis_m3l.errors import SettingsError, suggest
from octis_m3l.models.base import TopicModel
from octis_m3l.search.result import as_json, plain

_NOT_SEARCHED = {
    "seed": "every run has its own, derived from the model's",
    "device": "optimize(…, device=…) says where runs are executed",
}
_PRIORS = ("uniform", "log-uniform")
_RANGE = ("low", "high", "prior")
_BASE = 10


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
    return type(plain(value)), plain(value)


def categorical(values: Sequence[Any], **options: Any) -> Categorical:
    """Return a dimension of categories, each of which is drawn as it is given."""
    kind = Categorical if len({type(plain(value)) for value in values}) == 1 else Choices
    return kind(values, **options)


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

    Returns
    -------
    dict of str to Dimension

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
    known = list(model.hyperparameters)
    found: dict[str, Dimension] = {}
    for name in wanted:
        if name not in known:
            raise SettingsError(f"'{name}' is no hyperparameter to search.{suggest(name, known)}")
        if name not in ranges:
            raise SettingsError(
                f"no range is declared to search '{name}' in; give one: ({name}: low, high). "
                f"Declared: {', '.join(declared) or 'none'}."
            )
        if not ours:
            found[name] = dimension(name, ranges[name])
            continue
        if name in _NOT_SEARCHED:
            raise SettingsError(f"'{name}' is not searched: {_NOT_SEARCHED[name]}.")
        is_whole = model.settings_class.model_fields[name].annotation is int
        found[name] = dimension(name, ranges[name], whole=is_whole)
        for value in found[name].bounds:
            model.settings_class.checked({**model.hyperparameters, name: value}, model.name)
    return found


def dimension(name: str, given: Any, *, whole: bool | None = None) -> Dimension:
    """Return a dimension of scikit-optimize."""
    if isinstance(given, Real) and whole:
        raise SettingsError(f"{name}: whole numbers are searched by Integer, given Real.")
    if isinstance(given, Real | Integer):
        return given
    if isinstance(given, Categorical):
        _check_categories(name, as_json(given.categories))
        return categorical(
            given.categories, name=given.name, prior=given.prior, transform=given.transform_
        )
    if isinstance(given, list):
        _check_categories(name, as_json(given))
        return categorical(as_json(given), name=name)
    if isinstance(given, Mapping):
        unknown = [key for key in given if key not in _RANGE]
        if unknown or not {"low", "high"} <= set(given):
            raise SettingsError(
                f"{name}={dict(given)!r}: expected low, high and, if wanted, prior."
                f"{suggest(unknown[0], _RANGE) if unknown else ''}"
            )
        given = tuple(given[key] for key in _RANGE if key in given)
    if not isinstance(given, tuple) or not 2 <= len(given) <= 3:
        raise SettingsError(
            f"{name}={given!r}: expected (low, high), (low, high, prior), a list of values, or a "
            "dimension of scikit-optimize."
        )
    low, high, prior = (plain(value) for value in (*given, "uniform")[:3])
    if prior not in _PRIORS:
        raise SettingsError(f"{name}: unknown prior '{prior}'.{suggest(prior, _PRIORS)}")
    lowest = 0 if prior == "log-uniform" else -math.inf
    are_numbers = all(type(end) in (int, float) for end in (low, high))
    if not are_numbers or not lowest < low < high < math.inf:
        floor = "0 < low" if prior == "log-uniform" else "low"
        raise SettingsError(f"{name}=({low!r}, {high!r}): expected numbers, {floor} < high.")
    if whole is None:
        whole = isinstance(low, int) and isinstance(high, int)
    if whole and not (float(low).is_integer() and float(high).is_integer()):
        raise SettingsError(f"{name}=({low!r}, {high!r}): expected whole numbers.")
    kind, number = (Integer, int) if whole else (Real, float)
    return kind(number(low), number(high), prior=prior, name=name)


def _check_categories(name: str, values: Sequence[Any]) -> None:
    if len(values) < 2:
        raise SettingsError(f"{name}={values!r}: expected two values or more to choose from.")
    before: list[Any] = []
    for value in values:
        is_finite = not isinstance(value, float) or math.isfinite(value)
        if not isinstance(value, str | int | float | None) or not is_finite:
            raise SettingsError(
                f"{name}: {value!r} can't be searched; expected numbers, texts, True, False or "
                "None."
            )
        # True and 1 are two values, 1 and 1.0 are one.
        key = isinstance(value, bool), value
        if key in before:
            raise SettingsError(f"{name}={values!r}: {value!r} occurs twice; name it once.")
        before.append(key)


def described_space(space: Mapping[str, Dimension]) -> dict[str, Any]:
    """Return a search space as JSON."""
    found: dict[str, Any] = {}
    for name, searched in space.items():
        entry: dict[str, Any]
        if isinstance(searched, Categorical):
            entry = {"values": as_json(searched.categories)}
            if searched.prior is not None:
                entry["prior"] = as_json(searched.prior)
            if searched.transform_ != "onehot":
                entry["transform"] = searched.transform_
        else:
            low, high = as_json(searched.bounds)
            is_whole = isinstance(searched, Integer)
            entry = {"low": low, "high": high, "prior": searched.prior, "whole": is_whole}
            if searched.base != _BASE:
                entry["base"] = searched.base
        found[name] = entry
    return found


def rebuilt_space(stored: Mapping[str, Any]) -> dict[str, Dimension]:
    """Return the search space that `described_space` described."""
    found: dict[str, Dimension] = {}
    for name, entry in stored.items():
        options = {key: entry[key] for key in ("prior", "base", "transform") if key in entry}
        if "values" in entry:
            found[name] = categorical(entry["values"], name=name, **options)
        else:
            kind = Integer if entry["whole"] else Real
            found[name] = kind(entry["low"], entry["high"], name=name, **options)
    return found
