"""How a model is made and trained, once for all tests of its class."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from planted import Planted

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.models import ModelOutput
from octis_m3l.models.base import TopicModel

from .helpers import TOP_WORDS


class Contract:
    """Inherit and name the model.

    Attributes
    ----------
    model : type of TopicModel
        The class under test.
    settings : dict
        Settings with which it trains in a moment, in addition to `fast`.
    needs_links, needs_dictionary : bool
        Whether it refuses unlinked data, or data without dictionaries.
    why_not_unlinked : str, optional
        Why it refuses unlinked data, if it needs no links themselves.
    infers_training_items : bool
        Whether θ of training items is what it would infer for them, were they new.
    watches_validation : bool
        Whether validation items say which epoch's weights it has in the end.
    networks_trained : int
        How many networks a run trains one after another, each with a checkpoint.
    """

    model: ClassVar[type[TopicModel]]
    settings: ClassVar[dict[str, Any]] = {}
    needs_links: ClassVar[bool] = False
    needs_dictionary: ClassVar[bool] = False
    why_not_unlinked: ClassVar[str | None] = None
    infers_training_items: ClassVar[bool] = True
    watches_validation: ClassVar[bool] = False
    networks_trained: ClassVar[int] = 1
    fast: ClassVar[dict[str, Any]] = {"num_topics": 4}

    def make(self, **changes: Any) -> Any:
        """Return a model, not trained, with some of the settings changed."""
        return self.model(**{**self.fast, **self.settings, **changes})

    def train(self, data: MultiviewDataset, **changes: Any) -> ModelOutput:
        """Return the output of a model, trained with some of the settings changed."""
        output: ModelOutput = self.make(**changes).train_model(data, top_words=TOP_WORDS)
        return output

    def with_topics(self, data: MultiviewDataset) -> list[str]:
        """Return the views whose topics the model learns."""
        return list(data.text_views)

    def inferred(self, data: MultiviewDataset) -> list[str]:
        """Return the views whose items the model infers."""
        return list(data.views)

    @pytest.fixture(scope="class")
    def trained(self, data: MultiviewDataset) -> Any:
        """A trained model, to look at only."""
        model = self.make()
        model.train_model(data, top_words=TOP_WORDS)
        return model

    @pytest.fixture(scope="class")
    def runs(self, data: MultiviewDataset) -> list[ModelOutput]:
        """The outputs of two calls of one model."""
        model = self.make()
        return [model.train_model(data, top_words=TOP_WORDS) for _ in range(2)]

    @pytest.fixture
    def saved(self, trained: Any, tmp_path: Path) -> Path:
        """A folder with the trained model."""
        trained.save(tmp_path / "model")
        return tmp_path / "model"

    @pytest.fixture
    def texts(self, planted_data: Planted) -> list[str]:
        """New documents of the pivot: each theme's words."""
        return [" ".join(sorted(words)) for words in planted_data.words["en"]]
