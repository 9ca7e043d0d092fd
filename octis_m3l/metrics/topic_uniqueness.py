"""How little topics share their words."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.metrics.base import TopicMetric


def topic_uniqueness(topics: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return, for each topic, the mean over its words of 1 / number of topics with that word."""
    _, inverse, counts = np.unique(topics, return_inverse=True, return_counts=True)
    uniqueness: NDArray[np.float64] = np.mean(1 / counts[inverse.reshape(topics.shape)], axis=1)
    return uniqueness


class TopicUniqueness(TopicMetric):
    """Mean over a topic's top words of 1 / number of topics with that word, mean over topics.

    Parameters
    ----------
    dataset, view, topk
        As for `TopicMetric`.
    """

    name = "tu"
    order = 40
    direction = "higher"
    range = (0.0, 1.0)
    reference = "Nan et al. (2019). Topic modeling with Wasserstein autoencoders. ACL."

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the uniqueness of each topic."""
        return topic_uniqueness(self._top_words(output))
