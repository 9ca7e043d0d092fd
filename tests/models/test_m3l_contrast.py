"""M3L-Contrast."""

from octis_m3l.models import M3LContrast

from .contract import NeuralModelContract


class TestM3LContrast(NeuralModelContract):
    model = M3LContrast
    needs_links = True
