"""Word vectors and dictionaries as other tools write them."""

import codecs
import gzip
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, load_npz

from octis_m3l.data.arrays import read_array
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
