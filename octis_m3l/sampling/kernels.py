"""The compiled inner loops: a sweep of collapsed Gibbs sampling, and the counts that it changes.

The conditional of a token's topic (Mimno et al. 2009),

    p(z = k | rest) ∝ (n_dk + α_k) (n_kw + η) / (n_k + Vη) = a_k (n_kw + η),

is split into two buckets (after Yao, Mimno & McCallum 2009): Σ_k a_k n_kw over the few topics that
the word has, which are kept in a list with the most frequent first; and η Σ_k a_k, which is
updated with every draw. Both are exact.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
Topics = NDArray[np.int16]


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that compiles a function, and caches the result on disk if it can.

    If neither the package's folder nor the user's cache can be written to, functions are compiled
    anew in every process. All functions stand in this file, because numba notices changes of the
    file of a function but not changes of the functions that it calls.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        settings = {"nogil": True, "error_model": "numpy", **options}
        compiled_function: Callable[..., Any]
        try:
            compiled_function = njit(cache=True, **settings)(function)
        except RuntimeError:
            compiled_function = njit(**settings)(function)
        return compiled_function

    return decorate


class Tokens(NamedTuple):
    """The arrays of a `LinkedCorpus`, the topic of each token, and the block of each segment."""

    words: NDArray[np.int32]
    topics: Topics
    segment_starts: Longs
    segment_languages: NDArray[np.int32]
    segment_blocks: NDArray[np.int32]
    document_segments: Longs


class Counts(NamedTuple):
    """How often each topic occurs with each word, and in each language (`totals`).

    ``entries[begins[w] : begins[w] + lengths[w]]`` are the pairs (topic, count) of word w with
    counts above 0, roughly in descending order. A word has space for as many pairs as it has
    tokens, at most K, so memory grows with the tokens and not with words × topics.
    """

    entries: NDArray[np.int32]
    begins: Longs
    lengths: NDArray[np.int32]
    totals: Longs


class Prior(NamedTuple):
    """α (K); η, and V·η, of each language (L)."""

    alpha: Floats
    eta: Floats
    eta_sum: Floats


@njit(inline="always")
def next_uniform(state: NDArray[np.uint64]) -> float:
    """Return the next number in [0, 1) of SplitMix64 (Steele, Lea & Flood 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    bits = state[0]
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits = bits ^ (bits >> np.uint64(31))
    return float(bits >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@compiled(fastmath=True)
def count(
    words: NDArray[np.int32], topics: Topics, counts: Counts, languages: NDArray[Any]
) -> None:
    """Count all tokens into empty counts; `languages` has the language of each word.

    Topics of −1 have not been drawn yet.
    """
    entries, begins, lengths, totals = counts
    for token in range(len(words)):
        word, topic = words[token], topics[token]
        if topic < 0:
            continue
        totals[languages[word], topic] += 1
        begin, length = begins[word], lengths[word]
        place = 0
        while place < length and entries[begin + place, 0] != topic:
            place += 1
        if place == length:
            entries[begin + place, 0] = topic
            entries[begin + place, 1] = 0
            lengths[word] += 1
        entries[begin + place, 1] += 1
    for word in range(len(lengths)):
        _sort(entries, begins[word], lengths[word])


@compiled(fastmath=True)
def _sort(entries: NDArray[np.int32], begin: int, length: int) -> None:
    for place in range(begin + 1, begin + length):
        topic, number = entries[place, 0], entries[place, 1]
        other = place
        while other > begin and entries[other - 1, 1] < number:
            entries[other, 0] = entries[other - 1, 0]
            entries[other, 1] = entries[other - 1, 1]
            other -= 1
        entries[other, 0] = topic
        entries[other, 1] = number


@compiled(fastmath=True)
def _weigh(in_document: Longs, alpha: Floats, inverted: Floats, weight: Floats) -> float:
    """Set a_k of all topics; return their sum."""
    total = 0.0
    for k in range(len(weight)):
        weight[k] = (in_document[k] + alpha[k]) * inverted[k]
        total += weight[k]
    return total


@compiled(fastmath=True)
def sweep(
    tokens: Tokens, counts: Counts, prior: Prior, seed: np.uint64, first: int, last: int, block: int
) -> None:
    """Draw the topics of one block's tokens in documents `first` to `last` − 1 once, in order.

    A topic of −1 is drawn for the first time, given those drawn so far.
    """
    words, topics, segment_starts, segment_languages, segment_blocks, document_segments = tokens
    entries, begins, lengths, totals = counts
    alpha, eta, eta_sum = prior
    # Unsigned indices: numba tests signed ones for being negative, which took a fifth of a sweep.
    k_all = np.uint64(len(alpha))
    state = np.array([seed], np.uint64)
    in_document = np.zeros(len(alpha), np.int64)
    inverse = 1.0 / (totals + eta_sum.reshape(-1, 1))
    weight = np.zeros(len(alpha))
    cumulated = np.zeros(len(alpha))
    none, one, topic_of, count_of = np.uint64(0), np.uint64(1), np.uint64(0), np.uint64(1)
    for document in range(first, last):
        first_segment, last_segment = document_segments[document], document_segments[document + 1]
        in_document[:] = 0
        for token in range(segment_starts[first_segment], segment_starts[last_segment]):
            if topics[token] >= 0:
                in_document[topics[token]] += 1
        for segment in range(first_segment, last_segment):
            if segment_blocks[segment] != block:
                continue
            language = segment_languages[segment]
            smoothing, word_mass = eta[language], eta_sum[language]
            total, inverted = totals[language], inverse[language]
            weights = _weigh(in_document, alpha, inverted, weight)
            first_token = np.uint64(segment_starts[segment])
            for token in range(first_token, np.uint64(segment_starts[segment + 1])):
                word, known = np.uint32(words[token]), topics[token] >= 0
                old = np.uint64(topics[token]) if known else k_all
                begin, length = np.uint64(begins[word]), np.uint64(lengths[word])
                before, without = 0.0, 0.0
                if known:
                    before = weight[old]
                    without = 1.0 / (total[old] - 1 + word_mass)
                    weight[old] = (in_document[old] - 1 + alpha[old]) * without
                    weights += weight[old] - before
                mass, place_of_old = 0.0, none
                for place in range(length):
                    topic = np.uint64(entries[begin + place, topic_of])
                    number = entries[begin + place, count_of]
                    if topic == old:
                        number -= 1
                        place_of_old = np.uint64(place)
                    mass += weight[topic] * number
                    cumulated[place] = mass
                drawn = next_uniform(state) * (mass + smoothing * weights)
                among, new_place, new = drawn < mass, none, none
                if among:
                    while drawn >= cumulated[new_place]:
                        new_place += one
                    new = np.uint64(entries[begin + new_place, topic_of])
                else:
                    drawn = (drawn - mass) / smoothing
                    while new < k_all - one and drawn >= weight[new]:
                        drawn -= weight[new]
                        new += one
                if new == old:
                    weights += before - weight[old]
                    weight[old] = before
                    continue
                if known:
                    entries[begin + place_of_old, count_of] -= 1
                    if entries[begin + place_of_old, count_of] == 0:
                        length -= one
                        moved = begin + length
                        entries[begin + place_of_old, topic_of] = entries[moved, topic_of]
                        entries[begin + place_of_old, count_of] = entries[moved, count_of]
                        if new_place == length:
                            new_place = place_of_old
                    total[old] -= 1
                    inverted[old] = without
                    in_document[old] -= 1
                if not among:
                    new_place = none
                    while new_place < length and entries[begin + new_place, topic_of] != new:
                        new_place += one
                    if new_place == length:
                        entries[begin + length, topic_of] = new
                        entries[begin + length, count_of] = 0
                        length += one
                here, ahead = begin + new_place, begin + new_place - one
                number = entries[here, count_of] + 1
                entries[here, count_of] = number
                if new_place > none and number > entries[ahead, count_of]:
                    entries[here, topic_of] = entries[ahead, topic_of]
                    entries[here, count_of] = entries[ahead, count_of]
                    entries[ahead, topic_of] = new
                    entries[ahead, count_of] = number
                lengths[word] = length
                total[new] += 1
                inverted[new] = 1.0 / (total[new] + word_mass)
                in_document[new] += 1
                after = (in_document[new] + alpha[new]) * inverted[new]
                weights += after - weight[new]
                weight[new] = after
                topics[token] = new


@compiled()
def add_theta(topics: Topics, starts: Longs, alpha: Floats, theta: NDArray[np.float32]) -> None:
    """Add (n_dk + α_k) / (N_d + Σα) of every document."""
    total = alpha.sum()
    in_document = np.zeros(len(alpha))
    for document in range(len(starts) - 1):
        in_document[:] = alpha
        for token in range(starts[document], starts[document + 1]):
            in_document[topics[token]] += 1.0
        length = starts[document + 1] - starts[document]
        for k in range(len(alpha)):
            theta[document, k] += in_document[k] / (length + total)


@compiled()
def document_cells(topics: Topics, starts: Longs, num_topics: int, cells: Longs) -> int:
    """Write n_dk · K + k of each document and each topic that it has; return how many."""
    in_document = np.zeros(num_topics, np.int64)
    written = 0
    for document in range(len(starts) - 1):
        for token in range(starts[document], starts[document + 1]):
            in_document[topics[token]] += 1
        for token in range(starts[document], starts[document + 1]):
            k = topics[token]
            if in_document[k]:
                cells[written] = in_document[k] * num_topics + k
                in_document[k] = 0
                written += 1
    return written


@compiled()
def seed_documents(numbers: Longs, starts: Longs, seed: int, random: NDArray[np.uint64]) -> None:
    """Set each document's random state from the numbers of its words."""
    for document in range(len(random)):
        state = np.uint64(seed)
        for token in range(starts[document], starts[document + 1]):
            state = (state ^ np.uint64(numbers[token])) * np.uint64(0x100000001B3)
        random[document] = state


@compiled()
def fold(
    words: Longs,
    starts: Longs,
    word_topics: Floats,
    alpha: Floats,
    skipped: int,
    samples: int,
    topics: Topics,
    random: NDArray[np.uint64],
    theta: Floats,
    documents: tuple[int, int],
) -> None:
    """Continue the chains of some documents, and add their mean θ.

    Topics of −1 have not been drawn yet; an additional first sweep draws them.
    """
    k_all = len(alpha)
    cumulated = np.zeros(k_all)
    weight = np.zeros(k_all)
    expected = np.zeros(k_all)
    for document in range(documents[0], documents[1]):
        first, last = starts[document], starts[document + 1]
        state = random[document : document + 1]
        weight[:] = alpha
        expected[:] = 0.0
        begun = last > first and topics[first] >= 0
        if begun:
            for token in range(first, last):
                weight[topics[token]] += 1.0
        uncounted = skipped if begun else skipped + 1
        for sweep_number in range(uncounted + samples):
            for token in range(first, last):
                if topics[token] >= 0:
                    weight[topics[token]] -= 1.0
                mass = 0.0
                row = word_topics[words[token]]
                for k in range(k_all):
                    mass += weight[k] * row[k]
                    cumulated[k] = mass
                drawn = next_uniform(state) * mass
                k = 0
                while k < k_all - 1 and drawn >= cumulated[k]:
                    k += 1
                topics[token] = k
                if sweep_number >= uncounted:
                    before = 0.0
                    for one in range(k_all):
                        expected[one] += (cumulated[one] - before) / mass
                        before = cumulated[one]
                weight[k] += 1.0
        total = last - first + alpha.sum()
        for k in range(k_all):
            theta[document, k] += (alpha[k] + expected[k] / samples) / total
