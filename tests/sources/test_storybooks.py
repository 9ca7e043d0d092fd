"""Picture books: which pages are taken, what is fetched for them, and their partitions."""

import io
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from octis_m3l.data import MultiviewDataset
from octis_m3l.errors import DataError
from octis_m3l.sources.build import build
from octis_m3l.sources.catalogue import sources
from octis_m3l.sources.fetch import fetch
from octis_m3l.sources.source import Source
from octis_m3l.sources.storybooks import (
    build_storybooks,
    drawn_partition,
    parse_story,
    story_partitions,
)

from .local_server import LocalServer
from .serving import serve

TRANSLATIONS, ORIGINALS, IMAGES = sources()["storybooks"].repositories


def told(language: str, story: int, pages: int, licence: str = "CC-BY", empty: int = 0) -> bytes:
    """A story; page `empty` has no text."""
    text = f"# Title {story}\n"
    for page in range(1, pages + 1):
        said = f"{language}story{story} walks\n{language}page{page} home."
        text += f"\n##\n{'' if page == empty else said}\n"
    text += f"\n##\n* License: [{licence}]\n* Text: A. Author\n* Illustration: I. Painter\n"
    return (text + f"* Translation: T. {language}\n* Language: {language}\n").encode()


def picture(story: int, page: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 7), (story * 20 % 256, page * 30 % 256, 77)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def source(server: LocalServer) -> Source:
    """Twelve stories of four pages, and some that are left out."""
    originals = {"en/README.md": b"# About", "en/0021_alone.md": told("en", 21, 2)}
    originals["en/0020_not-free.md"] = told("en", 20, 2, "CC-BY-NC")
    translations = {"de/README.md": b"# Liste", "zz/0001_other.md": told("zz", 1, 4)}
    translations["de/0020_nicht-frei.md"] = told("de", 20, 2, "CC-BY-NC")
    images = {f"medium/{story:04}/02.jpg": picture(story, 1) for story in (20, 21)}
    for story in range(1, 13):
        originals[f"en/{story:04}_a-story.md"] = told("en", story, 4, empty=2 if story == 3 else 0)
        pages = 3 if story == 5 else 4
        translations[f"de/{story:04}_größe-{story}.md"] = told("de", story, pages)
        if story % 2:
            originals[f"fr/{story:04}_une-histoire.md"] = told("fr", story, 4)
        for page in range(5):
            if (story, page) != (4, 1):
                images[f"medium/{story:04}/{page + 1:02}.jpg"] = picture(story, page)
        images[f"large/{story:04}/02.jpg"] = picture(story, 1)
    files = {TRANSLATIONS: translations, ORIGINALS: originals, IMAGES: images}
    return serve(server, sources()["storybooks"], files)


def text_of(dataset: MultiviewDataset, view: str, item: int) -> str:
    return str(dataset.view(view).items(slice(item, item + 1))[0])


def test_pages_with_their_pictures(source: Source, server: LocalServer, tmp_path: Path) -> None:
    record = fetch(source, tmp_path)
    # Covers, other sizes, stories without a free licence or a translation: not asked for.
    unwanted = re.compile(r"/01\.jpg$|/large/|medium/002[01]|README|/zz/")
    assert not [request.path for request in server.requests if unwanted.search(request.path)]
    assert {"texts/de/0001.md", "pictures/0001/02.jpg"} <= {*record["files"]}
    dataset = build(source, tmp_path / "out", tmp_path, views=["en", "fr", "de", "pictures"])
    again = MultiviewDataset.from_folder(tmp_path / "out")
    assert again.fingerprints() == dataset.fingerprints()
    assert list(dataset.views) == ["en", "fr", "de", "pictures"]
    # 12 × 4, without the page that has no text and the one that has no picture.
    assert len(dataset.view("pictures")) == len(dataset.view("en")) == 46
    # German lacks the story that has another number of pages there.
    assert len(dataset.view("de")) == 46 - 4
    assert len(dataset.view("fr")) == 6 * 4 - 1
    for row in dataset.links:
        path = Path(text_of(dataset, "pictures", row[3]))
        story, page = int(path.parent.name), int(path.stem) - 1
        assert text_of(dataset, "en", row[0]) == f"enstory{story} walks enpage{page} home."
        if row[2] >= 0:
            assert text_of(dataset, "de", row[2]) == f"destory{story} walks depage{page} home."
    left_out = dataset.metadata["left_out"]
    assert left_out["de/0005.md"] == "it has 3 pages, and the original 4"
    assert left_out["en/0020.md"] == "its licence is CC-BY-NC"
    assert left_out["en/0021.md"] == "there is no translation of it"
    assert dataset.metadata["stories"]["0001"] == {
        "title": "Title 1",
        "author": "A. Author",
        "illustrator": "I. Painter",
        "translators": {"en": "T. en", "fr": "T. fr", "de": "T. de"},
    }


