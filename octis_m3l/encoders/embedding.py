"""Embeddings from encoders of the user's choice, kept on disk, for the views of a data set."""

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
from octis_m3l.encoders.cache import EmbeddingCache
from octis_m3l.encoders.description import described
from octis_m3l.encoders.naming import as_read, embedding_name, has_fingerprint, shown
from octis_m3l.encoders.protocol import Encoder
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
    """Return the data set with the vectors that encoders give its items.

    What was encoded before, in this or another data set, comes from the cache; after an
    interruption the same call goes on. Models that are trained on the result keep the encoders of
    this package, and so take new texts and pictures; one's own is not saved, and is given again
    with ``load_model(folder, encoders={...})``.

    Parameters
    ----------
    dataset : MultiviewDataset
        The data.
    encoders : mapping of view to Encoder or str
        One for each view that is to be encoded; the same object for several views is one space.
        A string is what `encoder_from` reads: ``sentence-transformers:NAME``, ``model2vec:NAME``,
        ``open-clip:ARCHITECTURE/PRETRAINED``, …
    cache : EmbeddingCache, path or None
        'default': below the user's cache folder, or ``OCTIS_M3L_CACHE``. None: nothing is kept.
        An encoder of one's own without `fingerprint()` is not kept.
    progress : bool
        Whether to show a progress bar with the time that is left.

    Returns
    -------
    MultiviewDataset

    Raises
    ------
    DataError
        If a view is unknown or holds no pictures, or an encoder does not return one finite vector
        for each item.
    """
    views = {name: dataset.view(name) for name in encoders}
    of_words = {e: encoder_from(e) for e in encoders.values() if isinstance(e, str)}
    made = {n: of_words[e] if isinstance(e, str) else e for n, e in encoders.items()}
    for name, view in views.items():
        _check_kind(view, made[name])
    kept = None if cache is None else _cache(cache)
    arrays: dict[str, NDArray[Any]] = {}
    for name, view in views.items():
        arrays[name] = _vectors(view, made[name], kept, progress)
    told = {name: one for name, e in made.items() if (one := described(e)) is not None}
    result = dataset
    for name, encoder in made.items():
        result = result.with_embeddings(
            {name: arrays[name]},
            name=embedding_name(encoder),
            order="stored",
            encoders=told,
        )
    return result


def _cache(given: EmbeddingCache | str | Path) -> EmbeddingCache:
    if isinstance(given, EmbeddingCache):
        return given
    return EmbeddingCache(cache_folder() / "embeddings" if given == "default" else given)


def _check_kind(view: View, encoder: Encoder) -> None:
    reads = getattr(encoder, "reads", None)
    expected = "text" if view.kind == "text" else "picture"
    if reads is not None and reads != expected:
        other = "open-clip-text:…, for texts" if expected == "text" else "open-clip:…, for pictures"
        raise DataError(
            f"view '{view.name}' holds {expected}s, and the encoder '{encoder.name}' reads "
            f"{reads}s; give one that reads {expected}s (of a CLIP model: {other})."
        )


def _vectors(
    view: View, encoder: Encoder, cache: EmbeddingCache | None, progress: bool
) -> NDArray[Any]:
    items = view.items(slice(0, len(view)))
    if cache is not None and has_fingerprint(encoder):
        vectors = cache.encode(encoder, items, progress=progress)
    else:
        with shown(encoder, progress):
            vectors = np.asarray(encoder.encode(as_read(encoder, items)))
    check_embeddings(vectors, len(view), view.name)
    if vectors.shape[1] != encoder.dimensions:
        raise DataError(
            f"the encoder of view '{view.name}' returned vectors of {vectors.shape[1]} dimensions, "
            f"and says that it has {encoder.dimensions}."
        )
    return vectors


def encoders_of(
    dataset: MultiviewDataset, given: Mapping[str, str], device: str | None
) -> dict[str, Encoder]:
    """Return an encoder for each view; views with the same words share one."""
    wanted: dict[str, str] = {}
    for name, words in given.items():
        kinds: dict[str, Any] = {"texts": dataset.text_views, "images": dataset.image_views}
        of_kind = kinds.get(name, {}) if name not in dataset.views else {}
        if not of_kind and name not in dataset.views:
            known = [*dataset.views, *(kind for kind, views in kinds.items() if views)]
            raise SettingsError(f"unknown view '{name}'.{suggest(name, known)}")
        for view in of_kind or [name]:
            if view not in given or view == name:
                wanted[view] = words
    made: dict[str, Encoder] = {}
    for words in wanted.values():
        if words not in made:
            made[words] = encoder_from(words)
            if device is not None and getattr(made[words], "device", None) == "auto":
                several = [one.strip() for one in device.split(",")]
                made[words] = encoder_from(
                    words, device=several[0] if len(several) == 1 else several
                )
    return {view: made[words] for view, words in wanted.items()}


def encode_folder(
    folder: Path,
    given: Mapping[str, str],
    *,
    device: str | None,
    cache: EmbeddingCache | str | Path | None,
    replace: bool,
    progress: bool,
) -> dict[str, Any]:
    """Encode views of a saved data set, and write their embeddings into its folder."""
    dataset = MultiviewDataset.from_folder(folder, embeddings=ANY)
    check_can_create(folder / MANIFEST)
    encoders = encoders_of(dataset, given, device)
    embedded = embed(dataset, encoders, cache=cache, progress=progress)
    told = {}
    for name, encoder in encoders.items():
        view = embedded.view(name)
        if view.embeddings is None:
            raise DataError(f"view '{name}' has no embeddings after encoding.")
        write_embeddings(
            folder,
            name,
            view.embeddings,
            view.embedding_name,
            {"encoder": encoder.name},
            encoder=view.embedding_encoder,
            replace=replace,
        )
        kept = read_manifest(folder).embedding_names(name)
        told[name] = {
            "embeddings": embedding_name(encoder),
            "items": len(view),
            "dimensions": encoder.dimensions,
            "encoder": encoder.name,
            "stored": kept,
        }
    return told
