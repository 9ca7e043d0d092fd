"""Models that read words themselves, rather than an encoder's embeddings of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypeVar

from octis_m3l.data.folder.reading import Tokenizer
from octis_m3l.data.item_checks import as_items, is_numeric
from octis_m3l.data.views import TextView
from octis_m3l.errors import SettingsError, suggest, warn
from octis_m3l.models.base import TopicModel
from octis_m3l.models.settings import Settings
from octis_m3l.models.visual_words import VisualWords
from octis_m3l.models.word_reader import WordReader

R = TypeVar("R", bound=Settings, default=Any)


class ReadingModel(TopicModel[R]):
    """A topic model that keeps each view's preprocessing and vocabulary."""

    def __init__(self, num_topics: int | None = None, **arguments: Any) -> None:
        super().__init__(num_topics, **arguments)
        self.readers: dict[str, WordReader | VisualWords] = {}

    def _read(self, items: Sequence[Any] | NDArray[Any], view: str) -> TextView:
        self._known_view(view, list(self.readers))
        several = items if is_numeric(items) else as_items(items, f"view '{view}'")
        return self.readers[view].read(several)

    def _warn_of_unknown(
        self, empty: NDArray[np.bool_], what: str, view: str | None = None
    ) -> None:
        if empty.any():
            reader = self.readers.get(view or "")
            unknown = isinstance(reader, WordReader) and reader.preprocessor.language is None
            hint = (
                f" View '{view}' is of no known language: if its words are not separated by "
                "spaces, separate them, or name the language when you make the data set."
            )
            warn(
                f"{int(empty.sum())} of {len(empty)} {what} have no word that the model knows; "
                f"their topic proportions are meaningless.{hint if unknown else ''}"
            )

    def _give_again(self, *, tokenizers: Mapping[str, Tokenizer] | None = None) -> None:
        for name, tokenizer in (tokenizers or {}).items():
            reader = self.readers.get(name)
            if not isinstance(reader, WordReader):
                raise SettingsError(
                    f"tokenizers: the model splits no texts of a view '{name}' into words."
                    f"{suggest(name, self.readers)}"
                )
            self.readers[name] = reader.with_tokenizer(tokenizer)


def present_items(items: Any, view: str) -> NDArray[np.bool_]:
    """Return which items are not None; all rows of an array of numbers are present."""
    if is_numeric(items):
        return np.ones(items.shape[0], bool)
    return np.array([item is not None for item in as_items(items, f"view '{view}'")], bool)


def check_samples(samples: int | None, *, least: int = 1) -> None:
    """Refuse a number of samples that is not a whole number, or too small."""
    if samples is not None and (
        isinstance(samples, bool) or not isinstance(samples, int | np.integer) or samples < least
    ):
        raise SettingsError(f"samples={samples!r}: expected a whole number, {least} or more.")
