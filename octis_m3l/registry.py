"""Classes that files of a package define, found without importing the files."""

import ast
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Registered:
    """Where a class is, and the first paragraph of its docstring."""

    module: str
    attribute: str
    summary: str = ""


class Registry(Mapping[str, T]):
    """The classes of a package by name, each imported when it is first asked for.

    A class is registered by assigning `name` (or another attribute, as `named_by` says) in its
    body, at the top level of a file of the package: a string, or a tuple of strings. Classes that
    also assign a number to `order` come first, in that order; the others follow by name. Other
    distributions add classes by entry points, whose group is the name of the package.
    """

    def __init__(self, package: str, *, named_by: str = "name") -> None:
        self._package, self._attribute = package, named_by

    @property
    def registered(self) -> Mapping[str, Registered]:
        """Where each class is, by name."""
        return _classes_of(self._package, self._attribute, *sys.modules[self._package].__path__)

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
        """Return how many names there are."""
        return len(self.registered)


@lru_cache(maxsize=8)
def _classes_of(package: str, attribute: str, *folders: str) -> dict[str, Registered]:
    """Return the classes of a package's files that have a name; then those of entry points."""
    found: list[tuple[float, str, Registered]] = []
    for file in (file for folder in folders for file in Path(folder).glob("*.py")):
        text = file.read_text(encoding="utf-8")
        for node in ast.parse(text).body if re.search(rf"\n\s+{attribute}\b", text) else ():
            if isinstance(node, ast.ClassDef):
                constants = _constants(node)
                names = constants.get(attribute, ())
                summary = (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ")
                place = Registered(f"{package}.{file.stem}", node.name, summary)
                for name in [names] if isinstance(names, str) else names:
                    found.append((constants.get("order", math.inf), name, place))
    ours = {name: place for _, name, place in sorted(found, key=lambda entry: entry[:2])}
    others = {
        point.name: Registered(
            point.module, point.attr, f"Of the package {point.dist.name if point.dist else '?'}."
        )
        for point in entry_points(group=package)
        if point.name not in ours
    }
    return {**ours, **dict(sorted(others.items()))}


def _constants(node: ast.ClassDef) -> dict[str, Any]:
    """Return the constants that the body of a class assigns to names."""
    found: dict[str, Any] = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            if isinstance(target, ast.Name):
                with suppress(ValueError):
                    found[target.id] = ast.literal_eval(statement.value)
    return found


def lazily(package: str, file: str) -> Callable[[str], Any]:
    """Return a package's ``__getattr__``, which imports a public name when it is first asked for.

    The imports under ``if TYPE_CHECKING:`` in the package's file say where each name is.
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
