"""Public data sets: built from their raw files, and described."""

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from octis_m3l import data
from octis_m3l.data.folder.manifest import MANIFEST
from octis_m3l.errors import StorageError
from octis_m3l.files import check_can_write
from octis_m3l.sources.catalogue import source_of, sources
from octis_m3l.sources.fetch import RAW, damaged_files, home_of, read_record
from octis_m3l.sources.source import Source, defaults


def build(
    name: str | Source,
    out: str | Path,
    folder: str | Path | None = None,
    *,
    overwrite: bool = False,
    **options: Any,
) -> "data.MultiviewDataset":
    """Build a public data set from its fetched files, and save it."""
    source = source_of(name)
    source.check(options, source.building_options)
    check_can_write(Path(out), overwrite=overwrite, marker=MANIFEST)
    home = home_of(source, folder)
    record = read_record(home, source.name)
    if record is None:
        raise StorageError(
            f"{source.name} has not been fetched to {home}, or not completely: octis-m3l datasets "
            f"fetch {source.name}"
        )
    damaged = damaged_files(home / RAW, record)
    if damaged:
        raise StorageError(
            f"{home / RAW}: {len(damaged)} files are missing or damaged, the first is "
            f"{damaged[0]}; octis-m3l datasets fetch {source.name} fetches them again."
        )
    takes_views = "views" in signature(source.build).parameters
    views = None if takes_views else options.pop("views", None)
    dataset = source.build(home / RAW, **options)
    if views is not None:
        dataset = dataset.with_views(views)
    dataset.metadata.update(_origin(source, record))
    dataset.save(out, overwrite=overwrite)
    return dataset


def describe(name: str | Source, folder: str | Path | None = None) -> dict[str, Any]:
    """Describe a public data set, and what of it has been fetched."""
    source = source_of(name)
    home = home_of(source, folder)
    record = read_record(home, source.name)
    if record is None:
        return _description(source, {}, None)
    fetched = {
        "folder": str(home),
        "date": record["date"],
        "commits": record["commits"],
        "files": len(record["files"]),
        "size": sum(file["size"] for file in record["files"].values()),
        "left_out": record["left_out"],
    }
    return _description(source, record["commits"], fetched)


def describe_all(folder: str | Path | None = None) -> list[dict[str, Any]]:
    """Describe every data set of the catalogue.

    Where a record can't be read, ``fetched`` says why under ``unreadable``.
    """
    described = []
    for source in sources().values():
        try:
            described.append(describe(source, folder))
        except StorageError as error:
            described.append(_description(source, {}, {"unreadable": str(error)}))
    return described


def _description(
    source: Source, commits: Mapping[str, str], fetched: Mapping[str, Any] | None
) -> dict[str, Any]:
    at = {name: commit or "HEAD" for name, commit in source.repositories.items()} | {**commits}
    keys = ("name", "title", "views", "linked", "homepage", "licence", "citation", "size", "notes")
    return {
        **{key: getattr(source, key) for key in keys},
        "views": list(source.views),
        "commits": {
            name: commit or "the newest at the first fetch"
            for name, commit in source.repositories.items()
        },
        "options": defaults(source.building_options),
        "fetching_options": defaults(source.fetching_options),
        "files": [
            {
                "path": file.path,
                "url": file.address(at[file.repository]),
                "sha256": file.sha256 or "not known: recorded on first fetch",
                "size": file.size,
                "required": file.required,
            }
            for file in source.files
        ],
        "fetched": fetched,
    }


def _origin(source: Source, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a data set's licence, citation and origin."""
    collected = record.get("collected", {})
    chosen = {"revision": collected.get("revision"), "options": record.get("options")}
    return {
        "name": source.name,
        "title": source.title,
        "licence": collected.get("licence") or record["licence"],
        "citation": collected.get("citation") or record["citation"],
        "source": {
            "homepage": record["homepage"],
            "commits": record["commits"],
            **{key: value for key, value in chosen.items() if value},
            "fetched": record["date"],
        },
    }
