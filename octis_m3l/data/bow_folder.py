"""Folders of unlinked bags of words by language, the format of InfoCTM's and NMTM's data.

For each language L: ``train_bow_matrix_L.npz`` (scipy, documents × words), ``vocab_L`` (a word a
line), and optionally ``train_texts_L.txt`` (a document a line), ``train_labels_L.txt``, the same
with ``test_``, and ``word2vec_L.npz`` (words × dimensions).
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy.sparse import csr_array, csr_matrix, load_npz, save_npz, vstack

from octis_m3l.data.arrays import ragged, ragged_counts
from octis_m3l.data.languages import language_of
from octis_m3l.data.parts import DatasetParts
from octis_m3l.data.views import TextView
from octis_m3l.errors import DataError, SettingsError, StorageError, check_known
from octis_m3l.files import folder_written_whole
from octis_m3l.validation import validated

_PREFIX = "train_bow_matrix_"


@validated
def from_bow_folder(
    folder: str | Path,
    *,
    languages: Mapping[str, str | None] | None = None,
    validation: float = 0.0,
    seed: int = 0,
) -> DatasetParts:
    """Read a folder of bags of words: one view for each language in it, without links.

    Parameters
    ----------
    folder : str or Path
        With ``train_bow_matrix_<language>.npz`` and ``vocab_<language>``.
    languages : mapping of view to ISO 639-1 code or None, optional
        Default: the view's name if there are stop words for it (Chinese is 'zh', not 'cn').
    validation : float
        The share of the training documents that is held out for validation, drawn at random.
    seed : int
        The seed of the draw.

    Returns
    -------
    MultiviewDataset
        Words of a document are in the order of its text if there is one that agrees with the
        matrix, else in the order of the vocabulary. ``word2vec_<language>.npz`` becomes the view's
        word vectors, in a space of their own (`TextView.word_space`).
    """
    place = Path(folder)
    if not 0.0 <= validation < 1.0:
        raise SettingsError(f"validation={validation}: expected a share from 0 to below 1.")
    names = sorted(
        path.name.removeprefix(_PREFIX).removesuffix(".npz")
        for path in place.glob(f"{_PREFIX}?*.npz")
    )
    if not names:
        what = "holds no train_bow_matrix_<language>.npz" if place.is_dir() else "is no folder"
        raise DataError(f"{place} {what}; expected a folder of bags of words.")
    for name in languages or ():
        check_known(name, names, f"view of {place} in languages:")
    views = []
    for number, name in enumerate(names):
        random = np.random.default_rng([seed, number])
        views.append(_read_view(place, name, language_of(name, languages), validation, random))
    return DatasetParts(views, metadata={"name": place.name})


class _HasTextViews(Protocol):
    @property
    def text_views(self) -> Mapping[str, TextView]: ...


def write_bow_folder(dataset: _HasTextViews, folder: str | Path) -> None:
    """Write a data set's text views as bags of words.

    The format has no links, no validation partition (validation documents follow the training
    ones), and no word vectors that languages share: read again, each language has its own space.

    Parameters
    ----------
    dataset : MultiviewDataset
        The data set.
    folder : str or Path
        A new folder, or an empty one.
    """
    with folder_written_whole(Path(folder), overwrite=False, marker="vocab") as place:
        for name, view in dataset.text_views.items():
            _write_lines(place / f"vocab_{name}", view.vocabulary)
            train = view.sizes[0] + view.sizes[1]
            for part, rows in (("train", slice(0, train)), ("test", slice(train, len(view)))):
                if rows.start == rows.stop:
                    continue
                counts = csr_matrix(view.bag_of_words[rows]).astype(np.int64)
                save_npz(place / f"{part}_bow_matrix_{name}.npz", counts)
                texts = [" ".join(words) for words in view.documents(rows)]
                _write_lines(place / f"{part}_texts_{name}.txt", texts)
                if view.labels is not None:
                    _write_lines(place / f"{part}_labels_{name}.txt", view.labels[rows])
            if view.word_vectors is not None:
                vectors = csr_matrix(np.asarray(view.word_vectors))
                save_npz(place / f"word2vec_{name}.npz", vectors)


def _read_view(
    place: Path, name: str, language: str | None, validation: float, random: np.random.Generator
) -> TextView:
    vocabulary = _read_lines(place / f"vocab_{name}")
    while vocabulary and not vocabulary[-1]:
        vocabulary.pop()
    files = {part: place / f"{part}_bow_matrix_{name}.npz" for part in ("train", "test")}
    parts = [part for part, file in files.items() if file.exists()]
    matrices = [_load(files[part], (None, len(vocabulary))) for part in parts]
    counts = csr_array(vstack(matrices, format="csr"))
    counts.sum_duplicates()
    counts.eliminate_zeros()
    sizes = [matrix.shape[0] for matrix in matrices]
    texts = _joined_lines(place, "texts", name, parts, sizes)
    vectors = place / f"word2vec_{name}.npz"
    view = TextView(
        name=name,
        sizes=(counts.shape[0], 0, 0),
        vocabulary=tuple(vocabulary),
        language=language,
        texts=texts,
        labels=_joined_lines(place, "labels", name, parts, sizes),
        **_documents(counts, texts, vocabulary, name),
    )
    if vectors.exists():
        values = np.asarray(_load(vectors, (len(vocabulary), None)).todense(), np.float32)
        view = replace(view, word_vectors=values, word_space=vectors.name)
    train = sizes[0]
    held_out = round(validation * train)
    order = np.arange(len(view))
    if held_out:
        drawn = random.permutation(train)
        order[:train] = np.concatenate([np.sort(drawn[:-held_out]), np.sort(drawn[-held_out:])])
    return view.take(order, (train - held_out, held_out, len(view) - train))


def _joined_lines(
    place: Path, what: str, name: str, parts: Sequence[str], sizes: Sequence[int]
) -> list[str] | None:
    """Return the lines of all parts; None where one part has no texts, or none has labels."""
    found: list[str] = []
    paths = [place / f"{part}_{what}_{name}.txt" for part in parts]
    if not any(path.exists() for path in paths):
        return None
    for path, size in zip(paths, sizes, strict=True):
        if not path.exists():
            if what == "texts":
                return None
            found += [""] * size
            continue
        lines = _read_lines(path)
        if len(lines) != size:
            raise DataError(
                f"{path} has {len(lines)} lines for {size} documents of the matrix beside it; "
                "expected one for each."
            )
        found += lines
    return found


def _documents(
    counts: "csr_array[Any]", texts: Sequence[str] | None, vocabulary: Sequence[str], view: str
) -> dict[str, Any]:
    """Return the words of all documents: in the texts' order where texts and counts agree."""
    if texts is not None:
        index = {word: number for number, word in enumerate(vocabulary)}
        listed = ragged([index[w] for w in text.split() if w in index] for text in texts)
        ones = np.ones(len(listed["token_ids"]), np.int64)
        arrays = (ones, listed["token_ids"], listed["offsets"])
        read = csr_array(arrays, shape=counts.shape, copy=True)
        if not (read - counts).count_nonzero():
            return listed
    return ragged_counts(counts, view)


def _load(path: Path, shape: tuple[int | None, int | None]) -> "csr_array[Any]":
    """Return a sparse matrix with as many rows or columns as the vocabulary has words."""
    try:
        matrix: csr_array[Any] = csr_array(load_npz(path))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} can't be read as a sparse matrix ({error}); expected what scipy's save_npz "
            "writes, whole."
        ) from None
    for what, given, expected in zip(("rows", "columns"), matrix.shape, shape, strict=True):
        if expected not in (None, given):
            raise DataError(
                f"{path} has {given} {what}, and the vocabulary beside it {expected} words; "
                "expected as many."
            )
    return matrix


def _read_lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} can't be read as UTF-8 ({error}); expected a line for each word or document."
        ) from None
    return text.removesuffix("\n").split("\n")


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    for line in lines:
        if "\n" in line:
            raise StorageError(f"{path.name}: {line!r} holds a line break; the format has none.")
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
