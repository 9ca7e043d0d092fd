"""Data sets of OCTIS and of contextualized-topic-models, taken as views."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from octis.dataset.dataset import Dataset
from scipy.sparse import csr_array

from octis_m3l.data.views import TextView
from octis_m3l.errors import DataError


def text_view_from_octis(
    source: Dataset | str | Path,
    name: str,
    *,
    language: str | None = None,
    texts: Sequence[str] | None = None,
) -> TextView:
    """Return an OCTIS data set as a view; link it with others in a `MultiviewDataset`.

    Parameters
    ----------
    source : octis.dataset.dataset.Dataset, or path of a folder that OCTIS loads
        Its documents, vocabulary, labels and partitions are kept as they are.
    name : str
        The view's name.
    language : str, optional
        ISO 639-1 code.
    texts : sequence of str, optional
        Raw texts for encoders, one for each document, in the order of the data set, or of the
        folder's corpus.tsv (which OCTIS sorts by partition when it loads it; embeddings follow in
        `with_embeddings`). Default: the words.

    Raises
    ------
    DataError
        If the folder can't be loaded, or nothing is in it.
    """
    order = None
    if isinstance(source, Dataset):
        data = source
    else:
        data, order = _loaded(Path(source)), _file_order(Path(source), name)
    corpus, metadata = data.get_corpus(), data.get_metadata() or {}
    if not corpus:
        raise DataError(f"view '{name}': the OCTIS data set holds no document.")
    train = int(metadata.get("last-training-doc", len(corpus)))
    validation = int(metadata.get("last-validation-doc", 0)) or train
    vocabulary = data.get_vocabulary() or sorted({word for words in corpus for word in words})
    index = {word: number for number, word in enumerate(vocabulary)}
    ids = [[index[word] for word in words if word in index] for words in corpus]
    labels = data.get_labels()
    if texts is not None and len(texts) != len(corpus):
        raise DataError(
            f"view '{name}': {len(texts)} texts for {len(corpus)} documents; give one for each."
        )
    if texts is not None and order is not None:
        texts = [texts[row] for row in order]
    _warn_of_empty(name, [len(document) for document in ids])
    return TextView(
        indexes=order,
        name=name,
        sizes=(train, validation - train, len(corpus) - validation),
        vocabulary=tuple(vocabulary),
        token_ids=np.array([i for document in ids for i in document], np.int32),
        offsets=_offsets([len(document) for document in ids]),
        language=language,
        texts=texts,
        labels=None if not labels else [str(label) for label in labels],
    )


def text_view_from_ctm(
    source: Any, name: str, *, language: str | None = None, texts: Sequence[str] | None = None
) -> TextView:
    """Return a CTMDataset as a view, with its embeddings; all of it is training data.

    Parameters
    ----------
    source : contextualized_topic_models.datasets.dataset.CTMDataset
        As `TopicModelDataPreparation` makes it. Bags of words have no order, so the words of a
        document stand in the order of the vocabulary.
    name : str
        The view's name.
    language : str, optional
        ISO 639-1 code.
    texts : sequence of str, optional
        Raw texts, for encoders.

    Raises
    ------
    DataError
        If it lacks what a CTMDataset has, or counts are no whole numbers.
    """
    try:
        counts = csr_array(source.X_bow)
        words = [source.idx2token[number] for number in range(counts.shape[1])]
        embeddings = np.asarray(source.X_contextual, np.float32)
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(
            f"view '{name}': {type(source).__name__} is no CTMDataset ({error}); expected X_bow, "
            "X_contextual and idx2token."
        ) from None
    repeats = counts.data.astype(np.int64)
    if not np.array_equal(repeats, counts.data) or (repeats < 0).any():
        raise DataError(f"view '{name}': word counts must be whole numbers, 0 or more.")
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    lengths = np.bincount(rows, repeats, minlength=counts.shape[0]).astype(np.int64)
    return TextView(
        name=name,
        sizes=(counts.shape[0], 0, 0),
        vocabulary=tuple(words),
        token_ids=np.repeat(counts.indices, repeats).astype(np.int32),
        offsets=_offsets(lengths),
        language=language,
        texts=texts,
        embeddings=embeddings,
        embedding_name="ctm",
    )


def _loaded(folder: Path) -> Dataset:
    data = Dataset()
    try:
        data.load_custom_dataset_from_folder(str(folder))
    except Exception as error:
        # OCTIS raises a bare Exception whatever the cause.
        raise DataError(
            f"{folder} can't be loaded by OCTIS ({error}); expected a folder with corpus.tsv and "
            "vocabulary.txt."
        ) from error
    return data


def _file_order(folder: Path, name: str) -> NDArray[np.int64] | None:
    """Return the rows of corpus.tsv in the order in which OCTIS puts them: by partition."""
    table = pd.read_csv(folder / "corpus.tsv", sep="\t", header=None)
    if table.shape[1] < 2:
        return None
    marks = table[1].map({"train": 0, "val": 1, "test": 2})
    if marks.isna().any():
        row = int(np.flatnonzero(marks.isna())[0])
        raise DataError(
            f"view '{name}': row {row} of {folder / 'corpus.tsv'} is marked '{table[1][row]}'; "
            "OCTIS knows train, val and test, and would drop it."
        )
    return np.argsort(marks.to_numpy(), kind="stable").astype(np.int64)


def _warn_of_empty(name: str, lengths: Sequence[int]) -> None:
    empty = sum(length == 0 for length in lengths)
    if empty:
        warnings.warn(
            f"view '{name}': {empty} of {len(lengths)} documents have no word of the vocabulary; "
            "they are kept, and teach a model nothing.",
            stacklevel=3,
        )


def _offsets(lengths: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
