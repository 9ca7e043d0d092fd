"""Modules by view, whatever the view is called."""

import pytest
import torch
from torch import nn

from octis_m3l.networks import ViewModules


@pytest.mark.parametrize("name", ["half", "to", "items", "type", "train", "en", "0", "a-b"])
def test_any_view_name_will_do(name: str) -> None:
    modules = ViewModules({name: nn.Linear(2, 3), "other": nn.Linear(2, 3)})
    again = ViewModules({name: nn.Linear(2, 3), "other": nn.Linear(2, 3)})
    again.load_state_dict(modules.state_dict())
    assert list(modules) == [name, "other"]
    assert torch.equal(modules[name].weight, again[name].weight)  # type: ignore[arg-type]
    assert len(list(modules.parameters())) == 4
    modules.to(torch.float64).eval()
    assert modules[name].weight.dtype == torch.float64
