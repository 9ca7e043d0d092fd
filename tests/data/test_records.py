"""Tables in files: read as a person would read them, or refused with the row."""

import csv
import gzip
import io
import json
import re
from pathlib import Path
from threading import Event, Thread
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from octis_m3l.data import from_table
from octis_m3l.data.records import read_table
from octis_m3l.errors import DataError, OctisM3LError
from octis_m3l.files import cells_of_any_length

pytestmark = pytest.mark.filterwarnings("error")


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path, content: str | bytes, **arguments: Any) -> list[list[Any]]:
    """Return the header and the rows of a file with this content."""
    frame = read_table(written(path, content), **arguments)
    return [frame.columns.tolist(), *frame.values.tolist()]


def refused(path: Path, content: str | bytes, message: str, **arguments: Any) -> None:
    with pytest.raises(OctisM3LError) as error:
        read_table(written(path, content), **arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


# Cells that belong to a column.


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        # Rows that end in a delimiter have no index.
        ("en,de\nsea,meer,\nwood,wald,\n", [["en", "de"], ["sea", "meer"], ["wood", "wald"]]),
        ("en,de,\nsea,meer,\nwood,wald,\n", [["en", "de"], ["sea", "meer"], ["wood", "wald"]]),
        # Quotes that enclose no cell are kept.
        ('en,de\n"Sea" is big,meer\n', [["en", "de"], ['"Sea" is big', "meer"]]),
        ('en,de\n"sea, ship",the "wald"\n', [["en", "de"], ["sea, ship", 'the "wald"']]),
        ('en,de\n"never closed,x\n', [["en", "de"], ['"never closed', "x"]]),
        # Texts with line breaks are one cell.
        ('en,de\n"sea\n\nship, or",meer\n', [["en", "de"], ["sea\n\nship, or", "meer"]]),
        ('en,de\nx,"one, two\nthree, four"\n', [["en", "de"], ["x", "one, two\nthree, four"]]),
        # An empty cell of a single column is a row; other blank lines are none.
        ("text\nsea\n\nwood\n", [["text"], ["sea"], [None], ["wood"]]),
        ('text\nsea\n""\nwood\n', [["text"], ["sea"], [None], ["wood"]]),
        ("\na,b\n\n1,2\n\n", [["a", "b"], ["1", "2"]]),
        # Spaces after delimiters belong to them.
        ('"a", "b"\n"x, y", "z"\nq, r\n', [["a", "b"], ["x, y", "z"], ["q", "r"]]),
        # A header with two delimiters is settled by the rows, or by the first line.
        ("id;a, b;c\n1;sea, ship, x;y\n2;wood;z\n", [["id", "a, b", "c"], ["1", "sea, ship, x"]]),
        ("sep=;\na,b;c\nd,e;f\n", [["a,b", "c"], ["d,e", "f"]]),
        ("sep= \na b\n1 2\n", [["a", "b"], ["1", "2"]]),
    ],
)
def test_cells_of_tables(content: str, rows: list[list[Any]], tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", content)
    assert [row[: len(wanted)] for row, wanted in zip(found, rows, strict=False)] == rows


def test_rows_with_fewer_cells_are_warned_of(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "en,de,label\nsea,meer,x\nwood\nwald,wood,y\nship\n")
    message = r"line 3: 1 cells where the header has 3 .*: wood\. In all 2"
    with pytest.warns(UserWarning, match=message):
        assert read_table(path)["de"].tolist() == ["meer", None, "wood", None]


@pytest.mark.parametrize("delimiter", ["\t", ","])
@pytest.mark.parametrize("closing", ["w59", "v59"])
def test_stray_quotes_swallow_no_rows(delimiter: str, closing: str, tmp_path: Path) -> None:
    rows = [[f"w{i}", f"v{i}", "x"] for i in range(80)]
    content = "\n".join(delimiter.join(row) for row in [["en", "de", "label"], *rows])
    content = content.replace("w9", '"w9').replace(closing, f'{closing}"')
    path = tmp_path / ("a.tsv" if delimiter == "\t" else "a.csv")
    if delimiter == "," and closing == "w59":
        # Both cells are of one column, so that quotes make a row of as many cells.
        message = "lines 11 to 61: quotes make them one row, and yet each has 3 cells by itself."
        refused(path, content, message)
    else:
        found = read(path, content)
        assert len(found) == 81
        assert found[10] == ['"w9', "v9", "x"]
        assert found[60] == [cell + '"' * (cell == closing) for cell in rows[59]]


def test_cells_of_any_length(tmp_path: Path) -> None:
    long = "sea, " * 50_000
    assert read(tmp_path / "a.csv", f'a,b\n"{long}",y\n')[1] == [long, "y"]
    assert csv.field_size_limit() == 131072


def test_cells_of_any_length_in_two_threads() -> None:
    entered, left, found = Event(), Event(), []

    def read_later() -> None:
        with cells_of_any_length():
            entered.set()
            left.wait(10)
            found.extend(csv.reader(["x" * 200_000]))

    thread = Thread(target=read_later)
    with cells_of_any_length():
        thread.start()
        entered.wait(0.2)
    left.set()
    thread.join(10)
    assert found == [["x" * 200_000]]
    assert csv.field_size_limit() == 131072


# Delimiters and encodings.


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_of_the_header(delimiter: str, tmp_path: Path) -> None:
    rows = [["en", "de"], ["1,5; 2", "x|y"], ["a\tb", "q, r"], ["c", "d;e"]]
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter).writerows(rows)
    assert read(tmp_path / "a.csv", file.getvalue()) == rows
    name = {"\t": "tab", ";": "semicolon"}.get(delimiter, delimiter)
    assert read(tmp_path / "a.tsv", file.getvalue(), delimiter=name) == rows
    lines = read(tmp_path / "a.csv", "text\nsea, ship\nwood\n", delimiter="tab")
    assert lines == [["text"], ["sea, ship"], ["wood"]]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_unicode_is_detected(encoding: str, end: str, tmp_path: Path) -> None:
    rows = [["标题", "text"], ["海上的船", "schöne Häuser"], ["море", "x"]]
    content = end.join(",".join(row) for row in rows) + end
    assert read(tmp_path / "a.csv", content.encode(encoding)) == rows


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "The ship had left the harbour long ago, so it went, o niño mañana"),
        ("cp1252", "L'été à Orléans, où l'élève très fatigué lit près du théâtre"),
        # German letters are the same in both.
        ("cp1250", "Schöne Häuser an der Küste, größer als die Straße"),
        ("cp1250", "Loď opustila přístav. Příliš žluťoučký kůň úpěl ďábelské ódy"),
        ("cp1251", "Корабль покинул гавань перед бурей"),
        ("gb18030", "我们今天早上一起去学校。他们喜欢在海边看书"),
        ("cp949", "오늘 아침에 학교에 갔습니다. 책을 읽는 것을 좋아합니다."),
    ],
)
def test_the_usual_encoding_of_a_language_is_recognised(
    encoding: str, text: str, tmp_path: Path
) -> None:
    content = f"text\tlabel\n{text}\tx\n".encode(encoding)
    first = next(place for place, letter in enumerate(text) if not letter.isascii())
    shown = re.escape(text[max(0, first - 5) : first + 8])
    with pytest.warns(UserWarning, match=rf"is read as {encoding} \(.*{shown}.*\(--encoding\)"):
        assert read_table(written(tmp_path / "a.tsv", content))["text"].tolist() == [text]
    assert read(tmp_path / "a.tsv", content, encoding=encoding)[1][0] == text
    refused(tmp_path / "a.tsv", content, "is not written in utf-8", encoding="utf-8")


