"""OCTIS's Optimizer: what it finds, writes, rejects and survives."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from octis.evaluation_metrics.classification_metrics import F1Score
from octis.evaluation_metrics.coherence_metrics import Coherence
from octis.evaluation_metrics.diversity_metrics import TopicDiversity
from octis.models.LDA import LDA
from octis.optimization.optimizer import Optimizer as OctisOptimizer
from planted import planted
from skopt.space import Integer, Real  # type: ignore[import-untyped]

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
from octis_m3l.search import Job, Outcome, Task
from octis_m3l.search.optimizer import SearchError
from octis_m3l.search.record import runs_file
from octis_m3l.search.runs import seeded

from .toy import SPACE, Data, Height, Hill, Place, course, resumed, searched

SMALL: dict[str, Any] = {"num_topics": 4, "epochs": 2, "batch_size": 16, "hidden_size": 8}
COUNTS = r"ignore:Coherence counts words in all documents, including those of the test"
POINTS = {"x": [0.95, 0.3], "y": [3, 3], "kind": ["round"] * 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MultiviewDataset:
    dataset = planted(tuples=120, images=False).dataset
    dataset.save(tmp_path_factory.mktemp("data") / "corpus")
    return dataset


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
    assert len(result.surrogate.models) == 1, "memory does not grow with the calls"


@pytest.mark.parametrize(
    ("surrogate", "acquisition", "best", "kind"),
    [
        ("RF", "EI", "Maximize", "round"),
        ("ET", "PI", "Minimize", "square"),
        ("GP", "LCB", "Maximize", "round"),
        ("RS", "LCB", "Minimize", "square"),
    ],
)
def test_every_surrogate_and_acquisition(
    tmp_path: Path, surrogate: str, acquisition: str, best: str, kind: str
) -> None:
    options = {"surrogate_model": surrogate, "acq_func": acquisition, "optimization_type": best}
    result = searched(tmp_path, model_runs=1, number_of_call=8, **options)
    assert json.loads((tmp_path / "result.json").read_text())["surrogate_model"] == surrogate
    assert result.best["kind"] == kind
    assert result.best_score == {"Maximize": max, "Minimize": min}[best](result.func_vals)


def test_given_points_come_first(tmp_path: Path) -> None:
    points = {"x": [0.31, 0.8], "y": [3, 9], "kind": ["round", "square"]}
    first = searched(tmp_path / "a", x0=points)
    assert [first.x_iters[name][:2] for name in points] == list(points.values())
    known = searched(tmp_path / "b", x0=points, y0=[0.999, 0.1], plot_model=True)
    assert known.func_vals[:2] == [0.999, 0.1]
    assert [len([r for r in known.outcomes if r.call == call]) for call in (0, 1, 2)] == [1, 1, 2]
    assert (tmp_path / "b" / "B0_plot_model_runs_Height.png").stat().st_size > 1000


def test_batches_with_given_points_and_an_early_stop(tmp_path: Path) -> None:
    points = {"x": [0.3, 0.1], "y": [3, 3], "kind": ["round"] * 2}
    options: dict[str, Any] = {"x0": points, "y0": [1.0, 0.9], "batch": 3, "number_of_call": 30}
    options |= {"early_stop": True, "early_step": 3, "plot_best_seen": True}
    result = searched(tmp_path, **options)
    assert 5 <= len(result.medians) < 30
    assert result.medians[:2] == [1.0, 0.9]
    assert list(tmp_path.glob("*best_seen*"))
    assert course(resumed(tmp_path)) == course(result)


def test_settings_by_position_and_dimensions_of_ones_own(tmp_path: Path) -> None:
    space = {"x": Real(0.0, 1.0, prior="uniform"), "y": Integer(0, 9)}
    before = [str(vars(dimension)) for dimension in space.values()]
    options: dict[str, Any] = {"model_runs": 1, "surrogate_model": "GP", "save_path": tmp_path}
    result = Optimizer().optimize(Hill(), Data(), Height(), space, None, 4, 2, **options)
    assert len(result.func_vals) == 4
    assert json.loads((tmp_path / "result.json").read_text())["n_random_starts"] == 2
    assert [str(vars(dimension)) for dimension in space.values()] == before


def test_outputs_of_two_searches_do_not_mix(tmp_path: Path) -> None:
    searched(tmp_path, save_models=True)
    with pytest.raises(StorageError, match="holds the outputs of another search"):
        searched(tmp_path, save_models=True, save_name="second")
    assert len(list((tmp_path / "models").iterdir())) == 12
    with pytest.raises(StorageError, match="holds a search already: resume_optimization continues"):
        searched(tmp_path)


# Seeds.


def test_runs_differ_and_repeat(tmp_path: Path) -> None:
    first, again = searched(tmp_path / "a"), searched(tmp_path / "b")
    assert course(first) == course(again)
    assert len({run.seed for run in first.outcomes}) == 12
    assert len({run.scores[0] for run in first.outcomes}) == 12
    assert course(searched(tmp_path / "c", random_state=6)) != course(first)
    one = first.outcomes[5]
    with seeded(one.seed):
        parameters = {name: values[one.call] for name, values in first.x_iters.items()}
        assert Height().score(Hill().train_model(None, parameters)) == one.scores[0]
    searched(tmp_path / "d", random_state=None)
    assert json.loads((tmp_path / "d" / "result.json").read_text())["random_state"] > 0


def test_global_generators_are_left_alone() -> None:
    before = np.random.get_state()
    with seeded(9):
        np.random.random()
    np.testing.assert_equal(np.random.get_state(), before)


def test_a_seed_of_a_model_s_own_is_the_run_s(data: MultiviewDataset) -> None:
    german = data.monolingual(list(data.views)[1])
    job = Job(LDA(iterations=5, random_state=42), german, [TopicDiversity(5)], top_words=5)
    runs = [job.do(Task(0, run, {"num_topics": 6}, seed)) for run, seed in enumerate((1, 1, 2, 3))]
    scores = [run.scores for run in runs]
    assert scores[0] == scores[1]
    assert len(set(map(str, scores))) > 1


# Failures.


def test_a_run_that_fails_is_recorded_and_survived(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="call 0, run 0: ValueError: too far; the search goes on"):
        result = searched(tmp_path / "search", tmp_path, x0=POINTS)
    failed = [run for run in result.outcomes if run.call == 0]
    assert [run.error for run in failed] == ["ValueError: too far"] * 2
    assert "in train_model" in str(failed[0].trace)
    assert all(run.scores is None for run in failed)
    assert result.best["x"] <= 0.9
    written = json.loads((tmp_path / "search" / "result.json").read_text())
    assert written["dict_model_runs"]["Height"]["iteration_0"] == [None, None]
    assert math.isnan(result.info["dict_model_runs"]["Height"]["iteration_0"][0])
    assert written["f_val"][0] == min(written["f_val"][1:])
    assert course(resumed(tmp_path / "search")) == course(result)


def test_a_search_of_failures_alone_stops_and_is_tried_again(tmp_path: Path) -> None:
    points = {"x": [0.95, 0.96, 0.97, 0.98], "y": [3] * 4, "kind": ["round"] * 4}
    with (
        pytest.warns(UserWarning, match="the search goes on"),
        pytest.raises(SearchError, match=r"all 6 runs of the first 3 calls failed.*too far"),
    ):
        searched(tmp_path / "search", tmp_path, x0=points)
    beside = runs_file(tmp_path / "search" / "result.json")
    content = json.loads(beside.read_text())
    del content["checksum"]
    # The cause is fixed.
    content["model"]["hyperparameters"]["trouble"] = ""
    beside.write_text(json.dumps(content))
    result = resumed(tmp_path / "search")
    assert len(result.medians) == 6
    assert all(run.scores for run in result.outcomes)


def test_an_extra_metric_that_fails_does_not_lose_the_run(tmp_path: Path) -> None:
    extra = [Height(math.nan), Place()]
    error = "Height has no score: ValueError: Height is nan"
    with pytest.warns(UserWarning, match=f"call 0, run 0: {error}; the"):
        result = searched(tmp_path, extra_metrics=extra)
    assert all(run.error == error for run in result.outcomes)
    assert all(run.scores and math.isfinite(run.scores[0]) for run in result.outcomes)
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["dict_model_runs"]["1_Place"]["iteration_0"][0] == result.outcomes[0].scores[2]
    again = resumed(tmp_path, extra_metrics=extra)
    assert str(course(again)) == str(course(result))
    failed = Job(Hill(), Data(), [Height(math.nan)]).do(Task(0, 0, {"x": 0.5}, 1))
    assert (failed.scores, failed.error) == (None, "ValueError: Height is nan")


def test_scores_are_kept_where_the_output_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("octis_m3l.search.runs.save_model_output", full)
    outcome = Job(Hill(), Data(), [Height()], models=tmp_path).do(Task(0, 0, {"x": 0.5}, 1))
    assert outcome.scores is not None
    assert outcome.error == (
        f"its output was not saved (StorageError: {tmp_path / '0_0.npz'} can't be written: no "
        "space is left on the disk; free some space, or choose another folder.)"
    )


# Mistakes.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"surrogate_model": "FR"}, "surrogate_model='FR': it should be 'RF', 'ET', 'GP' or"),
        ({"number_of_call": 0}, "number_of_call=0: it should be greater than or equal to 1"),
        ({"model_runs": 2.5}, "model_runs=2.5: it should be a valid integer"),
        ({"batch": 0, "acq_func": "X"}, "acq_func='X': .* batch=0: it should be greater"),
        ({"processes": 0}, r"processes=0: expected 1 or more"),
        ({"threads": 0}, r"threads=0: expected 1 to 1024"),
        ({"number_of_calls": 5}, "unknown argument of optimize 'number_of_calls'. Did you m"),
        ({"x0": [[0.1]]}, "x0=.*: it should be a valid dictionary"),
        ({"x0": {**POINTS, "x": [7.0, 1.0]}}, "x0: x=7.0 is outside the search space"),
        ({"x0": POINTS, "y0": [math.nan] * 2}, "y0=.*nan.*: it should be a finite number"),
        ({"x0": {"x": [1.0]}}, "x0=.*1.0.*: expected in x0 a list for each of kind, x, y"),
        ({"x0": {**POINTS, "x": [0.1]}}, "a list for each of kind, x, y, all of the same length"),
        ({"x0": POINTS, "number_of_call": 1}, "x0 has 2 points for number_of_call=1"),
        ({"plot_name": "../outside"}, r"plot_name='../outside': expected the name of a file"),
        ({"extra_metrics": [Height]}, "the class Height is no metric; expected one that is built"),
        ({"extra_metrics": ["mrr"]}, r"'mrr' is no metric; expected .* OverViews\(dataset, 'mrr'"),
        ({"extra_metrics": Height()}, "extra_metrics=.*: expected a list of metrics"),
    ],
)
def test_mistakes_are_reported_before_any_run(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        searched(tmp_path / "search", tmp_path, **changes)
    assert not (tmp_path / "runs").exists()


def test_models_spaces_and_data_that_do_not_fit_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^the model is the class Hill; build it: Hill\(…"):
        Optimizer().optimize(Hill, Data(), Height(), SPACE)
    with pytest.raises(SettingsError, match=r"^search_space=\['x'\]: expected a mapping of hyper"):
        Optimizer().optimize(Hill(), Data(), Height(), ["x"])  # type: ignore[arg-type]
    alone = planted(tuples=40, images=False).dataset.with_views(["en"])
    metric = TopicUniqueness(alone, "en", 5)
    with pytest.raises(DataError, match="learns from two views or more, and this"):
        Optimizer().optimize(M3LContrast(**SMALL), alone, metric, save_path=tmp_path / "s")
    assert not (tmp_path / "s").exists()


# Test documents.


class Peeking(Height):
    """Looks at what a search must not see."""

    def score(self, output: dict[str, Any]) -> float:
        return float(output["test-topic-document-matrix"][0, 0])


class Distant(Height):
    """Has a distance, which is no metric within another."""

    metric, partition = "cosine", "test"


class WithTest(Hill):
    """Gives θ of test documents too."""

    def train_model(self, *arguments: Any) -> dict[str, Any]:
        return {**super().train_model(*arguments), "test-topic-document-matrix": np.ones((1, 1))}


def test_metrics_are_not_shown_test_documents() -> None:
    def done(*metrics: Any, **options: Any) -> Outcome:
        return Job(WithTest(), Data(), metrics, **options).do(Task(0, 0, {"x": 0.5}, 1))

    rejected = str(done(Peeking()).error)
    assert "Peeking looks at the test partition, which a search must not see" in rejected
    assert done(Peeking(), test_allowed=True).scores == [1.0]
    extra = done(Place(), Peeking())
    assert (extra.scores, extra.error) == ([0.5, 1.0], None)


def test_metrics_that_read_the_test_partition_are_rejected(
    data: MultiviewDataset, tmp_path: Path
) -> None:
    first, second = list(data.views)[:2]
    model = M3LContrast(**SMALL)
    for metric, message in (
        (MRR(data, first, second), "MRR reads documents of the test partition, which a search"),
        (UAP(data, first, second), "UAP reads documents of the test partition"),
        (Distant(), "Distant reads documents of the test partition"),
        (F1Score(data), "F1Score reads .*partition='validation'.* a classifier of OCTIS"),
        (CNPMI(data, first, second, 5), "CNPMI reads documents of the test partition, which"),
    ):
        with pytest.raises(SettingsError, match=message):
            Optimizer().optimize(model, data, metric, save_path=tmp_path)
    assert not list(tmp_path.glob("*.json"))
    options: dict[str, Any] = {"number_of_call": 1, "model_runs": 1, "topk": 5}
    space = {"temperature": (0.1, 1.0)}
    coherence, mrr = Coherence(data.get_corpus(), 5), MRR(data, first, second)
    with pytest.warns(UserWarning) as warned:
        Optimizer().optimize(
            model, data, coherence, space, [mrr], save_path=tmp_path / "coherence", **options
        )
    messages = [str(one.message) for one in warned]
    assert any(m.startswith("Coherence counts words in all documents, incl") for m in messages)
    assert any("An extra metric is reported and does not steer the search" in m for m in messages)
    result = Optimizer().optimize(
        model, data, mrr, space, test_allowed=True, save_path=tmp_path, **options
    )
    assert result.best_score is not None


# Our models, and OCTIS's.


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
    options: dict[str, Any] = {"extra_metrics": extra, "model_runs": 2, "topk": 5}
    options |= {"n_random_starts": 2}
    model = M3LContrast(**SMALL)
    whole = Optimizer().optimize(
        model, data, metric, space, number_of_call=4, save_path=tmp_path / "whole", **options
    )
    assert len(list((tmp_path / "whole" / "models").glob("*.npz"))) == 8
    assert not (tmp_path / "whole" / "result.checkpoints").exists()
    Optimizer().optimize(
        model, data, metric, space, number_of_call=3, save_path=tmp_path / "part", **options
    )
    file = tmp_path / "part" / "result.json"
    again = Optimizer().resume_optimization(file, 1)
    assert course(again) == course(whole)
    assert all(run.error is None for run in again.outcomes)
    one = whole.outcomes[3]
    point = {name: values[one.call] for name, values in whole.x_iters.items()}
    model = M3LContrast(**SMALL, **point, seed=one.seed)
    assert metric.score(model.train_model(data, top_words=5)) == one.scores[0]  # type: ignore[index]
    with pytest.raises(DataError, match="this is not the data set that the search began with"):
        Optimizer().resume_optimization(file, 1, dataset=data.with_split(0.5, 0.2))
    other = data.with_embeddings({first: np.ones((len(data.view(first)), 3))}, order="stored")
    with pytest.raises(DataError, match=f"began with other embeddings of {first} than this data"):
        Optimizer().resume_optimization(file, 1, dataset=other)


def test_octis_own_models_are_searched_too(data: MultiviewDataset, tmp_path: Path) -> None:
    german = data.monolingual(list(data.views)[1])
    space = {"num_topics": Integer(2, 6), "decay": Real(0.5, 1.0)}
    options: dict[str, Any] = {"number_of_call": 3, "model_runs": 2, "topk": 5}
    model = LDA(iterations=5, passes=1)
    results = [
        Optimizer().optimize(
            model, german, TopicDiversity(5), space, save_path=tmp_path / name, **options
        )
        for name in "ab"
    ]
    assert course(results[0]) == course(results[1])
    assert len({run.scores[0] for run in results[0].outcomes if run.scores}) > 1
