"""Outputs whose θ is not finite somewhere, and tables of very many topics."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from octis_m3l.errors import OctisM3LError
from octis_m3l.models import ModelOutput
from octis_m3l.models.output import finite_topics
from octis_m3l.reports import topics_table

from .contract import refused

WORDS = {"en": np.array([[0.7, 0.3], [0.4, 0.6]])}


def test_an_item_without_finite_topics_costs_the_others_nothing() -> None:
    theta = np.array([[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8], [np.inf, 0.0]])
    message = (
        r"^view 'en': 2 of 4 items have no finite topic proportions \(the first is number 1\):"
    )
    expected = [[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.5, 0.5]]
    with pytest.warns(UserWarning, match=message):
        assert finite_topics(theta, "en").tolist() == expected
    stored = {"test-topic-document-matrix/en": theta.T, "topics/en": np.array([[0], [1]])}
    with pytest.warns(UserWarning, match=message):
        restored = ModelOutput("en", WORDS, {}, {"en": ("a", "b")}, 1, 0).filled(stored)
    assert restored.theta("en", "test").tolist() == expected
    assert restored["test-topic-document-matrix"].T.tolist() == expected
    for call, message in (
        (lambda: restored.theta("en", "validation"), "the output has no validation items of a v"),
        (lambda: restored.topics("en", 0), "words=0: expected 1 or more."),
    ):
        refused(OctisM3LError, message, call)


def test_languages_are_in_the_order_of_the_views() -> None:
    matrices = {"de": np.eye(2), **WORDS}
    words = {"en": ("a", "b"), "fr": ("a", "b"), "de": ("c", "d")}
    output = ModelOutput("de", matrices, {}, words, 1, 0)
    assert output.languages == ["en", "de"]


@pytest.mark.parametrize(("count", "rows"), [(200, 200), (3000, 200)])
def test_a_long_list_of_topics_is_cut_and_counted(count: int, rows: int) -> None:
    frame = pd.DataFrame({"topic": range(count), "share": 1 / count, "en": "word"})
    model: Any = SimpleNamespace(topic_info=lambda words: frame)
    table = topics_table(model, 7)
    assert table.row_count == rows
    cut = "2,800 less frequent topics are not shown; --json lists all."
    assert table.caption == (cut if count > rows else None)
