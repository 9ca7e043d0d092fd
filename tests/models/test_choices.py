"""What a training chooses by its data: recorded, shown, saved; and how many updates it takes."""

import json
from pathlib import Path
from typing import Any

import pytest
from shell import Run

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import SettingsError
from octis_m3l.files import read_json, write_json
from octis_m3l.models import PLTM, InfoCTM, M3LContrast, ZeroshotTM, ZeroshotTMKD, load_model
from octis_m3l.models.m3l_contrast import M3LContrastSettings
from octis_m3l.models.settings import TrainingSettings
from octis_m3l.models.storage import MARKER

from .contract import TOP_WORDS

SMALL: dict[str, Any] = {"num_topics": 3, "hidden_size": 8}
CHOICES = {
    "encoder": (
        "clsi, since texts are linked and the language of en, de is not known; set 'encoder' to "
        "choose otherwise"
    ),
    "epochs": "20 of 4 updates each (batches of 16); set 'epochs' to choose otherwise",
    "networks": (
        "one for en, de; one for image, since views of one encoder share one; set "
        "'shared_networks' to choose otherwise"
    ),
}


def test_they_are_recorded_saved_and_described(
    data: MultiviewDataset, tmp_path: Path, run: Run
) -> None:
    model = M3LContrast(**SMALL, batch_size=16, updates=7)
    assert model.choices == {}
    model.train_model(data, top_words=TOP_WORDS)
    assert model.choices == CHOICES
    model.save(tmp_path / "model")
    assert json.loads(run("info", tmp_path / "model", "--json")[1])["choices"] == CHOICES
    shown = " ".join(run("info", tmp_path / "model")[1].split()).replace("''", "'")
    for choice in CHOICES.values():
        assert choice in shown
    assert load_model(tmp_path / "model").choices == CHOICES
    # Each training has its own.
    model.train_model(data, {"encoder": "lsa", "epochs": 1}, top_words=TOP_WORDS)
    assert set(model.choices) == {"networks"}
    # Models of version 0.1 have none.
    described = read_json(tmp_path / "model" / MARKER)
    del described["choices"]
    write_json(tmp_path / "model" / MARKER, described, checked=True)
    assert load_model(tmp_path / "model").choices == {}
    assert run("info", tmp_path / "model")[0] == 0


