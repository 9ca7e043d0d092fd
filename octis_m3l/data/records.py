"""Tables in files, whatever their format: one function reads them into a frame."""

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

import pandas as pd

from octis_m3l.errors import DataError, SettingsError, warn
from octis_m3l.files import cells_of_any_length

DELIMITED = (".csv", ".tsv", ".tab")
JSON_LINES = (".jsonl", ".ndjson")
WORKBOOKS = (".xlsx", ".xlsm")

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# The encodings of programs that do not write Unicode.
_LEGACY = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("cp874", "koi8_r", "cp932", "euc_jp", "gb18030", "big5", "cp949"),
]
_SAMPLE_BYTES, _SAMPLE_LINES = 100_000, 200
_SHOWN = 60
_DELIMITERS = (",", ";", "\t", "|")
_DELIMITER_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*')

Row = tuple[int, list[str]]


def format_of(path: Path) -> str:
    """Return the suffix that tells the format of a table, "" if it is not supported."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    last = suffixes[-1] if suffixes else ""
    return last if last in (*DELIMITED, *JSON_LINES, *WORKBOOKS) else ""


def read_table(
    path: str | Path, *, delimiter: str | None = None, encoding: str | None = None
) -> pd.DataFrame:
    """Return a table from a file: every cell a str, None where it is empty.

    Lists, fractions and truth values in JSON lines keep their types.
    """
    path = Path(path)
    suffix = format_of(path)
    if not suffix:
        raise DataError(f"{path}: expected a .csv, .tsv or .jsonl file (.gz too), or .xlsx.")
    if delimiter is not None and suffix not in DELIMITED:
        raise SettingsError(
            f"delimiter={delimiter!r}: {path} is no .csv or .tsv file; leave it out."
        )
    if encoding is not None and suffix in WORKBOOKS:
        raise SettingsError(f"encoding={encoding!r}: {path} has none to choose; leave it out.")
    if suffix in JSON_LINES:
        return read_json_lines(path, encoding)
    if suffix in WORKBOOKS:
        return _as_frame(_workbook_rows(path), f"{path}, row", "Give the column a name")
    with cells_of_any_length():
        lines = list(io.StringIO(read_text(path, encoding), newline=""))
        chosen, first = _delimiter(lines, delimiter, path)
        remedy = (
            f"Put a text that holds {chosen!r} in quotes, or give another delimiter (--delimiter)"
        )
        return _as_frame(_rows(lines, first, chosen, path), f"{path}, line", remedy)


def _as_frame(rows: Iterable[Row], where: str, remedy: str) -> pd.DataFrame:
    remaining = iter(rows)
    names = [name.strip() for name in next(remaining, (0, []))[1]]
    while names and not names[-1]:
        names.pop()
    width = len(names)
    if not width:
        raise DataError(f"{where.rpartition(', ')[0]} is empty; expected a header and rows.")

    def differs(number: int, cells: list[str]) -> str:
        return (
            f"{where} {number}: {len(cells)} cells where the header has {width} "
            f"({', '.join(names)}): {' | '.join(cell[:20] for cell in cells[: width + 1])}"
        )

    content: list[list[str | None]] = []
    short: list[Row] = []
    for number, cells in remaining:
        if any(cells[width:]):
            raise DataError(f"{differs(number, cells)}. {remedy}.")
        if len(cells) < width:
            short.append((number, cells))
        content.append([cell or None for cell in cells[:width]] + [None] * (width - len(cells)))
    if short:
        warn(
            f"{differs(*short[0])}. In all {len(short)} row(s) are too short; missing cells at "
            "their end are taken as empty. If a text has a line break, put it in quotes."
        )
    return pd.DataFrame(content, columns=names, dtype=object)


# Workbooks and JSON lines.


def _workbook_rows(path: Path) -> Iterator[Row]:
    import openpyxl

    with opened(path) as file:
        try:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            rows = [[_as_text(cell) for cell in row] for row in book.worksheets[0].iter_rows()]
        except MemoryError:
            raise
        except Exception as error:
            # A damaged archive, XML or style: openpyxl passes on whatever its parts raise.
            raise DataError(
                f"{path} can't be read as a workbook ({type(error).__name__}: {error}); save it "
                "again as .xlsx, or as .csv."
            ) from None
    names = book.sheetnames
    if len(names) > 1:
        warn(f"{path} has the sheets {', '.join(names)}: '{names[0]}' is read.")
    while rows and not any(rows[-1]):
        rows.pop()
    is_one_column = not any(any(row[1:]) for row in rows)
    return ((n, row) for n, row in enumerate(rows, 1) if any(row) or is_one_column)


def _as_text(cell: Any) -> str:
    value = cell.value
    if value is None or cell.data_type == "e":
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def read_json_lines(path: Path, encoding: str | None = None) -> pd.DataFrame:
    """Return the objects of a JSON lines file; a field within a field is a column with a dot.

    Whole numbers are kept as text, digit by digit: as labels they may be longer than a float.
    """
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(io.StringIO(read_text(path, encoding), newline=""), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_int=str)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number}: {error}; the file is truncated, nested too deeply or "
                "holds no JSON lines."
            ) from None
        if not isinstance(row, dict):
            raise DataError(
                f"{path}, line {number}: a JSON {type(row).__name__}, where an object was expected."
            )
        rows.append(row)
    try:
        frame: pd.DataFrame = pd.json_normalize(rows)
    except RecursionError:
        raise DataError(f"{path}: its fields are nested too deeply; flatten them.") from None
    return frame


# Delimited text.


def _delimiter(lines: list[str], given: str | None, path: Path) -> tuple[str, int]:
    """Return the delimiter and the number of the first line: one may only name the delimiter."""
    separator = _SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    if given is None:
        if separator:
            return separator[1], 1
        return _detected_delimiter(lines[:_SAMPLE_LINES], path), 0
    chosen = _DELIMITER_NAMES.get(given, given)
    if len(chosen) != 1 or chosen in '"\r\n ':
        raise SettingsError(
            f"delimiter={given!r}: expected one character between cells, such as ',', ';' or 'tab'."
        )
    return chosen, 1 if separator else 0


def _has_width(cells: list[str], width: int) -> bool:
    """Return whether a row has as many cells as columns, or more that are empty."""
    return len(cells) >= width and not any(cells[width:])


def _detected_delimiter(lines: list[str], path: Path) -> str:
    """Return the delimiter with which most rows are as wide as the header."""
    tabs = {".tsv", ".tab"} & {suffix.lower() for suffix in path.suffixes}
    candidates = sorted(_DELIMITERS, key=lambda one: one != "\t") if tabs else _DELIMITERS
    scores = {}
    for candidate in candidates:
        header, *rows = [c for c in csv.reader(lines, delimiter=candidate) if c] or [[]]
        if len(header) > 1:
            share = sum(_has_width(cells, len(header)) for cells in rows) / max(1, len(rows))
            scores[candidate] = share, len(header)
    return max(scores, key=scores.__getitem__) if scores else candidates[0]


def _rows(lines: list[str], first: int, delimiter: str, path: Path) -> Iterator[Row]:
    """Return the rows with the number of their first line, the header first.

    A row is a line, or several where a cell in quotes holds line breaks. Quotes that do not
    enclose a cell are part of the text.
    """
    width, at = 0, first
    doubtful, proven = "", False
    # A space after each delimiter of the header belongs to the delimiter.
    header = next((line for line in lines[first:] if line.strip()), "").split(delimiter)
    spaced = len(header) > 1 and all(cell.startswith(" ") for cell in header[1:])
    while at < len(lines):
        cells, end = lines[at].rstrip("\r\n").split(delimiter), at + 1
        if spaced and '"' not in lines[at]:
            cells = [cell.lstrip(" ") for cell in cells]
        elif '"' in lines[at]:
            quoted, after = _quoted_row(lines, at, delimiter, spaced)
            if quoted is not None and after > end and width > 1:
                # Two stray quotes look like a cell with line breaks, and would swallow rows.
                if not _are_rows(lines[at:after], delimiter, width):
                    proven = proven or _has_width(quoted, width)
                elif delimiter == "\t" or not _has_width(quoted, width):
                    quoted = None
                else:
                    doubtful = doubtful or f"{at + 1} to {after}"
            if quoted is not None:
                cells, end = quoted, after
            elif not _has_width(cells, width):
                raise DataError(
                    f"{path}, line {at + 1}: a quote that begins a cell does not end one "
                    f"({lines[at].strip()[:_SHOWN]!r}); write a quote within a cell twice."
                )
        if width == 1 or cells != [""]:
            yield at + 1, cells
            width = width or len(cells)
        at = end
    if doubtful and not proven:
        raise DataError(
            f"{path}, lines {doubtful}: quotes make them one row, and yet each has {width} cells "
            "by itself. Remove the two quotes; or, if the text does have line breaks, save the "
            "table as .xlsx or JSON lines."
        )


def _quoted_row(
    lines: list[str], at: int, delimiter: str, spaced: bool
) -> tuple[list[str] | None, int]:
    """Return the cells of the row that begins in a line, and its end; None for stray quotes."""
    following = (lines[number] for number in range(at, len(lines)))
    reader = csv.reader(following, delimiter=delimiter, strict=True, skipinitialspace=spaced)
    try:
        return next(reader), at + reader.line_num
    except csv.Error:
        return None, at + 1


def _are_rows(lines: list[str], delimiter: str, width: int) -> bool:
    """Return whether each line of a quoted row is a row by itself."""
    alone = [line.rstrip("\r\n").split(delimiter) for line in lines]
    within = zip(alone[1:-1], csv.reader(lines[1:-1], delimiter=delimiter), strict=False)
    return (
        _has_width(alone[0], width)
        and _has_width(alone[-1], width)
        and all(_has_width(plain, width) or _has_width(quoted, width) for plain, quoted in within)
    )


# Bytes to text.


@contextmanager
def opened(path: Path) -> Iterator[gzip.GzipFile | BufferedReader]:
    """Open a file to read its bytes, unpacked if it ends in .gz."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            yield file
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(
            f"{path} can't be read ({error}); check its path, and copy the file again if it is "
            "incomplete or damaged."
        ) from None


