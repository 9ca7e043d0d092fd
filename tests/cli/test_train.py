"""The demo, training, and continuing after Ctrl-C."""

import json
import re
from pathlib import Path

import pytest
from filelock import FileLock
from shell import Refused, Run

from octis_m3l import MultiviewDataset

from .conftest import FAST, Interrupted

quiet = pytest.mark.filterwarnings("default::UserWarning")


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_demo_finds_every_planted_theme_in_every_language(
    run: Run, tmp_path: Path, seed: int
) -> None:
    code, out, _ = run("demo", "--json", "--seed", seed, "--out", tmp_path / "demo")
    assert code == 0
    shown = json.loads(out)
    # Of the eight words of each of ten themes.
    found = [min(theme["found"].values()) for theme in shown["planted_themes"].values()]
    assert len(found) == 10
    assert min(found) >= 5, shown["planted_themes"]
    scores = shown["scores"]
    assert min(scores["mrr"][p] for p in ("en-de", "en-fr", "de-fr", "fr-en")) > 0.6
    assert min(scores["uap"][f"{view}-pictures"] for view in ("en", "de", "fr")) > 0.25
    assert (tmp_path / "demo" / "topics.png").stat().st_size > 10_000
    out = run("evaluate", tmp_path / "demo" / "model", "--json", "--metric", "mrr")[1]
    assert json.loads(out)["scores"]["mrr"] == scores["mrr"]


@quiet
def test_an_early_end_is_said_with_the_epoch_whose_weights_are_kept(
    run: Run, trained: Path, tmp_path: Path
) -> None:
    settings = [f"--set={one}" for one in ("patience=1", "epochs=500", "hidden_size=8")]
    command = ("train", trained / "corpus", "--out", tmp_path / "model", "--topics", 5, *settings)
    code, out, _ = run(*command)
    assert code == 0
    pattern = r"m3l-contrast stopped early after (\d+) epochs \(\d+ s\); saved in \S+, with the "
    found = re.search(pattern + r"weights of epoch (\d+)", " ".join(out.split()))
    assert found, out
    assert 1 < int(found[1]) < 500
    assert int(found[2]) == int(found[1]) - 1


@quiet
def test_after_ctrl_c_the_same_command_continues(
    run: Run, trained: Path, tmp_path: Path, interrupted: Interrupted
) -> None:
    settings = ("--topics", 5, "--set", "epochs=4", "--set", "batch_size=16", "--json")
    command = ("train", trained / "corpus", "--out", tmp_path / "model", *settings)
    with interrupted(1):
        assert run(*command)[0] == 130
    assert not (tmp_path / "model").exists()
    with interrupted(8):
        code, out, err = run(*command)
    assert code == 130
    assert "training was interrupted after 2 of 4 epochs" in err
    assert json.loads(out)["history"]["stopped"] == "interrupted"
    code, out, _ = run(*command)
    assert code == 0
    assert len(json.loads(out)["history"]["epochs"]) == 4
    assert not (tmp_path / "model.checkpoint").exists()
    whole = ("train", trained / "corpus", "--out", tmp_path / "whole", *settings)
    assert run(*whole)[0] == 0
    weights = [tmp_path / name / "weights.safetensors" for name in ("model", "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@quiet
def test_an_interrupted_run_is_kept_for_its_own_data_and_settings(
    run: Run, refused: Refused, trained: Path, tmp_path: Path, interrupted: Interrupted
) -> None:
    MultiviewDataset.from_folder(trained / "corpus").with_split(seed=9).save(tmp_path / "other")
    out = ("--out", tmp_path / "model", "--json", *FAST)
    state = ("--checkpoint", tmp_path / "state", "--overwrite")
    with interrupted(5):
        assert run("train", trained / "corpus", *out, "--topics", 5, *state)[0] == 130
    message = "belongs to another run: data, embeddings differ"
    refused(message, "train", tmp_path / "other", *out, "--topics", 5, *state)
    message = "holds a training that was interrupted, with other settings"
    refused(message, "train", trained / "corpus", *out, "--topics", 4)
    code, shown, _ = run("train", trained / "corpus", *out, "--topics", 4, "--overwrite")
    assert code == 0
    assert len(json.loads(shown)["history"]["epochs"]) == 3
    assert not (tmp_path / "model.checkpoint").exists()


def test_what_was_chosen_is_said_once(run: Run, trained: Path, tmp_path: Path) -> None:
    train = ("train", trained / "corpus", "--topics", 3, "--out")
    code, out, err = run(*train, tmp_path / "model", "--set", "updates=2", "--set", "epochs=1")
    assert code == 0
    why = "since texts are linked and 'use' was made for en, de; set 'encoder' to choose otherwise"
    assert (out + err).count(f"encoder: use+clsi, {why}") == 1
    assert (out + err).count(
        "networks: one for en, de; one for photos, since views of one encoder"
    ) == 1
    assert "epochs: " not in out + err
    shown = json.loads(run(*train, tmp_path / "other", "--json", *FAST)[1])
    assert list(shown["choices"]) == ["encoder", "networks"]


def test_outputs_that_cannot_be_written_are_refused_before_any_work(
    refused: Refused, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "taken").write_text("mine")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.tex").write_text("years of work")
    train = ("train", trained / "corpus", "--topics", 5, "--out")
    with FileLock(tmp_path / ".busy.lock"):
        refused("another process is at work on", *train, "busy")
    refused("'.' is the working folder, or above it, and would be replaced", *train, "")
    refused("is the working folder, or above it", *train, "folder.png/../..")
    links = trained / "corpus" / "links.tsv"
    refused("Not a directory", *train, "model", "--checkpoint", links)
    refused("exists already and is not empty", *train, "taken")
    refused("holds no model.json, so it is not replaced", *train, "thesis", "--overwrite")
    message = "is a folder, where a file"
    refused(message, "topics", trained / "model", "--picture", "folder.png")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".busy.lock", "folder.png", "taken", "thesis"]
    assert (tmp_path / "taken").read_text() == "mine"


@quiet
@pytest.mark.parametrize("model", ["zeroshot-tm", "pltm", "zeroshot-tm-kd"])
def test_models_from_the_shell(run: Run, trained: Path, tmp_path: Path, model: str) -> None:
    fast = ("--set", "iterations=20", "--set", "visual_words=5") if model == "pltm" else FAST
    out = tmp_path / "model"
    command = ("train", trained / "corpus", "--out", out, "--model", model, "--topics", 3, *fast)
    assert run(*command)[0] == 0
    code, shown, err = run("evaluate", out, "--json", "--metric", "mrr", "--metric", "tu")
    assert code == 0, err
    assert json.loads(shown)["scores"]["tu"]
    assert run("topics", out, "--documents", 1, "--picture", tmp_path / "topics.png")[0] == 0
    assert run("infer", out, "The ship left the harbour", "--view", "en")[0] == 0
