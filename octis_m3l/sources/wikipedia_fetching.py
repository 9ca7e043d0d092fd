"""The Wikipedia data of M3L-Contrast, fetched: articles, pictures, and where they are kept."""

import hashlib
import json
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, unquote

from pydantic import Field
from tqdm.auto import tqdm

from octis_m3l.errors import SettingsError, StorageError
from octis_m3l.files import damage_errors, read_json, sha256, write_json, written_whole
from octis_m3l.sources.download import CONTACT, Fetcher, FetchError, shown

LANGUAGES = ("en", "de")
PARTITIONS = ("train", "test")
PICTURES = "pictures"
TITLES, REPORT, NOT_THERE = "{}-titles.csv", "report.json", "not-there.jsonl"
API = "https://{}.wikipedia.org/w/api.php"
MISSING, INVALID, DISAMBIGUATION = "missing", "impossible title", "disambiguation page"
NO_TEXT, NO_ARTICLE = "no text", "no article"
DELETED, UNREADABLE, NO_ADDRESS = "deleted", "can't be opened", "no address"

# What MediaWiki's API takes at once, and what servers take as an address.
_MOST_TITLES, _LONGEST_QUERY, _MOST_CONTINUATIONS = 50, 4000, 500
_LAG = 5
_BUSY = re.compile(r"maxlag|ratelimited|readonly|internal_api_error_\w+")
_IMPOSSIBLE = re.compile(r"[|#<>\[\]{}\x00-\x1f\x7f\ufffd]")
_INITIAL = re.compile(r"(?<![\w'’])[^\W\d_]")
_MOST_FAILURES_IN_A_ROW = 10

# One of the widths of thumbnails that Wikimedia's server makes.
_WIDTH = 500
_ADDRESS = re.compile(r"https?://[\w.-]+(:\d+)?/.*")
_PICTURE = re.compile(
    r"https?://upload\.wikimedia\.org"
    r"(?P<wiki>/wikipedia/[\w-]+)(?P<place>/[0-9a-f]/[0-9a-f]{2}/(?P<name>[^/?#]+))"
)
_PREFIXES = {"tif": "lossy-page1-", "tiff": "lossy-page1-", "pdf": "page1-", "djvu": "page1-"}
_SUFFIXES = {"svg": ".png", "webp": ".png", "xcf": ".png"} | dict.fromkeys(_PREFIXES, ".jpg")
# Names of more bytes are replaced by a short one in the addresses of thumbnails.
_LONG_NAME = 160


def fetch_wikipedia_m3l(
    folder: Path,
    fetcher: Fetcher,
    *,
    limit: Annotated[int, Field(ge=1)] | None = None,
    retry_gone: bool = False,
    accept_failed: bool = False,
    progress: bool,
) -> dict[str, Any]:
    """Fetch the articles and pictures of the published tuples, or what is missing of them.

    `folder` has the lists of titles. Each item is stored as soon as it has come, so that the same
    call continues an interrupted one. All of it is some 37,000 articles, one a request, and 18,000
    pictures: a night's work at two requests a second to each server.

    Returns
    -------
    dict
        How many items came, do not exist, or failed; ``not-there.jsonl`` lists them.
    """
    if not fetcher.names_contact:
        raise SettingsError(
            f"Wikimedia asks programs to name a contact: set {CONTACT} to your e-mail address (it "
            "is sent to its servers), or pass fetcher=Fetcher(contact=...)."
        )
    store, failures = Store(folder), _Failures()
    tuples = read_titles(folder, limit)
    wanted = {language: dict.fromkeys(t.titles[language] for t in tuples) for language in LANGUAGES}
    wanted[PICTURES] = dict.fromkeys(address for t in tuples for address in t.addresses)
    missing: dict[str, list[str]] = {kind: [] for kind in wanted}
    for kind, names in wanted.items():
        for name in names:
            record = store.read(kind, name)
            if record is None or (retry_gone and "gone" in record):
                missing[kind].append(name)
    total = sum(map(len, missing.values()))
    with tqdm(total=total, desc="wikipedia-m3l", unit="item", disable=not progress) as bar:
        for language in LANGUAGES:
            wiki = Wiki(API.format(language), fetcher)
            for titles in _batches(missing[language]):
                found: Mapping[str, dict[str, Any]] = {}
                with failures.noted(language, *titles):
                    found = wiki.find(titles)
                for title, page in found.items():
                    with failures.noted(language, title):
                        store.write(language, title, wiki.read(page))
                    bar.update()
        for address in missing[PICTURES]:
            with failures.noted(PICTURES, address):
                fresh = store.path(PICTURES, address, ".new")
                store.write(PICTURES, address, _fetch_picture(fetcher, fresh, address))
            bar.update()
    report = _write_report(folder, store, tuples, wanted, failures.messages)
    if report["failed"] and not accept_failed:
        raise FetchError(
            f"wikipedia-m3l: {report['failed']} items could not be fetched this time; "
            f"{folder / NOT_THERE} lists them. Run it again: what has come is kept. If they fail "
            "every time, accept_failed=true (--set) leaves them out.",
            passing=True,
        )
    return report


