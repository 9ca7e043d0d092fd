"""θ of new documents beside exact enumeration."""

from itertools import pairwise, product
from math import lgamma
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.sampling import Chain, LinkedCorpus, fold_in, fold_in_samples, shared_out

from .corpora import drawn, linked, tokens

ALPHA = np.array([0.3, 0.9, 0.1])


def topics_of_words(corpus: LinkedCorpus, seed: int = 0) -> NDArray[np.float64]:
    """Return φ (words × 3): every language's topics are distributions over its words."""
    random = np.random.default_rng(seed)
    parts = [random.dirichlet(np.full(size, 0.7), 3).T for size in corpus.vocabularies]
    return np.concatenate(parts)


def exact(words: list[int], phi: NDArray[Any], alpha: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of θ, one assignment of topics after another."""
    mean, weights = np.zeros(len(alpha)), 0.0
    for topics in product(range(len(alpha)), repeat=len(words)):
        counts = np.bincount(topics, minlength=len(alpha))
        weight = np.exp(
            sum(lgamma(n + a) - lgamma(a) for n, a in zip(counts, alpha, strict=True))
        ) * np.prod([phi[word, topic] for word, topic in zip(words, topics, strict=True)])
        mean += weight * (counts + alpha) / (len(words) + alpha.sum())
        weights += weight
    return mean / weights


def folded(corpus: LinkedCorpus, seed: int = 0, **changes: Any) -> NDArray[np.float64]:
    settings: dict[str, Any] = {"burn_in": 20, "between": 0} | changes
    samples = settings.pop("samples", 30)
    return fold_in(corpus, [(topics_of_words(corpus), ALPHA, samples)], seed=seed, **settings)


def test_theta_is_the_exact_mean_over_states() -> None:
    texts = {"en": [[0, 1, 1], [2], [0, 0, 3, 3], []], "de": [[2, 2, 0], [1, 2], [], []]}
    corpus = linked(texts, [4, 3])
    for count in (1, 3):
        states = [
            (topics_of_words(corpus, n), ALPHA * (1 + n), 300_000 // count) for n in range(count)
        ]
        found = fold_in(corpus, iter(states), burn_in=20, between=5, seed=0)
        for row, (first, last) in enumerate(pairwise(corpus.starts)):
            words = corpus.words[first:last].tolist()
            expected = np.mean([exact(words, phi, alpha) for phi, alpha, _ in states], axis=0)
            np.testing.assert_allclose(found[row], expected, atol=0.004)
            for wrong in (1.3 * ALPHA, ALPHA[::-1]) if count == 1 and words else ():
                assert np.abs(found[row] - exact(words, states[0][0], wrong)).max() > 0.008


def test_the_first_sweeps_are_not_counted_and_states_follow_one_another() -> None:
    corpus = linked({"en": [[0, 1, 1, 2]]}, [4])
    later = [folded(corpus, burn_in=burn_in, samples=1) for burn_in in range(8)]
    np.testing.assert_allclose(folded(corpus, burn_in=5, samples=3), sum(later[5:]) / 3)
    np.testing.assert_allclose(folded(corpus, burn_in=0, samples=8), sum(later) / 8)
    state = (topics_of_words(corpus), ALPHA, 3)
    settings = {"burn_in": 2, "seed": 4}
    twice = fold_in(corpus, [state] * 2, between=0, **settings)
    np.testing.assert_allclose(twice, folded(corpus, 4, burn_in=2, samples=6), rtol=1e-12)
    later = [folded(corpus, 4, burn_in=b, samples=3) for b in (2, 12)]
    np.testing.assert_allclose(
        fold_in(corpus, [state] * 2, between=7, **settings), sum(later) / 2, rtol=1e-12
    )


def test_theta_depends_on_a_documents_bag_of_words_alone() -> None:
    found = folded(linked({"en": [[0, 2, 1, 2], [2, 2, 1, 0], [2, 1, 1, 0]]}, [4]))
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    corpus = drawn(3, documents=20)
    together = folded(corpus)
    rows: list[list[tuple[int, int]]] = [[] for _ in range(20)]
    for document, language, word in tokens(corpus):
        rows[document].append((language, word))
    for order in ([5], [7, 3], list(range(20))[::-1]):
        texts = {
            f"language{number}": [[w for of, w in rows[d] if of == number] for d in order]
            for number in range(3)
        }
        np.testing.assert_array_equal(folded(linked(texts, [3, 1, 30])), together[order])


def test_threads_and_rows_that_are_not_used_change_nothing() -> None:
    corpus = drawn(3, documents=20)
    expected = folded(corpus)
    for threads in (2, 5, 40):
        np.testing.assert_array_equal(folded(corpus, threads=threads), expected)
    used = np.unique(corpus.words).astype(np.int64)
    assert len(used) < corpus.vocabularies.sum()
    state = (topics_of_words(corpus)[used], ALPHA, 30)
    found = fold_in(corpus, [state], burn_in=20, between=0, seed=0, used=used)
    np.testing.assert_array_equal(found, expected)


def test_nothing_has_the_mean_of_the_prior_and_another_seed_is_another_answer() -> None:
    found = folded(linked({"en": [[], [0], []]}, [4]))
    np.testing.assert_allclose(found[[0, 2]], [ALPHA / ALPHA.sum()] * 2, rtol=1e-12)
    assert folded(linked({"en": []}, [4])).shape == (0, 3)
    assert (folded(drawn(3), seed=1) != folded(drawn(3), seed=2)).any()


def test_sweeps_are_divided_among_samples() -> None:
    corpus = drawn(3)
    chain = Chain(corpus, 3, alpha=0.2, eta=0.3, seed=0)
    samples = []
    for _ in range(4):
        chain.sweep()
        samples.append(chain.sample())
    assert shared_out(samples, 10) == list(zip(samples, [3, 3, 2, 2], strict=True))
    assert shared_out(samples, 2) == [(samples[0], 1), (samples[3], 1)]
    every = np.arange(corpus.vocabularies.sum())
    states = [(sample.word_topics(every), sample.alpha, 3) for sample in samples]
    expected = fold_in(corpus, states, burn_in=4, between=5, seed=6)
    found = fold_in_samples(corpus, samples, 12, burn_in=4, seed=6, threads=2)
    np.testing.assert_array_equal(found, expected)
