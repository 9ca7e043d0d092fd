"""One OCTIS model a file."""

from typing import Any

from octis_m3l.models.gloctm import GloCTM
from octis_m3l.models.infoctm import InfoCTM
from octis_m3l.models.m3l_contrast import M3LContrast
from octis_m3l.models.nmtm import NMTM
from octis_m3l.models.output import ModelOutput
from octis_m3l.models.pltm import PLTM
from octis_m3l.models.storage import load_model
from octis_m3l.models.zeroshot_tm import ZeroshotTM
from octis_m3l.models.zeroshot_tm_kd import ZeroshotTMKD

MODELS: dict[str, Any] = {
    model.name: model
    for model in (M3LContrast, GloCTM, InfoCTM, NMTM, PLTM, ZeroshotTM, ZeroshotTMKD)
}

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
