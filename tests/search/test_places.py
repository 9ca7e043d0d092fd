"""Where runs are done, and what is left of a search whose process is killed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from octis_m3l import Optimizer
from octis_m3l.devices import check_device_name, each_device
from octis_m3l.errors import SettingsError, StorageError
from octis_m3l.search import Job, OnRay, Processes
from octis_m3l.search.placing import place

from .test_optimizer import FIRST, course
from .toy import SPACE, TOYS, Data, Height, Hill


class Slow(Hill):
    """Says which process it is in, and takes a while until a file ``go`` is there."""

    def train_model(
        self, dataset: Any, hyperparameters: dict[str, Any], top_words: int = 10
    ) -> dict[str, Any]:
        self.hyperparameters.update(hyperparameters)
        where = Path(self.hyperparameters["trouble"])
        (where / f"{os.getpid()}.pid").touch()
        while not (where / "go").exists():
            time.sleep(0.05)
        return super().train_model(dataset, {**hyperparameters, "trouble": ""}, top_words)


def slowly(folder: Path, trouble: Path, **changes: Any) -> Any:
    model = Slow()
    model.hyperparameters["trouble"] = str(trouble)
    arguments = {**FIRST, "save_path": f"{folder}/", "save_models": False, **changes}
    return Optimizer().optimize(model, Data(), Height(), SPACE, **arguments)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from search.test_places import slowly
slowly(Path({folder!r}), Path({trouble!r}), processes=2)
"""


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{number}/stat")
    return not state.exists() or ") Z " not in state.read_text()


def until(what: Callable[[], bool], seconds: float = 300.0) -> None:
    """Wait for something that must happen."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform == "win32", reason="processes there have no parent to watch")
def test_a_killed_search_leaves_nobody_at_work_and_goes_on(tmp_path: Path) -> None:
    trouble = tmp_path / "trouble"
    trouble.mkdir()
    script = SCRIPT.format(
        tests=str(Path(__file__).parents[1]), folder=str(tmp_path / "s"), trouble=str(trouble)
    )
    file = tmp_path / "s" / "result.json"
    with subprocess.Popen([sys.executable, "-c", script]) as first:
        try:
            until(lambda: first.poll() is not None or len(list(trouble.glob("*.pid"))) == 2)
            workers = [int(path.stem) for path in trouble.glob("*.pid")]
            assert len(workers) == 2
            assert all(map(alive, workers))
            with pytest.raises(StorageError, match=r"another process is at work on .*result\.json"):
                Optimizer().resume_optimization(file, dataset=Data(), classes=TOYS)
        finally:
            first.kill()
    until(lambda: not any(map(alive, workers)))
    assert json.loads(file.with_name("result.runs.json").read_text())["runs"] == []
    (trouble / "go").touch()
    whole = slowly(tmp_path / "whole", trouble)
    again = Optimizer().resume_optimization(file, dataset=Data(), classes=[Slow, Height])
    assert course(again) == course(whole)


def test_two_searches_do_not_begin_in_one_file(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / ".result.json.lock"),
        pytest.raises(StorageError, match="another process is at work on"),
    ):
        slowly(tmp_path, tmp_path)


def test_devices_that_are_not_here() -> None:
    check_device_name("auto")
    check_device_name("cpu")
    with pytest.raises(SettingsError, match=r"device='cdua' is none that torch knows; use 'cpu'"):
        check_device_name("cdua")
    there = torch.cuda.device_count()
    with pytest.raises(SettingsError, match=rf"'cuda:{there}' is not here: torch sees {there} CUD"):
        check_device_name(f"cuda:{there}")


def test_a_wrong_device_is_said_before_any_run(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="device='cdua'"):
        slowly(tmp_path / "s", tmp_path, device="cdua")
    assert not (tmp_path / "s").exists()
    assert not list(tmp_path.glob("*.pid"))


def test_every_card_has_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    cards = ["cuda:0", "cuda:1", "cuda:2"]
    assert each_device(["cuda"], 1) == ["cuda"]
    assert each_device(["cuda"], 2) == each_device(["auto"], 4) == cards
    assert each_device(["cuda:1"], 4) == ["cuda:1"]
    job = Job(Hill(), Data(), [Height()])
    at = place(1, ["cuda:0", "cuda:2"], 1)
    executor: Any = at.executor_for(job)
    assert at.device is None
    assert executor.slots == ["cuda:0", "cuda:2"], "as many processes as cards"
    assert place(6, "cuda", 1).devices == tuple(cards)
    assert place(1, "cuda:1", 1).device == "cuda:1"


def test_executors_give_out_devices_themselves() -> None:
    with pytest.raises(SettingsError, match=r"an executor gives out devices itself \(OnRay: gpus"):
        place(1, ["cuda:0", "cuda:1"], 1, partial(OnRay, workers=2))
    with pytest.raises(SettingsError, match="expected a function from a job to an executor"):
        place(1, None, 1, "ray")
    job = Job(Hill(), Data(), [Height()])
    assert isinstance(place(1, None, 1, partial(Processes, count=1)).executor_for(job), Processes)
