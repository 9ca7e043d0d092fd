"""Variations: what a data set becomes with other embeddings, views, tuples or partitions."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import InstanceOf

from octis_m3l.data.arrays import read_array
from octis_m3l.data.links import MISSING, restrict_links
from octis_m3l.data.marks import are_shares, arrange, drawn_marks, drawn_order
from octis_m3l.data.views import PARTITIONS, TextView, View, check_embeddings
from octis_m3l.data.words import WithoutVector, read_word_vectors, word_pairs
from octis_m3l.errors import DataError, suggest
from octis_m3l.validation import ArrayLike, Listed, validated


class Variations(ABC):
    """The variations of a data set: arrays are shared, nothing is changed in place."""

    views: dict[str, View]
    links: NDArray[np.int64]
    pivot: str
    dictionaries: dict[tuple[str, str], NDArray[np.int64]]
    partitions: dict[str, dict[str, NDArray[np.int8]]]

    @property
    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """What the data set says of itself."""

    @abstractmethod
    def view(self, name: str) -> View:
        """Return a view."""

    @abstractmethod
    def text_view(self, name: str) -> TextView:
        """Return a text view."""

    @abstractmethod
    def tuples(self, name: str) -> NDArray[np.int64]:
        """Return the tuple number of each item of a view."""

    @abstractmethod
    def _with(self, views: Iterable[View], links: NDArray[np.int64], **changes: Any) -> Self:
        """Return the data set with other views and links, and what else changes."""

    @validated
    def with_embeddings(
        self,
        embeddings: Mapping[str, ArrayLike[Any] | str | Path],
        *,
        name: str = "given",
        order: str = "input",
        encoders: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Self:
        """Return the data set with a user's own embeddings attached to some views or all.

        Parameters
        ----------
        embeddings : mapping of view to array (rows × dimensions), or to a path of one (``.npy``)
            Files are memory-mapped when the order allows it.
        name : str
            What the embeddings are called.
        order : {'input', 'stored'}
            Whether the rows are those of the input that the data set was built from (rows of
            items that were dropped are passed over), or the items as stored.
        encoders : mapping of view to mapping, optional
            What made them, as `octis_m3l.encoders.described` says it, so that models take new
            items through the same encoder. `octis_m3l.embed` gives it.

        Raises
        ------
        DataError
            If a view is unknown, or rows or values are not as expected.
        """
        if order not in ("input", "stored"):
            raise DataError(f"unknown order '{order}'; use 'input' or 'stored'.")
        views = dict(self.views)
        for view_name, given in embeddings.items():
            view = self.view(view_name)
            array = read_array(given, view_name)
            inputs = len(view) if view.inputs is None else view.inputs
            if order == "input":
                if len(array) != inputs:
                    raise DataError(
                        f"view '{view_name}': embeddings have {len(array)} rows, the input had "
                        f"{inputs} (of which {len(view)} became items); give one row for each "
                        "row of the input, or pass order='stored'."
                    )
                rows = view.input_rows
                if not np.array_equal(rows, np.arange(inputs)):
                    array = array[rows]
                    check_embeddings(array, len(view), view_name, rows)
            if array.dtype != np.float32 and array.dtype.kind == "f":
                with np.errstate(over="ignore"):
                    array = array.astype(np.float32)
            views[view_name] = replace(
                view,
                embeddings=array,
                embedding_name=name,
                embedding_encoder=(encoders or {}).get(view_name),
            )
        return self._with(views.values(), self.links)

    @validated
    def with_word_vectors(
        self,
        vectors: Mapping[str, ArrayLike[Any] | str | Path],
        *,
        without_vector: WithoutVector = "error",
    ) -> Self:
        """Return the data set with a vector for each word of some views, all of one space.

        Parameters
        ----------
        vectors : mapping of text view to array (vocabulary × dimensions), or to a path
            An array, a ``.npy`` or a ``.npz`` of one matrix: rows as the view's vocabulary. Any
            other file is word2vec's or fastText's text format (``.gz`` too), where words are
            looked up as they are written.
        without_vector : {'error', 'zeros'}
            What becomes of words that a text file lacks: refused, or zeros, which models take for
            a word without neighbours.

        Raises
        ------
        DataError
            If a view is unknown or holds images, a file can't be read, rows or values are not as
            expected, or a word has no vector.
        """
        views = dict(self.views)
        for name, given in vectors.items():
            vocabulary = self.text_view(name).vocabulary
            array = read_word_vectors(given, vocabulary, name, without_vector)
            if not array.any() or (len(array) > 1 and (array == array[0]).all()):
                raise DataError(
                    f"view '{name}': all word vectors are {'the same' if array.any() else 'zero'}, "
                    "so that no word is nearer to another than the rest; give vectors that know "
                    "its words."
                )
            views[name] = replace(self.text_view(name), word_vectors=array, word_space=None)
        return self._with(views.values(), self.links)

    @validated
    def with_dictionary(
        self,
        first: str,
        second: str,
        pairs: InstanceOf[Iterable[Any]] | Path,
    ) -> Self:
        """Return the data set with translations between two views.

        Parameters
        ----------
        first, second : str
            Text views.
        pairs : iterable of (str, str), mapping, path, or array of int (pairs × 2)
            A word of the first view and its translation in the second; pairs with a word outside
            a vocabulary are left out. A file has such a pair on each line, a tab or a space
            between them (as MUSE's dictionaries). An array holds indices of words. A dictionary
            that the two views have already, in whichever order, is replaced.

        Raises
        ------
        DataError
            If a view is unknown, the file can't be read, an index points nowhere, or no pair is
            within the vocabularies.
        """
        found = word_pairs(self.text_view(first), self.text_view(second), pairs)
        return self._with(
            self.views.values(),
            self.links,
            dictionaries={
                **{key: rows for key, rows in self.dictionaries.items() if key != (second, first)},
                (first, second): found,
            },
        )

    @validated
    def with_views(self, names: Listed[str]) -> Self:
        """Return the data set with some of its views only.

        Parameters
        ----------
        names : collection of str
            The views to keep, in this order.
        """
        for name in names:
            self.view(name)
        columns = [list(self.views).index(name) for name in names]
        kept = set(names)
        return self._with(
            [self.views[name] for name in names],
            restrict_links(self.links, list(self.views.values()), columns),
            pivot=self.pivot if self.pivot in kept else None,
            dictionaries={k: v for k, v in self.dictionaries.items() if kept.issuperset(k)},
            partitions={
                p: {n: m for n, m in marks.items() if n in kept}
                for p, marks in self.partitions.items()
            },
            metadata={
                key: {n: of for n, of in value.items() if n in kept} if key == "dropped" else value
                for key, value in self.metadata.items()
            },
        )

    @validated
    def complete(
        self,
        names: Listed[str] | None = None,
        *,
        partitions: Listed[str] = PARTITIONS,
    ) -> Self:
        """Return the data set with only those tuples that have an item of every view.

        Parameters
        ----------
        names : collection of str, optional
            The views that must be there. Default: all.
        partitions : collection of {'train', 'validation', 'test'}
            Where incomplete tuples are left out; other partitions stay as they are.
        """
        wanted = list(self.views if names is None else names) or list(self.views)
        common = self.tuples(wanted[0])
        for name in wanted[1:]:
            common = np.intersect1d(common, self.tuples(name))
        strict = np.array([partition in partitions for partition in PARTITIONS])
        marks = {}
        for name, view in self.views.items():
            mark = np.repeat(np.arange(3), view.sizes)
            kept = np.isin(self.tuples(name), common) | ~strict[mark]
            marks[name] = np.where(kept, mark, MISSING).astype(np.int8)
        return self._arranged(marks)

    @validated
    def with_partition(self, name: str) -> Self:
        """Return the data set sorted by another of its named partitions.

        The vocabulary stays as it was chosen on the first partition's training items; to choose
        it anew, build the data set again from its source with the other partition.

        Parameters
        ----------
        name : str
            One of `partitions`.

        Raises
        ------
        DataError
            If there is none of that name.
        """
        if name not in self.partitions:
            raise DataError(f"unknown partition mark '{name}'.{suggest(name, self.partitions)}")
        return self._arranged(self.partitions[name])

    @validated
    def with_split(self, train: float = 0.8, validation: float = 0.1, *, seed: int = 0) -> Self:
        """Return the data set split at random into train, validation and test, tuple by tuple.

        The vocabulary stays as it was chosen; ``from_lists(..., split=(.8, .1))`` draws the split
        first and chooses it on the training records.

        Parameters
        ----------
        train, validation : float
            Shares of the tuples; the rest is the test partition.
        seed : int
            Seed of the split.

        Raises
        ------
        DataError
            If the shares are not between 0 and 1, or their sum is over 1.
        """
        if not are_shares(train, validation):
            raise DataError(
                f"shares train={train}, validation={validation}: expected train above 0 and both "
                "together at most 1."
            )
        tuples = {name: self.tuples(name) for name in self.views}
        total = 1 + max(int(numbers.max(initial=-1)) for numbers in tuples.values())
        mark = drawn_marks(total, train, validation, seed)
        return self._arranged({name: mark[numbers] for name, numbers in tuples.items()})

    @validated
    def sample(self, count: int, *, partition: str = "train", seed: int = 0) -> Self:
        """Return the data set with fewer items in one partition, for a quick trial.

        Tuples are drawn at random, whole, until every view has that many: where nothing is linked
        so many items of each view, where all tuples are complete so many tuples.

        Parameters
        ----------
        count : int
            How many items each view keeps; one that has no more keeps all, and one that comes with
            the tuples of others may keep more.
        partition : {'train', 'validation', 'test'}
            From which; the others stay as they are.
        seed : int
            Of the draw.

        Raises
        ------
        DataError
            If the count is below 1, or there is no such partition.
        """
        if partition not in PARTITIONS:
            raise DataError(f"unknown partition '{partition}'.{suggest(partition, PARTITIONS)}")
        if count < 1:
            raise DataError(f"sample({count!r}): expected a whole number, 1 or more.")
        number = PARTITIONS.index(partition)
        total = 1 + max(int(self.tuples(name).max(initial=-1)) for name in self.views)
        place = drawn_order(total, seed)
        drawn = np.zeros(total, bool)
        for name, view in self.views.items():
            there = np.unique(self.tuples(name)[view.rows(partition)])
            drawn[there[np.argsort(place[there])[:count]]] = True
        marks = {}
        for name, view in self.views.items():
            mark = np.repeat(np.arange(3), view.sizes)
            kept = (mark != number) | drawn[self.tuples(name)]
            marks[name] = np.where(kept, mark, MISSING).astype(np.int8)
        return self._arranged(marks)

    def _arranged(self, marks: Mapping[str, NDArray[np.int8]]) -> Self:
        views, partitions = [], {p: dict(m) for p, m in self.partitions.items()}
        links = self.links.copy()
        for column, (name, view) in enumerate(self.views.items()):
            arrangement = arrange(np.asarray(marks[name]))
            views.append(view.take(arrangement.order, arrangement.sizes))
            links[:, column] = arrangement.places[links[:, column]]
            for other in partitions.values():
                other[name] = other[name][arrangement.order]
        links = links[(links >= 0).any(axis=1)]
        return self._with(views, links, partitions=partitions)
