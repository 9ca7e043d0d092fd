"""Every metric on the command line keeps the contract, and every example in a docstring runs."""

import copy
import doctest
import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import octis_m3l.metrics
from octis_m3l.metrics import METRICS, Metric, OverViews, score_all

from .contract import MetricContract
from .planted import TEST, Data, Output

ROOM = octis_m3l.metrics
MODULES = [f"{ROOM.__name__}.{module.name}" for module in pkgutil.iter_modules(ROOM.__path__)]
NAMES = "mrr uap jsd tu npmi document-npmi cnpmi topic-quality classification classification-f1"


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
    assert [name for name in METRICS if name in NAMES.split()] == NAMES.split()
    assert all(issubclass(metric, Metric) for metric in METRICS.values())
    assert all(hasattr(ROOM, name) for name in ROOM.__all__)


def test_the_page_for_contributors_adds_a_metric(
    dataset: Data, output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text("utf-8")
    page = page.partition("## Add a metric\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.S | re.M)
    (test,) = re.findall(r"^```text\n(.*?)^```", page, re.S | re.M)
    module, _, example = code.rpartition("\n\n\n")
    assert example.startswith("assert ")
    (tmp_path / "largest_share.py").write_text(module, "utf-8")
    monkeypatch.setattr(ROOM, "__path__", [*ROOM.__path__, str(tmp_path)])
    scores = score_all(dataset, output, metrics=["largest-share"])["largest-share"]
    assert set(scores) == {v for v in dataset.views if f"{TEST}/{v}" in output}
    largest = [max(column) for column in output[f"{TEST}/en"].T]
    assert scores["en"] == pytest.approx(np.mean(largest))
    over_views = OverViews(dataset, "largest-share").score(output)
    assert over_views == pytest.approx(np.mean(list(scores.values())))
    names: dict[str, Any] = {"__name__": f"{__package__}.test_page", "__package__": __package__}
    exec(compile(test, "CONTRIBUTING.md", "exec"), names)
    kept = names["TestLargestShare"]()
    given = {"dataset": dataset, "output": output}
    for name in [name for name in dir(kept) if name.startswith("test_")]:
        check = getattr(kept, name)
        taken = {n: copy.deepcopy(given[n]) for n in inspect.signature(check).parameters}
        check(**taken)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"np": importlib.import_module("numpy")})
    assert result.failed == 0
