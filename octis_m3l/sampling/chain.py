"""A Markov chain over the topics of all tokens."""

from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.sampling.corpus import LinkedCorpus
from octis_m3l.sampling.dirichlet import fit_asymmetric, fit_symmetric
from octis_m3l.sampling.kernels import (
    Counts,
    Prior,
    Tokens,
    add_theta,
    count,
    document_cells,
    sweep,
)
from octis_m3l.sampling.samples import Sample, WordCounts


class Chain:
    """Collapsed Gibbs sampling of the topics of linked documents.

    With one thread the sampler is exact. With T threads the documents fall into T parts and the
    words into T blocks; in each of the T turns of a sweep every thread has a block and a part to
    itself (after Yan, Xu & Qi 2009), so that all counts of documents and words are exact, and only
    the K totals of a language lack what the other threads have changed since the turn began. The
    result is that of the number of threads, and the same each time.

    Parameters
    ----------
    corpus : LinkedCorpus
        The documents.
    topics : int
        K, at most 32,767.
    alpha : float
        α of each topic, to begin with.
    eta : float
        η of each word.
    seed : int
        Of every random draw.
    threads : int
        How many.

    References
    ----------
    Mimno et al. (2009), Polylingual Topic Models, EMNLP; Griffiths & Steyvers (2004); Yan, Xu &
    Qi (2009), Parallel inference for latent Dirichlet allocation on graphics processing units.
    """

    def __init__(
        self,
        corpus: LinkedCorpus,
        topics: int,
        *,
        alpha: float,
        eta: float,
        seed: int,
        threads: int = 1,
    ) -> None:
        threads = max(1, min(threads, len(corpus)))
        self.corpus, self.blocks = corpus.in_blocks(threads)
        self.seed, self.sweeps = seed, 0
        self.alpha = np.full(topics, float(alpha))
        self.eta = np.full(len(corpus.languages), float(eta))
        random = np.random.default_rng([seed, 0])
        self.topics = random.integers(0, topics, len(corpus.words), dtype=np.int16)
        self.counts = self._empty()
        self._count()
        self.shards = _shards(corpus, threads)
        # Threads are kept: new ones begin on the core of the one that starts them.
        self._pool = ThreadPoolExecutor(len(self.shards) - 1) if len(self.shards) > 1 else None

    def _empty(self) -> Counts:
        topics, corpus = len(self.alpha), self.corpus
        tokens = np.bincount(corpus.words, minlength=int(corpus.vocabularies.sum()))
        begins = np.concatenate([[0], np.cumsum(np.minimum(tokens, topics))])
        return Counts(
            np.zeros((int(begins[-1]), 2), np.int32),
            begins[:-1].astype(np.int64),
            np.zeros(len(tokens), np.int32),
            np.zeros((len(corpus.languages), topics), np.int64),
        )

    def _count(self) -> None:
        corpus = self.corpus
        languages = np.repeat(np.arange(len(corpus.languages)), corpus.vocabularies)
        count(corpus.words, self.topics, self.counts, languages)

    @property
    def _tokens(self) -> Tokens:
        corpus = self.corpus
        return Tokens(
            corpus.words,
            self.topics,
            corpus.segment_starts,
            corpus.segment_languages,
            self.blocks,
            corpus.document_segments,
        )

    def sweep(self) -> None:
        """Draw the topic of every token once."""
        prior = Prior(self.alpha, self.eta, self.eta * self.corpus.vocabularies)
        threads = len(self.shards)
        drawn = np.random.SeedSequence([self.seed, 1, self.sweeps])
        seeds = drawn.generate_state(threads * threads, np.uint64).astype(np.uint64)
        if self._pool is None:
            sweep(self._tokens, self.counts, prior, seeds[0], *self.shards[0], 0)
        else:
            for turn in range(threads):
                self._turn(self._pool, prior, seeds[turn * threads :], turn)
        self.sweeps += 1

    def _turn(
        self, pool: ThreadPoolExecutor, prior: Prior, seeds: NDArray[np.uint64], turn: int
    ) -> None:
        """Let every thread sample its own block of words in another part of the documents."""
        threads, tokens, totals = len(self.shards), self._tokens, self.counts.totals

        def of_thread(number: int) -> NDArray[np.int64]:
            # A thread stays with its words, whose counts stay in its core's cache.
            own = self.counts._replace(totals=totals.copy())
            documents = self.shards[(number + turn) % threads]
            sweep(tokens, own, prior, seeds[number], *documents, number)
            return own.totals

        # This thread has a part too: one thread less to wake.
        running = [pool.submit(of_thread, number) for number in range(1, threads)]
        try:
            found = [of_thread(0), *(one.result() for one in running)]
        finally:
            wait(running)
        totals += sum(own - totals for own in found)

    # What the chain says now.

    def sample(self) -> Sample:
        """Return a copy of the words' counts and of the priors as they are now."""
        firsts, counts = self.corpus.first_words, self.counts
        languages = []
        for number, eta in enumerate(self.eta.tolist()):
            words = np.arange(firsts[number], firsts[number + 1])
            places = _places(counts, words)
            offsets = np.concatenate([[0], np.cumsum(counts.lengths[words], dtype=np.int64)])
            topics, how_often = counts.entries[places].T
            languages.append(
                WordCounts(offsets, topics.astype(np.int16), how_often.copy(), float(eta))
            )
        return Sample(self.alpha.copy(), tuple(languages))

    def add_document_topics(self, theta: NDArray[np.float32]) -> None:
        """Add θ of each document, as the counts are now.

        Parameters
        ----------
        theta : array of float32 (documents × K)
            Added to in place.
        """
        add_theta(self.topics, self.corpus.starts, self.alpha, theta)

    def log_likelihood(self) -> float:
        """Return log p(w | z) a token, in nats: what rises while the chain finds its topics."""
        from scipy.special import gammaln

        total = 0.0
        firsts, counts = self.corpus.first_words, self.counts
        for number, size in enumerate(self.corpus.vocabularies.tolist()):
            eta = self.eta[number]
            places = _places(counts, np.arange(firsts[number], firsts[number + 1]))
            total += (gammaln(counts.entries[places, 1] + eta) - gammaln(eta)).sum()
            sums = counts.totals[number]
            total += (gammaln(size * eta) - gammaln(sums + size * eta)).sum()
        return float(total / max(len(self.corpus.words), 1))

    # Priors.

    def fit_alpha(self) -> None:
        """Re-estimate α, asymmetric, from the counts as they are now."""
        topics, starts = len(self.alpha), self.corpus.starts
        lengths = np.diff(starts)
        cells = np.empty(len(self.topics), np.int64)
        written = document_cells(self.topics, starts, topics, cells)
        different, weights = np.unique(cells[:written], return_counts=True)
        pairs = np.column_stack([different % topics, different // topics])
        self.alpha = fit_asymmetric(pairs, weights, lengths[lengths > 0], self.alpha)

    def fit_eta(self) -> None:
        """Re-estimate each language's η from the counts as they are now."""
        firsts, counts = self.corpus.first_words, self.counts
        for number, size in enumerate(self.corpus.vocabularies.tolist()):
            places = _places(counts, np.arange(firsts[number], firsts[number + 1]))
            self.eta[number] = fit_symmetric(
                counts.entries[places, 1], counts.totals[number], size, self.eta[number]
            )

    # Going on later.

    def state(self) -> dict[str, NDArray[Any]]:
        """Return a copy of what a chain goes on from: all topics, α, η and the sweeps done."""
        return {
            "topics": self.topics.copy(),
            "alpha": self.alpha.copy(),
            "eta": self.eta.copy(),
            "sweeps": np.array([self.sweeps], np.int64),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from a state, as if there had been no interruption.

        The counts are the same, but the lists of a word's topics may be in another order, so the
        chain is brought into the one that `state` leaves too: see `settle`.

        Parameters
        ----------
        state : dict
            As `state` gave it, after `settle`.

        Raises
        ------
        ValueError
            If it is of another corpus or another K.
        """
        topics, alpha, eta = state["topics"], state["alpha"], state["eta"]
        if (
            (topics.shape, alpha.shape, eta.shape)
            != (self.topics.shape, self.alpha.shape, self.eta.shape)
            or (len(topics) and not 0 <= topics.min() <= topics.max() < len(alpha))
            or not (np.isfinite(alpha).all() and np.isfinite(eta).all())
        ):
            raise ValueError("a state of another corpus, or of other settings")
        self.topics = np.asarray(topics, np.int16).copy()
        self.alpha, self.eta = np.array(state["alpha"]), np.array(state["eta"])
        self.sweeps = int(state["sweeps"][0])
        self.settle()

    def settle(self) -> None:
        """Count anew, so that nothing but `state` decides how the chain goes on."""
        self.counts = self._empty()
        self._count()


def _places(counts: Counts, words: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the entries of some words are."""
    lengths = counts.lengths[words].astype(np.int64)
    ends = np.cumsum(lengths)
    shifts = np.repeat(counts.begins[words] - (ends - lengths), lengths)
    places: NDArray[np.int64] = np.arange(int(lengths.sum()), dtype=np.int64) + shifts
    return places


def _shards(corpus: LinkedCorpus, threads: int) -> list[tuple[int, int]]:
    """Return runs of documents with about as many tokens each."""
    wanted = np.linspace(0, len(corpus.words), threads + 1)[1:-1]
    cuts = [0, *np.searchsorted(corpus.starts, wanted).tolist(), len(corpus)]
    return list(pairwise(cuts))
