"""Vectors of words by which languages can be compared."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import TextView
from octis_m3l.data.words import unit_rows
from octis_m3l.encoders.encode import BUNDLED, EncoderName, chosen_encoder, encode, encode_words
from octis_m3l.encoders.latent_semantic import languages_are_linked
from octis_m3l.errors import DataError, warn

_ENOUGH_PAIRS, _CHANCE = 200, 0.55


def check_word_vectors(dataset: MultiviewDataset, encoder: EncoderName) -> EncoderName | None:
    """Check that all words have, or can be given, vectors in one space.

    Returns the encoder that gives words their vectors; None if the views have their own.
    """
    views = dataset.text_views
    given = [name for name, view in views.items() if view.word_vectors is not None]
    lacking = [name for name in views if name not in given]
    if given and lacking:
        raise DataError(
            f"views {', '.join(given)} have word vectors and {', '.join(lacking)} none; give "
            "vectors of one space to all of them (dataset.with_word_vectors)."
        )
    if given:
        _check_given(views)
        return None
    chosen, _ = chosen_encoder(dataset, lacking) if encoder == "auto" else (encoder, "")
    linked = languages_are_linked(dataset, lacking)
    if len(views) == 1 or chosen in BUNDLED or (linked and chosen in ("clsi", "use+clsi")):
        return chosen
    raise DataError(
        f"views {', '.join(lacking)} have no word vectors, and encoder='{encoder}' does not give "
        "words of several languages vectors in one space; attach word vectors of one space "
        "(dataset.with_word_vectors), or use encoder='use', or 'clsi' with linked data."
    )


def word_vectors(
    dataset: MultiviewDataset, encoder: EncoderName, dimensions: int, progress: bool = False
) -> dict[str, NDArray[np.floating]]:
    """Return vectors of all views' words, in one space.

    They are the views' own, if all views have word vectors, else those of `encode_words`, from the
    documents' encoders if these can be used.
    """
    chosen = check_word_vectors(dataset, encoder)
    if chosen is None:
        vectors = {name: np.asarray(v.word_vectors) for name, v in dataset.text_views.items()}
    else:
        # Remembered from encoding the documents.
        encoders = encode(dataset, encoder, dimensions=dimensions).encoders
        kinds = {encoders[n].name if n in encoders else None for n in dataset.text_views}
        if kinds != {chosen}:
            encoder = chosen
        vectors = dict(encode_words(dataset, encoder, dimensions=dimensions, progress=progress))
    for name, array in vectors.items():
        unknown = int((~array.any(axis=1)).sum())
        if unknown:
            warn(
                f"{unknown} of {len(array)} words of view '{name}' have no vector (zeros): they "
                "have no neighbours and are no neighbours of other words."
            )
    _warn_of_two_spaces(dataset, vectors)
    return vectors


def _check_given(views: Mapping[str, TextView]) -> None:
    """Refuse word vectors that are known not to be of one space."""
    spaces = {name: view.word_space for name, view in views.items()}
    if len(set(spaces.values())) > 1:
        alone = [f"{name} ({space})" for name, space in spaces.items() if space is not None]
        raise DataError(
            f"the word vectors of {', '.join(alone)} were made for that language alone, so words "
            "of two languages can't be compared by them; attach vectors of one space to all views: "
            "dataset.with_word_vectors({view: file}), or octis-m3l build --word-vectors VIEW=FILE "
            "for each view."
        )
    sizes = {n: v.word_vectors.shape[1] for n, v in views.items() if v.word_vectors is not None}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DataError(
            f"word vectors differ in dimensions ({shown}); give vectors of one space to all views."
        )


def _warn_of_two_spaces(
    dataset: MultiviewDataset, vectors: Mapping[str, NDArray[np.floating]]
) -> None:
    """Warn if a dictionary's pairs are no nearer to each other than random words."""
    for (first, second), pairs in dataset.dictionaries.items():
        one, other = vectors[first][pairs[:, 0]], vectors[second][pairs[:, 1]]
        known = one.any(axis=1) & other.any(axis=1)
        one, other = unit_rows(one[known]), unit_rows(other[known])
        if len(one) < _ENOUGH_PAIRS:
            continue
        shuffled = other[np.random.default_rng(0).permutation(len(other))]
        nearer = float(((one * other).sum(axis=1) > (one * shuffled).sum(axis=1)).mean())
        if nearer < _CHANCE:
            warn(
                f"the word vectors of {first} and {second} seem to be of two spaces: of "
                f"{len(one)} pairs of their dictionary only {nearer:.0%} are nearer to each other "
                "than to a random word (50% would be chance); attach vectors of one space "
                "(dataset.with_word_vectors)."
            )
