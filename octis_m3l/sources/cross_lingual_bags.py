"""The cross-lingual benchmarks in InfoCTM's repository: unlinked bags of words by language."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octis_m3l.sources.infoctm_checksums import AMAZON_REVIEW, ECNEWS
from octis_m3l.sources.source import NONE_STATED, Builder, RemoteFile, Repository, Source

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

_REPOSITORY = Repository("BobXWu/InfoCTM", "c3a62c403aa5b318cc5a3200542db06250a76607")
_HOMEPAGE = "https://github.com/BobXWu/InfoCTM"
_INFOCTM = (
    "Wu, Dong, Nguyen, Liu, Pan & Luu: InfoCTM: A Mutual Information Maximization Perspective of "
    "Cross-Lingual Topic Modeling. AAAI 2023"
)
_REVIEWS = (
    "Yuan, Van Durme & Ying: Multilingual Anchoring: Interactive Topic Modeling and Alignment "
    "Across Languages. NeurIPS 2018; as prepared in "
)
_NAMES = (
    "train_bow_matrix_{}.npz",
    "test_bow_matrix_{}.npz",
    "vocab_{}",
    "train_texts_{}.txt",
    "test_texts_{}.txt",
    "train_labels_{}.txt",
    "test_labels_{}.txt",
    "word2vec_{}.npz",
)
_ESSENTIAL = ("train_bow_matrix_", "test_bow_matrix_", "vocab_")


def bags_builder(languages: Mapping[str, str]) -> Builder:
    """Return what makes a data set of a folder of bags of words."""

    def build(
        raw: Path,
        *,
        views: Sequence[str] | None = None,
        validation: float = 0.0,
        seed: int = 0,
    ) -> "MultiviewDataset":
        from octis_m3l.data.bow_folder import from_bow_folder

        dataset = from_bow_folder(raw, languages=languages, validation=validation, seed=seed)
        return dataset.with_views(views) if views else dataset

    return build


def _source(
    name: str,
    title: str,
    folder: str,
    languages: Mapping[str, str],
    citation: str,
    checksums: str = "",
    **rest: Any,
) -> Source:
    known = {
        words[2]: (words[0], int(words[1]))
        for line in checksums.splitlines()
        if len(words := line.split()) == 3
    }
    files = []
    for pattern in _NAMES:
        for language in languages:
            file = pattern.format(language)
            sha256, size = known.get(file, (None, None))
            origin = f"data/{folder}/{file}"
            required = file.startswith(_ESSENTIAL)
            files.append(RemoteFile(file, _REPOSITORY.name, origin, sha256, size, None, required))
    return Source(
        name=name,
        title=title,
        views=tuple(languages),
        linked=False,
        homepage=_HOMEPAGE,
        licence=NONE_STATED,
        citation=citation,
        build=bags_builder(languages),
        repositories=(_REPOSITORY,),
        files=tuple(files),
        **rest,
    )


ECNEWS_SOURCE = _source(
    "ecnews",
    "News headlines in English and Chinese, six labels, nothing linked",
    "ECNews",
    {"cn": "zh", "en": "en"},
    "Wu, Li, Zhu & Miao: Learning Multilingual Topics with Neural Variational Inference. NLPCC "
    f"2020; as prepared in {_INFOCTM}",
    ECNEWS,
    size=14_000_000,
)

AMAZON_REVIEW_SOURCE = _source(
    "amazon-review",
    "Product reviews in English and Chinese, two labels, nothing linked",
    "Amazon_Review",
    {"cn": "zh", "en": "en"},
    _REVIEWS + _INFOCTM,
    AMAZON_REVIEW,
    size=19_000_000,
)

RAKUTEN_AMAZON_SOURCE = _source(
    "rakuten-amazon",
    "Product reviews in English (Amazon) and Japanese (Rakuten), two labels, nothing linked",
    "Rakuten_Amazon",
    {"en": "en", "ja": "ja"},
    f"Zhang & LeCun: Which Encoding is the Best for Text Classification in Chinese, English, "
    f"Japanese and Korean? 2017 (Rakuten); {_REVIEWS}{_INFOCTM}",
)
