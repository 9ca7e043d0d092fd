"""What tests share: planted data, one thread, and tables as wide as in a file."""

import os
from typing import Any

import numpy as np
import pytest
import torch
from planted import IMAGE, Planted, planted

from octis_m3l.data.dataset import MultiviewDataset

torch.set_num_threads(1)
os.environ.pop("COLUMNS", None)


@pytest.fixture(scope="session")
def planted_data() -> Planted:
    """Two languages and pictures, a quarter of the items missing."""
    return planted(missing=0.25)


@pytest.fixture(scope="session")
def embedded(planted_data: Planted) -> MultiviewDataset:
    """The same with embeddings of the texts given, as long as those of the pictures."""
    dataset = planted_data.dataset
    pictures = dataset.view(IMAGE).embeddings
    assert pictures is not None
    random = np.random.default_rng(1)
    vectors: dict[str, Any] = {}
    for name, view in dataset.text_views.items():
        of_words = random.normal(size=(len(view.vocabulary), pictures.shape[1]))
        vectors[name] = (view.bag_of_words @ of_words).astype(np.float32)
    return dataset.with_embeddings(vectors, order="stored")
