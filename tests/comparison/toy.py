"""Contenders that cost nothing, and know how good they are."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from octis_m3l import Comparison, compare
from octis_m3l.comparison import Contender
from octis_m3l.comparison.contenders import Output, Terms
from octis_m3l.data import MultiviewDataset


def quickly(contenders: Mapping[str, Any], dataset: MultiviewDataset, **options: Any) -> Comparison:
    """Compare by two metrics, without a progress bar."""
    return compare(contenders, dataset, **{"metrics": ["mrr", "tu"], "progress": False, **options})


class Guesser(Contender):
    """Gives each tuple a topic of its own kind in every view, and blurs it with noise."""

    def __init__(self, noise: float, *, aligned: bool = True, journal: Path | None = None) -> None:
        self.noise, self.aligned, self.journal = noise, aligned, journal

    def run(self, dataset: MultiviewDataset, seed: int, number: int, terms: Terms) -> Output:
        if self.journal is not None:
            with self.journal.open("a", encoding="utf-8") as lines:
                lines.write(f"{seed}\n")
        output: Output = {}
        for place, (name, view) in enumerate(dataset.views.items()):
            for key, partition in (("", "train"), ("test-", "test")):
                tuples = dataset.tuples(name)[view.rows(partition)]
                known = np.random.default_rng(0).dirichlet(np.full(4, 0.3), 1 + tuples.max())
                blur = np.random.default_rng([seed, place]).dirichlet(np.ones(4), len(tuples))
                theta = (1 - self.noise) * known[tuples] + self.noise * blur
                output[f"{key}topic-document-matrix/{name}"] = theta.T
        for name, text in dataset.text_views.items():
            words = np.arange(4 * terms.top_words).reshape(4, -1) % len(text.vocabulary)
            output[f"topics/{name}"] = words
        return output

    def describe(self) -> dict[str, Any]:
        return {"class": "guesser", "noise": self.noise}


class Spoilt(Guesser):
    """Has something done to the output of each seed."""

    def __init__(self, noise: float, spoil: Callable[[Output, int], None]) -> None:
        super().__init__(noise)
        self.spoil = spoil

    def run(self, dataset: MultiviewDataset, seed: int, number: int, terms: Terms) -> Output:
        output = super().run(dataset, seed, number, terms)
        self.spoil(output, seed)
        return output
