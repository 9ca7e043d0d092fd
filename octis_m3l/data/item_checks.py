"""Items that a user gives: whether they are several, missing, numbers or valid text."""

from collections.abc import Iterable, Mapping, Set
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_scalar
from scipy.sparse import issparse

from octis_m3l.errors import DataError


def as_items(given: Any, what: str) -> list[Any]:
    """Return several items as a list; refuse a single one, and what has no order."""
    single = isinstance(given, str | bytes | PurePath | Mapping | Set)
    # A table gives the names of its columns.
    single = single or getattr(given, "ndim", 1) == 0 or hasattr(given, "columns")
    if single or not isinstance(given, Iterable):
        raise DataError(
            f"{what}: expected a list of items, given one {type(given).__name__}; put a "
            "single item in a list."
        )
    return list(given)


def is_numeric(given: Any) -> bool:
    """Return whether something is an array or a sparse matrix of numbers."""
    is_array = isinstance(given, np.ndarray) or issparse(given)
    return is_array and given.dtype.kind in "iufb"


def is_missing(value: Any) -> bool:
    """Return whether a document is missing: None, NaN or pandas's NA."""
    return is_scalar(value) and bool(pd.isna(value))


def check_characters(text: str, what: str = "the document") -> None:
    """Refuse a text with half of a surrogate pair, which encoders and files can't take."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{what} holds half of a surrogate pair ({error.object[error.start]!r} at "
            f"character {error.start}), which is no character: it was decoded wrongly. Decode it "
            "again, or repair it with text.encode('utf-16', 'surrogatepass').decode('utf-16', "
            "'replace')."
        ) from None
