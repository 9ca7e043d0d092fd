"""What OCTIS and contextualized-topic-models need on today's numpy, and nothing else."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

import numpy as np

PATCHED_MODULES = (
    "octis.models.early_stopping.pytorchtools",
    "contextualized_topic_models.utils.early_stopping.early_stopping",
    "contextualized_topic_models.evaluation.measures",
)


class _PatchingLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _patch(module)


class _PatchingFinder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in PATCHED_MODULES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _PatchingLoader(spec.loader.name, spec.loader.path)
        return spec


def install() -> None:
    """Give the modules above an older numpy when they are imported, or now if they are already.

    Other modules, and numpy itself, stay as they are.
    """
    if any(isinstance(finder, _PatchingFinder) for finder in sys.meta_path):
        return
    for name in PATCHED_MODULES:
        if name in sys.modules:
            _patch(sys.modules[name])
    sys.meta_path.insert(0, _PatchingFinder())


def _patch(module: Any) -> None:
    """Give a module numpy with ``np.Inf`` and ``np.float``, which numpy itself has no more."""
    if getattr(module, "np", None) is np:
        module.np = ModuleType("numpy")
        vars(module.np).update(vars(np) | {"Inf": np.inf, "float": float})
