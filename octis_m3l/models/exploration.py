"""What people ask of a trained model: topics, typical items, words for pictures, new items' θ."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.item_checks import as_items, is_numeric
from octis_m3l.data.views import check_embeddings
from octis_m3l.errors import DataError, OctisM3LError, SettingsError
from octis_m3l.metrics.outputs import check_whole
from octis_m3l.models.output import ModelOutput

Items = Sequence[Any] | NDArray[Any]


class NotTrainedError(OctisM3LError):
    """The model must be trained first."""


class Exploration(ABC):
    """The part of `TopicModel` that only looks at a trained model."""

    name: ClassVar[str]
    _fewest_samples: ClassVar[int] = 0
    use_partitions: bool
    output: ModelOutput | None
    dataset: MultiviewDataset | None

    def infer(self, items: Items, view: str, *, samples: int | None = None) -> NDArray[np.float32]:
        """Return θ of new documents or pictures of one view.

        Parameters
        ----------
        items : sequence of str or pictures, or array
            Raw texts and pictures go through the encoder or the preprocessing that the model was
            trained with. Arrays: embeddings (items × dimensions) for models that read embeddings
            and for views of images, word counts (items × vocabulary) for models that read words.
        view : str
            The items' view.
        samples : int, optional
            How many samples θ is averaged over; 0, for neural models, gives softmax(μ). Default:
            ``inference_samples``.

        Returns
        -------
        array of float32 (items × K)
            The answer for an item does not depend on the others. An item without known words gets
            a meaningless answer (of PLTM, the prior's mean), with a warning.

        Raises
        ------
        DataError
            If the view is unknown, or items are not as described here.
        NotTrainedError
            If the model is not trained.
        """
        self._trained()
        self._check_samples(samples)
        return self._inferred(items, view, samples)

    def _check_samples(self, samples: int | None) -> None:
        if samples is not None:
            check_whole("samples", samples, self._fewest_samples)

    @abstractmethod
    def _inferred(self, items: Items, view: str, samples: int | None) -> NDArray[np.float32]: ...

    def transform(self, items: Any, view: str | None = None, *, samples: int | None = None) -> Any:
        """Return θ of new items (items × K), as `infer` does, by default of the pivot.

        For a mapping of view to items, return a dictionary of view to θ.
        """
        if isinstance(items, Mapping):
            return {name: self.infer(some, name, samples=samples) for name, some in items.items()}
        return self.infer(items, view or self._trained().pivot, samples=samples)

    def topics(self, view: str | None = None, words: int | None = None) -> list[list[str]]:
        """Return each topic's first words in a text view, by default the pivot.

        There are at most `words`, by default ``top_words`` of the training.
        """
        output = self._trained()
        return output.topics(view or output.pivot, words)

    def topic_info(self, words: int | None = None) -> pd.DataFrame:
        """Return a table of the topics, the most frequent first.

        Its columns are topic, share (the topic's mean proportion in the pivot's training
        documents), and the topic's first words in each text view; `words` as for `topics`.
        """
        output = self._trained()
        columns: dict[str, Any] = {"topic": range(len(output["topics"]))}
        columns["share"] = output.theta(output.pivot).mean(axis=0)
        for name in output.languages:
            columns[name] = [" ".join(topic) for topic in output.topics(name, words)]
        frame = pd.DataFrame(columns)
        return frame.sort_values("share", ascending=False, kind="stable", ignore_index=True)

    def representatives(
        self, topic: int, view: str, *, count: int = 3, dataset: MultiviewDataset | None = None
    ) -> pd.DataFrame:
        """Return the training documents or pictures with the highest proportion of a topic.

        Parameters
        ----------
        topic : int
            From 0 to K − 1.
        view : str
            Any view.
        count : int
            The number of items.
        dataset : MultiviewDataset, optional
            The data set that the model was trained on. Needed only by a loaded model.

        Returns
        -------
        pandas.DataFrame
            item (its stored position), input_row, weight, content (text, or path of the picture).
        """
        theta = self._trained().theta(view)
        if not 0 <= topic < theta.shape[1]:
            raise SettingsError(f"topic={topic}: expected 0 to {theta.shape[1] - 1}.")
        data = dataset or self.dataset
        if data is None:
            raise DataError("a loaded model does not hold the documents: pass dataset=….")
        shown = data.view(view)
        if len(theta) != shown.sizes[0] and self.use_partitions:
            raise DataError(
                f"the data set has {shown.sizes[0]} training items in view '{view}', the model "
                f"was trained on {len(theta)}; pass the data set that it was trained on."
            )
        best = np.argsort(-theta[:, topic], kind="stable")[:count]
        pictures = getattr(shown, "pictures", True)
        return pd.DataFrame(
            {
                "item": best,
                "input_row": shown.input_rows[best],
                "weight": theta[best, topic],
                "content": shown.items(best) if pictures is not None else None,
            }
        )

    def words_for(
        self,
        items: Items,
        view: str,
        *,
        languages: Sequence[str] | None = None,
        topics: int = 1,
        words: int = 5,
    ) -> pd.DataFrame:
        """Describe new pictures or documents by the first words of their main topics.

        Parameters
        ----------
        items, view
            As for `infer`.
        languages : sequence of str, optional
            Text views to take words from. Default: all.
        topics, words : int
            The number of topics per item, and of words per topic.

        Returns
        -------
        pandas.DataFrame
            item, topic, weight, and a column of words for each language.

        References
        ----------
        Zosa & Pivovarova (2022), Table 3.
        """
        theta = self.infer(items, view)
        return self.words_of(theta, languages=languages, topics=topics, words=words)

    def words_of(
        self,
        theta: NDArray[np.floating[Any]],
        *,
        languages: Sequence[str] | None = None,
        topics: int = 1,
        words: int = 5,
    ) -> pd.DataFrame:
        """Describe topic proportions (items × K), as `infer` returns them, as `words_for` does."""
        output = self._trained()
        listed = {name: output.topics(name, words) for name in languages or output.languages}
        best = np.argsort(-theta, axis=1, kind="stable")[:, :topics]
        rows = [
            {
                "item": item,
                "topic": int(topic),
                "weight": float(theta[item, topic]),
                **{name: " ".join(of_view[topic]) for name, of_view in listed.items()},
            }
            for item, chosen in enumerate(best)
            for topic in chosen
        ]
        return pd.DataFrame(rows)

    def _trained(self) -> ModelOutput:
        if self.output is None:
            raise NotTrainedError(f"{self.name} is not trained yet; call fit or train_model first.")
        return self.output


def listed(items: Any, view: str) -> Any:
    """Return several items as a list, or an array or sparse matrix of numbers as it is."""
    return items if is_numeric(items) else as_items(items, f"view '{view}'")


def present_items(items: Any, view: str) -> NDArray[np.bool_]:
    """Return which items are not None; all rows of an array of numbers are present."""
    if is_numeric(items):
        return np.ones(items.shape[0], bool)
    return np.array([item is not None for item in listed(items, view)], bool)


def check_vectors(vectors: NDArray[Any], dimensions: int, view: str) -> None:
    """Refuse embeddings of another size, and those that are not finite."""
    if vectors.ndim != 2 or vectors.shape[1] != dimensions:
        raise DataError(
            f"view '{view}': embeddings of shape {vectors.shape}, expected finite numbers "
            f"(items × {dimensions})."
        )
    check_embeddings(vectors, len(vectors), view)
