"""MultiviewDataset: views and the links between them; an OCTIS Dataset."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from octis.dataset.dataset import Dataset

from octis_m3l.data.links import MISSING, check_links, restrict_links, row_links, tuple_numbers
from octis_m3l.data.views import PARTITIONS, ImageView, TextView, View
from octis_m3l.errors import DataError, suggest

Dictionaries = Mapping[tuple[str, str], NDArray[np.int64]]


class MultiviewDataset(Dataset):  # type: ignore[misc]
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

    def __init__(
        self,
        views: Iterable[View],
        links: NDArray[np.int64] | None = None,
        *,
        pivot: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        dictionaries: Dictionaries | None = None,
        partitions: Mapping[str, Mapping[str, NDArray[np.int8]]] | None = None,
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
            self._check_dictionary(first, second, pairs)
        self.partitions = {name: dict(marks) for name, marks in (partitions or {}).items()}
        for name, marks in self.partitions.items():
            self._check_partition(name, marks)
        sizes = self.views[self.pivot].sizes
        described = dict(metadata or {})
        described["last-training-doc"] = sizes[0]
        described["last-validation-doc"] = sizes[0] + sizes[1]
        super().__init__(metadata=described)

    # What OCTIS asks, answered for the pivot.

    @property
    def metadata(self) -> dict[str, Any]:
        """Name, licence and whatever else the data set says of itself."""
        described: dict[str, Any] = self.get_metadata()
        return described

    def get_corpus(self) -> list[list[str]]:
        """Return the pivot's documents as lists of words."""
        return self._corpus

    @cached_property
    def _corpus(self) -> list[list[str]]:
        view = self.text_view(self.pivot)
        return view.documents(slice(0, len(view)))

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

    # Variations; arrays are shared, nothing is changed in place.

    def _with(self, views: Iterable[View], links: NDArray[np.int64], **changes: Any) -> Self:
        arguments: dict[str, Any] = {
            "pivot": self.pivot,
            "metadata": self.metadata,
            "dictionaries": self.dictionaries,
            "partitions": self.partitions,
        }
        return type(self)(views, links, **(arguments | changes))

    def with_embeddings(
        self,
        embeddings: Mapping[str, NDArray[Any] | str | Path],
        *,
        name: str = "given",
        order: str = "input",
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
            if array.dtype != np.float32 and array.dtype.kind == "f":
                array = array.astype(np.float32)
            views[view_name] = replace(view, embeddings=array, embedding_name=name)
        return self._with(views.values(), self.links)

    def with_word_vectors(self, vectors: Mapping[str, NDArray[Any] | str | Path]) -> Self:
        """Return the data set with a vector for each word of some views.

        Parameters
        ----------
        vectors : mapping of text view to array (vocabulary × dimensions), or to a ``.npy``
            Rows as the view's vocabulary.

        Raises
        ------
        DataError
            If a view is unknown or holds images, or rows or values are not as expected.
        """
        views = dict(self.views)
        for name, given in vectors.items():
            array = read_array(given, name).astype(np.float32)
            views[name] = replace(self.text_view(name), word_vectors=array)
        return self._with(views.values(), self.links)

    def with_dictionary(self, first: str, second: str, pairs: Iterable[tuple[str, str]]) -> Self:
        """Return the data set with translations between two views.

        Parameters
        ----------
        first, second : str
            Text views.
        pairs : iterable of (str, str)
            A word of the first view and its translation in the second. Pairs with a word outside
            a vocabulary are left out.

        Raises
        ------
        DataError
            If a view is unknown, or no pair is within the vocabularies.
        """
        known = [
            {word: number for number, word in enumerate(self.text_view(name).vocabulary)}
            for name in (first, second)
        ]
        listed = list(pairs)
        rows = [(known[0][a], known[1][b]) for a, b in listed if a in known[0] and b in known[1]]
        if not rows:
            raise DataError(
                f"dictionary {first}-{second}: none of its {len(listed)} pairs has both words in "
                "the vocabularies; check the order of the languages and upper and lower case."
            )
        array = np.unique(np.array(rows, np.int64), axis=0)
        return self._with(
            self.views.values(),
            self.links,
            dictionaries={**self.dictionaries, (first, second): array},
        )

    def with_views(self, names: Collection[str]) -> Self:
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
        )

    def complete(
        self,
        names: Collection[str] | None = None,
        *,
        partitions: Collection[str] = PARTITIONS,
    ) -> Self:
        """Return the data set with only those tuples that have an item of every view.

        Parameters
        ----------
        names : collection of str, optional
            The views that must be there. Default: all.
        partitions : collection of {'train', 'validation', 'test'}
            Where incomplete tuples are left out; other partitions stay as they are.
        """
        wanted = list(names or self.views)
        common = self.tuples(wanted[0])
        for name in wanted[1:]:
            common = np.intersect1d(common, self.tuples(name))
        strict = np.array([partition in partitions for partition in PARTITIONS])
        marks = {}
        for name, view in self.views.items():
            mark = np.repeat(np.arange(3), view.sizes)
            kept = np.isin(self._tuples[name], common) | ~strict[mark]
            marks[name] = np.where(kept, mark, MISSING).astype(np.int8)
        return self._arranged(marks)

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
        if not (0 < train <= 1 and 0 <= validation <= 1 and train + validation <= 1 + 1e-9):
            raise DataError(
                f"shares train={train}, validation={validation}: expected train above 0 and both "
                "together at most 1."
            )
        total = 1 + max(int(numbers.max(initial=-1)) for numbers in self._tuples.values())
        place = np.random.default_rng(seed).permutation(total)
        cuts = np.rint(np.array([train, train + validation]) * total)
        mark = np.searchsorted(cuts, place, side="right").astype(np.int8)
        return self._arranged({n: mark[numbers] for n, numbers in self._tuples.items()})

    def _arranged(self, marks: Mapping[str, NDArray[np.int8]]) -> Self:
        views, partitions = [], {p: dict(m) for p, m in self.partitions.items()}
        links = self.links.copy()
        for column, (name, view) in enumerate(self.views.items()):
            mark = np.asarray(marks[name])
            order = np.argsort(mark, kind="stable")
            order = order[mark[order] >= 0]
            train, validation, test = (int((mark == p).sum()) for p in range(3))
            views.append(view.take(order, (train, validation, test)))
            moved = np.full(len(view) + 1, MISSING, np.int64)
            moved[order] = np.arange(len(order))
            links[:, column] = moved[links[:, column]]
            for other in partitions.values():
                other[name] = other[name][order]
        links = links[(links >= 0).any(axis=1)]
        return self._with(views, links, partitions=partitions)

    def fingerprints(self) -> dict[str, str]:
        """Return a SHA-256 of each view's items, order and partitions, and of the links."""
        found = {}
        for name, view in self.views.items():
            digest = hashlib.sha256(f"{view.sizes}".encode())
            digest.update(view.fingerprint().encode())
            digest.update(view.input_rows.tobytes())
            if isinstance(view, TextView):
                digest.update("\n".join(view.vocabulary).encode("utf-8", "surrogatepass"))
                digest.update(view.token_ids.tobytes())
            found[name] = digest.hexdigest()
        found["links"] = hashlib.sha256(np.ascontiguousarray(self.links).tobytes()).hexdigest()
        return found

    def info(self) -> dict[str, Any]:
        """Return what is in the data set, as JSON can hold it: views, items, gaps, links."""
        numbers = [self._tuples[name] for name in self.views]
        total = 1 + max(int(n.max(initial=-1)) for n in numbers)
        counts = np.array([np.bincount(n, minlength=total) for n in numbers])
        complete = int((counts > 0).all(axis=0).sum())
        return {
            "name": self.metadata.get("name", ""),
            "views": {name: _describe(view) for name, view in self.views.items()},
            "pivot": self.pivot,
            "link_rows": len(self.links),
            "tuples": total,
            "tuples_with_every_view": complete,
            "largest_tuple": int(counts.sum(axis=0).max(initial=0)),
            "partitions": sorted(self.partitions),
            "dictionaries": [f"{a}-{b}" for a, b in self.dictionaries],
        }

    def _check_dictionary(self, first: str, second: str, pairs: NDArray[np.int64]) -> None:
        words = [len(self.text_view(first).vocabulary), len(self.text_view(second).vocabulary)]
        if pairs.ndim != 2 or pairs.shape[1] != 2 or ((pairs < 0) | (pairs >= words)).any():
            raise DataError(
                f"dictionary {first}-{second}: expected pairs of word indices below {words[0]} "
                f"and {words[1]}, given an array of shape {pairs.shape} with values from "
                f"{pairs.min(initial=0)} to {pairs.max(initial=0)}."
            )

    def _check_partition(self, name: str, marks: Mapping[str, NDArray[np.int8]]) -> None:
        for view_name, view in self.views.items():
            mark = np.asarray(marks.get(view_name, []))
            if mark.shape != (len(view),) or not np.isin(mark, (MISSING, 0, 1, 2)).all():
                raise DataError(
                    f"partition '{name}': expected for each of the {len(view)} items of view "
                    f"'{view_name}' 0 (train), 1 (validation), 2 (test) or -1 (in none of them)."
                )

    # Other ways in.

    @classmethod
    def from_folder(
        cls, folder: str | Path, *, embeddings: str | Mapping[str, str] | None = None
    ) -> "MultiviewDataset":
        """Read a data set that `save` wrote.

        Parameters
        ----------
        folder : str or Path
            The folder.
        embeddings : str or mapping of view to str, optional
            Which embeddings to use where a view has several. Default: the only ones.

        Raises
        ------
        StorageError
            If the folder is missing, of another kind, or copied only in part.
        """
        from octis_m3l.data.folder import read_folder

        return read_folder(Path(folder), embeddings=embeddings)

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
    def from_jsonl(cls, path: str | Path, **arguments: Any) -> "MultiviewDataset":
        """Build from JSON lines; see `octis_m3l.data.build.from_jsonl`."""
        from octis_m3l.data.build import from_jsonl

        return from_jsonl(path, **arguments)

    @classmethod
    def linked_by_row(cls, views: Iterable[View], **arguments: Any) -> "MultiviewDataset":
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


def read_array(given: NDArray[Any] | str | Path, name: str) -> NDArray[Any]:
    """Return an array, memory-mapped from a ``.npy`` file when a path is given.

    Parameters
    ----------
    given : array, str or Path
        The array or its file.
    name : str
        The view, for the message.

    Raises
    ------
    DataError
        If the file is missing or is no whole ``.npy`` file.
    """
    if not isinstance(given, str | Path):
        return np.asarray(given)
    try:
        array = np.load(given, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it holds several arrays")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"view '{name}': {given} can't be read as a .npy array ({error}); write it with "
            "numpy.save."
        ) from None
    return array


def _describe(view: View) -> dict[str, Any]:
    described: dict[str, Any] = {
        "kind": view.kind,
        "items": dict(zip(PARTITIONS, view.sizes, strict=True)),
        "embeddings": (
            None
            if view.embeddings is None
            else {"name": view.embedding_name, "dimensions": int(view.embeddings.shape[1])}
        ),
    }
    if isinstance(view, TextView):
        described |= {
            "language": view.language,
            "words": len(view.vocabulary),
            "tokens": len(view.token_ids),
        }
    return described
