"""The parts of a data set: what readers and builders return and MultiviewDataset takes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.arrays import hash_of, hash_of_rows
from octis_m3l.data.views import PARTITIONS, ImageView, TextView, View


@dataclass(frozen=True, eq=False)
class DatasetParts:
    """The arguments of `MultiviewDataset`, under the same names."""

    views: Iterable[View]
    links: NDArray[np.int64] | None = None
    pivot: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    dictionaries: Mapping[tuple[str, str], NDArray[np.int64]] = field(default_factory=dict)
    partitions: Mapping[str, Mapping[str, NDArray[np.int8]]] = field(default_factory=dict)


def describe(parts: DatasetParts, tuples: Sequence[NDArray[np.int64]]) -> dict[str, Any]:
    """Return what is in a data set, as JSON can hold it: views, items, gaps, links."""
    total = 1 + max(int(numbers.max(initial=-1)) for numbers in tuples)
    counts = np.array([np.bincount(numbers, minlength=total) for numbers in tuples])
    return {
        "name": parts.metadata.get("name", ""),
        "views": {view.name: _describe_view(view) for view in parts.views},
        "pivot": parts.pivot,
        "link_rows": 0 if parts.links is None else len(parts.links),
        "tuples": total,
        "tuples_with_every_view": int((counts > 0).all(axis=0).sum()),
        "largest_tuple": int(counts.sum(axis=0).max(initial=0)),
        "partitions": sorted(parts.partitions),
        "dictionaries": {f"{a}-{b}": len(pairs) for (a, b), pairs in parts.dictionaries.items()},
    }


def _describe_view(view: View) -> dict[str, Any]:
    described: dict[str, Any] = {
        "kind": view.kind,
        "items": dict(zip(PARTITIONS, view.sizes, strict=True)),
        "embeddings": None,
    }
    if view.embeddings is not None:
        dimensions = int(view.embeddings.shape[1])
        described["embeddings"] = {"name": view.embedding_name, "dimensions": dimensions}
    if isinstance(view, TextView):
        described["language"] = view.language
        described["words"] = len(view.vocabulary)
        described["tokens"] = len(view.token_ids)
        if view.word_vectors is not None:
            described["word_vectors"] = {"dimensions": int(view.word_vectors.shape[1])}
            if view.word_space is not None:
                described["word_vectors"]["space"] = view.word_space
    if view.labels is not None:
        described["labels"] = len(set(view.labels) - {""})
    return described


def content_fingerprints(views: Iterable[View], links: NDArray[np.int64]) -> dict[str, str]:
    """Return a SHA-256 of each view's items, order and partitions, and of the links."""
    found = {}
    for view in views:
        content: list[Any] = [f"{view.sizes}", view.fingerprint(), view.input_rows]
        if isinstance(view, TextView):
            content += ["\n".join(view.vocabulary), view.token_ids]
        elif isinstance(view, ImageView) and view.pictures is None:
            content.append(np.asarray(view.embeddings, np.float32))
        found[view.name] = hash_of(content)
    return found | {"links": hash_of([links])}


def content_hashes(
    views: Iterable[View], dictionaries: Mapping[tuple[str, str], NDArray[np.int64]]
) -> dict[str, str]:
    """Return a SHA-256 of all else that results depend on: embeddings, labels, vectors, words."""
    found = {}
    for view in views:
        if view.embeddings is not None:
            found[f"embeddings of {view.name}"] = hash_of_rows(view.embeddings)
        if view.labels is not None:
            labels = json.dumps([str(label) for label in view.labels])
            found[f"labels of {view.name}"] = hash_of([labels])
        if isinstance(view, TextView) and view.word_vectors is not None:
            found[f"word vectors of {view.name}"] = hash_of_rows(view.word_vectors)
    for names, pairs in dictionaries.items():
        found[f"dictionary of {'-'.join(names)}"] = hash_of([np.asarray(pairs, np.int64)])
    return found
