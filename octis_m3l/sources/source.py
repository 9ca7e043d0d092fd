"""What is known of a public data set: its files, licence and citation, and how it is built."""

import inspect
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from octis_m3l import data
from octis_m3l.errors import SettingsError, check_known, suggest
from octis_m3l.validation import reasons

NONE_STATED = "none stated"
GITHUB_FILES = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Parameters
    ----------
    path : str
        Where it is stored, below the folder of raw files.
    repository, origin : str
        The name of the repository, and the path there.
    sha256, size : str and int, optional
        Its checksum and its length in bytes. The checksum of the first fetch is recorded and used
        from then on if there is none.
    blob : str, optional
        The object name that git gives its content, which serves as a checksum too.
    required : bool
        Whether a missing file (404) is an error; if not, it is left out.
    """

    path: str
    repository: str
    origin: str
    sha256: str | None = None
    size: int | None = None
    blob: str | None = None
    required: bool = True

    def address(self, commit: str) -> str:
        """Return where it is fetched from, at a commit of its repository."""
        return f"{GITHUB_FILES}/{self.repository}/{commit}/{quote(self.origin)}"


Listing = Callable[[Mapping[str, Sequence[RemoteFile]], Path], Sequence[RemoteFile]]
"""From each repository's files, and the folder of what was fetched so far, to further files."""


@dataclass(frozen=True)
class Source:
    """A public data set.

    A `Source` at the top level of any file in this package is in the catalogue.

    Parameters
    ----------
    name : str
        Its name on the command line.
    title : str
        What it is, in one line.
    views : tuple of str
        Its views; empty if they are chosen when it is built.
    linked : bool
        Whether its items are linked.
    homepage, licence, citation : str
        Where to read about it, under which terms the source offers it, and what to cite.
    build : callable (folder of raw files, **options) → MultiviewDataset
        Builds the data set. Its keyword-only, annotated arguments are what a user may choose.
    repositories : mapping of str to str, optional
        The GitHub repositories of its files (``owner/name``), each with a commit, whole or its
        first digits. None: the newest commit at the first fetch, which later fetches use again.
    files : tuple of RemoteFile
        The files.
    listings : tuple of Listing
        Further files that are chosen from the repositories' lists, one listing after another.
    collect : callable (folder, Fetcher, *, progress, **options) → mapping, optional
        Fetches what is in no repository, continuing from what the folder holds, and returns what
        to record; it raises if something is missing in the end. Its keyword-only arguments other
        than ``progress`` are what a user may choose. It must replace files as a whole, because a
        complete data set may share them through hard links.
    actions : tuple of str
        Options of `collect` that are no properties of the data set; it is called again for them.
    size : int, optional
        Roughly how many bytes are fetched.
    notes : str
        What one should know before using it.
    """

    name: str
    title: str
    views: tuple[str, ...]
    linked: bool
    homepage: str
    licence: str
    citation: str
    build: Callable[..., "data.MultiviewDataset"]
    repositories: Mapping[str, str | None] = field(default_factory=dict)
    files: tuple[RemoteFile, ...] = ()
    listings: tuple[Listing, ...] = ()
    collect: Callable[..., Mapping[str, Any]] | None = None
    actions: tuple[str, ...] = ()
    size: int | None = None
    notes: str = ""

    @property
    def fetching_options(self) -> dict[str, inspect.Parameter]:
        """What a user may choose when the set is fetched."""
        options = _options(self.collect) if self.collect else {}
        options.pop("progress", None)
        return options

    @property
    def building_options(self) -> dict[str, inspect.Parameter]:
        """What a user may choose when the set is built."""
        return {"views": _VIEWS, **_options(self.build)}

    def check(self, given: Mapping[str, Any], options: Mapping[str, inspect.Parameter]) -> None:
        """Reject unknown options, and values of a wrong type."""
        for name, value in given.items():
            if name not in options:
                raise SettingsError(f"{self.name} has no option '{name}'.{suggest(name, options)}")
            try:
                TypeAdapter(options[name].annotation).validate_python(value, strict=True)
            except ValidationError as error:
                why = f"{self.name}: {name}={value!r}: {reasons(error)}."
                raise SettingsError(why) from None


_VIEWS = inspect.Parameter(
    "views", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Sequence[str] | None
)


def _options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    return {name: one for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY}


def defaults(options: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """Return the options' defaults."""
    return {name: option.default for name, option in options.items()}


def chosen_views(wanted: Sequence[str] | None, known: Collection[str]) -> list[str]:
    """Return the views to build, in the order of the data set."""
    for name in wanted or ():
        check_known(name, known, "view")
    return [name for name in known if wanted is None or name in wanted]


def preprocessors(
    views: Iterable[str],
    vocabulary_size: int | None,
    languages: Mapping[str, str] | None = None,
    **settings: Any,
) -> "dict[str, data.TextPreprocessor]":
    """Return the preprocessors of views of which `languages`, or their names, say the language."""
    from octis_m3l.data.languages import language_of

    settings["vocabulary_size"] = vocabulary_size
    return {
        view: data.TextPreprocessor(language=language_of(view, languages), **settings)
        for view in views
    }


def drawn_partitions(items: Sequence[Any], test: int, validation: int, seed: int) -> dict[Any, str]:
    """Return each item's partition: the first of a random order are test, then validation."""
    order = list(items)
    random.Random(seed).shuffle(order)
    marks = ["test"] * test + ["validation"] * validation
    return dict(zip(order, marks + ["train"] * (len(order) - len(marks)), strict=True))
