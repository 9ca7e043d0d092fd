"""A run's state after an epoch, in one file written whole."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn, optim

from octis_m3l.files import checkpoint_errors, read_checkpoint_file, write_checkpoint_file

FILE = "checkpoint.safetensors"


def write_checkpoint(
    folder: Path,
    network: nn.Module,
    optimizer: optim.Optimizer,
    best: Mapping[str, Tensor] | None,
    state: Mapping[str, Any],
) -> None:
    """Write a run's state."""
    tensors = {f"network/{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in (best or {}).items()}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer/{number}/{name}": torch.as_tensor(value) for name, value in values.items()
        }
    arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
    write_checkpoint_file(folder / FILE, arrays, state)


def read_checkpoint(
    folder: Path, network: nn.Module, optimizer: optim.Optimizer, run: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Tensor] | None] | None:
    """Restore a run's state, if there is one."""
    found = read_checkpoint_file(folder / FILE, run)
    if found is None:
        return None
    state, arrays = found
    tensors = {name: torch.tensor(array) for name, array in arrays.items()}
    with checkpoint_errors(folder / FILE):
        network.load_state_dict(_part(tensors, "network/"))
        restored: dict[int, dict[str, Tensor]] = {}
        for name, value in _part(tensors, "optimizer/").items():
            number, _, key = name.partition("/")
            restored.setdefault(int(number), {})[key] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": restored, "param_groups": groups})
    return state, _part(tensors, "best/") or None


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
