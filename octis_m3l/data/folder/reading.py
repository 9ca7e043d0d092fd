"""Reading the data set in a folder."""

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.arrays import ragged
from octis_m3l.data.folder.formats import (
    check_made_for,
    check_pictures,
    read_array,
    read_items,
    read_lines,
    read_table,
    read_texts,
    vocabulary_fingerprint,
)
from octis_m3l.data.folder.manifest import Manifest, ViewEntry, read_manifest
from octis_m3l.data.parts import DatasetParts
from octis_m3l.data.text import TextPreprocessor, Tokenizer
from octis_m3l.data.views import OCTIS_PARTITIONS, ImageView, TextView, View
from octis_m3l.errors import DataError, check_known, suggest
from octis_m3l.files import damage_errors, read_json

ANY = "*"


def read_folder(
    folder: Path,
    embeddings: str | Mapping[str, str] | None = None,
    tokenizers: Mapping[str, Tokenizer] | None = None,
) -> DatasetParts:
    """Return the parts of the data set in a folder.

    Parameters
    ----------
    folder, embeddings, tokenizers
        As for `MultiviewDataset.from_folder`. Besides, '*' as the embeddings of all views stands
        for any, without those of items that changed since; '*' for one view for its first.
    """
    manifest = read_manifest(folder, hashes=True)
    choices = _choices(manifest, embeddings)
    views: dict[str, View] = {}
    for entry in manifest.views:
        views[entry.name] = _read_encoded_view(
            folder, manifest, entry, choices[entry.name], drop_stale=embeddings == ANY
        )
    for name, tokenizer in (tokenizers or {}).items():
        check_known(name, views, "view in tokenizers:")
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
        dictionaries=_read_dictionaries(folder, manifest, views),
        partitions=_read_partitions(folder, manifest),
    )


def _choices(manifest: Manifest, wanted: str | Mapping[str, str] | None) -> dict[str, str | None]:
    """Return the name of the embeddings to use of each view."""
    stored = {entry.name: manifest.embedding_names(entry.name) for entry in manifest.views}
    if isinstance(wanted, str):
        if wanted != ANY and not any(stored.values()):
            raise DataError(
                f"no view has embeddings '{wanted}', or any others; encode the views first, or "
                "leave embeddings out."
            )
        wanted = {view: wanted for view, names in stored.items() if names}
    given = dict(wanted or {})
    # A view may itself be named 'texts' or 'images'.
    kinds = {f"{entry.kind}s" for entry in manifest.views} - stored.keys()
    for name in given:
        check_known(name, [*stored, *kinds], "view in embeddings:")
    of_kinds = {kind: given[kind] for kind in kinds & given.keys()}
    return {
        entry.name: _choice(
            entry.name, stored[entry.name], given.get(entry.name, of_kinds.get(f"{entry.kind}s"))
        )
        for entry in manifest.views
    }


def _choice(view: str, names: list[str], wanted: str | None) -> str | None:
    if wanted not in (None, ANY, *names):
        raise DataError(f"view '{view}' has no embeddings '{wanted}'.{suggest(wanted, names)}")
    if wanted is None and len(names) > 1:
        raise DataError(
            f"view '{view}' has several embeddings: {', '.join(names)}; choose with "
            f"embeddings='{names[0]}' for every view, or embeddings={{'{view}': '{names[0]}'}} "
            f"(--embeddings {view}={names[0]})."
        )
    return wanted if wanted in names else next(iter(names), None)


def _read_encoded_view(
    folder: Path, manifest: Manifest, entry: ViewEntry, name: str | None, *, drop_stale: bool
) -> View:
    if name is None:
        return read_view(folder, manifest, entry)
    place = folder / entry.name / "embeddings" / name
    values, record = read_array(place, sum(entry.sizes))
    encoder = record.get("encoder")
    view = read_view(
        folder, manifest, entry, embeddings=values, embedding_name=name, embedding_encoder=encoder
    )
    fingerprint = view.fingerprint()
    can_be_encoded = entry.kind == "text" or entry.pictures
    if drop_stale and can_be_encoded and record.get("fingerprint") != fingerprint:
        return replace(view, embeddings=None, embedding_name="given", embedding_encoder=None)
    check_made_for(place, record, fingerprint, "items")
    return view


