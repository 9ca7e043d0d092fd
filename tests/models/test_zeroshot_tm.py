"""ZeroshotTM."""

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.models import ZeroshotTM
from planted import IMAGE

from .contract import NeuralModelContract


class TestZeroshotTM(NeuralModelContract):
    model = ZeroshotTM

    def spoken(self, dataset: MultiviewDataset) -> list[str]:
        return [dataset.pivot]

    def inferred(self, dataset: MultiviewDataset) -> list[str]:
        given = dataset.view(dataset.pivot).embeddings is not None
        return [name for name in dataset.views if given or name != IMAGE]
