"""A run over its sweeps: samples, progress, and going on where it was broken off."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from octis_m3l.errors import StorageError
from octis_m3l.sampling import Chain, RunSettings, run_chain
from octis_m3l.sampling.checkpoint import FILE
from octis_m3l.sampling.progress import Progress
from octis_m3l.sampling.samples import Averages, as_arrays

from .corpora import drawn

RUN = {"model": "pltm", "topics": 4, "data": {"en": [22, 9]}}
SETTLED = list(range(10, 121, 10))
"""The sweeps that a run of 120 can go on from."""

SETTINGS = RunSettings(
    iterations=120,
    burn_in=30,
    samples=7,
    alpha_burn_in=20,
    alpha_interval=10,
    eta_fitted=True,
    checkpoint_seconds=0.0,
)


def chain(threads: int = 1, seed: int = 5) -> Chain:
    corpus = drawn(2, documents=20, words=(6, 9))
    return Chain(corpus, 4, alpha=0.2, eta=0.1, seed=seed, threads=threads)


def run(
    one: Chain, folder: Path | None = None, how: RunSettings = SETTINGS
) -> tuple[Averages, Progress]:
    return run_chain(one, how, checkpoint=folder, run=RUN)


def stop_after(monkeypatch: pytest.MonkeyPatch, sweeps: int) -> None:
    """Have Ctrl-C pressed at the end of a sweep."""
    sweep = Chain.sweep

    def interrupted(self: Chain) -> None:
        sweep(self)
        if self.sweeps == sweeps:
            raise KeyboardInterrupt

    monkeypatch.setattr(Chain, "sweep", interrupted)


def assert_same_arrays(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def assert_same(
    found: tuple[Averages, Progress], one: Chain, expected: tuple[Averages, Progress], other: Chain
) -> None:
    assert_same_arrays(as_arrays(found[0].samples), as_arrays(expected[0].samples))
    np.testing.assert_array_equal(found[0].document_topics, expected[0].document_topics)
    for name, array in other.state().items():
        np.testing.assert_array_equal(one.state()[name], array, err_msg=name)
    assert found[1].log_likelihood == expected[1].log_likelihood
    assert found[1].stopped == expected[1].stopped == "finished"


# What is averaged.


@given(iterations=st.integers(1, 300), share=st.floats(0, 0.99), samples=st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_samples_are_evenly_spaced(iterations: int, share: float, samples: int) -> None:
    burn_in = int(share * iterations)
    how = RunSettings(iterations, burn_in, samples, 0, 0, False)
    sampled = sorted(how.sampled)
    assert sampled[-1] == iterations
    assert sampled[0] > burn_in
    assert len(sampled) == min(samples, iterations - burn_in)
    gaps = np.diff([burn_in, *sampled])
    assert gaps.max() - gaps.min() <= 1


def test_it_is_what_a_loop_over_sweeps_gives() -> None:
    one, other = chain(), chain()
    averages, progress = run(one)
    samples, likelihoods = [], []
    documents = np.zeros((20, 4), np.float32)
    for sweep in range(1, 121):
        other.sweep()
        if sweep >= 20 and sweep % 10 == 0:
            other.fit_alpha()
            other.fit_eta()
        if sweep in SETTINGS.sampled:
            samples.append(other.sample())
            other.add_document_topics(documents)
        if sweep in SETTLED:
            other.settle()
        if sweep in (50, 100, 120):
            likelihoods.append(other.log_likelihood())
    np.testing.assert_array_equal(one.topics, other.topics)
    assert len(averages.samples) == len(samples) == 7
    assert_same_arrays(as_arrays(averages.samples), as_arrays(samples))
    np.testing.assert_array_equal(averages.document_topics, documents)
    np.testing.assert_allclose(documents.sum(axis=1), 7, rtol=1e-5)
    assert progress.log_likelihood == likelihoods
    assert progress.stopped == "finished"
    assert progress.seconds > 0


def test_priors_are_fitted_only_where_it_is_asked_for() -> None:
    for interval, fitted in ((0, True), (10, False), (10, True)):
        one = chain()
        run(one, how=RunSettings(30, 0, 3, 20, interval, fitted))
        assert (one.alpha != 0.2).any() == (interval > 0)
        assert (one.eta != 0.1).any() == (interval > 0 and fitted)


def test_progress_is_shown_if_it_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    run(chain())
    assert capsys.readouterr() == ("", "")
    run_chain(chain(), SETTINGS, progress=True)
    shown = capsys.readouterr().err
    assert "sampling: 100%" in shown
    assert "120/120" in shown
    assert "log p(w|z)" in shown


# Ctrl-C.


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("stop", [3, 50, 77, 120])
def test_a_resumed_run_is_an_unbroken_one(
    stop: int, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken, resumed = chain(threads), chain(threads)
    expected = run(unbroken)
    stop_after(monkeypatch, stop)
    done = max(sweep for sweep in [0, *SETTLED] if sweep < stop)
    message = (
        f"sampling was interrupted after {done} of 120 sweeps; the model keeps what it has "
        "learned so far."
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
        averages, progress = run(chain(threads), tmp_path)
    assert progress.stopped == "interrupted"
    assert averages.samples
    monkeypatch.undo()
    found = run(resumed, tmp_path)
    assert_same(found, resumed, expected, unbroken)
    assert found[1].seconds > progress.seconds


def test_a_run_broken_off_again_and_again_is_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken, resumed = chain(), chain()
    expected = run(unbroken)
    for stop in (20, 60, 61, 110):
        stop_after(monkeypatch, stop)
        with pytest.warns(UserWarning, match="sampling was interrupted"):
            run(chain(), tmp_path)
        monkeypatch.undo()
    assert_same(run(resumed, tmp_path), resumed, expected, unbroken)


@pytest.mark.parametrize("place", ["state", "log_likelihood", "settle"])
def test_a_break_between_two_sweeps_leaves_no_trace(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken, resumed = chain(), chain()
    expected = run(unbroken)
    method, broken = getattr(Chain, place), []

    def interrupted(self: Chain) -> Any:
        if self.sweeps == 100 and not broken:
            broken.append(place)
            raise KeyboardInterrupt
        return method(self)

    monkeypatch.setattr(Chain, place, interrupted)
    with pytest.warns(UserWarning, match="interrupted after 90 of 120 sweeps"):
        run(chain(), tmp_path)
    assert broken
    assert_same(run(resumed, tmp_path), resumed, expected, unbroken)


@pytest.mark.parametrize("threads", [1, 2])
def test_without_a_checkpoint_what_there_is_is_kept(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stop, samples in ((3, 1), (60, 2)):
        stop_after(monkeypatch, stop)
        one = chain(threads)
        with pytest.warns(UserWarning, match=f"interrupted after {stop} of 120 sweeps"):
            averages, progress = run(one)
        monkeypatch.undo()
        assert progress.stopped == "interrupted"
        assert len(averages.samples) == samples
        if stop == 3:
            assert_same_arrays(as_arrays(averages.samples), as_arrays([one.sample()]))
            theta = np.zeros((20, 4), np.float32)
            one.add_document_topics(theta)
            np.testing.assert_array_equal(averages.document_topics, theta)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("sweeps", [30, 75])
def test_a_killed_process_is_gone_on_with(sweeps: int, tmp_path: Path) -> None:
    unbroken, resumed = chain(), chain()
    expected = run(unbroken)
    child = os.fork()
    if child == 0:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Chain, "fit_alpha", _killed_after(sweeps))
            run(chain(), tmp_path)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert (tmp_path / FILE).exists()
    assert_same(run(resumed, tmp_path), resumed, expected, unbroken)


def _killed_after(sweeps: int) -> Any:
    fit = Chain.fit_alpha

    def killed(self: Chain) -> None:
        if self.sweeps >= sweeps:
            os.kill(os.getpid(), signal.SIGKILL)
        fit(self)

    return killed


# The file.


def test_a_finished_run_is_not_sampled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, again = chain(), chain()
    expected = run(first, tmp_path)
    written = (tmp_path / FILE).read_bytes()

    def forbidden(self: Chain) -> None:
        raise AssertionError

    monkeypatch.setattr(Chain, "sweep", forbidden)
    found = run(again, tmp_path)
    assert_same(found, again, expected, first)
    assert found[1].seconds == expected[1].seconds
    assert (tmp_path / FILE).read_bytes() == written


def test_checkpoints_are_no_more_frequent_than_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from octis_m3l.sampling import run as module

    written: list[int] = []
    write = module.write_checkpoint

    def counting(folder: Path, state: Any, *arguments: Any) -> None:
        written.append(int(state["sweeps"][0]))
        write(folder, state, *arguments)

    monkeypatch.setattr(module, "write_checkpoint", counting)
    run(chain(), tmp_path / "a")
    assert written == SETTLED
    run(chain(), tmp_path / "b", RunSettings(120, 30, 7, 20, 10, True, checkpoint_seconds=1e6))
    assert written == [*SETTLED, 120]
    run(chain())
    assert written == [*SETTLED, 120]


def test_one_file_is_written_and_nothing_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    run(chain(), folder)
    assert [path.name for path in folder.iterdir()] == ["checkpoint.safetensors"]


@pytest.mark.parametrize(
    ("other", "differ"),
    [
        ({**RUN, "topics": 5}, "topics"),
        ({**RUN, "data": {"en": [22, 8]}}, "data"),
        ({"topics": 4, "data": RUN["data"], "seed": 1}, "model, seed"),
        (None, "data, model, topics"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(
    other: dict[str, Any] | None, differ: str, tmp_path: Path
) -> None:
    run(chain(), tmp_path)
    one = chain()
    before = one.state()
    message = (
        f"{tmp_path / FILE} belongs to another run: {differ} differ. Use the settings and data of "
        "that run, another checkpoint folder, or delete the file."
    )
    with pytest.raises(StorageError, match=f"^{re.escape(message)}$"):
        run_chain(one, SETTINGS, checkpoint=tmp_path, run=other)
    for name, array in one.state().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("kept", [0, 4, 60, 1000, -1])
def test_a_truncated_checkpoint_is_refused(kept: int, tmp_path: Path) -> None:
    run(chain(), tmp_path)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:kept])
    shown = re.escape(str(path))
    message = rf"^{shown} is no whole checkpoint \(.+\); delete it to start from the beginning\.$"
    with pytest.raises(StorageError, match=message):
        run(chain(), tmp_path)


@pytest.mark.parametrize("metadata", [None, {"state": "{"}, {"other": "1"}])
def test_a_file_of_another_program_is_refused(
    metadata: dict[str, str] | None, tmp_path: Path
) -> None:
    save_file({"a": np.zeros(1)}, tmp_path / FILE, metadata=metadata)
    with pytest.raises(StorageError, match=r"is no whole checkpoint \(.+\); delete it to start"):
        run(chain(), tmp_path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("topics", lambda one: one[:-1]),
        ("topics", lambda one: one + 4),
        ("alpha", lambda one: one[:-1]),
        ("eta", lambda one: one * np.nan),
        ("sum/document_topics", lambda one: one[:, :-1]),
        ("sample/0/0/topics", lambda one: one + 4),
        ("sample/1/1/offsets", lambda one: one + 1),
        ("sample/2/alpha", None),
        ("sweeps", None),
    ],
)
def test_a_checkpoint_whose_arrays_do_not_fit_is_refused(
    name: str, change: Any, tmp_path: Path
) -> None:
    run(chain(), tmp_path)
    path = tmp_path / FILE
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    changed = arrays.pop(name)
    if change is not None:
        arrays[name] = np.ascontiguousarray(change(changed)).astype(changed.dtype)
    save_file(arrays, path, metadata=metadata)
    with pytest.raises(StorageError, match=r"is no whole checkpoint \(its contents are not what"):
        run(chain(), tmp_path)
    # As versions without hashes wrote it.
    save_file(arrays, path, metadata={"state": metadata["state"]})
    with pytest.raises(StorageError, match=r"is no whole checkpoint \(.+\); delete it to start"):
        run(chain(), tmp_path)


@pytest.mark.parametrize("state", [{}, {"run": RUN}, {"run": RUN, "samples": 7}, []])
def test_a_checkpoint_that_says_too_little_is_refused(state: Any, tmp_path: Path) -> None:
    run(chain(), tmp_path)
    save_file({"a": np.zeros(1)}, tmp_path / FILE, metadata={"state": json.dumps(state)})
    with pytest.raises(StorageError, match=r"is no whole checkpoint \(.+\); delete it to start"):
        run(chain(), tmp_path)


def test_without_a_checkpoint_no_state_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: Averages) -> None:
        raise AssertionError

    monkeypatch.setattr(Averages, "copy", forbidden)
    run(chain())
