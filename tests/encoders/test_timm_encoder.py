"""Networks of timm as encoders: which ones are known, and where their weights come from."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_pretrained import PICTURES, by_timm
from tiny_models import cached_on_hub, offline, write_timm_weights

from octis_m3l.encoders import TimmEncoder
from octis_m3l.errors import DataError, SettingsError

assert offline
NETWORK = "test_resnet"


def test_weights_in_the_cache_of_the_hub_are_used_at_their_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = cached_on_hub(tmp_path, "timm/test_resnet.r160_in1k", commit)
    weights = write_timm_weights(snapshot / "model.safetensors", NETWORK, classes=1000)
    for name in (NETWORK, f"{NETWORK}.r160_in1k"):
        np.testing.assert_allclose(TimmEncoder(name).encode(PICTURES), by_timm(weights), atol=1e-4)
    before = TimmEncoder(NETWORK).fingerprint()
    snapshot.with_name("1" * 40).mkdir()
    (tmp_path / "models--timm--test_resnet.r160_in1k" / "refs" / "main").write_text("1" * 40)
    assert TimmEncoder(NETWORK).fingerprint() != before


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("test_resnt", SettingsError, "unknown network 'test_resnt'; did you mean test_resnet"),
        ("test_resnet.r161", SettingsError, "timm has no weights 'r161' of test_resnet. Did you m"),
        ("hf-hub:timm/a", SettingsError, "'hf-hub:timm/a': give a network that timm knows, not it"),
        (NETWORK, DataError, "the timm model 'timm/test_resnet.r160_in1k' can't be loaded ("),
    ],
)
def test_what_cannot_be_loaded_is_an_error(model: str, error: Any, message: str) -> None:
    for attempt in (lambda: TimmEncoder(model).encode(PICTURES), TimmEncoder(model).fingerprint):
        with pytest.raises(error, match=f"^{re.escape(message)}"):
            attempt()


def test_weights_of_another_network_are_an_error(tmp_path: Path) -> None:
    weights = write_timm_weights(tmp_path / "mine.safetensors", NETWORK)
    message = rf"^{weights} holds weights of another network: .+ are missing, superfluous or of an"
    with pytest.raises(DataError, match=message):
        TimmEncoder("test_vit", weights=str(weights)).encode(PICTURES)
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(
        DataError, match=rf"^the timm model '{NETWORK}' with weights='{weights}' can'"
    ):
        TimmEncoder(NETWORK, weights=str(weights)).encode(PICTURES)
    gone = tmp_path / "gone.safetensors"
    with pytest.raises(DataError, match=f"^weights='{gone}': there is no such file or folder"):
        TimmEncoder(NETWORK, weights=str(gone)).encode(PICTURES)
