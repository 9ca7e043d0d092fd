"""What can be compared: our models, and results from elsewhere; `per_view` has other packages'."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.arrays import hash_of
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import PARTITIONS, TextView
from octis_m3l.errors import DataError, check_known
from octis_m3l.metrics.outputs import THETA_KEYS
from octis_m3l.models.base import TopicModel
from octis_m3l.search.record import described_model
from octis_m3l.search.runs import fresh

Output = dict[str, Any]


@dataclass(frozen=True)
class Terms:
    """What is the same for every contender."""

    partition: str = "test"
    top_words: int = 10
    device: str | None = None
    threads: int | None = None


class Contender(ABC):
    """Something that gives topics, and θ of documents, for the views of a data set."""

    aligned: bool = True  # whether topic k means the same in every view
    runs: int | None = None  # how many runs there are; None: one for each seed of the comparison
    device: str = "auto"  # where it trains if `compare` is given no device
    reads_embeddings: ClassVar[bool] = False  # those that the comparison gives to all models

    @abstractmethod
    def run(self, dataset: MultiviewDataset, seed: int, number: int, terms: Terms) -> Output:
        """Return one run's output, with the keys of `ModelOutput` for each view.

        Parameters
        ----------
        dataset : MultiviewDataset
            The data, with embeddings if the contender reads any.
        seed : int
            Of everything drawn; global generators are seeded already.
        number : int
            Which run, from 0.
        terms : Terms
            The scored partition, words of a topic, device and threads: the same for all.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return its class and settings as JSON, which tell its runs from other contenders'."""

    def check(self, dataset: MultiviewDataset, terms: Terms) -> None:  # noqa: B027
        """Raise what would fail later, before anything is trained."""


class Ours(Contender):
    """A model of this package.

    Parameters
    ----------
    model : TopicModel
        Not changed: each run trains a copy, with its seed.
    """

    def __init__(self, model: TopicModel) -> None:
        self.model = model
        self.device = str(model.hyperparameters.get("device", "auto"))

    @property
    def reads_embeddings(self) -> bool:  # type: ignore[override]
        """Whether the model has an encoder, and leaves the choice of it to the comparison."""
        return self.model.hyperparameters.get("encoder") in ("auto", "given")

    def run(self, dataset: MultiviewDataset, seed: int, number: int, terms: Terms) -> Output:
        """Return one run's output."""
        own = {"seed": seed, "device": terms.device, "threads": terms.threads}
        known = self.model.settings_class.model_fields
        given = {name: value for name, value in own.items() if value is not None and name in known}
        output: Output = fresh(self.model).train_model(dataset, given, terms.top_words)
        return output

    def check(self, dataset: MultiviewDataset, terms: Terms) -> None:
        """Raise what the model refuses before training."""
        self.model.check(dataset, terms.top_words)

    def describe(self) -> dict[str, Any]:
        """Return its class and hyperparameters."""
        return described_model(self.model)


