"""What every metric of the package promises, as tests to inherit."""

import copy
import inspect
import json
from typing import Any, ClassVar

import numpy as np
import pytest
from octis.evaluation_metrics.metrics import AbstractMetric

from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics import Metric

from .planted import Data, Output

OBJECTS = {"dataset", "metric", "corpus"}


class MetricContract:
    """Inherit, name the metric and the scalar arguments that it cannot do without."""

    metric: ClassVar[type[Metric]]
    arguments: ClassVar[dict[str, Any]] = {}

    def make(self, dataset: Any, **changes: Any) -> Metric:
        """Return the metric, with some of the arguments changed."""
        return self.metric(dataset, **{**self.arguments, **changes})

    def _parameters(self) -> set[str]:
        return set(inspect.signature(self.metric).parameters) - OBJECTS

    def test_declares_direction_range_and_reference(self, dataset: Data) -> None:
        assert self.metric.direction in {"higher", "lower"}
        low, high = self.metric.range
        assert low < high
        assert len(self.metric.reference) > 20
        assert inspect.getdoc(self.metric) != inspect.getdoc(Metric)
        metric = self.make(dataset)
        assert isinstance(metric, AbstractMetric)
        assert metric.info().keys() == {"name", "citation"}
        assert metric.info()["name"].startswith(self.metric.__name__)
        assert metric.info()["citation"] == self.metric.reference

    def test_items_are_in_range_and_make_the_score_and_the_output_stays(
        self, dataset: Data, output: Output
    ) -> None:
        before = copy.deepcopy(output)
        for value in output.values():
            value.flags.writeable = False
        metric = self.make(dataset)
        items = metric.per_item(output)
        assert items.dtype == np.float64
        assert items.ndim == 1
        assert len(items)
        assert np.isfinite(items).all()
        low, high = self.metric.range
        assert items.min() >= low
        assert items.max() <= high
        score = metric.score(output)
        assert type(score) is float
        assert score == float(np.mean(items)) == metric.score(output)
        assert list(before) == list(output)
        for key, value in before.items():
            np.testing.assert_array_equal(output[key], value)

    def test_parameters_are_the_scalar_arguments_and_build_the_same_metric(
        self, dataset: Data, output: Output
    ) -> None:
        metric = self.make(dataset)
        values = {name: getattr(metric, name) for name in metric.get_params()}
        public = {name for name in vars(metric) if not name.startswith("_")}
        assert set(values) == public == self._parameters()
        assert json.loads(json.dumps(values)) == values
        assert self.arguments.items() <= values.items()
        assert self.metric(dataset, **values).score(output) == metric.score(output)

    def test_scores_the_validation_partition(self, dataset: Data, output: Output) -> None:
        if "partition" not in self._parameters():
            pytest.skip("takes no partition")
        validation = self.make(dataset, partition="validation")
        score = validation.score(output)
        for key in [key for key in output if key.startswith("test-")]:
            del output[key]
        assert validation.score(output) == score
        with pytest.raises(DataError, match="the output has no 'test-topic-document-matrix/"):
            self.make(dataset, partition="test").score(output)
        with pytest.raises(SettingsError, match=r"'tset'\. Did you mean 'test'\?"):
            self.make(dataset, partition="tset")

    def test_refuses_what_is_no_data_set_view_or_output(self, dataset: Data) -> None:
        with pytest.raises(DataError, match=r"read it first: MultiviewDataset.from_folder\('a'\)"):
            self.make("a")
        with pytest.raises(DataError, match="needs a MultiviewDataset, given None; a loaded"):
            self.make(None)
        metric = self.make(dataset)
        named = [name for name in metric.get_params() if getattr(metric, name) in dataset.views]
        assert named
        for name in named:
            with pytest.raises(DataError, match="unknown view 'nowhere'"):
                self.make(dataset, **{name: "nowhere"})
        with pytest.raises(DataError, match=r"the output has no '.+/.+'; it has: loss\."):
            metric.score({"loss": np.zeros(1)})
