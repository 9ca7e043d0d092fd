"""Views: collections of items of one kind (documents of a language, images), in partitions."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from octis_m3l.data.arrays import hash_of, read_array
from octis_m3l.data.text import TextPreprocessor, check_vocabulary
from octis_m3l.errors import DataError, SettingsError, check_known
from octis_m3l.validation import Items, Lenient, validated_fields

PARTITIONS = ("train", "validation", "test")
# The same in the files of OCTIS.
OCTIS_PARTITIONS = ("train", "val", "test")
NO_PARTITION = -1
_TEXTS_AT_ONCE = 10_000
_PARTITION_NAMES = {"train": 0, "training": 0, "validation": 1, "val": 1, "valid": 1, "dev": 1}
_PARTITION_NAMES |= {"test": 2}
Picture = Path | NDArray[np.uint8]

VIEW_NAME = re.compile(r"[a-z0-9_-]+")
_RESERVED = frozenset({"topic", "share", "item", "weight", "input_row", "content", "links"})


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class View(ABC):
    """A collection of items of one kind, stored in the order train, validation, test.

    Parameters
    ----------
    name : str
        Lower-case letters, digits, ``_`` and ``-``.
    sizes : tuple of three ints
        How many items the training, validation and test partitions hold.
    indexes : array of int64, optional
        For each item, its row in the input that the user gave. Default: the stored order.
    inputs : int, optional
        How many rows that input had. Default: as many as there are items.
    labels : sequence of str, optional
        One label for each item.
    embeddings : array of float32 or float16 (items × dimensions), optional
        May be memory-mapped.
    embedding_name : str, optional
        The name of the embeddings.
    embedding_encoder : mapping, optional
        The encoder that made them, as `octis_m3l.encoders.described` returns it.

    Raises
    ------
    DataError
        If a field is invalid, or lengths do not match.
    """

    kind: ClassVar[Literal["text", "image"]]

    name: str
    sizes: Lenient[tuple[int, int, int]]
    indexes: NDArray[np.int64] | None = None
    inputs: int | None = None
    labels: Items[str] | None = None
    embeddings: NDArray[np.float32] | None = None
    embedding_name: str = "given"
    embedding_encoder: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Check lengths, the name and the embeddings."""
        if not VIEW_NAME.fullmatch(self.name):
            raise DataError(
                f"view name '{self.name}': expected lower-case letters, digits, '_' and '-' only."
            )
        if self.name in _RESERVED:
            raise DataError(
                f"view name '{self.name}' is reserved for a column of this package's tables; "
                f"choose another name than {', '.join(sorted(_RESERVED))}."
            )
        if min(self.sizes) < 0:
            raise DataError(
                f"view '{self.name}': sizes {self.sizes}, expected how many items are in train, "
                "validation and test."
            )
        for field in ("labels", "indexes", "texts", "pictures"):
            given = getattr(self, field, None)
            if given is not None and len(given) != len(self):
                raise DataError(
                    f"view '{self.name}': {len(given)} {field} for {len(self)} items; give one for "
                    "each item."
                )
        if self.embeddings is not None:
            check_embeddings(self.embeddings, len(self), self.name)

    def __repr__(self) -> str:
        """Return the name and the number of items in each partition."""
        sizes = ", ".join(f"{n} {part}" for n, part in zip(self.sizes, PARTITIONS, strict=True))
        return f"<{type(self).__name__} '{self.name}': {sizes}>"

    def __len__(self) -> int:
        """Return the number of items."""
        return sum(self.sizes)

    def rows(self, partition: str) -> slice:
        """Return where the items of 'train', 'validation' or 'test' are stored."""
        check_known(partition, PARTITIONS, "partition")
        position = PARTITIONS.index(partition)
        start = sum(self.sizes[:position])
        return slice(start, start + self.sizes[position])

    @property
    def octis_metadata(self) -> dict[str, int]:
        """The ends of the partitions, as OCTIS's metadata have them."""
        train, validation, _ = self.sizes
        return {"last-training-doc": train, "last-validation-doc": train + validation}

    @property
    def partition_numbers(self) -> NDArray[np.int64]:
        """The partition of each item: 0 (train), 1 (validation) or 2 (test)."""
        return np.repeat(np.arange(3), self.sizes)

    @property
    def input_rows(self) -> NDArray[np.int64]:
        """For each item, its row in the user's input."""
        return np.arange(len(self)) if self.indexes is None else self.indexes

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of the items, which tells embeddings of other items."""

    @abstractmethod
    def items(self, rows: slice | NDArray[np.int64]) -> list[Any]:
        """Return texts or pictures, the input of encoders."""

    def with_embeddings(
        self,
        given: NDArray[Any] | str | Path,
        name: str = "given",
        *,
        order: str = "input",
        encoder: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return the view with embeddings; see `MultiviewDataset.with_embeddings`."""
        array = read_array(given, self.name)
        if order == "input":
            inputs = len(self) if self.inputs is None else self.inputs
            if len(array) != inputs:
                raise DataError(
                    f"view '{self.name}': embeddings have {len(array)} rows, the input had "
                    f"{inputs} (of which {len(self)} became items); give one row for each "
                    "row of the input, or pass order='stored'."
                )
            if not np.array_equal(self.input_rows, np.arange(inputs)):
                array = array[self.input_rows]
                check_embeddings(array, len(self), self.name, self.input_rows)
        if array.dtype not in (np.float32, np.float16) and array.dtype.kind == "f":
            with np.errstate(over="ignore"):
                array = array.astype(np.float32)
        return replace(self, embeddings=array, embedding_name=name, embedding_encoder=encoder)

    def take(self, order: NDArray[np.int64], sizes: tuple[int, int, int]) -> Self:
        """Return the items at some positions as a view, sorted into partitions of these sizes."""
        changes: dict[str, Any] = {
            name: [of_items[i] for i in order]
            for name in ("labels", "texts", "pictures")
            if (of_items := getattr(self, name, None)) is not None
        }
        return replace(
            self,
            sizes=sizes,
            indexes=self.input_rows[order],
            inputs=len(self) if self.inputs is None else self.inputs,
            embeddings=None if self.embeddings is None else self.embeddings[order],
            **changes,
            **self._take(order),
        )

    def _take(self, order: NDArray[np.int64]) -> dict[str, Any]:
        """Return the fields of one kind of view that `take` changes besides."""
        return {}


