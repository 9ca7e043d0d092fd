"""octis-m3l tune: from a folder to the best hyperparameters and a picture."""

import json
import shlex
from pathlib import Path

import pytest
from planted import planted
from shell import Refused, Run

from .conftest import Interrupted


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuning") / "corpus"
    planted(tuples=100, images=False).dataset.save(folder)
    return folder


QUICK = ("--topics", 4, "--set", "epochs=2", "--set", "batch_size=16", "--set", "hidden_size=8")
SEARCH = ("--search", "temperature", "--search", "contrastive_weight", "--runs", 1)
SEARCH += ("--top-words", 5)


def test_a_search_from_the_shell_goes_on(
    run: Run, refused: Refused, corpus: Path, tmp_path: Path
) -> None:
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
    part = ("--out", tmp_path / "part", "--calls")
    refused("calls=2: this search was begun with", *command, *part, 2)
    message = "with another --surrogate ('RF' there, 'ET' here): repeat its command"
    refused(message, *command, *part, 5, "--surrogate", "ET")
    message = "its num_topics was 4, and is now 5; continue with that"
    refused(message, *command, *part, 5, "--topics", 5)


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
    run: Run, corpus: Path, tmp_path: Path, interrupted: Interrupted
) -> None:
    command = ("tune", corpus, *QUICK, *SEARCH, "--calls", 1, "--out", tmp_path / "s")
    with interrupted(1):
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
