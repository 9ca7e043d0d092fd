"""Runs that are interrupted and resumed, and their checkpoint file."""

import json
import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from octis_m3l.errors import StorageError
from octis_m3l.training import History, resumable
from octis_m3l.training.resumable import CHECKPOINT, ResumableRun, State

RUN = {"model": "toy", "topics": 3, "data": {"en": (22, 9)}}


class Squares(ResumableRun):
    """Keeps the squares of the numbers that it has counted; Ctrl-C or a kill ends it at one."""

    verb: ClassVar[str] = "counting"
    unit: ClassVar[str] = "number"

    def __init__(self, stop_at: int | None = None, kill_at: int | None = None) -> None:
        self.total, self.history = 6, History()
        self.stop_at, self.kill_at, self.calls = stop_at, kill_at, 0
        self.squares = np.zeros(0)

    @property
    def done(self) -> int:
        return len(self.squares)

    def advance(self, bar: Any) -> None:
        """Count one further, and be stopped in the middle of it."""
        self.calls += 1
        self.squares = np.append(self.squares, self.done**2)
        if self.done == self.stop_at:
            self.stop_at = None
            raise KeyboardInterrupt
        if self.done == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        bar.update()

    def state(self) -> State:
        """Return the squares."""
        return {"history": dict(vars(self.history))}, {"squares": self.squares.copy()}

    def restore(self, description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Return to earlier squares."""
        self.squares, self.history = arrays["squares"], History(**description["history"])


def complete(
    one: Squares, folder: Path | None, run: dict[str, Any] | None = None, seconds: float = 0.0
) -> list[float]:
    identity = RUN if run is None else run
    one.complete(folder, identity, checkpoint_seconds=seconds, progress=False)
    return one.squares.tolist()


SQUARES = [0, 1, 4, 9, 16, 25]


@pytest.mark.parametrize("stop_at", [1, 2, 6])
def test_a_resumed_run_continues_where_the_last_state_was(stop_at: int, tmp_path: Path) -> None:
    folder, done = tmp_path / "new" / "run", stop_at - 1
    stopped, resumed, again = Squares(stop_at), Squares(), Squares()
    with pytest.warns(UserWarning, match=rf"^counting was interrupted after {done} of 6 numbers; "):
        assert complete(stopped, folder) == SQUARES[:done]
    assert (folder / CHECKPOINT).exists() == (done > 0)
    assert complete(resumed, folder) == complete(again, folder) == SQUARES
    assert (resumed.calls, again.calls) == (6 - done, 0)
    assert (stopped.history.stopped, resumed.history.stopped) == ("interrupted", "finished")
    assert again.history == resumed.history
    assert resumed.history.seconds > stopped.history.seconds
    assert [path.name for path in folder.iterdir()] == [CHECKPOINT]


def test_without_a_checkpoint_an_interrupted_run_keeps_what_it_has() -> None:
    with pytest.warns(UserWarning, match="of 6 numbers; the model keeps what it has learned so fa"):
        assert complete(Squares(3), None) == SQUARES[:3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_process_is_resumed(tmp_path: Path) -> None:
    if (child := os.fork()) == 0:
        complete(Squares(kill_at=4), tmp_path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    resumed = Squares()
    assert complete(resumed, tmp_path) == SQUARES
    assert resumed.calls == 3


def test_an_interruption_while_writing_leaves_a_complete_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, written = resumable.save_file, []

    def broken(arrays: Any, path: Path, metadata: dict[str, str]) -> None:
        written.append(len(arrays["squares"]))
        if len(written) == 3:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        save(arrays, path, metadata)

    monkeypatch.setattr(resumable, "save_file", broken)
    with pytest.warns(UserWarning, match="interrupted after 3 of 6 numbers"):
        complete(Squares(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    assert complete(Squares(), tmp_path) == SQUARES
    assert written == [1, 2, 3, 3, 4, 5, 6]


def test_checkpoints_are_as_far_apart_as_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    monkeypatch.setattr(resumable, "write_checkpoint", lambda path, *_: written.append(path))
    complete(Squares(), tmp_path, seconds=1e6)
    assert len(written) == 1
    complete(Squares(), None)
    assert len(written) == 1


@pytest.mark.parametrize(
    ("run", "differ"),
    [
        ({**RUN, "topics": 4}, "topics"),
        ({**RUN, "data": {"en": [22, 8]}}, "data"),
        ({"topics": 3, "data": RUN["data"], "more": 1}, "model, more"),
        ({}, "data, model, topics"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(
    run: dict[str, Any], differ: str, tmp_path: Path
) -> None:
    complete(Squares(), tmp_path)
    message = (
        f"{tmp_path / CHECKPOINT} belongs to another run: {differ} differ. Use the settings and "
        "data of that run, another checkpoint folder, or delete the file."
    )
    with pytest.raises(StorageError, match=f"^{re.escape(message)}$"):
        complete(Squares(), tmp_path, run)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    complete(Squares(), tmp_path)
    path = tmp_path / CHECKPOINT
    whole = path.read_bytes()
    with safe_open(path, framework="numpy") as file:
        metadata, arrays = file.metadata(), {"squares": file.get_tensor("squares")}

    def check(reason: str) -> None:
        shown, remedy = re.escape(str(path)), "delete it to start from the beginning"
        message = rf"^{shown} is damaged or incomplete \({reason}\); {remedy}\.$"
        with pytest.raises(StorageError, match=message):
            complete(Squares(), tmp_path)

    for kept in (0, 4, 60, -1):
        path.write_bytes(whole[:kept])
        check(".+")
    save_file({"squares": arrays["squares"] + 1}, path, metadata)
    check("its contents are not what was written")
    save_file(arrays, path, {**metadata, "state": json.dumps({"run": RUN, "history": {}})})
    check("its contents are not what was written")
    for other in (None, {"state": "{}"}, {"other": "1"}):
        save_file(arrays, path, other)
        check(".+")
    # What an earlier or later version may have written.
    resumable.write_checkpoint(path, RUN, {"history": {"cake": 1}}, arrays)
    check(".*cake.*")
    resumable.write_checkpoint(path, RUN, {"history": {}}, {"cubes": arrays["squares"]})
    check("'squares' is missing or unknown")
