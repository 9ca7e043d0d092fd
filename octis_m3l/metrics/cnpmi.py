"""How often the words of a topic in one language meet those in another, in linked documents."""

import warnings
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from octis_m3l.data.views import PARTITIONS
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics.base import Metric
from octis_m3l.metrics.outputs import check_option, check_topk, partition_rows, top_words

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

COUNTING = ("documents", "tokens")
DOCUMENTS = {
    "auto": (),
    "held-out": PARTITIONS[1:],
    "all": PARTITIONS,
    **{partition: (partition,) for partition in PARTITIONS},
}
_LITTLE = 0.8


def cross_lingual_npmi(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    first_counts: "csc_array[Any]",
    second_counts: "csc_array[Any]",
    *,
    counting: str = "documents",
) -> NDArray[np.float64]:
    """Return, for each topic, the mean NPMI of its words in one language with those in another.

    NPMI(a, b) = ln(P(a, b) / (P(a) P(b))) / −ln P(a, b). A pair that never meets is 0, be it that
    a word is never seen; one that meets in every document is 1.

    References
    ----------
    Hao, Boyd-Graber & Paul (2018), section 4.
    """
    documents = first_counts.shape[0]
    if documents == 0:
        raise DataError("there is no linked document to count words in; give one or more.")
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
    pairs = rows[:, :, None], columns[:, None, :]
    joint = together[pairs]
    expected = chance[rows][:, :, None] * other_chance[columns][:, None, :]
    met = (joint > 0) & (expected > 0)
    always = met & (joint >= 1)
    rest = met & ~always
    npmi = np.zeros(joint.shape)
    npmi[always] = 1.0
    npmi[rest] = np.log(joint[rest] / expected[rest]) / -np.log(joint[rest])
    mean: NDArray[np.float64] = npmi.mean(axis=(1, 2))
    return mean


