"""Pictures as words: the nearest centroids of their embeddings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans

from octis_m3l.data.views import ImageView, TextView
from octis_m3l.encoders.picture import PictureEncoder
from octis_m3l.errors import DataError
from octis_m3l.models.exploration import Items, check_vectors

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class VisualWords:
    """A reader of pictures as words, kept with a model.

    The words of a picture are the nearest centroids of its standardised embedding (Sivic &
    Zisserman 2003, Video Google; here with embeddings of whole pictures).
    """

    view: str
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    centroids: NDArray[np.float32]
    per_picture: int
    encoded: bool

    @classmethod
    def fit(
        cls, view: ImageView, rows: slice, *, words: int, per_picture: int, seed: int
    ) -> tuple[Self, TextView]:
        """Learn the words on some items; return the reader, and all items as words."""
        given = view.embeddings
        vectors = PictureEncoder().encode(view.items(slice(None))) if given is None else given
        training = np.asarray(vectors[rows], np.float32)
        if not len(training):
            raise DataError(f"view '{view.name}' has no training item to learn visual words from.")
        mean, deviation = training.mean(axis=0, dtype=float), training.std(axis=0, dtype=float)
        varies = deviation > 1e-7 * np.maximum(np.abs(mean), deviation.max())
        scale = np.where(varies, 1.0 / np.where(varies, deviation, 1.0), 1.0)
        count = min(words, len(training))
        clusters = MiniBatchKMeans(count, random_state=seed, n_init=3).fit(
            (training - mean) * scale
        )
        learned = cls(
            view.name,
            mean.astype(np.float32),
            scale.astype(np.float32),
            clusters.cluster_centers_.astype(np.float32),
            min(per_picture, count),
            encoded=given is None,
        )
        return learned, learned._words(vectors, view.sizes)

    def read(self, items: Items) -> TextView:
        """Return pictures, or embeddings, as a view of words."""
        if not len(items):
            return self._words(np.zeros((0, len(self.mean)), np.float32), (0, 0, 0))
        if not self.encoded and not isinstance(items, np.ndarray):
            items = _stacked(items)
        given = isinstance(items, np.ndarray) and items.dtype.kind == "f"
        if not given and not self.encoded:
            raise DataError(
                f"the model was trained on given embeddings of view '{self.view}': pass an array "
                f"of floats (items × {len(self.mean)}) from the same encoder."
            )
        vectors = np.asarray(items) if given else PictureEncoder().encode(list(items))
        check_vectors(vectors, len(self.mean), self.view)
        return self._words(vectors, (len(vectors), 0, 0))

    def _words(self, vectors: NDArray[Any], sizes: tuple[int, int, int]) -> TextView:
        squares = np.square(self.centroids).sum(axis=1)
        nearest = [np.zeros((0, self.per_picture), np.int64)]
        for start in range(0, len(vectors), _ROWS_AT_ONCE):
            piece = (np.asarray(vectors[start : start + _ROWS_AT_ONCE]) - self.mean) * self.scale
            distances = squares - 2.0 * piece @ self.centroids.T
            order = np.argsort(distances, axis=1, kind="stable")
            nearest.append(order[:, : self.per_picture])
        words = np.concatenate(nearest)
        return TextView(
            name=self.view,
            sizes=sizes,
            vocabulary=tuple(f"visual{number}" for number in range(len(self.centroids))),
            token_ids=words.ravel().astype(np.int32),
            offsets=np.arange(len(words) + 1, dtype=np.int64) * self.per_picture,
        )

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the arrays to store."""
        parts = {"mean": self.mean, "scale": self.scale, "centroids": self.centroids}
        return {f"{part}/{self.view}": array for part, array in parts.items()}

    @classmethod
    def restored(
        cls, view: str, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]
    ) -> Self:
        """Return the reader that was stored."""
        mean, scale, centroids = (arrays[f"{n}/{view}"] for n in ("mean", "scale", "centroids"))
        return cls(view, mean, scale, centroids, settings["per_picture"], settings["encoded"])


def _stacked(items: Sequence[Any]) -> Any:
    """Return embeddings of one size, given one by one, as one array; anything else unchanged."""
    single = all(isinstance(item, np.ndarray) and item.dtype.kind == "f" for item in items)
    return np.stack(list(items)) if single and len({item.shape for item in items}) == 1 else items
