"""Passages of about five verses, aligned by their numbering."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octis_m3l.data import MultiviewDataset
from octis_m3l.errors import DataError, StorageError
from octis_m3l.sources.bible_passages import (
    BOOKS,
    TRANSLATIONS,
    build_bible_passages,
    passage_partition,
    passage_ranges,
)
from octis_m3l.sources.build import build
from octis_m3l.sources.catalogue import sources
from octis_m3l.sources.fetch import fetch

from .local_server import LocalServer
from .serving import serve

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


def write(folder: Path, **chapters: Mapping[tuple[str, int], int]) -> None:
    for language, (name, _) in TRANSLATIONS.items():
        content = translation(language, chapters.get(language, CHAPTERS))
        (folder / f"{name}.json").write_bytes(content)


def items(dataset: MultiviewDataset, view: str) -> list[str]:
    return [str(text) for text in dataset.text_view(view).items(slice(None))]


def test_passages_of_six_languages(server: LocalServer, tmp_path: Path) -> None:
    counted_otherwise = {"es": CHAPTERS | {("III John", 1): 5, ("Tobit", 1): 5}}
    files = {
        f"formats/json/{name}.json": translation(view, counted_otherwise.get(view, CHAPTERS))
        for view, (name, _) in TRANSLATIONS.items()
    }
    source = serve(server, sources()["bible-passages"], {"scrollmapper/bible_databases": files})
    fetch(source, tmp_path)
    build(source, tmp_path / "out", tmp_path)
    dataset = MultiviewDataset.from_folder(tmp_path / "out")
    assert list(dataset.views) == ["en", "de", "es", "nl", "cs", "zh"]
    # Genesis 1 makes 5 and 7 verses; Ruth 1, 5; Ruth 2, 5 and 3; Acts 1, 3; III John differs.
    assert len(dataset.links) == 6
    assert (dataset.links >= 0).all()
    english, german = items(dataset, "en"), items(dataset, "de")
    by_text = dict(zip(english, dataset.text_view("en").labels or (), strict=True))
    assert (
        by_text[" ".join(f"enwort{verse} gene1haus kapitelwort" for verse in range(1, 6))] == "Law"
    )
    assert sorted(len(text.split()) // 3 for text in by_text) == [3, 3, 5, 5, 5, 7]
    assert Counter(by_text.values()) == {"Law": 2, "History": 3, "Acts": 1}
    assert " " not in "".join(items(dataset, "zh"))
    for row in dataset.links:
        assert german[row[1]] == english[row[0]].replace("enw", "dew")
    assert dataset.metadata["licence"] == "Public Domain"
    assert dataset.metadata["translations"]["de"] == "Elberfelder, 1905"


def test_the_passages_do_not_depend_on_the_views(tmp_path: Path) -> None:
    write(tmp_path)
    whole = build_bible_passages(tmp_path)
    some, again = (
        build_bible_passages(tmp_path, views=["de", "en"], vocabulary_size=7) for _ in range(2)
    )
    assert list(some.views) == ["en", "de"]
    assert len(some.text_view("en").vocabulary) == 7
    assert some.text_view("en").sizes == whole.text_view("en").sizes
    assert some.fingerprints() == again.fingerprints()
    with pytest.raises(DataError, match=r"unknown view 'dee'. Did you mean 'de'\?"):
        build_bible_passages(tmp_path, views=["dee"])


@given(st.integers(1, 200))
def test_every_verse_is_in_one_passage(count: int) -> None:
    ranges = passage_ranges(count)
    assert [verse for verses in ranges for verse in verses] == list(range(count))
    assert all(3 <= len(verses) <= 7 for verses in ranges) or count < 3
    assert all(len(verses) == 5 for verses in ranges[:-1])


def test_the_partition_is_the_same_for_everybody() -> None:
    marks = passage_partition(6155)
    assert Counter(marks) == {"train": 4655, "validation": 500, "test": 1000}
    assert [row for row, mark in enumerate(marks) if mark == "test"][:5] == [4, 49, 53, 57, 59]
    assert passage_partition(1) == ["train"]
    assert (len(BOOKS), len(set(BOOKS.values()))) == (66, 10)


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"books": 3}', b'{"books": [{"name": "Ruth"}]}', b"\xff\xfe"]
)
def test_files_that_are_no_translation(tmp_path: Path, content: bytes) -> None:
    write(tmp_path)
    (tmp_path / "ASV.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"ASV.json (is not readable|holds a JSON|is damaged)"):
        build_bible_passages(tmp_path)


def test_translations_that_have_no_chapter_in_common(tmp_path: Path) -> None:
    write(tmp_path, de={("Ruth", 1): 9}, en={("Ruth", 1): 8})
    with pytest.raises(DataError, match="no chapter has the same verses in all translations"):
        build_bible_passages(tmp_path)


def test_verses_are_paired_by_their_numbers(tmp_path: Path) -> None:
    write(tmp_path)
    place = tmp_path / f"{TRANSLATIONS['de'][0]}.json"
    content = json.loads(place.read_text())
    for verse in content["books"][0]["chapters"][0]["verses"][3:]:
        verse["verse"] += 1
    place.write_text(json.dumps(content))
    dataset = build_bible_passages(tmp_path)
    assert "Law" not in (dataset.text_view("en").labels or ())
    assert len(dataset.links) == 5
