"""Names and settings of encoders as they stand in strings."""

import re
from types import NoneType
from typing import Any, get_args
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError

from octis_m3l.errors import SettingsError
from octis_m3l.validation import reasons

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


def file_name(text: str) -> str:
    """Return a text as a name of at most 100 letters, digits, '.', '_' and '-'."""
    return _UNFIT.sub("-", text).lstrip(".-")[:100] or "encoder"


def quoted(text: str, special: str) -> str:
    """Return a text with '%' and one more character written as in an address."""
    return text.replace("%", "%25").replace(special, f"%{ord(special):02X}")


def written(value: Any) -> str:
    """Return a setting as it stands after '?'."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int):
        text = quoted(str(value), "&")
        return "%6Eone" if text == "none" else text
    return ",".join([*value, ""] if len(value) == 1 else value)


def read(key: str, hint: Any, text: str) -> Any:
    """Return a setting from what stands after '?'."""
    if text == "none" and NoneType in get_args(hint):
        return None
    text = unquote(text)
    if key == "device" and "," in text:
        return [one for one in text.split(",") if one]
    try:
        return TypeAdapter(hint).validate_strings(text)
    except ValidationError as error:
        raise SettingsError(f"{key}={text}: {reasons(error)}.") from None
