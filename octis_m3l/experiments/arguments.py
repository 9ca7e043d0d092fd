"""NAME=VALUE arguments of the command line."""

import json
from collections.abc import Iterable
from typing import Any

from octis_m3l.errors import SettingsError


def pairs(given: Iterable[str] | None, option: str) -> dict[str, str]:
    """Return values by name."""
    found: dict[str, str] = {}
    for entry in given or ():
        name, sign, value = entry.partition("=")
        if not sign or not name or not value:
            raise SettingsError(f"{option} {entry}: expected NAME=VALUE.")
        if name in found:
            raise SettingsError(f"{option} {entry}: {name} is given twice.")
        found[name] = value
    return found


def settings(given: Iterable[str] | None, **own: Any) -> dict[str, Any]:
    """Return the values of ``--set`` by name, what JSON can read as JSON does, and others."""
    found: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    for name, text in pairs(given, "--set").items():
        if name in found:
            raise SettingsError(f"--set {name}={text}: {name} is given by its own option too.")
        found[name] = _value(text)
    return found


def settings_by_model(given: Iterable[str] | None, models: Iterable[str]) -> dict[str, Any]:
    """Return the values of ``--set`` by model and name, as `settings` reads them."""
    found: dict[str, dict[str, Any]] = {model: {} for model in models}
    for entry, value in settings(given).items():
        model, dot, name = entry.rpartition(".")
        if not dot or model not in found:
            known = ", ".join(found) or "none is given"
            raise SettingsError(
                f"--set {entry}: expected MODEL.NAME=VALUE, with a model that --model names "
                f"({known})."
            )
        found[model][name] = value
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
