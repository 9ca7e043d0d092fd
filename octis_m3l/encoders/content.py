"""What an item is, in sixteen bytes: the key under which its vector is kept."""

import hashlib
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from octis_m3l.data.pictures import open_picture
from octis_m3l.errors import DataError

KEY_BYTES = 16
# A file that changed this lately may change again within the clock's resolution.
_SETTLED_SECONDS = 2.0


def content_keys(items: Sequence[Any], known_files: Path | None = None) -> list[bytes]:
    """Return a key for each item; equal content, equal key."""
    keys: list[bytes] = [b""] * len(items)
    files: list[int] = []
    for row, item in enumerate(items):
        if isinstance(item, str):
            keys[row] = _digest(b"text", item.encode(errors="surrogatepass"))
        elif isinstance(item, Path):
            files.append(row)
        elif isinstance(item, np.ndarray):
            described = f"array {item.dtype} {item.shape} ".encode()
            keys[row] = _digest(described, np.ascontiguousarray(item).tobytes())
        elif isinstance(item, Image.Image):
            # As encoders see it: palette, orientation and transparency decide too.
            seen = open_picture(item, row)
            keys[row] = _digest(f"picture {seen.size} ".encode(), seen.tobytes())
        else:
            raise DataError(
                f"item {row} is of type {type(item).__name__}: expected a text, a path, an array "
                "or a PIL image."
            )
    if files:
        hashed = _file_keys([items[row] for row in files], known_files)
        for row, key in zip(files, hashed, strict=True):
            keys[row] = key
    return keys


def _digest(kind: bytes, content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=KEY_BYTES, key=kind[:64]).digest()


def _file_keys(paths: Sequence[Path], known_files: Path | None) -> list[bytes]:
    names = [str(path.absolute()) for path in paths]
    known = {} if known_files is None else _read_known(known_files, names)
    keys, found = [], []
    for name, path in zip(names, paths, strict=True):
        try:
            state = path.stat()
            stamp = f"{state.st_dev} {state.st_ino} {state.st_size} {state.st_mtime_ns}"
            stamp += f" {state.st_ctime_ns}"
            remembered = known.get(name)
            if remembered is not None and remembered[0] == stamp:
                keys.append(remembered[1])
                continue
            key = _digest(b"file", path.read_bytes())
        except OSError as error:
            raise DataError(f"{path} can't be read ({error}); mend or leave it out.") from None
        keys.append(key)
        if time.time() - max(state.st_mtime, state.st_ctime) > _SETTLED_SECONDS:
            found.append((name, stamp, key))
    if known_files is not None and found:
        _remember(known_files, found)
    return keys


_TABLE = "create table if not exists stamped (path text primary key, stamp text, key blob)"
_AT_ONCE = 500


def _read_known(path: Path, names: Sequence[str]) -> dict[str, tuple[str, bytes]]:
    if not path.is_file():
        return {}
    found: dict[str, tuple[str, bytes]] = {}
    try:
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            connection.execute(_TABLE)
            for start in range(0, len(names), _AT_ONCE):
                some = names[start : start + _AT_ONCE]
                wanted = ",".join("?" * len(some))
                rows = connection.execute(
                    f"select path, stamp, key from stamped where path in ({wanted})", some
                )
                found |= {name: (stamp, key) for name, stamp, key in rows}
    except sqlite3.OperationalError:
        # Locked, or not to be written to: it only saves time.
        return found
    except sqlite3.DatabaseError:
        path.unlink(missing_ok=True)
        return {}
    return found


def _remember(path: Path, found: Sequence[tuple[str, str, bytes]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=60)) as connection, connection:
            connection.execute(_TABLE)
            connection.executemany("insert or replace into stamped values (?, ?, ?)", found)
    except (sqlite3.DatabaseError, OSError):
        # It only saves time.
        return
