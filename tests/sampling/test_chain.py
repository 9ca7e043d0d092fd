"""The chain beside recounts, exact enumeration and slow formulas."""

from collections.abc import Callable
from concurrent.futures import Future
from itertools import product
from math import lgamma
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import chi2

from octis_m3l.sampling import Chain, LinkedCorpus, as_arrays, from_arrays, kernels

from .corpora import document_counts, drawn, linked, tokens, word_counts


def chain_over(
    corpus: LinkedCorpus, topics: int = 3, *, threads: int = 1, seed: int = 0, sweeps: int = 0
) -> Chain:
    chain = Chain(corpus, topics, alpha=0.2, eta=0.3, seed=seed, threads=threads)
    for _ in range(sweeps):
        chain.sweep()
    return chain


def assert_counts_are_those_of_the_topics(chain: Chain) -> None:
    counts, firsts = chain.counts, chain.corpus.first_words
    totals = np.zeros_like(counts.totals)
    for (language, word), expected in word_counts(chain).items():
        number = firsts[language] + word
        begin, length = counts.begins[number], counts.lengths[number]
        pairs = counts.entries[begin : begin + length].tolist()
        assert sorted(map(tuple, pairs)) == sorted(expected.items())
        for topic, count in expected.items():
            totals[language, topic] += count
    np.testing.assert_array_equal(counts.totals, totals)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("topics", [2, 40])
def test_counts_stay_those_of_the_topics(topics: int, threads: int) -> None:
    for seed in range(3):
        chain = chain_over(drawn(seed), topics, threads=threads)
        assert_counts_are_those_of_the_topics(chain)
        before = chain.topics.copy()
        for _ in range(12):
            chain.sweep()
            assert_counts_are_those_of_the_topics(chain)
        assert chain.sweeps == 12
        assert (chain.topics != before).any()
        assert {*chain.topics} <= {*range(topics)}


def test_it_begins_with_topics_drawn_given_those_before() -> None:
    # Three tokens of two topics; the third is of another document.
    corpus = linked({"en": [[0, 1], [0]]}, [2])
    seeds, found = 4000, np.zeros(8)
    for seed in range(seeds):
        found[int("".join(map(str, chain_over(corpus, 2, seed=seed).topics)), 2)] += 1
    expected = np.zeros(8)
    for number, (a, b, c) in enumerate(product(range(2), repeat=3)):
        second = [(0.2 + (k == a)) * 0.3 / (2 * 0.3 + (k == a)) for k in range(2)]
        third = [0.2 * (0.3 + (k == a)) / (2 * 0.3 + (k == a) + (k == b)) for k in range(2)]
        expected[number] = 0.5 * second[b] / sum(second) * third[c] / sum(third)
    assert ((found - seeds * expected) ** 2 / (seeds * expected)).sum() < chi2.ppf(1 - 1e-6, 7)


@pytest.mark.parametrize(
    "texts",
    [
        {"en": [[0, 0, 0]], "de": [[]]},
        {"en": [[], [0], []], "de": [[], [], []]},
        {"en": [[0], [0]], "de": [[1], [1]]},
    ],
)
def test_fewer_words_and_documents_than_threads(texts: dict[str, list[list[int]]]) -> None:
    corpus = linked(texts, [2, 3])
    for threads in (1, 2, 5):
        assert_counts_are_those_of_the_topics(chain_over(corpus, 4, threads=threads, sweeps=9))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_one_seed_is_one_chain_and_every_sweep_another_draw(threads: int) -> None:
    corpus = drawn(1, documents=30)
    first, same, other = (
        chain_over(corpus, 5, threads=threads, seed=seed, sweeps=15) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first.topics, same.topics)
    assert (first.topics != other.topics).mean() > 0.2
    found = {first.topics.tobytes()}
    for _ in range(20):
        first.sweep()
        found.add(first.topics.tobytes())
    assert len(found) == 21


# The posterior, where all assignments can be listed.


def polya(counts: NDArray[Any], prior: NDArray[Any]) -> float:
    """Return the log-probability of rows of counts, each with its Dirichlet–multinomial."""
    gained = (gammaln(counts + prior) - gammaln(prior)).sum()
    sums = prior.sum()
    return float(gained + (gammaln(sums) - gammaln(counts.sum(axis=1) + sums)).sum())


def posterior(corpus: LinkedCorpus, alpha: NDArray[Any], eta: NDArray[Any]) -> NDArray[np.float64]:
    """Return p(z | w) of all assignments, the last token's topic running fastest."""
    logs = []
    for topics in product(range(len(alpha)), repeat=len(corpus.words)):
        documents = np.zeros((len(corpus), len(alpha)))
        words = [np.zeros((len(alpha), size)) for size in corpus.vocabularies]
        for (document, language, word), topic in zip(tokens(corpus), topics, strict=True):
            documents[document, topic] += 1
            words[language][topic, word] += 1
        priors = [np.full(of.shape[1], one) for of, one in zip(words, eta, strict=True)]
        logs.append(polya(documents, alpha) + sum(map(polya, words, priors)))
    likely = np.exp(np.array(logs) - max(logs))
    return np.asarray(likely / likely.sum())


def p_value(seen: NDArray[np.int64], expected: NDArray[np.float64]) -> float:
    """Return the p-value of χ², with rare assignments grouped until 20 are expected."""
    wanted = expected * seen.sum()
    order = np.argsort(wanted)
    groups = np.zeros(len(wanted), np.int64)
    groups[order] = np.cumsum(wanted[order]) // 20
    groups = np.unique(groups, return_inverse=True)[1]
    observed, wanted = np.bincount(groups, seen), np.bincount(groups, wanted)
    statistic = (np.square(observed - wanted) / wanted).sum()
    return float(chi2.sf(statistic, len(wanted) - 1))


