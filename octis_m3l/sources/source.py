"""What is known of a public data set: its files, licence and citation, and how it is built."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import TypeAdapter

from octis_m3l.errors import DataError, SettingsError, suggest
from octis_m3l.validation import checked

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset

NONE_STATED = "none stated"


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Parameters
    ----------
    path : str
        Where it is stored, below the folder of raw files.
    repository, origin : str
        The name of the repository, and the path there.
    sha256 : str, optional
        Its checksum. None: the checksum of the first fetch is recorded and used from then on.
    size : int, optional
        Its length in bytes.
    blob : str, optional
        The object name that git gives its content, which serves as a checksum too.
    required : bool
        Whether a missing file (404) is an error; if not, it is left out.
    url : str, optional
        Where it is fetched from, instead of the repository.
    """

    path: str
    repository: str
    origin: str
    sha256: str | None = None
    size: int | None = None
    blob: str | None = None
    required: bool = True
    url: str | None = None


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
    actions : mapping of str to bool
        Options of `collect` that are not properties of the data set, each with whether giving it
        asks the servers again although everything is there.
    size : int, optional
        Roughly how many bytes are fetched.
    notes : str
        What one should know before using it.
    raw, api : str
        Addresses that serve ``<repository>/<commit>/<path>`` and GitHub's REST API.
    """

    name: str
    title: str
    views: tuple[str, ...]
    linked: bool
    homepage: str
    licence: str
    citation: str
    build: Callable[..., "MultiviewDataset"]
    repositories: Mapping[str, str | None] = field(default_factory=dict)
    files: tuple[RemoteFile, ...] = ()
    listings: tuple[Listing, ...] = ()
    collect: Callable[..., Mapping[str, Any]] | None = None
    actions: Mapping[str, bool] = field(default_factory=dict)
    size: int | None = None
    notes: str = ""
    raw: str = "https://raw.githubusercontent.com"
    api: str = "https://api.github.com"

    def address(self, file: RemoteFile, commit: str) -> str:
        """Return where a file is fetched from, at a commit of its repository."""
        return file.url or f"{self.raw}/{file.repository}/{commit}/{quote(file.origin)}"

    @property
    def fetching_options(self) -> dict[str, Any]:
        """What a user may choose when the set is fetched, with the defaults."""
        options = {} if self.collect is None else _options(self.collect)
        return {name: one.default for name, one in options.items() if name != "progress"}

    @property
    def building_options(self) -> dict[str, Any]:
        """What a user may choose when the set is built, with the defaults."""
        return {"views": None} | {name: one.default for name, one in _options(self.build).items()}

    def check_fetching(self, options: Mapping[str, Any]) -> None:
        """Reject unknown options of `collect`, and values of a wrong type."""
        self._check(options, self.fetching_options, self.collect)

    def check_building(self, options: Mapping[str, Any]) -> None:
        """Reject unknown options of `build`, and values of a wrong type."""
        self._check(options, self.building_options, self.build)

    def _check(
        self,
        options: Mapping[str, Any],
        known: Collection[str],
        function: Callable[..., Any] | None,
    ) -> None:
        for name, value in options.items():
            if name not in known:
                raise SettingsError(f"{self.name} has no option '{name}'.{suggest(name, known)}")
            option = _options(function).get(name) if function else None
            annotation: Any = Sequence[str] | None if option is None else option.annotation
            checked(f"{self.name}: {name}", TypeAdapter(annotation), value)


def chosen_views(wanted: Sequence[str] | None, known: Collection[str]) -> list[str]:
    """Return the views to build, in the order of the data set."""
    for name in wanted or ():
        if name not in known:
            raise DataError(f"there is no view '{name}'.{suggest(name, known)}")
    return [name for name in known if wanted is None or name in wanted]


def _options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    return {name: one for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY}
