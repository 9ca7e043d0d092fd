"""The small corpus that the package carries: written and drawn for it, with planted themes."""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.pictures import THEMES, draw

LANGUAGES = ("en", "de", "fr")
PICTURES = "pictures"
_SENTENCES = 4
_SPLIT = (0.7, 0.1)


@dataclass(frozen=True)
class Theme:
    """A planted theme."""

    name: str
    words: dict[str, tuple[str, ...]]
    sentences: tuple[dict[str, str], ...]


@lru_cache(maxsize=1)
def demo_themes() -> tuple[Theme, ...]:
    """Return the planted themes."""
    content = json.loads(
        files("octis_m3l.data").joinpath("demo_texts.json").read_text(encoding="utf-8")
    )
    return tuple(
        Theme(
            theme["name"],
            {language: tuple(theme["words"][language]) for language in LANGUAGES},
            tuple(theme["sentences"]),
        )
        for theme in content["themes"]
    )


def demo_corpus(tuples: int = 400, *, missing: float = 0.15, seed: int = 0) -> MultiviewDataset:
    """Return linked reports in three languages, each with a picture, some with a view missing.

    A report has four sentences: all of one theme, or three of one and one of another, which then
    shows in a corner of the picture. The translations in the corpus carry the sentences in
    another order, as comparable texts do.

    Parameters
    ----------
    tuples : int
        How many.
    missing : float
        The share of German and French reports and of pictures that are left out.
    seed : int
        Of the draw.

    Returns
    -------
    MultiviewDataset
        Views 'en', 'de', 'fr' and 'pictures'; the label is the main theme; 70 % train, 10 %
        validation, 20 % test. ``metadata['themes']`` has each theme's planted words.
    """
    random = np.random.default_rng(seed)
    themes = demo_themes()
    names = [theme.name for theme in themes]
    assert tuple(names) == THEMES
    columns: dict[str, list[Any]] = {name: [] for name in (*LANGUAGES, PICTURES)}
    labels: list[str] = []
    for number in range(tuples):
        main = number % len(themes)
        other = int(random.integers(len(themes)))
        mixed = other != main and random.random() < 0.4
        sentences = _drawn(themes[main], _SENTENCES - mixed, random)
        if mixed:
            sentences += _drawn(themes[other], 1, random)
        for language in LANGUAGES:
            order = random.permutation(len(sentences))
            gone = language != LANGUAGES[0] and random.random() < missing
            text = " ".join(sentences[i][language] for i in order)
            columns[language].append(None if gone else text)
        picture = np.asarray(draw(names[main], names[other] if mixed else None, random))
        columns[PICTURES].append(None if random.random() < missing else picture)
        labels.append(names[main])
    place = random.permutation(tuples) / tuples
    cut, end = _SPLIT[0], sum(_SPLIT)
    partition = ["train" if p < cut else "validation" if p < end else "test" for p in place]
    return MultiviewDataset.from_lists(
        {language: columns[language] for language in LANGUAGES},
        images={PICTURES: columns[PICTURES]},
        partition=partition,
        labels=labels,
        metadata={
            "name": "octis-m3l demo",
            "license": "MIT",
            "themes": {theme.name: theme.words for theme in themes},
        },
    )


def _drawn(theme: Theme, count: int, random: np.random.Generator) -> list[dict[str, str]]:
    chosen = random.choice(len(theme.sentences), size=count, replace=False)
    return [theme.sentences[i] for i in chosen]
