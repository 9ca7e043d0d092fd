"""Word vectors and dictionaries as other tools write them."""

import gzip
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, load_npz

from octis_m3l.data.arrays import read_array
from octis_m3l.errors import DataError, OctisM3LError, SettingsError, suggest

WithoutVector = Literal["error", "zeros"]
_POLICIES = ("error", "zeros")
_SHOWN = 5


def read_word_vectors(
    given: NDArray[Any] | str | Path,
    vocabulary: Sequence[str],
    view: str,
    without_vector: WithoutVector = "error",
) -> NDArray[np.float32]:
    """Return a vector for each word of a vocabulary.

    Parameters
    ----------
    given : array, or path
        An array, a ``.npy`` or a ``.npz`` of one matrix (scipy's sparse format too): rows as the
        vocabulary. Any other file (``.gz`` too) is word2vec's or fastText's text format, a word
        and its numbers on a line; words are looked up as they are written.
    vocabulary : sequence of str
        The words.
    view : str
        For messages.
    without_vector : {'error', 'zeros'}
        What becomes of words that a text file lacks: refused, or zeros.

    Returns
    -------
    array of float32 (words × dimensions)

    Raises
    ------
    DataError
        If the file can't be read, rows do not fit the vocabulary, or a word has no vector.
    """
    if without_vector not in _POLICIES:
        raise SettingsError(
            f"without_vector='{without_vector}'.{suggest(without_vector, _POLICIES)}"
        )
    if not isinstance(given, str | Path) or Path(given).suffix == ".npy":
        array = np.asarray(read_array(given, view))
    elif Path(given).suffix == ".npz":
        array = _read_npz(Path(given), view)
    else:
        return _look_up(Path(given), vocabulary, view, without_vector)
    if array.dtype.kind not in "fiu":
        raise DataError(f"view '{view}': word vectors of type {array.dtype}; expected numbers.")
    if array.ndim != 2 or len(array) != len(vocabulary):
        raise DataError(
            f"view '{view}': word vectors of shape {array.shape}; expected a row for each of its "
            f"{len(vocabulary)} words."
        )
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


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
) -> NDArray[np.float32]:
    place = {word: number for number, word in enumerate(vocabulary)}
    found: NDArray[np.float32] | None = None
    known = np.zeros(len(vocabulary), bool)
    size = promised = lines = 0
    with _opened(path, f"view '{view}'") as file:
        for number, line in enumerate(file, start=1):
            # A word may hold any space but a plain one.
            word, *values = line.rstrip("\r\n ").split(" ")
            if number == 1 and len(values) == 1 and word.isdecimal() and values[0].isdecimal():
                promised, size = int(word), int(values[0])
                continue
            lines += 1
            size = size or len(values)
            if not values or len(values) != size:
                raise DataError(
                    f"{path}, line {number}: {len(values)} numbers after the word '{word}', "
                    f"expected {size or 'some'}: word2vec's text format, a word and its vector on "
                    "a line."
                )
            row = place.get(word, -1)
            if row < 0 or known[row]:
                continue
            if found is None:
                found = np.zeros((len(vocabulary), size), np.float32)
            try:
                found[row] = np.array(values, np.float32)
            except ValueError as error:
                raise DataError(f"{path}, line {number}: {error}; expected numbers.") from None
            known[row] = True
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
            f"'{view}' ({', '.join(lacking[:_SHOWN])}{', …' if len(lacking) > _SHOWN else ''}); "
            "give them zeros, so that they have no neighbours, with without_vector='zeros' "
            "(octis-m3l build: --without-vector zeros), or leave them out of the vocabulary."
        )
    return found


def read_pairs(path: str | Path) -> list[tuple[str, str]]:
    """Return the pairs of words of a dictionary file, as MUSE's or tab-separated.

    Parameters
    ----------
    path : str or Path
        A word and its translation on a line, a tab or else a space between them (``.gz`` too).

    Raises
    ------
    DataError
        If the file can't be read, or a line is something else.
    """
    pairs = []
    with _opened(Path(path), "dictionary") as file:
        for number, line in enumerate(file, start=1):
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
def _opened(path: Path, what: str) -> Iterator[IO[str]]:
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig", newline="\n")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig", newline="\n")
        ) as file:
            yield file
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(
            f"{what}: {path} can't be read ({error}); expected a text file in UTF-8, whole."
        ) from None
