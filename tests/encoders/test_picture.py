"""The picture encoder: colours and edges."""

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.demo import demo_picture, demo_themes
from octis_m3l.encoders import PictureEncoder

ENCODER = PictureEncoder()
THEMES = [theme.name for theme in demo_themes()]


def plain(*colour: int, side: int = 40) -> NDArray[np.uint8]:
    return np.full((side, side, 3), colour, np.uint8)


def test_every_picture_gets_the_same_vector_in_any_company() -> None:
    assert (ENCODER.name, ENCODER.dimensions) == ("picture", 284)
    pictures = [plain(9, 200, 7, side=1), *(demo_picture(theme, 0) for theme in THEMES[:3])]
    found = ENCODER.encode(pictures)
    assert (found.shape, found.dtype) == ((4, 284), np.float32)
    assert np.isfinite(found).all()
    assert ENCODER.encode([]).shape == (0, 284)
    for row, picture in enumerate(pictures):
        np.testing.assert_array_equal(PictureEncoder().encode([picture])[0], found[row])


def test_colours_are_told_apart() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 0, 0), (255, 255, 255)]
    found = ENCODER.encode([plain(*colour) for colour in colours])
    histograms = found[:, :108]
    np.testing.assert_array_equal(histograms.sum(axis=1), np.ones(6))
    assert len(set(histograms.argmax(axis=1).tolist())) == 6
    np.testing.assert_allclose(found[[0, 2], 108:111], [[1, 0, 0], [0, 0, 1]])


def test_the_place_of_a_colour_is_seen() -> None:
    left, right = plain(0, 0, 255), plain(0, 0, 255)
    left[:, :20], right[:, 20:] = (255, 0, 0), (255, 0, 0)
    found = ENCODER.encode([left, right])
    np.testing.assert_allclose(found[0, :108], found[1, :108], atol=1e-2)
    red = found[:, 108 : 108 + 48].reshape(2, 4, 4, 3)[..., 0]
    np.testing.assert_allclose(red[:, :, 0], [[1] * 4, [0] * 4])
    np.testing.assert_allclose(red[:, :, 3], [[0] * 4, [1] * 4])


def test_the_direction_of_edges_is_seen() -> None:
    ramp = np.arange(64, dtype=np.uint8) // 8 % 2 * 255
    stripes = np.broadcast_to(ramp[:, None, None], (64, 64, 3))
    pictures = [stripes, stripes.transpose(1, 0, 2), plain(7, 7, 7)]
    edges = ENCODER.encode(pictures)[:, -128:].reshape(3, 16, 8)
    assert edges[0].argmax(axis=1).tolist() == [4] * 16
    assert edges[1].argmax(axis=1).tolist() == [0] * 16
    assert not edges[2].any()


def test_pictures_of_one_theme_lie_nearer_than_others() -> None:
    first, second = (ENCODER.encode([demo_picture(t, n) for t in THEMES[:6]]) for n in (0, 1))
    distance = np.linalg.norm(first[:, None] - second[None], axis=2)
    assert distance.argmin(axis=1).tolist() == list(range(6))
