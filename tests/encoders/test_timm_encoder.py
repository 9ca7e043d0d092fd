"""Networks of timm as encoders: which ones are known, and where their weights come from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_pretrained import PICTURES, by_timm
from tiny_models import HubModel, raises, write_timm_weights

from octis_m3l.encoders import TimmEncoder
from octis_m3l.errors import DataError, SettingsError

NETWORK = "test_resnet"


def test_weights_in_the_cache_of_the_hub_are_used_at_their_commit(on_hub: HubModel) -> None:
    snapshot = on_hub("timm/test_resnet.r160_in1k", "0" * 40)
    weights = write_timm_weights(snapshot / "model.safetensors", NETWORK, classes=1000)
    for name in (NETWORK, f"{NETWORK}.r160_in1k"):
        np.testing.assert_allclose(TimmEncoder(name).encode(PICTURES), by_timm(weights), atol=1e-4)
    before = TimmEncoder(NETWORK).fingerprint()
    on_hub("timm/test_resnet.r160_in1k", "1" * 40)
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
    raises(error, message, TimmEncoder(model).encode, PICTURES)
    raises(error, message, TimmEncoder(model).fingerprint)


def test_weights_of_another_network_are_an_error(tmp_path: Path) -> None:
    def refused(network: str, weights: Path, message: str) -> None:
        raises(DataError, message, TimmEncoder(network, weights=str(weights)).encode, PICTURES)

    weights = write_timm_weights(tmp_path / "mine.safetensors", NETWORK)
    refused("test_vit", weights, f"{weights} holds weights of another network: ")
    weights.write_bytes(weights.read_bytes()[:-10])
    refused(
        NETWORK, weights, f"the timm model '{NETWORK}' with the weights '{weights}' can't be loaded"
    )
    gone = tmp_path / "gone.safetensors"
    refused(NETWORK, gone, f"weights='{gone}': there is no such file or folder")
