"""Data sets of OCTIS and of contextualized-topic-models, taken as views."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from octis.dataset.dataset import Dataset
from scipy.sparse import csr_array

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.item_checks import as_items
from octis_m3l.data.languages import language_of
from octis_m3l.data.views import PARTITIONS, TextView
from octis_m3l.errors import DataError, SettingsError, suggest
from octis_m3l.validation import Unchecked, validated

_UNNAMED = "text"


@validated
def from_octis(
    source: Dataset | str | Path | Mapping[str, Dataset | str | Path],
    *,
    linked: Literal["by row"] | None = None,
    languages: Mapping[str, str | None] | None = None,
) -> MultiviewDataset:
    """Return one data set of views from one or several data sets of OCTIS.

    Parameters
    ----------
    source : OCTIS dataset, path of a folder that OCTIS loads, or mapping of view to either
        Documents, vocabularies, labels and partitions are kept as they are. A single data set
        becomes a view that is named by the language in its metadata, else 'text'.
    linked : {'by row'}, optional
        'by row': the first documents of all data sets belong together, and so on. Default: nothing
        is linked.
    languages : mapping of view to ISO 639-1 code or None, optional
        Default: the view's name where stop words are known for it, else what the metadata say.

    Raises
    ------
    DataError
        If a folder can't be loaded, nothing is in it, or rows do not fit.
    SettingsError
        If `linked` is something else, or `languages` names no view.
    """
    if linked not in (None, "by row"):
        raise SettingsError(f"linked={linked!r}: expected 'by row', or None.")
    if isinstance(source, Mapping):
        read = {name: _read(one, name) for name, one in source.items()}
    else:
        data, order = _read(source, _UNNAMED)
        read = {_language(data) or _UNNAMED: (data, order)}
    for name in languages or ():
        if name not in read:
            raise SettingsError(f"languages: no view '{name}'.{suggest(name, read)}")
    spoken = {n: _language(data) for n, (data, _) in read.items() if language_of(n) is None}
    spoken |= languages or {}
    views = [
        _text_view(
            data,
            order,
            name,
            language=language_of(name, spoken),
        )
        for name, (data, order) in read.items()
    ]
    metadata = [data.get_metadata() or {} for data, _ in read.values()]
    described = metadata[0] if len(metadata) == 1 else {}
    if linked is None:
        return MultiviewDataset(views, metadata=described)
    _check_rows(views, [data for data, _ in read.values()])
    return MultiviewDataset.linked_by_row(views, metadata=described)


@validated
def text_view_from_octis(
    source: Dataset | str | Path,
    name: str,
    *,
    language: str | None = None,
    texts: Unchecked[Sequence[str] | None] = None,
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
    data, order = _read(source, name)
    return _text_view(data, order, name, language=language, texts=texts)


def partition_sizes(data: Dataset) -> tuple[int, int, int]:
    """Return how many documents of an OCTIS data set are in train, validation and test.

    OCTIS's own ``get_partitioned_corpus`` fails where one of the three is missing.
    """
    documents, metadata = len(data.get_corpus() or ()), data.get_metadata() or {}
    train = int(metadata.get("last-training-doc", documents))
    validation = int(metadata.get("last-validation-doc", 0)) or train
    return train, validation - train, documents - validation


def _text_view(
    data: Dataset,
    order: NDArray[np.int64] | None,
    name: str,
    *,
    language: str | None,
    texts: Unchecked[Sequence[str] | None] = None,
) -> TextView:
    corpus = data.get_corpus()
    if not corpus:
        raise DataError(f"view '{name}': the OCTIS data set holds no document.")
    vocabulary = data.get_vocabulary() or sorted({word for words in corpus for word in words})
    index = {word: number for number, word in enumerate(vocabulary)}
    ids = [[index[word] for word in words if word in index] for words in corpus]
    labels = data.get_labels()
    texts = None if texts is None else as_items(texts, f"texts of view '{name}'")
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
        sizes=partition_sizes(data),
        vocabulary=tuple(vocabulary),
        token_ids=np.array([i for document in ids for i in document], np.int32),
        offsets=_offsets([len(document) for document in ids]),
        language=language,
        texts=texts,
        labels=None if not labels else [str(label) for label in labels],
    )


@validated
def text_view_from_ctm(
    source: Any,
    name: str,
    *,
    language: str | None = None,
    texts: Unchecked[Sequence[str] | None] = None,
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


def _read(source: Dataset | str | Path, name: str) -> tuple[Dataset, NDArray[np.int64] | None]:
    """Return a data set, and of a folder the rows of corpus.tsv in the order of its documents."""
    if isinstance(source, Dataset):
        return source, None
    return _loaded(Path(source)), _file_order(Path(source), name)


def _language(data: Dataset) -> str | None:
    """Return the language that the metadata name."""
    metadata = data.get_metadata() or {}
    info = metadata.get("info")
    said = metadata.get("language") or (info.get("language") if isinstance(info, Mapping) else None)
    return language_of(said.lower()) if isinstance(said, str) else None


def _check_rows(views: Sequence[TextView], data: Sequence[Dataset]) -> None:
    """Refuse to link by row what is not in the same partition, or known to be something else."""
    remedy = "give each row the same partition in all of them, or link none (leave linked out)"
    first = views[0]
    for other in views[1:]:
        if other.sizes != first.sizes:
            said = "; ".join(
                f"'{view.name}' has "
                + ", ".join(f"{n} {part}" for n, part in zip(view.sizes, PARTITIONS, strict=True))
                for view in (first, other)
            )
            raise DataError(f"the data sets can't be linked by row: {said}; {remedy}.")
        if first.indexes is not None and other.indexes is not None:
            differing = np.flatnonzero(first.indexes != other.indexes)
            if len(differing):
                row = min(first.indexes[differing[0]], other.indexes[differing[0]])
                raise DataError(
                    f"the data sets can't be linked by row: row {row} of corpus.tsv is in another "
                    f"partition in '{first.name}' than in '{other.name}'; {remedy}."
                )
    # Which documents were left when OCTIS preprocessed a corpus: indexes.txt.
    kept = [getattr(one, "_Dataset__original_indexes", None) for one in data]
    for view, before in zip(views, kept, strict=True):
        if before and kept[0] and list(map(str, before)) != list(map(str, kept[0])):
            raise DataError(
                f"the data sets can't be linked by row: by their indexes.txt the documents of "
                f"'{first.name}' and of '{view.name}' are not the same ones of what they were made "
                "from; build them from the documents that both have."
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
