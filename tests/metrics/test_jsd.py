"""JSD of linked items against a double loop."""

from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.metrics import JSD
from octis_m3l.metrics import jsd as module
from octis_m3l.metrics.jsd import linked_pairs

from .contract import MetricContract
from .planted import constant_output, text_view

numbers = st.lists(st.integers(-1, 5), max_size=8)


class TestJSD(MetricContract):
    metric = JSD
    arguments: ClassVar = {"first": "en", "second": "de"}


@settings(deadline=None)
@given(numbers, numbers)
def test_pairs_are_all_with_the_same_number(first: list[int], second: list[int]) -> None:
    rows, columns = linked_pairs(np.array(first, dtype=int), np.array(second, dtype=int))
    expected = [
        (i, j) for i, a in enumerate(first) for j, b in enumerate(second) if a == b and a >= 0
    ]
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == expected


@pytest.mark.parametrize("partition", ["train", "validation", "test"])
def test_equals_a_loop_over_pairs(
    dataset: MultiviewDataset,
    output: dict[str, Any],
    partition: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", 4)
    key = {"train": ""}.get(partition, f"{partition}-") + "topic-document-matrix"
    english, images = dataset.view("en").rows(partition), dataset.view("image").rows(partition)
    expected = [
        jensenshannon(output[f"{key}/en"][:, i], output[f"{key}/image"][:, j]) ** 2
        for i, a in enumerate(dataset.tuples("en")[english])
        for j, b in enumerate(dataset.tuples("image")[images])
        if a == b
    ]
    items = JSD(dataset, "en", "image", partition=partition).per_item(output)
    np.testing.assert_allclose(items, expected, atol=1e-6)
    assert len(items) == images.stop - images.start - 1


def test_is_zero_where_views_agree(dataset: MultiviewDataset) -> None:
    assert JSD(dataset, "en", "image").score(constant_output(dataset)) == 0.0


def test_does_not_depend_on_the_order_of_views(
    dataset: MultiviewDataset, output: dict[str, Any]
) -> None:
    there, back = JSD(dataset, "en", "image"), JSD(dataset, "image", "en")
    assert there.score(output) == pytest.approx(back.score(output), rel=1e-12)


def test_needs_two_views(dataset: MultiviewDataset) -> None:
    with pytest.raises(SettingsError, match="first and second are both 'en'; name two different"):
        JSD(dataset, "en", "en")


def test_needs_links() -> None:
    random = np.random.default_rng(0)
    views = [text_view(name, 9, (3, 1, 2), random) for name in ("en", "de")]
    with pytest.raises(DataError, match="no item of 'en' is linked to an item of 'de' in the test"):
        JSD(MultiviewDataset(views), "en", "de")
