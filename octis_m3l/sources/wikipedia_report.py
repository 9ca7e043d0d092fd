"""What came, what no longer exists, and what could not be had this time."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from octis_m3l.files import read_json, write_json, written_whole
from octis_m3l.sources.wikipedia_store import PICTURES, WikipediaStore, articles_of
from octis_m3l.sources.wikipedia_titles import LANGUAGES, Published

REPORT = "report.json"
NOT_THERE = "not-there.jsonl"


def write_report(
    folder: Path,
    tuples: Sequence[Published],
    wanted: Mapping[str, Sequence[str]],
    failed: Sequence[tuple[str, str, str]],
) -> dict[str, Any]:
    """Write the report and the list of what isn't there; return the report."""
    store = WikipediaStore(folder)
    records = {
        kind: {name: _described(store.read(kind, name)) for name in names}
        for kind, names in wanted.items()
    }
    messages = {(kind, name): message for kind, name, message in failed}
    with written_whole(folder / NOT_THERE) as temporary:
        temporary.write_text("".join(_lines(records, messages)), encoding="utf-8")
    report = {
        "tuples": dict(Counter(t.partition for t in tuples)),
        "complete_tuples": dict(Counter(t.partition for t in tuples if _is_complete(t, records))),
        "items": {kind: _counts(of_kind) for kind, of_kind in records.items()},
        "failed": sum(r is None for of_kind in records.values() for r in of_kind.values()),
    }
    write_json(folder / REPORT, report)
    return report


def reported(folder: Path, tuples: Sequence[Published]) -> list[Published]:
    """Return the tuples that the last fetch asked for: with a limit, the first of each list."""
    if not (folder / REPORT).exists():
        return list(tuples)
    room = Counter(read_json(folder / REPORT)["tuples"])
    kept = []
    for published in tuples:
        if room[published.partition] > 0:
            room[published.partition] -= 1
            kept.append(published)
    return kept


_Record = Mapping[str, Any] | None
_Records = Mapping[str, Mapping[str, _Record]]


def _described(record: _Record) -> _Record:
    # Without the texts, which would fill the memory.
    return None if record is None else {n: value for n, value in record.items() if n != "text"}


def _counts(records: Mapping[str, _Record]) -> dict[str, Any]:
    gone = Counter(
        str(record["gone"]) for record in records.values() if record and "gone" in record
    )
    failed = sum(record is None for record in records.values())
    return {
        "asked": len(records),
        "there": len(records) - failed - gone.total(),
        "gone": dict(sorted(gone.items())),
        "failed": failed,
    }


def _lines(records: _Records, messages: Mapping[tuple[str, str], str]) -> Iterator[str]:
    for kind, of_kind in records.items():
        for name, record in of_kind.items():
            line = {"kind": kind, "asked": name}
            if record is None:
                line |= {"failed": messages.get((kind, name), "not asked for")}
            elif "gone" in record:
                line |= {key: value for key, value in record.items() if key != "asked"}
            else:
                continue
            yield json.dumps(line, ensure_ascii=False) + "\n"


def _is_complete(published: Published, records: _Records) -> bool:
    articles = [records[articles_of(name)][published.titles[name]] for name in LANGUAGES]
    pictures = [records[PICTURES][address] for address in published.pictures]
    return all(map(_is_there, articles)) and any(map(_is_there, pictures))


def _is_there(record: _Record) -> bool:
    return record is not None and "gone" not in record
