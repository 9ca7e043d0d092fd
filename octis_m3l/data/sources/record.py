"""What is written down of a fetched set: where each file is from, and its checksum."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from octis_m3l.data.sources.source import Source
from octis_m3l.errors import StorageError
from octis_m3l.files import read_json

FORMAT = "octis-m3l source"
RECORD = "source.json"
RAW = "raw"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def home_of(source: Source, folder: Path) -> Path:
    """Return the folder of one set.

    Parameters
    ----------
    source : Source
        The set.
    folder : Path
        The folder of all sets.
    """
    return folder / _UNSAFE.sub("-", source.name)


def read_record(home: Path) -> dict[str, Any] | None:
    """Return what was written down when a set was fetched; None if it wasn't, or not to its end.

    Parameters
    ----------
    home : Path
        The set's folder.

    Raises
    ------
    StorageError
        If the record can't be read or is of another program.
    """
    path = home / RECORD
    if not path.is_file():
        return None
    record = read_json(path)
    if record.get("format") != FORMAT or not isinstance(record.get("files"), Mapping):
        raise StorageError(
            f"{path} is no record of a fetched data set; move {home} away and fetch it again."
        )
    return record


def damaged_files(home: Path, record: Mapping[str, Any], *, thoroughly: bool) -> list[str]:
    """Return which raw files are missing or not as they were fetched.

    Parameters
    ----------
    home : Path
        The set's folder.
    record : mapping
        What `read_record` returned.
    thoroughly : bool
        Whether checksums are compared, and not sizes only.
    """
    return [
        name
        for name, known in record["files"].items()
        if not _is_as_known(home / RAW / name, known, thoroughly)
    ]


def checksum(path: Path) -> str:
    """Return a file's SHA-256, in hexadecimal.

    Parameters
    ----------
    path : Path
        The file.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_as_known(path: Path, known: Mapping[str, Any], thoroughly: bool) -> bool:
    if not path.is_file() or path.stat().st_size != known["size"]:
        return False
    return not thoroughly or checksum(path) == known["sha256"]
