"""A small Wikipedia in two languages, with pictures, on a local server."""

import csv
import io
import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image

from octis_m3l.sources.download import Fetcher
from octis_m3l.sources.wikipedia_fetching import (
    PARTITIONS,
    PICTURES,
    TITLES,
    Store,
    fetch_wikipedia_m3l,
    thumbnail,
)
from octis_m3l.sources.wikipedia_m3l import WIKIPEDIA_M3L_SOURCE

from .local_server import LocalServer, Reply, Request


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
    folder: Path
    articles: dict[str, dict[str, Article]] = field(default_factory=lambda: {"en": {}, "de": {}})
    rows: dict[str, list[tuple[str, str, str]]] = field(
        default_factory=lambda: {"train": [], "test": []}
    )
    trouble: Callable[[Request], Reply | None] = lambda _: None

    def __post_init__(self) -> None:
        self.server.otherwise = self._answer
        for partition, file in zip(PARTITIONS, WIKIPEDIA_M3L_SOURCE.files, strict=True):
            address = file.address(str(WIKIPEDIA_M3L_SOURCE.repositories[file.repository]))
            self.server.serve(
                f"/raw{path_of(address)}",
                lambda _, partition=partition: Reply(titles(self.rows[partition])),
            )

    def add(self, language: str, title: str, text: str, **peculiar: Any) -> None:
        number = 1 + sum(map(len, self.articles.values()))
        self.articles[language][title] = Article(number, text, **peculiar)

    def picture(self, address: str, *replies: Reply) -> None:
        """Say what is where the thumbnail of a picture is, and where the original is."""
        for url in (thumbnail(address), address):
            self.server.serve(path_of(str(url)), *replies)

    def fetch(self, fetcher: Fetcher | None = None, **options: Any) -> dict[str, Any]:
        """Fetch everything, given the lists of titles; returns the report."""
        self.folder.mkdir(exist_ok=True)
        for partition, rows in self.rows.items():
            (self.folder / TITLES.format(partition)).write_bytes(titles(rows))
        options = {"accept_failed": True, "progress": False, **options}
        return fetch_wikipedia_m3l(self.folder, fetcher or quick(), **options)

    def record(self, kind: str, name: str) -> dict[str, Any]:
        record = Store(self.folder).read(kind, name)
        assert record is not None
        return record

    def fetched_picture(self, name: str) -> Path:
        return Store(self.folder).picture(name, self.record(PICTURES, name))

    def not_there(self) -> list[dict[str, Any]]:
        lines = (self.folder / "not-there.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def tree(self) -> dict[str, bytes]:
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}

    def _answer(self, request: Request) -> Reply:
        troubled = self.trouble(request)
        if troubled is not None:
            return troubled
        language, _, rest = request.path.strip("/").partition("/")
        if rest == "w/api.php":
            return Reply(json.dumps(_api(self.articles[language], dict(request.query))).encode())
        return Reply(b"<html>not here</html>", status=404)


def quick(**arguments: Any) -> Fetcher:
    return Fetcher(**{"retries": 2, "timeout": 5.0, "contact": "me@example.org", **arguments})


def _api(articles: dict[str, Article], query: dict[str, str]) -> dict[str, Any]:
    assert (query["action"], query["formatversion"], query["maxlag"]) == ("query", "2", "5")
    if query.get("list") == "prefixsearch":
        wanted = query["pssearch"].lower()
        hits = [title for title in articles if title.lower().startswith(wanted)]
        return {"query": {"prefixsearch": [{"ns": 0, "title": hit} for hit in hits]}}
    if "pageids" in query:
        return _extract(articles, int(query["pageids"]), "excontinue" in query)
    titles = query["titles"].split("|")
    assert len(titles) <= 50
    return _looked_up(articles, titles, "ppcontinue" in query)


def _extract(articles: dict[str, Article], number: int, second: bool) -> dict[str, Any]:
    found = [(title, page) for title, page in articles.items() if page.number == number]
    if not found:
        return {"query": {"pages": [{"pageid": number, "missing": True}]}}
    title, page = found[0]
    described = {"pageid": number, "ns": 0, "title": title}
    if second:
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
            section = {"tofragment": page.section} if page.section else {}
            query["redirects"].append({"from": name, "to": page.redirect, **section})
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
    return answer if second else {**answer, "continue": {"ppcontinue": 17, "continue": "||info"}}


def titles(rows: list[tuple[str, str, str]]) -> bytes:
    """Return a published list."""
    stream = io.StringIO()
    csv.writer(stream).writerows([("de_title", "en_title", "image_url"), *rows])
    return stream.getvalue().encode()


def path_of(url: str) -> str:
    """Return the unquoted path of an address."""
    return unquote(urlsplit(url).path)


def address(name: str) -> str:
    """Return the published address of a picture."""
    return f"https://upload.wikimedia.org/wikipedia/commons/a/ab/{name}"


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


# German title, English title, picture; as published: in lower case.
TUPLES = [
    ("Großer Türkenkrieg", "Great Turkish War", "War.jpg"),
    ("Hauspferd", "Horse", "Horse_%28brown%29.jpg"),
    ("1/f-Rauschen", "Pink noise", "No%22ise%2C_pink.JPG"),
    ("Washington, D.C.", 'Washington, "D.C."', "DC.png"),
    ("Five Nights at Freddy’s (Spieleserie)", "Five Nights at Freddy's", "Freddy%27s.jpg"),
    ("ʻEua", "ʻEua", "%CA%BBEua.gif"),
    (
        "Sehr langer Titel " + "ä" * 80,
        "A very long title " + "o" * 200,
        "Long_" + "%C3%A4" * 90 + ".jpg",
    ),
    ("Königreich der Niederlande", "Kingdom of the Netherlands", "Nl.svg"),
    *((f"Seite {number}", f"Page {number}", f"Page_{number}.jpg") for number in range(8, 12)),
]


def fill(wikipedia: Wikipedia) -> None:
    for number, (german, english, picture) in enumerate(TUPLES):
        wikipedia.add("de", german, written(number, "de"))
        wikipedia.add("en", english, written(number, "en"))
        wikipedia.picture(address(picture), Reply(drawn(number), etag=f'"{number}"'))
        row = (german.lower(), english.lower(), address(picture))
        wikipedia.rows["test" if number % 4 == 3 else "train"].append(row)
