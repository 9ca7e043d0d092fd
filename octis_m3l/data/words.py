"""Words of several languages: their vectors, dictionaries and nearest neighbours."""

import codecs
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from io import TextIOWrapper
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, load_npz

from octis_m3l.data.arrays import read_array
from octis_m3l.data.records import opened
from octis_m3l.data.views import TextView
from octis_m3l.errors import DataError, first_few, warn

WithoutVector = Literal["error", "zeros"]
_LINES_OF_HEAD = 100
_SCORES_AT_ONCE = 2**22
_LOWEST = np.iinfo(np.int64).min


def read_word_vectors(
    given: NDArray[Any] | str | Path,
    vocabulary: Sequence[str],
    view: str,
    without_vector: WithoutVector = "error",
) -> NDArray[np.float32]:
    """Return a vector for each word of a vocabulary."""
    if not isinstance(given, str | Path) or Path(given).suffix == ".npy":
        vectors = np.asarray(read_array(given, view))
    elif Path(given).suffix == ".npz":
        vectors = _read_npz(Path(given), view)
    else:
        vectors = _look_up(Path(given), vocabulary, view, without_vector)
    is_matrix = vectors.ndim == 2 and vectors.dtype.kind in "fiu"
    if not is_matrix or len(vectors) != len(vocabulary):
        raise DataError(
            f"view '{view}': word vectors of shape {vectors.shape} and type {vectors.dtype}; "
            f"expected numbers, a row for each of its {len(vocabulary)} words."
        )
    with np.errstate(over="ignore"):
        vectors = vectors.astype(np.float32)
    invalid = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(invalid):
        raise DataError(
            f"view '{view}': the word vectors of {len(invalid)} words hold NaN or infinity "
            f"({first_few([vocabulary[row] for row in invalid.tolist()])}); give finite numbers, "
            "or zeros for words without a vector."
        )
    return vectors


def _read_npz(path: Path, view: str) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            if "format" in file.files:
                return np.asarray(csr_array(load_npz(path)).todense())
            if len(file.files) != 1:
                raise ValueError(f"it holds {len(file.files)} arrays: {', '.join(file.files)}")
            return np.asarray(file[file.files[0]])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"view '{view}': {path} can't be read as .npz ({error}); expected one matrix that "
            "numpy.savez or scipy's save_npz wrote."
        ) from None


def _look_up(
    path: Path, vocabulary: Sequence[str], view: str, without_vector: WithoutVector
) -> NDArray[np.float64]:
    """Return the vectors that a text file of word2vec, GloVe or fastText has for the words."""
    row_of = {word.encode(): row for row, word in enumerate(vocabulary)}
    vectors: dict[int, NDArray[np.float64]] = {}
    lines = 0
    invalid: list[int] = []
    with opened(path) as file:
        head = [line.rstrip(b"\r\n ") for line in islice(file, _LINES_OF_HEAD)]
        announced, size = _header(head)
        rest = (line.rstrip(b"\r\n ") for line in file)
        for number, line in enumerate(chain(head, rest), start=1):
            if number == 1 and announced:
                continue
            lines += 1
            # A word may contain spaces: its vector is at the end of the line.
            word, *values = line.rsplit(b" ", size)
            row = row_of.get(word.strip(b" "), -1)
            if not size or len(values) < size or not _converts(bytes.decode, line):
                invalid.append(number)
            elif row >= 0 and row not in vectors:
                try:
                    vectors[row] = np.array(values, float)
                except ValueError:
                    invalid.append(number)
    if invalid:
        message = (
            f"{path}: {len(invalid)} of {lines} lines can't be read as a word and its {size} "
            f"numbers in UTF-8 (lines {first_few(invalid)})"
        )
        if len(invalid) == lines:
            raise DataError(f"{message}; expected a file of word2vec, GloVe or fastText.")
        warn(f"{message}; they were ignored.")
    if lines < announced:
        raise DataError(
            f"{path} holds {lines} words, but its first line announces {announced}: the file is "
            "incomplete; get it again."
        )
    missing = [word for row, word in enumerate(vocabulary) if row not in vectors]
    if missing and (without_vector == "error" or not vectors):
        raise DataError(
            f"{path} has no vector for {len(missing)} of the {len(vocabulary)} words of view "
            f"'{view}' ({first_few(missing)}); check its language, and upper and lower case; give "
            "the words zeros, so that they have no neighbours, with without_vector='zeros' "
            "(octis-m3l build: --without-vector zeros), or remove them from the vocabulary."
        )
    found = np.zeros((len(vocabulary), size))
    found[list(vectors)] = list(vectors.values())
    return found


