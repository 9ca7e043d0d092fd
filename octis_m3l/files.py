"""Files and folders: written completely or not at all, locked while written, checked when read."""

import csv
import errno
import glob
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any
from uuid import uuid4

import numpy as np
import platformdirs
import yaml
from filelock import FileLock, Timeout
from pydantic import ValidationError
from safetensors import SafetensorError

from octis_m3l.errors import OctisM3LError, SettingsError, StorageError

_UNFINISHED = ".part"
_READ_WHOLE = (".json", ".jsonl", ".tsv", ".txt", ".safetensors")
_SMALL_ARRAY = 64 * 2**20
_CHECKSUM = "checksum"
_NO_SPACE = re.compile(r"no space left|os error 28|\d+ requested and \d+ written", re.IGNORECASE)
_MOST_ENTRIES = 100_000
_LIMIT = Lock()
_UNREADABLE = (SafetensorError, OSError, EOFError, RuntimeError, MemoryError)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Raise a StorageError that names `path` if the disk is full or refuses the write."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        number, reason = getattr(error, "errno", None), getattr(error, "strerror", None) or error
        remedy = "check the path and its permissions"
        if number in (errno.ENOSPC, errno.EDQUOT) or _NO_SPACE.search(str(error)):
            reason, remedy = "no space is left on the disk", "free some space"
        elif isinstance(error, FileNotFoundError):
            reason = error
        raise StorageError(
            f"{path} can't be written: {reason}; {remedy}, or choose another folder."
        ) from error


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed to it if the block ends without an error."""
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _unfinished(path)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(folder: Path, *, overwrite: bool, marker: str) -> Iterator[Path]:
    """Give a temporary folder, renamed to `folder` if the block ends without an error."""
    check_can_write(folder, overwrite=overwrite, marker=marker)
    folder = folder.resolve()
    with held(folder), write_errors(folder):
        temporary = _unfinished(folder)
        temporary.mkdir()
        try:
            yield temporary
            if folder.exists():
                replaced = _replaced(folder)
                folder.replace(replaced)
                try:
                    temporary.replace(folder)
                except BaseException:
                    replaced.replace(folder)
                    raise
                replaced.replace(temporary)
            else:
                temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _unfinished(path: Path) -> Path:
    """Return a new name for what becomes `path`; `remove_unfinished` finds it after a kill."""
    return path.with_name(f".{path.name}-{uuid4().hex[:8]}{_UNFINISHED}{path.suffix}")


def _replaced(folder: Path) -> Path:
    """Return where a folder is while another takes its name."""
    return folder.with_name(f".{folder.name}.replaced")


def remove_unfinished(folder: Path, name: str | None = None) -> None:
    """Delete what killed processes left unfinished; call it only while holding the lock."""
    pattern = "*" if name is None else glob.escape(name)
    for left in folder.glob(f".{pattern}-????????{_UNFINISHED}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def recover(folder: Path, marker: str) -> None:
    """Restore a folder that a killed `folder_written_whole` was replacing."""
    folder = folder.resolve()
    replaced = _replaced(folder)
    if not (replaced / marker).is_file():
        return
    with held(folder), write_errors(folder):
        if (folder / marker).is_file():
            shutil.rmtree(replaced.replace(_unfinished(folder)))
        elif not folder.exists() or not any(folder.iterdir()):
            replaced.replace(folder)


def check_can_write(folder: Path, *, overwrite: bool, marker: str) -> None:
    """Raise what `folder_written_whole` would raise, before hours of work."""
    given, folder = folder, folder.resolve()
    if Path.cwd().is_relative_to(folder):
        raise StorageError(
            f"'{given}' is the working folder, or above it, and would be replaced as a whole; name "
            "another folder, such as one in it."
        )
    if folder.is_mount():
        raise StorageError(
            f"{folder} is a mount point, which can't be replaced; name a folder in it."
        )
    check_can_create(folder)
    if folder.parent.is_dir():
        recover(folder, marker)
        with held(folder):
            pass
    occupied = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    ours = (folder / marker).is_file()
    if occupied and not (overwrite and ours):
        refusal = f"it holds no {marker}, so it is not replaced: choose another folder"
        remedy = "pass overwrite=True (--overwrite) or choose another folder" if ours else refusal
        raise StorageError(f"{folder} exists already and is not empty; {remedy}.")


def check_can_write_file(path: Path) -> None:
    """Raise what `written_whole` would raise, before hours of work."""
    if path.is_dir():
        raise StorageError(f"{path} is a folder, where a file was expected; name a file in it.")
    check_can_create(path)


def check_can_create(path: Path) -> None:
    """Raise StorageError if no file or folder can be made at this path."""
    path = path.absolute()
    above = next(folder for folder in path.parents if folder.exists())
    with write_errors(path), tempfile.TemporaryFile(dir=above):
        pass


@contextmanager
def held(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep other processes away from a file or folder, and delete what killed ones left of it.

    A thread that holds the lock may take it again.
    """
    path = path.resolve()
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"), is_singleton=True)
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            raise StorageError(
                f"another process is at work on {path}; wait for it or stop it, then go on."
            ) from None
    try:
        if lock.lock_counter == 1:
            remove_unfinished(path.parent, path.name)
        yield
    finally:
        if lock.lock_counter == 1:
            # Waiting processes notice that the file they opened is gone, and make it again.
            with suppress(OSError):
                Path(lock.lock_file).unlink()
        lock.release()


