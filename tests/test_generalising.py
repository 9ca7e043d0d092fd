"""The benchmark of corpora and models: what it runs, resumes, measures and prints."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.metrics import MRR, TopicUniqueness
from octis_m3l.models import PLTM

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FEW: dict[str, Any] = {"epochs": 2, "inference_samples": 0}
Main = Callable[..., str]


@pytest.fixture
def generalising(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module("generalising")


@pytest.fixture
def main(
    generalising: Any,
    embedded: MultiviewDataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Main:
    """Return a function that runs the command on one small corpus, and returns what it printed."""
    contenders = {
        "vectors": ("vectors", "", {}),
        "m3l-contrast": ("M3L-Contrast", "m3l-contrast", FEW),
        "pltm": ("PLTM", "pltm", {"iterations": 20}),
        "0.1": ("old", "m3l-contrast", {"preset": "0.1", "encoder": "clsi", **FEW}),
    }
    monkeypatch.setattr(generalising, "CONTENDERS", contenders)
    monkeypatch.setattr(generalising, "CORPORA", ("small",))
    monkeypatch.setattr(generalising, "TOPICS", {"small": 4})
    monkeypatch.setattr(generalising, "loaded", lambda corpus, views: embedded)

    def _main(*arguments: Any) -> str:
        monkeypatch.setattr(sys, "argv", ["", "--processes", "1", *map(str, arguments)])
        generalising.main()
        return capsys.readouterr().out

    return _main


def rows_in(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    rows = [json.loads(line) for line in path.open(encoding="utf-8")]
    found = {(row["model"], row["seed"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_it_runs_what_is_missing_and_no_more(main: Main, tmp_path: Path) -> None:
    out = tmp_path / "runs.jsonl"
    main("--out", out, "--seeds", 1, "--models", "vectors,pltm")
    assert [*rows_in(out)] == [("vectors", 0), ("pltm", 0)]
    before = out.read_text()
    printed = main("--out", out, "--seeds", 2)
    after = out.read_text()
    assert after.startswith(before)
    assert {*rows_in(out)} == {
        ("vectors", 0),
        *((model, seed) for model in ("m3l-contrast", "pltm", "0.1") for seed in (0, 1)),
    }
    assert main("--out", out, "--seeds", 2, "--table") == printed
    main("--out", out, "--seeds", 2, "--models", "vectors", "--partition", "validation")
    assert out.read_text().startswith(after)
    assert len(out.read_text().splitlines()) == len(after.splitlines()) + 1


def test_scores_are_means_over_texts_and_pictures_are_apart(
    main: Main, embedded: MultiviewDataset, tmp_path: Path
) -> None:
    out = tmp_path / "runs.jsonl"
    main("--out", out, "--seeds", 1)
    rows = rows_in(out)
    texts = embedded.with_views(["en", "de"])
    output = PLTM(num_topics=4, seed=0, iterations=20).train_model(texts)
    both = [MRR(texts, "en", "de").score(output), MRR(texts, "de", "en").score(output)]
    tu = [TopicUniqueness(texts, name).score(output) for name in ("en", "de")]
    scores = rows["pltm", 0]["scores"]
    assert scores["mrr"] == pytest.approx(sum(both) / 2)
    assert scores["least-mrr"] == pytest.approx(min(both))
    assert scores["tu"] == pytest.approx(sum(tu) / 2)
    assert {"document-npmi", "cnpmi"} <= {*scores}
    assert [key for key, row in rows.items() if "pictures-mrr" in row["scores"]] == [
        ("m3l-contrast", 0),
        ("0.1", 0),
    ]
    assert rows["pltm", 0]["training"] == len(embedded.partition_tuples("train"))


def test_a_run_that_fails_is_left_out_and_tried_again(
    main: Main, generalising: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "runs.jsonl"
    with monkeypatch.context() as broken:
        broken.setattr(generalising, "mrr_of_vectors", lambda *_: 1 / 0)
        with pytest.raises(SystemExit, match="runs that failed: 1;"):
            main("--out", out, "--seeds", 1, "--models", "vectors,pltm")
    assert [*rows_in(out)] == [("pltm", 0)]
    main("--out", out, "--seeds", 1, "--models", "vectors,pltm")
    assert [*rows_in(out)] == [("pltm", 0), ("vectors", 0)]


def test_vectors_are_ranked_by_their_cosine_once_they_are_centred(
    generalising: Any, embedded: MultiviewDataset
) -> None:
    vectors, tuples = {}, {}
    for name in ("en", "de"):
        view = embedded.view(name)
        array = np.array(view.embeddings, np.float64)
        known = array[view.rows("train")]
        array = (array - known.mean(axis=0))[view.rows("test")]
        vectors[name] = [row / np.sqrt(row @ row) for row in array]
        tuples[name] = list(embedded.tuples(name)[view.rows("test")])
    means = []
    for query, target in permutations(vectors):
        ranks = []
        for vector, number in zip(vectors[query], tuples[query], strict=True):
            likeness = [vector @ other for other in vectors[target]]
            right = [x for x, n in zip(likeness, tuples[target], strict=True) if n == number]
            if right:
                ranks.append(1 / (1 + sum(x > max(right) for x in likeness)))
        means.append(np.mean(ranks))
    expected = float(np.mean(means))
    assert 0.1 < expected < 0.99
    assert generalising.mrr_of_vectors(embedded, "test") == pytest.approx(expected, abs=1e-6)


def line(training: int, **scores: float) -> dict[str, Any]:
    return {"training": training, "topics": 20, "seconds": 1.0, "scores": scores}


def test_the_table_and_the_missed_marks(generalising: Any) -> None:
    names = "mrr", "tu", "document-npmi"

    def row(training: int, *values: float) -> dict[str, Any]:
        return line(training, **dict(zip(names, values, strict=True)))

    lines = {
        ("demo", "vectors", 0): line(280, mrr=0.96),
        ("demo", "m3l-contrast", 0): row(280, 0.8, 0.7, -0.02),
        ("demo", "m3l-contrast", 1): row(280, 0.9, 0.7, -0.04),
        ("demo", "pltm", 0): row(280, 0.8, 0.5, 0.01),
        ("office-help", "vectors", 0): line(1500, mrr=0.94),
        ("office-help", "m3l-contrast", 0): row(1500, 0.7, 1.0, 0.08),
        ("office-help", "pltm", 0): row(1500, 0.75, 0.5, 0.1),
        ("bible-passages", "vectors", 0): line(4655, mrr=0.99),
    }
    assert generalising.table(lines, "mrr", 5).splitlines() == [
        "| corpus | training tuples | K | vectors | M3L-Contrast | PLTM |",
        "| --- | --- | --- | --- | --- | --- |",
        "| bible-passages | 4,655 | 20 | .990 | – | – |",
        "| demo | 280 | 20 | .960 | .850 ± .071 (2) | .800 |",
        "| office-help | 1,500 | 20 | .940 | .700 | .750 |",
    ]
    assert generalising.table(lines, "document-npmi", 5).splitlines() == [
        "| corpus | training tuples | K | M3L-Contrast | PLTM |",
        "| --- | --- | --- | --- | --- |",
        "| bible-passages | 4,655 | 20 | – | – |",
        "| demo | 280 | 20 | −.030 ± .014 (2) | .010 |",
        "| office-help | 1,500 | 20 | .080 | .100 |",
    ]
    assert generalising.below(lines) == [
        "demo: topic uniqueness .700 < .750, the mark",
        "demo: MRR .850 < .900, the mark where vectors reach .960",
        "office-help: MRR .700 < .750, PLTM's",
        "office-help: document NPMI .080 < .090, PLTM's − .010",
        "bible-passages: not known yet",
    ]


def written(path: Path, rows: list[dict[str, Any]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def test_smaller_corpora_have_a_smaller_vocabulary_and_the_same_test_partition(
    generalising: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    marks = ["train"] * 300 + ["test"] * 7
    texts = [f"shared word{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(len(marks))]
    rows = [
        {"text": dict.fromkeys(("en", "de", "zh"), text), "partition": mark, "genre": "law"}
        for text, mark in zip(texts, marks, strict=True)
    ]
    written(tmp_path / "bible-passages.jsonl.gz", rows)
    monkeypatch.setenv("OCTIS_M3L_DATA", str(tmp_path))
    one, again = (generalising.load("bible-passages-200", None) for _ in range(2))
    assert [*one.views] == ["en", "de"]
    assert one.view("en").sizes == (200, 0, 7)
    assert len(one.text_view("en").vocabulary) == 201
    assert one.fingerprints() == again.fingerprints()
    assert generalising.load("bible-passages", None).view("en").sizes == (300, 0, 7)


def test_corpora_of_debian_are_read_with_their_gaps(
    generalising: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    texts = [{"en": "red ships"}, {"en": "old ships", "sv": "gamla skepp"}, {"en": "red boats"}]
    marks = ["train", "train", "test"]
    rows = [
        {"id": str(n), "label": "sea", "group": "g", "text": text, "partition": mark}
        for n, (text, mark) in enumerate(zip(texts, marks, strict=True))
    ]
    written(tmp_path / "desktop-help.jsonl.gz", rows)
    monkeypatch.setenv("OCTIS_M3L_CORPORA", str(tmp_path))
    dataset = generalising.load("desktop-help", None)
    assert {name: view.sizes for name, view in dataset.views.items()} == {
        "en": (2, 0, 1),
        "sv": (1, 0, 0),
    }
    assert dataset.view("en").labels[0] == "sea"
    monkeypatch.delenv("OCTIS_M3L_CORPORA")
    with pytest.raises(SystemExit, match="set OCTIS_M3L_CORPORA to the folder"):
        generalising.load("desktop-help", None)


def test_an_unknown_corpus_is_an_error_that_names_the_known_ones(
    main: Main, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        main("--out", tmp_path / "runs.jsonl", "--only", "small,large")
    assert "argument --only: there is no 'large'; there are small" in capsys.readouterr().err


@pytest.mark.slow
def test_processes_share_the_runs(tmp_path: Path) -> None:
    out = tmp_path / "runs.jsonl"
    command = [sys.executable, BENCHMARKS / "generalising.py", "--out", out, "--processes", "2"]
    options = ["--only", "demo", "--models", "pltm", "--seeds", "2"]
    subprocess.run([*command, *options], check=True, capture_output=True)
    assert {*rows_in(out)} == {("pltm", 0), ("pltm", 1)}


def test_shortened_corpora_have_fewer_words_and_training_tuples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    data_sets = import_module("data_sets")
    assert data_sets.shortened("one two  three four", 3) == "one two three"
    assert data_sets.shortened("無空格的文字" * 9, 4) == ("無空格的文字" * 9)[:40]
    parts = ["train"] * 8 + ["validation", "test"] * 3
    rows = [{"number": n, "partition": part} for n, part in enumerate(parts)]
    fewer = data_sets.with_fewer(rows, 5)
    assert [row["partition"] for row in fewer] == ["train"] * 5 + ["validation", "test"] * 3
    assert fewer == data_sets.with_fewer(rows, 5) == sorted(fewer, key=rows.index)
    assert data_sets.with_fewer(rows, None) == rows
