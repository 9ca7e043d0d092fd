"""Tests of the pictures that are drawn by code."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from octis_m3l.data.pictures import THEMES, draw
from octis_m3l.encoders.picture import PictureEncoder
from octis_m3l.errors import DataError

KNOWN = "Known: bakery, football, garden, hospital, market, mountains, music, railway, sea, stars."


def pixels(
    theme: str, accent: str | None = None, seed: int = 0, size: int = 64
) -> NDArray[np.int64]:
    """Return the pixels of a picture drawn with a fresh generator."""
    return np.asarray(draw(theme, accent, np.random.default_rng(seed), size), np.int64)


def accents(theme: str) -> Iterator[str]:
    """Return the other themes."""
    return (other for other in THEMES if other != theme)


def vectors(theme: str, seed: int, accent: str | None = None) -> NDArray[np.float32]:
    """Return the encoder's vectors of ten pictures of a theme."""
    random = np.random.default_rng([seed, THEMES.index(theme)])
    return PictureEncoder().encode([draw(theme, accent, random) for _ in range(10)])


def share_right(tested: NDArray[np.float32]) -> float:
    """Return the share of vectors (theme, picture, dimension) nearest their own centroid."""
    centroids = np.stack([vectors(theme, 1).mean(axis=0) for theme in THEMES])
    distances = np.linalg.norm(tested[:, :, None] - centroids, axis=3)
    return float(np.mean(distances.argmin(axis=2) == np.arange(len(THEMES))[:, None]))


def test_the_themes() -> None:
    """The names, and their order, are part of the interface."""
    assert THEMES == (
        "sea",
        "mountains",
        "bakery",
        "music",
        "football",
        "stars",
        "railway",
        "garden",
        "hospital",
        "market",
    )


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_draws_a_scene(theme: str) -> None:
    """It is an RGB picture of 64 by 64 pixels with many colours in it."""
    picture = draw(theme, None, np.random.default_rng(0))
    assert isinstance(picture, Image.Image)
    assert (picture.mode, picture.size) == ("RGB", (64, 64))
    assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 300


@pytest.mark.parametrize("size", [1, 2, 7, 32, 224])
@pytest.mark.parametrize("theme", THEMES)
def test_every_size_can_be_drawn(theme: str, size: int) -> None:
    """Scene and inset scale with the picture."""
    for accent in (None, "sea"):
        assert pixels(theme, accent, size=size).shape == (size, size, 3)


@pytest.mark.parametrize("theme", THEMES)
def test_a_larger_picture_shows_the_same_scene(theme: str) -> None:
    """Sizes are relative to the picture: a large one made small is nearly the small one."""
    large = draw(theme, "sea", np.random.default_rng(3), 192)
    small = np.asarray(large.resize((64, 64), Image.Resampling.LANCZOS), np.int64)
    assert np.abs(small - pixels(theme, "sea", 3)).mean() < 5


@pytest.mark.parametrize("theme", THEMES)
def test_the_generator_decides(theme: str) -> None:
    """Equal states give equal pictures, other states and the next draw give others."""
    accent = next(accents(theme))
    assert np.array_equal(pixels(theme, accent, 5), pixels(theme, accent, 5))
    for one, other in combinations(range(6), 2):
        assert np.abs(pixels(theme, None, one) - pixels(theme, None, other)).mean() > 2
    random = np.random.default_rng(5)
    first, second = (np.asarray(draw(theme, None, random)) for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("theme", THEMES)
def test_an_accent_changes_one_corner(theme: str) -> None:
    """The inset covers part of a quarter of the picture, and nothing else changes."""
    plain = pixels(theme)
    for accent in accents(theme):
        changed = np.argwhere((pixels(theme, accent) != plain).any(axis=2))
        assert 300 < len(changed) < 700
        assert len(np.unique(changed // 32, axis=0)) == 1


def test_accents_can_be_told_apart() -> None:
    """In the same corner of the same scene, each accent looks different."""
    pictures = [pixels("stars", accent) for accent in accents("stars")]
    for one, other in combinations(pictures, 2):
        assert np.abs(one - other).max() > 100


def test_accents_come_in_every_corner() -> None:
    """The corner of the inset is random."""
    corners = set()
    for seed in range(30):
        changed = pixels("sea", "stars", seed) != pixels("sea", None, seed)
        corners.add(tuple(np.argwhere(changed.any(axis=2))[0] // 32))
    assert len(corners) == 4


def test_a_theme_is_no_accent_of_itself() -> None:
    """The picture stays plain."""
    assert np.array_equal(pixels("sea", "sea"), pixels("sea"))


@pytest.mark.parametrize(
    ("theme", "accent", "message"),
    [
        ("montains", None, f"unknown theme 'montains'. Did you mean 'mountains'? {KNOWN}"),
        ("sea", "gardn", f"unknown theme 'gardn'. Did you mean 'garden'? {KNOWN}"),
        ("quantum", "sea", f"unknown theme 'quantum'. {KNOWN}"),
        ("", None, f"unknown theme ''. {KNOWN}"),
        ("sea", "", f"unknown theme ''. {KNOWN}"),
    ],
)
def test_an_unknown_theme_is_refused(theme: str, accent: str | None, message: str) -> None:
    """The error says what was given, and what can be; the generator is as it was."""
    random = np.random.default_rng(0)
    before = random.bit_generator.state
    with pytest.raises(DataError) as caught:
        draw(theme, accent, random)
    assert str(caught.value) == message
    assert random.bit_generator.state == before


def test_themes_are_told_apart_by_colours_and_edges() -> None:
    """New pictures are nearest to the centroid of their own theme."""
    assert share_right(np.stack([vectors(theme, 2) for theme in THEMES])) >= 0.9


def test_accents_leave_themes_recognisable() -> None:
    """An inset does not outweigh the scene around it."""
    tested = [np.concatenate([vectors(theme, 3, accent) for accent in THEMES]) for theme in THEMES]
    assert share_right(np.stack(tested)) >= 0.9
