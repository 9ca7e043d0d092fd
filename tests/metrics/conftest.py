"""The dataset and the output that tests of metrics share."""

from typing import Any

import pytest

from octis_m3l.data.dataset import MultiviewDataset

from .planted import planted_dataset, random_output


@pytest.fixture(scope="session")
def dataset() -> MultiviewDataset:
    return planted_dataset()


@pytest.fixture
def output(dataset: MultiviewDataset) -> dict[str, Any]:
    return random_output(dataset)
