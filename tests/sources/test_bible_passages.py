"""Passages of about five verses, aligned by their numbering."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octis_m3l.data import MultiviewDataset
from octis_m3l.errors import DataError
from octis_m3l.sources.bible_passages import (
    BOOKS,
    TRANSLATIONS,
    build_bible_passages,
    passage_partition,
    passage_ranges,
    read_translation,
)
from octis_m3l.sources.build import build
from octis_m3l.sources.catalogue import sources
from octis_m3l.sources.fetch import fetch
from octis_m3l.sources.source import Source

from .local_server import LocalServer
from .serving import serve

REPOSITORY = "scrollmapper/bible_databases"
CHAPTERS = {("Genesis", 1): 12, ("Ruth", 2): 8, ("Ruth", 1): 5, ("Acts", 1): 3, ("III John", 1): 4}


def translation(language: str, chapters: Mapping[tuple[str, int], int]) -> bytes:
    """A translation in the repository's form; Chinese with spaces in odd places."""
    books: dict[str, list[Any]] = {}
    for (book, chapter), count in chapters.items():
        verses = []
        for verse in range(1, count + 1):
            text = f"  {language}wort{verse} {book.lower()[:4]}{chapter}haus \n kapitelwort "
            if language == "zh":
                text = "神 創造 天 地， 光 是 好的。 "
            verses.append({"verse": verse, "text": text})
        books.setdefault(book, []).append({"chapter": chapter, "verses": verses})
    listed = [{"name": book, "chapters": content} for book, content in books.items()]
    return json.dumps({"translation": language, "books": listed}).encode()


def served(server: LocalServer, **chapters: Mapping[tuple[str, int], int]) -> Source:
    files = {
        f"formats/json/{name}.json": translation(language, chapters.get(language, CHAPTERS))
        for language, (name, _) in TRANSLATIONS.items()
    }
    return serve(server, sources()["bible-passages"], {REPOSITORY: files})


def test_passages_of_six_languages(server: LocalServer, tmp_path: Path) -> None:
    counted_otherwise = CHAPTERS | {("III John", 1): 5, ("Tobit", 1): 5}
    source = served(server, es=counted_otherwise)
    fetch(source, tmp_path)
    build(source, tmp_path / "out", tmp_path)
    dataset = MultiviewDataset.from_folder(tmp_path / "out")
    assert list(dataset.views) == ["en", "de", "es", "nl", "cs", "zh"]
    # Genesis 1 makes 5 and 7 verses; Ruth 1, 5; Ruth 2, 5 and 3; Acts 1, 3; III John differs.
    assert len(dataset.links) == 6
    assert (dataset.links >= 0).all()
    english = dataset.text_view("en")
    everything = slice(0, len(english))
    by_text = dict(zip(english.items(everything), english.labels or (), strict=True))
    assert len(by_text) == 6
    first = (
        "enwort1 gene1haus kapitelwort enwort2 gene1haus kapitelwort enwort3 gene1haus kapitelwort "
    )
    first += "enwort4 gene1haus kapitelwort enwort5 gene1haus kapitelwort"
    assert by_text[first] == "Law"
    assert sorted(len(text.split()) // 3 for text in by_text) == [3, 3, 5, 5, 5, 7]
    assert sorted(by_text.values()) == ["Acts", "History", "History", "History", "Law", "Law"]
    assert " " not in dataset.text_view("zh").items(slice(0, 1))[0]
    for row in dataset.links:
        german = dataset.text_view("de").items(slice(row[1], row[1] + 1))[0]
        assert str(german) == str(english.items(slice(row[0], row[0] + 1))[0]).replace("enw", "dew")
    assert dataset.metadata["licence"] == "Public Domain"
    assert dataset.metadata["translations"]["de"] == "Elberfelder, 1905"


def test_the_passages_do_not_depend_on_the_views(server: LocalServer, tmp_path: Path) -> None:
    source = served(server)
    fetch(source, tmp_path)
    whole = build(source, tmp_path / "whole", tmp_path)
    some = build(source, tmp_path / "some", tmp_path, views=["de", "en"], vocabulary_size=7)
    again = build(source, tmp_path / "again", tmp_path, views=["de", "en"], vocabulary_size=7)
    assert list(some.views) == ["en", "de"]
    assert len(some.text_view("en").vocabulary) == 7
    assert some.text_view("en").sizes == whole.text_view("en").sizes
    assert some.fingerprints() == again.fingerprints()
    files = [p.relative_to(tmp_path / "some") for p in (tmp_path / "some").rglob("*.*")]
    for file in files:
        assert (tmp_path / "some" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
    with pytest.raises(DataError, match=r"there is no view 'dee'. Did you mean 'de'\?"):
        build(source, tmp_path / "other", tmp_path, views=["dee"])


@given(st.integers(1, 200))
def test_every_verse_is_in_one_passage(count: int) -> None:
    ranges = passage_ranges(count)
    assert [verse for verses in ranges for verse in verses] == list(range(count))
    assert all(3 <= len(verses) <= 7 for verses in ranges) or count < 3
    assert all(len(verses) == 5 for verses in ranges[:-1])


def test_the_partition_is_the_same_for_everybody() -> None:
    marks = passage_partition(6155)
    assert {mark: marks.count(mark) for mark in set(marks)} == {
        "train": 4655,
        "validation": 500,
        "test": 1000,
    }
    assert [row for row, mark in enumerate(marks) if mark == "test"][:5] == [4, 49, 53, 57, 59]
    assert passage_partition(1) == ["train"]


def test_books_and_groups() -> None:
    assert len(BOOKS) == 66
    assert len(set(BOOKS.values())) == 10


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"books": 3}', b'{"books": [{"name": "Ruth"}]}', b"\xff\xfe"]
)
def test_files_that_are_no_translation(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ASV.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"ASV.json can't be read as a translation"):
        read_translation(path)


def test_translations_that_have_no_chapter_in_common(tmp_path: Path) -> None:
    for number, (name, _) in enumerate(TRANSLATIONS.values()):
        chapters = {("Ruth", 1): number + 1}
        (tmp_path / f"{name}.json").write_bytes(translation("en", chapters))
    with pytest.raises(DataError, match="no chapter has the same verses in all translations"):
        build_bible_passages(tmp_path)


def test_verses_are_paired_by_their_numbers(tmp_path: Path) -> None:
    for language, (name, _) in TRANSLATIONS.items():
        content = json.loads(translation(language, CHAPTERS))
        if language == "de":
            for verse in content["books"][0]["chapters"][0]["verses"][3:]:
                verse["verse"] += 1
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    dataset = build_bible_passages(tmp_path)
    assert "Law" not in (dataset.text_view("en").labels or ())
    assert len(dataset.links) == 5
