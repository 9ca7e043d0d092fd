"""Data sets from pandas frames and from tables in files: a column for each view."""

from collections.abc import Hashable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import pandas as pd

from octis_m3l.data.building import from_lists
from octis_m3l.data.parts import DatasetParts
from octis_m3l.data.pictures import is_address
from octis_m3l.data.records import read_json_lines, read_table
from octis_m3l.errors import DataError, SettingsError, suggest
from octis_m3l.validation import Listed, validated


@validated
def from_frame(
    frame: pd.DataFrame,
    *,
    texts: Mapping[str, Hashable] | Listed[Hashable] | str,
    images: Mapping[str, Hashable] | Listed[Hashable] | str | None = None,
    partition: Hashable | None = None,
    other_partitions: str | Listed[str] = (),
    label: Hashable | None = None,
    group: Hashable | None = None,
    image_folder: str | Path | None = None,
    **arguments: Any,
) -> DatasetParts:
    """Build a data set from a pandas frame: a column for each view, NaN where it is missing.

    Parameters
    ----------
    frame : pandas.DataFrame
        One record a row.
    texts, images : mapping of view to column, sequence of columns, or one column
        The columns with documents, and with paths of pictures. Without a mapping, views have the
        names of their columns. None instead of a column: the view has embeddings alone.
    partition, label, group, other_partitions : columns, optional
        As in `from_lists`.
    image_folder : str or Path, optional
        The folder that paths of pictures are relative to.
    **arguments
        As for `from_lists`.
    """
    known = signature(from_frame).parameters.keys() | signature(from_lists).parameters.keys()
    known -= {"arguments", "labels"}
    for name in arguments.keys() - known:
        raise SettingsError(f"from_frame has no argument '{name}'.{suggest(name, known)}")
    root = Path(image_folder) if image_folder is not None else None
    pictures = _columns({} if images is None else images)

    def cells(column: Hashable | None) -> Any:
        if column is None:
            return None
        names = [*frame.columns]
        if (count := names.count(column)) > 1:
            raise DataError(
                f"the table has {count} columns '{column}'; rename all but one of them."
            )
        if not count:
            raise DataError(f"there is no column '{column}'.{suggest(column, [*map(str, names)])}")
        return frame[column].tolist()

    return from_lists(
        {view: cells(column) for view, column in _columns(texts).items()},
        images={view: _below(root, cells(column)) for view, column in pictures.items()},
        partition=cells(partition),
        other_partitions={name: cells(name) for name in _columns(other_partitions)},
        labels=cells(label),
        group=cells(group),
        **arguments,
    )


@validated
def from_table(
    path: str | Path,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    image_folder: str | Path | None = None,
    **arguments: Any,
) -> DatasetParts:
    """Build a data set from a file: CSV, TSV, a workbook's first sheet, or JSON lines.

    Parameters
    ----------
    path : str or Path
        A .csv, .tsv, .jsonl (all of them also as .gz) or .xlsx file; see `from_jsonl` for the
        names of JSON fields.
    delimiter, encoding : str, optional
        Of the file. Default: detected, with a warning if the encoding is uncertain.
    image_folder : str or Path, optional
        The folder that paths of pictures are relative to. Default: the file's folder.
    **arguments
        As for `from_frame`.
    """
    path = Path(path)
    frame = read_table(path, delimiter=delimiter, encoding=encoding)
    label = arguments.get("label")
    if isinstance(label, str) and [*frame.columns].count(label) == 1:
        # Pandas and R write "nan" for a missing label; in a text it may be a word.
        frame[label] = [None if str(cell).lower() == "nan" else cell for cell in frame[label]]
    return from_frame(frame, image_folder=image_folder or path.parent, **arguments)


@validated
def from_jsonl(
    path: str | Path, *, image_folder: str | Path | None = None, **arguments: Any
) -> DatasetParts:
    """Build a data set from JSON lines, whatever the file's name: a field for each view.

    A field may be absent, null, or a list of several items. A field within a field is named with a
    dot: ``text.en``. The arguments are those of `from_table` and `from_frame`.
    """
    path = Path(path)
    return from_frame(read_json_lines(path), image_folder=image_folder or path.parent, **arguments)


def _columns(given: Any) -> dict[str, Any]:
    """Return the column of each view; without a mapping, views are named as their columns."""
    if isinstance(given, Mapping):
        return dict(given)
    return {column: column for column in ([given] if isinstance(given, str) else given)}


def _below(root: Path | None, cell: Any) -> Any:
    """Return paths of pictures relative to a folder."""
    if isinstance(cell, list | tuple):
        return [_below(root, item) for item in cell]
    if root is None or not isinstance(cell, str | Path) or is_address(cell):
        return cell
    return root / cell
