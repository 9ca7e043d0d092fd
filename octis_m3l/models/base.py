"""What every model shares: OCTIS's interface, settings, seeds, and the calls above them."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from octis.models.model import AbstractModel

from octis_m3l.data.build import from_frame, from_lists
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, OctisM3LError, SettingsError, suggest
from octis_m3l.models.output import ModelOutput
from octis_m3l.models.settings import Settings
from octis_m3l.training.seeds import derive_seed

_RUNS = 1000


class NotTrainedError(OctisM3LError):
    """The model must be trained first."""


class TopicModel(AbstractModel):  # type: ignore[misc]
    """An OCTIS model over many views.

    Parameters
    ----------
    checkpoint : str or Path, optional
        A folder where training leaves its state and from which it goes on after an interruption.
    progress : bool
        Whether to show a progress bar.
    **hyperparameters
        See the model's settings; also given to `train_model`, or to OCTIS's Optimizer.

    Raises
    ------
    SettingsError
        If a hyperparameter is unknown or out of range.
    """

    name: ClassVar[str]
    settings_class: ClassVar[type[Settings]]

    def __init__(
        self,
        *,
        checkpoint: str | Path | None = None,
        progress: bool = False,
        **hyperparameters: Any,
    ) -> None:
        super().__init__()
        self.use_partitions = True
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.progress = progress
        self.hyperparameters = self._settings(hyperparameters).model_dump()
        self._given = dict(hyperparameters)
        self.runs = 0
        self.run_seed: int | None = None
        self.output: ModelOutput | None = None
        self.dataset: MultiviewDataset | None = None
        self.data_path: str | None = None
        self.trained_given: tuple[str, ...] = ()
        self.data_fingerprints: dict[str, str] | None = None

    # OCTIS's interface.

    def set_hyperparameters(self, **hyperparameters: Any) -> None:
        """Set hyperparameters for all later calls.

        Parameters
        ----------
        **hyperparameters
            Names and values.

        Raises
        ------
        SettingsError
            If one is unknown or out of range; then none is set.
        """
        given = {**self._given, **hyperparameters}
        self.hyperparameters = self._settings(given).model_dump()
        self._given = given

    def partitioning(self, use_partitions: bool = True) -> None:
        """Say whether to train on the training partition alone, as OCTIS's models do.

        Parameters
        ----------
        use_partitions : bool
            False: train on all items; then there is nothing to score on held-out items.
        """
        self.use_partitions = use_partitions

    def train_model(
        self,
        dataset: MultiviewDataset,
        hyperparameters: Mapping[str, Any] | None = None,
        top_words: int = 10,
    ) -> ModelOutput:
        """Train, and return topics and documents' topics of every view.

        The first call uses the seed itself, every later call on the same object a seed derived
        from it, so that OCTIS's `model_runs` differ; `run_seed` says which it was.

        Parameters
        ----------
        dataset : MultiviewDataset
            The data.
        hyperparameters : mapping, optional
            For this call only.
        top_words : int
            How many words a topic is shown by.

        Returns
        -------
        ModelOutput

        Raises
        ------
        SettingsError, DataError
            Before any training, if something does not fit.
        KeyboardInterrupt
            After Ctrl-C, so that a search stops too; the model keeps what it has learned.
        """
        if not isinstance(dataset, MultiviewDataset):
            raise DataError(
                f"{self.name} needs a MultiviewDataset, given {type(dataset).__name__}; with "
                "octis_m3l.data an OCTIS dataset becomes one: "
                "MultiviewDataset([text_view_from_octis(dataset, 'en')])."
            )
        given = {**self._given, **(hyperparameters or {})}
        settings = self._settings(given)
        smallest = min(len(view.vocabulary) for view in dataset.text_views.values())
        if not 1 <= top_words <= smallest:
            raise SettingsError(
                f"top_words={top_words}: expected 1 to {smallest}, the size of the smallest "
                "vocabulary."
            )
        seed = settings.seed if self.runs == 0 else derive_seed(settings.seed, _RUNS, self.runs)
        self.output = None
        self.trained_given = tuple(given)
        self.data_fingerprints = None
        self.dataset, self.data_path = dataset, dataset.dataset_path
        output = self._train(dataset, settings, seed, top_words)
        self.run_seed, self.output = seed, output
        if self.interrupted:
            raise KeyboardInterrupt
        self.runs += 1
        return output

    @property
    def interrupted(self) -> bool:
        """Whether the last training was ended by Ctrl-C; the model is usable all the same."""
        return False

    # What a model adds.

    @abstractmethod
    def _train(
        self, dataset: MultiviewDataset, settings: Any, seed: int, top_words: int
    ) -> ModelOutput: ...

    @abstractmethod
    def infer(
        self, items: Sequence[Any] | NDArray[Any], view: str, *, samples: int | None = None
    ) -> NDArray[np.float32]:
        """Return θ of new documents or pictures of one view (items × K)."""

    @abstractmethod
    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the model to a folder."""

    @classmethod
    @abstractmethod
    def load(cls, folder: str | Path, *, device: str = "cpu") -> Self:
        """Read a model that `save` wrote."""

    # Above train_model.

    def fit(self, data: Any, *, top_words: int = 10, **arguments: Any) -> Self:
        """Train on a data set, a mapping of lists, or a pandas frame.

        After Ctrl-C the model keeps what it has learned, and warns.

        Parameters
        ----------
        data : MultiviewDataset, mapping of view to list, or pandas.DataFrame
            Lists and frames go through `MultiviewDataset.from_lists` and ``from_frame``.
        top_words : int
            How many words a topic is shown by.
        **arguments
            For ``from_lists`` and ``from_frame``: ``images``, ``texts``, ``partition``, …

        Returns
        -------
        the model itself
        """
        if isinstance(data, pd.DataFrame):
            data = from_frame(data, **arguments)
        elif isinstance(data, Mapping):
            data = from_lists(data, **arguments)
        elif arguments:
            raise SettingsError(
                f"{', '.join(arguments)}: only for lists and frames; this is a data set already."
            )
        try:
            self.train_model(data, top_words=top_words)
        except KeyboardInterrupt:
            if self.output is None:
                raise
        return self

    def transform(self, items: Any, view: str | None = None, *, samples: int | None = None) -> Any:
        """Return θ of new items.

        Parameters
        ----------
        items : sequence, or mapping of view to sequence
            Texts, pictures or embeddings.
        view : str, optional
            The items' view. Default: the pivot.
        samples : int, optional
            As for `infer`.

        Returns
        -------
        array (items × K), or dict of view to array for a mapping
        """
        if isinstance(items, Mapping):
            return {name: self.infer(some, name, samples=samples) for name, some in items.items()}
        return self.infer(items, view or self._trained().pivot, samples=samples)

    def topics(self, view: str | None = None, words: int | None = None) -> list[list[str]]:
        """Return each topic's first words in a text view.

        Parameters
        ----------
        view : str, optional
            Default: the pivot.
        words : int, optional
            How many, at most. Default: as many as training was asked for.
        """
        output = self._trained()
        return output.topics(view or output.pivot, words)

    def topic_info(self, words: int | None = None) -> pd.DataFrame:
        """Return a table: topic, share of the pivot's training documents, words in every language.

        Parameters
        ----------
        words : int, optional
            How many of each topic, at most. Default: as many as training was asked for.

        Returns
        -------
        pandas.DataFrame
            Most frequent topic first; a column of words for each text view.
        """
        output = self._trained()
        columns: dict[str, Any] = {"topic": range(len(output["topics"]))}
        columns["share"] = output.theta(output.pivot).mean(axis=0)
        for name in output.vocabularies:
            if f"topics/{name}" in output:
                columns[name] = [" ".join(topic) for topic in output.topics(name, words)]
        frame = pd.DataFrame(columns)
        return frame.sort_values("share", ascending=False, kind="stable", ignore_index=True)

    def representatives(
        self, topic: int, view: str, *, count: int = 3, dataset: MultiviewDataset | None = None
    ) -> pd.DataFrame:
        """Return the training documents or pictures that have most of a topic.

        Parameters
        ----------
        topic : int
            From 0 to K − 1.
        view : str
            Any view.
        count : int
            How many.
        dataset : MultiviewDataset, optional
            Default: the one trained on. A loaded model needs it.

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
        items: Sequence[Any] | NDArray[Any],
        view: str,
        *,
        languages: Sequence[str] | None = None,
        topics: int = 1,
        words: int = 5,
    ) -> pd.DataFrame:
        """Return words, in any language, for new pictures or documents: their topics' first words.

        Parameters
        ----------
        items : sequence or array of embeddings
            As for `infer`.
        view : str
            The items' view.
        languages : sequence of str, optional
            Text views to take words from. Default: all.
        topics : int
            How many topics of each item.
        words : int
            How many words of each topic.

        Returns
        -------
        pandas.DataFrame
            item, topic, weight, and a column of words for each language.

        References
        ----------
        Zosa & Pivovarova (2022), Table 3.
        """
        output = self._trained()
        theta = self.infer(items, view)
        spoken = languages or [n for n in output.vocabularies if f"topics/{n}" in output]
        listed = {name: output.topics(name, words) for name in spoken}
        best = np.argsort(-theta, axis=1, kind="stable")[:, :topics]
        rows = [
            {
                "item": item,
                "topic": int(topic),
                "weight": float(theta[item, topic]),
                **{name: " ".join(said[topic]) for name, said in listed.items()},
            }
            for item, chosen in enumerate(best)
            for topic in chosen
        ]
        return pd.DataFrame(rows)

    def _settings(self, given: Mapping[str, Any]) -> Any:
        return self.settings_class.checked(given, self.name)

    def _trained(self) -> ModelOutput:
        if self.output is None:
            raise NotTrainedError(f"{self.name} is not trained yet; call fit or train_model first.")
        return self.output

    def _known_view(self, view: str, known: Sequence[str]) -> None:
        if view not in known:
            raise DataError(f"the model knows no view '{view}'.{suggest(view, known)}")