class AtOnce:
    """Stands for a pool of threads: does the same in turn, in a tenth of the time."""

    def __init__(self, workers: int) -> None:
        assert workers > 0

    def submit(self, function: Callable[..., Any], number: int) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(number))
        return future


TWO_TOPICS = ({"en": [[0, 1], [0], []], "de": [[1], [1, 0], [0]]}, [2, 3], (0.3, 0.9))
THREE_TOPICS = ({"en": [[0, 0], [1]], "de": [[1], [1]]}, [2, 3], (0.3, 0.9, 0.1))
# Each of two threads has the words of one language at a time, so that no total is out of date.
TWO_THREADS = ({"en": [[0, 0], [0, 1]], "de": [[0, 1], [0, 1]]}, [2, 2], (0.3, 0.9))


@pytest.mark.parametrize(
    ("texts", "words", "alpha", "threads", "samples"),
    [
        (*TWO_TOPICS, 1, 20_000),
        (*THREE_TOPICS, 1, 20_000),
        pytest.param(*TWO_THREADS, 2, 10_000, marks=pytest.mark.slow),
    ],
)
def test_its_samples_are_of_the_posterior(
    texts: Any, words: Any, alpha: Any, threads: int, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("octis_m3l.sampling.chain.ThreadPoolExecutor", AtOnce)
    chain = chain_over(linked(texts, words), len(alpha), threads=threads, seed=1, sweeps=20)
    chain.alpha, chain.eta = np.array(alpha), np.array([0.2, 0.6])
    if threads == 2:
        assert chain.corpus.segment_languages.tolist() == chain.blocks.tolist()
    places = len(alpha) ** np.arange(len(chain.topics))[::-1]
    seen = np.zeros(len(alpha) ** len(chain.topics), np.int64)
    for _ in range(samples):
        # With two sweeps between them samples are as good as independent here.
        for _ in range(3):
            chain.sweep()
        seen[(chain.topics * places).sum()] += 1
    assert p_value(seen, posterior(chain.corpus, chain.alpha, chain.eta)) > 1e-3
    for wrong in (0.7, 1.3):
        assert p_value(seen, posterior(chain.corpus, chain.alpha, wrong * chain.eta)) < 1e-3
        assert p_value(seen, posterior(chain.corpus, wrong * chain.alpha, chain.eta)) < 1e-3
    assert p_value(seen, posterior(chain.corpus, chain.alpha, chain.eta[::-1])) < 1e-3


# Samples, and the log-likelihood.


def topic_words(chain: Chain) -> list[Any]:
    """Return φ of each language (K × vocabulary)."""
    return [chain.sample().language(one).T for one in range(len(chain.eta))]


def test_a_sample_is_a_copy_and_comes_back_from_its_arrays() -> None:
    chain = chain_over(drawn(2), 4, sweeps=5)
    sample = chain.sample()
    before = {name: array.copy() for name, array in as_arrays([sample]).items()}
    chain.sweep()
    chain.fit_alpha()
    [again] = from_arrays(before, 1, 3)
    for name, array in as_arrays([sample]).items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
        np.testing.assert_array_equal(array, as_arrays([again])[name], err_msg=name)
    whole = np.concatenate([sample.language(number) for number in range(3)])
    some = np.array([0, 2, 3, 9, 33])
    np.testing.assert_array_equal(sample.word_topics(some), whole[some])
    np.testing.assert_allclose(sample.language(2).sum(axis=0), 1.0)
    assert all((counts.data > 0).all() for counts in sample.counts)


@pytest.mark.parametrize("threads", [1, 3])
def test_words_documents_and_likelihood_are_the_counts_with_the_prior(threads: int) -> None:
    chain = chain_over(drawn(2), 4, threads=threads, sweeps=5)
    chain.alpha, chain.eta = np.array([0.1, 0.5, 0.2, 2.0]), np.array([0.3, 0.05, 0.01])
    counted, found, total = word_counts(chain), topic_words(chain), 0.0
    assert [phi.shape for phi in found] == [(4, 3), (4, 1), (4, 30)]
    for language, phi in enumerate(found):
        size, eta = phi.shape[1], float(chain.eta[language])
        for topic in range(4):
            row = np.array([counted[language, word][topic] for word in range(size)])
            np.testing.assert_allclose(phi[topic], (row + eta) / sum(row + eta), rtol=1e-12)
            total += lgamma(size * eta) - lgamma(sum(row) + size * eta)
            total += sum(lgamma(count + eta) - lgamma(eta) for count in row)
    assert chain.log_likelihood() == pytest.approx(total / len(chain.topics), rel=1e-10)
    theta = np.zeros((len(chain.corpus), 4), np.float32)
    chain.add_document_topics(theta)
    expected = document_counts(chain) + chain.alpha
    np.testing.assert_allclose(theta, expected / expected.sum(axis=1, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(theta[0], chain.alpha / chain.alpha.sum(), rtol=1e-6)


def test_it_runs_where_nothing_can_be_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_, tried = kernels.njit, []

    def uncacheable(**options: Any) -> Any:
        tried.append(options.get("cache", False))
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return compile_(**options)

    monkeypatch.setattr(kernels, "njit", uncacheable)
    twice = kernels.compiled()(lambda number: 2 * number)
    assert tried == [True, False]
    assert twice(4) == 8
