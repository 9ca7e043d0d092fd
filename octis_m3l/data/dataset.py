"""MultiviewDataset: views and the links between them; an OCTIS Dataset."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec, Self, get_type_hints

import numpy as np
from numpy.typing import NDArray
from octis.dataset.dataset import Dataset
from pydantic import Field, InstanceOf

from octis_m3l.data import adopt, bow_folder, building, frames
from octis_m3l.data.folder.reading import read_folder
from octis_m3l.data.folder.writing import write_folder
from octis_m3l.data.links import check_links, restrict_links, row_links, tuple_numbers
from octis_m3l.data.parts import DatasetParts, content_fingerprints, describe
from octis_m3l.data.views import (
    NO_PARTITION,
    PARTITIONS,
    ImageView,
    TextView,
    View,
    arrange,
    check_numbers,
    drawn_numbers,
    drawn_order,
)
from octis_m3l.data.words import WithoutVector, check_dictionary, read_word_vectors, word_pairs
from octis_m3l.errors import DataError, check_known
from octis_m3l.validation import ArrayLike, Listed, validated

Partition = Literal["train", "validation", "test"]
_Given = ParamSpec("_Given")


def _builds(
    build: Callable[_Given, DatasetParts],
) -> "classmethod[MultiviewDataset, _Given, MultiviewDataset]":
    """Return a class method that builds a data set of the parts that a function returns."""

    @wraps(build)
    def built(
        cls: "type[MultiviewDataset]", *args: _Given.args, **kwargs: _Given.kwargs
    ) -> "MultiviewDataset":
        return cls(**vars(build(*args, **kwargs)))

    # The signature that help() shows: without pydantic's annotations.
    shown, types = signature(build), get_type_hints(build)
    first = Parameter("cls", Parameter.POSITIONAL_ONLY)
    others = [p.replace(annotation=types[n]) for n, p in shown.parameters.items()]
    built.__signature__ = shown.replace(  # type: ignore[attr-defined]
        parameters=[first, *others], return_annotation="MultiviewDataset"
    )
    return classmethod(built)  # type: ignore[arg-type]


class MultiviewDataset(Dataset):  # type: ignore[misc]
    """Views (languages, images) linked into tuples in which any may be missing; an OCTIS Dataset.

    OCTIS's own models and metrics see the pivot view; `monolingual` gives any other text view as
    an OCTIS Dataset of its own. A data set never changes: methods return new ones, which share its
    arrays.

    Parameters
    ----------
    views : iterable of View
        Text and image views, with different names.
    links : array of int (rows × views), or None
        Each row ties one item of each view together, by their stored position; −1 where an item
        is missing. None: the views have no links.
    pivot : str, optional
        The text view that OCTIS sees. Default: the first text view.
    metadata : mapping, optional
        Name, licence, citation, or anything else that JSON can hold.
    dictionaries : mapping of (view, view) to array of int (pairs × 2), optional
        Translations: pairs of word indices, of the first view and of the second.
    partitions : mapping of str to mapping of view to array of int8, optional
        Further partitions: for each item of each view 0 (train), 1 (validation), 2 (test) or −1
        (none of them). See `with_partition`.

    Raises
    ------
    DataError
        If names repeat, there is no text view, or a link points to no item or across partitions;
        in the methods, if an argument is invalid.
    """

    @validated
    def __init__(
        self,
        views: Listed[View],
        links: ArrayLike[np.int64] | None = None,
        *,
        pivot: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        dictionaries: Mapping[tuple[str, str], ArrayLike[np.int64]] | None = None,
        partitions: Mapping[str, Mapping[str, ArrayLike[np.int8]]] | None = None,
    ) -> None:
        listed = list(views)
        self.views: dict[str, View] = {view.name: view for view in listed}
        if len(self.views) != len(listed):
            names = [view.name for view in listed]
            raise DataError(f"two views have the same name: {', '.join(names)}; rename one.")
        texts = [view.name for view in listed if isinstance(view, TextView)]
        if not texts:
            raise DataError(
                "a data set needs at least one text view: topics are made of words; given "
                f"{', '.join(self.views) or 'no view at all'}."
            )
        self.pivot = pivot or texts[0]
        self.text_view(self.pivot)
        if links is None:
            links = np.zeros((0, len(listed)), np.int64)
        self.links: NDArray[np.int64] = np.asarray(links)
        check_links(self.links, listed)
        self.links = self.links.astype(np.int64, copy=False)
        self.dictionaries = dict(dictionaries or {})
        for (first, second), pairs in self.dictionaries.items():
            check_dictionary(self.text_view(first), self.text_view(second), pairs)
        self.partitions = {name: dict(numbers) for name, numbers in (partitions or {}).items()}
        for name, numbers in self.partitions.items():
            check_numbers(name, numbers, listed)
        super().__init__(metadata={**(metadata or {}), **self.view(self.pivot).octis_metadata})

    # The methods of OCTIS's Dataset, for the pivot.

    @property
    def metadata(self) -> dict[str, Any]:
        """Name, licence and other facts about the data set."""
        metadata: dict[str, Any] = self.get_metadata()
        return metadata

    def get_corpus(self) -> list[list[str]]:
        """Return the pivot's documents as lists of words."""
        return self._corpus

    @cached_property
    def _corpus(self) -> list[list[str]]:
        view = self.text_view(self.pivot)
        return view.documents(slice(0, len(view)))

    @validated
    def get_partitioned_corpus(self, use_validation: bool = True) -> list[list[list[str]]]:
        """Return train, validation and test documents, or only train and test."""
        view = self.text_view(self.pivot)
        wanted = PARTITIONS if use_validation else PARTITIONS[::2]
        return [self._corpus[view.rows(partition)] for partition in wanted]

    def get_vocabulary(self) -> list[str]:
        """Return the pivot's words."""
        return list(self.text_view(self.pivot).vocabulary)

    def get_labels(self) -> list[str] | None:
        """Return the pivot's labels, or None."""
        labels = self.views[self.pivot].labels
        return None if labels is None else list(labels)

    @validated
    def save(self, path: str | Path, multilabel: bool = False, *, overwrite: bool = False) -> None:
        """Write the data set to a folder, whole or not at all.

        Each text view's sub-folder is in OCTIS's own format. Picture files stay where they are,
        except those in the folder itself; arrays are written as PNG.

        Parameters
        ----------
        path : str or Path
            The folder.
        multilabel : bool
            Without effect, for OCTIS: an item has one label here.
        overwrite : bool
            Whether to replace a data set in the folder, with all that the folder holds.
        """
        write_folder(self._parts, Path(path), overwrite=overwrite)
        self.dataset_path = str(path)

    # Views.

    @validated
    def view(self, name: str) -> View:
        """Return the view of that name."""
        check_known(name, self.views, "view")
        return self.views[name]

    @validated
    def text_view(self, name: str) -> TextView:
        """Return the text view of that name; a view of images is an error."""
        view = self.view(name)
        if not isinstance(view, TextView):
            raise DataError(
                f"view '{name}' holds images and has no words; text views: "
                f"{', '.join(self.text_views)}."
            )
        return view

    @property
    def text_views(self) -> dict[str, TextView]:
        """The text views, by name."""
        return {n: view for n, view in self.views.items() if isinstance(view, TextView)}

    @property
    def image_views(self) -> dict[str, ImageView]:
        """The image views, by name."""
        return {n: view for n, view in self.views.items() if isinstance(view, ImageView)}

    @validated
    def monolingual(self, name: str) -> Dataset:
        """Return one text view as a plain OCTIS Dataset."""
        view = self.text_view(name)
        return Dataset(
            corpus=view.documents(slice(0, len(view))),
            vocabulary=list(view.vocabulary),
            labels=None if view.labels is None else list(view.labels),
            metadata={**self.metadata, **view.octis_metadata},
            document_indexes=view.input_rows.tolist(),
        )

    # Tuples.

    @cached_property
    def _tuples(self) -> dict[str, NDArray[np.int64]]:
        numbers = tuple_numbers(self.links, list(self.views.values()))
        return dict(zip(self.views, numbers, strict=True))

    @property
    def _tuple_count(self) -> int:
        return 1 + max(int(numbers.max(initial=-1)) for numbers in self._tuples.values())

    @validated
    def tuples(self, name: str) -> NDArray[np.int64]:
        """Return the tuple number of each item of a view.

        Items with the same number are linked: their link rows are connected. An item in no link
        row is a tuple by itself.
        """
        self.view(name)
        return self._tuples[name]

    @validated
    def partition_tuples(self, partition: str) -> NDArray[np.int64]:
        """Return the numbers of a partition's tuples, ascending."""
        found = [self._tuples[n][view.rows(partition)] for n, view in self.views.items()]
        return np.unique(np.concatenate(found))

    @property
    def is_linked(self) -> bool:
        """Whether any row links items of two views."""
        return bool(((self.links >= 0).sum(axis=1) >= 2).any())

    # Descriptions.

    def fingerprints(self) -> dict[str, str]:
        """Return a SHA-256 of each view's items, order and partitions, and of the links."""
        return dict(self._fingerprints)

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        return content_fingerprints(self.views.values(), self.links)

    def __repr__(self) -> str:
        """Return the number of tuples, and of items in each view."""
        views = ", ".join(f"{name}: {len(view)}" for name, view in self.views.items())
        return f"<MultiviewDataset of {self.info()['tuples']} tuples ({views})>"

    def info(self) -> dict[str, Any]:
        """Return what is in the data set, as JSON can hold it: views, items, gaps, links."""
        return describe(self._parts, [self._tuples[name] for name in self.views])

    @property
    def _parts(self) -> DatasetParts:
        return DatasetParts(
            list(self.views.values()),
            self.links,
            self.pivot,
            self.metadata,
            self.dictionaries,
            self.partitions,
        )

    def _with(self, **changes: Any) -> Self:
        return type(self)(**vars(replace(self._parts, **changes)))

    @validated
    def linked_items(self, partition: str) -> dict[str, int]:
        """Return for each view how many of a partition's items are linked to another view."""
        numbers = {n: self._tuples[n][view.rows(partition)] for n, view in self.views.items()}
        different = [np.unique(of) for of in numbers.values()]
        tuples, views = np.unique(np.concatenate(different), return_counts=True)
        linked = tuples[views > 1]
        return {name: int(np.isin(of, linked).sum()) for name, of in numbers.items()}

    # Readers and builders.

    from_lists = _builds(building.from_lists)
    from_frame = _builds(frames.from_frame)
    from_table = _builds(frames.from_table)
    from_jsonl = _builds(frames.from_jsonl)
    from_octis = _builds(adopt.from_octis)
    from_bow_folder = _builds(bow_folder.from_bow_folder)

    @classmethod
    @validated
    def from_folder(
        cls,
        folder: str | Path,
        *,
        embeddings: str | Mapping[str, str] | None = None,
        tokenizers: Mapping[str, Callable[[str], Sequence[str]]] | None = None,
    ) -> "MultiviewDataset":
        """Read a data set that `save` wrote.

        Parameters
        ----------
        folder : str or Path
            The folder.
        embeddings : str or mapping of view to str, optional
            The embeddings to use where a view has several: one name for all views, or a name for
            some; 'texts' and 'images' stand for all views of the kind. Default: the only ones.
        tokenizers : mapping of text view to callable, optional
            The functions that split texts into words, where you preprocessed with your own: they
            are not saved. Only encoders of words need them.
        """
        dataset = cls(**vars(read_folder(Path(folder), embeddings, tokenizers)))
        dataset.dataset_path = str(folder)
        return dataset

    @classmethod
    @validated
    def linked_by_row(cls, views: Listed[View], **arguments: Any) -> "MultiviewDataset":
        """Build from views whose items belong together by row, equally many in each partition."""
        listed = list(views)
        return cls(listed, row_links(listed), **arguments)

    # Other data sets made of this one.

    @validated
    def with_embeddings(
        self,
        embeddings: Mapping[str, ArrayLike[Any] | str | Path],
        *,
        name: str = "given",
        order: Literal["input", "stored"] = "input",
        encoders: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Self:
        """Return the data set with your own embeddings of some or all views.

        Parameters
        ----------
        embeddings : mapping of view to array (rows × dimensions), or to a path of one (``.npy``)
            Files are memory-mapped when the order allows it.
        name : str
            The name of the embeddings.
        order : {'input', 'stored'}
            Whether the rows are those of the input that the data set was built from (rows of
            items that were dropped are skipped), or the items as stored.
        encoders : mapping of view to mapping, optional
            As `View.embedding_encoder`, so that models encode new items in the same way.
            `octis_m3l.embed` sets this.
        """
        views = dict(self.views)
        for view, given in embeddings.items():
            encoder = (encoders or {}).get(view)
            views[view] = self.view(view).with_embeddings(given, name, order=order, encoder=encoder)
        return self._with(views=views.values())

    @validated
    def with_word_vectors(
        self,
        vectors: Mapping[str, ArrayLike[Any] | str | Path],
        *,
        without_vector: WithoutVector = "error",
    ) -> Self:
        """Return the data set with a vector for each word of some views, all in one space.

        Parameters
        ----------
        vectors : mapping of text view to array (vocabulary × dimensions), or to a path
            An array, a ``.npy`` or a ``.npz`` of one matrix: rows as the view's vocabulary. Any
            other file is word2vec's or fastText's text format (``.gz`` too), where words are
            looked up as they are written.
        without_vector : {'error', 'zeros'}
            Whether words that a text file lacks are an error, or get zeros, which models take for
            words without neighbours.
        """
        views = dict(self.views)
        for name, given in vectors.items():
            vocabulary = self.text_view(name).vocabulary
            array = read_word_vectors(given, vocabulary, name, without_vector)
            if not array.any() or (len(array) > 1 and (array == array[0]).all()):
                raise DataError(
                    f"view '{name}': all word vectors are {'the same' if array.any() else 'zero'}, "
                    "so that no word is nearer to another than the rest; give vectors made for "
                    "its words."
                )
            views[name] = replace(self.text_view(name), word_vectors=array, word_space=None)
        return self._with(views=views.values())

    @validated
    def with_dictionary(
        self, first: str, second: str, pairs: InstanceOf[Iterable[Any]] | Path
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
        """
        found = word_pairs(self.text_view(first), self.text_view(second), pairs)
        others = {key: rows for key, rows in self.dictionaries.items() if key != (second, first)}
        return self._with(dictionaries={**others, (first, second): found})

    @validated
    def with_views(self, names: Listed[str]) -> Self:
        """Return the data set with only some of its views, in the order of `names`."""
        for name in names:
            self.view(name)
        columns = [list(self.views).index(name) for name in names]
        kept = set(names)
        metadata = dict(self.metadata)
        if "dropped" in metadata:
            metadata["dropped"] = {n: r for n, r in metadata["dropped"].items() if n in kept}
        return self._with(
            views=[self.views[name] for name in names],
            links=restrict_links(self.links, list(self.views.values()), columns),
            pivot=self.pivot if self.pivot in kept else None,
            dictionaries={k: v for k, v in self.dictionaries.items() if kept.issuperset(k)},
            partitions={
                partition: {name: of_view for name, of_view in numbers.items() if name in kept}
                for partition, numbers in self.partitions.items()
            },
            metadata=metadata,
        )

    @validated
    def complete(
        self, names: Listed[str] | None = None, *, partitions: Listed[str] = PARTITIONS
    ) -> Self:
        """Return the data set with only the tuples that have an item of every view.

        Parameters
        ----------
        names : collection of str, optional
            The views that must be present. Default: all.
        partitions : collection of {'train', 'validation', 'test'}
            Where incomplete tuples are dropped.
        """
        wanted = list(self.views if names is None else names) or list(self.views)
        common = self.tuples(wanted[0])
        for name in wanted[1:]:
            common = np.intersect1d(common, self.tuples(name))
        strict = np.array([partition in partitions for partition in PARTITIONS])
        kept = {
            name: np.isin(self._tuples[name], common) | ~strict[view.partition_numbers]
            for name, view in self.views.items()
        }
        return self._only(kept)

    @validated
    def with_partition(self, name: str) -> Self:
        """Return the data set sorted by another of its named `partitions`.

        The vocabulary stays the one of the first partition's training items; to choose another,
        build the data set again from its source with the other partition.
        """
        check_known(name, self.partitions, "partition mark")
        return self._arranged(self.partitions[name])

    @validated
    def with_split(self, train: float = 0.8, validation: float = 0.1, *, seed: int = 0) -> Self:
        """Return the data set split at random into train, validation and test, tuple by tuple.

        `train` and `validation` are shares of the tuples; the rest is the test partition. The
        vocabulary stays the same; ``from_lists(..., split=(.8, .1))`` draws the split first and
        chooses the vocabulary on the training records.
        """
        drawn = drawn_numbers(self._tuple_count, train, validation, seed)
        return self._arranged({name: drawn[numbers] for name, numbers in self._tuples.items()})

    @validated
    def sample(
        self, count: Annotated[int, Field(ge=1)], *, partition: Partition = "train", seed: int = 0
    ) -> Self:
        """Return the data set with fewer items in one partition, for a quick trial.

        Whole tuples are drawn at random until every view has `count` items or all of its own: in
        unlinked corpora `count` items of each view, in complete ones `count` tuples. Tuples drawn
        for other views may add more. Other partitions stay as they are.
        """
        number = PARTITIONS.index(partition)
        place = drawn_order(self._tuple_count, seed)
        drawn = np.zeros(self._tuple_count, bool)
        for name, view in self.views.items():
            there = np.unique(self._tuples[name][view.rows(partition)])
            drawn[there[np.argsort(place[there])[:count]]] = True
        kept = {
            name: (view.partition_numbers != number) | drawn[self._tuples[name]]
            for name, view in self.views.items()
        }
        return self._only(kept)

    def _only(self, kept: Mapping[str, NDArray[np.bool_]]) -> Self:
        return self._arranged(
            {
                name: np.where(kept[name], view.partition_numbers, NO_PARTITION).astype(np.int8)
                for name, view in self.views.items()
            }
        )

    def _arranged(self, partitions: Mapping[str, NDArray[np.int8]]) -> Self:
        """Return the data set with its items in other partitions, without those in none."""
        views = []
        others = {name: dict(numbers) for name, numbers in self.partitions.items()}
        links = self.links.copy()
        for column, (name, view) in enumerate(self.views.items()):
            arrangement = arrange(np.asarray(partitions[name]))
            views.append(view.take(arrangement.order, arrangement.sizes))
            links[:, column] = arrangement.positions[links[:, column]]
            for numbers in others.values():
                numbers[name] = numbers[name][arrangement.order]
        links = links[(links >= 0).any(axis=1)]
        return self._with(views=views, links=links, partitions=others)


from_lists = MultiviewDataset.from_lists
from_frame = MultiviewDataset.from_frame
from_table = MultiviewDataset.from_table
from_jsonl = MultiviewDataset.from_jsonl
from_octis = MultiviewDataset.from_octis
from_bow_folder = MultiviewDataset.from_bow_folder
