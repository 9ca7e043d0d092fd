"""One loop for every neural model: seeds, early stopping, checkpoints, progress, Ctrl-C."""

import copy
import logging
import math
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from octis_m3l.data.batches import Batch
from octis_m3l.errors import OctisM3LError
from octis_m3l.files import checkpoint_errors
from octis_m3l.training.adam import Adam
from octis_m3l.training.checkpoint import FILE, read_checkpoint, write_checkpoint
from octis_m3l.training.seeds import derive_seed, reproducible

logger = logging.getLogger(__name__)

_REMEDY = (
    "lower learning_rate (or raise temperature), and look for outliers: embeddings, or lengths of "
    "documents, that are out of proportion."
)


class TrainingError(OctisM3LError):
    """Training can't go on: the loss, or a weight, is not a finite number any more."""


class Trainable(Protocol):
    """What the loop trains: a torch module that knows its loss."""

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the terms of the loss; their sum is minimised."""


class Sampler(Protocol):
    """What gives the loop its batches: a `TupleSampler`, or an `UnlinkedSampler`."""

    device: torch.device

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""

    def epoch(self, *, shuffle: bool = True) -> Iterator[Batch]:
        """Yield an epoch's batches."""


@dataclass(frozen=True)
class LoopSettings:
    """How to train.

    Parameters
    ----------
    epochs : int
        At most so many.
    learning_rate, momentum, second_momentum : float
        Of Adam: lr, β₁, β₂.
    schedule : {'constant', 'cosine', 'halving'}
        Of the learning rate, epoch by epoch; 'cosine' goes down to 0 on half a cosine, 'halving'
        halves it every 125 epochs.
    weight_decay : float
        Of Adam (L2).
    patience : int
        Stop after so many epochs without a better validation loss, and keep the best weights;
        0: never stop early.
    checkpoint_seconds : float
        Least time between two checkpoints.
    """

    epochs: int
    learning_rate: float = 2e-3
    schedule: str = "constant"
    momentum: float = 0.99
    second_momentum: float = 0.99
    weight_decay: float = 0.0
    patience: int = 0
    checkpoint_seconds: float = 30.0

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch.

        Parameters
        ----------
        epoch : int
            From 0.
        """
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (epoch / self.epochs)))
        if self.schedule == "halving":
            return self.learning_rate * 0.5 ** (epoch // 125)
        return self.learning_rate


@dataclass
class History:
    """What happened: one entry an epoch with each term's mean, and why it ended.

    Parameters
    ----------
    epochs : list of dict
        Mean of each term of the loss over the epoch's items; 'validation' where measured.
    best_epoch : int or None
        From 0; None without early stopping.
    stopped : {'finished', 'early', 'interrupted'}
        Why training ended.
    seconds : float
        Wall-clock time, with that before a resumption.
    untrained : float or None
        The loss of the first batch, before any step.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int | None = None
    stopped: str = "finished"
    seconds: float = 0.0
    untrained: float | None = None


