"""What neural models over bags of words of unlinked views share."""

import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from octis_m3l.data.arrays import hash_of_rows
from octis_m3l.data.batches import Batch, SparseRows, UnlinkedSampler, ViewTensors
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import PARTITIONS, TextView
from octis_m3l.devices import chosen_device, on_threads
from octis_m3l.errors import SettingsError
from octis_m3l.models.base import NotTrainedError
from octis_m3l.models.output import ModelOutput, finite_topics
from octis_m3l.models.reading import ReadingModel, check_samples
from octis_m3l.models.settings import TrainingSettings, warn_of_few_updates
from octis_m3l.models.storage import check_view_name, load_network
from octis_m3l.models.word_reader import WordReader
from octis_m3l.networks import (
    GaussianPrior,
    SharedDecoder,
    TypicalLength,
    ViewModules,
    expected_topics,
    sample_topics,
)
from octis_m3l.training import derive_seed, reproducible, train

_ROWS_AT_ONCE = 2048


class WordsNetwork(nn.Module):
    """A network that knows a posterior for the bags of words of each view, and its topics.

    Parameters
    ----------
    vocabularies : mapping of view to int
        How many words.
    topics : int
        K.
    epsilon : float
        Of the decoders' batch normalisation.
    """

    def __init__(
        self, vocabularies: Mapping[str, int], topics: int, *, epsilon: float = 1e-5
    ) -> None:
        super().__init__()
        self.shape: dict[str, Any] = {"vocabularies": dict(vocabularies)}
        self.prior = GaussianPrior(topics)
        self.decoders = ViewModules(
            {name: SharedDecoder(size, epsilon=epsilon) for name, size in vocabularies.items()}
        )
        self.lengths = ViewModules({name: TypicalLength() for name in vocabularies})

    @abstractmethod
    def posterior(self, view: str, words: SparseRows) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² (rows × K) of a view's documents."""

    @abstractmethod
    def betas(self) -> dict[str, Tensor]:
        """Return each view's β (K × vocabulary)."""

    def topic_words(self) -> dict[str, Tensor]:
        """Return each view's distributions of words (K × vocabulary), softmax(β)."""
        return {name: beta.detach().softmax(dim=1) for name, beta in self.betas().items()}

    def autoencoded(
        self,
        posteriors: Mapping[str, tuple[Tensor, Tensor]],
        words: Mapping[str, SparseRows],
        betas: Mapping[str, Tensor],
        decoders: Mapping[str, Any] | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return RL and KL to the prior, each a sum over views of means over documents; and θ.

        Parameters
        ----------
        posteriors : mapping of view to μ and log σ² (documents × K)
            One θ is sampled of each.
        words : mapping of view to SparseRows
            The documents' bags of words.
        betas : mapping of view to Tensor (K × words)
            What decodes them.
        decoders : mapping of view to SharedDecoder, optional
            Default: each view's own.
        """
        own: Any = self.decoders
        lost, diverged, thetas = [], [], {}
        for name, posterior in posteriors.items():
            thetas[name] = sample_topics(*posterior)
            decoder = (decoders or own)[name]
            lost.append(decoder.loss(thetas[name], betas[name], words[name]).mean())
            diverged.append(self.prior.divergence(*posterior).mean())
        return {
            "reconstruction": torch.stack(lost).sum(),
            "prior": torch.stack(diverged).sum(),
        }, thetas


def words_of(batch: Batch) -> dict[str, SparseRows]:
    """Return the bags of words of a batch of texts."""
    return {name: view.words for name, view in batch.views.items() if view.words is not None}


class BagOfWordsModel(ReadingModel):
    """A topic model whose networks read bags of words, view by view; links are not looked at.

    Views of images are left out, with a warning. The networks read raw counts, and a document that
    is far longer than those in training is read as one of the mean length: see `TypicalLength`.

    Parameters
    ----------
    num_topics : int, optional
        As for `TopicModel`.
    **arguments
        As for `TopicModel`.
    """

    def __init__(self, num_topics: int | None = None, **arguments: Any) -> None:
        super().__init__(num_topics, **arguments)
        self.network: WordsNetwork | None = None

    @abstractmethod
    def _network(self, described: Mapping[str, Any], settings: Any) -> WordsNetwork:
        """Return the network, not trained, from what `_shape`, or a saved `shape`, says."""

    @abstractmethod
    def _shape(self, dataset: MultiviewDataset, settings: Any) -> dict[str, Any]:
        """Return what the network must know of the data; its own `shape`, as JSON, is saved."""

    def _given_data(
        self, dataset: MultiviewDataset, settings: Any, network: Any
    ) -> Mapping[str, NDArray[Any]]:
        """Give the network what else it takes from the data; return the views' embeddings."""
        return {name: np.zeros((len(v), 0), np.float32) for name, v in dataset.text_views.items()}

    def _check_items(self, dataset: MultiviewDataset, settings: Any) -> None:
        texts = dataset.text_views
        self._check_patience(dataset, settings)
        self._sampler(dataset, settings, {n: np.zeros((len(v), 0)) for n, v in texts.items()})

    def _sampler(
        self,
        dataset: MultiviewDataset,
        settings: TrainingSettings,
        embeddings: Mapping[str, NDArray[Any]],
        device: torch.device | str = "cpu",
    ) -> UnlinkedSampler:
        return UnlinkedSampler(
            dataset,
            "train" if self.use_partitions else None,
            embeddings,
            settings.batch_size,
            device=device,
            shrinks="batch_size" not in settings.model_fields_set,
        )

    def _check_patience(self, dataset: MultiviewDataset, settings: TrainingSettings) -> None:
        held_out = [view.sizes[1] for view in dataset.text_views.values()]
        if settings.patience and not (self.use_partitions and min(held_out) > 1):
            raise SettingsError(
                f"patience={settings.patience}: early stopping needs a validation partition with "
                "items of every view, and the data set has none in use; split it "
                "(dataset.with_split) or set patience=0."
            )

    def _train(
        self, dataset: MultiviewDataset, settings: TrainingSettings, seed: int, top_words: int
    ) -> ModelOutput:
        self.network = self.history = None
        if dataset.image_views:
            warnings.warn(
                f"{self.name} learns from words: views {', '.join(dataset.image_views)} are left "
                "out.",
                stacklevel=4,
            )
            dataset = dataset.with_views(list(dataset.text_views))
        self._check_patience(dataset, settings)
        device = torch.device(chosen_device(settings.device))
        with reproducible(device):
            torch.manual_seed(derive_seed(seed, 0))
            network = self._network(self._shape(dataset, settings), settings)
        embeddings = self._given_data(dataset, settings, network)
        sampler = self._sampler(dataset, settings, embeddings, device)
        warn_of_few_updates(settings, len(sampler))
        network.to(device)
        words = sum(len(view.vocabulary) for view in dataset.text_views.values())
        with on_threads(settings.threads, sampler.batch_size * words):
            self.history = train(
                network,
                sampler,
                settings.loop,
                seed=derive_seed(seed, 1),
                validation=self._validation(dataset, settings, embeddings, sampler),
                checkpoint=None if self.checkpoint is None else self.checkpoint / f"seed-{seed}",
                run=self._run(dataset, settings, embeddings),
                progress=bool(self.progress),
            )
        self.network, self.trained_settings, self.run_seed = network, settings, seed
        self.readers = {name: WordReader.of_view(view) for name, view in dataset.text_views.items()}
        documents = {}
        for name, view in dataset.text_views.items():
            theta = self._theta(view, np.arange(len(view)))
            documents[name] = (
                {p: theta[view.rows(p)] for p in PARTITIONS}
                if self.use_partitions
                else {"train": theta}
            )
        topics = {n: m.detach().cpu().numpy() for n, m in network.topic_words().items()}
        vocabularies = {n: v.vocabulary for n, v in dataset.text_views.items()}
        return ModelOutput(dataset.pivot, topics, documents, vocabularies, top_words, seed)

    def _validation(
        self,
        dataset: MultiviewDataset,
        settings: TrainingSettings,
        embeddings: Mapping[str, NDArray[Any]],
        sampler: UnlinkedSampler,
    ) -> UnlinkedSampler | None:
        if not settings.patience:
            return None
        held_out = [dataset.view(name).sizes[1] for name in embeddings]
        return UnlinkedSampler(
            dataset,
            "validation",
            embeddings,
            min(settings.batch_size, max(held_out)),
            device=sampler.device,
            tensors=sampler.tensors,
        )

    def _run(
        self,
        dataset: MultiviewDataset,
        settings: TrainingSettings,
        embeddings: Mapping[str, NDArray[Any]],
    ) -> dict[str, Any]:
        """Say what run this is, so that no other run's checkpoint is taken for it."""
        if self.checkpoint is None:
            return {}
        vectors = {
            name: hash_of_rows(view.word_vectors)
            for name, view in dataset.text_views.items()
            if view.word_vectors is not None
        }
        return {
            "model": self.name,
            "views": list(dataset.text_views),
            **settings.model_dump(exclude={"device", "threads", "inference_samples", "seed"}),
            "use_partitions": self.use_partitions,
            "data": dataset.fingerprints(),
            "embeddings": {name: hash_of_rows(array) for name, array in embeddings.items()},
            "word_vectors": vectors,
            "dictionaries": {
                f"{first} {second}": hash_of_rows(pairs)
                for (first, second), pairs in dataset.dictionaries.items()
            },
        }

    def infer(
        self, items: Sequence[Any] | NDArray[Any], view: str, *, samples: int | None = None
    ) -> NDArray[np.float32]:
        """Return θ of new documents of one view, from their words alone.

        Parameters
        ----------
        items : sequence of str, or matrix of word counts (items × vocabulary)
            Raw texts go through the preprocessing that the view was trained with.
        view : str
            The items' view.
        samples : int, optional
            That θ is averaged over; 0 gives softmax(μ). Default: ``inference_samples``.

        Returns
        -------
        array of float32 (items × K)
            The answer for an item does not depend on the others.

        Raises
        ------
        DataError
            If the view is unknown, or items are not as said here.
        NotTrainedError
            If the model is not trained.
        """
        self._ready()
        check_samples(samples, least=0)
        read = self._read(items, view)
        self._warn_of_unknown(np.diff(read.offsets) == 0, f"items of view '{view}'", view)
        return finite_topics(self._theta(read, np.arange(len(read)), samples), view)

    def _theta(
        self, view: TextView, rows: NDArray[np.int64], samples: int | None = None
    ) -> NDArray[np.float32]:
        network, settings = self._ready(), self.trained_settings
        wanted = settings.inference_samples if samples is None else samples
        network.eval()
        device = next(network.parameters()).device
        tensors = ViewTensors(
            np.zeros((len(view), 0), np.float32), view.bag_of_words, view.vocabulary, device=device
        )
        seed = derive_seed(self.run_seed or 0, 2)
        parts = [np.zeros((0, settings.num_topics), np.float32)]
        with torch.no_grad(), on_threads(settings.threads):
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                piece = torch.from_numpy(rows[start : start + _ROWS_AT_ONCE]).to(device)
                mean, log_variance = network.posterior(view.name, tensors.words(piece))
                parts.append(expected_topics(mean, log_variance, wanted, seed).cpu().numpy())
        return np.concatenate(parts)

    def _ready(self) -> WordsNetwork:
        if self.network is None:
            raise NotTrainedError(f"{self.name} is not trained yet; call fit or train_model first.")
        return self.network

    def _save_parts(self, folder: Path) -> dict[str, Any]:
        network: Any = self._ready()
        weights = {n: t.detach().cpu().contiguous() for n, t in network.state_dict().items()}
        save_file(weights, folder / "weights.safetensors")
        preprocessing = {
            name: reader.preprocessor.as_dict()
            for name, reader in self.readers.items()
            if isinstance(reader, WordReader)
        }
        return {"network": network.shape, "preprocessing": preprocessing}

    def _load_parts(
        self, folder: Path, described: Mapping[str, Any], device: str
    ) -> dict[str, NDArray[Any]]:
        for name, settings in described["preprocessing"].items():
            check_view_name(folder, name)
            words = described["vocabularies"][name]
            self.readers[name] = WordReader.restored(name, words, settings)
        network = load_network(
            folder, lambda: self._network(described["network"], self.trained_settings)
        )
        self.network = network.to(chosen_device(device)).eval()
        return {n: m.detach().cpu().numpy() for n, m in network.topic_words().items()}


def word_frequencies(view: TextView, partition: str | None) -> NDArray[np.int64]:
    """Return how often each word of a view occurs."""
    rows = view.rows(partition) if partition else slice(0, len(view))
    ids = view.token_ids[view.offsets[rows.start] : view.offsets[rows.stop]]
    return np.bincount(ids, minlength=len(view.vocabulary))
