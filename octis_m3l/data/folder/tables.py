"""Tables, lines and JSON lines, by the rules that let stock OCTIS read them."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.folder.manifest import MANIFEST, ViewEntry
from octis_m3l.data.views import TextView, View
from octis_m3l.errors import DataError, StorageError

MARKS = ("train", "val", "test")
_NO_BREAK_SPACE = "\u00a0"
_DOCUMENTS_AT_ONCE = 10_000
_SPECIAL = re.compile('["\t\n\r\0]|^\ufeff')
_NOT_PLAIN = re.compile('["\0]|^\ufeff')
_SURROGATE = re.compile("[\ud800-\udfff]")


def write_items(path: Path, firsts: Iterable[str], view: View) -> None:
    """Write a table with a row for each item of a view: a field, the partition, any label."""
    marks = _item_marks(view.sizes)
    if view.labels is None:
        write_table(path, zip(firsts, marks, strict=True))
    else:
        write_table(path, zip(firsts, marks, map(str, view.labels), strict=True))


def read_items(path: Path, entry: ViewEntry) -> tuple[list[str], list[str] | None]:
    """Return the first fields and, if the view has any, the labels that `write_items` wrote."""
    columns = read_table(path, 3 if entry.labels else 2)
    given = [columns[1].count(mark) for mark in MARKS]
    if given != list(entry.sizes) or columns[1] != _item_marks(entry.sizes):
        raise StorageError(
            f"{path} has {len(columns[1])} rows, {given[0]} train, {given[1]} val and {given[2]} "
            f"test; {MANIFEST} says {', '.join(map(str, entry.sizes))} in this order; the file "
            "was changed; copy it again."
        )
    return columns[0], columns[2] if entry.labels else None


def _item_marks(sizes: tuple[int, int, int]) -> list[str]:
    return [mark for mark, size in zip(MARKS, sizes, strict=True) for _ in range(size)]


def document_fields(view: TextView) -> Iterator[str]:
    """Give the documents in a form that pandas takes for text, whatever the words are.

    Empty fields, ``null``, ``1984`` or ``#N/A N/A`` would become NaN or numbers; a no-break space
    at the end prevents it, and `str.split` drops that.
    """
    for start in range(0, len(view), _DOCUMENTS_AT_ONCE):
        rows = slice(start, min(start + _DOCUMENTS_AT_ONCE, len(view)))
        for words in view.documents(rows):
            yield " ".join(words) + (_NO_BREAK_SPACE if len(words) < 3 else "")


def write_table(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write rows as tab-separated fields, in quotes where stock OCTIS needs them."""
    write_lines(path, ("\t".join(map(_field, row)) or '""' for row in rows))


def _field(value: str) -> str:
    if not _SPECIAL.search(value):
        return value
    if "\0" in value:
        raise DataError(
            f"{value[:80]!r} holds a NUL character, at which OCTIS would cut it off; remove it "
            "from the words, labels and file names."
        )
    return '"' + value.replace('"', '""') + '"'


def read_table(path: Path, width: int) -> list[list[str]]:
    """Return the columns of a table, every field as text."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} can't be read ({error}); copy it again.") from None
    if not _NOT_PLAIN.search(text):
        rows = [line.split("\t") for line in text.removesuffix("\n").split("\n")] if text else []
        if all(len(row) == width for row in rows):
            return [[row[column] for row in rows] for column in range(width)]
    import pandas as pd

    try:
        frame = pd.read_csv(
            path,
            sep="\t",
            header=None,
            dtype=str,
            na_filter=False,
            skip_blank_lines=False,
            encoding="utf-8",
        )
    except pd.errors.EmptyDataError:
        return [[] for _ in range(width)]
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} can't be read ({error}); copy it again.") from None
    if frame.shape[1] != width:
        raise StorageError(
            f"{path} has {frame.shape[1]} columns, expected {width}; it was changed; copy it again."
        )
    return [frame[column].tolist() for column in range(width)]


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write each line and a line feed, in UTF-8."""
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(line + "\n" for line in lines)
    except UnicodeEncodeError as error:
        around = error.object[max(0, error.start - 20) : error.end + 20]
        raise DataError(
            f"{path.parent.name}/{path.name}: {around!r} holds half of a surrogate pair, which no "
            "text file can hold; remove it from the words, labels and file names."
        ) from None


def read_lines(path: Path) -> list[str]:
    """Return the lines that `write_lines` wrote."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} can't be read ({error}); copy it again.") from None
    return text.removesuffix("\n").split("\n") if text else []


def json_line(text: str) -> str:
    """Return a text as one line of JSON, with escapes only where it is no valid Unicode."""
    return json.dumps(text, ensure_ascii=_SURROGATE.search(text) is not None)


def read_texts(path: Path) -> list[str]:
    """Return the texts of a file of JSON lines."""
    try:
        return [json.loads(line) for line in read_lines(path)]
    except ValueError as error:
        raise StorageError(f"{path} holds no JSON lines ({error}); copy it again.") from None


def read_indexes(path: Path) -> NDArray[np.int64]:
    """Return the row numbers of a file with one in each line."""
    try:
        return np.array(read_lines(path), dtype=np.int64)
    except ValueError as error:
        raise StorageError(f"{path} holds no row numbers ({error}); copy it again.") from None
