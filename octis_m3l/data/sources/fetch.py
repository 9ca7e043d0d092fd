"""Raw files of a public data set: fetched whole, going on after an interruption."""

import inspect
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from octis_m3l.data.sources.catalogue import source_of
from octis_m3l.data.sources.fetching import Fetcher, FetchError
from octis_m3l.data.sources.places import cache_folder
from octis_m3l.data.sources.record import (
    FORMAT,
    RAW,
    RECORD,
    checksum,
    damaged_files,
    home_of,
    read_record,
)
from octis_m3l.data.sources.repositories import blob_name, list_files, whole_commit
from octis_m3l.data.sources.source import Entry, RemoteFile, Source
from octis_m3l.errors import SettingsError, StorageError, suggest
from octis_m3l.files import read_json, write_json

UNDER_WAY = "raw.part"
PLAN = "plan.json"
LOCK = ".lock"
DELAY = 0.1


def fetch(
    name: str | Source,
    folder: str | Path | None = None,
    *,
    fetcher: Fetcher | None = None,
    progress: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Fetch the raw files of a public data set, or what is missing of them.

    They come to ``<folder>/<name>/raw``, which is there only when all have come;
    ``<folder>/<name>/source.json`` says of each where it is from, with its checksum, and gives the
    licence and what to cite. Interrupted, the same call goes on where it stopped. A set that is
    there already is compared with its checksums, and no server is asked.

    Parameters
    ----------
    name : str or Source
        One of the catalogue, or ``huggingface:NAME``.
    folder : str or Path, optional
        The folder of all fetched sets. Default: `cache_folder`.
    fetcher : Fetcher, optional
        Asks the servers. Default: one that keeps a distance of 0.1 s.
    progress : bool
        Whether to show a bar.
    **options
        Of sets that come from an interface instead of files: ``limit`` of wikipedia-m3l, say. With
        other options than before, what is missing by them is fetched.

    Returns
    -------
    dict
        What stands in ``source.json``.

    Raises
    ------
    SettingsError
        If there is no set of that name, or an option isn't one of it.
    FetchError
        If a file can't be had, or isn't what was expected.
    StorageError
        If what is there was fetched from elsewhere, or can't be read.
    """
    source = source_of(name) if isinstance(name, str) else name
    _check_options(source, options)
    home = home_of(source, Path(folder) if folder is not None else cache_folder())
    record = _whole_record(home, source, options)
    if record is not None:
        return record
    with _alone(home):
        return _whole_record(home, source, options) or _fetch_to(
            home, source, fetcher or Fetcher(delay=DELAY), progress, options
        )


def fetching_options(source: Source) -> dict[str, Any]:
    """Return what a user can choose when a set is fetched, with the defaults.

    Parameters
    ----------
    source : Source
        The set.
    """
    if source.collect is None:
        return {}
    parameters = inspect.signature(source.collect).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _check_options(source: Source, options: Mapping[str, Any]) -> None:
    known = fetching_options(source)
    for name in options:
        if name not in known:
            raise SettingsError(
                f"'{name}' is no choice in fetching {source.name}.{suggest(name, known)}"
            )


def _fetch_to(
    home: Path, source: Source, fetcher: Fetcher, progress: bool, options: Mapping[str, Any]
) -> dict[str, Any]:
    record = read_record(home)
    plan: dict[str, Any] = {"commits": {}, "checksums": {}}
    if record is not None:
        known = {path: file["sha256"] for path, file in record["files"].items()}
        plan = {"commits": record["commits"], "checksums": known}
        _reopen(home, plan, damaged_files(home, record, thoroughly=True))
    elif (home / PLAN).is_file():
        plan |= read_json(home / PLAN)
    work = _workplace(home)
    commits = {
        repository.name: plan["commits"].get(repository.name)
        or whole_commit(repository, fetcher, source.hosts)
        for repository in source.repositories
    }
    write_json(home / PLAN, plan | {"commits": commits})
    described, left_out = _fetch_all(source, work, commits, plan["checksums"], fetcher, progress)
    collected = dict(source.collect(work, fetcher, **options)) if source.collect else {}
    if source.collect:
        described |= _collected_files(work, described)
    collected = {"collected": collected, "options": dict(options)}
    return _finish(source, home, commits, described, left_out, collected)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Let one process at a time work in a set's folder."""
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / LOCK)
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout:
        raise StorageError(
            f"{home} is being fetched to by another process; wait for it, or give another folder."
        ) from None


