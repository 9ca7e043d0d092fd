"""Batches: slices of tensors that lie on a device, drawn without a loop over documents."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from contextualized_topic_models.datasets.dataset import CTMDataset
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix
from torch import Tensor
from torch.nn import functional

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.noise import Kind, Noise, Numbers, Purpose, StepNoise
from octis_m3l.data.views import PARTITIONS, TextView, View
from octis_m3l.errors import DataError

# Tuples whose batches are arranged in one go.
ROWS_TOGETHER = 1024


@dataclass(frozen=True)
class SparseRows:
    """Bags of words: document rows[i] has words[i] counts[i] times; totals are their lengths.

    `width` is the number of entries of each document, some of which count 0, if all have as many.
    """

    rows: Tensor
    words: Tensor
    counts: Tensor
    totals: Tensor
    width: int | None = None

    def summed(self, values: Tensor) -> Tensor:
        """Return the sum of each document's entries."""
        if self.width is not None:
            return values.reshape(len(self.totals), self.width).sum(dim=1)
        return values.new_zeros(len(self.totals)).index_add(0, self.rows, values)

    def take(self, chosen: Tensor | slice) -> "SparseRows":
        """Return some of the documents, in the order given."""
        if isinstance(chosen, slice):
            return self
        place = torch.full_like(self.totals, -1, dtype=torch.int64)
        place[chosen] = torch.arange(len(chosen), device=chosen.device)
        rows = place[self.rows]
        kept = rows >= 0
        return SparseRows(rows[kept], self.words[kept], self.counts[kept], self.totals[chosen])

    @staticmethod
    def joined(several: Sequence["SparseRows"]) -> "SparseRows":
        """Return the documents of several, one after another."""
        starts = np.cumsum([0, *(len(one.totals) for one in several)]).tolist()
        widths = {one.width for one in several}
        return SparseRows(
            torch.cat([one.rows + start for one, start in zip(several, starts, strict=False)]),
            torch.cat([one.words for one in several]),
            torch.cat([one.counts for one in several]),
            torch.cat([one.totals for one in several]),
            widths.pop() if len(widths) == 1 else None,
        )

    def dense(self, vocabulary: int) -> Tensor:
        """Return the counts as a dense matrix (documents × vocabulary)."""
        matrix = self.counts.new_zeros(len(self.totals), vocabulary)
        return matrix.index_put_((self.rows, self.words), self.counts, accumulate=True)


