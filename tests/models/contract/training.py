"""Runs: seeds, data that a model can or can't be trained on, new items, and storage."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from planted import IMAGE

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, OctisM3LError, SettingsError, StorageError
from octis_m3l.files import read_json
from octis_m3l.models import MODELS, ModelOutput, load_model
from octis_m3l.models.base import NotTrainedError
from octis_m3l.models.storage import MARKER
from octis_m3l.training import derive_seed

from .base import Contract
from .helpers import (
    THETA,
    TOP_WORDS,
    assert_differ,
    assert_distributions,
    assert_same,
    copied,
    refused,
)


class TrainingContract(Contract):
    """What a model promises of its training, of new items, and of the folder it is saved to."""

    def test_one_seed_is_one_result_and_nothing_else_changes(
        self, trained: Any, data: MultiviewDataset
    ) -> None:
        torch.manual_seed(1)
        np.random.seed(1)
        expected = torch.rand(3), np.random.rand(3)
        torch.manual_seed(1)
        np.random.seed(1)
        before = copied(data)
        model = self.make()
        output = model.train_model(data, top_words=TOP_WORDS)
        assert torch.equal(torch.rand(3), expected[0])
        np.testing.assert_array_equal(np.random.rand(3), expected[1])
        np.testing.assert_equal(copied(data), before)
        assert_same(output, trained.output)
        assert model.run_seed == output.seed == 0

    def test_every_call_has_a_seed_of_its_own_and_leaves_nothing_behind(
        self, trained: Any, runs: list[ModelOutput], data: MultiviewDataset
    ) -> None:
        assert_same(runs[0], trained.output)
        assert_differ(*runs)
        # Nor one of those that a run derives for its own draws.
        assert runs[1].seed not in {0, *(derive_seed(0, purpose) for purpose in range(100))}
        model = self.make()
        before = dict(model.hyperparameters)
        other = data.with_views(["de", "en" if self.needs_dictionary else IMAGE])
        output = model.train_model(other, {"num_topics": 3, "seed": 8}, top_words=3)
        assert output.seed == 8
        assert output["topic-word-matrix"].shape[0] == 3
        assert model.hyperparameters == before
        assert_same(model.train_model(data, top_words=TOP_WORDS), runs[1])

    def test_held_out_items_take_no_part_in_training(
        self, trained: Any, data: MultiviewDataset
    ) -> None:
        used = 2 if self.watches_validation else 1
        kept = {name: view.sizes[:used] for name, view in data.views.items()}
        views = [
            view.take(np.arange(sum(kept[name])), (*kept[name], 0, 0)[:3])
            for name, view in data.views.items()
        ]
        links = data.links[(data.links < [sum(sizes) for sizes in kept.values()]).all(axis=1)]
        output = self.train(MultiviewDataset(views, links, dictionaries=data.dictionaries))
        for name in self.with_topics(data):
            key = f"topic-word-matrix/{name}"
            np.testing.assert_array_equal(output[key], trained.output[key])
        for name in self.inferred(data):
            theta = trained.output.theta(name)
            np.testing.assert_allclose(output.theta(name), theta, atol=1e-5)
            assert output[f"test-{THETA}/{name}"].shape == (4, 0)
            rows = (*kept[name], 0)[1]
            assert output[f"validation-{THETA}/{name}"].shape == (4, rows)

    def test_data_of_other_forms(
        self, data: MultiviewDataset, three_languages: MultiviewDataset
    ) -> None:
        output = self.train(three_languages)
        topics = [f"topics/{name}" for name in self.with_topics(three_languages)]
        assert [key for key in output if key.startswith("topics/")] == topics
        assert output.views == self.inferred(three_languages)
        assert_distributions(output)
        unlinked = MultiviewDataset(data.views.values(), dictionaries=data.dictionaries)
        one_view = "learns from two views or more" if self.model.least_views > 1 else None
        for dataset, why in (
            (unlinked, "no links" if self.needs_links else self.why_not_unlinked),
            (data.with_views(["de"]), one_view),
        ):
            model = self.make()
            if why is None:
                output = model.train_model(dataset, top_words=TOP_WORDS)
                assert output.pivot == dataset.pivot
                assert_distributions(output)
                continue
            refused(DataError, why, model.check, dataset, top_words=TOP_WORDS)
            refused(DataError, why, model.train_model, dataset, top_words=TOP_WORDS)
            refused(NotTrainedError, "", model.topics)

    def test_failed_call_leaves_it_untrained(self, data: MultiviewDataset) -> None:
        unfit = [data.with_split(0.0001, 0.0)]
        if self.needs_links:
            unfit.append(MultiviewDataset(data.views.values()))
        model = self.make()
        model.train_model(data, top_words=TOP_WORDS)
        for dataset in unfit:
            refused(OctisM3LError, "", model.train_model, dataset, top_words=TOP_WORDS)
            refused(NotTrainedError, "", model.topics)
            refused(NotTrainedError, "", model.infer, ["en_sea_1"], "en")

    def test_fits_lists_and_frames(self, data: MultiviewDataset) -> None:
        dataset = data.complete(["en", "de"]).with_views(["en", "de"])
        texts = {name: view.items(slice(0, 30)) for name, view in dataset.text_views.items()}
        arguments: dict[str, Any] = {
            "preprocessing": dataset.text_view("en").preprocessor,
            "languages": {"en": None, "de": None},
            "top_words": TOP_WORDS,
        }
        model = self.make()
        refused(SettingsError, "texts: only for lists and frames", model.fit, dataset, texts=["en"])
        if self.needs_dictionary:
            message = "none connects de with the rest; give one with"
            refused(DataError, message, model.fit, texts, **arguments)
            return
        assert model.fit(texts, **arguments) is model
        frame = pd.DataFrame(texts).rename(columns={"en": "english"})
        of_frame = self.make().fit(frame, texts={"en": "english", "de": "de"}, **arguments)
        assert_same(model.output, of_frame.output)
        assert model.output[THETA].shape == (4, 30)

    # New items.

    def test_infers_new_texts(self, trained: Any, texts: list[str]) -> None:
        theta = trained.infer(texts, "en")
        assert theta.shape == (len(texts), 4)
        assert theta.dtype == np.float32
        np.testing.assert_allclose(theta.sum(axis=1), 1, atol=1e-5)
        assert theta.min() >= 0
        np.testing.assert_array_equal(trained.infer(texts, "en"), theta)
        np.testing.assert_array_equal(trained.transform(texts), theta)
        both = trained.transform({"en": texts, "de": ["de_sea_1 de_sea_2"]})
        np.testing.assert_array_equal(both["en"], theta)
        assert both["de"].shape == (1, 4)
        assert trained.infer([], "en").shape == (0, 4)
        # The answer for one does not depend on the others.
        for row, text in enumerate(texts):
            np.testing.assert_allclose(trained.infer([text], "en")[0], theta[row], atol=1e-6)
        np.testing.assert_allclose(trained.infer(texts[::-1], "en")[::-1], theta, atol=1e-6)

    @pytest.mark.parametrize(
        "given",
        [
            *("en_sea_1", b"sea", {"doc": "en_sea_1"}, {"en_sea_1"}, 3, np.float32(3)),
            pd.DataFrame({"en": ["en_sea_1"]}),
        ],
    )
    def test_one_item_is_not_a_list(self, trained: Any, given: Any) -> None:
        message = f"view 'en': expected a list of items, given one {type(given).__name__}; put a"
        refused(DataError, message, trained.infer, given, "en")
        refused(DataError, message, trained.transform, {"en": given})
        message = "unknown view 'enn'. Did you mean 'en'?"
        refused(DataError, message, trained.infer, ["en_sea_1"], "enn")

    # Storage: what does not depend on the model is in test_storage.py.

    def test_loads_what_it_saved(
        self, trained: Any, saved: Path, data: MultiviewDataset, texts: list[str]
    ) -> None:
        kinds = {path.suffix for path in saved.rglob("*") if path.is_file()}
        assert kinds == {".json", ".safetensors"}
        for model in (self.model.load(saved), load_model(saved)):
            assert type(model) is self.model
            assert model.hyperparameters == trained.hyperparameters
            assert model.run_seed == trained.run_seed
            assert model.history == trained.history
            assert model.output is not None
            assert_same(model.output, trained.output)
            assert vars(model.output) == vars(trained.output)
            np.testing.assert_array_equal(model.infer(texts, "en"), trained.infer(texts, "en"))
            pd.testing.assert_frame_equal(model.topic_info(), trained.topic_info())
            message = "a loaded model does not hold the documents"
            refused(DataError, message, model.representatives, 0, "en")
            shown = model.representatives(0, "en", dataset=data)
            pd.testing.assert_frame_equal(shown, trained.representatives(0, "en"))
            other, message = data.with_split(0.5, 0.1), "pass the data set that it was trained on"
            refused(DataError, message, model.representatives, 0, "en", dataset=other)
        assert_same(model.train_model(data, top_words=TOP_WORDS), trained.output)

    def test_trains_on_all_without_partitions(self, data: MultiviewDataset, tmp_path: Path) -> None:
        model = self.make()
        model.partitioning(False)
        output = model.train_model(data, top_words=TOP_WORDS)
        for name in self.inferred(data):
            assert output[f"{THETA}/{name}"].shape[1] == len(data.view(name))
        assert not [key for key in output if key.startswith(("test-", "validation-"))]
        assert_distributions(output)
        model.save(tmp_path / "model")
        loaded = self.model.load(tmp_path / "model")
        assert loaded.output is not None
        assert_same(loaded.output, output)
        shown = loaded.representatives(0, "en", dataset=data)
        pd.testing.assert_frame_equal(shown, model.representatives(0, "en"))
        assert f"test-{THETA}" not in loaded.train_model(data, top_words=TOP_WORDS)

    def test_weights_that_are_not_finite(self, trained: Any, tmp_path: Path) -> None:
        pltm = self.model.name == "pltm"
        whole = trained.samples[0].alpha if pltm else next(trained.network.parameters()).data
        weights = whole.reshape(-1)
        first = float(weights[0])
        weights[0] = np.nan
        try:
            trained.save(tmp_path / "model")
        finally:
            weights[0] = first
        message = "weights.safetensors holds NaN or infinity ('"
        refused(StorageError, message, load_model, tmp_path / "model")

    def test_descriptions_of_other_models(self, saved: Path) -> None:
        other = next(kind for kind in MODELS.values() if kind is not self.model)
        expected = f"holds a {self.model.name}, not a {other.name}; use octis_m3l.load_model."
        refused(DataError, expected, other.load, saved)
        # A network beyond any memory.
        described = read_json(saved / MARKER)
        for sizes in described.get("network", {}).values():
            if isinstance(sizes, dict):
                sizes[next(iter(sizes))] = 10**13
                (saved / MARKER).write_text(json.dumps(described))
                expected = r"is damaged or incomplete \((Error\(s\) in loading|Unable to allocate)"
                with pytest.raises(StorageError, match=expected):
                    self.model.load(saved)
