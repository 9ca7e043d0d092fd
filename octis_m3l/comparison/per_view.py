"""Models of one language, trained on each language by itself."""

import contextlib
import copy
import io
import tempfile
from abc import abstractmethod
from typing import Any

import numpy as np
from contextualized_topic_models.datasets.dataset import CTMDataset
from numpy.typing import NDArray
from octis.dataset.dataset import Dataset
from octis.models.CTM import CTM
from scipy.sparse import csr_matrix

from octis_m3l.comparison.contenders import Contender, Terms, proportions, word_indices
from octis_m3l.comparison.octis_ctm import embeddings_for_octis_ctm
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import TextView
from octis_m3l.errors import DataError
from octis_m3l.metrics.outputs import THETA_KEYS
from octis_m3l.optimization.record import described_model


class PerView(Contender):
    """A contender that knows one language: each text view is trained by itself.

    Topics of different views have nothing to do with each other, so that no measure across views
    applies. What the model prints is kept back.
    """

    aligned = False

    @abstractmethod
    def of_view(
        self, dataset: MultiviewDataset, view: TextView, seed: int, terms: Terms
    ) -> dict[str, Any]:
        """Return 'topics' in words, and θ (items × K) by partition: 'train' and the scored one.

        Parameters
        ----------
        dataset : MultiviewDataset
            The data.
        view : TextView
            What is trained.
        seed : int
            Of everything drawn.
        terms : Terms
            What is the same for all.
        """

    def run(
        self, dataset: MultiviewDataset, seed: int, number: int, terms: Terms
    ) -> dict[str, Any]:
        """Return one run's output.

        Parameters
        ----------
        dataset, seed, number, terms
            As for `Contender`.
        """
        output: dict[str, Any] = {}
        for name, view in dataset.text_views.items():
            # Their early stopping writes into the folder that they are run in.
            with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), _silence():
                found = self.of_view(dataset, view, seed, terms)
            output[f"topics/{name}"] = word_indices(found["topics"], view, terms.top_words)
            for partition in ("train", terms.partition):
                theta = proportions(found[partition], name)
                rows = view.rows(partition)
                if len(theta) != rows.stop - rows.start:
                    raise DataError(
                        f"the model gave θ of {len(theta)} {partition} documents of '{name}', "
                        f"which has {rows.stop - rows.start}."
                    )
                output[f"{THETA_KEYS[partition]}/{name}"] = theta.T
        return output


@contextlib.contextmanager
def _silence() -> Any:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


class OfOCTIS(PerView):
    """A model of OCTIS, or of its kind.

    OCTIS's CTM is fed the data set's embeddings.

    Parameters
    ----------
    model : OCTIS model
        Not changed: each run trains a copy.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    @property
    def reads_embeddings(self) -> bool:  # type: ignore[override]
        """Whether it is OCTIS's CTM."""
        return isinstance(self.model, CTM)

    def of_view(
        self, dataset: MultiviewDataset, view: TextView, seed: int, terms: Terms
    ) -> dict[str, Any]:
        """Return 'topics' in words, and θ.

        Parameters
        ----------
        dataset, view, seed, terms
            As for `PerView`.
        """
        model = copy.deepcopy(self.model)
        if hasattr(model, "partitioning"):
            # Forgets what it knows of an earlier data set, too.
            model.partitioning(use_partitions=True)
        for name in ("random_state", "seed"):
            if name in model.hyperparameters:
                model.hyperparameters[name] = seed
        corpus = _arranged(view, dataset, terms.partition)
        with contextlib.ExitStack() as stack:
            if self.reads_embeddings:
                model.hyperparameters["bert_path"] = stack.enter_context(
                    embeddings_for_octis_ctm(
                        dataset, _embeddings(view), view.name, test=terms.partition
                    )
                )
            output = model.train_model(corpus, {}, terms.top_words)
        return {
            "topics": output["topics"],
            "train": np.asarray(output["topic-document-matrix"]).T,
            terms.partition: np.asarray(output["test-topic-document-matrix"]).T,
        }

    def describe(self) -> dict[str, Any]:
        """Return its class and hyperparameters."""
        return described_model(self.model)


