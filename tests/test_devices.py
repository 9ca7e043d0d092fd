"""Names of devices."""

import pytest
import torch

from octis_m3l.devices import chosen_device
from octis_m3l.errors import SettingsError


def test_automatic_is_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert chosen_device("auto") == expected
    assert chosen_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["cuda:99", "hpu", "meta", "gpu", "cpu:x"])
def test_a_device_that_holds_nothing_is_refused(name: str) -> None:
    message = rf"^device='{name}' can't be used here \(.+\); use 'cpu', 'auto', or one that torch"
    with pytest.raises(SettingsError, match=message):
        chosen_device(name)
