"""Planted data: linked documents and pictures drawn from themes whose words are known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.views import ImageView, View

THEMES = ("sea", "forest", "kitchen", "orchestra", "market", "winter", "harvest", "railway")
WORDS = 8
IMAGE = "image"
_BACKGROUND = 10
_LENGTHS = (20, 40)
_SHARES = (0.7, 0.1)


@dataclass(frozen=True)
class Planted:
    """A data set and what was planted in it.

    Parameters
    ----------
    dataset : MultiviewDataset
        The data.
    words : dict of language to list of sets of str
        Each theme's words.
    themes : dict of view to array of int
        The main theme of each item as stored.
    """

    dataset: MultiviewDataset
    words: dict[str, list[frozenset[str]]]
    themes: dict[str, NDArray[np.int64]]


def planted(
    languages: tuple[str, ...] = ("en", "de"),
    *,
    themes: int = 4,
    tuples: int = 90,
    images: bool = True,
    image_dimensions: int = 12,
    image_noise: float = 0.3,
    missing: float | Mapping[str, float] = 0.0,
    concentration: float = 0.3,
    shares: tuple[float, float] = _SHARES,
    seed: int = 0,
) -> Planted:
    """Draw linked documents and pictures.

    A tuple draws proportions of themes. Each of its documents draws a theme from them for every
    word, and the word from those that the language has for the theme; one word in six says
    nothing. Its picture's features are the themes' centroids, mixed, and noise. Every fifth tuple
    of document and picture has a second picture.

    Parameters
    ----------
    languages : tuple of str
        Views of text; the first is the pivot.
    themes : int
        How many.
    tuples : int
        How many, in all partitions.
    images : bool
        Whether there is a view of pictures, known by their features alone.
    image_dimensions, image_noise
        Of the features.
    missing : float or mapping of view to float
        How often a view has no item in a tuple. A tuple has one item at least.
    concentration : float
        Of the Dirichlet distribution of proportions.
    shares : (float, float)
        Of the training and validation partitions.
    seed : int
        Of every draw.
    """
    random = np.random.default_rng(seed)
    proportions = random.dirichlet(np.full(themes, concentration), size=tuples)
    names = [*languages, *([IMAGE] if images else [])]
    often = [missing.get(n, 0.0) if isinstance(missing, Mapping) else missing for n in names]
    present = _present(np.array(often), tuples, random)
    starts = np.rint(np.cumsum(shares) * tuples)
    marks = np.searchsorted(starts, np.arange(tuples), side="right")
    words = {language: planted_words(language, themes) for language in languages}
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
    records = {name: view.input_rows for name, view in dataset.views.items()}
    if images:
        rows = np.flatnonzero(present[-1])
        second = np.flatnonzero(present[-1] & present[:-1].any(axis=0))[::5]
        records[IMAGE] = np.sort(np.concatenate([rows, second]))
        centroids = random.normal(size=(themes, image_dimensions))
        exact = proportions[records[IMAGE]] @ centroids
        view = ImageView(
            name=IMAGE,
            sizes=_sizes(marks[records[IMAGE]]),
            embeddings=random.normal(exact, image_noise).astype(np.float32),
        )
        dataset = _linked([*dataset.views.values(), view], records, tuples, dataset.metadata)
    return Planted(
        _translated(dataset, languages, words),
        {language: [frozenset(theme) for theme in said] for language, said in words.items()},
        {name: proportions[rows].argmax(axis=1) for name, rows in records.items()},
    )


def planted_words(language: str, themes: int) -> list[list[str]]:
    """Return each theme's words in a language.

    Parameters
    ----------
    language : str
        Part of every word, so that no two languages share one.
    themes : int
        How many themes.
    """
    return [
        [f"{language}_{theme}_{number}" for number in range(WORDS)] for theme in THEMES[:themes]
    ]


def _translated(
    dataset: MultiviewDataset, languages: tuple[str, ...], words: dict[str, list[list[str]]]
) -> MultiviewDataset:
    """Tie each language to the first by a dictionary of the themes' words, number by number."""
    said = {name: [word for theme in themes for word in theme] for name, themes in words.items()}
    for other in languages[1:]:
        pairs = zip(said[languages[0]], said[other], strict=True)
        dataset = dataset.with_dictionary(languages[0], other, pairs)
    return dataset


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
    said = [random.choice(words[theme]) for theme in themes]
    for place in np.flatnonzero(random.random(length) < 1 / 6):
        said[place] = f"{language}_any_{random.integers(_BACKGROUND)}"
    return " ".join(said)


def _sizes(marks: NDArray[np.int64]) -> tuple[int, int, int]:
    train, validation, test = np.bincount(marks, minlength=3).tolist()
    return train, validation, test


def _linked(
    views: list[View],
    records: dict[str, NDArray[np.int64]],
    tuples: int,
    metadata: dict[str, object],
) -> MultiviewDataset:
    """Link the items of one record; partitions are in the order of the records."""
    rows = []
    for record in range(tuples):
        items = [np.flatnonzero(records[view.name] == record) for view in views]
        for number in range(max(len(found) for found in items)):
            rows.append([int(f[min(number, len(f) - 1)]) if len(f) else -1 for f in items])
    return MultiviewDataset(views, np.array(rows, np.int64), metadata=metadata)


def holds_for_most_seeds(check: Callable[[int], None]) -> None:
    """Run a check of a training with seed after seed until it holds for three of at most five.

    It is enough that it holds for the first. Where there are as many topics as themes, about one
    seed in ten ends with two themes in one topic, and which seed that is depends on the
    processor's arithmetic.
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
            if seed == 0 or held == 3:
                return
