"""Data sets of OCTIS and of contextualized-topic-models as views."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from octis.dataset.dataset import Dataset
from scipy.sparse import csr_array

from octis_m3l.data.item_checks import as_items
from octis_m3l.data.languages import language_of
from octis_m3l.data.links import row_links
from octis_m3l.data.parts import DatasetParts
from octis_m3l.data.views import OCTIS_PARTITIONS, PARTITIONS, TextView
from octis_m3l.errors import DataError, SettingsError, suggest, warn
from octis_m3l.validation import Unchecked, validated

_UNNAMED = "text"
_NOT_BY_ROW = "the data sets can't be linked by row"


@validated
def from_octis(
    source: Dataset | str | Path | Mapping[str, Dataset | str | Path],
    *,
    linked: Literal["by row"] | None = None,
    languages: Mapping[str, str | None] | None = None,
) -> DatasetParts:
    """Return one data set of views from one or several data sets of OCTIS.

    Parameters
    ----------
    source : OCTIS dataset, path of a folder that OCTIS loads, or mapping of view to either
        Documents, vocabularies, labels and partitions are kept as they are. A single data set
        becomes a view that is named by the language in its metadata, else 'text'.
    linked : {'by row'}, optional
        'by row': the first documents of all data sets belong together, and so on. Default: there
        are no links.
    languages : mapping of view to ISO 639-1 code or None, optional
        Default: the view's name if there are stop words for it, else the language in the metadata.

    Returns
    -------
    MultiviewDataset

    Raises
    ------
    DataError
        If a folder can't be loaded or is empty, or rows do not match.
    SettingsError
        If `languages` names an unknown view.
    """
    if isinstance(source, Mapping):
        loaded = {name: _load(one, name) for name, one in source.items()}
    else:
        data, order = _load(source, _UNNAMED)
        loaded = {_language_in_metadata(data) or _UNNAMED: (data, order)}
    for name in languages or ():
        if name not in loaded:
            raise SettingsError(f"languages: no view '{name}'.{suggest(name, loaded)}")
    known = {
        name: _language_in_metadata(data)
        for name, (data, _) in loaded.items()
        if language_of(name) is None
    }
    known |= languages or {}
    views = [
        _text_view(data, order, name, language=language_of(name, known))
        for name, (data, order) in loaded.items()
    ]
    data_sets = [data for data, _ in loaded.values()]
    metadata = (data_sets[0].get_metadata() or {}) if len(data_sets) == 1 else {}
    if linked is None:
        return DatasetParts(views, metadata=metadata)
    _check_rows(views, data_sets)
    return DatasetParts(views, row_links(views), metadata=metadata)


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
        Documents, vocabulary, labels and partitions are kept as they are.
    name : str
        The view's name.
    language : str, optional
        ISO 639-1 code.
    texts : sequence of str, optional
        Raw texts for encoders, one for each document, in the order of the data set, or of the
        folder's corpus.tsv (OCTIS sorts it by partition when it loads it; `with_embeddings` takes
        embeddings in the order of the file too). Default: the words.

    Raises
    ------
    DataError
        If the folder can't be loaded or is empty.
    """
    data, order = _load(source, name)
    return _text_view(data, order, name, language=language, texts=texts)


def partition_sizes(data: Dataset) -> tuple[int, int, int]:
    """Return how many documents of an OCTIS data set are in train, validation and test.

    OCTIS's own ``get_partitioned_corpus`` fails if one of the three is missing.
    """
    documents, metadata = len(data.get_corpus() or ()), data.get_metadata() or {}
    train = int(metadata.get("last-training-doc", documents))
    validation = int(metadata.get("last-validation-doc", 0)) or train
    return train, validation - train, documents - validation


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
        document are in the order of the vocabulary.
    name : str
        The view's name.
    language : str, optional
        ISO 639-1 code.
    texts : sequence of str, optional
        Raw texts, for encoders.

    Raises
    ------
    DataError
        If an attribute of CTMDataset is missing, or counts are not whole numbers.
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
    ends = np.concatenate([[0], np.cumsum(repeats)])
    return TextView(
        name=name,
        sizes=(counts.shape[0], 0, 0),
        vocabulary=tuple(words),
        token_ids=np.repeat(counts.indices, repeats).astype(np.int32),
        offsets=ends[counts.indptr].astype(np.int64),
        language=language,
        texts=texts,
        embeddings=embeddings,
        embedding_name="ctm",
    )


