"""The Wikipedia data of M3L-Contrast (Zosa & Pivovarova, COLING 2022), fetched anew.

The authors publish titles and the addresses of pictures. The articles come through MediaWiki's API,
the pictures as thumbnails from Wikimedia's server.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octis_m3l.errors import SettingsError, visible
from octis_m3l.sources.fetching import Fetcher
from octis_m3l.sources.fetching_errors import FetchError
from octis_m3l.sources.source import RemoteFile, Repository, Source
from octis_m3l.sources.wikipedia_articles import Page, Wiki
from octis_m3l.sources.wikipedia_building import (
    CITATION,
    HOMEPAGE,
    LICENCE,
    NOTES,
    TITLE,
    build_wikipedia_m3l,
)
from octis_m3l.sources.wikipedia_failures import Failures
from octis_m3l.sources.wikipedia_pictures import PictureServer
from octis_m3l.sources.wikipedia_politeness import polite
from octis_m3l.sources.wikipedia_report import NOT_THERE, write_report
from octis_m3l.sources.wikipedia_store import PICTURES, WikipediaStore, articles_of
from octis_m3l.sources.wikipedia_titles import (
    COMMIT,
    LANGUAGES,
    PARTITIONS,
    REPOSITORY,
    WikipediaEndpoints,
    read_titles,
    titles_file,
)

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

__all__ = [
    "WIKIPEDIA_M3L_SOURCE",
    "WikipediaEndpoints",
    "build_wikipedia_m3l",
    "fetch_wikipedia_m3l",
    "wikipedia_source",
]

# Titles that are looked up before their articles are read: what the API takes at once.
_BATCH = 50


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

    Each is stored as soon as it has come, so an interrupted call is gone on with by the same one.
    All of it is some 37,000 articles, one a request, and 18,000 pictures: a night's work at two
    requests a second to each server.
    """
    folder = Path(folder)
    endpoints = endpoints or WikipediaEndpoints()
    if limit is not None and limit < 1:
        raise SettingsError(f"limit={limit}: expected 1 or more, or None for all tuples.")
    with polite(fetcher, endpoints) as asker:
        return _fetch_with(asker, folder, limit, endpoints, width, retry_gone, progress)


def _fetch_with(
    asker: Fetcher,
    folder: Path,
    limit: int | None,
    endpoints: WikipediaEndpoints,
    width: int,
    retry_gone: bool,
    progress: bool,
) -> dict[str, Any]:
    store = WikipediaStore(folder)
    server = PictureServer(endpoints.pictures, width, asker, store)
    for partition in PARTITIONS:
        place = titles_file(folder, partition)
        asker.download(f"{endpoints.titles.rstrip('/')}/{place.name}", place)
    tuples = read_titles(folder, limit)
    wanted = {
        **{
            articles_of(language): _different(t.titles[language] for t in tuples)
            for language in LANGUAGES
        },
        PICTURES: _different(address for t in tuples for address in t.pictures),
    }
    open_items = {
        kind: [
            name
            for name in names
            if _is_open(store.read(kind, name), retry_gone, width if kind == PICTURES else None)
        ]
        for kind, names in wanted.items()
    }
    failures = Failures()
    with _bar(sum(map(len, open_items.values())), progress) as bar:
        for language in LANGUAGES:
            kind = articles_of(language)
            wiki = Wiki(endpoints.api.format(language=language), asker)
            for name in _fetch_articles(wiki, store, kind, open_items[kind], failures):
                bar.set_postfix_str(visible(name[:30]), refresh=False)
                bar.update()
        for address in open_items[PICTURES]:
            with failures.noted(PICTURES, address):
                server.fetch(address)
            bar.update()
    return write_report(folder, tuples, wanted, failures.all)


def _fetch_articles(
    wiki: Wiki, store: WikipediaStore, kind: str, titles: Sequence[str], failures: Failures
) -> Iterator[str]:
    for start in range(0, len(titles), _BATCH):
        batch = titles[start : start + _BATCH]
        found: dict[str, Page | str] = {}
        with failures.noted(kind, *batch):
            found = wiki.find(batch)
        for title in batch:
            yield title
            page = found.get(title)
            if isinstance(page, str):
                store.give_up(kind, title, page)
            elif page is not None:
                with failures.noted(kind, title):
                    _fetch_article(wiki, store, kind, title, page)


def _fetch_article(wiki: Wiki, store: WikipediaStore, kind: str, title: str, page: Page) -> None:
    answer = wiki.read(page)
    if isinstance(answer, str):
        store.give_up(kind, title, answer, title=page.title)
        return
    text, revision = answer
    more = {"redirect": page.redirect, "section": page.section}
    store.keep(
        kind,
        title,
        {
            "title": page.title,
            "page": page.number,
            "revision": revision,
            **{name: value for name, value in more.items() if value},
            "text": text,
        },
    )


def _different(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _is_open(record: Mapping[str, Any] | None, retry_gone: bool, width: int | None) -> bool:
    if record is None:
        return True
    return retry_gone if "gone" in record else record.get("width") != width


def _bar(total: int, progress: bool) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=total, desc="wikipedia-m3l", unit="item", disable=not progress)


def wikipedia_source(endpoints: WikipediaEndpoints | None = None) -> Source:
    """Return the data set as the catalogue has it."""
    titles = None if endpoints is None else endpoints.titles

    def collect(
        raw: Path,
        fetcher: Fetcher,
        *,
        limit: int | None = None,
        retry_gone: bool = False,
        accept_failed: bool = False,
        progress: bool = False,
    ) -> Mapping[str, Any]:
        report = fetch_wikipedia_m3l(
            raw,
            fetcher=fetcher,
            endpoints=endpoints,
            limit=limit,
            retry_gone=retry_gone,
            progress=progress,
        )
        if report["failed"] and not accept_failed:
            raise FetchError(
                f"wikipedia-m3l: {report['failed']} items could not be had this time; "
                f"{raw / NOT_THERE} lists them. Run it again: what has come is kept. If they fail "
                "every time, accept_failed=true (--set) does without them.",
                passing=True,
            )
        return report

    def build(
        raw: Path,
        *,
        validation: float = 0.05,
        words: int | None = 200,
        vocabulary_size: int | None = 2000,
        complete: bool = False,
    ) -> "MultiviewDataset":
        return build_wikipedia_m3l(
            raw,
            validation=validation,
            words=words,
            vocabulary_size=vocabulary_size,
            complete=complete,
        )

    return Source(
        name="wikipedia-m3l",
        title=TITLE,
        views=(*LANGUAGES, PICTURES),
        linked=True,
        homepage=HOMEPAGE,
        licence=LICENCE,
        citation=CITATION,
        build=build,
        repositories=(Repository(REPOSITORY, COMMIT),),
        files=tuple(
            RemoteFile(
                place.name,
                REPOSITORY,
                f"data/{place.name}",
                url=None if titles is None else f"{titles.rstrip('/')}/{place.name}",
            )
            for place in (titles_file(Path(), partition) for partition in PARTITIONS)
        ),
        collect=collect,
        actions={"retry_gone": True, "accept_failed": False},
        notes=NOTES,
    )


WIKIPEDIA_M3L_SOURCE = wikipedia_source()