@validated_fields
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class TextView(View):
    """The documents of one language, as a ragged array of word indices.

    Parameters
    ----------
    vocabulary : tuple of str
        The words; a word's position is its index.
    token_ids : array of int32
        The words of all documents, one document after another, in reading order.
    offsets : array of int64 (items + 1)
        Where each document's words begin and end in `token_ids`.
    language : str, optional
        ISO 639-1 code.
    texts : sequence of str, optional
        The raw texts, for encoders.
    word_vectors : array of float32 (vocabulary × dimensions), optional
        A vector for each word.
    word_space : str, optional
        The name of the word vectors' space, where languages do not share one: words of views with
        different spaces can't be compared.
    preprocessor : TextPreprocessor, optional
        The preprocessing that made words of the raw texts, applied to new documents too.
    """

    kind: ClassVar[Literal["text", "image"]] = "text"

    vocabulary: Lenient[tuple[str, ...]]
    token_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    language: str | None = None
    texts: Items[str] | None = None
    word_vectors: NDArray[np.float32] | None = None
    word_space: str | None = None
    preprocessor: TextPreprocessor | None = None

    def __post_init__(self) -> None:
        """Check the ragged array against the vocabulary."""
        super().__post_init__()
        check_vocabulary(self.vocabulary, self.name)
        for what, numbers in (("token_ids", self.token_ids), ("offsets", self.offsets)):
            if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
                raise DataError(
                    f"view '{self.name}': {what} of shape {numbers.shape} and type "
                    f"{numbers.dtype}; expected a row of whole numbers."
                )
        if len(self.offsets) != len(self) + 1 or self.offsets[-1] != len(self.token_ids):
            raise DataError(
                f"view '{self.name}': {len(self.offsets) - 1} documents with "
                f"{len(self.token_ids)} tokens do not fit {len(self)} items."
            )
        if len(self.token_ids) and not (
            int(self.token_ids.min()) >= 0 and int(self.token_ids.max()) < len(self.vocabulary)
        ):
            raise DataError(
                f"view '{self.name}': a word index is outside the vocabulary of "
                f"{len(self.vocabulary)} words."
            )
        if self.word_vectors is not None:
            check_embeddings(self.word_vectors, len(self.vocabulary), f"{self.name} (word vectors)")

    @cached_property
    def bag_of_words(self) -> "csr_array[np.float32]":
        """Word counts, sparse (items × vocabulary)."""
        index = np.int32 if len(self.token_ids) < 2**31 else np.int64
        matrix = csr_array(
            (
                np.ones(len(self.token_ids), np.float32),
                self.token_ids.astype(index),
                self.offsets.astype(index),
            ),
            shape=(len(self), len(self.vocabulary)),
        )
        matrix.sum_duplicates()
        # What was summed up leaves arrays as long as before, of which the beginning is used.
        matrix.data, matrix.indices = matrix.data.copy(), matrix.indices.copy()
        return matrix

    def documents(self, rows: slice) -> list[list[str]]:
        """Return the words of some documents, in reading order."""
        bounds = self.offsets[rows.start : rows.stop + 1]
        words = np.array(self.vocabulary, dtype=object)[self.token_ids[bounds[0] : bounds[-1]]]
        cuts = bounds - bounds[0]
        return [words[a:b].tolist() for a, b in pairwise(cuts)]

    def items(self, rows: slice | NDArray[np.int64]) -> list[str]:
        """Return the raw texts, or the words joined by spaces if no raw texts are kept."""
        numbers = np.arange(len(self))[rows]
        if self.texts is not None:
            return [self.texts[i] for i in numbers]
        bounds = zip(self.offsets[numbers], self.offsets[numbers + 1], strict=True)
        return [" ".join(self.vocabulary[t] for t in self.token_ids[a:b]) for a, b in bounds]

    def fingerprint(self) -> str:
        """Return a SHA-256 of the texts."""
        starts = range(0, len(self), _TEXTS_AT_ONCE)
        parts = (self.items(slice(start, start + _TEXTS_AT_ONCE)) for start in starts)
        return hash_of(f"{text}\0" for texts in parts for text in texts)

    def _take(self, order: NDArray[np.int64]) -> dict[str, Any]:
        lengths = np.diff(self.offsets)[order]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        positions = np.arange(offsets[-1]) + np.repeat(self.offsets[order] - offsets[:-1], lengths)
        return {"token_ids": self.token_ids[positions], "offsets": offsets}