@dataclass(frozen=True)
class Published:
    """One row of the published lists: a title in each language, and addresses of pictures."""

    partition: str
    titles: dict[str, str]
    addresses: tuple[str, ...]


def read_titles(folder: Path, limit: int | None = None) -> list[Published]:
    """Return the published tuples, training tuples first; with a limit, the first of each list."""
    from octis_m3l.data.records import read_table

    tuples = []
    for partition in PARTITIONS:
        path = folder / TITLES.format(partition)
        table = read_table(path, delimiter=",", encoding="utf-8-sig").fillna("")
        for row in table.head(limit or len(table)).to_dict("records"):
            with damage_errors(path, "delete it and fetch it again"):
                titles = {
                    language: unicodedata.normalize("NFC", row[f"{language}_title"].strip())
                    for language in LANGUAGES
                }
                tuples.append(Published(partition, titles, tuple(row["image_url"].split())))
    return tuples


class Store:
    """What has been fetched, by kind and name: one JSON file each, a picture beside its own.

    Articles are of the kind of their language. A record says what came, or under ``gone`` why
    there is nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, kind: str, name: str, suffix: str = ".json") -> Path:
        """Return the path of a record, or of a file beside it."""
        digits = hashlib.sha256(name.encode()).hexdigest()[:32]
        folder = kind if kind == PICTURES else f"articles/{kind}"
        return self._folder / folder / digits[:2] / f"{digits}{suffix}"

    def read(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return a record; None if it is missing or damaged, or its picture is."""
        try:
            record = read_json(self.path(kind, name))
        except StorageError:
            return None
        if record.get("asked") != name:
            return None
        if "file" in record:
            picture = self.picture(name, record)
            if not picture.is_file() or sha256(picture) != record.get("sha256"):
                return None
        return record

    def picture(self, name: str, record: Mapping[str, Any]) -> Path:
        """Return where the picture of a record is."""
        return self.path(PICTURES, name).with_name(str(record["file"]))

    def write(self, kind: str, name: str, content: Mapping[str, Any]) -> None:
        """Write what came, or why nothing came."""
        write_json(self.path(kind, name), {"asked": name, **content, "retrieved": _today()})


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


class _Failures:
    """Collects failures that need not stop the others; many in a row are raised."""

    def __init__(self) -> None:
        self.messages: dict[tuple[str, str], str] = {}
        self._in_a_row = 0

    @contextmanager
    def noted(self, kind: str, *names: str) -> Iterator[None]:
        """Note a failure to fetch these items."""
        try:
            yield
        except FetchError as error:
            of_one_picture = kind == PICTURES and error.status not in (
                HTTPStatus.TOO_MANY_REQUESTS,
                HTTPStatus.SERVICE_UNAVAILABLE,
            )
            if not (error.passing or of_one_picture):
                raise
            self.messages |= {(kind, name): str(error) for name in names}
            self._in_a_row += 1
            if self._in_a_row == _MOST_FAILURES_IN_A_ROW:
                raise FetchError(
                    f"{_MOST_FAILURES_IN_A_ROW} failures one after another. What has come is kept. "
                    f"The last one: {error}",
                    status=error.status,
                    passing=error.passing,
                ) from None
        else:
            self._in_a_row = 0


