"""What neural models share: encode, standardise, train, infer, save, load."""

import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from octis_m3l.data.arrays import hash_of_rows
from octis_m3l.data.batches import TupleSampler
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.folder.reading import Tokenizer
from octis_m3l.data.item_checks import as_items, is_numeric
from octis_m3l.data.views import PARTITIONS, check_embeddings
from octis_m3l.devices import chosen_device, on_threads
from octis_m3l.encoders.encode import Encodings, check_encoder, encode
from octis_m3l.encoders.latent_semantic import LatentSemanticEncoder
from octis_m3l.encoders.pretrained import PretrainedEncoder
from octis_m3l.encoders.protocol import Encoder, StoredEncoder
from octis_m3l.encoders.storage import is_stored, load_encoder, save_encoder
from octis_m3l.errors import DataError, SettingsError, suggest
from octis_m3l.models.base import NotTrainedError, TopicModel
from octis_m3l.models.output import ModelOutput, finite_topics
from octis_m3l.models.reading import check_samples
from octis_m3l.models.settings import NeuralSettings, warn_of_few_updates
from octis_m3l.models.storage import check_view_name, load_network
from octis_m3l.networks import Standardiser, ViewModules, expected_topics
from octis_m3l.training import derive_seed, reproducible, train

_ROWS_AT_ONCE = 8192


