"""A small Wikipedia in two languages, with pictures, on a local server."""

import csv
import io
import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image

from octis_m3l.sources.wikipedia_fetching import thumbnail
from octis_m3l.sources.wikipedia_m3l import WikipediaEndpoints

from .local_server import LocalServer, Reply, Request

WIKIMEDIA = "https://upload.wikimedia.org"


@dataclass
class Article:
    """A page: its number, its text, and what is peculiar about it."""

    number: int
    text: str
    disambiguation: bool = False
    redirect: str | None = None
    section: str | None = None


@dataclass
class Wikipedia:
    """Answers as MediaWiki's API does, in format version 2, and serves pictures and titles."""

    server: LocalServer
    articles: dict[str, dict[str, Article]] = field(default_factory=lambda: {"en": {}, "de": {}})
    rows: dict[str, list[tuple[str, str, str]]] = field(
        default_factory=lambda: {"train": [], "test": []}
    )
    trouble: Callable[[Request], Reply | None] = lambda _: None

    def __post_init__(self) -> None:
        self.server.otherwise = self._answer

    @property
    def endpoints(self) -> WikipediaEndpoints:
        root = self.server.root
        return WikipediaEndpoints(root + "/{language}/w/api.php", root + "/titles", root)

    def add(self, language: str, title: str, text: str, **peculiar: Any) -> None:
        number = 1 + sum(map(len, self.articles.values()))
        self.articles[language][title] = Article(number, text, **peculiar)

    def picture(self, address: str, width: int = 500, *, seed: int = 0) -> bytes:
        """Draw a picture, and serve it where the thumbnail is, and the original."""
        body = drawn(seed)
        small = thumbnail(address, width)
        for url in (small, address):
            if url:
                self.server.serve(path_of(url), Reply(body, etag=f'"{seed}"'))
        return body

    def titles(self, partition: str) -> bytes:
        stream = io.StringIO()
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["de_title", "en_title", "image_url"])
        table.writerows(self.rows[partition])
        return stream.getvalue().encode()

    def _answer(self, request: Request) -> Reply:
        troubled = self.trouble(request)
        if troubled is not None:
            return troubled
        parts = request.path.strip("/").split("/")
        if parts[0] == "titles":
            return Reply(self.titles(parts[1].removesuffix("-titles.csv")))
        if parts[1:] == ["w", "api.php"]:
            answer = self._api(self.articles[parts[0]], dict(request.query))
            return Reply(json.dumps(answer).encode(), headers={"Content-Type": "application/json"})
        return Reply(b"<html>not here</html>", status=404)

    def _api(self, articles: dict[str, Article], query: dict[str, str]) -> dict[str, Any]:
        assert query["action"] == "query"
        assert query["formatversion"] == "2"
        assert query["maxlag"] == "5"
        if query.get("list") == "prefixsearch":
            wanted = query["pssearch"].lower()
            hits = [title for title in articles if title.lower().startswith(wanted)]
            return {"query": {"prefixsearch": [{"ns": 0, "title": hit} for hit in hits]}}
        if "pageids" in query:
            return self._extract(articles, query)
        titles = query["titles"].split("|")
        assert len(titles) <= 50
        return _looked_up(articles, titles, "ppcontinue" in query)

    def _extract(self, articles: dict[str, Article], query: dict[str, str]) -> dict[str, Any]:
        assert "|" not in query["pageids"]
        number = int(query["pageids"])
        found = [(title, page) for title, page in articles.items() if page.number == number]
        if not found:
            return {"query": {"pages": [{"pageid": number, "missing": True}]}}
        title, page = found[0]
        described = {"pageid": number, "ns": 0, "title": title}
        if "excontinue" in query:
            return {"query": {"pages": [{**described, "extract": page.text}]}}
        return {
            "continue": {"excontinue": 1, "continue": "||info"},
            "query": {"pages": [{**described, "lastrevid": 1000 + number}]},
        }


def _looked_up(articles: dict[str, Article], titles: list[str], second: bool) -> dict[str, Any]:
    query: dict[str, list[Any]] = {"normalized": [], "redirects": [], "pages": []}
    names = []
    for title in titles:
        name = title[:1].upper() + title[1:]
        if name != title:
            query["normalized"].append({"fromencoded": False, "from": title, "to": name})
        page = articles.get(name)
        if page and page.redirect:
            entry = {"from": name, "to": page.redirect}
            query["redirects"].append(
                entry | ({"tofragment": page.section} if page.section else {})
            )
            name = page.redirect
        names.append(name)
    for name in dict.fromkeys(names):
        page = articles.get(name)
        if len(name.encode()) > 255:
            query["pages"].append({"title": name, "invalid": True, "invalidreason": "too long"})
        elif page is None:
            query["pages"].append({"ns": 0, "title": name, "missing": True})
        else:
            described: dict[str, Any] = {"pageid": page.number, "ns": 0, "title": name}
            if second and page.disambiguation:
                described["pageprops"] = {"disambiguation": ""}
            query["pages"].append(described)
    answer: dict[str, Any] = {"query": {name: given for name, given in query.items() if given}}
    if not second:
        answer["continue"] = {"ppcontinue": 17, "continue": "||info"}
    return answer


def path_of(url: str) -> str:
    """Return the unquoted path of an address."""
    return unquote(urlsplit(url).path)


def address(name: str) -> str:
    """Return the published address of a picture."""
    return f"{WIKIMEDIA}/wikipedia/commons/a/ab/{name}"


def drawn(seed: int) -> bytes:
    """Return a JPEG of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def written(seed: int, language: str, words: int = 30) -> str:
    """Return a text of made-up words, decomposed as some wikis have it."""
    random = np.random.default_rng([seed, len(language), ord(language[0])])
    known = [f"{language}wörter{a}{b}" for a in "abcdefgh" for b in "klmnopqrst"]
    text = " ".join(random.choice(known, words)).capitalize() + "."
    return unicodedata.normalize("NFD", text)


LONG = "Sehr langer Titel " + "ä" * 80

# German title, English title, picture; as published: in lower case.
TUPLES = [
    ("Großer Türkenkrieg", "Great Turkish War", "War.jpg"),
    ("Hauspferd", "Horse", "Horse_%28brown%29.jpg"),
    ("1/f-Rauschen", "Pink noise", "No%22ise%2C_pink.JPG"),
    ("Washington, D.C.", 'Washington, "D.C."', "DC.png"),
    ("Five Nights at Freddy’s (Spieleserie)", "Five Nights at Freddy's", "Freddy%27s.jpg"),
    ("ʻEua", "ʻEua", "%CA%BBEua.gif"),
    (LONG, "A very long title " + "o" * 200, "Long_" + "%C3%A4" * 90 + ".jpg"),
    ("Königreich der Niederlande", "Kingdom of the Netherlands", "Nl.svg"),
]


def fill(wikipedia: Wikipedia) -> None:
    for number in range(12):
        tuples = TUPLES[number] if number < len(TUPLES) else plain(number)
        german, english, picture = tuples
        wikipedia.add("de", german, written(number, "de"))
        wikipedia.add("en", english, written(number, "en"))
        wikipedia.picture(address(picture), seed=number)
        row = (german.lower(), english.lower(), address(picture))
        wikipedia.rows["test" if number % 4 == 3 else "train"].append(row)


def plain(number: int) -> tuple[str, str, str]:
    return f"Seite {number}", f"Page {number}", f"Page_{number}.jpg"
