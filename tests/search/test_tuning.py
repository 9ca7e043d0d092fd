"""octis-m3l tune: from a folder to the best hyperparameters and a picture."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from planted import planted
from rich.console import Console
from shell import Refused, Run

from octis_m3l import Optimizer
from octis_m3l.errors import DataError
from octis_m3l.models.m3l_contrast import M3LContrastNetwork
from octis_m3l.reports import at_edge, draw_search, importances, search_table

from .toy import SPACE, Data, Height, Hill


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuning") / "corpus"
    planted(tuples=100, images=False).dataset.save(folder)
    return folder


QUICK = ("--topics", 4, "--set", "epochs=2", "--set", "batch_size=16", "--set", "hidden_size=8")
SEARCH = ("--search", "temperature", "--search", "contrastive_weight", "--runs", 1)
SEARCH += ("--top-words", 5)


def test_a_search_from_the_shell_goes_on(run: Run, corpus: Path, tmp_path: Path) -> None:
    command = ("tune", corpus, *QUICK, *SEARCH, "--random-starts", 3, "--json")
    code, out, err = run(*command, "--out", tmp_path / "whole", "--calls", 5)
    assert code == 0, err
    whole = json.loads(out)
    assert set(whole["best"]) == {"temperature", "contrastive_weight"}
    assert whole["score"] == max(whole["medians"])
    assert sum(whole["importances"].values()) == pytest.approx(1.0)
    assert (tmp_path / "whole" / "search.png").stat().st_size > 10_000
    assert not (tmp_path / "whole" / "search.checkpoints").exists()
    few = json.loads(run(*command, "--out", tmp_path / "part", "--calls", 3)[1])
    assert few["medians"] == whole["medians"][:3]
    assert few["importances"] == {}
    more = json.loads(run(*command, "--out", tmp_path / "part", "--calls", 5)[1])
    assert more == whole
    shown = run(*command[:-1], "--out", tmp_path / "part", "--calls", 5)[1]
    assert "The best of 5 calls" in shown
    assert "Train it: octis-m3l train" in shown
    words = shlex.split(" ".join(shown.split("Train it: ")[1].split()))
    point = {name: f"--set {name}={value}" for name, value in whole["best"].items()}
    assert all(setting in " ".join(words) for setting in point.values())
    fewer = run(*command, "--out", tmp_path / "part", "--calls", 2)
    assert "calls=2: this search was begun with" in fewer[2]
    other = run(*command, "--out", tmp_path / "part", "--calls", 5, "--surrogate", "ET")
    assert other[0] == 1
    assert "with another --surrogate ('RF' there, 'ET' here): repeat its command" in other[2]
    other = run(*command, "--topics", 5, "--out", tmp_path / "part", "--calls", 5)
    assert "its num_topics was 4, and is now 5; continue with that" in other[2]


def test_ranges_from_a_file(run: Run, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(
        "num_topics: {low: 3, high: 6}\nactivation: [relu, softplus]\n"
        "learning_rate: {low: 1e-3, high: 1e-2, prior: log-uniform}\n",
        encoding="utf-8",
    )
    options = ("--space", tmp_path / "space.yaml", "--calls", 2, "--runs", 1, "--metric", "tu")
    command = ("tune", corpus, *QUICK[2:], *options, "--top-words", 5, "--json")
    code, out, err = run(*command, "--out", tmp_path / "search")
    assert code == 0, err
    assert all(3 <= topics <= 6 for topics in json.loads(out)["x_iters"]["num_topics"])
    assert set(json.loads(out)["x_iters"]["activation"]) <= {"relu", "softplus"}


@pytest.mark.filterwarnings("default::UserWarning")
def test_a_search_stopped_in_its_first_run_goes_on(
    run: Run, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: M3LContrastNetwork, batch: Any) -> Any:
        raise KeyboardInterrupt

    command = ("tune", corpus, *QUICK, *SEARCH, "--calls", 1, "--out", tmp_path / "s")
    with monkeypatch.context() as patch:
        patch.setattr(M3LContrastNetwork, "loss", interrupted)
        code, _, err = run(*command)
    assert code == 130, err
    assert "resume_optimization" in err
    assert json.loads((tmp_path / "s" / "search.json").read_text())["f_val"] == []
    code, out, err = run(*command, "--json")
    assert code == 0, err
    assert len(json.loads(out)["medians"]) == 1


def test_data_and_folders_that_cannot_be_searched(
    refused: Refused, corpus: Path, tmp_path: Path
) -> None:
    planted(tuples=40, images=False).dataset.with_split(0.9, 0.0).save(tmp_path / "corpus")
    message = "has no validation items to search by"
    refused(message, "tune", tmp_path / "corpus", "--out", tmp_path / "search")
    refused("exists already and holds no search", "tune", corpus, "--out", tmp_path, *SEARCH)


@pytest.mark.parametrize("content", ["", "- a\n", "a: [1\n", "a: [1, 2]\na: [3, 4]\n"])
def test_files_that_are_no_ranges(
    refused: Refused, corpus: Path, tmp_path: Path, content: str
) -> None:
    (tmp_path / "space.yaml").write_text(content)
    command = ("tune", corpus, "--out", tmp_path / "search")
    refused("space.yaml", *command, "--space", tmp_path / "space.yaml")


# Importances and pictures.


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("climbed")
    options: dict[str, Any] = {"surrogate_model": "RS", "number_of_call": 60, "model_runs": 1}
    options |= {"save_models": False, "save_path": f"{folder}/"}
    return Optimizer().optimize(Hill(), Data(), Height(), SPACE, **options)


def test_what_matters_is_important(climbed: Any) -> None:
    shares = importances(climbed)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert sum(shares.values()) == pytest.approx(1.0)
    # The hill falls by .49 at most along x, by .36 along y, and by .2 between the kinds.
    assert min(shares.values()) > 0.02
    assert importances(climbed) == shares


def test_the_table_says_what_matters_and_where_the_range_ends(climbed: Any, tmp_path: Path) -> None:
    def shown(result: Any, weights: dict[str, float]) -> str:
        console = Console(width=120, record=True)
        console.print(search_table(result, weights))
        return console.export_text()

    shares = importances(climbed)
    table = shown(climbed, shares)
    assert "The best of 60 calls" in table
    assert "highest run" not in table
    assert "explains" in table
    assert all(f"{share:.0%}" in table for share in shares.values())
    assert at_edge(climbed) == {}
    options: dict[str, Any] = {"surrogate_model": "RS", "number_of_call": 12, "model_runs": 2}
    space = {"x": (0.31, 99.0, "log-uniform")}
    x0 = {"x": [0.32]}
    below = Optimizer().optimize(
        Hill(), Data(), Height(), space, save_path=f"{tmp_path}/", x0=x0, **options
    )
    assert at_edge(below) == {"x": "low"}
    few = Optimizer().optimize(
        Hill(), Data(), Height(), space, save_path=f"{tmp_path}/few/", x0=x0, number_of_call=3
    )
    assert at_edge(few) == {}, "of few calls an end says nothing"
    table = shown(below, {})
    assert "medians of 2 runs" in table
    assert "lowest and highest run" in table
    assert "end of the range of x (low): try a wider range" in " ".join(table.split())


def test_a_picture_of_numbers_and_categories(climbed: Any, tmp_path: Path) -> None:
    draw_search(climbed, tmp_path / "search.pdf")
    assert (tmp_path / "search.pdf").stat().st_size > 5000


def test_few_calls_have_no_importances(tmp_path: Path) -> None:
    few = Optimizer().optimize(
        Hill(), Data(), Height(), SPACE, save_path=f"{tmp_path}/", number_of_call=2, model_runs=1
    )
    with pytest.raises(DataError, match="2 calls of this search did not fail, and 4 are needed"):
        importances(few)
