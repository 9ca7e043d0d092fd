"""Pure loss functions, one a file."""

from octis_m3l.losses.averages import averaged, averaged_over_views
from octis_m3l.losses.cka import cka_loss
from octis_m3l.losses.info_nce import info_nce
from octis_m3l.losses.kl import kl_between_gaussians, kl_between_views
from octis_m3l.losses.reconstruction import reconstruction
from octis_m3l.losses.word_alignment import word_alignment

__all__ = [
    "averaged",
    "averaged_over_views",
    "cka_loss",
    "info_nce",
    "kl_between_gaussians",
    "kl_between_views",
    "reconstruction",
    "word_alignment",
]
