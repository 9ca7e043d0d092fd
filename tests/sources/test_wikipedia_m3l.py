"""The Wikipedia data of M3L-Contrast: built from what came, and fetched by the catalogue."""

import csv
import hashlib
from pathlib import Path

import pytest

from octis_m3l.data import MultiviewDataset
from octis_m3l.errors import DataError, SettingsError, StorageError
from octis_m3l.sources.build import build
from octis_m3l.sources.fetch import fetch
from octis_m3l.sources.fetching import FetchError
from octis_m3l.sources.wikipedia_fetching import thumbnail
from octis_m3l.sources.wikipedia_m3l import build_wikipedia_m3l, wikipedia_source
from octis_m3l.sources.wikipedia_store import PICTURES, WikipediaStore, articles_of

from .local_server import LocalServer, Reply
from .wikipedia_server import Wikipedia, address, drawn, path_of, written

Row = tuple[str, str, str]


class Fetched:
    """A folder as fetching leaves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = WikipediaStore(folder)
        self.rows: dict[str, list[Row]] = {"train": [], "test": []}

    def add(self, partition: str, number: int, **changed: str) -> Row:
        row = (
            changed.get("de", f"seite {number}"),
            changed.get("en", f"page {number}"),
            changed.get("picture", address(f"{number}.jpg")),
        )
        self.rows[partition].append(row)
        for language, title in zip(("de", "en"), row, strict=False):
            if self.store.read(articles_of(language), title) is None:
                self.article(language, title, page=2 * number + (language == "en"))
        self.picture(row[2], number)
        self.write()
        return row

    def article(self, language: str, title: str, page: int, words: int = 30) -> None:
        content = {
            "title": title.capitalize(),
            "page": page,
            "revision": 1000 + page,
            "text": written(page, language, words),
        }
        self.store.write(articles_of(language), title, content)

    def picture(self, url: str, seed: int) -> None:
        body = drawn(seed)
        place = self.store.path(PICTURES, url, ".jpg")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(body)
        checksum = hashlib.sha256(body).hexdigest()
        self.store.write(PICTURES, url, {"file": place.name, "sha256": checksum})

    def write(self) -> None:
        for partition, rows in self.rows.items():
            with (self.folder / f"{partition}-titles.csv").open("w", newline="") as stream:
                table = csv.writer(stream)
                table.writerow(["de_title", "en_title", "image_url"])
                table.writerows(rows)


@pytest.fixture
def fetched(tmp_path: Path) -> Fetched:
    made = Fetched(tmp_path)
    for number in range(20):
        made.add("test" if number % 5 == 4 else "train", number)
    return made


def items(dataset: MultiviewDataset, view: str) -> dict[str, int]:
    counts: dict[str, int] = dataset.info()["views"][view]["items"]
    return counts


class TestPartitions:
    def test_are_as_published(self, fetched: Fetched) -> None:
        dataset = build_wikipedia_m3l(fetched.folder, validation=0)
        for view in ("en", "de", "pictures"):
            assert items(dataset, view) == {"train": 16, "validation": 0, "test": 4}
        assert dataset.pivot == "en"
        assert dataset.info()["tuples"] == 20

    def test_validation_follows_from_the_titles(self, fetched: Fetched) -> None:
        dataset = build_wikipedia_m3l(fetched.folder, validation=0.3)
        below = {
            en.capitalize()
            for de, en, _ in fetched.rows["train"]
            if int(hashlib.sha256(f"{en}\t{de}".encode()).hexdigest(), 16) / 2**256 < 0.3
        }
        view = dataset.view("en")
        records = dataset.metadata["records"]
        marked = {
            records[row]["articles"]["en"]["title"] for row in view.indexes[view.rows("validation")]
        }
        assert marked == below
        assert 0 < len(below) < 16

    def test_validation_does_not_depend_on_what_else_is_there(self, fetched: Fetched) -> None:
        texts = build_wikipedia_m3l(fetched.folder, validation=0.3).view("en")
        before = {texts.texts[row] for row in range(*_range(texts.rows("validation")))}
        for number in range(30, 40):
            fetched.add("train", number)
        texts = build_wikipedia_m3l(fetched.folder, validation=0.3).view("en")
        assert before <= {texts.texts[row] for row in range(*_range(texts.rows("validation")))}

    @pytest.mark.parametrize("shared", ["de", "en", "picture", "content", "page", "others"])
    def test_what_is_tested_is_not_trained_on(self, fetched: Fetched, shared: str) -> None:
        de, en, picture = fetched.rows["test"][0]
        changed = {"de": de, "en": en, "picture": picture}
        if shared in changed:
            fetched.add("train", 50, **{shared: changed[shared]})
        elif shared == "content":  # the same picture under another address
            fetched.add("train", 50)
            fetched.picture(address("50.jpg"), 4)
        elif shared == "page":  # a title that leads to the same article
            fetched.article("en", "other name of 4", page=9)
            fetched.add("train", 50, en="other name of 4")
        else:  # by way of other tuples
            fetched.add("train", 50, en=en)
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
        assert (items(dataset, "en")["train"], items(dataset, "pictures")["train"]) == (46, 18)


def _range(rows: slice) -> tuple[int, int]:
    return rows.start, rows.stop


class TestItems:
    def test_what_is_missing_is_a_gap(self, fetched: Fetched) -> None:
        fetched.store.write(articles_of("de"), "seite 0", {"gone": "missing"})
        fetched.store.write(PICTURES, address("1.jpg"), {"gone": "deleted"})
        dataset = build_wikipedia_m3l(fetched.folder, validation=0)
        assert [items(dataset, v)["train"] for v in ("en", "de", "pictures")] == [16, 15, 15]
        whole = build_wikipedia_m3l(fetched.folder, validation=0, complete=True)
        assert [items(whole, v)["train"] for v in ("en", "de", "pictures")] == [14, 14, 14]

    def test_articles_are_cut_after_so_many_words(self, fetched: Fetched) -> None:
        fetched.article("en", "page 0", page=1, words=500)
        view = build_wikipedia_m3l(fetched.folder, validation=0).view("en")
        assert max(len(text.split()) for text in view.texts) == 200
        view = build_wikipedia_m3l(fetched.folder, validation=0, words=7).view("en")
        assert {len(text.split()) for text in view.texts} == {7}
        view = build_wikipedia_m3l(fetched.folder, validation=0, words=None).view("en")
        assert max(len(text.split()) for text in view.texts) == 500

    def test_the_vocabulary_is_as_large_as_wanted(self, fetched: Fetched) -> None:
        dataset = build_wikipedia_m3l(fetched.folder, validation=0, vocabulary_size=11)
        assert len(dataset.view("en").vocabulary) == len(dataset.view("de").vocabulary) == 11

    def test_says_where_everything_is_from(self, fetched: Fetched, tmp_path: Path) -> None:
        dataset = build_wikipedia_m3l(fetched.folder)
        dataset.save(tmp_path / "saved")
        about = MultiviewDataset.from_folder(tmp_path / "saved").metadata
        assert "CC BY-SA 4.0" in about["license"]
        assert "COLING 2022" in about["citation"]
        assert about["retrieved"]["first"] <= about["retrieved"]["last"]
        assert about["records"][0] == {
            "articles": {
                "en": {"title": "Page 0", "revision": 1001},
                "de": {"title": "Seite 0", "revision": 1000},
            },
            "pictures": ["https://commons.wikimedia.org/wiki/File:0.jpg"],
        }

    def test_what_is_unfinished_can_be_built_of(self, fetched: Fetched) -> None:
        fetched.rows["train"].append(("nie", "never", address("Never.jpg")))
        fetched.write()
        assert build_wikipedia_m3l(fetched.folder, validation=0).info()["tuples"] == 20


class TestErrors:
    def test_nothing_to_train_on(self, tmp_path: Path) -> None:
        made = Fetched(tmp_path)
        made.add("test", 0)
        with pytest.raises(DataError, match="has no training tuple whose articles or picture came"):
            build_wikipedia_m3l(tmp_path)

    def test_arguments(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="validation=1: expected a share"):
            build_wikipedia_m3l(tmp_path, validation=1)
        with pytest.raises(SettingsError, match="words=0: expected 1 or more"):
            build_wikipedia_m3l(tmp_path, words=0)


class TestSource:
    def test_goes_through_the_catalogue_s_calls(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        source = wikipedia_source(wikipedia.endpoints)
        record = fetch(source, tmp_path)
        assert record["collected"]["items"]["pictures"]["there"] == 12
        server.requests.clear()
        fetch(source, tmp_path)
        assert server.requests == []
        dataset = build(source, tmp_path / "out", tmp_path, vocabulary_size=20)
        assert len(dataset.view("de").vocabulary) == 20
        assert MultiviewDataset.from_folder(tmp_path / "out").info() == dataset.info()

    def test_failed_and_gone_items_are_asked_for_again(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        horse = wikipedia.articles["en"].pop("Horse")
        stuck = server.serve("/stuck.jpg", Reply(status=403))
        wikipedia.rows["train"].append(("hauspferd", "horse", stuck))
        source = wikipedia_source(wikipedia.endpoints)
        with pytest.raises(
            FetchError, match=r"1 items could not be fetched.*not-there.jsonl lists"
        ):
            fetch(source, tmp_path)
        record = fetch(source, tmp_path, accept_failed=True)
        assert record["collected"]["failed"] == 1
        assert record["options"] == {}
        server.serve("/stuck.jpg", Reply(drawn(77)))
        wikipedia.articles["en"]["Horse"] = horse
        record = fetch(source, tmp_path, accept_failed=True)
        assert record["collected"]["failed"] == 0
        assert record["collected"]["items"]["articles/en"]["gone"] == {"missing": 1}
        for _ in range(2):
            server.requests.clear()
            record = fetch(source, tmp_path, retry_gone=True)
            assert record["collected"]["items"]["articles/en"]["gone"] == {}
        assert server.requests == []
        with pytest.raises(SettingsError, match="accept_failed='no': it should be a valid boolean"):
            fetch(source, tmp_path, accept_failed="no")

    def test_what_is_unfinished_is_not_recorded(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        server.serve(
            path_of(thumbnail(address("War.jpg"), 500) or ""),
            Reply(drawn(0), etag='"0"', cut=900),
        )
        source = wikipedia_source(wikipedia.endpoints)
        record = fetch(source, tmp_path, accept_failed=True)
        assert [name for name in record["files"] if ".part" in name] == []


def test_building_needs_the_lists(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="fetch the data first, with fetch_wikipedia_m3l"):
        build_wikipedia_m3l(tmp_path)
