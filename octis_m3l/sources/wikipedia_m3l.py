"""The Wikipedia data of M3L-Contrast (Zosa & Pivovarova, COLING 2022), fetched anew.

The authors publish titles and the addresses of pictures. The articles come through MediaWiki's API,
the pictures as thumbnails from Wikimedia's server.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octis_m3l.errors import DataError, SettingsError
from octis_m3l.files import read_json
from octis_m3l.sources.fetching import Fetcher, FetchError
from octis_m3l.sources.source import RemoteFile, Source
from octis_m3l.sources.wikipedia_fetching import (
    NOT_THERE,
    REPORT,
    description_page,
    fetch_wikipedia_m3l,
)
from octis_m3l.sources.wikipedia_store import (
    COMMIT,
    LANGUAGES,
    PARTITIONS,
    PICTURES,
    REPOSITORY,
    Published,
    WikipediaEndpoints,
    WikipediaStore,
    articles_of,
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

TITLE = "Wikipedia articles in English and German with pictures, of the M3L-Contrast paper"
HOMEPAGE = "https://github.com/ezosa/M3L-topic-model"
LICENCE = (
    "articles CC BY-SA 4.0, by the authors that each article's history names; pictures each under "
    "its own licence, which its page on Wikimedia Commons says"
)
CITATION = (
    "Zosa & Pivovarova: Multilingual and Multimodal Topic Modelling with Pretrained Embeddings. "
    "COLING 2022, pages 4037–4048"
)
NOTES = (
    "Rebuilt from the published titles: articles are as Wikipedia has them on the day of "
    "retrieval, not those that the paper used, and the stop words are stopwordsiso's where the "
    "paper has NLTK's. Articles of fewer than ten known words, which the authors' code drops "
    "with their tuples, are kept. Tuples of the published training list that share an article "
    "or a picture (its address or its content) with a tuple of the test list are left out of "
    "training. Validation tuples are "
    "those of the training list whose SHA-256 of the English title, a tab and the German title "
    "(of tuples that share an item: the first of them in order of code points), as a number, is "
    "below the given share of the largest."
)


@dataclass(frozen=True)
class _Tuple:
    """What has come of one published tuple."""

    published: Published
    articles: dict[str, dict[str, Any]]
    pictures: dict[str, dict[str, Any]]

    @property
    def name(self) -> str:
        return "\t".join(self.published.titles[language] for language in LANGUAGES)

    @property
    def days(self) -> set[str]:
        return {one["retrieved"] for one in (*self.articles.values(), *self.pictures.values())}

    def items(self) -> list[tuple[str, object]]:
        """Return what identifies its items; pictures by content too, as addresses may differ."""
        pages = [(language, article["page"]) for language, article in self.articles.items()]
        contents = [("contents", record["sha256"]) for record in self.pictures.values()]
        return [*pages, *((PICTURES, address) for address in self.pictures), *contents]


def build_wikipedia_m3l(
    folder: str | Path,
    *,
    validation: float = 0.05,
    words: int | None = 200,
    vocabulary_size: int | None = 2000,
    complete: bool = False,
) -> "MultiviewDataset":
    """Build the data set of Zosa & Pivovarova (COLING 2022) from what was fetched.

    Parameters
    ----------
    folder : str or Path
        Where `fetch_wikipedia_m3l` stored it.
    validation : float
        The share of training tuples that become validation tuples.
    words : int, optional
        Use only the first words of each article; None: whole articles.
    vocabulary_size : int, optional
        How many words each language keeps; None: all.
    complete : bool
        Whether to use only tuples of which both articles and a picture came.
    """
    if not 0 <= validation < 1:
        raise SettingsError(
            f"validation={validation}: expected a share, at least 0 and less than 1."
        )
    if words is not None and words < 1:
        raise SettingsError(f"words={words}: expected 1 or more, or None for whole articles.")
    folder = Path(folder).resolve()
    store = WikipediaStore(folder)
    tuples = [_read_tuple(store, published, words) for published in _last_fetched(folder)]
    if complete:
        tuples = [t for t in tuples if len(t.articles) == len(LANGUAGES) and t.pictures]
    tuples = [t for t in tuples if t.articles or t.pictures]
    parts = _components(tuples)
    partitions = _partitions(tuples, parts, validation)
    kept = [number for number, partition in enumerate(partitions) if partition is not None]
    left_out = len(tuples) - len(kept)
    tuples = [tuples[number] for number in kept]
    if not any(t.published.partition == "train" for t in tuples):
        raise DataError(
            f"{folder} has no training tuple whose articles or picture came: fetch more with "
            "fetch_wikipedia_m3l (its report says what is missing)."
        )
    names = [name for name in LANGUAGES if any(name in t.articles for t in tuples)]
    pictures = [[store.picture_path(*item) for item in t.pictures.items()] for t in tuples]
    several = any(len(cell) > 1 for cell in pictures)
    cells: list[Any] = pictures if several else [cell[0] if cell else None for cell in pictures]
    days = sorted({day for t in tuples for day in t.days})
    from octis_m3l.data import from_lists
    from octis_m3l.data.text import TextPreprocessor

    return from_lists(
        {name: [t.articles.get(name, {}).get("text") for t in tuples] for name in names},
        images={PICTURES: cells} if any(pictures) else None,
        partition=[str(partitions[number]) for number in kept],
        group=[parts[number] for number in kept],
        languages={name: name for name in names},
        preprocessing={
            name: TextPreprocessor(
                language=name, vocabulary_size=vocabulary_size, min_word_length=3
            )
            for name in names
        },
        metadata={
            "name": "wikipedia-m3l",
            "title": TITLE,
            "homepage": HOMEPAGE,
            "license": LICENCE,
            "citation": CITATION,
            "notes": NOTES,
            "retrieved": {"first": days[0], "last": days[-1]},
            "words": words,
            "validation": validation,
            "training_tuples_left_out": left_out,
            "records": [_origin(t) for t in tuples],
        },
    )


def _last_fetched(folder: Path) -> list[Published]:
    """Return the tuples that the last fetch asked for: with a limit, the first of each list."""
    tuples = read_titles(folder)
    if not (folder / REPORT).exists():
        return tuples
    room = Counter(read_json(folder / REPORT)["tuples"])
    kept = []
    for published in tuples:
        room[published.partition] -= 1
        if room[published.partition] >= 0:
            kept.append(published)
    return kept


def _read_tuple(store: WikipediaStore, published: Published, words: int | None) -> _Tuple:
    articles, pictures = {}, {}
    for language, title in published.titles.items():
        record = store.read(articles_of(language), title)
        if record is not None and "text" in record:
            text = record["text"] if words is None else " ".join(record["text"].split()[:words])
            articles[language] = {**record, "text": text}
    for address in published.pictures:
        record = store.read(PICTURES, address)
        if record is not None and "file" in record:
            pictures[address] = record
    return _Tuple(published, articles, pictures)


def _components(tuples: Sequence[_Tuple]) -> list[int]:
    """Return the number of each tuple's component: tuples that share an item, directly or not."""
    import numpy as np
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    owners: dict[tuple[str, object], int] = {}
    pairs = np.array(
        [
            (number, owners.setdefault(key, number))
            for number, published in enumerate(tuples)
            for key in published.items()
        ]
    ).reshape(-1, 2)
    size = len(tuples)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    return [int(part) for part in connected_components(graph, directed=False)[1]]


