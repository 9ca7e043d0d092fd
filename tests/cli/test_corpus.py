"""Building data sets, and describing them."""

import json
from pathlib import Path

import pytest
from shell import Refused, Run

from octis_m3l import MultiviewDataset
from octis_m3l.data import write_bow_folder
from octis_m3l.data.demo import demo_corpus


def test_info_of_a_data_set_a_model_and_the_installation(run: Run, trained: Path) -> None:
    described = json.loads(run("info", trained / "corpus", "--json")[1])
    assert described["views"]["en"]["items"] == {"train": 48, "validation": 6, "test": 6}
    assert described["views"]["photos"]["kind"] == "image"
    why = "since texts are linked and 'use' was made for en, de"
    encoder = f"use+clsi, {why}; set 'encoder' to choose otherwise"
    epochs = (
        "1,500 of 1 update each (batches of 48), for at least 1,500 updates; set 'epochs' to "
        "choose otherwise"
    )
    assert described["m3l_contrast_chooses"] == {"encoder": encoder, "epochs": epochs}
    model = json.loads(run("info", trained / "model", "--json")[1])
    assert model["choices"]["encoder"] == encoder
    assert (model["model"], model["epochs"]) == ("m3l-contrast", 3)
    verified = json.loads(run("info", trained / "corpus", "--verify", "--json")[1])
    assert verified.pop("verified") > 10
    assert verified == described
    verified = json.loads(run("info", trained / "model", "--verify", "--json")[1])
    assert verified == model | {"verified": len([*(trained / "model").rglob("*.*")]) - 1}
    installed = json.loads(run("info", "--json")[1])
    assert installed["versions"]["octis"] == "1.14.0"


def test_info_of_data_that_cannot_be_trained_on(run: Run, tmp_path: Path) -> None:
    texts = {"en": ["sea boat sail", "tree leaf"], "de": ["meer boot segel", "baum blatt"]}
    linked = MultiviewDataset.from_lists(texts, partition=["train", "test"])
    linked.save(tmp_path / "small")
    linked.with_views(["en"]).save(tmp_path / "one")
    MultiviewDataset(linked.views.values()).save(tmp_path / "unlinked")
    for name in ("small", "one", "unlinked"):
        code, out, error = run("info", tmp_path / name, "--json")
        assert code == 0, error
        assert "m3l_contrast_chooses" not in json.loads(out)


