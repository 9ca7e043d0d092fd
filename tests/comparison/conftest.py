"""The data that tests of comparisons share."""

import pytest

from octis_m3l import MultiviewDataset, demo_corpus


@pytest.fixture(scope="session")
def dataset() -> MultiviewDataset:
    return demo_corpus(80)


@pytest.fixture(scope="session")
def texts(dataset: MultiviewDataset) -> MultiviewDataset:
    return dataset.with_views(["en", "de"])
