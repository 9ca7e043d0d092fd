"""The files of a folder: tables, lines and JSON lines that stock OCTIS can read, and arrays."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.arrays import hash_of
from octis_m3l.data.folder.manifest import ViewEntry
from octis_m3l.data.pictures import is_rgb_array
from octis_m3l.data.views import OCTIS_PARTITIONS, Picture, TextView, View
from octis_m3l.errors import DataError, StorageError, first_few
from octis_m3l.files import cells_of_any_length, damage_errors, read_json, write_json, written_whole

_NO_BREAK_SPACE = "\u00a0"
_DOCUMENTS_AT_ONCE = 10_000
_AT_ONCE = 2**24
_NEEDS_QUOTES = re.compile('["\t\n\r]|^\ufeff')
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def check_pictures(view: str, pictures: Sequence[Picture]) -> None:
    """Refuse picture files that are missing and arrays that are no pictures."""
    missing = [str(p) for p in pictures if isinstance(p, Path) and not p.is_file()]
    if missing:
        raise DataError(
            f"view '{view}': {len(missing)} of {len(pictures)} picture files are missing: "
            f"{first_few(missing, 3)}; put them back there, or build the data set again without "
            "them."
        )
    for number, picture in enumerate(pictures):
        if not isinstance(picture, Path) and not is_rgb_array(picture):
            raise DataError(
                f"view '{view}': picture {number} has shape {picture.shape} and type "
                f"{picture.dtype}; expected uint8 (height × width × 3)."
            )


# Lines.


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write each line and a line feed, in UTF-8."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            if found := _UNSTORABLE.search(line):
                around = line[max(0, found.start() - 20) : found.end() + 20]
                raise DataError(
                    f"{path.parent.name}/{path.name}: {around!r} holds a NUL character or half of "
                    "a surrogate pair, which OCTIS's files can't hold; remove it from the words, "
                    "labels and file names."
                )
            file.write(line + "\n")


def read_lines(path: Path) -> list[str]:
    """Return the lines that `write_lines` wrote."""
    with damage_errors(path):
        text = path.read_text(encoding="utf-8")
    return text.removesuffix("\n").split("\n") if text else []


def write_texts(path: Path, texts: Iterable[str]) -> None:
    """Write texts as JSON lines, with escapes only for what is not valid Unicode."""
    write_lines(
        path, (json.dumps(text, ensure_ascii=bool(_SURROGATE.search(text))) for text in texts)
    )


class StoredTexts(Sequence[str]):
    """The texts of a file of JSON lines, which stay in the file until they are asked for.

    A line that is no text is an error only then.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._path, size = path, path.stat().st_size
        self._bytes: bytes | mmap = b""
        if size:
            with path.open("rb") as file:
                self._bytes = mmap(file.fileno(), 0, access=ACCESS_READ)
        # Every line ends in a line feed.
        starts = [np.zeros(1, np.int64)]
        for first in range(0, size, _AT_ONCE):
            part = np.frombuffer(self._bytes[first : first + _AT_ONCE], np.uint8)
            starts.append(np.flatnonzero(part == ord("\n")) + first + 1)
        self._starts = np.concatenate(starts)
        if len(self) != count:
            raise ValueError(f"{len(self)} texts, expected {count}")

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self._starts) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        """Return one text or several."""
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        number = range(len(self))[place]
        with damage_errors(self._path):
            text = json.loads(self._bytes[self._starts[number] : self._starts[number + 1]])
            if not isinstance(text, str):
                raise ValueError(f"line {number + 1} is a JSON {type(text).__name__}, no text")
        return text

    def __eq__(self, other: object) -> bool:
        """Return whether another sequence has the same texts."""
        return isinstance(other, Sequence) and list(self) == list(other)

    def __deepcopy__(self, memo: Mapping[int, Any]) -> "StoredTexts":
        """Return the same: it never changes."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a list, since another process may not have the file."""
        return list, (list(self),)


def read_texts(path: Path, count: int) -> StoredTexts:
    """Return so many texts of a file of JSON lines."""
    with damage_errors(path):
        return StoredTexts(path, count)


# Tables.


