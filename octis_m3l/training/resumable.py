"""Runs that can be interrupted and resumed: history, checkpoint file, progress bar and Ctrl-C."""

import json
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file
from tqdm.auto import tqdm

from octis_m3l.data.arrays import hash_of
from octis_m3l.errors import OtherRunError, warn
from octis_m3l.files import damage_errors, remove_unfinished, written_whole

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"
_REMEDY = "delete it to start from the beginning"

State = tuple[dict[str, Any], dict[str, NDArray[Any]]]
"""What a run is resumed from: a description that JSON can hold, and arrays."""


@dataclass
class History:
    """How a run went.

    Parameters
    ----------
    epochs : list of dict
        Of networks: the mean of each term of the loss over an epoch's items, and 'validation' and
        'score' where they were measured. Of samplers: 'log-likelihood' per token after every 50
        sweeps.
    best_epoch : int or None
        The epoch, from 0, whose weights the network has; None: the last.
    stopped : {'finished', 'early', 'interrupted'}
        Why the run ended.
    seconds : float
        Wall-clock time, including the time before an interruption.
    untrained : float or None
        The loss of the first batch before any step.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int | None = None
    stopped: str = "finished"
    seconds: float = 0.0
    untrained: float | None = None


class ResumableRun(ABC):
    """A computation in steps that Ctrl-C may end after any of them and a checkpoint continues."""

    verb: ClassVar[str]
    unit: ClassVar[str]
    total: int
    history: History

    @property
    @abstractmethod
    def done(self) -> int:
        """How many of `total` units are done."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.done >= self.total

    @abstractmethod
    def advance(self, bar: "tqdm[Any]") -> None:
        """Compute up to the next state that the run can be resumed from."""

    @abstractmethod
    def state(self) -> State:
        """Return a copy of the state to resume from."""

    @abstractmethod
    def restore(self, description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Return to a state."""

    def complete(
        self,
        checkpoint: Path | None,
        identity: Mapping[str, Any],
        *,
        checkpoint_seconds: float,
        progress: bool,
    ) -> None:
        """Run to the end or until Ctrl-C, from the checkpoint if the folder has one.

        After Ctrl-C a run with a checkpoint returns to the last state that it can resume from. The
        identity (settings, data) guards against resuming from the checkpoint of a different run.
        """
        path = None if checkpoint is None else checkpoint / CHECKPOINT
        if path is not None and (found := read_checkpoint(path, identity)) is not None:
            with damage_errors(path, _REMEDY):
                self.restore(*found)
            logger.info("resumed after %d %ss", self.done, self.unit)
        latest = None if path is None else self.state()
        written = time.monotonic()
        started = written - self.history.seconds
        shown: dict[str, Any] = {"desc": self.verb, "unit": self.unit, "disable": not progress}
        with tqdm(total=self.total, initial=self.done, **shown) as bar:
            try:
                while not self.finished:
                    self.advance(bar)
                    self.history.seconds = time.monotonic() - started
                    if path is None:
                        continue
                    latest = self.state()
                    if self.finished or time.monotonic() - written >= checkpoint_seconds:
                        write_checkpoint(path, identity, *latest)
                        written = time.monotonic()
            except KeyboardInterrupt:
                self.history.seconds = time.monotonic() - started
                if path is not None and latest is not None:
                    self.restore(*latest)
                    if self.done:
                        write_checkpoint(path, identity, *latest)
                self.history.stopped = "interrupted"
                warn(
                    f"{self.verb} was interrupted after {self.done} of {self.total} {self.unit}s; "
                    "the model keeps what it has learned so far."
                )


def write_checkpoint(
    path: Path,
    identity: Mapping[str, Any],
    description: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
) -> None:
    """Write a run's identity and state into one file, with a hash of everything."""
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    described = json.dumps({"run": dict(identity), **description})
    hashed = _sha256(described, contiguous)
    with written_whole(path) as temporary:
        save_file(contiguous, temporary, {"state": described, "sha256": hashed})


def read_checkpoint(path: Path, identity: Mapping[str, Any]) -> State | None:
    """Return the state that `write_checkpoint` wrote for this run; None if there is no file."""
    remove_unfinished(path.parent)
    if not path.exists():
        return None
    with damage_errors(path, _REMEDY):
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata["sha256"] != _sha256(metadata["state"], arrays):
            raise ValueError("its contents are not what was written")
        description: dict[str, Any] = json.loads(metadata["state"])
        stored, wanted = description.pop("run"), json.loads(json.dumps(dict(identity)))
        differing = sorted(k for k in {*stored, *wanted} if stored.get(k) != wanted.get(k))
    if differing:
        raise OtherRunError(
            f"{path} belongs to another run: {', '.join(differing)} differ. Use the settings and "
            "data of that run, another checkpoint folder, or delete the file."
        )
    return description, arrays


def _sha256(description: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    parts: list[Any] = [description]
    for name, array in sorted(arrays.items()):
        parts += [f"\n{name} {array.dtype} {array.shape}\n", array]
    return hash_of(parts)