class External(Contender):
    """Topics and θ that came from elsewhere, such as BERTopic's.

    Parameters
    ----------
    topics : mapping of view to topics
        The words of each topic, most important first, or pairs of word and weight: a list, or a
        mapping from topic number (−1, BERTopic's outliers, is left out). Words that are not in the
        view's vocabulary are skipped.
    theta : mapping of view to array (items × K), or to mapping of partition to array
        Topic proportions of documents, for all rows of the input that the data set was built from
        or partition by partition. Rows are made to sum to one; a row of zeros becomes uniform.
    aligned : bool
        Whether topic k means the same in every view.
    """

    runs = 1

    def __init__(
        self,
        topics: Mapping[str, Any],
        theta: Mapping[str, Any] | None = None,
        *,
        aligned: bool = False,
    ) -> None:
        self.aligned = aligned
        self.topics = {view: _topics_in_words(of_view) for view, of_view in topics.items()}
        self.theta = {
            view: {p: np.asarray(a, np.float64) for p, a in of_view.items()}
            if isinstance(of_view, Mapping)
            else np.asarray(of_view, np.float64)
            for view, of_view in (theta or {}).items()
        }

    def run(self, dataset: MultiviewDataset, seed: int, number: int, terms: Terms) -> Output:
        """Return what was given, in the order of the data set's items."""
        output: Output = {
            f"topics/{name}": word_indices(topics, dataset.text_view(name), terms.top_words)
            for name, topics in self.topics.items()
        }
        widths = {len(topics) for topics in self.topics.values()} if self.aligned else set()
        for name, given in self.theta.items():
            for partition, array in self._partitions(dataset, name, given).items():
                topics = self.topics.get(name, [])
                if topics and array.shape[1] != len(topics):
                    raise DataError(
                        f"view '{name}': θ has {array.shape[1]} topics, the lists of words "
                        f"{len(topics)}; give a column for each topic (without BERTopic's −1)."
                    )
                widths.add(array.shape[1])
                output[f"{THETA_KEYS[partition]}/{name}"] = proportions(array, name).T
        if self.aligned and len(widths) > 1:
            raise DataError(
                f"aligned topics, but their number differs by view: {sorted(widths)}; give every "
                "view the same topics, or aligned=False."
            )
        return output

    def _partitions(
        self, dataset: MultiviewDataset, name: str, given: Any
    ) -> dict[str, NDArray[np.float64]]:
        view = dataset.view(name)
        if isinstance(given, Mapping):
            for partition, array in given.items():
                check_known(partition, PARTITIONS, "partition")
                rows = view.rows(partition)
                _check_rows(array, rows.stop - rows.start, f"'{name}', {partition}")
            return dict(given)
        inputs = len(view) if view.inputs is None else view.inputs
        _check_rows(given, inputs, f"'{name}', every row of the input")
        stored = given[view.input_rows]
        return {partition: stored[view.rows(partition)] for partition in PARTITIONS}

    def check(self, dataset: MultiviewDataset, terms: Terms) -> None:
        """Raise if the topics or θ do not fit the data set."""
        self.run(dataset, 0, 0, terms)

    def describe(self) -> dict[str, Any]:
        """Return a hash of the topics and θ."""
        content: list[Any] = [json.dumps(self.topics, sort_keys=True)]
        for view, given in sorted(self.theta.items()):
            parts = given if isinstance(given, Mapping) else {"": given}
            for partition, array in sorted(parts.items()):
                content += [f"{view}/{partition}{array.shape}", array]
        return {"class": "external", "content": hash_of(content), "aligned": self.aligned}


def _topics_in_words(topics: Any) -> list[list[str]]:
    """Return each topic's words, from any of the forms that `External` takes."""
    if isinstance(topics, Mapping):
        topics = [topics[number] for number in sorted(topics, key=int) if int(number) != -1]
    listed = [[w if isinstance(w, str) else w[0] for w in topic] for topic in topics]
    words = [word for topic in listed for word in topic]
    if not listed or not all(listed) or not all(isinstance(word, str) for word in words):
        raise DataError("topics: expected a list of words, or of (word, weight), for each topic.")
    return listed


def _check_rows(array: NDArray[Any], rows: int, what: str) -> None:
    if array.ndim != 2 or len(array) != rows:
        raise DataError(
            f"θ of {what}: expected {rows} rows and a column for each topic, given an array of "
            f"shape {array.shape}."
        )


def word_indices(topics: Sequence[Sequence[str]], view: TextView, words: int) -> NDArray[np.int64]:
    """Return the indices of each topic's first words that are in a view's vocabulary."""
    index = {word: number for number, word in enumerate(view.vocabulary)}
    found = []
    for topic, given in enumerate(topics):
        known = list(dict.fromkeys(index[word] for word in given if word in index))
        if len(known) < words:
            raise DataError(
                f"topic {topic} of view '{view.name}' has {len(known)} words that are in the "
                f"view's vocabulary; {words} are looked at: give more words a topic, or compare "
                f"with a smaller topk."
            )
        found.append(known[:words])
    return np.array(found, np.int64)


def proportions(weights: NDArray[Any], view: str) -> NDArray[np.float64]:
    """Return θ from weights that need not sum to one; a row of zeros becomes uniform.

    Rows that are not finite stay NaN: metrics leave them out.
    """
    array = np.array(weights, np.float64)
    negative = np.flatnonzero((array < -1e-6).any(axis=1))
    if len(negative):
        raise DataError(f"θ of view '{view}' has a negative weight in row {negative[0]}.")
    infinite = ~np.isfinite(array).all(axis=1)
    if len(array) and infinite.all():
        raise DataError(f"θ of view '{view}' is finite for none of {len(array)} documents.")
    array[infinite] = np.nan
    array = np.clip(array, 0.0, None)
    totals = array.sum(axis=1, keepdims=True)
    uniform = 1.0 / array.shape[1]
    return np.where(totals == 0, uniform, array / np.where(totals == 0, 1.0, totals))
