"""Data sets from lists, frames and JSON lines: records in, views and links out."""

import gzip
import json
import logging
import warnings
import zlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from octis_m3l.data.dataset import MultiviewDataset, read_array
from octis_m3l.data.links import MISSING
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.views import PARTITIONS, ImageView, Picture, TextView, View
from octis_m3l.errors import DataError, SettingsError, suggest

logger = logging.getLogger(__name__)

Columns = Mapping[str, Sequence[Any]]
Preprocessing = TextPreprocessor | Mapping[str, TextPreprocessor] | None
_MARKS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1, "test": 2}


def from_lists(
    texts: Columns,
    *,
    images: Mapping[str, Sequence[Any] | None] | None = None,
    partition: Sequence[str] | None = None,
    split: tuple[float, float] | None = None,
    split_seed: int = 0,
    other_partitions: Mapping[str, Sequence[str]] | None = None,
    labels: Sequence[Any] | None = None,
    group: Sequence[Hashable] | None = None,
    embeddings: Mapping[str, NDArray[Any] | str | Path] | None = None,
    preprocessing: Preprocessing = None,
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
    languages : mapping of view to ISO 639-1 code or None, optional
        Default: the view's name where stop words are known for it, else none.
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
    What was dropped is logged as a warning, row by row in ``dataset.metadata['dropped']``.
    """
    if unusable not in ("drop", "error"):
        raise SettingsError(f"unusable='{unusable}': expected 'drop' or 'error'.")
    embeddings = dict(embeddings or {})
    images = dict(images or {})
    records = _Records.read(texts, images, embeddings, group)
    if split is not None and partition is not None:
        raise SettingsError("partition and split are both given: which is it?")
    marks = (
        _marks(partition, records, "partition")
        if split is None
        else _drawn_marks(records, split, split_seed)
    )
    others = {n: _marks(m, records, n) for n, m in (other_partitions or {}).items()}
    tags = _tags(labels, records)
    builder = _Builder(records, marks, others, tags, unusable)
    for name in texts:
        language = (languages or {}).get(name, name if name in _known_languages() else None)
        chosen = preprocessing.get(name) if isinstance(preprocessing, Mapping) else preprocessing
        builder.add_text(name, language, chosen or TextPreprocessor(language=language))
    for name in records.image_names:
        builder.add_images(name)
    dataset = builder.finish(pivot, metadata)
    if embeddings:
        dataset = dataset.with_embeddings(embeddings)
    return dataset


def from_frame(
    frame: pd.DataFrame,
    *,
    texts: Mapping[str, str] | Sequence[str],
    images: Mapping[str, str | None] | Sequence[str] | None = None,
    partition: str | None = None,
    other_partitions: Sequence[str] = (),
    label: str | None = None,
    group: str | None = None,
    image_folder: str | Path | None = None,
    **arguments: Any,
) -> MultiviewDataset:
    """Build a data set from a pandas frame: a column for each view, NaN where it is missing.

    Parameters
    ----------
    frame : pandas.DataFrame
        One record a row.
    texts, images : mapping of view to column, or sequence of columns
        Which columns hold documents, and paths of pictures. None for a view of images that has
        embeddings alone.
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
    text_columns = texts if isinstance(texts, Mapping) else {c: c for c in texts}
    image_columns = images if isinstance(images, Mapping) else {c: c for c in images or ()}
    named = [*text_columns.values(), *image_columns.values(), *other_partitions]
    for column in [c for c in (*named, partition, label, group) if c is not None]:
        if column not in frame.columns:
            raise DataError(
                f"there is no column '{column}'.{suggest(column, [str(c) for c in frame.columns])}"
            )
    root = Path(image_folder) if image_folder is not None else None
    return from_lists(
        {view: frame[column].tolist() for view, column in text_columns.items()},
        images={
            view: None if column is None else [_below(root, cell) for cell in frame[column]]
            for view, column in image_columns.items()
        },
        partition=None if partition is None else frame[partition].tolist(),
        other_partitions={name: frame[name].tolist() for name in other_partitions},
        labels=None if label is None else frame[label].tolist(),
        group=None if group is None else frame[group].tolist(),
        **arguments,
    )


def from_jsonl(
    path: str | Path, *, image_folder: str | Path | None = None, **arguments: Any
) -> MultiviewDataset:
    """Build a data set from JSON lines (also gzipped): a field for each view.

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
    opened = gzip.open if path.suffix == ".gz" else open
    rows: list[dict[str, Any]] = []
    number = 0
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    rows.append(json.loads(line))
                    if not isinstance(rows[-1], dict):
                        raise DataError(
                            f"{path}, line {number}: a JSON {type(rows[-1]).__name__}, where an "
                            "object was expected."
                        )
    except FileNotFoundError:
        raise DataError(f"{path} is missing; give the path of a JSON lines file.") from None
    except (
        json.JSONDecodeError,
        UnicodeDecodeError,
        EOFError,
        gzip.BadGzipFile,
        zlib.error,
    ) as error:
        where = "line" if isinstance(error, json.JSONDecodeError) else "after line"
        raise DataError(
            f"{path}, {where} {number}: {error}; the file is truncated or holds no JSON lines."
        ) from None
    frame = pd.json_normalize(rows)
    return from_frame(frame, image_folder=image_folder or path.parent, **arguments)


@dataclass
class _Records:
    """The cells of every view: which item each record holds, and the items."""

    count: int
    text_names: list[str]
    image_names: list[str]
    items: dict[str, list[Any]] = field(default_factory=dict)
    cells: dict[str, list[list[int]]] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    sources: dict[str, list[int]] = field(default_factory=dict)
    members: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def read(
        cls,
        texts: Columns,
        images: Mapping[str, Sequence[Any] | None],
        embeddings: Mapping[str, Any],
        group: Sequence[Hashable] | None,
    ) -> "_Records":
        both = set(texts) & set(images)
        if both:
            raise DataError(f"view '{both.pop()}' is named among the texts and the images.")
        for name in embeddings:
            if name not in texts and name not in images:
                raise DataError(
                    f"embeddings are given for '{name}', which is no view."
                    f"{suggest(name, [*texts, *images])} Name an image view that has embeddings "
                    f"alone: images={{'{name}': None}}."
                )
        columns: dict[str, Sequence[Any]] = dict(texts)
        for name, column in images.items():
            if column is None and name not in embeddings:
                raise DataError(f"image view '{name}' has neither pictures nor embeddings.")
            columns[name] = (
                range(len(read_array(embeddings[name], name))) if column is None else column
            )
        lengths = {name: len(column) for name, column in columns.items()}
        if group is not None:
            lengths["group"] = len(group)
        if len(set(lengths.values())) > 1:
            given = ", ".join(f"{name}: {length}" for name, length in lengths.items())
            raise DataError(
                f"the lists differ in length ({given}); give one entry for each record, None "
                "where a view has no item."
            )
        count = next(iter(lengths.values()), 0)
        if count == 0:
            raise DataError("there is no record: every list is empty.")
        image_names = [n for n in columns if n not in texts]
        records = cls(count, list(texts), image_names)
        records.members = (
            np.arange(count) if group is None else pd.factorize(pd.Series(list(group)))[0]
        )
        if (records.members < 0).any():
            row = int(np.flatnonzero(records.members < 0)[0])
            raise DataError(f"record {row} has no group; give one for each record.")
        for name, column in columns.items():
            records._read_column(name, column, merge=group is not None)
        return records

    def connected(self) -> NDArray[np.int64]:
        """Return which records belong together: of one group, or with an item in common."""
        rows = [np.arange(self.count)]
        columns = [self.members.astype(np.int64)]
        start = int(self.members.max(initial=0)) + 1
        for name, cells in self.cells.items():
            counts = [len(cell) for cell in cells]
            rows.append(np.repeat(np.arange(self.count), counts))
            columns.append(np.array([i for cell in cells for i in cell], np.int64) + start)
            start += len(self.items[name])
        row, column = np.concatenate(rows), np.concatenate(columns)
        graph = coo_array((np.ones(len(row), np.int8), (row, column)), (self.count, start))
        _, numbers = connected_components(csr_array(graph @ graph.T), directed=False)
        return np.asarray(numbers, np.int64)

    def _read_column(self, name: str, column: Sequence[Any], *, merge: bool) -> None:
        items: list[Any] = []
        sources: list[int] = []
        cells: list[list[int]] = [[] for _ in range(self.count)]
        seen: dict[Hashable, int] = {}
        is_image = name in self.image_names
        listed = any(isinstance(cell, list | tuple) for cell in column)
        for record, cell in enumerate(column):
            for item in cell if isinstance(cell, list | tuple) else [cell]:
                if _is_missing(item):
                    continue
                if is_image:
                    item = _picture(item, name, record)
                key: Hashable | None = None
                if is_image and isinstance(item, Path):
                    key = item
                elif merge and isinstance(item, Hashable):
                    key = (int(self.members[record]), item)
                number = len(items) if key is None else seen.setdefault(key, len(items))
                if number == len(items):
                    items.append(item)
                    sources.append(number if listed else record)
                cells[record].append(number)
        self.items[name], self.cells[name], self.sources[name] = items, cells, sources
        self.inputs[name] = len(items) if listed else self.count


class _Builder:
    """Collects views one by one, then sorts, links and reports."""

    def __init__(
        self,
        records: _Records,
        marks: NDArray[np.int8],
        others: Mapping[str, NDArray[np.int8]],
        tags: Sequence[str] | None,
        unusable: str,
    ) -> None:
        self.records, self.marks, self.others = records, marks, others
        self.tags, self.unusable = tags, unusable
        self.views: list[View] = []
        self.partitions: dict[str, dict[str, NDArray[np.int8]]] = {name: {} for name in others}
        self.places: dict[str, NDArray[np.int64]] = {}
        self.dropped: dict[str, list[int]] = {}
        self.reports: list[str] = []

    def add_text(self, name: str, language: str | None, preprocessor: TextPreprocessor) -> None:
        texts = self.records.items[name]
        mark = self._item_marks(name, self.marks)
        corpus = preprocessor.fit_transform(texts, mark == 0, name)
        self.reports.append(str(corpus.report))
        empty = np.zeros(len(texts), bool)
        empty[list(corpus.report.empty_documents)] = True
        self._leave_out(name, empty, "have no word left after preprocessing")
        view = TextView(
            name=name,
            sizes=(len(texts), 0, 0),
            vocabulary=corpus.vocabulary,
            token_ids=corpus.token_ids,
            offsets=corpus.offsets,
            language=language,
            texts=texts,
            preprocessor=preprocessor,
            **self._common(name),
        )
        self._place(view, np.where(empty, MISSING, mark))

    def add_images(self, name: str) -> None:
        pictures: list[Any] = self.records.items[name]
        known = bool(pictures) and isinstance(pictures[0], Path | np.ndarray)
        bad = np.array([known and not _opens(picture) for picture in pictures], bool)
        self._leave_out(name, bad, "can't be opened as an image")
        view = ImageView(
            name=name,
            sizes=(len(pictures), 0, 0),
            pictures=pictures if known else None,
            embeddings=None if known else np.zeros((len(pictures), 1), np.float32),
            **self._common(name),
        )
        self._place(view, np.where(bad, MISSING, self._item_marks(name, self.marks)))

    def finish(self, pivot: str | None, metadata: Mapping[str, Any] | None) -> MultiviewDataset:
        names = [view.name for view in self.views]
        rows: list[list[int]] = []
        for group in pd.Series(range(self.records.count)).groupby(self.records.members):
            cells = [
                list(
                    dict.fromkeys(
                        int(self.places[name][item])
                        for record in group[1]
                        for item in self.records.cells[name][record]
                        if self.places[name][item] >= 0
                    )
                )
                for name in names
            ]
            rows.extend(_rows(cells))
        links = np.array(rows, np.int64).reshape(-1, len(names))
        links = links[np.argsort(links[:, 0], kind="stable")] if len(links) else links
        described = dict(metadata or {})
        if self.dropped:
            described["dropped"] = self.dropped
        described["preprocessing"] = self.reports
        return MultiviewDataset(
            self.views,
            links,
            pivot=pivot,
            metadata=described,
            partitions=self.partitions,
        )

    def _common(self, name: str) -> dict[str, Any]:
        return {
            "indexes": np.array(self.records.sources[name], np.int64),
            "inputs": self.records.inputs[name],
            "labels": self._item_tags(name),
        }

    def _place(self, view: View, mark: NDArray[np.int_]) -> None:
        order = np.argsort(mark, kind="stable")
        order = order[mark[order] >= 0]
        if not len(order):
            raise DataError(
                f"view '{view.name}' has no usable item: all {len(view)} were missing or dropped."
            )
        train, validation, test = (int((mark == p).sum()) for p in range(3))
        self.views.append(view.take(order, (train, validation, test)))
        places = np.full(len(mark), MISSING, np.int64)
        places[order] = np.arange(len(order))
        self.places[view.name] = places
        for other, marks in self.others.items():
            self.partitions[other][view.name] = self._item_marks(view.name, marks, other)[order]

    def _item_marks(
        self, name: str, marks: NDArray[np.int8], what: str = "partition"
    ) -> NDArray[np.int8]:
        result = np.full(len(self.records.items[name]), MISSING, np.int8)
        for record, cell in enumerate(self.records.cells[name]):
            for item in cell:
                if result[item] not in (MISSING, marks[record]):
                    shown = self.records.items[name][item]
                    raise DataError(
                        f"view '{name}': the same item ({str(shown)[:80]}) is in two partitions "
                        f"of '{what}', {PARTITIONS[result[item]]} and "
                        f"{PARTITIONS[marks[record]]} (record {record}); keep it in one."
                    )
                result[item] = marks[record]
        return result

    def _item_tags(self, name: str) -> list[str] | None:
        if self.tags is None:
            return None
        result = [""] * len(self.records.items[name])
        for record, cell in enumerate(self.records.cells[name]):
            for item in cell:
                result[item] = result[item] or self.tags[record]
        return result

    def _leave_out(self, name: str, bad: NDArray[np.bool_], reason: str) -> None:
        rows = [self.records.sources[name][i] for i in np.flatnonzero(bad)]
        if not rows:
            return
        shown = ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")
        message = f"view '{name}': {len(rows)} of {len(bad)} items {reason} (rows {shown})"
        if self.unusable == "error":
            raise DataError(f"{message}; mend or remove them, or pass unusable='drop'.")
        self.dropped[name] = rows
        warnings.warn(f"{message}; they were left out, links follow.", stacklevel=5)


def _rows(cells: list[list[int]]) -> list[list[int]]:
    """Return link rows that tie all items of one record together."""
    filled = [column for column, cell in enumerate(cells) if cell]
    rows = [
        [(cell[i] if i < len(cell) else cell[0]) if cell else MISSING for cell in cells]
        for i in range(max((len(cell) for cell in cells), default=0))
    ]
    ties: list[list[int]] = []
    for row in rows[1:]:
        if len(filled) > 1 and all(row[column] != rows[0][column] for column in filled):
            tie = [MISSING] * len(cells)
            tie[filled[0]], tie[filled[1]] = rows[0][filled[0]], row[filled[1]]
            ties.append(tie)
    return rows + ties


def _marks(given: Sequence[str] | None, records: _Records, what: str) -> NDArray[np.int8]:
    if given is None:
        return np.zeros(records.count, np.int8)
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


def _drawn_marks(records: _Records, split: tuple[float, float], seed: int) -> NDArray[np.int8]:
    train, validation = split
    if not (0 < train <= 1 and 0 <= validation <= 1 and train + validation <= 1 + 1e-9):
        raise SettingsError(
            f"split={split}: expected the shares of train, above 0, and validation, together at "
            "most 1."
        )
    groups = records.connected()
    total = int(groups.max()) + 1
    place = np.random.default_rng(seed).permutation(total)
    cuts = np.rint(np.array([train, train + validation]) * total)
    return np.searchsorted(cuts, place, side="right").astype(np.int8)[groups]


def _tags(labels: Sequence[Any] | None, records: _Records) -> list[str] | None:
    if labels is None:
        return None
    if len(labels) != records.count:
        raise DataError(f"{len(labels)} labels for {records.count} records; give one for each.")
    return [_tag(label) for label in labels]


def _tag(label: Any) -> str:
    if _is_missing(label):
        return ""
    # A column of whole numbers with gaps comes as floats.
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def _is_missing(cell: Any) -> bool:
    return cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell))


def _picture(item: Any, name: str, record: int) -> Picture | int:
    if isinstance(item, str | Path):
        return Path(item)
    if isinstance(item, np.ndarray):
        if item.dtype != np.uint8 or item.ndim != 3 or item.shape[2] != 3:
            raise DataError(
                f"view '{name}', record {record}: a picture of shape {item.shape} and type "
                f"{item.dtype}; expected uint8 (height × width × 3)."
            )
        return item
    if isinstance(item, Image.Image):
        return np.asarray(item.convert("RGB"))
    if isinstance(item, int | np.integer):
        return int(item)
    raise DataError(
        f"view '{name}', record {record}: a picture of type {type(item).__name__}; expected a "
        "path, a PIL image or an array."
    )


def _opens(picture: Picture) -> bool:
    if not isinstance(picture, Path):
        return True
    try:
        with Image.open(picture) as image:
            # Truncated files are only noticed when pixels are read; a draft of a JPEG is quick.
            image.draft("RGB", (64, 64))
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
    return True


def _below(root: Path | None, cell: Any) -> Any:
    if isinstance(cell, list | tuple):
        return [_below(root, item) for item in cell]
    return root / cell if root is not None and isinstance(cell, str | Path) else cell


def _known_languages() -> frozenset[str]:
    from octis_m3l.data.text import available_stop_words

    return frozenset(available_stop_words())
