"""New documents as the words that a model knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from octis_m3l.data.folder.reading import Tokenizer
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.views import TextView
from octis_m3l.errors import DataError


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

    def read(self, items: Sequence[str] | NDArray[Any] | Any) -> TextView:
        """Return documents as a view."""
        if issparse(items) or (isinstance(items, np.ndarray) and items.dtype.kind in "iufb"):
            token_ids, offsets = self._of_counts(items)
        else:
            corpus = self.preprocessor.transform(list(items), self.vocabulary, self.view)
            token_ids, offsets = corpus.token_ids, corpus.offsets
        return TextView(
            name=self.view,
            sizes=(len(offsets) - 1, 0, 0),
            vocabulary=self.vocabulary,
            token_ids=token_ids,
            offsets=offsets,
        )

    def _of_counts(self, matrix: Any) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        counts = csr_array(matrix) if matrix.ndim == 2 and matrix.dtype.kind in "iuf" else None
        # A data set's own bags of words are whole numbers of single precision.
        whole = counts is not None and bool((counts.data == np.rint(counts.data)).all())
        if counts is None or not whole or matrix.shape[1] != len(self.vocabulary):
            raise DataError(
                f"view '{self.view}': a matrix of shape {matrix.shape} and type {matrix.dtype}; "
                f"expected whole numbers (items × {len(self.vocabulary)} words), or texts."
            )
        if counts.nnz and counts.data.min() < 0:
            raise DataError(f"view '{self.view}': a word count is below 0.")
        repeated = counts.data.astype(np.int64)
        token_ids = np.repeat(counts.indices, repeated).astype(np.int32)
        ends = np.concatenate([[0], np.cumsum(repeated)])
        return token_ids, ends[counts.indptr].astype(np.int64)

    def empty(self) -> TextView:
        """Return no documents."""
        return TextView(
            name=self.view,
            sizes=(0, 0, 0),
            vocabulary=self.vocabulary,
            token_ids=np.zeros(0, np.int32),
            offsets=np.zeros(1, np.int64),
        )

    def with_tokenizer(self, tokenizer: Tokenizer) -> Self:
        """Return the reader with a tokenizer that its stored settings could not bring back."""
        return replace(self, preprocessor=self.preprocessor.with_tokenizer(tokenizer))

    @classmethod
    def restored(cls, view: str, vocabulary: Sequence[str], settings: Mapping[str, Any]) -> Self:
        """Return the reader whose preprocessing was stored."""
        return cls(view, tuple(vocabulary), TextPreprocessor.from_dict(settings))
