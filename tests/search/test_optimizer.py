"""OCTIS's Optimizer, resumed, in several processes, and survived."""

import json
import math
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import Future
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from octis.evaluation_metrics.classification_metrics import F1Score
from octis.evaluation_metrics.coherence_metrics import Coherence
from octis.evaluation_metrics.diversity_metrics import TopicDiversity
from octis.models.CTM import CTM
from octis.models.LDA import LDA
from octis.models.NeuralLDA import NeuralLDA
from octis.models.ProdLDA import ProdLDA
from octis.optimization.optimizer import Optimizer as OctisOptimizer
from planted import planted
from skopt.space import Categorical, Integer, Real  # type: ignore[import-untyped]

from octis_m3l import (
    CNPMI,
    MRR,
    UAP,
    M3LContrast,
    MultiviewDataset,
    OnView,
    Optimizer,
    TopicUniqueness,
)
from octis_m3l.errors import DataError, SettingsError, StorageError
from octis_m3l.files import read_json
from octis_m3l.reports import importances
from octis_m3l.search import Job, Outcome, Processes, Task, executors, search_space
from octis_m3l.search.optimizer import SearchError
from octis_m3l.search.record import (
    check_trusted,
    described_model,
    described_space,
    rebuilt_model,
    rebuilt_space,
)
from octis_m3l.search.resuming import runs_file
from octis_m3l.search.runs import seeded
from octis_m3l.search.spaces import categorical

from .toy import SPACE, TOYS, Data, Height, Hill, Place

FILES = {"result.json", "result.runs.json"}
FIRST = {
    "number_of_call": 6,
    "n_random_starts": 3,
    "model_runs": 2,
    "random_state": 5,
    "surrogate_model": "RS",
}


def hill(trouble: Path | str = "") -> Hill:
    model = Hill()
    model.hyperparameters["trouble"] = str(trouble)
    return model


def searched(folder: Path, trouble: Path | str = "", **changes: Any) -> Any:
    arguments = {**FIRST, "save_path": f"{folder}/", "save_models": False, **changes}
    return Optimizer().optimize(hill(trouble), Data(), Height(), SPACE, **arguments)


def course(result: Any) -> tuple[Any, ...]:
    """Return where a search went, what it found there, and by which seeds."""
    runs = [(run.call, run.run, run.seed, run.scores) for run in result.outcomes]
    return result.x_iters, result.func_vals, runs, result.best, result.best_score


# What it finds and writes.


def test_it_is_octis_optimizer_and_finds_the_top(tmp_path: Path) -> None:
    result = searched(
        tmp_path, number_of_call=15, surrogate_model="RF", extra_metrics=[Place()] * 12
    )
    assert isinstance(Optimizer(), OctisOptimizer)
    assert result.best["kind"] == "round"
    assert result.best_score == max(result.func_vals) > 0.8
    beside = json.loads((tmp_path / "result.runs.json").read_text())
    assert beside["best"] == {"hyperparameters": result.best, "score": result.best_score}
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["f_val"] == result.func_vals
    assert len(written["dict_model_runs"]["11_Place"]) == 15
    for call, x in enumerate(written["x_iters"]["x"]):
        assert written["dict_model_runs"]["11_Place"][f"iteration_{call}"] == [x, x]
    result.save_to_csv(str(tmp_path / "table.csv"))
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 16


def test_a_minimum_is_found_too(tmp_path: Path) -> None:
    result = searched(tmp_path, number_of_call=10, optimization_type="Minimize")
    assert result.best["kind"] == "square"
    assert result.best_score == min(result.func_vals)


@pytest.mark.parametrize(
    ("surrogate", "acquisition"),
    [("RF", "EI"), ("RF", "PI"), ("ET", "LCB"), ("GP", "LCB"), ("RS", "LCB")],
)
def test_every_surrogate_and_acquisition(tmp_path: Path, surrogate: str, acquisition: str) -> None:
    result = searched(tmp_path, surrogate_model=surrogate, acq_func=acquisition, model_runs=1)
    assert len(result.func_vals) == 6
    assert json.loads((tmp_path / "result.json").read_text())["surrogate_model"] == surrogate


def test_memory_does_not_grow_with_the_calls(tmp_path: Path) -> None:
    result = searched(tmp_path, number_of_call=6, surrogate_model="ET")
    assert len(result.surrogate.models) == 1


def test_given_points_come_first(tmp_path: Path) -> None:
    points = {"x": [0.31, 0.8], "y": [3, 9], "kind": ["round", "square"]}
    first = searched(tmp_path / "a", x0=points)
    assert [first.x_iters[name][:2] for name in points] == list(points.values())
    known = searched(tmp_path / "b", x0=points, y0=[0.999, 0.1], plot_model=True)
    assert known.func_vals[:2] == [0.999, 0.1]
    assert [len([r for r in known.outcomes if r.call == call]) for call in (0, 1, 2)] == [1, 1, 2]
    assert (tmp_path / "b" / "B0_plot_model_runs_Height.png").stat().st_size > 1000


def test_early_stop(tmp_path: Path) -> None:
    result = searched(tmp_path, number_of_call=60, early_stop=True, early_step=4)
    assert 7 <= len(result.func_vals) < 60


# Seeds.