class CNPMI(Metric):
    """Mean cross-lingual NPMI of topics' top words, counted in linked documents.

    Every word of a topic in one language is paired with every word of it in the other. How many
    of the words the reference corpus has ever seen, `coverage` says; below 80 % scoring warns,
    since what it has not seen counts as 0. `per_item` has one score for each topic.

    Parameters
    ----------
    dataset : MultiviewDataset
        What the model was trained on.
    first, second : str
        Two text views.
    topk : int
        Top words of a topic; 10 here unless said, 15 in GloCTM's line of work.
    corpus : MultiviewDataset, optional
        The reference: any data set in which two views are linked. Default: `dataset`. Words are
        looked up by how they are written.
    corpus_first, corpus_second : str
        The views of the reference. Default: those of the same names.
    documents : {'auto', 'held-out', 'all', 'train', 'validation', 'test'}
        Which of its tuples: 'held-out' is validation and test; 'auto' is that where the reference
        is the data set itself, else all. A tuple's documents in one language count as one.
    counting : {'documents', 'tokens'}
        Single words by documents, or by tokens as the line's script does; pairs always by
        documents.

    Raises
    ------
    DataError
        If a view is unknown or has no words, or no tuple of the reference has both languages.
    SettingsError
        If both views are the same, `topk` is not positive, or an option is unknown.
    """

    name = "cnpmi"
    order = 70
    direction = "higher"
    range = (-1.0, 1.0)
    reference = (
        "Hao, Boyd-Graber & Paul (2018). Lessons from the Bible on modern topics: low-resource "
        "multilingual topic model evaluation. NAACL."
    )

    def __init__(
        self,
        dataset: "MultiviewDataset",
        first: str,
        second: str,
        topk: int = 10,
        corpus: "MultiviewDataset | None" = None,
        corpus_first: str = "",
        corpus_second: str = "",
        documents: str = "auto",
        counting: str = "documents",
    ) -> None:
        super().__init__(dataset, *([] if corpus is None else [corpus]))
        for value, known in ((documents, DOCUMENTS), (counting, COUNTING)):
            check_option("option", value, known)
        if first == second:
            raise SettingsError(f"first and second are both '{first}'; name two different views.")
        self.first, self.second = first, second
        self.topk = check_topk(topk, lowest=1)
        self.corpus_first = corpus_first or first
        self.corpus_second = corpus_second or second
        self.documents, self.counting = documents, counting
        if self.corpus_first == self.corpus_second:
            raise SettingsError(
                f"corpus_first and corpus_second are both '{self.corpus_first}'; name two views."
            )
        self._dataset = dataset
        self._corpus = dataset if corpus is None else corpus
        for view in (first, second):
            dataset.text_view(view)
        for view in (self.corpus_first, self.corpus_second):
            self._corpus.text_view(view)
        if not len(self._tuples):
            raise DataError(
                f"no tuple of the reference corpus ({documents}) has documents of both "
                f"'{self.corpus_first}' and '{self.corpus_second}'; give another corpus, or other "
                "documents of it."
            )

    @cached_property
    def _own(self) -> bool:
        """Whether the reference is the data set itself, be it loaded anew."""
        corpus, dataset = self._corpus, self._dataset
        return corpus is dataset or corpus.fingerprints() == dataset.fingerprints()

    @cached_property
    def _tuples(self) -> NDArray[np.int64]:
        """The numbers of the reference's tuples that have both languages."""
        wanted = [self._rows(view) for view in (self.corpus_first, self.corpus_second)]
        numbers = [
            self._corpus.tuples(view)[rows]
            for view, rows in zip((self.corpus_first, self.corpus_second), wanted, strict=True)
        ]
        both: NDArray[np.int64] = np.intersect1d(numbers[0], numbers[1])
        return both[both >= 0]

    @cached_property
    def _counted(self) -> tuple[str, ...]:
        """The partitions of the reference in which words are counted."""
        if self.documents == "auto":
            return DOCUMENTS["held-out" if self._own else "all"]
        return DOCUMENTS[self.documents]

    @property
    def partitions(self) -> frozenset[str]:
        """Those in which words are counted; none where the reference is another data set."""
        return frozenset(self._counted if self._own else ())

    def _rows(self, view: str) -> NDArray[np.int64]:
        of_parts = [partition_rows(self._corpus, view, part) for part in self._counted]
        return np.concatenate(of_parts)

    @cached_property
    def _counts(self) -> "tuple[csc_array[Any], csc_array[Any]]":
        """Word counts of the tuples (tuples × words) in the two languages."""
        one, other = (self._of_tuples(view) for view in (self.corpus_first, self.corpus_second))
        return one, other

    def _of_tuples(self, view: str) -> "csc_array[Any]":
        rows = self._rows(view)
        numbers = self._corpus.tuples(view)[rows]
        kept = np.isin(numbers, self._tuples)
        place = np.searchsorted(self._tuples, numbers[kept])
        ones = np.ones(len(place), np.float32)
        belongs = csr_array(
            (ones, (place, np.arange(len(place)))), shape=(len(self._tuples), len(place))
        )
        return csc_array(belongs @ self._corpus.text_view(view).bag_of_words[rows[kept]])

    @cached_property
    def _columns(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each word of the two views, its column in the reference that has seen it, or −1."""
        found = []
        for view, known, counts in zip(
            (self.first, self.second),
            (self.corpus_first, self.corpus_second),
            self._counts,
            strict=True,
        ):
            seen = np.asarray(counts.sum(axis=0)).ravel() > 0
            index = {
                w: n for n, w in enumerate(self._corpus.text_view(known).vocabulary) if seen[n]
            }
            words = self._dataset.text_view(view).vocabulary
            found.append(np.array([index.get(word, -1) for word in words], np.int64))
        return found[0], found[1]

    def _topics(self, output: Mapping[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        one, other = (
            columns[top_words(output, self._dataset, view, self.topk)]
            for view, columns in zip((self.first, self.second), self._columns, strict=True)
        )
        if len(one) != len(other):
            raise DataError(
                f"'{self.first}' has {len(one)} topics, '{self.second}' {len(other)}; topics are "
                "compared one by one, so give as many of both."
            )
        return one, other

    def coverage(self, output: Mapping[str, Any]) -> float:
        """Return which share of the topics' words, of both languages, the reference has seen.

        Parameters
        ----------
        output : mapping
            The output of a trained model.
        """
        return float(np.mean([topics >= 0 for topics in self._topics(output)]))

    def per_item(self, output: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the mean NPMI of each topic.

        Parameters
        ----------
        output : mapping
            The output of a trained model.

        Raises
        ------
        DataError
            If the output has no topics of both views, or too few words in them.
        """
        covered = self.coverage(output)
        if covered < _LITTLE:
            warnings.warn(
                f"CNPMI: the reference corpus has seen {covered:.0%} of the topics' words; those "
                "that it has not count as 0, and the score is not comparable with others'.",
                stacklevel=3,
            )
        return cross_lingual_npmi(*self._topics(output), *self._counts, counting=self.counting)
