"""Files written whole: under a temporary name first, then renamed."""

import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from octis_m3l.errors import OtherRunError, SettingsError, StorageError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed to it when the block ends well.

    Parameters
    ----------
    path : Path
        The file to write. An existing one is replaced only when the block succeeds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=path.suffix, dir=path.parent)
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
    """Give a temporary folder, renamed to `folder` when the block ends well.

    Parameters
    ----------
    folder : Path
        The folder to write.
    overwrite : bool
        Whether an existing folder that holds the file `marker` may be replaced.
    marker : str
        The file that tells a folder of ours from anybody else's; a folder without it is never
        replaced.

    Raises
    ------
    StorageError
        If `folder` exists, is not empty and may not be replaced.
    """
    folder = folder.resolve()
    check_can_write(folder, overwrite=overwrite, marker=marker)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if folder.exists():
            retired = temporary.with_name(f"{temporary.name}-old")
            folder.replace(retired)
            try:
                temporary.replace(folder)
            except BaseException:
                retired.replace(folder)
                raise
            shutil.rmtree(retired)
        else:
            temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_can_write(folder: Path, *, overwrite: bool, marker: str) -> None:
    """Refuse a folder that `folder_written_whole` would refuse, before hours of work for it.

    Parameters
    ----------
    folder, overwrite, marker
        As there.

    Raises
    ------
    StorageError
        If `folder` exists, is not empty and may not be replaced.
    """
    folder = folder.resolve()
    occupied = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if occupied and not (overwrite and (folder / marker).is_file()):
        remedy = (
            "pass overwrite=True (--overwrite) or choose another folder"
            if (folder / marker).is_file()
            else f"it holds no {marker}, so it is not replaced: choose another folder"
        )
        raise StorageError(f"{folder} exists already and is not empty; {remedy}.")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as indented UTF-8 JSON, whole.

    Parameters
    ----------
    path : Path
        The file to write.
    content : mapping
        JSON-serialisable; NaN is refused.
    """
    with written_whole(path) as temporary:
        temporary.write_text(
            json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n",
            encoding="utf-8",
        )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Parameters
    ----------
    path : Path
        The file to read.

    Raises
    ------
    StorageError
        If the file is missing, truncated or holds no JSON object.
    """
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
    return content


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep other processes from going on with a file or folder while the block runs.

    Parameters
    ----------
    path : Path
        What is written by one process at a time.

    Raises
    ------
    StorageError
        If another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StorageError(
            f"another process is at work on {path}; wait for it or stop it, then go on."
        ) from None
    try:
        yield
    finally:
        lock.release()


def read_yaml(path: Path) -> Any:
    """Read a YAML file of plain data; 1e-3 is a number, and a name that comes twice an error.

    Parameters
    ----------
    path : Path
        The file to read.

    Raises
    ------
    SettingsError
        If it can't be read, or is nested deeper or, with its aliases written out, longer than any
        file of settings.
    """
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


def file_sizes(folder: Path) -> dict[str, int]:
    """Return the size in bytes of every file below a folder, by relative POSIX path.

    Parameters
    ----------
    folder : Path
        The folder to list.
    """
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def check_file_sizes(folder: Path, sizes: Mapping[str, int]) -> None:
    """Check that a folder holds every file whole.

    Parameters
    ----------
    folder : Path
        The folder to check.
    sizes : mapping of str to int
        What `file_sizes` said when the folder was written.

    Raises
    ------
    StorageError
        Listing the files that are missing or of another size.
    """
    wrong = []
    for name, size in sizes.items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif path.stat().st_size != size:
            wrong.append(f"{name} has {path.stat().st_size} bytes instead of {size}")
    if wrong:
        shown = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise StorageError(
            f"{folder} is incomplete: {shown}. It was probably copied or downloaded only in "
            "part; copy it again."
        )


def check_same_run(path: Path, stored: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another run.

    Parameters
    ----------
    path : Path
        The checkpoint, for the message.
    stored : mapping
        What run it is of.
    run : mapping
        What run wants to go on from it.

    Raises
    ------
    OtherRunError
        If the two differ, with the names of what differs.
    """
    wanted = json.loads(json.dumps(dict(run)))
    differing = sorted(k for k in {*stored, *wanted} if stored.get(k) != wanted.get(k))
    if differing:
        raise OtherRunError(
            f"{path} belongs to another run: {', '.join(differing)} differ. Use the settings and "
            "data of that run, another checkpoint folder, or delete the file."
        )
