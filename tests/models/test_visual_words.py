"""Pictures as words: the nearest centroids of their embeddings."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from octis_m3l.data.views import ImageView, TextView
from octis_m3l.encoders import PictureEncoder
from octis_m3l.errors import DataError
from octis_m3l.models import visual_words as module
from octis_m3l.models.visual_words import VisualWords

from .contract import refused


def drawn(rows: int = 40) -> NDArray[np.float32]:
    random = np.random.default_rng(0)
    scales = 10.0 ** np.arange(5)
    return (random.normal(size=(rows, 5)) * scales + scales).astype(np.float32)


def learned(
    vectors: NDArray[np.float32], training: int = 30, **changes: Any
) -> tuple[VisualWords, TextView]:
    sizes = (training, len(vectors) - training, 0)
    view = ImageView(name="image", sizes=sizes, embeddings=vectors)
    settings: dict[str, Any] = {"words": 8, "per_picture": 3, "seed": 0} | changes
    return VisualWords.fit(view, view.rows("train"), **settings)


def words(view: TextView) -> list[list[int]]:
    return [part.tolist() for part in np.split(view.token_ids, view.offsets[1:-1])][: len(view)]


def test_words_are_the_nearest_centroids_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = drawn()
    found, view = learned(vectors)
    training = vectors[:30].astype(np.float64)
    mean, deviation = training.mean(axis=0), training.std(axis=0)
    expected = []
    for vector in vectors:
        place = (vector - mean) / deviation
        distances = [float(np.square(place - centroid).sum()) for centroid in found.centroids]
        expected.append(sorted(range(8), key=distances.__getitem__)[:3])
    assert words(view) == expected
    assert view.sizes == (30, 10, 0)
    assert view.vocabulary == tuple(f"visual{number}" for number in range(8))
    assert words(found.read(vectors[5:7].astype(np.float64))) == expected[5:7]
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 7)
    assert words(found.read(vectors)) == expected


def test_they_are_learned_on_training_items_alone() -> None:
    vectors = drawn()
    other = vectors.copy()
    other[30:] += 1000
    first, second = learned(vectors)[0], learned(other)[0]
    for name, array in first.arrays().items():
        np.testing.assert_array_equal(second.arrays()[name], array)
    assert (learned(vectors, seed=1)[0].centroids != first.centroids).any()
    refused(DataError, "view 'image' has no training item to learn", learned, vectors, 0)
    few, view = learned(drawn(3), 2, words=50, per_picture=10)
    assert view.vocabulary == ("visual0", "visual1")
    assert [sorted(row) for row in words(view)] == [[0, 1]] * 3
    assert few.per_picture == 2


def test_pictures_far_apart_share_no_word() -> None:
    random = np.random.default_rng(0)
    places = np.repeat(np.eye(4, dtype=np.float32) * 50, 10, axis=0)
    view = learned(random.normal(places).astype(np.float32), 40, words=4, per_picture=1)[1]
    found = [{word for (word,) in words(view)[start : start + 10]} for start in range(0, 40, 10)]
    assert [len(of) for of in found] == [1] * 4
    assert set.union(*found) == {0, 1, 2, 3}


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_a_dimension_that_does_not_vary_is_ignored(value: float) -> None:
    vectors = drawn()
    vectors[:, 1] = value
    found, view = learned(vectors, 10)
    moved = vectors.copy()
    moved[:, 1] += np.float32(value * 1e-3)
    assert np.isfinite(found.scale).all()
    assert words(found.read(moved)) == words(view)


WRONG_SHAPE = "embeddings of shape {}, expected finite numbers (items × 5)."
NOT_FINITE = "the embedding of row 0 holds NaN, infinity or a number above 3e38"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((2, 4), np.float32), WRONG_SHAPE.format((2, 4))),
        (np.zeros(5, np.float32), WRONG_SHAPE.format((5,))),
        (np.array([[0, 0, np.nan, 0, 0]]), NOT_FINITE),
        (np.array([[0, 0, 1e300, 0, 0]]), NOT_FINITE),
        (["a.png"], "pass an array of floats (items × 5) from the same encoder."),
        (np.zeros((2, 5), np.int64), "pass an array of floats (items × 5) from the same encoder."),
    ],
)
def test_what_is_no_embedding_is_refused(given: Any, message: str) -> None:
    refused(DataError, message, learned(drawn())[0].read, given)


def test_pictures_without_embeddings_are_encoded() -> None:
    raw = list(np.random.default_rng(1).integers(0, 256, (12, 8, 8, 3), np.uint8))
    view = ImageView(name="image", sizes=(9, 3, 0), pictures=raw)
    found, read = VisualWords.fit(view, view.rows("train"), words=5, per_picture=2, seed=0)
    assert found.encoded
    for given in (raw, np.stack(raw), PictureEncoder().encode(raw)):
        assert words(found.read(given)) == words(read)
    assert words(found.read(raw[7:8])) == words(read)[7:8]
    assert words(found.read([])) == []
