"""Labels of records, as text."""

from collections.abc import Sequence
from typing import Any

from octis_m3l.data.item_checks import as_items, check_characters, is_missing
from octis_m3l.errors import DataError

_EXACT = 2**53


def record_labels(labels: Sequence[Any] | None, count: int) -> list[str] | None:
    """Return the label of each record, "" where it has none."""
    if labels is None:
        return None
    labels = as_items(labels, "labels")
    if len(labels) != count:
        raise DataError(f"{len(labels)} labels for {count} records; give one for each.")
    found = [_as_text(label) for label in labels]
    for row, label in enumerate(found):
        check_characters(label, f"label {row}")
    return found


def _as_text(label: Any) -> str:
    if is_missing(label):
        return ""
    if isinstance(label, float) and label.is_integer():
        # A column of whole numbers with gaps comes as floats.
        if abs(label) >= _EXACT:
            raise DataError(
                f"label {label!r}: a float of this size may be any of several whole numbers; give "
                "labels as text, or read the column as such (dtype=str)."
            )
        return str(int(label))
    return str(label)