def _header(head: list[bytes]) -> tuple[int, int]:
    """Return how many words the first line announces, 0 without a header, and the dimensions."""
    head[:1] = [line.removeprefix(codecs.BOM_UTF8) for line in head[:1]]
    first = head[0].split(b" ") if head else []
    if len(first) == 2 and first[0].isdigit() and first[1].isdigit():
        return int(first[0]), int(first[1])
    is_number = partial(_converts, float)
    sizes = Counter(sum(1 for _ in takewhile(is_number, line.split(b" ")[:0:-1])) for line in head)
    del sizes[0]
    return 0, max(sizes, key=lambda size: sizes[size], default=0)


def _converts(convert: Callable[[bytes], object], given: bytes) -> bool:
    try:
        convert(given)
    except ValueError:
        return False
    return True


def read_pairs(path: str | Path) -> list[tuple[str, str]]:
    """Return the pairs of words of a dictionary file, separated by tabs or as MUSE's by spaces."""
    pairs = []
    with opened(Path(path)) as file:
        lines = TextIOWrapper(file, encoding="utf-8-sig", newline="\n")
        for number, line in enumerate(lines, start=1):
            text = line.strip("\r\n")
            parts = [part.strip() for part in text.split("\t" if "\t" in text else None)]
            if text.strip() and (len(parts) != 2 or not all(parts)):
                raise DataError(
                    f"{path}, line {number}: {text!r}; expected a word and its translation, "
                    "separated by a tab or a space."
                )
            if text.strip():
                pairs.append((parts[0], parts[1]))
    return pairs


def word_pairs(
    first: TextView,
    second: TextView,
    pairs: Iterable[Any] | Mapping[Any, Any] | NDArray[Any] | str | Path,
) -> NDArray[np.int64]:
    """Return translations as pairs of word indices; pairs outside the vocabularies are omitted."""
    name = f"dictionary {first.name}-{second.name}"
    if isinstance(pairs, str | Path):
        path = Path(pairs)
        pairs = read_array(path, first.name) if path.suffix == ".npy" else read_pairs(path)
    if not isinstance(pairs, np.ndarray):
        pairs = list(pairs.items() if isinstance(pairs, Mapping) else pairs)
        if pairs and all(_are_two(pair, int | np.integer) for pair in pairs):
            pairs = np.array(pairs, np.int64)
    if isinstance(pairs, np.ndarray) and pairs.dtype.kind in "iuf":
        if (pairs != np.rint(pairs)).any():
            raise DataError(f"{name}: indices are whole numbers.")
        check_dictionary(first, second, pairs)
        return np.unique(pairs.astype(np.int64), axis=0)
    for pair in pairs:
        if not _are_two(pair, str):
            raise DataError(
                f"{name}: {pair!r} is not a pair of words; expected for each translation a word of "
                f"'{first.name}' and one of '{second.name}'."
            )
    one, other = (
        {word: number for number, word in enumerate(view.vocabulary)} for view in (first, second)
    )
    rows = [(one[a], other[b]) for a, b in pairs if a in one and b in other]
    if not rows:
        raise DataError(
            f"{name}: none of its {len(pairs)} pairs has both words in the vocabularies; check the "
            "order of the languages and upper and lower case."
        )
    return np.unique(np.array(rows, np.int64), axis=0)


def _are_two(pair: Any, kind: Any) -> bool:
    is_pair = isinstance(pair, Sequence | np.ndarray) and not isinstance(pair, str | bytes)
    if not is_pair or len(pair) != 2:
        return False
    return all(isinstance(one, kind) and not isinstance(one, bool) for one in pair)


def check_dictionary(first: TextView, second: TextView, pairs: NDArray[np.int64]) -> None:
    """Check that the word indices of a dictionary exist."""
    if first.name == second.name:
        raise DataError(f"a dictionary connects two views; given '{first.name}' twice.")
    if not len(pairs):
        raise DataError(f"dictionary {first.name}-{second.name}: it has no pair of words.")
    words = [len(first.vocabulary), len(second.vocabulary)]
    if pairs.ndim != 2 or pairs.shape[1] != 2 or ((pairs < 0) | (pairs >= words)).any():
        raise DataError(
            f"dictionary {first.name}-{second.name}: expected pairs of word indices below "
            f"{words[0]} and {words[1]}, given an array of shape {pairs.shape} with values from "
            f"{pairs.min(initial=0)} to {pairs.max(initial=0)}."
        )


