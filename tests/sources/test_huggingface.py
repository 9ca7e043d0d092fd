"""Sets of the Hugging Face hub, loaded through the library from local files instead."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from octis_m3l.errors import DataError, MissingDependencyError, SettingsError, StorageError
from octis_m3l.sources.build import build, describe
from octis_m3l.sources.download import FetchError
from octis_m3l.sources.fetch import fetch
from octis_m3l.sources.huggingface import build_huggingface

NAME = "huggingface:some/pairs"
COMMIT = "1a" * 20
Hub = Callable[..., list[tuple[Any, ...]]]
datasets = pytest.importorskip("datasets")


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "title": f"ship number{i} sails",
            "translation": {"de": f"schiff nummer{i} segelt", "fr": f"bateau numero{i} vogue"},
            "kind": i % 3,
        }
        for i in range(start, start + count)
    ]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    """Say what the hub has: the rows of each split; gives the calls that are made."""
    calls: list[tuple[Any, ...]] = []

    def has(**splits: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        def load(name: str, config: str | None, *, revision: str | None) -> Any:
            calls.append((name, config, revision))
            tables = {split: datasets.Dataset.from_list(rows) for split, rows in splits.items()}
            for table in tables.values():
                table.info.download_checksums = {f"hf://datasets/some/pairs@{COMMIT}/a.csv": {}}
            names = datasets.ClassLabel(names=["sea", "land", "sky"])
            return datasets.DatasetDict(tables).cast_column("kind", names)

        monkeypatch.setattr(datasets, "load_dataset", load)
        return calls

    return has


def save(raw: Path, features: Any = None, **splits: dict[str, list[Any]]) -> None:
    tables = {name: datasets.Dataset.from_dict(cells, features) for name, cells in splits.items()}
    datasets.DatasetDict(tables).save_to_disk(raw)


def test_splits_are_partitions_and_fields_are_columns(hub: Hub, tmp_path: Path) -> None:
    unlabelled = rows(6)
    unlabelled[3]["kind"] = None
    calls = hub(train=unlabelled, dev=rows(2, 6), test=rows(3, 8))
    name, raw = "huggingface:some/pairs@v1.0#de-fr", tmp_path / "raw"
    record = fetch(name, raw)
    assert calls == [("some/pairs", "de-fr", "v1.0")]
    assert record["collected"]["rows"] == {"train": 6, "dev": 2, "test": 3}
    assert record["collected"]["revision"] == COMMIT
    assert fetch(name, raw) == record
    assert len(calls) == 1
    dataset = build(
        name,
        tmp_path / "out",
        raw,
        texts={"en": "title", "german": "translation.de"},
        languages={"german": "de"},
        label="kind",
        vocabulary_size=4,
    )
    english, german = dataset.text_view("en"), dataset.text_view("german")
    assert english.sizes == german.sizes == (6, 2, 3)
    assert german.language == "de"
    assert len(english.vocabulary) == 4
    assert str(german.items(slice(0, 1))[0]) == "schiff nummer0 segelt"
    assert list(english.labels or [])[:5] == ["sea", "land", "sky", "", "land"]
    assert dataset.is_linked
    assert dataset.metadata["licence"] == "see https://huggingface.co/datasets/some/pairs"
    assert dataset.metadata["source"]["revision"] == COMMIT
    assert describe(name, raw)["fetched"]["files"] == 1 + 3 * 3


def test_a_single_split_is_drawn(hub: Hub, tmp_path: Path) -> None:
    hub(train=rows(40))
    fetch(NAME, tmp_path / "raw")
    chosen: dict[str, Any] = {"texts": {"en": "title"}, "seed": 3}
    dataset = build(NAME, tmp_path / "out", tmp_path / "raw", **chosen)
    assert dataset.text_view("en").sizes == (32, 4, 4)
    again = build(NAME, tmp_path / "again", tmp_path / "raw", **chosen)
    assert again.fingerprints() == dataset.fingerprints()


def picture(*colour: int) -> dict[str, Any]:
    """Return a picture as the hub stores it."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def test_pictures(tmp_path: Path) -> None:
    chosen: Any = {"texts": {"en": "text"}, "images": {"photos": "photo"}, "vocabulary_size": 5}
    features = datasets.Features({"text": datasets.Value("string"), "photo": datasets.Image()})
    red, raw = picture(200, 10, 10), tmp_path / "raw"
    cells = [red, {"bytes": b"broken", "path": "x"}, None]
    save(raw, features, train={"text": ["red ship", "blue ship", "old ship"], "photo": cells})
    before = sorted(raw.rglob("*"))
    with pytest.warns(UserWarning, match=r"1 of 2 items can't be opened .*[0-9a-f]{32} is no pict"):
        dataset = build_huggingface(raw, **chosen)
    assert len(dataset.text_view("en")) == 3
    (path,) = [Path(str(each)) for each in dataset.image_views["photos"].pictures or ()]
    assert path.read_bytes() == red["bytes"]
    assert path.parent == tmp_path / "pictures" / "train"
    assert sorted(raw.rglob("*")) == before
    path.write_bytes(b"")
    with pytest.warns(UserWarning, match="1 of 2 items"):
        build_huggingface(raw, **chosen)
    assert path.read_bytes() == red["bytes"]
    # Each row's picture is an item of its own.
    splits = {
        name: {"text": ["a ship sails"] * count, "photo": [picture(1, 2, 3)] * count}
        for name, count in (("train", 6), ("test", 3))
    }
    save(tmp_path / "same", features, **splits)
    dataset = build_huggingface(tmp_path / "same", **chosen)
    assert dataset.view("photos").sizes == dataset.view("en").sizes == (6, 0, 3)


