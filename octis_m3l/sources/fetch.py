"""The raw files of a public data set: fetched as a whole, and recorded with their checksums."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError
from tqdm.auto import tqdm

from octis_m3l.errors import StorageError
from octis_m3l.files import cache_folder, held, read_json, sha256, write_errors, write_json
from octis_m3l.sources.catalogue import source_of
from octis_m3l.sources.download import Fetcher, FetchError
from octis_m3l.sources.source import RemoteFile, Source, defaults

FORMAT = "octis-m3l source"
RECORD, _PLAN = "source.json", "plan.json"
RAW, _LINKED, _UNFINISHED, _REPLACED = "raw", "raw.links", "raw.part", "raw.old"
DELAY = 0.1
GITHUB_API = "https://api.github.com"
_ABOUT = ("name", "title", "homepage", "licence", "citation")
_RECORDED = {"name", "homepage", "licence", "citation", "date", "commits", "files", "left_out"}
_COMMIT = "[0-9a-f]{40}"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_Answer = TypeVar("_Answer", bound=BaseModel)


def fetch(
    name: str | Source,
    folder: str | Path | None = None,
    *,
    fetcher: Fetcher | None = None,
    progress: bool = False,
    again: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Fetch the raw files of a public data set, or what is missing of them.

    They are in ``<folder>/<name>/raw`` as soon as all have arrived; what was there before stays
    until then. ``<folder>/<name>/source.json`` records where each is from and its checksum, the
    licence and what to cite. An interrupted call is continued by the same call. The files of a
    complete set are compared with their checksums, and no server is asked. With `again` everything
    is fetched anew.
    """
    source = source_of(name)
    source.check(options, source.fetching_options)
    home = home_of(source, folder)
    record = read_record(home, source.name)
    if record is not None and not again:
        _check_pins(source, home, record)
        acts = any(options.get(name) for name in source.actions)
        failed = bool(record.get("collected", {}).get("failed"))
        same = _properties(source, record.get("options", {})) == _properties(source, options)
        if same and not acts and not failed and not damaged_files(home / RAW, record):
            return record
    with held(home):
        return _fetch(source, home, fetcher or Fetcher(delay=DELAY), progress, again, options)


def home_of(source: Source, folder: str | Path | None) -> Path:
    """Return the folder of one data set, by default in the user's cache folder."""
    above = cache_folder() / "datasets" if folder is None else Path(folder)
    safe = _UNSAFE.sub("-", source.name)
    if safe == source.name:
        return above / safe
    return above / f"{safe}-{hashlib.sha256(source.name.encode()).hexdigest()[:8]}"


def read_record(home: Path, name: str) -> dict[str, Any] | None:
    """Return what was recorded of a data set that was fetched completely, else None."""
    path = home / RECORD
    if not path.is_file():
        return None
    try:
        record = read_json(path)
    except StorageError:
        record = {}
    if record.get("format") != FORMAT or not record.keys() >= _RECORDED:
        raise StorageError(
            f"{path} is damaged, or no record of a fetched data set. Delete it and fetch the set: "
            "the files that are there are used."
        )
    if record["name"] != name:
        raise StorageError(
            f"{home} holds the data set {record['name']}, where {name} was expected; give another "
            "folder, or move it away."
        )
    return record


def damaged_files(raw: Path, record: Mapping[str, Any]) -> list[str]:
    """Return which files of a folder are missing, or not as they were fetched."""
    return [
        name
        for name, known in record.get("files", {}).items()
        if not (raw / name).is_file() or sha256(raw / name) != known["sha256"]
    ]


