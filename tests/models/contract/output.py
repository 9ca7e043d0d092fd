"""The output of a trained model: its keys, its values, and what people are shown of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import IMAGE, Planted

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics.outputs import THETA_KEYS
from octis_m3l.models import ModelOutput
from octis_m3l.models.base import NotTrainedError

from .base import Contract
from .helpers import THETA, TOP_WORDS, assert_distributions


class OutputContract(Contract):
    """What a model promises of its output."""

    def test_output_has_every_key_of_every_view(self, trained: Any, planted_data: Planted) -> None:
        dataset, output = planted_data.dataset, trained.output
        topics = trained.hyperparameters["num_topics"]
        assert type(output) is ModelOutput
        assert output.views == self.inferred(dataset)
        plain = {"topics", "topic-word-matrix", *THETA_KEYS.values()}
        expected = set(plain)
        for name in self.with_topics(dataset):
            expected |= {f"topics/{name}", f"topic-word-matrix/{name}"}
            words = len(dataset.text_view(name).vocabulary)
            assert output[f"topic-word-matrix/{name}"].shape == (topics, words)
            assert output[f"topics/{name}"].shape == (topics, TOP_WORDS)
            assert output[f"topics/{name}"].dtype == np.int64
        for name in self.inferred(dataset):
            expected |= {f"{key}/{name}" for key in THETA_KEYS.values()}
            for key, size in zip(THETA_KEYS.values(), dataset.view(name).sizes, strict=True):
                assert output[f"{key}/{name}"].shape == (topics, size)
        assert set(output) == expected
        assert output.pivot in self.with_topics(dataset)
        for key in plain - {"topics"}:
            assert output[key] is output[f"{key}/{output.pivot}"]
        assert output["topics"] == output.topics(output.pivot)
        assert_distributions(output)

    def test_topics_are_the_likeliest_words(self, trained: Any, planted_data: Planted) -> None:
        output = trained.output
        for name in self.with_topics(planted_data.dataset):
            matrix = output[f"topic-word-matrix/{name}"]
            order = np.argsort(-matrix, axis=1, kind="stable")[:, :TOP_WORDS]
            np.testing.assert_array_equal(output[f"topics/{name}"], order)
            words = planted_data.dataset.text_view(name).vocabulary
            assert output.topics(name) == [[words[i] for i in topic] for topic in order]
            assert trained.topics(name) == output.topics(name)
            longer = trained.topics(name, len(words) + 1)
            assert [topic[:TOP_WORDS] for topic in longer] == output.topics(name)
            assert all(sorted(topic) == sorted(words) for topic in longer)
            assert trained.topics(name, 2) == [topic[:2] for topic in output.topics(name)]
        assert trained.topics() == output["topics"]

    def test_columns_are_the_items_as_stored(self, trained: Any, planted_data: Planted) -> None:
        for name in self.inferred(planted_data.dataset):
            view = planted_data.dataset.view(name)
            for partition in ("train", "test") if self.infers_training_items else ("test",):
                rows = view.rows(partition)
                items = view.embeddings[rows] if view.embeddings is not None else view.items(rows)
                theta = trained.output.theta(name, partition)
                np.testing.assert_allclose(trained.infer(items, name), theta, atol=1e-5)

    def test_view_of_the_output_is_plain(self, trained: Any, planted_data: Planted) -> None:
        output = trained.output
        for name in self.inferred(planted_data.dataset):
            plain = output.view(name)
            words = {"topics", "topic-word-matrix"} if f"topics/{name}" in output else set()
            assert set(plain) == words | set(THETA_KEYS.values())
            assert type(plain) is dict
            for key in set(plain) - {"topics"}:
                assert plain[key] is output[f"{key}/{name}"]
        with pytest.raises(DataError, match=r"output knows no view 'enn'\. Did you mean 'en'\?"):
            output.view("enn")
        with pytest.raises(DataError, match=r"view 'image' has no topics of its own\. Known: "):
            output.topics(IMAGE)

    def test_without_partitions_trains_on_all(
        self, trained_on_all: Any, planted_data: Planted
    ) -> None:
        dataset, output = planted_data.dataset, trained_on_all.output
        for name in self.inferred(dataset):
            assert output[f"{THETA}/{name}"].shape[1] == len(dataset.view(name))
        assert not [key for key in output if key.startswith(("test-", "validation-"))]
        assert_distributions(output)

    def test_topic_info(self, trained: Any, planted_data: Planted) -> None:
        info = trained.topic_info()
        views = self.with_topics(planted_data.dataset)
        assert list(info.columns) == ["topic", "share", *views]
        assert sorted(info["topic"]) == [0, 1, 2, 3]
        assert info["share"].is_monotonic_decreasing
        assert info["share"].sum() == pytest.approx(1, abs=1e-5)
        for name in views:
            for topic, words in zip(info["topic"], info[name], strict=True):
                assert words.split() == trained.topics(name)[topic]

    def test_representatives(self, trained: Any, planted_data: Planted) -> None:
        for name in self.inferred(planted_data.dataset):
            view = planted_data.dataset.view(name)
            theta = trained.output.theta(name)
            shown = trained.representatives(1, name, count=4)
            assert list(shown.columns) == ["item", "input_row", "weight", "content"]
            best = np.sort(theta[:, 1])[::-1][:4]
            np.testing.assert_array_equal(shown["weight"], best)
            np.testing.assert_array_equal(theta[shown["item"], 1], best)
            np.testing.assert_array_equal(shown["input_row"], view.input_rows[shown["item"]])
            if name == IMAGE:
                assert shown["content"].isna().all()
            else:
                assert list(shown["content"]) == view.items(shown["item"].to_numpy())
        with pytest.raises(SettingsError, match=r"topic=4: expected 0 to 3\."):
            trained.representatives(4, "en")

    def test_words_for_new_items(self, trained: Any, planted_data: Planted) -> None:
        views = self.with_topics(planted_data.dataset)
        items = ["en_sea_1 en_sea_2", "en_forest_1"]
        shown = trained.words_for(items, "en", topics=2, words=3)
        assert list(shown.columns) == ["item", "topic", "weight", *views]
        assert list(shown["item"]) == [0, 0, 1, 1]
        theta = trained.infer(items, "en")
        for row in shown.itertuples():
            assert row.weight == theta[row.item, row.topic]
        for name in views:
            expected = [" ".join(trained.topics(name)[topic][:3]) for topic in shown["topic"]]
            assert list(shown[name]) == expected
        assert (shown["weight"].to_numpy()[::2] >= shown["weight"].to_numpy()[1::2]).all()
        one = trained.words_for(items, "en", languages=views[:1])
        assert list(one.columns) == ["item", "topic", "weight", views[0]]
        assert list(one["weight"]) == theta.max(axis=1).tolist()

    def test_not_trained(self, tmp_path: Path) -> None:
        model = self.make()
        calls: list[Callable[[], Any]] = [
            lambda: model.infer(["en_sea_1"], "en"),
            lambda: model.transform(["en_sea_1"]),
            lambda: model.topics(),
            lambda: model.topic_info(),
            lambda: model.representatives(0, "en"),
            lambda: model.words_for(["en_sea_1"], "en"),
            lambda: model.save(tmp_path / "model"),
        ]
        for call in calls:
            with pytest.raises(NotTrainedError) as raised:
                call()
            expected = f"{self.model.name} is not trained yet; call fit or train_model first."
            assert str(raised.value) == expected
        assert not list(tmp_path.iterdir())

    def test_three_languages(self, three_languages: MultiviewDataset) -> None:
        output = self.train(three_languages)
        assert [k for k in output if k.startswith("topics/")] == [
            f"topics/{name}" for name in self.with_topics(three_languages)
        ]
        assert output.views == self.inferred(three_languages)
        assert_distributions(output)
