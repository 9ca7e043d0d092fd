"""How often the words of a topic in one language meet those in another, in linked documents."""

import warnings
from collections.abc import Mapping
from functools import cached_property
from itertools import combinations
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import PARTITIONS
from octis_m3l.errors import DataError
from octis_m3l.metrics.base import Metric
from octis_m3l.metrics.npmi import normalised_pmi
from octis_m3l.metrics.outputs import (
    Request,
    check_different,
    check_option,
    check_whole,
    partition_rows,
    shared_tuples,
    top_words,
)
from octis_m3l.metrics.topic_uniqueness import TopicUniqueness

COUNTING = ("documents", "tokens")
DOCUMENTS = {
    "auto": (),
    "held-out": PARTITIONS[1:],
    "all": PARTITIONS,
    **{partition: (partition,) for partition in PARTITIONS},
}
_LOW_COVERAGE = 0.8
# With fewer linked documents, counts are too noisy: the metric is taken only if named.
_ENOUGH = 200


def cross_lingual_npmi(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    first_counts: "csc_array[Any]",
    second_counts: "csc_array[Any]",
    *,
    counting: str = "documents",
) -> NDArray[np.float64]:
    """Return, for each topic, the mean NPMI of its words in one language with those in another.

    NPMI(a, b) = ln(P(a, b) / (P(a) P(b))) / −ln P(a, b). A pair that never meets, also because a
    word never occurs (−1 stands for such words), is 0; one that meets in every document is 1. After
    Hao, Boyd-Graber & Paul (2018), section 4.
    """
    documents = first_counts.shape[0]
    sides = []
    for topics, counts in ((first, first_counts), (second, second_counts)):
        words, columns = np.unique(topics, return_inverse=True)
        chosen = csc_array(counts[:, np.maximum(words, 0)], dtype=np.float64)
        present = chosen.copy()
        present.data = (present.data > 0).astype(np.float64)
        counted = present if counting == "documents" else chosen
        single: NDArray[Any] = np.asarray(counted.sum(axis=0)).ravel()
        single[words < 0] = 0
        sides.append((present, single / documents, columns.reshape(topics.shape)))
    (present, chance, rows), (other, other_chance, columns) = sides
    together = np.asarray((present.T @ other).todense()) / documents
    joint = together[rows[:, :, None], columns[:, None, :]]
    expected = chance[rows][:, :, None] * other_chance[columns][:, None, :]
    mean: NDArray[np.float64] = normalised_pmi(joint, expected, never=0.0).mean(axis=(1, 2))
    return mean


