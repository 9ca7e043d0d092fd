"""The Wikipedia data of M3L-Contrast: built from what came, and fetched by the catalogue."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from octis_m3l.data import MultiviewDataset
from octis_m3l.errors import DataError, StorageError
from octis_m3l.sources.build import build
from octis_m3l.sources.download import FetchError
from octis_m3l.sources.fetch import fetch
from octis_m3l.sources.wikipedia_m3l import WIKIPEDIA_M3L_SOURCE, build_wikipedia_m3l

from .local_server import LocalServer, Reply
from .wikipedia_server import Wikipedia, address, drawn, quick, written


def add(wikipedia: Wikipedia, partition: str, number: int, **changed: str) -> None:
    """Add a tuple, and the items of it that are not there yet."""
    row = (
        changed.get("de", f"seite {number}"),
        changed.get("en", f"page {number}"),
        changed.get("picture", address(f"{number}.jpg")),
    )
    wikipedia.rows[partition].append(row)
    for language, title in zip(("de", "en"), row, strict=False):
        if title.capitalize() not in wikipedia.articles[language]:
            wikipedia.add(language, title.capitalize(), written(number, language))
    if "picture" not in changed:
        wikipedia.picture(row[2], Reply(drawn(number)))


@pytest.fixture
def small(wikipedia: Wikipedia) -> Wikipedia:
    """Twenty tuples, of which every fifth is tested."""
    wikipedia.articles = {"en": {}, "de": {}}
    wikipedia.rows = {"train": [], "test": []}
    for number in range(20):
        add(wikipedia, "test" if number % 5 == 4 else "train", number)
    return wikipedia


def built(wikipedia: Wikipedia, validation: float = 0.0, **options: Any) -> MultiviewDataset:
    wikipedia.fetch()
    return build_wikipedia_m3l(wikipedia.folder, validation=validation, **options)


def items(dataset: MultiviewDataset, view: str) -> dict[str, int]:
    counts: dict[str, int] = dataset.info()["views"][view]["items"]
    return counts


def trained_on(dataset: MultiviewDataset) -> list[int]:
    return [items(dataset, view)["train"] for view in ("en", "de", "pictures")]


def test_partitions_are_as_published(small: Wikipedia) -> None:
    # What does not exist is left out.
    small.rows["train"].append(("nie", "never", address("Never.jpg")))
    dataset = built(small)
    for view in ("en", "de", "pictures"):
        assert items(dataset, view) == {"train": 16, "validation": 0, "test": 4}
    assert dataset.pivot == "en"
    assert dataset.info()["tuples"] == 20


def test_validation_follows_from_the_titles_alone(small: Wikipedia) -> None:
    def marked() -> set[str]:
        dataset = built(small, validation=0.3)
        view, records = dataset.view("en"), dataset.metadata["records"]
        rows = view.indexes[view.rows("validation")]
        return {records[row]["articles"]["en"]["title"] for row in rows}

    before = marked()
    assert before == {
        en.capitalize()
        for de, en, _ in small.rows["train"]
        if int(hashlib.sha256(f"{en}\t{de}".encode()).hexdigest(), 16) / 2**256 < 0.3
    }
    assert 0 < len(before) < 16
    for number in range(30, 40):
        add(small, "train", number)
    assert before <= marked()


@pytest.mark.parametrize("shared", ["de", "en", "picture", "content", "page", "others"])
def test_what_is_tested_is_not_trained_on(small: Wikipedia, shared: str) -> None:
    changed = dict(zip(("de", "en", "picture"), small.rows["test"][0], strict=True))
    if shared in changed:
        add(small, "train", 50, **{shared: changed[shared]})
    elif shared == "content":  # the same picture under another address
        add(small, "train", 50)
        small.picture(address("50.jpg"), Reply(drawn(4)))
    elif shared == "page":  # a title that leads to the same article
        small.add("en", "Other name of 4", "", redirect="Page 4")
        add(small, "train", 50, en="other name of 4")
    else:  # by way of other tuples
        add(small, "train", 50, en=changed["en"])
        add(small, "train", 51, de="seite 50")
        add(small, "train", 52, picture=address("51.jpg"))
    dataset = built(small)
    assert dataset.metadata["training_tuples_left_out"] == (3 if shared == "others" else 1)
    assert items(dataset, "en") == {"train": 16, "validation": 0, "test": 4}


def test_tuples_that_share_an_item_stay_together(small: Wikipedia) -> None:
    add(small, "train", 60)
    for number in range(61, 90):
        add(small, "train", number, picture=address("60.jpg"))
    dataset = built(small, validation=0.5)
    assert sum(items(dataset, "pictures").values()) == 21
    assert dataset.info()["tuples"] == 21
    de, en, _ = small.rows["train"][0]
    add(small, "train", 100, de=de, en=en)
    assert trained_on(built(small)) == [46, 46, 18]


def test_what_is_missing_is_a_gap(small: Wikipedia) -> None:
    del small.articles["de"]["Seite 0"]
    small.picture(address("1.jpg"), Reply(status=404))
    assert trained_on(built(small)) == [16, 15, 15]
    assert trained_on(built(small, complete=True)) == [14, 14, 14]


def test_lengths_of_articles_and_vocabularies(small: Wikipedia) -> None:
    small.articles["en"]["Page 0"].text = written(0, "en", words=500)
    for words, longest in ((200, 200), (7, 7), (None, 500)):
        texts = built(small, words=words).view("en").texts
        assert max(len(text.split()) for text in texts) == longest
    dataset = built(small, vocabulary_size=11)
    assert len(dataset.view("en").vocabulary) == len(dataset.view("de").vocabulary) == 11


def test_says_where_everything_is_from(small: Wikipedia) -> None:
    about = built(small).metadata
    assert "Rebuilt from the published titles" in about["notes"]
    assert about["retrieved"] == {"first": "2026-01-02", "last": "2026-01-02"}
    assert about["records"][0] == {
        "articles": {
            "en": {"title": "Page 0", "revision": 1002},
            "de": {"title": "Seite 0", "revision": 1001},
        },
        "pictures": ["https://commons.wikimedia.org/wiki/File:0.jpg"],
    }


def test_nothing_to_train_on(small: Wikipedia) -> None:
    small.rows["train"] = []
    with pytest.raises(DataError, match="has no training tuple whose articles or picture came"):
        built(small)


def test_a_list_that_is_none(wikipedia: Wikipedia) -> None:
    wikipedia.folder.mkdir()
    (wikipedia.folder / "train-titles.csv").write_text("Log in,please\nname,word\n")
    with pytest.raises(StorageError, match=r"train-titles.csv is damaged .*delete it and fetch"):
        build_wikipedia_m3l(wikipedia.folder)


def test_through_the_catalogue(wikipedia: Wikipedia, server: LocalServer, tmp_path: Path) -> None:
    horse = wikipedia.articles["en"].pop("Horse")
    stuck = server.serve("/stuck.jpg", Reply(drawn(77), etag='"0"', cut=900))
    wikipedia.rows["train"].append(("hauspferd", "horse", stuck))
    source, fetcher = WIKIPEDIA_M3L_SOURCE, quick(retries=1)
    few = fetch(source, tmp_path, fetcher=fetcher, limit=2)
    with pytest.raises(FetchError, match=r"1 items could not be fetched.*not-there.jsonl"):
        fetch(source, tmp_path, fetcher=fetcher)
    # What was complete can be built until more is.
    assert sum(build(source, tmp_path / "few", tmp_path).view("de").sizes) == 4
    assert fetch(source, tmp_path, limit=2) == few
    record = fetch(source, tmp_path, fetcher=fetcher, accept_failed=True)
    assert record["collected"]["failed"] == 1
    assert record["options"] == {}
    assert [name for name in record["files"] if ".part" in name] == []
    server.serve("/stuck.jpg", Reply(drawn(77)))
    wikipedia.articles["en"]["Horse"] = horse
    record = fetch(source, tmp_path, fetcher=fetcher)
    assert record["collected"]["failed"] == 0
    assert record["collected"]["items"]["articles/en"]["gone"] == {"missing": 1}
    for _ in range(2):
        server.requests.clear()
        record = fetch(source, tmp_path, fetcher=fetcher, retry_gone=True)
        assert record["collected"]["items"]["articles/en"]["gone"] == {}
    assert fetch(source, tmp_path, fetcher=fetcher) == record
    assert server.requests == []
    dataset = build(source, tmp_path / "out", tmp_path, vocabulary_size=20)
    assert len(dataset.view("de").vocabulary) == 20
    assert "CC BY-SA 4.0" in dataset.metadata["licence"]
    assert "COLING 2022" in dataset.metadata["citation"]
    assert MultiviewDataset.from_folder(tmp_path / "out").info() == dataset.info()
