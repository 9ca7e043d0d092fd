"""Articles through MediaWiki's API and pictures from Wikimedia's server, into a store."""

import json
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from octis_m3l.errors import SettingsError, suggest
from octis_m3l.files import held, sha256, write_json, written_whole
from octis_m3l.sources.fetching import (
    CONTACT,
    WIKIMEDIA,
    Fetcher,
    FetchError,
    check_address,
    shown,
)
from octis_m3l.sources.wikipedia_store import (
    LANGUAGES,
    PARTITIONS,
    PICTURES,
    Published,
    WikipediaEndpoints,
    WikipediaStore,
    articles_of,
    read_titles,
    titles_file,
)

REPORT, NOT_THERE = "report.json", "not-there.jsonl"
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

# The widths of thumbnails that Wikimedia's server makes.
WIDTHS = (20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840)
_PICTURE = re.compile(
    r"https?://upload\.wikimedia\.org"
    r"(?P<wiki>/wikipedia/[\w-]+)(?P<place>/[0-9a-f]/[0-9a-f]{2}/(?P<name>[^/?#]+))"
)
_PICTURE_HOST = re.compile(r"https?://upload\.wikimedia\.org(?=/)")
_PREFIXES = {"tif": "lossy-page1-", "tiff": "lossy-page1-", "pdf": "page1-", "djvu": "page1-"}
_SUFFIXES = {"svg": ".png", "webp": ".png", "xcf": ".png"} | dict.fromkeys(_PREFIXES, ".jpg")
# Names of more bytes are replaced by a short one in the addresses of thumbnails.
_LONG_NAME = 160


def fetch_wikipedia_m3l(
    folder: str | Path,
    *,
    fetcher: Fetcher | None = None,
    limit: int | None = None,
    endpoints: WikipediaEndpoints | None = None,
    width: int = 500,
    retry_gone: bool = False,
    progress: bool = False,
) -> dict[str, Any]:
    """Fetch the articles and pictures of the published tuples, or what is missing of them.

    Each is stored as soon as it has come, so that the same call continues an interrupted one. All
    of it is some 37,000 articles, one a request, and 18,000 pictures: a night's work at two
    requests a second to each server.

    Parameters
    ----------
    folder : str or Path
        Where to store them.
    fetcher : Fetcher, optional
        How to ask servers.
    limit : int, optional
        Fetch only so many tuples of each published list.
    endpoints : WikipediaEndpoints, optional
        Which servers to ask.
    width : int
        The width of pictures, one of those that Wikimedia's server makes.
    retry_gone : bool
        Whether to ask again for what did not exist in an earlier call.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    dict
        How many items came, do not exist, or failed; ``not-there.jsonl`` lists them.
    """
    from tqdm.auto import tqdm

    folder, fetcher = Path(folder), fetcher or Fetcher()
    endpoints = endpoints or WikipediaEndpoints()
    _check_arguments(fetcher, endpoints, limit, width)
    store, failures = WikipediaStore(folder), _Failures()
    with held(folder):
        for partition in PARTITIONS:
            place = titles_file(folder, partition)
            fetcher.download(f"{endpoints.titles.rstrip('/')}/{place.name}", place)
        tuples = read_titles(folder, limit)
        wanted = {
            articles_of(language): dict.fromkeys(t.titles[language] for t in tuples)
            for language in LANGUAGES
        }
        wanted[PICTURES] = dict.fromkeys(address for t in tuples for address in t.pictures)
        missing = {
            kind: [name for name in names if _is_missing(store.read(kind, name), width, retry_gone)]
            for kind, names in wanted.items()
        }
        total = sum(map(len, missing.values()))
        with tqdm(total=total, desc="wikipedia-m3l", unit="item", disable=not progress) as bar:
            for language in LANGUAGES:
                wiki = Wiki(endpoints.api.format(language=language), fetcher)
                kind = articles_of(language)
                for start in range(0, len(missing[kind]), _MOST_TITLES):
                    titles = missing[kind][start : start + _MOST_TITLES]
                    pages: Mapping[str, Page | str] = {}
                    with failures.noted(kind, *titles):
                        pages = wiki.find(titles)
                    for title, page in pages.items():
                        with failures.noted(kind, title):
                            store.write(kind, title, wiki.read(page))
                        bar.update()
            for address in missing[PICTURES]:
                with failures.noted(PICTURES, address):
                    _fetch_picture(fetcher, store, address, endpoints.pictures, width)
                bar.update()
        return _write_report(folder, store, tuples, wanted, failures.messages)


def _check_arguments(
    fetcher: Fetcher, endpoints: WikipediaEndpoints, limit: int | None, width: int
) -> None:
    if limit is not None and limit < 1:
        raise SettingsError(f"limit={limit}: expected 1 or more, or None for all tuples.")
    if width not in WIDTHS:
        raise SettingsError(
            f"width={width}: Wikimedia makes no thumbnails of it."
            f"{suggest(width, [str(known) for known in WIDTHS])}"
        )
    asked = (endpoints.api.format(language=LANGUAGES[0]), endpoints.pictures)
    is_wikimedia = any(str(urlsplit(url).hostname).endswith(WIKIMEDIA) for url in asked)
    if is_wikimedia and not fetcher.names_contact:
        raise SettingsError(
            f"Wikimedia asks programs to name a contact: set {CONTACT} to your e-mail address (it "
            "is sent to its servers), or pass fetcher=Fetcher(contact=...)."
        )


