"""OCTIS's own preprocessed corpora, each a data set of one view."""

from pathlib import Path
from typing import TYPE_CHECKING

from octis_m3l.sources.source import NONE_STATED, RemoteFile, Source

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

_REPOSITORY = "MIND-Lab/OCTIS"
_CITATION = (
    "Terragni, Fersini, Galuzzi, Tropeano & Candelieri: OCTIS: Comparing and Optimizing Topic "
    "Models is Simple! EACL 2021 (system demonstrations)"
)


def build_octis(raw: Path) -> "MultiviewDataset":
    """Return the data set of a folder in OCTIS's format, with one view, ``en``."""
    from octis_m3l.data import from_octis

    return from_octis({"en": raw})


def _source(name: str, folder: str, title: str) -> Source:
    return Source(
        name=name,
        title=title,
        views=("en",),
        linked=False,
        homepage="https://github.com/MIND-Lab/OCTIS",
        licence=NONE_STATED,
        citation=_CITATION,
        build=build_octis,
        repositories={_REPOSITORY: None},
        files=tuple(
            RemoteFile(file, _REPOSITORY, f"preprocessed_datasets/{folder}/{file}")
            for file in ("corpus.tsv", "vocabulary.txt")
        ),
        notes=f"OCTIS itself calls it {folder}. OCTIS's own licence (MIT) is that of its program.",
    )


NEWSGROUP_SOURCE = _source(
    "20newsgroup", "20NewsGroup", "Posts to twenty newsgroups, in English, one label a group"
)
BBC_SOURCE = _source("bbc-news", "BBC_News", "BBC news stories in English, five labels")
DBLP_SOURCE = _source(
    "dblp", "DBLP", "Titles of papers in computer science, in English, four labels"
)
M10_SOURCE = _source("m10", "M10", "Titles of scientific papers in English, ten labels")
