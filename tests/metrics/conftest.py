"""The dataset and the output that tests of metrics share."""

import pytest

from .planted import Data, Output, planted_dataset, random_output


@pytest.fixture(scope="session")
def dataset() -> Data:
    return planted_dataset()


@pytest.fixture
def output(dataset: Data) -> Output:
    return random_output(dataset)
