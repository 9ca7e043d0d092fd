"""Stories of the African Storybook project, as Markdown: a title, pages, and who made it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from octis_m3l.errors import DataError

_PAGE = re.compile(r"^##\s*$", re.MULTILINE)
_FACT = re.compile(r"^\*\s*([A-Za-z]+)\s*:\s*(.*?)\s*$", re.MULTILINE)
_NO_TEXT = "%None%"


@dataclass(frozen=True)
class Story:
    """A story in one language."""

    title: str
    pages: tuple[str, ...]
    licence: str
    author: str
    illustrator: str
    translator: str


def parse_story(text: str) -> Story:
    """Return a story."""
    cover, *pages = _PAGE.split(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    title = cover.strip().partition("\n")[0].lstrip("#").strip()
    facts = dict(_FACT.findall(pages[-1])) if pages else {}
    licence = facts.get("License", "").strip("[] ")
    if not title or len(pages) < 2 or not licence:
        raise DataError(
            "expected a title after '#', pages that begin with a line of '##', and a last section "
            "with the licence."
        )
    return Story(
        title=title,
        pages=tuple(_page_text(page) for page in pages[:-1]),
        licence=licence,
        author=facts.get("Text", ""),
        illustrator=facts.get("Illustration", ""),
        translator=facts.get("Translation", ""),
    )


def read_stories(
    folder: Path, languages: Sequence[str], licence: str
) -> tuple[dict[str, dict[str, Story]], dict[str, str]]:
    """Return the stories that have a translation, by number and language, and what was left out.

    A story is taken if it is there in the first language and in a further one, page by page, all
    under the licence.
    """
    left_out: dict[str, str] = {}
    stories: dict[str, dict[str, Story]] = {}
    for language in languages:
        for path in sorted((folder / language).glob("*.md")):
            name = f"{language}/{path.name}"
            reason = None
            try:
                story = parse_story(path.read_text(encoding="utf-8"))
            except (DataError, UnicodeError) as error:
                left_out[name] = f"can't be read as a story: {error}"
                continue
            original = stories.get(path.stem, {}).get(languages[0])
            if story.licence != licence:
                reason = f"its licence is {story.licence}"
            elif language != languages[0]:
                reason = _misfit(story, original)
            if reason is not None:
                left_out[name] = reason
            else:
                stories.setdefault(path.stem, {})[language] = story
    for number in [number for number, of_story in stories.items() if len(of_story) < 2]:
        left_out[f"{languages[0]}/{number}.md"] = "there is no translation of it"
        del stories[number]
    return dict(sorted(stories.items())), left_out


def _misfit(story: Story, original: Story | None) -> str | None:
    if original is None:
        return "there is no original that can be used"
    if len(story.pages) != len(original.pages):
        return f"it has {len(story.pages)} pages, and the original {len(original.pages)}"
    return None


def _page_text(page: str) -> str:
    text = " ".join(page.split())
    return "" if text == _NO_TEXT else text
