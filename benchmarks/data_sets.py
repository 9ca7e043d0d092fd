"""The data sets that the benchmarks run on; OCTIS_M3L_DATA and OCTIS_M3L_CORPORA name folders."""

import gzip
import json
import os
import random
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from octis_m3l import demo_corpus
from octis_m3l.data import MultiviewDataset, TextPreprocessor, from_bow_folder
from octis_m3l.data.words import mutually_nearest
from octis_m3l.encoders import encode_words

# Languages, and how many training tuples, if not all.
PASSAGES: dict[str, tuple[list[str], int | None]] = {
    "bible-passages": (["en", "de"], None),
    "bible-passages-six": (["en", "de", "es", "nl", "cs", "zh"], None),
    **{f"bible-passages-{number}": (["en", "de"], number) for number in (1500, 500, 200)},
}
UNLINKED = ("ecnews", "amazon-review")
FROM_DEBIAN = (
    "package-descriptions",
    "manual-pages",
    "program-messages",
    "desktop-help",
    "office-help",
)
# The corpus, how many words of each text, and how many training tuples, if not all.
SHORTENED: dict[str, tuple[str, int, int | None]] = {
    "office-help-40": ("office-help", 40, 700),
    "desktop-help-10": ("desktop-help", 10, None),
    "package-descriptions-10": ("package-descriptions", 10, 700),
    "manual-pages-60": ("manual-pages", 60, 168),
}
NAMES = (
    *PASSAGES,
    "storybooks",
    "storybooks-joined",
    *UNLINKED,
    *FROM_DEBIAN,
    *SHORTENED,
    "demo",
)


def data_folder(
    variable: str = "OCTIS_M3L_DATA", content: str = "bible-passages.jsonl.gz and storybooks/"
) -> Path:
    """Return a folder that a variable of the environment names; default: the public data sets."""
    folder = os.environ.get(variable)
    if folder is None or not Path(folder).is_dir():
        raise SystemExit(f"set {variable} to the folder that holds {content}")
    return Path(folder)


def load(
    name: str, views: Sequence[str] | None, *, partition: str = "partition_pages"
) -> MultiviewDataset:
    """Return a data set with the views wanted.

    Parameters
    ----------
    name : str
        One of `NAMES`, or a folder that `MultiviewDataset.save` wrote.
    views : sequence of str, optional
        Default: all; of the passages those in `PASSAGES`.
    partition : str
        Of the story books: 'partition_pages' or 'partition' (by story, hard).
    """
    if name in PASSAGES:
        languages, training = PASSAGES[name]
        return bible_passages(list(views or languages), training=training)
    if name in ("storybooks", "storybooks-joined"):
        joined = 3 if name == "storybooks-joined" else 1
        return storybooks(views, partition=partition, joined=joined)
    if name in (*FROM_DEBIAN, *SHORTENED):
        folder = data_folder("OCTIS_M3L_CORPORA", "what benchmarks/corpora.py made")
        whole, words, training = SHORTENED.get(name, (name, None, None))
        rows = with_fewer(rows_of(folder / f"{whole}.jsonl.gz"), training)
        if words is not None:
            for row in rows:
                row["text"] = {view: shortened(text, words) for view, text in row["text"].items()}
        dataset = of_rows(rows, list(dict.fromkeys(n for row in rows for n in row["text"])), name)
    elif name == "demo":
        dataset = demo_corpus()
    else:
        dataset = bags_of_words(name) if name in UNLINKED else MultiviewDataset.from_folder(name)
    return dataset.with_views(views) if views else dataset


def bible_passages(languages: Sequence[str], *, training: int | None = None) -> MultiviewDataset:
    """Return document-aligned passages.

    The Chinese ones come with spaces in unusual places, which are taken out before jieba splits
    them into words.

    Parameters
    ----------
    languages : sequence of str
        Views.
    training : int, optional
        Only so many training tuples, the same ones each time; the vocabulary is theirs.
    """
    passages = rows_of(data_folder() / "bible-passages.jsonl.gz")
    for passage in passages:
        passage["label"] = passage["genre"]
        passage["text"]["zh"] = passage["text"]["zh"].replace(" ", "")
    return of_rows(with_fewer(passages, training), languages, "bible-passages")


def with_fewer(rows: list[dict[str, Any]], training: int | None) -> list[dict[str, Any]]:
    """Return rows with only so many training tuples, if a number is given."""
    if training is None:
        return rows
    numbers = [n for n, row in enumerate(rows) if row["partition"] == "train"]
    random.Random(0).shuffle(numbers)
    left_out = set(numbers[training:])
    return [row for n, row in enumerate(rows) if n not in left_out]


