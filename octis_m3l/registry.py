"""What packages hold, found without being imported."""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Registered:
    """A class that a file of a package defines."""

    module: str
    attribute: str
    summary: str = ""


class Registry(Mapping[str, T]):
    """Classes by name, each imported when it is asked for."""

    def __init__(self, find: Callable[[], Mapping[str, Registered]]) -> None:
        self._find = find

    @property
    def registered(self) -> Mapping[str, Registered]:
        """Where each class is, by name."""
        return self._find()

    def __getitem__(self, name: str) -> T:
        """Import a class."""
        found = self.registered[name]
        kind: T = getattr(import_module(found.module), found.attribute)
        return kind

    def __contains__(self, name: object) -> bool:
        """Return whether there is a class of that name, without importing it."""
        return name in self.registered

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self.registered)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.registered)


@lru_cache(maxsize=8)
def models_in(package: str, *path: str) -> dict[str, Registered]:
    """Return the models of a package by name, in alphabetical order, without importing them.

    A model is a class at the top level of one of the package's files that says ``name = "..."``
    and ``settings_class = ...`` in its body.
    """
    found = {}
    for file in (file for folder in path for file in Path(folder).glob("*.py")):
        text = file.read_text(encoding="utf-8")
        for node in ast.parse(text).body if "settings_class" in text else ():
            if isinstance(node, ast.ClassDef):
                said = _assigned(node)
                name = said.get("name")
                if "settings_class" in said and isinstance(name, ast.Constant):
                    summary = (ast.get_docstring(node) or "").partition("\n\n")[0]
                    place = f"{package}.{file.stem}"
                    found[str(name.value)] = Registered(
                        place, node.name, summary.replace("\n", " ")
                    )
    return dict(sorted(found.items()))


def _assigned(node: ast.ClassDef) -> dict[str, ast.expr | None]:
    """Return what the body of a class assigns to names."""
    found: dict[str, ast.expr | None] = {}
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found[statement.target.id] = statement.value
        elif isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = statement.value
    return found


def lazily(package: str, file: str) -> Callable[[str], Any]:
    """Return a package's ``__getattr__``, which imports a public name when it is first asked for.

    What stands under ``if TYPE_CHECKING:`` in the package's file says where each name is.
    """
    places: dict[str, str] = {}
    for block in ast.parse(Path(file).read_text(encoding="utf-8")).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for node in block.body:
                if isinstance(node, ast.ImportFrom) and node.module:
                    places |= {alias.name: node.module for alias in node.names}

    def imported(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(import_module(places[name]), name)

    return imported
