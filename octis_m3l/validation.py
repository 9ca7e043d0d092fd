"""Arguments and settings checked by pydantic, with errors of one line."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BeforeValidator,
    PlainValidator,
    SkipValidation,
    Strict,
    ValidationError,
    validate_call,
)

from octis_m3l.errors import DataError, OctisM3LError, SettingsError, suggest

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")
_T = TypeVar("_T")
_Scalar = TypeVar("_Scalar", bound=np.generic)
_SHOWN = 80
_SHORT = 3
_SUBJECT = re.compile(r"^\w+ (?=should|is |must)")


def validated(
    function: Callable[_Given, _Result], error: type[OctisM3LError] = DataError
) -> Callable[_Given, _Result]:
    """Return a function that checks its arguments against their annotations.

    Numpy's scalars are passed on as Python's. Besides them only the annotations `Listed` and
    `ArrayLike` convert values.
    """

    @wraps(function)
    def received(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, kwargs

    # Only the check is pydantic's, so that errors of the function itself pass as they are.
    check = validate_call(
        config={"strict": True, "arbitrary_types_allowed": True, "defer_build": True}
    )(received)

    @wraps(function)
    def checked_first(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        given = {name: _as_python(value) for name, value in kwargs.items()}
        try:
            args, kwargs = check(*map(_as_python, args), **given)  # type: ignore[assignment]
        except ValidationError as found:
            raise _argument_error(function, found, args, given, error) from None
        return function(*args, **kwargs)

    return checked_first


def validated_fields(dataclass: type[_T], error: type[OctisM3LError] = DataError) -> type[_T]:
    """Return a dataclass that checks its fields against their annotations."""
    dataclass.__init__ = validated(dataclass.__init__, error)  # type: ignore[method-assign]
    return dataclass


def problems(error: ValidationError, known: Collection[str], what: str = "setting") -> str:
    """Return in one line what is wrong with each field of a settings class."""
    by_field: dict[str, list[Any]] = {}
    for fault in error.errors():
        by_field.setdefault(str((*fault["loc"], "")[0]), []).append(fault)
    found = []
    for name, faults in by_field.items():
        if faults[0]["type"] in ("extra_forbidden", "no_such_attribute"):
            found.append(f"unknown {what} '{name}'.{suggest(name, known)}")
        elif faults[0]["type"] == "missing" and len(faults[0]["loc"]) == 1:
            found.append(f"{what} '{name}' is missing; give it.")
        else:
            place = f"{name}={faults[0]['input']!r}: " if name else ""
            found.append(f"{place}{_in_one_line(fault['msg'] for fault in faults)}.")
    return " ".join(found)


def reasons(error: ValidationError) -> str:
    """Return pydantic's reasons in one line."""
    return _in_one_line(one["msg"] for one in error.errors())


def _in_one_line(messages: Iterable[str]) -> str:
    found = [one.replace("Field required", "Input should have more") for one in messages]
    found = [_SUBJECT.sub("", one.removeprefix("Value error, ")) for one in dict.fromkeys(found)]
    subject = "it " if found[0].startswith(("should", "is ", "must")) else ""
    return subject + " or ".join(found)


def _argument_error(
    function: Callable[..., Any],
    found: ValidationError,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    error: type[OctisM3LError],
) -> OctisM3LError:
    who = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]
    parameters = [n for n in signature(function).parameters if n not in ("self", "cls")]
    faults = found.errors(include_url=False)
    for fault in faults:
        name = str(fault["loc"][-1])
        if fault["type"] == "unexpected_keyword_argument":
            return SettingsError(f"{who} has no argument '{name}'.{suggest(name, parameters)}")
        # An argument that is missing, given twice, or one of too many, which has no name.
        if "argument" in fault["type"]:
            which = f"'{name}'"
            if isinstance(fault["loc"][-1], int):
                which = f"{_shown(fault['input'])}; give it by name, or leave it out"
            return SettingsError(f"{who}: {fault['msg'].lower()} {which}.")
    names = list(signature(function).parameters)
    given = dict(zip(names, args, strict=False)) | kwargs
    places = []
    for fault in faults:
        first, *path = fault["loc"]
        name = names[first] if isinstance(first, int) else first
        places.append(_place(name, given[name], path))
    # Of the alternatives in a union, the one that goes deepest into the value is meant.
    deepest = max(places, key=lambda place: place[0])
    messages = [fault["msg"] for fault, at in zip(faults, places, strict=True) if at == deepest]
    return error(f"{who}: {deepest[1]}: {_in_one_line(messages)}.")


def _place(name: str, value: Any, path: Sequence[int | str]) -> tuple[int, str]:
    """Return how deep in an argument a fault is, and how to write the place and the value."""
    place, depth = name, 0
    for step in path:
        # Pydantic also names the alternatives of unions, which are no part of the value.
        if step == "[key]":
            head, _, key = place.rpartition("[")
            return depth, f"{head}, key={key.removesuffix(']')}"
        with suppress(LookupError, TypeError):
            place, value, depth = f"{place}[{step!r}]", value[step], depth + 1
    return depth, f"{place}={_shown(value)}"


def _shown(value: Any) -> str:
    return " ".join(repr(value).split())[:_SHOWN]


def _as_python(value: Any) -> Any:
    """Return numpy's scalars as Python's, also in pairs and triples such as sizes."""
    if type(value) in (tuple, list) and len(value) <= _SHORT:
        if any(isinstance(one, np.generic) for one in value):
            return type(value)(map(_as_python, value))
        return value
    is_scalar = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim)
    return value.item() if is_scalar else value


def _as_list(value: Any) -> Any:
    if isinstance(value, Iterable) and not isinstance(value, Mapping | str | bytes):
        with suppress(TypeError):
            return list(value)
    return value


def _as_array(value: Any) -> Any:
    if isinstance(value, np.ndarray) or not (
        hasattr(value, "dtype") or isinstance(value, list | tuple)
    ):
        return value
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"should be an array ({error})") from None


def _has_items(value: Any) -> Any:
    shape = getattr(value, "shape", None)
    if shape == () or isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        raise ValueError("should be a list, a tuple or an array")
    return value


if TYPE_CHECKING:
    Listed = Iterable[_T]
    Items = Sequence[_T]
    ArrayLike = NDArray[_Scalar]
else:
    # Any iterable except a text or a mapping, passed on as a list of which each item was checked.
    Listed = Annotated[list[_T], BeforeValidator(_as_list)]
    # A list, a tuple, an array or the like: only that it is one is checked, not its items.
    Items = Annotated[Sequence[_T], PlainValidator(_has_items)]
    # An array, or what numpy makes one from.
    ArrayLike = Annotated[NDArray[_Scalar], BeforeValidator(_as_array)]

Unchecked = Annotated[_T, SkipValidation]
# For tuples: lists are taken too.
Lenient = Annotated[_T, Strict(False)]
