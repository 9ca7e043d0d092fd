"""Models of model2vec as encoders."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import cached_on_hub, link_all, offline, write_static_model

from octis_m3l.encoders import StaticEncoder, load_encoder, save_encoder
from octis_m3l.errors import DataError, MissingDependencyError, SettingsError

assert offline
TEXTS = ["boat", "sea wave boat " * 300, "snow unheard peak", "unheard", "brot ofen"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_static_model(tmp_path_factory.mktemp("static") / "tiny")


@pytest.fixture(scope="module")
def library(folder: Path) -> Any:
    from model2vec import StaticModel

    return StaticModel.from_pretrained(folder)


def test_vectors_are_the_librarys(folder: Path, library: Any) -> None:
    encoder = StaticEncoder(str(folder))
    assert encoder.name == "tiny"
    assert "_loaded" not in vars(encoder)
    assert encoder.dimensions == 8
    found = encoder.encode(TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, library.encode(TEXTS))
    assert not found[3].any()
    assert encoder.encode([]).shape == (0, 8)


def test_vectors_are_means_of_the_tokens_that_are_read(folder: Path, library: Any) -> None:
    vectors = dict(zip(library.tokens, library.embedding, strict=True))
    found = StaticEncoder(str(folder), max_length=2).encode(["boat sea snow", "boat sea"])
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0], (vectors["boat"] + vectors["sea"]) / 2, atol=1e-6)
    whole = StaticEncoder(str(folder), max_length=None).encode(["boat " * 600 + "sea " * 600])
    np.testing.assert_allclose(whole[0], (vectors["boat"] + vectors["sea"]) / 2, atol=1e-5)


def test_vectors_may_be_of_length_one(folder: Path) -> None:
    found = StaticEncoder(str(folder), normalise=True).encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 1, 1, 0, 1], atol=1e-6)


def test_saved_and_loaded_it_gives_the_same(folder: Path, tmp_path: Path) -> None:
    encoder = StaticEncoder(str(folder), max_length=7, normalise=True)
    wanted = encoder.encode(TEXTS)
    save_encoder(encoder, tmp_path)
    found = load_encoder(tmp_path)
    assert isinstance(found, StaticEncoder)
    assert found.dimensions == 8
    assert "_loaded" not in vars(found)
    assert found.fingerprint() == encoder.fingerprint()
    np.testing.assert_array_equal(found.encode(TEXTS), wanted)


def test_fingerprints_tell_what_decides_vectors(folder: Path, tmp_path: Path) -> None:
    base = StaticEncoder(str(folder)).fingerprint()
    assert StaticEncoder(str(folder), progress=True).fingerprint() == base
    other = write_static_model(tmp_path / "other", seed=1)
    assert (other / "config.json").read_text() == (folder / "config.json").read_text()
    others = [
        StaticEncoder(str(folder), max_length=7),
        StaticEncoder(str(folder), max_length=None),
        StaticEncoder(str(folder), normalise=True),
        StaticEncoder(str(other)),
    ]
    assert len({base, *(one.fingerprint() for one in others)}) == 5


def test_a_model_in_the_cache_of_the_hub_is_used_at_its_commit(
    folder: Path, library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    old, new = "0" * 39 + "1", "0" * 39 + "2"
    write_static_model(tmp_path / "new", seed=1)
    link_all(folder, cached_on_hub(tmp_path, "some/model", old))
    snapshots = tmp_path / "models--some--model" / "snapshots"
    link_all(tmp_path / "new", snapshots / new)
    encoder = StaticEncoder("some/model")
    np.testing.assert_array_equal(encoder.encode(TEXTS), library.encode(TEXTS))
    assert encoder.state()[1]["revision"] == old
    later = StaticEncoder("some/model", revision=new)
    assert not np.allclose(later.encode(TEXTS[:1]), encoder.encode(TEXTS[:1]))
    assert later.fingerprint() != encoder.fingerprint()


def test_what_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^the model 'some/model' can't be loaded: the network"):
        StaticEncoder("some/model").encode(TEXTS)
    with pytest.raises(DataError, match=rf"^the model2vec model '{tmp_path}' can't be loaded \("):
        StaticEncoder(str(tmp_path)).encode(TEXTS)
    with pytest.raises(DataError, match=r"^text 0 is empty"):
        StaticEncoder("some/model").encode([""])
    with pytest.raises(SettingsError, match=r"^model='' names no model; give a name or a path\.$"):
        StaticEncoder("")


def test_without_model2vec_it_says_how_to_install_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model2vec", None)
    message = (
        "this encoder needs the package model2vec, which is not installed. Install it with: "
        'pip install "octis-m3l[static]".'
    )
    with pytest.raises(MissingDependencyError, match=f"^{re.escape(message)}$"):
        StaticEncoder(str(folder)).encode(TEXTS)
