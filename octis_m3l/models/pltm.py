"""PLTM: one distribution of topics for all languages of a document."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors.numpy import save_file

from octis_m3l.data.arrays import hash_of_rows, read_weights
from octis_m3l.data.views import PARTITIONS, ImageView, TextView
from octis_m3l.devices import MOST_THREADS, on_threads
from octis_m3l.errors import DataError
from octis_m3l.models.base import Fit, Matrices
from octis_m3l.models.exploration import Items, present_items
from octis_m3l.models.output import ModelOutput
from octis_m3l.models.settings import Settings
from octis_m3l.models.visual_words import VisualWords
from octis_m3l.models.word_reader import ReadingModel, WordReader, warn_of_empty
from octis_m3l.sampling import (
    Chain,
    LinkedCorpus,
    RunSettings,
    Sample,
    as_arrays,
    fold_in_samples,
    from_arrays,
    run_chain,
)
from octis_m3l.training import derive_seed

_NO_ROWS = np.zeros(0, np.int64)


class PLTMSettings(Settings):
    """Hyperparameters of `PLTM`."""

    num_topics: int = Field(50, ge=2, le=32767, description="K, the number of topics")
    iterations: int = Field(1000, ge=1, description="sweeps of the sampler")
    burn_in: float = Field(0.5, ge=0, lt=1, description="share of sweeps before the first sample")
    samples: int = Field(25, ge=1, description="kept samples of φ and α; θ is averaged over them")
    alpha: float = Field(0.1, ge=1e-6, le=1e6, description="initial α of each topic")
    alpha_burn_in: float = Field(0.2, ge=0, le=1, description="share of sweeps before α is fitted")
    alpha_interval: int = Field(10, ge=0, description="sweeps between two fits of α; 0: no fits")
    eta: float = Field(0.01, ge=1e-6, le=1e6, description="η of each word")
    eta_fitted: bool = Field(False, description="whether η is fitted with α")
    inference_burn_in: int = Field(50, ge=0, description="first sweeps over a new document")
    inference_samples: int = Field(100, ge=1, description="further sweeps, that θ is averaged over")
    threads: int = Field(1, ge=1, le=MOST_THREADS, description="threads of the sampler")
    visual_words: int = Field(0, ge=0, description="number of visual words; 0: no views of images")
    words_per_picture: int = Field(10, ge=1, description="visual words of each picture")

    @property
    def run(self) -> RunSettings:
        """How long to sample, and what to average."""
        return RunSettings(
            self.iterations,
            round(self.burn_in * self.iterations),
            self.samples,
            round(self.alpha_burn_in * self.iterations),
            self.alpha_interval,
            self.eta_fitted,
        )


class PLTM(ReadingModel[PLTMSettings]):
    """The polylingual topic model: linked documents share their topics, each language its words.

    θ_d ~ Dir(α) for each tuple d, φ_k^l ~ Dir(η) for each topic and language; z ~ θ_d, w ~ φ_z^l.
    Collapsed Gibbs sampling, exact with one thread, with α asymmetric and re-estimated (Wallach et
    al. 2009). Topics are the mean of several samples of φ, which are kept as sparse counts, and θ
    is averaged over them. With one language the model is LDA.

    The θ of a training document is its tuple's. The θ of held-out and new documents is inferred
    from one view alone, or from several together (`infer_linked`), by Gibbs sampling with φ fixed.
    Views of images are refused unless ``visual_words`` is set; then a picture's words are the
    nearest of so many centroids of the embeddings.

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

    _fewest_samples = 1
    samples: list[Sample]
    alpha: NDArray[np.float64] | None = None
    word_topics: dict[str, NDArray[np.float32]]

    def _train(self, fit: Fit[PLTMSettings]) -> ModelOutput:
        self.alpha = self.history = None
        self._check(fit)
        settings, seed = fit.settings, fit.seed
        with on_threads(settings.threads):
            views = self._views_of_words(fit)
        corpus, documents = LinkedCorpus.of_tuples(fit.dataset, views, list(fit.partitions))
        if not len(corpus.words):
            raise DataError(
                "pltm: the training partition holds no words; split the data with "
                "dataset.with_split."
            )
        samples, theta, self.history = run_chain(
            Chain(
                corpus,
                settings.num_topics,
                alpha=settings.alpha,
                eta=settings.eta,
                seed=derive_seed(seed, 0),
                threads=settings.threads,
            ),
            settings.run,
            checkpoint=None if self.checkpoint is None else self.checkpoint / f"seed-{seed}",
            run={} if self.checkpoint is None else self._run(fit),
            progress=bool(self.progress),
        )
        self.trained_settings, self.run_seed = settings, seed
        self._keep(samples)
        found: dict[str, dict[str, NDArray[Any]]] = {}
        for view in views:
            found[view.name] = {"train": theta[documents[view.name]]}
            for partition in PARTITIONS[1:] if self.use_partitions else ():
                rows = np.arange(len(view))[view.rows(partition)]
                items = {view.name: (view, rows, np.arange(len(rows)))}
                found[view.name][partition] = self._theta(items, len(rows))
        return fit.output({n: self.word_topics[n] for n in fit.dataset.text_views}, found)

    def _keep(self, samples: list[Sample]) -> None:
        self.samples, self.word_topics = samples, {}
        self.alpha = np.mean([sample.alpha for sample in samples], axis=0)
        for number, name in enumerate(self.readers):
            total = np.asarray(sum(sample.language(number) for sample in samples))
            self.word_topics[name] = np.ascontiguousarray(total.T / len(samples), np.float32)

    def _check(self, fit: Fit[PLTMSettings]) -> None:
        if fit.dataset.image_views and not fit.settings.visual_words:
            raise DataError(
                f"pltm learns from words, and view(s) {', '.join(fit.dataset.image_views)} hold "
                "images; leave them out (dataset.with_views, --views), or set visual_words (500, "
                "say) to have pictures quantised into words."
            )
        if len(fit.dataset.views) > 1:
            self._check_links(fit, "train on one view")

    def _views_of_words(self, fit: Fit[PLTMSettings]) -> list[TextView]:
        """Return all views as views of words, and keep their readers."""
        settings, self.readers = fit.settings, {}
        views: list[TextView] = []
        for name, view in fit.dataset.views.items():
            if isinstance(view, ImageView):
                self.readers[name], words = VisualWords.fit(
                    view,
                    fit.rows(view),
                    words=settings.visual_words,
                    per_picture=settings.words_per_picture,
                    seed=derive_seed(fit.seed, 1),
                )
            else:
                words = fit.dataset.text_view(name)
                self.readers[name] = WordReader.of_view(words)
            views.append(words)
        return views

    def _run(self, fit: Fit[PLTMSettings]) -> dict[str, Any]:
        """Return what must be equal for a checkpoint to be resumed from."""
        vectors = {name: view.embeddings for name, view in fit.dataset.image_views.items()}
        return {
            "model": self.name,
            **fit.settings.model_dump(exclude={"inference_burn_in", "inference_samples"}),
            "seed": fit.seed,
            "use_partitions": self.use_partitions,
            "data": fit.dataset.fingerprints(),
            "embeddings": {n: hash_of_rows(v) for n, v in vectors.items() if v is not None},
        }

    def _theta(
        self,
        given: Mapping[str, tuple[TextView, NDArray[np.int64], NDArray[np.int64]]],
        count: int,
        samples: int | None = None,
    ) -> NDArray[np.float32]:
        """Return θ of documents, given some views' items: their rows, and their documents."""
        settings, views, rows, documents = self.trained_settings, [], {}, {}
        for name, reader in self.readers.items():
            nothing = np.zeros((0, self.word_topics[name].shape[1]), np.int64)
            lacking = reader.read(nothing), _NO_ROWS, _NO_ROWS
            view, rows[name], documents[name] = given.get(name, lacking)
            views.append(view)
        corpus = LinkedCorpus.of_views(views, rows, documents, count)
        theta = fold_in_samples(
            corpus,
            self.samples,
            settings.inference_samples if samples is None else samples,
            burn_in=settings.inference_burn_in,
            seed=derive_seed(self.run_seed or 0, 2),
            threads=settings.threads,
        )
        return theta.astype(np.float32)

    def _inferred(self, items: Items, view: str, samples: int | None) -> NDArray[np.float32]:
        read = self._read(items, view)
        rows = np.arange(len(read))
        return self._theta({view: (read, rows, rows)}, len(read), samples)

    def infer_linked(
        self, items: Mapping[str, Sequence[Any]], *, samples: int | None = None
    ) -> NDArray[np.float32]:
        """Return θ of new tuples, each inferred from all of its items together.

        Parameters
        ----------
        items : mapping of view to sequence
            The same number of items for each view; None where a tuple lacks a view.
        samples : int, optional
            The number of sweeps that θ is averaged over. Default: ``inference_samples``.

        Returns
        -------
        array of float32 (tuples × K)
            A tuple without known words has the prior's mean.
        """
        self._trained()
        self._check_samples(samples)
        present = {name: present_items(of_view, name) for name, of_view in items.items()}
        if len({len(of_view) for of_view in present.values()}) != 1:
            given = ", ".join(f"{name} {len(of_view)}" for name, of_view in present.items())
            raise DataError(
                "infer_linked takes as many items of each view, None where one is missing; given: "
                f"{given or 'none'}."
            )
        read, words = {}, np.zeros(len(next(iter(present.values()))), np.int64)
        for name, of_view in items.items():
            whole = present[name].all()
            some = of_view if whole else [item for item in of_view if item is not None]
            view = self._as_words(some, name)
            documents = np.flatnonzero(present[name])
            read[name] = view, np.arange(len(view)), documents
            words[documents] += np.diff(view.offsets)
        warn_of_empty(words == 0, "tuples")
        return self._theta(read, len(words), samples)

    def _save_parts(self, folder: Path) -> dict[str, Any]:
        arrays = as_arrays(self.samples)
        texts, images = {}, {}
        for name, reader in self.readers.items():
            if isinstance(reader, WordReader):
                texts[name] = reader.preprocessor.as_dict()
            else:
                images[name] = {"per_picture": reader.per_picture, "encoded": reader.encoded}
                arrays |= reader.arrays()
        save_file(arrays, folder / "weights.safetensors")
        described = {"views": list(self.readers), "samples": len(self.samples)}
        return {**described, "preprocessing": texts, "visual_words": images}

    def _load_parts(self, folder: Path, described: Mapping[str, Any], device: str) -> Matrices:
        arrays = read_weights(folder / "weights.safetensors")
        texts, pictures, self.readers = described["preprocessing"], described["visual_words"], {}
        for name in described["views"]:
            if name in texts:
                words = described["vocabularies"][name]
                self.readers[name] = WordReader.restored(name, words, texts[name])
            else:
                self.readers[name] = VisualWords.restored(name, arrays, pictures[name])
        self._keep(from_arrays(arrays, described["samples"], len(self.readers)))
        return {name: self.word_topics[name] for name in texts}
