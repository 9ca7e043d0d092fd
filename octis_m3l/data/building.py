"""From records to the views of a data set, their partitions, labels and links."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from octis_m3l.data.arrays import read_array
from octis_m3l.data.item_checks import as_items, check_characters, is_missing
from octis_m3l.data.languages import language_of
from octis_m3l.data.links import links_of_groups
from octis_m3l.data.parts import DatasetParts
from octis_m3l.data.pictures import as_picture, fault_of
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.views import (
    NO_PARTITION,
    PARTITIONS,
    ImageView,
    TextView,
    View,
    arrange,
    drawn_numbers,
    numbers_of_names,
)
from octis_m3l.errors import DataError, SettingsError, check_known, first_few, suggest, warn
from octis_m3l.validation import ArrayLike, Lenient, Unchecked, validated

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
            check_known(name, texts, f"view of texts in {what}")
    if split is not None and partition is not None:
        raise SettingsError("partition and split are both given; give only one of the two.")
    embeddings = dict(embeddings or {})
    records = _read_records(texts, images or {}, embeddings, group)
    builder = _Builder(
        records,
        partition=(
            records.partition(partition, "partition")
            if split is None
            else records.drawn_partition(split, split_seed)
        ),
        others={n: records.partition(one, n) for n, one in (other_partitions or {}).items()},
        labels=None if labels is None else records.labels(labels),
        unusable=unusable,
    )
    for name in texts:
        language = language_of(name, languages)
        chosen = preprocessing.get(name) if isinstance(preprocessing, Mapping) else preprocessing
        builder.add_texts(name, language, chosen or TextPreprocessor(language=language))
    for name in images or {}:
        builder.add_images(name)
    dropped = {"dropped": builder.dropped} if builder.dropped else {}
    return DatasetParts(
        views=[
            view.with_embeddings(embeddings[view.name]) if view.name in embeddings else view
            for view in builder.views
        ],
        links=builder.links(),
        pivot=pivot,
        metadata={**(metadata or {}), **dropped, "preprocessing": builder.reports},
        partitions=builder.other_partitions,
    )


# Records.


@dataclass(frozen=True, eq=False)
class _Column:
    """The items of one view, and the records that hold them: one entry for each occurrence."""

    name: str
    items: list[Any]
    item: NDArray[np.int64]
    record: NDArray[np.int64]
    sources: NDArray[np.int64]
    inputs: int

    def partition(self, of_records: NDArray[np.int8], what: str) -> NDArray[np.int8]:
        """Return the partition of each item, if the records that hold it are all in the same."""
        given = of_records[self.record]
        found = given[np.unique(self.item, return_index=True)[1]]
        for number in np.flatnonzero(given != found[self.item]).tolist():
            item = self.item[number]
            raise DataError(
                f"'{self.name}', record {self.record[number]}: the same item "
                f"({str(self.items[item])[:80]}) is in two partitions of '{what}', "
                f"{PARTITIONS[found[item]]} and {PARTITIONS[given[number]]}; keep it in one."
            )
        return found

    def labels(self, of_records: NDArray[np.object_]) -> list[str]:
        """Return the label of each item, "" if its records have different labels."""
        known = pd.DataFrame({"item": self.item, "label": of_records[self.record]})
        known = known[known["label"] != ""].drop_duplicates()
        several = np.bincount(known["item"], minlength=len(self.items)) > 1
        if several.any():
            of_item = known[several[known["item"]]].groupby("item")["label"].agg(sorted)
            differing = [
                f"{str(self.items[item])[:80]}: {', '.join(labels[:_SHOWN])}"
                for item, labels in zip(of_item.index.tolist(), of_item, strict=True)
            ]
            warn(
                f"view '{self.name}': {len(differing)} of {len(several)} items belong to records "
                f"with different labels ({first_few(differing, between='; ')}); they have no "
                "label. Give all their records one label to keep it."
            )
        found = np.full(len(several), "", object)
        found[known["item"]] = known["label"]
        found[several] = ""
        return list(found)


@dataclass(frozen=True, eq=False)
class _Records:
    """The columns of all views, and that of the groups: without any, each record is one."""

    columns: dict[str, _Column]
    groups: _Column

    def given(self, given: Any, what: str) -> list[Any]:
        """Return what a user gave for each record."""
        listed = as_items(given, what)
        count = len(self.groups.record)
        if len(listed) != count:
            raise DataError(f"{len(listed)} {what} for {count} records; give one for each.")
        return listed

    def partition(self, given: Sequence[str] | None, what: str) -> NDArray[np.int8]:
        """Return the partition of each record, which is that of its whole group."""
        if given is None:
            return np.zeros(len(self.groups.record), np.int8)
        numbers = numbers_of_names(self.given(given, f"entries of '{what}'"), what)
        return self.groups.partition(numbers, what)[self.groups.item]

    def drawn_partition(self, split: tuple[float, float], seed: int) -> NDArray[np.int8]:
        """Draw the partition of each record; records that belong together are in the same."""
        # Records on one side of a graph are connected by groups and items on the other.
        record, node = list[NDArray[np.int64]](), list[NDArray[np.int64]]()
        nodes = len(self.groups.record)
        for column in (self.groups, *self.columns.values()):
            record.append(column.record)
            node.append(column.item + nodes)
            nodes += len(column.items)
        ends = np.concatenate(record), np.concatenate(node)
        graph = coo_array((np.ones(len(ends[0]), np.int64), ends), (nodes, nodes))
        numbers = connected_components(graph, directed=False)[1][: len(self.groups.record)]
        known, whole = np.unique(numbers, return_inverse=True)
        return drawn_numbers(len(known), *split, seed)[whole]

    def labels(self, labels: Sequence[Any]) -> NDArray[np.object_]:
        """Return the label of each record, "" where it has none."""
        texts = [_label(label) for label in self.given(labels, "labels")]
        for row, text in enumerate(texts):
            check_characters(text, f"label {row}")
        return np.array(texts, object)


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
    for name, pictures in images.items():
        if pictures is not None:
            given[name] = as_items(pictures, f"images of view '{name}'")
        elif name in embeddings:
            given[name] = list(range(len(read_array(embeddings[name], name))))
        else:
            raise DataError(f"image view '{name}' has neither pictures nor embeddings.")
    groups = {} if group is None else {"group": as_items(group, "group")}
    lengths = {name: len(listed) for name, listed in (given | groups).items()}
    count = max(lengths.values(), default=0)
    if any(length != count for length in lengths.values()):
        raise DataError(
            f"the lists differ in length ({', '.join(f'{n}: {k}' for n, k in lengths.items())}); "
            "give one entry for each record, None where a view has no item."
        )
    if not count:
        raise DataError("there is no record: every list is empty.")
    every = np.arange(count)
    members, names = _group_numbers(groups["group"]) if groups else (None, every.tolist())
    columns = {
        name: _read_column(name, cells, members, are_pictures=images.get(name) is not None)
        for name, cells in given.items()
    }
    item = every if members is None else members
    return _Records(columns, _Column("group", names, item, every, every, count))


def _group_numbers(groups: list[Any]) -> tuple[NDArray[np.int64], list[Any]]:
    """Return the number of each record's group, and the groups."""
    try:
        numbers, names = pd.factorize(pd.Series(groups, dtype=object))
    except TypeError as error:
        raise DataError(f"group: expected a name or number for each record ({error}).") from None
    for row in np.flatnonzero(numbers < 0):
        raise DataError(f"record {row} has no group; give one for each record.")
    return numbers.astype(np.int64), list(names)


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
    return _Column(name, items, item_numbers, records, np.array(sources, np.int64), inputs)


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


