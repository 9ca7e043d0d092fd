"""Search spaces: declared on each model, chosen and changed by a user, checked before any run."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from skopt.space import Categorical, Dimension, Integer, Real  # type: ignore[import-untyped]

from octis_m3l.errors import SettingsError, suggest
from octis_m3l.models.base import TopicModel
from octis_m3l.search.result import plain

_NOT_SEARCHED = {
    "seed": "every run has its own, derived from the model's",
    "device": "optimize(…, device=…) says where runs are done",
}
PRIORS = ("uniform", "log-uniform")


class Choices(Categorical):  # type: ignore[misc]
    """Categories of several types, each drawn as it was given.

    scikit-optimize puts categories into one array, which makes texts of the numbers beside texts,
    and holds 1 and True for the same. Here it sees their places alone.
    """

    categories: tuple[Any, ...]

    def set_transformer(self, transform: str = "onehot") -> None:
        """Let the places of the categories be transformed, in place of them."""
        given, self.categories = self.categories, tuple(range(len(self.categories)))
        try:
            super().set_transformer(transform)
        finally:
            self.categories = given

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Return categories as the search's model sees them."""
        return super().transform([self._place(value) for value in X])

    def inverse_transform(self, Xt: Any) -> list[Any]:  # noqa: N803
        """Return the categories that were given."""
        return [self.categories[int(place)] for place in super().inverse_transform(Xt)]

    def __contains__(self, point: Any) -> bool:
        """Return whether a category is one of these, and of the same type."""
        return self._key(point) in map(self._key, self.categories)

    def _place(self, value: Any) -> int:
        return list(map(self._key, self.categories)).index(self._key(value))

    @staticmethod
    def _key(value: Any) -> tuple[type, Any]:
        return type(plain(value)), plain(value)


def categorical(values: Sequence[Any], **options: Any) -> Categorical:
    """Return a dimension of categories, each of which is drawn as it is given."""
    kind = Categorical if len({type(plain(value)) for value in values}) == 1 else Choices
    return kind(values, **options)


def search_space(
    model: Any, names: Collection[str] | None = None, changes: Mapping[str, Any] | None = None
) -> dict[str, Dimension]:
    """Return what to search of a model's hyperparameters.

    Parameters
    ----------
    model : OCTIS model
        One of ours declares a ``search_space``; any other has none.
    names : collection of str, optional
        Only these of the declared ones. Default: those that `changes` names, or else all that the
        model was not told: with ``M3LContrast(num_topics=20)`` K stays.
    changes : mapping of hyperparameter to range, optional
        A range is ``(low, high)`` or ``(low, high, prior)``, ``{"low": …, "high": …, "prior": …}``
        with the prior 'uniform' or 'log-uniform', a list of the values to choose from, or a
        dimension of scikit-optimize. Whole numbers give whole numbers.

    Returns
    -------
    dict of str to Dimension

    Raises
    ------
    SettingsError
        If a name is no hyperparameter of the model, a range can't be read, or the model would
        refuse a value at its ends.
    """
    if not isinstance(changes, Mapping | None):
        raise SettingsError(
            f"search_space={changes!r}: expected a mapping of hyperparameters to ranges, such as "
            '{"num_topics": (10, 100)}. To search declared ranges by name: '
            'search_space(model, ["temperature"]).'
        )
    declared: Mapping[str, Any] = getattr(model, "search_space", {})
    given = {**declared, **(changes or {})}
    told = model.given_hyperparameters() if isinstance(model, TopicModel) else {}
    wanted = list(names or changes or [name for name in declared if name not in told])
    if not wanted:
        raise SettingsError(
            f"{type(model).__name__} declares nothing to search that it was not told; name it: "
            '{"num_topics": (10, 100)}, or --space FILE.'
        )
    known = list(model.hyperparameters)
    found: dict[str, Dimension] = {}
    for name in wanted:
        if name not in known:
            raise SettingsError(f"'{name}' is no hyperparameter to search.{suggest(name, known)}")
        if name not in given:
            raise SettingsError(
                f"no range is declared to search '{name}' in; give one: ({name}: low, high). "
                f"Declared: {', '.join(declared) or 'none'}."
            )
        if isinstance(model, TopicModel) and name in _NOT_SEARCHED:
            raise SettingsError(f"'{name}' is not searched: {_NOT_SEARCHED[name]}.")
        found[name] = dimension(name, given[name], whole=_is_whole(model, name))
        _check_ends(model, name, found[name])
    return found


