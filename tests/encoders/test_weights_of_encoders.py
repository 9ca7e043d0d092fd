"""Which weights a pretrained encoder has, had and says that it has."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import (
    cached_on_hub,
    offline,
    register_clip_architecture,
    write_clip_weights,
    write_static_model,
)

from octis_m3l.data import from_lists
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.encoders import (
    ClipEncoder,
    SentenceEncoder,
    StaticEncoder,
    TimmEncoder,
    encode,
    load_encoder,
    save_encoder,
)
from octis_m3l.encoders.description import described, from_description
from octis_m3l.errors import DataError, StorageError

assert offline
TEXTS = ["boat", "sea wave boat", "snow peak", "brot ofen"]
NAME = "tiny-clip-of-weights"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_static_model(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_static_model(tmp_path_factory.mktemp("weights") / "other", seed=1)


def test_a_changed_setting_forgets_what_was_loaded_for_the_former(
    folder: Path, other: Path
) -> None:
    encoder = StaticEncoder(str(folder))
    before, print_before = encoder.encode(TEXTS), encoder.fingerprint()
    encoder.model = str(other)
    fresh = StaticEncoder(str(other))
    np.testing.assert_array_equal(encoder.encode(TEXTS), fresh.encode(TEXTS))
    assert encoder.fingerprint() == fresh.fingerprint() != print_before
    encoder.model = str(folder)
    np.testing.assert_array_equal(encoder.encode(TEXTS), before)
    assert encoder.fingerprint() == print_before


def test_settings_without_effect_on_vectors_forget_nothing_that_is_dear() -> None:
    encoder = SentenceEncoder("a/b")
    vars(encoder)["_loaded"] = "loaded"
    encoder._dimensions, encoder._found, encoder._identity = 3, ("a/b", "c"), {"commit": "c"}
    encoder.batch_size, encoder.progress = 3, True
    encoder.max_length = encoder.max_length
    assert vars(encoder)["_loaded"] == "loaded"
    encoder.device = "cuda:7"
    assert "_loaded" not in vars(encoder)
    assert (encoder._dimensions, encoder._found) == (3, ("a/b", "c"))
    vars(encoder)["_loaded"] = "loaded"
    encoder.max_length = 5
    assert "_loaded" not in vars(encoder)
    assert encoder._dimensions is encoder._found is encoder._identity is None


def test_a_saved_encoder_refuses_other_weights(folder: Path, other: Path, tmp_path: Path) -> None:
    place = tmp_path / "model"
    shutil.copytree(folder, place)
    encoder = StaticEncoder(str(place))
    assert "identity" not in encoder.state()[1]
    wanted = encoder.encode(TEXTS)
    save_encoder(encoder, tmp_path / "saved")
    again = load_encoder(tmp_path / "saved")
    assert isinstance(again, StaticEncoder)
    assert again.state() == encoder.state()
    np.testing.assert_array_equal(again.encode(TEXTS), wanted)
    description = described(encoder)
    shutil.rmtree(place)
    shutil.copytree(other, place)
    message = (
        rf"^{re.escape(str(place))} has other weights than those that the saved model had been "
        r"made with \([0-9a-f]{16} then, [0-9a-f]{16} now\), so vectors of new items would not "
        r"fit\. Put the former ones back, or train the model again with these, or give the encoder "
        r"that has the former ones: load\(folder, encoders=\{view: StaticEncoder\(…\)\}\)\.$"
    )
    with pytest.raises(StorageError, match=message):
        load_encoder(tmp_path / "saved").encode(TEXTS)
    assert description is not None
    of_data: Any = from_description(description)
    with pytest.raises(
        StorageError, match=r"the data set's embeddings had been made with .* embed"
    ):
        of_data.encode(TEXTS)
    of_data.model = str(folder)
    np.testing.assert_array_equal(of_data.encode(TEXTS), wanted)


def test_records_without_weights_are_still_read(folder: Path, tmp_path: Path) -> None:
    encoder = StaticEncoder(str(folder))
    wanted = encoder.encode(TEXTS)
    save_encoder(encoder, tmp_path)
    record = json.loads((tmp_path / "encoder.json").read_text())
    del record["settings"]["identity"]
    (tmp_path / "encoder.json").write_text(json.dumps(record))
    np.testing.assert_array_equal(load_encoder(tmp_path).encode(TEXTS), wanted)


def test_a_model_that_is_gone_says_whose_it_was(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "model"
    shutil.copytree(folder, place)
    encoder = StaticEncoder(str(place))
    encoder.encode(TEXTS)
    description = described(encoder)
    shutil.rmtree(place)
    assert description is not None
    of_data: Any = from_description(description)
    message = (
        f"{place} is not there any more: the encoder that made the data set's embeddings had its "
        "model there. They are whole without it, but new items need it: put it back, or make the "
        "embeddings again with one that is here: embed(dataset, {view: StaticEncoder(…)})."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        of_data.encode(TEXTS)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"kind": "neural", "settings": {}}, "its kind 'neural' is not known; was it written by"),
        ({"kind": "model2vec", "settings": {"model": "a/b", "heads": 3}}, "a stored encoder of k"),
        ({"kind": "model2vec", "settings": {"model": 3}}, "model=3: it should be a valid string"),
        ({"kind": "model2vec", "settings": {"model": "a", "identity": 3}}, "its record is broken"),
        ({"kind": "model2vec", "settings": {}}, "its record is broken"),
        ({"kind": "model2vec", "settings": None}, "its record is broken"),
        ({"kind": "model2vec"}, "its record is broken"),
        ({"kind": "latent-semantic", "settings": {"name": "lsa"}}, "its record is broken"),
        ({"other": 1}, "its record is broken"),
    ],
)
def test_a_broken_record_does_not_stop_training(record: Any, reason: str) -> None:
    message = rf"^the encoder that made the data set's embeddings can't be made again \({reason}"
    with pytest.warns(UserWarning, match=message) as caught:
        assert from_description(record) is None
    assert len(caught) == 1
    dataset = _embedded({"en": record})
    with pytest.warns(UserWarning, match=message):
        found = encode(dataset, "given")
    assert "en" not in found.encoders


def test_views_of_one_encoder_share_it(folder: Path) -> None:
    encoder = StaticEncoder(str(folder))
    encoder.encode(TEXTS)
    one, two = described(encoder), described(StaticEncoder(str(folder), max_length=3))
    found = encode(_embedded({"en": one, "de": one, "fr": two}), "given").encoders
    assert found["en"] is found["de"]
    assert found["en"] is not found["fr"]


def _embedded(records: dict[str, Any]) -> Any:
    dataset = from_lists(
        dict.fromkeys(records, TEXTS),
        preprocessing=TextPreprocessor(stop_words=False),
        languages=dict.fromkeys(records),
    )
    vectors = {name: np.eye(4, dtype=np.float32) for name in records}
    return dataset.with_embeddings(vectors, order="stored", encoders=records)


def test_a_relative_path_stays_the_same_place(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    encoder = StaticEncoder(folder.name)
    assert encoder.model == str(folder)
    assert encoder.specification == f"model2vec:{folder}"
    assert TimmEncoder("resnet18", weights=f"./{folder.name}").weights == str(folder)
    assert StaticEncoder("org/model").model == "org/model"
    monkeypatch.chdir(tmp_path)
    assert encoder.encode(TEXTS).shape == (4, 8)


def test_encoders_say_what_they_read() -> None:
    assert StaticEncoder("a").reads == SentenceEncoder("a").reads == "text"
    assert TimmEncoder().reads == ClipEncoder("a", "b", side="image").reads == "picture"
    assert ClipEncoder("a", "b", side="text").reads == "text"


def test_clip_of_the_hub_is_loaded_at_the_commit_that_its_fingerprint_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import open_clip
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    register_clip_architecture(tmp_path / "architecture", NAME)
    config = {"model_cfg": open_clip.get_model_config(NAME), "preprocess_cfg": {}}
    old, new = "0" * 39 + "1", "0" * 39 + "2"
    first = cached_on_hub(tmp_path, "some/clip", old)
    folders = [first, first.with_name(new)]
    for seed, one in enumerate(folders):
        one.mkdir(exist_ok=True)
        (one / "open_clip_config.json").write_text(json.dumps(config))
        write_clip_weights(one / "open_clip_model.safetensors", NAME, seed=seed)
    picture = [np.arange(3072, dtype=np.uint8).reshape(32, 32, 3)]
    wanted = [ClipEncoder(f"local-dir:{one}", side="image").encode(picture) for one in folders]
    encoder = ClipEncoder("hf-hub:some/clip", side="image")
    fingerprint = encoder.fingerprint()
    # The branch moves between the two, as when another process fetches the newest.
    (tmp_path / "models--some--clip" / "refs" / "main").write_text(new)
    np.testing.assert_array_equal(encoder.encode(picture), wanted[0])
    later = ClipEncoder("hf-hub:some/clip", side="image")
    np.testing.assert_array_equal(later.encode(picture), wanted[1])
    assert later.fingerprint() != fingerprint
    save_encoder(encoder, tmp_path / "saved")
    again: Any = load_encoder(tmp_path / "saved")
    np.testing.assert_array_equal(again.encode(picture), wanted[0])
    assert again.fingerprint() == fingerprint


def test_a_folder_of_clip_keeps_its_fingerprint_where_it_goes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "open_clip_config.json").write_text("{}")
    fingerprint = ClipEncoder(f"local-dir:{tmp_path / 'a'}", side="image").fingerprint()
    (tmp_path / "a").rename(tmp_path / "b")
    moved = ClipEncoder(f"local-dir:{tmp_path / 'b'}", side="image")
    assert moved.fingerprint() == fingerprint
    (tmp_path / "b" / "open_clip_config.json").write_text("{ }")
    assert ClipEncoder(f"local-dir:{tmp_path / 'b'}", side="image").fingerprint() != fingerprint
