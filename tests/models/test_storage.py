"""The folder of a saved model: damaged, half copied, of another kind, or somebody else's."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import StorageError
from octis_m3l.files import read_json
from octis_m3l.models import M3LContrast, load_model
from octis_m3l.models.storage import MARKER

from .contract import refused


@pytest.fixture(scope="module")
def trained(data: MultiviewDataset) -> M3LContrast:
    """A model with encoders, to look at only."""
    return M3LContrast(num_topics=3, epochs=1, batch_size=16, hidden_size=4).fit(data, top_words=3)


@pytest.fixture
def saved(trained: M3LContrast, tmp_path: Path) -> Path:
    trained.save(tmp_path / "model")
    return tmp_path / "model"


def is_refused(folder: Path, message: str) -> None:
    for load in (M3LContrast.load, load_model):
        with pytest.raises(StorageError, match=message):
            load(folder)


def test_replaces_only_a_model_and_only_if_told_to(
    trained: M3LContrast, saved: Path, tmp_path: Path
) -> None:
    before = (saved / MARKER).read_bytes()
    message = "pass overwrite=True (--overwrite) or choose another folder"
    refused(StorageError, message, trained.save, saved)
    trained.save(saved, overwrite=True)
    assert (saved / MARKER).read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["model"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    message = "it holds no model.json, so it is not replaced"
    refused(StorageError, message, trained.save, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    trained.save(tmp_path / "empty")
    assert (tmp_path / "empty" / MARKER).is_file()


def test_a_module_under_two_names_is_saved(data: MultiviewDataset, tmp_path: Path) -> None:
    model: Any = M3LContrast(num_topics=3, epochs=1, batch_size=16).fit(data, top_words=3)
    model.network.alias = model.network.prior
    model.save(tmp_path)
    weights = load_file(tmp_path / "weights.safetensors")
    assert np.array_equal(weights["alias.mean"], weights["prior.mean"])


def test_truncated_and_changed_files(saved: Path) -> None:
    stored = [path for path in saved.rglob("*") if path.name != MARKER and path.is_file()]
    assert {path.suffix for path in stored} == {".json", ".safetensors"}
    for path in stored:
        whole, name = path.read_bytes(), re.escape(path.relative_to(saved).as_posix())
        path.write_bytes(whole[:-7])
        sizes = f"has {len(whole) - 7} bytes instead of {len(whole)}"
        is_refused(saved, rf"is incomplete: {name} {sizes}\.")
        path.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1, whole[-1]]))
        is_refused(saved, rf"is damaged: {name} is not what was written \(its SHA-256 differs\)\.")
        path.write_bytes(whole)
    load_model(saved)
    (saved / "output.safetensors").unlink()
    is_refused(saved, r"output\.safetensors is missing\. It was")


@pytest.mark.parametrize("name", ["encoders/en/encoder.safetensors", "output.safetensors"])
def test_folders_without_hashes(trained: M3LContrast, saved: Path, name: str) -> None:
    described = read_json(saved / MARKER)
    del described["sha256"]
    (saved / MARKER).write_text(json.dumps(described))
    assert load_model(saved).topics() == trained.topics()
    arrays = load_file(saved / name)
    array = next(array for array in arrays.values() if array.dtype.kind == "f" and array.size)
    array.flat[0] = np.nan
    save_file(arrays, saved / name)
    is_refused(saved, f"{name} holds NaN or infinity ")


def test_descriptions_that_are_not_what_was_written(saved: Path, tmp_path: Path) -> None:
    is_refused(tmp_path / "nowhere", "nowhere is no folder: expected a folder that a model")
    # Without the checksum.
    plain: dict[str, Any] = read_json(saved / MARKER)
    without = {name: value for name, value in plain.items() if name != "pivot"}
    whole = (saved / MARKER).read_text(encoding="utf-8")
    (saved / MARKER).unlink()
    is_refused(saved, r"model holds no model\.json: expected a folder that a model")
    for text, message in (
        (whole.replace('"pivot": "en"', '"pivot": "de"'), "written .its checksum differs"),
        (whole[: len(whole) // 2], r"model\.json is not readable JSON .* truncated"),
        ('{"format": "cake"}', "has the format 'cake', expected 'octis-m3l model'"),
        (json.dumps(plain | {"version": 99}), "has version 99 of its format, .*; upgrade this"),
        (json.dumps(without), r"is damaged or incomplete \('pivot' is missing or unknown\); copy"),
        (json.dumps(plain | {"vocabularies": {}}), r"is damaged or incomplete \(.*; copy it again"),
        (
            json.dumps(plain | {"vocabularies": plain["vocabularies"] | {"../en": ["a"]}}),
            r"model\.json has an invalid view name, '\.\./en'\.",
        ),
    ):
        (saved / MARKER).write_text(text, encoding="utf-8")
        is_refused(saved, message)
    for kind in ("lda", ["lda"]):
        (saved / MARKER).write_text(json.dumps(plain | {"model": kind}))
        message = f"describes no model that is known here ('{kind}'); known are gloctm, infoctm, m3"
        refused(StorageError, message, load_model, saved)
