"""One OCTIS model a file: a class here that assigns `name` is a model."""

from typing import TYPE_CHECKING, Any

from octis_m3l.registry import Registry, lazily

if TYPE_CHECKING:
    from octis_m3l.models.base import load_model
    from octis_m3l.models.gloctm import GloCTM
    from octis_m3l.models.infoctm import InfoCTM
    from octis_m3l.models.m3l_contrast import M3LContrast
    from octis_m3l.models.nmtm import NMTM
    from octis_m3l.models.output import ModelOutput
    from octis_m3l.models.pltm import PLTM
    from octis_m3l.models.zeroshot_tm import ZeroshotTM
    from octis_m3l.models.zeroshot_tm_kd import ZeroshotTMKD

MODELS: Registry[Any] = Registry(__name__)
"""Every model by its name."""

__getattr__ = lazily(__name__, __file__)

__all__ = [
    "MODELS",
    "NMTM",
    "PLTM",
    "GloCTM",
    "InfoCTM",
    "M3LContrast",
    "ModelOutput",
    "ZeroshotTM",
    "ZeroshotTMKD",
    "load_model",
]
