"""Words of several languages: their vectors, dictionaries and nearest neighbours."""

import codecs
import gzip
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, load_npz

from octis_m3l.data.arrays import read_array
from octis_m3l.data.views import TextView
from octis_m3l.errors import DataError, OctisM3LError, SettingsError, suggest

WithoutVector = Literal["error", "zeros"]
_POLICIES = ("error", "zeros")
_SHOWN = 5
_LINES_OF_HEAD = 100


def read_word_vectors(
    given: NDArray[Any] | str | Path,
    vocabulary: Sequence[str],
    view: str,
    without_vector: WithoutVector = "error",
) -> NDArray[np.float32]:
    """Return a vector for each word of a vocabulary."""
    if without_vector not in _POLICIES:
        raise SettingsError(
            f"without_vector='{without_vector}'.{suggest(without_vector, _POLICIES)}"
        )
    if not isinstance(given, str | Path) or Path(given).suffix == ".npy":
        array = np.asarray(read_array(given, view))
    elif Path(given).suffix == ".npz":
        array = _read_npz(Path(given), view)
    else:
        return _checked(_look_up(Path(given), vocabulary, view, without_vector), vocabulary, view)
    if array.dtype.kind not in "fiu":
        raise DataError(f"view '{view}': word vectors of type {array.dtype}; expected numbers.")
    if array.ndim != 2 or len(array) != len(vocabulary):
        raise DataError(
            f"view '{view}': word vectors of shape {array.shape}; expected a row for each of its "
            f"{len(vocabulary)} words."
        )
    return _checked(array, vocabulary, view)


def _checked(vectors: NDArray[Any], vocabulary: Sequence[str], view: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        vectors = vectors.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise DataError(
            f"view '{view}': the word vectors of {len(bad)} words hold NaN or infinity "
            f"({_some([vocabulary[row] for row in bad.tolist()])}); give finite numbers, or zeros "
            "for words without a vector."
        )
    return vectors


def _some(words: Sequence[str]) -> str:
    return f"{', '.join(words[:_SHOWN])}{', …' if len(words) > _SHOWN else ''}"


def _read_npz(path: Path, view: str) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = file.files
            if "format" not in names:
                if len(names) != 1:
                    raise DataError(
                        f"view '{view}': {path} holds {len(names)} arrays ({', '.join(names)}); "
                        "expected one. Load it and give the array."
                    )
                return np.asarray(file[names[0]])
        return np.asarray(csr_array(load_npz(path)).todense())
    except OctisM3LError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"view '{view}': {path} can't be read as .npz ({error}); expected what numpy.savez or "
            "scipy's save_npz writes, whole."
        ) from None


def _look_up(
    path: Path, vocabulary: Sequence[str], view: str, without_vector: WithoutVector
) -> NDArray[np.float64]:
    place = {word.encode(): number for number, word in enumerate(vocabulary)}
    found: NDArray[np.float64] | None = None
    known = np.zeros(len(vocabulary), bool)
    lines = 0
    unread: list[int] = []
    with _opened(path, f"view '{view}'") as file:
        head = [line.rstrip(b"\r\n ") for line in islice(file, _LINES_OF_HEAD)]
        promised, size = _promised(head)
        rest = (line.rstrip(b"\r\n ") for line in file)
        for number, line in enumerate(chain(head, rest), start=1):
            if number == 1 and promised:
                continue
            lines += 1
            if not size or line.count(b" ") < size or not _is_utf8(line):
                unread.append(number)
                continue
            # A word may hold spaces: its vector is what stands last.
            word, *values = line.rsplit(b" ", size)
            row = place.get(word.strip(b" "), -1)
            if row < 0 or known[row]:
                continue
            if found is None:
                found = np.zeros((len(vocabulary), size))
            try:
                found[row] = np.array(values, float)
            except ValueError:
                unread.append(number)
                continue
            known[row] = True
    if lines and len(unread) == lines:
        raise DataError(
            f"{path} can't be read as word vectors: none of its {lines} lines is a word and its "
            "numbers in UTF-8, as word2vec, GloVe and fastText write them."
        )
    if unread:
        warnings.warn(
            f"{path}: {len(unread)} of {lines} lines can't be read as a word and its {size} "
            f"numbers in UTF-8 (lines {_some([str(number) for number in unread])}); they were left "
            "out.",
            stacklevel=4,
        )
    if lines < promised:
        raise DataError(
            f"{path} holds {lines} words, its first line says {promised}: it was cut off; get it "
            "again."
        )
    if found is None:
        raise DataError(
            f"{path} has a vector for none of the {len(vocabulary)} words of view '{view}'; check "
            "language, upper and lower case, and that the file is not empty."
        )
    lacking = [word for word, there in zip(vocabulary, known, strict=True) if not there]
    if lacking and without_vector == "error":
        raise DataError(
            f"{path} has no vector for {len(lacking)} of the {len(vocabulary)} words of view "
            f"'{view}' ({_some(lacking)}); "
            "give them zeros, so that they have no neighbours, with without_vector='zeros' "
            "(octis-m3l build: --without-vector zeros), or leave them out of the vocabulary."
        )
    return found


