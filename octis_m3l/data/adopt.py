"""Data sets of OCTIS and of contextualized-topic-models as views."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from octis.dataset.dataset import Dataset
from scipy.sparse import csr_array

from octis_m3l.data.arrays import ragged, ragged_counts
from octis_m3l.data.item_checks import as_items
from octis_m3l.data.languages import language_of
from octis_m3l.data.links import row_links
from octis_m3l.data.parts import DatasetParts
from octis_m3l.data.views import OCTIS_PARTITIONS, TextView
from octis_m3l.errors import DataError, SettingsError, check_known, warn
from octis_m3l.validation import Unchecked, validated

_UNNAMED = "text"


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
    """
    if isinstance(source, Mapping):
        loaded = {name: _load(one, name) for name, one in source.items()}
    else:
        data, order = _load(source, _UNNAMED)
        loaded = {_language_in_metadata(data) or _UNNAMED: (data, order)}
    for name in languages or ():
        check_known(name, loaded, "view in languages:", SettingsError)
    views = []
    for name, (data, order) in loaded.items():
        language = language_of(name, languages)
        if language is None and name not in (languages or ()):
            language = _language_in_metadata(data)
        views.append(_text_view(data, order, name, language))
    data_sets = [data for data, _ in loaded.values()]
    metadata = (data_sets[0].get_metadata() or {}) if len(data_sets) == 1 else {}
    links = None
    if linked is not None:
        links = row_links(views)
        _check_rows(views, data_sets)
    return DatasetParts(views, links, metadata=metadata)


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
    """
    data, order = _load(source, name)
    return _text_view(data, order, name, language, texts)


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
    name, language, texts
        As for `text_view_from_octis`.
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
    return TextView(
        name=name,
        sizes=(counts.shape[0], 0, 0),
        vocabulary=tuple(words),
        language=language,
        texts=texts,
        embeddings=embeddings,
        embedding_name="ctm",
        **ragged_counts(counts, name),
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
    language: str | None,
    texts: Sequence[str] | None = None,
) -> TextView:
    corpus = data.get_corpus()
    if not corpus:
        raise DataError(f"view '{name}': the OCTIS data set holds no document.")
    vocabulary = data.get_vocabulary() or sorted({word for words in corpus for word in words})
    index = {word: number for number, word in enumerate(vocabulary)}
    documents = ragged([index[word] for word in words if word in index] for words in corpus)
    labels = data.get_labels()
    if texts is not None:
        texts = as_items(texts, f"texts of view '{name}'")
        if len(texts) != len(corpus):
            raise DataError(
                f"view '{name}': {len(texts)} texts for {len(corpus)} documents; give one for each."
            )
        texts = texts if order is None else [texts[row] for row in order]
    if empty := int((np.diff(documents["offsets"]) == 0).sum()):
        warn(
            f"view '{name}': {empty} of {len(corpus)} documents have no word of the vocabulary; "
            "they are kept, but models learn nothing from them."
        )
    return TextView(
        indexes=order,
        name=name,
        sizes=partition_sizes(data),
        vocabulary=tuple(vocabulary),
        language=language,
        texts=texts,
        labels=None if not labels else [str(label) for label in labels],
        **documents,
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
    first = views[0]
    # indexes.txt: the documents that were left when OCTIS preprocessed a corpus.
    kept = [list(map(str, getattr(one, "_Dataset__original_indexes", None) or ())) for one in data]
    for other, documents in zip(views, kept, strict=True):
        fault = None
        if first.indexes is not None and other.indexes is not None:
            for place in np.flatnonzero(first.indexes != other.indexes)[:1]:
                row = min(first.indexes[place], other.indexes[place])
                fault = (
                    f"row {row} of corpus.tsv is in another partition in '{first.name}' than in "
                    f"'{other.name}'; give each row the same partition in all of them"
                )
        if documents and kept[0] and documents != kept[0]:
            fault = (
                f"by their indexes.txt '{first.name}' and '{other.name}' hold different documents "
                "of their source; build them from the documents that both have"
            )
        if fault:
            raise DataError(
                f"the data sets can't be linked by row: {fault}, or link none (leave linked out)."
            )
