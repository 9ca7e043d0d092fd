"""What OCTIS and contextualized-topic-models need on today's numpy, and nothing else."""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

import numpy as np

PATCHED_MODULES = (
    "octis.models.early_stopping.pytorchtools",
    "contextualized_topic_models.utils.early_stopping.early_stopping",
    "contextualized_topic_models.evaluation.measures",
)


class _OlderNumpy(ModuleType):
    """numpy with ``np.Inf``, which version 2 removed, and ``np.float``, which 1.24 did."""

    Inf = np.inf
    float = float

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


class _PatchingLoader(Loader):
    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        _patch(module)


class _PatchingFinder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in PATCHED_MODULES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _PatchingLoader(spec.loader)
        return spec


def install() -> None:
    """Give the modules above an older numpy when they are imported, or now if they are already.

    Other modules, and numpy itself, stay as they are.
    """
    complete = hasattr(np, "Inf") and hasattr(np, "float")
    if complete or any(isinstance(finder, _PatchingFinder) for finder in sys.meta_path):
        return
    for name in PATCHED_MODULES:
        if name in sys.modules:
            _patch(sys.modules[name])
    sys.meta_path.insert(0, _PatchingFinder())


def _patch(module: Any) -> None:
    if getattr(module, "np", None) is np:
        module.np = _OlderNumpy("numpy")
