"""The parts of a data set: what readers and builders return and MultiviewDataset takes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.views import View


@dataclass(frozen=True, eq=False)
class DatasetParts:
    """The arguments of `MultiviewDataset`, under the same names."""

    views: Iterable[View]
    links: NDArray[np.int64] | None = None
    pivot: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    dictionaries: Mapping[tuple[str, str], NDArray[np.int64]] = field(default_factory=dict)
    partitions: Mapping[str, Mapping[str, NDArray[np.int8]]] = field(default_factory=dict)
