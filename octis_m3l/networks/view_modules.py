"""Modules by view."""

from torch import nn


class ViewModules(nn.ModuleDict):
    """A ModuleDict whose keys may be any view's name: 'half', 'to' or 'items' too."""

    def __setitem__(self, key: str, module: nn.Module) -> None:
        """Keep a module under a view's name."""
        self._modules[key] = module
