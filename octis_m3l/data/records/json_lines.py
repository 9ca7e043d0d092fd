"""Records from JSON lines."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from octis_m3l.errors import DataError


def read_objects(path: Path) -> list[dict[str, Any]]:
    """Return the JSON objects of a file, one a line; empty lines are passed over.

    Parameters
    ----------
    path : Path
        The file, gzipped if its name ends in ``.gz``.

    Raises
    ------
    DataError
        If the file is missing or truncated, or a line is no JSON object.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    rows: list[dict[str, Any]] = []
    number = 0
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    rows.append(json.loads(line))
                    if not isinstance(rows[-1], dict):
                        raise DataError(
                            f"{path}, line {number}: a JSON {type(rows[-1]).__name__}, where an "
                            "object was expected."
                        )
    except FileNotFoundError:
        raise DataError(f"{path} is missing; give the path of a JSON lines file.") from None
    except (
        json.JSONDecodeError,
        UnicodeDecodeError,
        EOFError,
        gzip.BadGzipFile,
        zlib.error,
    ) as error:
        where = "line" if isinstance(error, json.JSONDecodeError) else "after line"
        raise DataError(
            f"{path}, {where} {number}: {error}; the file is truncated or holds no JSON lines."
        ) from None
    return rows
