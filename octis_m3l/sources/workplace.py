"""The folder of one set while it is being fetched: nothing complete is lost by a failure."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from octis_m3l.errors import StorageError
from octis_m3l.files import read_json, write_json
from octis_m3l.sources.record import RAW, RECORD, damaged_files

UNDER_WAY = "raw.part"
PLAN = "plan.json"
_OLD = "raw.old"


def begin(
    home: Path, record: Mapping[str, Any] | None, pins: Mapping[str, Any], *, again: bool
) -> tuple[Path, dict[str, Any]]:
    """Return the folder to fetch to, with what is there already, and what to keep to.

    Of a set that is there in all its files the raw files stay where they are; the folder to fetch
    to has them too, as hard links where the file system knows them.
    """
    work, raw = home / UNDER_WAY, home / RAW
    if work.is_symlink():
        work.unlink()
    fresh: dict[str, Any] = {"pins": dict(pins), "commits": {}, "checksums": {}}
    if again:
        (home / PLAN).unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)
        if record is None:
            shutil.rmtree(raw, ignore_errors=True)
        work.mkdir(parents=True)
        return work, fresh
    plan = _unfinished(home, pins)
    if record is None:
        if raw.is_dir():
            shutil.rmtree(work, ignore_errors=True)
            raw.rename(work)
        work.mkdir(parents=True, exist_ok=True)
        return work, fresh | (plan or {})
    known = {path: file["sha256"] for path, file in record["files"].items()}
    kept = fresh | {"commits": record["commits"], "checksums": known}
    damaged = damaged_files(home, record, thoroughly=True)
    if not damaged:
        if plan is None or not work.is_dir():
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(
                raw,
                work,
                ignore=shutil.ignore_patterns("*.part", "*.part.*"),
                copy_function=_linked,
            )
        return work, kept
    write_json(home / PLAN, kept)
    (home / RECORD).unlink()
    for name in damaged:
        (raw / name).unlink(missing_ok=True)
    shutil.rmtree(work, ignore_errors=True)
    if raw.is_dir():
        raw.rename(work)
    work.mkdir(parents=True, exist_ok=True)
    return work, kept


def finish(home: Path, record: Mapping[str, Any]) -> None:
    """Give the fetched files their name, and write the record."""
    raw, old = home / RAW, home / _OLD
    if raw.is_dir():
        raw.rename(old)
    (home / UNDER_WAY).rename(raw)
    write_json(home / RECORD, record)
    (home / PLAN).unlink(missing_ok=True)
    shutil.rmtree(old, ignore_errors=True)


def recover(home: Path, record: Mapping[str, Any] | None) -> None:
    """Undo what `finish` did if it was interrupted."""
    raw, old = home / RAW, home / _OLD
    if not old.is_dir():
        return
    if record is not None and not damaged_files(home, record, thoroughly=True):
        shutil.rmtree(old, ignore_errors=True)
        return
    if raw.is_dir():
        shutil.rmtree(home / UNDER_WAY, ignore_errors=True)
        raw.rename(home / UNDER_WAY)
    old.rename(raw)


def _unfinished(home: Path, pins: Mapping[str, Any]) -> dict[str, Any] | None:
    path = home / PLAN
    if not path.is_file():
        return None
    plan = read_json(path)
    if plan.get("pins") != dict(pins):
        raise StorageError(
            f"{home} has an unfinished fetch of other commits than the catalogue names now; fetch "
            "it again from the start with again=True (--again), or give another folder."
        )
    return plan


def _linked(origin: str, place: str) -> str:
    try:
        os.link(origin, place)
    except OSError:
        shutil.copy2(origin, place)
    return place
