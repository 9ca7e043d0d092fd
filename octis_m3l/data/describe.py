"""The description of a data set: kinds, counts, gaps and fingerprints."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.arrays import hash_of_rows
from octis_m3l.data.links import check_links, tuple_numbers
from octis_m3l.data.parts import DatasetParts
from octis_m3l.data.views import PARTITIONS, ImageView, TextView, View


def describe(
    parts: DatasetParts, tuples: Sequence[NDArray[np.int64]] | None = None
) -> dict[str, Any]:
    """Return what is in a data set, as JSON can hold it: views, items, gaps, links."""
    views = list(parts.views)
    links = np.zeros((0, len(views)), np.int64) if parts.links is None else parts.links
    if tuples is None:
        check_links(links, views)
        tuples = tuple_numbers(links, views)
    total = 1 + max(int(numbers.max(initial=-1)) for numbers in tuples)
    counts = np.array([np.bincount(numbers, minlength=total) for numbers in tuples])
    return {
        "name": parts.metadata.get("name", ""),
        "views": {view.name: _describe_view(view) for view in views},
        "pivot": parts.pivot,
        "link_rows": len(links),
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
        "embeddings": (
            None
            if view.embeddings is None
            else {"name": view.embedding_name, "dimensions": int(view.embeddings.shape[1])}
        ),
    }
    if isinstance(view, TextView):
        described |= {
            "language": view.language,
            "words": len(view.vocabulary),
            "tokens": len(view.token_ids),
        }
        if view.word_vectors is not None:
            space = {} if view.word_space is None else {"space": view.word_space}
            dimensions = int(view.word_vectors.shape[1])
            described["word_vectors"] = {"dimensions": dimensions, **space}
    if view.labels is not None:
        described["labels"] = len(set(view.labels) - {""})
    return described


def content_fingerprints(views: Iterable[View], links: NDArray[np.int64]) -> dict[str, str]:
    """Return a SHA-256 of each view's items, order and partitions, and of the links."""
    found = {view.name: _view_fingerprint(view) for view in views}
    found["links"] = hashlib.sha256(np.ascontiguousarray(links).tobytes()).hexdigest()
    return found


def content_hashes(
    views: Iterable[View], dictionaries: Mapping[tuple[str, str], NDArray[np.int64]]
) -> dict[str, str]:
    """Return a SHA-256 of all else that results depend on: embeddings, labels, vectors, words."""
    found = {}
    for view in views:
        if view.embeddings is not None:
            found[f"embeddings of {view.name}"] = hash_of_rows(view.embeddings)
        if view.labels is not None:
            content = json.dumps([str(label) for label in view.labels])
            found[f"labels of {view.name}"] = hashlib.sha256(content.encode()).hexdigest()
        if isinstance(view, TextView) and view.word_vectors is not None:
            found[f"word vectors of {view.name}"] = hash_of_rows(view.word_vectors)
    for names, pairs in dictionaries.items():
        numbers = np.ascontiguousarray(pairs, np.int64).tobytes()
        found[f"dictionary of {'-'.join(names)}"] = hashlib.sha256(numbers).hexdigest()
    return found


def _view_fingerprint(view: View) -> str:
    digest = hashlib.sha256(f"{view.sizes}".encode())
    digest.update(view.fingerprint().encode())
    digest.update(view.input_rows.tobytes())
    if isinstance(view, ImageView) and view.pictures is None and view.embeddings is not None:
        digest.update(np.ascontiguousarray(view.embeddings, np.float32).tobytes())
    if isinstance(view, TextView):
        digest.update("\n".join(view.vocabulary).encode("utf-8", "surrogatepass"))
        digest.update(view.token_ids.tobytes())
    return digest.hexdigest()
