"""From records to the views of a data set, their partitions, labels and links."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from octis_m3l.data.arrays import read_array
from octis_m3l.data.item_checks import as_items, check_characters, is_missing
from octis_m3l.data.languages import language_of
from octis_m3l.data.links import links_of_groups
from octis_m3l.data.partitions import (
    NO_PARTITION,
    are_shares,
    arrange,
    drawn_numbers,
    numbers_of_names,
)
from octis_m3l.data.parts import DatasetParts
from octis_m3l.data.pictures import check_no_address, fault_of, is_address, open_picture
from octis_m3l.data.records import read_json_lines, read_table
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.views import PARTITIONS, ImageView, Picture, TextView, View
from octis_m3l.errors import DataError, SettingsError, suggest, warn
from octis_m3l.validation import ArrayLike, Lenient, Listed, Unchecked, validated

_SHOWN = 5
_LARGEST_EXACT_FLOAT = 2**53


@validated
def from_lists(
    texts: Mapping[str, Unchecked[Sequence[Any]]],
    *,
    images: Mapping[str, Unchecked[Sequence[Any] | None]] | None = None,
    partition: Unchecked[Sequence[str] | None] = None,
    split: Lenient[tuple[float, float]] | None = None,
    split_seed: int = 0,
    other_partitions: Mapping[str, Unchecked[Sequence[str]]] | None = None,
    labels: Unchecked[Sequence[Any] | None] = None,
    group: Unchecked[Sequence[Hashable] | None] = None,
    embeddings: Mapping[str, ArrayLike[Any] | str | Path] | None = None,
    preprocessing: TextPreprocessor | Mapping[str, TextPreprocessor] | None = None,
    languages: Mapping[str, str | None] | None = None,
    unusable: Literal["drop", "error"] = "drop",
    pivot: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> DatasetParts:
    """Build a data set from lists: item `i` of every list belongs to record `i`.

    Parameters
    ----------
    texts : mapping of view to sequence of (str, None or list of str)
        The documents. None or NaN: the record has none in this view. A list: several documents.
    images : mapping of view to sequence of (path, array of uint8, None or list of them), optional
        The pictures. A path that occurs several times is one picture. None instead of a sequence:
        the view has `embeddings` alone.
    partition : sequence of {'train', 'validation', 'test'}, optional
        One for each record. Default: all are training records.
    split : (float, float), optional
        Instead of `partition`: the shares of training and validation records, drawn at random;
        the rest is the test partition. The vocabulary is chosen on the training records.
    split_seed : int
        The seed of the split.
    other_partitions : mapping of str to sequence, optional
        Further partitions, kept under their names.
    labels : sequence, optional
        One label for each record.
    group : sequence, optional
        Records with the same value belong together, such as an article in many rows, one for each
        picture. Equal cells within a group are one item.
    embeddings : mapping of view to array (records × dimensions) or path, optional
        Your own embeddings, row by row with the lists; for a view with lists in it row by row
        with its items in order of appearance.
    preprocessing : TextPreprocessor or mapping of view to TextPreprocessor, optional
        Default: `TextPreprocessor` with the view's language.
    languages : mapping of view to str or None, optional
        Codes or English names. Default: the language that the view's name says ("de", "german",
        "zh-cn", "en_title") if there are stop words for it, else none.
    unusable : {'drop', 'error'}
        Whether documents without words after preprocessing, and pictures that can't be opened,
        are dropped with a warning that counts them, or an error.
    pivot : str, optional
        The view that OCTIS sees. Default: the first.
    metadata : mapping, optional
        Name, licence and so on.

    Returns
    -------
    MultiviewDataset
        ``dataset.metadata['dropped']`` lists the rows that were dropped.

    Raises
    ------
    DataError
        If lists differ in length, a label or partition is unknown, an item or a group would be in
        two partitions, or no item is usable.
    """
    for what, given in (("languages", languages), ("preprocessing", preprocessing)):
        for name in given if isinstance(given, Mapping) else ():
            if name not in texts:
                raise DataError(
                    f"{what}: there is no view of texts '{name}'.{suggest(str(name), list(texts))}"
                )
    embeddings = dict(embeddings or {})
    records = _read_records(texts, images or {}, embeddings, group)
    if split is not None and partition is not None:
        raise SettingsError("partition and split are both given; give only one of the two.")
    if split is None:
        main = _given_partition(partition, records, "partition")
    else:
        main = _drawn_partition(records, split, split_seed)
    others = {
        name: _given_partition(given, records, name)
        for name, given in (other_partitions or {}).items()
    }
    builder = _Builder(records, main, others, _labels(labels, records.count), unusable)
    for name in texts:
        language = language_of(name, languages)
        chosen = preprocessing.get(name) if isinstance(preprocessing, Mapping) else preprocessing
        builder.add_texts(name, language, chosen or TextPreprocessor(language=language))
    for name in images or {}:
        builder.add_images(name)
    views = [
        view.with_embeddings(embeddings[view.name]) if view.name in embeddings else view
        for view in builder.views
    ]
    described = dict(metadata or {})
    if builder.dropped:
        described["dropped"] = builder.dropped
    described["preprocessing"] = builder.reports
    return DatasetParts(
        views=views,
        links=builder.links(),
        pivot=pivot,
        metadata=described,
        partitions=builder.other_partitions,
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
) -> DatasetParts:
    """Build a data set from a pandas frame: a column for each view, NaN where it is missing.

    Parameters
    ----------
    frame : pandas.DataFrame
        One record a row.
    texts, images : mapping of view to column, sequence of columns, or one column
        The columns with documents, and with paths of pictures. Without a mapping, views have the
        names of their columns. None instead of a column: the view has embeddings alone.
    partition, label, group : str, optional
        Columns, as in `from_lists`.
    other_partitions : sequence of str
        Columns with further partitions.
    image_folder : str or Path, optional
        The folder that paths of pictures are relative to.
    **arguments
        As for `from_lists`.

    Returns
    -------
    MultiviewDataset

    Raises
    ------
    DataError
        If a column is missing, and as `from_lists`.
    """
    known = {*signature(from_frame).parameters, *signature(from_lists).parameters}
    known -= {"arguments", "labels"}
    for name in arguments:
        if name not in known:
            raise SettingsError(f"from_frame has no argument '{name}'.{suggest(name, known)}")
    text_columns, image_columns = _columns(texts), _columns({} if images is None else images)
    others = list(_columns(other_partitions))
    optional = [*image_columns.values(), partition, label, group]
    for column in [*text_columns.values(), *others, *(c for c in optional if c is not None)]:
        _check_column(frame, column)
    root = Path(image_folder) if image_folder is not None else None

    def cells(column: Hashable | None) -> list[Any] | None:
        return None if column is None else frame[column].tolist()

    return from_lists(
        {view: frame[column].tolist() for view, column in text_columns.items()},
        images={
            view: None if column is None else [_below(root, cell) for cell in frame[column]]
            for view, column in image_columns.items()
        },
        partition=cells(partition),
        other_partitions={name: frame[name].tolist() for name in others},
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

    Returns
    -------
    MultiviewDataset

    Raises
    ------
    DataError
        If the file can't be read, a row has more cells than the header, and as `from_frame`.
    SettingsError
        If the delimiter or the encoding is unknown.
    """
    path = Path(path)
    frame = read_table(path, delimiter=delimiter, encoding=encoding)
    label = arguments.get("label")
    if isinstance(label, str) and [*frame.columns].count(label) == 1:
        # Pandas and R write "nan" for a missing label; in a text it may be a word.
        frame[label] = [
            None if isinstance(cell, str) and cell.lower() == "nan" else cell
            for cell in frame[label]
        ]
    return from_frame(frame, image_folder=image_folder or path.parent, **arguments)


