"""Topic models for many languages and images at once, trained and measured on OCTIS's terms."""

from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

if find_spec("octis") is None:
    raise ImportError(
        "octis-m3l needs OCTIS, whose own pins no Python from 3.11 on can install. Install it "
        "without them: pip install --no-deps octis==1.14.0"
    )

from octis_m3l import compat
from octis_m3l.registry import lazily

compat.install()

if TYPE_CHECKING:
    from octis_m3l.comparison import Comparison, External, OfContextualized, compare
    from octis_m3l.data import ImageView, MultiviewDataset, TextPreprocessor, TextView
    from octis_m3l.data.demo import demo_corpus
    from octis_m3l.encoders import (
        ClipEncoder,
        E5Encoder,
        EmbeddingCache,
        SentenceEncoder,
        StaticEncoder,
        TimmEncoder,
        UniversalSentenceEncoder,
        embed,
        encode,
        encode_words,
    )
    from octis_m3l.metrics import (
        CNPMI,
        JSD,
        MRR,
        NPMI,
        UAP,
        CrosslingualClassification,
        DocumentNPMI,
        OnView,
        OverViews,
        TopicQuality,
        TopicUniqueness,
        score_all,
    )
    from octis_m3l.models import (
        NMTM,
        PLTM,
        GloCTM,
        InfoCTM,
        M3LContrast,
        ModelOutput,
        ZeroshotTM,
        ZeroshotTMKD,
        load_model,
    )
    from octis_m3l.search import Optimizer, search_space

__version__ = version("octis-m3l")

__getattr__ = lazily(__name__, __file__)

__all__ = [
    "CNPMI",
    "JSD",
    "MRR",
    "NMTM",
    "NPMI",
    "PLTM",
    "UAP",
    "ClipEncoder",
    "Comparison",
    "CrosslingualClassification",
    "DocumentNPMI",
    "E5Encoder",
    "EmbeddingCache",
    "External",
    "GloCTM",
    "ImageView",
    "InfoCTM",
    "M3LContrast",
    "ModelOutput",
    "MultiviewDataset",
    "OfContextualized",
    "OnView",
    "Optimizer",
    "OverViews",
    "SentenceEncoder",
    "StaticEncoder",
    "TextPreprocessor",
    "TextView",
    "TimmEncoder",
    "TopicQuality",
    "TopicUniqueness",
    "UniversalSentenceEncoder",
    "ZeroshotTM",
    "ZeroshotTMKD",
    "__version__",
    "compare",
    "demo_corpus",
    "embed",
    "encode",
    "encode_words",
    "load_model",
    "score_all",
    "search_space",
]


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
