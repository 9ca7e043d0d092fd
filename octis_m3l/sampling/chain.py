"""A Markov chain over the topics of all tokens."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import gammaln

from octis_m3l.sampling.corpus import LinkedCorpus, ranges
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
from octis_m3l.sampling.samples import Sample


class Chain:
    """Collapsed Gibbs sampling of the topics of linked documents.

    With one thread the sampler is exact. With T threads the documents are divided into T parts and
    the words into T blocks. A sweep has T turns; in each turn every thread has a block and a part
    to itself (after Yan, Xu & Qi 2009). So all counts of documents and words are exact, and only a
    language's K totals miss what the other threads have changed since the turn began. The result
    depends on the number of threads, and is the same every time.

    Parameters
    ----------
    corpus : LinkedCorpus
        The documents.
    topics : int
        K, at most 32,767.
    alpha, eta : float
        The initial α of each topic, and η of each language.
    seed : int
        The seed of all random draws.
    threads : int
        The number of threads.

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
        self.topics = np.full(len(corpus.words), -1, np.int16)
        self.recount()
        # Parts of the documents with about as many tokens each.
        wanted = np.linspace(0, len(corpus.words), threads + 1)[1:-1]
        cuts = [0, *np.searchsorted(corpus.starts, wanted).tolist(), len(corpus)]
        self.parts = list(pairwise(cuts))
        # Threads are kept: a new one would begin on the core of the thread that starts it.
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None
        self._draw(0)

    def recount(self) -> None:
        """Count all tokens anew, which puts the lists of a word's topics in a fixed order.

        Afterwards the chain depends on `state` alone, so a restored chain goes the same way.
        """
        corpus, topics = self.corpus, len(self.alpha)
        tokens = np.bincount(corpus.words, minlength=int(corpus.vocabularies.sum()))
        begins = np.concatenate([[0], np.cumsum(np.minimum(tokens, topics))])
        self.counts = Counts(
            np.zeros((int(begins[-1]), 2), np.int32),
            begins[:-1].astype(np.int64),
            np.zeros(len(tokens), np.int32),
            np.zeros((len(corpus.languages), topics), np.int64),
        )
        languages = np.repeat(np.arange(len(corpus.languages)), corpus.vocabularies)
        count(corpus.words, self.topics, self.counts, languages)

    def sweep(self) -> None:
        """Draw the topic of every token once."""
        self._draw(1, self.sweeps)
        self.sweeps += 1

    def _draw(self, *purpose: int) -> None:
        """Draw the topic of every token, given those that are drawn."""
        corpus, threads = self.corpus, len(self.parts)
        segments = corpus.segment_starts, corpus.segment_languages, self.blocks
        tokens = Tokens(corpus.words, self.topics, *segments, corpus.document_segments)
        prior = Prior(self.alpha, self.eta, self.eta * corpus.vocabularies)
        drawn = np.random.SeedSequence([self.seed, *purpose])
        seeds = drawn.generate_state(threads * threads, np.uint64).astype(np.uint64)
        if self._pool is None:
            sweep(tokens, self.counts, prior, seeds[0], *self.parts[0], 0)
        else:
            for turn in range(threads):
                self._turn(self._pool, tokens, prior, seeds[turn * threads :], turn)

    def _turn(
        self, pool: ThreadPoolExecutor, tokens: Tokens, prior: Prior, seeds: Any, turn: int
    ) -> None:
        """Let every thread sample its own block of words in another part of the documents."""
        threads, totals = len(self.parts), self.counts.totals

        def run(thread: int) -> NDArray[np.int64]:
            # A thread keeps its words, so that their counts stay in its core's cache.
            own = self.counts._replace(totals=totals.copy())
            documents = self.parts[(thread + turn) % threads]
            sweep(tokens, own, prior, seeds[thread], *documents, thread)
            return own.totals

        # The calling thread takes part too: one thread less to wake.
        running = [pool.submit(run, thread) for thread in range(1, threads)]
        try:
            found = [run(0), *(one.result() for one in running)]
        finally:
            wait(running)
        totals += sum(own - totals for own in found)

    def _word_counts(self, language: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the pairs (topic, count) of a language's words, and how many each word has."""
        words = slice(*self.corpus.first_words[language : language + 2])
        lengths = self.counts.lengths[words].astype(np.int64)
        return self.counts.entries[ranges(self.counts.begins[words], lengths)], lengths

    def sample(self) -> Sample:
        """Return a copy of the words' counts and of the priors."""
        counts = []
        for number, size in enumerate(self.corpus.vocabularies.tolist()):
            entries, lengths = self._word_counts(number)
            topics, numbers = entries.T.copy()
            offsets = np.concatenate([[0], np.cumsum(lengths)])
            counts.append(csr_array((numbers, topics, offsets), shape=(size, len(self.alpha))))
        return Sample(self.alpha.copy(), self.eta.copy(), tuple(counts))

    def add_document_topics(self, theta: NDArray[np.float32]) -> None:
        """Add the current θ of each document to an array (documents × K), in place."""
        add_theta(self.topics, self.corpus.starts, self.alpha, theta)

    def log_likelihood(self) -> float:
        """Return log p(w | z) per token, in nats; it rises while the chain finds its topics."""
        total = 0.0
        for number, size in enumerate(self.corpus.vocabularies.tolist()):
            eta, sums = self.eta[number], self.counts.totals[number]
            entries, _ = self._word_counts(number)
            total += (gammaln(entries[:, 1] + eta) - gammaln(eta)).sum()
            total += (gammaln(size * eta) - gammaln(sums + size * eta)).sum()
        return float(total / max(len(self.corpus.words), 1))

    def fit_alpha(self) -> None:
        """Re-estimate α, asymmetric, from the current counts."""
        topics, starts = len(self.alpha), self.corpus.starts
        lengths = np.diff(starts)
        cells = np.empty(len(self.topics), np.int64)
        written = document_cells(self.topics, starts, topics, cells)
        different, weights = np.unique(cells[:written], return_counts=True)
        pairs = np.column_stack([different % topics, different // topics])
        self.alpha = fit_asymmetric(pairs, weights, lengths[lengths > 0], self.alpha)

    def fit_eta(self) -> None:
        """Re-estimate each language's η from the current counts."""
        for number, size in enumerate(self.corpus.vocabularies.tolist()):
            counts = self._word_counts(number)[0][:, 1]
            self.eta[number] = fit_symmetric(
                counts, self.counts.totals[number], size, self.eta[number]
            )

    def state(self) -> dict[str, NDArray[Any]]:
        """Return a copy of all topics, α, η and the number of sweeps done."""
        return {
            "topics": self.topics.copy(),
            "alpha": self.alpha.copy(),
            "eta": self.eta.copy(),
            "sweeps": np.array([self.sweeps], np.int64),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Continue from a state that `state` returned after `recount`, as if nothing had happened.

        The mapping may hold other arrays too. ValueError: the state is of another corpus or K.
        """
        topics, alpha, eta = state["topics"], state["alpha"], state["eta"]
        shapes = topics.shape, alpha.shape, eta.shape
        if shapes != (self.topics.shape, self.alpha.shape, self.eta.shape):
            raise ValueError("a state of another corpus, or of other settings")
        self.topics, self.alpha, self.eta = topics.copy(), alpha.copy(), eta.copy()
        self.sweeps = int(state["sweeps"][0])
        self.recount()
