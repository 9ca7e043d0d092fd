"""Encoders that compute with torch in batches, as large as the device's memory allows."""

import os
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt
from tqdm import tqdm

from octis_m3l.data.pictures import open_picture
from octis_m3l.devices import chosen_device
from octis_m3l.encoders.pretrained import PretrainedEncoder
from octis_m3l.errors import SettingsError

if TYPE_CHECKING:
    import torch

_FIRST_BATCH, _LARGEST_BATCH = 32, 1024


class NetworkEncoder(PretrainedEncoder):
    """Base class of encoders that compute with torch, in batches.

    A subclass implements `_load` and `_run`. A batch that does not fit into the device's memory is
    halved, and so are those after it.

    Parameters
    ----------
    batch_size : int or 'auto'
        Items per batch. 'auto': 32; on CUDA, batches grow while there is room.
    precision : {'auto', 'float32', 'float16', 'bfloat16'}
        The type of the network's numbers. 'auto': float16 on CUDA, float32 elsewhere.
    device : str
        'auto': CUDA if it is available.
    model, normalise, progress
        As for `PretrainedEncoder`.
    """

    batch_size: PositiveInt | Literal["auto"] = "auto"
    precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    device: str = "auto"

    @abstractmethod
    def _run(self, items: list[Any], rows: NDArray[np.int64]) -> Any:
        """Return the vectors of some rows of the items, in one batch: a tensor or an array."""

    @property
    def _devices(self) -> list[str]:
        given = [self.device] if isinstance(self.device, str) else list(self.device)
        return [chosen_device(one) for one in given]

    def _precision(self) -> str:
        if self.precision != "auto":
            return self.precision
        return "float16" if self._devices[0].startswith("cuda") else "float32"

    @property
    def _dtype(self) -> "torch.dtype":
        import torch

        dtype: torch.dtype = getattr(torch, self._precision())
        return dtype

    @property
    def _first_batch(self) -> int:
        return _FIRST_BATCH if self.batch_size == "auto" else self.batch_size

    def _vectors(self, items: list[Any]) -> NDArray[Any]:
        import torch

        # Texts of similar length share a batch, the longest come first.
        lengths = [len(item) if self.reads == "text" else 0 for item in items]
        order = np.argsort(np.negative(lengths), kind="stable")
        device, size = self._devices[0], self._first_batch
        grows = self.batch_size == "auto" and device.startswith("cuda")
        if grows:
            torch.cuda.reset_peak_memory_stats(device)
        vectors = np.empty((0, 0), np.float32)
        start = 0
        bar = tqdm(total=len(items), desc="encoding", unit=self.reads, disable=not self.progress)
        with bar:
            while start < len(order):
                rows = order[start : start + size]
                batch = None
                try:
                    with torch.inference_mode():
                        batch = torch.as_tensor(self._run(items, rows)).float().cpu().numpy()
                except torch.OutOfMemoryError:
                    # Tried again below, where the exception no longer holds the tensors.
                    grows = False
                if batch is None:
                    size = self._halved(len(rows), device)
                    continue
                if not vectors.size:
                    vectors = np.empty((len(items), batch.shape[1]), np.float32)
                vectors[rows] = batch
                start += len(rows)
                bar.update(len(rows))
                if grows and len(rows) == size < _LARGEST_BATCH and _has_room(device):
                    size *= 2
        return vectors

    def _pictures(
        self, items: list[Any], rows: NDArray[np.int64], transform: Callable[[Any], "torch.Tensor"]
    ) -> "torch.Tensor":
        """Open some of the pictures in several threads, and stack their tensors."""
        import torch

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            opened = pool.map(lambda row: transform(open_picture(items[row], row)), rows.tolist())
            return torch.stack(list(opened)).to(self._devices[0], self._dtype)

    def _halved(self, size: int, device: str) -> int:
        """Return half of a batch size that was too large, and free the device's memory."""
        import torch

        if size <= 1:
            raise SettingsError(
                f"the memory of {device} does not hold a single {self.reads} beside the model; use "
                "another device, a smaller model or a shorter max_length."
            )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return size // 2


def _has_room(device: str) -> bool:
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    ours = torch.cuda.memory_reserved(device)
    return torch.cuda.max_memory_allocated(device) < 0.35 * (free + ours)
