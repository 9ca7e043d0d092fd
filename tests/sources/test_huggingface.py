"""Sets of the Hugging Face hub, loaded through the library from local files instead."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from octis_m3l.errors import DataError, MissingDependencyError, SettingsError
from octis_m3l.sources.build import build, describe
from octis_m3l.sources.catalogue import source_of
from octis_m3l.sources.fetch import fetch
from octis_m3l.sources.fetching import FetchError
from octis_m3l.sources.huggingface import build_huggingface

NAME = "huggingface:some/pairs"
Hub = Callable[..., list[tuple[Any, ...]]]


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
    """Say what the hub has: JSON lines for each split; gives the calls that are made."""
    datasets = pytest.importorskip("datasets")
    real = datasets.load_dataset
    calls: list[tuple[Any, ...]] = []

    def has(**splits: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        files = {}
        for split, content in splits.items():
            path = tmp_path / f"{split}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in content))
            files[split] = str(path)

        def load(name: str, config: str | None, *, revision: str | None) -> Any:
            calls.append((name, config, revision))
            loaded = real("json", data_files=files, cache_dir=str(tmp_path / "cache"))
            names = datasets.ClassLabel(names=["sea", "land", "sky"])
            return loaded.cast_column("kind", names) if "kind" in content[0] else loaded

        monkeypatch.setattr(datasets, "load_dataset", load)
        return calls

    return has


def test_splits_are_partitions_and_fields_are_columns(hub: Hub, tmp_path: Path) -> None:
    calls = hub(train=rows(6), dev=rows(2, 6), test=rows(3, 8))
    name = "huggingface:some/pairs@v1.0#de-fr"
    record = fetch(name, tmp_path / "raw")
    assert calls == [("some/pairs", "de-fr", "v1.0")]
    assert record["collected"]["rows"] == {"train": 6, "dev": 2, "test": 3}
    assert fetch(name, tmp_path / "raw") == record
    assert len(calls) == 1
    dataset = build(
        name,
        tmp_path / "out",
        tmp_path / "raw",
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
    assert list(english.labels or [])[:4] == ["sea", "land", "sky", "sea"]
    assert dataset.is_linked
    assert dataset.metadata["licence"] == "see https://huggingface.co/datasets/some/pairs"
    assert describe(name, tmp_path / "raw")["fetched"]["files"] == 1 + 3 * 3


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


def save_splits(raw: Path, **splits: dict[str, list[Any]]) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"text": datasets.Value("string"), "photo": datasets.Image()})
    datasets.DatasetDict(
        {name: datasets.Dataset.from_dict(cells, features) for name, cells in splits.items()}
    ).save_to_disk(raw)


CHOSEN: dict[str, Any] = {
    "texts": {"en": "text"},
    "images": {"photos": "photo"},
    "vocabulary_size": 5,
}


def test_pictures(tmp_path: Path) -> None:
    red = picture(200, 10, 10)
    cells = [red, {"bytes": b"broken", "path": "x"}, None]
    texts = ["red ship", "blue ship", "old ship"]
    save_splits(tmp_path / "raw", train={"text": texts, "photo": cells})
    before = sorted((tmp_path / "raw").rglob("*"))
    with pytest.warns(UserWarning, match=r"1 of 2 items can't be opened .*[0-9a-f]{32} is no pict"):
        dataset = build_huggingface(tmp_path / "raw", **CHOSEN)
    assert len(dataset.text_view("en")) == 3
    (path,) = [Path(str(each)) for each in dataset.image_views["photos"].pictures or ()]
    assert path.read_bytes() == red["bytes"]
    assert path.parent == tmp_path / "pictures" / "train"
    assert sorted((tmp_path / "raw").rglob("*")) == before
    path.write_bytes(b"")
    with pytest.warns(UserWarning, match="1 of 2 items"):
        build_huggingface(tmp_path / "raw", **CHOSEN)
    assert path.read_bytes() == red["bytes"]


def test_each_row_s_picture_is_an_item_of_its_own(tmp_path: Path) -> None:
    splits = {
        name: {"text": ["a ship sails"] * count, "photo": [picture(1, 2, 3)] * count}
        for name, count in (("train", 6), ("test", 3))
    }
    save_splits(tmp_path / "raw", **splits)
    dataset = build_huggingface(tmp_path / "raw", **CHOSEN)
    assert dataset.view("photos").sizes == dataset.view("en").sizes == (6, 0, 3)


def test_a_column_that_one_split_lacks_and_what_version_0_1_fetched(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    splits = {
        "train": datasets.Dataset.from_dict({"a": ["ship", "sea", "wood"], "b": ["x", "y", "x"]}),
        "test": datasets.Dataset.from_dict({"a": ["ship sea"]}),
    }
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "raw")
    dataset = build_huggingface(tmp_path / "raw", texts={"en": "a"}, label="b", vocabulary_size=5)
    assert list(dataset.text_view("en").labels or ()) == ["x", "y", "x", ""]
    (tmp_path / "old").mkdir()
    pd.DataFrame({"a": ["ship"]}).to_parquet(tmp_path / "old" / "train.parquet")
    with pytest.raises(DataError, match=r"fetched by version 0\.1, fetch it again: .* --again"):
        build_huggingface(tmp_path / "old", texts={"en": "a"})


def test_columns_that_are_not_there(hub: Hub, tmp_path: Path) -> None:
    hub(train=rows(4), test=rows(2, 4))
    fetch(NAME, tmp_path / "raw")
    message = r"name at least one text column: --text VIEW=COLUMN. There are: kind, title, transl"
    with pytest.raises(SettingsError, match=message):
        build(NAME, tmp_path / "out", tmp_path / "raw")
    with pytest.raises(DataError, match=r"there is no column 'titel'. Did you mean 'title'\?"):
        build(NAME, tmp_path / "out", tmp_path / "raw", texts={"en": "titel"})
    with pytest.raises(DataError, match="the column 'title' holds no pictures"):
        build(
            NAME, tmp_path / "out", tmp_path / "raw", texts={"en": "title"}, images={"p": "title"}
        )
    assert not (tmp_path / "out").exists()


def test_splits_of_no_partition(hub: Hub, tmp_path: Path) -> None:
    hub(train=rows(4), extra=rows(2, 4))
    fetch(NAME, tmp_path / "raw")
    with pytest.raises(SettingsError, match="the split 'extra' of extra, train is neither train"):
        build(
            NAME, tmp_path / "out", tmp_path / "raw", texts={"en": "title"}, images={"p": "title"}
        )
    assert not list(tmp_path.rglob("pictures"))


def test_what_can_not_be_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")

    def load(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no such host\nand more")

    monkeypatch.setattr(datasets, "load_dataset", load)
    message = r"huggingface:some/pairs: it can't be loaded \(ConnectionError: no such host\)\. Chec"
    with pytest.raises(FetchError, match=message):
        fetch(NAME, tmp_path)
    assert list(tmp_path.glob("huggingface-some-pairs-*/raw")) == []


def test_labels_that_are_missing(hub: Hub, tmp_path: Path) -> None:
    content = rows(10)
    content[3]["kind"] = None
    hub(train=content)
    fetch(NAME, tmp_path / "raw")
    chosen = {"texts": {"en": "title"}, "label": "kind"}
    dataset = build(NAME, tmp_path / "out", tmp_path / "raw", **chosen)
    labels = list(dataset.text_view("en").labels or ())
    assert labels.count("") == 1
    assert set(labels) == {"", "sea", "land", "sky"}


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


def test_the_commit_is_written_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")

    def load(*_: Any, **__: Any) -> Any:
        table = datasets.Dataset.from_dict({"text": ["a ship"] * 10})
        url = f"hf://datasets/some/pairs@{'1a' * 20}/train.csv"
        table.info.download_checksums = {url: {"num_bytes": 3, "checksum": None}}
        return datasets.DatasetDict({"train": table})

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert fetch(NAME, tmp_path)["collected"]["revision"] == "1a" * 20
    dataset = build(NAME, tmp_path / "out", tmp_path, texts={"en": "text"})
    assert dataset.metadata["source"]["revision"] == "1a" * 20


def test_a_local_folder_is_not_taken_for_the_hub_s(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = hub(train=rows(4))
    (tmp_path / "some" / "pairs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="would take it instead of the hub's"):
        fetch(NAME, tmp_path / "raw")
    assert calls == []


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "octis-m3l\[huggingface\]"'):
        fetch(NAME, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "huggingface:",
        "huggingface:a/b/c",
        "huggingface:../x y",
        "huggingface:..",
        "huggingface:./x",
    ],
)
def test_names_of_another_form(name: str) -> None:
    with pytest.raises(SettingsError, match="expected huggingface:NAME, with @REVISION"):
        source_of(name)
