"""New documents as the words that a model knows, and the models that read words themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from typing_extensions import TypeVar

from octis_m3l.data.arrays import ragged_counts
from octis_m3l.data.item_checks import is_numeric
from octis_m3l.data.text import TextPreprocessor, Tokenizer
from octis_m3l.data.views import TextView
from octis_m3l.errors import DataError, check_known, warn
from octis_m3l.models.base import TopicModel, give_tokenizers
from octis_m3l.models.exploration import Items, listed
from octis_m3l.models.settings import Settings
from octis_m3l.models.visual_words import VisualWords

R = TypeVar("R", bound=Settings, default=Any)


@dataclass(frozen=True, eq=False)
class WordReader:
    """A view's preprocessing and vocabulary, kept with a model that reads words."""

    view: str
    vocabulary: tuple[str, ...]
    preprocessor: TextPreprocessor

    @classmethod
    def of_view(cls, view: TextView) -> Self:
        """Return the reader of a view."""
        own = view.preprocessor
        preprocessor = own or TextPreprocessor.of_vocabulary(view.vocabulary, view.language)
        return cls(view.name, view.vocabulary, preprocessor)

    def read(self, items: Any) -> TextView:
        """Return texts, or a matrix of word counts, as a view."""
        width = len(self.vocabulary)
        fields: dict[str, Any]
        if not is_numeric(items):
            corpus = self.preprocessor.transform(list(items), self.vocabulary, self.view)
            fields = {"token_ids": corpus.token_ids, "offsets": corpus.offsets}
        elif items.ndim != 2 or items.dtype.kind not in "iuf" or items.shape[1] != width:
            raise DataError(
                f"view '{self.view}': a matrix of shape {items.shape} and type {items.dtype}; "
                f"expected whole numbers (items × {width} words), or texts."
            )
        else:
            fields = ragged_counts(csr_array(items), self.view)
        sizes = (len(fields["offsets"]) - 1, 0, 0)
        return TextView(name=self.view, sizes=sizes, vocabulary=self.vocabulary, **fields)

    def with_tokenizer(self, tokenizer: Tokenizer) -> Self:
        """Return the reader with a tokenizer that its stored settings could not bring back."""
        return replace(self, preprocessor=self.preprocessor.with_tokenizer(tokenizer))

    @classmethod
    def restored(cls, view: str, vocabulary: Sequence[str], settings: Mapping[str, Any]) -> Self:
        """Return the reader whose preprocessing was stored."""
        return cls(view, tuple(vocabulary), TextPreprocessor.from_dict(settings))


class ReadingModel(TopicModel[R]):
    """A topic model that reads words, and keeps each view's preprocessing and vocabulary."""

    readers: dict[str, WordReader | VisualWords]

    def _as_words(self, items: Items, view: str) -> TextView:
        """Return new items of a view as a view of words."""
        check_known(view, self.readers, "view")
        return self.readers[view].read(listed(items, view))

    def _read(self, items: Items, view: str) -> TextView:
        read, reader = self._as_words(items, view), self.readers[view]
        unknown = isinstance(reader, WordReader) and reader.preprocessor.language is None
        hint = (
            f" View '{view}' is of no known language: if its words are not separated by spaces, "
            "separate them, or name the language when you make the data set."
        )
        what = f"items of view '{view}'"
        warn_of_empty(np.diff(read.offsets) == 0, what, hint if unknown else "")
        return read

    def _give_again(self, *, tokenizers: Mapping[str, Tokenizer] | None = None) -> None:
        give_tokenizers(self.readers, tokenizers)


def warn_of_empty(empty: NDArray[np.bool_], what: str, hint: str = "") -> None:
    """Warn if some of the items have no known word."""
    if empty.any():
        warn(
            f"{int(empty.sum())} of {len(empty)} {what} have no word that the model knows; "
            f"their topic proportions are meaningless.{hint}"
        )