def test_gaps_among_labels_and_addresses_among_pictures(
    run: Run, refused: Refused, tmp_path: Path
) -> None:
    rows = ["title,topic,photo", *(f"ship number{i},sea," for i in range(8))]
    rows += ["ship sails,nan,", "ship wave,NaN,", "ship storm,,"]
    (tmp_path / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    command = ("build", tmp_path / "table.csv", "--text", "en=title", "--label", "topic")
    code, out, err = run(*command, "--out", tmp_path / "data", "--json")
    assert code == 0, err
    assert json.loads(out)["views"]["en"]["labels"] == 1
    rows[1] += "https://example.org/a.jpg"
    (tmp_path / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    other = (*command, "--out", tmp_path / "other")
    message = "the picture is an address (https://example.org/a.jpg)"
    refused(message, *other, "--image", "photos=photo")
    refused("unknown view 'fr'. Known: en, images, texts.", *other, "--encoder", "fr=picture")


@pytest.mark.filterwarnings("default::UserWarning")
def test_stop_words_of_a_view_whose_name_is_no_language(
    run: Run, trained: Path, tmp_path: Path
) -> None:
    table = trained / "source" / "reports.csv"
    command = ("build", table, "--text", "reports=english", "--json", "--out")
    code, _, err = run(*command, tmp_path / "kept")
    assert code == 0
    assert "stop words of 'en' (the, " in err
    assert "octis-m3l build: --language reports=en)" in err
    for number, given in enumerate((("--language", "reports=english"), ("--set", "stop_words=0"))):
        arguments = [part.replace("=0", "=false") for part in given]
        assert run(*command, tmp_path / str(number), *arguments)[2] == ""
    kept, without, again = (
        set(MultiviewDataset.from_folder(tmp_path / name).text_view("reports").vocabulary)
        for name in ("kept", "0", "1")
    )
    assert "the" in kept
    assert "the" not in without
    assert again == kept


def test_delimiter_and_encoding_are_detected_or_given(
    run: Run, refused: Refused, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes(("english;deutsch\n" + "ship, sea;schöne See\n" * 10).encode("utf-16"))
    command = ("build", table, "--text", "en=english", "--text", "de=deutsch", "--json", "--out")
    code, out, err = run(*command, tmp_path / "one")
    assert code == 0, err
    items = [view["items"] for view in json.loads(out)["views"].values()]
    assert items == [{"train": 8, "validation": 1, "test": 1}] * 2
    header = "line 2: 2 cells where the header has 1"
    refused(header, *command, tmp_path / "two", "--delimiter", ",")
    refused("is not written in ascii", *command, tmp_path / "two", "--encoding", "ascii")


@pytest.mark.filterwarnings("default::UserWarning")
def test_partitions_without_items_are_warned_of(run: Run, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("english,deutsch\nship sea,schiff meer\n")
    views = ("--text", "en=english", "--text", "de=deutsch")
    code, _, err = run("build", tmp_path / "one.csv", *views, "--out", tmp_path / "one")
    assert code == 0
    assert "no item is in the partition(s) validation and test" in err


def test_a_folder_of_bags_of_words(run: Run, refused: Refused, tmp_path: Path) -> None:
    write_bow_folder(demo_corpus(30).with_views(["en", "de"]), tmp_path / "bags")
    command = ("build", tmp_path / "bags", "--out", tmp_path / "corpus")
    code, out, _ = run(*command, "--json")
    assert code == 0
    assert list(json.loads(out)["views"]) == ["de", "en"]
    taken = ("build", tmp_path / "bags", "--out", tmp_path / "other", "--label", "genre")
    refused(f"--label: {tmp_path / 'bags'} already has a vocabulary", *taken)


def test_dictionaries_word_vectors_and_a_reference_corpus(
    run: Run, refused: Refused, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "en-de.txt").write_text("ship schiff\nharbour hafen\n", encoding="utf-8")
    (tmp_path / "en.vec").write_text("ship 1 2\nharbour 3 4\n", encoding="utf-8")
    build = ["build", trained / "source" / "reports.csv", "--text", "en=english"]
    build += ["--text", "de=deutsch", "--word-vectors", f"en={tmp_path / 'en.vec'}"]
    build += ["--out", tmp_path / "tied"]
    pairs = ("--dictionary", f"en,de={tmp_path / 'en-de.txt'}")
    refused("--without-vector zeros", *build, *pairs)
    build += ["--without-vector", "zeros", "--json"]
    code, out, _ = run(*build, *pairs)
    assert code == 0
    assert json.loads(out)["dictionaries"] == {"en-de": 2}
    message = "expected two views, as in --dictionary en,de=FILE"
    refused(message, *build, "--dictionary", f"en={tmp_path}", "--overwrite")
    options = ["--model", "nmtm", "--topics", 4, "--set", "epochs=2", "--set", "batch_size=16"]
    assert run("train", tmp_path / "tied", *options, "--out", tmp_path / "model", "--json")[0] == 0
    command = ["evaluate", tmp_path / "model", "--corpus", trained / "corpus"]
    command += ["--topk", 5, "--metric", "cnpmi", "--metric", "tu"]
    found = json.loads(run(*command, "--json")[1])
    assert set(found["scores"]) == {"cnpmi", "tu"}
    assert 0 < found["coverage"]["en-de"] <= 1
    assert "reference corpus contains" in run(*command)[1]
