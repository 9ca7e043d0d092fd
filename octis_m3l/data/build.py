"""Data sets from lists, frames and JSON lines: records in, views and links out."""

from collections.abc import Hashable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import pandas as pd

from octis_m3l.data.builder import Builder
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.item_checks import as_items
from octis_m3l.data.languages import language_of
from octis_m3l.data.pictures import is_address
from octis_m3l.data.records.labels import record_labels
from octis_m3l.data.records.partitions import given_marks, split_marks
from octis_m3l.data.records.reading import read_records
from octis_m3l.data.records.tables import read_json_lines, read_table
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.errors import DataError, SettingsError, suggest
from octis_m3l.validation import ArrayLike, Listed, Unchecked, validated


@validated
def from_lists(
    texts: Mapping[str, Unchecked[Sequence[Any]]],
    *,
    images: Mapping[str, Unchecked[Sequence[Any] | None]] | None = None,
    partition: Unchecked[Sequence[str] | None] = None,
    split: tuple[float, float] | None = None,
    split_seed: int = 0,
    other_partitions: Mapping[str, Unchecked[Sequence[str]]] | None = None,
    labels: Unchecked[Sequence[Any] | None] = None,
    group: Unchecked[Sequence[Hashable] | None] = None,
    embeddings: Mapping[str, ArrayLike[Any] | str | Path] | None = None,
    preprocessing: TextPreprocessor | Mapping[str, TextPreprocessor] | None = None,
    languages: Mapping[str, str | None] | None = None,
    unusable: str = "drop",
    pivot: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> MultiviewDataset:
    """Build a data set from lists: item `i` of every list belongs to record `i`.

    Parameters
    ----------
    texts : mapping of view to sequence of (str, None or list of str)
        The documents. None or NaN: the record has none in this view. A list: several.
    images : mapping of view to sequence of (path, array of uint8, None or list of them), optional
        The pictures. A path that occurs several times is one picture. None in a sequence's place:
        the view has `embeddings` alone.
    partition : sequence of {'train', 'validation', 'test'}, optional
        One for each record. Default: all are training records.
    split : (float, float), optional
        In place of `partition`: the shares of training and validation records, drawn at random;
        the rest is the test partition. Drawn before the vocabulary is chosen, so that it is
        chosen on the training records.
    split_seed : int
        Of the draw.
    other_partitions : mapping of str to sequence, optional
        Further partitions, kept under their names.
    labels : sequence, optional
        One label for each record.
    group : sequence, optional
        Records with the same value are one: an article in many rows, one for each picture. Equal
        cells within a group are one item.
    embeddings : mapping of view to array (records × dimensions) or path, optional
        A user's own embeddings, row by row with the lists. A view with lists in it: row by row
        with its items in order of appearance.
    preprocessing : TextPreprocessor or mapping of view to TextPreprocessor, optional
        Default: `TextPreprocessor` with the view's language.
    languages : mapping of view to str or None, optional
        Codes or English names. Default: the language that the view's name says ("de", "german",
        "zh-cn", "en_title") where there are stop words for it, else none.
    unusable : {'drop', 'error'}
        What to do with a document without words after preprocessing, or a picture that can't be
        opened: leave it out, with one warning that counts them, or stop.
    pivot : str, optional
        The view that OCTIS sees. Default: the first.
    metadata : mapping, optional
        Name, licence and so on.

    Raises
    ------
    DataError
        If lists differ in length, a label or partition is unknown, an item or a group would be in
        two partitions, or nothing usable is left.

    Notes
    -----
    What was dropped is warned of, and stands row by row in ``dataset.metadata['dropped']``.
    """
    if unusable not in ("drop", "error"):
        raise SettingsError(f"unusable='{unusable}': expected 'drop' or 'error'.")
    _check_names(texts, languages, preprocessing)
    embeddings = dict(embeddings or {})
    group = None if group is None else as_items(group, "group")
    records = read_records(texts, dict(images or {}), embeddings, group)
    if split is not None and partition is not None:
        raise SettingsError("partition and split are both given: which is it?")
    marks = (
        given_marks(partition, records, "partition")
        if split is None
        else split_marks(records, split, split_seed)
    )
    others = {n: given_marks(m, records, n) for n, m in (other_partitions or {}).items()}
    builder = Builder(records, marks, others, record_labels(labels, records.count), unusable)
    for name in texts:
        language = language_of(name, languages)
        chosen = preprocessing.get(name) if isinstance(preprocessing, Mapping) else preprocessing
        builder.add_text(name, language, chosen or TextPreprocessor(language=language))
    for name in records.image_names:
        builder.add_images(name)
    dataset = builder.finish(pivot, metadata)
    if embeddings:
        dataset = dataset.with_embeddings(embeddings)
    return dataset


def _check_names(texts: Mapping[str, Any], languages: object, preprocessing: object) -> None:
    for what, given in (("languages", languages), ("preprocessing", preprocessing)):
        for name in given if isinstance(given, Mapping) else ():
            if name not in texts:
                raise DataError(
                    f"{what}: there is no view of texts '{name}'.{suggest(str(name), list(texts))}"
                )


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
) -> MultiviewDataset:
    """Build a data set from a pandas frame: a column for each view, NaN where it is missing.

    Parameters
    ----------
    frame : pandas.DataFrame
        One record a row.
    texts, images : mapping of view to column, sequence of columns, or one column
        Which columns hold documents, and paths of pictures; views that are not named have the
        names of their columns. None for a view of images that has embeddings alone.
    partition, label, group : str, optional
        Columns, as in `from_lists`.
    other_partitions : sequence of str
        Columns with further partitions.
    image_folder : str or Path, optional
        Where relative paths of pictures start.
    **arguments
        As for `from_lists`.

    Raises
    ------
    DataError
        If a column isn't there, and as `from_lists`.
    """
    known = {*signature(from_frame).parameters, *signature(from_lists).parameters}
    known -= {"arguments", "labels"}
    for name in arguments:
        if name not in known:
            raise SettingsError(f"from_frame has no argument '{name}'.{suggest(name, known)}")
    text_columns = _columns(texts)
    image_columns = _columns({} if images is None else images)
    others = list(_columns(other_partitions).values())
    named = [*image_columns.values(), partition, label, group]
    for column in [*text_columns.values(), *others, *(c for c in named if c is not None)]:
        _check_column(frame, column)
    root = Path(image_folder) if image_folder is not None else None
    return from_lists(
        {view: frame[column].tolist() for view, column in text_columns.items()},
        images={
            view: None if column is None else [_below(root, cell) for cell in frame[column]]
            for view, column in image_columns.items()
        },
        partition=None if partition is None else frame[partition].tolist(),
        other_partitions={name: frame[name].tolist() for name in others},
        labels=None if label is None else frame[label].tolist(),
        group=None if group is None else frame[group].tolist(),
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
) -> MultiviewDataset:
    """Build a data set from a file: CSV, TSV, a workbook's first sheet, or JSON lines.

    Parameters
    ----------
    path : str or Path
        A .csv, .tsv, .jsonl (all of them also as .gz) or .xlsx file; see `from_jsonl` for how
        fields of JSON are named.
    delimiter, encoding : str, optional
        Of the file. Default: detected, with a warning where an encoding is a guess.
    image_folder : str or Path, optional
        Where relative paths of pictures start. Default: the file's folder.
    **arguments
        As for `from_frame`.

    Raises
    ------
    DataError
        If the file can't be read, a row has more cells than the header, and as `from_frame`.
    SettingsError
        If the delimiter or the encoding is none.
    """
    path = Path(path)
    frame = read_table(path, delimiter=delimiter, encoding=encoding)
    label = arguments.get("label")
    if isinstance(label, str) and [*frame.columns].count(label) == 1:
        # As pandas and R write a gap; in a text it may be a word.
        frame[label] = [
            None if isinstance(cell, str) and cell.lower() == "nan" else cell
            for cell in frame[label]
        ]
    return from_frame(frame, image_folder=image_folder or path.parent, **arguments)


