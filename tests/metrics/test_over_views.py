"""One measure over all views: the mean of what score_all says."""

from typing import Any

import numpy as np
import pytest

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics import METRICS, OverViews, score_all


@pytest.mark.parametrize("measure", ["mrr", "jsd", "tu"])
def test_is_the_mean_of_all_scores(
    dataset: MultiviewDataset, output: dict[str, Any], measure: str
) -> None:
    metric = OverViews(dataset, measure, "validation", 4)
    scores = score_all(dataset, output, "validation", [measure], topk=4)[measure]
    assert len(scores) > 1
    assert metric.score(output) == pytest.approx(np.mean(list(scores.values())))
    assert metric.direction == METRICS[measure].direction
    assert metric.range == METRICS[measure].range
    assert metric.get_params() == ["measure", "partition", "topk"]
    where = "" if measure == "tu" else " (validation)"
    assert metric.info()["name"] == f"{measure}, mean over views{where}"
    again = OverViews(dataset, **{name: getattr(metric, name) for name in metric.get_params()})
    assert again.score(output) == metric.score(output)


def test_mistakes_are_said(dataset: MultiviewDataset, output: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"unknown metric 'mmr'\. Did you mean 'mrr'\?"):
        OverViews(dataset, "mmr")
    with pytest.raises(SettingsError, match=r"'tset'\. Did you mean 'test'\?"):
        OverViews(dataset, "mrr", "tset")
    with pytest.raises(DataError, match="needs a MultiviewDataset, given NoneType"):
        OverViews(None)  # type: ignore[arg-type]
    unlinked = MultiviewDataset(dataset.views.values())
    with pytest.raises(DataError, match="'mrr' applies to no view and no pair of views"):
        OverViews(unlinked, "mrr").score(output)