def as_json(value: Any, *, finite: bool = False) -> Any:
    """Return a value as JSON gives it back; with `finite`, None for numbers that are not."""
    text = json.dumps(value, default=_as_python)
    return json.loads(text, parse_constant=(lambda _: None) if finite else None)


def _as_python(value: Any) -> Any:
    """Return what JSON holds instead of a value of numpy, another mapping, or anything else."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else str(value)


def write_json(path: Path, content: Mapping[str, Any], *, checked: bool = False) -> None:
    """Write a mapping as indented UTF-8 JSON, with a checksum if `checked`."""
    if checked:
        content = {**content, _CHECKSUM: _checksum(content)}
    with written_whole(path) as temporary:
        temporary.write_text(
            json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n",
            encoding="utf-8",
        )


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; check its checksum if it has one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StorageError(f"{path} is missing: the folder is incomplete; copy it again.") from None
    except (ValueError, RecursionError) as error:
        raise StorageError(
            f"{path} is not readable JSON ({error}): it is truncated or of another program; "
            "copy or write it again."
        ) from None
    if not isinstance(content, dict):
        raise StorageError(
            f"{path} holds a JSON {type(content).__name__}, where an object was expected."
        )
    written = content.pop(_CHECKSUM, None)
    if written is not None and written != _checksum(content):
        raise StorageError(
            f"{path} is not what was written (its checksum differs): it is damaged or was changed "
            "by hand; copy or write it again."
        )
    return content


def read_document(path: Path, format_: str, version: int) -> dict[str, Any]:
    """Read a JSON object that names its format and version, if they are the expected ones."""
    content = read_json(path)
    if content.get("format") != format_:
        raise StorageError(
            f"{path} has the format {content.get('format')!r}, expected {format_!r}: it is of "
            "another kind or another program; give the file or folder that octis-m3l wrote."
        )
    if content.get("version") != version:
        raise StorageError(
            f"{path} has version {content.get('version')!r} of its format, and this octis-m3l "
            f"reads version {version}: it was written by another octis-m3l; upgrade this one: "
            "pip install --upgrade octis-m3l."
        )
    return content


@contextmanager
def damage_errors(path: Path, remedy: str = "copy it again") -> Iterator[None]:
    """Raise a StorageError that names `path` where its content is not as it was written."""
    try:
        yield
        return
    except OctisM3LError:
        raise
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except KeyError as error:
        reason = f"{error} is missing or unknown"
    except (*_UNREADABLE, LookupError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
    raise StorageError(f"{path} is damaged or incomplete ({reason}); {remedy}.") from None


@contextmanager
def cells_of_any_length() -> Iterator[None]:
    """Let csv read cells of any length, for one thread after the other: it has one limit."""
    with _LIMIT:
        before = csv.field_size_limit(2**31 - 1)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def read_yaml(path: Path) -> Any:
    """Read a YAML file of plain data: no code, no repeated names, no explosion of aliases."""
    try:
        with path.open(encoding="utf-8") as stream:
            loader = _YamlLoader(stream)
            root = loader.get_single_node()
            _check_yaml(path, root)
            return None if root is None else loader.construct_document(root)
    except SettingsError:
        raise
    # A date of month 13, or a number of thousands of digits, is a ValueError.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} can't be read as YAML ({error}).") from None


class _YamlLoader(yaml.SafeLoader):
    """Reads 1e-3 as a number; YAML 1.1 wants a dot and a sign, 1.0e-3."""


_YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _check_yaml(path: Path, root: yaml.Node | None) -> None:
    """Refuse repeated names, of which YAML keeps the last, and too many entries."""
    pending, entries = [root], 0
    while pending:
        node = pending.pop()
        entries += 1
        if entries > _MOST_ENTRIES:
            raise SettingsError(
                f"{path} has more than {_MOST_ENTRIES:,} entries with its aliases written out; no "
                "settings need that."
            )
        if isinstance(node, yaml.MappingNode):
            names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            for name, count in names.items():
                if count > 1:
                    line = node.start_mark.line + 1
                    raise SettingsError(f"{path}: '{name}' is there twice from line {line} on.")
            pending += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            pending += node.value


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def described_files(folder: Path) -> dict[str, Any]:
    """Return the sizes and hashes of all files in a folder, for `check_files`."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {
        "files": {name: path.stat().st_size for name, path in named.items()},
        "sha256": {name: sha256(path) for name, path in named.items()},
    }


