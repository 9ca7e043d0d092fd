"""Encoders written and read again."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import offline, write_static_model

from octis_m3l.data import from_lists
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.encoders import (
    LatentSemanticEncoder,
    PictureEncoder,
    StaticEncoder,
    encode,
    fit_cross_language,
    load_encoder,
    save_encoder,
)
from octis_m3l.encoders.saving import described, from_description
from octis_m3l.errors import StorageError

assert offline
ITEMS = ["boat", "sea wave boat", "snow peak", "brot ofen"]

TEXTS = {
    "en": ["red boats sail", "blue boats sail", "red trains run", "blue trains run", "trains"],
    "de": ["rote boote", "blaue boote", "rote züge", "blaue züge", "züge über boote"],
}


@pytest.fixture(scope="module")
def fitted() -> LatentSemanticEncoder:
    dataset = from_lists(TEXTS, preprocessing=TextPreprocessor(min_word_length=3))
    return fit_cross_language(dataset, ["en", "de"], dimensions=3)["de"]


def test_a_round_trip_is_exact(fitted: LatentSemanticEncoder, tmp_path: Path) -> None:
    save_encoder(fitted, tmp_path / "new" / "one")
    found = load_encoder(tmp_path / "new" / "one")
    assert isinstance(found, LatentSemanticEncoder)
    assert found.name == "clsi"
    assert found.vocabulary == fitted.vocabulary
    assert found.preprocessor == fitted.preprocessor
    for name in ("idf", "components"):
        ours, theirs = getattr(found, name), getattr(fitted, name)
        assert ours.dtype == theirs.dtype == np.float32
        np.testing.assert_array_equal(ours, theirs)
    texts = [*TEXTS["de"], "Blaue Züge!", ""]
    np.testing.assert_array_equal(found.encode(texts), fitted.encode(texts))


def test_the_picture_encoder_is_saved_as_its_kind(tmp_path: Path) -> None:
    save_encoder(PictureEncoder(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["encoder.json"]
    assert load_encoder(tmp_path) == PictureEncoder()


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_truncated_arrays_are_an_error(
    fitted: LatentSemanticEncoder, tmp_path: Path, kept: int
) -> None:
    save_encoder(fitted, tmp_path)
    path = tmp_path / "encoder.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    message = rf"^{re.escape(str(path))} can't be read \(.+\); copy it again\.$"
    with pytest.raises(StorageError, match=message):
        load_encoder(tmp_path)


def test_missing_files_are_an_error(fitted: LatentSemanticEncoder, tmp_path: Path) -> None:
    save_encoder(fitted, tmp_path)
    (tmp_path / "encoder.safetensors").unlink()
    path = re.escape(str(tmp_path / "encoder.safetensors"))
    with pytest.raises(StorageError, match=rf"^{path} can't be read \(.+\); copy it again\.$"):
        load_encoder(tmp_path)
    (tmp_path / "encoder.json").unlink()
    path = re.escape(str(tmp_path / "encoder.json"))
    with pytest.raises(StorageError, match=f"^{path} is missing: the folder is incomplete"):
        load_encoder(tmp_path)


def test_an_unknown_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "encoder.json").write_text('{"kind": "neural"}')
    message = (
        f"the encoder in {tmp_path} is of the unknown kind 'neural' (known: latent-semantic, "
        "model2vec, open-clip, picture, sentence-transformers, timm); was it written by a newer "
        "version?"
    )
    with pytest.raises(StorageError, match=f"^{re.escape(message)}$"):
        load_encoder(tmp_path)


def test_your_own_tokenizer_must_be_passed_again(
    fitted: LatentSemanticEncoder, tmp_path: Path
) -> None:
    own = replace(fitted, preprocessor=replace(fitted.preprocessor, tokenizer=str.split))
    save_encoder(own, tmp_path)
    found = load_encoder(tmp_path)
    with pytest.raises(ValueError, match="Pass it again"):
        found.encode(["blaue boote"])


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"kind": "neural", "settings": {}}, "it is of the unknown kind 'neural'"),
        (
            {"kind": "model2vec", "settings": {"model": "a/b", "heads": 3}},
            "a stored encoder of kind 'model2vec' can't",
        ),
        ({"kind": "model2vec", "settings": {"model": 3}}, ".*model=3: it should be a valid string"),
        ({"kind": "model2vec", "settings": {"model": "a", "identity": 3}}, "its record is broken"),
        ({"kind": "model2vec", "settings": {}}, "its record is broken"),
        ({"kind": "model2vec", "settings": None}, "its record is broken"),
        ({"kind": "model2vec"}, "its record is broken"),
        ({"kind": "latent-semantic", "settings": {"name": "lsa"}}, "its record is broken"),
        ({"other": 1}, "its record is broken"),
    ],
)
def test_a_broken_record_does_not_stop_training(record: Any, reason: str) -> None:
    message = rf"^the encoder of the data set's embeddings can't be restored \({reason}"
    with pytest.warns(UserWarning, match=message) as caught:
        assert from_description(record) is None
    assert len(caught) == 1
    dataset = _embedded({"en": record})
    with pytest.warns(UserWarning, match=message):
        found = encode(dataset, "given")
    assert "en" not in found.encoders


def test_views_of_one_encoder_share_it(tmp_path: Path) -> None:
    folder = write_static_model(tmp_path / "tiny")
    encoder = StaticEncoder(str(folder))
    encoder.encode(ITEMS)
    one, two = described(encoder), described(StaticEncoder(str(folder), max_length=3))
    found = encode(_embedded({"en": one, "de": one, "fr": two}), "given").encoders
    assert found["en"] is found["de"]
    assert found["en"] is not found["fr"]


def _embedded(records: dict[str, Any]) -> Any:
    dataset = from_lists(
        dict.fromkeys(records, ITEMS),
        preprocessing=TextPreprocessor(stop_words=False),
        languages=dict.fromkeys(records),
    )
    vectors = {name: np.eye(4, dtype=np.float32) for name in records}
    return dataset.with_embeddings(vectors, order="stored", encoders=records)