def test_runs_differ_and_repeat(tmp_path: Path) -> None:
    first, again = searched(tmp_path / "a"), searched(tmp_path / "b")
    assert course(first) == course(again)
    assert len({run.seed for run in first.outcomes}) == 12
    scores = [run.scores[0] for run in first.outcomes]
    assert len(set(scores)) == 12
    assert course(searched(tmp_path / "c", random_state=6)) != course(first)
    one = first.outcomes[5]
    with seeded(one.seed):
        parameters = {name: values[one.call] for name, values in first.x_iters.items()}
        assert Height().score(hill().train_model(None, parameters)) == one.scores[0]


def test_a_drawn_random_state_is_recorded(tmp_path: Path) -> None:
    searched(tmp_path, random_state=None)
    assert json.loads((tmp_path / "result.json").read_text())["random_state"] > 0


def test_global_generators_are_left_alone() -> None:
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    with seeded(9):
        np.random.random()
    assert np.random.random() == expected


# Resume.


@pytest.mark.parametrize(("surrogate", "batch"), [("RF", 1), ("RF", 3), ("GP", 1), ("RS", 2)])
def test_a_search_that_was_stopped_goes_on_as_if_it_never_had_been(
    tmp_path: Path, surrogate: str, batch: int
) -> None:
    settings = {"surrogate_model": surrogate, "batch": batch, "extra_metrics": [Height(2.0)]}
    whole = searched(tmp_path / "whole", **settings)
    searched(tmp_path / "part", number_of_call=4, **settings)
    path = tmp_path / "part" / "result.json"
    resumed = Optimizer().resume_optimization(path, 2, dataset=Data(), classes=TOYS)
    assert course(resumed) == course(whole)
    done = Optimizer().resume_optimization(path, dataset=Data(), classes=TOYS)
    assert course(done) == course(whole)
    assert {file.name for file in (tmp_path / "part").glob("*.json")} == FILES


