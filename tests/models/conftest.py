"""Data that tests of models share."""

import pytest
from planted import Planted, planted

from octis_m3l.data.dataset import MultiviewDataset


@pytest.fixture(scope="session")
def data(planted_data: Planted) -> MultiviewDataset:
    """Two languages and pictures, a quarter of the items missing."""
    return planted_data.dataset


@pytest.fixture(scope="session")
def three_languages() -> MultiviewDataset:
    """Three languages without pictures, a third of the items missing."""
    return planted(("en", "de", "fi"), tuples=40, images=False, missing=0.3).dataset


@pytest.fixture(scope="session")
def five_themes() -> Planted:
    """Documents of three languages, drawn from five themes."""
    return planted(("en", "de", "fi"), themes=5, tuples=250, images=False, concentration=0.2)
