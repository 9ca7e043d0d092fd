"""The folder of a saved model: damaged, half copied, of another kind, or somebody else's."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import Planted
from safetensors.numpy import load_file, save_file

from octis_m3l.errors import StorageError
from octis_m3l.files import read_json
from octis_m3l.models import M3LContrast, load_model
from octis_m3l.models.storage import MARKER

from .contract import refused


@pytest.fixture(scope="module")
def trained(planted_data: Planted) -> M3LContrast:
    """A model with encoders, to look at only."""
    model = M3LContrast(num_topics=3, epochs=1, batch_size=16, hidden_size=4)
    model.train_model(planted_data.dataset, top_words=3)
    return model


@pytest.fixture
def saved(trained: M3LContrast, tmp_path: Path) -> Path:
    trained.save(tmp_path / "model")
    return tmp_path / "model"


def changed(folder: Path, without: str = "", **values: Any) -> None:
    """Change what the description says, or leave something out."""
    described = read_json(folder / MARKER) | values
    described.pop(without, None)
    (folder / MARKER).write_text(json.dumps(described))


def is_refused(folder: Path, message: str) -> None:
    for load in (M3LContrast.load, load_model):
        with pytest.raises(StorageError, match=message):
            load(folder)


def test_replaces_a_model_only_if_told_to(trained: M3LContrast, saved: Path) -> None:
    before = (saved / MARKER).read_bytes()
    message = "pass overwrite=True (--overwrite) or choose another folder"
    refused(StorageError, message, trained.save, saved)
    trained.save(saved, overwrite=True)
    assert (saved / MARKER).read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_never_replaces_anybody_elses_folder(trained: M3LContrast, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    message = "it holds no model.json, so it is not replaced"
    refused(StorageError, message, trained.save, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    trained.save(tmp_path / "empty")
    assert (tmp_path / "empty" / MARKER).is_file()


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
def test_numbers_that_are_not_finite(saved: Path, name: str) -> None:
    arrays = load_file(saved / name)
    array = next(array for array in arrays.values() if array.dtype.kind == "f" and array.size)
    array.flat[0] = np.nan
    save_file(arrays, saved / name)
    changed(saved, "sha256")
    is_refused(saved, f"{name} holds NaN or infinity ")


def test_changed_and_truncated_description(trained: M3LContrast, saved: Path) -> None:
    word = trained.topics()[0][0]
    whole = (saved / MARKER).read_text(encoding="utf-8")
    (saved / MARKER).write_text(whole.replace(f'"{word}"', f'"{word}x"'), encoding="utf-8")
    is_refused(saved, r"model\.json is not what was written \(its checksum differs\)")
    (saved / MARKER).write_text(whole[: len(whole) // 2])
    is_refused(saved, r"model\.json is not readable JSON .* truncated")


def test_folder_of_a_version_without_hashes(trained: M3LContrast, saved: Path) -> None:
    changed(saved, "sha256")
    assert load_model(saved).topics() == trained.topics()


def test_foreign_folders(saved: Path, tmp_path: Path) -> None:
    is_refused(tmp_path / "nowhere", "nowhere is no folder: expected a folder that a model")
    shutil.copytree(saved, tmp_path / "other")
    (tmp_path / "other" / MARKER).unlink()
    is_refused(tmp_path / "other", r"other holds no model\.json: expected a folder that a model")
    (tmp_path / "other" / MARKER).write_text('{"format": "cake"}')
    is_refused(tmp_path / "other", "has the format 'cake', expected 'octis-m3l model'")
    changed(saved, version=99)
    is_refused(saved, "has version 99 of its format, .*; upgrade this one: pip install")


def test_descriptions_that_are_not_whole(saved: Path) -> None:
    described = read_json(saved / MARKER)
    changed(saved, model="lda")
    message = "describes no model that is known here ('lda'); known are gloctm, infoctm, m3l-"
    refused(StorageError, message, load_model, saved)
    changed(saved, "pivot", model="m3l-contrast")
    is_refused(saved, r"is damaged or incomplete \('pivot' is missing or unknown\); copy it")
    words = described["vocabularies"] | {"../en": ["a"]}
    changed(saved, pivot="en", vocabularies=words)
    is_refused(saved, r"model\.json has an invalid view name, '\.\./en'\.")
