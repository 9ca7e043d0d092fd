"""Picture books: pages in up to six languages, most of them missing in some, with a picture."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from octis_m3l import data
from octis_m3l.errors import DataError
from octis_m3l.sources.source import (
    RemoteFile,
    Source,
    chosen_views,
    drawn_partitions,
    preprocessors,
)

LANGUAGES = ("en", "fr", "pt", "de", "es", "zh")
PICTURES = "pictures"
LICENCE = "CC-BY"
_TRANSLATIONS = "global-asp/global-asp"
_ORIGINALS = "global-asp/asp-source"
_IMAGES = "global-asp/asp-imagebank"
_STORY = re.compile(r"([a-z]{2,3})/(\d{4})_[^/]*\.md")
_PAGE = re.compile(r"^##\s*$", re.MULTILINE)
_FACT = re.compile(r"^\*\s*([A-Za-z]+)\s*:\s*(.*?)\s*$", re.MULTILINE)
_STORY_SEED, _PAGE_SEED = 7, 11
_TEST, _VALIDATION = 0.15, 0.10


@dataclass(frozen=True)
class Story:
    """A story in one language, with facts such as its licence; a page without text is empty."""

    title: str
    pages: tuple[str, ...]
    facts: Mapping[str, str]


Stories = dict[str, dict[str, Story]]
"""Stories by number and language."""


def build_storybooks(
    raw: Path, *, views: Sequence[str] | None = None, vocabulary_size: int | None = 2000
) -> "data.MultiviewDataset":
    """Return the pages that have an English text and a picture, labelled with their story.

    The default partition keeps stories together; the partition ``pages`` draws pages of all
    stories.
    """
    chosen = chosen_views(views, (*LANGUAGES, PICTURES))
    languages = [name for name in chosen if name != PICTURES]
    stories, left_out = read_stories(raw / "texts")
    pages = [
        (number, page)
        for number, story in stories.items()
        for page, text in enumerate(story[LANGUAGES[0]].pages, 1)
        if text and (raw / PICTURES / _picture(number, page)).is_file()
    ]
    if not pages:
        raise DataError(
            f"{raw}: no page has an English text, a translation and a picture; fetch it "
            "again with again=True (--again)."
        )
    of_story, of_page, pages = story_partitions(pages)

    def texts(language: str) -> list[str | None]:
        translated = [(stories[number].get(language), page) for number, page in pages]
        return [(story.pages[page - 1] or None) if story else None for story, page in translated]

    return data.from_lists(
        {language: texts(language) for language in languages},
        images={PICTURES: [raw / PICTURES / _picture(*page) for page in pages]}
        if PICTURES in chosen
        else None,
        partition=[of_story[number] for number, _ in pages],
        other_partitions={"pages": [of_page[page] for page in pages]},
        labels=[number for number, _ in pages],
        preprocessing=preprocessors(languages, vocabulary_size),
        metadata={
            "stories": {number: _authors(story) for number, story in stories.items()},
            "partition": f"by story, drawn with seed {_STORY_SEED}; pages: seed {_PAGE_SEED}",
            "left_out": left_out,
        },
    )


def parse_story(text: str) -> Story:
    """Return a story of the African Storybook project: a title, pages, and a page of facts."""
    cover, *pages = _PAGE.split(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    title = cover.strip().partition("\n")[0].lstrip("#").strip()
    facts = dict(_FACT.findall(pages[-1])) if pages else {}
    facts["License"] = facts.get("License", "").strip("[] ")
    if not title or len(pages) < 2 or not facts["License"]:
        raise DataError(
            "can't be read as a story: expected a title after '#', pages that begin with a line "
            "of '##', and a last section with the licence."
        )
    texts = [" ".join(page.split()) for page in pages[:-1]]
    return Story(title, tuple("" if text == "%None%" else text for text in texts), facts)


def read_stories(folder: Path) -> tuple[Stories, dict[str, str]]:
    """Return the stories that have a translation, and why others are left out.

    A story is used if it exists in English and in another language with as many pages, under the
    free licence.
    """
    stories: Stories = {}
    left_out: dict[str, str] = {}
    for language in LANGUAGES:
        for path in sorted((folder / language).glob("*.md")):
            try:
                story = parse_story(path.read_text(encoding="utf-8"))
                _check_use(story, language, stories.get(path.stem, {}).get(LANGUAGES[0]))
                stories.setdefault(path.stem, {})[language] = story
            except (DataError, UnicodeError) as error:
                left_out[f"{language}/{path.name}"] = str(error)
    for number in [number for number, translations in stories.items() if len(translations) < 2]:
        left_out[f"{LANGUAGES[0]}/{number}.md"] = "there is no translation of it"
        del stories[number]
    return dict(sorted(stories.items())), left_out


def _check_use(story: Story, language: str, original: Story | None) -> None:
    """Raise the reason why a story is left out."""
    if story.facts["License"] != LICENCE:
        raise DataError(f"its licence is {story.facts['License']}")
    if language == LANGUAGES[0]:
        return
    if original is None:
        raise DataError("there is no original that can be used")
    if len(story.pages) != len(original.pages):
        raise DataError(f"it has {len(story.pages)} pages, and the original {len(original.pages)}")


def story_partitions(
    pages: Sequence[tuple[str, int]],
) -> tuple[dict[str, str], dict[tuple[str, int], str], list[tuple[str, int]]]:
    """Return the partition of each story, that of each page, and the pages in their order."""
    from octis_m3l.data.views import PARTITIONS

    of_story = drawn_partition(sorted({number for number, _ in pages}), _STORY_SEED)
    ordered = sorted(pages, key=lambda page: (PARTITIONS.index(of_story[page[0]]), page))
    return of_story, drawn_partition(ordered, _PAGE_SEED), ordered


def drawn_partition(items: Sequence[Any], seed: int) -> dict[Any, str]:
    """Return each item's partition."""
    test = math.ceil(_TEST * len(items))
    validation = math.ceil((_TEST + _VALIDATION) * len(items)) - test
    return drawn_partitions(items, test, validation, seed)


