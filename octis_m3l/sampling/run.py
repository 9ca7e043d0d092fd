"""A chain run to its end: samples, averages, checkpoints."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from octis_m3l.sampling.chain import Chain
from octis_m3l.sampling.samples import Sample, as_arrays, from_arrays
from octis_m3l.training import History
from octis_m3l.training.resumable import ResumableRun, State

_RESUMABLE_EVERY, _LIKELIHOOD_EVERY = 10, 50


@dataclass(frozen=True)
class RunSettings:
    """How long to sample, and what to average."""

    iterations: int  # sweeps
    burn_in: int  # sweeps before the first sample
    samples: int  # that φ and θ are averaged over, evenly spaced after the burn-in
    alpha_burn_in: int  # sweeps before α is first re-estimated
    alpha_interval: int  # sweeps between two estimates; 0: never
    eta_fitted: bool  # whether η is re-estimated with α
    checkpoint_seconds: float = 30.0  # between two checkpoints, which come after tenth sweeps

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
) -> tuple[list[Sample], NDArray[np.float32], History]:
    """Sample to the end or until Ctrl-C, and return samples, θ and the history.

    A run that is resumed from a checkpoint ends exactly as an uninterrupted one, bit for bit. After
    Ctrl-C a run with a checkpoint returns to the last state that it can resume from.

    Parameters
    ----------
    chain : Chain
        Changed in place.
    settings : RunSettings
        How long to sample, and what to average.
    checkpoint : Path, optional
        A folder. If it holds a checkpoint of this run, sampling continues from there; StorageError
        says if it belongs to another run or is damaged.
    run : mapping, optional
        The run's settings and data, which the checkpoint must have been written with.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    samples : list of Sample
        At least one; after an early Ctrl-C, the chain as it was then.
    theta : array of float32 (documents × K)
        The mean of θ over the samples.
    history : History
        log p(w | z) per token after every 50 sweeps.
    """
    chain.recount()
    sampling = _Sampling(chain, settings)
    every = settings.checkpoint_seconds
    sampling.complete(checkpoint, run or {}, checkpoint_seconds=every, progress=progress)
    if not sampling.samples:
        chain.recount()
        sampling.take_sample()
    sampling.theta /= sampling.theta.sum(axis=1, keepdims=True)
    return sampling.samples, sampling.theta, sampling.history


class _Sampling(ResumableRun):
    verb: ClassVar[str] = "sampling"
    unit: ClassVar[str] = "sweep"

    def __init__(self, chain: Chain, settings: RunSettings) -> None:
        self.chain, self.settings, self.total = chain, settings, settings.iterations
        self.history = History()
        self.samples: list[Sample] = []
        self.theta = np.zeros((len(chain.corpus), len(chain.alpha)), np.float32)
        self.sampled = settings.sampled

    @property
    def done(self) -> int:
        return self.chain.sweeps

    def advance(self, bar: "tqdm[Any]") -> None:
        """Sweep until the number of sweeps is a multiple of ten, or to the end."""
        self._sweep(bar)
        while self.done % _RESUMABLE_EVERY and not self.finished:
            self._sweep(bar)
        self.chain.recount()
        if self.finished or self.done % _LIKELIHOOD_EVERY == 0:
            likelihood = self.chain.log_likelihood()
            self.history.epochs.append({"log-likelihood": likelihood})
            bar.set_postfix({"log p(w|z)": f"{likelihood:.3f}"}, refresh=False)

    def _sweep(self, bar: "tqdm[Any]") -> None:
        chain, settings = self.chain, self.settings
        chain.sweep()
        interval = settings.alpha_interval
        if interval and self.done >= settings.alpha_burn_in and self.done % interval == 0:
            chain.fit_alpha()
            if settings.eta_fitted:
                chain.fit_eta()
        if self.done in self.sampled:
            self.take_sample()
        bar.update()

    def take_sample(self) -> None:
        sample = self.chain.sample()
        self.chain.add_document_topics(self.theta)
        # Last, so that after Ctrl-C in between there is no sample without its θ.
        self.samples.append(sample)

    def state(self) -> State:
        arrays = {**self.chain.state(), **as_arrays(self.samples), "theta": self.theta.copy()}
        return {"samples": len(self.samples), "history": asdict(self.history)}, arrays

    def restore(self, description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        self.chain.restore(arrays)
        languages = len(self.chain.corpus.languages)
        self.samples = from_arrays(arrays, description["samples"], languages)
        self.theta = arrays["theta"]
        self.history = History(**description["history"])