def train(
    network: nn.Module,
    sampler: Sampler,
    settings: LoopSettings,
    *,
    seed: int,
    validation: Sampler | None = None,
    checkpoint: Path | None = None,
    run: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> History:
    """Train a network in place.

    Ctrl-C ends training early: the history says so. With a checkpoint folder the network goes
    back to the last whole epoch, from which the same call goes on; without one it keeps what it
    has. Every epoch draws from a seed of its own, so that a run resumed after any epoch goes on
    as an unbroken one would have, bit for bit.

    Parameters
    ----------
    network : nn.Module
        A `Trainable`, on the sampler's device.
    sampler : Sampler
        Training tuples.
    settings : LoopSettings
        How to train.
    seed : int
        Of all random draws.
    validation : Sampler, optional
        Needed for early stopping.
    checkpoint : Path, optional
        A folder. If it holds a checkpoint of this run, training goes on from there.
    run : mapping, optional
        What run this is (settings, data), so that no other run's checkpoint is taken for it.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    History

    Raises
    ------
    TrainingError
        If the loss or a weight becomes NaN or infinite.
    StorageError
        If the checkpoint is of another run, or not whole.
    """
    return _Run(network, sampler, settings, seed, validation, checkpoint, run, progress).go()


class _Run:
    def __init__(
        self,
        network: nn.Module,
        sampler: Sampler,
        settings: LoopSettings,
        seed: int,
        validation: Sampler | None,
        checkpoint: Path | None,
        run: Mapping[str, Any] | None,
        progress: bool,
    ) -> None:
        self.network, self.sampler, self.settings = network, sampler, settings
        self.seed, self.validation, self.folder = seed, validation, checkpoint
        self.run = {**(run or {}), "seed": seed}
        self.progress = progress
        self.history = History()
        self.best: dict[str, Tensor] | None = None
        self.best_loss = math.inf
        self.whole: tuple[Any, ...] | None = None
        self.optimizer = Adam(
            [p for p in network.parameters() if p.requires_grad],
            lr=settings.learning_rate,
            betas=(settings.momentum, settings.second_momentum),
            weight_decay=settings.weight_decay,
        )

    def go(self) -> History:
        self._resume()
        started = time.monotonic() - self.history.seconds
        saved = time.monotonic()
        bar = tqdm(
            total=self.settings.epochs,
            initial=len(self.history.epochs),
            disable=not self.progress,
            desc="training",
            unit="epoch",
        )
        with reproducible(self.sampler.device), bar:
            try:
                self._keep_whole()
                while len(self.history.epochs) < self.settings.epochs and not self._is_over():
                    self._epoch(bar)
                    self._keep_whole()
                    self.history.seconds = time.monotonic() - started
                    last = len(self.history.epochs) == self.settings.epochs or self._is_over()
                    if last or time.monotonic() - saved >= self.settings.checkpoint_seconds:
                        self._save()
                        saved = time.monotonic()
            except KeyboardInterrupt:
                self._back_to_whole()
                if self.history.epochs:
                    self._save()
                self.history.stopped = "interrupted"
                warnings.warn(
                    f"training was interrupted after {len(self.history.epochs)} of "
                    f"{self.settings.epochs} epochs; the model keeps what it has learned so far.",
                    stacklevel=4,
                )
        self.network.eval()
        if self.best is not None:
            self.network.load_state_dict(self.best)
        self._warn_if_diverged()
        return self.history

    def _epoch(self, bar: "tqdm[Any]") -> None:
        epoch = len(self.history.epochs)
        torch.manual_seed(derive_seed(self.seed, epoch))
        self.optimizer.param_groups[0]["lr"] = self.settings.rate(epoch)
        self.network.train()
        means = self._pass(self.sampler, learn=True)
        if self.validation is not None:
            self.network.eval()
            # The same noise in every epoch: losses of different epochs are compared.
            torch.manual_seed(derive_seed(self.seed, 0, 1))
            with torch.no_grad():
                terms = self._pass(self.validation, learn=False)
            means["validation"] = sum(terms.values())
            self._remember(means["validation"], epoch)
        for name, value in means.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss became {value} in epoch {epoch + 1} (term '{name}'); {_REMEDY}"
                )
        # The loss of a batch says nothing of the step that follows it.
        for name, weight in self.network.state_dict().items():
            if not weight.isfinite().all():
                raise TrainingError(
                    f"a weight became NaN or infinite in epoch {epoch + 1} ('{name}'); {_REMEDY}"
                )
        self.history.epochs.append(means)
        shown = {k: f"{v:.3g}" for k, v in means.items()}
        bar.set_postfix(shown, refresh=False)
        bar.update()

    def _pass(self, sampler: Sampler, *, learn: bool) -> dict[str, float]:
        totals: dict[str, Tensor] = {}
        items = 0
        for batch in sampler.epoch(shuffle=learn):
            terms = self.network.loss(batch)  # type: ignore[operator]
            if learn:
                self._step(torch.stack(list(terms.values())).sum())
            for name, term in terms.items():
                value = term.detach() * batch.size
                totals[name] = totals[name] + value if name in totals else value
            items += batch.size
        return {name: float(total) / items for name, total in totals.items()}

    def _step(self, loss: Tensor) -> None:
        # A small batch of tuples with many gaps may leave nothing to learn from.
        if loss.requires_grad:
            if self.history.untrained is None:
                self.history.untrained = float(loss.detach())
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            self.optimizer.step()

    def _warn_if_diverged(self) -> None:
        """Warn of a loss that stayed finite and ended far above the least that it has been."""
        if not self.history.epochs or self.history.untrained is None:
            return
        best = self.history.best_epoch
        epochs = [
            {name: value for name, value in epoch.items() if name != "validation"}
            for epoch in self.history.epochs[: None if best is None else best + 1]
        ]
        terms = epochs[-1]
        loss = sum(terms.values())
        least = min(self.history.untrained, *(sum(epoch.values()) for epoch in epochs))
        if loss > least + abs(least):
            worst = max(terms, key=lambda name: terms[name])
            warnings.warn(
                f"training may have diverged: the loss ended at {loss:.4g} (most of it '{worst}', "
                f"{terms[worst]:.4g}) and has been as low as {least:.4g}, so that topics may be "
                f"meaningless; {_REMEDY}",
                stacklevel=7,
            )

    def _remember(self, loss: float, epoch: int) -> None:
        if self.settings.patience and loss < self.best_loss:
            self.best_loss, self.history.best_epoch = loss, epoch
            self.best = {n: t.detach().clone() for n, t in self.network.state_dict().items()}

    def _keep_whole(self) -> None:
        """Remember the state after a whole epoch, for an interruption in the next."""
        if self.folder is not None:
            weights = {n: t.detach().clone() for n, t in self.network.state_dict().items()}
            optimizer, history = copy.deepcopy((self.optimizer.state_dict(), self.history))
            self.whole = weights, optimizer, history, self.best, self.best_loss

    def _back_to_whole(self) -> None:
        if self.whole is not None:
            weights, optimizer, self.history, self.best, self.best_loss = self.whole
            self.network.load_state_dict(weights)
            self.optimizer.load_state_dict(optimizer)

    def _is_over(self) -> bool:
        best = self.history.best_epoch
        if not self.settings.patience or best is None:
            return False
        over = len(self.history.epochs) - 1 - best >= self.settings.patience
        if over:
            self.history.stopped = "early"
        return over

    def _resume(self) -> None:
        if self.folder is None:
            return
        found = read_checkpoint(self.folder, self.network, self.optimizer, self.run)
        if found is None:
            return
        state, self.best = found
        with checkpoint_errors(self.folder / FILE):
            self.history = History(**state["history"])
            best = state["best_loss"]
            self.best_loss = math.inf if best is None else float(best)
        logger.info("resumed after epoch %d", len(self.history.epochs))

    def _save(self) -> None:
        if self.folder is None:
            return
        state = {
            "run": self.run,
            "history": vars(self.history),
            "best_loss": self.best_loss if math.isfinite(self.best_loss) else None,
        }
        write_checkpoint(self.folder, self.network, self.optimizer, self.best, state)
