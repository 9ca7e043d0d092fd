"""OCTIS's own metrics, storage, data sets and Optimizer run every model."""

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
from octis.models.model import save_model_output
from octis.optimization.optimizer import Optimizer
from planted import Planted
from skopt.space.space import Dimension, Integer, Real  # type: ignore[import-untyped]

from octis_m3l.errors import DataError
from octis_m3l.metrics import TopicUniqueness, score_all
from octis_m3l.metrics.outputs import THETA_KEYS

from .base import Contract
from .helpers import THETA, TOP_WORDS, assert_distributions


class OctisContract(Contract):
    """What a model promises to OCTIS."""

    def test_octis_stores_every_key(self, trained: Any, tmp_path: Path) -> None:
        save_model_output(trained.output, str(tmp_path / "output"))
        with np.load(tmp_path / "output.npz", allow_pickle=False) as stored:
            assert set(stored) == set(trained.output)
            for key, value in trained.output.items():
                if key == "topics":
                    assert stored[key].tolist() == value
                else:
                    np.testing.assert_allclose(stored[key], value, atol=1e-6)

    def test_metrics_of_octis_score_it(self, trained: Any, planted_data: Planted) -> None:
        for name in self.with_topics(planted_data.dataset):
            view = planted_data.dataset.text_view(name)
            metrics = [
                TopicDiversity(TOP_WORDS),
                InvertedRBO(TOP_WORDS),
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

    def test_octis_optimizer_searches_it(self, planted_data: Planted, tmp_path: Path) -> None:
        dataset, model, calls = planted_data.dataset, self.make(), 2
        corpus = dataset.get_partitioned_corpus()[0]
        result = Optimizer().optimize(
            model,
            dataset,
            TopicUniqueness(dataset, topk=TOP_WORDS),
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

    def test_plain_octis_dataset(self, planted_data: Planted, tmp_path: Path) -> None:
        dataset = planted_data.dataset.monolingual("en")
        if self.model.least_views > 1:
            with pytest.raises(DataError, match="from two views or more, and this data set has on"):
                self.make().train_model(dataset, top_words=TOP_WORDS)
            return
        output = self.train(dataset)
        assert output.views == [output.pivot]
        assert_distributions(output)
        sizes = planted_data.dataset.view("en").sizes
        for key, size in zip(THETA_KEYS.values(), sizes, strict=True):
            assert output[key].shape[1] == size
        save_model_output(output, str(tmp_path / "output"))