def test_a_column_that_one_split_lacks_and_what_version_0_1_fetched(tmp_path: Path) -> None:
    train = {"a": ["ship", "sea", "wood"], "b": [True, False, True]}
    save(tmp_path / "raw", train=train, test={"a": ["ship sea"]})
    dataset = build_huggingface(tmp_path / "raw", texts={"en": "a"}, label="b", vocabulary_size=5)
    assert list(dataset.text_view("en").labels or ()) == ["True", "False", "True", ""]
    (tmp_path / "old").mkdir()
    pd.DataFrame({"a": ["ship"]}).to_parquet(tmp_path / "old" / "train.parquet")
    with pytest.raises(StorageError, match=r"is damaged or incomplete .* fetch it again: .* -"):
        build_huggingface(tmp_path / "old", texts={"en": "a"})


def test_columns_and_splits_that_can_not_be_used(hub: Hub, tmp_path: Path) -> None:
    hub(train=rows(4), test=rows(4), extra=rows(4))
    fetch(NAME, tmp_path / "raw")
    wrong: Any = {"texts": {"en": "title"}, "images": {"p": "title"}}
    for chosen, message in (
        ({}, r"name at least one text column: --text VIEW=COLUMN. There are: kind, title, transl"),
        ({"texts": {"en": "titel"}}, r"unknown column 'titel'. Did you mean 'title'\?"),
        (
            wrong,
            "'the names of the splits' has 1 unknown entries, the first is 'extra'; expected train"
            ".* from a table of your own: octis-m3l build",
        ),
    ):
        with pytest.raises((DataError, SettingsError), match=message):
            build(NAME, tmp_path / "out", tmp_path / "raw", **chosen)
    assert not list(tmp_path.rglob("pictures"))
    hub(train=rows(4), test=rows(4))
    fetch(NAME, tmp_path / "raw", again=True)
    with pytest.raises(DataError, match="the column 'title' holds no pictures"):
        build(NAME, tmp_path / "out", tmp_path / "raw", **wrong)
    assert not (tmp_path / "out").exists()


def test_splits_that_are_gone_do_not_stay(hub: Hub, tmp_path: Path) -> None:
    hub(train=rows(4), test=rows(2, 4))
    fetch(NAME, tmp_path)
    (raw,) = tmp_path.glob("huggingface-some-pairs-*/raw")
    hub(train=rows(6))
    next(raw.glob("train/*.arrow")).write_bytes(b"x")
    record = fetch(NAME, tmp_path)
    assert record["collected"]["rows"] == {"train": 6}
    assert "train/dataset_info.json" in record["files"]
    assert not (raw / "test").exists()


def test_what_can_not_be_loaded(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = hub(train=rows(4))
    (tmp_path / "some" / "pairs").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        with pytest.raises(SettingsError, match="would take it instead of the hub's"):
            fetch(NAME, tmp_path / "raw")
    assert calls == []

    def load(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no such host\nand more")

    monkeypatch.setattr(datasets, "load_dataset", load)
    message = r"huggingface:some/pairs: it can't be loaded \(ConnectionError: no such host\)\. Chec"
    with pytest.raises(FetchError, match=message):
        fetch(NAME, tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "octis-m3l\[huggingface\]"'):
        fetch(NAME, tmp_path)
