"""Bible passages in six languages: documents aligned by their numbering."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from octis_m3l import data
from octis_m3l.errors import DataError
from octis_m3l.files import damage_errors, read_json
from octis_m3l.sources.source import (
    RemoteFile,
    Source,
    chosen_views,
    drawn_partitions,
    preprocessors,
)

TRANSLATIONS = {
    "en": ("ASV", "American Standard Version, 1901"),
    "de": ("GerElb1905", "Elberfelder, 1905"),
    "es": ("SpaRV", "Reina-Valera, 1909"),
    "nl": ("DutSVV", "Statenvertaling"),
    "cs": ("CzeBKR", "Bible kralická"),
    "zh": ("ChiUn", "Chinese Union Version, traditional characters"),
}
_GROUPS = {
    "Law": "Genesis, Exodus, Leviticus, Numbers, Deuteronomy",
    "History": (
        "Joshua, Judges, Ruth, I Samuel, II Samuel, I Kings, II Kings, I Chronicles, "
        "II Chronicles, Ezra, Nehemiah, Esther"
    ),
    "Wisdom/Poetry": "Job, Psalms, Proverbs, Ecclesiastes, Song of Solomon",
    "Major Prophets": "Isaiah, Jeremiah, Lamentations, Ezekiel, Daniel",
    "Minor Prophets": (
        "Hosea, Joel, Amos, Obadiah, Jonah, Micah, Nahum, Habakkuk, Zephaniah, Haggai, "
        "Zechariah, Malachi"
    ),
    "Gospels": "Matthew, Mark, Luke, John",
    "Acts": "Acts",
    "Pauline Epistles": (
        "Romans, I Corinthians, II Corinthians, Galatians, Ephesians, Philippians, Colossians, "
        "I Thessalonians, II Thessalonians, I Timothy, II Timothy, Titus, Philemon"
    ),
    "General Epistles": "Hebrews, James, I Peter, II Peter, I John, II John, III John, Jude",
    "Revelation": "Revelation of John",
}
BOOKS = {book: group for group, books in _GROUPS.items() for book in books.split(", ")}
"""The group of each book, in the order of the books."""
VERSES = 5
SEED = 7
_REPOSITORY, _COMMIT = "scrollmapper/bible_databases", "a228a19a29099a41c196c2a310cd93e50a390e30"
# Of the 6,155 passages of the six translations; other numbers have the same shares.
_ALL, _TEST, _VALIDATION = 6155, 1000, 500

Verses = list[tuple[int, str]]
Chapters = dict[tuple[str, int], Verses]


def build_bible_passages(
    raw: Path, *, views: Sequence[str] | None = None, vocabulary_size: int | None = 2000
) -> "data.MultiviewDataset":
    """Return passages of about five verses, labelled with the group of their book.

    Only chapters whose verses have the same numbers in all six translations are used, whichever
    views are chosen, so that the passages and their partitions do not depend on the choice.
    """
    read = {
        language: read_translation(raw / f"{name}.json")
        for language, (name, _) in TRANSLATIONS.items()
    }
    places = list(_passages(read))
    if not places:
        raise DataError(f"{raw}: no chapter has the same verses in all translations.")
    languages = chosen_views(views, tuple(TRANSLATIONS))
    return data.from_lists(
        {
            language: [
                _text(read[language][book, chapter], verses, language)
                for book, chapter, verses in places
            ]
            for language in languages
        },
        partition=passage_partition(len(places)),
        labels=[BOOKS[book] for book, _, _ in places],
        preprocessing=preprocessors(languages, vocabulary_size),
        metadata={
            "translations": {language: TRANSLATIONS[language][1] for language in languages},
            "partition": f"drawn with seed {SEED} among the passages in the order of the books",
        },
    )


def passage_ranges(count: int) -> list[range]:
    """Return the verses of each passage of a chapter, counted from 0.

    Five verses make a passage; one or two that are left over join the last one.
    """
    starts = list(range(0, count, VERSES))
    if len(starts) > 1 and count - starts[-1] <= VERSES // 2:
        starts.pop()
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], count], strict=True)]


def passage_partition(count: int) -> list[str]:
    """Return the partition of each passage, in the order of the books."""
    test, validation = (round(count * part / _ALL) for part in (_TEST, _VALIDATION))
    drawn = drawn_partitions(range(count), test, validation, SEED)
    return [drawn[passage] for passage in range(count)]


def read_translation(path: Path) -> Chapters:
    """Return the verses of each chapter of a translation, with their numbers."""
    chapters: Chapters = {}
    with damage_errors(path, "fetch it again: octis-m3l datasets fetch bible-passages --again"):
        for book in read_json(path)["books"]:
            for chapter in book["chapters"]:
                chapters[str(book["name"]), int(chapter["chapter"])] = [
                    (int(verse["verse"]), " ".join(str(verse["text"]).split()))
                    for verse in chapter["verses"]
                ]
    return chapters


def _passages(read: Mapping[str, Chapters]) -> Iterator[tuple[str, int, range]]:
    order = {book: number for number, book in enumerate(BOOKS)}
    places = [place for place in next(iter(read.values())) if place[0] in BOOKS]
    for book, chapter in sorted(places, key=lambda place: (order[place[0]], place[1])):
        numberings = {
            tuple(number for number, _ in chapters.get((book, chapter), ()))
            for chapters in read.values()
        }
        if len(numberings) == 1:
            for verses in passage_ranges(len(numberings.pop())):
                yield book, chapter, verses


def _text(verses: Verses, rows: range, language: str) -> str:
    text = " ".join(verses[row][1] for row in rows if verses[row][1])
    # Spaces stand between some Chinese words and not between others; jieba finds them itself.
    return text.replace(" ", "") if language == "zh" else text


BIBLE_SOURCE = Source(
    name="bible-passages",
    title="Bible passages of about five verses in six languages, all linked; ten groups of books",
    views=tuple(TRANSLATIONS),
    linked=True,
    homepage="https://github.com/scrollmapper/bible_databases",
    licence="Public Domain",
    citation="scrollmapper/bible_databases: SWORD modules "
    + ", ".join(f"{name} ({what})" for name, what in TRANSLATIONS.values()),
    build=build_bible_passages,
    size=50_000_000,
    notes="The Chinese view needs octis-m3l[chinese].",
    repositories={_REPOSITORY: _COMMIT},
    files=tuple(
        RemoteFile(f"{name}.json", _REPOSITORY, f"formats/json/{name}.json")
        for name, _ in TRANSLATIONS.values()
    ),
)