def dimension(name: str, given: Any, *, whole: bool | None = None) -> Dimension:
    """Return a dimension of scikit-optimize."""
    if isinstance(given, Dimension):
        if whole and isinstance(given, Real):
            raise SettingsError(f"{name}: whole numbers are searched by Integer, given Real.")
        if isinstance(given, Categorical):
            values = list(given.categories)
            _check_categories(name, values)
            options = {"prior": given.prior, "transform": given.transform_}
            mixed = categorical(values, name=given.name, **options)
            return mixed if isinstance(mixed, Choices) else given
        return given
    if isinstance(given, list):
        given = [plain(value) for value in given]
        _check_categories(name, given)
        return categorical(given, name=name)
    if isinstance(given, Mapping):
        unknown = [key for key in given if key not in ("low", "high", "prior")]
        if unknown or not {"low", "high"} <= set(given):
            raise SettingsError(
                f"{name}={dict(given)!r}: expected low, high and, if wanted, prior."
                f"{suggest(str(unknown[0]), ('low', 'high', 'prior')) if unknown else ''}"
            )
        given = (given["low"], given["high"], given.get("prior", "uniform"))
    if not isinstance(given, tuple) or not 2 <= len(given) <= 3:
        raise SettingsError(
            f"{name}={given!r}: expected (low, high), (low, high, prior), a list of values, or a "
            "dimension of scikit-optimize."
        )
    low, high, prior = (plain(value) for value in (*given, "uniform")[:3])
    if prior not in PRIORS:
        raise SettingsError(f"{name}: unknown prior '{prior}'.{suggest(str(prior), PRIORS)}")
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    if (
        not numbers
        or not -math.inf < low < high < math.inf
        or (prior == "log-uniform" and low <= 0)
    ):
        floor = "0 < low" if prior == "log-uniform" else "low"
        raise SettingsError(f"{name}=({low!r}, {high!r}): expected numbers, {floor} < high.")
    if whole is None:
        whole = isinstance(low, int) and isinstance(high, int)
    if whole and not (float(low).is_integer() and float(high).is_integer()):
        raise SettingsError(f"{name}=({low!r}, {high!r}): expected whole numbers.")
    if whole:
        return Integer(int(low), int(high), prior=prior, name=name)
    return Real(float(low), float(high), prior=prior, name=name)


def _check_categories(name: str, values: list[Any]) -> None:
    if len(values) < 2:
        raise SettingsError(f"{name}={values!r}: expected two values or more to choose from.")
    for value in values:
        finite = not isinstance(value, float) or math.isfinite(value)
        if not isinstance(plain(value), str | int | float | None) or not finite:
            raise SettingsError(
                f"{name}: {value!r} can't be searched; expected numbers, texts, True, False or "
                "None."
            )
    # True and 1 are two values, 1 and 1.0 are one.
    keys = [(isinstance(plain(value), bool), plain(value)) for value in values]
    twice = [value for number, value in enumerate(values) if keys[number] in keys[:number]]
    if twice:
        raise SettingsError(f"{name}={values!r}: {twice[0]!r} is there twice; name it once.")


def _is_whole(model: Any, name: str) -> bool | None:
    fields = model.settings_class.model_fields if isinstance(model, TopicModel) else {}
    return None if name not in fields else fields[name].annotation is int


def _check_ends(model: Any, name: str, searched: Dimension) -> None:
    if not isinstance(model, TopicModel):
        return
    ends = searched.categories if isinstance(searched, Categorical) else searched.bounds
    for value in ends:
        model.settings_class.checked({**model.hyperparameters, name: value}, model.name)
