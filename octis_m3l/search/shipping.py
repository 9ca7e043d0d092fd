"""A job as bytes, for other processes and machines."""

import io
import pickle
from typing import Any

import cloudpickle

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import TextView
from octis_m3l.errors import StorageError
from octis_m3l.search.runs import Job

# A folder, the fingerprints of what is in it, and which embeddings of each view are used.
_Named = tuple[str, dict[str, str], dict[str, str]]


def packed(job: Job, *, whole: bool = False) -> bytes:
    """Return a job as bytes; a data set that was saved is named, not copied."""
    buffer = io.BytesIO()
    (cloudpickle.Pickler if whole else _Packer)(buffer).dump(job)
    return buffer.getvalue()


def unpacked(content: bytes) -> Job:
    """Return the job that `packed` made bytes of."""
    job: Job = _Unpacker(io.BytesIO(content)).load()
    return job


class _Packer(cloudpickle.Pickler):  # type: ignore[misc]
    """Names data sets by their folder, so that each process maps its files into memory."""

    def persistent_id(self, given: object) -> _Named | None:
        if not isinstance(given, MultiviewDataset) or given.dataset_path is None:
            return None
        if _has_functions(given):
            return None
        embeddings = {
            name: view.embedding_name
            for name, view in given.views.items()
            if view.embeddings is not None
        }
        return given.dataset_path, given.fingerprints(), embeddings


class _Unpacker(pickle.Unpickler):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._read: dict[str, MultiviewDataset] = {}

    def persistent_load(self, given: _Named) -> MultiviewDataset:
        path, fingerprints, embeddings = given
        if path not in self._read:
            self._read[path] = MultiviewDataset.from_folder(path, embeddings=embeddings or None)
        if self._read[path].fingerprints() != fingerprints:
            raise StorageError(f"{path} has changed since the search began; begin a new search.")
        return self._read[path]


def _has_functions(dataset: MultiviewDataset) -> bool:
    """Return whether a view has a tokenizer of the user's own, which a folder can't keep."""
    return any(
        isinstance(view, TextView)
        and view.preprocessor is not None
        and callable(view.preprocessor.tokenizer)
        for view in dataset.views.values()
    )
