"""Scores, topics and inference of a trained model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shell import Refused, Run

from octis_m3l import MultiviewDataset
from octis_m3l.data import pictures
from octis_m3l.errors import DataError
from octis_m3l.metrics import NPMI
from octis_m3l.metrics.retrieval import Retrieval

quiet = pytest.mark.filterwarnings("default::UserWarning")


@pytest.fixture(scope="module")
def english(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model of one language."""
    from octis_m3l import PLTM

    out = tmp_path_factory.mktemp("english") / "model"
    dataset = MultiviewDataset.from_folder(trained / "corpus")
    model = PLTM(num_topics=3, iterations=20).fit(dataset.with_views(["en"]))
    model.data_path = str(trained / "corpus")
    model.save(out)
    return out


def test_topics_with_documents_and_a_picture(
    run: Run, refused: Refused, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "topics.png"
    command = ("topics", trained / "model", "--picture", picture)
    code, out, _ = run(*command, "--documents", 2, "--json")
    listed = json.loads(out)["topics"]
    assert code == 0
    assert len(listed) == 5
    assert len(listed[0]["en"]) == len(listed[0]["de"]) == 10
    counts = {view: len(items) for view, items in listed[0]["documents"].items()}
    assert counts == {"en": 2, "de": 2, "photos": 2}
    assert picture.stat().st_size > 5_000
    monkeypatch.setattr(pictures, "MOST_PIXELS", 100)
    refused("is too large (64 × 64 pixels), at most 100 pixels are opened", *command)


def test_tables_for_people(run: Run, trained: Path) -> None:
    assert "Aligned topics" in run("topics", trained / "model")[1]
    longer = json.loads(run("topics", trained / "model", "--words", 15, "--json")[1])["topics"]
    assert {len(topic["en"]) for topic in longer} == {15}
    shown = run("evaluate", trained / "model")[1]
    assert "by chance" in shown
    scores = json.loads(run("evaluate", trained / "model", "--json")[1])["scores"]["mrr"]
    assert f"{sum(scores.values()) / len(scores):.4f}" in shown
    assert "en-photos" in shown
    assert "topic" in run("infer", trained / "model", "The ship", "--view", "en")[1]


def test_infer_texts_pictures_and_embeddings(
    run: Run, refused: Refused, trained: Path, english: Path, tmp_path: Path
) -> None:
    infer = ("infer", trained / "model")
    text = json.loads(run(*infer, "Das Schiff", "--view", "de", "--json")[1])
    assert len(text["theta"][0]) == 5
    assert sum(text["theta"][0]) == pytest.approx(1.0, abs=1e-4)
    picture = sorted((trained / "source").glob("*.png"))[0]
    inferred = json.loads(run(*infer, picture, "--view", "photos", "--topics", 2, "--json")[1])
    assert len(inferred["topics"]) == 2
    assert {"en", "de"} <= set(inferred["topics"][0])
    wrong = tmp_path / "wrong.npy"
    np.save(wrong, np.zeros((2, 3), np.float32))
    message = "embeddings of shape (2, 3), expected finite numbers"
    refused(message, *infer, wrong, "--view", "en")
    assert json.loads(run("infer", english, "The ship", "--json")[1])["view"] == "en"


def test_infer_a_column_of_a_table(
    run: Run, refused: Refused, trained: Path, tmp_path: Path
) -> None:
    table, notes = tmp_path / "new.csv", tmp_path / "notes.md"
    table.write_text("id;title\n1;The ship, left\n2;The harbour\n", encoding="utf-8")
    notes.write_text("x")
    infer = ("infer", trained / "model")
    message = "for a table the view and column of its texts: --text VIEW=COLUMN"
    refused(message, *infer, table, "--view", "en")
    code, out, err = run(*infer, table, "--text", "en=title", "--json")
    assert code == 0, err
    direct = run(*infer, "The ship, left", "The harbour", "--view", "en", "--json")
    assert json.loads(out) == json.loads(direct[1])
    message = "has no column(s) 'titel'. Did you mean 'title'?"
    refused(message, *infer, table, "--text", "en=titel")
    message = "goes with tables, and without --view."
    refused(message, *infer, table, "--text", "en=title", "--view", "en")
    refused("unknown view 'fr'.", *infer, table, "--text", "fr=title")
    refused("is a file; expected a text", *infer, notes, "--view", "en")


@quiet
def test_infer_gives_empty_cells_no_topics_and_the_others_theirs(
    run: Run, refused: Refused, trained: Path, tmp_path: Path
) -> None:
    nothing, table = tmp_path / "nothing.txt", tmp_path / "new.csv"
    nothing.write_text(" \n")
    for empty in (nothing, " "):
        refused(
            "there is nothing to infer: give texts, paths, or lines on stdin.",
            *("infer", trained / "model", empty, "--view", "en"),
        )
    table.write_text("id,title\n1,\n2,The ship left\n3,  \n4,The harbour\n", encoding="utf-8")
    code, out, err = run("infer", trained / "model", table, "--text", "en=title", "--json")
    assert code == 0
    assert "2 of 4 texts are empty and get no topics; the first is item 0." in err
    found = json.loads(out)
    direct = run(
        "infer", trained / "model", "The ship left", "The harbour", "--view", "en", "--json"
    )
    left, harbour = json.loads(direct[1])["theta"]
    assert found["theta"] == [None, left, None, harbour]
    assert [topic["item"] for topic in found["topics"]] == [1, 1, 1, 3, 3, 3]


@quiet
def test_evaluate_says_how_many_queries_it_sampled(
    run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("evaluate", trained / "model", "--json", "--metric", "mrr", "--metric", "tu")
    assert "samples" not in json.loads(run(*command)[1])
    monkeypatch.setattr(Retrieval.__init__, "__defaults__", ("test", 4))
    found = json.loads(run(*command)[1])
    assert found["samples"].keys() == {"mrr"}
    sampled = found["samples"]["mrr"]["en-de"]
    assert sampled["queries"] == 4 < sampled["of"]
    assert sampled["margin"] >= 0


@quiet
def test_evaluate_says_which_measures_it_left_out(run: Run, trained: Path) -> None:
    code, out, err = run("evaluate", trained / "model", "--json")
    assert code == 0
    assert "cnpmi" not in json.loads(out)["scores"]
    assert "cnpmi and topic-quality are left out: they count words in linked documents" in err
    asked = run("evaluate", trained / "model", "--json", "--metric", "cnpmi")
    assert "cnpmi" in json.loads(asked[1])["scores"]
    assert "left out" not in asked[2]


@quiet
def test_a_measure_that_fails_does_not_affect_the_others(
    run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise DataError("no coherence")

    monkeypatch.setattr(NPMI, "per_item", fails)
    asked = ("evaluate", trained / "model", "--metric", "npmi", "--metric", "tu")
    code, out, err = run(*asked, "--json")
    assert "warning: npmi of de has no score: no coherence" in err
    scores = json.loads(out, parse_constant=pytest.fail)["scores"]
    assert code == 0
    assert scores["npmi"] == {"en": None, "de": None}
    assert 0 < scores["tu"]["en"] <= 1
    shown = run(*asked)[1]
    assert "–: could not be scored" in shown
    assert f"{scores['tu']['en']:.4f}" in shown
    assert "nan" not in shown


def test_measures_that_do_not_apply_and_other_data_are_errors(
    refused: Refused, trained: Path, english: Path, tmp_path: Path
) -> None:
    message = "none are held out here: corpus=… (--corpus FOLDER) names some."
    refused(message, "evaluate", english, "--metric", "cnpmi")
    message = "'mrr' needs items of two views that are linked in the test partition."
    refused(message, "evaluate", english, "--metric", "mrr")
    MultiviewDataset.from_folder(trained / "corpus").with_split(seed=9).save(tmp_path / "other")
    message = "is not the data set that the model was trained on, or has changed"
    refused(message, "evaluate", trained / "model", "--data", tmp_path / "other")


def test_scores_of_few_items_are_called_uncertain(run: Run, trained: Path) -> None:
    command = ("evaluate", trained / "model", "--json", "--metric", "mrr", "--partition")
    few = run(*command, "validation")[2]
    assert "the validation partition has few linked items (en-de: " in few
    assert few.endswith("uncertain, and it is easy to find one item among few.")
    assert run(*command, "train")[2] == ""


@quiet
def test_an_unfinished_model_is_warned_of(run: Run, trained: Path, tmp_path: Path) -> None:
    from octis_m3l import load_model

    model = load_model(trained / "model")
    model.history.stopped = "interrupted"
    model.save(tmp_path / "model")
    code, _, err = run("evaluate", tmp_path / "model", "--metric", "tu", "--json")
    assert code == 0
    assert "was interrupted, so this model is unfinished; repeat the train command" in err
