"""The training loop: epochs, seeds, early stopping, checkpoints, progress."""

from octis_m3l.training.loop import LoopSettings, Trainable, derive_seed, reproducible, train
from octis_m3l.training.resumable import History

__all__ = ["History", "LoopSettings", "Trainable", "derive_seed", "reproducible", "train"]
