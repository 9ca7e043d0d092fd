"""NMTM: topics of unlinked languages that share words through a dictionary."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from octis_m3l.data.batches import Batch, SparseRows
from octis_m3l.models.bag_of_words import (
    BagOfWordsModel,
    Sizes,
    WordsNetwork,
    new_topics,
    words_encoder,
)
from octis_m3l.models.base import Fit
from octis_m3l.models.settings import TrainingSettings, unlinked_presets
from octis_m3l.networks import SparseLinear, Translation, ViewModules

# As in the released code, which took TensorFlow's default.
_EPSILON = 1e-3


class NMTMSettings(TrainingSettings):
    """Hyperparameters of `NMTM`; the defaults are the paper's."""

    mixture: float = Field(
        0.8, ge=0, le=1, description="λ, the share of the other languages' words in a topic"
    )
    presets = unlinked_presets(hidden_size=200, epochs=500, batch_size=200)


class NMTMNetwork(WordsNetwork):
    """The network and the loss of NMTM; `translations` are source, target, number of pairs."""

    settings: NMTMSettings

    def __init__(
        self,
        vocabularies: Sizes,
        settings: NMTMSettings,
        translations: Sequence[tuple[str, str, int]] = (),
    ) -> None:
        super().__init__(vocabularies, settings.num_topics, epsilon=_EPSILON)
        self.settings = settings
        self.shape["translations"] = [list(one) for one in translations]
        self.phis = new_topics(vocabularies, settings.num_topics)
        self.first = ViewModules(
            {name: SparseLinear(size, settings.hidden_size) for name, size in vocabularies.items()}
        )
        # Languages share all layers but the first.
        self.shared = words_encoder(1, settings, epsilon=_EPSILON, views=list(vocabularies))
        self.shared.input_layer = nn.Identity()
        into: dict[str, dict[str, Translation]] = {name: {} for name in vocabularies}
        for source, target, pairs in translations:
            into[target][source] = Translation(pairs, vocabularies[source], vocabularies[target])
        self.into = ViewModules({name: ViewModules(modules) for name, modules in into.items()})

    def betas(self) -> dict[str, Tensor]:
        """Return each language's β (K × vocabulary): its own φ, and the others', translated."""
        phis = dict(zip(self.first, self.phis, strict=True))
        mixture, betas = self.settings.mixture, {}
        for name, phi in phis.items():
            others = [into(phis[source]) for source, into in self.into[name].items()]
            mixed = mixture * sum(others) / len(others) + (1 - mixture) * phi if others else phi
            betas[name] = mixed
        return betas

    def posterior(
        self, view: str, items: SparseRows, batch: Batch | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of a view's documents; in training, of a batch, with dropout."""
        first = self.first[view](self.lengths[view](items))
        return self.shared.upper(first, view, drop=self.drop(batch, view))


class NMTM(BagOfWordsModel[NMTMSettings]):
    """NMTM: topics of any number of unlinked languages, mixed through dictionaries.

    L = Σ_l [ RL_l + KL(q_l ‖ prior) ], decoded with β_l = λ · mean_m φ_m M_{m→l} + (1 − λ) φ_l
    over the languages m that a dictionary translates into l; see `Translation` for M. Encoders
    share all layers but the first. β is what is published. Needs dictionaries that tie all views
    (``dataset.with_dictionary``).

    Departures from the paper: with more than two languages a topic takes the mean of the others'.
    Batch normalisation keeps running statistics for each language, where the released code mixes
    them, and with torch's momentum, .1: with the released .001, the statistics would still be
    close to their initial values after a few hundred batches.

    References
    ----------
    Wu et al. (2020), Learning multilingual topics with neural variational inference, NLPCC.
    """

    name: ClassVar[str] = "nmtm"
    least_views: ClassVar[int] = 2
    needs_dictionary: ClassVar[bool] = True
    settings_class = NMTMSettings
    network_class = NMTMNetwork
    search_space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "num_topics": (10, 200),
        "mixture": (0.0, 1.0),
        "hidden_size": (50, 400),
        "learning_rate": (2e-4, 2e-2, "log-uniform"),
    }

    def _shape(self, fit: Fit[NMTMSettings]) -> dict[str, Any]:
        pairs = [(*views, len(rows)) for views, rows in self._translations(fit).items()]
        return {**super()._shape(fit), "translations": pairs}

    def _fill(self, network: Any, fit: Fit[NMTMSettings]) -> None:
        for (source, target), pairs in self._translations(fit).items():
            view = fit.dataset.text_view(source)
            # How often each word occurs in the training documents.
            start, stop = view.offsets[[0, fit.rows(view).stop]]
            frequencies = np.bincount(view.token_ids[start:stop], minlength=len(view.vocabulary))
            network.into[target][source].fit(pairs, frequencies)
