"""Searches that are continued, and what their files may not do."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from octis.models.CTM import CTM
from octis.models.LDA import LDA
from octis.models.NeuralLDA import NeuralLDA
from octis.models.ProdLDA import ProdLDA

from octis_m3l import M3LContrast
from octis_m3l.errors import DataError, SettingsError, StorageError
from octis_m3l.files import read_json
from octis_m3l.search.record import check_trusted, described_model, rebuilt_model, runs_file

from .toy import Height, Hill, Place, course, resumed, searched

FILES = {"result.json", "result.runs.json"}


def change(folder: Path, **changes: Any) -> None:
    """Change entries of a search's file of runs, also within mappings; ... removes one."""
    path = runs_file(folder / "result.json")
    content = read_json(path)
    for name, value in changes.items():
        if isinstance(value, dict):
            entry = content[name][0] if isinstance(content[name], list) else content[name]
            entry.update({key: of for key, of in value.items() if of is not ...})
            for key in [key for key, of in value.items() if of is ...]:
                del entry[key]
        elif value is ...:
            del content[name]
        else:
            content[name] = value
    path.write_text(json.dumps(content))


# Resuming.


@pytest.mark.parametrize(("surrogate", "batch"), [("RF", 1), ("RF", 3), ("GP", 1), ("RS", 2)])
def test_an_interrupted_search_continues_as_if_it_never_had_been(
    tmp_path: Path, surrogate: str, batch: int
) -> None:
    settings = {"surrogate_model": surrogate, "batch": batch, "extra_metrics": [Height(2.0)]}
    whole = searched(tmp_path / "whole", **settings)
    searched(tmp_path / "part", number_of_call=4, **settings)
    assert course(resumed(tmp_path / "part", 2)) == course(whole)
    assert course(resumed(tmp_path / "part")) == course(whole)
    assert {file.name for file in (tmp_path / "part").glob("*.json")} == FILES