def check_files(
    folder: Path, manifest: Mapping[str, Any], *, hashes: bool = True, thoroughly: bool = False
) -> int:
    """Check the sizes and hashes of a folder's files; return how many hashes were compared."""
    sizes, known = manifest.get("files"), manifest.get("sha256", {})
    if not isinstance(sizes, Mapping) or not isinstance(known, Mapping):
        raise StorageError(f"{folder} is damaged: its manifest does not list its files.")
    outside = [n for n in sizes if PurePosixPath(n).is_absolute() or ".." in PurePosixPath(n).parts]
    if outside:
        raise StorageError(
            f"{folder} is damaged: its manifest lists {outside[0]!r}, which is not in the folder."
        )
    wrong, damaged, compared = [], [], 0
    for name, size in sizes.items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif path.stat().st_size != size:
            wrong.append(f"{name} has {path.stat().st_size} bytes instead of {size}")
        elif hashes and name in known and (thoroughly or _is_read_whole(path)):
            compared += 1
            if sha256(path) != known[name]:
                damaged.append(f"{name} is not what was written (its SHA-256 differs)")
    if wrong:
        raise StorageError(
            f"{folder} is incomplete: {_listed(wrong)}. It was probably copied or downloaded only "
            "in part; copy it again."
        )
    if damaged:
        raise StorageError(
            f"{folder} is damaged: {_listed(damaged)}. Copy it again, or make it anew."
        )
    return compared


def _is_read_whole(path: Path) -> bool:
    is_small_array = path.suffix == ".npy" and path.stat().st_size <= _SMALL_ARRAY
    return path.suffix in _READ_WHOLE or is_small_array


def _listed(faults: list[str]) -> str:
    return "; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if len(faults) > 5 else "")


def cache_folder() -> Path:
    """Return the folder for all that can be made again: ``OCTIS_M3L_CACHE``, or the user's own."""
    given = os.environ.get("OCTIS_M3L_CACHE")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("octis-m3l"))
