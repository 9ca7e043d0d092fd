"""Batches of linked tuples: slices of tensors on a device, never a loop over documents."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from contextualized_topic_models.datasets.dataset import CTMDataset
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix
from torch import Tensor

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.links import items_of_tuples
from octis_m3l.data.views import TextView
from octis_m3l.errors import DataError

# Tuples whose batches are arranged together.
ROWS_TOGETHER = 1024


@dataclass(frozen=True)
class SparseRows:
    """Some rows of a bag of words: who holds which word how often."""

    rows: Tensor
    words: Tensor
    counts: Tensor
    totals: Tensor

    def take(self, chosen: Tensor) -> "SparseRows":
        """Return some of the rows, in the order given."""
        place = torch.full_like(self.totals, -1, dtype=torch.int64)
        place[chosen] = torch.arange(len(chosen), device=chosen.device)
        rows = place[self.rows]
        kept = rows >= 0
        return SparseRows(rows[kept], self.words[kept], self.counts[kept], self.totals[chosen])

    @staticmethod
    def joined(several: Sequence["SparseRows"]) -> "SparseRows":
        """Return rows of several, one after another."""
        starts = np.cumsum([0, *(len(one.totals) for one in several)]).tolist()
        return SparseRows(
            torch.cat([one.rows + start for one, start in zip(several, starts, strict=False)]),
            torch.cat([one.words for one in several]),
            torch.cat([one.counts for one in several]),
            torch.cat([one.totals for one in several]),
        )

    def dense(self, vocabulary: int) -> Tensor:
        """Return the rows as a dense matrix (rows × vocabulary)."""
        matrix = self.counts.new_zeros(len(self.totals), vocabulary)
        return matrix.index_put_((self.rows, self.words), self.counts, accumulate=True)


class ViewTensors(CTMDataset):  # type: ignore[misc]
    """One view on a device: embeddings and sparse bags of words, sliced by row numbers.

    Item by item it answers as contextualized-topic-models' CTMDataset, so that package's own
    models can be trained on it; `embeddings` and `words` give whole batches at once.
    """

    def __init__(
        self,
        embeddings: NDArray[Any],
        bag_of_words: Any | None = None,
        vocabulary: Sequence[str] = (),
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        resident_bytes: int = 4 << 30,
    ) -> None:
        counts = csr_matrix((len(embeddings), 0)) if bag_of_words is None else bag_of_words
        super().__init__(embeddings, csr_matrix(counts), dict(enumerate(vocabulary)))
        self.device = torch.device(device)
        self.dtype = dtype
        self._source = embeddings
        mapped = isinstance(embeddings, np.memmap) and embeddings.nbytes > resident_bytes
        self._resident = (
            None
            if mapped
            else torch.tensor(np.asarray(embeddings), dtype=dtype, device=self.device)
        )
        self.vocabulary_size = len(vocabulary)
        if bag_of_words is not None:
            self._load_counts(csr_array(bag_of_words))

    def _load_counts(self, matrix: "csr_array[Any]") -> None:
        self._offsets = torch.tensor(matrix.indptr, dtype=torch.int64, device=self.device)
        self._words = torch.tensor(matrix.indices, dtype=torch.int32, device=self.device)
        self._counts = torch.tensor(matrix.data, dtype=self.dtype, device=self.device)
        totals = np.asarray(matrix.sum(axis=1)).ravel()
        self._totals = torch.tensor(totals, dtype=self.dtype, device=self.device)

    def embeddings(self, items: Tensor) -> Tensor:
        """Return the embeddings of some items (items × dimensions)."""
        if self._resident is not None:
            return self._resident.index_select(0, items)
        rows = np.asarray(self._source[items.cpu().numpy()])
        return torch.from_numpy(rows).to(self.device, self.dtype)

    def words(self, items: Tensor) -> SparseRows:
        """Return the bags of words of some items."""
        return self.words_in_parts(items, [len(items)])[0]

    def words_in_parts(self, items: Tensor, sizes: Sequence[int]) -> list[SparseRows]:
        """Return the bags of words of several batches, found all at once."""
        starts = self._offsets[items]
        lengths = self._offsets[items + 1] - starts
        ends = lengths.cumsum(0)
        rows = torch.repeat_interleave(lengths)
        positions = torch.arange(len(rows), device=self.device) + (starts - ends + lengths)[rows]
        words, counts = self._words[positions].long(), self._counts[positions]
        totals = self._totals[items]
        if len(sizes) == 1:
            return [SparseRows(rows, words, counts, totals)]
        firsts = np.cumsum([0, *sizes])
        own = np.arange(firsts[-1]) - np.repeat(firsts[:-1], sizes)
        rows = torch.from_numpy(own).to(self.device)[rows]
        entries = torch.cat([ends.new_zeros(1), ends])[torch.from_numpy(firsts).to(self.device)]
        counted = entries.diff().tolist()
        parts = [torch.split(each, counted) for each in (rows, words, counts)]
        return list(map(SparseRows, *parts, torch.split(totals, list(sizes))))

    def batches(
        self, items: Tensor, sizes: Sequence[int], rows: "Sequence[Tensor | None] | None" = None
    ) -> "list[ViewBatch]":
        """Return several batches of the view: one by one, that would take many times as long."""
        words: Sequence[SparseRows | None] = [None] * len(sizes)
        if self.vocabulary_size:
            words = self.words_in_parts(items, sizes)
        placed = rows or [None] * len(sizes)
        listed, given = list(sizes), self.embeddings(items)
        parts = torch.split(items, listed), placed, torch.split(given, listed), words
        return list(map(ViewBatch, *parts))


@dataclass(frozen=True)
class ViewBatch:
    """What a batch holds of one view."""

    items: Tensor
    rows: Tensor | None
    embeddings: Tensor
    words: SparseRows | None


@dataclass(frozen=True)
class Batch:
    """Some tuples: for each view, those of its items that the tuples have."""

    size: int
    views: Mapping[str, ViewBatch]
    text_share: float = 1.0
    item_share: float = 1.0
    pair_share: float = 1.0


class TupleSampler:
    """Visits each tuple once an epoch, and draws one of its items from every view that has any."""

    def __init__(
        self,
        dataset: MultiviewDataset,
        partition: str | Sequence[str],
        embeddings: Mapping[str, NDArray[Any]],
        batch_size: int,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        tensors: Mapping[str, ViewTensors] | None = None,
        shrinks: bool = False,
    ) -> None:
        partitions = [partition] if isinstance(partition, str) else list(partition)
        self.device = torch.device(device)
        self.batch_size = batch_size
        numbers = {}
        for name in embeddings:
            kept = np.full(len(dataset.view(name)), -1, np.int64)
            for wanted in partitions:
                rows = dataset.view(name).rows(wanted)
                kept[rows] = dataset.tuples(name)[rows]
            numbers[name] = kept
        found = np.concatenate(list(numbers.values()))
        self.tuples: NDArray[np.int64] = np.unique(found[found >= 0])
        if shrinks:
            self.batch_size = min(batch_size, max(2, len(self.tuples)))
        self._check_size(partitions)
        self.tensors = dict(
            tensors or view_tensors(dataset, embeddings, device=device, dtype=dtype)
        )
        self._items: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
        self._single: dict[str, bool] = {}
        for name, given in numbers.items():
            listed = items_of_tuples(given, self.tuples)
            self._single[name] = bool((listed.counts == 1).all())
            self._items[name] = tuple(  # type: ignore[assignment]
                torch.from_numpy(array).to(self.device)
                for array in (listed.items, listed.offsets[:-1].copy(), listed.counts)
            )
        self._shares = _shares(
            [counts for _, _, counts in self._items.values()],
            [self.tensors[name].vocabulary_size > 0 for name in self._items],
        )

    def _check_size(self, partitions: Sequence[str]) -> None:
        if len(self.tuples) < 2:
            raise DataError(
                f"{len(self.tuples)} tuples in {' and '.join(partitions)}: a model needs two at "
                "least, since batch normalisation compares rows."
            )
        if self.batch_size > len(self.tuples):
            raise DataError(
                f"batch_size={self.batch_size} is larger than the data: {len(self.tuples)} "
                f"tuples in {' and '.join(partitions)}; use at most that."
            )

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        full, rest = divmod(len(self.tuples), self.batch_size)
        return full + (rest > 1)

    def epoch(self, *, shuffle: bool = True) -> Iterator[Batch]:
        """Yield an epoch's batches, with torch's global random state."""
        total = len(self.tuples)
        order = torch.randperm(total) if shuffle else torch.arange(total)
        order = order.to(self.device)
        drawn = {name: self._draw(name, order, shuffle) for name in self._items}
        bounds = [number * self.batch_size for number in range(len(self))] + [total]
        together = max(1, ROWS_TOGETHER // self.batch_size)
        for first in range(0, len(self), together):
            part = bounds[first : first + together + 1]
            sizes = [stop - start for start, stop in pairwise(part)]
            yield from self._batches({n: d[part[0] : part[-1]] for n, d in drawn.items()}, sizes)

    def _draw(self, name: str, order: Tensor, shuffle: bool) -> Tensor:
        items, offsets, counts = self._items[name]
        if self._single[name]:
            return items[order]
        if not len(items):
            return torch.full_like(order, -1)
        position = torch.zeros_like(order)
        if shuffle:
            chance = torch.rand(len(order), dtype=torch.float64).to(self.device)
            position = (chance * counts[order]).long()
        place = (offsets[order] + position).clamp(max=len(items) - 1)
        return torch.where(counts[order] > 0, items[place], -1)

    def _batches(self, drawn: Mapping[str, Tensor], sizes: list[int]) -> list[Batch]:
        """Return several batches, arranged together."""
        parts: list[dict[str, ViewBatch]] = [{} for _ in sizes]
        for name, drawn_items in drawn.items():
            for views, part in zip(parts, self._of_view(name, drawn_items, sizes), strict=True):
                if len(part.items) > 1:
                    views[name] = part
        return [Batch(n, v, *self._shares) for n, v in zip(sizes, parts, strict=True)]

    def _of_view(self, name: str, drawn: Tensor, sizes: list[int]) -> list[ViewBatch]:
        if self._single[name]:
            return self.tensors[name].batches(drawn, sizes)
        there = drawn >= 0
        counts = torch.stack([part.sum() for part in torch.split(there, sizes)]).tolist()
        rows = [
            None if count == size else part.nonzero().squeeze(1)
            for part, count, size in zip(torch.split(there, sizes), counts, sizes, strict=True)
        ]
        return self.tensors[name].batches(drawn[there], counts, rows)


def _shares(counts: Sequence[Tensor], texts: Sequence[bool]) -> tuple[float, float, float]:
    """Return the mean share of tuples that have a text view, any view, and both of a pair."""
    weights = (torch.stack(list(counts)) > 0).double()
    both = (weights @ weights.T / weights.shape[1]).cpu()
    items, pairs = both.diagonal(), both[~torch.eye(len(both), dtype=torch.bool)]
    of_texts = items[torch.tensor(texts, dtype=torch.bool)]
    return tuple(  # type: ignore[return-value]
        float(s[s > 0].mean()) if (s > 0).any() else 1.0 for s in (of_texts, items, pairs)
    )


def view_tensors(
    dataset: MultiviewDataset,
    embeddings: Mapping[str, NDArray[Any]],
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> dict[str, ViewTensors]:
    """Put the views of a data set on a device."""
    tensors = {}
    for name, array in embeddings.items():
        view = dataset.view(name)
        if isinstance(view, TextView):
            counts, vocabulary = view.bag_of_words, view.vocabulary
            tensors[name] = ViewTensors(array, counts, vocabulary, device=device, dtype=dtype)
        else:
            tensors[name] = ViewTensors(array, device=device, dtype=dtype)
    return tensors
