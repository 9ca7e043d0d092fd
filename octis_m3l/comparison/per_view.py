"""Models of one language, of OCTIS and contextualized-topic-models: trained on each separately."""

import contextlib
import copy
import io
import pickle
import tempfile
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contextualized_topic_models.datasets.dataset import CTMDataset
from numpy.typing import NDArray
from octis.dataset.dataset import Dataset
from octis.models.CTM import CTM
from octis.models.LDA import LDA
from octis.models.NeuralLDA import NeuralLDA
from octis.models.ProdLDA import ProdLDA
from scipy.sparse import csr_matrix

from octis_m3l.comparison.contenders import Contender, Output, Terms, proportions, word_indices
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import TextView, check_embeddings
from octis_m3l.devices import on_device
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.files import as_json
from octis_m3l.metrics.outputs import THETA_KEYS
from octis_m3l.search.record import described_model
from octis_m3l.search.runs import own_seed, seeded

# OCTIS's ProdLDA and NeuralLDA always show so many words of a topic.
_WORDS_OF_AVITM = 10


class PerView(Contender):
    """A contender for one language: each text view is trained separately, its prints discarded.

    Topics of different views are unrelated, so that metrics across views do not apply.
    """

    aligned = False
    least_words: int = 0

    @abstractmethod
    def of_view(self, dataset: MultiviewDataset, view: TextView, terms: Terms) -> Output:
        """Return 'topics' in words, and θ (items × K) by partition: 'train' and the scored one."""

    def needs(self, terms: Terms) -> tuple[str, ...]:
        """Return the partitions of which every language must have documents."""
        return "train", terms.partition

    def check(self, dataset: MultiviewDataset, terms: Terms) -> None:
        """Raise if a language lacks documents or words that the model needs."""
        words = max(terms.top_words, self.least_words)
        for name, view in dataset.text_views.items():
            if len(view.vocabulary) < words:
                raise SettingsError(
                    f"view '{name}' has {len(view.vocabulary)} words, and this model shows {words} "
                    "of each topic; give a smaller topk, or the view a larger vocabulary."
                )
            for partition in dict.fromkeys(self.needs(terms)):
                if not _count(view, partition):
                    raise DataError(
                        f"view '{name}' has no {partition} documents, which this model needs of "
                        "each language; leave the view out (dataset.with_views, --views), or split "
                        "the data anew."
                    )

    def run(self, dataset: MultiviewDataset, seed: int, number: int, terms: Terms) -> Output:
        """Return one run's output."""
        output: Output = {}
        # Models that take no seed draw from the global generators.
        with seeded(seed):
            for name, view in dataset.text_views.items():
                with _contained(terms.device):
                    found = self.of_view(dataset, view, terms)
                output[f"topics/{name}"] = word_indices(found["topics"], view, terms.top_words)
                for partition in dict.fromkeys(("train", terms.partition)):
                    theta = proportions(found[partition], name)
                    if len(theta) != _count(view, partition):
                        raise DataError(
                            f"the model gave θ of {len(theta)} {partition} documents of '{name}', "
                            f"which has {_count(view, partition)}."
                        )
                    output[f"{THETA_KEYS[partition]}/{name}"] = theta.T
        return output


@contextlib.contextmanager
def _contained(device: str | None) -> Iterator[None]:
    """Discard what a model prints and writes, and undo its settings.

    Early stopping writes into the current folder; OCTIS's CTM turns cuDNN off.
    """
    cudnn: Any = torch.backends.cudnn
    before = cudnn.enabled, cudnn.deterministic
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(stack.enter_context(tempfile.TemporaryDirectory())))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(on_device(device))
        try:
            yield
        finally:
            cudnn.enabled, cudnn.deterministic = before