def _whole_record(home: Path, source: Source, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the record of a set that is there in all its files, as it is wanted."""
    record = read_record(home)
    if record is None or record.get("options", {}) != options:
        return None
    pins = {repository.name: repository.commit for repository in source.repositories}
    if record.get("pins") != pins:
        raise StorageError(
            f"{home} was fetched from other commits than the catalogue names now; move it away and "
            "fetch it again, or give another folder."
        )
    return None if damaged_files(home, record, thoroughly=True) else record


def _reopen(home: Path, plan: Mapping[str, Any], damaged: Iterable[str]) -> None:
    """Make a set whose files are damaged one that is still being fetched."""
    write_json(home / PLAN, plan)
    (home / RECORD).unlink()
    for name in damaged:
        (home / RAW / name).unlink(missing_ok=True)


def _workplace(home: Path) -> Path:
    work, raw = home / UNDER_WAY, home / RAW
    if raw.is_dir():
        shutil.rmtree(work, ignore_errors=True)
        raw.rename(work)
    work.mkdir(parents=True, exist_ok=True)
    return work


def _fetch_all(
    source: Source,
    work: Path,
    commits: Mapping[str, str],
    checksums: Mapping[str, str],
    fetcher: Fetcher,
    progress: bool,
) -> tuple[dict[str, Any], list[str]]:
    described: dict[str, Any] = {}
    left_out: list[str] = []
    for files in _stages(source, work, commits, fetcher):
        for file in _with_bar(files, source.name, progress):
            url = source.address(file, commits[file.repository])
            known = file.sha256 or checksums.get(file.path)
            try:
                _fetch_one(file, url, work / file.path, known, fetcher)
            except FetchError as error:
                if file.required or error.status != HTTPStatus.NOT_FOUND:
                    raise
                left_out.append(file.path)
                continue
            described[file.path] = _description(work / file.path, url, file)
    return described, left_out


def _stages(
    source: Source, work: Path, commits: Mapping[str, str], fetcher: Fetcher
) -> Iterator[Iterable[RemoteFile]]:
    yield source.files
    if not source.listings:
        return
    trees: dict[str, list[Entry]] = {
        name: list_files(name, commit, fetcher, source.hosts) for name, commit in commits.items()
    }
    for listing in source.listings:
        yield listing(trees, work)


def _with_bar(
    files: Iterable[RemoteFile], description: str, progress: bool
) -> Iterable[RemoteFile]:
    from tqdm.auto import tqdm

    return tqdm(list(files), desc=description, unit="file", disable=not progress)


def _fetch_one(
    file: RemoteFile, url: str, place: Path, sha256: str | None, fetcher: Fetcher
) -> None:
    fetcher.download(url, place, sha256=sha256, size=file.size)
    if file.blob is not None and blob_name(place) != file.blob:
        place.unlink()
        raise FetchError(
            f"{url}: what came is not the file that the repository's list names (git's {file.blob} "
            "was expected). It is deleted: fetch again."
        )


def _description(path: Path, url: str, file: RemoteFile) -> dict[str, Any]:
    known = file.sha256 is not None or file.blob is not None
    return {
        "url": url,
        "sha256": checksum(path),
        "size": path.stat().st_size,
        "checked": "with the catalogue" if known else "recorded on first fetch",
    }


def _collected_files(work: Path, described: Mapping[str, Any]) -> dict[str, Any]:
    found = {path.relative_to(work).as_posix(): path for path in sorted(work.rglob("*"))}
    return {
        name: {
            "url": None,
            "sha256": checksum(path),
            "size": path.stat().st_size,
            "checked": "recorded on first fetch",
        }
        for name, path in found.items()
        if path.is_file() and name not in described
    }


def _finish(
    source: Source,
    home: Path,
    commits: Mapping[str, str],
    described: Mapping[str, Any],
    left_out: list[str],
    collected: Mapping[str, Any],
) -> dict[str, Any]:
    record = {
        "format": FORMAT,
        "name": source.name,
        "title": source.title,
        "homepage": source.homepage,
        "licence": source.licence,
        "citation": source.citation,
        "date": datetime.now(UTC).date().isoformat(),
        "commits": dict(commits),
        "pins": {repository.name: repository.commit for repository in source.repositories},
        "files": dict(described),
        "left_out": left_out,
        **collected,
    }
    (home / UNDER_WAY).rename(home / RAW)
    write_json(home / RECORD, record)
    (home / PLAN).unlink(missing_ok=True)
    return record
