"""Reading the data set in a folder."""

import os
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.folder.formats import (
    check_pictures,
    read_array,
    read_indexes,
    read_items,
    read_lines,
    read_table,
    read_texts,
    read_word_vectors,
)
from octis_m3l.data.folder.manifest import Manifest, ViewEntry, read_manifest
from octis_m3l.data.parts import DatasetParts
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.views import OCTIS_PARTITIONS, ImageView, TextView, View
from octis_m3l.errors import DataError, StorageError, suggest
from octis_m3l.files import read_json

Tokenizer = Callable[[str], Sequence[str]]

ANY = "*"


def read_folder(
    folder: Path,
    embeddings: str | Mapping[str, str] | None = None,
    tokenizers: Mapping[str, Tokenizer] | None = None,
) -> DatasetParts:
    """Return the parts of the data set in a folder.

    Parameters
    ----------
    folder : Path
        The folder.
    embeddings : str or mapping of view to str, or None
        The embeddings to use: one name for every view that has any, or a name for some views.
        'texts' and 'images' stand for all views of the kind that are not named themselves. A view
        that is not named uses the only ones that it has. '*' for all: any, without those of items
        that changed since; '*' for a view: its first.
    tokenizers : mapping of text view to callable, optional
        The tokenizers of views that were preprocessed with a function.
    """
    manifest = read_manifest(folder, hashes=True)
    choices = _choices(manifest, embeddings)
    views = {
        entry.name: _read_encoded_view(
            folder, manifest, entry, choices[entry.name], drop_stale=embeddings == ANY
        )
        for entry in manifest.views
    }
    for name, tokenizer in (tokenizers or {}).items():
        if name not in views:
            raise DataError(f"unknown view '{name}' in tokenizers.{suggest(name, views)}")
        view = views[name]
        if not isinstance(view, TextView) or view.preprocessor is None:
            raise DataError(
                f"view '{name}' holds no texts that were split into words here; leave it out of "
                "tokenizers."
            )
        views[name] = replace(view, preprocessor=view.preprocessor.with_tokenizer(tokenizer))
    return DatasetParts(
        views=list(views.values()),
        links=_read_links(folder, manifest),
        pivot=manifest.pivot,
        metadata=manifest.metadata,
        dictionaries=_read_dictionaries(folder, manifest, views.values()),
        partitions=_read_partitions(folder, manifest),
    )


def _choices(manifest: Manifest, wanted: str | Mapping[str, str] | None) -> dict[str, str | None]:
    """Return the embeddings to use of each view."""
    stored = {entry.name: manifest.embedding_names(entry.name) for entry in manifest.views}
    if wanted == ANY:
        return {view: names[0] if names else None for view, names in stored.items()}
    if isinstance(wanted, str):
        if not any(stored.values()):
            raise DataError(
                f"no view has embeddings '{wanted}', or any others; encode the views first, or "
                "leave embeddings out."
            )
        wanted = {view: wanted for view, names in stored.items() if names}
    kinds: dict[str, list[str]] = {"texts": [], "images": []}
    for entry in manifest.views:
        kinds[f"{entry.kind}s"].append(entry.name)
    chosen = dict(wanted or {})
    for view in wanted or {}:
        if view not in stored:
            if not kinds.get(view):
                known = [*stored, *(kind for kind, of_kind in kinds.items() if of_kind)]
                raise DataError(f"unknown view '{view}' in embeddings.{suggest(view, known)}")
            name = chosen.pop(view)
            chosen = dict.fromkeys(kinds[view], name) | chosen
    return {view: _choice(view, names, chosen.get(view)) for view, names in stored.items()}


def _choice(view: str, names: list[str], wanted: str | None) -> str | None:
    if wanted not in (None, ANY):
        if wanted not in names:
            raise DataError(f"view '{view}' has no embeddings '{wanted}'.{suggest(wanted, names)}")
        return wanted
    if len(names) > 1 and wanted != ANY:
        raise DataError(
            f"view '{view}' has several embeddings: {', '.join(names)}; choose with "
            f"embeddings='{names[0]}' for every view, or embeddings={{'{view}': '{names[0]}'}} "
            f"(--embeddings {view}={names[0]})."
        )
    return names[0] if names else None


def _read_encoded_view(
    folder: Path, manifest: Manifest, entry: ViewEntry, name: str | None, *, drop_stale: bool
) -> View:
    if name is None:
        return read_view(folder, manifest, entry)
    place = folder / entry.name / "embeddings" / name
    values, record = read_array(place, sum(entry.sizes))
    view = read_view(folder, manifest, entry, values, name, record.get("encoder"))
    if record.get("fingerprint") != view.fingerprint():
        if drop_stale and (entry.kind == "text" or entry.pictures):
            return read_view(folder, manifest, entry)
        raise StorageError(
            f"{place}.npy was made for other items than view '{entry.name}' holds: they changed "
            "since; encode them again."
        )
    return view