def _is_missing(record: Mapping[str, Any] | None, width: int, retry_gone: bool) -> bool:
    if record is not None and "gone" in record:
        return retry_gone
    return record is None or record.get("width", width) != width


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


@dataclass(frozen=True)
class Page:
    """An article that exists."""

    number: int
    title: str
    redirect: str | None = None
    section: str | None = None


class Wiki:
    """One Wikipedia, asked through MediaWiki's API."""

    def __init__(self, api: str, fetcher: Fetcher) -> None:
        self._api, self._fetcher = api, fetcher

    def find(self, titles: Iterable[str]) -> dict[str, Page | str]:
        """Return the article of each title, or why there is none.

        The published titles are in lower case, while MediaWiki distinguishes case in all but the
        first letter. Each title is therefore looked up as it is, then with all words capitalised,
        and then in the search for titles that begin with it, from which only a title that is the
        same in lower case is taken. Redirects are followed; another spelling is preferred to a
        disambiguation page.
        """
        found: dict[str, Page | str] = {}

        def look_up(spellings: Mapping[str, str]) -> None:
            for batch in _batches(spellings):
                for title, page in self._look_up(batch).items():
                    if isinstance(page, Page) or found.get(title) in (None, MISSING):
                        found[title] = page

        def unresolved() -> list[str]:
            return [title for title, page in found.items() if page in (MISSING, DISAMBIGUATION)]

        for title in titles:
            if not title or _IMPOSSIBLE.search(title):
                found[title] = INVALID
        look_up({title: title for title in titles if title not in found})
        capitalised = {t: _INITIAL.sub(lambda one: one[0].upper(), t) for t in unresolved()}
        look_up({title: other for title, other in capitalised.items() if other != title})
        for title in unresolved():
            for candidate in self._search(title):
                if candidate.lower() == title.lower() and title in unresolved():
                    look_up({title: candidate})
        return found

    def read(self, page: Page | str) -> dict[str, Any]:
        """Return an article with its text and revision, or the reason why there is none."""
        if isinstance(page, str):
            return {"gone": page}
        query = {
            "prop": "extracts|info",
            "pageids": str(page.number),
            "explaintext": "1",
            "exsectionformat": "plain",
            "exlimit": "1",
        }
        content = next(iter(self._query(query)["pages"]), {"missing": True})
        text = unicodedata.normalize("NFC", str(content.get("extract") or "")).strip()
        if not text:
            return {"gone": MISSING if content.get("missing") else NO_TEXT, "title": page.title}
        redirected = {"redirect": page.redirect, "section": page.section}
        return {
            "title": page.title,
            "page": page.number,
            "revision": int(content.get("lastrevid") or 0),
            **{key: value for key, value in redirected.items() if value},
            "text": text,
        }

    def _look_up(self, spellings: Mapping[str, str]) -> dict[str, Page | str]:
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
            redirect, section = None, None
            for _ in redirects:
                if name in redirects:
                    redirect, section = redirect or name, redirects[name].get("tofragment")
                    name = redirects[name]["to"]
            found[title] = _page_of(pages.get(name, {"missing": True}), redirect, section)
        return found

    def _search(self, title: str) -> list[str]:
        query = {"list": "prefixsearch", "pssearch": title, "psnamespace": "0", "pslimit": "20"}
        return [str(entry["title"]) for entry in self._query(query, follow=False)["prefixsearch"]]

    def _query(self, parameters: Mapping[str, str], *, follow: bool = True) -> dict[str, list[Any]]:
        """Return the lists of an answer with its continuations, with each page merged."""
        lists: dict[str, list[Any]] = {"normalized": [], "redirects": [], "prefixsearch": []}
        pages: dict[Any, dict[str, Any]] = {}
        continuation: dict[str, str] = {}
        for _ in range(_MOST_CONTINUATIONS):
            answer = self._ask({**parameters, **continuation})
            query = answer.get("query", {})
            for name, entries in lists.items():
                entries += [entry for entry in query.get(name, ()) if entry not in entries]
            for page in query.get("pages", ()):
                pages.setdefault(page.get("pageid") or page.get("title"), {}).update(page)
            continuation = {name: str(value) for name, value in answer.get("continue", {}).items()}
            if not (continuation and follow):
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


def _page_of(page: Mapping[str, Any], redirect: str | None, section: str | None) -> Page | str:
    if page.get("missing"):
        return MISSING
    if page.get("invalid") or not page.get("pageid"):
        return INVALID
    if page.get("ns", 0) != 0:
        return NO_ARTICLE
    if "disambiguation" in (page.get("pageprops") or {}):
        return DISAMBIGUATION
    return Page(int(page["pageid"]), str(page["title"]), redirect, section)


