"""Batches of views whose items are not linked."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from octis_m3l.data.batches import ROWS_TOGETHER, Batch, ViewTensors, view_tensors
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import DataError


class UnlinkedSampler:
    """Visits the items of every view; an epoch is as long as the longest view, others repeat.

    Every batch has as many items of each view, none of them tied to those of another: links are
    not looked at. A shorter view is gone through again in a new random order as often as needed.
    """

    def __init__(
        self,
        dataset: MultiviewDataset,
        partition: str | None,
        embeddings: Mapping[str, NDArray[Any]],
        batch_size: int,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        tensors: Mapping[str, ViewTensors] | None = None,
        shrinks: bool = False,
    ) -> None:
        self.device = torch.device(device)
        self.batch_size = batch_size
        self.rows: dict[str, slice] = {}
        for name in embeddings:
            view = dataset.view(name)
            self.rows[name] = view.rows(partition) if partition else slice(0, len(view))
            if self.rows[name].stop - self.rows[name].start < 2:
                raise DataError(
                    f"view '{name}' has {self.rows[name].stop - self.rows[name].start} items in "
                    f"{partition or 'all partitions'}: a model needs two at least, since batch "
                    "normalisation compares rows."
                )
        self.longest: int = max(rows.stop - rows.start for rows in self.rows.values())
        if shrinks:
            self.batch_size = batch_size = min(batch_size, self.longest)
        if batch_size > self.longest:
            raise DataError(
                f"batch_size={batch_size} is larger than the data: {self.longest} items in the "
                f"largest view of {partition or 'all partitions'}; use at most that."
            )
        self.tensors = dict(
            tensors or view_tensors(dataset, embeddings, device=device, dtype=dtype)
        )

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        full, rest = divmod(self.longest, self.batch_size)
        return full + (rest > 1)

    def epoch(self, *, shuffle: bool = True) -> Iterator[Batch]:
        """Yield an epoch's batches, with torch's global random state."""
        orders = {name: self._order(rows, shuffle) for name, rows in self.rows.items()}
        bounds = [number * self.batch_size for number in range(len(self))] + [self.longest]
        together = max(1, ROWS_TOGETHER // self.batch_size)
        for first in range(0, len(self), together):
            part = bounds[first : first + together + 1]
            sizes = [stop - start for start, stop in pairwise(part)]
            views = {
                name: self.tensors[name].batches(order[part[0] : part[-1]], sizes)
                for name, order in orders.items()
            }
            for number, size in enumerate(sizes):
                yield Batch(size, {name: batches[number] for name, batches in views.items()})

    def _order(self, rows: slice, shuffle: bool) -> Tensor:
        count = rows.stop - rows.start
        times = -(-self.longest // count)
        rounds = [torch.randperm(count) if shuffle else torch.arange(count) for _ in range(times)]
        order: Tensor = torch.cat(rounds)[: self.longest] + rows.start
        return order.to(self.device)
