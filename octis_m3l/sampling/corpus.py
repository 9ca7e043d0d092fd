"""Linked documents as one stream of tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import TextView
from octis_m3l.sampling.kernels import Longs

OfViews = Mapping[str, Longs]
"""Numbers of items, or of their documents, by view."""


@dataclass(frozen=True, eq=False)
class LinkedCorpus:
    """All tokens, ordered by document and within a document by language.

    A segment is the part of a document in one language. A document has no segment of a language
    that it lacks, so missing views cost nothing. The words of all languages are numbered
    consecutively.
    """

    languages: tuple[str, ...]  # the views
    vocabularies: Longs  # the size of each vocabulary
    words: NDArray[np.int32]  # the word number of each token
    segment_starts: Longs  # where each segment's tokens begin, and where the last one ends
    segment_languages: NDArray[np.int32]  # the language of each segment
    document_segments: Longs  # where each document's segments begin, and where the last one ends

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.document_segments) - 1

    @property
    def starts(self) -> Longs:
        """Where each document's tokens begin (documents + 1)."""
        return self.segment_starts[self.document_segments]

    @property
    def first_words(self) -> Longs:
        """The number of each language's first word (languages + 1)."""
        return _starts(self.vocabularies)

    @classmethod
    def of_views(
        cls, views: Sequence[TextView], rows: OfViews, documents: OfViews, count: int
    ) -> Self:
        """Return the corpus of some items (`rows`) of some views: the languages, in this order.

        `documents` has the document, from 0 to `count` − 1, that each of these items belongs to;
        several items of one view may belong to one document.
        """
        sizes = np.array([len(view.vocabulary) for view in views], np.int64)
        words, segments_of_tokens = [], []
        for number, (view, first) in enumerate(zip(views, _starts(sizes), strict=False)):
            begins = view.offsets[rows[view.name]]
            lengths = view.offsets[rows[view.name] + 1] - begins
            words.append(view.token_ids[ranges(begins, lengths)].astype(np.int32) + np.int32(first))
            segment = documents[view.name] * len(views) + number
            segments_of_tokens.append(np.repeat(segment, lengths))
        segment_of_token = np.concatenate(segments_of_tokens)
        order = np.argsort(segment_of_token, kind="stable")
        segments, lengths = np.unique(segment_of_token, return_counts=True)
        return cls(
            tuple(view.name for view in views),
            sizes,
            np.concatenate(words)[order],
            _starts(lengths),
            (segments % len(views)).astype(np.int32),
            _starts(np.bincount(segments // len(views), minlength=count)),
        )

    @classmethod
    def of_tuples(
        cls, dataset: MultiviewDataset, views: Sequence[TextView], partitions: Sequence[str]
    ) -> tuple[Self, dict[str, Longs]]:
        """Return the tuples of a data set's items as documents, and the document of each item.

        The views are the data set's own, with those of images replaced by views of words.
        """
        rows = {
            view.name: np.concatenate([np.arange(len(view))[view.rows(p)] for p in partitions])
            for view in views
        }
        tuples = {name: dataset.tuples(name)[of_view] for name, of_view in rows.items()}
        numbers = np.unique(np.concatenate(list(tuples.values())))
        documents = {name: np.searchsorted(numbers, of_view) for name, of_view in tuples.items()}
        return cls.of_views(views, rows, documents, len(numbers)), documents

    def in_blocks(self, count: int) -> tuple[Self, NDArray[np.int32]]:
        """Return the corpus with every segment divided by blocks of words, and each one's block.

        Each block has about as many tokens as the others.
        """
        if count == 1:
            return self, np.zeros(len(self.segment_languages), np.int32)
        blocks = np.zeros(int(self.vocabularies.sum()), np.int32)
        frequencies = np.bincount(self.words, minlength=len(blocks))
        # From the most frequent word on: 0, 1, …, count − 1, count − 1, …, 1, 0, 0, 1 and so on.
        there_and_back = np.concatenate([np.arange(count), np.arange(count)[::-1]])
        by_frequency = np.argsort(-frequencies, kind="stable")
        blocks[by_frequency] = np.resize(there_and_back, len(blocks))
        segment = np.repeat(np.arange(len(self.segment_languages)), np.diff(self.segment_starts))
        place = segment * count + blocks[self.words]
        pieces, lengths = np.unique(place, return_counts=True)
        divided = replace(
            self,
            words=self.words[np.argsort(place, kind="stable")],
            segment_starts=_starts(lengths),
            segment_languages=self.segment_languages[pieces // count],
            document_segments=np.searchsorted(pieces, self.document_segments * count),
        )
        return divided, (pieces % count).astype(np.int32)


def _starts(lengths: Longs) -> Longs:
    """Return where pieces of these lengths begin, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def ranges(begins: Longs, lengths: Longs) -> Longs:
    """Return the numbers in several ranges, one range after another."""
    shifts = np.repeat(begins - (np.cumsum(lengths) - lengths), lengths)
    found: Longs = np.arange(len(shifts), dtype=np.int64) + shifts
    return found