def _load(source: Dataset | str | Path, name: str) -> tuple[Dataset, NDArray[np.int64] | None]:
    """Return a data set, and for a folder the rows of corpus.tsv in the order of its documents."""
    if isinstance(source, Dataset):
        return source, None
    folder, data = Path(source), Dataset()
    try:
        data.load_custom_dataset_from_folder(str(folder))
    except Exception as error:
        # OCTIS raises a bare Exception whatever the cause.
        raise DataError(
            f"{folder} can't be loaded by OCTIS ({error}); expected a folder with corpus.tsv and "
            "vocabulary.txt."
        ) from error
    table = pd.read_csv(folder / "corpus.tsv", sep="\t", header=None)
    if table.shape[1] < 2:
        return data, None
    marks = table[1].map({mark: number for number, mark in enumerate(OCTIS_PARTITIONS)})
    for row in np.flatnonzero(marks.isna()):
        raise DataError(
            f"view '{name}': row {row} of {folder / 'corpus.tsv'} is marked '{table[1][row]}'; "
            "OCTIS knows train, val and test, and would drop it."
        )
    return data, np.argsort(marks.to_numpy(), kind="stable").astype(np.int64)


def _text_view(
    data: Dataset,
    order: NDArray[np.int64] | None,
    name: str,
    *,
    language: str | None,
    texts: Sequence[str] | None = None,
) -> TextView:
    corpus = data.get_corpus()
    if not corpus:
        raise DataError(f"view '{name}': the OCTIS data set holds no document.")
    vocabulary = data.get_vocabulary() or sorted({word for words in corpus for word in words})
    index = {word: number for number, word in enumerate(vocabulary)}
    ids = [[index[word] for word in words if word in index] for words in corpus]
    lengths = [len(document) for document in ids]
    labels = data.get_labels()
    if texts is not None:
        texts = as_items(texts, f"texts of view '{name}'")
        if len(texts) != len(corpus):
            raise DataError(
                f"view '{name}': {len(texts)} texts for {len(corpus)} documents; give one for each."
            )
        texts = texts if order is None else [texts[row] for row in order]
    if empty := lengths.count(0):
        warn(
            f"view '{name}': {empty} of {len(lengths)} documents have no word of the vocabulary; "
            "they are kept, but models learn nothing from them.",
        )
    return TextView(
        indexes=order,
        name=name,
        sizes=partition_sizes(data),
        vocabulary=tuple(vocabulary),
        token_ids=np.array([i for document in ids for i in document], np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        language=language,
        texts=texts,
        labels=None if not labels else [str(label) for label in labels],
    )


def _language_in_metadata(data: Dataset) -> str | None:
    metadata = data.get_metadata() or {}
    info = metadata.get("info")
    named = metadata.get("language")
    if not named and isinstance(info, Mapping):
        named = info.get("language")
    return language_of(named.lower()) if isinstance(named, str) else None


def _check_rows(views: Sequence[TextView], data: Sequence[Dataset]) -> None:
    """Refuse to link rows of different partitions, or of documents known to be different."""
    remedy = "give each row the same partition in all of them, or link none (leave linked out)"
    first = views[0]
    for other in views[1:]:
        if other.sizes != first.sizes:
            sizes = "; ".join(
                f"'{view.name}' has "
                + ", ".join(f"{n} {part}" for n, part in zip(view.sizes, PARTITIONS, strict=True))
                for view in (first, other)
            )
            raise DataError(f"{_NOT_BY_ROW}: {sizes}; {remedy}.")
        if first.indexes is not None and other.indexes is not None:
            for place in np.flatnonzero(first.indexes != other.indexes):
                row = min(first.indexes[place], other.indexes[place])
                raise DataError(
                    f"{_NOT_BY_ROW}: row {row} of corpus.tsv is in another partition in "
                    f"'{first.name}' than in '{other.name}'; {remedy}."
                )
    # indexes.txt: the documents that were left when OCTIS preprocessed a corpus.
    kept = [getattr(one, "_Dataset__original_indexes", None) for one in data]
    for view, documents in zip(views, kept, strict=True):
        if documents and kept[0] and list(map(str, documents)) != list(map(str, kept[0])):
            raise DataError(
                f"{_NOT_BY_ROW}: by their indexes.txt '{first.name}' and '{view.name}' hold "
                "different documents of their source; build them from the documents that both have."
            )
