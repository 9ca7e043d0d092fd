"""The building of a data set: views one by one, then the links between them."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.links import MISSING
from octis_m3l.data.marks import arrange
from octis_m3l.data.records.links import record_links
from octis_m3l.data.records.pictures import fault
from octis_m3l.data.records.reading import Records
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.views import PARTITIONS, ImageView, TextView, View
from octis_m3l.errors import DataError

_SHOWN = 5


class Builder:
    """Collects views one by one, then sorts, links and reports."""

    def __init__(
        self,
        records: Records,
        marks: NDArray[np.int8],
        others: Mapping[str, NDArray[np.int8]],
        labels: Sequence[str] | None,
        unusable: str,
    ) -> None:
        self._records, self._marks, self._others = records, marks, others
        self._labels, self._unusable = labels, unusable
        self._views: list[View] = []
        self._partitions: dict[str, dict[str, NDArray[np.int8]]] = {name: {} for name in others}
        self._places: dict[str, NDArray[np.int64]] = {}
        self._dropped: dict[str, list[int]] = {}
        self._reports: list[str] = []

    def add_text(self, name: str, language: str | None, preprocessor: TextPreprocessor) -> None:
        """Add a view of texts."""
        texts = self._records.columns[name].items
        mark = self._item_marks(name, self._marks)
        corpus = preprocessor.fit_transform(texts, mark == 0, name)
        self._reports.append(str(corpus.report))
        for doubt in preprocessor.doubts_of_language(corpus, name):
            warnings.warn(doubt, stacklevel=4)
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
        """Add a view of images."""
        pictures: list[Any] = self._records.columns[name].items
        known = bool(pictures) and isinstance(pictures[0], Path | np.ndarray)
        faults = [fault(picture) if known else None for picture in pictures]
        bad = np.array([wrong is not None for wrong in faults], bool)
        self._leave_out(name, bad, "can't be opened as an image", [w for w in faults if w])
        view = ImageView(
            name=name,
            sizes=(len(pictures), 0, 0),
            pictures=pictures if known else None,
            embeddings=None if known else np.zeros((len(pictures), 1), np.float32),
            **self._common(name),
        )
        self._place(view, np.where(bad, MISSING, self._item_marks(name, self._marks)))

    def finish(self, pivot: str | None, metadata: Mapping[str, Any] | None) -> MultiviewDataset:
        """Return the data set of the views that were added, linked."""
        described = dict(metadata or {})
        if self._dropped:
            described["dropped"] = self._dropped
        described["preprocessing"] = self._reports
        return MultiviewDataset(
            self._views,
            record_links(self._records, self._places),
            pivot=pivot,
            metadata=described,
            partitions=self._partitions,
        )

    def _common(self, name: str) -> dict[str, Any]:
        column = self._records.columns[name]
        return {
            "indexes": np.array(column.sources, np.int64),
            "inputs": column.inputs,
            "labels": self._item_labels(name),
        }

    def _place(self, view: View, mark: NDArray[np.int_]) -> None:
        arrangement = arrange(mark)
        if not len(arrangement.order):
            raise DataError(
                f"view '{view.name}' has no usable item: all {len(view)} were missing or dropped."
            )
        self._views.append(view.take(arrangement.order, arrangement.sizes))
        self._places[view.name] = arrangement.places
        for other, marks in self._others.items():
            found = self._item_marks(view.name, marks, other)
            self._partitions[other][view.name] = found[arrangement.order]

    def _item_marks(
        self, name: str, marks: NDArray[np.int8], what: str = "partition"
    ) -> NDArray[np.int8]:
        column = self._records.columns[name]
        result = np.full(len(column.items), MISSING, np.int8)
        for record, cell in enumerate(column.cells):
            for item in cell:
                if result[item] not in (MISSING, marks[record]):
                    raise DataError(
                        f"view '{name}': the same item ({str(column.items[item])[:80]}) is in two "
                        f"partitions of '{what}', {PARTITIONS[result[item]]} and "
                        f"{PARTITIONS[marks[record]]} (record {record}); keep it in one."
                    )
                result[item] = marks[record]
        return result

    def _item_labels(self, name: str) -> list[str] | None:
        if self._labels is None:
            return None
        column = self._records.columns[name]
        found: list[set[str]] = [set() for _ in column.items]
        for record, cell in enumerate(column.cells):
            for item in cell:
                found[item].update({self._labels[record]} - {""})
        shared = [item for item, labels in enumerate(found) if len(labels) > 1]
        if shared:
            shown = [
                f"{str(column.items[item])[:80]}: {', '.join(sorted(found[item])[:_SHOWN])}"
                for item in shared[:_SHOWN]
            ]
            warnings.warn(
                f"view '{name}': {len(shared)} of {len(found)} items belong to records with "
                f"different labels ({'; '.join(shown)}{'; …' if len(shared) > _SHOWN else ''}); "
                "they have no label. Give all their records one label to keep it.",
                stacklevel=6,
            )
        return [labels.pop() if len(labels) == 1 else "" for labels in found]

    def _leave_out(
        self, name: str, bad: NDArray[np.bool_], reason: str, causes: Sequence[str] = ()
    ) -> None:
        rows = [self._records.columns[name].sources[i] for i in np.flatnonzero(bad)]
        if not rows:
            return
        more = ", …" if len(rows) > _SHOWN else ""
        shown = f"rows {', '.join(map(str, rows[:_SHOWN]))}{more}, counted from 0"
        if causes:
            shown += f": {'; '.join(causes[:_SHOWN])}{'; …' if more else ''}"
        message = f"view '{name}': {len(rows)} of {len(bad)} items {reason} ({shown})"
        if self._unusable == "error":
            raise DataError(f"{message}; mend or remove them, or pass unusable='drop'.")
        self._dropped[name] = rows
        warnings.warn(f"{message}; they were left out, links follow.", stacklevel=5)
