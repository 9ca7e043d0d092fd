"""The corpus in the package is what it says."""

import re

import numpy as np
import pytest

from octis_m3l.data.demo import LANGUAGES, demo_corpus, demo_themes
from octis_m3l.data.pictures import THEMES

Words = set[str]


def _words(sentence: str) -> Words:
    return set(re.findall(r"[^\W\d_]+", sentence.lower()))


def test_ten_themes_of_sixteen_sentences_in_three_languages() -> None:
    themes = demo_themes()
    assert tuple(theme.name for theme in themes) == THEMES
    assert {len(theme.sentences) for theme in themes} == {16}
    for theme in themes:
        assert all(sentence[name].strip() for sentence in theme.sentences for name in LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_are_all_different(language: str) -> None:
    sentences = [sentence[language] for theme in demo_themes() for sentence in theme.sentences]
    assert len(set(sentences)) == len(sentences)


@pytest.mark.parametrize("language", LANGUAGES)
def test_planted_words_stand_in_their_theme_and_in_no_other(language: str) -> None:
    for theme in demo_themes():
        assert len(set(theme.words[language])) == 8
        for word in theme.words[language]:
            inside = sum(word in _words(s[language]) for s in theme.sentences)
            outside = sum(
                word in _words(s[language])
                for other in demo_themes()
                if other is not theme
                for s in other.sentences
            )
            assert inside >= 3, f"{word} is in {inside} sentences of {theme.name}"
            assert outside == 0, f"{word} of {theme.name} is in another theme"


def test_the_corpus_has_gaps_links_and_partitions() -> None:
    dataset = demo_corpus()
    described = dataset.info()
    assert list(dataset.views) == ["en", "de", "fr", "pictures"]
    assert described["tuples"] == 400
    assert 150 < described["tuples_with_every_view"] < 350
    assert dataset.view("en").sizes == (280, 40, 80)
    assert len(dataset.view("de")) < 400


def test_the_same_seed_draws_the_same_corpus() -> None:
    first, second = demo_corpus(40, seed=3), demo_corpus(40, seed=3)
    assert first.view("fr").items(slice(0, 20)) == second.view("fr").items(slice(0, 20))
    np.testing.assert_array_equal(first.links, second.links)
    assert first.view("pictures").fingerprint() == second.view("pictures").fingerprint()
    assert first.view("en").fingerprint() != demo_corpus(40, seed=4).view("en").fingerprint()