class OfContextualized(PerView):
    """A model of contextualized-topic-models' own, fed the data set's embeddings.

    Parameters
    ----------
    kind : class
        ``ZeroShotTM`` or ``CombinedTM``.
    labels : bool
        Whether the data set's labels supervise training (SuperCTM; with ``CombinedTM``). θ is
        inferred without them, for training documents too: the scored ones must not give theirs
        away.
    **arguments
        As for the class: ``n_components``, ``num_epochs``, ``loss_weights={'beta': …}``, …

    Raises
    ------
    DataError
        If an argument is one that the data give.
    """

    reads_embeddings = True

    def __init__(self, kind: Any, *, labels: bool = False, **arguments: Any) -> None:
        given = {"bow_size", "contextual_size", "label_size"} & {*arguments}
        if given:
            raise DataError(f"{', '.join(sorted(given))}: the data say that; leave it out.")
        if labels and kind.__name__ != "CombinedTM":
            raise DataError(f"{kind.__name__} takes no labels; SuperCTM is CombinedTM with labels.")
        self.kind, self.labels, self.arguments = kind, labels, arguments

    def of_view(
        self, dataset: MultiviewDataset, view: TextView, seed: int, terms: Terms
    ) -> dict[str, Any]:
        """Return 'topics' in words, and θ.

        Parameters
        ----------
        dataset, view, seed, terms
            As for `PerView`.
        """
        embeddings, counts = _embeddings(view), csr_matrix(view.bag_of_words)
        words = dict(enumerate(view.vocabulary))
        targets = self._one_hot(view)

        def part(partition: str, labels: NDArray[Any] | None) -> CTMDataset:
            rows = view.rows(partition)
            given = np.asarray(embeddings[rows], np.float32)
            return CTMDataset(given, counts[rows], words, None if labels is None else labels[rows])

        model = self.kind(
            bow_size=len(words),
            contextual_size=embeddings.shape[1],
            num_data_loader_workers=0,
            label_size=0 if targets is None else targets.shape[1],
            **self.arguments,
        )
        model.fit(part("train", targets), do_train_predictions=False)
        unknown = None if targets is None else np.zeros_like(targets)
        found = {
            partition: model.get_doc_topic_distribution(part(partition, unknown))
            for partition in {"train", terms.partition}
        }
        return {"topics": model.get_topic_lists(terms.top_words), **found}

    def _one_hot(self, view: TextView) -> NDArray[Any] | None:
        if not self.labels:
            return None
        labels = np.asarray([] if view.labels is None else view.labels, str)
        learned = labels[view.rows("train")]
        if not len(learned) or (learned == "").any():
            raise DataError(
                f"view '{view.name}' has training documents without a label; SuperCTM needs one "
                "of each."
            )
        one_hot: NDArray[Any] = labels[:, None] == np.unique(learned)
        return one_hot.astype(np.float32)

    def check(self, dataset: MultiviewDataset, terms: Terms) -> None:
        """Raise if labels are missing.

        Parameters
        ----------
        dataset : MultiviewDataset
            The data.
        terms : Terms
            What is the same for all.
        """
        for view in dataset.text_views.values():
            self._one_hot(view)

    def describe(self) -> dict[str, Any]:
        """Return its class and arguments."""
        return {
            "class": f"{self.kind.__module__}:{self.kind.__qualname__}",
            "labels": self.labels,
            "arguments": {
                n: list(v) if isinstance(v, tuple) else v for n, v in self.arguments.items()
            },
        }


def _embeddings(view: TextView) -> NDArray[Any]:
    if view.embeddings is None:
        raise DataError(f"view '{view.name}' has no embeddings; dataset.with_embeddings adds them.")
    return view.embeddings


def _arranged(view: TextView, dataset: MultiviewDataset, partition: str) -> Dataset:
    """Return a view as OCTIS knows data: training, validation and, as test, what is scored."""
    parts = [view.rows(name) for name in ("train", "validation", partition)]
    rows = np.concatenate([np.arange(len(view))[part] for part in parts])
    train, both = (sum(p.stop - p.start for p in parts[:n]) for n in (1, 2))
    documents = [document for part in parts for document in view.documents(part)]
    return Dataset(
        corpus=documents,
        vocabulary=list(view.vocabulary),
        labels=None if view.labels is None else [view.labels[row] for row in rows],
        metadata={"last-training-doc": train, "last-validation-doc": both},
        document_indexes=rows.tolist(),
    )
