"""Embeddings for the views of a data set: given ones, or from encoders fitted on training items."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import check_embeddings
from octis_m3l.encoders.description import from_description
from octis_m3l.encoders.latent_semantic import (
    check_linked,
    fit_cross_language,
    fit_per_language,
    from_word_vectors,
    given_word_vectors,
    languages_are_linked,
)
from octis_m3l.encoders.picture import PictureEncoder
from octis_m3l.encoders.protocol import Encoder
from octis_m3l.errors import DataError, SettingsError, suggest

EncoderName = Literal["auto", "given", "lsa", "clsi", "word-vectors"]


@dataclass(frozen=True, eq=False)
class Encodings:
    """Embeddings of views, and the encoders they come from.

    Parameters
    ----------
    embeddings : dict of view to array (items × dimensions)
        For all items, as stored.
    encoders : dict of view to Encoder
        Views whose embeddings were given have none here, unless the data set says what made them.
    """

    embeddings: dict[str, NDArray[Any]] = field(default_factory=dict)
    encoders: dict[str, Encoder] = field(default_factory=dict)


_REMEMBERED = 2
_COMPARED_AT_ONCE = 1024
_OUT_OF_PROPORTION = 1000
_known: "WeakKeyDictionary[MultiviewDataset, dict[tuple[str, int, int], Encodings]]" = (
    WeakKeyDictionary()
)


def check_encoder(
    dataset: MultiviewDataset, encoder: EncoderName, own: Mapping[str, Encoder] | None = None
) -> list[str]:
    """Raise what `encode` would refuse, without encoding; return the views to fit encoders for."""
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
    """Return embeddings for every view of a data set; the last two answers are remembered.

    Parameters
    ----------
    dataset : MultiviewDataset
        The data.
    encoder : {'auto', 'given', 'lsa', 'clsi', 'word-vectors'}
        For texts. 'given': the data set's own embeddings; 'lsa': latent semantic analysis, each
        language by itself, so that the languages' spaces have nothing in common; 'clsi':
        cross-language LSI, one space for all; 'word-vectors': the mean of the view's word vectors,
        weighted by TF-IDF; 'auto': a view's own embeddings where it has any,
        else 'clsi' where languages are linked, else 'lsa'. Images take their own embeddings where
        they have any, else the `PictureEncoder`.
    dimensions : int
        Of 'lsa' and 'clsi', at most.
    seed : int
        Of the decomposition.
    encoders : mapping of view to Encoder, optional
        Encoders of the user's own, used as they are for these views.

    Raises
    ------
    DataError
        If 'given' is asked for and a view has none, or 'clsi' and nothing is linked; or if an
        encoder of the user's own does not return one finite vector for each item.
    """
    to_fit = check_encoder(dataset, encoder, encoders)
    memory = _known.setdefault(dataset, {})
    key = (encoder, dimensions, seed)
    if encoders is None and key in memory:
        _warn_of_odd_embeddings(dataset, memory[key].embeddings)
        return memory[key]
    result = Encodings()
    for name, own in (encoders or {}).items():
        view = dataset.view(name)
        result.encoders[name] = own
        vectors = np.asarray(own.encode(view.items(slice(0, len(view)))))
        check_embeddings(vectors, len(view), name)
        promised = getattr(own, "dimensions", vectors.shape[1])
        if promised != vectors.shape[1]:
            raise DataError(
                f"the encoder of view '{name}' returned vectors of {vectors.shape[1]} dimensions, "
                f"and says that it has {promised}."
            )
        result.embeddings[name] = vectors
    again: dict[str, Encoder | None] = {}
    for name, view in dataset.views.items():
        if name in result.embeddings:
            continue
        wanted = encoder in ("auto", "given") or name in dataset.image_views
        if view.embeddings is not None and wanted:
            result.embeddings[name] = view.embeddings
            if view.embedding_encoder:
                # One object, and so one set of weights, for all views that one encoder made.
                record = json.dumps(view.embedding_encoder, sort_keys=True, default=repr)
                if record not in again:
                    again[record] = from_description(view.embedding_encoder)
                if (made := again[record]) is not None:
                    result.encoders[name] = made
        elif name in dataset.image_views:
            pictures = PictureEncoder()
            result.encoders[name] = pictures
            result.embeddings[name] = pictures.encode(view.items(slice(0, len(view))))
    _fit(dataset, to_fit, encoder, dimensions, seed, result)
    result = Encodings({name: result.embeddings[name] for name in dataset.views}, result.encoders)
    if encoders is None:
        for name in result.encoders:
            if result.embeddings[name] is not dataset.view(name).embeddings:
                result.embeddings[name].flags.writeable = False
        if len(memory) >= _REMEMBERED:
            memory.pop(next(iter(memory)))
        memory[key] = result
    _warn_of_odd_embeddings(dataset, result.embeddings)
    return result


def _warn_of_odd_embeddings(
    dataset: MultiviewDataset, embeddings: Mapping[str, NDArray[Any]]
) -> None:
    """Warn of views whose embeddings are all the same, or one of them out of all proportion."""
    for name, array in embeddings.items():
        starts = range(0, len(array), _COMPARED_AT_ONCE)
        sizes = np.concatenate(
            [np.abs(array[start : start + _COMPARED_AT_ONCE]).max(axis=1) for start in starts]
            or [np.zeros(1)]
        ).astype(np.float64)
        usual, largest = float(np.median(sizes)), int(sizes.argmax())
        if usual and sizes[largest] > _OUT_OF_PROPORTION * usual:
            warnings.warn(
                f"the embedding of row {int(dataset.view(name).input_rows[largest])} of view "
                f"'{name}' has a value of {sizes[largest]:.3g}, where the largest of an embedding "
                f"is usually {usual:.3g}: one such row can spoil the topics of all; encode it "
                "again, or leave the item out.",
                stacklevel=7,
            )
        if len(array) > 1 and not any(
            (array[start : start + _COMPARED_AT_ONCE] != array[0]).any() for start in starts
        ):
            warnings.warn(
                f"all {len(array)} embeddings of view '{name}' are the same: nothing can be "
                "learned of its items; encode them again, or leave the view out "
                "(dataset.with_views).",
                stacklevel=7,
            )


def _fit(
    dataset: MultiviewDataset,
    views: list[str],
    encoder: EncoderName,
    dimensions: int,
    seed: int,
    result: Encodings,
) -> None:
    if not views:
        return
    if encoder == "word-vectors":
        fitted = {name: from_word_vectors(dataset, name) for name in views}
    elif encoder == "clsi" or (encoder == "auto" and languages_are_linked(dataset, views)):
        fitted = fit_cross_language(dataset, views, dimensions=dimensions, seed=seed)
    else:
        fitted = {
            name: fit_per_language(dataset, name, dimensions=dimensions, seed=seed)
            for name in views
        }
    for name, one in fitted.items():
        view = dataset.text_view(name)
        result.encoders[name] = one
        result.embeddings[name] = one.encode(view.items(slice(0, len(view))))
