"""Planted data: linked documents and pictures drawn from themes whose words are known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.views import ImageView
from octis_m3l.encoders import encode

THEMES = ("sea", "forest", "kitchen", "orchestra", "market", "winter", "harvest", "railway")
WORDS = 8
IMAGE = "image"
_BACKGROUND = 10
_LENGTHS = (20, 40)


@dataclass(frozen=True)
class Planted:
    """A data set, and the words of each theme in each language."""

    dataset: MultiviewDataset
    words: dict[str, list[frozenset[str]]]


def planted(
    languages: tuple[str, ...] = ("en", "de"),
    *,
    themes: int = 4,
    tuples: int = 90,
    images: bool = True,
    missing: float | Mapping[str, float] = 0.0,
    concentration: float = 0.3,
    shares: tuple[float, float] = (0.7, 0.1),
    seed: int = 0,
) -> Planted:
    """Draw linked documents and pictures; the first language is the pivot.

    A tuple draws proportions of themes from a Dirichlet distribution. Each of its documents draws
    a theme from them for every word, and the word from those that the language has for the theme;
    one word in six belongs to no theme. Its picture's features are the themes' centroids, mixed,
    and noise. Every fifth tuple of document and picture has a second picture. `missing` is how
    often a view has no item in a tuple; a tuple has at least one item. `shares` are those of the
    training and validation partitions.
    """
    random = np.random.default_rng(seed)
    proportions = random.dirichlet(np.full(themes, concentration), size=tuples)
    names = [*languages, *([IMAGE] if images else [])]
    often = [missing.get(n, 0.0) if isinstance(missing, Mapping) else missing for n in names]
    present = _present(np.array(often), tuples, random)
    starts = np.rint(np.cumsum(shares) * tuples)
    marks = np.searchsorted(starts, np.arange(tuples), side="right")
    words = {
        language: [[f"{language}_{theme}_{n}" for n in range(WORDS)] for theme in THEMES[:themes]]
        for language in languages
    }
    texts = {
        language: [
            _document(language, row, words[language], random) if there else None
            for row, there in zip(proportions, column, strict=True)
        ]
        for language, column in zip(languages, present, strict=False)
    }
    dataset = MultiviewDataset.from_lists(
        texts,
        partition=[("train", "validation", "test")[mark] for mark in marks],
        preprocessing=TextPreprocessor(tokenizer="whitespace", stop_words=False),
        languages=dict.fromkeys(languages),
        metadata={"name": "planted"},
    )
    if images:
        records = {name: view.input_rows for name, view in dataset.views.items()}
        rows = np.flatnonzero(present[-1])
        second = np.flatnonzero(present[-1] & present[:-1].any(axis=0))[::5]
        records[IMAGE] = np.sort(np.concatenate([rows, second]))
        exact = proportions[records[IMAGE]] @ random.normal(size=(themes, 12))
        train, validation, test = np.bincount(marks[records[IMAGE]], minlength=3).tolist()
        features = random.normal(exact, 0.3).astype(np.float32)
        view = ImageView(name=IMAGE, sizes=(train, validation, test), embeddings=features)
        links = _links(list(records.values()), tuples)
        views = [*dataset.views.values(), view]
        dataset = MultiviewDataset(views, links, metadata=dataset.metadata)
    # Each language is tied to the first by a dictionary of the themes' words, number by number.
    listed = {name: [word for theme in of for word in theme] for name, of in words.items()}
    for other in languages[1:]:
        pairs = zip(listed[languages[0]], listed[other], strict=True)
        dataset = dataset.with_dictionary(languages[0], other, pairs)
    return Planted(
        dataset, {language: [frozenset(theme) for theme in of] for language, of in words.items()}
    )


def _present(
    missing: NDArray[np.float64], tuples: int, random: np.random.Generator
) -> NDArray[np.bool_]:
    present = random.random((len(missing), tuples)) >= missing[:, None]
    spared = random.integers(len(missing), size=tuples)
    present[spared, np.arange(tuples)] |= ~present.any(axis=0)
    return present


def _document(
    language: str,
    proportions: NDArray[np.float64],
    words: list[list[str]],
    random: np.random.Generator,
) -> str:
    length = random.integers(*_LENGTHS)
    themes = random.choice(len(words), size=length, p=proportions)
    drawn = [random.choice(words[theme]) for theme in themes]
    for place in np.flatnonzero(random.random(length) < 1 / 6):
        drawn[place] = f"{language}_any_{random.integers(_BACKGROUND)}"
    return " ".join(drawn)


def _links(records: list[NDArray[np.int64]], tuples: int) -> NDArray[np.int64]:
    """Link the items of one record; partitions are in the order of the records."""
    rows = []
    for record in range(tuples):
        items = [np.flatnonzero(of_view == record) for of_view in records]
        for number in range(max(len(found) for found in items)):
            rows.append([int(f[min(number, len(f) - 1)]) if len(f) else -1 for f in items])
    return np.array(rows, np.int64)


def in_unrelated_spaces(dataset: MultiviewDataset, seed: int) -> MultiviewDataset:
    """Return the data set with embeddings of its texts, of 20 dimensions that mean nothing.

    They are LSA's, but a language's dimensions are mixed at random: what is near in one language
    says nothing of another.
    """
    random, vectors = np.random.default_rng(seed), encode(dataset, "lsa", dimensions=20).embeddings
    mixed = {
        name: vectors[name] @ np.linalg.qr(random.normal(size=(20, 20)))[0].astype(np.float32)
        for name in dataset.text_views
    }
    return dataset.with_embeddings(mixed, order="stored")


def holds_for_most_seeds(check: Callable[[int], None]) -> None:
    """Run a check of a training with seed after seed until it holds for three of at most five.

    Which seeds end with two themes in one topic depends on the processor's arithmetic.
    """
    held = missed = 0
    for seed in range(5):
        try:
            check(seed)
        except AssertionError:
            missed += 1
            if missed > 2:
                raise
        else:
            held += 1
            if held == 3:
                return
