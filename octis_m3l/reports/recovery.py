"""Whether a model recovered the themes that were planted in a corpus."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.table import Table
from scipy.optimize import linear_sum_assignment

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.models.output import ModelOutput


def planted_recovery(dataset: MultiviewDataset, output: ModelOutput) -> dict[str, dict[str, Any]]:
    """Return, for each planted theme, its topic and how many of its words the topic shows."""
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


def recovery_table(recovered: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return how many of each planted theme's words its topic shows."""
    languages = next(iter(recovered.values()))["found"].keys()
    table = Table("planted theme", "topic", *languages, title="Planted words among the top 10")
    for theme, entry in recovered.items():
        found = [f"{n} of {entry['planted']}" for n in entry["found"].values()]
        table.add_row(theme, str(entry["topic"]), *found)
    return table
