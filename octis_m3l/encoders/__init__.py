"""Raw text and pictures to vectors."""

from octis_m3l.encoders.base import Encoder
from octis_m3l.encoders.bundled import E5Encoder, UniversalSentenceEncoder
from octis_m3l.encoders.cache import EmbeddingCache
from octis_m3l.encoders.clip import ClipEncoder
from octis_m3l.encoders.encode import Encodings, embed, encode, encode_words
from octis_m3l.encoders.joined import JoinedEncoder
from octis_m3l.encoders.latent_semantic import (
    LatentSemanticEncoder,
    fit_cross_language,
    fit_per_language,
    from_word_vectors,
)
from octis_m3l.encoders.picture import PictureEncoder
from octis_m3l.encoders.saving import described, load_encoder, save_encoder
from octis_m3l.encoders.sentence import SentenceEncoder
from octis_m3l.encoders.specification import encoder_from
from octis_m3l.encoders.static import StaticEncoder
from octis_m3l.encoders.timm_encoder import TimmEncoder

__all__ = [
    "ClipEncoder",
    "E5Encoder",
    "EmbeddingCache",
    "Encoder",
    "Encodings",
    "JoinedEncoder",
    "LatentSemanticEncoder",
    "PictureEncoder",
    "SentenceEncoder",
    "StaticEncoder",
    "TimmEncoder",
    "UniversalSentenceEncoder",
    "described",
    "embed",
    "encode",
    "encode_words",
    "encoder_from",
    "fit_cross_language",
    "fit_per_language",
    "from_word_vectors",
    "load_encoder",
    "save_encoder",
]
