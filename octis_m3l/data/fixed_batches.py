"""Batches whose tensors always have the same shapes, so that a GPU can replay a training step."""

from collections.abc import Mapping

from torch import Tensor

from octis_m3l.data.batches import Batch, Sampler, ViewBatch
from octis_m3l.data.noise import Numbers
from octis_m3l.errors import DataError


class FixedBatches:
    """The batches of a sampler, each view with a row for every tuple.

    Where a tuple lacks a view, its row is marked as not present; a view with fewer than two items
    in a batch has none. Every document has as many entries as the longest has different words.
    """

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        if mapped := [name for name, tensors in sampler.tensors.items() if not tensors.resident]:
            raise DataError(f"embeddings of {', '.join(mapped)} do not fit into memory at once")
        texts = {n: tensors for n, tensors in sampler.tensors.items() if tensors.vocabulary_size}
        self._width = max(
            (tensors.longest(sampler.visited(name)) for name, tensors in texts.items()), default=0
        )

    def sizes(self) -> list[int]:
        """Return the number of tuples in each batch of an epoch."""
        batches, size = len(self.sampler), self.sampler.batch_size
        return [*[size] * (batches - 1), self.sampler.rows - size * (batches - 1)]

    def batch(self, items: Mapping[str, Tensor], numbers: Numbers) -> Batch:
        """Return a batch of the items of each view, −1 where a tuple has none."""
        views = {name: self._of_view(name, drawn) for name, drawn in items.items()}
        (size,) = {len(drawn) for drawn in items.values()}
        return Batch(size, views, *self.sampler.shares, numbers)

    def _of_view(self, name: str, drawn: Tensor) -> ViewBatch:
        tensors, present, items = self.sampler.tensors[name], None, drawn
        if name not in self.sampler.complete:
            found = drawn >= 0
            present, items = found & (found.sum() > 1), drawn.clamp(min=0)
        words = tensors.padded(items, present, self._width) if tensors.vocabulary_size else None
        return ViewBatch(items, None, tensors.embeddings(items), words, present)
