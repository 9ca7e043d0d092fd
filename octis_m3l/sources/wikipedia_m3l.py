"""The Wikipedia data of M3L-Contrast (Zosa & Pivovarova, COLING 2022), fetched anew.

The authors publish titles and the addresses of pictures. The articles come through MediaWiki's API,
the pictures as thumbnails from Wikimedia's server.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from octis_m3l import data
from octis_m3l.errors import DataError
from octis_m3l.files import read_json
from octis_m3l.sources.source import RemoteFile, Source, preprocessors
from octis_m3l.sources.wikipedia_fetching import (
    LANGUAGES,
    PARTITIONS,
    PICTURES,
    REPORT,
    TITLES,
    Published,
    Store,
    description_page,
    fetch_wikipedia_m3l,
    read_titles,
)

_REPOSITORY, _COMMIT = "ezosa/M3L-topic-model", "b16be9269dc8322eb06cefbbb23073a28be488dc"
_NOTES = (
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
    articles: Mapping[str, Mapping[str, Any]]
    pictures: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        return "\t".join(self.published.titles[language] for language in LANGUAGES)

    def items(self) -> list[tuple[str, object]]:
        """Return what identifies its items; pictures by content too, as addresses may differ."""
        pages = [(language, article["page"]) for language, article in self.articles.items()]
        contents = [("contents", record["sha256"]) for record in self.pictures.values()]
        return [*pages, *((PICTURES, address) for address in self.pictures), *contents]

    def origin(self) -> dict[str, Any]:
        """Return the revisions of its articles, and the pages of its pictures."""
        return {
            "articles": {
                language: {"title": article["title"], "revision": article["revision"]}
                for language, article in self.articles.items()
            },
            "pictures": [description_page(address) or address for address in self.pictures],
        }


def build_wikipedia_m3l(
    folder: str | Path,
    *,
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.05,
    words: Annotated[int, Field(ge=1)] | None = 200,
    vocabulary_size: int | None = 2000,
    complete: bool = False,
) -> "data.MultiviewDataset":
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
    folder = Path(folder).resolve()
    store, report = Store(folder), folder / REPORT
    # As many of each list as the last fetch asked for.
    counts = read_json(report)["tuples"].values() if report.exists() else ()
    published = read_titles(folder, max(counts, default=None))
    tuples = [_read_tuple(store, row, words) for row in published]
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
            f"{folder} has no training tuple whose articles or picture came: fetch more ({REPORT} "
            "says what is missing)."
        )
    names = [name for name in LANGUAGES if any(name in t.articles for t in tuples)]
    pictures = [[store.picture(*item) for item in t.pictures.items()] for t in tuples]
    records = [record for t in tuples for record in (*t.articles.values(), *t.pictures.values())]
    days = sorted({record["retrieved"] for record in records})
    return data.from_lists(
        {name: [t.articles.get(name, {}).get("text") for t in tuples] for name in names},
        images={PICTURES: pictures} if any(pictures) else None,
        partition=[str(partitions[number]) for number in kept],
        group=[parts[number] for number in kept],
        preprocessing=preprocessors(names, vocabulary_size, min_word_length=3),
        metadata={
            "notes": _NOTES,
            "retrieved": {"first": days[0], "last": days[-1]},
            "words": words,
            "validation": validation,
            "training_tuples_left_out": left_out,
            "records": [t.origin() for t in tuples],
        },
    )


def _read_tuple(store: Store, published: Published, words: int | None) -> _Tuple:
    articles, pictures = {}, {}
    for language, title in published.titles.items():
        record = store.read(language, title)
        if record is not None and "text" in record:
            text = record["text"] if words is None else " ".join(record["text"].split()[:words])
            articles[language] = {**record, "text": text}
    for address in published.addresses:
        record = store.read(PICTURES, address)
        if record is not None and "file" in record:
            pictures[address] = record
    return _Tuple(published, articles, pictures)


def _components(tuples: Sequence[_Tuple]) -> list[int]:
    """Return a number for each tuple that is the same if they share an item, directly or not."""
    from scipy.cluster.hierarchy import DisjointSet

    parts = DisjointSet(range(len(tuples)))
    owners: dict[tuple[str, object], int] = {}
    for number, one in enumerate(tuples):
        for item in one.items():
            parts.merge(number, owners.setdefault(item, number))
    return [int(parts[number]) for number in range(len(tuples))]


def _partitions(
    tuples: Sequence[_Tuple], parts: Sequence[int], validation: float
) -> list[str | None]:
    """Return each tuple's partition; None for training tuples that share with a test tuple."""
    numbered = list(zip(tuples, parts, strict=True))
    tested = {part for t, part in numbered if t.published.partition == "test"}
    names: dict[int, str] = {}
    for t, part in numbered:
        names[part] = min(names.get(part, t.name), t.name)
    partitions: list[str | None] = []
    for t, part in numbered:
        if part in tested:
            partitions.append("test" if t.published.partition == "test" else None)
        else:
            number = int.from_bytes(hashlib.sha256(names[part].encode()).digest())
            partitions.append("validation" if number / 2**256 < validation else "train")
    return partitions


WIKIPEDIA_M3L_SOURCE = Source(
    name="wikipedia-m3l",
    title="Wikipedia articles in English and German with pictures, of the M3L-Contrast paper",
    views=(*LANGUAGES, PICTURES),
    linked=True,
    homepage="https://github.com/ezosa/M3L-topic-model",
    licence="articles CC BY-SA 4.0, by the authors that each article's history names; pictures "
    "each under its own licence, which its page on Wikimedia Commons says",
    citation="Zosa & Pivovarova: Multilingual and Multimodal Topic Modelling with Pretrained "
    "Embeddings. COLING 2022, pages 4037–4048",
    build=build_wikipedia_m3l,
    repositories={_REPOSITORY: _COMMIT},
    files=tuple(
        RemoteFile(TITLES.format(one), _REPOSITORY, f"data/{TITLES.format(one)}")
        for one in PARTITIONS
    ),
    collect=fetch_wikipedia_m3l,
    actions=("retry_gone", "accept_failed"),
    notes=_NOTES,
)