def read_text(path: Path, encoding: str | None = None) -> str:
    """Return the text of a file, unpacked, its encoding detected if it is not given."""
    with opened(path) as file:
        content = file.read()
    if encoding is None:
        return _detected_text(content, path).removeprefix("\ufeff")
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise SettingsError(
            f"encoding={encoding!r} is not known; expected such as utf-8, utf-16, latin-1, cp1250 "
            "or gb18030."
        ) from None
    except UnicodeError as error:
        raise DataError(f"{path} is not written in {encoding} ({error}).") from None


def _detected_text(content: bytes, path: Path) -> str:
    marked = [name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)]
    unicode = _first_decoded(content, [*marked[:1], *_unicode_encodings(content[:_SAMPLE_BYTES])])
    if unicode is not None:
        return unicode[0]
    likely = _first_decoded(content, _likely_encodings(content))
    if likely is None:
        raise DataError(
            f"{path} is no text in any encoding that is recognised; give its encoding "
            "(--encoding), or save it in UTF-8."
        )
    text, encoding = likely
    first = next(place for place, letter in enumerate(text) if not letter.isascii())
    shown = " ".join(text[max(0, first - _SHOWN // 2) : first + _SHOWN // 2].split())
    warn(
        f"{path} is not written in UTF-8; it is read as {encoding} ({shown!r}). If letters are "
        "wrong, give its encoding (--encoding)."
    )
    return text


def _first_decoded(content: bytes, encodings: Iterable[str]) -> tuple[str, str] | None:
    for encoding in encodings:
        with suppress(UnicodeError):
            return content.decode(encoding), encoding
    return None


def _unicode_encodings(head: bytes) -> list[str]:
    """Return the encodings of Unicode to try: UTF-16 first where many bytes are zero."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if not even + odd:
        return ["utf-8"]
    utf_16 = "utf-16-be" if even > odd else "utf-16-le"
    return [utf_16, "utf-8"] if even + odd > len(head) // 5 else ["utf-8", utf_16]


def _likely_encodings(content: bytes) -> list[str]:
    from charset_normalizer import from_bytes

    lines = [line for line in content.splitlines() if not line.isascii()]
    found = list(from_bytes(b"\n".join(lines)[:_SAMPLE_BYTES], cp_isolation=_LEGACY))
    likely = [
        match.encoding
        for match in found
        if match.chaos <= found[0].chaos + 0.05 and match.coherence >= found[0].coherence - 0.05
    ]
    # Among those that match as well as the best, Western European is by far the most frequent.
    return sorted(likely, key="cp1252".__ne__)
