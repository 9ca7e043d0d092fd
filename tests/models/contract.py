"""What every model of the package promises, as tests to inherit."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from octis.evaluation_metrics.coherence_metrics import Coherence
from octis.evaluation_metrics.diversity_metrics import (
    InvertedRBO,
    KLDivergence,
    LogOddsRatio,
    TopicDiversity,
    WordEmbeddingsInvertedRBO,
    WordEmbeddingsInvertedRBOCentroid,
)
from octis.evaluation_metrics.topic_significance_metrics import (
    KL_background,
    KL_uniform,
    KL_vacuous,
)
from octis.models.model import AbstractModel, save_model_output
from octis.optimization.optimizer import Optimizer
from planted import IMAGE, Planted, planted
from skopt.space.space import Dimension, Integer, Real  # type: ignore[import-untyped]

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.errors import DataError, OctisM3LError, SettingsError, StorageError
from octis_m3l.files import read_json
from octis_m3l.metrics import TopicUniqueness, score_all
from octis_m3l.metrics.outputs import THETA_KEYS
from octis_m3l.models import MODELS, ModelOutput, load_model
from octis_m3l.models.base import NotTrainedError, TopicModel
from octis_m3l.models.embeddings import EmbeddingModel, ViewNetwork
from octis_m3l.models.storage import MARKER
from octis_m3l.training import derive_seed

TOP_WORDS = 5
THETA = "topic-document-matrix"


class ModelContract:
    """Inherit and name the model.

    Attributes
    ----------
    model : type of TopicModel
        The class under test.
    settings : dict
        Settings with which it trains in a moment, where `fast` does not do.
    needs_links : bool
        Whether it refuses data that nothing links.
    needs_dictionary : bool
        Whether it refuses data that no dictionary ties.
    why_not_unlinked : str, optional
        Why it refuses data that nothing links, where it needs no links themselves.
    infers_training_items : bool
        Whether θ of training items is what it would infer for them, were they new.
    networks_trained : int
        How many networks a run trains one after another, each with a checkpoint.
    """

    model: ClassVar[type[TopicModel]]
    settings: ClassVar[dict[str, Any]] = {}
    needs_links: ClassVar[bool] = False
    needs_dictionary: ClassVar[bool] = False
    why_not_unlinked: ClassVar[str | None] = None
    infers_training_items: ClassVar[bool] = True
    networks_trained: ClassVar[int] = 1
    fast: ClassVar[dict[str, Any]] = {"num_topics": 4}

    def make(self, **changes: Any) -> Any:
        """Return a model, not trained, with some of the settings changed."""
        return self.model(**{**self.fast, **self.settings, **changes})

    def with_topics(self, dataset: MultiviewDataset) -> list[str]:
        """Return the views whose topics the model learns."""
        return list(dataset.text_views)

    def inferred(self, dataset: MultiviewDataset) -> list[str]:
        """Return the views whose items the model infers."""
        return list(dataset.views)

    @pytest.fixture(scope="class")
    def trained(self, planted_data: Planted) -> Any:
        """A trained model, to look at only."""
        model = self.make()
        model.train_model(planted_data.dataset, top_words=TOP_WORDS)
        return model

    @pytest.fixture
    def texts(self, planted_data: Planted) -> list[str]:
        """New documents of the pivot: each theme's words."""
        return [" ".join(sorted(words)) for words in planted_data.words["en"]]

    # Settings.

    def test_is_an_octis_model_built_without_arguments(self) -> None:
        model = self.model()
        assert isinstance(model, AbstractModel)
        assert MODELS[model.name] is self.model

    def test_hyperparameters_are_scalars_that_json_holds(self) -> None:
        given = self.model().hyperparameters
        assert {type(value) for value in given.values()} <= {int, float, str, bool}
        assert json.loads(json.dumps(given)) == given
        assert self.model(**given).hyperparameters == given

    def test_help_says_what_every_hyperparameter_is(self) -> None:
        described = self.model.settings_class.described()
        assert list(described) == list(self.make().hyperparameters)
        assert json.loads(json.dumps(described)) == described
        for name, said in described.items():
            assert said["what"], name
            assert said["range"], name
            assert f"\n{name} : {said['range']}, default {said['default']!r}\n" in str(
                self.model.__doc__
            )

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

    def test_sets_none_if_one_is_wrong(self) -> None:
        model = self.make(num_topics=3)
        with pytest.raises(SettingsError, match="num_topicz"):
            model.set_hyperparameters(seed=5, num_topicz=7)
        assert model.hyperparameters == self.make(num_topics=3).hyperparameters
        model.set_hyperparameters(seed=6)
        assert model.hyperparameters == self.make(num_topics=3, seed=6).hyperparameters

    def test_says_everything_that_is_wrong_at_once(self) -> None:
        with pytest.raises(SettingsError) as raised:
            self.model(num_topics=1, seed=-1, num_topicz=3)
        message = str(raised.value)
        assert message.startswith(f"{self.model.name}: 'num_topicz' is no hyperparameter.")
        assert " num_topics=1: Input should be greater than or equal to 2." in message
        assert " seed=-1: Input should be greater than or equal to 0." in message

    def test_numpy_numbers_become_pythons(self, planted_data: Planted) -> None:
        model = self.make(num_topics=np.int64(3))
        model.set_hyperparameters(seed=np.int32(7))
        assert type(model.hyperparameters["num_topics"]) is int
        assert type(model.hyperparameters["seed"]) is int
        output = model.train_model(planted_data.dataset, {"num_topics": np.int64(2)}, TOP_WORDS)
        assert output["topic-word-matrix"].shape[0] == 2
        assert type(model.run_seed) is int
        assert model.run_seed == 7

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
            with pytest.raises(
                SettingsError, match=f"top_words={wrong!r}: expected 1 to {smallest}, the size"
            ):
                self.make().train_model(planted_data.dataset, top_words=wrong)

    # Output.

    def test_a_model_larger_than_the_memory_is_refused(self, planted_data: Planted) -> None:
        topics = 32_767 if self.model.name == "pltm" else 10**9
        data = planted_data.dataset
        model = self.make(num_topics=topics)
        message = r"^num_topics=[\d,]+.* with \d+ words: the model needs [\d,.]+ GiB, and this mach"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("octis_m3l.models.settings._memory", lambda: 4_000_000)
            with pytest.raises(SettingsError, match=message):
                model.train_model(data, top_words=TOP_WORDS)
            with pytest.raises(SettingsError, match=message):
                model.check(data, top_words=TOP_WORDS)

    def test_output_has_every_key_of_every_view(self, trained: Any, planted_data: Planted) -> None:
        dataset, output = planted_data.dataset, trained.output
        assert type(output) is ModelOutput
        assert output.views == self.inferred(dataset)
        plain = {"topics", "topic-word-matrix", *THETA_KEYS.values()}
        expected = set(plain)
        for name in self.with_topics(dataset):
            expected |= {f"topics/{name}", f"topic-word-matrix/{name}"}
        for name in self.inferred(dataset):
            expected |= {f"{key}/{name}" for key in THETA_KEYS.values()}
        assert set(output) == expected
        assert output.pivot in self.with_topics(dataset)
        for key in plain - {"topics"}:
            assert output[key] is output[f"{key}/{output.pivot}"]
        assert output["topics"] == output.topics(output.pivot)

    def test_output_has_a_column_for_each_item(self, trained: Any, planted_data: Planted) -> None:
        dataset, output = planted_data.dataset, trained.output
        topics = trained.hyperparameters["num_topics"]
        for name in self.inferred(dataset):
            for key, size in zip(THETA_KEYS.values(), dataset.view(name).sizes, strict=True):
                assert output[f"{key}/{name}"].shape == (topics, size)
        for name in self.with_topics(dataset):
            words = len(dataset.text_view(name).vocabulary)
            assert output[f"topic-word-matrix/{name}"].shape == (topics, words)
            assert output[f"topics/{name}"].shape == (topics, TOP_WORDS)
            assert output[f"topics/{name}"].dtype == np.int64

    def test_output_is_distributions(self, trained: Any) -> None:
        assert_distributions(trained.output)

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

    def test_without_partitions_trains_on_all(self, planted_data: Planted) -> None:
        dataset = planted_data.dataset
        model = self.make()
        model.partitioning(False)
        output = model.train_model(dataset, top_words=TOP_WORDS)
        for name in self.inferred(dataset):
            assert output[f"{THETA}/{name}"].shape[1] == len(dataset.view(name))
        assert not [key for key in output if key.startswith(("test-", "validation-"))]
        assert_distributions(output)
        model.partitioning(True)
        again = model.train_model(dataset, top_words=TOP_WORDS)
        assert again[THETA].shape[1] == dataset.view(again.pivot).sizes[0]
        assert f"test-{THETA}" in again

    def test_without_held_out_items(self, planted_data: Planted) -> None:
        dataset = planted_data.dataset.with_split(1.0, 0.0)
        output = self.make().train_model(dataset, top_words=TOP_WORDS)
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
        output = self.make().train_model(
            MultiviewDataset(views, links, dictionaries=dataset.dictionaries), top_words=TOP_WORDS
        )
        for name in self.with_topics(dataset):
            key = f"topic-word-matrix/{name}"
            np.testing.assert_array_equal(output[key], trained.output[key])
        for name in self.inferred(dataset):
            theta = trained.output.theta(name)
            np.testing.assert_allclose(output.theta(name), theta, atol=1e-5)

    def test_octis_stores_every_key(self, trained: Any, tmp_path: Path) -> None:
        save_model_output(trained.output, str(tmp_path / "output"))
        with np.load(tmp_path / "output.npz", allow_pickle=False) as stored:
            assert set(stored) == set(trained.output)
            for key, value in trained.output.items():
                if key == "topics":
                    assert stored[key].tolist() == value
                else:
                    np.testing.assert_allclose(stored[key], value, atol=1e-6)

    def test_metrics_of_octis_score_it(
        self, trained: Any, planted_data: Planted, tmp_path: Path
    ) -> None:
        for name in self.with_topics(planted_data.dataset):
            view = planted_data.dataset.text_view(name)
            vectors = str(tmp_path / f"{name}.txt")
            write_word_vectors(view.vocabulary, vectors)
            with_vectors = {"topk": TOP_WORDS, "word2vec_path": vectors, "binary": False}
            metrics = [
                TopicDiversity(TOP_WORDS),
                InvertedRBO(TOP_WORDS),
                WordEmbeddingsInvertedRBO(**with_vectors),
                WordEmbeddingsInvertedRBOCentroid(**with_vectors),
                LogOddsRatio(),
                KLDivergence(),
                KL_uniform(),
                KL_vacuous(),
                KL_background(),
                Coherence(view.documents(view.rows("train")), TOP_WORDS),
            ]
            for metric in metrics:
                score = metric.score(trained.output.view(name))
                assert np.isfinite(score), type(metric).__name__

    def test_our_metrics_score_it(self, trained: Any, planted_data: Planted) -> None:
        chosen = ["mrr", "uap", "jsd"]
        scores = score_all(planted_data.dataset, trained.output, "validation", chosen)
        assert set(scores) == set(chosen)
        inferred = self.inferred(planted_data.dataset)
        pairs = len(inferred) * (len(inferred) - 1)
        assert [len(scores[name]) for name in chosen] == [pairs, pairs, pairs // 2]
        assert all(np.isfinite(value) for of in scores.values() for value in of.values())

    # Runs.

    def test_one_seed_is_one_result(self, planted_data: Planted) -> None:
        first, second = self.make(seed=3), self.make(seed=3)
        torch.manual_seed(1)
        np.random.seed(1)
        one = first.train_model(planted_data.dataset, top_words=TOP_WORDS)
        torch.manual_seed(2)
        np.random.seed(2)
        other = second.train_model(planted_data.dataset, top_words=TOP_WORDS)
        assert_same(one, other)
        assert first.run_seed == second.run_seed == one.seed == 3

    def test_leaves_the_global_random_state_alone(self, planted_data: Planted) -> None:
        torch.manual_seed(1)
        np.random.seed(1)
        before = torch.rand(3), np.random.rand(3)
        torch.manual_seed(1)
        np.random.seed(1)
        self.make().train_model(planted_data.dataset, top_words=TOP_WORDS)
        assert torch.equal(torch.rand(3), before[0])
        np.testing.assert_array_equal(np.random.rand(3), before[1])

    def test_another_seed_is_another_result(self, planted_data: Planted) -> None:
        outputs = [
            self.make(seed=seed).train_model(planted_data.dataset, top_words=TOP_WORDS)
            for seed in (0, 1)
        ]
        assert_differ(*outputs)

    def test_every_call_has_a_seed_of_its_own(self, planted_data: Planted) -> None:
        first, second = self.make(seed=3), self.make(seed=3)
        runs = [first.train_model(planted_data.dataset, top_words=TOP_WORDS) for _ in range(3)]
        assert_differ(runs[0], runs[1])
        assert_differ(runs[1], runs[2])
        seeds = [run.seed for run in runs]
        assert seeds[0] == 3
        assert len(set(seeds)) == 3
        # Nor those that a run derives for its own draws.
        assert not set(seeds) & {derive_seed(3, purpose) for purpose in range(100)}
        assert first.run_seed == seeds[2]
        second.train_model(planted_data.dataset, top_words=TOP_WORDS)
        again = second.train_model(planted_data.dataset, top_words=TOP_WORDS)
        assert_same(runs[1], again)

    def test_a_call_leaves_nothing_behind(self, planted_data: Planted) -> None:
        dataset = planted_data.dataset
        model, fresh = self.make(), self.make()
        before = dict(model.hyperparameters)
        other = dataset.with_views(["de", "en" if self.needs_dictionary else IMAGE])
        output = model.train_model(other, {"num_topics": 3, "seed": 8}, top_words=3)
        assert output.seed == 8
        assert output["topic-word-matrix"].shape[0] == 3
        assert model.hyperparameters == before
        fresh.train_model(dataset, top_words=TOP_WORDS)
        assert_same(
            model.train_model(dataset, top_words=TOP_WORDS),
            fresh.train_model(dataset, top_words=TOP_WORDS),
        )

    def test_hyperparameters_set_stay(self, planted_data: Planted) -> None:
        model = self.make()
        model.set_hyperparameters(num_topics=3)
        for _ in range(2):
            output = model.train_model(planted_data.dataset, top_words=TOP_WORDS)
            assert output["topic-word-matrix"].shape[0] == 3

    def test_octis_optimizer_searches_it(self, planted_data: Planted, tmp_path: Path) -> None:
        dataset, model = planted_data.dataset, self.make()
        corpus = dataset.get_partitioned_corpus()[0]
        result = Optimizer().optimize(
            model,
            dataset,
            TopicUniqueness(dataset, topk=TOP_WORDS),
            self._searched(),
            extra_metrics=[TopicDiversity(TOP_WORDS), Coherence(corpus, TOP_WORDS)],
            number_of_call=3,
            model_runs=2,
            random_state=1,
            save_models=True,
            save_path=f"{tmp_path}/",
            topk=TOP_WORDS,
        )
        assert len(result.func_vals) == 3
        assert all(0 < value <= 1 for value in result.func_vals)
        written = json.loads((tmp_path / "result.json").read_text())
        assert written["model_attributes"] == model.hyperparameters == self.make().hyperparameters
        assert set(written["x_iters"]) == set(self._searched())
        for name in ("TopicUniqueness", "0_TopicDiversity", "1_Coherence"):
            scores = [run for runs in written["dict_model_runs"][name].values() for run in runs]
            assert len(scores) == 6
            assert np.isfinite(scores).all()
        for call in range(3):
            topics = written["x_iters"]["num_topics"][call]
            stored = [np.load(tmp_path / "models" / f"{call}_{run}.npz") for run in range(2)]
            for name in self.inferred(dataset):
                both = [run[f"test-{THETA}/{name}"] for run in stored]
                assert both[0].shape == (topics, dataset.view(name).sizes[2])
                assert not np.array_equal(*both)

    def _searched(self) -> dict[str, Dimension]:
        """Return a space of two: the number of topics, and the first other one of its own."""
        space = self.model.search_space
        name, (low, high, *prior) = next((n, b) for n, b in space.items() if n != "num_topics")
        kind = Integer if isinstance(low, int) else Real
        return {"num_topics": Integer(2, 6), name: kind(low, high, *prior)}

    # Data.

    def test_leaves_the_data_set_alone(self, planted_data: Planted) -> None:
        before = hashes(planted_data.dataset)
        self.make().train_model(planted_data.dataset, top_words=TOP_WORDS)
        assert hashes(planted_data.dataset) == before

    def test_three_languages(self) -> None:
        data = planted(("en", "de", "fi"), tuples=40, images=False, missing=0.3).dataset
        output = self.make().train_model(data, top_words=TOP_WORDS)
        assert [k for k in output if k.startswith("topics/")] == [
            f"topics/{name}" for name in self.with_topics(data)
        ]
        assert output.views == self.inferred(data)
        assert_distributions(output)

    def test_plain_octis_dataset(self, planted_data: Planted, tmp_path: Path) -> None:
        dataset = planted_data.dataset.monolingual("en")
        model = self.make()
        if self.model.least_views > 1:
            with pytest.raises(DataError, match="from two views or more, and this data set has on"):
                model.train_model(dataset, top_words=TOP_WORDS)
            return
        output = model.train_model(dataset, top_words=TOP_WORDS)
        assert output.views == [output.pivot]
        assert_distributions(output)
        sizes = planted_data.dataset.view("en").sizes
        for key, size in zip(THETA_KEYS.values(), sizes, strict=True):
            assert output[key].shape[1] == size
        save_model_output(output, str(tmp_path / "output"))

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
            with pytest.raises(DataError, match=re.escape(why)):
                model.train_model(dataset, top_words=TOP_WORDS)
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
        for data in unfit:
            model = self.make()
            model.train_model(dataset, top_words=TOP_WORDS)
            with pytest.raises(OctisM3LError):
                model.train_model(data, top_words=TOP_WORDS)
            with pytest.raises(NotTrainedError):
                model.topics()
            with pytest.raises(NotTrainedError):
                model.infer(["en_sea_1"], "en")

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

    def test_answer_does_not_depend_on_neighbours(self, trained: Any, texts: list[str]) -> None:
        theta = trained.infer(texts, "en")
        for row, text in enumerate(texts):
            np.testing.assert_allclose(trained.infer([text], "en")[0], theta[row], atol=1e-6)
        np.testing.assert_allclose(trained.infer(texts[::-1], "en")[::-1], theta, atol=1e-6)

    def test_infers_nothing_of_nothing(self, trained: Any) -> None:
        assert trained.infer([], "en").shape == (0, 4)

    @pytest.mark.parametrize("given", ["en_sea_1", b"sea", {"doc": "en_sea_1"}, {"en_sea_1"}, 3])
    def test_one_item_is_not_a_list(self, trained: Any, given: Any) -> None:
        message = f"view 'en': expected a list of items, given one {type(given).__name__}; put a"
        with pytest.raises(DataError, match=message):
            trained.infer(given, "en")
        with pytest.raises(DataError, match=message):
            trained.transform({"en": given})

    def test_unknown_view(self, trained: Any) -> None:
        with pytest.raises(DataError, match=r"model knows no view 'enn'\. Did you mean 'en'\?"):
            trained.infer(["en_sea_1"], "enn")

    # Above train_model.

    def test_fits_lists_and_frames(self, planted_data: Planted) -> None:
        dataset = planted_data.dataset.complete(["en", "de"]).with_views(["en", "de"])
        texts = {name: view.items(slice(0, 30)) for name, view in dataset.text_views.items()}
        languages = {"en": None, "de": None}
        preprocessing = dataset.text_view("en").preprocessor
        arguments: dict[str, Any] = {"preprocessing": preprocessing, "languages": languages}
        of_lists = self.make()
        if self.needs_dictionary:
            with pytest.raises(DataError, match=r"none ties de to the rest; give one with"):
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
        of_data = self.make().fit(of_lists.dataset, top_words=TOP_WORDS)
        assert_same(of_lists.output, of_data.output)
        with pytest.raises(SettingsError, match="texts: only for lists and frames"):
            self.make().fit(of_lists.dataset, texts=["en"])

    def test_topic_info(self, trained: Any, planted_data: Planted) -> None:
        info = trained.topic_info()
        spoken = self.with_topics(planted_data.dataset)
        assert list(info.columns) == ["topic", "share", *spoken]
        assert sorted(info["topic"]) == [0, 1, 2, 3]
        assert info["share"].is_monotonic_decreasing
        assert info["share"].sum() == pytest.approx(1, abs=1e-5)
        for name in spoken:
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
        spoken = self.with_topics(planted_data.dataset)
        items = ["en_sea_1 en_sea_2", "en_forest_1"]
        shown = trained.words_for(items, "en", topics=2, words=3)
        assert list(shown.columns) == ["item", "topic", "weight", *spoken]
        assert list(shown["item"]) == [0, 0, 1, 1]
        theta = trained.infer(items, "en")
        for row in shown.itertuples():
            assert row.weight == theta[row.item, row.topic]
        for name in spoken:
            expected = [" ".join(trained.topics(name)[topic][:3]) for topic in shown["topic"]]
            assert list(shown[name]) == expected
        assert (shown["weight"].to_numpy()[::2] >= shown["weight"].to_numpy()[1::2]).all()
        one = trained.words_for(items, "en", languages=spoken[:1])
        assert list(one.columns) == ["item", "topic", "weight", spoken[0]]
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

    # Storage.

    @pytest.fixture
    def saved(self, trained: Any, tmp_path: Path) -> Path:
        """A folder with a trained model."""
        trained.save(tmp_path / "model")
        return tmp_path / "model"

    def test_loads_what_it_saved(
        self, trained: Any, saved: Path, planted_data: Planted, texts: list[str]
    ) -> None:
        for model in (self.model.load(saved), load_model(saved)):
            assert type(model) is self.model
            assert model.hyperparameters == trained.hyperparameters
            assert model.run_seed == trained.run_seed
            output = cast(ModelOutput, model.output)
            assert_same(output, trained.output)
            assert output.pivot == trained.output.pivot
            assert output.vocabularies == trained.output.vocabularies
            assert output["topics"] == trained.output["topics"]
            np.testing.assert_array_equal(model.infer(texts, "en"), trained.infer(texts, "en"))
            pd.testing.assert_frame_equal(model.topic_info(), trained.topic_info())
            with pytest.raises(DataError, match="a loaded model does not hold the documents"):
                model.representatives(0, "en")
            pd.testing.assert_frame_equal(
                model.representatives(0, "en", dataset=planted_data.dataset),
                trained.representatives(0, "en"),
            )
            other = planted_data.dataset.with_split(0.5, 0.1)
            with pytest.raises(DataError, match="pass the data set that it was trained on"):
                model.representatives(0, "en", dataset=other)

    def test_loads_a_model_without_partitions(self, planted_data: Planted, tmp_path: Path) -> None:
        dataset = planted_data.dataset
        model = self.make()
        model.partitioning(False)
        model.train_model(dataset, top_words=TOP_WORDS)
        model.save(tmp_path / "model")
        loaded = self.model.load(tmp_path / "model")
        assert loaded.output is not None
        assert_same(loaded.output, model.output)
        pd.testing.assert_frame_equal(
            loaded.representatives(0, "en", dataset=dataset), model.representatives(0, "en")
        )
        assert f"test-{THETA}" not in loaded.train_model(dataset, top_words=TOP_WORDS)

    def test_loaded_model_trains_on(self, saved: Path, planted_data: Planted) -> None:
        output = self.model.load(saved).train_model(planted_data.dataset, top_words=TOP_WORDS)
        fresh = self.make().train_model(planted_data.dataset, top_words=TOP_WORDS)
        assert_same(output, fresh)

    def test_saves_only_safetensors_and_json(self, saved: Path) -> None:
        kinds = {path.suffix for path in saved.rglob("*") if path.is_file()}
        assert kinds == {".json", ".safetensors"}

    def test_replaces_a_model_only_if_told_to(self, trained: Any, saved: Path) -> None:
        before = (saved / MARKER).read_bytes()
        with pytest.raises(
            StorageError, match=r"pass overwrite=True \(--overwrite\) or choose another folder"
        ):
            trained.save(saved)
        trained.save(saved, overwrite=True)
        assert (saved / MARKER).read_bytes() == before
        assert [path.name for path in saved.parent.iterdir()] == ["model"]

    def test_never_replaces_anybody_elses_folder(self, trained: Any, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.tex").write_text("years of work")
        with pytest.raises(StorageError, match=r"it holds no model\.json, so it is not replaced"):
            trained.save(tmp_path / "mine", overwrite=True)
        assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"
        (tmp_path / "empty").mkdir()
        trained.save(tmp_path / "empty")
        assert (tmp_path / "empty" / MARKER).is_file()

    def test_truncated_file(self, saved: Path) -> None:
        stored = [path for path in saved.rglob("*") if path.suffix == ".safetensors"]
        for path in stored:
            whole = path.read_bytes()
            path.write_bytes(whole[:-7])
            name = path.relative_to(saved).as_posix()
            expected = f"is incomplete: {name} has {len(whole) - 7} bytes instead of {len(whole)}."
            with pytest.raises(StorageError, match=re.escape(expected)):
                self.model.load(saved)
            path.write_bytes(whole)
        self.model.load(saved)

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
        with pytest.raises(StorageError, match=r"weights.safetensors holds NaN or infinity \('"):
            load_model(tmp_path / "model")

    def test_changed_contents(self, saved: Path) -> None:
        stored = [path for path in saved.rglob("*") if path.name != MARKER and path.is_file()]
        for path in stored:
            whole = path.read_bytes()
            path.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1, whole[-1]]))
            name = path.relative_to(saved).as_posix()
            expected = f"is damaged: {name} is not what was written (its SHA-256 differs). Copy it"
            with pytest.raises(StorageError, match=re.escape(expected)):
                self.model.load(saved)
            path.write_bytes(whole)

    def test_changed_word_in_the_description(self, trained: Any, saved: Path) -> None:
        word = trained.output["topics"][0][0]
        whole = (saved / MARKER).read_text(encoding="utf-8")
        (saved / MARKER).write_text(whole.replace(f'"{word}"', f'"{word}x"'), encoding="utf-8")
        expected = "model.json is not what was written (its checksum differs): it is damaged or"
        with pytest.raises(StorageError, match=re.escape(expected)):
            self.model.load(saved)

    def test_description_of_a_network_beyond_any_memory(self, saved: Path) -> None:
        described = read_json(saved / MARKER)
        for sizes in described.get("network", {}).values():
            if isinstance(sizes, dict):
                sizes[next(iter(sizes))] = 10**13
                (saved / MARKER).write_text(json.dumps(described))
                expected = r"do not fit the model \((Error\(s\) in loading|Unable to allocate)"
                with pytest.raises(StorageError, match=expected):
                    self.model.load(saved)

    def test_folder_of_a_version_without_hashes(self, trained: Any, saved: Path) -> None:
        described = read_json(saved / MARKER)
        del described["sha256"]
        (saved / MARKER).write_text(json.dumps(described))
        assert self.model.load(saved).output["topics"] == trained.output["topics"]

    def test_half_copied_folder(self, saved: Path) -> None:
        (saved / "output.safetensors").unlink()
        with pytest.raises(StorageError, match=r"output\.safetensors is missing\. It was"):
            self.model.load(saved)

    def test_truncated_description(self, saved: Path) -> None:
        whole = (saved / MARKER).read_text()
        (saved / MARKER).write_text(whole[: len(whole) // 2])
        with pytest.raises(StorageError, match=r"model\.json is not readable JSON .* truncated"):
            self.model.load(saved)

    def test_foreign_folder(self, saved: Path, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="nowhere is no folder: expected a folder that a"):
            self.model.load(tmp_path / "nowhere")
        shutil.copytree(saved, tmp_path / "other")
        (tmp_path / "other" / MARKER).unlink()
        with pytest.raises(StorageError, match=r"other holds no model\.json: expected a folder"):
            self.model.load(tmp_path / "other")
        (tmp_path / "other" / MARKER).write_text('{"format": "cake"}')
        with pytest.raises(StorageError, match="describes no model that is known here"):
            self.model.load(tmp_path / "other")

    def test_format_of_the_future(self, saved: Path) -> None:
        described = read_json(saved / MARKER)
        (saved / MARKER).write_text(json.dumps(described | {"version": 99}))
        with pytest.raises(StorageError, match="in a newer format; upgrade this installation"):
            self.model.load(saved)

    def test_description_that_lacks_something(self, saved: Path) -> None:
        described = read_json(saved / MARKER)
        del described["pivot"]
        (saved / MARKER).write_text(json.dumps(described))
        with pytest.raises(StorageError, match="lacks or misstates 'pivot'; it was changed by"):
            self.model.load(saved)

    def test_model_of_another_class(self, saved: Path) -> None:
        other = next(kind for kind in MODELS.values() if kind is not self.model)
        expected = f"holds a {self.model.name}, not a {other.name}; use octis_m3l.load_model."
        with pytest.raises(DataError, match=re.escape(expected)):
            other.load(saved)


class NeuralModelContract(ModelContract):
    """The same for models that a network infers from embeddings."""

    fast: ClassVar[dict[str, Any]] = {
        "num_topics": 4,
        "epochs": 2,
        "batch_size": 16,
        "hidden_size": 12,
    }

    @pytest.fixture(scope="class")
    def of_embeddings(self, embedded: MultiviewDataset) -> Any:
        """A model trained on given embeddings, to look at only."""
        model = self.make(encoder="given")
        model.train_model(embedded, top_words=TOP_WORDS)
        return model

    def test_is_neural(self) -> None:
        assert issubclass(self.model, EmbeddingModel)

    def test_settings_of_training_out_of_range(self) -> None:
        wrong: dict[str, tuple[Any, str]] = {
            "batch_size": (1, "greater than or equal to 2"),
            "epochs": (0, "greater than or equal to 1"),
            "learning_rate": (0.0, "greater than 0"),
            "dropout": (1.0, "less than 1"),
            "inference_samples": (-1, "greater than or equal to 0"),
        }
        for name, (value, expected) in wrong.items():
            with pytest.raises(SettingsError) as raised:
                self.model(**{name: value})
            message = f"{self.model.name}: {name}={value}: Input should be {expected}."
            assert str(raised.value) == message

    def test_batch_larger_than_the_data(self, planted_data: Planted) -> None:
        with pytest.raises(DataError, match=r"batch_size=256 is larger than the data: \d+ tuples"):
            self.make(batch_size=256).train_model(planted_data.dataset, top_words=TOP_WORDS)

    def test_unknown_device(self, planted_data: Planted) -> None:
        with pytest.raises(SettingsError, match=r"device='nonsense' can't be used here .* 'cpu'"):
            self.make(device="nonsense").train_model(planted_data.dataset, top_words=TOP_WORDS)

    @pytest.mark.parametrize("batch_size", [2, 3, 4])
    def test_gaps_in_small_batches(self, batch_size: int) -> None:
        # 13 tuples: with 2, 3 and 4 in a batch, one is left over for the last.
        data = planted(tuples=13, missing=0.6, shares=(1.0, 0.0), seed=2).dataset
        assert len(data.partition_tuples("train")) == 13
        assert min(view.sizes[0] for view in data.views.values()) >= 2
        output = self.make(batch_size=batch_size, epochs=5).train_model(data, top_words=3)
        assert_distributions(output)

    def test_a_view_with_one_item(self, embedded: MultiviewDataset) -> None:
        rare = with_few_items(embedded, "de", {"train": 1, "validation": 0, "test": 3})
        output = self.make(encoder="given").train_model(rare, top_words=TOP_WORDS)
        assert output[f"{THETA}/de"].shape == (4, 1)
        assert output[f"test-{THETA}/de"].shape == (4, 3)
        assert_distributions(output)

    def test_early_stopping_with_a_view_that_has_no_validation_items(
        self, embedded: MultiviewDataset
    ) -> None:
        rare = with_few_items(embedded, "de", {"train": 20, "validation": 0, "test": 3})
        model = self.make(encoder="given", patience=1)
        output = model.train_model(rare, top_words=TOP_WORDS)
        assert all(np.isfinite(epoch["validation"]) for epoch in model.history.epochs)
        assert_distributions(output)

    def test_infers_new_embeddings(self, of_embeddings: Any, embedded: MultiviewDataset) -> None:
        random = np.random.default_rng(0)
        for name in self.inferred(embedded):
            vectors = random.normal(size=(5, 12))
            theta = of_embeddings.infer(vectors, name)
            assert theta.shape == (5, 4)
            np.testing.assert_allclose(theta.sum(axis=1), 1, atol=1e-5)
            for row in range(5):
                alone = of_embeddings.infer(vectors[row : row + 1], name)
                np.testing.assert_allclose(alone[0], theta[row], atol=1e-6)
            single = of_embeddings.infer(vectors.astype(np.float32), name)
            np.testing.assert_allclose(single, theta, atol=1e-6)

    def test_more_samples_come_nearer(self, of_embeddings: Any) -> None:
        vectors = np.random.default_rng(0).normal(size=(5, 12))
        certain, few, many, most = (
            of_embeddings.infer(vectors, "en", samples=samples) for samples in (0, 20, 2000, 4000)
        )
        assert np.abs(many - most).max() < np.abs(few - most).max() / 2
        assert np.abs(certain - most).max() > np.abs(many - most).max()
        np.testing.assert_array_equal(few, of_embeddings.infer(vectors, "en"))

    def test_embeddings_that_do_not_fit(self, of_embeddings: Any) -> None:
        expected = "view 'en': embeddings of shape {}, expected finite numbers (items × 12)."
        broken = np.zeros((2, 12))
        broken[1, 3] = np.nan
        for vectors in (np.zeros((2, 5)), np.zeros(12)):
            with pytest.raises(DataError) as raised:
                of_embeddings.infer(vectors, "en")
            assert str(raised.value) == expected.format(vectors.shape)
        large = np.zeros((2, 12))
        large[1, 3] = 1e300
        for vectors in (broken, large):
            with pytest.raises(DataError, match=r"the embedding of row 1 holds NaN, infinity or a"):
                of_embeddings.infer(vectors, "en")

    def test_an_item_far_from_all_others_has_equal_topics(
        self, of_embeddings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vectors = np.zeros((3, 12), np.float32)
        expected = of_embeddings.infer(vectors, "en")
        posterior = of_embeddings.network.posterior

        def lost(view: str, embeddings: Any) -> Any:
            mean, log_variance = posterior(view, embeddings)
            mean[1] = np.nan
            return mean, log_variance

        monkeypatch.setattr(of_embeddings.network, "posterior", lost)
        with pytest.warns(UserWarning, match=r"^view 'en': 1 of 3 items have no finite topic"):
            found = of_embeddings.infer(vectors, "en")
        np.testing.assert_allclose(found[1], 0.25)
        np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])

    def test_raw_texts_for_given_embeddings(self, of_embeddings: Any) -> None:
        expected = (
            "the model was trained on given embeddings of view 'en', or through an encoder of your "
            "own, which is not saved: pass an array of floats (items × 12), or load the model with "
            "encoders={'en': encoder}."
        )
        with pytest.raises(DataError) as raised:
            of_embeddings.infer(["en_sea_1"], "en")
        assert str(raised.value) == expected

    def test_says_of_how_many_items_it_knows_no_word(self, trained: Any) -> None:
        with pytest.warns(UserWarning, match="2 of 3 items of view 'en' have no word that the"):
            trained.infer(["en_sea_1", "qwerty", ""], "en")

    def test_encoders_of_ones_own(
        self, planted_data: Planted, texts: list[str], tmp_path: Path
    ) -> None:
        dataset = planted_data.dataset.with_views(["en", "de"])
        model = self.make(encoders={"en": Lengths(), "de": Lengths()})
        output = model.train_model(dataset, top_words=TOP_WORDS)
        assert output.views == ["en", "de"]
        np.testing.assert_array_equal(
            model.infer(texts, "en"), model.infer(Lengths().encode(texts), "en")
        )
        model.save(tmp_path / "model")
        loaded = self.model.load(tmp_path / "model")
        with pytest.raises(DataError, match=r"load the model with encoders=\{'en': encoder\}\."):
            loaded.infer(texts, "en")
        again = load_model(tmp_path / "model", encoders={"en": Lengths()})
        np.testing.assert_array_equal(again.infer(texts, "en"), model.infer(texts, "en"))
        with pytest.raises(DataError, match=r"through encoders of your own for de, which are not"):
            again.train_model(dataset, top_words=TOP_WORDS)
        whole = load_model(tmp_path / "model", encoders={"en": Lengths(), "de": Lengths()})
        assert_same(whole.train_model(dataset, top_words=TOP_WORDS), output)

    def test_encoders_that_do_not_fit(
        self, trained: Any, of_embeddings: Any, tmp_path: Path
    ) -> None:
        of_embeddings.save(tmp_path / "given")
        trained.save(tmp_path / "fitted")
        cases = [
            ("given", "en", "given for view 'en' has 5 dimensions, the model was trained on 12;"),
            ("given", "enn", r"the model knows no view 'enn'\. Did you mean 'en'\?"),
            ("fitted", "en", r"view 'en' has the encoder that it was trained with \((lsa|clsi)\)"),
        ]
        for folder, view, message in cases:
            with pytest.raises((SettingsError, DataError), match=message):
                self.model.load(tmp_path / folder, encoders={view: Lengths()})

    def test_tokenizers_of_ones_own(self, planted_data: Planted, tmp_path: Path) -> None:
        views = {n: v.items(slice(0, 70)) for n, v in planted_data.dataset.text_views.items()}
        own = {n: TextPreprocessor(stop_words=False, tokenizer=str.split) for n in views}
        dataset = MultiviewDataset.from_lists(views, preprocessing=own, split=(0.8, 0.1))
        model = self.make()
        model.train_model(dataset, top_words=TOP_WORDS)
        expected = model.infer(["en_sea_1 en_sea_2"], "en")
        dataset.save(tmp_path / "data")
        model.save(tmp_path / "model")

        with pytest.raises(SettingsError, match=r"'builtins:str.split' is a function, .* Pass it"):
            self.model.load(tmp_path / "model").infer(["en_sea_1 en_sea_2"], "en")
        loaded = self.model.load(tmp_path / "model", tokenizers={"en": str.split})
        np.testing.assert_array_equal(loaded.infer(["en_sea_1 en_sea_2"], "en"), expected)
        with pytest.raises(SettingsError, match=r"no texts of a view 'enn' .* mean 'en'\?"):
            self.model.load(tmp_path / "model", tokenizers={"enn": str.split})

        again = MultiviewDataset.from_folder(
            tmp_path / "data", tokenizers=dict.fromkeys(views, str.split)
        )
        assert_same(self.make().train_model(again, top_words=TOP_WORDS), model.output)
        with pytest.raises(DataError, match=r"unknown view 'enn' in tokenizers\. Did you mean"):
            MultiviewDataset.from_folder(tmp_path / "data", tokenizers={"enn": str.split})

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_trained_on_a_gpu_loads_on_the_cpu(
        self, embedded: MultiviewDataset, tmp_path: Path
    ) -> None:
        model = self.make(encoder="given", device="cuda")
        model.train_model(embedded, top_words=TOP_WORDS)
        model.save(tmp_path / "model")
        loaded = cast(EmbeddingModel, self.model.load(tmp_path / "model"))
        assert next(loaded.network.parameters()).device.type == "cpu"
        vectors = np.random.default_rng(0).normal(size=(5, 12))
        np.testing.assert_allclose(
            loaded.infer(vectors, "en"), model.infer(vectors, "en"), atol=1e-5
        )

    def test_infers_embeddings_bit_by_bit_after_loading(
        self, of_embeddings: Any, tmp_path: Path
    ) -> None:
        of_embeddings.save(tmp_path / "model")
        loaded = cast(EmbeddingModel, self.model.load(tmp_path / "model"))
        vectors = np.random.default_rng(0).normal(size=(5, 12))
        for name in of_embeddings.output.views:
            for samples in (None, 0):
                np.testing.assert_array_equal(
                    loaded.infer(vectors, name, samples=samples),
                    of_embeddings.infer(vectors, name, samples=samples),
                )
        assert loaded.history == of_embeddings.history

    def test_damaged_weights(self, of_embeddings: Any, tmp_path: Path) -> None:
        of_embeddings.save(tmp_path / "model")
        weights = tmp_path / "model" / "weights.safetensors"
        weights.write_bytes(bytes(weights.stat().st_size))
        described = read_json(tmp_path / "model" / MARKER)
        del described["sha256"]
        (tmp_path / "model" / MARKER).write_text(json.dumps(described))
        with pytest.raises(StorageError, match=r"the weights in .* do not fit the model"):
            self.model.load(tmp_path / "model")

    def test_early_stopping_needs_a_validation_partition(self, planted_data: Planted) -> None:
        expected = "patience=3: early stopping needs a validation partition, and the data set has"
        data = planted_data.dataset.with_split(0.8, 0.0)
        with pytest.raises(SettingsError, match=expected):
            self.make(patience=3).train_model(data, top_words=TOP_WORDS)
        model = self.make(patience=3)
        model.partitioning(False)
        with pytest.raises(SettingsError, match=expected):
            model.train_model(planted_data.dataset, top_words=TOP_WORDS)

    def test_early_stopping_keeps_the_best_epoch(self, planted_data: Planted) -> None:
        settings = {"patience": 2, "epochs": 60, "learning_rate": 0.02, "schedule": "constant"}
        model = self.make(**settings)
        output = model.train_model(planted_data.dataset, top_words=TOP_WORDS)
        losses = [epoch["validation"] for epoch in model.history.epochs]
        best = model.history.best_epoch
        assert model.history.stopped == "early"
        assert len(losses) == best + 3 < 60
        assert losses[best] == min(losses)
        shorter = self.make(**settings | {"epochs": best + 1})
        assert_same(output, shorter.train_model(planted_data.dataset, top_words=TOP_WORDS))

    def test_diverging_says_so(self, planted_data: Planted) -> None:
        model = self.make(learning_rate=1e30, epochs=20)
        with pytest.raises(OctisM3LError, match=r"the loss became .* in epoch .* learning_rate"):
            model.train_model(planted_data.dataset, top_words=TOP_WORDS)
        with pytest.raises(NotTrainedError):
            model.topics()

    @pytest.mark.parametrize("patience", [0, 3])
    def test_interrupted_training_goes_on_as_if_nothing_had_been(
        self,
        patience: int,
        planted_data: Planted,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        dataset, settings = planted_data.dataset, {"epochs": 6, "patience": patience}
        unbroken = self.make(**settings)
        whole = Losses(unbroken, monkeypatch)
        expected = unbroken.train_model(dataset, top_words=TOP_WORDS)
        epochs = len(unbroken.history.epochs)
        an_epoch = whole.calls // epochs

        stopped = self.make(checkpoint=tmp_path / "run", **settings)
        broken = Losses(stopped, monkeypatch, interrupted_at=2 * an_epoch + 2)
        with (
            pytest.raises(KeyboardInterrupt),
            pytest.warns(UserWarning, match="was interrupted after 2 of 6 epochs; the model keeps"),
        ):
            stopped.train_model(dataset, top_words=TOP_WORDS)
        assert stopped.history.stopped == "interrupted"
        assert_distributions(stopped.output)
        assert stopped.infer(["en_sea_1 en_sea_2"], "en").shape == (1, 4)
        shutil.copytree(tmp_path / "run", tmp_path / "copy")

        fresh = self.make(checkpoint=tmp_path / "copy", **settings)
        rest = Losses(fresh, monkeypatch)
        for model, losses in ((fresh, rest), (stopped, broken)):
            before = losses.calls
            assert_same(model.train_model(dataset, top_words=TOP_WORDS), expected)
            assert losses.calls - before == (epochs - 2) * an_epoch
            assert model.history.epochs == unbroken.history.epochs
            assert model.history.stopped == unbroken.history.stopped

        finished = self.make(checkpoint=tmp_path / "run", **settings)
        none = Losses(finished, monkeypatch)
        assert_same(finished.train_model(dataset, top_words=TOP_WORDS), expected)
        assert none.calls == 0

    @pytest.mark.parametrize("epochs", [0, 1])
    def test_interrupted_fit_keeps_what_it_has(
        self, epochs: int, planted_data: Planted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counted = self.make(epochs=1)
        an_epoch = Losses(counted, monkeypatch)
        counted.fit(planted_data.dataset, top_words=TOP_WORDS)
        model = self.make(epochs=3)
        Losses(model, monkeypatch, interrupted_at=epochs * an_epoch.calls + 1)
        with pytest.warns(UserWarning, match=f"was interrupted after {epochs} of 3 epochs; the"):
            model.fit(planted_data.dataset, top_words=TOP_WORDS)
        assert_distributions(model.output)
        assert len(model.topic_info()) == 4

    def test_every_call_has_a_checkpoint_of_its_own(
        self, planted_data: Planted, tmp_path: Path
    ) -> None:
        kept, plain = self.make(checkpoint=tmp_path), self.make()
        for _ in range(2):
            output = kept.train_model(planted_data.dataset, top_words=TOP_WORDS)
            assert_same(output, plain.train_model(planted_data.dataset, top_words=TOP_WORDS))
        assert len(list(tmp_path.rglob("*.safetensors"))) == 2 * self.networks_trained

    def test_checkpoint_of_another_run(self, planted_data: Planted, tmp_path: Path) -> None:
        self.make(checkpoint=tmp_path).train_model(planted_data.dataset, top_words=TOP_WORDS)
        other = self.make(checkpoint=tmp_path, num_topics=3)
        with pytest.raises(StorageError, match="belongs to another run: num_topics differ"):
            other.train_model(planted_data.dataset, top_words=TOP_WORDS)
        whole = self.make(checkpoint=tmp_path)
        whole.partitioning(False)
        with pytest.raises(StorageError, match=r"belongs to another run: .*use_partitions"):
            whole.train_model(planted_data.dataset, top_words=TOP_WORDS)

    def test_checkpoint_of_other_data(self, planted_data: Planted, tmp_path: Path) -> None:
        dataset = planted_data.dataset
        self.make(checkpoint=tmp_path).train_model(dataset, top_words=TOP_WORDS)
        first = dataset.view("en").take(
            np.roll(np.arange(len(dataset.view("en"))), 1), dataset.view("en").sizes
        )
        views = dataset.views | {"en": first}
        other = MultiviewDataset(views.values(), dataset.links, dictionaries=dataset.dictionaries)
        with pytest.raises(StorageError, match=r"belongs to another run: .*data"):
            self.make(checkpoint=tmp_path).train_model(other, top_words=TOP_WORDS)

    def test_truncated_checkpoint(self, planted_data: Planted, tmp_path: Path) -> None:
        self.make(checkpoint=tmp_path).train_model(planted_data.dataset, top_words=TOP_WORDS)
        paths = list(tmp_path.rglob("*.safetensors"))
        assert len(paths) == self.networks_trained
        for path in paths:
            path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(
            StorageError, match=r"is not a complete checkpoint .* delete it to start"
        ):
            self.make(checkpoint=tmp_path).train_model(planted_data.dataset, top_words=TOP_WORDS)


class Losses:
    """Counts how often a model's network is asked for its loss, and interrupts it once."""

    def __init__(
        self,
        model: EmbeddingModel,
        monkeypatch: pytest.MonkeyPatch,
        interrupted_at: int | None = None,
    ) -> None:
        self.calls = 0
        self.interrupted_at = interrupted_at
        self.build: Callable[..., ViewNetwork] = model._network
        monkeypatch.setattr(model, "_network", self._watched)

    def _watched(self, *arguments: Any) -> ViewNetwork:
        network: Any = self.build(*arguments)
        loss = network.loss

        def watched(batch: Any) -> Any:
            self.calls += 1
            if self.calls == self.interrupted_at:
                raise KeyboardInterrupt
            return loss(batch)

        network.loss = watched
        return cast(ViewNetwork, network)


class Lengths:
    """An encoder of one's own: how often each of some letters occurs."""

    name = "lengths"
    dimensions = 5

    def encode(self, items: Any) -> NDArray[np.float32]:
        """Return the counts."""
        return np.array([[text.count(c) for c in "aeior"] for text in items], np.float32)


def with_few_items(dataset: MultiviewDataset, name: str, sizes: dict[str, int]) -> MultiviewDataset:
    """Return the data set with so many items of a view in each partition."""
    view = dataset.view(name)
    kept = np.concatenate([np.arange(len(view))[view.rows(p)][:size] for p, size in sizes.items()])
    few = view.take(kept, cast(Any, tuple(sizes.values())))
    places = np.full(len(view) + 1, -1)
    places[kept] = np.arange(len(kept))
    links = dataset.links.copy()
    column = list(dataset.views).index(name)
    links[:, column] = places[links[:, column]]
    return MultiviewDataset((dataset.views | {name: few}).values(), links[links.max(axis=1) >= 0])


def write_word_vectors(words: tuple[str, ...], path: str) -> None:
    """Write a vector for each word, in word2vec's text format."""
    vectors = np.random.default_rng(0).normal(size=(len(words), 3))
    lines = [
        f"{word} {a:.4f} {b:.4f} {c:.4f}" for word, (a, b, c) in zip(words, vectors, strict=True)
    ]
    Path(path).write_text("\n".join([f"{len(words)} 3", *lines]) + "\n", encoding="utf-8")


def hashes(dataset: MultiviewDataset) -> dict[str, str]:
    """Return a hash of each array that the data set holds."""
    arrays: dict[str, Any] = {"links": dataset.links}
    for name, view in dataset.views.items():
        for key, value in vars(view).items():
            if isinstance(value, np.ndarray):
                arrays[f"{name}/{key}"] = value
            elif key in ("texts", "vocabulary", "sizes"):
                arrays[f"{name}/{key}"] = np.array(value)
        if name in dataset.text_views:
            matrix = dataset.text_view(name).bag_of_words
            for key in ("data", "indices", "indptr"):
                arrays[f"{name}/bag/{key}"] = getattr(matrix, key)
    return {
        key: hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        for key, array in arrays.items()
    }


def assert_distributions(output: ModelOutput) -> None:
    """Everything is finite, rows of topics and columns of documents sum to one."""
    for key, value in output.items():
        if key.startswith("topics"):
            continue
        assert np.isfinite(value).all(), key
        assert value.min(initial=0) >= 0, key
        axis = 1 if key.startswith("topic-word-matrix") else 0
        np.testing.assert_allclose(value.sum(axis=axis), 1, atol=1e-4, err_msg=key)


def assert_same(one: ModelOutput, other: ModelOutput) -> None:
    """Both are equal bit by bit."""
    assert set(one) == set(other)
    for key, value in one.items():
        np.testing.assert_array_equal(other[key], value, err_msg=key)


def assert_differ(one: ModelOutput, other: ModelOutput) -> None:
    """Every matrix differs."""
    assert set(one) == set(other)
    for key in one:
        if not key.startswith("topics"):
            assert not np.array_equal(one[key], other[key]), key
