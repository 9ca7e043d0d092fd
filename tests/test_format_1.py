"""Folders of data sets and models that version 0.1 saved (format 1) still load."""

import json
from pathlib import Path

import numpy as np
import pytest

from octis_m3l import MultiviewDataset, load_model

SAVED = Path(__file__).parent / "format_1"
EXPECTED = json.loads((SAVED / "expected.json").read_text())


def test_a_data_set_loads_with_everything_in_it() -> None:
    dataset = MultiviewDataset.from_folder(SAVED / "corpus")
    assert {name: view.sizes for name, view in dataset.views.items()} == {
        "en": (14, 5, 5),
        "de": (9, 3, 4),
        "photos": (11, 4, 5),
    }
    english, german = dataset.text_views["en"], dataset.text_views["de"]
    assert "summit" in english.vocabulary
    assert english.texts is not None
    assert english.texts[0] == "The baker kneads the dough before the oven is hot."
    assert english.word_vectors is not None
    assert english.word_vectors.shape == (len(english.vocabulary), 8)
    assert german.labels is not None
    assert set(german.labels) == {"winter", "railway"}
    assert dataset.view("photos").embeddings is not None
    assert dataset.dictionaries
    assert dataset.links.shape == (24, 3)
    assert dataset.metadata["license"] == "CC0"


@pytest.mark.parametrize("name", ["m3l-contrast", "pltm", "gloctm"])
def test_a_model_loads_and_infers_what_it_did(name: str) -> None:
    model = load_model(SAVED / name)
    assert model.name == name
    theta = model.infer(["Snow fell on the summit."], view="en")
    np.testing.assert_allclose(theta, EXPECTED[name]["infer"], atol=1e-4)
    assert model.topics("en") == EXPECTED[name]["topics"]
