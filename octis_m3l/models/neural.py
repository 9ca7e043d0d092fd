"""What neural models share, whatever their networks read: train, infer, save, load."""

import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from octis.dataset.dataset import Dataset
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm.auto import tqdm
from typing_extensions import TypeVar

from octis_m3l.data.arrays import hash_of_rows, read_weights
from octis_m3l.data.batches import Batch, TupleSampler, UnlinkedSampler
from octis_m3l.data.views import PARTITIONS
from octis_m3l.devices import chosen_device, on_threads
from octis_m3l.encoders.encode import check_encoder, chosen_encoder
from octis_m3l.errors import SettingsError
from octis_m3l.models.base import Embeddings, Fit, Matrices, TopicModel
from octis_m3l.models.exploration import Items
from octis_m3l.models.output import ModelOutput, finite_topics
from octis_m3l.models.settings import EncodedSettings, TrainingSettings
from octis_m3l.networks import Drop, expected_topics
from octis_m3l.training import derive_seed, reproducible, train

T = TypeVar("T", bound=TrainingSettings, default=Any)
_NOT_OF_THE_RUN = {"device", "threads", "inference_samples", "seed", "relevance"}


class TopicNetwork(nn.Module):
    """A network with a posterior for each view, topics for some, and a loss."""

    takes_masks: ClassVar[bool] = False
    """Whether the loss heeds `ViewBatch.present`, which says where items are missing."""
    settings: TrainingSettings
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

    def drop(self, batch: Batch | None, *views: str, what: str = "hidden units") -> Drop | None:
        """Return dropout of the rows of some views of a batch in training, else None."""
        if batch is None or not self.training:
            return None
        return partial(batch.dropout, self.settings.dropout, what, views=views)


