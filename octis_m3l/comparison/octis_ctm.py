"""A view's embeddings where OCTIS's CTM looks for them."""

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import check_embeddings


@contextmanager
def embeddings_for_octis_ctm(
    dataset: MultiviewDataset,
    embeddings: NDArray[Any],
    view: str | None = None,
    *,
    use_partitions: bool = True,
    test: str = "test",
) -> Iterator[str]:
    """Give the ``bert_path`` with which OCTIS's CTM trains on a view's embeddings.

    OCTIS's CTM encodes texts with a model that it downloads, unless it finds pickles of
    embeddings. They are written to a temporary folder and deleted when the block ends; nothing
    here reads a pickle.
    """
    items = dataset.text_view(view or dataset.pivot)
    check_embeddings(embeddings, len(items), items.name)
    parts = {"_train": slice(0, len(items))}
    if use_partitions:
        marks = {"_train": "train", "_val": "validation", "_test": test}
        parts = {ending: items.rows(partition) for ending, partition in marks.items()}
    with tempfile.TemporaryDirectory() as folder:
        for ending, rows in parts.items():
            path = Path(folder) / f"embeddings{ending}.pkl"
            path.write_bytes(pickle.dumps(np.asarray(embeddings[rows], np.float32)))
        yield str(Path(folder) / "embeddings")
