"""What is written down of a fetched set: where each file is from, and its checksum."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from octis_m3l.errors import StorageError
from octis_m3l.files import read_json, sha256
from octis_m3l.sources.source import Source

FORMAT = "octis-m3l source"
RECORD = "source.json"
RAW = "raw"
_KEYS = {
    "name": str,
    "homepage": str,
    "licence": str,
    "citation": str,
    "date": str,
    "commits": Mapping,
    "files": Mapping,
    "left_out": list,
}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def home_of(source: Source, folder: Path) -> Path:
    """Return the folder of one set: no two sets have the same."""
    safe = _UNSAFE.sub("-", source.name)
    if safe == source.name:
        return folder / safe
    return folder / f"{safe}-{hashlib.sha256(source.name.encode()).hexdigest()[:8]}"


def read_record(home: Path, name: str) -> dict[str, Any] | None:
    """Return what was written down when a set was fetched; None if it wasn't, or not to its end."""
    path = home / RECORD
    if not path.is_file():
        return None
    try:
        record = read_json(path)
    except (StorageError, OSError):
        record = {}
    whole = record.get("format") == FORMAT and all(
        isinstance(record.get(key), kind) for key, kind in _KEYS.items()
    )
    if not whole or not all(_is_description(file) for file in record["files"].values()):
        raise StorageError(
            f"{path} is damaged, or no record of a fetched data set. Delete it and fetch the set: "
            "the files that are there are used."
        )
    if record["name"] != name:
        raise StorageError(
            f"{home} holds the data set {record['name']}, where {name} was expected; give another "
            "folder, or move it away."
        )
    return record


def _is_description(file: Any) -> bool:
    return (
        isinstance(file, Mapping)
        and isinstance(file.get("sha256"), str)
        and isinstance(file.get("size"), int)
    )


def damaged_files(home: Path, record: Mapping[str, Any], *, thoroughly: bool) -> list[str]:
    """Return which raw files are missing or not as they were fetched."""
    return [
        name
        for name, known in record["files"].items()
        if not _is_as_known(home / RAW / name, known, thoroughly)
    ]


def _is_as_known(path: Path, known: Mapping[str, Any], thoroughly: bool) -> bool:
    if not path.is_file() or path.stat().st_size != known["size"]:
        return False
    return not thoroughly or sha256(path) == known["sha256"]
