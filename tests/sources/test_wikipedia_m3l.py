"""The Wikipedia data of M3L-Contrast: built from what came, and fetched by the catalogue."""

import hashlib
from pathlib import Path

import pytest

from octis_m3l.data import MultiviewDataset
from octis_m3l.errors import DataError
from octis_m3l.sources.build import build
from octis_m3l.sources.fetch import fetch
from octis_m3l.sources.fetching import FetchError
from octis_m3l.sources.wikipedia_fetching import PICTURES, TITLES, Store
from octis_m3l.sources.wikipedia_m3l import WIKIPEDIA_M3L_SOURCE, build_wikipedia_m3l

from .local_server import LocalServer, Reply
from .wikipedia_server import Wikipedia, address, drawn, quick, titles, written

Row = tuple[str, str, str]


class Fetched:
    """A folder as fetching leaves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder)
        self.rows: dict[str, list[Row]] = {"train": [], "test": []}

    def add(self, partition: str, number: int, **changed: str) -> None:
        row = (
            changed.get("de", f"seite {number}"),
            changed.get("en", f"page {number}"),
            changed.get("picture", address(f"{number}.jpg")),
        )
        self.rows[partition].append(row)
        for language, title in zip(("de", "en"), row, strict=False):
            if self.store.read(language, title) is None:
                self.article(language, title, page=2 * number + (language == "en"))
        self.picture(row[2], number)
        self.write()

    def article(self, language: str, title: str, page: int, words: int = 30) -> None:
        text = written(page, language, words)
        content = {"title": title.capitalize(), "page": page, "revision": 1000 + page, "text": text}
        self.store.write(language, title, content)

    def picture(self, url: str, seed: int) -> None:
        body = drawn(seed)
        place = self.store.path(PICTURES, url, ".jpg")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(body)
        checksum = hashlib.sha256(body).hexdigest()
        self.store.write(PICTURES, url, {"file": place.name, "sha256": checksum})

    def write(self) -> None:
        for partition, rows in self.rows.items():
            (self.folder / TITLES.format(partition)).write_bytes(titles(rows))


@pytest.fixture
def fetched(tmp_path: Path) -> Fetched:
    made = Fetched(tmp_path)
    for number in range(20):
        made.add("test" if number % 5 == 4 else "train", number)
    return made


def items(dataset: MultiviewDataset, view: str) -> dict[str, int]:
    counts: dict[str, int] = dataset.info()["views"][view]["items"]
    return counts


def trained_on(dataset: MultiviewDataset) -> list[int]:
    return [items(dataset, view)["train"] for view in ("en", "de", "pictures")]


class TestPartitions:
    def test_are_as_published(self, fetched: Fetched) -> None:
        dataset = build_wikipedia_m3l(fetched.folder, validation=0)
        for view in ("en", "de", "pictures"):
            assert items(dataset, view) == {"train": 16, "validation": 0, "test": 4}
        assert dataset.pivot == "en"
        # What has not come yet is left out.
        fetched.rows["train"].append(("nie", "never", address("Never.jpg")))
        fetched.write()
        assert build_wikipedia_m3l(fetched.folder, validation=0).info()["tuples"] == 20

    def test_validation_follows_from_the_titles_alone(self, fetched: Fetched) -> None:
        def marked() -> set[str]:
            dataset = build_wikipedia_m3l(fetched.folder, validation=0.3)
            view, records = dataset.view("en"), dataset.metadata["records"]
            rows = view.indexes[view.rows("validation")]
            return {records[row]["articles"]["en"]["title"] for row in rows}

        before = marked()
        assert before == {
            en.capitalize()
            for de, en, _ in fetched.rows["train"]
            if int(hashlib.sha256(f"{en}\t{de}".encode()).hexdigest(), 16) / 2**256 < 0.3
        }
        assert 0 < len(before) < 16
        for number in range(30, 40):
            fetched.add("train", number)
        assert before <= marked()

    @pytest.mark.parametrize("shared", ["de", "en", "picture", "content", "page", "others"])
    def test_what_is_tested_is_not_trained_on(self, fetched: Fetched, shared: str) -> None:
        changed = dict(zip(("de", "en", "picture"), fetched.rows["test"][0], strict=True))
        if shared in changed:
            fetched.add("train", 50, **{shared: changed[shared]})
        elif shared == "content":  # the same picture under another address
            fetched.add("train", 50)
            fetched.picture(address("50.jpg"), 4)
        elif shared == "page":  # a title that leads to the same article
            fetched.article("en", "other name of 4", page=9)
            fetched.add("train", 50, en="other name of 4")
        else:  # by way of other tuples
            fetched.add("train", 50, en=changed["en"])
            fetched.add("train", 51, de="seite 50")
            fetched.add("train", 52, picture=address("51.jpg"))
        dataset = build_wikipedia_m3l(fetched.folder, validation=0)
        left_out = 3 if shared == "others" else 1
        assert dataset.metadata["training_tuples_left_out"] == left_out
        assert items(dataset, "en") == {"train": 16, "validation": 0, "test": 4}

    def test_tuples_that_share_an_item_stay_together(self, fetched: Fetched) -> None:
        for number in range(60, 90):
            fetched.add("train", number, picture=address("60.jpg"))
        dataset = build_wikipedia_m3l(fetched.folder, validation=0.5)
        assert sum(items(dataset, "pictures").values()) == 21
        assert dataset.info()["tuples"] == 21
        de, en, _ = fetched.rows["train"][0]
        fetched.add("train", 100, de=de, en=en)
        dataset = build_wikipedia_m3l(fetched.folder, validation=0)
        assert trained_on(dataset) == [46, 46, 18]


def test_what_is_missing_is_a_gap(fetched: Fetched) -> None:
    fetched.store.write("de", "seite 0", {"gone": "missing"})
    fetched.store.write(PICTURES, address("1.jpg"), {"gone": "deleted"})
    dataset = build_wikipedia_m3l(fetched.folder, validation=0)
    assert trained_on(dataset) == [16, 15, 15]
    whole = build_wikipedia_m3l(fetched.folder, validation=0, complete=True)
    assert trained_on(whole) == [14, 14, 14]


def test_lengths_of_articles_and_vocabularies(fetched: Fetched) -> None:
    fetched.article("en", "page 0", page=1, words=500)
    for words, longest in ((200, 200), (7, 7), (None, 500)):
        texts = build_wikipedia_m3l(fetched.folder, words=words).view("en").texts
        assert max(len(text.split()) for text in texts) == longest
    dataset = build_wikipedia_m3l(fetched.folder, vocabulary_size=11)
    assert len(dataset.view("en").vocabulary) == len(dataset.view("de").vocabulary) == 11


def test_says_where_everything_is_from(fetched: Fetched) -> None:
    about = build_wikipedia_m3l(fetched.folder).metadata
    assert "Rebuilt from the published titles" in about["notes"]
    assert about["retrieved"]["first"] <= about["retrieved"]["last"]
    assert about["records"][0] == {
        "articles": {
            "en": {"title": "Page 0", "revision": 1001},
            "de": {"title": "Seite 0", "revision": 1000},
        },
        "pictures": ["https://commons.wikimedia.org/wiki/File:0.jpg"],
    }


def test_nothing_to_train_on(tmp_path: Path) -> None:
    made = Fetched(tmp_path)
    made.add("test", 0)
    with pytest.raises(DataError, match="has no training tuple whose articles or picture came"):
        build_wikipedia_m3l(tmp_path)


def test_through_the_catalogue(wikipedia: Wikipedia, server: LocalServer, tmp_path: Path) -> None:
    horse = wikipedia.articles["en"].pop("Horse")
    stuck = server.serve("/stuck.jpg", Reply(drawn(77), etag='"0"', cut=900))
    wikipedia.rows["train"].append(("hauspferd", "horse", stuck))
    source, fetcher = WIKIPEDIA_M3L_SOURCE, quick(retries=1)
    with pytest.raises(FetchError, match=r"1 items could not be fetched.*not-there.jsonl"):
        fetch(source, tmp_path, fetcher=fetcher)
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
