"""Three commands of the docs: from a table of texts and pictures to topics and scores."""

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_models import (
    offline,
    register_clip_architecture,
    write_clip_weights,
    write_sentence_model,
)

from octis_m3l.cli import main
from octis_m3l.data.demo import demo_corpus

assert offline
PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


def _commands() -> list[list[str]]:
    section = PAGE.read_text("utf-8").split("An encoder for each view, in three commands")[1]
    block = re.search(r"```text\n(.*?)```", section, re.S)
    assert block is not None
    lines = block[1].replace("\\\n", " ").strip().splitlines()
    return [shlex.split(line) for line in lines]


def _write_table(folder: Path) -> None:
    corpus = demo_corpus(60)
    rows: list[dict[str, Any]] = []
    for number, linked in enumerate(corpus.links):
        items = dict(zip(corpus.views, linked, strict=True))
        row: dict[str, Any] = {}
        for name in ("en", "de", "fr"):
            there = items[name] >= 0
            row[f"title_{name}"] = (
                corpus.view(name).items(np.array([items[name]]))[0] if there else None
            )
        if items["pictures"] >= 0:
            (pixels,) = corpus.view("pictures").items(np.array([items["pictures"]]))
            Image.fromarray(pixels).save(folder / f"{number}.png")
            row["photo"] = f"{number}.png"
        rows.append(row)
    pd.DataFrame(rows).to_csv(folder / "articles.csv", index=False)


def _run(monkeypatch: pytest.MonkeyPatch, capsys: Any, *arguments: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["octis-m3l", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert not ended.value.code, err
    return json.loads(out)


def test_three_commands_of_the_docs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _write_table(tmp_path)
    texts = write_sentence_model(tmp_path / "sentences")
    architecture = register_clip_architecture(tmp_path / "clip")
    weights = write_clip_weights(tmp_path / "clip.safetensors", architecture)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCTIS_M3L_CACHE", str(tmp_path / "cache"))
    build, train, evaluate = (command[1:] for command in _commands())
    own = {
        "texts": f"texts=sentence-transformers:{texts}",
        "images": f"images=open-clip:{architecture}/{weights}",
    }
    build = [own.get(a.partition("=")[0], a) if "=" in a else a for a in build]
    info = _run(monkeypatch, capsys, *build, "--json")
    assert {
        name: view["embeddings"]["dimensions"] for name, view in info["views"].items()
    } == dict.fromkeys(("en", "de", "fr", "photos"), 16)
    fast = ("--set", "epochs=2", "--set", "batch_size=16")
    train = ["5" if argument == "50" else argument for argument in train]
    _run(monkeypatch, capsys, *train, *fast, "--json")
    scores = _run(monkeypatch, capsys, *evaluate, "--json")["scores"]
    assert {"en-de", "fr-en", "en-photos"} <= {*scores["mrr"], *scores["uap"]}
    seen = _run(monkeypatch, capsys, "infer", "model", "0.png", "--view", "photos", "--json")
    assert np.array(seen["theta"]).shape == (1, 5)
    seen = _run(monkeypatch, capsys, "infer", "model", "snow on the peak", "--view", "en", "--json")
    assert np.array(seen["theta"]).sum() == pytest.approx(1.0, abs=1e-3)


def test_other_encoders_take_the_place_of_those_before_or_stand_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCTIS_M3L_CACHE", str(tmp_path / "cache"))
    demo_corpus(60).save(tmp_path / "corpus")
    first, second = (
        f"sentence-transformers:{write_sentence_model(tmp_path / f'model-{seed}', seed=seed)}"
        for seed in (1, 2)
    )
    corpus, model = str(tmp_path / "corpus"), str(tmp_path / "model")
    told = _run(monkeypatch, capsys, "encode", corpus, "--encoder", f"en={first}", "--json")
    assert told["en"]["dimensions"] == 16
    again = _run(monkeypatch, capsys, "encode", corpus, "--encoder", f"en={second}", "--json")
    assert again["en"]["stored"] == [again["en"]["embeddings"]] != told["en"]["stored"]
    both = _run(
        monkeypatch, capsys, "encode", corpus, "--encoder", f"en={first}", "--keep", "--json"
    )
    assert len(both["en"]["stored"]) == 2
    train = ["train", corpus, "--topics", "3", "--set", "epochs=2", "--out", model]
    monkeypatch.setattr(sys, "argv", ["octis-m3l", *train])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "view 'en' has several embeddings" in error
    chosen = told["en"]["embeddings"]
    assert f"--embeddings en={both['en']['stored'][0]}" in error
    _run(monkeypatch, capsys, *train, "--embeddings", f"en={chosen}", "--json")
    scores = _run(monkeypatch, capsys, "evaluate", model, "--metric", "tu", "--json")
    assert set(scores["scores"]["tu"]) == {"en", "de", "fr"}
    others = [*train, "--views", "de,fr", "--overwrite", "--json"]
    assert _run(monkeypatch, capsys, *others)["history"]["stopped"] == "finished"
    scored = ["evaluate", model, "--corpus", corpus, "--metric", "cnpmi", "--json"]
    assert set(_run(monkeypatch, capsys, *scored)["scores"]["cnpmi"]) == {"de-fr"}