# Files that can't be read.

PICTURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))
PACKED = gzip.compress(b'{"a": 1, "b": 2}\n' * 20, mtime=0)
FLIPPED = bytes(byte ^ (place == len(PACKED) // 2) for place, byte in enumerate(PACKED))


@pytest.mark.parametrize(
    ("name", "content", "arguments", "message"),
    [
        (
            "a.csv",
            "en,de,label\nwood,wald,y\nsea, ship,meer,x\n",
            {},
            "a.csv, line 3: 4 cells where the header has 3 (en, de, label): sea |  ship | meer | "
            "x. Put a text that holds ',' in quotes, or give another delimiter (--delimiter).",
        ),
        ("a.csv", "en,de,\na,b,\nc, d,e\n", {}, "line 3: 3 cells where the header has 2"),
        ("a.csv", 'text\nsea, "ship"\n', {}, "line 2: 2 cells where the header has 1"),
        ("a.csv", 'en,de\n"Sea, ship" is,meer\n', {}, "line 2: a quote that begins a cell"),
        *(("a.csv", empty, {}, "a.csv is empty; expected a") for empty in ("", "\n\n", ",,\n")),
        ("a.csv", "", {"delimiter": "<>"}, "delimiter='<>': expected one character between cells"),
        ("a.csv", "", {"delimiter": '"'}, "expected one character between cells"),
        (
            "a.csv",
            "a",
            {"encoding": "klingon"},
            "encoding='klingon' is not known; expected such as",
        ),
        ("a.jsonl", "", {"delimiter": ","}, "a.jsonl is no .csv or .tsv file; leave it out."),
        ("a.xlsx", "", {"encoding": "utf-8"}, "a.xlsx has none to choose; leave it out."),
        ("a.csv", PICTURE, {}, "is no text in any encoding that is recognised"),
        ("a.xlsx", PICTURE, {}, "a.xlsx can't be read as a workbook ("),
        ("a.parquet", "", {}, "a.parquet: expected a .csv, .tsv or .jsonl file (.gz too)"),
        *(
            (f"a{suffix}.gz", damaged, {}, f"a{suffix}.gz can't be read (")
            for suffix in (".csv", ".tsv", ".jsonl")
            for damaged in (PACKED[:-3], PACKED[:15], FLIPPED, b"a,b\n1,2\n")
        ),
        ("a.jsonl", '{"a": ' * 100_000, {}, "line 1: maximum recursion depth exceeded"),
        ("a.csv", 'a, b, c\n", "x,y",  \n', {}, "line 2: a quote that begins a cell does not"),
        ("a.jsonl", '{"a": 1', {}, "line 1: Expecting ',' delimiter"),
        ("a.jsonl", "[1]", {}, "line 1: a JSON list, where an object was expected."),
    ],
)
def test_files_that_are_refused(
    name: str, content: str | bytes, arguments: dict[str, str], message: str, tmp_path: Path
) -> None:
    refused(tmp_path / name, content, message, **arguments)


def test_fields_as_deep_as_python_recurses_are_no_recursion_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with pytest.raises(DataError, match="nested too deeply"):
        for depth in range(800, 1100, 2):
            read_table(written(path, '{"a": ' * depth + "1" + "}" * depth))


def test_files_that_are_missing(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name in ("folder.csv", "gone.csv", "gone.xlsx"):
        with pytest.raises(DataError, match=rf"{name} can't be read \(.*\); check its path, and "):
            read_table(tmp_path / name)


# Workbooks and JSON lines.


def test_a_workbook_is_read_as_a_table(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in [["en", "label", None], ["sea", 3, None], [None, None], [None, 2.5], ["x", True]]:
        book.active.append(row)
    book.create_sheet("notes")
    book.save(tmp_path / "a.xlsx")
    with pytest.warns(UserWarning, match=r"has the sheets Sheet, notes: 'Sheet' is read"):
        frame = read_table(tmp_path / "a.xlsx")
    assert frame.columns.tolist() == ["en", "label"]
    assert frame.values.tolist() == [["sea", "3"], [None, "2.5"], ["x", "True"]]


def test_whole_numbers_of_json_are_kept_digit_by_digit(tmp_path: Path) -> None:
    rows = [{"en": "sea", "label": 2**53 + 1}, {"en": "wood", "label": 2**53}, {"en": "ship"}]
    path = written(tmp_path / "a.jsonl", "\ufeff" + "\r".join(map(json.dumps, rows)))
    data = from_table(path, texts=["en"], label="label")
    assert data.view("en").labels == [str(2**53 + 1), str(2**53), ""]
    assert from_table(path, texts=["en"]).view("en").labels is None


def test_line_separators_within_json_are_text(tmp_path: Path) -> None:
    row = {"en": "sea\u2028ship\x85", "n": "9" * 5000}
    content = json.dumps(row, ensure_ascii=False) + "\n"
    assert read(tmp_path / "a.jsonl", content) == [["en", "n"], [*row.values()]]


# Any table that the csv module writes.

CELLS = st.text(st.sampled_from("ab \"',;\t|äж海\u2028\x0b"), max_size=6)
BREAKS = st.text(st.sampled_from('ab ",;\n'), max_size=6)


def tables(width: int) -> st.SearchStrategy[list[list[str]]]:
    row = st.lists(CELLS | BREAKS, min_size=width, max_size=width)
    return st.lists(row, min_size=1, max_size=5)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cells=st.integers(1, 3).flatmap(tables),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_is_written_is_read(
    cells: list[list[str]], delimiter: str, encoding: str, end: str, quoting: Any, tmp_path: Path
) -> None:
    header = ["en", "de", "label"][: len(cells[0])]
    if delimiter == "\t":
        # A record with line breaks and tabs in its texts looks like rows with stray quotes.
        cells = [
            [c.replace("\t", "") for c in row] if "\n" in "".join(row) else row for row in cells
        ]
    cells = [[cell.replace("\n", end) for cell in row] for row in cells]
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([header, *cells])
    said = {"delimiter": delimiter} if len(header) == 1 else {}
    try:
        found = read(tmp_path / "a.csv", file.getvalue().encode(encoding), **said)
    except DataError as error:
        assert re.search(r"lines \d+ to \d+: quotes make them one row", str(error))
        assert any(end in cell for row in cells for cell in row)
    else:
        assert found == [header, *([cell or None for cell in row] for row in cells)]