def _partitions(
    tuples: Sequence[_Tuple], parts: Sequence[int], validation: float
) -> list[str | None]:
    """Return each tuple's partition; None for training tuples that share with a test tuple."""
    numbered = list(zip(tuples, parts, strict=True))
    tested = {part for t, part in numbered if t.published.partition == "test"}
    names: dict[int, str] = {}
    for t, part in numbered:
        names[part] = min(names.get(part, t.name), t.name)
    of_training = {
        part: "validation" if _share(name) < validation else "train" for part, name in names.items()
    }
    return [
        of_training[part]
        if part not in tested
        else "test"
        if t.published.partition == "test"
        else None
        for t, part in numbered
    ]


def _share(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()) / 2**256


def _origin(t: _Tuple) -> dict[str, Any]:
    return {
        "articles": {
            language: {"title": article["title"], "revision": article["revision"]}
            for language, article in t.articles.items()
        },
        "pictures": [description_page(address) or address for address in t.pictures],
    }


def wikipedia_source(endpoints: WikipediaEndpoints | None = None) -> Source:
    """Return the data set as the catalogue has it.

    Parameters
    ----------
    endpoints : WikipediaEndpoints, optional
        Which servers to ask.
    """
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
                f"wikipedia-m3l: {report['failed']} items could not be fetched this time; "
                f"{raw / NOT_THERE} lists them. Run it again: what has come is kept. If they fail "
                "every time, accept_failed=true (--set) leaves them out.",
                passing=True,
            )
        return report

    return Source(
        name="wikipedia-m3l",
        title=TITLE,
        views=(*LANGUAGES, PICTURES),
        linked=True,
        homepage=HOMEPAGE,
        licence=LICENCE,
        citation=CITATION,
        build=build_wikipedia_m3l,
        repositories={REPOSITORY: COMMIT},
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
