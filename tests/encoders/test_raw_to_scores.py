"""Three commands of the docs: from a table of texts and pictures to topics and scores."""

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_models import register_clip_architecture, write_clip_weights, write_sentence_model

from octis_m3l.cli import main
from octis_m3l.data.demo import demo_corpus

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in an empty folder, and returns its JSON or error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCTIS_M3L_CACHE", str(tmp_path / "cache"))

    def _run(*arguments: str, code: int = 0) -> Any:
        monkeypatch.setattr(sys, "argv", ["octis-m3l", *arguments, "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert (ended.value.code or 0) == code, err
        return " ".join(err.split()) if code else json.loads(out)

    return _run


def _commands() -> list[list[str]]:
    section = PAGE.read_text("utf-8").split("An encoder for each view, in three commands")[1]
    block = re.search(r"```text\n(.*?)```", section, re.S)
    assert block is not None
    lines = block[1].replace("\\\n", " ").strip().splitlines()
    return [shlex.split(line)[1:] for line in lines]


def _write_table() -> None:
    corpus = demo_corpus(60)
    rows: list[dict[str, Any]] = []
    for number, linked in enumerate(corpus.links):
        row: dict[str, Any] = {}
        for (name, view), item in zip(corpus.views.items(), linked, strict=True):
            if item >= 0:
                (row[f"title_{name}"],) = view.items(np.array([item]))
        if "title_pictures" in row:
            row["photo"] = f"{number}.png"
            Image.fromarray(row.pop("title_pictures")).save(row["photo"])
        rows.append(row)
    pd.DataFrame(rows).to_csv("articles.csv", index=False)


def test_three_commands_of_the_docs(run: Run) -> None:
    _write_table()
    texts = write_sentence_model(Path("sentences").absolute())
    architecture = register_clip_architecture(Path("clip"))
    weights = write_clip_weights(Path("clip.safetensors").absolute(), architecture)
    build, train, evaluate = _commands()
    own = {
        "texts": f"texts=sentence-transformers:{texts}",
        "images": f"images=open-clip:{architecture}/{weights}",
    }
    views = run(*(own.get(a.partition("=")[0], a) if "=" in a else a for a in build))["views"]
    dimensions = {name: view["embeddings"]["dimensions"] for name, view in views.items()}
    assert dimensions == dict.fromkeys(("en", "de", "fr", "photos"), 16)
    train = ["5" if argument == "50" else argument for argument in train]
    run(*train, "--set", "epochs=2", "--set", "batch_size=16")
    scores = run(*evaluate)["scores"]
    assert {"en-de", "fr-en", "en-photos"} <= {*scores["mrr"], *scores["uap"]}
    for item, view in (("0.png", "photos"), ("snow on the peak", "en")):
        theta = np.array(run("infer", "model", item, "--view", view)["theta"])
        assert theta.shape == (1, 5)
        assert theta.sum() == pytest.approx(1.0, abs=1e-3)


def test_other_encoders_take_the_place_of_those_before_or_stand_beside_them(
    tmp_path: Path, run: Run
) -> None:
    demo_corpus(60).save(tmp_path / "corpus")
    first, second = (
        f"en=sentence-transformers:{write_sentence_model(tmp_path / f'model-{seed}', seed=seed)}"
        for seed in (1, 2)
    )
    told = run("encode", "corpus", "--encoder", first)["en"]
    assert told["dimensions"] == 16
    again = run("encode", "corpus", "--encoder", second)["en"]
    assert again["stored"] == [again["embeddings"]] != told["stored"]
    both = run("encode", "corpus", "--encoder", first, "--keep")["en"]
    assert len(both["stored"]) == 2
    train = ["train", "corpus", "--topics", "3", "--set", "epochs=2", "--out", "model"]
    error = run(*train, code=1)
    assert "view 'en' has several embeddings" in error
    assert f"--embeddings en={both['stored'][0]}" in error
    run(*train, "--embeddings", f"en={told['embeddings']}")
    scores = run("evaluate", "model", "--metric", "tu")["scores"]
    assert set(scores["tu"]) == {"en", "de", "fr"}
    others = run(*train, "--views", "de,fr", "--overwrite")
    assert others["history"]["stopped"] == "finished"
    scores = run("evaluate", "model", "--corpus", "corpus", "--metric", "cnpmi")["scores"]
    assert set(scores["cnpmi"]) == {"de-fr"}
