"""Every model keeps the contract."""

import importlib
import sys
from pathlib import Path

import pytest

import octis_m3l.models
from octis_m3l.models import MODELS
from octis_m3l.models.neural import NeuralTopicModel

from .contract import ModelContract, NeuralModelContract


def _contracts(parent: type[ModelContract]) -> list[type[ModelContract]]:
    children = parent.__subclasses__()
    return children + [deeper for child in children for deeper in _contracts(child)]


@pytest.mark.parametrize("name", MODELS)
def test_has_a_contract(name: str) -> None:
    for path in Path(__file__).parent.glob("test_*.py"):
        module = f"{__package__}.{path.stem}"
        if module not in sys.modules:
            importlib.import_module(module)
    neural = issubclass(MODELS[name], NeuralTopicModel)
    contracts = _contracts(NeuralModelContract if neural else ModelContract)
    tested = [c.model for c in contracts if c.__name__.startswith("Test")]
    assert MODELS[name] in tested


def test_models_go_by_their_names() -> None:
    for name, model in MODELS.items():
        assert model.name == name
        assert name == name.lower().replace("_", "-")
        assert model in vars(octis_m3l.models).values()


def test_every_public_name_is_there() -> None:
    assert all(hasattr(octis_m3l.models, name) for name in octis_m3l.models.__all__)
