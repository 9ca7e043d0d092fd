"""Raw text and pictures to vectors."""

from octis_m3l.encoders.encode import Encodings, encode
from octis_m3l.encoders.latent_semantic import (
    LatentSemanticEncoder,
    fit_cross_language,
    fit_per_language,
    from_word_vectors,
)
from octis_m3l.encoders.picture import PictureEncoder
from octis_m3l.encoders.protocol import Encoder
from octis_m3l.encoders.storage import load_encoder, save_encoder
from octis_m3l.encoders.words import encode_words

__all__ = [
    "Encoder",
    "Encodings",
    "LatentSemanticEncoder",
    "PictureEncoder",
    "encode",
    "encode_words",
    "fit_cross_language",
    "fit_per_language",
    "from_word_vectors",
    "load_encoder",
    "save_encoder",
]
