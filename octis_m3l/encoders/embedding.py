"""Embeddings of a data set's views from encoders of the user's choice, cached on disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.folder.manifest import MANIFEST, read_manifest
from octis_m3l.data.folder.reading import ANY
from octis_m3l.data.folder.writing import write_embeddings
from octis_m3l.data.views import View, check_embeddings
from octis_m3l.encoders.base import (
    Encoder,
    as_read,
    embedding_name,
    has_fingerprint,
    progress_shown,
)
from octis_m3l.encoders.cache import EmbeddingCache
from octis_m3l.encoders.saving import described
from octis_m3l.encoders.specification import encoder_from
from octis_m3l.errors import DataError, SettingsError, suggest
from octis_m3l.files import cache_folder, check_can_create
from octis_m3l.validation import validated


@validated
def embed(
    dataset: MultiviewDataset,
    encoders: Mapping[str, Encoder | str],
    *,
    cache: EmbeddingCache | str | Path | None = "default",
    progress: bool = False,
) -> MultiviewDataset:
    """Return the data set with the vectors of its items from the given encoders.

    What was encoded before, in this or another data set, comes from the cache; after an
    interruption, the same call continues. Models trained on the result keep the encoders of this
    package, and so encode new texts and pictures. Your own encoders are not saved: pass them again
    with ``load_model(folder, encoders={...})``.

    Parameters
    ----------
    dataset : MultiviewDataset
        The data.
    encoders : mapping of view to Encoder or str
        One for each view to encode; views with the same object share one space. A string is read
        by `encoder_from`: ``sentence-transformers:NAME``, ``model2vec:NAME``,
        ``open-clip:ARCHITECTURE/PRETRAINED``, …
    cache : EmbeddingCache, path or None
        'default': in the user's cache folder, or in ``OCTIS_M3L_CACHE``. None: no cache. Encoders
        of your own are cached if they have a method `fingerprint()`.
    progress : bool
        Whether to show a progress bar with the remaining time.

    Returns
    -------
    MultiviewDataset

    Raises
    ------
    DataError
        If a view is unknown or has no pictures, or an encoder does not return one finite vector
        for each item.
    """
    views = {name: dataset.view(name) for name in encoders}
    from_text = {one: encoder_from(one) for one in encoders.values() if isinstance(one, str)}
    chosen = {n: from_text[one] if isinstance(one, str) else one for n, one in encoders.items()}
    for name, view in views.items():
        _check_reads(view, chosen[name])
    if cache == "default":
        cache = cache_folder() / "embeddings"
    if isinstance(cache, str | Path):
        cache = EmbeddingCache(cache)
    vectors = {n: vectors_of(view, chosen[n], cache, progress) for n, view in views.items()}
    descriptions = {n: one for n, e in chosen.items() if (one := described(e)) is not None}
    for name, encoder in chosen.items():
        dataset = dataset.with_embeddings(
            {name: vectors[name]},
            name=embedding_name(encoder),
            order="stored",
            encoders=descriptions,
        )
    return dataset


def vectors_of(
    view: View, encoder: Encoder, cache: EmbeddingCache | None = None, progress: bool = False
) -> NDArray[Any]:
    """Return an encoder's vectors of all items of a view, checked."""
    items = as_read(encoder, view.items(slice(0, len(view))))
    if cache is not None and has_fingerprint(encoder):
        vectors: NDArray[Any] = cache.encode(encoder, items, progress=progress)
    else:
        with progress_shown(encoder, progress):
            vectors = np.asarray(encoder.encode(items))
    check_embeddings(vectors, len(view), view.name)
    expected = getattr(encoder, "dimensions", vectors.shape[1])
    if vectors.shape[1] != expected:
        raise DataError(
            f"the encoder of view '{view.name}' returned vectors of {vectors.shape[1]} dimensions, "
            f"but its attribute dimensions is {expected}."
        )
    return vectors


def _check_reads(view: View, encoder: Encoder) -> None:
    reads = getattr(encoder, "reads", None)
    expected = "text" if view.kind == "text" else "picture"
    if reads is not None and reads != expected:
        clip = "open-clip-text:…, for texts" if expected == "text" else "open-clip:…, for pictures"
        raise DataError(
            f"view '{view.name}' holds {expected}s, but the encoder '{encoder.name}' reads "
            f"{reads}s; give one that reads {expected}s (of a CLIP model: {clip})."
        )


def encoders_of(
    dataset: MultiviewDataset, given: Mapping[str, str], device: str | None
) -> dict[str, Encoder]:
    """Return an encoder for each view; views with the same specification share one.

    Besides the names of views, 'texts' and 'images' stand for all views of a kind.
    """
    kinds: dict[str, Mapping[str, View]] = {
        "texts": dataset.text_views,
        "images": dataset.image_views,
    }
    kinds = {kind: views for kind, views in kinds.items() if views and kind not in dataset.views}
    wanted: dict[str, str] = {}
    for name, text in given.items():
        if name not in dataset.views and name not in kinds:
            raise SettingsError(f"unknown view '{name}'.{suggest(name, [*dataset.views, *kinds])}")
        for view in kinds.get(name, [name]):
            if view not in given or view == name:
                wanted[view] = text
    made: dict[str, Encoder] = {}
    for text in dict.fromkeys(wanted.values()):
        made[text] = encoder_from(text)
        if device is not None and getattr(made[text], "device", None) == "auto":
            several = [one.strip() for one in device.split(",")]
            made[text] = encoder_from(text, device=several[0] if len(several) == 1 else several)
    return {view: made[text] for view, text in wanted.items()}


def encode_folder(
    folder: Path,
    given: Mapping[str, str],
    *,
    device: str | None,
    cache: EmbeddingCache | str | Path | None,
    replace: bool,
    progress: bool,
) -> dict[str, Any]:
    """Encode views of a saved data set, write their embeddings into its folder, and report them."""
    dataset = MultiviewDataset.from_folder(folder, embeddings=ANY)
    check_can_create(folder / MANIFEST)
    encoders = encoders_of(dataset, given, device)
    dataset = embed(dataset, encoders, cache=cache, progress=progress)
    report = {}
    for name, encoder in encoders.items():
        view = dataset.view(name)
        assert view.embeddings is not None
        write_embeddings(
            folder,
            name,
            view.embeddings,
            view.embedding_name,
            {"encoder": encoder.name},
            encoder=view.embedding_encoder,
            replace=replace,
        )
        report[name] = {
            "embeddings": view.embedding_name,
            "items": len(view),
            "dimensions": encoder.dimensions,
            "encoder": encoder.name,
            "stored": read_manifest(folder).embedding_names(name),
        }
    return report
