"""Data sets that come as bags of words: OCTIS's own corpora, and InfoCTM's benchmarks."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from octis_m3l import data
from octis_m3l.sources.source import NONE_STATED, RemoteFile, Source

_OCTIS = "MIND-Lab/OCTIS"
_INFOCTM, _INFOCTM_COMMIT = "BobXWu/InfoCTM", "c3a62c403aa5b318cc5a3200542db06250a76607"
_INFOCTM_CITATION = (
    "Wu, Dong, Nguyen, Liu, Pan & Luu: InfoCTM: A Mutual Information Maximization Perspective of "
    "Cross-Lingual Topic Modeling. AAAI 2023"
)
_REVIEWS_CITATION = (
    "Yuan, Van Durme & Ying: Multilingual Anchoring: Interactive Topic Modeling and Alignment "
    f"Across Languages. NeurIPS 2018; as prepared in {_INFOCTM_CITATION}"
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
# SHA-256, length and name of the files at the pinned commit.
_ECNEWS = """
1ba91a639f4ade1e38728d1a7e0b307e6075b211f219dc5cf71f88bde9af3dc0 222587 test_bow_matrix_cn.npz
885e727419da68b6c14a9aeb9a8eb6a29996353c220b961bcea51e36142bbd32 227086 test_bow_matrix_en.npz
c668e92f11510b260e6e6b868f77abae886bbe026cf7d0edc93cf1bd7655adfe 20000 test_labels_cn.txt
1104d179b68cca0825c62172c4c54bfd658da64bb121fd8007ec09677c7031e2 18740 test_labels_en.txt
15d268e3f9a69905da2b6dbd1be7ddb758dce5f9fd87f41322caf8ce1b528e87 725588 test_texts_cn.txt
5f8a3bd99a0626a2c4e671440f31167e9173ec1e2d64066e75e6dae8d08bea5b 745272 test_texts_en.txt
ce2bc700f3f1d9140a9b32d2e54ef194f1a2c31f909bcbae5c22548cdc55726f 859666 train_bow_matrix_cn.npz
eb4aee0bbe73b6951175f6ea1d73c0729b8d4fff61f9d58b70df03d92c5cdf89 907570 train_bow_matrix_en.npz
e44be911ec788fc544912220de0731eb79853d6eb06f1b7539b58c1228122cae 80000 train_labels_cn.txt
ab9c7c6f5b0e51332876c13475959523779631643629687a2745b7c99c6dbed8 74960 train_labels_en.txt
db6873893391493d516b38328c74c2dbc024267385fd453c6a92bd6163118147 2767285 train_texts_cn.txt
f43c4aa0ef2f9199eb579bcb120315be4bbacaa4e84239d5fb597edc74996c1f 2997662 train_texts_en.txt
8c61ccc1105763626ac02685450119056ea6f7b8b5358dd89477a9d4dd250850 34010 vocab_cn
8dd59e24528cb8c2e6b00d37bd6e792ddb3868d31a34ed1ee0ed3e292a0a0481 36666 vocab_en
87cebe41901b2e66caff87c62a9771022a9ff78179ca62bc23bcda02c9e81851 1883749 word2vec_cn.npz
225e67452a4970019444cad5226ee5c193a55019b8ba64ff9b0277c44a0e3470 1884184 word2vec_en.npz
"""
_AMAZON_REVIEW = """
98a552e6545a21bf91a69127b10cf245475fb06ade591c7c9f4fbf788223aba0 349324 test_bow_matrix_cn.npz
d5c5bb58bb8d80d5dd4d7a8a148457f73debdab16145285c8d8ca48d4276ea47 270469 test_bow_matrix_en.npz
37a5240439f28e81c98951c497ef113994ea16bdf54e2fbe273febc0bbaa63c8 10000 test_labels_cn.txt
8d1f4daf0b3ba2eae14b0bec735b95a4d123d5e44a4bb08f14f78bb83b715eed 10000 test_labels_en.txt
8955fda8c60e508592cec33e57b5577526a330f5e3de029d72a9196979080408 1347401 test_texts_cn.txt
473d0449c43cfefd4fc0d3e42cca48f509e17b25603910975ea147109c7dc77c 987408 test_texts_en.txt
f751d37a94d80a058579b9caf99e63134bd8012588639857e4c4c90b58808dd8 1376542 train_bow_matrix_cn.npz
8786e381053012b6141fbc4e60f1364829000a0f5ba4320b1c24a6fb1f20088d 1077838 train_bow_matrix_en.npz
dbb434134c0b08a46c92860d4d1cebb7cf1fdb713103f840f25d7300b61d94ef 40000 train_labels_cn.txt
69271396baafd79c694f5610a130a508328995c40b25f33b31846864623cec34 40000 train_labels_en.txt
67665ea48a86638ae5a99f05c8fba37eafd52950669c76544283c47dda1219c9 3955530 train_texts_en.txt
ea2aa42142b31a4d1ddab411ccae49232d42cd734a5a00c3de184e4fb8145b7f 32843 vocab_cn
dce6fb79ebffe61736a7cdddeecf1adfc4fba2e1e550633c91b0ab1a61c611e7 36675 vocab_en
e5c3a9af417385e1d4f4e9f3a754d5bd8fcb61e27c123ff6e16e0b62feaf8aa8 1883705 word2vec_cn.npz
8fa215d68265882b312ce3baa21998bbe11f311331a6d949d5af2d61ba1ab832 1884248 word2vec_en.npz
"""


def build_octis(raw: Path) -> "data.MultiviewDataset":
    """Return the data set of a folder in OCTIS's format, with one view, ``en``."""
    return data.from_octis({"en": raw})


