"""What an encoder is."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@runtime_checkable
class Encoder(Protocol):
    """Turns items of one view into vectors. Anything with these members is an encoder."""

    @property
    def name(self) -> str:
        """What the encoder is called."""

    @property
    def dimensions(self) -> int:
        """How long its vectors are."""

    def encode(self, items: Any) -> NDArray[np.float32]:
        """Return one vector for each item (items × dimensions)."""


@runtime_checkable
class StoredEncoder(Encoder, Protocol):
    """An encoder that is saved with a model: arrays and settings, nothing else."""

    kind: str

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return its arrays and its JSON-serialisable settings."""

    @classmethod
    def restore(
        cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]
    ) -> "StoredEncoder":
        """Return the encoder that `state` described."""
