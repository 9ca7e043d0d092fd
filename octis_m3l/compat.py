"""What OCTIS and contextualized-topic-models need on today's numpy; nothing else."""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

import numpy as np

MENDED_MODULES = (
    "octis.models.early_stopping.pytorchtools",
    "contextualized_topic_models.utils.early_stopping.early_stopping",
    "contextualized_topic_models.evaluation.measures",
)


class _OlderNumpy(ModuleType):
    """numpy with the name that version 1.24 removed, and the one that version 2 did."""

    Inf = np.inf
    float = float

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


class _MendingLoader(Loader):
    """Loads a module as ever, then gives it the older numpy."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        _mend(module)


class _MendingFinder(MetaPathFinder):
    """Finds the three modules that still say ``np.Inf`` or ``np.float``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in MENDED_MODULES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _MendingLoader(spec.loader)
        return spec


def install() -> None:
    """Mend the modules when they are imported, or now if they are there already.

    Nothing is done where numpy itself has both names.
    """
    whole = hasattr(np, "Inf") and hasattr(np, "float")
    if whole or any(isinstance(finder, _MendingFinder) for finder in sys.meta_path):
        return
    for name in MENDED_MODULES:
        if name in sys.modules:
            _mend(sys.modules[name])
    sys.meta_path.insert(0, _MendingFinder())


def _mend(module: Any) -> None:
    if getattr(module, "np", None) is np:
        module.np = _OlderNumpy("numpy")