def shortened(text: str, words: int) -> str:
    """Return the first words of a text, in all at most ten characters a word.

    Languages without spaces are cut too.
    """
    return " ".join(text.split()[:words])[: 10 * words]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def of_rows(
    rows: Sequence[dict[str, Any]], languages: Sequence[str], name: str
) -> MultiviewDataset:
    """Return linked texts with the 2,000 most frequent words of each language."""
    return MultiviewDataset.from_lists(
        {language: [row["text"].get(language) for row in rows] for language in languages},
        partition=[row["partition"] for row in rows],
        labels=[row["label"] for row in rows],
        preprocessing={n: TextPreprocessor(language=n, vocabulary_size=2000) for n in languages},
        metadata={"name": name},
    )


def bags_of_words(name: str) -> MultiviewDataset:
    """Return an unlinked corpus of English and Chinese: word vectors in one space, a dictionary."""
    dataset = from_bow_folder(data_folder() / name, languages={"cn": "zh"})
    with np.load(data_folder() / "word-vectors" / f"{name}.npz") as file:
        vectors = {view: file[f"word_{view}"].astype(np.float32) for view in dataset.views}
        pairs = file["dict_pairs"]
    return dataset.with_word_vectors(vectors).with_dictionary("en", "cn", pairs)


def tied_by_words(dataset: MultiviewDataset) -> MultiviewDataset:
    """Return linked texts with what models that know no links need: word vectors, dictionaries.

    Word vectors are those of cross-language LSI on the training tuples, a dictionary each two
    languages' mutually nearest words among them.

    Parameters
    ----------
    dataset : MultiviewDataset
        Linked.
    """
    vectors = encode_words(dataset, "clsi")
    for first, second in combinations(vectors, 2):
        pairs = mutually_nearest(vectors[first], vectors[second])
        dataset = dataset.with_dictionary(first, second, pairs)
    return dataset.with_word_vectors(vectors)


STORY_LANGUAGES = ("en", "fr", "pt", "de", "es", "zh")


def storybooks(
    views: Sequence[str] | None = None, *, partition: str = "partition_pages", joined: int = 1
) -> MultiviewDataset:
    """Return picture-book pages with their gaps, pictures as MobileNet features.

    Parameters
    ----------
    views : sequence of str, optional
        Languages, and 'pictures'. Default: all seven.
    partition : str
        The partition that is active.
    joined : int
        How many pages of a story make one document, which then has as many pictures.
    """
    folder = data_folder() / "storybooks"
    pages = [json.loads(line) for line in (folder / "pages.jsonl").open(encoding="utf-8")]
    features = np.load(folder / "image_features.npy").astype(np.float32)
    wanted = list(views or [*STORY_LANGUAGES, "pictures"])
    languages = [name for name in wanted if name != "pictures"]
    groups = _joined(pages, partition, joined)
    texts: dict[str, list[Any]] = {
        name: [_text([pages[i] for i in group], name) for group in groups] for name in languages
    }
    kept = [row for row, group in enumerate(groups) if group]
    arguments: dict[str, Any] = {}
    if "pictures" in wanted:
        paths = [[str(folder / pages[i]["image"]) for i in groups[row]] for row in kept]
        arguments["images"] = {"pictures": paths}
        arguments["embeddings"] = {"pictures": features[[i for row in kept for i in groups[row]]]}
    return MultiviewDataset.from_lists(
        {name: [column[row] for row in kept] for name, column in texts.items()},
        partition=[pages[groups[row][0]][partition] for row in kept],
        labels=[pages[groups[row][0]]["story"] for row in kept],
        metadata={"name": f"storybooks by {partition}, {joined} page(s) a document"},
        **arguments,
    )


def _joined(pages: Sequence[Any], partition: str, joined: int) -> list[list[int]]:
    """Return groups of page numbers: consecutive pages of one story in one partition."""
    groups: list[list[int]] = []
    for number, page in enumerate(pages):
        last = pages[groups[-1][0]] if groups else None
        same = last is not None and (last["story"], last[partition]) == (
            page["story"],
            page[partition],
        )
        if same and len(groups[-1]) < joined:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


def _text(pages: Sequence[Any], language: str) -> str | None:
    found = [page["text"][language] for page in pages if page["text"].get(language)]
    return " ".join(found) if found else None
