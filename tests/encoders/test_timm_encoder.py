"""Backbones of timm as encoders."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import cached_on_hub, offline, write_timm_weights

from octis_m3l.encoders import TimmEncoder, load_encoder, save_encoder
from octis_m3l.errors import DataError, MissingDependencyError, SettingsError

assert offline
RANDOM = np.random.default_rng(0)
PICTURES = [RANDOM.integers(0, 256, (60 + i, 90 - i, 3), dtype=np.uint8) for i in range(5)]
NETWORK = "test_resnet"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_timm_weights(tmp_path_factory.mktemp("timm") / "mine.safetensors", NETWORK)


def by_library(weights: Path) -> Any:
    import timm
    from safetensors.torch import load_file

    network = timm.create_model(NETWORK, num_classes=0).eval()
    network.load_state_dict({n: t for n, t in load_file(weights).items() if "fc." not in n})
    settings = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**settings, is_training=False)
    with torch.no_grad():
        return network(torch.stack([transform(Image.fromarray(one)) for one in PICTURES])).numpy()


def test_vectors_are_the_librarys(weights: Path) -> None:
    encoder = TimmEncoder(NETWORK, weights=str(weights), batch_size=2)
    assert encoder.name == "test_resnet-mine"
    assert "_loaded" not in vars(encoder)
    found = encoder.encode(PICTURES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_library(weights), atol=1e-4)
    assert encoder.dimensions == found.shape[1]
    assert encoder.encode([]).shape == (0, found.shape[1])
    unit = TimmEncoder(NETWORK, weights=str(weights), normalise=True)
    assert unit.dimensions == found.shape[1]
    np.testing.assert_allclose(np.linalg.norm(unit.encode(PICTURES), axis=1), 1, atol=1e-5)


def test_half_precision_gives_float32_again(weights: Path) -> None:
    half = TimmEncoder(NETWORK, weights=str(weights), precision="bfloat16").encode(PICTURES)
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, by_library(weights), atol=0.1)


def test_saved_and_loaded_it_gives_the_same(weights: Path, tmp_path: Path) -> None:
    encoder = TimmEncoder(NETWORK, weights=str(weights))
    wanted = encoder.encode(PICTURES)
    save_encoder(encoder, tmp_path)
    found = load_encoder(tmp_path)
    assert isinstance(found, TimmEncoder)
    assert found.dimensions == wanted.shape[1]
    assert "_loaded" not in vars(found)
    assert found.fingerprint() == encoder.fingerprint()
    np.testing.assert_array_equal(found.encode(PICTURES), wanted)


def test_weights_in_the_cache_of_the_hub_are_used_at_their_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = cached_on_hub(tmp_path, "timm/test_resnet.r160_in1k", commit)
    weights = write_timm_weights(snapshot / "model.safetensors", NETWORK, classes=1000)
    for name in (NETWORK, f"{NETWORK}.r160_in1k"):
        encoder = TimmEncoder(name)
        np.testing.assert_allclose(encoder.encode(PICTURES), by_library(weights), atol=1e-4)
        before = TimmEncoder(name).fingerprint()
        (tmp_path / "models--timm--test_resnet.r160_in1k" / "refs" / "main").write_text("1" * 40)
        assert TimmEncoder(name).fingerprint() != before
        (tmp_path / "models--timm--test_resnet.r160_in1k" / "refs" / "main").write_text(commit)


def test_fingerprints_tell_what_decides_vectors(weights: Path, tmp_path: Path) -> None:
    base = TimmEncoder(NETWORK, weights=str(weights)).fingerprint()
    assert TimmEncoder(NETWORK, weights=str(weights), batch_size=1).fingerprint() == base
    other = write_timm_weights(tmp_path / "mine.safetensors", NETWORK, seed=1)
    others = [
        TimmEncoder(NETWORK, weights=str(other)),
        TimmEncoder("test_vit", weights=str(weights)),
        TimmEncoder(NETWORK, weights=str(weights), normalise=True),
        TimmEncoder(NETWORK, weights=str(weights), precision="bfloat16"),
    ]
    assert len({base, *(one.fingerprint() for one in others)}) == 5


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("test_resnt", SettingsError, "unknown network 'test_resnt'; did you mean test_resnet"),
        ("test_resnet.r161", SettingsError, "timm has no weights 'r161' of test_resnet. Did you m"),
        ("hf-hub:timm/a", SettingsError, "'hf-hub:timm/a': give a network that timm knows, not wh"),
        (
            NETWORK,
            DataError,
            "the model 'timm/test_resnet.r160_in1k' can't be loaded: the network can't ",
        ),
    ],
)
def test_what_cannot_be_loaded_is_an_error(
    model: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    for attempt in (lambda: TimmEncoder(model).encode(PICTURES), TimmEncoder(model).fingerprint):
        with pytest.raises(error, match=f"^{re.escape(message)}"):
            attempt()


def test_weights_of_another_network_are_an_error(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=rf"^{weights} holds weights of another network: .+ are mis"
    ):
        TimmEncoder("test_vit", weights=str(weights)).encode(PICTURES)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(
        DataError, match=rf"^the weights {broken} of timm model 'test_resnet' can't"
    ):
        TimmEncoder(NETWORK, weights=str(broken)).encode(PICTURES)
    gone = tmp_path / "gone.safetensors"
    with pytest.raises(DataError, match=f"^weights='{gone}': there is no such file or folder"):
        TimmEncoder(NETWORK, weights=str(gone)).encode(PICTURES)


def test_a_picture_that_overflows_is_named(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = TimmEncoder(NETWORK, weights=str(weights), batch_size=2)
    right = encoder._run

    def overflowing(items: Any, rows: Any) -> Any:
        found = right(items, rows)
        found[rows == 3] = np.nan
        return found

    monkeypatch.setattr(encoder, "_run", overflowing)
    message = (
        "the vector of picture 3 is not finite; look at that picture, and whether the model's "
        "weights are whole."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        encoder.encode(PICTURES)


def test_without_timm_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    message = (
        "this encoder needs the package timm, which is not installed. Install it with: "
        'pip install "octis-m3l[images]".'
    )
    with pytest.raises(MissingDependencyError, match=f"^{re.escape(message)}$"):
        TimmEncoder(NETWORK).encode(PICTURES)
