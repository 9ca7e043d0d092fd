"""Records of a text whose cells are separated by commas, semicolons, tabs or bars."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from octis_m3l.errors import DataError, SettingsError

Row = tuple[int, list[str]]

_DELIMITERS = (",", ";", "\t", "|")
_NAMED = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}
_SAID = re.compile(r'"?sep=(.)"?\s*')
_LOOKED_AT = 200
_SHOWN = 60


def read_delimited(path: Path, text: str, delimiter: str | None) -> tuple[str, Iterator[Row]]:
    """Return the delimiter, and the records with the number of their first line; the header first.

    A record is a line, or several where a cell in quotes holds line breaks. Quotes that do not
    enclose a cell are taken as they are.
    """
    lines = list(io.StringIO(text, newline=""))
    said = _SAID.fullmatch(lines[0]) if lines else None
    first = 1 if said else 0
    if delimiter is None:
        chosen = said[1] if said else _detected(lines[:_LOOKED_AT], path)
    else:
        chosen = _NAMED.get(delimiter, delimiter)
        if len(chosen) != 1 or chosen in '"\r\n ':
            raise SettingsError(
                f"delimiter={delimiter!r}: expected one character between cells, such as ',', ';' "
                "or 'tab'."
            )
    return chosen, _rows(lines, first, chosen, path)


def fits(cells: list[str], width: int) -> bool:
    """Return whether a row has as many cells as columns, or more that are empty."""
    return len(cells) >= width and not any(cells[width:])


def _detected(lines: list[str], path: Path) -> str:
    tabs = {".tsv", ".tab"} & {suffix.lower() for suffix in path.suffixes}
    candidates = sorted(_DELIMITERS, key=lambda one: one != "\t") if tabs else _DELIMITERS
    scores = {}
    for candidate in candidates:
        with _cells_of_any_length():
            header, *rows = [c for c in csv.reader(lines, delimiter=candidate) if c] or [[]]
        if len(header) > 1:
            share = sum(fits(cells, len(header)) for cells in rows) / max(1, len(rows))
            scores[candidate] = share, len(header)
    return max(scores, key=scores.__getitem__) if scores else candidates[0]


def _rows(lines: list[str], first: int, delimiter: str, path: Path) -> Iterator[Row]:
    width, at = 0, first
    doubtful, proven = "", False
    # A space after each delimiter of the header belongs to the delimiter.
    header = next((line for line in lines[first:] if line.strip()), "").split(delimiter)
    spaced = len(header) > 1 and all(cell.startswith(" ") for cell in header[1:])
    while at < len(lines):
        plain = lines[at].rstrip("\r\n").split(delimiter)
        cells, end = plain, at + 1
        if '"' in lines[at]:
            quoted, end = _quoted(lines, at, delimiter, spaced)
            if quoted is not None and end > at + 1 and width > 1:
                if not _are_rows(lines[at:end], delimiter, width):
                    proven = proven or fits(quoted, width)
                elif delimiter == "\t" or not fits(quoted, width):
                    quoted = None
                else:
                    doubtful = doubtful or f"{at + 1} to {end}"
            if quoted is None:
                end = at + 1
                if not fits(plain, width):
                    raise DataError(
                        f"{path}, line {at + 1}: a quote that begins a cell does not end one "
                        f"({lines[at].strip()[:_SHOWN]!r}); write a quote within a cell twice."
                    )
            cells = plain if quoted is None else quoted
        elif spaced:
            cells = [cell.lstrip(" ") for cell in plain]
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


def _quoted(
    lines: list[str], at: int, delimiter: str, spaced: bool
) -> tuple[list[str] | None, int]:
    """Return the cells of the record that begins in a line, and its end; None for stray quotes."""
    reader = csv.reader(
        (lines[number] for number in range(at, len(lines))),
        delimiter=delimiter,
        strict=True,
        skipinitialspace=spaced,
    )
    try:
        with _cells_of_any_length():
            return next(reader), at + reader.line_num
    except csv.Error:
        return None, at + 1


def _are_rows(lines: list[str], delimiter: str, width: int) -> bool:
    """Return whether each line of a record is a row by itself."""
    alone = [line.rstrip("\r\n").split(delimiter) for line in lines]
    within = zip(alone[1:-1], csv.reader(lines[1:-1], delimiter=delimiter), strict=False)
    return (
        fits(alone[0], width)
        and fits(alone[-1], width)
        and all(fits(plain, width) or fits(quoted, width) for plain, quoted in within)
    )


@contextmanager
def _cells_of_any_length() -> Iterator[None]:
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)
