"""The published list of tuples: two titles and the address of a picture in each row."""

import csv
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from octis_m3l.errors import DataError, StorageError

REPOSITORY = "ezosa/M3L-topic-model"
COMMIT = "b16be9269dc8322eb06cefbbb23073a28be488dc"
LANGUAGES = ("en", "de")
PARTITIONS = ("train", "test")


@dataclass(frozen=True)
class WikipediaEndpoints:
    """Where to ask; other values for mirrors."""

    api: str = "https://{language}.wikipedia.org/w/api.php"
    titles: str = f"https://raw.githubusercontent.com/{REPOSITORY}/{COMMIT}/data"
    pictures: str = "https://upload.wikimedia.org"


@dataclass(frozen=True)
class Published:
    """One row of the published lists."""

    partition: str
    titles: dict[str, str]
    pictures: tuple[str, ...]


def titles_file(folder: Path, partition: str) -> Path:
    """Return where a list of tuples is kept."""
    return folder / f"{partition}-titles.csv"


def read_titles(folder: Path, limit: int | None = None) -> list[Published]:
    """Return the published tuples, training tuples first."""
    return [
        row
        for partition in PARTITIONS
        for number, row in enumerate(_rows(titles_file(folder, partition), partition))
        if limit is None or number < limit
    ]


def _rows(path: Path, partition: str) -> Iterator[Published]:
    columns = {language: f"{language}_title" for language in LANGUAGES}
    wanted = sorted([*columns.values(), "image_url"])
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines, strict=True)
            if sorted(rows.fieldnames or ()) != wanted:
                raise DataError(
                    f"{path} has the columns {', '.join(rows.fieldnames or ()) or 'none'}; "
                    f"expected {', '.join(wanted)}. Delete it and fetch again."
                )
            for row in rows:
                # csv puts None for cells that are missing, and under None what is too much.
                if None in row or None in row.values():
                    raise DataError(
                        f"{path}, line {rows.line_num}: expected {len(wanted)} cells. Delete the "
                        "file and fetch again."
                    )
                titles = {
                    language: unicodedata.normalize("NFC", row[column].strip())
                    for language, column in columns.items()
                }
                yield Published(partition, titles, tuple(row["image_url"].split()))
    except FileNotFoundError:
        raise StorageError(
            f"{path} is missing: fetch the data first, with fetch_wikipedia_m3l."
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path} is no CSV in UTF-8 ({error}); delete it and fetch again."
        ) from None
