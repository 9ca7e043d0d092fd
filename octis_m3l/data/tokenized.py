"""Tokenized documents: as ids of all their words, and as ids of a vocabulary."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

_ROWS_SHOWN = 10


@dataclass(frozen=True)
class PreprocessingReport:
    """What the preprocessing of one view dropped."""

    view: str
    documents: int
    empty_documents: tuple[int, ...]
    tokens_before: int
    tokens_after: int
    vocabulary_size: int

    def __str__(self) -> str:
        """Return the report as one sentence."""
        return (
            f"View {self.view!r}: {self.documents} documents, {self._empty()}; "
            f"{self.tokens_after} of {self.tokens_before} tokens are in the vocabulary of "
            f"{self.vocabulary_size} words."
        )

    def _empty(self) -> str:
        if not self.empty_documents:
            return "none of them empty"
        shown = ", ".join(map(str, self.empty_documents[:_ROWS_SHOWN]))
        more = ", ..." if len(self.empty_documents) > _ROWS_SHOWN else ""
        rows = "row" if len(self.empty_documents) == 1 else "rows"
        return f"{len(self.empty_documents)} of them with no token left ({rows} {shown}{more})"


@dataclass(frozen=True, eq=False)
class TokenizedCorpus:
    """The documents of one view as ids of its vocabulary, one after another."""

    token_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    vocabulary: tuple[str, ...]
    report: PreprocessingReport


class IdsOfForm(dict[str, tuple[int, ...]]):
    """Written words with the ids of their tokens, each worked out when first met."""

    def __init__(self, words_of: Callable[[str], list[str]]) -> None:
        super().__init__()
        self._words_of = words_of
        self.id_of_word: dict[str, int] = {}

    def __missing__(self, form: str) -> tuple[int, ...]:
        known = self.id_of_word
        ids = tuple(known.setdefault(word, len(known)) for word in self._words_of(form))
        self[form] = ids
        return ids


@dataclass(frozen=True, eq=False)
class EncodedTexts:
    """Documents as ids of all their words, before a vocabulary is chosen."""

    token_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    words: list[str]
    missing: NDArray[np.bool_]

    def counts(self, rows: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how often each word occurs in the given rows, and in how many of them."""
        shape = (len(rows), len(self.words))
        ones = np.ones(len(self.token_ids), dtype=np.int64)
        bags = csr_matrix((ones, self.token_ids, self.offsets), shape=shape)[rows]
        bags.sum_duplicates()
        counts = np.bincount(bags.indices, weights=bags.data, minlength=len(self.words))
        frequencies = np.bincount(bags.indices, minlength=len(self.words))
        return counts.astype(np.int64), frequencies.astype(np.int64)

    def select(self, vocabulary: tuple[str, ...], view: str) -> TokenizedCorpus:
        """Return the tokens that are in the vocabulary."""
        position = {word: index for index, word in enumerate(vocabulary)}
        positions = np.array([position.get(word, -1) for word in self.words], dtype=np.int32)
        selected = positions[self.token_ids]
        kept = selected >= 0
        offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)[self.offsets]
        empty = np.flatnonzero((np.diff(offsets) == 0) & ~self.missing)
        report = PreprocessingReport(
            view=view,
            documents=len(self.missing),
            empty_documents=tuple(empty.tolist()),
            tokens_before=len(self.token_ids),
            tokens_after=int(offsets[-1]),
            vocabulary_size=len(vocabulary),
        )
        return TokenizedCorpus(selected[kept], offsets, vocabulary, report)
