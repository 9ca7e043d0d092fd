"""Records from JSON lines."""

import io
import json
from pathlib import Path
from typing import Any

from octis_m3l.data.records.decoding import read_text
from octis_m3l.errors import DataError


def read_objects(path: Path, encoding: str | None = None) -> list[dict[str, Any]]:
    """Return the JSON objects of a file; empty lines are passed over.

    Whole numbers are kept as text, digit by digit: as labels they may be longer than a float.
    """
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(io.StringIO(read_text(path, encoding), newline=""), 1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line, parse_int=str))
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}, line {number}: {error}; the file is truncated or holds no JSON lines."
            ) from None
        except RecursionError:
            raise DataError(
                f"{path}, line {number}: its fields are nested too deeply; flatten them."
            ) from None
        if not isinstance(rows[-1], dict):
            raise DataError(
                f"{path}, line {number}: a JSON {type(rows[-1]).__name__}, where an object was "
                "expected."
            )
    return rows
