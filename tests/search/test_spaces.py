"""Search spaces: declared, chosen, changed and recorded."""

import json
import math
import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from octis.models.LDA import LDA
from skopt.space import Categorical, Integer, Real  # type: ignore[import-untyped]

from octis_m3l import M3LContrast, Optimizer
from octis_m3l.errors import SettingsError
from octis_m3l.reports import importances
from octis_m3l.search import search_space
from octis_m3l.search.spaces import described_space, dimension, rebuilt_space

from .toy import FIRST, Data, Height, Hill, resumed


def test_spaces_are_declared_chosen_and_changed() -> None:
    model = M3LContrast()
    declared = search_space(model)
    assert list(declared) == list(M3LContrast.search_space)
    assert isinstance(declared["num_topics"], Integer)
    assert declared["temperature"].prior == "log-uniform"
    rest = search_space(M3LContrast(num_topics=20, temperature=0.1))
    assert set(declared) - set(rest) == {"num_topics", "temperature"}
    two = search_space(model, ["temperature", "contrastive_weight"])
    assert list(two) == ["temperature", "contrastive_weight"]
    changed = search_space(
        model, None, {"dropout": {"low": 0, "high": 0.9}, "activation": ["relu", "softplus"]}
    )
    assert isinstance(changed["dropout"], Real)
    assert changed["activation"].categories == ("relu", "softplus")
    numbers = search_space(model, None, {"temperature": (np.float32(0.25), np.float64(1.0))})
    assert type(numbers["temperature"].low) is float
    topics = search_space(model, None, {"num_topics": [np.int64(5), np.int64(10)]})
    assert [type(value) for value in topics["num_topics"].categories] == [int, int]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temprature": (0.1, 1.0)}, "unknown hyperparameter 'temprature'. Did you mean 'tem"),
        ({"temperature": (0.0, 1.0, "log-uniform")}, "expected numbers, 0 < low < high"),
        ({"temperature": (1.0, 0.1)}, "expected numbers, low < high"),
        ({"temperature": (0.1, 1.0, "log")}, "unknown prior of temperature 'log'"),
        ({"temperature": {"low": 0.1, "hihg": 1}}, "'hihg': 1}: expected (low, high), (low, high,"),
        ({"temperature": 0.1}, "temperature=0.1: expected (low, high), (low, high, prior), {'low'"),
        ({"dropout": (0.0, 1.5)}, "m3l-contrast: dropout=1.5"),
        ({"activation": ["relu", "tanh"]}, "m3l-contrast: activation='tanh'"),
        ({"activation": ["relu"]}, "activation=['relu']: expected two or more different values"),
        ({"similarity": (0.1, 1.0)}, "m3l-contrast: similarity=0.1"),
        ({"num_topics": (10.5, 20)}, "num_topics=(10.5, 20): expected whole numbers, low < high"),
        ({"num_topics": Real(10, 20)}, "whole numbers are searched by Integer, given Real"),
        ({"temperature": (0.1, math.inf)}, "expected numbers, low < high"),
        ({"temperature": [0.1, math.nan]}, "different values, each of them a finite number"),
        ({"activation": ["relu", "relu"]}, "['relu', 'relu']: expected two or more different"),
        ({"num_topics": Categorical([10, 20, 10.0])}, "num_topics=[10, 20, 10.0]: expected two"),
        ({"temperature": [(0.1, 0.2), (0.3, 0.4)]}, "a text, True, False or None"),
        ({"seed": (0, 5)}, "'seed' is not searched: every run has its own"),
        ({"device": ["cpu", "cuda"]}, "'device' is not searched: optimize(…, device=…)"),
    ],
)
def test_spaces_that_cannot_be_searched(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        search_space(M3LContrast(), None, changes)


def test_nothing_to_search() -> None:
    with pytest.raises(SettingsError, match="LDA declares nothing to search beyond"):
        search_space(LDA())
    with pytest.raises(SettingsError, match="'epochs' has no declared range; give one: "):
        search_space(M3LContrast(), ["epochs"])


def test_spaces_are_recorded_as_they_were_given() -> None:
    space = {
        "a": Categorical([1, 2, 3], prior=[0.2, 0.2, 0.6], transform="identity", name="a"),
        "b": Real(0.1, 8.0, prior="log-uniform", base=2, name="b"),
        "c": Integer(1, 9, transform="normalize", name="c"),
        "d": dimension("d", [True, None, "x"]),
    }
    described = described_space(space)
    assert described == {
        "a": {"values": [1, 2, 3], "prior": [0.2, 0.2, 0.6], "transform": "identity"},
        "b": {"low": 0.1, "high": 8.0, "prior": "log-uniform", "base": 2, "whole": False},
        "c": {"low": 1, "high": 9, "prior": "uniform", "whole": True},
        "d": {"values": [True, None, "x"]},
    }, "files of searches keep their format"
    again = rebuilt_space(json.loads(json.dumps(described)))
    assert again == space
    assert again["a"].prior == [0.2, 0.2, 0.6]
    assert again["a"].transform_ == "identity"
    assert again["b"].base == 2


class Seeing(Hill):
    """A hill that keeps which kinds it was given."""

    seen: ClassVar[list[Any]] = []

    def train_model(
        self, dataset: Any, hyperparameters: dict[str, Any], top_words: int = 10
    ) -> dict[str, Any]:
        self.seen.append(hyperparameters["kind"])
        return super().train_model(dataset, hyperparameters, top_words)


@pytest.mark.parametrize(
    ("surrogate", "kinds"),
    [
        ("RF", [1, True, "1", None, 2.5, "square"]),
        ("GP", [1, True, "1", None, 2.5, "square"]),
        ("RS", Categorical(["None", None, False, 0], prior=[0.3, 0.3, 0.2, 0.2])),
        ("GP", [64, "auto"]),
        ("RF", [True, False]),
    ],
)
def test_models_get_categories_as_they_were_given(
    tmp_path: Path, surrogate: str, kinds: Any
) -> None:
    def typed(values: Any) -> list[tuple[type, Any]]:
        return [(type(value), value) for value in values]

    Seeing.seen.clear()
    changes = {"surrogate_model": surrogate, "n_random_starts": 4, "model_runs": 1}
    space = {"x": (0.0, 1.0), "kind": kinds}
    Optimizer().optimize(
        Seeing(), Data(), Height(), space, save_path=tmp_path, **{**FIRST, **changes}
    )
    result = resumed(tmp_path, 4, classes=[Seeing, Height])
    found = typed(result.x_iters["kind"])
    written = json.loads((tmp_path / "result.json").read_text())["x_iters"]["kind"]
    assert typed(Seeing.seen) == found == typed(written)
    assert {*found} <= {*typed(kinds.categories if isinstance(kinds, Categorical) else kinds)}
    assert len({*found}) > 1
    assert importances(result).keys() == space.keys()
