"""Names of devices, numbers of threads, and whether anybody watches."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_info

from octis_m3l.devices import checked_threads, chosen_device, is_watched, on_threads
from octis_m3l.errors import SettingsError


def test_automatic_is_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert chosen_device("auto") == expected
    assert chosen_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["cuda:99", "hpu", "meta", "gpu", "cpu:x"])
def test_a_device_that_holds_nothing_is_refused(name: str) -> None:
    message = rf"^device='{name}' can't be used here \(.+\); use 'cpu', 'auto', or one that torch"
    with pytest.raises(SettingsError, match=message):
        chosen_device(name)


@pytest.fixture
def three_threads() -> Iterator[None]:
    """Give torch three threads for the test, as many as a machine of three cores would."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_threads_are_one_for_small_batches_and_torchs_own_for_large_ones() -> None:
    found = []
    for threads, numbers in ((0, 0), (0, 64 * 50_000), (0, 1024 * 50_000), (2, 0), (2, 10**9)):
        with on_threads(threads, numbers):
            found.append(torch.get_num_threads())
    assert found == [1, 1, 3, 2, 2]
    before = threadpool_info()
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), on_threads(2):
            assert {pool["num_threads"] for pool in threadpool_info()} == {2}
            raise error
    assert torch.get_num_threads() == 3
    assert threadpool_info() == before


@pytest.mark.parametrize("threads", [0, -1, 1025])
def test_numbers_of_threads_that_no_machine_has_are_refused(threads: int) -> None:
    with pytest.raises(SettingsError, match=f"^threads={threads}: expected 1 to 1024.$"):
        checked_threads(threads)


@pytest.mark.parametrize(
    ("terminal", "application", "watched"),
    [
        (True, None, True),
        (False, None, False),
        (None, None, False),
        (False, "IPKernelApp", True),
        (False, "TerminalIPythonApp", False),
    ],
)
def test_terminals_and_notebooks_are_watched(
    terminal: bool | None, application: str | None, watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream: Any = None if terminal is None else SimpleNamespace(isatty=lambda: terminal)
    shell = None if application is None else SimpleNamespace(config={application: {}})
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        patch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
        assert is_watched() == watched
