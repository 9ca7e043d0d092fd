"""New items that a model is asked to infer: whether they are as expected."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.item_checks import as_items, is_numeric
from octis_m3l.data.views import check_embeddings
from octis_m3l.errors import DataError, SettingsError

Items = Sequence[Any] | NDArray[Any]


def listed(items: Any, view: str) -> Any:
    """Return several items as a list, or an array or sparse matrix of numbers as it is."""
    return items if is_numeric(items) else as_items(items, f"view '{view}'")


def present_items(items: Any, view: str) -> NDArray[np.bool_]:
    """Return which items are not None; all rows of an array of numbers are present."""
    if is_numeric(items):
        return np.ones(items.shape[0], bool)
    return np.array([item is not None for item in listed(items, view)], bool)


def check_vectors(vectors: NDArray[Any], dimensions: int, view: str) -> None:
    """Refuse embeddings of another size, and those that are not finite."""
    if vectors.ndim != 2 or vectors.shape[1] != dimensions:
        raise DataError(
            f"view '{view}': embeddings of shape {vectors.shape}, expected finite numbers "
            f"(items × {dimensions})."
        )
    check_embeddings(vectors, len(vectors), view)


def check_samples(samples: int | None, *, least: int) -> None:
    """Refuse a number of samples that is not a whole number, or too small."""
    if samples is not None and (
        isinstance(samples, bool) or not isinstance(samples, int | np.integer) or samples < least
    ):
        raise SettingsError(f"samples={samples!r}: expected a whole number, {least} or more.")
