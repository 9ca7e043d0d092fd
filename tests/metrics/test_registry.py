"""Every metric on the command line keeps the contract, and every example in a docstring runs."""

import doctest
import importlib
import pkgutil
import sys
from pathlib import Path

import pytest

import octis_m3l.metrics
from octis_m3l.metrics import METRICS, Metric

from .contract import MetricContract

MODULES = [
    f"octis_m3l.metrics.{module.name}"
    for module in pkgutil.iter_modules(octis_m3l.metrics.__path__)
]


def _contracts(parent: type[MetricContract]) -> list[type[MetricContract]]:
    children = parent.__subclasses__()
    return children + [deeper for child in children for deeper in _contracts(child)]


@pytest.mark.parametrize("name", METRICS)
def test_has_a_contract(name: str) -> None:
    for path in Path(__file__).parent.glob("test_*.py"):
        module = f"{__package__}.{path.stem}"
        if module not in sys.modules:
            importlib.import_module(module)
    assert METRICS[name] in {contract.metric for contract in _contracts(MetricContract)}


def test_names_are_those_of_the_command_line() -> None:
    assert list(METRICS) == [
        "mrr",
        "uap",
        "jsd",
        "tu",
        "npmi",
        "document-npmi",
        "cnpmi",
        "topic-quality",
        "classification",
        "classification-f1",
    ]
    assert all(issubclass(metric, Metric) for metric in METRICS.values())


def test_every_public_name_is_there() -> None:
    assert all(hasattr(octis_m3l.metrics, name) for name in octis_m3l.metrics.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"np": importlib.import_module("numpy")})
    assert result.failed == 0
