"""Git repositories on GitHub: which commit is meant, and which files it has."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from octis_m3l.sources.fetching import Fetcher, FetchError
from octis_m3l.sources.source import Entry, Hosts, Repository

_COMMIT = re.compile(r"[0-9a-f]{40}")


def whole_commit(repository: Repository, fetcher: Fetcher, hosts: Hosts) -> str:
    """Return the forty digits of a repository's commit; asks only where they aren't known."""
    wanted = repository.commit or ""
    if _COMMIT.fullmatch(wanted):
        return wanted
    url = f"{hosts.api}/repos/{repository.name}/commits/{wanted or 'HEAD'}"
    answer = fetcher.json(url, {})
    found = answer.get("sha") if isinstance(answer, Mapping) else None
    if not isinstance(found, str) or not _COMMIT.fullmatch(found) or not found.startswith(wanted):
        raise FetchError(
            f"{url}: the answer names no commit{f' that begins with {wanted}' if wanted else ''}; "
            "expected GitHub's description of one. Try again later."
        )
    return found


def list_files(repository: str, commit: str, fetcher: Fetcher, hosts: Hosts) -> list[Entry]:
    """Return all files of a repository at a commit, in the order of their paths."""
    url = f"{hosts.api}/repos/{repository}/git/trees/{commit}"
    answer = fetcher.json(url, {"recursive": "1"})
    tree = answer.get("tree") if isinstance(answer, Mapping) else None
    if not isinstance(tree, Sequence) or isinstance(tree, str) or answer.get("truncated"):
        raise FetchError(
            f"{url}: the answer is no whole list of files; expected GitHub's description of a "
            "tree. Try again later."
        )
    return sorted((_entry(url, item) for item in tree if _is_file(item)), key=lambda e: e.path)


def blob_name(path: Path) -> str:
    """Return the name that git gives a file's content: SHA-1 of its length and its bytes."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _is_file(item: Any) -> bool:
    return isinstance(item, Mapping) and item.get("type") == "blob"


def _entry(url: str, item: Mapping[str, Any]) -> Entry:
    path, blob, size = item.get("path"), item.get("sha"), item.get("size")
    if not isinstance(path, str) or not isinstance(blob, str) or not _COMMIT.fullmatch(blob):
        raise FetchError(
            f"{url}: an entry of the list of files has no path or no checksum; expected GitHub's "
            "description of a tree. Try again later."
        )
    return Entry(path, blob, size if isinstance(size, int) else None)
