"""What tests of models of unlinked languages share."""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from plain import sparse_rows
from planted import Planted

from octis_m3l.data.batches import Batch, ViewBatch
from octis_m3l.data.dataset import MultiviewDataset

from .contract import ModelContract


class UnlinkedModelContract(ModelContract):
    """What a model that reads raw counts promises of documents of any length."""

    settings: ClassVar[dict[str, Any]] = {"epochs": 2, "batch_size": 16, "hidden_size": 12}

    def inferred(self, dataset: MultiviewDataset) -> list[str]:
        """Return the views of texts."""
        return list(dataset.text_views)

    def test_a_text_repeated_is_about_the_same(self, trained: Any, planted_data: Planted) -> None:
        view = planted_data.dataset.text_view("en")
        lengths = np.diff(view.offsets)
        usual = np.abs(lengths - lengths.mean()) < 2
        short = view.bag_of_words.toarray()[usual].astype(np.int64)
        assert len(short) > 5
        expected = trained.infer(short, "en")
        for times in (5, 200, 5000):
            found = trained.infer(short * times, "en")
            np.testing.assert_allclose(found, expected, atol=0.02)
            np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))


def with_word_vectors(data: Planted, *, one_space: bool) -> MultiviewDataset:
    """Return the texts with word vectors, in which those of a theme are near each other."""
    texts = data.dataset.with_views(list(data.words))
    vectors = {}
    for number, (name, themes) in enumerate(data.words.items()):
        centres = np.random.default_rng(0 if one_space else number).normal(
            size=(len(themes) + 1, 20)
        )
        of_word = [
            next((n for n, theme in enumerate(themes) if word in theme), len(themes))
            for word in texts.text_view(name).vocabulary
        ]
        noise = np.random.default_rng(9 + number).normal(size=(len(of_word), 20))
        vectors[name] = centres[of_word] + 0.3 * noise
    return texts.with_word_vectors(vectors)


def without_links(dataset: MultiviewDataset) -> MultiviewDataset:
    """Return the same views and dictionaries."""
    return MultiviewDataset(dataset.views.values(), dictionaries=dataset.dictionaries)


def leading_topics(
    model: Any, data: Planted, at_least: int = 5, on_average: float = 6
) -> dict[str, list[int]]:
    """Return, for each language, the topic that each theme is found in."""
    found = {}
    for language, themes in data.words.items():
        topics = model.topics(language, 8)
        hits = np.array([[len(theme & set(topic)) for topic in topics] for theme in themes])
        assert (hits.max(axis=1) >= at_least).all(), topics
        assert hits.max(axis=1).mean() >= on_average, topics
        found[language] = hits.argmax(axis=1).tolist()
    return found


SIZES = {"a": 6, "b": 9, "c": 4}


def three_views(random: np.random.Generator) -> tuple[dict[str, NDArray[Any]], Batch]:
    """Return word counts of three small views, and the same as a batch with embeddings."""
    counts = {name: random.poisson(0.7, (8, size)).astype(float) for name, size in SIZES.items()}
    vectors = {name: torch.from_numpy(random.normal(size=(8, 6))) for name in SIZES}
    items = torch.arange(8)
    views = {n: ViewBatch(items, None, vectors[n], sparse_rows(counts[n])) for n in SIZES}
    return counts, Batch(8, views)
