"""A chain run to its end: samples averaged, progress shown, interrupted and gone on with."""

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from octis_m3l.sampling.chain import Chain
from octis_m3l.sampling.checkpoint import read_checkpoint, write_checkpoint
from octis_m3l.sampling.progress import Progress
from octis_m3l.sampling.samples import Averages

_SETTLED_EVERY = 10
"""Sweeps between two states that a run can go on from."""

_JUDGED_EVERY = 50
"""Sweeps between two values of log p(w | z)."""


@dataclass(frozen=True)
class RunSettings:
    """How long to sample, and what to average.

    Parameters
    ----------
    iterations : int
        Sweeps.
    burn_in : int
        Sweeps before the first sample.
    samples : int
        Samples that φ and θ are averaged over, evenly spaced after the burn-in.
    alpha_burn_in : int
        Sweeps before α is first re-estimated.
    alpha_interval : int
        Sweeps between two estimates; 0: never.
    eta_fitted : bool
        Whether η is re-estimated with α.
    checkpoint_seconds : float
        Least time between two checkpoints; they are written after every tenth sweep at most.
    """

    iterations: int
    burn_in: int
    samples: int
    alpha_burn_in: int
    alpha_interval: int
    eta_fitted: bool
    checkpoint_seconds: float = 30.0

    @property
    def sampled(self) -> frozenset[int]:
        """The sweeps after which a sample is taken."""
        count = min(self.samples, self.iterations - self.burn_in)
        spaced = np.linspace(self.burn_in, self.iterations, count + 1)[1:]
        return frozenset(np.rint(spaced).astype(int).tolist())


def run_chain(
    chain: Chain,
    settings: RunSettings,
    *,
    checkpoint: Path | None = None,
    run: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> tuple[Averages, Progress]:
    """Sample to the end, or until Ctrl-C.

    A run that goes on from a checkpoint ends as an unbroken one would have, bit for bit. After
    Ctrl-C a run with a checkpoint goes back to the last state that it can go on from.

    Parameters
    ----------
    chain : Chain
        Changed in place.
    settings : RunSettings
        How long, and what to average.
    checkpoint : Path, optional
        A folder. If it holds a checkpoint of this run, sampling goes on from there.
    run : mapping, optional
        What run this is, so that no other run's checkpoint is taken for it.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    (Averages, Progress)
        With one sample at least: after Ctrl-C, of the chain as it was then.

    Raises
    ------
    StorageError
        If the checkpoint is of another run, or not whole.
    """
    shape = len(chain.corpus), len(chain.alpha)
    averages, history = Averages([], np.zeros(shape, np.float32)), Progress()
    chain.settle()
    if checkpoint is not None:
        found = read_checkpoint(checkpoint, run or {}, chain)
        if found is not None:
            averages, history = found
    started = saved = time.monotonic()
    before = history.seconds
    bar = tqdm(
        total=settings.iterations,
        initial=chain.sweeps,
        disable=not progress,
        desc="sampling",
        unit="sweep",
    )
    sampled = settings.sampled
    whole = None if checkpoint is None else (chain.state(), averages.copy(), history.copy())
    with bar:
        try:
            while chain.sweeps < settings.iterations:
                _step(chain, settings, averages, sampled)
                bar.update()
                last = chain.sweeps == settings.iterations
                if not (last or chain.sweeps % _SETTLED_EVERY == 0):
                    continue
                chain.settle()
                history.seconds = before + time.monotonic() - started
                if last or chain.sweeps % _JUDGED_EVERY == 0:
                    history.log_likelihood.append(chain.log_likelihood())
                    shown = f"{history.log_likelihood[-1]:.3f}"
                    bar.set_postfix({"log p(w|z)": shown}, refresh=False)
                if checkpoint is None or whole is None:
                    continue
                new = len(averages.samples) > len(whole[1].samples)
                whole = chain.state(), averages.copy() if new else whole[1], history.copy()
                if last or time.monotonic() - saved >= settings.checkpoint_seconds:
                    write_checkpoint(checkpoint, *whole, run or {})
                    saved = time.monotonic()
        except KeyboardInterrupt:
            if checkpoint is not None and whole is not None:
                state, averages, history = whole
                chain.restore(state)
                write_checkpoint(checkpoint, *whole, run or {})
            else:
                history.seconds = before + time.monotonic() - started
            history.stopped = "interrupted"
            warnings.warn(
                f"sampling was interrupted after {chain.sweeps} of {settings.iterations} sweeps; "
                "the model keeps what it has learned so far.",
                stacklevel=4,
            )
    if not averages.samples:
        chain.settle()
        _take(chain, averages)
    return averages, history


def _take(chain: Chain, averages: Averages) -> None:
    sample = chain.sample()
    chain.add_document_topics(averages.document_topics)
    averages.samples.append(sample)


def _step(chain: Chain, settings: RunSettings, averages: Averages, sampled: frozenset[int]) -> None:
    chain.sweep()
    done, interval = chain.sweeps, settings.alpha_interval
    if interval and done >= settings.alpha_burn_in and done % interval == 0:
        chain.fit_alpha()
        if settings.eta_fitted:
            chain.fit_eta()
    if done in sampled:
        _take(chain, averages)
