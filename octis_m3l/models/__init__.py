"""One OCTIS model a file."""

from typing import Any

from octis_m3l.models.m3l_contrast import M3LContrast
from octis_m3l.models.output import ModelOutput
from octis_m3l.models.storage import load_model
from octis_m3l.models.zeroshot_tm import ZeroshotTM

MODELS: dict[str, Any] = {model.name: model for model in (M3LContrast, ZeroshotTM)}

__all__ = ["MODELS", "M3LContrast", "ModelOutput", "ZeroshotTM", "load_model"]
