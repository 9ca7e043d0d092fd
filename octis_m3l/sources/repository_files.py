"""The files of a set that are in repositories: each fetched and described."""

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from octis_m3l.files import sha256
from octis_m3l.sources.fetching import Fetcher, FetchError
from octis_m3l.sources.repositories import blob_name, list_files
from octis_m3l.sources.source import Entry, RemoteFile, Source


def fetch_files(
    source: Source,
    work: Path,
    commits: Mapping[str, str],
    checksums: Mapping[str, str],
    fetcher: Fetcher,
    progress: bool,
) -> tuple[dict[str, Any], list[str]]:
    """Fetch the files of a set that are in repositories."""
    described: dict[str, Any] = {}
    left_out: list[str] = []
    for files in _stages(source, work, commits, fetcher):
        for file in _with_bar(files, source.name, progress):
            url = source.address(file, commits[file.repository])
            try:
                _fetch_one(file, url, work / file.path, checksums.get(file.path), fetcher)
            except FetchError as error:
                if file.required or error.status != HTTPStatus.NOT_FOUND:
                    raise
                left_out.append(file.path)
                continue
            described[file.path] = _description(work / file.path, url, file)
    return described, left_out


def collected_files(work: Path, described: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of files that came otherwise."""
    found = {path.relative_to(work).as_posix(): path for path in sorted(work.rglob("*"))}
    return {
        name: {
            "url": None,
            "sha256": sha256(path),
            "size": path.stat().st_size,
            "checked": "recorded on first fetch",
        }
        for name, path in found.items()
        if path.is_file() and name not in described and ".part" not in path.suffixes
    }


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
    file: RemoteFile, url: str, place: Path, recorded: str | None, fetcher: Fetcher
) -> None:
    try:
        fetcher.download(
            url, place, sha256=file.sha256 or recorded, size=file.size, refuse_html=True
        )
    except FetchError as error:
        if file.sha256 is not None or recorded is None or "SHA-256" not in str(error):
            raise
        raise FetchError(
            f"{error} Only the first fetch says what was expected; if the source was changed or "
            "that fetch was spoilt, again=True (--again) takes what is there now."
        ) from None
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
        "sha256": sha256(path),
        "size": path.stat().st_size,
        "checked": "with the catalogue" if known else "recorded on first fetch",
    }
