"""Any OCTIS metric runs on any view."""

import copy
from typing import Any

import numpy as np
import pytest
from octis.evaluation_metrics.coherence_metrics import Coherence
from octis.evaluation_metrics.diversity_metrics import TopicDiversity
from octis.evaluation_metrics.metrics import AbstractMetric
from octis.evaluation_metrics.topic_significance_metrics import KL_background, KL_uniform

from octis_m3l.errors import DataError
from octis_m3l.metrics import OnView

from .planted import TEST, Data, Output, in_words


class Recorder(AbstractMetric):  # type: ignore[misc]
    """Keep what it is given."""

    def score(self, model_output: dict[str, Any]) -> np.float32:
        self.seen = model_output
        return np.float32(0.5)


class Reader(AbstractMetric):  # type: ignore[misc]
    """Read the topics."""

    def score(self, model_output: dict[str, Any]) -> int:
        return len(model_output["topics"])


def plain(dataset: Data, output: Output, view: str) -> Output:
    own = {k.removesuffix(f"/{view}"): v for k, v in output.items() if k.endswith(f"/{view}")}
    return own | {"topics": in_words(dataset, output, view)}


@pytest.mark.parametrize("view", ["en", "de"])
@pytest.mark.parametrize("metric", [TopicDiversity, KL_uniform, KL_background, Coherence])
def test_scores_as_octis_does(
    dataset: Data, output: Output, metric: type[AbstractMetric], view: str
) -> None:
    corpus = dataset.text_view(view)
    arguments = {"texts": corpus.documents(corpus.rows("train"))} if metric is Coherence else {}
    before = copy.deepcopy(output)
    score = OnView(metric(**arguments), view, dataset).score(output)
    assert type(score) is float
    assert score == float(metric(**arguments).score(plain(dataset, output, view)))
    for key, value in before.items():
        np.testing.assert_array_equal(output[key], value)


def test_the_metric_sees_octis_keys_of_that_view(dataset: Data, output: Output) -> None:
    recorder = Recorder()
    assert type(OnView(recorder, "de", dataset).score(output)) is float
    expected = plain(dataset, output, "de")
    assert set(recorder.seen) == set(expected)
    assert recorder.seen["topics"] == expected["topics"]
    for key in set(expected) - {"topics"}:
        assert recorder.seen[key] is expected[key]


def test_images_have_matrices_but_no_words(dataset: Data, output: Output) -> None:
    recorder = Recorder()
    OnView(recorder, "image", dataset).score(output)
    assert recorder.seen[TEST].shape == (5, 20)
    with pytest.raises(DataError, match="reads 'topics', but the output has no 'topics/image'"):
        OnView(Reader(), "image", dataset).score(output)
    with pytest.raises(DataError, match="'topics/de' has word index 99; the vocabulary has 25"):
        OnView(Reader(), "de", dataset).score({"topics/de": np.array([[0, 99]])})


def test_says_which_metric_on_which_view(dataset: Data) -> None:
    metric = OnView(TopicDiversity(), "de", dataset)
    assert isinstance(metric, AbstractMetric)
    assert metric.info()["name"] == "Topic diversity (de)"
    assert metric.info()["citation"] == TopicDiversity().info()["citation"]
    assert OnView(Recorder(), "de", dataset).info()["name"] == "Recorder (de)"
    assert {name: getattr(metric, name) for name in metric.get_params()} == {"view": "de"}
