"""Rows must be distributions, and the error says which is not."""

import numpy as np
import pytest

from octis_m3l.errors import DataError
from octis_m3l.metrics.divergence import as_distributions


def test_scales_rows_in_a_copy() -> None:
    rows = np.array([[0.5, 0.5005], [1.0, 0.0]])
    before = rows.copy()
    result = as_distributions(rows, "p")
    np.testing.assert_allclose(result.sum(axis=1), 1, atol=1e-15)
    np.testing.assert_array_equal(rows, before)
    assert result.flags.c_contiguous


def test_takes_no_rows() -> None:
    assert as_distributions(np.zeros((0, 3)), "p").shape == (0, 3)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0.5, 0.5], [2.0, 0.4]], "θ: item 1 sums to 2.4; expected 1: give probabilities"),
        ([[0.5, 0.5], [0.5, 0.498]], "θ: item 1 sums to 0.998"),
        ([[1.5, -0.5]], "θ: item 0 has a negative value; give probabilities, not logits"),
        ([[0.5, 0.5], [np.nan, 1.0]], "θ: item 1 has a value that is not finite"),
        ([[np.inf, 0.0]], "θ: item 0 has a value that is not finite"),
        ([0.5, 0.5], r"θ has shape \(2,\); expected \(items, topics\)"),
        (np.zeros((3, 0)), r"θ has shape \(3, 0\)"),
    ],
)
def test_refuses_anything_else(rows: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_distributions(np.asarray(rows), "θ")
