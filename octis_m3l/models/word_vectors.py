"""The vectors of words that tie languages, and whether those of two languages can be compared."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import TextView
from octis_m3l.data.words import unit_rows
from octis_m3l.encoders.latent_semantic import languages_are_linked
from octis_m3l.encoders.pretrained import PretrainedEncoder
from octis_m3l.errors import DataError

_ENOUGH_PAIRS, _CHANCE = 200, 0.55


def encoder_of_words(dataset: MultiviewDataset, encoder: str) -> str | None:
    """Return the encoder that gives words vectors in one space where no view has any, or None."""
    views = dataset.text_views
    if any(view.word_vectors is not None for view in views.values()):
        return None
    if encoder in ("auto", "clsi") and languages_are_linked(dataset, [*views]):
        return "clsi"
    return "lsa" if encoder in ("auto", "lsa") and len(views) == 1 else None


def check_word_vectors(dataset: MultiviewDataset, encoder: str) -> None:
    """Raise if words of several languages have no vectors in one space and can't be given any."""
    views = dataset.text_views
    lacking = _lacking(views)
    if lacking and len(views) > 1 and encoder_of_words(dataset, encoder) is None:
        raise DataError(
            f"views {', '.join(lacking)} have no word vectors, and encoder='{encoder}' gives their "
            "words none in one space; attach word vectors of one space (dataset.with_word_vectors),"
            " or use encoder='clsi' with linked data."
        )


def _lacking(views: Mapping[str, TextView]) -> list[str]:
    """Return the views without word vectors, if these are all; check what the others have."""
    _check_origins(views)
    having = [name for name, view in views.items() if view.word_vectors is not None]
    lacking = [name for name in views if name not in having]
    if having and lacking:
        raise DataError(
            f"views {', '.join(having)} have word vectors and {', '.join(lacking)} none; give "
            "vectors of one space to all of them (dataset.with_word_vectors)."
        )
    return lacking


def vectors_of_words(
    dataset: MultiviewDataset, encoders: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    """Return the vectors of all views' words, in one space.

    The views' own word vectors, where every view has them; else what the views' encoders say of
    each word as a document of its own.
    """
    views = dataset.text_views
    lacking = _lacking(views)
    missing = [name for name in lacking if name not in encoders]
    if missing:
        raise DataError(
            f"views {', '.join(missing)} have neither word vectors nor an encoder that could give "
            "some; attach word vectors of one space (dataset.with_word_vectors), or use "
            "encoder='clsi' with linked data."
        )
    apart = [name for name in lacking if getattr(encoders[name], "name", "") != "clsi"]
    if apart and len(views) > 1:
        why = (
            "is not known to put the languages into one space, so that words of two can't be "
            "compared"
            if isinstance(encoders[apart[0]], PretrainedEncoder)
            else "puts each language in a space of its own, where words of two languages can't be "
            "compared"
        )
        raise DataError(
            f"views {', '.join(lacking)} have no word vectors, and their encoder "
            f"('{encoders[apart[0]].name}') {why}; attach word vectors of one space "
            "(dataset.with_word_vectors), or use encoder='clsi' with linked data."
        )
    vectors: dict[str, NDArray[Any]] = {}
    for name, view in views.items():
        given = view.word_vectors
        vectors[name] = np.asarray(
            encoders[name].encode(list(view.vocabulary)) if given is None else given
        )
    sizes = {name: array.shape[1] for name, array in vectors.items()}
    if len(set(sizes.values())) > 1:
        raise DataError(
            "word vectors differ in dimensions ("
            + ", ".join(f"{name} {size}" for name, size in sizes.items())
            + "); give vectors of one space to all views."
        )
    for name, array in vectors.items():
        unknown = int((~array.any(axis=1)).sum())
        if unknown:
            warnings.warn(
                f"{unknown} of {len(array)} words of view '{name}' have no vector (zeros): they "
                "have no neighbours and are none.",
                stacklevel=6,
            )
    _warn_of_strangers(dataset, vectors)
    return vectors


def _check_origins(views: Mapping[str, TextView]) -> None:
    """Refuse word vectors that are known to have been made for each language by itself."""
    spaces = {name: v.word_space for name, v in views.items() if v.word_vectors is not None}
    if len(set(spaces.values())) > 1:
        alone = [f"{name} ({space})" for name, space in spaces.items() if space is not None]
        raise DataError(
            f"the word vectors of {', '.join(alone)} were made for that language alone, so words "
            "of two languages can't be compared by them; attach vectors of one space to all views: "
            "dataset.with_word_vectors({view: file}), or octis-m3l build --word-vectors VIEW=FILE "
            "for each view."
        )


def _warn_of_strangers(dataset: MultiviewDataset, vectors: Mapping[str, NDArray[Any]]) -> None:
    """Warn where a dictionary's pairs are no nearer to each other than other words."""
    for (first, second), pairs in dataset.dictionaries.items():
        one, other = vectors[first][pairs[:, 0]], vectors[second][pairs[:, 1]]
        known = one.any(axis=1) & other.any(axis=1)
        one, other = unit_rows(one[known]), unit_rows(other[known])
        if len(one) < _ENOUGH_PAIRS:
            continue
        shuffled = other[np.random.default_rng(0).permutation(len(other))]
        nearer = float(((one * other).sum(axis=1) > (one * shuffled).sum(axis=1)).mean())
        if nearer < _CHANCE:
            warnings.warn(
                f"the word vectors of {first} and {second} seem to be of two spaces: of "
                f"{len(one)} pairs of their dictionary only {nearer:.0%} are nearer to each other "
                "than to a random word (50% would be chance); attach vectors of one space "
                "(dataset.with_word_vectors).",
                stacklevel=7,
            )
