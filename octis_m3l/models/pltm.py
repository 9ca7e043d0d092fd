"""PLTM: one distribution of topics for all languages of a document."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors.numpy import load_file, save_file

from octis_m3l.data.arrays import hash_of_rows
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import PARTITIONS, ImageView, TextView
from octis_m3l.devices import MOST_THREADS, on_threads
from octis_m3l.errors import DataError
from octis_m3l.models.base import NotTrainedError
from octis_m3l.models.output import ModelOutput
from octis_m3l.models.reading import ReadingModel, check_samples, present_items
from octis_m3l.models.settings import Settings
from octis_m3l.models.storage import check_view_name
from octis_m3l.models.visual_words import VisualWords
from octis_m3l.models.word_reader import WordReader
from octis_m3l.sampling import (
    Chain,
    LinkedCorpus,
    RunSettings,
    Sample,
    as_arrays,
    fold_in,
    from_arrays,
    run_chain,
    shared_out,
)
from octis_m3l.training import History, derive_seed

Reader = WordReader | VisualWords

_BETWEEN = 5
"""Sweeps over a new document after each change of φ, not counted."""


class PLTMSettings(Settings):
    """Hyperparameters of `PLTM`."""

    num_topics: int = Field(50, ge=2, le=32767, description="K, the number of topics")
    iterations: int = Field(1000, ge=1, description="sweeps of the sampler")
    burn_in: float = Field(0.5, ge=0, lt=1, description="share of them before the first sample")
    samples: int = Field(
        25, ge=1, description="samples of φ and α that are kept; θ is a mean over them"
    )
    alpha: float = Field(0.1, ge=1e-6, le=1e6, description="α of each topic, to begin with")
    alpha_burn_in: float = Field(
        0.2, ge=0, le=1, description="share of the sweeps before α is first re-estimated"
    )
    alpha_interval: int = Field(
        10, ge=0, description="sweeps between two estimates of α, asymmetric; 0: it stays"
    )
    eta: float = Field(0.01, ge=1e-6, le=1e6, description="η of each word")
    eta_fitted: bool = Field(False, description="whether η is re-estimated with α")
    inference_burn_in: int = Field(50, ge=0, description="sweeps over a new document, not counted")
    inference_samples: int = Field(100, ge=1, description="samples that its θ is averaged over")
    threads: int = Field(
        1, ge=1, le=MOST_THREADS, description="of the sampler; see octis_m3l.sampling.Chain"
    )
    visual_words: int = Field(
        0, ge=0, description="words that pictures are made of; 0: views of images are refused"
    )
    words_per_picture: int = Field(10, ge=1, description="visual words of each picture")


class PLTM(ReadingModel):
    """The polylingual topic model: linked documents share their topics, each language its words.

    θ_d ~ Dir(α) for each tuple d, φ_k^l ~ Dir(η) for each topic and language; z ~ θ_d, w ~ φ_z^l.
    Sampled by collapsed Gibbs, exactly with one thread; α is asymmetric and re-estimated (Wallach
    et al. 2009). Several samples of φ and α are kept, as sparse counts: topics are their mean, and
    θ, of training and of new documents, is averaged over them. A tuple without some language has
    no tokens there. Of one language it is LDA.

    The θ of a training document is its tuple's; of held-out and new documents it is inferred from
    one view alone, or from several together (`infer_linked`), by Gibbs sampling with φ fixed.
    Pictures have no words: a view of images is refused, unless ``visual_words`` asks for quantised
    ones (the nearest of so many centroids of the embeddings).

    References
    ----------
    Mimno, Wallach, Naradowsky, Smith & McCallum (2009), Polylingual Topic Models, EMNLP; Wallach,
    Mimno & McCallum (2009), Rethinking LDA: Why priors matter, NIPS.
    """

    name: ClassVar[str] = "pltm"
    settings_class = PLTMSettings
    search_space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "num_topics": (10, 200),
        "eta": (0.001, 0.5, "log-uniform"),
        "alpha": (0.005, 1.0, "log-uniform"),
    }

    def __init__(self, num_topics: int | None = None, **arguments: Any) -> None:
        super().__init__(num_topics, **arguments)
        self.word_topics: dict[str, NDArray[np.float32]] = {}
        self.samples: list[Sample] = []
        self.alpha: NDArray[np.float64] | None = None

    def _train(
        self, dataset: MultiviewDataset, settings: PLTMSettings, seed: int, top_words: int
    ) -> ModelOutput:
        self.alpha = self.history = None
        self.samples, self.word_topics = [], {}
        self._check(dataset, settings)
        with on_threads(settings.threads):
            readers, views = self._readers(dataset, settings, seed)
        partitions = ["train"] if self.use_partitions else list(PARTITIONS)
        corpus, documents = _corpus(dataset, views, partitions)
        if not len(corpus.words):
            raise DataError(
                "pltm: the training partition holds no words; split the data with "
                "dataset.with_split."
            )
        chain = Chain(
            corpus,
            settings.num_topics,
            alpha=settings.alpha,
            eta=settings.eta,
            seed=derive_seed(seed, 0),
            threads=settings.threads,
        )
        averages, progress = run_chain(
            chain,
            RunSettings(
                settings.iterations,
                round(settings.burn_in * settings.iterations),
                settings.samples,
                round(settings.alpha_burn_in * settings.iterations),
                settings.alpha_interval,
                settings.eta_fitted,
            ),
            checkpoint=None if self.checkpoint is None else self.checkpoint / f"seed-{seed}",
            run=self._run(dataset, settings, seed),
            progress=bool(self.progress),
        )
        theta = averages.document_topics
        theta /= theta.sum(axis=1, keepdims=True)
        self.readers, self.trained_settings, self.run_seed = readers, settings, seed
        self._keep(averages.samples)
        self.history = History(
            [{"log-likelihood": value} for value in progress.log_likelihood],
            stopped=progress.stopped,
            seconds=progress.seconds,
        )
        found: dict[str, dict[str, NDArray[Any]]] = {}
        for view in views:
            of_training = theta[documents[view.name]]
            found[view.name] = {"train": of_training}
            if self.use_partitions:
                for partition in PARTITIONS[1:]:
                    rows = np.arange(len(view))[view.rows(partition)]
                    found[view.name][partition] = self._theta(view, rows)
        words = {n: self.word_topics[n] for n in dataset.text_views}
        vocabularies = {n: v.vocabulary for n, v in dataset.text_views.items()}
        return ModelOutput(dataset.pivot, words, found, vocabularies, top_words, seed)

    def _keep(self, samples: list[Sample]) -> None:
        self.samples = samples
        self.alpha = np.mean([sample.alpha for sample in samples], axis=0)
        self.word_topics = {}
        for number, name in enumerate(self.readers):
            mean = np.zeros_like(samples[0].language(number))
            for sample in samples:
                mean += sample.language(number)
            self.word_topics[name] = np.ascontiguousarray(mean.T / len(samples), np.float32)

    def _check(self, dataset: MultiviewDataset, settings: PLTMSettings) -> None:
        if dataset.image_views and not settings.visual_words:
            raise DataError(
                f"pltm learns from words, and view(s) {', '.join(dataset.image_views)} hold "
                "images; leave them out (dataset.with_views, --views), or set visual_words (500, "
                "say) to have pictures quantised into words."
            )
        if len(dataset.views) > 1:
            self._check_links(dataset, "train on one view")

    def _readers(
        self, dataset: MultiviewDataset, settings: PLTMSettings, seed: int
    ) -> tuple[dict[str, Reader], list[TextView]]:
        readers: dict[str, Reader] = {}
        views: list[TextView] = []
        for name, view in dataset.views.items():
            if isinstance(view, ImageView):
                rows = view.rows("train") if self.use_partitions else slice(0, len(view))
                readers[name], read = VisualWords.fit(
                    view,
                    rows,
                    words=settings.visual_words,
                    per_picture=settings.words_per_picture,
                    seed=derive_seed(seed, 1),
                )
                views.append(read)
            else:
                text = dataset.text_view(name)
                readers[name] = WordReader.of_view(text)
                views.append(text)
        return readers, views

    def _run(self, dataset: MultiviewDataset, settings: PLTMSettings, seed: int) -> dict[str, Any]:
        """Say what run this is, so that no other run's checkpoint is taken for it."""
        if self.checkpoint is None:
            return {}
        described = settings.model_dump(exclude={"inference_burn_in", "inference_samples", "seed"})
        return {
            "model": self.name,
            **described,
            "use_partitions": self.use_partitions,
            "data": dataset.fingerprints(),
            "embeddings": {
                name: hash_of_rows(view.embeddings)
                for name, view in dataset.views.items()
                if isinstance(view, ImageView) and view.embeddings is not None
            },
            "seed": seed,
        }

    def _theta(
        self, view: TextView, rows: NDArray[np.int64], samples: int | None = None
    ) -> NDArray[np.float32]:
        """Return θ of some items of a view, inferred from it alone."""
        return self._folded({view.name: (view, rows, np.arange(len(rows)))}, len(rows), samples)

    def _folded(
        self,
        given: Mapping[str, tuple[TextView, NDArray[np.int64], NDArray[np.int64]]],
        count: int,
        samples: int | None = None,
    ) -> NDArray[np.float32]:
        """Return θ of documents, from some views' items: which rows, and whose they are."""
        settings = self.trained_settings
        nothing = np.zeros(0, np.int64)
        views, rows, documents = [], {}, {}
        for name, reader in self.readers.items():
            view, rows[name], documents[name] = given.get(name, (reader.empty(), nothing, nothing))
            views.append(view)
        corpus = LinkedCorpus.of_views(views, rows, documents, count)
        used = np.unique(corpus.words).astype(np.int64)
        wanted = settings.inference_samples if samples is None else samples
        states = (
            (sample.word_topics(used), sample.alpha, sweeps)
            for sample, sweeps in shared_out(self.samples, wanted)
        )
        theta = fold_in(
            corpus,
            states,
            burn_in=settings.inference_burn_in,
            between=_BETWEEN,
            seed=derive_seed(self.run_seed or 0, 2),
            used=used,
            threads=settings.threads,
        )
        return theta.astype(np.float32)

    def infer(
        self, items: Sequence[Any] | NDArray[Any], view: str, *, samples: int | None = None
    ) -> NDArray[np.float32]:
        """Return θ of new documents or pictures of one view.

        Parameters
        ----------
        items : sequence of str, or matrix of word counts (items × vocabulary)
            Raw texts go through the preprocessing that the view was trained with. Of a view of
            images: embeddings (items × dimensions), or pictures where it had no embeddings.
        view : str
            The items' view.
        samples : int, optional
            That θ is averaged over. Default: ``inference_samples``.

        Returns
        -------
        array of float32 (items × K)
            The answer for an item does not depend on the others. An item without known words has
            the prior's mean.

        Raises
        ------
        DataError
            If the view is unknown, or items are not as said here.
        NotTrainedError
            If the model is not trained.
        """
        self._ready()
        check_samples(samples)
        read = self._read(items, view)
        self._warn_of_unknown(np.diff(read.offsets) == 0, f"items of view '{view}'", view)
        return self._theta(read, np.arange(len(read)), samples)

    def infer_linked(
        self, items: Mapping[str, Sequence[Any]], *, samples: int | None = None
    ) -> NDArray[np.float32]:
        """Return θ of new tuples, each inferred from all of its items together.

        Parameters
        ----------
        items : mapping of view to sequence
            As many of each view, linked by place; None where a tuple lacks a view.
        samples : int, optional
            That θ is averaged over. Default: ``inference_samples``.

        Returns
        -------
        array of float32 (tuples × K)
            A tuple without known words has the prior's mean.

        Raises
        ------
        DataError
            If a view is unknown, views differ in length, or items are not as `infer` takes them.
        NotTrainedError
            If the model is not trained.
        """
        self._ready()
        check_samples(samples)
        there = {name: present_items(of_view, name) for name, of_view in items.items()}
        if len({len(present) for present in there.values()}) != 1:
            given = ", ".join(f"{name} {len(present)}" for name, present in there.items())
            raise DataError(
                "infer_linked takes as many items of each view, None where one is missing; given: "
                f"{given or 'none'}."
            )
        read, count = {}, len(next(iter(there.values())))
        words = np.zeros(count, np.int64)
        for name, of_view in items.items():
            whole = there[name].all()
            view = self._read(of_view if whole else [i for i in of_view if i is not None], name)
            places = np.flatnonzero(there[name])
            read[name] = view, np.arange(len(view)), places
            words[places] += np.diff(view.offsets)
        self._warn_of_unknown(words == 0, "tuples")
        return self._folded(read, count, samples)

    def _ready(self) -> NDArray[np.float64]:
        if self.alpha is None:
            raise NotTrainedError(f"{self.name} is not trained yet; call fit or train_model first.")
        return self.alpha

    def _save_parts(self, folder: Path) -> dict[str, Any]:
        self._ready()
        arrays = as_arrays(self.samples)
        texts, images = {}, {}
        for name, reader in self.readers.items():
            if isinstance(reader, WordReader):
                texts[name] = reader.preprocessor.as_dict()
            else:
                images[name] = {"per_picture": reader.per_picture, "encoded": reader.encoded}
                arrays |= {f"{part}/{name}": one for part, one in reader.arrays().items()}
        save_file(arrays, folder / "weights.safetensors")
        return {
            "views": list(self.readers),
            "samples": len(self.samples),
            "preprocessing": texts,
            "visual_words": images,
        }

    def _load_parts(
        self, folder: Path, described: Mapping[str, Any], device: str
    ) -> dict[str, NDArray[Any]]:
        arrays = load_file(folder / "weights.safetensors")
        for name in described["views"]:
            check_view_name(folder, name)
            settings = described["preprocessing"].get(name)
            if settings is not None:
                self.readers[name] = WordReader.restored(
                    name, described["vocabularies"][name], settings
                )
            else:
                parts = {part: arrays[f"{part}/{name}"] for part in ("mean", "scale", "centroids")}
                self.readers[name] = VisualWords.restored(
                    name, parts, described["visual_words"][name]
                )
        self._keep(from_arrays(arrays, described["samples"], len(self.readers)))
        return {name: self.word_topics[name] for name in described["preprocessing"]}


def _corpus(
    dataset: MultiviewDataset, views: Sequence[TextView], partitions: Sequence[str]
) -> tuple[LinkedCorpus, dict[str, NDArray[np.int64]]]:
    """Return the tuples of some partitions as documents, and each item's document."""
    rows = {
        view.name: np.concatenate([np.arange(len(view))[view.rows(p)] for p in partitions])
        for view in views
    }
    tuples = {name: dataset.tuples(name)[taken] for name, taken in rows.items()}
    numbers = np.unique(np.concatenate(list(tuples.values())))
    documents = {name: np.searchsorted(numbers, of) for name, of in tuples.items()}
    return LinkedCorpus.of_views(views, rows, documents, len(numbers)), documents
