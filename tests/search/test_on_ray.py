"""The same search on a Ray cluster of two workers on this machine."""

import sys
from functools import partial
from pathlib import Path

import pytest

from octis_m3l.errors import MissingDependencyError, SettingsError
from octis_m3l.search import Job, OnRay

from .toy import Data, Height, Hill, course, searched

JOB = Job(Hill(), Data(), [Height()])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:call .* the search goes on")
def test_a_cluster_finds_the_same_and_a_lost_worker_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_worker_niceness", "0")
    (tmp_path / "other").mkdir()
    one = searched(tmp_path / "one", tmp_path / "other", batch=2, number_of_call=4)
    (tmp_path / "kill").touch()
    on_ray = partial(OnRay, workers=2)
    two = searched(tmp_path / "two", tmp_path, batch=2, number_of_call=4, executor=on_ray)
    assert not (tmp_path / "kill").exists()
    assert course(two) == course(one)


@pytest.mark.slow
def test_runs_that_no_machine_can_execute_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_worker_niceness", "0")
    with pytest.raises(SettingsError, match=r"a run needs 1 CPU\(s\) and 99 GPU\(s\)"):
        OnRay(JOB, workers=1, gpus=99)


def test_no_worker_and_no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="workers=0: expected 1 or more"):
        OnRay(JOB, workers=0)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "octis-m3l\[ray\]"'):
        OnRay(JOB)
