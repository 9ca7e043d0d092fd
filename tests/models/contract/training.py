"""Runs: seeds, what a call leaves behind, and data that a model can or can't be trained on."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from planted import IMAGE, Planted

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, OctisM3LError, SettingsError
from octis_m3l.models import ModelOutput
from octis_m3l.models.base import NotTrainedError
from octis_m3l.training import derive_seed

from .base import Contract
from .helpers import THETA, TOP_WORDS, assert_differ, assert_distributions, assert_same, hashes


class TrainingContract(Contract):
    """What a model promises of its training."""

    def test_one_seed_is_one_result_and_nothing_else_changes(
        self, trained: Any, planted_data: Planted
    ) -> None:
        torch.manual_seed(1)
        np.random.seed(1)
        expected = torch.rand(3), np.random.rand(3)
        torch.manual_seed(1)
        np.random.seed(1)
        before = hashes(planted_data.dataset)
        model = self.make()
        output = model.train_model(planted_data.dataset, top_words=TOP_WORDS)
        assert torch.equal(torch.rand(3), expected[0])
        np.testing.assert_array_equal(np.random.rand(3), expected[1])
        assert hashes(planted_data.dataset) == before
        assert_same(output, trained.output)
        assert model.run_seed == output.seed == 0

    def test_every_call_has_a_seed_of_its_own(self, trained: Any, runs: list[ModelOutput]) -> None:
        assert_same(runs[0], trained.output)
        assert_differ(*runs)
        # Nor one of those that a run derives for its own draws.
        assert runs[1].seed not in {0, *(derive_seed(0, purpose) for purpose in range(100))}

    def test_a_call_leaves_nothing_behind(
        self, runs: list[ModelOutput], planted_data: Planted
    ) -> None:
        dataset = planted_data.dataset
        model = self.make()
        before = dict(model.hyperparameters)
        other = dataset.with_views(["de", "en" if self.needs_dictionary else IMAGE])
        output = model.train_model(other, {"num_topics": 3, "seed": 8}, top_words=3)
        assert output.seed == 8
        assert output["topic-word-matrix"].shape[0] == 3
        assert model.hyperparameters == before
        assert_same(model.train_model(dataset, top_words=TOP_WORDS), runs[1])

    def test_without_held_out_items(self, planted_data: Planted) -> None:
        output = self.train(planted_data.dataset.with_split(1.0, 0.0))
        assert output[f"test-{THETA}"].shape == (4, 0)
        assert output[f"validation-{THETA}"].shape == (4, 0)
        assert_distributions(output)

    def test_held_out_items_take_no_part_in_training(
        self, trained: Any, planted_data: Planted
    ) -> None:
        dataset = planted_data.dataset
        sizes = {name: view.sizes[0] for name, view in dataset.views.items()}
        views = [v.take(np.arange(sizes[n]), (sizes[n], 0, 0)) for n, v in dataset.views.items()]
        links = dataset.links[(dataset.links < list(sizes.values())).all(axis=1)]
        output = self.train(MultiviewDataset(views, links, dictionaries=dataset.dictionaries))
        for name in self.with_topics(dataset):
            key = f"topic-word-matrix/{name}"
            np.testing.assert_array_equal(output[key], trained.output[key])
        for name in self.inferred(dataset):
            theta = trained.output.theta(name)
            np.testing.assert_allclose(output.theta(name), theta, atol=1e-5)

    def test_data_without_links(self, planted_data: Planted) -> None:
        dataset = planted_data.dataset
        why = "no links" if self.needs_links else self.why_not_unlinked
        unlinked = MultiviewDataset(dataset.views.values(), dictionaries=dataset.dictionaries)
        self._trains_or_says_why(unlinked, why)

    def test_data_of_one_view(self, planted_data: Planted) -> None:
        why = "learns from two views or more" if self.model.least_views > 1 else None
        self._trains_or_says_why(planted_data.dataset.with_views(["de"]), why)

    def _trains_or_says_why(self, dataset: MultiviewDataset, why: str | None) -> None:
        model = self.make()
        if why is not None:
            for call in (model.check, model.train_model):
                with pytest.raises(DataError, match=re.escape(why)):
                    call(dataset, top_words=TOP_WORDS)
            with pytest.raises(NotTrainedError):
                model.topics()
        else:
            output = model.train_model(dataset, top_words=TOP_WORDS)
            assert output.pivot == dataset.pivot
            assert_distributions(output)

    def test_failed_call_leaves_it_untrained(self, planted_data: Planted) -> None:
        dataset = planted_data.dataset
        unfit = [dataset.with_split(0.0001, 0.0)]
        if self.needs_links:
            unfit.append(MultiviewDataset(dataset.views.values()))
        model = self.make()
        model.train_model(dataset, top_words=TOP_WORDS)
        for data in unfit:
            with pytest.raises(OctisM3LError):
                model.train_model(data, top_words=TOP_WORDS)
            with pytest.raises(NotTrainedError):
                model.topics()
            with pytest.raises(NotTrainedError):
                model.infer(["en_sea_1"], "en")

    def test_fits_lists_and_frames(self, planted_data: Planted) -> None:
        dataset = planted_data.dataset.complete(["en", "de"]).with_views(["en", "de"])
        texts = {name: view.items(slice(0, 30)) for name, view in dataset.text_views.items()}
        languages = {"en": None, "de": None}
        preprocessing = dataset.text_view("en").preprocessor
        arguments: dict[str, Any] = {"preprocessing": preprocessing, "languages": languages}
        of_lists = self.make()
        with pytest.raises(SettingsError, match="texts: only for lists and frames"):
            of_lists.fit(dataset, texts=["en"])
        if self.needs_dictionary:
            with pytest.raises(DataError, match=r"none connects de with the rest; give one with"):
                of_lists.fit(texts, top_words=TOP_WORDS, **arguments)
            return
        assert of_lists.fit(texts, top_words=TOP_WORDS, **arguments) is of_lists
        of_frame = self.make().fit(
            pd.DataFrame(texts).rename(columns={"en": "english"}),
            texts={"en": "english", "de": "de"},
            top_words=TOP_WORDS,
            **arguments,
        )
        assert_same(of_lists.output, of_frame.output)
        assert of_lists.output[THETA].shape == (4, 30)