@pytest.mark.filterwarnings("ignore:call .* the search goes on")
def test_runs_that_are_recorded_are_not_done_again(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", tmp_path)
    assert len((tmp_path / "runs").read_text().splitlines()) == 12
    path = tmp_path / "whole" / "result.json"
    beside = runs_file(path)
    content = read_json(beside)
    beside.write_text(json.dumps({**content, "runs": content["runs"][:7]}))
    resumed = Optimizer().resume_optimization(path, dataset=Data(), classes=TOYS)
    assert len((tmp_path / "runs").read_text().splitlines()) == 12 + 5
    assert course(resumed) == course(whole)


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from search.test_optimizer import searched
searched(Path({folder!r}), {trouble!r})
"""


@pytest.mark.filterwarnings("ignore:call .* the search goes on")
def test_killed_in_the_middle_and_resumed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    whole = searched(tmp_path / "whole", tmp_path / "other")
    trouble = tmp_path / "trouble"
    trouble.mkdir()
    script = KILLED.format(
        tests=str(Path(__file__).parents[1]), folder=str(tmp_path / "part"), trouble=str(trouble)
    )
    first = subprocess.Popen([sys.executable, "-c", script])
    while not (trouble / "runs").exists() or len((trouble / "runs").read_text()) < 150:
        assert first.poll() is None
    (trouble / "kill").touch()
    assert first.wait(60) == -9
    path = tmp_path / "part" / "result.json"
    before = len(json.loads(runs_file(path).read_text())["runs"])
    assert 0 < before < 12
    resumed = Optimizer().resume_optimization(path, dataset=Data(), classes=TOYS)
    assert course(resumed) == course(whole)


def test_a_search_is_not_begun_where_there_is_one(tmp_path: Path) -> None:
    searched(tmp_path)
    with pytest.raises(StorageError, match="holds a search already: resume_optimization goes on"):
        searched(tmp_path)


def test_a_search_that_was_killed_between_its_two_files_goes_on(tmp_path: Path) -> None:
    whole = searched(tmp_path)
    path = tmp_path / "result.json"
    path.unlink()
    with pytest.raises(StorageError, match=r"result.runs.json holds a search already"):
        searched(tmp_path)
    assert course(Optimizer().resume_optimization(path, dataset=Data(), classes=TOYS)) == course(
        whole
    )
    assert {file.name for file in tmp_path.glob("*.json")} == FILES


def test_a_search_whose_runs_are_in_the_one_file_is_read(tmp_path: Path) -> None:
    whole = searched(tmp_path)
    path = tmp_path / "result.json"
    own = read_json(runs_file(path))
    path.write_text(json.dumps({**json.loads(path.read_text()), "octis_m3l": own}))
    runs_file(path).unlink()
    assert course(Optimizer().resume_optimization(path, dataset=Data(), classes=TOYS)) == course(
        whole
    )
    assert "octis_m3l" not in json.loads(path.read_text())


def test_what_a_file_cannot_hold_is_asked_for(tmp_path: Path) -> None:
    searched(tmp_path)
    path = tmp_path / "result.json"
    with pytest.raises(StorageError, match=r"was never saved, so it can't be read again; give it"):
        Optimizer().resume_optimization(path)
    beside = runs_file(path)
    content = read_json(beside)
    of_model = content["model"]
    for changed, message in (
        ({"format": "x"}, r"whose runs are in result.runs.json beside it; searches of OCTIS's own"),
        ({"version": 9}, "was written by another octis-m3l; upgrade this one"),
        ({"kernel": "Matern()"}, r"the search had the kernel Matern\(\); give it again"),
        ({"model": {**of_model, "class": "octis.dataset.dataset:Dataset"}}, "is no AbstractModel"),
        ({"model": {**of_model, "class": "octis.no:X"}}, "can't be imported"),
        ({"dataset": {**content["dataset"], "fingerprints": "x"}}, "not the data set"),
    ):
        beside.write_text(json.dumps({**content, **changed}))
        with pytest.raises((StorageError, DataError), match=message):
            Optimizer().resume_optimization(path, dataset=Data(), classes=TOYS)
    space = {"a": {"low": 2, "high": 1, "whole": False, "prior": "uniform"}}
    calls = {**content["settings"], "number_of_call": "many"}
    for part, changed in (
        ("settings", []),
        ("settings", calls),
        ("runs", "abc"),
        ("runs", [{"score": "x"}]),
        ("search_space", space),
    ):
        beside.write_text(json.dumps({**content, part: changed}))
        with pytest.raises(StorageError, match=r"result.runs.json is damaged \(.* copy it again"):
            Optimizer().resume_optimization(path, dataset=Data(), classes=TOYS)
    for name in ("../outside", "/outside", "", None):
        settings = {**content["settings"], "plot_name": name, "plot_best_seen": True}
        beside.write_text(json.dumps({**content, "settings": settings}))
        with pytest.raises(SettingsError, match=r"plot_name=.*: expected the name of a file"):
            Optimizer().resume_optimization(path, dataset=Data(), classes=TOYS)
    for part in ("runs", "points", "settings", "metrics"):
        beside.write_text(json.dumps({name: of for name, of in content.items() if name != part}))
        with pytest.raises(StorageError, match=f"is damaged: it has no '{part}'"):
            Optimizer().resume_optimization(path, dataset=Data(), classes=TOYS)
    beside.unlink()
    with pytest.raises(StorageError, match=r"whose runs are in result.runs.json beside it"):
        Optimizer().resume_optimization(path, dataset=Data(), classes=TOYS)
    with pytest.raises(StorageError, match=r"gone\.json"):
        Optimizer().resume_optimization(tmp_path / "nowhere" / "gone.json")
    assert not (tmp_path / "nowhere").exists()


def changed_file(path: Path, part: str, **changes: Any) -> None:
    """Change what the file of a search says of its model or metric."""
    content = read_json(runs_file(path))
    of = content[part]
    (of[0] if isinstance(of, list) else of).update(changes)
    runs_file(path).write_text(json.dumps(content))


@pytest.mark.parametrize(("part", "own"), [("model", "Planted"), ("metrics", "Planted.Inner")])
def test_no_module_is_imported_because_a_file_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, own: str
) -> None:
    searched(tmp_path)
    path = tmp_path / "result.json"
    (tmp_path / "octis_planted.py").write_text("open('ran', 'w')\nclass Planted: pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    changed_file(path, part, **{"class": f"octis_planted:{own}"})
    with pytest.raises(StorageError, match=rf"classes=\[{own}\]"):
        Optimizer().resume_optimization(path, dataset=Data(), classes=TOYS, trusted=True)
    assert not (tmp_path / "ran").exists()
    assert "octis_planted" not in sys.modules


def test_classes_of_ones_own_are_passed(tmp_path: Path) -> None:
    whole = searched(tmp_path)
    path = tmp_path / "result.json"
    for classes, missing in (((), "Height"), ([Height], "Hill")):
        with pytest.raises(StorageError, match=rf"classes=\[{missing}\]"):
            Optimizer().resume_optimization(path, dataset=Data(), classes=classes)
    again = Optimizer().resume_optimization(path, dataset=Data(), classes=[Hill, Height])
    assert course(again) == course(whole)


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
    of_octis = import_module(f"octis.models.{name}")
    stored = {
        "class": f"octis.models.{name}:{name}",
        "hyperparameters": given,
        "tuples": [],
        "use_partitions": True,
        "whole": True,
    }
    model = rebuilt_model(stored)
    assert isinstance(model, getattr(of_octis, name))
    assert given.items() <= model.hyperparameters.items()
    if by is None:
        check_trusted(model, ["num_topics"], given=False)
    else:
        with pytest.raises(StorageError, match=rf"reads a pickle from .*'{by}'.*trusted=True"):
            check_trusted(model, ["num_topics"], given=False)
    check_trusted(model, ["num_topics"], given=True)
    # What is searched comes from the file, whoever gave the model.
    with pytest.raises(StorageError, match="reads a pickle"):
        check_trusted(model, ["embeddings_path"], given=True)


def test_trust_is_asked_for_before_any_run(tmp_path: Path) -> None:
    searched(tmp_path)
    path = tmp_path / "result.json"
    changed_file(path, "search_space", embeddings_path={"values": ["a.pkl", "b.pkl"]})
    with pytest.raises(StorageError, match="reads a pickle from"):
        Optimizer().resume_optimization(path, 1, dataset=Data(), classes=TOYS)


def test_a_file_cannot_put_hyperparameters_among_attributes() -> None:
    stored = described_model(LDA())
    for name in ("hyperparameters", "__class__"):
        with pytest.raises(StorageError, match=f"attribute can't be '{name}'"):
            rebuilt_model({**stored, "attributes": {name: "x"}})


def test_only_the_search_s_own_model_and_metric_go_on(tmp_path: Path) -> None:
    whole = searched(tmp_path)
    path = tmp_path / "result.json"
    steeper = hill()
    steeper.hyperparameters["x"] = 0.7
    for given, message in (
        ({"model": LDA()}, r"began with the model .*toy:Hill, given is octis.models.LDA:LDA"),
        ({"model": steeper}, r"began with model .*toy:Hill and x=0.5, given is 0.7"),
        ({"metric": Height(2.0)}, r"began with metric .*toy:Height and factor=1.0, given is 2.0"),
        ({"extra_metrics": [Place()]}, r"began with 0 extra metrics, given are 1"),
        ({"metric": Place()}, r"began with the metric .*toy:Height, given is .*toy:Place"),
    ):
        with pytest.raises(StorageError, match=message):
            Optimizer().resume_optimization(path, dataset=Data(), classes=TOYS, **given)
    given = {"model": hill(), "metric": Height()}
    again = Optimizer().resume_optimization(path, dataset=Data(), classes=TOYS, **given)
    assert course(again) == course(whole)


class Armed(Hill):
    """A hill with something beside its hyperparameters."""

    def __init__(self) -> None:
        super().__init__()
        self.arm = "short"
        self.tool: Any = None


def test_what_a_model_has_beside_hyperparameters_is_kept_or_asked_for() -> None:
    model = Armed()
    model.arm = "long"
    stored = json.loads(json.dumps(described_model(model)))
    again = rebuilt_model(stored, [Armed])
    assert isinstance(again, Armed)
    assert again.arm == "long"
    model.tool = np.ones(3)
    with pytest.raises(StorageError, match="was given what a file can't hold; give it again"):
        rebuilt_model(described_model(model))


def test_encoders_of_ones_own_are_asked_for() -> None:
    class Own:
        def encode(self, items: Any) -> Any:
            return np.zeros((len(items), 2), np.float32)

    assert described_model(M3LContrast())["whole"]
    with pytest.raises(StorageError, match="was given what a file can't hold; give it again"):
        rebuilt_model(described_model(M3LContrast(encoders={"en": Own()})))


def test_spaces_are_kept_as_they_were_given() -> None:
    space = {
        "a": Categorical([1, 2, 3], prior=[0.2, 0.2, 0.6], transform="identity", name="a"),
        "b": Real(0.1, 8.0, prior="log-uniform", base=2, name="b"),
        "c": Integer(1, 9, transform="normalize", name="c"),
        "d": categorical([True, None, "x"], name="d"),
    }
    stored = json.loads(json.dumps(described_space(space)))
    again = rebuilt_space(stored)
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


@pytest.mark.parametrize("surrogate", ["RF", "GP", "RS"])
@pytest.mark.parametrize(
    "kinds",
    [
        [1, True, "1", None, 2.5, "square"],
        Categorical(["None", None, False, 0], prior=[0.3, 0.3, 0.2, 0.2]),
        [64, "auto"],
        [True, False],
    ],
)
def test_models_get_categories_as_they_were_given(
    tmp_path: Path, surrogate: str, kinds: Any
) -> None:
    def typed(values: Any) -> list[tuple[type, Any]]:
        return [(type(value), value) for value in values]

    Seeing.seen.clear()
    path = tmp_path / "result.json"
    begun = {**FIRST, "surrogate_model": surrogate, "model_runs": 1, "save_models": False}
    begun |= {"number_of_call": 6, "n_random_starts": 4, "save_path": f"{tmp_path}/"}
    space = {"x": (0.0, 1.0), "kind": kinds}
    Optimizer().optimize(Seeing(), Data(), Height(), space, **begun)
    result = Optimizer().resume_optimization(path, 4, dataset=Data(), classes=[Seeing, Height])
    found = result.x_iters["kind"]
    assert (
        typed(Seeing.seen) == typed(found) == typed(json.loads(path.read_text())["x_iters"]["kind"])
    )
    given = typed(kinds.categories if isinstance(kinds, Categorical) else kinds)
    assert {*typed(found)} <= {*given}
    assert len({*typed(found)}) > 1
    assert importances(result).keys() == space.keys()


def test_a_search_without_hope_stops_and_is_tried_again(tmp_path: Path) -> None:
    points = {"x": [0.95, 0.96, 0.97, 0.98], "y": [3] * 4, "kind": ["round"] * 4}
    with (
        pytest.warns(UserWarning, match="the search goes on"),
        pytest.raises(SearchError, match=r"all 6 runs of the first 3 calls failed.*too far"),
    ):
        searched(tmp_path / "search", tmp_path, x0=points)
    path = tmp_path / "search" / "result.json"
    content = read_json(runs_file(path))
    # What was wrong is mended.
    content["model"]["hyperparameters"]["trouble"] = ""
    runs_file(path).write_text(json.dumps(content))
    result = Optimizer().resume_optimization(path, dataset=Data(), classes=TOYS)
    assert len(result.medians) == 6
    assert all(run.scores for run in result.outcomes)


def test_outputs_of_two_searches_do_not_mix(tmp_path: Path) -> None:
    searched(tmp_path, save_models=True)
    assert len(list((tmp_path / "models").iterdir())) == 12
    with pytest.raises(StorageError, match="holds the outputs of another search"):
        searched(tmp_path, save_models=True, save_name="second")
    assert len(list((tmp_path / "models").iterdir())) == 12


def test_scores_are_kept_where_the_output_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("octis_m3l.search.runs.save_model_output", full)
    job = Job(hill(), Data(), [Height()], models=tmp_path)
    outcome = job.do(Task(0, 0, {"x": 0.5}, 1))
    assert outcome.scores is not None
    assert outcome.error == (
        f"its output was not saved (StorageError: {tmp_path / '0_0.npz'} can't be written: no "
        "space is left on the disk; free some space, or choose another folder.)"
    )


def test_batches_with_given_points_and_an_early_stop(tmp_path: Path) -> None:
    points = {"x": [0.3, 0.1], "y": [3, 3], "kind": ["round"] * 2}
    options: dict[str, Any] = {"x0": points, "y0": [1.0, 0.9], "batch": 3, "number_of_call": 30}
    options |= {"early_stop": True, "early_step": 3, "plot_best_seen": True}
    alone = searched(tmp_path / "alone", **options)
    assert 5 <= len(alone.medians) < 30
    assert alone.x_iters["x"][:2] == [0.3, 0.1]
    assert alone.medians[:2] == [1.0, 0.9]
    assert list((tmp_path / "alone").glob("*best_seen*"))
    file = tmp_path / "alone" / "result.json"
    again = Optimizer().resume_optimization(file, dataset=Data(), classes=TOYS)
    assert course(again) == course(alone)


def test_scores_are_not_told_of_other_points(tmp_path: Path) -> None:
    searched(tmp_path)
    path = tmp_path / "result.json"
    content = read_json(runs_file(path))
    content["points"][2][1] = 0.123
    runs_file(path).write_text(json.dumps(content))
    with pytest.raises(StorageError, match=r"call 2 of this search was at .*, and would now be at"):
        Optimizer().resume_optimization(path, dataset=Data(), classes=TOYS)


def test_a_search_that_moved_goes_on_where_it_is(tmp_path: Path) -> None:
    searched(tmp_path, number_of_call=3)
    (tmp_path / "result.json").rename(tmp_path / "mine.json")
    (tmp_path / "result.runs.json").rename(tmp_path / "mine.runs.json")
    Optimizer().resume_optimization(tmp_path / "mine.json", 1, dataset=Data(), classes=TOYS)
    assert {path.name for path in tmp_path.glob("*.json")} == {"mine.json", "mine.runs.json"}
    assert len(json.loads((tmp_path / "mine.json").read_text())["f_val"]) == 4
    with pytest.raises(SettingsError, match="extra_evaluations=-1: expected 0 or more"):
        Optimizer().resume_optimization(tmp_path / "mine.json", -1, dataset=Data(), classes=TOYS)


def test_settings_by_position_and_dimensions_of_ones_own(tmp_path: Path) -> None:
    space = {"x": Real(0.0, 1.0, prior="uniform"), "y": Integer(0, 9)}
    before = [vars(searched_one).copy() for searched_one in space.values()]
    result = Optimizer().optimize(
        hill(),
        Data(),
        Height(),
        space,
        None,
        4,
        2,
        model_runs=1,
        surrogate_model="GP",
        save_path=tmp_path / "search",
    )
    assert len(result.func_vals) == 4
    assert json.loads((tmp_path / "search" / "result.json").read_text())["n_random_starts"] == 2
    assert [vars(searched_one).keys() for searched_one in space.values()] == [
        known.keys() for known in before
    ]
    assert space["x"].transform_ == before[0]["transform_"]


# Failures.


def test_a_run_that_fails_is_recorded_and_survived(tmp_path: Path) -> None:
    points = {"x": [0.95, 0.3], "y": [3, 3], "kind": ["round"] * 2}
    with pytest.warns(UserWarning, match="call 0, run 0: ValueError: too far; the search goes on"):
        result = searched(tmp_path / "search", tmp_path, x0=points)
    failed = [run for run in result.outcomes if run.call == 0]
    assert [run.error for run in failed] == ["ValueError: too far"] * 2
    assert "in train_model" in str(failed[0].trace)
    assert all(run.scores is None for run in failed)
    assert result.best["x"] <= 0.9
    written = json.loads((tmp_path / "search" / "result.json").read_text())
    assert written["dict_model_runs"]["Height"]["iteration_0"] == [None, None]
    assert math.isnan(result.info["dict_model_runs"]["Height"]["iteration_0"][0])
    assert written["f_val"][0] == min(written["f_val"][1:])
    file = tmp_path / "search" / "result.json"
    resumed = Optimizer().resume_optimization(file, dataset=Data(), classes=TOYS)
    assert course(resumed) == course(result)


def test_a_score_that_is_no_number_is_a_failure(tmp_path: Path) -> None:
    outcome = Job(hill(), Data(), [Height(math.nan)]).do(Task(0, 0, {"x": 0.5}, 1))
    assert outcome.error == "ValueError: Height is nan"


def test_a_further_metric_that_fails_does_not_lose_the_run(tmp_path: Path) -> None:
    extra = [Height(math.nan), Place()]
    with pytest.warns(
        UserWarning, match="call 0, run 0: Height has no score: ValueError: Height is nan; the"
    ):
        result = searched(tmp_path, extra_metrics=extra)
    assert all(
        run.error == "Height has no score: ValueError: Height is nan" for run in result.outcomes
    )
    assert all(run.scores and math.isfinite(run.scores[0]) for run in result.outcomes)
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["dict_model_runs"]["1_Place"]["iteration_0"][0] == result.outcomes[0].scores[2]
    resumed = Optimizer().resume_optimization(
        tmp_path / "result.json", dataset=Data(), classes=TOYS, extra_metrics=extra
    )
    assert str(course(resumed)) == str(course(result))


class Peeking(Height):
    """Looks at what a search must not see."""

    def score(self, output: dict[str, Any]) -> float:
        return float(output["test-topic-document-matrix"][0, 0])


class WithTest(Hill):
    """Gives θ of test documents too."""

    def train_model(self, *arguments: Any) -> dict[str, Any]:
        return {**super().train_model(*arguments), "test-topic-document-matrix": np.ones((1, 1))}


def test_metrics_are_not_shown_test_documents() -> None:
    task = Task(0, 0, {"x": 0.5}, 1)
    refused = str(Job(WithTest(), Data(), [Peeking()]).do(task).error)
    assert "Peeking looks at the test partition, which a search must not see" in refused
    allowed = Job(WithTest(), Data(), [Peeking()], test_allowed=True).do(task)
    assert allowed.scores == [1.0]
    extra = Job(WithTest(), Data(), [Place(), Peeking()]).do(task)
    assert extra.scores == [0.5, 1.0]
    assert extra.error is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"surrogate_model": "FR"}, r"unknown surrogate_model 'FR'"),
        ({"acq_func": "LBC"}, r"unknown acq_func 'LBC'. Did you mean 'LCB'\?"),
        ({"number_of_call": 0}, r"number_of_call=0: expected a whole number, 1 or more"),
        ({"model_runs": 2.5}, r"model_runs=2.5: expected a whole number"),
        ({"batch": 0}, r"batch=0: expected a whole number"),
        ({"processes": 0}, r"processes=0: expected 1 or more"),
        ({"threads": 0}, r"threads=0: expected 1 to 1024"),
        ({"early_step": 0}, r"early_step=0: expected a whole number"),
        ({"number_of_calls": 5}, r"optimize takes no 'number_of_calls'. Did you mean 'number_of_c"),
        ({"x0": [[0.1]]}, "x0: expected a mapping of hyperparameter to a list of values"),
        (
            {"x0": {"x": [7.0], "y": [1], "kind": ["round"]}},
            r"x0: x=7.0 is outside what is searched",
        ),
        (
            {"x0": {"x": [0.7], "y": [1], "kind": ["round"]}, "y0": [math.nan]},
            "y0 holds nan; expected finite numbers",
        ),
        ({"x0": {"x": [1.0]}}, r"x0 has x; expected a list for each of kind, x, y"),
        (
            {"x0": {"x": [0.1], "y": [1, 2], "kind": ["round"]}},
            "x0 and y0: expected lists of the same length",
        ),
        ({"optimization_type": "Max"}, "unknown optimization_type 'Max'"),
        ({"extra_metrics": [Height]}, "the class Height is no metric; expected one that is built"),
        ({"extra_metrics": ["mrr"]}, r"'mrr' is no metric; expected .* OverViews\(dataset, 'mrr'"),
        ({"extra_metrics": Height()}, "extra_metrics=.*: expected a list of metrics"),
    ],
)
def test_mistakes_are_said_before_any_run(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        searched(tmp_path / "search", tmp_path, **changes)
    assert not (tmp_path / "runs").exists()


def test_classes_lists_and_folders_without_a_search(tmp_path: Path) -> None:
    message = r"^the model is the class Hill; build it: Hill\(…\)\.$"
    with pytest.raises(SettingsError, match=message):
        Optimizer().optimize(Hill, Data(), Height(), SPACE)
    with pytest.raises(SettingsError, match=r"^search_space=\['x'\]: expected a mapping of hyper"):
        Optimizer().optimize(hill(), Data(), Height(), ["x"])  # type: ignore[arg-type]
    nowhere = tmp_path / "result.json"
    message = f"^there is no search at {nowhere}; give the JSON file that it was saved to, or its"
    for given in (nowhere, tmp_path):
        with pytest.raises(StorageError, match=message):
            Optimizer().resume_optimization(given)


# Processes.


@pytest.mark.filterwarnings("ignore:call .* the search goes on")
def test_a_process_that_is_killed_loses_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "other").mkdir()
    one = searched(tmp_path / "one", tmp_path / "other", number_of_call=3)
    (tmp_path / "kill").touch()
    executor = partial(Processes, count=1)
    two = searched(tmp_path / "two", tmp_path, executor=executor, number_of_call=3)
    assert not (tmp_path / "kill").exists()
    assert course(two) == course(one)


class Deadly(Hill):
    """Kills its process below x = .2, after a while in which another run has begun."""

    def train_model(
        self, dataset: Any, hyperparameters: dict[str, Any], top_words: int = 10
    ) -> dict[str, Any]:
        time.sleep(1)
        if hyperparameters["x"] < 0.2:
            os.kill(os.getpid(), 9)
        time.sleep(1)
        return super().train_model(dataset, hyperparameters, top_words)


def test_a_run_that_is_killed_again_and_again_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "ATTEMPTS", 1)
    with Processes(Job(Deadly(), Data(), [Height()]), 2) as executor:
        tasks = [Task(call, 0, {"x": x}, 1) for call, x in enumerate((0.1, 0.5))]
        outcomes = {outcome.call: outcome for outcome in executor.outcomes(tasks)}
    assert outcomes[0].scores is None
    assert "its process was killed 1 times" in str(outcomes[0].error)
    assert outcomes[1].error is None, "what ran beside it is done again"


def test_a_worker_that_cannot_read_the_search_says_why(tmp_path: Path) -> None:
    dataset = planted(tuples=20, images=False).dataset
    dataset.save(tmp_path / "corpus")
    with Processes(Job(Hill(), dataset, [Height()]), 1) as executor:
        shutil.rmtree(tmp_path / "corpus")
        with pytest.raises(SettingsError, match=r"a worker can't read the search \(StorageError"):
            list(executor.outcomes([Task(0, 0, {}, 1)]))


class Here(Processes):
    """Does at once what it would send to a process, and says which device the task was given."""

    def _submit(self, task: Task) -> Any:
        done: Future[Outcome] = Future()
        done.set_result(Outcome(task.call, task.run, task.seed, [1.0], error=task.device))
        return done


def test_devices_are_given_out_in_turn() -> None:
    executor = Here(Job(hill(), Data(), [Height()]), 2, devices=["cuda:0", "cuda:1"])
    with executor:
        found = list(executor.outcomes([Task(call, 0, {}, 1) for call in range(6)]))
    assert len(found) == 6
    assert {outcome.error for outcome in found} == {"cuda:0", "cuda:1"}
    assert sorted(executor.slots, key=str) == ["cuda:0", "cuda:1"]


# Our models.


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MultiviewDataset:
    dataset = planted(tuples=120, images=False).dataset
    dataset.save(tmp_path_factory.mktemp("data") / "corpus")
    return dataset


SMALL: dict[str, Any] = {"num_topics": 4, "epochs": 2, "batch_size": 16, "hidden_size": 8}


COUNTS = r"ignore:Coherence counts words in all documents, those of the test partition"


@pytest.mark.filterwarnings(COUNTS)
def test_our_model_is_searched_by_validation_items(data: MultiviewDataset, tmp_path: Path) -> None:
    first, second = list(data.views)[:2]
    metric = MRR(data, first, second, "validation")
    extra = [
        TopicUniqueness(data, first, 5),
        OnView(TopicDiversity(topk=5), first, data),
        Coherence(data.get_corpus(), 5),
    ]
    space = {"temperature": (0.01, 1.0, "log-uniform"), "contrastive_weight": (0.1, 50.0)}
    arguments: dict[str, Any] = {
        "extra_metrics": extra,
        "model_runs": 2,
        "topk": 5,
        "n_random_starts": 2,
    }
    whole = Optimizer().optimize(
        M3LContrast(**SMALL),
        data,
        metric,
        space,
        number_of_call=4,
        save_path=f"{tmp_path}/whole/",
        processes=2,
        **arguments,
    )
    assert len(list((tmp_path / "whole" / "models").glob("*.npz"))) == 8
    assert not (tmp_path / "whole" / "result.checkpoints").exists()
    part = Optimizer().optimize(
        M3LContrast(**SMALL),
        data,
        metric,
        space,
        number_of_call=3,
        save_path=f"{tmp_path}/part/",
        **arguments,
    )
    assert course(part)[1] == whole.func_vals[:3]
    resumed = Optimizer().resume_optimization(tmp_path / "part" / "result.json", 1)
    assert course(resumed) == course(whole)
    assert all(run.error is None for run in resumed.outcomes)
    one = whole.outcomes[3]
    point = {name: values[one.call] for name, values in whole.x_iters.items()}
    model = M3LContrast(**SMALL, **point, seed=one.seed)
    assert metric.score(model.train_model(data, top_words=5)) == one.scores[0]  # type: ignore[index]
    file = tmp_path / "part" / "result.json"
    with pytest.raises(DataError, match="this is not the data set that the search began with"):
        Optimizer().resume_optimization(file, 1, dataset=data.with_split(0.5, 0.2))
    other = data.with_embeddings({first: np.ones((len(data.view(first)), 3))}, order="stored")
    with pytest.raises(DataError, match=f"began with other embeddings of {first} than this data"):
        Optimizer().resume_optimization(file, 1, dataset=other)


def test_metrics_that_see_the_test_partition_are_refused(
    data: MultiviewDataset, tmp_path: Path
) -> None:
    first, second = list(data.views)[:2]
    model, where = M3LContrast(**SMALL), {"save_path": f"{tmp_path}/"}
    refused = r"MRR scores the test partition, which a search must not see; score the validation"
    with pytest.raises(SettingsError, match=refused):
        Optimizer().optimize(model, data, MRR(data, first, second), **where)
    with pytest.raises(SettingsError, match="UAP scores the test partition"):
        Optimizer().optimize(model, data, UAP(data, first, second), **where)
    with pytest.raises(SettingsError, match="OCTIS's F1Score scores the test partition"):
        Optimizer().optimize(model, data, F1Score(data), **where)
    with pytest.raises(SettingsError, match="CNPMI counts words in test documents, which a search"):
        Optimizer().optimize(model, data, CNPMI(data, first, second, 5), **where)
    assert not list(tmp_path.glob("*.json"))
    with pytest.warns(UserWarning, match="Coherence counts words in all documents, those of the t"):
        Optimizer().optimize(
            model,
            data,
            Coherence(data.get_corpus(), 5),
            {"temperature": (0.1, 1.0)},
            number_of_call=1,
            model_runs=1,
            topk=5,
            save_path=f"{tmp_path}/coherence/",
        )
    result = Optimizer().optimize(
        model,
        data,
        MRR(data, first, second),
        {"temperature": (0.1, 1.0)},
        number_of_call=1,
        model_runs=1,
        topk=5,
        test_allowed=True,
        **where,
    )
    assert result.best_score is not None


@pytest.mark.filterwarnings(COUNTS)
@pytest.mark.parametrize("optimizer", [OctisOptimizer, Optimizer])
def test_the_example_of_octis_with_our_model(
    data: MultiviewDataset, tmp_path: Path, optimizer: Any
) -> None:
    model = M3LContrast(**SMALL)
    npmi = Coherence(texts=data.get_corpus(), topk=5, measure="c_npmi")
    space = {
        "hidden_layers": Categorical({1, 2}),
        "hidden_size": Categorical({8, 16}),
        "activation": Categorical({"relu", "softplus"}),
        "dropout": Real(0.0, 0.5),
    }
    found = optimizer().optimize(
        model,
        data,
        npmi,
        space,
        number_of_call=3,
        model_runs=1,
        save_models=True,
        extra_metrics=None,
        save_path=f"{tmp_path}/results/test_results//",
        topk=5,
    )
    found.save_to_csv(f"{tmp_path}/results.csv")
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 4
    folder = tmp_path / "results" / "test_results"
    assert len(list((folder / "models").glob("*.npz"))) == 3
    assert len(json.loads((folder / "result.json").read_text())["f_val"]) == 3


def test_octis_own_models_are_searched_too(data: MultiviewDataset, tmp_path: Path) -> None:
    german = data.monolingual(list(data.views)[1])
    space = {"num_topics": Integer(2, 6), "decay": Real(0.5, 1.0)}
    arguments: dict[str, Any] = {"number_of_call": 3, "model_runs": 2, "topk": 5}
    results = [
        Optimizer().optimize(
            LDA(iterations=5, passes=1),
            german,
            TopicDiversity(5),
            space,
            save_path=f"{tmp_path}/{again}/",
            **arguments,
        )
        for again in range(2)
    ]
    assert course(results[0]) == course(results[1])
    assert len({run.scores[0] for run in results[0].outcomes if run.scores}) > 1


def test_a_seed_of_a_model_s_own_is_the_run_s(data: MultiviewDataset) -> None:
    german = data.monolingual(list(data.views)[1])
    job = Job(LDA(iterations=5, random_state=42), german, [TopicDiversity(5)], top_words=5)
    runs = [job.do(Task(0, run, {"num_topics": 6}, seed)) for run, seed in enumerate((1, 1, 2, 3))]
    scores = [run.scores for run in runs]
    assert scores[0] == scores[1]
    assert len(set(map(str, scores))) > 1


def test_models_with_lists_among_their_hyperparameters_are_kept() -> None:
    for model in (CTM(num_neurons=30, num_layers=2), ProdLDA(), NeuralLDA()):
        stored = json.loads(json.dumps(described_model(model)))
        again = rebuilt_model(stored)
        assert again.hyperparameters == model.hyperparameters
        assert described_model(again) == described_model(model)


def test_data_that_the_model_refuses_are_refused_before_any_run(tmp_path: Path) -> None:
    apart = planted(tuples=40, images=False).dataset.with_views(["en"])
    with pytest.raises(DataError, match="learns from two views or more, and this"):
        Optimizer().optimize(
            M3LContrast(**SMALL), apart, TopicUniqueness(apart, "en", 5), save_path=f"{tmp_path}/s/"
        )
    assert not (tmp_path / "s").exists()


# Search spaces.


def test_spaces_are_declared_chosen_and_changed() -> None:
    model = M3LContrast()
    declared = search_space(model)
    assert list(declared) == list(M3LContrast.search_space)
    assert isinstance(declared["num_topics"], Integer)
    assert declared["temperature"].prior == "log-uniform"
    told = search_space(M3LContrast(num_topics=20, temperature=0.1))
    assert set(declared) - set(told) == {"num_topics", "temperature"}
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
        ({"temprature": (0.1, 1.0)}, r"is no hyperparameter to search. Did you mean 'temperature'"),
        ({"temperature": (0.0, 1.0, "log-uniform")}, "expected numbers, 0 < low < high"),
        ({"temperature": (1.0, 0.1)}, "expected numbers, low < high"),
        ({"temperature": (0.1, 1.0, "log")}, "unknown prior 'log'"),
        ({"temperature": {"low": 0.1, "hihg": 1}}, "Did you mean 'high'"),
        ({"temperature": 0.1}, r"temperature=0.1: expected \(low, high\)"),
        ({"dropout": (0.0, 1.5)}, "m3l-contrast: dropout=1.5"),
        ({"activation": ["relu", "tanh"]}, "m3l-contrast: activation='tanh'"),
        ({"activation": ["relu"]}, "expected two values or more to choose from"),
        ({"similarity": (0.1, 1.0)}, "m3l-contrast: similarity=0.1"),
        ({"num_topics": (10.5, 20)}, "num_topics=.*expected whole numbers"),
        ({"num_topics": Real(10, 20)}, "whole numbers are searched by Integer, given Real"),
        ({"temperature": (0.1, math.inf)}, "expected numbers, low < high"),
        ({"temperature": [0.1, math.nan]}, "nan can't be searched"),
        ({"activation": ["relu", "relu"]}, "'relu' is there twice"),
        ({"num_topics": Categorical([10, 20, 10.0])}, "10.0 is there twice"),
        ({"temperature": [(0.1, 0.2), (0.3, 0.4)]}, r"\(0.1, 0.2\) can't be searched"),
        ({"seed": (0, 5)}, "'seed' is not searched: every run has its own"),
        ({"device": ["cpu", "cuda"]}, r"'device' is not searched: optimize\(…, device=…\)"),
    ],
)
def test_spaces_that_cannot_be_searched(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        search_space(M3LContrast(), None, changes)


def test_nothing_to_search() -> None:
    with pytest.raises(SettingsError, match="LDA declares nothing to search that"):
        search_space(LDA())
    with pytest.raises(SettingsError, match="no range is declared to search 'epochs' in"):
        search_space(M3LContrast(), ["epochs"])
