"""Small linked corpora, and slow ways to look at them and at the chains over them."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from octis_m3l.data.views import TextView
from octis_m3l.sampling import Chain, LinkedCorpus

Documents = Sequence[Sequence[int]]


def view(name: str, documents: Documents, words: int) -> TextView:
    """Return documents of word numbers as a view with so many words."""
    return TextView(
        name=name,
        sizes=(len(documents), 0, 0),
        vocabulary=tuple(f"{name}{number}" for number in range(words)),
        token_ids=np.array([word for document in documents for word in document], np.int32),
        offsets=np.cumsum([0, *map(len, documents)]).astype(np.int64),
    )


def linked(documents: Mapping[str, Documents], words: Sequence[int]) -> LinkedCorpus:
    """Return a corpus whose documents have one item, maybe empty, in each language."""
    views = [view(n, of, size) for (n, of), size in zip(documents.items(), words, strict=True)]
    every = {one.name: np.arange(len(one)) for one in views}
    return LinkedCorpus.of_views(views, every, every, len(views[0]))


def drawn(
    seed: int = 0, *, documents: int = 12, words: Sequence[int] = (3, 1, 30), longest: int = 9
) -> LinkedCorpus:
    """Return a random corpus: gaps, documents of nothing, words with no token or with one."""
    random = np.random.default_rng(seed)
    texts: dict[str, list[list[int]]] = {}
    for number, size in enumerate(words):
        lengths = random.integers(0, longest, documents) * (random.random(documents) < 0.7)
        lengths[[0, -1]] = 0
        texts[f"language{number}"] = [random.integers(0, size, n).tolist() for n in lengths]
    return linked(texts, words)


def tokens(corpus: LinkedCorpus) -> list[tuple[int, int, int]]:
    """Return document, language and word (within the language) of each token, in order."""
    found = []
    for document in range(len(corpus)):
        first, last = corpus.document_segments[document : document + 2]
        for segment in range(first, last):
            language = int(corpus.segment_languages[segment])
            begin, end = corpus.segment_starts[segment : segment + 2]
            for word in corpus.words[begin:end].tolist():
                found.append((document, language, word - int(corpus.first_words[language])))
    return found


def word_counts(chain: Chain) -> dict[tuple[int, int], Counter[int]]:
    """Count again, token by token, how often each word (language, number) has each topic."""
    sizes = enumerate(chain.corpus.vocabularies.tolist())
    found = {(language, word): Counter[int]() for language, n in sizes for word in range(n)}
    for (_, language, word), topic in zip(tokens(chain.corpus), chain.topics.tolist(), strict=True):
        found[language, word][topic] += 1
    return found


def document_counts(chain: Chain) -> NDArray[np.int64]:
    """Count again, token by token, how often each document has each topic (documents × K)."""
    found = np.zeros((len(chain.corpus), len(chain.alpha)), np.int64)
    for (document, _, _), topic in zip(tokens(chain.corpus), chain.topics.tolist(), strict=True):
        found[document, topic] += 1
    return found


def stop_after(monkeypatch: pytest.MonkeyPatch, sweeps: int) -> None:
    """Have Ctrl-C pressed at the end of a sweep."""
    sweep = Chain.sweep

    def interrupted(self: Chain) -> None:
        sweep(self)
        if self.sweeps == sweeps:
            raise KeyboardInterrupt

    monkeypatch.setattr(Chain, "sweep", interrupted)
