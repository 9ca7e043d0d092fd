"""Articles through MediaWiki's API: titles in lower case to pages, and pages to plain text."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from octis_m3l.sources.fetching import Fetcher
from octis_m3l.sources.fetching_answers import shown
from octis_m3l.sources.fetching_errors import FetchError

MISSING, INVALID, DISAMBIGUATION, EMPTY, NO_ARTICLE = (
    "missing",
    "impossible title",
    "disambiguation page",
    "no text",
    "no article",
)

# What the API takes from anybody, and what servers take as an address.
_MOST_TITLES, _LONGEST_QUERY = 50, 4000
_LAG = 5
_PASSING = re.compile(r"maxlag|ratelimited|readonly|internal_api_error_\w+")
_IMPOSSIBLE = re.compile(r"[|#<>\[\]{}\x00-\x1f\x7f\ufffd]")
_INITIAL = re.compile(r"(?<![\w'’])[^\W\d_]")


@dataclass(frozen=True)
class Page:
    """An article that is there."""

    number: int
    title: str
    redirect: str | None = None
    section: str | None = None


class Wiki:
    """One Wikipedia."""

    def __init__(self, api: str, fetcher: Fetcher) -> None:
        self._api, self._fetcher = api, fetcher

    def find(self, titles: Sequence[str]) -> dict[str, Page | str]:
        """Return the article of each title, or why there is none.

        The published titles are in lower case, while MediaWiki tells case in all but the first
        letter. So each is looked up as it is, then with all words capitalised, and then in the
        search by beginnings, of which only a title that is the same in lower case is taken. What
        redirects is followed; a disambiguation page is passed over for another spelling.
        """
        found: dict[str, Page | str] = {
            title: INVALID for title in titles if not title or _IMPOSSIBLE.search(title)
        }
        spellings: tuple[Callable[[str], str], ...] = (str, _capitalised)
        for number, spelling in enumerate(spellings):
            wanted = {
                title: spelling(title)
                for title in titles
                if _is_open(found.get(title)) and (number == 0 or spelling(title) != title)
            }
            for batch in _batches(wanted):
                self._note(found, self._look_up(batch))
        for title in titles:
            if _is_open(found.get(title)):
                candidates = [name for name in self._search(title) if name.lower() == title.lower()]
                for name in candidates:
                    if _is_open(found.get(title)):
                        self._note(found, self._look_up({title: name}))
        return found

    def read(self, page: Page) -> tuple[str, int] | str:
        """Return the text of an article and the number of its revision, or why there is none."""
        answer = self._query(
            {
                "prop": "extracts|info",
                "pageids": str(page.number),
                "explaintext": "1",
                "exsectionformat": "plain",
                "exlimit": "1",
            }
        )
        content: Mapping[str, Any] = next(iter(answer["pages"]), {})
        if not content or _has(content, "missing") or _has(content, "invalid"):
            return MISSING
        text = unicodedata.normalize("NFC", str(content.get("extract") or "")).strip()
        return (text, int(content.get("lastrevid") or 0)) if text else EMPTY

    @staticmethod
    def _note(found: dict[str, Page | str], answers: Mapping[str, Page | str]) -> None:
        for title, answer in answers.items():
            # Of two reasons the one that says more stays.
            if isinstance(answer, Page) or found.get(title) in (None, MISSING):
                found[title] = answer

    def _look_up(self, spellings: Mapping[str, str]) -> dict[str, Page | str]:
        answer = self._query(
            {
                "prop": "info|pageprops",
                "ppprop": "disambiguation",
                "redirects": "1",
                "titles": "|".join(spellings.values()),
            }
        )
        changed = {entry["from"]: entry["to"] for entry in answer["normalized"]}
        redirects = {entry["from"]: entry for entry in answer["redirects"]}
        pages = {page.get("title"): page for page in answer["pages"]}
        found: dict[str, Page | str] = {}
        for title, spelling in spellings.items():
            name = changed.get(spelling, spelling)
            redirect, section = None, None
            for _ in range(len(redirects)):
                if name not in redirects:
                    break
                redirect, section = redirect or name, redirects[name].get("tofragment")
                name = redirects[name]["to"]
            found[title] = _page_or_reason(pages.get(name), redirect, section)
        return found

    def _search(self, title: str) -> list[str]:
        answer = self._query(
            {"list": "prefixsearch", "pssearch": title, "psnamespace": "0", "pslimit": "20"},
            follow=False,
        )
        return [str(entry["title"]) for entry in answer["prefixsearch"]]

    def _query(self, parameters: Mapping[str, str], *, follow: bool = True) -> dict[str, list[Any]]:
        """Return the lists of an answer with all its continuations; pages are merged."""
        lists: dict[str, list[Any]] = {
            "normalized": [],
            "redirects": [],
            "prefixsearch": [],
        }
        pages: dict[Any, dict[str, Any]] = {}
        going_on: dict[str, str] = {}
        for _ in range(10 * _MOST_TITLES):
            answer = self._ask({**parameters, **going_on})
            query = answer.get("query", {})
            for name, entries in lists.items():
                entries += [entry for entry in query.get(name, ()) if entry not in entries]
            given = query.get("pages", ())
            for page in given.values() if isinstance(given, Mapping) else given:
                pages.setdefault(page.get("pageid") or page.get("title"), {}).update(page)
            going_on = {name: str(value) for name, value in answer.get("continue", {}).items()}
            if not (going_on and follow):
                return {**lists, "pages": list(pages.values())}
        raise FetchError(f"{shown(self._api)}: the API's answer has no end. Try again later.")

    def _ask(self, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        common = {"action": "query", "format": "json", "formatversion": "2", "maxlag": str(_LAG)}
        answer = self._fetcher.json(self._api, {**common, **parameters}, again=_pause)
        if not isinstance(answer, Mapping):
            raise FetchError(
                f"{shown(self._api)}: the answer is no JSON object; expected that of MediaWiki's "
                "API. Check the address."
            )
        if answer.get("error"):
            code, information = _error(answer)
            raise FetchError(f"{shown(self._api)}: the API answered '{code}': {information}")
        return answer


def _error(answer: Mapping[str, Any]) -> tuple[str, str]:
    error = answer["error"]
    if isinstance(error, Mapping):
        return str(error.get("code")), str(error.get("info", ""))
    return str(error), ""


def _pause(answer: Any, headers: Mapping[str, str]) -> float | None:
    """Return how long to wait after an answer before the same question; None if it is one."""
    if not isinstance(answer, Mapping) or not answer.get("error"):
        return None
    return float(_LAG) if _PASSING.fullmatch(_error(answer)[0]) else None


def _page_or_reason(
    page: Mapping[str, Any] | None, redirect: str | None, section: str | None
) -> Page | str:
    if page is None or _has(page, "missing"):
        return MISSING
    if _has(page, "invalid") or not page.get("pageid"):
        return INVALID
    if page.get("ns", 0) != 0:
        return NO_ARTICLE
    if "disambiguation" in (page.get("pageprops") or {}):
        return DISAMBIGUATION
    return Page(int(page["pageid"]), str(page["title"]), redirect, section)


def _has(page: Mapping[str, Any], mark: str) -> bool:
    # "" in the API's first format, true in its second.
    return mark in page and page[mark] is not False


def _is_open(answer: Page | str | None) -> bool:
    return answer in (None, MISSING, DISAMBIGUATION)


def _capitalised(title: str) -> str:
    return _INITIAL.sub(lambda found: found[0].upper(), title)


def _batches(spellings: Mapping[str, str]) -> Iterator[dict[str, str]]:
    batch: dict[str, str] = {}
    length = 0
    for title, spelling in spellings.items():
        cost = len(quote(spelling)) + len("%7C")
        if batch and (len(batch) == _MOST_TITLES or length + cost > _LONGEST_QUERY):
            yield batch
            batch, length = {}, 0
        batch[title] = spelling
        length += cost
    if batch:
        yield batch
