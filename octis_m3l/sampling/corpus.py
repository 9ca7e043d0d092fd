"""Linked documents as one stream of tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.views import TextView
from octis_m3l.sampling.samples import positions


@dataclass(frozen=True, eq=False)
class LinkedCorpus:
    """Tokens in the order of documents, and within one in the order of languages.

    A segment is what a document has in one language; a language that it lacks has none, so that
    gaps cost nothing. Words of all languages are numbered through.

    Parameters
    ----------
    languages : tuple of str
        The views.
    vocabularies : array of int64 (languages)
        How many words each has.
    words : array of int32 (tokens)
        Word numbers, those of a language after all words of the languages before it.
    segment_starts : array of int64 (segments + 1)
        Where each segment's tokens begin; the last entry is the number of tokens.
    segment_languages : array of int32 (segments)
        Their languages.
    document_segments : array of int64 (documents + 1)
        Where each document's segments begin.
    """

    languages: tuple[str, ...]
    vocabularies: NDArray[np.int64]
    words: NDArray[np.int32]
    segment_starts: NDArray[np.int64]
    segment_languages: NDArray[np.int32]
    document_segments: NDArray[np.int64]

    def __len__(self) -> int:
        """Return how many documents there are."""
        return len(self.document_segments) - 1

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each document's tokens begin (documents + 1)."""
        return self.segment_starts[self.document_segments]

    @property
    def first_words(self) -> NDArray[np.int64]:
        """The number of each language's first word (languages + 1)."""
        return np.concatenate([[0], np.cumsum(self.vocabularies)])

    @classmethod
    def of_views(
        cls,
        views: Sequence[TextView],
        rows: Mapping[str, NDArray[np.int64]],
        documents: Mapping[str, NDArray[np.int64]],
        count: int,
    ) -> Self:
        """Return the corpus of some items of some views.

        Parameters
        ----------
        views : sequence of TextView
            The languages, in this order.
        rows : mapping of view to array of int64
            Which of its items.
        documents : mapping of view to array of int64
            The document, from 0 to `count` − 1, that each of these items belongs to; several
            items of one view may belong to one document.
        count : int
            How many documents there are.
        """
        sizes = np.array([len(view.vocabulary) for view in views], np.int64)
        firsts = np.concatenate([[0], np.cumsum(sizes)])
        words, places = [], []
        for number, view in enumerate(views):
            taken, lengths = positions(view.offsets, rows[view.name])
            words.append(view.token_ids[taken].astype(np.int32) + np.int32(firsts[number]))
            places.append(np.repeat(documents[view.name], lengths) * len(views) + number)
        place = np.concatenate(places) if places else np.zeros(0, np.int64)
        order = np.argsort(place, kind="stable")
        segments, lengths = np.unique(place, return_counts=True)
        of_document = np.bincount(segments // len(views), minlength=count)
        return cls(
            tuple(view.name for view in views),
            sizes,
            np.concatenate(words)[order],
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            (segments % len(views)).astype(np.int32),
            np.concatenate([[0], np.cumsum(of_document)]).astype(np.int64),
        )

    def in_blocks(self, count: int) -> tuple[Self, NDArray[np.int32]]:
        """Return the corpus with its segments divided by blocks of words, and each one's block.

        Parameters
        ----------
        count : int
            How many blocks, with about as many tokens each.

        Returns
        -------
        LinkedCorpus
            With the tokens of each segment in the order of their blocks.
        array of int32 (segments)
        """
        blocks = np.zeros(int(self.vocabularies.sum()), np.int32)
        if count == 1:
            return self, np.zeros(len(self.segment_languages), np.int32)
        tokens = np.bincount(self.words, minlength=len(blocks))
        blocks[np.argsort(-tokens, kind="stable")] = _to_and_fro(len(blocks), count)
        segment = np.repeat(np.arange(len(self.segment_languages)), np.diff(self.segment_starts))
        place = segment * count + blocks[self.words]
        pieces, lengths = np.unique(place, return_counts=True)
        of_document = np.searchsorted(pieces, self.document_segments * count)
        divided = replace(
            self,
            words=self.words[np.argsort(place, kind="stable")],
            segment_starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            segment_languages=self.segment_languages[pieces // count],
            document_segments=of_document.astype(np.int64),
        )
        return divided, (pieces % count).astype(np.int32)


def _to_and_fro(length: int, count: int) -> NDArray[np.int32]:
    """Return 0, 1, …, count − 1, count − 1, …, 1, 0, 0, 1 and so on."""
    there = np.arange(count)
    return np.resize(np.concatenate([there, there[::-1]]), length).astype(np.int32)
