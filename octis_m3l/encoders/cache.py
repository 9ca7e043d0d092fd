"""Vectors kept on disk: an item is encoded once, whatever data set it comes in."""

import errno
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from tqdm.auto import tqdm

from octis_m3l.data.item_checks import as_items
from octis_m3l.encoders.content import KEY_BYTES, content_keys
from octis_m3l.encoders.naming import as_read, fingerprint_hash, safe_name, shown
from octis_m3l.encoders.pretrained import PretrainedEncoder
from octis_m3l.encoders.protocol import Encoder
from octis_m3l.errors import DataError, SettingsError, StorageError
from octis_m3l.files import read_json, write_json

_FORMAT = 1
_RECORD = np.dtype([("key", f"V{KEY_BYTES}"), ("sum", "<u4")])
_FLOAT = np.dtype("<f4")
ITEMS_AT_ONCE = 1024


@dataclass(frozen=True)
class _Kept:
    """What a folder of one encoder holds: rows of vectors, and whose each is."""

    rows: dict[bytes, int]
    sums: NDArray[np.uint32]
    vectors: NDArray[np.float32]


class EmbeddingCache:
    """Vectors of items by encoder and content, in files that only grow.

    Each encoder has a folder: `vectors.f32` has one row after another, `keys.bin` the content key
    and a checksum of each row. Rows are added some thousand at a time, first the vectors, then
    their keys, so that after a kill all that was added counts, the rest is encoded, and the files
    end up the same byte for byte. One process adds at a time; another waits for it, then finds
    the vectors there.

    Parameters
    ----------
    folder : str or Path
        Made when needed. May be shared by data sets, encoders and processes.
    items_at_once : int
        Encoded and added together: what a kill costs at most. On a GPU it is 8 times as many, on
        several devices 32 times as many for each.
    """

    def __init__(self, folder: str | Path, *, items_at_once: int = ITEMS_AT_ONCE) -> None:
        if isinstance(items_at_once, bool) or items_at_once < 1:
            raise SettingsError(f"items_at_once={items_at_once}: expected 1 or more.")
        self.folder = Path(folder).expanduser()
        self.items_at_once = int(items_at_once)

    def encode(
        self, encoder: Encoder, items: Sequence[Any], *, progress: bool = False
    ) -> NDArray[np.float32]:
        """Return the vectors of some items; what is not kept yet is encoded and kept.

        Parameters
        ----------
        encoder : Encoder
            With a `fingerprint()` that changes whenever its vectors would.
        items : sequence
            Texts or pictures.
        progress : bool
            Whether to show a progress bar, with the time that is left.

        Returns
        -------
        array of float32 (items × dimensions)
            Memory-mapped where the items stand in the file as they are given.

        Raises
        ------
        DataError
            If the encoder has no fingerprint, or a file can't be read.
        StorageError
            If the folder holds something else.
        """
        place = self._place(encoder)
        items = as_read(encoder, as_items(items, "items to encode"))
        with self._told_of_disk():
            keys = content_keys(items, self.folder / "files.sqlite3")
            _recall_dimensions(place, encoder)
        dimensions = encoder.dimensions
        with self._told_of_disk():
            there = (place / "encoder.json").exists()
            kept = _read(place, encoder, dimensions) if there else None
            missing = _missing(keys, kept)
        if missing:
            with self._locked(place, progress):
                with self._told_of_disk():
                    self._begin(place, encoder, dimensions)
                    missing = _missing(keys, _read(place, encoder, dimensions))
                    _cut_to_whole_rows(place, dimensions)
                self._add(place, encoder, items, keys, missing, progress)
            with self._told_of_disk():
                kept = _read(place, encoder, dimensions)
                wrong = _missing(keys, kept)
            if wrong:
                raise StorageError(
                    f"{place}: {len(wrong)} vectors are not what was written; is the disk full or "
                    "damaged? Delete the folder, or use another cache."
                )
        if kept is None:
            return np.zeros((0, dimensions), np.float32)
        return _taken(kept, [kept.rows[key] for key in keys])

    def missing(self, encoder: Encoder, items: Sequence[Any]) -> int:
        """Return how many different items would have to be encoded.

        Parameters
        ----------
        encoder, items
            As for `encode`.
        """
        place = self._place(encoder)
        keys = content_keys(as_read(encoder, items), self.folder / "files.sqlite3")
        _recall_dimensions(place, encoder)
        there = (place / "encoder.json").exists()
        kept = _read(place, encoder, encoder.dimensions) if there else None
        return len(_missing(keys, kept))

    def _place(self, encoder: Encoder) -> Path:
        return self.folder / f"{safe_name(encoder)[:80]}-{fingerprint_hash(encoder)[:16]}"

    def _begin(self, place: Path, encoder: Encoder, dimensions: int) -> None:
        if not (place / "encoder.json").exists():
            told = {
                "format": _FORMAT,
                "name": encoder.name,
                "dimensions": dimensions,
                "fingerprint": fingerprint_hash(encoder),
            }
            write_json(place / "encoder.json", told)

    def _add(
        self,
        place: Path,
        encoder: Encoder,
        items: Sequence[Any],
        keys: Sequence[bytes],
        missing: Sequence[int],
        progress: bool,
    ) -> None:
        dimensions = encoder.dimensions
        together = self.items_at_once * _how_fast(encoder)
        # Where all goes to the encoder at once, its own bar, if it has one, is the one that moves.
        inner = self.items_at_once < together >= len(missing) and hasattr(encoder, "progress")
        hidden = inner or not progress
        bar = tqdm(total=len(missing), disable=hidden, desc=encoder.name, unit="item")
        with bar, shown(encoder, inner) if progress else nullcontext():
            for start in range(0, len(missing), together):
                rows = missing[start : start + together]
                vectors = _encoded(encoder, items, rows)
                if vectors.shape != (len(rows), dimensions) or not np.isfinite(vectors).all():
                    raise DataError(
                        f"the encoder '{encoder.name}' returned an array of shape {vectors.shape} "
                        f"for {len(rows)} items, expected finite numbers {len(rows), dimensions}."
                    )
                with self._told_of_disk():
                    _append(place, [keys[row] for row in rows], vectors)
                bar.update(len(rows))

    @contextmanager
    def _locked(self, place: Path, progress: bool) -> Iterator[None]:
        with self._told_of_disk():
            place.mkdir(parents=True, exist_ok=True)
            lock = FileLock(place / ".lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                if progress:
                    tqdm.write(f"another process is encoding into {place}; waiting for it")
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _told_of_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno == errno.ENOSPC
            remedy = "make room, then run it again: what is there counts" if full else "use another"
            raise StorageError(
                f"the cache {self.folder} can't be used ({error}); {remedy}."
            ) from None


def _how_fast(encoder: Encoder) -> int:
    """Return how much more is encoded at once: batches grow anew on a GPU, processes begin anew."""
    import torch

    given = getattr(encoder, "device", None)
    devices = [str(one) for one in (given if isinstance(given, list | tuple) else [given])]
    if len(devices) > 1:
        return 32 * len(devices)
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    return 8 if any((automatic if d == "auto" else d).startswith("cuda") for d in devices) else 1


def _recall_dimensions(place: Path, encoder: Encoder) -> None:
    """Tell an encoder its dimensions, if it would have to load its weights to know them."""
    if isinstance(encoder, PretrainedEncoder) and (place / "encoder.json").exists():
        described = read_json(place / "encoder.json")
        if described.get("fingerprint") == fingerprint_hash(encoder):
            encoder.recall_dimensions(described.get("dimensions"))


def _encoded(encoder: Encoder, items: Sequence[Any], rows: Sequence[int]) -> NDArray[np.float32]:
    """Return some items' vectors; an error that names a row names that of all items."""
    try:
        vectors = encoder.encode([items[row] for row in rows])
    except DataError as error:
        named = re.match(r"((?:the vector of )?(?:text|picture|item)) (\d+)\b", str(error))
        if named is None or int(named[2]) >= len(rows):
            raise
        told = f"{named[1]} {rows[int(named[2])]}{str(error)[named.end() :]}"
        raise DataError(told) from None
    return np.asarray(vectors).astype(np.float32, copy=False)


def _read(place: Path, encoder: Encoder, dimensions: int) -> _Kept:
    described = read_json(place / "encoder.json")
    if described.get("fingerprint") != fingerprint_hash(encoder):
        raise StorageError(f"{place} holds vectors of another encoder; use another cache.")
    if (described.get("format"), described.get("dimensions")) != (_FORMAT, dimensions):
        raise StorageError(
            f"{place} holds vectors of {described.get('dimensions')} dimensions in format "
            f"{described.get('format')}, expected {dimensions} in format {_FORMAT}; delete it, or "
            "use another cache."
        )
    records, rows = _whole(place, dimensions)
    if not rows:
        nothing = np.zeros((0, dimensions), np.float32)
        return _Kept({}, np.zeros(0, np.uint32), nothing)
    vectors = np.memmap(place / "vectors.f32", _FLOAT, "r", shape=(rows, dimensions))
    raw = records["key"].tobytes()
    keys = [raw[start : start + KEY_BYTES] for start in range(0, len(raw), KEY_BYTES)]
    # A row that was added again, the first being damaged, counts.
    return _Kept(dict(zip(keys, range(rows), strict=True)), records["sum"], vectors)


def _whole(place: Path, dimensions: int) -> tuple[NDArray[Any], int]:
    """Return the records of rows that both files have whole, and how many they are."""
    keys, vectors = place / "keys.bin", place / "vectors.f32"
    sizes = [path.stat().st_size if path.exists() else 0 for path in (keys, vectors)]
    rows = min(sizes[0] // _RECORD.itemsize, sizes[1] // (_FLOAT.itemsize * dimensions))
    if not rows:
        return np.zeros(0, _RECORD), 0
    return np.fromfile(keys, _RECORD, rows), rows


def _cut_to_whole_rows(place: Path, dimensions: int) -> None:
    """Cut off what a killed process had not finished."""
    _, rows = _whole(place, dimensions)
    for name, width in (
        ("vectors.f32", _FLOAT.itemsize * dimensions),
        ("keys.bin", _RECORD.itemsize),
    ):
        path = place / name
        if path.exists() and path.stat().st_size != rows * width:
            os.truncate(path, rows * width)


def _append(place: Path, keys: Sequence[bytes], vectors: NDArray[Any]) -> None:
    rows = np.ascontiguousarray(vectors, _FLOAT)
    records = np.zeros(len(keys), _RECORD)
    records["key"] = np.frombuffer(b"".join(keys), f"V{KEY_BYTES}")
    records["sum"] = _sums(rows)
    for name, content in (("vectors.f32", rows), ("keys.bin", records)):
        with (place / name).open("ab") as file:
            file.write(content.view(np.uint8).data)
            file.flush()
            os.fsync(file.fileno())


def _sums(rows: NDArray[Any]) -> NDArray[np.uint32]:
    return np.fromiter((zlib.crc32(row) for row in rows), np.uint32, len(rows))


def _missing(keys: Sequence[bytes], kept: _Kept | None) -> list[int]:
    """Return the items, each content once, that are not kept or not as they were written."""
    wanted: dict[bytes, int] = {}
    for row, key in enumerate(keys):
        wanted.setdefault(key, row)
    if kept is None:
        return list(wanted.values())
    there = np.array([kept.rows.get(key, -1) for key in wanted], np.int64)
    rows = list(wanted.values())
    found = np.flatnonzero(there >= 0)
    damaged = np.zeros(len(there), bool)
    for start in range(0, len(found), ITEMS_AT_ONCE):
        part = found[start : start + ITEMS_AT_ONCE]
        vectors = np.ascontiguousarray(kept.vectors[there[part]])
        damaged[part] = _sums(vectors) != kept.sums[there[part]]
    return [row for row, place, bad in zip(rows, there, damaged, strict=True) if place < 0 or bad]


def _taken(kept: _Kept, rows: Sequence[int]) -> NDArray[np.float32]:
    """Return rows in the order wanted: a part of the file itself where they stand like that."""
    if not rows:
        return np.zeros((0, kept.vectors.shape[1]), np.float32)
    if list(rows) == list(range(rows[0], rows[0] + len(rows))):
        return kept.vectors[rows[0] : rows[0] + len(rows)]
    return np.asarray(kept.vectors[np.asarray(rows)])
