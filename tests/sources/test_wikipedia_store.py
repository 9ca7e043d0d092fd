"""What has been fetched of Wikipedia, on disk."""

import errno
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octis_m3l.errors import StorageError
from octis_m3l.sources.wikipedia_store import WikipediaStore


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True, max_size=4))
def test_keeps_names_of_any_kind_apart(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = WikipediaStore(Path(folder))
        for name in names:
            store.write("articles/en", name, {"text": name})
        for name in names:
            record = store.read("articles/en", name)
            assert record is not None
            assert record["text"] == name
            assert store.read("articles/de", name) is None


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("octis_m3l.files.json.dumps", full)
    with pytest.raises(StorageError, match=r"can't be written: no space is left on the disk"):
        WikipediaStore(tmp_path).write("articles/en", "a", {"text": "x"})


def test_a_record_in_another_s_place_is_not_taken(tmp_path: Path) -> None:
    store = WikipediaStore(tmp_path)
    store.write("articles/en", "a", {"text": "x"})
    place = store.path("articles/en", "b")
    place.parent.mkdir(parents=True, exist_ok=True)
    store.path("articles/en", "a").rename(place)
    assert store.read("articles/en", "b") is None