@validated
def from_jsonl(
    path: str | Path, *, image_folder: str | Path | None = None, **arguments: Any
) -> DatasetParts:
    """Build a data set from JSON lines, whatever the file's name: a field for each view.

    Parameters
    ----------
    path : str or Path
        One JSON object a line; a field may be absent, null, or a list of several items. A field
        within a field is named with a dot: ``text.en``.
    image_folder : str or Path, optional
        The folder that paths of pictures are relative to. Default: the file's folder.
    **arguments
        As for `from_frame`, with fields for columns.

    Returns
    -------
    MultiviewDataset

    Raises
    ------
    DataError
        If the file is missing, a line is no JSON object, and as `from_frame`.
    """
    path = Path(path)
    return from_frame(read_json_lines(path), image_folder=image_folder or path.parent, **arguments)


def _columns(given: Any) -> dict[str, Any]:
    """Return the column of each view; without a mapping, views are named as their columns."""
    if isinstance(given, Mapping):
        return dict(given)
    return {column: column for column in ([given] if isinstance(given, str) else given)}


def _check_column(frame: pd.DataFrame, column: Hashable) -> None:
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


# Records.


@dataclass(frozen=True, eq=False)
class _Column:
    """The items of one view, and the records that hold them: one entry for each occurrence."""

    items: list[Any]
    item: NDArray[np.int64]
    record: NDArray[np.int64]
    sources: NDArray[np.int64]
    inputs: int

    def first_records(self) -> NDArray[np.int64]:
        """Return the first record that holds each item."""
        return self.record[np.unique(self.item, return_index=True)[1]]


