"""The data set of the articles and pictures that came."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octis_m3l.errors import DataError, SettingsError
from octis_m3l.sources.wikipedia_pictures import description_page
from octis_m3l.sources.wikipedia_report import reported
from octis_m3l.sources.wikipedia_store import PICTURES, WikipediaStore, articles_of
from octis_m3l.sources.wikipedia_titles import LANGUAGES, Published, read_titles

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

TITLE = "Wikipedia articles in English and German with pictures, of the M3L-Contrast paper"
HOMEPAGE = "https://github.com/ezosa/M3L-topic-model"
LICENCE = (
    "articles CC BY-SA 4.0, by the authors that each article's history names; pictures each under "
    "its own licence, which its page on Wikimedia Commons says"
)
CITATION = (
    "Zosa & Pivovarova: Multilingual and Multimodal Topic Modelling with Pretrained Embeddings. "
    "COLING 2022, pages 4037–4048"
)
NOTES = (
    "Rebuilt from the published titles: articles are as Wikipedia has them on the day of "
    "retrieval, not those that the paper used, and the stop words are stopwordsiso's where the "
    "paper has NLTK's. Articles of fewer than ten known words, which the authors' code drops "
    "with their tuples, are kept. Tuples of the published training list that share an article "
    "or a picture (its address or its content) with a tuple of the test list are left out of "
    "training. Validation tuples are "
    "those of the training list whose SHA-256 of the English title, a tab and the German title "
    "(of tuples that share an item: the first of them in order of code points), as a number, is "
    "below the given share of the largest."
)


@dataclass(frozen=True)
class _Tuple:
    published: Published
    articles: dict[str, dict[str, Any]]
    pictures: dict[str, Path]
    contents: tuple[str, ...]
    days: frozenset[str]

    def keys(self) -> list[tuple[str, object]]:
        pages = [(language, article["page"]) for language, article in self.articles.items()]
        addresses = [(PICTURES, address) for address in self.pictures]
        # One picture may have been published under several addresses.
        return [*pages, *addresses, *(("contents", content) for content in self.contents)]

    def name(self) -> str:
        return "\t".join(self.published.titles[language] for language in LANGUAGES)


def build_wikipedia_m3l(
    folder: str | Path,
    *,
    validation: float = 0.05,
    words: int | None = 200,
    vocabulary_size: int | None = 2000,
    complete: bool = False,
) -> "MultiviewDataset":
    """Build the data set of Zosa & Pivovarova (COLING 2022) from what was fetched."""
    _check(validation, words)
    folder = Path(folder).resolve()
    tuples = [t for t in _fetched(folder, words) if _is_wanted(t, complete)]
    parts = _components([t.keys() for t in tuples])
    marks = _marks(tuples, parts, validation)
    kept = [number for number, mark in enumerate(marks) if mark]
    tuples = [tuples[number] for number in kept]
    if not any(t.published.partition == "train" for t in tuples):
        raise DataError(
            f"{folder} has no training tuple whose articles or picture came: fetch more with "
            "fetch_wikipedia_m3l (its report says what is missing)."
        )
    names = [name for name in LANGUAGES if any(name in t.articles for t in tuples)]
    from octis_m3l.data.build import from_lists
    from octis_m3l.data.text import TextPreprocessor

    return from_lists(
        {name: [t.articles.get(name, {}).get("text") for t in tuples] for name in names},
        images={PICTURES: _pictures(tuples)} if any(t.pictures for t in tuples) else None,
        partition=[marks[number] for number in kept],
        group=[parts[number] for number in kept],
        languages={name: name for name in names},
        preprocessing={
            name: TextPreprocessor(
                language=name, vocabulary_size=vocabulary_size, min_word_length=3
            )
            for name in names
        },
        metadata=_metadata(folder, tuples, len(marks) - len(kept), words, validation),
    )


def _check(validation: float, words: int | None) -> None:
    if not 0 <= validation < 1:
        raise SettingsError(
            f"validation={validation}: expected a share, at least 0 and less than 1."
        )
    if words is not None and words < 1:
        raise SettingsError(f"words={words}: expected 1 or more, or None for whole articles.")


def _fetched(folder: Path, words: int | None) -> list[_Tuple]:
    store = WikipediaStore(folder)
    result = []
    for published in reported(folder, read_titles(folder)):
        articles = {}
        for language, title in published.titles.items():
            record = store.read(articles_of(language), title)
            if record is not None and "text" in record:
                articles[language] = {**record, "text": _beginning(record["text"], words)}
        came = {address: store.picture_record(address) for address in published.pictures}
        records = {address: record for address, record in came.items() if record is not None}
        pictures = {address: store.place_of(address, r) for address, r in records.items()}
        contents = tuple(str(record.get("sha256", "")) for record in records.values())
        days = {str(record["retrieved"]) for record in (*articles.values(), *records.values())}
        result.append(_Tuple(published, articles, pictures, contents, frozenset(days)))
    return result


def _is_wanted(candidate: _Tuple, complete: bool) -> bool:
    if complete:
        return len(candidate.articles) == len(LANGUAGES) and bool(candidate.pictures)
    return bool(candidate.articles or candidate.pictures)


def _components(keys: Sequence[Sequence[tuple[str, object]]]) -> list[int]:
    """Return for each tuple the first one that it shares an item with, directly or not."""
    parent = list(range(len(keys)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    owners: dict[tuple[str, object], int] = {}
    for number, own in enumerate(keys):
        for key in own:
            first, second = sorted((root(number), root(owners.setdefault(key, number))))
            parent[second] = first
    return [root(number) for number in range(len(keys))]


def _marks(tuples: Sequence[_Tuple], parts: Sequence[int], validation: float) -> list[str]:
    """Return each tuple's partition; nothing for training tuples that a test tuple shares with."""
    tested = {
        part for t, part in zip(tuples, parts, strict=True) if t.published.partition == "test"
    }
    names: dict[int, str] = {}
    for t, part in zip(tuples, parts, strict=True):
        names[part] = min(names.get(part, t.name()), t.name())
    marks = []
    for t, part in zip(tuples, parts, strict=True):
        if part in tested:
            marks.append("test" if t.published.partition == "test" else "")
        else:
            marks.append("validation" if _share(names[part]) < validation else "train")
    return marks


def _share(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()) / 2**256


def _beginning(text: str, words: int | None) -> str:
    return text if words is None else " ".join(text.split()[:words])


def _pictures(tuples: Sequence[_Tuple]) -> list[Any]:
    cells = [list(t.pictures.values()) for t in tuples]
    if any(len(cell) > 1 for cell in cells):
        return cells
    return [cell[0] if cell else None for cell in cells]


def _metadata(
    folder: Path,
    tuples: Sequence[_Tuple],
    left_out: int,
    words: int | None,
    validation: float,
) -> dict[str, Any]:
    days = sorted({day for t in tuples for day in t.days})
    return {
        "name": "wikipedia-m3l",
        "title": TITLE,
        "homepage": HOMEPAGE,
        "license": LICENCE,
        "citation": CITATION,
        "notes": NOTES,
        "retrieved": {"first": days[0], "last": days[-1]},
        "words": words,
        "validation": validation,
        "training_tuples_left_out": left_out,
        "records": [
            {
                "articles": {
                    language: {"title": article["title"], "revision": article["revision"]}
                    for language, article in t.articles.items()
                },
                "pictures": [description_page(address) or address for address in t.pictures],
            }
            for t in tuples
        ],
    }
