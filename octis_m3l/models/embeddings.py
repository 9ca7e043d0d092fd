"""Neural models that read embeddings of documents and pictures."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import TypeVar

from octis_m3l.data.batches import Batch
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.text import Tokenizer
from octis_m3l.encoders.base import Encoder, StoredEncoder, check_is_encoder
from octis_m3l.encoders.bundled import BundledEncoder
from octis_m3l.encoders.encode import check_encoder, encode
from octis_m3l.encoders.joined import JoinedEncoder
from octis_m3l.encoders.pretrained import PretrainedEncoder
from octis_m3l.encoders.saving import is_stored, load_encoder, save_encoder
from octis_m3l.errors import DataError, SettingsError, check_known, warn
from octis_m3l.models.base import Embeddings, Fit, Matrices, give_tokenizers
from octis_m3l.models.exploration import Items, check_vectors, listed
from octis_m3l.models.neural import NeuralTopicModel, TopicNetwork
from octis_m3l.models.relevance import topics_of_documents
from octis_m3l.models.settings import NeuralSettings
from octis_m3l.models.storage import check_view_name
from octis_m3l.networks import InferenceNetwork, Standardiser, TopicDecoder, ViewModules

E = TypeVar("E", bound=NeuralSettings, default=Any)
Sizes = Mapping[str, int]
_ROWS_AT_ONCE = 8192
_LARGE_TUPLE = 100


class ViewNetwork(TopicNetwork, Generic[E]):
    """A network with a posterior for each view, read from embeddings, and topics for some views.

    `dimensions` are those of the embeddings of each view that can be inferred, `vocabularies` the
    numbers of words of each view whose topics are learned. A subclass sets `networks`
    (`inference_networks`) and `decoders` (`topic_decoders`), unless it overrides what reads them.
    """

    networks: ViewModules[InferenceNetwork] | dict[str, InferenceNetwork]
    decoders: ViewModules[TopicDecoder] | dict[str, TopicDecoder]

    def __init__(self, dimensions: Sizes, vocabularies: Sizes, settings: E) -> None:
        super().__init__()
        self.settings: E = settings
        self.shape = {"dimensions": dict(dimensions), "vocabularies": dict(vocabularies)}
        options: dict[str, Any] = {
            "one_length": settings.standardised == "one-length",
            "noise": 0.0 if settings.standardised == "none" else settings.input_noise,
        }
        self.standardisers = ViewModules(
            {name: Standardiser(size, **options) for name, size in dimensions.items()}
        )
        self.network_of = {name: name for name in dimensions}

    def posterior(self, view: str, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² (rows × K) of a view's items."""
        return self.posteriors({view: items})

    def posteriors(
        self, items: Mapping[str, Tensor], batch: Batch | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² (rows × K) of the items of several views, one view after another.

        Views that share a network go through it together, and are batch-normalised together. With
        the batch that the items are from, noise and dropout are the batch's.
        """
        inputs = {name: self._standardised(name, of, batch) for name, of in items.items()}
        found: dict[str, tuple[Tensor, Tensor]] = {}
        for network in dict.fromkeys(self.network_of[name] for name in items):
            names = [name for name in items if self.network_of[name] == network]
            joined = torch.cat([inputs[name] for name in names])
            present = batch and batch.present_rows(names)
            outputs = self.networks[network](joined, self.drop(batch, *names), present)
            parts = [output.split([len(items[name]) for name in names]) for output in outputs]
            found.update(zip(names, zip(*parts, strict=True), strict=True))
        mean, log_variance = zip(*(found[name] for name in items), strict=True)
        return torch.cat(mean), torch.cat(log_variance)

    def dropped_topics(self, batch: Batch, theta: Tensor, *views: str) -> Tensor:
        """Return joined rows θ of some views (none given: all) of a batch, in training dropped."""
        share = self.settings.theta_dropout if self.training else 0.0
        return batch.dropout(share, "topics", theta, views or None)

    def _standardised(self, view: str, items: Tensor, batch: Batch | None) -> Tensor:
        noise = () if batch is None else (partial(batch.normal, "embeddings", views=[view]),)
        standardised: Tensor = self.standardisers[view](items, *noise)
        return standardised

    def topic_words(self) -> dict[str, Tensor]:
        """Return the distributions of words (K × vocabulary) of each text view with a decoder."""
        form, views = self.settings.topic_form, self.shape["vocabularies"]
        return {n: self.decoders[n].topic_word_matrix(form) for n in views if n in self.decoders}


def inference_network(dimensions: int, settings: NeuralSettings) -> InferenceNetwork:
    """Return a new inference network with a model's settings."""
    return InferenceNetwork(
        dimensions,
        settings.num_topics,
        settings.hidden_sizes,
        activation=settings.activation,
        dropout=settings.dropout,
        posterior=settings.posterior,
    )


def inference_networks(
    dimensions: Sizes, settings: NeuralSettings, network_of: Mapping[str, str]
) -> ViewModules[InferenceNetwork]:
    """Return new inference networks by their names, given which one reads each view."""
    sizes: dict[str, int] = {}
    for view, network in network_of.items():
        if sizes.setdefault(network, dimensions[view]) != dimensions[view]:
            raise DataError(
                f"embeddings of '{view}' have {dimensions[view]} dimensions, those of other views "
                f"that share its network {sizes[network]}; use one encoder for all of them, or let "
                "each view have its own network (shared_networks='none')."
            )
    return ViewModules({name: inference_network(d, settings) for name, d in sizes.items()})


def topic_decoders(vocabularies: Sizes, settings: NeuralSettings) -> ViewModules[TopicDecoder]:
    """Return a new decoder for each view."""
    topics, form = settings.num_topics, settings.topic_form
    return ViewModules({n: TopicDecoder(topics, size, form) for n, size in vocabularies.items()})


def _warn_of_odd_tuples(dataset: MultiviewDataset) -> None:
    """Warn of views too small to learn from, and of a tuple that holds far too many items."""
    for name, view in dataset.views.items():
        if view.sizes[0] < 2:
            warn(
                f"view '{name}' has {view.sizes[0]} training item(s), and a batch needs two of a "
                "view to learn from it: what is inferred for this view is meaningless; leave it "
                "out (dataset.with_views), or give it more."
            )
    largest = dataset.info()["largest_tuple"]
    if largest > _LARGE_TUPLE and largest > 0.01 * sum(map(len, dataset.views.values())):
        warn(
            f"one tuple holds {largest} items, and an epoch draws one of each view from it: an "
            "item that many records share (a logo, say) ties them all together; leave it out."
        )


class EmbeddingModel(NeuralTopicModel[E]):
    """A topic model whose networks read embeddings.

    Parameters
    ----------
    num_topics : int, optional
        As for `TopicModel`.
    encoders : mapping of view to Encoder, optional
        Your own encoders, used as they are. Other views get those that the hyperparameter
        ``encoder`` says, some of which are fitted on the training items. All are kept for new
        documents.
    **arguments
        As for `TopicModel`.
    """

    needs_links: ClassVar[bool] = False
    """Whether the model learns from links between views."""
    search_space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "num_topics": (10, 200),
        "learning_rate": (2e-4, 2e-2, "log-uniform"),
        "hidden_size": (50, 1500),
        "hidden_layers": (1, 3),
        "dropout": (0.0, 0.5),
        "batch_size": (16, 256),
    }

    def __init__(
        self,
        num_topics: int | None = None,
        *,
        encoders: Mapping[str, Encoder] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(num_topics, **arguments)
        self.own_encoders = None if encoders is None else dict(encoders)
        self.missing_encoders: tuple[str, ...] = ()
        self.encoders: dict[str, Encoder] = {}
        self.spaces: dict[str, str] = {}

    def _check(self, fit: Fit[E]) -> None:
        if self.needs_links:
            self._check_links(fit, "use zeroshot-tm for one view")
            _warn_of_odd_tuples(fit.dataset)
        super()._check(fit)
        missing = [name for name in self.missing_encoders if name not in (self.own_encoders or {})]
        if missing:
            raise DataError(
                f"the loaded model was trained through encoders of your own for "
                f"{', '.join(missing)}, which are not saved; give them again: load(folder, "
                "encoders={...})."
            )
        check_encoder(fit.dataset, fit.settings.encoder, self.own_encoders)

    def _embed(self, fit: Fit[E]) -> Embeddings:
        encodings = encode(
            fit.dataset,
            fit.settings.encoder,
            dimensions=fit.settings.dimensions,
            encoders=self.own_encoders,
            progress=bool(self.progress),
        )
        self.encoders, self.spaces = dict(encodings.encoders), encodings.spaces
        return encodings.embeddings

    def _shape(self, fit: Fit[E]) -> dict[str, Any]:
        dimensions = {name: int(array.shape[1]) for name, array in fit.embeddings.items()}
        return {"dimensions": dimensions, **super()._shape(fit)}

    def _standardised_by(self, fit: Fit[E]) -> dict[str, str]:
        """Return, for each view, the view whose training items it is standardised by."""
        views = () if fit.settings.standardised == "none" else fit.embeddings
        return {name: name for name in views}

    def _fill(self, network: Any, fit: Fit[E]) -> None:
        for name, source in self._standardised_by(fit).items():
            rows = fit.rows(fit.dataset.view(source))
            network.standardisers[name].fit(fit.embeddings[source], rows, source)

    def _finish(self, network: Any, fit: Fit[E], theta: Embeddings) -> None:
        if fit.settings.topic_form != "documents":
            return
        views = {n: view for n, view in fit.dataset.text_views.items() if n in network.decoders}
        counts = {name: view.bag_of_words[fit.rows(view)] for name, view in views.items()}
        for name, matrix in topics_of_documents(counts, theta, fit.settings.relevance).items():
            network.decoders[name].of_documents.copy_(torch.from_numpy(matrix))

    def _known_items(self, fit: Fit[E]) -> Mapping[str, Any]:
        return fit.embeddings

    def _dimensions(self) -> dict[str, int]:
        """Return the size of the embeddings of each view that can be inferred."""
        assert self.network is not None
        known: dict[str, int] = self.network.shape["dimensions"]
        return known

    def _pieces(self, items: Any, device: torch.device) -> Iterator[Tensor]:
        for start in range(0, len(items), _ROWS_AT_ONCE):
            piece = np.asarray(items[start : start + _ROWS_AT_ONCE], np.float32)
            yield torch.tensor(piece, device=device)

    def _read(self, items: Items, view: str) -> NDArray[Any]:
        check_known(view, self._dimensions(), "view")
        expected = self._dimensions()[view]
        items = listed(items, view)
        if isinstance(items, np.ndarray) and items.dtype.kind == "f":
            vectors = items
        elif view in self.encoders:
            vectors = self.encoders[view].encode(items)
            unknown = int((~vectors.any(axis=1)).sum())
            if unknown:
                warn(
                    f"{unknown} of {len(vectors)} items of view '{view}' have no word that the "
                    "encoder knows; their topic proportions are meaningless."
                )
        else:
            raise DataError(
                f"the model was trained on given embeddings of view '{view}', or through an "
                "encoder of your own, which is not saved: pass an array of floats (items × "
                f"{expected}), or load the model with encoders={{'{view}': encoder}}."
            )
        check_vectors(vectors, expected, view)
        return vectors

    def _save_parts(self, folder: Path) -> dict[str, Any]:
        stored = [name for name, encoder in self.encoders.items() if is_stored(encoder)]
        for name in stored:
            save_encoder(cast(StoredEncoder, self.encoders[name]), folder / "encoders" / name)
        return {
            **super()._save_parts(folder),
            "encoders": stored,
            "encoders_not_stored": sorted(set(self.encoders) - set(stored)),
        }

    def _load_parts(self, folder: Path, described: Mapping[str, Any], device: str) -> Matrices:
        for name in described["encoders"]:
            check_view_name(folder, name)
        topic_words = super()._load_parts(folder, described, device)
        self.missing_encoders = tuple(described["encoders_not_stored"])
        self.encoders = {n: load_encoder(folder / "encoders" / n) for n in described["encoders"]}
        return topic_words

    def _give_again(
        self,
        *,
        tokenizers: Mapping[str, Tokenizer] | None = None,
        encoders: Mapping[str, Encoder] | None = None,
    ) -> None:
        give_tokenizers(self.encoders, tokenizers)
        for name, own in (encoders or {}).items():
            check_known(name, self._dimensions(), "view")
            check_is_encoder(own, name)
            expected = self._dimensions()[name]
            known = self.encoders.get(name)
            # Pretrained weights are stored by name, path or version, which may have changed since.
            replaceable = isinstance(known, PretrainedEncoder | BundledEncoder)
            if isinstance(known, JoinedEncoder) and isinstance(own, BundledEncoder):
                parts = tuple(own if type(part) is type(own) else part for part in known.parts)
                own, replaceable = JoinedEncoder(parts), own in parts
            if known is not None and not replaceable:
                raise SettingsError(
                    f"view '{name}' has the encoder that it was trained with "
                    f"({known.name}); leave it out of encoders."
                )
            if own.dimensions != expected:
                raise SettingsError(
                    f"the encoder given for view '{name}' has {own.dimensions} dimensions, the "
                    f"model was trained on {expected}; give the one that it was trained with."
                )
            self.encoders[name] = own
            self.own_encoders = {**(self.own_encoders or {}), name: own}