@dataclass(frozen=True, eq=False)
class _Records:
    """The columns of all views, and the number of the group that each record belongs to."""

    count: int
    columns: dict[str, _Column]
    group: NDArray[np.int64]

    def connected(self) -> NDArray[np.int64]:
        """Return numbers that records share if they are of one group or have an item in common."""
        # Records are on one side of a graph, groups and items on the other.
        rows, columns = [np.arange(self.count)], [self.group]
        start = int(self.group.max(initial=0)) + 1
        for column in self.columns.values():
            rows.append(column.record)
            columns.append(column.item + start)
            start += len(column.items)
        row, node = np.concatenate(rows), np.concatenate(columns) + self.count
        size = self.count + start
        graph = coo_array((np.ones(len(row), np.int64), (row, node)), (size, size))
        _, numbers = connected_components(graph, directed=False)
        _, dense = np.unique(numbers[: self.count], return_inverse=True)
        return np.asarray(dense, np.int64)


def _read_records(
    texts: Mapping[str, Sequence[Any]],
    images: Mapping[str, Sequence[Any] | None],
    embeddings: Mapping[str, Any],
    group: Sequence[Hashable] | None,
) -> _Records:
    for name in set(texts) & set(images):
        raise DataError(f"view '{name}' is named among the texts and the images.")
    for name in embeddings:
        if name not in texts and name not in images:
            raise DataError(
                f"embeddings are given for '{name}', which is no view."
                f"{suggest(name, [*texts, *images])} Name an image view that has embeddings "
                f"alone: images={{'{name}': None}}."
            )
    given = {name: as_items(column, f"texts of view '{name}'") for name, column in texts.items()}
    for name, column in images.items():
        if column is None and name not in embeddings:
            raise DataError(f"image view '{name}' has neither pictures nor embeddings.")
        given[name] = (
            list(range(len(read_array(embeddings[name], name))))
            if column is None
            else as_items(column, f"images of view '{name}'")
        )
    groups = None if group is None else as_items(group, "group")
    count = _common_length(given if groups is None else given | {"group": groups})
    members = np.arange(count) if groups is None else _group_numbers(groups)
    of_groups = None if groups is None else members
    columns = {}
    for name, cells in given.items():
        are_pictures = images.get(name) is not None
        columns[name] = _read_column(name, cells, of_groups, are_pictures=are_pictures)
    return _Records(count, columns, members)


def _common_length(lists: Mapping[str, Sequence[Any]]) -> int:
    lengths = {name: len(one) for name, one in lists.items()}
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise DataError(
            f"the lists differ in length ({given}); give one entry for each record, None "
            "where a view has no item."
        )
    count = next(iter(lengths.values()), 0)
    if count == 0:
        raise DataError("there is no record: every list is empty.")
    return count


def _group_numbers(groups: list[Any]) -> NDArray[np.int64]:
    try:
        numbers: NDArray[np.int64] = pd.factorize(pd.Series(groups, dtype=object))[0]
    except TypeError as error:
        raise DataError(f"group: expected a name or number for each record ({error}).") from None
    for row in np.flatnonzero(numbers < 0):
        raise DataError(f"record {row} has no group; give one for each record.")
    return numbers.astype(np.int64)


def _read_column(
    name: str, cells: list[Any], groups: NDArray[np.int64] | None, *, are_pictures: bool
) -> _Column:
    """Return a view's items: equal picture files, and equal cells of a group, are one item."""
    items: list[Any] = []
    occurrences: list[tuple[int, int]] = []
    sources: list[int] = []
    numbers: dict[Hashable, int] = {}
    has_lists = any(isinstance(cell, list | tuple) for cell in cells)
    for record, cell in enumerate(cells):
        for item in cell if isinstance(cell, list | tuple) else [cell]:
            if is_missing(item):
                continue
            if are_pictures:
                item = as_picture(item, name, record)
            key: Hashable | None = None
            if are_pictures and isinstance(item, Path):
                key = item
            elif groups is not None and isinstance(item, Hashable):
                key = (int(groups[record]), item)
            number = len(items) if key is None else numbers.setdefault(key, len(items))
            if number == len(items):
                items.append(item)
                sources.append(number if has_lists else record)
            occurrences.append((number, record))
    item_numbers, records = np.array(occurrences, np.int64).reshape(-1, 2).T
    inputs = len(items) if has_lists else len(cells)
    return _Column(items, item_numbers, records, np.array(sources, np.int64), inputs)


