"""Partitions of records: as they are given, or drawn at random."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.item_checks import as_items
from octis_m3l.data.marks import are_shares, drawn_marks
from octis_m3l.data.records.reading import Records
from octis_m3l.data.views import PARTITIONS
from octis_m3l.errors import DataError, SettingsError

_MARKS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1, "test": 2}


def given_marks(given: Sequence[str] | None, records: Records, what: str) -> NDArray[np.int8]:
    """Return the mark of each record: 0 (train), 1 (validation) or 2 (test)."""
    if given is None:
        return np.zeros(records.count, np.int8)
    given = as_items(given, what)
    if len(given) != records.count:
        raise DataError(f"{len(given)} entries of '{what}' for {records.count} records.")
    unknown = [str(mark) for mark in given if str(mark).lower() not in _MARKS]
    if unknown:
        raise DataError(
            f"'{what}' has {len(unknown)} unknown entries, the first is '{unknown[0]}'; expected "
            "train, validation (or val) and test."
        )
    marks = np.array([_MARKS[str(mark).lower()] for mark in given], np.int8)
    _, first = np.unique(records.members, return_index=True)
    of_group = marks[first[records.members]]
    differing = np.flatnonzero(marks != of_group)
    if len(differing):
        record = int(differing[0])
        raise DataError(
            f"the group of record {record} is in two partitions of '{what}', "
            f"{PARTITIONS[of_group[record]]} and {PARTITIONS[marks[record]]}; keep it in one."
        )
    return marks


def split_marks(records: Records, split: tuple[float, float], seed: int) -> NDArray[np.int8]:
    """Draw the mark of each record; records that belong together have the same."""
    train, validation = split
    if not are_shares(train, validation):
        raise SettingsError(
            f"split={split}: expected the shares of train, above 0, and validation, together at "
            "most 1."
        )
    groups = records.connected()
    return drawn_marks(int(groups.max()) + 1, train, validation, seed)[groups]
