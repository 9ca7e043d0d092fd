"""Every model keeps the contract; a file with a class is all that a further one takes."""

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import octis_m3l.models
from octis_m3l.cli import app
from octis_m3l.data.demo import demo_corpus
from octis_m3l.models import MODELS
from octis_m3l.models.embeddings import EmbeddingModel

from .contract import ModelContract, NeuralModelContract

NAMES = ["gloctm", "infoctm", "m3l-contrast", "nmtm", "pltm", "zeroshot-tm", "zeroshot-tm-kd"]
CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


def _contracts(parent: type[ModelContract]) -> list[type[ModelContract]]:
    children = parent.__subclasses__()
    return children + [deeper for child in children for deeper in _contracts(child)]


def _has_a_contract(model: Any) -> bool:
    """Return whether a test class keeps the contract of a model's kind with it."""
    neural = issubclass(model, EmbeddingModel)
    contracts = _contracts(NeuralModelContract if neural else ModelContract)
    return model in [c.model for c in contracts if c.__name__.startswith("Test")]


@pytest.mark.parametrize("name", MODELS)
def test_has_a_contract(name: str) -> None:
    for path in Path(__file__).parent.glob("test_*.py"):
        module = f"{__package__}.{path.stem}"
        if module not in sys.modules:
            importlib.import_module(module)
    assert _has_a_contract(MODELS[name])


def test_models_go_by_their_names() -> None:
    assert {*NAMES} <= {*MODELS}
    assert [*MODELS] == sorted(MODELS)
    for name, model in MODELS.items():
        assert model.name == name
        assert model().info()["citation"]
        assert name not in NAMES or getattr(octis_m3l.models, model.__name__) is model


def test_every_public_name_is_there() -> None:
    assert all(hasattr(octis_m3l.models, name) for name in octis_m3l.models.__all__)
    with pytest.raises(AttributeError, match=r"^module 'octis_m3l.models' has no attribute 'LDA'$"):
        _ = octis_m3l.models.LDA  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*updates, too few to tell topics apart:UserWarning")
def test_the_page_for_contributors_adds_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = CONTRIBUTING.read_text("utf-8").partition("## Add a model\n")[2]
    page = page.partition("\n## ")[0]
    code, *_ = re.findall(r"^```python\n(.*?)^```", page, re.S | re.M)
    (test,) = re.findall(r"^```text\n(.*?)^```", page, re.S | re.M)
    room = tmp_path / "room"
    room.mkdir()
    (room / "unaligned_tm.py").write_text(code, "utf-8")
    monkeypatch.setattr(octis_m3l.models, "__path__", [*octis_m3l.models.__path__, str(room)])
    run = CliRunner().invoke
    listed = run(app, ["models"]).output
    assert "unaligned-tm" in listed
    assert "A topic model for each view, side by side." in listed
    demo_corpus(40).save(tmp_path / "data")
    command = ["train", str(tmp_path / "data"), "--model", "unaligned-tm", "--topics", "4"]
    trained = run(app, [*command, "--set", "epochs=1", "--out", str(tmp_path / "model"), "--json"])
    assert trained.exit_code == 0, trained.output
    assert json.loads(trained.stdout.splitlines()[-1])["history"]["stopped"] == "finished"
    assert octis_m3l.models.load_model(tmp_path / "model").name == "unaligned-tm"
    model = MODELS["unaligned-tm"]
    assert not _has_a_contract(model)
    names: dict[str, Any] = {"__name__": f"{__package__}.test_it", "__package__": __package__}
    exec(compile(test, "CONTRIBUTING.md", "exec"), names)
    assert _has_a_contract(model)
    kept = names["TestUnalignedTM"]()
    for batch_size in (2, 3, 4):
        kept.test_gaps_in_small_batches(batch_size)