def write_table(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write rows as tab-separated fields, in quotes where stock OCTIS needs them."""
    write_lines(path, ("\t".join(map(_field, row)) or '""' for row in rows))


def _field(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if _NEEDS_QUOTES.search(value) else value


def read_table(path: Path, width: int) -> list[list[str]]:
    """Return the columns of a table, every field as text."""
    rows = list(read_rows(path, width))
    return [[row[column] for row in rows] for column in range(width)]


def read_rows(path: Path, width: int) -> Iterator[list[str]]:
    """Yield the rows of a table, every field as text."""
    with (
        damage_errors(path),
        path.open(encoding="utf-8", newline="") as file,
        cells_of_any_length(),
    ):
        for row in csv.reader(file, delimiter="\t"):
            if len(row) != width:
                raise ValueError(f"{len(row)} columns, expected {width}")
            yield row


def write_items(path: Path, fields: Iterable[str], view: View) -> None:
    """Write a row for each item of a view: a field, its partition, and its label if it has any."""
    columns: list[Iterable[str]] = [fields, _item_partitions(view.sizes)]
    if view.labels is not None:
        columns.append(map(str, view.labels))
    write_table(path, zip(*columns, strict=True))


def read_items(path: Path, entry: ViewEntry, labels: list[str] | None = None) -> Iterator[str]:
    """Yield the fields that `write_items` wrote; add the labels, if there are any, to a list."""
    partitions = chain.from_iterable(map(repeat, OCTIS_PARTITIONS, entry.sizes))
    wrong = f"expected {entry.sizes} rows of train, val and test in this order"
    with damage_errors(path):
        for field, partition, *label in read_rows(path, 3 if entry.labels else 2):
            if partition != next(partitions, None):
                raise ValueError(wrong)
            if labels is not None:
                labels += label
            yield field
        if next(partitions, None) is not None:
            raise ValueError(wrong)


def _item_partitions(sizes: tuple[int, int, int]) -> list[str]:
    return [name for name, size in zip(OCTIS_PARTITIONS, sizes, strict=True) for _ in range(size)]


def document_fields(view: TextView) -> Iterator[str]:
    """Yield the documents in a form that pandas reads as text, whatever the words are.

    Empty fields, ``null``, ``1984`` or ``#N/A N/A`` would become NaN or numbers; a no-break space
    at the end prevents it, and `str.split` drops it.
    """
    for start in range(0, len(view), _DOCUMENTS_AT_ONCE):
        rows = slice(start, min(start + _DOCUMENTS_AT_ONCE, len(view)))
        for words in view.documents(rows):
            yield " ".join(words) + (_NO_BREAK_SPACE if len(words) < 3 else "")


# Arrays, each with a record of the items that it was made for.


def write_embeddings_of(folder: Path, view: View, description: Mapping[str, Any]) -> None:
    """Write a view's embeddings with their record."""
    if view.embeddings is None:
        return
    record: dict[str, Any] = {"name": view.embedding_name, "description": dict(description)}
    if view.embedding_encoder is not None:
        record["encoder"] = dict(view.embedding_encoder)
    place = folder / view.name / "embeddings" / view.embedding_name
    _write_array(place, view.embeddings, view.fingerprint(), record)


def write_word_vectors(place: Path, view: TextView) -> None:
    """Write a view's word vectors with their record."""
    if view.word_vectors is not None:
        fingerprint = vocabulary_fingerprint(view.vocabulary)
        _write_array(place, view.word_vectors, fingerprint, {"space": view.word_space})


def _write_array(
    place: Path, values: NDArray[Any], fingerprint: str, more: Mapping[str, Any]
) -> None:
    rows, dimensions = values.shape
    record = {"dimensions": dimensions, "rows": rows, "fingerprint": fingerprint, **more}
    kind = np.float16 if values.dtype == np.float16 else np.float32
    with written_whole(place.with_name(f"{place.name}.npy")) as temporary:
        # Row by row into the file: the array may be larger than the memory.
        stored = np.lib.format.open_memmap(temporary, "w+", kind, values.shape)
        step = max(1, _AT_ONCE // max(1, dimensions))
        for start in range(0, rows, step):
            stored[start : start + step] = values[start : start + step]
        stored.flush()
        del stored
    write_json(place.with_name(f"{place.name}.json"), record)


def read_array(place: Path, rows: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return an array and its record."""
    path = place.with_name(f"{place.name}.npy")
    record: dict[str, Any] = read_json(place.with_name(f"{place.name}.json"))
    with damage_errors(path, "write it again"):
        values: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
        expected = (rows, record.get("dimensions"))
        if values.shape != expected:
            raise ValueError(f"an array of shape {values.shape}, expected {expected}")
    return values, record


def check_made_for(place: Path, record: Mapping[str, Any], fingerprint: str, what: str) -> None:
    """Refuse an array that was made for other items or words than the folder holds now."""
    if record.get("fingerprint") != fingerprint:
        raise StorageError(
            f"{place}.npy was made for other {what}, which changed since; encode them again."
        )


def vocabulary_fingerprint(vocabulary: Sequence[str]) -> str:
    """Return a SHA-256 of the words."""
    return hash_of(["\n".join(vocabulary)])
