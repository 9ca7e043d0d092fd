"""A chain's state, in one file written whole."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.files import checkpoint_errors, read_checkpoint_file, write_checkpoint_file
from octis_m3l.sampling.chain import Chain
from octis_m3l.sampling.progress import Progress
from octis_m3l.sampling.samples import Averages, as_arrays, from_arrays

FILE = "checkpoint.safetensors"
_SUM = "sum/document_topics"


def write_checkpoint(
    folder: Path,
    state: Mapping[str, NDArray[Any]],
    averages: Averages,
    history: Progress,
    run: Mapping[str, Any],
) -> None:
    """Write a chain's state."""
    arrays = {**state, **as_arrays(averages.samples)}
    if averages.samples:
        arrays[_SUM] = averages.document_topics
    described = {"run": dict(run), "samples": len(averages.samples), "history": vars(history)}
    write_checkpoint_file(folder / FILE, arrays, described)


def read_checkpoint(
    folder: Path, run: Mapping[str, Any], chain: Chain
) -> tuple[Averages, Progress] | None:
    """Bring a chain where a checkpoint left it, if there is one."""
    found = read_checkpoint_file(folder / FILE, run)
    if found is None:
        return None
    described, arrays = found
    with checkpoint_errors(folder / FILE):
        samples = from_arrays(arrays, described["samples"], len(chain.corpus.languages))
        shape = len(chain.corpus), len(chain.alpha)
        theta = arrays[_SUM] if samples else np.zeros(shape, np.float32)
        if theta.shape != shape:
            raise ValueError(f"{_SUM} has the shape {theta.shape}")
        history = Progress(**described["history"])
        chain.restore(arrays)
    return Averages(samples, theta), history
