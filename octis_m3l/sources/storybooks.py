"""Picture books: pages in six languages, most of them missing some, and a picture for each."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octis_m3l.errors import DataError
from octis_m3l.sources.choices import chosen_views
from octis_m3l.sources.source import Entry, RemoteFile, Repository, Source
from octis_m3l.sources.splits import drawn_partition
from octis_m3l.sources.story_files import read_stories

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

LANGUAGES = ("en", "fr", "pt", "de", "es", "zh")
PICTURES = "pictures"
LICENCE = "CC-BY"
_TRANSLATIONS = Repository("global-asp/global-asp", "b0193c31edc6")
_ORIGINALS = Repository("global-asp/asp-source")
_IMAGES = Repository("global-asp/asp-imagebank", "a56e6dbe7aee")
_STORY = re.compile(r"([a-z]{2,3})/(\d{4})_[^/]*\.md")
_STORY_SEED, _PAGE_SEED = 7, 11
_TEST, _VALIDATION = 0.15, 0.10


def list_stories(trees: Mapping[str, Sequence[Entry]], raw: Path) -> list[RemoteFile]:
    """Return the text files to fetch: of each story and language one."""
    found: dict[str, RemoteFile] = {}
    for repository in (_TRANSLATIONS.name, _ORIGINALS.name):
        for entry in trees[repository]:
            match = _STORY.fullmatch(entry.path)
            if match and match[1] in LANGUAGES:
                path = f"texts/{match[1]}/{match[2]}.md"
                found.setdefault(path, _remote(path, repository, entry))
    return [found[path] for path in sorted(found)]


def list_pictures(trees: Mapping[str, Sequence[Entry]], raw: Path) -> list[RemoteFile]:
    """Return the pictures to fetch: of the pages of stories that will be used."""
    there = {entry.path: entry for entry in trees[_IMAGES.name]}
    stories, _ = read_stories(raw / "texts", LANGUAGES, LICENCE)
    files = []
    for number, story in stories.items():
        for page in range(1, len(story[LANGUAGES[0]].pages) + 1):
            entry = there.get(f"medium/{_picture(number, page)}")
            if entry is not None:
                files.append(_remote(f"{PICTURES}/{_picture(number, page)}", _IMAGES.name, entry))
    return files


def build_storybooks(
    raw: Path, *, views: Sequence[str] | None = None, vocabulary_size: int | None = 2000
) -> "MultiviewDataset":
    """Return the pages that have an English text and a picture, labelled with their story.

    The partition keeps stories together; a further one, ``pages``, draws pages of all stories.
    """
    chosen = chosen_views(views, (*LANGUAGES, PICTURES))
    stories, left_out = read_stories(raw / "texts", LANGUAGES, LICENCE)
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
    languages = [name for name in chosen if name != PICTURES]
    texts: dict[str, list[Any]] = {
        language: [
            (stories[number][language].pages[page - 1] or None)
            if language in stories[number]
            else None
            for number, page in pages
        ]
        for language in languages
    }
    pictures = [raw / PICTURES / _picture(number, page) for number, page in pages]
    from octis_m3l.data.build import from_lists
    from octis_m3l.data.text import TextPreprocessor

    return from_lists(
        texts,
        images={PICTURES: pictures} if PICTURES in chosen else None,
        partition=[of_story[number] for number, _ in pages],
        other_partitions={"pages": [of_page[place] for place in pages]},
        labels=[number for number, _ in pages],
        preprocessing={
            language: TextPreprocessor(language=language, vocabulary_size=vocabulary_size)
            for language in languages
        },
        metadata={
            "stories": {
                number: {
                    "title": story[LANGUAGES[0]].title,
                    "author": story[LANGUAGES[0]].author,
                    "illustrator": story[LANGUAGES[0]].illustrator,
                    "translators": {
                        language: told.translator
                        for language, told in story.items()
                        if told.translator
                    },
                }
                for number, story in stories.items()
            },
            "partition": f"by story, drawn with seed {_STORY_SEED}; pages: seed {_PAGE_SEED}",
            "left_out": left_out,
        },
    )


def story_partitions(
    pages: Sequence[tuple[str, int]],
) -> tuple[dict[str, str], dict[tuple[str, int], str], list[tuple[str, int]]]:
    """Return the partition of each story, that of each page, and the pages in their order."""
    shares = {"test": _TEST, "validation": _VALIDATION}
    of_story = drawn_partition(sorted({number for number, _ in pages}), _STORY_SEED, **shares)
    from octis_m3l.data.views import PARTITIONS

    ordered = sorted(pages, key=lambda page: (PARTITIONS.index(of_story[page[0]]), page))
    return of_story, drawn_partition(ordered, _PAGE_SEED, **shares), ordered


def _picture(story: str, page: int) -> str:
    # The first picture is the cover's.
    return f"{story}/{page + 1:02}.jpg"


def _remote(path: str, repository: str, entry: Entry) -> RemoteFile:
    return RemoteFile(path, repository, entry.path, size=entry.size, blob=entry.blob)


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
    repositories=(_TRANSLATIONS, _ORIGINALS, _IMAGES),
    listings=(list_stories, list_pictures),
    notes="Thousands of small files. The Chinese view needs octis-m3l[chinese]. The data set "
    "refers to the fetched pictures: keep them where they are.",
)
