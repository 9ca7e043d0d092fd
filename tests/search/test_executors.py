"""Where runs are executed, and what is left of a search whose process is killed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from octis_m3l import Optimizer
from octis_m3l.devices import check_device_name, each_device
from octis_m3l.errors import SettingsError, StorageError
from octis_m3l.search import Job, OnRay, Outcome, Task, executors
from octis_m3l.search.executors import Place, Processes

from .toy import TOYS, Data, Height, Hill, course, searched


class Reporting(Job):
    """Reports the process and the device of each run, once all devices are in use."""

    def do(self, task: Task) -> Outcome:
        folder = Path(self.dataset)
        (folder / str(task.device)).touch()
        until(lambda: len(list(folder.iterdir())) == 2)
        return Outcome(task.call, task.run, task.seed, [float(os.getpid())], error=task.device)


def test_each_process_has_a_device_and_ends_with_the_search(tmp_path: Path) -> None:
    model: Any = Hill()
    # joblib passes an array of this size in a file, of which nothing must be left.
    model.large = np.zeros(2**18)
    job = Reporting(model, str(tmp_path), [Height()])
    with Processes(job, 2, devices=["first", "second"]) as executor:
        found = list(executor.outcomes([Task(call, 0, {}, 1) for call in range(8)]))
        workers = {int(outcome.scores[0]): outcome.error for outcome in found if outcome.scores}
        assert all(map(alive, workers))
    assert sorted(outcome.call for outcome in found) == list(range(8))
    assert sorted(map(str, workers.values())) == ["first", "second"]
    assert all(outcome.error == workers[int(outcome.scores[0])] for outcome in found)  # type: ignore[index]
    until(lambda: not any(map(alive, workers)))
    files = f"joblib_memmapping_folder_{os.getpid()}_*/*"
    assert not [*Path("/dev/shm").glob(files), *Path(gettempdir()).glob(files)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:call .* the search goes on")
def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one = searched(tmp_path / "one", tmp_path / "other", number_of_call=3)
    (tmp_path / "kill").touch()
    two = searched(tmp_path / "two", tmp_path, processes=2, number_of_call=3)
    assert not (tmp_path / "kill").exists()
    assert course(two) == course(one)


class Deadly(Hill):
    """Kills its process below x = .2, after a while in which another run has begun."""

    def train_model(
        self, dataset: Any, hyperparameters: dict[str, Any], top_words: int = 10
    ) -> dict[str, Any]:
        time.sleep(0.5)
        if hyperparameters["x"] < 0.2:
            os.kill(os.getpid(), 9)
        time.sleep(0.5)
        return super().train_model(dataset, hyperparameters, top_words)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "ATTEMPTS", 1)
    with Processes(Job(Deadly(), Data(), [Height()]), 2) as executor:
        tasks = [Task(call, 0, {"x": x}, 1) for call, x in enumerate((0.1, 0.5))]
        outcomes = {outcome.call: outcome for outcome in executor.outcomes(tasks)}
    assert outcomes[0].scores is None
    assert "its process was killed 1 times" in str(outcomes[0].error)
    assert outcomes[1].error is None, "what ran beside it is repeated"


class Unreadable:
    def __reduce__(self) -> Any:
        return __import__, ("no_such_module",)


@pytest.mark.slow
def test_a_worker_that_cannot_read_the_search_says_why() -> None:
    with (
        Processes(Job(Hill(), Unreadable(), [Height()]), 2) as executor,
        pytest.raises(SettingsError, match=r"a worker can't read the search \(.*no_such_module"),
    ):
        list(executor.outcomes([Task(0, 0, {}, 1)]))


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


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from search.toy import searched
from search.test_executors import Slow
searched(Path({folder!r}), {trouble!r}, model=Slow(), processes=2)
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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="processes there have no parent to watch")
def test_a_killed_search_leaves_no_worker_behind_and_is_continued(tmp_path: Path) -> None:
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
    whole = searched(tmp_path / "whole", trouble, model=Slow())
    again = Optimizer().resume_optimization(file, dataset=Data(), classes=[Slow, Height])
    assert course(again) == course(whole)


def test_two_searches_do_not_begin_in_one_file(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / ".result.json.lock"),
        pytest.raises(StorageError, match="another process is at work on"),
    ):
        searched(tmp_path)


# Devices.


def test_devices_that_do_not_exist(tmp_path: Path) -> None:
    check_device_name("auto")
    check_device_name("cpu")
    there = torch.cuda.device_count()
    with pytest.raises(SettingsError, match=rf"'cuda:{there}' is not here: torch sees {there} CUD"):
        check_device_name(f"cuda:{there}")
    with pytest.raises(SettingsError, match=r"device='cdua' is none that torch knows; use 'cpu'"):
        searched(tmp_path / "s", device="cdua")
    assert not (tmp_path / "s").exists()


def test_every_card_has_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    cards = ["cuda:0", "cuda:1", "cuda:2"]
    assert each_device(["cuda"], 1) == ["cuda"]
    assert each_device(["cuda"], 2) == each_device(["auto"], 4) == cards
    assert each_device(["cuda:1"], 4) == ["cuda:1"]
    place = Place.checked(1, ["cuda:0", "cuda:2"], 1)
    executor: Any = place.executor_for(Job(Hill(), Data(), [Height()]))
    assert place.device is None
    assert executor.devices == ["cuda:0", "cuda:2"], "as many processes as cards"
    assert Place.checked(6, "cuda", 1).devices == tuple(cards)
    assert Place.checked(1, "cuda:1", 1).device == "cuda:1"


def test_executors_assign_devices_themselves() -> None:
    with pytest.raises(SettingsError, match=r"an executor assigns devices itself \(OnRay: gpus"):
        Place.checked(1, ["cuda:0", "cuda:1"], 1, partial(OnRay, workers=2))
    with pytest.raises(SettingsError, match="expected a function from a job to an executor"):
        Place.checked(1, None, 1, "ray")
    job = Job(Hill(), Data(), [Height()])
    place = Place.checked(1, None, 1, partial(Processes, count=2))
    assert isinstance(place.executor_for(job), Processes)
