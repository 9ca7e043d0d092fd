"""Arguments compared with their annotations, so that one of a wrong kind is one line."""

import types
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from functools import cache, wraps
from inspect import Parameter, signature
from numbers import Integral, Real
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import TypeAdapter, ValidationError

from octis_m3l.errors import DataError, SettingsError, suggest

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")
_NUMBERS: dict[Any, Any] = {int: Integral, float: Real, bool: bool | np.bool_}
_WORDS: dict[Any, str] = {
    types.NoneType: "None",
    Any: "anything",
    Hashable: "one name",
    int: "a whole number",
    float: "a number",
    np.ndarray: "an array",
}
_SHOWN = 80


def typed(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Return a function that refuses arguments of another kind than its annotations say.

    Mappings are looked into; what is annotated as a sequence is left to the function.
    """
    expected = signature(function)
    named = [n for n, p in expected.parameters.items() if p.kind != Parameter.VAR_KEYWORD]
    is_open = len(named) < len(expected.parameters)

    @wraps(function)
    def checked(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        for name in kwargs:
            if name not in named and not is_open:
                known = [n for n in named if n not in ("self", "cls")]
                raise SettingsError(
                    f"{function.__name__} has no argument '{name}'.{suggest(name, known)}"
                )
        check_kinds(function.__name__, dict(zip(named, args, strict=False)) | kwargs, function)
        return function(*args, **kwargs)

    return checked


def check_kinds(who: str, given: Mapping[str, Any], annotated: Any, *, sized: bool = False) -> None:
    """Refuse values of another kind than the annotations of a function or a class say."""
    hints = _hints(annotated)
    for name, value in given.items():
        if name in hints and not _fits(value, hints[name], sized):
            shown = " ".join(repr(value).split())[:_SHOWN]
            raise DataError(f"{who}: {name}={shown}; expected {_in_words(hints[name])}.")


def checked(name: str, adapter: "TypeAdapter[Any]", value: Any) -> Any:
    """Return a setting, if it may be what it is."""
    try:
        return adapter.validate_python(value, strict=True)
    except ValidationError as error:
        raise SettingsError(f"{name}={value!r}: {reasons(error)}.") from None


def reasons(error: ValidationError) -> str:
    """Return what pydantic says of a value, in one line."""
    found = [one["msg"].removeprefix("Input ") for one in error.errors()]
    return "it " + " or ".join(dict.fromkeys(found))


@cache
def _hints(annotated: Any) -> dict[str, Any]:
    return get_type_hints(annotated)


def _fits(value: Any, hint: Any, sized: bool) -> bool:
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, types.UnionType):
        return any(_fits(value, part, sized) for part in parts)
    if kind in (None, types.NoneType):
        return value is None
    if kind is Literal:
        return isinstance(value, tuple({type(part) for part in parts}))
    if kind is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(key, parts[0], sized) and _fits(of, parts[1], sized) for key, of in value.items()
        )
    if kind in (Iterable, Collection):
        if not isinstance(value, kind) or isinstance(value, Mapping | str | bytes):
            return False
        # An iterator is looked into by the function, which can do so once.
        again = isinstance(value, Collection)
        return not again or (
            _length(value) is not None and all(_fits(one, parts[0], sized) for one in value)
        )
    if kind is Sequence:
        return not sized or (not isinstance(value, str | bytes) and _length(value) is not None)
    if kind is tuple:
        if not isinstance(value, tuple | list):
            return False
        each = parts[:1] * len(value) if ... in parts else parts
        return len(value) == len(each) and all(
            _fits(one, part, sized) for one, part in zip(value, each, strict=True)
        )
    if kind is np.ndarray:
        if hasattr(value, "dtype"):
            return _length(value) is not None
        return not sized and isinstance(value, list | tuple)
    if kind in (int, float) and isinstance(value, bool | np.bool_):
        return False
    if kind is Any or not isinstance(kind, type):
        return True
    return isinstance(value, _NUMBERS.get(kind, kind))


def _length(value: Any) -> int | None:
    try:
        return value.shape[0] if hasattr(value, "shape") else len(value)
    except (TypeError, IndexError):
        return None


def _in_words(hint: Any) -> str:
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_in_words, parts)))
    if kind is Mapping:
        words = _in_words(parts[1])
        return f"a mapping of {_in_words(parts[0])} to {f'({words})' if ' or ' in words else words}"
    if kind in _WORDS:
        return _WORDS[kind]
    if kind is tuple:
        return f"({', '.join(map(_in_words, parts))})"
    if isinstance(kind, type) and issubclass(kind, Iterable) and parts:
        return f"a list of {_in_words(parts[0])}"
    return kind.__name__ if isinstance(kind, type) else str(hint)
