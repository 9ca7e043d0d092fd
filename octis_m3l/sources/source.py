"""What is known of a public data set: its files, licence and citation, and how it is built."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset


NONE_STATED = "none stated"
"""The licence of a set whose source says nothing of one."""


@dataclass(frozen=True)
class Repository:
    """A git repository at one commit.

    Parameters
    ----------
    name : str
        Owner and name: ``scrollmapper/bible_databases``.
    commit : str, optional
        The commit, whole or its first digits. None: the newest one when the set is first fetched,
        which is written down and kept to.
    """

    name: str
    commit: str | None = None


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Parameters
    ----------
    path : str
        Where it goes, below the folder of raw files.
    repository : str
        The name of the repository that has it.
    origin : str
        Its path there.
    sha256 : str, optional
        Its checksum. None: not known beforehand; that of the first fetch is written down, and
        later fetches are checked with it.
    size : int, optional
        Its length in bytes.
    blob : str, optional
        Its name in git, where the repository's list of files gave it; it is a checksum too.
    required : bool
        Whether the set can't do without it; if not, and it isn't there, it is left out.
    url : str, optional
        Where it is fetched from, in place of its repository.
    """

    path: str
    repository: str
    origin: str
    sha256: str | None = None
    size: int | None = None
    blob: str | None = None
    required: bool = True
    url: str | None = None


@dataclass(frozen=True)
class Entry:
    """A file in a repository's list.

    Parameters
    ----------
    path : str
        Where it is.
    blob : str
        Its name in git.
    size : int, optional
        Its length in bytes.
    """

    path: str
    blob: str
    size: int | None = None


@dataclass(frozen=True)
class Hosts:
    """Where repositories are asked for.

    Parameters
    ----------
    raw : str
        Serves ``<repository>/<commit>/<path>``.
    api : str
        Answers as GitHub's REST API does.
    """

    raw: str = "https://raw.githubusercontent.com"
    api: str = "https://api.github.com"


Listing = Callable[[Mapping[str, Sequence[Entry]], Path], Sequence[RemoteFile]]
"""From the repositories' lists of files, and what has come so far, to the next files to fetch."""


Builder = Callable[..., "MultiviewDataset"]
"""Makes a data set of the folder of raw files; its keywords are what a user may choose."""


@dataclass(frozen=True)
class Source:
    """A public data set.

    Parameters
    ----------
    name : str
        What it is called on the command line.
    title : str
        What it is, in one line.
    views : tuple of str
        Its views; empty where they are chosen when it is built.
    linked : bool
        Whether its items are linked.
    homepage : str
        Where to read about it.
    licence : str
        As the source says it, or that it says none.
    citation : str
        What to cite.
    build : Builder
        From the raw files to the data set.
    repositories : tuple of Repository
        Where its files are.
    files : tuple of RemoteFile
        The files.
    listings : tuple of Listing
        Further files that are chosen from the repositories' lists, one after another.
    collect : callable (folder, Fetcher, **options) → mapping, optional
        Fetches what is in no repository to the folder of raw files, going on from what is there,
        and returns what to write down. It raises if the set isn't whole in the end. What a user
        may choose are its keyword arguments, but for ``progress``: whether to show a bar. Files
        that are there already are replaced whole and never written into: a complete set may share
        them.
    actions : mapping of str to bool
        Which of these keyword arguments say what to do now, and not what the set is; and whether
        it is asked again for the sake of them when everything is there.
    size : int, optional
        About how many bytes are fetched.
    notes : str
        What one should know before using it.
    hosts : Hosts
        Where repositories are asked for.
    """

    name: str
    title: str
    views: tuple[str, ...]
    linked: bool
    homepage: str
    licence: str
    citation: str
    build: Builder
    repositories: tuple[Repository, ...] = ()
    files: tuple[RemoteFile, ...] = ()
    listings: tuple[Listing, ...] = ()
    collect: Callable[..., Mapping[str, Any]] | None = None
    actions: Mapping[str, bool] = field(default_factory=dict)
    size: int | None = None
    notes: str = ""
    hosts: Hosts = field(default_factory=Hosts)

    def address(self, file: RemoteFile, commit: str) -> str:
        """Return where a file is fetched from.

        Parameters
        ----------
        file : RemoteFile
            The file.
        commit : str
            Of its repository.
        """
        if file.url is not None:
            return file.url
        return f"{self.hosts.raw}/{file.repository}/{commit}/{quote(file.origin)}"
