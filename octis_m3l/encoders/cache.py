"""Vectors kept on disk, so that each item is encoded once, whatever data set it is in."""

import hashlib
import re
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from PIL import Image
from tqdm.auto import tqdm

from octis_m3l.data.item_checks import as_items
from octis_m3l.data.pictures import open_picture
from octis_m3l.encoders.base import Encoder, as_read, file_name, fingerprint_hash, progress_shown
from octis_m3l.encoders.pretrained import PretrainedEncoder
from octis_m3l.errors import DataError, SettingsError, StorageError

_FLOAT = np.dtype("<f4")
_AT_ONCE = 1024
# A file that changed this recently may change again within the resolution of its time.
_SETTLED_SECONDS = 2.0
_TABLES = """
pragma temp_store = memory;
create table if not exists vectors (
    encoder text, key blob, dimensions integer, row integer, checksum integer,
    primary key (encoder, key)
) without rowid;
create table if not exists files (path text primary key, state text, key blob);
"""


class EmbeddingCache:
    """Vectors of items, by encoder and by the content of the items.

    `index.sqlite3` knows which row of an encoder's file of vectors belongs to which content, with a
    checksum. Vectors are appended to the file some at a time and then entered into the index, so
    that what was finished when a process is killed counts. One process at a time encodes with an
    encoder; others wait for it, and then find its vectors.

    Parameters
    ----------
    folder : str or Path
        Created when needed. Data sets, encoders and processes may share it.
    items_at_once : int
        The number of items that are encoded and stored together: the most that is lost when the
        process is killed. On a GPU, 8 times as many; on several devices, 32 times as many for each.
    """

    def __init__(self, folder: str | Path, *, items_at_once: int = _AT_ONCE) -> None:
        if isinstance(items_at_once, bool) or items_at_once < 1:
            raise SettingsError(f"items_at_once={items_at_once}: expected 1 or more.")
        self.folder = Path(folder).expanduser()
        self.items_at_once = int(items_at_once)

    def encode(
        self, encoder: Encoder, items: Sequence[Any], *, progress: bool = False
    ) -> NDArray[np.float32]:
        """Return the vectors of some items; those that are not stored yet are encoded and stored.

        Parameters
        ----------
        encoder : Encoder
            Its `fingerprint()` must change whenever its vectors would.
        items : sequence
            Texts or pictures.
        progress : bool
            Whether to show a progress bar with the remaining time.

        Returns
        -------
        array of float32 (items × dimensions)
            Memory-mapped if the items are stored in the order in which they are given.
        """
        items = as_read(encoder, as_items(items, "items to encode"))
        keys = self._keys(items)
        vectors, rows = self._find(encoder, keys)
        if (rows < 0).any():
            with self._locked(encoder, progress):
                # Another process may have encoded some of them in the meantime.
                missing = _missing(keys, self._find(encoder, keys)[1])
                self._add(encoder, items, missing, progress)
            vectors, rows = self._find(encoder, keys)
            if (rows < 0).any():
                raise StorageError(
                    f"{self._file(encoder)}: {int((rows < 0).sum())} vectors are not as they were "
                    "written; is the disk damaged? Delete the file, or use another cache."
                )
        if not keys:
            return np.zeros((0, encoder.dimensions), np.float32)
        first, last = int(rows[0]), int(rows[-1])
        if np.array_equal(rows, np.arange(first, last + 1)):
            return vectors[first : last + 1]
        return np.asarray(vectors[rows])

    def missing(self, encoder: Encoder, items: Sequence[Any]) -> int:
        """Return the number of different items that `encode` would have to encode."""
        keys = self._keys(as_read(encoder, items))
        return len(_missing(keys, self._find(encoder, keys)[1]))

    def _keys(self, items: Sequence[Any]) -> list[bytes]:
        """Return a key of the content of each item; of a path, of the file's content."""
        paths = list(dict.fromkeys(item for item in items if isinstance(item, Path)))
        of_files: dict[Any, bytes] = {}
        if paths:
            with self._index() as index:
                of_files = _keys_of_files(index, paths)
        return [
            of_files[item] if isinstance(item, Path) else content_key(item, row)
            for row, item in enumerate(items)
        ]

    def _find(
        self, encoder: Encoder, keys: Sequence[bytes]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return an encoder's vectors, and the row of each item: -1 if missing or damaged."""
        path, fingerprint = self._file(encoder), fingerprint_hash(encoder)
        with self._index() as index:
            query = "select dimensions from vectors where encoder = ? limit 1"
            (dimensions,) = index.execute(query, [fingerprint]).fetchone() or (0,)
            size = path.stat().st_size if dimensions and path.exists() else 0
            count = size // max(1, dimensions * _FLOAT.itemsize)
            if not count:
                return np.zeros((0, 0), np.float32), np.full(len(keys), -1, np.int64)
            if isinstance(encoder, PretrainedEncoder):
                encoder.recall_dimensions(dimensions)
            if dimensions != encoder.dimensions:
                raise StorageError(
                    f"{path} holds vectors of {dimensions} dimensions, expected "
                    f"{encoder.dimensions}; change the encoder's fingerprint, or use another cache."
                )
            vectors = np.memmap(path, _FLOAT, "r", shape=(count, dimensions))
            query = "select key, row, checksum from vectors where encoder = ? and row < ?"
            wanted, found = set(keys), {}
            # Reading all entries is faster than looking up many of them.
            if len(wanted) <= count // 4:
                query += f" and key in {_table(index, wanted)}"
            cursor = index.execute(query, [fingerprint, count])
            while part := cursor.fetchmany(_AT_ONCE):
                entries = [entry for entry in part if entry[0] in wanted]
                sums = _checksums(vectors[[row for _, row, _ in entries]])
                for (key, row, written), read in zip(entries, sums, strict=True):
                    if written == read:
                        found[key] = row
        return vectors, np.array([found.get(key, -1) for key in keys], np.int64)

    def _add(
        self, encoder: Encoder, items: Sequence[Any], missing: dict[bytes, int], progress: bool
    ) -> None:
        """Encode the missing items, and store their vectors."""
        together = getattr(encoder, "kept_at_once", None) or self.items_at_once * _speed(encoder)
        new = list(missing.items())
        # If all items go to the encoder at once, its own bar, if it has one, is the one that moves.
        own_bar = self.items_at_once < together >= len(new) and hasattr(encoder, "progress")
        hidden = own_bar or not progress
        bar = tqdm(total=len(new), disable=hidden, desc=encoder.name, unit="item")
        with bar, progress_shown(encoder, own_bar) if progress else nullcontext():
            for start in range(0, len(new), together):
                keys, rows = zip(*new[start : start + together], strict=True)
                self._append(encoder, keys, _encoded(encoder, items, rows))
                bar.update(len(keys))

    def _append(
        self, encoder: Encoder, keys: Sequence[bytes], vectors: NDArray[np.float32]
    ) -> None:
        """Write vectors behind those in the encoder's file, and enter them into the index."""
        dimensions, fingerprint = vectors.shape[1], fingerprint_hash(encoder)
        with self._index() as index:
            with self._file(encoder).open("ab") as file:
                # A row that a killed process wrote in part is cut off.
                first = file.tell() // (dimensions * _FLOAT.itemsize)
                file.truncate(first * dimensions * _FLOAT.itemsize)
                file.write(vectors.astype(_FLOAT, copy=False).tobytes())
            entries = enumerate(zip(keys, _checksums(vectors), strict=True), first)
            index.executemany(
                "insert or replace into vectors values (?, ?, ?, ?, ?)",
                [(fingerprint, key, dimensions, row, checksum) for row, (key, checksum) in entries],
            )

    def _file(self, encoder: Encoder) -> Path:
        return self.folder / f"{file_name(encoder.name)}-{fingerprint_hash(encoder)[:16]}.f32"

    @contextmanager
    def _index(self) -> Iterator[sqlite3.Connection]:
        """Open the index; what is written is kept if the block ends well."""
        path = self.folder / "index.sqlite3"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(path, timeout=60)) as index, index:
                index.executescript(_TABLES)
                yield index
        except (OSError, sqlite3.Error) as error:
            raise StorageError(
                f"the cache {self.folder} can't be used ({error}). If the disk is full, free some "
                "space and run it again: what is stored counts. If the index is damaged, delete "
                f"{path}. Or use another cache (OCTIS_M3L_CACHE=FOLDER)."
            ) from None

    def _locked(self, encoder: Encoder, progress: bool) -> AbstractContextManager[Any]:
        """Keep other processes from encoding with the same encoder."""
        lock = FileLock(self._file(encoder).with_suffix(".lock"))
        with suppress(Timeout):
            return lock.acquire(timeout=0)
        if progress:
            tqdm.write(f"another process is encoding into {self.folder}; waiting for it")
        return lock.acquire()


