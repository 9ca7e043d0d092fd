"""The demonstration corpus and its pictures."""

import re
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from octis_m3l.data.demo import LANGUAGES, demo_corpus, demo_picture, demo_themes
from octis_m3l.encoders import PictureEncoder

THEMES = [theme.name for theme in demo_themes()]


def words_of(sentence: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]+", sentence.lower()))


def pixels(theme: str, number: int, other: str | None = None, inset: int = 0) -> NDArray[np.int64]:
    return np.asarray(demo_picture(theme, number, other, inset), np.int64)


@pytest.mark.parametrize("language", LANGUAGES)
def test_typical_words_occur_in_their_theme_and_in_no_other(language: str) -> None:
    sentences = {
        theme.name: [words_of(sentence[language]) for sentence in theme.sentences]
        for theme in demo_themes()
    }
    assert [len(of_theme) for of_theme in sentences.values()] == [16] * 10
    for theme in demo_themes():
        assert len({sentence[language] for sentence in theme.sentences}) == 16
        assert len(set(theme.words[language])) == 8
        for word in theme.words[language]:
            counts = {name: sum(word in one for one in of) for name, of in sentences.items()}
            assert counts.pop(theme.name) >= 3, word
            assert not any(counts.values()), word


def test_the_corpus_has_gaps_links_and_partitions() -> None:
    dataset = demo_corpus()
    described = dataset.info()
    assert list(dataset.views) == ["en", "de", "fr", "pictures"]
    assert described["tuples"] == 400
    assert 150 < described["tuples_with_every_view"] < 350
    assert dataset.view("en").sizes == (280, 40, 80)
    assert 300 < len(dataset.view("de")) < 380
    assert list(dataset.metadata["themes"]) == THEMES
    # The README has results of this corpus.
    hashes = [view.fingerprint()[:8] for view in demo_corpus(missing=0.0).text_views.values()]
    assert hashes == ["5c48ab17", "cbf80749", "c68e756e"]


def test_the_seed_decides() -> None:
    first, again, other = (demo_corpus(40, seed=seed) for seed in (3, 3, 4))
    for name, view in first.views.items():
        found = [of.view(name).fingerprint() for of in (again, other)]
        assert found[0] == view.fingerprint() != found[1]
    np.testing.assert_array_equal(first.links, again.links)


@pytest.mark.parametrize("theme", THEMES)
def test_pictures_of_a_theme_differ_and_an_inset_changes_one_corner(theme: str) -> None:
    pictures = [pixels(theme, number) for number in range(40)]
    for picture in pictures:
        assert picture.shape == (64, 64, 3)
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 300
    assert all(np.abs(a - b).mean() > 2 for a, b in combinations(pictures[:6], 2))
    np.testing.assert_array_equal(pixels(theme, 41), pictures[1])
    for other in THEMES:
        changed = np.argwhere((pixels(theme, 0, other) != pictures[0]).any(axis=2))
        assert 300 < len(changed) < 700
        assert len(np.unique(changed // 32, axis=0)) == 1


def test_insets_come_in_every_corner_and_differ_by_theme() -> None:
    changed = [
        np.argwhere((pixels("sea", 0, "stars", n) != pixels("sea", 0)).any(axis=2))
        for n in range(12)
    ]
    assert len({tuple(places[0] // 32) for places in changed}) == 4
    shown = [pixels("stars", 0, other) for other in THEMES if other != "stars"]
    assert all(np.abs(a - b).max() > 100 for a, b in combinations(shown, 2))


@pytest.mark.parametrize("insets", [False, True])
def test_the_picture_encoder_tells_themes_apart(insets: bool) -> None:
    def encoded(theme: str, other: str | None, numbers: range) -> NDArray[np.float32]:
        return PictureEncoder().encode([demo_picture(theme, n, other, n) for n in numbers])

    means = np.stack([encoded(theme, None, range(10)).mean(axis=0) for theme in THEMES])
    right = []
    for number, theme in enumerate(THEMES):
        for other in [one for one in THEMES if insets and one != theme] or [None]:
            distances = encoded(theme, other, range(10, 20))[:, None] - means
            nearest = np.linalg.norm(distances, axis=2).argmin(axis=1)
            right.append(nearest == number)
    assert np.mean(right) >= 0.9
