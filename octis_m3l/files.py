"""Files and folders: written whole or not at all, locked while written, and checked when read."""

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
from typing import Any

import numpy as np
import platformdirs
import yaml
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from octis_m3l.errors import OctisM3LError, OtherRunError, SettingsError, StorageError

_UNFINISHED = ".part"
_READ_WHOLE = (".json", ".jsonl", ".tsv", ".txt", ".safetensors")
_SMALL_ARRAY = 64 * 2**20
_LARGEST_JSON = 2**30
_CHECKSUM = "checksum"
_NO_SPACE = re.compile(r"no space left|os error 28|\d+ requested and \d+ written", re.IGNORECASE)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Raise a StorageError that names `path` where the disk is full or refuses to be written."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT) or _NO_SPACE.search(str(error)):
            reason = "no space is left on the disk; free some space, or choose another folder"
        else:
            is_missing = isinstance(error, FileNotFoundError)
            said = None if is_missing else getattr(error, "strerror", None)
            reason = (
                f"{said or error}; check the path and its permissions, or choose another folder"
            )
        raise StorageError(f"{path} can't be written: {reason}.") from error


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed to it when the block ends well."""
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}-", suffix=f"{_UNFINISHED}{path.suffix}", dir=path.parent
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(folder: Path, *, overwrite: bool, marker: str) -> Iterator[Path]:
    """Give a temporary folder, renamed to `folder` when the block ends well."""
    check_can_write(folder, overwrite=overwrite, marker=marker)
    folder = folder.resolve()
    with held(folder), write_errors(folder):
        temporary = Path(
            tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=_UNFINISHED, dir=folder.parent)
        )
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
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


def check_can_write(folder: Path, *, overwrite: bool, marker: str) -> None:
    """Refuse a folder that `folder_written_whole` would refuse, before hours of work for it."""
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
    if occupied and not (overwrite and (folder / marker).is_file()):
        remedy = (
            "pass overwrite=True (--overwrite) or choose another folder"
            if (folder / marker).is_file()
            else f"it holds no {marker}, so it is not replaced: choose another folder"
        )
        raise StorageError(f"{folder} exists already and is not empty; {remedy}.")


def check_can_create(path: Path) -> None:
    """Refuse a path at which nothing can be written, before hours of work for it."""
    path = path.absolute()
    above = next(folder for folder in path.parents if folder.exists())
    with write_errors(path), tempfile.TemporaryFile(dir=above):
        pass


def check_can_write_file(path: Path) -> None:
    """Refuse a file that `written_whole` could not write, before hours of work for it."""
    if path.is_dir():
        raise StorageError(f"{path} is a folder, where a file was expected; name a file in it.")
    check_can_create(path)


def recover(folder: Path, marker: str) -> None:
    """Put back a folder that `folder_written_whole` was killed in the middle of replacing."""
    folder = folder.resolve()
    replaced = _replaced(folder)
    if not (replaced / marker).is_file():
        return
    with held(folder), write_errors(folder):
        if (folder / marker).is_file():
            unfinished = folder.with_name(f".{folder.name}-replaced{_UNFINISHED}")
            shutil.rmtree(replaced.replace(unfinished))
        elif not folder.exists() or not any(folder.iterdir()):
            replaced.replace(folder)


def _replaced(folder: Path) -> Path:
    """Return where a folder is while another takes its name."""
    return folder.with_name(f".{folder.name}.replaced")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, content: Mapping[str, Any], *, checked: bool = False) -> None:
    """Write a mapping as indented UTF-8 JSON, whole."""
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
    """Read a JSON object, without the checksum that `write_json` may have added."""
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise ValueError(f"it has more than {_LARGEST_JSON:,} bytes")
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


@contextmanager
def held(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep other processes from going on with a file or folder while the block runs.

    What killed processes left of it, half written, is deleted. A thread that holds it may hold it
    again.
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


def remove_unfinished(folder: Path, name: str | None = None) -> None:
    """Delete what killed processes left half written; only for who holds the lock on it."""
    pattern = "*" if name is None else glob.escape(name)
    for left in folder.glob(f".{pattern}-????????{_UNFINISHED}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def read_yaml(path: Path) -> Any:
    """Read a YAML file of plain data; 1e-3 is a number, and a name that comes twice an error."""
    try:
        with path.open(encoding="utf-8") as content:
            # Plain data alone, as of yaml.safe_load.
            return yaml.load(content, Loader=_PlainLoader)
    except SettingsError:
        raise
    # A date of month 13, or a number of thousands of digits, is a ValueError.
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} can't be read as YAML ({error}).") from None


class _PlainLoader(yaml.SafeLoader):
    """Refuses two entries of one name, of which YAML keeps the last, and files that explode."""

    _DEEPEST, _LONGEST = 50, 100_000

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._depth = self._length = 0
        self._lengths: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Count the entries, those of aliases again wherever they stand."""
        alias, before = self.check_event(yaml.AliasEvent), self._length
        self._depth += 1
        self._length += 1
        self._check_size()
        node = super().compose_node(parent, index)
        self._depth -= 1
        if alias:
            # One that stands within what it stands for has no length yet.
            self._length += self._lengths.get(id(node), self._LONGEST)
            self._check_size()
        else:
            self._lengths[id(node)] = self._length - before
        return node

    def _check_size(self) -> None:
        if self._depth > self._DEEPEST or self._length > self._LONGEST:
            raise SettingsError(
                f"{self.name} is nested more than {self._DEEPEST} deep, or has more than "
                f"{self._LONGEST:,} entries with its aliases written out; no settings need that."
            )

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            mark = node.start_mark
            raise SettingsError(f"{mark.name}: '{twice[0]}' is there twice after line {mark.line}.")
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