def _table(index: sqlite3.Connection, keys: Iterable[Any]) -> str:
    """Make a temporary table of some keys, and return its name."""
    index.execute("create temp table wanted (key primary key) without rowid")
    index.executemany("insert into wanted values (?)", ([key] for key in keys))
    # In an open transaction, whatever is read next would keep other processes from writing.
    index.commit()
    return "wanted"


def content_key(item: Any, row: int) -> bytes:
    """Return sixteen bytes that are equal for equal content of a text or a picture in memory."""
    if isinstance(item, str):
        return _digest(b"text", item.encode(errors="surrogatepass"))
    if isinstance(item, np.ndarray):
        kind = f"array {item.dtype} {item.shape} "
        return _digest(kind.encode(), np.ascontiguousarray(item).tobytes())
    if isinstance(item, Image.Image):
        # As encoders read it: palette, orientation and transparency have an effect too.
        opened = open_picture(item, row)
        return _digest(f"picture {opened.size} ".encode(), opened.tobytes())
    raise DataError(
        f"item {row} is of type {type(item).__name__}: expected a text, a path, an array or a PIL "
        "image."
    )


def _digest(kind: bytes, content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16, key=kind[:64]).digest()


def _keys_of_files(index: sqlite3.Connection, paths: Sequence[Path]) -> dict[Path, bytes]:
    """Return a key of each file's content; unchanged files are not read again."""
    names = [str(path.absolute()) for path in paths]
    query = f"select path, state, key from files where path in {_table(index, set(names))}"
    known = {(name, state): key for name, state, key in index.execute(query)}
    keys, read = {}, []
    for name, path in zip(names, paths, strict=True):
        try:
            now = path.stat()
            state = f"{now.st_dev} {now.st_ino} {now.st_size} {now.st_mtime_ns} {now.st_ctime_ns}"
            keys[path] = known.get((name, state)) or _digest(b"file", path.read_bytes())
        except OSError as error:
            raise DataError(f"{path} can't be read ({error}); mend or leave it out.") from None
        is_settled = time.time() - max(now.st_mtime, now.st_ctime) > _SETTLED_SECONDS
        if is_settled and (name, state) not in known:
            read.append((name, state, keys[path]))
    # It only saves time, so a cache that can't be written to is no error.
    with suppress(sqlite3.OperationalError):
        index.executemany("insert or replace into files values (?, ?, ?)", read)
    return keys


