"""Embeddings of all views of a data set: given ones, or from encoders fitted on training items."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.encoders.base import Encoder
from octis_m3l.encoders.embedding import vectors_of
from octis_m3l.encoders.latent_semantic import (
    LatentSemanticEncoder,
    check_linked,
    fit_cross_language,
    fit_per_language,
    from_word_vectors,
    given_word_vectors,
    languages_are_linked,
)
from octis_m3l.encoders.picture import PictureEncoder
from octis_m3l.encoders.saving import from_description
from octis_m3l.errors import DataError, SettingsError, suggest

EncoderName = Literal["auto", "given", "lsa", "clsi", "word-vectors"]

_REMEMBERED = 2
_COMPARED_AT_ONCE = 1024
_OUT_OF_PROPORTION = 1000


@dataclass(frozen=True, eq=False)
class Encodings:
    """Embeddings of views, and the encoders they come from.

    Parameters
    ----------
    embeddings : dict of view to array (items × dimensions)
        For all items, as stored.
    encoders : dict of view to Encoder
        Views with given embeddings have none, unless the data set records their encoder.
    """

    embeddings: dict[str, NDArray[Any]] = field(default_factory=dict)
    encoders: dict[str, Encoder] = field(default_factory=dict)


_recent: "WeakKeyDictionary[MultiviewDataset, dict[tuple[str, int, int], Encodings]]" = (
    WeakKeyDictionary()
)


def check_encoder(
    dataset: MultiviewDataset, encoder: EncoderName, own: Mapping[str, Encoder] | None = None
) -> list[str]:
    """Raise what `encode` would raise, without encoding; return the views to fit encoders for."""
    if encoder not in get_args(EncoderName):
        raise SettingsError(
            f"unknown encoder '{encoder}'.{suggest(str(encoder), get_args(EncoderName))}"
        )
    to_fit = [
        name
        for name, view in dataset.text_views.items()
        if name not in (own or {}) and (encoder not in ("auto", "given") or view.embeddings is None)
    ]
    if encoder == "given" and to_fit:
        raise DataError(
            f"view '{to_fit[0]}' has no embeddings; attach them with dataset.with_embeddings, or "
            "use encoder='lsa' or 'clsi'."
        )
    if encoder == "clsi":
        check_linked(dataset, to_fit)
    for name in to_fit if encoder == "word-vectors" else ():
        given_word_vectors(dataset, name)
    return to_fit


def encode(
    dataset: MultiviewDataset,
    encoder: EncoderName = "auto",
    *,
    dimensions: int = 150,
    seed: int = 0,
    encoders: Mapping[str, Encoder] | None = None,
) -> Encodings:
    """Return embeddings for every view of a data set; the last two results are remembered.

    Parameters
    ----------
    dataset : MultiviewDataset
        The data.
    encoder : {'auto', 'given', 'lsa', 'clsi', 'word-vectors'}
        For texts. 'given': the data set's own embeddings; 'lsa': latent semantic analysis of each
        language by itself, so that the languages' spaces are unrelated; 'clsi': cross-language
        LSI, one space for all; 'word-vectors': the mean of the view's word vectors, weighted by
        TF-IDF; 'auto': a view's own embeddings if it has any, else 'clsi' if languages are
        linked, else 'lsa'. Images take their own embeddings if they have any, else the
        `PictureEncoder`.
    dimensions : int
        Of 'lsa' and 'clsi', at most.
    seed : int
        Of the decomposition.
    encoders : mapping of view to Encoder, optional
        Your own encoders, used as they are for these views.

    Raises
    ------
    DataError
        If a view has no embeddings for 'given', no languages are linked for 'clsi', or one of your
        own encoders does not return one finite vector for each item.
    """
    to_fit = check_encoder(dataset, encoder, encoders)
    recent, key = _recent.setdefault(dataset, {}), (encoder, dimensions, seed)
    if encoders is None and key in recent:
        result = recent[key]
    else:
        found = _not_fitted(dataset, encoder, encoders or {})
        for name, one in _fitted(dataset, to_fit, encoder, dimensions, seed).items():
            found.encoders[name] = one
            found.embeddings[name] = vectors_of(dataset.view(name), one)
        result = Encodings({n: found.embeddings[n] for n in dataset.views}, found.encoders)
        if encoders is None:
            for name in result.encoders:
                if result.embeddings[name] is not dataset.view(name).embeddings:
                    result.embeddings[name].flags.writeable = False
            if len(recent) >= _REMEMBERED:
                recent.pop(next(iter(recent)))
            recent[key] = result
    _warn_of_odd_embeddings(dataset, result.embeddings)
    return result


def encode_words(
    dataset: MultiviewDataset, encoder: EncoderName = "auto", *, dimensions: int = 150
) -> dict[str, NDArray[np.float32]]:
    """Return a vector for each word of each language: what its encoder returns for the word alone.

    With 'clsi', the words of all languages are in one space, learned from linked training
    documents.

    Parameters
    ----------
    dataset : MultiviewDataset
        The data.
    encoder, dimensions
        As for `octis_m3l.encode`.

    Returns
    -------
    dict of text view to array of float32 (vocabulary × dimensions)
        For `MultiviewDataset.with_word_vectors`.

    Raises
    ------
    DataError
        If a view's embeddings were given, so that there is no encoder.
    """
    encoders = encode(dataset, encoder, dimensions=dimensions).encoders
    missing = [name for name in dataset.text_views if name not in encoders]
    if missing:
        raise DataError(
            f"views {', '.join(missing)} have embeddings of your own and no encoder that could "
            "encode words; use encoder='lsa' or 'clsi'."
        )
    return {
        name: np.asarray(encoders[name].encode(list(view.vocabulary)), np.float32)
        for name, view in dataset.text_views.items()
    }


def _not_fitted(
    dataset: MultiviewDataset, encoder: EncoderName, own: Mapping[str, Encoder]
) -> Encodings:
    """Return the embeddings of all views that need no fitted encoder."""
    found = Encodings(encoders=dict(own))
    for name, one in own.items():
        found.embeddings[name] = vectors_of(dataset.view(name), one)
    restored: dict[str, Encoder | None] = {}
    for name, view in dataset.views.items():
        is_image = name in dataset.image_views
        if name in own or (encoder not in ("auto", "given") and not is_image):
            continue
        if view.embeddings is not None:
            found.embeddings[name] = view.embeddings
            if view.embedding_encoder:
                # One object, and so one set of weights, for all views of one encoder.
                record = json.dumps(view.embedding_encoder, sort_keys=True, default=repr)
                if record not in restored:
                    restored[record] = from_description(view.embedding_encoder)
                if (one_restored := restored[record]) is not None:
                    found.encoders[name] = one_restored
        elif is_image:
            found.encoders[name] = pictures = PictureEncoder()
            found.embeddings[name] = vectors_of(view, pictures)
    return found


def _fitted(
    dataset: MultiviewDataset,
    views: Sequence[str],
    encoder: EncoderName,
    dimensions: int,
    seed: int,
) -> dict[str, LatentSemanticEncoder]:
    if encoder == "word-vectors":
        return {name: from_word_vectors(dataset, name) for name in views}
    if views and (
        encoder == "clsi" or (encoder == "auto" and languages_are_linked(dataset, views))
    ):
        return fit_cross_language(dataset, views, dimensions=dimensions, seed=seed)
    return {n: fit_per_language(dataset, n, dimensions=dimensions, seed=seed) for n in views}


def _warn_of_odd_embeddings(
    dataset: MultiviewDataset, embeddings: Mapping[str, NDArray[Any]]
) -> None:
    """Warn of views with equal embeddings, or with one that is much larger than the others."""
    for name, array in embeddings.items():
        parts = [array[s : s + _COMPARED_AT_ONCE] for s in range(0, len(array), _COMPARED_AT_ONCE)]
        if not parts:
            continue
        sizes = np.concatenate([np.abs(part).max(axis=1) for part in parts]).astype(np.float64)
        usual, largest = float(np.median(sizes)), int(sizes.argmax())
        if usual and sizes[largest] > _OUT_OF_PROPORTION * usual:
            warnings.warn(
                f"the embedding of row {int(dataset.view(name).input_rows[largest])} of view "
                f"'{name}' has a value of {sizes[largest]:.3g}, where the largest of an embedding "
                f"is usually {usual:.3g}: one such row can spoil the topics of all; encode it "
                "again, or leave the item out.",
                stacklevel=7,
            )
        if len(array) > 1 and not any((part != array[0]).any() for part in parts):
            warnings.warn(
                f"all {len(array)} embeddings of view '{name}' are the same, so nothing can be "
                "learned about its items; encode them again, or leave the view out "
                "(dataset.with_views).",
                stacklevel=7,
            )