def translations(
    dictionaries: Mapping[tuple[str, str], NDArray[np.int64]], views: Collection[str], model: str
) -> dict[tuple[str, str], NDArray[np.int64]]:
    """Return the translations between text views, in both directions of every dictionary."""
    found: dict[tuple[str, str], NDArray[np.int64]] = {}
    for (first, second), pairs in dictionaries.items():
        for source, target, rows in ((first, second, pairs), (second, first, pairs[:, ::-1])):
            both = [rows, found.get((source, target), np.empty((0, 2), np.int64))]
            found[source, target] = np.unique(np.concatenate(both).astype(np.int64), axis=0)
    connected, added = set[str](), set(list(views)[:1])
    while added:
        connected |= added
        added = {second for first, second in found if first in connected} - connected
    apart = [name for name in views if name not in connected]
    if apart or not found:
        raise DataError(
            f"{model} connects languages by dictionaries, and none connects "
            f"{', '.join(apart or views)} with the rest; give one with "
            "dataset.with_dictionary(view, other view, pairs of words or a file), or octis-m3l "
            "build --dictionary VIEW,VIEW=FILE; or remove the view "
            "(dataset.with_views, --views)."
        )
    return found


def unit_rows(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the rows scaled to length one; rows of zeros are unchanged."""
    given = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(given, axis=1, keepdims=True)
    return given / np.where(lengths > 0, lengths, 1.0)


def nearest_words(
    vectors: NDArray[np.floating], others: NDArray[np.floating] | None, count: int
) -> NDArray[np.int64]:
    """Return the nearest words of each word by cosine, -1 where there are not enough.

    Without other vectors, a word's neighbours are other words of its own language.
    """
    own = unit_rows(vectors)
    other = own if others is None else unit_rows(others)
    unknown = ~other.any(axis=1)
    possible = max(0, min(count, len(other) - (others is None)))
    found = np.full((len(own), possible), -1, np.int64)
    step = max(1, _SCORES_AT_ONCE // max(1, len(other)))
    for start in range(0, len(own) if possible else 0, step):
        rows = np.arange(start, min(start + step, len(own)))
        # Rounding gives equal vectors equal scores; then the position decides, the first wins.
        scores = np.rint((own[rows] @ other.T) * 1e12).astype(np.int64)
        keys = (scores << 22) - np.arange(len(other))
        keys[:, unknown] = _LOWEST
        keys[~own[rows].any(axis=1)] = _LOWEST
        if others is None:
            keys[rows - start, rows] = _LOWEST
        top = np.argpartition(keys, -possible, axis=1)[:, -possible:]
        top_keys = np.take_along_axis(keys, top, axis=1)
        top[top_keys == _LOWEST] = -1
        found[rows] = np.take_along_axis(top, np.argsort(top_keys, axis=1)[:, ::-1], axis=1)
    return found


def mutually_nearest(
    vectors: NDArray[np.floating], others: NDArray[np.floating]
) -> NDArray[np.int64]:
    """Return a dictionary: the pairs of words of two languages that are each other's nearest.

    Parameters
    ----------
    vectors, others : array (words × dimensions)
        Vectors in one space. A word whose vector is zero is in no pair.

    Returns
    -------
    array of int64 (pairs × 2)
        For `MultiviewDataset.with_dictionary`; ascending.

    References
    ----------
    Conneau et al. (2018), Word translation without parallel data, ICLR.
    """
    one, other = nearest_words(vectors, others, 1)[:, 0], nearest_words(others, vectors, 1)[:, 0]
    rows = np.arange(len(vectors))
    kept = (one >= 0) & (other[np.maximum(one, 0)] == rows)
    return np.stack([rows[kept], one[kept]], axis=1)


def near_words(vectors: NDArray[np.floating], threshold: float) -> "csr_array[Any]":
    """Return which pairs of words have a cosine of at least a threshold, each word with itself."""
    unit = unit_rows(vectors)
    known: NDArray[np.bool_] = np.asarray(unit.any(axis=1))
    rows, columns = [], []
    step = max(1, _SCORES_AT_ONCE // max(1, len(unit)))
    for start in range(0, len(unit), step):
        row, column = np.nonzero(unit[start : start + step] @ unit.T >= threshold)
        row += start
        # Products of blocks are not exactly symmetric; the upper triangle decides for both.
        upper = (column > row) & known[row] & known[column]
        rows.append(row[upper])
        columns.append(column[upper])
    row, column = np.concatenate(rows), np.concatenate(columns)
    own = np.arange(len(unit))
    places = np.concatenate([row, column, own]), np.concatenate([column, row, own])
    return csr_array((np.ones(len(places[0])), places), shape=(len(unit), len(unit)))
