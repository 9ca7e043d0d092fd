"""The published list of Wikipedia tuples, and what has been fetched of them."""

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from octis_m3l.errors import DataError, StorageError
from octis_m3l.files import read_json, sha256, write_json

REPOSITORY = "ezosa/M3L-topic-model"
COMMIT = "b16be9269dc8322eb06cefbbb23073a28be488dc"
LANGUAGES = ("en", "de")
PARTITIONS = ("train", "test")
PICTURES = "pictures"


@dataclass(frozen=True)
class WikipediaEndpoints:
    """Where articles, titles and pictures are asked for.

    Parameters
    ----------
    api : str
        MediaWiki's API, with ``{language}`` for the code of the language.
    titles : str
        The folder of the published lists of titles.
    pictures : str
        Wikimedia's server of pictures.
    """

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
    """Return where a list of titles is stored."""
    return folder / f"{partition}-titles.csv"


def read_titles(folder: Path, limit: int | None = None) -> list[Published]:
    """Return the published tuples, training tuples first; with a limit, the first of each list."""
    return [
        row
        for partition in PARTITIONS
        for row in list(_rows(titles_file(folder, partition), partition))[:limit]
    ]


def _rows(path: Path, partition: str) -> Iterator[Published]:
    from octis_m3l.data.records import read_table

    if not path.is_file():
        raise StorageError(f"{path} is missing: fetch the data first, with fetch_wikipedia_m3l.")
    table = read_table(path, delimiter=",", encoding="utf-8-sig").fillna("")
    wanted = [*sorted(f"{language}_title" for language in LANGUAGES), "image_url"]
    if sorted(table.columns) != wanted:
        raise DataError(
            f"{path} has the columns {', '.join(table.columns)}; expected {', '.join(wanted)}. "
            "Delete it and fetch again."
        )
    for row in table.to_dict("records"):
        titles = {
            language: unicodedata.normalize("NFC", row[f"{language}_title"].strip())
            for language in LANGUAGES
        }
        yield Published(partition, titles, tuple(row["image_url"].split()))


def articles_of(language: str) -> str:
    """Return the kind of a language's articles."""
    return f"articles/{language}"


class WikipediaStore:
    """What has been fetched, by kind and name: one JSON file each, a picture beside its own.

    A record is in ``<kind>/<2 digits>/<hash of the name>.json``; it says what came, or under
    ``gone`` why there is nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, kind: str, name: str, suffix: str = ".json") -> Path:
        """Return the path of a record, or of a file beside it."""
        digits = hashlib.sha256(name.encode()).hexdigest()[:32]
        return self._folder / kind / digits[:2] / f"{digits}{suffix}"

    def read(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return a record; None if it is missing or damaged, or its picture is."""
        try:
            record = read_json(self.path(kind, name))
        except StorageError:
            return None
        if record.get("asked") != name:
            return None
        if "file" in record:
            picture = self.picture_path(name, record)
            if not picture.is_file() or sha256(picture) != record.get("sha256"):
                return None
        return record

    def picture_path(self, name: str, record: Mapping[str, Any]) -> Path:
        """Return where the picture of a record is."""
        return self.path(PICTURES, name).with_name(str(record["file"]))

    def write(self, kind: str, name: str, content: Mapping[str, Any]) -> None:
        """Write what came, or why nothing came."""
        write_json(self.path(kind, name), {"asked": name, **content, "retrieved": _today()})


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
