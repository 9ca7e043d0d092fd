"""A run's state after an epoch, in one file written whole."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn, optim

from octis_m3l.errors import StorageError
from octis_m3l.files import check_same_run, written_whole

FILE = "checkpoint.safetensors"


def write_checkpoint(
    folder: Path,
    network: nn.Module,
    optimizer: optim.Optimizer,
    best: Mapping[str, Tensor] | None,
    state: Mapping[str, Any],
) -> None:
    """Write a run's state.

    Parameters
    ----------
    folder : Path
        Holds the one file.
    network, optimizer
        What is trained, and by what.
    best : mapping of str to Tensor, or None
        The weights of the best epoch so far.
    state : mapping
        JSON-serialisable: epoch, history, what run this is.
    """
    tensors = {f"network/{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in (best or {}).items()}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer/{number}/{name}": torch.as_tensor(value) for name, value in values.items()
        }
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / FILE) as temporary:
        save_file(tensors, temporary, metadata={"state": json.dumps(state)})


def read_checkpoint(
    folder: Path, network: nn.Module, optimizer: optim.Optimizer, run: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Tensor] | None] | None:
    """Restore a run's state, if there is one.

    Parameters
    ----------
    folder : Path
        Where `write_checkpoint` wrote.
    network, optimizer
        Restored in place.
    run : mapping
        What run this is; a checkpoint of another is refused.

    Returns
    -------
    (state, best weights) or None

    Raises
    ------
    StorageError
        If the file is truncated, foreign, or of a run with other settings or data.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            state: dict[str, Any] = json.loads((file.metadata() or {})["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError, OSError) as error:
        raise StorageError(
            f"{path} is no whole checkpoint ({error}); delete it to start from the beginning."
        ) from None
    check_same_run(path, state.get("run", {}), run)
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