def _fetch(
    source: Source,
    home: Path,
    fetcher: Fetcher,
    progress: bool,
    again: bool,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    plan, raw = home / _PLAN, home / _UNFINISHED
    known: Mapping[str, Any] = {}
    if not again:
        unfinished = read_json(plan) if plan.is_file() else {}
        # Another process may have finished while this one waited.
        known = read_record(home, source.name) or unfinished
    if known:
        _check_pins(source, home, known)
    commits = {
        name: known.get("commits", {}).get(name) or _whole_commit(source, name, fetcher)
        for name in source.repositories
    }
    pins = dict(source.repositories)
    with write_errors(raw):
        if again:
            shutil.rmtree(raw, ignore_errors=True)
        elif not raw.is_dir() and (home / RAW).is_dir():
            shutil.rmtree(home / _LINKED, ignore_errors=True)
            shutil.copytree(home / RAW, home / _LINKED, copy_function=_link)
            (home / _LINKED).rename(raw)
        raw.mkdir(parents=True, exist_ok=True)
    write_json(plan, {"pins": pins, "commits": commits})
    checksums = {name: file["sha256"] for name, file in known.get("files", {}).items()}
    for name in damaged_files(raw, known):
        (raw / name).unlink(missing_ok=True)
    files: dict[str, Any] = {}
    left_out = []
    for file in _files(source, raw, commits, fetcher, progress):
        url = file.address(commits[file.repository])
        try:
            _fetch_file(file, url, raw / file.path, checksums.get(file.path), fetcher, progress)
            files[file.path] = _description(raw / file.path, url, file.sha256 or file.blob)
        except FetchError as error:
            if file.required or error.status != HTTPStatus.NOT_FOUND:
                raise
            left_out.append(file.path)
    collected: Mapping[str, Any] = {}
    if source.collect is not None:
        collected = source.collect(raw, fetcher, progress=progress, **options)
        for path in sorted(raw.rglob("*")):
            name = path.relative_to(raw).as_posix()
            if path.is_file() and name not in files and ".part" not in path.suffixes:
                files[name] = _description(path, None, None)
    record = {
        "format": FORMAT,
        **{key: getattr(source, key) for key in _ABOUT},
        "date": datetime.now(UTC).date().isoformat(),
        "commits": commits,
        "pins": pins,
        "files": files,
        "left_out": left_out,
        "collected": dict(collected),
        "options": _properties(source, options),
    }
    # Interrupted from here on, files and record differ, and the next fetch sees that.
    with write_errors(home):
        shutil.rmtree(home / _REPLACED, ignore_errors=True)
        if (home / RAW).is_dir():
            (home / RAW).rename(home / _REPLACED)
        raw.rename(home / RAW)
    write_json(home / RECORD, record)
    plan.unlink(missing_ok=True)
    shutil.rmtree(home / _REPLACED, ignore_errors=True)
    return record


def _link(origin: str, place: str) -> None:
    try:
        os.link(origin, place)
    except OSError:
        shutil.copy2(origin, place)


def _check_pins(source: Source, home: Path, known: Mapping[str, Any]) -> None:
    if known.get("pins") != dict(source.repositories):
        raise StorageError(
            f"{home} was fetched from other commits than the catalogue names now; fetch it from "
            "the start with again=True (--again), or give another folder."
        )


def _properties(source: Source, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are properties of the data set and differ from the defaults."""
    usual = defaults(source.fetching_options)
    return {
        name: value
        for name, value in options.items()
        if name not in source.actions and usual.get(name, ...) != value
    }


def _files(
    source: Source, raw: Path, commits: Mapping[str, str], fetcher: Fetcher, progress: bool
) -> Iterator[RemoteFile]:
    """Yield the files to fetch; a listing is asked when those before it have been fetched."""
    yield from tqdm(source.files, desc=source.name, unit="file", disable=not progress)
    if source.listings:
        trees = {name: _list_files(name, commits[name], fetcher) for name in commits}
        for listing in source.listings:
            files = listing(trees, raw)
            yield from tqdm(files, desc=source.name, unit="file", disable=not progress)


def _fetch_file(
    file: RemoteFile,
    url: str,
    place: Path,
    recorded: str | None,
    fetcher: Fetcher,
    progress: bool,
) -> None:
    checksum = file.sha256 or recorded
    try:
        fetcher.download(
            url, place, sha256=checksum, size=file.size, refuse_html=True, progress=progress
        )
    except FetchError as error:
        if file.sha256 is not None or recorded is None or recorded not in str(error):
            raise
        raise FetchError(
            f"{error} The checksum is that of the first fetch; if the source was changed or that "
            "fetch was wrong, again=True (--again) takes what is there now."
        ) from None
    if file.blob is not None and _blob_name(place) != file.blob:
        place.unlink()
        raise FetchError(
            f"{url}: what came is not the file that the repository's list names (git's "
            f"{file.blob} was expected). It is deleted: fetch again."
        )


def _description(path: Path, url: str | None, checksum: str | None) -> dict[str, Any]:
    return {
        "url": url,
        "sha256": sha256(path),
        "size": path.stat().st_size,
        "checked": "recorded on first fetch" if checksum is None else "with the catalogue",
    }


class _Commit(BaseModel):
    sha: str = Field(pattern=f"^{_COMMIT}$")


class _Entry(BaseModel):
    path: str
    type: str
    sha: str
    size: int | None = None


class _Tree(BaseModel):
    tree: list[_Entry]
    truncated: Literal[False] = False


def _whole_commit(source: Source, repository: str, fetcher: Fetcher) -> str:
    """Return the forty digits of a repository's commit."""
    wanted = source.repositories[repository] or "HEAD"
    if re.fullmatch(_COMMIT, wanted):
        return wanted
    found = _ask(f"{repository}/commits/{wanted}", fetcher, _Commit, "description of a commit").sha
    if not found.startswith(source.repositories[repository] or ""):
        raise FetchError(f"{repository}: the server has the commit {found} in place of {wanted}.")
    return found


def _list_files(repository: str, commit: str, fetcher: Fetcher) -> list[RemoteFile]:
    """Return all files of a repository at a commit, sorted by their paths."""
    query = f"{repository}/git/trees/{commit}?recursive=1"
    answer = _ask(query, fetcher, _Tree, "complete list of files")
    return [
        RemoteFile(entry.path, repository, entry.path, size=entry.size, blob=entry.sha)
        for entry in sorted(answer.tree, key=lambda entry: entry.path)
        if entry.type == "blob"
    ]


def _ask(query: str, fetcher: Fetcher, form: type[_Answer], expected: str) -> _Answer:
    url = f"{GITHUB_API}/repos/{query}"
    try:
        return form.model_validate(fetcher.json(url))
    except ValidationError:
        raise FetchError(f"{url}: the answer is no {expected}. Try again later.") from None


def _blob_name(path: Path) -> str:
    """Return the object name that git gives a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