@pytest.mark.filterwarnings("ignore:call .* the search goes on")
def test_recorded_runs_are_not_repeated(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", tmp_path)
    assert len((tmp_path / "runs").read_text().splitlines()) == 12
    kept = read_json(tmp_path / "whole" / "result.runs.json")["runs"][:7]
    change(tmp_path / "whole", runs=kept)
    assert course(resumed(tmp_path / "whole")) == course(whole)
    assert len((tmp_path / "runs").read_text().splitlines()) == 12 + 5


def test_a_search_that_was_killed_between_its_two_files_continues(tmp_path: Path) -> None:
    whole = searched(tmp_path)
    (tmp_path / "result.json").unlink()
    with pytest.raises(StorageError, match=r"result.runs.json holds a search already"):
        searched(tmp_path)
    assert course(resumed(tmp_path / "result.json")) == course(whole)
    assert {file.name for file in tmp_path.glob("*.json")} == FILES


def test_a_search_that_moved_continues_where_it_is(tmp_path: Path) -> None:
    searched(tmp_path, number_of_call=3)
    (tmp_path / "result.json").rename(tmp_path / "mine.json")
    (tmp_path / "result.runs.json").rename(tmp_path / "mine.runs.json")
    resumed(tmp_path / "mine.json", 1)
    assert {path.name for path in tmp_path.glob("*.json")} == {"mine.json", "mine.runs.json"}
    assert len(json.loads((tmp_path / "mine.json").read_text())["f_val"]) == 4
    with pytest.raises(SettingsError, match="extra_evaluations=-1: expected 0 or more"):
        resumed(tmp_path / "mine.json", -1)


# Files that don't fit.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "x"}, "result.runs.json has the format 'x', expected 'octis-m3l search'"),
        ({"version": 9}, "has version 9 .* written by another octis-m3l; upgrade this one"),
        ({"kernel": "Matern()"}, r"the search had the kernel Matern\(\); give it again"),
        ({"model": {"class": "octis.dataset.dataset:Dataset"}}, "is no AbstractModel"),
        ({"model": {"class": "octis.no:X"}}, "can't be imported"),
        ({"dataset": {"fingerprints": "x"}}, "not the data set"),
        ({"settings": []}, r"is damaged or incomplete \(settings: .* copy it again"),
        ({"settings": {"number_of_call": "many"}}, r"\(settings.number_of_call: "),
        ({"settings": {"plot_name": "../x"}}, r"\(settings.plot_name: .*name of a file"),
        ({"runs": "abc"}, r"\(runs: "),
        ({"runs": [{"score": "x"}]}, r"\(runs.0.call: Field required"),
        ({"search_space": {"x": {"low": 2, "high": 1, "whole": False}}}, "is damaged .* copy it"),
        ({"search_space": {"x": {"values": ["a"]}}}, "would now be at"),
        ({"model": {"whole": ...}}, "is damaged"),
        ({"points": [["round", 0.123, 3]]}, "call 0 of this search was at .*, and would now be at"),
        ({"points": ["x"]}, r"\(points.0: "),
        ({"metrics": ...}, r"\(metrics: Field required"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    searched(tmp_path, number_of_call=1)
    change(tmp_path, **changes)
    with pytest.raises((StorageError, DataError), match=message):
        resumed(tmp_path)


def test_missing_files_and_data(tmp_path: Path) -> None:
    searched(tmp_path / "s", number_of_call=1)
    with pytest.raises(StorageError, match=r"was never saved, so it can't be read again; give it"):
        resumed(tmp_path / "s", dataset=None)
    (tmp_path / "s" / "result.runs.json").unlink()
    with pytest.raises(StorageError, match="Searches of OCTIS's own Optimizer are resumed by that"):
        resumed(tmp_path / "s")
    nowhere = tmp_path / "nowhere" / "gone.json"
    for given, file in ((nowhere, nowhere), (tmp_path, tmp_path / "result.json")):
        message = f"^there is no search at {file} with its runs in .* beside it; give the JSON file"
        with pytest.raises(StorageError, match=message):
            resumed(given)
    assert not nowhere.parent.exists()


# What a file may not do.


@pytest.mark.parametrize(("part", "own"), [("model", "Planted"), ("metrics", "Planted.Inner")])
def test_no_module_is_imported_because_a_file_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, own: str
) -> None:
    searched(tmp_path, number_of_call=1)
    (tmp_path / "octis_planted.py").write_text("open('ran', 'w')\nclass Planted: pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    change(tmp_path, **{part: {"class": f"octis_planted:{own}"}})
    with pytest.raises(StorageError, match=rf"classes=\[{own}\]"):
        resumed(tmp_path, trusted=True)
    assert not (tmp_path / "ran").exists()
    assert "octis_planted" not in sys.modules


def test_classes_of_ones_own_are_passed(tmp_path: Path) -> None:
    whole = searched(tmp_path)
    for classes, missing in (((), "Height"), ([Height], "Hill")):
        with pytest.raises(StorageError, match=rf"classes=\[{missing}\]"):
            resumed(tmp_path, classes=classes)
    assert course(resumed(tmp_path, classes=[Hill, Height])) == course(whole)


@pytest.mark.parametrize(
    ("name", "given", "by"),
    [
        ("CTM", {}, "bert_path"),
        ("CTM", {"bert_path": "vectors"}, "bert_path"),
        ("ETM", {"embeddings_path": "vectors.pkl", "train_embeddings": False}, "embeddings_path"),
        ("ETM", {"embeddings_path": "v", "embeddings_type": "keyedvectors"}, "embeddings_path"),
        ("ETM", {"embeddings_path": "vectors.txt", "embeddings_type": "word2vec"}, None),
        ("ETM", {}, None),
        ("LDA", {"alpha": "symmetric"}, None),
    ],
)
def test_models_that_unpickle_are_built_from_trusted_files_alone(
    name: str, given: dict[str, Any], by: str | None
) -> None:
    stored = {"class": f"octis.models.{name}:{name}", "hyperparameters": given, "tuples": []}
    model = rebuilt_model({**stored, "attributes": {}, "use_partitions": True, "whole": True})
    assert isinstance(model, getattr(import_module(f"octis.models.{name}"), name))
    assert given.items() <= model.hyperparameters.items()
    if by is None:
        check_trusted(model, ["num_topics"], given=False)
    else:
        with pytest.raises(StorageError, match=rf"reads a pickle from .*'{by}'.*trusted=True"):
            check_trusted(model, ["num_topics"], given=False)
    check_trusted(model, ["num_topics"], given=True)
    # The search space comes from the file, whoever gave the model.
    with pytest.raises(StorageError, match="reads a pickle"):
        check_trusted(model, ["embeddings_path"], given=True)


def test_trust_is_asked_for_before_any_run(tmp_path: Path) -> None:
    searched(tmp_path, number_of_call=1)
    change(tmp_path, search_space={"embeddings_path": {"values": ["a.pkl", "b.pkl"]}})
    with pytest.raises(StorageError, match="reads a pickle from"):
        resumed(tmp_path, 1)


def test_a_file_cannot_put_hyperparameters_among_attributes() -> None:
    stored = described_model(LDA())
    for name in ("hyperparameters", "__class__"):
        with pytest.raises(StorageError, match=f"attribute can't be '{name}'"):
            rebuilt_model({**stored, "attributes": {name: "x"}})


# What is recorded of models and metrics.


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": LDA()}, "another model: its class was '.*:Hill', and is now '.*.LDA:LDA"),
        (
            {"model": Hill(x=0.7)},
            "another model: its x was 0.5, and is now 0.7; continue",
        ),
        ({"metric": Height(2.0)}, "another metric: its factor was 1.0, and is now 2.0"),
        ({"extra_metrics": [Place()]}, r"began with 0 extra metrics, given are 1"),
        ({"metric": Place()}, "another metric: its class was '.*:Height', and is now '.*:Place"),
    ],
)
def test_another_model_or_metric_is_rejected(
    tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    searched(tmp_path, number_of_call=1)
    with pytest.raises(StorageError, match=message):
        resumed(tmp_path, **given)
    assert resumed(tmp_path, model=Hill(), metric=Height()).medians


class Armed(Hill):
    """A hill with something beside its hyperparameters."""

    def __init__(self) -> None:
        super().__init__()
        self.arm = "short"
        self.tool: Any = None


def test_what_a_model_has_beside_hyperparameters_is_kept_or_asked_for() -> None:
    class Own:
        def encode(self, items: Any) -> Any:
            return np.zeros((len(items), 2), np.float32)

    model = Armed()
    model.arm = "long"
    again = rebuilt_model(json.loads(json.dumps(described_model(model))), [Armed])
    assert isinstance(again, Armed)
    assert again.arm == "long"
    model.tool = np.ones(3)
    assert described_model(M3LContrast())["whole"]
    for unstorable in (model, M3LContrast(encoders={"en": Own()})):
        with pytest.raises(StorageError, match="was given what a file can't hold; give it again"):
            rebuilt_model(described_model(unstorable))


class Steep(Hill):
    """Has an attribute with the name of a hyperparameter."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.x = 0.5


def test_an_attribute_hides_no_hyperparameter(tmp_path: Path) -> None:
    searched(tmp_path, model=Steep(), number_of_call=1)
    with pytest.raises(StorageError, match=r"its x was 0.5, and is now 0.7"):
        resumed(tmp_path, model=Steep(x=0.7))


def test_models_with_lists_among_their_hyperparameters_are_kept() -> None:
    for model in (CTM(num_neurons=30, num_layers=2), ProdLDA(), NeuralLDA()):
        again = rebuilt_model(json.loads(json.dumps(described_model(model))))
        assert again.hyperparameters == model.hyperparameters
        assert described_model(again) == described_model(model)