@dataclass(eq=False)
class _Builder:
    """Makes views of columns one by one, and links of all of them."""

    records: _Records
    partition: NDArray[np.int8]
    others: Mapping[str, NDArray[np.int8]]
    labels: NDArray[np.object_] | None
    unusable: str
    views: list[View] = field(default_factory=list)
    positions: list[NDArray[np.int64]] = field(default_factory=list)
    other_partitions: dict[str, dict[str, NDArray[np.int8]]] = field(default_factory=dict)
    dropped: dict[str, list[int]] = field(default_factory=dict)
    reports: list[str] = field(default_factory=list)

    def add_texts(self, name: str, language: str | None, preprocessor: TextPreprocessor) -> None:
        """Add a view of texts."""
        column = self.records.columns[name]
        training = column.partition(self.partition, "partition") == 0
        corpus = preprocessor.fit_transform(column.items, training, name)
        self.reports.append(str(corpus.report))
        for doubt in preprocessor.doubts_of_language(corpus, name):
            warn(doubt)
        empty = np.zeros(len(column.items), bool)
        empty[list(corpus.report.empty_documents)] = True
        self._drop(column, empty, "have no word left after preprocessing")
        self._add(
            TextView,
            column,
            empty,
            vocabulary=corpus.vocabulary,
            token_ids=corpus.token_ids,
            offsets=corpus.offsets,
            language=language,
            texts=column.items,
            preprocessor=preprocessor,
        )

    def add_images(self, name: str) -> None:
        """Add a view of images."""
        column = self.records.columns[name]
        items = column.items
        faults = [fault_of(item) if isinstance(item, Path) else None for item in items]
        broken = np.array([fault is not None for fault in faults], bool)
        causes = [f"{item} {fault}" for item, fault in zip(items, faults, strict=True) if fault]
        self._drop(column, broken, "can't be opened as an image", causes)
        # Of a view with embeddings alone, the items are row numbers.
        if items and not isinstance(items[0], int):
            self._add(ImageView, column, broken, pictures=items)
        else:
            self._add(ImageView, column, broken, embeddings=np.zeros((len(items), 1), np.float32))

    def links(self) -> NDArray[np.int64]:
        """Return rows that tie the items of each group of records."""
        columns = [self.records.columns[view.name] for view in self.views]
        groups = [self.records.groups.item[column.record] for column in columns]
        placed = zip(self.positions, columns, strict=True)
        return links_of_groups(groups, [place[column.item] for place, column in placed])

    def _add(
        self, kind: type[View], column: _Column, unusable: NDArray[np.bool_], **fields: Any
    ) -> None:
        partition = column.partition(self.partition, "partition")
        arrangement = arrange(np.where(unusable, NO_PARTITION, partition))
        count = len(column.items)
        if not len(arrangement.order):
            raise DataError(
                f"view '{column.name}' has no usable item: all {count} were missing or dropped."
            )
        view = kind(
            name=column.name,
            sizes=(count, 0, 0),
            indexes=column.sources,
            inputs=column.inputs,
            labels=None if self.labels is None else column.labels(self.labels),
            **fields,
        )
        self.views.append(view.take(arrangement.order, arrangement.sizes))
        self.positions.append(arrangement.positions)
        for other, of_records in self.others.items():
            found = column.partition(of_records, other)[arrangement.order]
            self.other_partitions.setdefault(other, {})[column.name] = found

    def _drop(
        self, column: _Column, unusable: NDArray[np.bool_], reason: str, causes: Sequence[str] = ()
    ) -> None:
        rows = column.sources[unusable].tolist()
        if not rows:
            return
        shown = f"rows {first_few(rows)}, counted from 0"
        if causes:
            shown += f": {first_few(causes, between='; ')}"
        message = f"view '{column.name}': {len(rows)} of {len(unusable)} items {reason} ({shown})"
        if self.unusable == "error":
            raise DataError(f"{message}; repair or remove them, or pass unusable='drop'.")
        self.dropped[column.name] = rows
        warn(f"{message}; they were left out, links follow.")
