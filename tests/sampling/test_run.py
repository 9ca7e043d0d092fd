"""A run over its sweeps: samples, averages, and how it is resumed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from octis_m3l.errors import StorageError
from octis_m3l.sampling import Chain, RunSettings, Sample, as_arrays, run_chain
from octis_m3l.training import History

from .corpora import drawn, stop_after

SETTINGS = RunSettings(120, 30, 7, 20, 10, eta_fitted=True, checkpoint_seconds=0.0)

Result = tuple[list[Sample], NDArray[np.float32], History]


def chain(threads: int = 1, topics: int = 4) -> Chain:
    corpus = drawn(2, documents=20, words=(6, 9))
    return Chain(corpus, topics, alpha=0.2, eta=0.1, seed=5, threads=threads)


def assert_same_samples(found: list[Sample], expected: list[Sample]) -> None:
    arrays, wanted = as_arrays(found), as_arrays(expected)
    assert arrays.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)


def assert_same(found: Result, one: Chain, expected: Result, other: Chain) -> None:
    assert_same_samples(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    for name, array in other.state().items():
        np.testing.assert_array_equal(one.state()[name], array, err_msg=name)
    assert found[2].epochs == expected[2].epochs
    assert found[2].stopped == expected[2].stopped == "finished"


@given(iterations=st.integers(1, 300), share=st.floats(0, 0.99), samples=st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_samples_are_evenly_spaced(iterations: int, share: float, samples: int) -> None:
    burn_in = int(share * iterations)
    sampled = sorted(RunSettings(iterations, burn_in, samples, 0, 0, False).sampled)
    assert sampled[-1] == iterations
    assert sampled[0] > burn_in
    assert len(sampled) == min(samples, iterations - burn_in)
    gaps = np.diff([burn_in, *sampled])
    assert gaps.max() - gaps.min() <= 1


def test_it_is_what_a_loop_over_sweeps_gives() -> None:
    one, other = chain(), chain()
    samples, theta, history = run_chain(one, SETTINGS)
    expected, likelihoods, total = [], [], np.zeros((20, 4), np.float32)
    for sweep in range(1, 121):
        other.sweep()
        if sweep >= 20 and sweep % 10 == 0:
            other.fit_alpha()
            other.fit_eta()
        if sweep in SETTINGS.sampled:
            expected.append(other.sample())
            other.add_document_topics(total)
        if sweep % 10 == 0:
            other.recount()
        if sweep in (50, 100, 120):
            likelihoods.append({"log-likelihood": other.log_likelihood()})
    np.testing.assert_array_equal(one.topics, other.topics)
    assert len(samples) == 7
    assert_same_samples(samples, expected)
    np.testing.assert_allclose(theta, total / 7, rtol=1e-5)
    assert history.epochs == likelihoods
    assert history.stopped == "finished"
    assert history.seconds > 0


def test_priors_are_fitted_only_where_it_is_asked_for() -> None:
    for interval, fitted in ((0, True), (10, False), (10, True)):
        one = chain()
        run_chain(one, RunSettings(30, 0, 3, 20, interval, fitted))
        assert (one.alpha != 0.2).any() == (interval > 0)
        assert (one.eta != 0.1).any() == (interval > 0 and fitted)


def test_progress_is_shown_if_it_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    run_chain(chain(), SETTINGS)
    assert capsys.readouterr() == ("", "")
    run_chain(chain(), SETTINGS, progress=True)
    shown = capsys.readouterr().err
    for part in ("sampling: 100%", "120/120", "log p(w|z)"):
        assert part in shown


@pytest.mark.parametrize(("stops", "threads"), [([3], 1), ([77], 2), ([20, 60, 61, 120], 1)])
def test_a_resumed_run_is_an_uninterrupted_one(
    stops: list[int], threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, resumed = chain(threads), chain(threads)
    expected = run_chain(whole, SETTINGS)
    for stop in stops:
        stop_after(monkeypatch, stop)
        done = 10 * ((stop - 1) // 10)
        message = f"^sampling was interrupted after {done} of 120 sweeps; the model keeps what"
        with pytest.warns(UserWarning, match=message):
            samples, theta, history = run_chain(chain(threads), SETTINGS, checkpoint=tmp_path)
        monkeypatch.undo()
        assert history.stopped == "interrupted"
        assert samples
        np.testing.assert_allclose(theta.sum(axis=1), 1.0, rtol=1e-5)
    found = run_chain(resumed, SETTINGS, checkpoint=tmp_path)
    assert_same(found, resumed, expected, whole)
    again = chain(threads)
    monkeypatch.setattr(Chain, "sweep", None)
    assert_same(run_chain(again, SETTINGS, checkpoint=tmp_path), again, expected, whole)


@pytest.mark.parametrize(("stop", "count", "threads"), [(3, 1, 1), (3, 1, 2), (60, 2, 1)])
def test_without_a_checkpoint_an_interrupted_run_keeps_what_it_has(
    stop: int, count: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(monkeypatch, stop)
    one = chain(threads)
    with pytest.warns(UserWarning, match=f"interrupted after {stop} of 120 sweeps"):
        samples, theta, history = run_chain(one, SETTINGS)
    assert history.stopped == "interrupted"
    assert len(samples) == count
    if stop == 3:
        assert_same_samples(samples, [one.sample()])
        expected = np.zeros((20, 4), np.float32)
        one.add_document_topics(expected)
        np.testing.assert_allclose(theta, expected, rtol=1e-6)


def test_an_interrupt_while_the_first_sample_is_taken_leaves_a_theta(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add = Chain.add_document_topics
    calls: list[int] = []

    def interrupted(self: Chain, theta: NDArray[np.float32]) -> None:
        calls.append(self.sweeps)
        if len(calls) == 1:
            raise KeyboardInterrupt
        add(self, theta)

    monkeypatch.setattr(Chain, "add_document_topics", interrupted)
    with pytest.warns(UserWarning, match="interrupted"):
        samples, theta, _ = run_chain(chain(), SETTINGS)
    assert len(samples) == 1
    np.testing.assert_allclose(theta.sum(axis=1), 1.0, rtol=1e-5)


def test_a_checkpoint_of_other_shapes_is_refused(tmp_path: Path) -> None:
    run_chain(chain(), SETTINGS, checkpoint=tmp_path)
    message = r"is damaged or incomplete \(a state of another corpus, or of other settings\)"
    with pytest.raises(StorageError, match=message):
        run_chain(chain(topics=5), SETTINGS, checkpoint=tmp_path)
