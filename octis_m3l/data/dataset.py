"""MultiviewDataset: views and the links between them; an OCTIS Dataset."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from octis.dataset.dataset import Dataset

from octis_m3l.data.describe import content_fingerprints, describe_parts
from octis_m3l.data.links import check_links, row_links, tuple_numbers
from octis_m3l.data.marks import check_marks
from octis_m3l.data.variations import Variations
from octis_m3l.data.views import PARTITIONS, ImageView, TextView, View
from octis_m3l.data.words import check_dictionary
from octis_m3l.errors import DataError, suggest
from octis_m3l.validation import ArrayLike, Listed, validated


class MultiviewDataset(Variations, Dataset):  # type: ignore[misc]
    """Views (languages, images) linked into tuples, any of them missing; an OCTIS Dataset.

    To OCTIS's own models and metrics it answers for the pivot view; `monolingual` gives any other
    text view as an OCTIS Dataset of its own.

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
        Name, licence, citation: anything that JSON can hold.
    dictionaries : mapping of (view, view) to array of int (pairs × 2), optional
        Translations: word index in the first view, word index in the second.
    partitions : mapping of str to mapping of view to array of int8, optional
        Further partitions: for each view's items 0 (train), 1 (validation), 2 (test) or −1 (in
        none of them). See `with_partition`.

    Raises
    ------
    DataError
        If names repeat, there is no text view, a link points nowhere or across partitions.
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
        self.partitions = {name: dict(marks) for name, marks in (partitions or {}).items()}
        for name, marks in self.partitions.items():
            check_marks(name, marks, listed)
        sizes = self.views[self.pivot].sizes
        of_octis = {"last-training-doc": sizes[0], "last-validation-doc": sizes[0] + sizes[1]}
        super().__init__(metadata={**(metadata or {}), **of_octis})

    # What OCTIS asks, answered for the pivot.

    @property
    def metadata(self) -> dict[str, Any]:
        """Name, licence and whatever else the data set says of itself."""
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
        """Return the pivot's documents by partition, as OCTIS does.

        Parameters
        ----------
        use_validation : bool
            Whether the validation documents are a part of their own (three lists) or left out
            (two lists).
        """
        view = self.text_view(self.pivot)
        wanted = PARTITIONS if use_validation else ("train", "test")
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
        """Write the data set to a folder; see `octis_m3l.data.folder`.

        Parameters
        ----------
        path : str or Path
            The folder, written whole.
        multilabel : bool
            OCTIS's argument; labels are one string an item here, so it changes nothing.
        overwrite : bool
            Whether a data set that is there already may be replaced.
        """
        from octis_m3l.data.folder import write_folder

        write_folder(self, Path(path), overwrite=overwrite)
        self.dataset_path = str(path)

    # Views.

    @validated
    def view(self, name: str) -> View:
        """Return a view.

        Parameters
        ----------
        name : str
            Its name.

        Raises
        ------
        DataError
            If there is none of that name.
        """
        if name not in self.views:
            raise DataError(f"unknown view '{name}'.{suggest(name, self.views)}")
        return self.views[name]

    @validated
    def text_view(self, name: str) -> TextView:
        """Return a text view.

        Parameters
        ----------
        name : str
            Its name.

        Raises
        ------
        DataError
            If there is none of that name, or it holds images.
        """
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
        """Return one text view as a plain OCTIS Dataset.

        Parameters
        ----------
        name : str
            The view.

        Raises
        ------
        DataError
            If there is none of that name, or it holds images.
        """
        view = self.text_view(name)
        return Dataset(
            corpus=view.documents(slice(0, len(view))),
            vocabulary=list(view.vocabulary),
            labels=None if view.labels is None else list(view.labels),
            metadata={
                **self.metadata,
                "last-training-doc": view.sizes[0],
                "last-validation-doc": view.sizes[0] + view.sizes[1],
            },
            document_indexes=view.input_rows.tolist(),
        )

    # Tuples.

    @cached_property
    def _tuples(self) -> dict[str, NDArray[np.int64]]:
        numbers = tuple_numbers(self.links, list(self.views.values()))
        return dict(zip(self.views, numbers, strict=True))

    @validated
    def tuples(self, name: str) -> NDArray[np.int64]:
        """Return the tuple number of each item of a view.

        Items are linked when they have the same number: their link rows are connected. An item in
        no link row is a tuple by itself.

        Parameters
        ----------
        name : str
            The view.

        Returns
        -------
        array of int64 (items)
        """
        self.view(name)
        return self._tuples[name]

    @validated
    def partition_tuples(self, partition: str) -> NDArray[np.int64]:
        """Return the tuples of a partition, ascending.

        Parameters
        ----------
        partition : {'train', 'validation', 'test'}
            The partition.
        """
        found = [self._tuples[n][view.rows(partition)] for n, view in self.views.items()]
        return np.unique(np.concatenate(found))

    @property
    def is_linked(self) -> bool:
        """Whether any row links items of two views."""
        return bool(((self.links >= 0).sum(axis=1) >= 2).any())

    # What it says of itself.

    def fingerprints(self) -> dict[str, str]:
        """Return a SHA-256 of each view's items, order and partitions, and of the links."""
        return dict(self._fingerprints)

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        return content_fingerprints(self.views.values(), self.links)

    def __repr__(self) -> str:
        """Say which views there are, and how many tuples."""
        views = ", ".join(f"{name}: {len(view)}" for name, view in self.views.items())
        return f"<MultiviewDataset of {self.info()['tuples']} tuples ({views})>"

    def info(self) -> dict[str, Any]:
        """Return what is in the data set, as JSON can hold it: views, items, gaps, links."""
        return describe_parts(
            list(self.views.values()),
            self.links,
            self.pivot,
            self.metadata,
            self.dictionaries,
            self.partitions,
            tuples=[self._tuples[name] for name in self.views],
        )

    def _with(self, views: Iterable[View], links: NDArray[np.int64], **changes: Any) -> Self:
        arguments: dict[str, Any] = {
            "pivot": self.pivot,
            "metadata": self.metadata,
            "dictionaries": self.dictionaries,
            "partitions": self.partitions,
        }
        return type(self)(views, links, **(arguments | changes))

    @validated
    def linked_items(self, partition: str) -> dict[str, int]:
        """Return for each view how many of a partition's items are linked to another view.

        Parameters
        ----------
        partition : {'train', 'validation', 'test'}
            The partition.
        """
        numbers = {n: self._tuples[n][view.rows(partition)] for n, view in self.views.items()}
        different = [np.unique(of) for of in numbers.values()]
        tuples, views = np.unique(np.concatenate(different), return_counts=True)
        linked = tuples[views > 1]
        return {name: int(np.isin(of, linked).sum()) for name, of in numbers.items()}

    # Other ways in.

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
            Which embeddings to use where a view has several. Default: the only ones.
        tokenizers : mapping of text view to callable, optional
            Functions of one's own that split texts into words: they are not saved, and only
            encoders that read the texts anew need them.

        Raises
        ------
        StorageError
            If the folder is missing, of another kind, or copied only in part.
        DataError, SettingsError
            If a tokenizer is given to a view that is unknown, or needs none.
        """
        from octis_m3l.data.folder import read_folder

        return read_folder(Path(folder), embeddings=embeddings, tokenizers=tokenizers)

    @classmethod
    def from_lists(cls, texts: Mapping[str, Any], **arguments: Any) -> "MultiviewDataset":
        """Build from lists, row by row; see `octis_m3l.data.build.from_lists`."""
        from octis_m3l.data.build import from_lists

        return from_lists(texts, **arguments)

    @classmethod
    def from_frame(cls, frame: Any, **arguments: Any) -> "MultiviewDataset":
        """Build from a pandas frame; see `octis_m3l.data.build.from_frame`."""
        from octis_m3l.data.build import from_frame

        return from_frame(frame, **arguments)

    @classmethod
    def from_table(cls, path: str | Path, **arguments: Any) -> "MultiviewDataset":
        """Build from a CSV, TSV, .xlsx or JSON lines file; see `data.build.from_table`."""
        from octis_m3l.data.build import from_table

        return from_table(path, **arguments)

    @classmethod
    def from_jsonl(cls, path: str | Path, **arguments: Any) -> "MultiviewDataset":
        """Build from JSON lines; see `octis_m3l.data.build.from_jsonl`."""
        from octis_m3l.data.build import from_jsonl

        return from_jsonl(path, **arguments)

    @classmethod
    def from_octis(cls, source: Any, **arguments: Any) -> "MultiviewDataset":
        """Build from one or several data sets of OCTIS; see `octis_m3l.data.adopt.from_octis`."""
        from octis_m3l.data.adopt import from_octis

        return from_octis(source, **arguments)

    @classmethod
    @validated
    def linked_by_row(cls, views: Listed[View], **arguments: Any) -> "MultiviewDataset":
        """Build from views whose items belong together row by row.

        Parameters
        ----------
        views : iterable of View
            Views with equally many items in each partition.
        **arguments
            As for the class.
        """
        listed = list(views)
        return cls(listed, row_links(listed), **arguments)