class CNPMI(Metric):
    """Mean cross-lingual NPMI of topics' top words, counted in linked documents.

    Every word of a topic in one language is paired with every word of it in the other. `coverage`
    is the share of the words that occur in the reference corpus; below 80 % scoring warns, since
    words that do not occur count as 0. `per_item` has one score for each topic.

    Parameters
    ----------
    dataset : MultiviewDataset
        What the model was trained on.
    first, second : str
        Two text views.
    topk : int
        Top words of a topic; papers of GloCTM's line of work use 15.
    corpus : MultiviewDataset, optional
        The reference: any data set in which two views are linked. Default: `dataset`. Words are
        looked up by how they are written.
    corpus_first, corpus_second : str
        The views of the reference. Default: those of the same names.
    documents : {'auto', 'held-out', 'all', 'train', 'validation', 'test'}
        Which of its tuples: 'held-out' is validation and test; 'auto' is that where the reference
        is the data set itself, else all. A tuple's documents in one language count as one.
    counting : {'documents', 'tokens'}
        Single words by documents, or by tokens as the paper's script does; pairs always by
        documents.
    """

    name = "cnpmi"
    order = 70
    view_arguments = ("first", "second")
    compares_views = True
    needs = (
        "counts words in linked documents, and none are held out here: corpus=… (--corpus FOLDER) "
        "names some."
    )
    direction = "higher"
    range = (-1.0, 1.0)
    reference = (
        "Hao, Boyd-Graber & Paul (2018). Lessons from the Bible on modern topics: low-resource "
        "multilingual topic model evaluation. NAACL."
    )

    def __init__(
        self,
        dataset: MultiviewDataset,
        first: str,
        second: str,
        topk: int = 10,
        corpus: MultiviewDataset | None = None,
        corpus_first: str = "",
        corpus_second: str = "",
        documents: str = "auto",
        counting: str = "documents",
    ) -> None:
        super().__init__(dataset, *([] if corpus is None else [corpus]))
        self.first, self.second = first, second
        self.topk = check_whole("topk", topk, 1)
        self.corpus_first, self.corpus_second = corpus_first or first, corpus_second or second
        self.documents = check_option("option", documents, DOCUMENTS)
        self.counting = check_option("option", counting, COUNTING)
        check_different(first=first, second=second)
        check_different(corpus_first=self.corpus_first, corpus_second=self.corpus_second)
        self._dataset = dataset
        self._corpus = dataset if corpus is None else corpus
        for view in self.views:
            dataset.text_view(view)
        for view in (self.corpus_first, self.corpus_second):
            self._corpus.text_view(view)
        if not len(self._tuples):
            raise DataError(
                f"no tuple of the reference corpus ({documents}) has documents of both "
                f"'{self.corpus_first}' and '{self.corpus_second}'; give another corpus, or other "
                "documents of it."
            )

    @classmethod
    def applied(cls, request: Request) -> dict[str, Self]:
        """Return the metric on every two languages that have linked documents to count words in.

        Without a reference corpus these are the data set's own held-out documents; if validation
        documents are scored, only those, so that a choice by the score reads no test document.
        """
        data, corpus = request.dataset, request.corpus
        pairs = combinations(request.topic_views, 2)
        if corpus is None:
            validating = request.partition == "validation"
            partitions = ("validation",) if validating else DOCUMENTS["held-out"]
            documents = "validation" if validating else "auto"
            enough = 1 if request.explicit else _ENOUGH
            return {
                f"{first}-{second}": cls(data, first, second, request.topk, documents=documents)
                for first, second in pairs
                if len(shared_tuples(data, first, second, partitions)) >= enough
            }
        found = {}
        for first, second in pairs:
            one, other = (_view_of_language(data, view, corpus) for view in (first, second))
            known = one != other and {one, other} <= {*corpus.text_views}
            if known and len(shared_tuples(corpus, one, other, PARTITIONS)):
                metric = cls(data, first, second, request.topk, corpus, one, other)
                found[f"{first}-{second}"] = metric
        if not found:
            raise DataError(
                f"the reference corpus ({', '.join(corpus.text_views)}) links no two of the "
                f"languages {', '.join(request.topic_views)}; give one that does, with views of "
                "the same names or languages."
            )
        return found

    @cached_property
    def _is_own_reference(self) -> bool:
        """Whether the reference is the data set itself, also if it was loaded again."""
        corpus, dataset = self._corpus, self._dataset
        return corpus is dataset or corpus.fingerprints() == dataset.fingerprints()

    @property
    def _counted(self) -> tuple[str, ...]:
        """The partitions of the reference in which words are counted."""
        auto = "held-out" if self._is_own_reference else "all"
        return DOCUMENTS[auto if self.documents == "auto" else self.documents]

    @property
    def partitions(self) -> frozenset[str]:
        """Those in which words are counted; none where the reference is another data set."""
        return frozenset(self._counted if self._is_own_reference else ())

    @cached_property
    def _tuples(self) -> NDArray[np.int64]:
        """The reference's tuples with documents of both languages."""
        return shared_tuples(self._corpus, self.corpus_first, self.corpus_second, self._counted)

    @cached_property
    def _counts(self) -> "list[csc_array[Any]]":
        """Word counts of the tuples (tuples × words) in the two languages."""
        return [self._count(view) for view in (self.corpus_first, self.corpus_second)]

    def _count(self, view: str) -> "csc_array[Any]":
        of_parts = [partition_rows(self._corpus, view, part) for part in self._counted]
        rows = np.concatenate(of_parts)
        tuples = self._corpus.tuples(view)[rows]
        kept = np.isin(tuples, self._tuples)
        place = np.searchsorted(self._tuples, tuples[kept])
        ones = np.ones(len(place), np.float32)
        belongs = csr_array(
            (ones, (place, np.arange(len(place)))), shape=(len(self._tuples), len(place))
        )
        return csc_array(belongs @ self._corpus.text_view(view).bag_of_words[rows[kept]])

    @cached_property
    def _columns(self) -> list[NDArray[np.int64]]:
        """For each word of the two views, its column in the counts; −1 if it does not occur."""
        found = []
        corpus_views = (self.corpus_first, self.corpus_second)
        for view, corpus_view, counts in zip(self.views, corpus_views, self._counts, strict=True):
            occurs = np.asarray(counts.sum(axis=0)).ravel() > 0
            vocabulary = self._corpus.text_view(corpus_view).vocabulary
            column = {word: n for n, word in enumerate(vocabulary) if occurs[n]}
            words = self._dataset.text_view(view).vocabulary
            found.append(np.array([column.get(word, -1) for word in words], np.int64))
        return found

    def _topics(self, output: Mapping[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the columns of each topic's words in both languages."""
        one, other = (
            columns[top_words(output, self._dataset, view, self.topk)]
            for view, columns in zip(self.views, self._columns, strict=True)
        )
        if len(one) != len(other):
            raise DataError(
                f"'{self.first}' has {len(one)} topics, '{self.second}' {len(other)}; topics are "
                "compared one by one, so give as many of both."
            )
        return one, other

    def coverage(self, output: Mapping[str, Any]) -> float:
        """Return the share of the topics' words, of both languages, that the reference has."""
        return float(np.mean([topics >= 0 for topics in self._topics(output)]))

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the mean NPMI of each topic."""
        covered = self.coverage(output)
        if covered < _LOW_COVERAGE:
            warnings.warn(
                f"CNPMI: the reference corpus contains {covered:.0%} of the topics' words; the "
                "others count as 0, and the score is not comparable with scores on other corpora.",
                stacklevel=3,
            )
        return cross_lingual_npmi(*self._topics(output), *self._counts, counting=self.counting)


class TopicQuality(CNPMI):
    """CNPMI × topic uniqueness, the latter averaged over the two languages.

    `per_item` has one score for each topic: its CNPMI times the uniqueness of all topics.

    Parameters
    ----------
    dataset, first, second, topk, corpus, corpus_first, corpus_second, documents, counting
        As for `CNPMI`.
    """

    name = "topic-quality"
    order = 80
    reference = (
        "Phat et al. (2026). GloCTM: cross-lingual topic modeling via a global context space. "
        "AAAI. "
        "After Dieng, Ruiz & Blei (2020). Topic modeling in embedding spaces. TACL 8."
    )

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return each topic's CNPMI times the mean uniqueness of all topics."""
        unique = [TopicUniqueness(self._dataset, v, self.topk).score(output) for v in self.views]
        return super().per_item(output) * float(np.mean(unique))


def _view_of_language(dataset: MultiviewDataset, view: str, corpus: MultiviewDataset) -> str:
    """Return the corpus's view of the same name, or else of the same language."""
    language = dataset.text_view(view).language
    if view in corpus.text_views or language is None:
        return view
    alike = [name for name, other in corpus.text_views.items() if other.language == language]
    return alike[0] if alike else view
