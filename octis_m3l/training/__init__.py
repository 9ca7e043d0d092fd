"""The training loop: epochs, early stopping, checkpoints, progress."""

from octis_m3l.training.loop import LoopSettings, Trainable, train
from octis_m3l.training.resumable import History
from octis_m3l.training.seeds import derive_seed, reproducible

__all__ = ["History", "LoopSettings", "Trainable", "derive_seed", "reproducible", "train"]
