"""TU against a loop."""

from typing import Any

import numpy as np

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.metrics import TopicUniqueness

from .contract import MetricContract
from .planted import TOPICS


class TestTopicUniqueness(MetricContract):
    metric = TopicUniqueness


def slow(topics: list[list[int]]) -> list[float]:
    return [
        sum(1 / sum(word in other for other in topics) for word in topic) / len(topic)
        for topic in topics
    ]


def test_equals_a_loop_over_the_first_words(
    dataset: MultiviewDataset, output: dict[str, Any]
) -> None:
    for topk in (1, 10, 12):
        items = TopicUniqueness(dataset, "de", topk).per_item(output)
        np.testing.assert_allclose(items, slow(output["topics/de"][:, :topk].tolist()), rtol=1e-12)
        assert items.shape == (TOPICS,)


def test_the_pivot_is_measured_unless_said(
    dataset: MultiviewDataset, output: dict[str, Any]
) -> None:
    assert TopicUniqueness(dataset).score(output) == TopicUniqueness(dataset, "en").score(output)