def _missing(keys: Sequence[bytes], rows: NDArray[np.int64]) -> dict[bytes, int]:
    """Return the items without a row by their keys, the first of those with equal content."""
    first: dict[bytes, int] = {}
    for item in np.flatnonzero(rows < 0).tolist():
        first.setdefault(keys[item], item)
    return first


def _checksums(vectors: NDArray[Any]) -> list[int]:
    return [zlib.crc32(row) for row in np.ascontiguousarray(vectors, _FLOAT)]


def _encoded(encoder: Encoder, items: Sequence[Any], rows: Sequence[int]) -> NDArray[np.float32]:
    """Return the vectors of some items; an error that names a row names that of all items."""
    try:
        vectors = np.asarray(encoder.encode([items[row] for row in rows]))
    except DataError as error:
        named = re.match(r"((?:the vector of )?(?:text|picture|item)) (\d+)\b", str(error))
        if named is None or int(named[2]) >= len(rows):
            raise
        raise DataError(f"{named[1]} {rows[int(named[2])]}{str(error)[named.end() :]}") from None
    vectors = vectors.astype(np.float32, copy=False)
    if vectors.shape != (len(rows), encoder.dimensions) or not np.isfinite(vectors).all():
        raise DataError(
            f"the encoder '{encoder.name}' returned an array of shape {vectors.shape} for "
            f"{len(rows)} items, expected finite numbers {len(rows), encoder.dimensions}."
        )
    return vectors


def _speed(encoder: Encoder) -> int:
    """Return how many times more items to encode at once than on a CPU.

    On a GPU, batches grow anew in each call; on several devices, processes start anew.
    """
    import torch

    given = getattr(encoder, "device", None)
    devices = given if isinstance(given, list | tuple) else [given]
    if len(devices) > 1:
        return 32 * len(devices)
    automatic = devices[0] == "auto" and torch.cuda.is_available()
    return 8 if automatic or str(devices[0]).startswith("cuda") else 1
