"""The training loop of every neural model: epochs, early stopping, checks of what was learned."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm.auto import tqdm

from octis_m3l.data.batches import Batch, Sampler
from octis_m3l.data.noise import derive_seed
from octis_m3l.errors import OctisM3LError, warn
from octis_m3l.training.adam import Adam
from octis_m3l.training.resumable import History, ResumableRun, State
from octis_m3l.training.steps import mean_terms, steps_of

_SCORES, _SCORES_PATIENCE, _TOLERANCE = 20, 5, 0.02
_REMEDY = (
    "lower learning_rate (or raise temperature), and look for outliers: embeddings, or lengths of "
    "documents, that are out of proportion."
)


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Restore torch's global random state, of the CPU and of this device, after the block."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices, device_type="cuda"):
        yield


class TrainingError(OctisM3LError):
    """Training cannot continue: the loss or a weight is no longer a finite number."""


class Trainable(Protocol):
    """What the loop trains: a torch module that computes its own loss."""

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the terms of the loss; their sum is minimised."""


@dataclass(frozen=True)
class LoopSettings:
    """How to train: the hyperparameters of Adam, and when to stop."""

    epochs: int
    learning_rate: float = 2e-3
    schedule: str = "constant"  # or "cosine", "halving"
    momentum: float = 0.99
    second_momentum: float = 0.99
    weight_decay: float = 0.0
    patience: int = 0  # epochs without a lower validation loss before stopping; 0: never
    checkpoint_seconds: float = 30.0  # the least time between two checkpoints

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (epoch / self.epochs)))
        if self.schedule == "halving":
            return self.learning_rate * 0.5 ** (epoch // 125)
        return self.learning_rate


def train(
    network: nn.Module,
    sampler: Sampler,
    settings: LoopSettings,
    *,
    seed: int,
    validation: Sampler | None = None,
    score: Callable[[], tuple[float, int]] | None = None,
    checkpoint: Path | None = None,
    run: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> History:
    """Train a network in place.

    Ctrl-C ends training early, which the history records. With a checkpoint folder the network
    returns to the end of the last complete epoch, from which the same call continues; without one
    it keeps the weights that it has. Every epoch has its own seed, so a run that is resumed after
    any epoch ends exactly as an uninterrupted one, bit for bit.

    Parameters
    ----------
    network : nn.Module
        A `Trainable`, on the sampler's device.
    sampler : Sampler
        Batches of training tuples.
    settings : LoopSettings
        How to train.
    seed : int
        The seed of all random draws.
    validation : Sampler, optional
        Needed for early stopping by the validation loss.
    score : function, optional
        Returns how good the network is (the mean of numbers from 0 to 1) and the number n of tuples
        that this was measured on, without drawing random numbers. It is called about 20 times in a
        training, which ends early after five scores that are below the best by more than
        max(0.02, 1 / 2√n), as much as chance alone may change a mean over n tuples; in any case the
        network has the weights of the last that was not.
    checkpoint : Path, optional
        A folder. If it holds a checkpoint of this run, training continues from there.
    run : mapping, optional
        The run's settings and data, which the checkpoint must have been written with.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    TrainingError
        If the loss or a weight becomes NaN or infinite.
    StorageError
        If the checkpoint belongs to another run or is damaged.
    """
    training = _Training(network, sampler, settings, seed, validation, score)
    with reproducible(sampler.device):
        training.complete(
            checkpoint,
            {**(run or {}), "seed": seed},
            checkpoint_seconds=settings.checkpoint_seconds,
            progress=progress,
        )
    network.eval()
    if training.best is not None:
        network.load_state_dict(training.best)
    history = training.history
    if training.out_of_patience and history.stopped == "finished":
        history.stopped = "early"
    _warn_if_diverged(history)
    return history


@dataclass(eq=False)
class _Training(ResumableRun):
    verb: ClassVar[str] = "training"
    unit: ClassVar[str] = "epoch"

    network: nn.Module
    sampler: Sampler
    settings: LoopSettings
    seed: int
    validation: Sampler | None
    score: Callable[[], tuple[float, int]] | None

    def __post_init__(self) -> None:
        settings, self.total = self.settings, self.settings.epochs
        self.every = math.ceil(settings.epochs / _SCORES)
        self.history = History()
        self.best: dict[str, Tensor] | None = None
        self.optimizer = Adam(
            [p for p in self.network.parameters() if p.requires_grad],
            lr=settings.learning_rate,
            betas=(settings.momentum, settings.second_momentum),
            weight_decay=settings.weight_decay,
        )
        self.steps = steps_of(self.network, self.sampler, self.optimizer)

    @property
    def done(self) -> int:
        return len(self.history.epochs)

    @property
    def out_of_patience(self) -> bool:
        best, patience = self.history.best_epoch, self.settings.patience
        if self.score is not None:
            patience = _SCORES_PATIENCE * self.every
        return best is not None and 0 < patience <= self.done - 1 - best

    @property
    def finished(self) -> bool:
        return self.done >= self.total or self.out_of_patience

    def advance(self, bar: "tqdm[Any]") -> None:
        """Train for one epoch."""
        epoch = self.done
        # For losses that draw by themselves.
        torch.manual_seed(derive_seed(self.seed, epoch, 2))
        self.optimizer.set_rate(self.settings.rate(epoch))
        self.network.train()
        means = self.steps.epoch(self.sampler.noise(self.seed, epoch))
        if self.history.untrained is None and self.steps.untrained is not None:
            self.history.untrained = float(self.steps.untrained)
        if self.validation is not None:
            self.network.eval()
            # The same noise in every epoch, so that their losses can be compared.
            torch.manual_seed(same := derive_seed(self.seed, 0, 1))
            noise = self.validation.noise(same, 0)
            with torch.no_grad():
                loss: Any = self.network.loss
                held_out = mean_terms(self.validation, noise, loss, shuffle=False)
                means["validation"] = sum(held_out.values())
        self._check_finite(means)
        self.history.epochs.append(means)
        if self.score is not None and (self.done % self.every == 0 or self.done == self.total):
            self.network.eval()
            means["score"], tuples = self.score()
            scores = [one["score"] for one in self.history.epochs if "score" in one]
            if means["score"] >= max(scores) - max(_TOLERANCE, 0.5 / math.sqrt(tuples)):
                self._remember(epoch)
        elif self.settings.patience and self.validation is not None:
            losses = [one["validation"] for one in self.history.epochs]
            if losses.index(min(losses)) == epoch:
                self._remember(epoch)
        bar.set_postfix({name: f"{value:.3g}" for name, value in means.items()}, refresh=False)
        bar.update()

    def _check_finite(self, means: Mapping[str, float]) -> None:
        epoch = self.done + 1
        for name, value in means.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss became {value} in epoch {epoch} (term '{name}'); {_REMEDY}"
                )
        # A batch's loss is computed before its step, so the last step shows only in the weights.
        for name, weight in self.network.state_dict().items():
            if not weight.isfinite().all():
                raise TrainingError(
                    f"a weight became NaN or infinite in epoch {epoch} ('{name}'); {_REMEDY}"
                )

    def _remember(self, epoch: int) -> None:
        self.history.best_epoch = epoch
        self.best = {n: t.detach().clone() for n, t in self.network.state_dict().items()}

    def state(self) -> State:
        tensors = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in (self.best or {}).items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{number}/{name}": value for name, value in values.items()}
        arrays = {name: value.detach().cpu().numpy().copy() for name, value in tensors.items()}
        return {"history": asdict(self.history)}, arrays

    def restore(self, description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "best": {}, "optimizer": {}}
        for name, array in arrays.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = torch.tensor(array)
        self.network.load_state_dict(parts["network"])
        self.best = parts["best"] or None
        of_parameters: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimizer"].items():
            number, _, key = name.partition("/")
            of_parameters.setdefault(int(number), {})[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": of_parameters, "param_groups": groups})
        # Captured steps know the old tensors.
        self.steps = steps_of(self.network, self.sampler, self.optimizer)
        self.history = History(**description["history"])


def _warn_if_diverged(history: History) -> None:
    """Warn if the loss stayed finite but ended far above the lowest that it has been."""
    if not history.epochs or history.untrained is None:
        return
    best = history.best_epoch
    epochs = [
        {name: value for name, value in epoch.items() if name not in ("validation", "score")}
        for epoch in history.epochs[: None if best is None else best + 1]
    ]
    terms = epochs[-1]
    loss = sum(terms.values())
    least = min(history.untrained, *(sum(epoch.values()) for epoch in epochs))
    if loss > least + abs(least):
        worst = max(terms, key=lambda name: terms[name])
        warn(
            f"training may have diverged: the loss ended at {loss:.4g} (most of it '{worst}', "
            f"{terms[worst]:.4g}) and has been as low as {least:.4g}, so that topics may be "
            f"meaningless; {_REMEDY}"
        )
