"""What the parts of the contract, and tests of single models, share."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from planted import Planted

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.models import ModelOutput

TOP_WORDS = 5
THETA = "topic-document-matrix"


def refused(
    error: type[Exception], message: str, call: Callable[..., Any], *given: Any, **named: Any
) -> None:
    """Check that a call raises an error whose message has this text."""
    with pytest.raises(error) as raised:
        call(*given, **named)
    assert message in str(raised.value)


def watched_losses(
    model: Any, monkeypatch: pytest.MonkeyPatch, interrupted_at: int = 0
) -> list[None]:
    """Return a list that grows with each loss of a model's networks; interrupt one of them."""
    calls: list[None] = []
    loss = model.network_class.loss

    def watched(network: Any, batch: Any) -> Any:
        calls.append(None)
        if len(calls) == interrupted_at:
            raise KeyboardInterrupt
        return loss(network, batch)

    monkeypatch.setattr(model.network_class, "loss", watched)
    return calls


class Lengths:
    """A user's own encoder: how often each of some letters occurs."""

    name = "lengths"
    dimensions = 5

    def encode(self, items: Any) -> NDArray[np.float32]:
        """Return the counts."""
        return np.array([[text.count(c) for c in "aeior"] for text in items], np.float32)


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


def with_few_items(dataset: MultiviewDataset, name: str, *sizes: int) -> MultiviewDataset:
    """Return the data set with so many training, validation and test items of a view."""
    view = dataset.view(name)
    starts = np.cumsum([0, *view.sizes[:2]])
    kept = np.concatenate([start + np.arange(n) for start, n in zip(starts, sizes, strict=True)])
    few = view.take(kept, cast(Any, sizes))
    places = np.full(len(view) + 1, -1)
    places[kept] = np.arange(len(kept))
    links = dataset.links.copy()
    column = list(dataset.views).index(name)
    links[:, column] = places[links[:, column]]
    return MultiviewDataset((dataset.views | {name: few}).values(), links[links.max(axis=1) >= 0])


def copied(dataset: MultiviewDataset) -> dict[str, NDArray[Any]]:
    """Return a copy of each array that the data set holds."""
    arrays = {"links": np.array(dataset.links)}
    for name, view in dataset.views.items():
        bags = vars(dataset.text_view(name).bag_of_words) if name in dataset.text_views else {}
        for key, value in (vars(view) | bags).items():
            if isinstance(value, np.ndarray) or key in ("texts", "vocabulary", "sizes"):
                arrays[f"{name}/{key}"] = np.array(value)
    return arrays


def assert_distributions(output: ModelOutput) -> None:
    """Everything is finite, rows of topics and columns of documents sum to one."""
    for key, value in output.items():
        if not key.startswith("topics"):
            assert np.isfinite(value).all(), key
            assert value.min(initial=0) >= 0, key
            axis = 1 if key.startswith("topic-word-matrix") else 0
            np.testing.assert_allclose(value.sum(axis=axis), 1, atol=1e-4, err_msg=key)


def assert_same(one: ModelOutput, other: ModelOutput) -> None:
    """Both are equal bit by bit."""
    assert set(one) == set(other)
    for key, value in one.items():
        np.testing.assert_array_equal(other[key], value, err_msg=key)


def assert_differ(one: ModelOutput, other: ModelOutput) -> None:
    """Every matrix differs."""
    assert set(one) == set(other)
    for key in one:
        if not key.startswith("topics"):
            assert not np.array_equal(one[key], other[key]), key
