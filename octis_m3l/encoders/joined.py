"""Encoders side by side: the vectors of a text from several encoders make one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from octis_m3l.encoders.saving import is_stored, restored
from octis_m3l.errors import SettingsError


@dataclass(frozen=True, eq=False)
class JoinedEncoder:
    """Encodes a text by the concatenated vectors of several encoders.

    Parameters
    ----------
    parts : tuple of encoders
        Encoders of texts that can be saved with a model, none of them joined itself.
    """

    kind: ClassVar[str] = "joined"
    reads: ClassVar[Literal["text", "picture"]] = "text"

    parts: tuple[Any, ...]

    def __post_init__(self) -> None:
        """Check the parts."""
        possible = [is_stored(p) and p.kind != self.kind and p.reads == "text" for p in self.parts]
        if not possible or not all(possible):
            raise SettingsError(
                f"parts of {', '.join(type(part).__name__ for part in self.parts) or 'no type'}; "
                "expected encoders of texts that are saved with a model, and are not joined ones."
            )

    @property
    def name(self) -> str:
        """The names of its parts."""
        return "+".join(part.name for part in self.parts)

    @property
    def dimensions(self) -> int:
        """The length of its vectors."""
        return sum(part.dimensions for part in self.parts)

    def encode(self, items: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of raw texts (texts × dimensions)."""
        return np.hstack([part.encode(items) for part in self.parts])

    def with_tokenizer(self, tokenizer: Callable[[str], Sequence[str]]) -> Self:
        """Return the encoder with a tokenizer of your own for the parts that split texts."""
        parts = [getattr(part, "with_tokenizer", lambda _, p=part: p) for part in self.parts]
        return type(self)(tuple(part(tokenizer) for part in parts))

    def of_words(self) -> Self:
        """Return the encoder that encodes words as its parts do."""
        return type(self)(
            tuple(getattr(part, "of_words", lambda p=part: p)() for part in self.parts)
        )

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the arrays and the settings of its parts."""
        states = [(part.kind, *part.state()) for part in self.parts]
        arrays = {f"{n}/{k}": a for n, (_, own, _) in enumerate(states) for k, a in own.items()}
        return arrays, {"parts": [{"kind": kind, "settings": given} for kind, _, given in states]}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Return the encoder with the arrays and settings that `state` returned."""
        parts = []
        for n, content in enumerate(settings["parts"]):
            own = {k.partition("/")[2]: a for k, a in arrays.items() if k.startswith(f"{n}/")}
            parts.append(restored(content, own, f"part {n} of the encoder"))
        return cls(tuple(parts))