class Wiki:
    """One Wikipedia, asked through MediaWiki's API."""

    def __init__(self, api: str, fetcher: Fetcher) -> None:
        self._api, self._fetcher = api, fetcher

    def find(self, titles: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the page of each title, or under ``gone`` why there is none.

        The published titles are in lower case, while MediaWiki distinguishes case in all but the
        first letter. Each title is therefore looked up as it is, then with all words capitalised,
        and then in the search for titles that begin with it, from which only a title that is the
        same in lower case is taken. Redirects are followed; another spelling is preferred to a
        disambiguation page.
        """
        impossible = [title for title in titles if not title or _IMPOSSIBLE.search(title)]
        found: dict[str, dict[str, Any]] = {title: {"gone": INVALID} for title in impossible}

        def look_up(spellings: Mapping[str, str]) -> None:
            for title, page in self._look_up(spellings).items():
                if "gone" not in page or found.get(title) in (None, {"gone": MISSING}):
                    found[title] = page

        def unresolved() -> list[str]:
            reasons = (MISSING, DISAMBIGUATION)
            return [title for title, page in found.items() if page.get("gone") in reasons]

        look_up({title: title for title in titles if title not in found})
        capitalised = {t: _INITIAL.sub(lambda one: one[0].upper(), t) for t in unresolved()}
        look_up({title: other for title, other in capitalised.items() if other != title})
        for title in unresolved():
            query = {"list": "prefixsearch", "pssearch": title, "psnamespace": "0", "pslimit": "20"}
            for entry in self._ask(query).get("query", {}).get("prefixsearch", ()):
                candidate = str(entry["title"])
                if candidate.lower() == title.lower() and title in unresolved():
                    look_up({title: candidate})
        return found

    def read(self, page: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page that was found with its text and revision, or why there is none."""
        if "gone" in page:
            return dict(page)
        query = {
            "prop": "extracts|info",
            "pageids": str(page["page"]),
            "explaintext": "1",
            "exsectionformat": "plain",
            "exlimit": "1",
        }
        content = next(iter(self._query(query)["pages"]), {"missing": True})
        text = unicodedata.normalize("NFC", str(content.get("extract") or "")).strip()
        if not text:
            return {"gone": MISSING if content.get("missing") else NO_TEXT, "title": page["title"]}
        return {**page, "revision": int(content.get("lastrevid") or 0), "text": text}

    def _look_up(self, spellings: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        if not spellings:
            return {}
        query = {
            "prop": "info|pageprops",
            "ppprop": "disambiguation",
            "redirects": "1",
            "titles": "|".join(spellings.values()),
        }
        answer = self._query(query)
        normalized = {entry["from"]: entry["to"] for entry in answer["normalized"]}
        redirects = {entry["from"]: entry for entry in answer["redirects"]}
        pages = {page.get("title"): page for page in answer["pages"]}
        found = {}
        for title, spelling in spellings.items():
            name = normalized.get(spelling, spelling)
            way: dict[str, str] = {}
            for _ in redirects:
                if name in redirects:
                    section = redirects[name].get("tofragment")
                    way = {"redirect": way.get("redirect", name)}
                    way |= {"section": section} if section else {}
                    name = redirects[name]["to"]
            found[title] = _page_of(pages.get(name, {"missing": True}), way)
        return found

    def _query(self, parameters: Mapping[str, str]) -> dict[str, list[Any]]:
        """Return the lists of an answer with its continuations, with each page merged."""
        lists: dict[str, list[Any]] = {"normalized": [], "redirects": []}
        pages: dict[Any, dict[str, Any]] = {}
        continuation: dict[str, str] = {}
        for _ in range(_MOST_CONTINUATIONS):
            answer = self._ask({**parameters, **continuation})
            query = answer.get("query", {})
            for name, entries in lists.items():
                entries += query.get(name, ())
            for page in query.get("pages", ()):
                pages.setdefault(page.get("pageid") or page.get("title"), {}).update(page)
            continuation = {name: str(value) for name, value in answer.get("continue", {}).items()}
            if not continuation:
                return {**lists, "pages": list(pages.values())}
        raise FetchError(f"{shown(self._api)}: the API's answer has no end. Try again later.")

    def _ask(self, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        common = {"action": "query", "format": "json", "formatversion": "2", "maxlag": str(_LAG)}
        for _ in range(self._fetcher.retries + 1):
            answer = self._fetcher.json(self._api, {**common, **parameters})
            if not isinstance(answer, Mapping):
                raise FetchError(
                    f"{shown(self._api)}: the answer is no JSON object; expected that of "
                    "MediaWiki's API. Check the address."
                )
            if not answer.get("error"):
                return answer
            code = str(answer["error"].get("code"))
            if not _BUSY.fullmatch(code):
                break
            time.sleep(_LAG)
        raise FetchError(
            f"{shown(self._api)}: the API answered '{code}': {answer['error'].get('info', '')}",
            passing=_BUSY.fullmatch(code) is not None,
        )


def _page_of(page: Mapping[str, Any], way: Mapping[str, str]) -> dict[str, Any]:
    if page.get("missing"):
        return {"gone": MISSING}
    if page.get("invalid") or not page.get("pageid"):
        return {"gone": INVALID}
    if page.get("ns", 0) != 0:
        return {"gone": NO_ARTICLE}
    if "disambiguation" in (page.get("pageprops") or {}):
        return {"gone": DISAMBIGUATION}
    return {"title": str(page["title"]), "page": int(page["pageid"]), **way}


def _batches(titles: Iterable[str]) -> Iterator[list[str]]:
    """Yield as many titles as the API takes at once, and as an address may hold."""
    batch: list[str] = []
    length = 0
    for title in titles:
        cost = len(quote(title)) + len("%7C")
        if batch and (len(batch) == _MOST_TITLES or length + cost > _LONGEST_QUERY):
            yield batch
            batch, length = [], 0
        batch.append(title)
        length += cost
    if batch:
        yield batch


def thumbnail(address: str) -> str | None:
    """Return the address of a picture's thumbnail; None if it is not on Wikimedia's server."""
    found = _PICTURE.fullmatch(address)
    if not found:
        return None
    name = found["name"]
    ending = name.rpartition(".")[2]
    short = f"thumbnail.{ending}" if len(unquote(name).encode()) > _LONG_NAME else name
    kind = ending.lower()
    file = f"{_PREFIXES.get(kind, '')}{_WIDTH}px-{short}{_SUFFIXES.get(kind, '')}"
    return f"https://upload.wikimedia.org{found['wiki']}/thumb{found['place']}/{file}"


def description_page(address: str) -> str | None:
    """Return the page that names a picture's licence and author."""
    found = _PICTURE.fullmatch(address)
    if not found:
        return None
    wiki = found["wiki"].rpartition("/")[2]
    host = "commons.wikimedia.org" if wiki == "commons" else f"{wiki}.wikipedia.org"
    return f"https://{host}/wiki/File:{found['name']}"


def _fetch_picture(fetcher: Fetcher, fresh: Path, address: str) -> dict[str, Any]:
    """Fetch a picture; return what to record of it, or under ``gone`` why there is none.

    The original is asked for if there is no thumbnail, as for pictures that are not as wide, or
    if it can't be opened; not if the server can't or won't answer now.
    """
    small = thumbnail(address)
    taken = {} if small is None else _take_picture(fetcher, fresh, small)
    return taken if "file" in taken else _take_picture(fetcher, fresh, address)


def _take_picture(fetcher: Fetcher, fresh: Path, url: str) -> dict[str, Any]:
    from PIL import Image

    from octis_m3l.data.pictures import fault_of

    if not _ADDRESS.fullmatch(url):
        return {"gone": NO_ADDRESS}
    fresh.unlink(missing_ok=True)
    try:
        fetcher.download(url, fresh, refuse_html=True)
    except FetchError as error:
        if error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            return {"gone": DELETED}
        if error.status == HTTPStatus.BAD_REQUEST:
            return {"gone": UNREADABLE}
        raise
    if fault_of(fresh):
        fresh.unlink()
        return {"gone": UNREADABLE}
    with Image.open(fresh) as image:
        kind, size = str(image.format).lower(), list(image.size)
    final = fresh.with_suffix(".jpg" if kind in ("jpeg", "mpo") else f".{kind}")
    fresh.replace(final)
    return {"file": final.name, "sha256": sha256(final), "size": size, "from": shown(url)}


def _write_report(
    folder: Path,
    store: Store,
    tuples: Sequence[Published],
    wanted: Mapping[str, Iterable[str]],
    messages: Mapping[tuple[str, str], str],
) -> dict[str, Any]:
    """Write and return how much came; write the list of what did not."""
    there: set[tuple[str, str]] = set()
    items: dict[str, dict[str, Any]] = {}
    lines: list[dict[str, Any]] = []
    for kind, names in wanted.items():
        label = kind if kind == PICTURES else f"articles/{kind}"
        states: Counter[str] = Counter()
        for name in names:
            record = store.read(kind, name)
            if record is None:
                message = messages.get((kind, name), "not asked for")
                record = {"asked": name, "failed": message}
            if "gone" in record or "failed" in record:
                lines.append({"kind": label, **record})
            else:
                there.add((kind, name))
            states["failed" if "failed" in record else record.get("gone", "there")] += 1
        items[label] = {
            "asked": states.total(),
            "there": states.pop("there", 0),
            "failed": states.pop("failed", 0),
            "gone": dict(sorted(states.items())),
        }
    complete = [
        published
        for published in tuples
        if all((language, published.titles[language]) in there for language in LANGUAGES)
        and any((PICTURES, address) in there for address in published.addresses)
    ]
    with written_whole(folder / NOT_THERE) as temporary:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        temporary.write_text(text, encoding="utf-8")
    report = {
        "tuples": dict(Counter(published.partition for published in tuples)),
        "complete_tuples": dict(Counter(published.partition for published in complete)),
        "items": items,
        "failed": sum(of_kind["failed"] for of_kind in items.values()),
    }
    write_json(folder / REPORT, report)
    return report