def read_view(folder: Path, manifest: Manifest, entry: ViewEntry, **embeddings: Any) -> View:
    """Return a view, with the values of its fields for embeddings if they are given."""
    place = folder / entry.name
    stored = {path.removeprefix(f"{entry.name}/") for path in manifest.files}
    is_text = entry.kind == "text"
    labels: list[str] | None = [] if entry.labels else None
    fields = read_items(place / ("corpus.tsv" if is_text else "images.tsv"), entry, labels)
    common: dict[str, Any] = {
        "name": entry.name,
        "sizes": entry.sizes,
        "inputs": entry.inputs,
        **embeddings,
    }
    if "indexes.txt" in stored:
        with damage_errors(place / "indexes.txt"):
            common["indexes"] = np.array(read_lines(place / "indexes.txt"), dtype=np.int64)
    if not is_text:
        if entry.pictures:
            base = folder.resolve()
            common["pictures"] = [Path(os.path.normpath(base / path)) for path in fields]
            check_pictures(entry.name, common["pictures"])
        else:
            deque(fields, maxlen=0)
        return ImageView(labels=labels, **common)
    vocabulary = read_lines(place / "vocabulary.txt")
    number = {word: index for index, word in enumerate(vocabulary)}
    with damage_errors(place / "corpus.tsv"):
        common |= ragged(map(number.__getitem__, field.split()) for field in fields)
    if "texts.jsonl" in stored:
        common["texts"] = read_texts(place / "texts.jsonl", sum(entry.sizes))
    if "preprocessing.json" in stored:
        settings = read_json(place / "preprocessing.json")
        common["preprocessor"] = TextPreprocessor.from_dict(settings)
    if "word_vectors.npy" in stored:
        values, record = read_array(place / "word_vectors", len(vocabulary))
        fingerprint = vocabulary_fingerprint(vocabulary)
        check_made_for(place / "word_vectors", record, fingerprint, "words")
        common |= {"word_vectors": values, "word_space": record.get("space")}
    return TextView(vocabulary=tuple(vocabulary), language=entry.language, labels=labels, **common)


def _read_links(folder: Path, manifest: Manifest) -> NDArray[np.int64] | None:
    if manifest.links is None:
        return None
    path = folder / "links.tsv"
    names = [entry.name for entry in manifest.views]
    columns = read_table(path, len(names))
    with damage_errors(path):
        if [column.pop(0) for column in columns] != names:
            raise ValueError(f"expected the views {', '.join(names)} in this order")
        return np.array(columns, dtype=np.int64).T.copy()


def _read_dictionaries(
    folder: Path, manifest: Manifest, views: Mapping[str, View]
) -> dict[tuple[str, str], NDArray[np.int64]]:
    number = {
        name: {word: index for index, word in enumerate(view.vocabulary)}
        for name, view in views.items()
        if isinstance(view, TextView)
    }
    dictionaries = {}
    for entry in manifest.dictionaries:
        columns = read_table(folder / entry.file, 2)
        pairs = np.empty((len(columns[0]), 2), np.int64)
        with damage_errors(folder / entry.file):
            for side, (name, words) in enumerate(zip(entry.views, columns, strict=True)):
                pairs[:, side] = [number[name][word] for word in words]
        dictionaries[entry.views] = pairs
    return dictionaries


def _read_partitions(folder: Path, manifest: Manifest) -> dict[str, dict[str, NDArray[np.int8]]]:
    number = {name: value for value, name in enumerate(OCTIS_PARTITIONS)} | {"": -1}
    partitions: dict[str, dict[str, NDArray[np.int8]]] = {name: {} for name in manifest.partitions}
    for entry in manifest.views if partitions else []:
        path = folder / entry.name / "partitions.tsv"
        columns = read_table(path, len(partitions))
        with damage_errors(path):
            if [column.pop(0) for column in columns] != manifest.partitions:
                raise ValueError("expected the names of the partitions in order")
            for name, column in zip(partitions, columns, strict=True):
                numbers = [number[field] for field in column]
                partitions[name][entry.name] = np.array(numbers, np.int8)
    return partitions