def as_picture(item: Any, name: str, record: int) -> Picture:
    """Return a picture as views hold it."""
    if isinstance(item, str | Path):
        check_no_address(item, f"view '{name}', record {record}: the picture")
        return Path(item)
    if isinstance(item, np.ndarray):
        if item.dtype != np.uint8 or item.ndim != 3 or item.shape[2] != 3:
            raise DataError(
                f"view '{name}', record {record}: a picture of shape {item.shape} and type "
                f"{item.dtype}; expected uint8 (height × width × 3)."
            )
        return item
    if isinstance(item, Image.Image):
        return np.asarray(open_picture(item, record))
    raise DataError(
        f"view '{name}', record {record}: a picture of type {type(item).__name__}; expected a "
        f"path, a PIL image or an array. For embeddings alone: images={{'{name}': None}}."
    )


def _given_partition(given: Sequence[str] | None, records: _Records, what: str) -> NDArray[np.int8]:
    """Return the partition of each record."""
    if given is None:
        return np.zeros(records.count, np.int8)
    given = as_items(given, what)
    if len(given) != records.count:
        raise DataError(f"{len(given)} entries of '{what}' for {records.count} records.")
    numbers = numbers_of_names(given, what)
    _, first = np.unique(records.group, return_index=True)
    of_group = numbers[first[records.group]]
    for record in np.flatnonzero(numbers != of_group):
        raise DataError(
            f"the group of record {record} is in two partitions of '{what}', "
            f"{PARTITIONS[of_group[record]]} and {PARTITIONS[numbers[record]]}; keep it in one."
        )
    return numbers


def _drawn_partition(records: _Records, split: tuple[float, float], seed: int) -> NDArray[np.int8]:
    """Draw the partition of each record; records that belong together are in the same."""
    train, validation = split
    if not are_shares(train, validation):
        raise SettingsError(
            f"split={split}: expected the shares of train, above 0, and validation, together at "
            "most 1."
        )
    groups = records.connected()
    return drawn_numbers(int(groups.max()) + 1, train, validation, seed)[groups]


def _labels(labels: Sequence[Any] | None, count: int) -> NDArray[np.object_] | None:
    """Return the label of each record, "" where it has none."""
    if labels is None:
        return None
    labels = as_items(labels, "labels")
    if len(labels) != count:
        raise DataError(f"{len(labels)} labels for {count} records; give one for each.")
    texts = [_label(label) for label in labels]
    for row, text in enumerate(texts):
        check_characters(text, f"label {row}")
    return np.array(texts, object)


def _label(label: Any) -> str:
    if is_missing(label):
        return ""
    if isinstance(label, float) and label.is_integer():
        # A column of whole numbers with gaps comes as floats.
        if abs(label) >= _LARGEST_EXACT_FLOAT:
            raise DataError(
                f"label {label!r}: a float of this size may be any of several whole numbers; give "
                "labels as text, or read the column as such (dtype=str)."
            )
        return str(int(label))
    return str(label)


# Views.


