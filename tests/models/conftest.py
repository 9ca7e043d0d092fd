"""Data that tests of models share."""

import pytest
from planted import planted

from octis_m3l.data.dataset import MultiviewDataset


@pytest.fixture(scope="session")
def three_languages() -> MultiviewDataset:
    """Three languages without pictures, a third of the items missing."""
    return planted(("en", "de", "fi"), tuples=40, images=False, missing=0.3).dataset
