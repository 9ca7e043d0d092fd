"""NMTM: topics of unlinked languages that share each other's words through a dictionary."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from octis_m3l.data.batches import Batch, SparseRows
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.words import translations
from octis_m3l.models.bag_of_words import (
    BagOfWordsModel,
    WordsNetwork,
    word_frequencies,
    words_of,
)
from octis_m3l.models.settings import TrainingSettings
from octis_m3l.networks import (
    BagOfWordsNetwork,
    SparseLinear,
    Translation,
    ViewModules,
    xavier,
)

# As the released code has it, after TensorFlow's.
_EPSILON = 1e-3


class NMTMSettings(TrainingSettings):
    """Hyperparameters of `NMTM`; the defaults are the paper's."""

    mixture: float = Field(
        0.8, ge=0, le=1, description="λ, what a topic takes from the other languages' words"
    )
    hidden_size: int = Field(200, ge=1, description="units in each hidden layer")
    dropout: float = Field(0.0, ge=0, lt=1, description="in the inference network")
    epochs: int = Field(500, ge=1, description="at most so many")
    batch_size: int = Field(200, ge=2, description="documents of each view in a batch")
    schedule: Literal["constant", "cosine", "halving"] = "constant"
    momentum: float = Field(0.9, ge=0, lt=1, description="β₁ of Adam")
    second_momentum: float = Field(0.999, ge=0, lt=1, description="β₂ of Adam")


class NMTMNetwork(WordsNetwork):
    """The network and the loss of NMTM.

    L = Σ_l [ RL_l + KL(q_l ‖ prior) ], decoded with β_l = λ · mean_m φ_m M_{m→l} + (1 − λ) φ_l over
    the languages m that a dictionary translates into l. Encoders share all layers but the first.
    """

    def __init__(
        self,
        vocabularies: Mapping[str, int],
        pairs: Mapping[tuple[str, str], NDArray[np.int64]],
        frequencies: Mapping[str, NDArray[np.int64]],
        settings: NMTMSettings,
    ) -> None:
        super().__init__(vocabularies, settings.num_topics, epsilon=_EPSILON)
        self.settings = settings
        self.shape["translations"] = [[*views, len(rows)] for views, rows in pairs.items()]
        topics = settings.num_topics
        self.phis = nn.ParameterList(xavier(topics, size) for size in vocabularies.values())
        self.first = ViewModules(
            {name: SparseLinear(size, settings.hidden_size) for name, size in vocabularies.items()}
        )
        self.shared = BagOfWordsNetwork(
            1,
            topics,
            settings.hidden_sizes,
            activation=settings.activation,
            dropout=settings.dropout,
            epsilon=_EPSILON,
            views=list(vocabularies),
        )
        self.shared.input_layer = nn.Identity()
        self.into = ViewModules(
            {
                target: ViewModules(
                    {
                        source: Translation(rows, frequencies[source], size)
                        for (source, into), rows in pairs.items()
                        if into == target
                    }
                )
                for target, size in vocabularies.items()
            }
        )

    def betas(self) -> dict[str, Tensor]:
        """Return each language's β (K × vocabulary): its own φ, and the others', translated."""
        phis = dict(zip(self.first, self.phis, strict=True))
        mixture, mixed = self.settings.mixture, {}
        for name, phi in phis.items():
            sources: Any = self.into[name]
            said = [translation(phis[source]) for source, translation in sources.items()]
            mixed[name] = mixture * sum(said) / len(said) + (1 - mixture) * phi if said else phi
        return mixed

    def posterior(self, view: str, words: SparseRows) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of a view's documents."""
        mean, log_variance = self.shared.upper(self.first[view](self.lengths[view](words)), view)
        return mean, log_variance

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss, each a sum over views of means over documents."""
        words = words_of(batch)
        posteriors = {name: self.posterior(name, of_view) for name, of_view in words.items()}
        terms, _ = self.autoencoded(posteriors, words, self.betas())
        return terms


class NMTM(BagOfWordsModel):
    """NMTM: topics of any number of languages without links, through dictionaries.

    Needs a dictionary that ties each view to another (``dataset.with_dictionary``). The topics
    that are published, β, mix each language's own with the others' translated.

    With more than two languages a topic takes the mean of the others' (the paper has two). Batch
    normalisation keeps running statistics for each language, where the released code mixes them,
    and with torch's momentum, .1: with the released .001, what is inferred after a few hundred
    batches would still be read off the initial ones.

    References
    ----------
    Wu et al. (2020), Learning multilingual topics with neural variational inference, NLPCC.
    """

    name: ClassVar[str] = "nmtm"
    least_views: ClassVar[int] = 2
    settings_class = NMTMSettings
    search_space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "num_topics": (10, 200),
        "mixture": (0.0, 1.0),
        "hidden_size": (50, 400),
        "learning_rate": (2e-4, 2e-2, "log-uniform"),
    }

    def _check(self, dataset: MultiviewDataset, settings: Any) -> None:
        translations(dataset.dictionaries, dataset.text_views, self.name)

    def _shape(self, dataset: MultiviewDataset, settings: Any) -> dict[str, Any]:
        rows = "train" if self.use_partitions else None
        return {
            "vocabularies": {n: len(v.vocabulary) for n, v in dataset.text_views.items()},
            "pairs": translations(dataset.dictionaries, dataset.text_views, self.name),
            "frequencies": {n: word_frequencies(v, rows) for n, v in dataset.text_views.items()},
        }

    def _network(self, described: Mapping[str, Any], settings: Any) -> WordsNetwork:
        sizes = described["vocabularies"]
        if "pairs" in described:
            return NMTMNetwork(sizes, described["pairs"], described["frequencies"], settings)
        # A saved model: the weights that are read next say what the translations are.
        pairs = {(a, b): np.zeros((n, 2), np.int64) for a, b, n in described["translations"]}
        frequencies = {name: np.zeros(size, np.int64) for name, size in sizes.items()}
        return NMTMNetwork(sizes, pairs, frequencies, settings)
