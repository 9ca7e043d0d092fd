"""Hyperparameters, the output, and OCTIS, whose metrics and Optimizer run every model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from octis.evaluation_metrics.coherence_metrics import Coherence
from octis.evaluation_metrics.diversity_metrics import (
    InvertedRBO,
    KLDivergence,
    LogOddsRatio,
    TopicDiversity,
)
from octis.evaluation_metrics.topic_significance_metrics import (
    KL_background,
    KL_uniform,
    KL_vacuous,
)
from octis.models.model import AbstractModel, save_model_output
from octis.optimization.optimizer import Optimizer
from planted import IMAGE
from skopt.space.space import Dimension, Integer, Real  # type: ignore[import-untyped]

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics import TopicUniqueness, score_all
from octis_m3l.metrics.outputs import THETA_KEYS
from octis_m3l.models import MODELS, ModelOutput
from octis_m3l.models.base import NotTrainedError

from .base import Contract
from .helpers import THETA, TOP_WORDS, assert_distributions, refused


class OutputContract(Contract):
    """What a model promises of its hyperparameters and its output."""

    # Settings.

    def test_is_an_octis_model_built_without_arguments(self) -> None:
        model = self.model()
        assert isinstance(model, AbstractModel)
        assert model.trained_settings is None
        assert MODELS[model.name] is self.model
        given = model.hyperparameters
        assert {type(value) for value in given.values()} <= {int, float, str, bool}
        assert json.loads(json.dumps(given)) == given
        assert self.model(**given).hyperparameters == given
        assert self.model(7).hyperparameters == self.model(num_topics=7).hyperparameters

    def test_help_describes_every_hyperparameter(self) -> None:
        described = self.model.settings_class.described()
        assert list(described) == list(self.make().hyperparameters)
        assert json.loads(json.dumps(described)) == described
        for name, of_setting in described.items():
            assert of_setting["what"], name
            assert of_setting["range"], name
            line = f"\n{name} : {of_setting['range']}, default {of_setting['default']!r}\n"
            assert line in str(self.model.__doc__)

    def test_lists_everything_that_is_wrong_and_sets_nothing(self, data: MultiviewDataset) -> None:
        model, known = self.make(num_topics=3), ", ".join(sorted(self.model().hyperparameters))
        message = (
            f"{self.model.name}: unknown hyperparameter 'num_topic'. Did you mean 'num_topics'? "
            f"Known: {known}."
        )
        refused(SettingsError, message, self.model, num_topic=5)
        refused(SettingsError, message, model.train_model, data, {"num_topic": 5})
        with pytest.raises(SettingsError) as raised:
            model.set_hyperparameters(num_topics=1, seed=-1, num_topic=3)
        for part in (
            message.removeprefix(f"{self.model.name}: "),
            " num_topics=1: it should be greater than or equal to 2.",
            " seed=-1: it should be greater than or equal to 0.",
        ):
            assert part in str(raised.value)
        assert model.hyperparameters == self.make(num_topics=3).hyperparameters

    def test_settings_stay_and_numpy_numbers_become_pythons(self, data: MultiviewDataset) -> None:
        model = self.make(num_topics=np.int64(3))
        model.set_hyperparameters(seed=np.int32(7))
        before = dict(model.hyperparameters)
        assert (type(before["num_topics"]), type(before["seed"])) == (int, int)
        output = model.train_model(data, {"num_topics": np.int64(2)}, TOP_WORDS)
        assert output["topic-word-matrix"].shape[0] == 2
        assert (type(model.run_seed), model.run_seed) == (int, 7)
        assert model.hyperparameters == before

    def test_search_space_is_of_its_hyperparameters(self) -> None:
        space = self.model.search_space
        assert len(space) >= 2
        for name, (low, high, *_) in space.items():
            assert low < high
            for value in (low, high):
                assert self.model(**{name: value}).hyperparameters[name] == value

    def test_what_is_larger_than_the_vocabulary_or_the_memory(
        self, data: MultiviewDataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        smallest = min(len(v.vocabulary) for v in data.text_views.values())
        for wrong in (0, smallest + 1, "7"):
            message = f"top_words={wrong!r}: expected 1 to {smallest}, the size"
            refused(SettingsError, message, self.make().train_model, data, top_words=wrong)
        model = self.make(num_topics=32_767 if self.model.name == "pltm" else 10**9)
        message = r"^num_topics=[\d,]+.* with \d+ words: the model needs [\d,.]+ GiB, and this mach"
        monkeypatch.setattr("octis_m3l.models.settings._memory", lambda: 4_000_000)
        for call in (model.train_model, model.check):
            with pytest.raises(SettingsError, match=message):
                call(data, top_words=TOP_WORDS)

    # The output.

    def test_output_has_every_key_of_every_view(self, trained: Any, data: MultiviewDataset) -> None:
        output, topics = trained.output, trained.hyperparameters["num_topics"]
        assert type(output) is ModelOutput
        assert output.views == self.inferred(data)
        plain = {"topics", "topic-word-matrix", *THETA_KEYS.values()}
        expected = set(plain)
        for name in self.with_topics(data):
            expected |= {f"topics/{name}", f"topic-word-matrix/{name}"}
            words = len(data.text_view(name).vocabulary)
            assert output[f"topic-word-matrix/{name}"].shape == (topics, words)
            assert output[f"topics/{name}"].shape == (topics, TOP_WORDS)
            assert output[f"topics/{name}"].dtype == np.int64
        for name in self.inferred(data):
            expected |= {f"{key}/{name}" for key in THETA_KEYS.values()}
            for key, size in zip(THETA_KEYS.values(), data.view(name).sizes, strict=True):
                assert output[f"{key}/{name}"].shape == (topics, size)
            of_view = output.view(name)
            assert type(of_view) is dict
            words = {"topics", "topic-word-matrix"} if f"topics/{name}" in output else set()
            assert set(of_view) == words | set(THETA_KEYS.values())
            assert all(of_view[k] is output[f"{k}/{name}"] for k in of_view if k != "topics")
        assert set(output) == expected
        assert output.pivot in self.with_topics(data)
        assert all(output[k] is output[f"{k}/{output.pivot}"] for k in plain if k != "topics")
        assert_distributions(output)
        refused(DataError, "unknown view 'enn'. Did you mean 'en'?", output.view, "enn")
        refused(DataError, "'image' has no topics of its own. Known: ", output.topics, IMAGE)

    def test_topics_are_the_likeliest_words(self, trained: Any, data: MultiviewDataset) -> None:
        output = trained.output
        for name in self.with_topics(data):
            matrix = output[f"topic-word-matrix/{name}"]
            order = np.argsort(-matrix, axis=1, kind="stable")[:, :TOP_WORDS]
            np.testing.assert_array_equal(output[f"topics/{name}"], order)
            words = data.text_view(name).vocabulary
            expected = [[words[i] for i in topic] for topic in order]
            assert trained.topics(name) == output.topics(name) == expected
            longer = trained.topics(name, len(words) + 1)
            assert [topic[:TOP_WORDS] for topic in longer] == expected
            assert all(sorted(topic) == sorted(words) for topic in longer)
            assert trained.topics(name, 2) == [topic[:2] for topic in expected]
        assert trained.topics() == output["topics"] == output.topics(output.pivot)

    def test_columns_are_the_items_as_stored(self, trained: Any, data: MultiviewDataset) -> None:
        for name in self.inferred(data):
            view = data.view(name)
            for partition in ("train", "test") if self.infers_training_items else ("test",):
                rows = view.rows(partition)
                items = view.embeddings[rows] if view.embeddings is not None else view.items(rows)
                theta = trained.output.theta(name, partition)
                np.testing.assert_allclose(trained.infer(items, name), theta, atol=1e-5)

    def test_what_people_look_at(self, trained: Any, data: MultiviewDataset) -> None:
        info, views = trained.topic_info(), self.with_topics(data)
        assert list(info.columns) == ["topic", "share", *views]
        assert sorted(info["topic"]) == [0, 1, 2, 3]
        assert info["share"].is_monotonic_decreasing
        assert info["share"].sum() == pytest.approx(1, abs=1e-5)
        for name in views:
            topics = trained.topics(name)
            assert [words.split() for words in info[name]] == [topics[k] for k in info["topic"]]
        for name in self.inferred(data):
            view, theta = data.view(name), trained.output.theta(name)
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
        refused(SettingsError, "topic=4: expected 0 to 3.", trained.representatives, 4, "en")

    def test_words_for_new_items(self, trained: Any, data: MultiviewDataset) -> None:
        views = self.with_topics(data)
        items = ["en_sea_1 en_sea_2", "en_forest_1"]
        shown = trained.words_for(items, "en", topics=2, words=3)
        assert list(shown.columns) == ["item", "topic", "weight", *views]
        assert list(shown["item"]) == [0, 0, 1, 1]
        theta = trained.infer(items, "en")
        assert [theta[r.item, r.topic] for r in shown.itertuples()] == list(shown["weight"])
        for name in views:
            expected = [" ".join(trained.topics(name)[topic][:3]) for topic in shown["topic"]]
            assert list(shown[name]) == expected
        assert (shown["weight"].to_numpy()[::2] >= shown["weight"].to_numpy()[1::2]).all()
        one = trained.words_for(items, "en", languages=views[:1])
        assert list(one.columns) == ["item", "topic", "weight", views[0]]
        assert list(one["weight"]) == theta.max(axis=1).tolist()

    def test_not_trained(self, tmp_path: Path) -> None:
        model, message = self.make(), f"{self.model.name} is not trained yet; call fit or train_mod"
        for call, *given in (
            (model.infer, ["en_sea_1"], "en"),
            (model.transform, ["en_sea_1"]),
            (model.topics,),
            (model.topic_info,),
            (model.representatives, 0, "en"),
            (model.words_for, ["en_sea_1"], "en"),
            (model.save, tmp_path / "model"),
        ):
            refused(NotTrainedError, message, call, *given)
        assert not list(tmp_path.iterdir())

    # OCTIS's own storage, metrics, data sets and Optimizer.

    def test_octis_stores_and_scores_it(
        self, trained: Any, data: MultiviewDataset, tmp_path: Path
    ) -> None:
        save_model_output(trained.output, str(tmp_path / "output"))
        with np.load(tmp_path / "output.npz", allow_pickle=False) as stored:
            assert set(stored) == set(trained.output)
            assert stored["topics"].tolist() == trained.output["topics"]
            for key in set(stored) - {"topics"}:
                np.testing.assert_allclose(stored[key], trained.output[key], atol=1e-6)
        for name in self.with_topics(data):
            view = data.text_view(name)
            for metric in (
                TopicDiversity(TOP_WORDS),
                InvertedRBO(TOP_WORDS),
                LogOddsRatio(),
                KLDivergence(),
                KL_uniform(),
                KL_vacuous(),
                KL_background(),
                Coherence(view.documents(view.rows("train")), TOP_WORDS),
            ):
                score = metric.score(trained.output.view(name))
                assert np.isfinite(score), type(metric).__name__

    def test_our_metrics_score_it(self, trained: Any, data: MultiviewDataset) -> None:
        chosen = ["mrr", "uap", "jsd"]
        scores = score_all(data, trained.output, "validation", chosen)
        inferred = self.inferred(data)
        pairs = len(inferred) * (len(inferred) - 1)
        assert [len(scores[name]) for name in chosen] == [pairs, pairs, pairs // 2]
        assert all(np.isfinite(value) for of in scores.values() for value in of.values())

    def test_octis_optimizer_searches_it(self, data: MultiviewDataset, tmp_path: Path) -> None:
        model, calls = self.make(), 2
        corpus = data.get_partitioned_corpus()[0]
        result = Optimizer().optimize(
            model,
            data,
            TopicUniqueness(data, topk=TOP_WORDS),
            self._searched(),
            extra_metrics=[TopicDiversity(TOP_WORDS), Coherence(corpus, TOP_WORDS)],
            number_of_call=calls,
            n_random_starts=1,
            model_runs=2,
            random_state=1,
            save_models=True,
            save_path=f"{tmp_path}/",
            topk=TOP_WORDS,
        )
        assert len(result.func_vals) == calls
        assert all(0 < value <= 1 for value in result.func_vals)
        written = json.loads((tmp_path / "result.json").read_text())
        assert written["model_attributes"] == model.hyperparameters == self.make().hyperparameters
        assert set(written["x_iters"]) == set(self._searched())
        for name in ("TopicUniqueness", "0_TopicDiversity", "1_Coherence"):
            scores = [run for runs in written["dict_model_runs"][name].values() for run in runs]
            assert len(scores) == 2 * calls
            assert np.isfinite(scores).all()
        for call in range(calls):
            topics = written["x_iters"]["num_topics"][call]
            stored = [np.load(tmp_path / "models" / f"{call}_{run}.npz") for run in range(2)]
            for name in self.inferred(data):
                both = [run[f"test-{THETA}/{name}"] for run in stored]
                assert both[0].shape == (topics, data.view(name).sizes[2])
                assert not np.array_equal(*both)

    def _searched(self) -> dict[str, Dimension]:
        """Return a space of two: the number of topics, and the first other one of its own."""
        space = self.model.search_space
        name, (low, high, *prior) = next((n, b) for n, b in space.items() if n != "num_topics")
        kind = Integer if isinstance(low, int) else Real
        return {"num_topics": Integer(2, 6), name: kind(low, high, *prior)}

    def test_plain_octis_dataset(self, data: MultiviewDataset) -> None:
        dataset = data.monolingual("en")
        if self.model.least_views > 1:
            message = "learns from two views or more, and this data set has one"
            refused(DataError, message, self.train, dataset)
            return
        output = self.train(dataset)
        assert output.views == [output.pivot]
        assert_distributions(output)
        sizes = [output[key].shape[1] for key in THETA_KEYS.values()]
        assert sizes == list(data.view("en").sizes)