def _authors(story: Mapping[str, Story]) -> dict[str, Any]:
    original = story[LANGUAGES[0]]
    translators = {language: one.facts.get("Translation", "") for language, one in story.items()}
    return {
        "title": original.title,
        "author": original.facts.get("Text", ""),
        "illustrator": original.facts.get("Illustration", ""),
        "translators": {language: name for language, name in translators.items() if name},
    }


def _list_stories(trees: Mapping[str, Sequence[RemoteFile]], raw: Path) -> list[RemoteFile]:
    """Return the text files to fetch, one for each story and language."""
    found: dict[str, RemoteFile] = {}
    for file in (*trees[_TRANSLATIONS], *trees[_ORIGINALS]):
        match = _STORY.fullmatch(file.origin)
        if match and match[1] in LANGUAGES:
            path = f"texts/{match[1]}/{match[2]}.md"
            found.setdefault(path, replace(file, path=path))
    return [found[path] for path in sorted(found)]


def _list_pictures(trees: Mapping[str, Sequence[RemoteFile]], raw: Path) -> list[RemoteFile]:
    """Return the pictures to fetch, of the pages of stories that will be used."""
    there = {file.origin: file for file in trees[_IMAGES]}
    stories, _ = read_stories(raw / "texts")
    pictures = [
        _picture(number, page)
        for number, story in stories.items()
        for page in range(1, len(story[LANGUAGES[0]].pages) + 1)
    ]
    return [
        replace(there[f"medium/{picture}"], path=f"{PICTURES}/{picture}")
        for picture in pictures
        if f"medium/{picture}" in there
    ]


def _picture(story: str, page: int) -> str:
    # The first picture is that of the cover.
    return f"{story}/{page + 1:02}.jpg"


STORYBOOKS_SOURCE = Source(
    name="storybooks",
    title="Pages of African picture books in up to six languages, with a picture each, linked",
    views=(*LANGUAGES, PICTURES),
    linked=True,
    homepage="https://global-asp.github.io",
    licence="CC BY (only stories under it are used; authors are named in the metadata)",
    citation="Global African Storybook Project: global-asp/global-asp, global-asp/asp-source and "
    "global-asp/asp-imagebank, after the African Storybook Initiative, africanstorybook.org",
    build=build_storybooks,
    repositories={_TRANSLATIONS: "b0193c31edc6", _ORIGINALS: None, _IMAGES: "a56e6dbe7aee"},
    listings=(_list_stories, _list_pictures),
    notes="Thousands of small files. The Chinese view needs octis-m3l[chinese]. The data set "
    "refers to the fetched pictures: keep them where they are.",
)