def read_view(
    folder: Path,
    manifest: Manifest,
    entry: ViewEntry,
    embeddings: NDArray[Any] | None = None,
    embedding_name: str = "given",
    embedding_encoder: Mapping[str, Any] | None = None,
) -> View:
    """Return a view with the given embeddings."""
    place = folder / entry.name
    is_text = entry.kind == "text"
    fields, labels = read_items(place / ("corpus.tsv" if is_text else "images.tsv"), entry)
    has_indexes = f"{entry.name}/indexes.txt" in manifest.files
    common: dict[str, Any] = {
        "name": entry.name,
        "sizes": entry.sizes,
        "inputs": entry.inputs,
        "indexes": read_indexes(place / "indexes.txt") if has_indexes else None,
        "labels": labels,
        "embeddings": embeddings,
        "embedding_name": embedding_name,
        "embedding_encoder": embedding_encoder,
    }
    if not is_text:
        pictures = None
        if entry.pictures:
            base = folder.resolve()
            pictures = [Path(os.path.normpath(base / path)) for path in fields]
            check_pictures(entry.name, pictures)
        return ImageView(pictures=pictures, **common)
    vocabulary = tuple(read_lines(place / "vocabulary.txt"))
    token_ids, offsets = _token_ids(fields, vocabulary, place)
    if f"{entry.name}/texts.jsonl" in manifest.files:
        common["texts"] = read_texts(place / "texts.jsonl")
    if f"{entry.name}/preprocessing.json" in manifest.files:
        settings = read_json(place / "preprocessing.json")
        common["preprocessor"] = TextPreprocessor.from_dict(settings)
    if f"{entry.name}/word_vectors.npy" in manifest.files:
        vectors, space = read_word_vectors(place / "word_vectors", vocabulary)
        common |= {"word_vectors": vectors, "word_space": space}
    return TextView(
        vocabulary=vocabulary,
        token_ids=token_ids,
        offsets=offsets,
        language=entry.language,
        **common,
    )


def _token_ids(
    documents: list[str], vocabulary: tuple[str, ...], place: Path
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    number = {word: index for index, word in enumerate(vocabulary)}
    token_ids = array("i")
    offsets = np.zeros(len(documents) + 1, np.int64)
    for row, document in enumerate(documents):
        try:
            token_ids.extend(map(number.__getitem__, document.split()))
        except KeyError as error:
            raise StorageError(
                f"{place / 'corpus.tsv'}, line {row + 1}: the word {error} is not in "
                "vocabulary.txt; one of them was changed; copy both again."
            ) from None
        offsets[row + 1] = len(token_ids)
    return np.array(token_ids, np.int32), offsets


def _read_links(folder: Path, manifest: Manifest) -> NDArray[np.int64] | None:
    if manifest.links is None:
        return None
    path = folder / "links.tsv"
    columns = read_table(path, len(manifest.views))
    header = [column[0] for column in columns if column]
    if header != [entry.name for entry in manifest.views]:
        raise StorageError(
            f"{path} begins with {header}, expected the names of the views in order: "
            f"{', '.join(entry.name for entry in manifest.views)}; copy it again."
        )
    try:
        return np.array([column[1:] for column in columns], dtype=np.int64).T.copy()
    except ValueError as error:
        raise StorageError(f"{path} holds no item numbers ({error}); copy it again.") from None


def _read_dictionaries(
    folder: Path, manifest: Manifest, views: Iterable[View]
) -> dict[tuple[str, str], NDArray[np.int64]]:
    number = {
        view.name: {word: index for index, word in enumerate(view.vocabulary)}
        for view in views
        if isinstance(view, TextView)
    }
    dictionaries = {}
    for entry in manifest.dictionaries:
        columns = read_table(folder / entry.file, 2)
        pairs = np.empty((len(columns[0]), 2), np.int64)
        for side, view in enumerate(entry.views):
            try:
                pairs[:, side] = [number[view][word] for word in columns[side]]
            except KeyError as error:
                raise StorageError(
                    f"{folder / entry.file}: {error} is not in the vocabulary of view '{view}'; "
                    "one of them was changed; copy both again."
                ) from None
        dictionaries[entry.views] = pairs
    return dictionaries


def _read_partitions(folder: Path, manifest: Manifest) -> dict[str, dict[str, NDArray[np.int8]]]:
    number = {name: value for value, name in enumerate(OCTIS_PARTITIONS)} | {"": -1}
    partitions: dict[str, dict[str, NDArray[np.int8]]] = {name: {} for name in manifest.partitions}
    for entry in manifest.views if partitions else []:
        path = folder / entry.name / "partitions.tsv"
        for name, column in zip(partitions, read_table(path, len(partitions)), strict=True):
            numbers = [number.get(field) for field in column[1:]]
            if column[:1] != [name] or None in numbers or len(numbers) != sum(entry.sizes):
                raise StorageError(
                    f"{path}: the column of '{name}' was changed; expected {sum(entry.sizes)} "
                    "entries train, val, test or nothing; copy it again."
                )
            partitions[name][entry.name] = np.array(numbers, np.int8)
    return partitions
