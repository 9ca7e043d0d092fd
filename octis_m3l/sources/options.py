"""What a user may choose of a public data set, and whether a choice is of the right kind."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from octis_m3l.errors import SettingsError, suggest
from octis_m3l.sources.source import Source
from octis_m3l.validation import checked

PROGRESS = "progress"


def fetching_options(source: Source) -> dict[str, Any]:
    """Return what a user can choose when a set is fetched, with the defaults."""
    if source.collect is None:
        return {}
    # Whether a bar is shown is said to fetch itself.
    return {name: value for name, value in _defaults(source.collect).items() if name != PROGRESS}


def takes_progress(source: Source) -> bool:
    """Return whether a set's own way of fetching can show a bar."""
    return source.collect is not None and PROGRESS in _defaults(source.collect)


def building_options(source: Source) -> dict[str, Any]:
    """Return what a set's own builder lets choose, with the defaults."""
    return _defaults(source.build)


def check_fetching(source: Source, options: Mapping[str, Any]) -> None:
    """Let choices pass that a set knows in fetching, if they are of the right kind."""
    known = fetching_options(source)
    for name in options:
        if name not in known:
            raise SettingsError(
                f"'{name}' is no choice in fetching {source.name}.{suggest(name, known)}"
            )
    if source.collect is not None:
        _check_kinds(source.name, _kinds(source.collect), options)


def check_building(source: Source, options: Mapping[str, Any]) -> None:
    """Let choices pass that a set knows in building, if they are of the right kind."""
    kinds = {"views": Sequence[str] | None} | _kinds(source.build)
    for name in options:
        if name not in kinds:
            raise SettingsError(f"{source.name} has no option '{name}'.{suggest(name, kinds)}")
    _check_kinds(source.name, kinds, options)


def _check_kinds(name: str, kinds: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    for option, value in options.items():
        checked(f"{name}: {option}", TypeAdapter(kinds[option]), value)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    every = inspect.signature(function).parameters.values()
    return [parameter for parameter in every if parameter.kind is parameter.KEYWORD_ONLY]


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    return {parameter.name: parameter.default for parameter in _parameters(function)}


def _kinds(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotation of each choice; where there is none, what its default is."""
    return {
        one.name: (Any if one.default is None else type(one.default))
        if one.annotation is one.empty or isinstance(one.annotation, str)
        else one.annotation
        for one in _parameters(function)
    }