@validated
def from_jsonl(
    path: str | Path, *, image_folder: str | Path | None = None, **arguments: Any
) -> MultiviewDataset:
    """Build a data set from JSON lines, whatever the file's name: a field for each view.

    Parameters
    ----------
    path : str or Path
        One JSON object a line; a field may be absent, null, or a list of several items. A field
        within a field is named with a dot: ``text.en``.
    image_folder : str or Path, optional
        Where relative paths of pictures start. Default: the file's folder.
    **arguments
        As for `from_frame`, with fields for columns.

    Raises
    ------
    DataError
        If the file is missing, a line is no JSON object, and as `from_frame`.
    """
    path = Path(path)
    return from_frame(read_json_lines(path), image_folder=image_folder or path.parent, **arguments)


def _columns(given: Any) -> dict[str, Any]:
    """Return the column of each view; columns without views are named as these."""
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, str):
        return {given: given}
    return {column: column for column in given}


def _check_column(frame: pd.DataFrame, column: Any) -> None:
    times = [*frame.columns].count(column)
    if times > 1:
        raise DataError(f"the table has {times} columns '{column}'; rename all but one of them.")
    if not times:
        names = [str(name) for name in frame.columns]
        raise DataError(f"there is no column '{column}'.{suggest(str(column), names)}")


def _below(root: Path | None, cell: Any) -> Any:
    if isinstance(cell, list | tuple):
        return [_below(root, item) for item in cell]
    if root is None or not isinstance(cell, str | Path) or is_address(cell):
        return cell
    return root / cell