@validated_fields
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ImageView(View):
    """Images: files, arrays, or embeddings alone.

    Parameters
    ----------
    pictures : sequence of Path or array of uint8 (height × width × 3), optional
        The images. Without them the view must have embeddings.
    """

    kind: ClassVar[Literal["text", "image"]] = "image"

    pictures: Items[Picture] | None = None

    def __post_init__(self) -> None:
        """Check that there are pictures or embeddings."""
        super().__post_init__()
        if self.pictures is None and self.embeddings is None:
            raise DataError(
                f"image view '{self.name}' has neither pictures nor embeddings; give one of them."
            )

    def items(self, rows: slice | NDArray[np.int64]) -> list[Picture]:
        """Return the pictures; an error if the view has embeddings only."""
        if self.pictures is None:
            raise DataError(
                f"image view '{self.name}' has embeddings but no pictures: nothing to encode."
            )
        return [self.pictures[i] for i in np.arange(len(self))[rows]]

    def fingerprint(self) -> str:
        """Return a SHA-256 of the file names and sizes, or of the arrays."""
        return hash_of(
            f"{picture.name}\0{picture.stat().st_size if picture.exists() else -1}\0"
            if isinstance(picture, Path)
            else picture
            for picture in self.pictures or []
        )


def check_embeddings(
    embeddings: NDArray[Any], rows: int, name: str, numbers: NDArray[np.int64] | None = None
) -> None:
    """Check embeddings: a matrix, finite in single precision, one row for each item."""
    if embeddings.ndim != 2 or embeddings.shape[1] < 1 or embeddings.dtype.kind != "f":
        raise DataError(
            f"view '{name}': embeddings of shape {embeddings.shape} and type {embeddings.dtype}, "
            f"expected floats (items × dimensions) with {rows} rows."
        )
    if len(embeddings) != rows:
        raise DataError(
            f"view '{name}': embeddings have {len(embeddings)} rows for {rows} items; give one "
            "row for each item, in the same order."
        )
    step = max(1, 4_000_000 // embeddings.shape[1])
    for start in range(0, rows, step):
        with np.errstate(over="ignore"):
            piece = np.asarray(embeddings[start : start + step], np.float32)
        finite = np.isfinite(piece).all(axis=1)
        if not finite.all():
            bad = start + int(np.flatnonzero(~finite)[0])
            bad = bad if numbers is None else int(numbers[bad])
            raise DataError(
                f"view '{name}': the embedding of row {bad} holds NaN, infinity or a number above "
                "3e38, too large for single precision; encode it again or leave the item out."
            )


# The partition of each item or record: 0 (train), 1 (validation), 2 (test) or -1 (in none).


def check_numbers(
    name: str, numbers: Mapping[str, NDArray[np.int8]], views: Iterable[View]
) -> None:
    """Check that a named partition has a number for each item of each view."""
    for view in views:
        of_view = np.asarray(numbers.get(view.name, []))
        if of_view.shape != (len(view),) or not np.isin(of_view, (NO_PARTITION, 0, 1, 2)).all():
            raise DataError(
                f"partition '{name}': expected for each of the {len(view)} items of view "
                f"'{view.name}' 0 (train), 1 (validation), 2 (test) or -1 (in none of them)."
            )


def numbers_of_names(names: Iterable[Any], what: str) -> NDArray[np.int8]:
    """Return the numbers of partitions that a user named."""
    given = [str(name) for name in names]
    unknown = [name for name in given if name.lower() not in _PARTITION_NAMES]
    if unknown:
        raise DataError(
            f"'{what}' has {len(unknown)} unknown entries, the first is '{unknown[0]}'; expected "
            "train, validation (or val) and test."
        )
    return np.array([_PARTITION_NAMES[name.lower()] for name in given], np.int8)


@dataclass(frozen=True, eq=False)
class Arrangement:
    """The order of items sorted by partition, without those in none, and their new positions."""

    order: NDArray[np.int64]
    sizes: tuple[int, int, int]
    positions: NDArray[np.int64]


def arrange(numbers: NDArray[np.integer[Any]]) -> Arrangement:
    """Sort items by partition, stably; the last of the positions is that of a missing item."""
    order = np.argsort(numbers, kind="stable")
    order = order[numbers[order] >= 0]
    train, validation, test = (int((numbers == p).sum()) for p in range(3))
    positions = np.full(len(numbers) + 1, -1, np.int64)
    positions[order] = np.arange(len(order))
    return Arrangement(order, (train, validation, test), positions)


def drawn_order(count: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers below `count` in random order."""
    if seed < 0:
        raise SettingsError(f"seed={seed}: expected a whole number, 0 or more.")
    return np.random.default_rng(seed).permutation(count)


def drawn_numbers(count: int, train: float, validation: float, seed: int) -> NDArray[np.int8]:
    """Draw the partitions of `count` items at random, in these shares; the rest is for testing."""
    if not (0 < train <= 1 and 0 <= validation <= 1 and train + validation <= 1 + 1e-9):
        raise DataError(
            f"shares train={train}, validation={validation}: expected train above 0 and both "
            "together at most 1."
        )
    order = drawn_order(count, seed)
    cuts = np.rint(np.array([train, train + validation]) * count)
    return np.searchsorted(cuts, order, side="right").astype(np.int8)
