"""What came from Wikipedia, on disk: one record for each article and picture, written whole."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from octis_m3l.errors import StorageError
from octis_m3l.files import read_json, sha256, write_json

PICTURES = "pictures"


def articles_of(language: str) -> str:
    """Return the kind of a language's articles."""
    return f"articles/{language}"


def today() -> str:
    """Return the date, in UTC."""
    return datetime.now(UTC).date().isoformat()


class WikipediaStore:
    """Records by kind and name: what was asked for, and what came or why nothing came.

    A record is in ``<kind>/<2 digits>/<hash of the name>.json``, so names may be of any length and
    have any letters; a picture lies beside its record, which is written after it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def stem(self, kind: str, name: str) -> Path:
        """Return the path of a record without its ending."""
        digits = hashlib.sha256(name.encode()).hexdigest()[:32]
        return self.folder / kind / digits[:2] / digits

    def read(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return a record; None where there is none, or its picture isn't there as it came."""
        path = self._record(kind, name)
        try:
            record = read_json(path)
        except StorageError:
            return None
        if record.get("asked") != name:
            return None
        if "file" in record:
            picture = path.with_name(str(record["file"]))
            if not picture.is_file() or picture.stat().st_size != record.get("bytes"):
                return None
            if record.get("sha256", found := sha256(picture)) != found:
                return None
            record["sha256"] = found
        return record

    def picture(self, name: str) -> Path | None:
        """Return where a picture is, if it came."""
        record = self.picture_record(name)
        return None if record is None else self.place_of(name, record)

    def picture_record(self, name: str) -> dict[str, Any] | None:
        """Return the record of a picture, if it came; its ``sha256`` is in hexadecimal."""
        record = self.read(PICTURES, name)
        return record if record is not None and "file" in record else None

    def place_of(self, name: str, record: Mapping[str, Any]) -> Path:
        """Return where a picture is."""
        return self._record(PICTURES, name).with_name(str(record["file"]))

    def keep(self, kind: str, name: str, content: Mapping[str, Any]) -> None:
        """Write what came."""
        about = {"asked": name, **content, "retrieved": today()}
        write_json(self._record(kind, name), about)

    def give_up(self, kind: str, name: str, reason: str, **more: str) -> None:
        """Write down that there is nothing to be had."""
        self.keep(kind, name, {"gone": reason, **more})

    def _record(self, kind: str, name: str) -> Path:
        return self.stem(kind, name).with_suffix(".json")