class OfOCTIS(PerView):
    """A model of OCTIS, or with OCTIS's interface.

    OCTIS's CTM gets the data set's embeddings. OCTIS's own classes see every word as a number
    ('w17'): some tokenize texts again, and would lose words with combining marks, an apostrophe
    or a hyphen. LDA gives all topics to every document, as it does in training.

    Parameters
    ----------
    model : OCTIS model
        Not changed: each run trains a copy.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        if isinstance(model, ProdLDA | NeuralLDA):
            self.least_words = _WORDS_OF_AVITM

    @property
    def reads_embeddings(self) -> bool:  # type: ignore[override]
        """Whether it is OCTIS's CTM."""
        return isinstance(self.model, CTM)

    def needs(self, terms: Terms) -> tuple[str, ...]:
        """Return the partitions needed: neural models stop early by validation documents."""
        neural = "num_epochs" in self.model.hyperparameters
        return (*super().needs(terms), *(("validation",) if neural else ()))

    def check(self, dataset: MultiviewDataset, terms: Terms) -> None:
        """Raise if documents or files are missing, or settings do not fit the data."""
        given = self.model.hyperparameters
        topics = given.get("num_topics", 1)
        if not isinstance(topics, int | np.integer) or topics < 1:
            raise SettingsError(f"num_topics={topics!r}: expected a whole number, 1 or more.")
        super().check(dataset, terms)
        normalised = isinstance(self.model, ProdLDA | NeuralLDA | CTM)
        for view in dataset.text_views.values() if normalised else ():
            if (count := _count(view, "train")) % given["batch_size"] == 1:
                raise SettingsError(
                    f"batch_size={given['batch_size']}: of the {count} training documents of "
                    f"'{view.name}' the last is a batch of its own, which batch normalisation "
                    "can't take; choose another batch_size."
                )
        if isinstance(self.model, ProdLDA | NeuralLDA) and terms.top_words > _WORDS_OF_AVITM:
            raise SettingsError(
                f"topk={terms.top_words}: OCTIS's ProdLDA and NeuralLDA show {_WORDS_OF_AVITM} "
                "words of a topic."
            )
        for name, path in self._paths().items():
            if not path.exists():
                raise SettingsError(f"{name}={str(path)!r}: there is no such file.")

    def _paths(self) -> dict[str, Path]:
        given = self.model.hyperparameters
        paths = {n: v for n, v in given.items() if n.endswith("_path") and isinstance(v, str) and v}
        return {name: Path(path).absolute() for name, path in paths.items() if name != "bert_path"}

    def of_view(self, dataset: MultiviewDataset, view: TextView, terms: Terms) -> Output:
        """Return 'topics' in words, and θ."""
        model = copy.deepcopy(self.model)
        if hasattr(model, "partitioning"):
            # Also resets what the model keeps of an earlier data set.
            model.partitioning(use_partitions=True)
        if isinstance(model, LDA):
            model.hyperparameters["minimum_probability"] = 0.0
        numbered = type(model).__module__.startswith("octis.models.") and not self._paths()
        words = [f"w{n}" for n in range(len(view.vocabulary))] if numbered else view.vocabulary
        with contextlib.ExitStack() as stack:
            if self.reads_embeddings:
                embeddings = _embeddings(view)
                model.hyperparameters["bert_path"] = stack.enter_context(
                    embeddings_for_octis_ctm(dataset, embeddings, view.name, test=terms.partition)
                )
            data = _octis_dataset(view, words, terms.partition)
            output = model.train_model(data, {}, terms.top_words)
        named = dict(zip(words, view.vocabulary, strict=True))
        return {
            "topics": [[named.get(word, word) for word in topic] for topic in output["topics"]],
            "train": np.asarray(output[THETA_KEYS["train"]]).T,
            terms.partition: np.asarray(output[THETA_KEYS["test"]]).T,
        }

    def run(self, dataset: MultiviewDataset, seed: int, number: int, terms: Terms) -> Output:
        """Return one run's output."""
        absolute = {name: str(path) for name, path in self._paths().items()}
        contender = OfOCTIS(copy.deepcopy(self.model))
        contender.model.hyperparameters.update(absolute | own_seed(self.model, seed))
        return PerView.run(contender, dataset, seed, number, terms)

    def describe(self) -> dict[str, Any]:
        """Return its class and hyperparameters."""
        return described_model(self.model)


