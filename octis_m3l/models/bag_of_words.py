"""Neural models of unlinked languages: their networks read bags of words."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import TypeVar

from octis_m3l.data.arrays import hash_of_rows
from octis_m3l.data.batches import Batch, SparseRows, UnlinkedSampler, ViewTensors
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.words import translations
from octis_m3l.errors import warn
from octis_m3l.models.base import Embeddings, Fit, Matrices
from octis_m3l.models.neural import NeuralTopicModel, TopicNetwork
from octis_m3l.models.output import ModelOutput
from octis_m3l.models.settings import TrainingSettings
from octis_m3l.models.word_reader import ReadingModel, WordReader
from octis_m3l.networks import (
    BagOfWordsNetwork,
    GaussianPrior,
    SharedDecoder,
    TypicalLength,
    ViewModules,
    sample_topics,
    xavier,
)

B = TypeVar("B", bound=TrainingSettings, default=Any)
_ROWS_AT_ONCE = 2048
Sizes = Mapping[str, int]
Words = Mapping[str, SparseRows]
Betas = Mapping[str, Tensor]
Posteriors = Mapping[str, tuple[Tensor, Tensor]]


class WordsNetwork(TopicNetwork):
    """A network with a posterior for the bags of words of each view, and topics for each.

    `vocabularies` are the numbers of words; `epsilon` is added to the variance in the decoders'
    batch normalisation. A subclass sets `topics` (`new_topics`), unless it overrides `betas`.
    """

    topics: nn.ParameterList

    def __init__(self, vocabularies: Sizes, topics: int, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.shape = {"vocabularies": dict(vocabularies)}
        self.prior = GaussianPrior(topics)
        self.decoders = ViewModules(
            {name: SharedDecoder(size, epsilon=epsilon) for name, size in vocabularies.items()}
        )
        self.lengths = ViewModules({name: TypicalLength() for name in vocabularies})

    @abstractmethod
    def posterior(
        self, view: str, items: SparseRows, batch: Batch | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of a view's documents; in training, of a batch, with dropout."""

    def betas(self) -> dict[str, Tensor]:
        """Return each view's β (K × vocabulary)."""
        return dict(zip(self.decoders, self.topics, strict=True))

    def topic_words(self) -> dict[str, Tensor]:
        """Return each view's distributions of words (K × vocabulary), softmax(β)."""
        return {name: beta.softmax(dim=1) for name, beta in self.betas().items()}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss, each a sum over views of means over documents."""
        words = words_of(batch)
        posteriors = {name: self.posterior(name, of, batch) for name, of in words.items()}
        return self.autoencoded(posteriors, batch, words, self.betas())[0]

    def autoencoded(
        self,
        posteriors: Posteriors,
        batch: Batch,
        words: Words,
        betas: Betas,
        joint: SharedDecoder | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return RL and KL to the prior, each a sum over views of means over documents; and θ.

        One θ is sampled from each view's posterior; the topics `betas` decode it, by each view's
        own decoder or by the joint one of all views.
        """
        reconstructions, divergences, thetas = [], [], {}
        what = "joint topics" if joint else "topics"
        for name, posterior in posteriors.items():
            noise = batch.normal(what, posterior[0], [name])
            thetas[name] = sample_topics(*posterior, noise)
            decoder = joint or self.decoders[name]
            reconstruction = decoder.loss(thetas[name], betas[name], words[name])
            reconstructions.append(reconstruction.mean())
            divergences.append(self.prior.divergence(*posterior).mean())
        return {
            "reconstruction": torch.stack(reconstructions).sum(),
            "prior": torch.stack(divergences).sum(),
        }, thetas


def words_of(batch: Batch) -> dict[str, SparseRows]:
    """Return the bags of words of a batch of texts."""
    return {name: view.words for name, view in batch.views.items() if view.words is not None}


def new_topics(vocabularies: Sizes, topics: int) -> nn.ParameterList:
    """Return a new β for each view."""
    return nn.ParameterList(xavier(topics, size) for size in vocabularies.values())


def words_encoder(
    words: int,
    settings: TrainingSettings,
    hidden_sizes: tuple[int, ...] | None = None,
    **arguments: Any,
) -> BagOfWordsNetwork:
    """Return a new inference network over bags of words with a model's settings."""
    return BagOfWordsNetwork(
        words,
        settings.num_topics,
        hidden_sizes or settings.hidden_sizes,
        activation=settings.activation,
        dropout=settings.dropout,
        **arguments,
    )


class BagOfWordsModel(ReadingModel[B], NeuralTopicModel[B]):
    """A topic model whose networks read bags of words, view by view; links are ignored.

    Views of images are left out, with a warning. The networks read raw counts; a document much
    longer than those in training is scaled down to the mean length: see `TypicalLength`.
    """

    sampler_class = UnlinkedSampler
    needs_dictionary: ClassVar[bool] = False
    """Whether the model needs dictionaries that tie all languages."""

    def _translations(self, fit: Fit[B]) -> dict[tuple[str, str], NDArray[np.int64]]:
        """Return the dictionaries in both directions, if they tie all languages."""
        return translations(fit.dataset.dictionaries, fit.dataset.text_views, self.name)

    def _used(self, dataset: MultiviewDataset) -> MultiviewDataset:
        if not dataset.image_views:
            return dataset
        warn(f"{self.name} learns from words: views {', '.join(dataset.image_views)} are left out.")
        return dataset.with_views(list(dataset.text_views))

    def _check(self, fit: Fit[B]) -> None:
        if self.needs_dictionary:
            self._translations(fit)
        super()._check(fit)

    def _embed(self, fit: Fit[B]) -> Embeddings:
        views = fit.dataset.text_views
        return {name: np.zeros((len(view), 0), np.float32) for name, view in views.items()}

    def _known_items(self, fit: Fit[B]) -> Mapping[str, Any]:
        return fit.dataset.text_views

    def _pieces(self, items: Any, device: torch.device) -> Iterator[SparseRows]:
        none = np.zeros((len(items), 0), np.float32)
        tensors = ViewTensors(none, items.bag_of_words, items.vocabulary, device=device)
        every = torch.arange(len(items), device=device)
        for start in range(0, len(items), _ROWS_AT_ONCE):
            yield tensors.words(every[start : start + _ROWS_AT_ONCE])

    def _train(self, fit: Fit[B]) -> ModelOutput:
        views = fit.dataset.text_views
        self.readers = {name: WordReader.of_view(view) for name, view in views.items()}
        return super()._train(fit)

    def _run(self, fit: Fit[B]) -> dict[str, Any]:
        vectors = {name: view.word_vectors for name, view in fit.dataset.text_views.items()}
        pairs = {" ".join(views): rows for views, rows in fit.dataset.dictionaries.items()}
        return {
            **super()._run(fit),
            "views": list(fit.dataset.text_views),
            "word_vectors": {n: hash_of_rows(v) for n, v in vectors.items() if v is not None},
            "dictionaries": {views: hash_of_rows(rows) for views, rows in pairs.items()},
        }

    def _save_parts(self, folder: Path) -> dict[str, Any]:
        texts = {n: reader for n, reader in self.readers.items() if isinstance(reader, WordReader)}
        preprocessing = {name: reader.preprocessor.as_dict() for name, reader in texts.items()}
        return {**super()._save_parts(folder), "preprocessing": preprocessing}

    def _load_parts(self, folder: Path, described: Mapping[str, Any], device: str) -> Matrices:
        words = described["vocabularies"]
        self.readers = {
            name: WordReader.restored(name, words[name], settings)
            for name, settings in described["preprocessing"].items()
        }
        return super()._load_parts(folder, described, device)