def build_infoctm(
    languages: Mapping[str, str], raw: Path, *, validation: float = 0.0, seed: int = 0
) -> "data.MultiviewDataset":
    """Return the data set of a folder in InfoCTM's format; `languages` has those of its views."""
    return data.from_bow_folder(raw, languages=languages, validation=validation, seed=seed)


def _octis_source(name: str, folder: str, title: str) -> Source:
    return Source(
        name=name,
        title=title,
        views=("en",),
        linked=False,
        homepage="https://github.com/MIND-Lab/OCTIS",
        licence=NONE_STATED,
        citation="Terragni, Fersini, Galuzzi, Tropeano & Candelieri: OCTIS: Comparing and "
        "Optimizing Topic Models is Simple! EACL 2021 (system demonstrations)",
        build=build_octis,
        repositories={_OCTIS: None},
        files=tuple(
            RemoteFile(file, _OCTIS, f"preprocessed_datasets/{folder}/{file}")
            for file in ("corpus.tsv", "vocabulary.txt")
        ),
        notes=f"OCTIS itself calls it {folder}. OCTIS's own licence (MIT) is that of its program.",
    )


def _infoctm_source(
    name: str,
    title: str,
    folder: str,
    languages: Mapping[str, str],
    citation: str,
    checksums: str = "",
    total: int | None = None,
) -> Source:
    known = {}
    for line in checksums.split("\n")[1:-1]:
        sha256, size, file = line.split()
        known[file] = sha256, int(size)
    files = []
    for pattern in _NAMES:
        for language in languages:
            file, is_essential = pattern.format(language), pattern.startswith(_ESSENTIAL)
            place = file, _INFOCTM, f"data/{folder}/{file}"
            checksum, length = known.get(file, (None, None))
            files.append(RemoteFile(*place, checksum, length, required=is_essential))
    return Source(
        name=name,
        title=title,
        views=tuple(languages),
        linked=False,
        homepage=f"https://github.com/{_INFOCTM}",
        licence=NONE_STATED,
        citation=citation,
        build=partial(build_infoctm, languages),
        repositories={_INFOCTM: _INFOCTM_COMMIT},
        files=tuple(files),
        size=total,
    )


NEWSGROUP_SOURCE = _octis_source(
    "20newsgroup", "20NewsGroup", "Posts to twenty newsgroups, in English, one label a group"
)
BBC_SOURCE = _octis_source("bbc-news", "BBC_News", "BBC news stories in English, five labels")
DBLP_SOURCE = _octis_source(
    "dblp", "DBLP", "Titles of papers in computer science, in English, four labels"
)
M10_SOURCE = _octis_source("m10", "M10", "Titles of scientific papers in English, ten labels")
ECNEWS_SOURCE = _infoctm_source(
    "ecnews",
    "News headlines in English and Chinese, six labels, unlinked",
    "ECNews",
    {"cn": "zh", "en": "en"},
    "Wu, Li, Zhu & Miao: Learning Multilingual Topics with Neural Variational Inference. NLPCC "
    f"2020; as prepared in {_INFOCTM_CITATION}",
    _ECNEWS,
    total=14_000_000,
)
AMAZON_REVIEW_SOURCE = _infoctm_source(
    "amazon-review",
    "Product reviews in English and Chinese, two labels, unlinked",
    "Amazon_Review",
    {"cn": "zh", "en": "en"},
    _REVIEWS_CITATION,
    _AMAZON_REVIEW,
    total=19_000_000,
)
RAKUTEN_AMAZON_SOURCE = _infoctm_source(
    "rakuten-amazon",
    "Product reviews in English (Amazon) and Japanese (Rakuten), two labels, unlinked",
    "Rakuten_Amazon",
    {"en": "en", "ja": "ja"},
    f"Zhang & LeCun: Which Encoding is the Best for Text Classification in Chinese, English, "
    f"Japanese and Korean? 2017 (Rakuten); {_REVIEWS_CITATION}",
)