class ViewNetwork(nn.Module):
    """A network that knows a posterior for each view and topics for some.

    Parameters
    ----------
    dimensions : mapping of view to int
        Of the embeddings of each view that can be inferred.
    vocabularies : mapping of text view to int
        How many words, for the views whose topics are learned.
    """

    def __init__(self, dimensions: Mapping[str, int], vocabularies: Mapping[str, int]) -> None:
        super().__init__()
        self.shape = {"dimensions": dict(dimensions), "vocabularies": dict(vocabularies)}
        self.standardisers = ViewModules({n: Standardiser(d) for n, d in dimensions.items()})

    @abstractmethod
    def posterior(self, view: str, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² (rows × K) of a view's items, from their embeddings."""

    @abstractmethod
    def topic_words(self) -> dict[str, Tensor]:
        """Return each text view's distributions of words (K × vocabulary)."""


class NeuralTopicModel(TopicModel):
    """A topic model whose posterior a network infers from embeddings.

    Parameters
    ----------
    num_topics : int, optional
        As for `TopicModel`.
    encoders : mapping of view to Encoder, optional
        Encoders of the user's own, used as they are. Others are fitted on the training items as
        the hyperparameter ``encoder`` says. All are kept for new documents.
    **arguments
        As for `TopicModel`.
    """

    def __init__(
        self,
        num_topics: int | None = None,
        *,
        encoders: Mapping[str, Encoder] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(num_topics, **arguments)
        self.own_encoders = None if encoders is None else dict(encoders)
        self.lost_encoders: tuple[str, ...] = ()
        self.encoders: dict[str, Encoder] = {}
        self.network: ViewNetwork | None = None

    @abstractmethod
    def _network(
        self, dimensions: Mapping[str, int], vocabularies: Mapping[str, int], settings: Any
    ) -> ViewNetwork:
        """Return the network, not trained."""

    def _check_items(self, dataset: MultiviewDataset, settings: Any) -> None:
        check_encoder(dataset, settings.encoder, self.own_encoders)
        names = self._trained_views(dataset, settings)
        self._check_patience(dataset, settings, names)
        self._sampler(dataset, settings, {n: np.zeros((len(dataset.view(n)), 0)) for n in names})

    def _sampler(
        self,
        dataset: MultiviewDataset,
        settings: NeuralSettings,
        embeddings: Mapping[str, NDArray[Any]],
        device: torch.device | str = "cpu",
    ) -> TupleSampler:
        return TupleSampler(
            dataset,
            ["train"] if self.use_partitions else list(PARTITIONS),
            embeddings,
            settings.batch_size,
            device=device,
            shrinks="batch_size" not in settings.model_fields_set,
        )

    def _trained_views(self, dataset: MultiviewDataset, settings: Any) -> list[str]:
        """Return the views whose tuples are visited in training."""
        return list(dataset.views)

    def _vocabularies(self, dataset: MultiviewDataset, settings: Any) -> dict[str, int]:
        """Return the sizes of the vocabularies whose topics are learned."""
        return {name: len(view.vocabulary) for name, view in dataset.text_views.items()}

    def _check_encodings(
        self, dataset: MultiviewDataset, encodings: Encodings, settings: Any
    ) -> None:
        """Warn of what the model can't do with these embeddings, before training."""

    def _prepare(
        self, dataset: MultiviewDataset, encodings: Encodings, settings: Any, seed: int
    ) -> None:
        """Do what must be done before the network is made."""

    def _standardised_by(self, dataset: MultiviewDataset, settings: Any) -> dict[str, str]:
        """Return, for each view, the view whose training items it is standardised by."""
        return {name: name for name in dataset.views}

    def _train(
        self, dataset: MultiviewDataset, settings: NeuralSettings, seed: int, top_words: int
    ) -> ModelOutput:
        self.network = self.history = None
        self._check(dataset, settings)
        lost = [name for name in self.lost_encoders if name not in (self.own_encoders or {})]
        if lost:
            raise DataError(
                f"the loaded model was trained through encoders of your own for {', '.join(lost)}, "
                "which are not saved; give them again: load(folder, encoders={...})."
            )
        encodings = encode(
            dataset,
            settings.encoder,
            dimensions=settings.dimensions,
            encoders=self.own_encoders,
        )
        self._check_encodings(dataset, encodings, settings)
        self._prepare(dataset, encodings, settings, seed)
        device = torch.device(chosen_device(settings.device))
        dimensions = {n: int(array.shape[1]) for n, array in encodings.embeddings.items()}
        trained = self._trained_views(dataset, settings)
        given = {name: encodings.embeddings[name] for name in trained}
        sampler = self._sampler(dataset, settings, given, device)
        validation = self._validation(dataset, settings, given, sampler)
        warn_of_few_updates(settings, len(sampler))
        vocabularies = self._vocabularies(dataset, settings)
        with reproducible(device):
            torch.manual_seed(derive_seed(seed, 0))
            network = self._network(dimensions, vocabularies, settings)
        for name, source in self._standardised_by(dataset, settings).items():
            if name in network.standardisers:
                view = dataset.view(source)
                rows = view.rows("train") if self.use_partitions else slice(0, len(view))
                standardiser: Any = network.standardisers[name]
                standardiser.fit(encodings.embeddings[source], rows, source)
        network.to(device)
        with on_threads(settings.threads, sampler.batch_size * sum(vocabularies.values())):
            self.history = train(
                network,
                sampler,
                settings.loop,
                seed=derive_seed(seed, 1),
                validation=validation,
                checkpoint=None if self.checkpoint is None else self.checkpoint / f"seed-{seed}",
                run=self._run(dataset, settings, encodings.embeddings),
                progress=bool(self.progress),
            )
        self.network, self.encoders = network, dict(encodings.encoders)
        self.trained_settings, self.run_seed = settings, seed
        return self._output(dataset, encodings.embeddings, settings, seed, top_words)

    def _check_patience(
        self, dataset: MultiviewDataset, settings: NeuralSettings, views: Sequence[str]
    ) -> None:
        held_out = sum(dataset.view(name).sizes[1] for name in views)
        if settings.patience and not (self.use_partitions and held_out):
            raise SettingsError(
                f"patience={settings.patience}: early stopping needs a validation partition, and "
                "the data set has none in use; split it (dataset.with_split) or set patience=0."
            )

    def _validation(
        self,
        dataset: MultiviewDataset,
        settings: NeuralSettings,
        embeddings: Mapping[str, NDArray[Any]],
        sampler: TupleSampler,
    ) -> TupleSampler | None:
        if not settings.patience:
            return None
        self._check_patience(dataset, settings, list(embeddings))
        tuples = len(
            np.unique(
                np.concatenate(
                    [dataset.tuples(n)[dataset.view(n).rows("validation")] for n in embeddings]
                )
            )
        )
        return TupleSampler(
            dataset,
            "validation",
            embeddings,
            min(settings.batch_size, max(tuples, 2)),
            device=sampler.device,
            tensors=sampler.tensors,
        )

    def _run(
        self,
        dataset: MultiviewDataset,
        settings: NeuralSettings,
        embeddings: Mapping[str, NDArray[Any]],
    ) -> dict[str, Any]:
        """Say what run this is, so that no other run's checkpoint is taken for it."""
        if self.checkpoint is None:
            return {}
        described = settings.model_dump(exclude={"device", "threads", "inference_samples", "seed"})
        return {
            "model": self.name,
            **described,
            "use_partitions": self.use_partitions,
            "data": dataset.fingerprints(),
            "embeddings": {name: hash_of_rows(array) for name, array in embeddings.items()},
        }

    def _output(
        self,
        dataset: MultiviewDataset,
        embeddings: Mapping[str, NDArray[Any]],
        settings: NeuralSettings,
        seed: int,
        top_words: int,
    ) -> ModelOutput:
        network = self._ready()
        documents: dict[str, dict[str, NDArray[Any]]] = {}
        for name, array in embeddings.items():
            if name not in network.standardisers:
                continue
            theta = self._theta(name, array, settings.inference_samples)
            view = dataset.view(name)
            documents[name] = (
                {p: theta[view.rows(p)] for p in PARTITIONS}
                if self.use_partitions
                else {"train": theta}
            )
        words = {n: m.cpu().numpy() for n, m in network.topic_words().items()}
        pivot = dataset.pivot if dataset.pivot in words else next(iter(words))
        vocabularies = {n: v.vocabulary for n, v in dataset.text_views.items()}
        return ModelOutput(pivot, words, documents, vocabularies, top_words, seed)

    def infer(
        self, items: Sequence[Any] | NDArray[Any], view: str, *, samples: int | None = None
    ) -> NDArray[np.float32]:
        """Return θ of new documents or pictures of one view.

        Parameters
        ----------
        items : sequence of str or pictures, or array of embeddings (items × dimensions)
            Raw items go through the encoder that the model was trained with.
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
            If the view is unknown, embeddings have other dimensions or hold NaN, or raw items are
            given and the model was trained on given embeddings.
        NotTrainedError
            If the model is not trained.
        """
        network, settings = self._ready(), self.trained_settings
        assert settings is not None
        self._known_view(view, list(network.standardisers))
        if not is_numeric(items):
            items = as_items(items, f"view '{view}'")
        check_samples(samples, least=0)
        vectors = self._encoded(items, view)
        chosen = settings.inference_samples if samples is None else samples
        return finite_topics(self._theta(view, vectors, chosen), view)

    def _encoded(self, items: Sequence[Any] | NDArray[Any], view: str) -> NDArray[Any]:
        network = self._ready()
        standardiser: Any = network.standardisers[view]
        expected = len(standardiser.mean)
        if isinstance(items, np.ndarray) and items.dtype.kind == "f":
            vectors = items
        elif view in self.encoders:
            vectors = self.encoders[view].encode(items)
            unknown = int((~vectors.any(axis=1)).sum())
            if unknown:
                warnings.warn(
                    f"{unknown} of {len(vectors)} items of view '{view}' have no word that the "
                    "encoder knows; their topics say nothing.",
                    stacklevel=4,
                )
        else:
            raise DataError(
                f"the model was trained on given embeddings of view '{view}', or through an "
                "encoder of your own, which is not saved: pass an array of floats (items × "
                f"{expected}), or load the model with encoders={{'{view}': encoder}}."
            )
        if vectors.ndim != 2 or vectors.shape[1] != expected:
            raise DataError(
                f"view '{view}': embeddings of shape {vectors.shape}, expected finite numbers "
                f"(items × {expected})."
            )
        check_embeddings(vectors, len(vectors), view)
        return vectors

    def _theta(self, view: str, embeddings: NDArray[Any], samples: int) -> NDArray[np.float32]:
        network = self._ready()
        device = next(network.parameters()).device
        network.eval()
        seed = derive_seed(self.run_seed or 0, 2)
        parts = [np.zeros((0, self._topics()), np.float32)]
        with torch.no_grad(), on_threads(self.trained_settings.threads):
            for start in range(0, len(embeddings), _ROWS_AT_ONCE):
                piece = np.asarray(embeddings[start : start + _ROWS_AT_ONCE], np.float32)
                mean, log_variance = network.posterior(view, torch.tensor(piece, device=device))
                theta = expected_topics(mean, log_variance, samples, seed)
                parts.append(theta.cpu().numpy())
        return np.concatenate(parts)

    def _topics(self) -> int:
        topics: int = self.trained_settings.num_topics
        return topics

    def _ready(self) -> ViewNetwork:
        if self.network is None:
            raise NotTrainedError(f"{self.name} is not trained yet; call fit or train_model first.")
        return self.network

    def _save_parts(self, folder: Path) -> dict[str, Any]:
        network = self._ready()
        weights = {n: t.detach().cpu().contiguous() for n, t in network.state_dict().items()}
        save_file(weights, folder / "weights.safetensors")
        stored = [name for name, encoder in self.encoders.items() if is_stored(encoder)]
        for name in stored:
            save_encoder(cast(StoredEncoder, self.encoders[name]), folder / "encoders" / name)
        return {
            "network": network.shape,
            "encoders": stored,
            "encoders_not_stored": sorted(set(self.encoders) - set(stored)),
        }

    def _load_parts(
        self, folder: Path, described: Mapping[str, Any], device: str
    ) -> dict[str, NDArray[Any]]:
        shape = described["network"]
        for name in (*described["encoders"], *shape["dimensions"]):
            check_view_name(folder, name)
        network = load_network(
            folder,
            lambda: self._network(
                shape["dimensions"], shape["vocabularies"], self.trained_settings
            ),
        )
        self.network = network.to(chosen_device(device)).eval()
        self.lost_encoders = tuple(described["encoders_not_stored"])
        self.encoders = {n: load_encoder(folder / "encoders" / n) for n in described["encoders"]}
        return {n: matrix.cpu().numpy() for n, matrix in network.topic_words().items()}

    def _give_again(
        self,
        *,
        tokenizers: Mapping[str, Tokenizer] | None = None,
        encoders: Mapping[str, Encoder] | None = None,
    ) -> None:
        for name, tokenizer in (tokenizers or {}).items():
            encoder = self.encoders.get(name)
            if not isinstance(encoder, LatentSemanticEncoder):
                raise SettingsError(
                    f"tokenizers: the model splits no texts of a view '{name}' into words."
                    f"{suggest(name, self.encoders)}"
                )
            self.encoders[name] = encoder.with_tokenizer(tokenizer)
        dimensions = self._ready().shape["dimensions"]
        for name, own in (encoders or {}).items():
            self._known_view(name, list(dimensions))
            # One that is a name or a path may have moved since: the same is given again.
            if name in self.encoders and not isinstance(self.encoders[name], PretrainedEncoder):
                raise SettingsError(
                    f"view '{name}' has the encoder that it was trained with "
                    f"({self.encoders[name].name}); leave it out of encoders."
                )
            if own.dimensions != dimensions[name]:
                raise SettingsError(
                    f"the encoder given for view '{name}' has {own.dimensions} dimensions, the "
                    f"model was trained on {dimensions[name]}; give the one that it was trained "
                    "with."
                )
            self.encoders[name] = own
            self.own_encoders = {**(self.own_encoders or {}), name: own}
