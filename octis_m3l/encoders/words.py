"""Vectors of words from encoders, where no file gives them."""

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.encoders.encode import EncoderName, encode
from octis_m3l.errors import DataError


def encode_words(
    dataset: MultiviewDataset, encoder: EncoderName = "auto", *, dimensions: int = 150
) -> dict[str, NDArray[np.float32]]:
    """Return a vector for each word of each language: what its encoder says of the word alone.

    With 'clsi' all languages' words are in one space, learned from linked training documents.

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
            "read words; use encoder='lsa' or 'clsi'."
        )
    return {
        name: np.asarray(encoders[name].encode(list(view.vocabulary)), np.float32)
        for name, view in dataset.text_views.items()
    }
