"""Hyperparameters: declared once, checked at once, shown in help and on search spaces."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from octis.models.model import AbstractModel
from planted import Planted

from octis_m3l.errors import SettingsError
from octis_m3l.models import MODELS

from .base import Contract
from .helpers import TOP_WORDS


class SettingsContract(Contract):
    """What a model promises of its hyperparameters."""

    def test_is_an_octis_model_built_without_arguments(self) -> None:
        model = self.model()
        assert isinstance(model, AbstractModel)
        assert model.trained_settings is None
        assert MODELS[model.name] is self.model
        given = model.hyperparameters
        assert {type(value) for value in given.values()} <= {int, float, str, bool}
        assert json.loads(json.dumps(given)) == given
        assert self.model(**given).hyperparameters == given

    def test_help_describes_every_hyperparameter(self) -> None:
        described = self.model.settings_class.described()
        assert list(described) == list(self.make().hyperparameters)
        assert json.loads(json.dumps(described)) == described
        for name, of_setting in described.items():
            assert of_setting["what"], name
            assert of_setting["range"], name
            line = f"\n{name} : {of_setting['range']}, default {of_setting['default']!r}\n"
            assert line in str(self.model.__doc__)

    def test_unknown_hyperparameter_is_an_error_with_a_suggestion(
        self, planted_data: Planted
    ) -> None:
        known = ", ".join(sorted(self.model().hyperparameters))
        message = (
            f"{self.model.name}: 'num_topic' is no hyperparameter. Did you mean 'num_topics'? "
            f"Known: {known}."
        )
        calls: list[Callable[[], Any]] = [
            lambda: self.model(num_topic=5),
            lambda: self.make().set_hyperparameters(num_topic=5),
            lambda: self.make().train_model(planted_data.dataset, {"num_topic": 5}),
        ]
        for call in calls:
            with pytest.raises(SettingsError) as raised:
                call()
            assert str(raised.value) == message

    def test_lists_everything_that_is_wrong_and_sets_nothing(self) -> None:
        model = self.make(num_topics=3)
        with pytest.raises(SettingsError) as raised:
            model.set_hyperparameters(num_topics=1, seed=-1, num_topicz=3)
        assert model.hyperparameters == self.make(num_topics=3).hyperparameters
        message = str(raised.value)
        assert message.startswith(f"{self.model.name}: 'num_topicz' is no hyperparameter.")
        assert " num_topics=1: Input should be greater than or equal to 2." in message
        assert " seed=-1: Input should be greater than or equal to 0." in message

    def test_settings_stay_and_numpy_numbers_become_pythons(self, planted_data: Planted) -> None:
        model = self.make(num_topics=np.int64(3))
        model.set_hyperparameters(seed=np.int32(7))
        before = dict(model.hyperparameters)
        assert (type(before["num_topics"]), type(before["seed"])) == (int, int)
        output = model.train_model(planted_data.dataset, {"num_topics": np.int64(2)}, TOP_WORDS)
        assert output["topic-word-matrix"].shape[0] == 2
        assert (type(model.run_seed), model.run_seed) == (int, 7)
        assert model.hyperparameters == before

    def test_search_space_is_of_its_hyperparameters(self) -> None:
        space = self.model.search_space
        assert len(space) >= 2
        for name, bounds in space.items():
            low, high = bounds[:2]
            assert low < high
            for value in (low, high):
                assert self.model(**{name: value}).hyperparameters[name] == value

    def test_top_words_out_of_range(self, planted_data: Planted) -> None:
        smallest = min(len(v.vocabulary) for v in planted_data.dataset.text_views.values())
        for wrong in (0, smallest + 1, "7"):
            message = f"top_words={wrong!r}: expected 1 to {smallest}, the size"
            with pytest.raises(SettingsError, match=message):
                self.make().train_model(planted_data.dataset, top_words=wrong)

    def test_a_model_larger_than_the_memory_is_refused(
        self, planted_data: Planted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = self.make(num_topics=32_767 if self.model.name == "pltm" else 10**9)
        message = r"^num_topics=[\d,]+.* with \d+ words: the model needs [\d,.]+ GiB, and this mach"
        monkeypatch.setattr("octis_m3l.models.settings._memory", lambda: 4_000_000)
        for call in (model.train_model, model.check):
            with pytest.raises(SettingsError, match=message):
                call(planted_data.dataset, top_words=TOP_WORDS)