# YAML 1.1 wants a dot and a sign, 1.0e-3; elsewhere 1e-3 is a number.
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def described_files(folder: Path) -> dict[str, Any]:
    """Return what a manifest says of all files in a folder, for `check_files`."""
    names = [
        path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()
    ]
    return {
        "files": {name: (folder / name).stat().st_size for name in names},
        "sha256": {name: sha256(folder / name) for name in names},
    }


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_files(
    folder: Path, manifest: Mapping[str, Any], *, hashes: bool = True, thoroughly: bool = False
) -> int:
    """Check that a folder holds every file as it was written."""
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


def write_checkpoint_file(
    path: Path, arrays: Mapping[str, NDArray[Any]], state: Mapping[str, Any]
) -> None:
    """Write arrays and the state that they belong to into one file, with a hash of both."""
    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    about = json.dumps(state)
    with written_whole(path) as temporary:
        save_file(whole, temporary, {"state": about, "sha256": _hash_of_arrays(whole, about)})


def read_checkpoint_file(
    path: Path, run: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
    """Return the state and arrays that `write_checkpoint_file` wrote; None without a file."""
    remove_unfinished(path.parent)
    if not path.exists():
        return None
    with checkpoint_errors(path):
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state: dict[str, Any] = json.loads(metadata["state"])
        # Checkpoints of earlier versions have no hash.
        if metadata.get("sha256", found := _hash_of_arrays(arrays, metadata["state"])) != found:
            raise ValueError("its contents are not what was written")
        check_same_run(path, dict(state["run"]), run)
    return state, arrays


@contextmanager
def checkpoint_errors(path: Path) -> Iterator[None]:
    """Raise a StorageError where what a checkpoint holds can't be gone on from."""
    try:
        yield
    except OctisM3LError:
        raise
    except (
        SafetensorError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        OSError,
        RuntimeError,
    ) as error:
        raise StorageError(
            f"{path} is no whole checkpoint ({str(error).partition(chr(10))[0]}); delete it to "
            "start from the beginning."
        ) from None


def _hash_of_arrays(arrays: Mapping[str, NDArray[Any]], about: str) -> str:
    digest = hashlib.sha256(about.encode())
    for name in sorted(arrays):
        digest.update(f"\n{name} {arrays[name].dtype} {arrays[name].shape}\n".encode())
        digest.update(arrays[name].reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def check_same_run(path: Path, stored: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another run."""
    wanted = json.loads(json.dumps(dict(run)))
    differing = sorted(k for k in {*stored, *wanted} if stored.get(k) != wanted.get(k))
    if differing:
        raise OtherRunError(
            f"{path} belongs to another run: {', '.join(differing)} differ. Use the settings and "
            "data of that run, another checkpoint folder, or delete the file."
        )


def cache_folder() -> Path:
    """Return the folder of all that can be made again: ``OCTIS_M3L_CACHE``, or the user's own."""
    given = os.environ.get("OCTIS_M3L_CACHE")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("octis-m3l"))
