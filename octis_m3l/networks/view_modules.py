"""Modules by view."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

from torch import nn

M = TypeVar("M", bound=nn.Module)


class ViewModules(nn.ModuleDict, Generic[M]):
    """A typed ModuleDict whose keys may be any view's name: 'half', 'to' or 'items' too."""

    def __init__(self, modules: Mapping[str, M]) -> None:
        super().__init__(cast(Any, modules))

    def __setitem__(self, key: str, module: nn.Module) -> None:
        """Keep a module under a view's name."""
        self._modules[key] = module

    def __getitem__(self, key: str) -> M:
        """Return a view's module."""
        return cast(M, super().__getitem__(key))
