"""Encoders written and read again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import raises, write_static_model

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
    found: Any = load_encoder(tmp_path / "new" / "one")
    assert isinstance(found, LatentSemanticEncoder)
    for name in ("name", "vocabulary", "preprocessor"):
        assert getattr(found, name) == getattr(fitted, name)
    for name in ("idf", "components"):
        assert getattr(found, name).dtype == getattr(fitted, name).dtype == np.float32
        np.testing.assert_array_equal(getattr(found, name), getattr(fitted, name))
    texts = [*TEXTS["de"], "Blaue Züge!", ""]
    np.testing.assert_array_equal(found.encode(texts), fitted.encode(texts))
    save_encoder(PictureEncoder(), tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["encoder.json"]
    assert load_encoder(tmp_path) == PictureEncoder()


@pytest.mark.parametrize("kept", [0, 5, 100, -1, None])
def test_damaged_and_missing_files_are_errors(
    fitted: LatentSemanticEncoder, tmp_path: Path, kept: int | None
) -> None:
    save_encoder(fitted, tmp_path)
    arrays = tmp_path / "encoder.safetensors"
    content = arrays.read_bytes()
    arrays.unlink()
    if kept is not None:
        arrays.write_bytes(content[:kept])
    raises(StorageError, f"{tmp_path} is damaged or incomplete (", load_encoder, tmp_path)
    settings = tmp_path / "encoder.json"
    settings.unlink()
    raises(StorageError, f"{settings} is missing: the folder is", load_encoder, tmp_path)


def test_an_unknown_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "encoder.json").write_text('{"kind": "neural"}')
    message = (
        f"the encoder in {tmp_path} is of the unknown kind 'neural' (known: e5, joined, "
        "latent-semantic, model2vec, open-clip, picture, sentence-transformers, timm, use); was it "
        "written by a newer version?"
    )
    raises(StorageError, message, load_encoder, tmp_path)


def test_your_own_tokenizer_must_be_passed_again(
    fitted: LatentSemanticEncoder, tmp_path: Path
) -> None:
    own = replace(fitted, preprocessor=replace(fitted.preprocessor, tokenizer=str.split))
    save_encoder(own, tmp_path)
    found: Any = load_encoder(tmp_path)
    with pytest.raises(ValueError, match="Pass it again"):
        found.encode(["blaue boote"])
    again = found.with_tokenizer(str.split).encode(["blaue boote"])
    np.testing.assert_array_equal(again, own.encode(["blaue boote"]))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"kind": "neural", "settings": {}}, "it is of the unknown kind 'neural'"),
        (
            {"kind": "model2vec", "settings": {"model": "a/b", "heads": 3}},
            "it has an impossible setting: StaticEncoder: unknown setting 'heads'.",
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
    with pytest.warns(UserWarning, match=message):
        assert "en" not in encode(_embedded({"en": record}), "given").encoders


def test_views_of_one_encoder_share_it(tmp_path: Path) -> None:
    folder = write_static_model(tmp_path / "tiny")
    encoder = StaticEncoder(str(folder))
    encoder.encode(ITEMS)
    one, two = described(encoder), described(StaticEncoder(str(folder), max_length=3))
    found = encode(_embedded({"en": one, "de": one, "fr": two}), "given").encoders
    assert found["en"] is found["de"]
    assert found["en"] is not found["fr"]


def _embedded(records: dict[str, Any]) -> Any:
    columns = dict.fromkeys(records, ITEMS)
    dataset = from_lists(
        columns, preprocessing=TextPreprocessor(stop_words=False), languages=dict.fromkeys(columns)
    )
    vectors = dict.fromkeys(records, np.eye(4, dtype=np.float32))
    return dataset.with_embeddings(vectors, order="stored", encoders=records)
