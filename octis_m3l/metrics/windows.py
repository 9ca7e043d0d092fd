"""In how many sliding windows of a view's training documents words occur, and meet."""

from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from octis_m3l.data.views import TextView

_WIDTH = 10
_TOKENS_AT_ONCE = 100_000

_counted: "WeakKeyDictionary[TextView, tuple[int, csr_array[np.float64]]]" = WeakKeyDictionary()


def window_counts(view: TextView) -> "tuple[int, csr_array[np.float64]]":
    """Return the number of windows, and in how many of them two words meet (words × words).

    The diagonal has the number of windows that contain a word. A window is ten successive words of
    a training document, or all words of a shorter one. A view is counted once.

    gensim's rule is kept, so that scores equal its ``c_npmi``: when a word leaves the window at
    its beginning, it counts as absent, even if the window contains it again, until its next
    occurrence enters at the end.
    """
    if view not in _counted:
        rows, words = view.rows("train"), len(view.vocabulary)
        offsets = view.offsets[rows.start : rows.stop + 1]
        windows, pairs = 0, csr_array((words, words), dtype=np.float64)
        for part in _parts(offsets):
            # Numbers of 16 bits are sorted much faster than larger ones.
            tokens = view.token_ids[part[0] : part[-1]].astype(np.min_scalar_type(words))
            more, meetings = _count(tokens, part - part[0], words)
            windows, pairs = windows + more, pairs + meetings
        _counted[view] = windows, csr_array(pairs + pairs.T)
    return _counted[view]


def _parts(offsets: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the offsets of successive documents that have about as many words together."""
    ends = np.arange(offsets[0] + _TOKENS_AT_ONCE, offsets[-1], _TOKENS_AT_ONCE)
    cuts = np.unique([0, *np.searchsorted(offsets, ends), len(offsets) - 1])
    return [offsets[start : stop + 1] for start, stop in pairwise(cuts)]


def _count(
    tokens: NDArray[np.unsignedinteger], offsets: NDArray[np.int64], words: int
) -> "tuple[int, csr_array[np.float64]]":
    """Return the number of windows and of meetings, such that meetings + meetingsᵀ has all."""
    lengths = np.diff(offsets)
    windows = np.maximum(lengths - _WIDTH, 0) + 1
    document = np.repeat(np.arange(len(lengths)), lengths)
    start = offsets[:-1][document]
    place = np.arange(len(tokens)) - start
    enters = np.maximum(place - _WIDTH + 1, 0)

    # A word is present from the window that it enters to the one that the first occurrence of the
    # same word, in that window or later, begins. Occurrences that leave together are one presence.
    order = np.argsort(tokens, kind="stable")
    of_word = tokens[order].astype(np.int64) * len(tokens)
    last = np.searchsorted(of_word + order, of_word + (start + enters)[order])
    last, earliest = np.unique(last, return_index=True)
    leaves = np.zeros(len(tokens), np.int64)
    leaves[order[earliest]] = np.minimum(place[order[last]] + 1, windows[document[order[last]]])

    entered = np.flatnonzero(leaves)
    first_window = (np.cumsum(windows) - windows)[document[entered]]
    begin, end = first_window + enters[entered], first_window + leaves[entered]
    word = tokens[entered]
    rows, columns, meetings = [word], [word], [(end - begin) / 2]
    # Words of a document's first window begin together, so that up to 2 × (_WIDTH − 1) others begin
    # before one ends.
    for later in range(1, 2 * _WIDTH - 1):
        shared = np.minimum(end[:-later], end[later:]) - begin[later:]
        which = np.flatnonzero(shared > 0)
        rows.append(word[which])
        columns.append(word[which + later])
        meetings.append(shared[which])
    row, column, count = map(np.concatenate, (rows, columns, meetings))
    # scipy need not sort what comes column by column.
    order = np.argsort(column, kind="stable")
    places = row[order], column[order]
    return int(windows.sum()), csr_array((count[order], places), shape=(words, words))