class _Builder:
    """Makes views of columns one by one, and links of all of them."""

    def __init__(
        self,
        records: _Records,
        partition: NDArray[np.int8],
        others: Mapping[str, NDArray[np.int8]],
        labels: NDArray[np.object_] | None,
        unusable: str,
    ) -> None:
        self._records, self._partition, self._others = records, partition, others
        self._record_labels, self._unusable = labels, unusable
        self._positions: dict[str, NDArray[np.int64]] = {}
        self.views: list[View] = []
        self.other_partitions: dict[str, dict[str, NDArray[np.int8]]] = {n: {} for n in others}
        self.dropped: dict[str, list[int]] = {}
        self.reports: list[str] = []

    def add_texts(self, name: str, language: str | None, preprocessor: TextPreprocessor) -> None:
        """Add a view of texts."""
        texts = self._records.columns[name].items
        partition = self._item_partition(name, self._partition, "partition")
        corpus = preprocessor.fit_transform(texts, partition == 0, name)
        self.reports.append(str(corpus.report))
        for doubt in preprocessor.doubts_of_language(corpus, name):
            warn(doubt)
        empty = np.zeros(len(texts), bool)
        empty[list(corpus.report.empty_documents)] = True
        self._drop(name, empty, "have no word left after preprocessing")
        view = TextView(
            vocabulary=corpus.vocabulary,
            token_ids=corpus.token_ids,
            offsets=corpus.offsets,
            language=language,
            texts=texts,
            preprocessor=preprocessor,
            **self._common(name),
        )
        self._arrange(view, np.where(empty, NO_PARTITION, partition))

    def add_images(self, name: str) -> None:
        """Add a view of images."""
        items = self._records.columns[name].items
        # Of a view with embeddings alone, the items are row numbers.
        are_pictures = bool(items) and not isinstance(items[0], int)
        faults = [
            f"{item} {fault}" if isinstance(item, Path) and (fault := fault_of(item)) else None
            for item in items
        ]
        broken = np.array([fault is not None for fault in faults], bool)
        self._drop(name, broken, "can't be opened as an image", [f for f in faults if f])
        view = ImageView(
            pictures=items if are_pictures else None,
            embeddings=None if are_pictures else np.zeros((len(items), 1), np.float32),
            **self._common(name),
        )
        partition = self._item_partition(name, self._partition, "partition")
        self._arrange(view, np.where(broken, NO_PARTITION, partition))

    def links(self) -> NDArray[np.int64]:
        """Return rows that tie the items of each group of records."""
        groups, positions = [], []
        for name, of_view in self._positions.items():
            column = self._records.columns[name]
            groups.append(self._records.group[column.record])
            positions.append(of_view[column.item])
        return links_of_groups(groups, positions)

    def _common(self, name: str) -> dict[str, Any]:
        column = self._records.columns[name]
        return {
            "name": name,
            "sizes": (len(column.items), 0, 0),
            "indexes": column.sources,
            "inputs": column.inputs,
            "labels": self._item_labels(name),
        }

    def _arrange(self, view: View, partition: NDArray[np.int_]) -> None:
        arrangement = arrange(partition)
        if not len(arrangement.order):
            raise DataError(
                f"view '{view.name}' has no usable item: all {len(view)} were missing or dropped."
            )
        self.views.append(view.take(arrangement.order, arrangement.sizes))
        self._positions[view.name] = arrangement.positions
        for other, of_views in self.other_partitions.items():
            found = self._item_partition(view.name, self._others[other], other)
            of_views[view.name] = found[arrangement.order]

    def _item_partition(
        self, name: str, partition: NDArray[np.int8], what: str
    ) -> NDArray[np.int8]:
        column = self._records.columns[name]
        found = partition[column.first_records()]
        for place in np.flatnonzero(partition[column.record] != found[column.item]):
            item, record = column.item[place], column.record[place]
            raise DataError(
                f"view '{name}': the same item ({str(column.items[item])[:80]}) is in two "
                f"partitions of '{what}', {PARTITIONS[found[item]]} and "
                f"{PARTITIONS[partition[record]]} (record {record}); keep it in one."
            )
        return found

    def _item_labels(self, name: str) -> list[str] | None:
        if self._record_labels is None:
            return None
        column = self._records.columns[name]
        known = pd.DataFrame({"item": column.item, "label": self._record_labels[column.record]})
        known = known[known["label"] != ""].drop_duplicates()
        several = np.bincount(known["item"], minlength=len(column.items)) > 1
        if several.any():
            differing = np.flatnonzero(several)
            shown = [
                f"{str(column.items[item])[:80]}: "
                f"{', '.join(sorted(known['label'][known['item'] == item])[:_SHOWN])}"
                for item in differing[:_SHOWN]
            ]
            warn(
                f"view '{name}': {len(differing)} of {len(several)} items belong to records with "
                f"different labels ({'; '.join(shown)}{'; …' if len(differing) > _SHOWN else ''}); "
                "they have no label. Give all their records one label to keep it.",
            )
        found = np.full(len(several), "", object)
        found[known["item"]] = known["label"]
        found[several] = ""
        labels: list[str] = found.tolist()
        return labels

    def _drop(
        self, name: str, unusable: NDArray[np.bool_], reason: str, causes: Sequence[str] = ()
    ) -> None:
        rows = self._records.columns[name].sources[unusable].tolist()
        if not rows:
            return
        more = ", …" if len(rows) > _SHOWN else ""
        shown = f"rows {', '.join(map(str, rows[:_SHOWN]))}{more}, counted from 0"
        if causes:
            shown += f": {'; '.join(causes[:_SHOWN])}{'; …' if more else ''}"
        message = f"view '{name}': {len(rows)} of {len(unusable)} items {reason} ({shown})"
        if self._unusable == "error":
            raise DataError(f"{message}; repair or remove them, or pass unusable='drop'.")
        self.dropped[name] = rows
        warn(f"{message}; they were left out, links follow.")