def test_they_are_planned_without_training(
    data: MultiviewDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = M3LContrast(**SMALL, batch_size=16, updates=7)
    with monkeypatch.context() as patch:
        patch.setattr(M3LContrast, "_embed", None)
        planned = model.planned(data)
    assert planned == {what: CHOICES[what] for what in ("encoder", "epochs")}
    assert (model.choices, model.network, model.output) == ({}, None, None)
    assert M3LContrast(**SMALL, encoder="lsa", epochs=2).planned(data) == {}
    longer = M3LContrast(**SMALL, batch_size=16, updates=1000).planned(data)
    assert longer["epochs"] == (
        "250 of 4 updates each (batches of 16), for at least 1,000 updates; set 'epochs' to choose "
        "otherwise"
    )
    # Of models that leave views out, and of plain OCTIS data sets.
    few = InfoCTM(num_topics=3, batch_size=16, updates=1)
    with pytest.warns(UserWarning, match="views image are left out"):
        assert few.planned(data)["epochs"].startswith("500 of 4 updates each (batches of 16); ")
    english = ZeroshotTM(**SMALL, batch_size=16, updates=1).planned(data.monolingual("en"))
    assert english["encoder"].startswith("lsa, since no texts of two languages are linked and ")


def test_one_line_for_each_is_shown_with_the_progress(
    data: MultiviewDataset, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for progress in (True, False, None):
        model = M3LContrast(**SMALL, batch_size=16, updates=7, progress=progress)
        model.train_model(data, top_words=TOP_WORDS)
        shown.append(capfd.readouterr())
    lines = [line for line in shown[0].err.splitlines() if line.startswith("m3l-contrast: ")]
    assert lines == [f"m3l-contrast: {what}: {choice}" for what, choice in CHOICES.items()]
    assert [one.out for one in shown] == ["", "", ""]
    assert [one.err for one in shown[1:]] == ["", ""]


def test_only_what_was_left_open_is_chosen(
    data: MultiviewDataset, embedded: MultiviewDataset
) -> None:
    short: dict[str, Any] = {**SMALL, "epochs": 1, "batch_size": 16}
    given = "given, since every view has embeddings; set 'encoder' to choose otherwise"
    for model, dataset, expected in (
        (M3LContrast(**short, encoder="clsi", shared_networks="none"), data, {}),
        (M3LContrast(**short, preset="0.1"), data, {"encoder": CHOICES["encoder"]}),
        (M3LContrast(**short, shared_networks="modality"), embedded, {"encoder": given}),
        (ZeroshotTM(**short), embedded, {"encoder": given}),
        (ZeroshotTMKD(**short), data, {"encoder": CHOICES["encoder"]}),
        (InfoCTM(**short), data.with_views(["en", "de"]), {}),
        (PLTM(num_topics=3, iterations=2, visual_words=5), data, {}),
    ):
        model.train_model(dataset, top_words=TOP_WORDS)
        chosen = dict(model.choices)
        assert chosen == expected


def test_other_encoders_are_used_before_training() -> None:
    with pytest.raises(SettingsError, match="use this encoder before training: octis-m3l encode"):
        ZeroshotTM(**SMALL, encoder="sentence-transformers:LaBSE")


# Updates.


@pytest.mark.parametrize(
    ("settings", "batches", "epochs"),
    [
        ({}, 1, 1500),
        ({}, 7, 215),
        ({}, 75, 20),
        ({}, 76, 20),
        ({"epochs": 3}, 1, 3),
        ({"epochs": 3, "updates": 90}, 1, 3),
        ({"updates": 90}, 2, 45),
        ({"updates": 90}, 4, 23),
        ({"updates": 90}, 40, 20),
        ({"updates": 0}, 1, 20),
        ({"preset": "0.1"}, 1, 60),
        ({"preset": "0.1", "updates": 90}, 1, 90),
        ({"preset": "paper"}, 1, 100),
        ({"preset": "released-multilingual"}, 1, 100),
        ({"preset": "released-m3l"}, 1, 100),
    ],
)
def test_epochs_are_added_up_to_so_many_updates_unless_they_are_set(
    settings: dict[str, Any], batches: int, epochs: int
) -> None:
    checked = M3LContrastSettings.checked(settings, "m3l-contrast")
    assert checked.loop(batches).epochs == epochs


def test_other_models_take_at_least_2000_updates() -> None:
    settings = TrainingSettings.checked({}, "a model")
    assert [settings.loop(batches).epochs for batches in (1, 19, 20, 50)] == [2000, 106, 100, 100]


@pytest.mark.parametrize(("updates", "epochs"), [(0, 20), (132, 22), (133, 23)])
def test_a_training_takes_the_epochs_that_it_says(
    data: MultiviewDataset, updates: int, epochs: int
) -> None:
    # Without partitions no score ends it early.
    model = M3LContrast(**SMALL, batch_size=16, updates=updates)
    given = M3LContrast(**SMALL, batch_size=16, epochs=epochs)
    for one in (model, given):
        one.partitioning(False)
        one.train_model(data, top_words=TOP_WORDS)
    assert model.history is not None
    assert given.history is not None
    # 90 tuples are six batches.
    assert len(model.history.epochs) == epochs
    aim = f", for at least {updates} updates" if updates else ""
    assert model.choices["epochs"].startswith(f"{epochs} of 6 updates each (batches of 16){aim}; ")
    # The learning rate, too, goes down over these epochs.
    assert given.history.epochs == model.history.epochs
