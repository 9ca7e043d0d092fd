"""Folders in OCTIS's format: three themes, a label each, rows of the partitions mixed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from octis.dataset.dataset import Dataset

THEMES, WORDS_OF_THEME, WORDS = 3, 8, 7
MARKS = ("train", "train", "val", "train", "test")


def write_octis_folder(
    folder: Path,
    *,
    documents: int = 60,
    prefix: str = "w",
    marks: tuple[str, ...] = MARKS,
    metadata: dict[str, Any] | None = None,
) -> Path:
    """Write corpus.tsv, vocabulary.txt and metadata.json; document i is of theme i mod 3."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(3)
    rows = []
    for row in range(documents):
        numbers = random.integers(WORDS_OF_THEME, size=WORDS) + WORDS_OF_THEME * (row % THEMES)
        words = " ".join(f"{prefix}{number}" for number in numbers)
        rows.append(f"{words}\t{marks[row % len(marks)]}\ttheme{row % THEMES}\n")
    (folder / "corpus.tsv").write_text("".join(rows))
    vocabulary = [f"{prefix}{number}" for number in range(THEMES * WORDS_OF_THEME)]
    (folder / "vocabulary.txt").write_text("".join(f"{word}\n" for word in vocabulary))
    (folder / "metadata.json").write_text(json.dumps(metadata or {}))
    return folder


def loaded(folder: Path) -> Dataset:
    """Return a data set as a script for OCTIS loads it."""
    dataset = Dataset()
    dataset.load_custom_dataset_from_folder(str(folder))
    return dataset
