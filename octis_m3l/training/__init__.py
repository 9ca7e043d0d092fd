"""The training loop: epochs, seeds, early stopping, checkpoints, progress."""

from octis_m3l.data.noise import derive_seed
from octis_m3l.training.loop import LoopSettings, Trainable, reproducible, train
from octis_m3l.training.resumable import History

__all__ = ["History", "LoopSettings", "Trainable", "derive_seed", "reproducible", "train"]
