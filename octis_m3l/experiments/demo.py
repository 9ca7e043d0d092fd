"""The demo's model, and whether it found the planted themes."""

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.models.output import ModelOutput

DEMO_SETTINGS: dict[str, Any] = {
    "num_topics": 10,
    "epochs": 200,
    "prior_weight": 1.0,
    "temperature": 0.3,
}
"""A topic for each theme, and 2,000 updates: an epoch has only ten batches.

A spare topic would split a theme. A higher temperature than the default lets the reconstruction
find the themes before the contrast parts documents of one theme, and a weight of 1 is the prior's
in the evidence lower bound.
"""


def planted_recovery(dataset: MultiviewDataset, output: ModelOutput) -> dict[str, dict[str, Any]]:
    """Return, for each planted theme, the topic that is its and how many of its words it has."""
    themes: dict[str, dict[str, Any]] = dataset.metadata["themes"]
    languages = [name for name in dataset.text_views if f"topics/{name}" in output]
    topics = {name: output.topics(name) for name in languages}
    found = np.array(
        [
            [[len(set(words) & set(planted[name])) for words in topics[name]] for name in languages]
            for planted in themes.values()
        ]
    )
    theme_numbers, topic_numbers = linear_sum_assignment(-found.sum(axis=1))
    names = list(themes)
    return {
        names[theme]: {
            "topic": int(topic),
            "planted": len(themes[names[theme]][languages[0]]),
            "found": {n: int(found[theme, i, topic]) for i, n in enumerate(languages)},
        }
        for theme, topic in zip(theme_numbers, topic_numbers, strict=True)
    }