class NeuralTopicModel(TopicModel[T]):
    """A topic model whose posterior is a neural network's.

    `EmbeddingModel` and `BagOfWordsModel` say what the network reads.
    """

    network_class: ClassVar[type[nn.Module]]
    sampler_class: ClassVar[type[TupleSampler | UnlinkedSampler]] = TupleSampler
    network: TopicNetwork | None = None

    # What a kind of input, or a model, adds.

    @abstractmethod
    def _embed(self, fit: Fit[T]) -> Embeddings:
        """Return the embeddings of the items of every view that the model reads."""

    @abstractmethod
    def _known_items(self, fit: Fit[T]) -> Mapping[str, Any]:
        """Return what θ is inferred from, for every view that can be inferred."""

    @abstractmethod
    def _pieces(self, items: Any, device: torch.device) -> Iterator[Any]:
        """Yield what the network reads of a view's items, so many at once."""

    @abstractmethod
    def _read(self, items: Items, view: str) -> Any:
        """Return new items of a view as `_known_items` returns stored ones."""

    def _trained_views(self, fit: Fit[T]) -> list[str]:
        """Return the views whose items are visited in training."""
        return list(fit.dataset.views)

    def _shape(self, fit: Fit[T]) -> dict[str, Any]:
        """Return what the network is built from besides the settings, as JSON holds it."""
        names = self._topic_views(fit)
        return {"vocabularies": {n: len(fit.dataset.text_view(n).vocabulary) for n in names}}

    def _network(self, shape: Mapping[str, Any], settings: T) -> TopicNetwork:
        """Return the network, not trained."""
        return cast(TopicNetwork, self.network_class(**shape, settings=settings))

    def _fill(self, network: Any, fit: Fit[T]) -> None:
        """Give the network what it takes from the training data, before training."""

    def _score(self, network: Any, fit: Fit[T]) -> Callable[[], tuple[float, int]] | None:
        """Return what measures the network on validation items in training, if anything does."""
        return None

    def _finish(self, network: Any, fit: Fit[T], theta: Embeddings) -> None:
        """Give the network what it takes from the topics of training items, after training."""

    # Training.

    def _check(self, fit: Fit[T]) -> None:
        held_out = [fit.dataset.view(name).sizes[1] for name in self._trained_views(fit)]
        unlinked = self.sampler_class is UnlinkedSampler
        enough = min(held_out) > 1 if unlinked else sum(held_out) > 0
        if fit.settings.patience and not (self.use_partitions and enough):
            raise SettingsError(
                f"patience={fit.settings.patience}: early stopping needs a validation partition"
                f"{' with items of every view' if unlinked else ''}, and the data set has none in "
                "use; split it (dataset.with_split) or set patience=0."
            )

    def _check_items(self, fit: Fit[T]) -> None:
        self._bare_sampler(fit)

    def _bare_sampler(self, fit: Fit[T]) -> TupleSampler | UnlinkedSampler:
        """Return the sampler without its tensors: what it refuses, and how many batches it has."""
        none = {name: np.zeros((len(view), 0)) for name, view in fit.dataset.views.items()}
        return self._sampler(replace(fit, embeddings=none), tensors={})

    def _sampler(
        self, fit: Fit[T], device: torch.device | str = "cpu", **options: Any
    ) -> TupleSampler | UnlinkedSampler:
        """Return batches of the training items, unless options say of others."""
        given: dict[str, Any] = {
            "partition": "train" if self.use_partitions else None,
            "embeddings": {name: fit.embeddings[name] for name in self._trained_views(fit)},
            "shrinks": "batch_size" not in fit.settings.model_fields_set,
        }
        size = fit.settings.batch_size
        return self.sampler_class(fit.dataset, batch_size=size, device=device, **given | options)

    def _train(self, fit: Fit[T]) -> ModelOutput:
        self.network = self.history = None
        self.choices = {}
        self._check(fit)
        for what, chosen in self._planned(fit).items():
            self._tell(what, chosen)
        fit = replace(fit, embeddings=self._embed(fit))
        settings, seed, validation = fit.settings, fit.seed, None
        device = torch.device(chosen_device(settings.device))
        sampler = self._sampler(fit, device)
        if settings.patience:
            others: dict[str, Any] = {"partition": "validation", "tensors": sampler.tensors}
            validation = self._sampler(fit, device, **others, shrinks=True)
        with reproducible(device):
            torch.manual_seed(derive_seed(seed, 0))
            network = self._network(self._shape(fit), settings)
        self._fill(network, fit)
        network.to(device)
        numbers = sampler.batch_size * sum(network.shape["vocabularies"].values())
        with on_threads(settings.threads, numbers):
            self.history = train(
                network,
                sampler,
                settings.loop(len(sampler)),
                seed=derive_seed(seed, 1),
                validation=validation,
                score=None if settings.patience else self._score(network, fit),
                checkpoint=None if self.checkpoint is None else self.checkpoint / f"seed-{seed}",
                run={} if self.checkpoint is None else self._run(fit),
                progress=bool(self.progress),
            )
        self.network, self.trained_settings, self.run_seed = network, settings, seed
        documents: dict[str, Embeddings] = {}
        for name, items in self._known_items(fit).items():
            theta, view = self._theta(name, items), fit.dataset.view(name)
            parts = {partition: theta[view.rows(partition)] for partition in PARTITIONS}
            documents[name] = parts if self.use_partitions else {"train": theta}
        self._finish(network, fit, {name: parts["train"] for name, parts in documents.items()})
        return fit.output(self._topic_words(network), documents)

    def planned(self, dataset: Dataset) -> dict[str, str]:
        """Return what `train_model` would choose by the data, and why, without training."""
        return self._planned(self._fitting(self.adopted(dataset), self.given_hyperparameters(), 1))

    def _planned(self, fit: Fit[T]) -> dict[str, str]:
        found, settings = {}, fit.settings
        if isinstance(settings, EncodedSettings) and settings.encoder == "auto":
            views = check_encoder(fit.dataset, "auto", getattr(self, "own_encoders", None))
            encoder, why = chosen_encoder(fit.dataset, views)
            found["encoder"] = f"{encoder}, {why}; set 'encoder' to choose otherwise"
        if "epochs" not in settings.model_fields_set:
            sampler = self._bare_sampler(fit)
            epochs, batches = settings.loop(len(sampler)).epochs, len(sampler)
            found["epochs"] = (
                f"{epochs:,} of {batches:,} update{'s' if batches > 1 else ''} each (batches of "
                f"{sampler.batch_size})"
            )
            if epochs > settings.epochs:
                found["epochs"] += f", for at least {settings.updates:,} updates"
            found["epochs"] += "; set 'epochs' to choose otherwise"
        return found

    def _tell(self, what: str, chosen: str) -> None:
        """Record, and show where progress is shown, what was chosen automatically."""
        self.choices[what] = chosen
        if self.progress:
            tqdm.write(f"{self.name}: {what}: {chosen}", file=sys.stderr)

    def _run(self, fit: Fit[T]) -> dict[str, Any]:
        """Describe the run, so that a checkpoint of another run is recognised."""
        return {
            "model": self.name,
            **fit.settings.model_dump(exclude=_NOT_OF_THE_RUN),
            "use_partitions": self.use_partitions,
            "data": fit.dataset.fingerprints(),
            "embeddings": {name: hash_of_rows(array) for name, array in fit.embeddings.items()},
        }

    # Inference.

    def _inferred(self, items: Items, view: str, samples: int | None) -> NDArray[np.float32]:
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
            for piece in self._pieces(items, device):
                mean, log_variance = network.posterior(view, piece)
                parts.append(expected_topics(mean, log_variance, wanted, seed).cpu().numpy())
        return finite_topics(np.concatenate(parts), view)

    # Storage.

    def _save_parts(self, folder: Path) -> dict[str, Any]:
        assert self.network is not None
        # Copies, because safetensors refuses tensors that a network has under two names.
        weights = {n: t.detach().cpu().clone() for n, t in self.network.state_dict().items()}
        weights = {name: tensor.contiguous() for name, tensor in weights.items()}
        save_file(weights, folder / "weights.safetensors")
        return {"network": dict(self.network.shape)}

    def _load_parts(self, folder: Path, described: Mapping[str, Any], device: str) -> Matrices:
        shape, settings = described["network"], self.trained_settings
        arrays = read_weights(folder / "weights.safetensors")
        weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
        with torch.device("meta"):
            # Needs no memory, whatever sizes the description has.
            self._network(shape, settings).load_state_dict(weights, assign=True)
        network = self._network(shape, settings)
        network.load_state_dict(weights)
        self.network = network.to(chosen_device(device)).eval()
        return self._topic_words(network)

    def _topic_words(self, network: TopicNetwork) -> Matrices:
        return {n: matrix.detach().cpu().numpy() for n, matrix in network.topic_words().items()}
