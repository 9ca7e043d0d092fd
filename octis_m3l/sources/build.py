"""Public data sets: built from their raw files, and described."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octis_m3l.data.folder.manifest import MANIFEST
from octis_m3l.errors import StorageError
from octis_m3l.files import check_can_write
from octis_m3l.sources.catalogue import SOURCES, source_of
from octis_m3l.sources.options import building_options, check_building, fetching_options
from octis_m3l.sources.places import cache_folder
from octis_m3l.sources.record import RAW, damaged_files, home_of, read_record
from octis_m3l.sources.source import Source

if TYPE_CHECKING:
    from octis_m3l.data.dataset import MultiviewDataset


def build(
    name: str | Source,
    out: str | Path,
    folder: str | Path | None = None,
    *,
    overwrite: bool = False,
    **options: Any,
) -> "MultiviewDataset":
    """Build a public data set from its fetched files, and save it."""
    source = source_of(name) if isinstance(name, str) else name
    check_building(source, options)
    check_can_write(Path(out), overwrite=overwrite, marker=MANIFEST)
    home = home_of(source, Path(folder) if folder is not None else cache_folder())
    record = read_record(home, source.name)
    if record is None:
        raise StorageError(
            f"{source.name} has not been fetched to {home}, or not to its end: octis-m3l datasets "
            f"fetch {source.name}"
        )
    damaged = damaged_files(home, record, thoroughly=True)
    if damaged:
        raise StorageError(
            f"{home / RAW}: {len(damaged)} files are missing or damaged, the first is "
            f"{damaged[0]}; octis-m3l datasets fetch {source.name} fetches them again."
        )
    dataset = _described(_built(source, home / RAW, options), source, record)
    dataset.save(out, overwrite=overwrite)
    return dataset


def options_of(source: Source) -> dict[str, Any]:
    """Return what a set lets a user choose when it is built, with the defaults."""
    return {"views": None} | building_options(source)


def describe(name: str | Source, folder: str | Path | None = None) -> dict[str, Any]:
    """Describe a public data set, and say what is here of it."""
    source = source_of(name) if isinstance(name, str) else name
    home = home_of(source, Path(folder) if folder is not None else cache_folder())
    return _told(source, home, read_record(home, source.name))


def describe_all(folder: str | Path | None = None) -> list[dict[str, Any]]:
    """Describe every set of the catalogue.

    Where a set's record can't be read, ``fetched`` says why under ``unreadable``.
    """
    described = []
    for source in SOURCES.values():
        try:
            described.append(describe(source, folder))
        except StorageError as error:
            about = _told(source, Path(), None)
            described.append(about | {"fetched": {"unreadable": str(error)}})
    return described


def _told(source: Source, home: Path, record: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "name": source.name,
        "title": source.title,
        "views": list(source.views),
        "linked": source.linked,
        "homepage": source.homepage,
        "licence": source.licence,
        "citation": source.citation,
        "size": source.size,
        "notes": source.notes,
        "commits": {
            repository.name: repository.commit or "the newest at the first fetch"
            for repository in source.repositories
        },
        "options": options_of(source),
        "fetching_options": fetching_options(source),
        "files": [
            {
                "path": file.path,
                "url": source.address(file, _commit(source, file.repository, record)),
                "sha256": file.sha256 or "not known: recorded on first fetch",
                "size": file.size,
                "required": file.required,
            }
            for file in source.files
        ],
        "fetched": None if record is None else _fetched(home, record),
    }


def _built(source: Source, raw: Path, options: Mapping[str, Any]) -> "MultiviewDataset":
    passed = dict(options)
    views = None if "views" in building_options(source) else passed.pop("views", None)
    dataset = source.build(raw, **passed)
    return dataset if views is None else dataset.with_views(views)


def _fetched(home: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "folder": str(home),
        "date": record["date"],
        "commits": record["commits"],
        "files": len(record["files"]),
        "size": sum(file["size"] for file in record["files"].values()),
        "left_out": record["left_out"],
    }


def _commit(source: Source, repository: str, record: Mapping[str, Any] | None) -> str:
    if record is not None and repository in record["commits"]:
        return str(record["commits"][repository])
    pinned = {each.name: each.commit for each in source.repositories}
    return pinned[repository] or "HEAD"


def _described(
    dataset: "MultiviewDataset", source: Source, record: Mapping[str, Any]
) -> "MultiviewDataset":
    told = record.get("collected", {})
    about = {
        "name": source.name,
        "title": source.title,
        "licence": told.get("licence") or record["licence"],
        "citation": told.get("citation") or record["citation"],
        "source": {
            "homepage": record["homepage"],
            "commits": record["commits"],
            **({"revision": told["revision"]} if told.get("revision") else {}),
            **({"options": record["options"]} if record.get("options") else {}),
            "fetched": record["date"],
        },
    }
    from octis_m3l.data.dataset import MultiviewDataset

    return MultiviewDataset(
        dataset.views.values(),
        dataset.links if dataset.is_linked else None,
        pivot=dataset.pivot,
        metadata={**dataset.metadata, **about},
        dictionaries=dataset.dictionaries,
        partitions=dataset.partitions,
    )