@contextlib.contextmanager
def embeddings_for_octis_ctm(
    dataset: MultiviewDataset, embeddings: NDArray[Any], view: str, *, test: str = "test"
) -> Iterator[str]:
    """Give the ``bert_path`` with which OCTIS's CTM trains on a view's embeddings.

    OCTIS's CTM encodes texts with a model that it downloads, unless it finds pickles of
    embeddings. They are written to a temporary folder and deleted when the block ends; nothing
    here reads a pickle.
    """
    items = dataset.text_view(view)
    check_embeddings(embeddings, len(items), view)
    with tempfile.TemporaryDirectory() as folder:
        for ending, partition in (("train", "train"), ("val", "validation"), ("test", test)):
            vectors = np.asarray(embeddings[items.rows(partition)], np.float32)
            (Path(folder) / f"embeddings_{ending}.pkl").write_bytes(pickle.dumps(vectors))
        yield str(Path(folder) / "embeddings")


class OfContextualized(PerView):
    """A model of contextualized-topic-models' own, on the data set's embeddings.

    Parameters
    ----------
    kind : class
        ``ZeroShotTM`` or ``CombinedTM``.
    labels : bool
        Whether the data set's labels supervise training (SuperCTM; with ``CombinedTM``). θ is
        inferred without them, for training documents too, so that scored documents do not reveal
        theirs.
    **arguments
        As for the class: ``n_components``, ``num_epochs``, ``loss_weights={'beta': …}``, …
    """

    reads_embeddings = True

    def __init__(self, kind: Any, *, labels: bool = False, **arguments: Any) -> None:
        given = {"bow_size", "contextual_size", "label_size", "num_data_loader_workers"}
        given &= {*arguments}
        if given:
            raise SettingsError(f"{', '.join(sorted(given))}: leave it out; compare sets it.")
        if labels and kind.__name__ != "CombinedTM":
            raise SettingsError(
                f"{kind.__name__} takes no labels; SuperCTM is CombinedTM with labels."
            )
        self.kind, self.labels = kind, labels
        self.arguments = {n: tuple(v) if isinstance(v, list) else v for n, v in arguments.items()}
        try:
            kind(bow_size=2, contextual_size=2, num_data_loader_workers=0, **self.arguments)
        except Exception as error:
            raise SettingsError(f"{kind.__name__}: {error}.") from None

    def of_view(self, dataset: MultiviewDataset, view: TextView, terms: Terms) -> Output:
        """Return 'topics' in words, and θ."""
        embeddings, counts = _embeddings(view), csr_matrix(view.bag_of_words)
        words = dict(enumerate(view.vocabulary))
        targets = self._one_hot(view)

        def part(partition: str, labels: NDArray[Any] | None) -> CTMDataset:
            rows = view.rows(partition)
            given = np.array(embeddings[rows], np.float32)
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
            for partition in dict.fromkeys(("train", terms.partition))
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
        """Raise if documents or labels are missing."""
        super().check(dataset, terms)
        batch: Any = self.arguments.get("batch_size", 64)
        for view in dataset.text_views.values():
            self._one_hot(view)
            if _count(view, "train") < batch:
                raise SettingsError(
                    f"batch_size={batch} is larger than the {_count(view, 'train')} training "
                    f"documents of '{view.name}', of which the class would then see none."
                )

    def describe(self) -> dict[str, Any]:
        """Return its class and arguments."""
        return {
            "class": f"{self.kind.__module__}:{self.kind.__qualname__}",
            "labels": self.labels,
            "arguments": as_json(self.arguments),
        }


def _count(view: TextView, partition: str) -> int:
    rows = view.rows(partition)
    return int(rows.stop - rows.start)


def _embeddings(view: TextView) -> NDArray[Any]:
    if view.embeddings is None:
        raise DataError(f"view '{view.name}' has no embeddings; dataset.with_embeddings adds them.")
    return view.embeddings


def _octis_dataset(view: TextView, words: Any, partition: str) -> Dataset:
    """Return a view as a data set of OCTIS, with the scored partition as its test partition."""
    parts = [view.rows(name) for name in ("train", "validation", partition)]
    rows = np.concatenate([np.arange(part.start, part.stop) for part in parts])
    train, validation, _ = (part.stop - part.start for part in parts)
    ids, offsets = view.token_ids, view.offsets
    return Dataset(
        corpus=[[words[i] for i in ids[offsets[row] : offsets[row + 1]]] for row in rows],
        vocabulary=list(words),
        labels=None if view.labels is None else [view.labels[row] for row in rows],
        metadata={"last-training-doc": train, "last-validation-doc": train + validation},
        document_indexes=rows.tolist(),
    )
