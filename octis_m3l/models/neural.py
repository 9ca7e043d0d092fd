"""What neural models share, whatever their networks read: train, infer, save, load."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from typing_extensions import TypeVar

from octis_m3l.data.arrays import hash_of_rows, read_weights
from octis_m3l.data.batches import Batch, TupleSampler, UnlinkedSampler
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import PARTITIONS
from octis_m3l.devices import chosen_device, on_threads
from octis_m3l.errors import SettingsError
from octis_m3l.models.base import TopicModel
from octis_m3l.models.output import ModelOutput, finite_topics
from octis_m3l.models.reading import check_samples
from octis_m3l.models.settings import TrainingSettings, warn_of_few_updates
from octis_m3l.models.storage import check_view_name
from octis_m3l.networks import expected_topics
from octis_m3l.training import derive_seed, reproducible, train

T = TypeVar("T", bound=TrainingSettings, default=Any)
_NOT_OF_THE_RUN = {"device", "threads", "inference_samples", "seed"}


class TopicNetwork(nn.Module):
    """A network with a posterior for each view, topics for some, and a loss."""

    shape: dict[str, Any]
    """What the network is built from besides the settings, as JSON holds it."""

    @abstractmethod
    def posterior(self, view: str, items: Any) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² (rows × K) of a view's items: embeddings, or `SparseRows`."""

    @abstractmethod
    def topic_words(self) -> dict[str, Tensor]:
        """Return each text view's distributions of words (K × vocabulary)."""

    @abstractmethod
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss on a batch; their sum is minimised."""


class NeuralTopicModel(TopicModel[T]):
    """A topic model whose posterior is a neural network's.

    `EmbeddingModel` and `BagOfWordsModel` say what the network reads.
    """

    network_class: ClassVar[type[nn.Module]]
    sampler_class: ClassVar[type[TupleSampler | UnlinkedSampler]] = TupleSampler

    def __init__(self, num_topics: int | None = None, **arguments: Any) -> None:
        super().__init__(num_topics, **arguments)
        self.network: TopicNetwork | None = None

    # What a kind of input adds.

    @abstractmethod
    def _embed(
        self, dataset: MultiviewDataset, settings: T, seed: int
    ) -> Mapping[str, NDArray[Any]]:
        """Return the embeddings of the items of every view that the model reads."""

    @abstractmethod
    def _known_items(
        self, dataset: MultiviewDataset, embeddings: Mapping[str, NDArray[Any]]
    ) -> Mapping[str, Any]:
        """Return what θ is inferred from, for every view that can be inferred."""

    @abstractmethod
    def _pieces(self, view: str, items: Any, device: torch.device) -> Iterator[Any]:
        """Yield what the network reads of some items, so many at once."""

    @abstractmethod
    def _read(self, items: Sequence[Any] | NDArray[Any], view: str) -> Any:
        """Return new items of a view as `_known_items` returns stored ones."""

    def _used(self, dataset: MultiviewDataset) -> MultiviewDataset:
        """Return the part of a data set that the model can learn from."""
        return dataset

    def _trained_views(self, dataset: MultiviewDataset, settings: T) -> list[str]:
        """Return the views whose items are visited in training."""
        return list(dataset.views)

    def _shape(
        self, dataset: MultiviewDataset, settings: T, embeddings: Mapping[str, NDArray[Any]]
    ) -> dict[str, Any]:
        """Return what the network is built from besides the settings, as JSON holds it."""
        names = self._topic_views(dataset, settings)
        return {"vocabularies": {n: len(dataset.text_view(n).vocabulary) for n in names}}

    def _network(self, shape: Mapping[str, Any], settings: T) -> TopicNetwork:
        """Return the network, not trained."""
        return cast(TopicNetwork, self.network_class(**shape, settings=settings))

    def _fill(
        self,
        network: Any,
        dataset: MultiviewDataset,
        settings: T,
        embeddings: Mapping[str, NDArray[Any]],
    ) -> None:
        """Give the network what it takes from the training data, before training."""

    # Training.

    def _check(self, dataset: MultiviewDataset, settings: T) -> None:
        views = self._trained_views(dataset, settings)
        held_out = [dataset.view(name).sizes[1] for name in views]
        unlinked = self.sampler_class is UnlinkedSampler
        enough = min(held_out) > 1 if unlinked else sum(held_out) > 0
        if settings.patience and not (self.use_partitions and enough):
            raise SettingsError(
                f"patience={settings.patience}: early stopping needs a validation partition"
                f"{' with items of every view' if unlinked else ''}, and the data set has none in "
                "use; split it (dataset.with_split) or set patience=0."
            )

    def _check_items(self, dataset: MultiviewDataset, settings: T) -> None:
        dataset = self._used(dataset)
        views = self._trained_views(dataset, settings)
        self._sampler(dataset, settings, {n: np.zeros((len(dataset.view(n)), 0)) for n in views})

    def _sampler(
        self,
        dataset: MultiviewDataset,
        settings: T,
        embeddings: Mapping[str, NDArray[Any]],
        device: torch.device | str = "cpu",
    ) -> TupleSampler | UnlinkedSampler:
        return self.sampler_class(
            dataset,
            "train" if self.use_partitions else None,
            embeddings,
            settings.batch_size,
            device=device,
            shrinks="batch_size" not in settings.model_fields_set,
        )

    def _train(
        self, dataset: MultiviewDataset, settings: T, seed: int, top_words: int
    ) -> ModelOutput:
        self.network = self.history = None
        dataset = self._used(dataset)
        self._check(dataset, settings)
        embeddings = self._embed(dataset, settings, seed)
        device = torch.device(chosen_device(settings.device))
        visited = {name: embeddings[name] for name in self._trained_views(dataset, settings)}
        sampler, validation = self._sampler(dataset, settings, visited, device), None
        if settings.patience:
            validation = self.sampler_class(
                dataset,
                "validation",
                visited,
                settings.batch_size,
                device=device,
                tensors=sampler.tensors,
                shrinks=True,
            )
        warn_of_few_updates(settings, len(sampler))
        with reproducible(device):
            torch.manual_seed(derive_seed(seed, 0))
            network = self._network(self._shape(dataset, settings, embeddings), settings)
        self._fill(network, dataset, settings, embeddings)
        network.to(device)
        with on_threads(
            settings.threads, sampler.batch_size * sum(network.shape["vocabularies"].values())
        ):
            self.history = train(
                network,
                sampler,
                settings.loop,
                seed=derive_seed(seed, 1),
                validation=validation,
                checkpoint=None if self.checkpoint is None else self.checkpoint / f"seed-{seed}",
                run={} if self.checkpoint is None else self._run(dataset, settings, embeddings),
                progress=bool(self.progress),
            )
        self.network, self.trained_settings, self.run_seed = network, settings, seed
        documents: dict[str, dict[str, NDArray[Any]]] = {}
        for name, items in self._known_items(dataset, embeddings).items():
            theta, view = self._theta(name, items), dataset.view(name)
            parts = {partition: theta[view.rows(partition)] for partition in PARTITIONS}
            documents[name] = parts if self.use_partitions else {"train": theta}
        words = self._topic_words(network)
        pivot = dataset.pivot if dataset.pivot in words else next(iter(words))
        vocabularies = {name: view.vocabulary for name, view in dataset.text_views.items()}
        return ModelOutput(pivot, words, documents, vocabularies, top_words, seed)

    def _run(
        self, dataset: MultiviewDataset, settings: T, embeddings: Mapping[str, NDArray[Any]]
    ) -> dict[str, Any]:
        """Describe the run, so that a checkpoint of another run is recognised."""
        return {
            "model": self.name,
            **settings.model_dump(exclude=_NOT_OF_THE_RUN),
            "use_partitions": self.use_partitions,
            "data": dataset.fingerprints(),
            "embeddings": {name: hash_of_rows(array) for name, array in embeddings.items()},
        }

    # Inference.

    def infer(
        self, items: Sequence[Any] | NDArray[Any], view: str, *, samples: int | None = None
    ) -> NDArray[np.float32]:
        """Return θ of new documents or pictures of one view.

        Parameters
        ----------
        items : sequence of str or pictures, or array
            Raw texts and pictures go through the encoder or the preprocessing that the model was
            trained with. Arrays: embeddings (items × dimensions) for models that read embeddings,
            word counts (items × vocabulary) for models that read bags of words.
        view : str
            The items' view.
        samples : int, optional
            How many samples θ is averaged over; 0 gives softmax(μ). Default:
            ``inference_samples``.

        Returns
        -------
        array of float32 (items × K)
            The answer for an item does not depend on the others.

        Raises
        ------
        DataError
            If the view is unknown, or items are not as described here.
        NotTrainedError
            If the model is not trained.
        """
        self._trained()
        check_samples(samples, least=0)
        return self._theta(view, self._read(items, view), samples)

    def _theta(self, view: str, items: Any, samples: int | None = None) -> NDArray[np.float32]:
        network, settings = self.network, self.trained_settings
        assert network is not None
        network.eval()
        device = next(network.parameters()).device
        wanted = settings.inference_samples if samples is None else samples
        seed = derive_seed(self.run_seed or 0, 2)
        parts = [np.zeros((0, settings.num_topics), np.float32)]
        with torch.no_grad(), on_threads(settings.threads):
            for piece in self._pieces(view, items, device):
                mean, log_variance = network.posterior(view, piece)
                parts.append(expected_topics(mean, log_variance, wanted, seed).cpu().numpy())
        return finite_topics(np.concatenate(parts), view)

    # Storage.

    def _save_parts(self, folder: Path) -> dict[str, Any]:
        assert self.network is not None
        weights = {n: t.detach().cpu().contiguous() for n, t in self.network.state_dict().items()}
        save_file(weights, folder / "weights.safetensors")
        return {"network": self.network.shape}

    def _load_parts(
        self, folder: Path, described: Mapping[str, Any], device: str
    ) -> dict[str, NDArray[Any]]:
        shape, settings = described["network"], self.trained_settings
        for name in shape.get("dimensions", ()):
            check_view_name(folder, name)
        weights = {
            n: torch.from_numpy(array)
            for n, array in read_weights(folder / "weights.safetensors").items()
        }
        with torch.device("meta"):
            # Needs no memory, whatever sizes the description has.
            self._network(shape, settings).load_state_dict(weights, assign=True)
        network = self._network(shape, settings)
        network.load_state_dict(weights)
        self.network = network.to(chosen_device(device)).eval()
        return self._topic_words(network)

    def _topic_words(self, network: TopicNetwork) -> dict[str, NDArray[Any]]:
        return {n: matrix.detach().cpu().numpy() for n, matrix in network.topic_words().items()}
