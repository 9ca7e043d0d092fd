"""Raw files of a public data set: fetched whole, going on after an interruption."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from octis_m3l.errors import StorageError
from octis_m3l.files import write_json
from octis_m3l.sources.catalogue import source_of
from octis_m3l.sources.fetching import Fetcher
from octis_m3l.sources.options import (
    PROGRESS,
    check_fetching,
    fetching_options,
    takes_progress,
)
from octis_m3l.sources.places import cache_folder
from octis_m3l.sources.record import FORMAT, damaged_files, home_of, read_record
from octis_m3l.sources.repositories import whole_commit
from octis_m3l.sources.repository_files import collected_files, fetch_files
from octis_m3l.sources.source import Source
from octis_m3l.sources.workplace import PLAN, begin, finish, recover

LOCK = ".lock"
DELAY = 0.1


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

    They come to ``<folder>/<name>/raw``, which is there only when all have come;
    ``<folder>/<name>/source.json`` says of each where it is from, with its checksum, and gives the
    licence and what to cite. Interrupted, the same call goes on where it stopped. A set that is
    there already is compared with its checksums, and no server is asked.
    """
    source = source_of(name) if isinstance(name, str) else name
    check_fetching(source, options)
    home = home_of(source, Path(folder) if folder is not None else cache_folder())
    record = None if again else _whole_record(home, source, options)
    if record is not None:
        return record
    with _alone(home):
        recover(home, read_record(home, source.name))
        record = None if again else _whole_record(home, source, options)
        asker = fetcher or Fetcher(delay=DELAY)
        return record or _fetch_to(home, source, asker, progress, again, options)


def _fetch_to(
    home: Path,
    source: Source,
    fetcher: Fetcher,
    progress: bool,
    again: bool,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    pins = _pins(source)
    work, plan = begin(home, read_record(home, source.name), pins, again=again)
    commits = {
        repository.name: plan["commits"].get(repository.name)
        or whole_commit(repository, fetcher, source.hosts)
        for repository in source.repositories
    }
    write_json(home / PLAN, plan | {"commits": commits})
    described, left_out = fetch_files(source, work, commits, plan["checksums"], fetcher, progress)
    collected: dict[str, Any] = {}
    if source.collect:
        more = {PROGRESS: progress} if takes_progress(source) else {}
        collected = dict(source.collect(work, fetcher, **options, **more))
        described |= collected_files(work, described)
    record = {
        "format": FORMAT,
        "name": source.name,
        "title": source.title,
        "homepage": source.homepage,
        "licence": source.licence,
        "citation": source.citation,
        "date": datetime.now(UTC).date().isoformat(),
        "commits": dict(commits),
        "pins": pins,
        "files": described,
        "left_out": left_out,
        "collected": collected,
        "options": _lasting(source, options),
    }
    finish(home, record)
    return record


def _pins(source: Source) -> dict[str, str | None]:
    return {repository.name: repository.commit for repository in source.repositories}


def _lasting(source: Source, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that say what the set is, where they aren't the defaults."""
    defaults = fetching_options(source)
    return {
        name: value
        for name, value in options.items()
        if name not in source.actions and not (name in defaults and defaults[name] == value)
    }


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Let one process at a time work in a set's folder."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{home} can't be made ({error.strerror or error}); expected a folder that may be "
            "written to: give another one."
        ) from None
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
    record = read_record(home, source.name)
    if record is None:
        return None
    if record.get("pins") != _pins(source):
        raise StorageError(
            f"{home} was fetched from other commits than the catalogue names now; fetch it again "
            "with again=True (--again), or give another folder."
        )
    asked_again = any(options.get(name) for name, asks in source.actions.items() if asks)
    unfinished = bool(record.get("collected", {}).get("failed"))
    others = _lasting(source, record.get("options", {})) != _lasting(source, options)
    if asked_again or unfinished or others or damaged_files(home, record, thoroughly=True):
        return None
    return record