def test_partitions_by_story_and_by_page(source: Source, tmp_path: Path) -> None:
    fetch(source, tmp_path)
    dataset = build(source, tmp_path / "out", tmp_path, views=["en", "pictures"])
    english = dataset.text_view("en")
    stories = [
        set((english.labels or [])[english.rows(p)]) for p in ("train", "validation", "test")
    ]
    assert not stories[0] & stories[1]
    assert not stories[0] & stories[2]
    assert [len(of_partition) for of_partition in stories] == [9, 1, 2]
    by_page = dataset.with_partition("pages").text_view("en")
    assert by_page.sizes == (46 - 12, 5, 7)
    twice = build(source, tmp_path / "twice", tmp_path, views=["en", "pictures"])
    assert twice.fingerprints() == dataset.fingerprints()
    assert sources()["storybooks"].repositories[ORIGINALS] is None
    assert dataset.metadata["source"]["commits"][ORIGINALS]


def test_a_file_that_is_no_story_is_left_out_and_no_page_is_an_error(tmp_path: Path) -> None:
    texts = {
        f"{view}/000{story}": told(view, story, 2) for view in ("en", "de") for story in (1, 2)
    }
    texts["fr/0001"] = b"\xff"
    for name, content in texts.items():
        (tmp_path / "texts" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "texts" / f"{name}.md").write_bytes(content)
    with pytest.raises(DataError, match="no page has an English text, a translation and a pict"):
        build_storybooks(tmp_path)
    for story in (1, 2):
        (tmp_path / "pictures" / f"{story:04}").mkdir(parents=True)
        for page in (1, 2):
            place = tmp_path / "pictures" / f"{story:04}" / f"{page + 1:02}.jpg"
            place.write_bytes(picture(story, page))
    dataset = build_storybooks(tmp_path, views=["en", "de"])
    assert "can't decode" in dataset.metadata["left_out"]["fr/0001.md"]
    assert list(dataset.views) == ["en", "de"]


def test_a_file_as_it_is_in_the_repository() -> None:
    story = parse_story(
        "# Ziege, Hund\r\nUntertitel\r\n\r\n##\r\nEin  Satz.\r\nZweiter.\r\n\r\n## \n%None%\n\n##\n"
        "* License: [CC-BY]\n* Text: Fabian Wakholi\n* Illustration: Marleen Visser\n"
    )
    assert story.title == "Ziege, Hund"
    assert story.pages == ("Ein Satz. Zweiter.", "")
    assert story.facts == {
        "License": "CC-BY",
        "Text": "Fabian Wakholi",
        "Illustration": "Marleen Visser",
    }


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=40), min_size=1, max_size=6))
def test_pages_are_read_as_they_were_written(pages: list[str]) -> None:
    # What marks pages and facts at the start of a line is not text.
    said = [" ".join(page.split()).lstrip("#*") for page in pages]
    text = "# T\n" + "".join(f"##\n{page}\n" for page in said) + "##\n* License: [CC-BY]\n"
    expected = ["" if page.strip() == "%None%" else page.strip() for page in said]
    assert list(parse_story(text).pages) == expected


@pytest.mark.parametrize(
    "text", ["", "# Title", "# Title\n##\n* License: [CC-BY]", "# T\n##\nText\n##\n* Text: A"]
)
def test_files_that_are_no_stories(text: str) -> None:
    with pytest.raises(DataError, match="expected a title after '#'"):
        parse_story(text)


@given(st.integers(1, 300), st.integers(0, 5))
def test_shares_of_a_drawn_partition(count: int, seed: int) -> None:
    drawn = drawn_partition(range(count), seed)
    assert sorted(drawn) == list(range(count))
    marks = list(drawn.values())
    assert marks.count("test") == math.ceil(0.15 * count)
    assert marks.count("train") == count - math.ceil(0.25 * count)


def test_pages_stand_in_the_order_of_their_storys_partition() -> None:
    pages = [(f"{story:04}", page) for story in range(40) for page in (1, 2)]
    of_story, of_page, ordered = story_partitions(pages[::-1])
    marks = [of_story[story] for story, _ in ordered]
    assert marks == sorted(marks, key=["train", "validation", "test"].index)
    assert sorted(ordered) == pages
    assert len(of_page) == 80