def _batches(spellings: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield as many titles as an address may hold."""
    batch: dict[str, str] = {}
    length = 0
    for title, spelling in spellings.items():
        cost = len(quote(spelling)) + len("%7C")
        if batch and length + cost > _LONGEST_QUERY:
            yield batch
            batch, length = {}, 0
        batch[title] = spelling
        length += cost
    if batch:
        yield batch


def thumbnail(address: str, width: int) -> str | None:
    """Return the address of a picture's thumbnail; None if it is not on Wikimedia's server."""
    found = _PICTURE.fullmatch(address)
    if not found:
        return None
    name = found["name"]
    ending = name.rpartition(".")[2]
    short = f"thumbnail.{ending}" if len(unquote(name).encode()) > _LONG_NAME else name
    kind = ending.lower()
    file = f"{_PREFIXES.get(kind, '')}{width}px-{short}{_SUFFIXES.get(kind, '')}"
    return f"https://upload.wikimedia.org{found['wiki']}/thumb{found['place']}/{file}"


def description_page(address: str) -> str | None:
    """Return the page that names a picture's licence and author."""
    found = _PICTURE.fullmatch(address)
    if not found:
        return None
    wiki = found["wiki"].rpartition("/")[2]
    host = "commons.wikimedia.org" if wiki == "commons" else f"{wiki}.wikipedia.org"
    return f"https://{host}/wiki/File:{found['name']}"


def _fetch_picture(
    fetcher: Fetcher, store: WikipediaStore, address: str, server: str, width: int
) -> None:
    """Store a picture, or the reason why there is none.

    The original is asked for if there is no thumbnail, as for pictures that are not as wide, or
    if it can't be opened; not if the server can't or won't answer now.
    """
    small, reason = thumbnail(address, width), ""
    for url in (small, address) if small else (address,):
        reason = _take_picture(
            fetcher, store, address, _PICTURE_HOST.sub(server.rstrip("/"), url), width
        )
        if not reason:
            return
    store.write(PICTURES, address, {"gone": reason})


def _take_picture(
    fetcher: Fetcher, store: WikipediaStore, address: str, url: str, width: int
) -> str:
    """Fetch a picture from one address, open it and store it; return why not, or nothing."""
    from PIL import Image

    from octis_m3l.data.pictures import fault_of

    try:
        check_address(url)
    except FetchError:
        return NO_ADDRESS
    fresh = store.path(PICTURES, address, ".new")
    fresh.unlink(missing_ok=True)
    try:
        fetcher.download(url, fresh, refuse_html=True)
    except FetchError as error:
        if error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            return DELETED
        if error.status == HTTPStatus.BAD_REQUEST:
            return UNREADABLE
        raise
    if fault_of(fresh):
        fresh.unlink()
        return UNREADABLE
    with Image.open(fresh) as image:
        kind, size = str(image.format).lower(), list(image.size)
    final = fresh.with_suffix(".jpg" if kind in ("jpeg", "mpo") else f".{kind}")
    fresh.replace(final)
    content = {
        "file": final.name,
        "sha256": sha256(final),
        "size": size,
        "width": width,
        "from": shown(url),
    }
    store.write(PICTURES, address, content)
    return ""


def _write_report(
    folder: Path,
    store: WikipediaStore,
    tuples: Sequence[Published],
    wanted: Mapping[str, Iterable[str]],
    messages: Mapping[tuple[str, str], str],
) -> dict[str, Any]:
    """Write and return how much came; write the list of what did not."""
    there: set[tuple[str, str]] = set()
    counts: dict[str, dict[str, Any]] = {}
    lines: list[dict[str, Any]] = []
    for kind, names in wanted.items():
        gone: Counter[str] = Counter()
        failed = 0
        for name in names:
            record = store.read(kind, name)
            if record is None:
                failed += 1
                message = messages.get((kind, name), "not asked for")
                lines.append({"kind": kind, "asked": name, "failed": message})
            elif "gone" in record:
                gone[record["gone"]] += 1
                lines.append({"kind": kind, **record})
            else:
                there.add((kind, name))
        asked = len(list(names))
        counts[kind] = {
            "asked": asked,
            "there": asked - gone.total() - failed,
            "gone": dict(sorted(gone.items())),
            "failed": failed,
        }
    complete = [
        published
        for published in tuples
        if all((articles_of(name), published.titles[name]) in there for name in LANGUAGES)
        and any((PICTURES, address) in there for address in published.pictures)
    ]
    with written_whole(folder / NOT_THERE) as temporary:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        temporary.write_text(text, encoding="utf-8")
    report = {
        "tuples": dict(Counter(published.partition for published in tuples)),
        "complete_tuples": dict(Counter(published.partition for published in complete)),
        "items": counts,
        "failed": sum(of_kind["failed"] for of_kind in counts.values()),
    }
    write_json(folder / REPORT, report)
    return report