def _promised(head: list[bytes]) -> tuple[int, int]:
    """Return how many words a header promises, 0 without one, and how many numbers each has."""
    head[:1] = [line.removeprefix(codecs.BOM_UTF8) for line in head[:1]]
    first = head[0].split(b" ") if head else []
    if len(first) == 2 and first[0].isdigit() and first[1].isdigit():
        return int(first[0]), int(first[1])
    sizes = Counter(sum(1 for _ in takewhile(_is_number, line.split(b" ")[:0:-1])) for line in head)
    del sizes[0]
    return 0, max(sizes, key=lambda size: sizes[size], default=0)


def _is_number(cell: bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def read_pairs(path: str | Path) -> list[tuple[str, str]]:
    """Return the pairs of words of a dictionary file, as MUSE's or tab-separated."""
    pairs = []
    with _opened(Path(path), "dictionary") as file:
        lines = TextIOWrapper(file, encoding="utf-8-sig", newline="\n")
        for number, line in enumerate(lines, start=1):
            text = line.strip("\r\n")
            if not text.strip():
                continue
            parts = [part.strip() for part in text.split("\t")] if "\t" in text else text.split()
            if len(parts) != 2 or not all(parts):
                raise DataError(
                    f"{path}, line {number}: {text!r}; expected a word and its translation, a tab "
                    "or a space between them."
                )
            pairs.append((parts[0], parts[1]))
    return pairs


@contextmanager
def _opened(path: Path, what: str) -> Iterator[gzip.GzipFile | BufferedReader]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield file
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(
            f"{what}: {path} can't be read ({error}); expected a text file in UTF-8, whole."
        ) from None


def word_pairs(
    first: TextView,
    second: TextView,
    pairs: Iterable[Any] | Mapping[Any, Any] | NDArray[Any] | str | Path,
) -> NDArray[np.int64]:
    """Return translations as pairs of indices; those outside a vocabulary are left out."""
    if isinstance(pairs, str | Path):
        path = Path(pairs)
        pairs = read_array(path, first.name) if path.suffix == ".npy" else read_pairs(path)
    if isinstance(pairs, np.ndarray) and pairs.dtype.kind in "iuf":
        if (pairs != np.rint(pairs)).any():
            raise DataError(f"dictionary {first.name}-{second.name}: indices are whole numbers.")
        check_dictionary(first, second, pairs)
        return np.unique(pairs.astype(np.int64), axis=0)
    listed = list(pairs.items() if isinstance(pairs, Mapping) else pairs)
    if listed and all(isinstance(e, tuple | list) and _whole(e) for e in listed):
        return word_pairs(first, second, np.array(listed, np.int64))
    for entry in listed:
        said = list(entry) if isinstance(entry, Sequence | np.ndarray) else []
        if isinstance(entry, str) or len(said) != 2 or not all(isinstance(w, str) for w in said):
            raise DataError(
                f"dictionary {first.name}-{second.name}: {entry!r} is no pair of words; expected "
                f"for each translation a word of '{first.name}' and one of '{second.name}'."
            )
    known = [
        {word: number for number, word in enumerate(view.vocabulary)} for view in (first, second)
    ]
    rows = [(known[0][a], known[1][b]) for a, b in listed if a in known[0] and b in known[1]]
    if not rows:
        raise DataError(
            f"dictionary {first.name}-{second.name}: none of its {len(listed)} pairs has both "
            "words in the vocabularies; check the order of the languages and upper and lower case."
        )
    return np.unique(np.array(rows, np.int64), axis=0)


def _whole(entry: Sequence[Any]) -> bool:
    numbers = [isinstance(n, int | np.integer) and not isinstance(n, bool) for n in entry]
    return len(numbers) == 2 and all(numbers)


def check_dictionary(first: TextView, second: TextView, pairs: NDArray[np.int64]) -> None:
    """Check that a dictionary points at words that exist."""
    if first.name == second.name:
        raise DataError(f"a dictionary ties two views; given '{first.name}' twice.")
    if not len(pairs):
        raise DataError(f"dictionary {first.name}-{second.name}: it holds no pair of words.")
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
            given = [rows, found.get((source, target), np.empty((0, 2), np.int64))]
            found[source, target] = np.unique(np.concatenate(given).astype(np.int64), axis=0)
    apart = _not_tied(list(views), found)
    if apart or not found:
        raise DataError(
            f"{model} ties languages by dictionaries, and none ties "
            f"{', '.join(apart or views)} to the rest; give one with "
            "dataset.with_dictionary(view, other view, pairs of words or a file), or octis-m3l "
            "build --dictionary VIEW,VIEW=FILE; or leave the view out "
            "(dataset.with_views, --views)."
        )
    return found


def _not_tied(views: list[str], found: Iterable[tuple[str, str]]) -> list[str]:
    """Return the views that no chain of dictionaries ties to the first."""
    tied, grown = set(views[:1]), True
    while grown:
        further = {second for first, second in found if first in tied} - tied
        grown = bool(further)
        tied |= further
    return [name for name in views if name not in tied]


_SCORES_AT_ONCE = 2**22


def unit_rows(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the rows at length one; zeros stay."""
    given = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(given, axis=1, keepdims=True)
    return given / np.where(lengths > 0, lengths, 1.0)


def nearest_words(
    vectors: NDArray[np.floating], others: NDArray[np.floating] | None, count: int
) -> NDArray[np.int64]:
    """Return the nearest words of each word by cosine."""
    own = unit_rows(vectors)
    other = own if others is None else unit_rows(others)
    possible = max(0, min(count, len(other) - (others is None)))
    found = np.full((len(own), possible), -1, np.int64)
    known = other.any(axis=1)
    step = max(1, _SCORES_AT_ONCE // max(1, len(other)))
    for start in range(0, len(own) if possible else 0, step):
        piece = slice(start, min(start + step, len(own)))
        # Equal vectors get equal scores, whatever the last bits of a matrix product.
        scores = np.round(own[piece] @ other.T, 12)
        scores[:, ~known] = -np.inf
        if others is None:
            scores[np.arange(piece.stop - start), np.arange(start, piece.stop)] = -np.inf
        # All that are as near as the k-th: ties at the edge are settled by the index.
        edge = np.partition(scores, len(other) - possible, axis=1)[:, len(other) - possible, None]
        near = scores > edge
        tied = (scores == edge) & (near.sum(axis=1, keepdims=True) < possible)
        room = possible - near.sum(axis=1, keepdims=True)
        near |= tied & (np.cumsum(tied, axis=1) <= room)
        places = np.nonzero(near)[1].reshape(-1, possible)
        values = np.take_along_axis(scores, places, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        chosen = np.take_along_axis(places, order, axis=1)
        chosen[~np.isfinite(np.take_along_axis(values, order, axis=1))] = -1
        chosen[~own[piece].any(axis=1)] = -1
        found[piece] = chosen
    return found


def mutually_nearest(
    vectors: NDArray[np.floating], others: NDArray[np.floating]
) -> NDArray[np.int64]:
    """Return the pairs of words of two languages that are each other's nearest: a dictionary.

    Parameters
    ----------
    vectors, others : array (words × dimensions)
        In one space. A word whose vector is zero is in no pair.

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
    """Return which words are near which, by a threshold."""
    unit = unit_rows(vectors)
    rows, columns = [], []
    step = max(1, _SCORES_AT_ONCE // max(1, len(unit)))
    for start in range(0, len(unit), step):
        row, column = np.nonzero(unit[start : start + step] @ unit.T >= threshold)
        row += start
        # A block's product is no exact transpose of its mirror image's: one half tells for both.
        upper = column > row
        rows.append(row[upper])
        columns.append(column[upper])
    row, column = np.concatenate(rows), np.concatenate(columns)
    known = np.abs(unit).sum(axis=1) > 0
    kept = known[row] & known[column]
    row, column = row[kept], column[kept]
    own = np.arange(len(unit))
    places = np.concatenate([row, column, own]), np.concatenate([column, row, own])
    return csr_array((np.ones(len(places[0])), places), shape=(len(unit), len(unit)))