@dataclass(frozen=True)
class ViewBatch:
    """The items of one view in a batch; `rows` are their tuples, None if every tuple has a row.

    `present` says in which rows there is an item: None where in all. Others have no words, and
    embeddings that mean nothing.
    """

    items: Tensor
    rows: Tensor | None
    embeddings: Tensor
    words: SparseRows | None
    present: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """Some tuples: for each view, the items that these tuples have.

    Losses that need every item join the views' rows one after another (N × K). `split` undoes
    that, `stack` arranges them by view and tuple, and `present` says which places are filled.

    Parameters
    ----------
    size : int
        B, the number of tuples.
    views : mapping of view to ViewBatch
        V views; one with fewer than two items is left out.
    text_share, item_share, pair_share : float
        Over all training tuples: the mean share of tuples that have a text view, any view, and
        both views of a pair.
    numbers : function, optional
        Where random numbers come from; without it, torch's global random state.
    """

    size: int
    views: Mapping[str, ViewBatch]
    text_share: float = 1.0
    item_share: float = 1.0
    pair_share: float = 1.0
    numbers: Numbers | None = None

    def normal(
        self, name: str, like: Tensor, views: Iterable[str] | None = None, copies: int = 1
    ) -> Tensor:
        """Return standard normal numbers, named by their purpose, for joined rows.

        Parameters
        ----------
        name : str
            What the numbers are for.
        like : Tensor (N × columns)
            The joined rows of some views.
        views : iterable of str, optional
            These views. Default: all.
        copies : int
            How many numbers each entry gets (copies × N × columns; with one, N × columns).
        """
        if self.numbers is None:
            found = like.new_empty(copies, *like.shape).normal_()
        else:
            found = self._random("normal", name, like, views, copies)
        return found[0] if copies == 1 else found

    def dropout(
        self, share: float, name: str, values: Tensor, views: Iterable[str] | None = None
    ) -> Tensor:
        """Return joined rows with a share of the entries set to zero, and the others scaled up.

        The share is rounded to a multiple of 2⁻¹⁶, and is at most 1 − 2⁻¹⁶.
        """
        if not share:
            return values
        if self.numbers is None:
            return functional.dropout(values, share)
        lost = min(round(share * 2**16), 2**16 - 1)
        # Floats: products with truth values take forty times as long on a CPU.
        kept = self._random("bits", name, values, views)[0].ge_(lost - 2.0**15)
        return values * kept.mul_(2**16 / (2**16 - lost))

    def _random(
        self, kind: Kind, name: str, like: Tensor, views: Iterable[str] | None, copies: int = 1
    ) -> Tensor:
        """Return the step's random numbers (copies × N × columns)."""
        assert self.numbers is not None
        parts = []
        for view in self.views if views is None else views:
            numbers = self.numbers(Purpose(kind, name, view, copies, like.shape[1]))
            rows = self.views[view].rows
            parts.append(numbers[:, : self.size] if rows is None else numbers.index_select(1, rows))
        found = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return found.to(like.dtype)

    def split(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return each view's part of joined rows (N × …)."""
        return torch.split(rows, [len(view.items) for view in self.views.values()])

    def stack(self, rows: Tensor) -> Tensor:
        """Return joined rows (N × K) by view and tuple (V × B × K), zeros where one is missing."""
        views, columns = len(self.views), rows.shape[1]
        if self._places is not None:
            empty = rows.new_zeros(views * self.size, columns)
            rows = empty.index_copy(0, self._places, rows)
        return rows.reshape(views, self.size, columns)

    def present(self) -> Tensor | None:
        """Return which views each tuple has (V × B, bool); None if every tuple has all."""
        if self._places is None:
            return self._masks(self.views)
        views = len(self.views)
        filled = torch.zeros(views * self.size, dtype=torch.bool, device=self._places.device)
        return filled.index_fill_(0, self._places, True).reshape(views, self.size)

    def present_rows(self, views: Iterable[str]) -> Tensor | None:
        """Return in which joined rows of some views there is an item; None: in all."""
        masks = self._masks(views)
        return None if masks is None else masks.flatten()

    def _masks(self, views: Iterable[str]) -> Tensor | None:
        masks = [self.views[name].present for name in views]
        known = [mask for mask in masks if mask is not None]
        if not known:
            return None
        return torch.stack([torch.ones_like(known[0]) if m is None else m for m in masks])

    def common(self, first: str, second: str) -> tuple[Tensor | slice, Tensor | slice]:
        """Return the rows of two views' items whose tuples have both."""
        if self.views[first].rows is None and self.views[second].rows is None:
            return slice(None), slice(None)
        rows, others = (self._tuples(self.views[name]) for name in (first, second))
        place = torch.full((self.size,), -1, dtype=torch.long, device=rows.device)
        place[others] = torch.arange(len(others), device=rows.device)
        found = place[rows]
        shared = (found >= 0).nonzero().squeeze(1)
        return shared, found[shared]

    @cached_property
    def _places(self) -> Tensor | None:
        """Where the views' items stand among V × B; None if every tuple has every view."""
        if all(view.rows is None for view in self.views.values()):
            return None
        rows = [self._tuples(view) for view in self.views.values()]
        return torch.cat([row + number * self.size for number, row in enumerate(rows)])

    def _tuples(self, view: ViewBatch) -> Tensor:
        return torch.arange(self.size, device=view.items.device) if view.rows is None else view.rows


def _shared(array: NDArray[Any]) -> Tensor:
    """Return an array of floats as a tensor that shares its memory, or the file that it maps."""
    if array.dtype not in (np.float16, np.float32):
        array = array.astype(np.float32)
    with warnings.catch_warnings():
        # It may be read-only, and nothing writes to it.
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(np.ascontiguousarray(array))


class ViewTensors(CTMDataset):  # type: ignore[misc]
    """One view on a device: embeddings and sparse bags of words, sliced by row numbers.

    On the CPU embeddings share the memory of the array, or stay in the file that it maps; on a GPU
    such a file is copied if it has at most `resident_bytes`. Batches have single precision.

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
        resident_bytes: int = 4 << 30,
    ) -> None:
        counts = csr_matrix((len(embeddings), 0)) if bag_of_words is None else bag_of_words
        super().__init__(embeddings, csr_matrix(counts), dict(enumerate(vocabulary)))
        self.device = torch.device(device)
        self._source = embeddings
        floats: dict[str, Any] = {"dtype": torch.float32, "device": self.device}
        mapped = isinstance(embeddings, np.memmap) and embeddings.nbytes > resident_bytes
        self._resident: Tensor | None = None
        if self.device.type == "cpu":
            self._resident = _shared(np.asarray(embeddings))
        elif not mapped:
            self._resident = _shared(np.asarray(embeddings)).to(self.device)
        self.vocabulary_size = len(vocabulary)
        if bag_of_words is not None:
            matrix = csr_array(bag_of_words)
            totals = np.asarray(matrix.sum(axis=1)).ravel()
            self._offsets = torch.tensor(matrix.indptr, dtype=torch.int64, device=self.device)
            self._words = torch.as_tensor(matrix.indices, dtype=torch.int32, device=self.device)
            self._counts = torch.as_tensor(matrix.data, **floats)
            self._totals = torch.tensor(totals, **floats)

    def embeddings(self, items: Tensor) -> Tensor:
        """Return the embeddings of some items (items × dimensions)."""
        if self._resident is not None:
            return self._resident.index_select(0, items).float()
        rows = np.asarray(self._source[items.cpu().numpy()])
        return torch.from_numpy(rows).to(self.device, torch.float32)

    def words(self, items: Tensor) -> SparseRows:
        """Return the bags of words of some items."""
        return self._words_of_batches(items, [len(items)])[0]

    @property
    def resident(self) -> bool:
        """Whether the embeddings are on the device."""
        return self._resident is not None

    def longest(self, items: Tensor) -> int:
        """Return the largest number of different words of some documents."""
        lengths = self._offsets[items + 1] - self._offsets[items]
        return int(lengths.max()) if len(lengths) else 0

    def padded(self, items: Tensor, present: Tensor | None, width: int) -> SparseRows:
        """Return the bags of words of documents of at most `width` words, absent ones empty."""
        if not len(self._words):
            width = 0
        starts = self._offsets[items][:, None]
        columns = torch.arange(width, device=self.device)
        filled = columns < self._offsets[items + 1][:, None] - starts
        totals = self._totals[items]
        if present is not None:
            filled, totals = filled & present[:, None], totals * present
        # Empty entries are word 0, not at all.
        places = torch.where(filled, starts + columns, 0).flatten()
        words = torch.where(filled.flatten(), self._words[places].long(), 0)
        counts = self._counts[places] * filled.flatten()
        rows = torch.arange(len(items), device=self.device)[:, None].expand(-1, width)
        return SparseRows(rows.flatten(), words, counts, totals, width)

    def batches(
        self, items: Tensor, sizes: Sequence[int], rows: Sequence[Tensor | None] | None = None
    ) -> list[ViewBatch]:
        """Return several batches of the view, gathered at once: one by one takes far longer."""
        words: Sequence[SparseRows | None] = [None] * len(sizes)
        if self.vocabulary_size:
            words = self._words_of_batches(items, sizes)
        parts = torch.split(items, list(sizes)), rows or [None] * len(sizes)
        return list(map(ViewBatch, *parts, torch.split(self.embeddings(items), list(sizes)), words))

    def _words_of_batches(self, items: Tensor, sizes: Sequence[int]) -> list[SparseRows]:
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


class Sampler(ABC):
    """An epoch of batches; the last one takes a single tuple that would be left over.

    Of the views that have `embeddings`, the items of `partition` are visited (one or several names;
    None: all). With `shrinks` the batch size is made smaller for small data; otherwise that is an
    error. `tensors` are those of another sampler of the same views.
    """

    def __init__(
        self,
        dataset: MultiviewDataset,
        partition: str | Sequence[str] | None,
        embeddings: Mapping[str, NDArray[Any]],
        batch_size: int,
        *,
        device: torch.device | str = "cpu",
        tensors: Mapping[str, ViewTensors] | None = None,
        shrinks: bool = False,
    ) -> None:
        partitions = [partition] if isinstance(partition, str) else partition or PARTITIONS
        views = {name: dataset.view(name) for name in embeddings}
        # Views of which every tuple has one item, and those of which it has one at least.
        self.whole: frozenset[str] = frozenset(views)
        self.complete: frozenset[str] = self.whole
        self.shares = 1.0, 1.0, 1.0
        self.device = torch.device(device)
        self.rows, rows_are = self._arrange(dataset, partitions, views)
        self.batch_size = min(batch_size, self.rows) if shrinks else batch_size
        if self.batch_size > self.rows:
            raise DataError(
                f"batch_size={batch_size} is larger than the data: {self.rows} {rows_are} "
                f"{' and '.join(partitions)}; use at most that."
            )
        self.tensors = dict(tensors or {})
        for name, view in views.items() if tensors is None else ():
            text = (view.bag_of_words, view.vocabulary) if isinstance(view, TextView) else ()
            self.tensors[name] = ViewTensors(embeddings[name], *text, device=device)

    @abstractmethod
    def _arrange(
        self, dataset: MultiviewDataset, partitions: Sequence[str], views: Mapping[str, View]
    ) -> tuple[int, str]:
        """Keep what an epoch draws from; return how many rows it has, and what they are."""

    @abstractmethod
    def visited(self, view: str) -> Tensor:
        """Return the numbers of a view's items that are ever drawn."""

    @abstractmethod
    def draw(self, shuffle: bool, random: torch.Generator | None) -> dict[str, Tensor]:
        """Return each view's items in the order of an epoch's tuples, −1 where there is none."""

    def noise(self, seed: int, epoch: int) -> Noise:
        """Return the random numbers of an epoch of a run."""
        places = self.batch_size + (self.rows % self.batch_size == 1)
        return Noise(seed, epoch, list(self.tensors), places, self.device)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        full, rest = divmod(self.rows, self.batch_size)
        return full + (rest > 1)

    def epoch(self, noise: Noise | None = None, *, shuffle: bool = True) -> Iterator[Batch]:
        """Yield an epoch's batches; without `noise` they come from torch's global random state."""
        drawn = self.draw(shuffle, None if noise is None else noise.for_order())
        bounds = [number * self.batch_size for number in range(len(self))] + [self.rows]
        together = max(1, ROWS_TOGETHER // self.batch_size)
        for first in range(0, len(self), together):
            part = bounds[first : first + together + 1]
            sizes = [stop - start for start, stop in pairwise(part)]
            views: list[dict[str, ViewBatch]] = [{} for _ in sizes]
            for name, items in drawn.items():
                found = self._of_view(name, items[part[0] : part[-1]], sizes)
                for batch, of_view in zip(views, found, strict=True):
                    if len(of_view.items) > 1:
                        batch[name] = of_view
            for step, (size, of_views) in enumerate(zip(sizes, views, strict=True), first):
                of_step = None if noise is None else StepNoise(noise, step)
                yield Batch(size, of_views, *self.shares, of_step)

    def _of_view(self, name: str, drawn: Tensor, sizes: list[int]) -> list[ViewBatch]:
        if name in self.whole:
            return self.tensors[name].batches(drawn, sizes)
        present = drawn >= 0
        parts = torch.split(present, sizes)
        counts = torch.stack([part.sum() for part in parts]).tolist()
        rows = [
            None if count == size else part.nonzero().squeeze(1)
            for part, count, size in zip(parts, counts, sizes, strict=True)
        ]
        return self.tensors[name].batches(drawn[present], counts, rows)


class TupleSampler(Sampler):
    """Visits each tuple once an epoch, and draws one of its items from every view that has any."""

    def _arrange(
        self, dataset: MultiviewDataset, partitions: Sequence[str], views: Mapping[str, View]
    ) -> tuple[int, str]:
        numbers = {name: np.full(len(view), -1, np.int64) for name, view in views.items()}
        for name, view in views.items():
            for rows in map(view.rows, partitions):
                numbers[name][rows] = dataset.tuples(name)[rows]
        found = np.concatenate(list(numbers.values()))
        self.tuples: NDArray[np.int64] = np.unique(found[found >= 0])
        _check_enough(len(self.tuples), f"{len(self.tuples)} tuples in {' and '.join(partitions)}")
        # For each view its items sorted by tuple, where each tuple's begin, and how many it has.
        self._items: dict[str, list[Tensor]] = {}
        counts = {}
        for name, of_items in numbers.items():
            items = np.argsort(of_items, kind="stable")
            items = items[of_items[items] >= 0]
            first = np.searchsorted(of_items[items], self.tuples, side="left")
            counts[name] = np.searchsorted(of_items[items], self.tuples, side="right") - first
            arrays = (items, first, counts[name])
            self._items[name] = [torch.from_numpy(array).to(self.device) for array in arrays]
        self.whole = frozenset(name for name, count in counts.items() if (count == 1).all())
        self.complete = frozenset(name for name, count in counts.items() if (count > 0).all())
        texts = [isinstance(view, TextView) for view in views.values()]
        self.shares = _shares(np.stack(list(counts.values())) > 0, np.array(texts))
        return len(self.tuples), "tuples in"

    def visited(self, view: str) -> Tensor:
        """Return the numbers of a view's items that are ever drawn."""
        return self._items[view][0]

    def draw(self, shuffle: bool, random: torch.Generator | None) -> dict[str, Tensor]:
        """Return each view's items in the order of an epoch's tuples, −1 where there is none."""
        order = torch.arange(self.rows)
        if shuffle:
            order = torch.randperm(self.rows, generator=random)
        order = order.to(self.device)
        return {name: self._draw_items(name, order, shuffle, random) for name in self._items}

    def _draw_items(
        self, name: str, order: Tensor, shuffle: bool, random: torch.Generator | None
    ) -> Tensor:
        items, firsts, counts = self._items[name]
        if name in self.whole:
            return items[firsts[order]]
        if not len(items):
            return torch.full_like(order, -1)
        position = torch.zeros_like(order)
        if shuffle:
            chance = torch.rand(len(order), dtype=torch.float64, generator=random)
            position = (chance.to(self.device) * counts[order]).long()
        place = (firsts[order] + position).clamp(max=len(items) - 1)
        return torch.where(counts[order] > 0, items[place], -1)


class UnlinkedSampler(Sampler):
    """Visits the items of every view, whatever links there are.

    Every batch has the same number of items of each view. An epoch is as long as the longest view;
    a shorter one is gone through again in a new random order as often as needed.
    """

    def _arrange(
        self, dataset: MultiviewDataset, partitions: Sequence[str], views: Mapping[str, View]
    ) -> tuple[int, str]:
        self._items: dict[str, Tensor] = {}
        for name, view in views.items():
            items = np.concatenate([np.arange(len(view))[view.rows(part)] for part in partitions])
            where = f"view '{name}' has {len(items)} items in {' and '.join(partitions)}"
            _check_enough(len(items), where)
            self._items[name] = torch.from_numpy(items)
        return max(map(len, self._items.values())), "items in the largest view of"

    def visited(self, view: str) -> Tensor:
        """Return the numbers of a view's items that are ever drawn."""
        return self._items[view].to(self.device)

    def draw(self, shuffle: bool, random: torch.Generator | None) -> dict[str, Tensor]:
        """Return each view's items in the order of an epoch's tuples, −1 where there is none."""
        drawn = {}
        for name, items in self._items.items():
            count = len(items)
            orders = [
                torch.randperm(count, generator=random) if shuffle else torch.arange(count)
                for _ in range(-(-self.rows // count))
            ]
            drawn[name] = items[torch.cat(orders)[: self.rows]].to(self.device)
        return drawn


def _check_enough(rows: int, said: str) -> None:
    if rows < 2:
        raise DataError(
            f"{said}: a model needs two at least, since batch normalisation compares rows."
        )


def _shares(present: NDArray[np.bool_], texts: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return the mean share of tuples that have a text view, any view, and both of a pair.

    `present` says which views each tuple has (views × tuples), `texts` which views hold texts.
    """
    both = present.astype(np.float64) @ present.T / present.shape[1]
    items, pairs = both.diagonal(), both[~np.eye(len(both), dtype=bool)]
    text, item, pair = (
        float(torch.from_numpy(shares[shares > 0]).mean()) if (shares > 0).any() else 1.0
        for shares in (items[texts], items, pairs)
    )
    return text, item, pair
