"""A chain's state, in one file written whole."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from octis_m3l.errors import StorageError
from octis_m3l.files import check_same_run, written_whole
from octis_m3l.sampling.samples import Averages, as_arrays

if TYPE_CHECKING:
    from octis_m3l.sampling.run import Progress

FILE = "checkpoint.safetensors"


def write_checkpoint(
    folder: Path,
    state: Mapping[str, NDArray[Any]],
    averages: Averages,
    history: "Progress",
    run: Mapping[str, Any],
) -> None:
    """Write a chain's state.

    Parameters
    ----------
    folder : Path
        Holds the one file.
    state : mapping of str to array
        As `Chain.state`.
    averages : Averages
        Samples so far.
    history : Progress
        What has happened.
    run : mapping
        What run this is, as JSON can hold it.
    """
    arrays = {
        **state,
        **as_arrays(averages.samples),
        "sum/document_topics": averages.document_topics,
    }
    described = {"run": dict(run), "samples": len(averages.samples), "history": vars(history)}
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / FILE) as temporary:
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()},
            temporary,
            metadata={"state": json.dumps(described)},
        )


def read_checkpoint(
    folder: Path, run: Mapping[str, Any]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    """Return a chain's arrays and what is said of them, if there is a checkpoint.

    Parameters
    ----------
    folder : Path
        Where `write_checkpoint` wrote.
    run : mapping
        What run this is; a checkpoint of another is refused.

    Raises
    ------
    StorageError
        If the file is truncated, foreign, or of a run with other settings or data.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            described: dict[str, Any] = json.loads((file.metadata() or {})["state"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError, OSError) as error:
        raise StorageError(
            f"{path} is no whole checkpoint ({error}); delete it to start from the beginning."
        ) from None
    check_same_run(path, described.get("run", {}), run)
    return arrays, described
