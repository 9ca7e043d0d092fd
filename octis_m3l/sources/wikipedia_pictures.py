"""Pictures from Wikimedia's server: thumbnails where there are any, opened before they are kept."""

import hashlib
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from PIL import Image

from octis_m3l.data.pictures import fault_of
from octis_m3l.errors import SettingsError, suggest
from octis_m3l.sources.fetching import Fetcher
from octis_m3l.sources.fetching_answers import shown
from octis_m3l.sources.fetching_errors import FetchError
from octis_m3l.sources.wikipedia_store import PICTURES, WikipediaStore

DELETED, UNREADABLE, IMPOSSIBLE = "deleted", "can't be opened", "no address"
_PAGE = "a web page came, where a picture was expected"

# The only widths that Wikimedia's server makes.
WIDTHS = (20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840)

_ADDRESS = re.compile(
    r"https?://upload\.wikimedia\.org"
    r"(?P<wiki>/wikipedia/[\w-]+)(?P<place>/[0-9a-f]/[0-9a-f]{2}/(?P<name>[^/?#]+))"
)
_HOST = re.compile(r"https?://upload\.wikimedia\.org(?=/)")
_PREFIXES = {"tif": "lossy-page1-", "tiff": "lossy-page1-", "pdf": "page1-", "djvu": "page1-"}
_SUFFIXES = {
    "svg": ".png",
    "webp": ".png",
    "xcf": ".png",
    "tif": ".jpg",
    "tiff": ".jpg",
    "pdf": ".jpg",
    "djvu": ".jpg",
}
# Bytes of a name from which on the server calls thumbnails by a short one.
_LONG_NAME = 160
_HTML = re.compile(rb"(?i)\s*(<!--.*?-->\s*)*<(!doctype\s+html|html)")
_NOT_THERE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}


def thumbnail(address: str, width: int) -> str | None:
    """Return the address of a picture made smaller; None where the address does not allow it."""
    found = _ADDRESS.fullmatch(address)
    if not found:
        return None
    name = found["name"]
    ending = name.rpartition(".")[2].lower()
    short = len(unquote(name).encode()) > _LONG_NAME
    shown_name = f"thumbnail.{name.rpartition('.')[2]}" if short else name
    file = f"{_PREFIXES.get(ending, '')}{width}px-{shown_name}{_SUFFIXES.get(ending, '')}"
    return f"https://upload.wikimedia.org{found['wiki']}/thumb{found['place']}/{file}"


def description_page(address: str) -> str | None:
    """Return the page that says a picture's licence and author."""
    found = _ADDRESS.fullmatch(address)
    if not found:
        return None
    wiki = found["wiki"].rpartition("/")[2]
    host = "commons.wikimedia.org" if wiki == "commons" else f"{wiki}.wikipedia.org"
    return f"https://{host}/wiki/File:{found['name']}"


class PictureServer:
    """Fetches pictures into a store."""

    def __init__(self, base: str, width: int, fetcher: Fetcher, store: WikipediaStore) -> None:
        if width not in WIDTHS:
            raise SettingsError(
                f"width={width}: Wikimedia makes no thumbnails of it."
                f"{suggest(str(width), [str(known) for known in WIDTHS])}"
            )
        self._base, self._width = base.rstrip("/"), width
        self._fetcher, self._store = fetcher, store

    def fetch(self, address: str) -> None:
        """Fetch one picture, or write down why there is none.

        The original is asked for where there is no thumbnail, as of a picture that is not as wide,
        and where it is no picture; not where the server can't or won't answer now.
        """
        small = thumbnail(address, self._width)
        reasons = []
        for url in [small, address] if small else [address]:
            reason = self._take(address, _HOST.sub(self._base, url))
            if not reason:
                self._clear(address)
                return
            reasons.append(reason)
        if _PAGE in reasons and reasons[-1] != DELETED:
            raise FetchError(f"{shown(address)}: {_PAGE}.", passing=True)
        self._clear(address)
        self._store.give_up(PICTURES, address, reasons[-1])

    def _clear(self, address: str) -> None:
        stem = self._store.stem(PICTURES, address)
        for left in stem.parent.glob(f"{stem.name}-*.new*"):
            left.unlink()

    def _take(self, address: str, url: str) -> str:
        """Fetch, open and keep what is at one address; return why not, or nothing."""
        if not _is_address(url):
            return IMPOSSIBLE
        stem = self._store.stem(PICTURES, address)
        # Of the address, so that a thumbnail that was broken off is not gone on with as original.
        mark = hashlib.sha256(url.encode()).hexdigest()[:8]
        fresh = stem.with_name(f"{stem.name}-{mark}.new")
        try:
            self._fetcher.download(url, fresh)
        except FetchError as error:
            if error.status in _NOT_THERE:
                return DELETED
            if error.status == HTTPStatus.BAD_REQUEST:
                return UNREADABLE
            raise
        if fault_of(fresh):
            reason = _PAGE if _is_page(fresh) else UNREADABLE
            fresh.unlink()
            return reason
        with Image.open(fresh) as image:
            kind, size = str(image.format).lower(), list(image.size)
        final = stem.with_suffix(f".{'jpg' if kind in ('jpeg', 'mpo') else kind}")
        content: dict[str, Any] = {
            "file": final.name,
            "bytes": fresh.stat().st_size,
            "sha256": hashlib.sha256(fresh.read_bytes()).hexdigest(),
            "size": size,
            "width": self._width,
            "from": shown(url),
        }
        fresh.replace(final)
        self._store.keep(PICTURES, address, content)
        return ""


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # A port that is none raises too.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_page(path: Path) -> bool:
    with path.open("rb") as stream:
        return _HTML.match(stream.read(1000)) is not None
