"""The picture encoder: colours and edges."""

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.demo import demo_picture, demo_themes
from octis_m3l.encoders import PictureEncoder

ENCODER = PictureEncoder()
THEMES = [theme.name for theme in demo_themes()]


def plain(*colour: int, side: int = 40) -> NDArray[np.uint8]:
    return np.full((side, side, 3), colour, np.uint8)


def stripes(axis: int) -> NDArray[np.uint8]:
    ramp = (np.arange(64) // 8 % 2 * 255).astype(np.uint8)
    square = np.repeat(ramp[:, None], 64, axis=1)
    return np.repeat((square if axis == 0 else square.T)[:, :, None], 3, axis=2)


def test_vectors_have_the_dimensions_that_it_says() -> None:
    assert ENCODER.name == "picture"
    assert ENCODER.dimensions == 284
    found = ENCODER.encode([plain(0, 0, 0), plain(9, 200, 7, side=1), demo_picture("sea", 0)])
    assert found.shape == (3, 284)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert ENCODER.encode([]).shape == (0, 284)


def test_it_is_deterministic_and_minds_no_neighbour() -> None:
    pictures = [demo_picture(theme, 0) for theme in THEMES[:4]]
    together = ENCODER.encode(pictures)
    np.testing.assert_array_equal(PictureEncoder().encode(pictures), together)
    for row, picture in enumerate(pictures):
        np.testing.assert_array_equal(ENCODER.encode([picture])[0], together[row])


def test_colours_are_told_apart() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 0, 0), (255, 255, 255)]
    found = ENCODER.encode([plain(*colour) for colour in colours])
    histograms = found[:, :108]
    np.testing.assert_array_equal(histograms.sum(axis=1), np.ones(6))
    assert len(set(histograms.argmax(axis=1).tolist())) == 6
    np.testing.assert_allclose(found[0, 108:111], [1, 0, 0])
    np.testing.assert_allclose(found[2, 108:111], [0, 0, 1])


def test_the_place_of_a_colour_is_seen() -> None:
    left, right = plain(0, 0, 255), plain(0, 0, 255)
    left[:, :20], right[:, 20:] = (255, 0, 0), (255, 0, 0)
    found = ENCODER.encode([left, right])
    np.testing.assert_allclose(found[0, :108], found[1, :108], atol=1e-2)
    cells = found[:, 108 : 108 + 48].reshape(2, 4, 4, 3)
    np.testing.assert_allclose(cells[0, :, 0, 0], 1.0)
    np.testing.assert_allclose(cells[0, :, 3, 0], 0.0)
    np.testing.assert_allclose(cells[1, :, 0, 0], 0.0)
    np.testing.assert_allclose(cells[1, :, 3, 0], 1.0)


def test_the_direction_of_edges_is_seen() -> None:
    edges = ENCODER.encode([stripes(0), stripes(1), plain(7, 7, 7)])[:, -128:].reshape(3, 16, 8)
    assert edges[0].argmax(axis=1).tolist() == [4] * 16
    assert edges[1].argmax(axis=1).tolist() == [0] * 16
    assert not edges[2].any()


def test_pictures_of_one_theme_lie_nearer_than_others() -> None:
    themes = THEMES[:6]
    first = ENCODER.encode([demo_picture(theme, 0) for theme in themes])
    second = ENCODER.encode([demo_picture(theme, 1) for theme in themes])
    distance = np.linalg.norm(first[:, None] - second[None], axis=2)
    assert distance.argmin(axis=1).tolist() == list(range(6))
