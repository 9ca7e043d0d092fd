"""Articles and pictures, fetched from a small Wikipedia."""

import errno
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octis_m3l.errors import SettingsError, StorageError
from octis_m3l.sources.download import Fetcher, FetchError
from octis_m3l.sources.wikipedia_fetching import (
    PICTURES,
    Store,
    description_page,
    thumbnail,
)
from octis_m3l.sources.wikipedia_m3l import build_wikipedia_m3l

from .local_server import Reply, Request
from .wikipedia_server import Wikipedia, address, drawn, path_of, quick, written

GOOD = Reply(drawn(1), etag='"1"')
BROKEN = Reply(drawn(1)[:700])
NEW = address("New.jpg")


def test_everything_comes_once(wikipedia: Wikipedia, slept: list[float]) -> None:
    report = wikipedia.fetch()
    whole = {"asked": 12, "there": 12, "gone": {}, "failed": 0}
    assert report == {
        "tuples": {"train": 9, "test": 3},
        "complete_tuples": {"train": 9, "test": 3},
        "items": {"articles/en": whole, "articles/de": whole, "pictures": whole},
        "failed": 0,
    }
    assert json.loads((wikipedia.folder / "report.json").read_text()) == report
    assert wikipedia.not_there() == []
    record = wikipedia.record("de", "großer türkenkrieg")
    page = wikipedia.articles["de"]["Großer Türkenkrieg"]
    assert record["title"] == "Großer Türkenkrieg"
    assert (record["page"], record["revision"]) == (page.number, 1000 + page.number)
    assert record["text"].startswith("Dewörter")
    assert record["retrieved"] == "2026-01-02"
    place = wikipedia.fetched_picture(address("War.jpg"))
    assert (place.read_bytes(), place.suffix) == (drawn(0), ".jpg")
    server, before = wikipedia.server, wikipedia.tree()
    assert server.asked("/wikipedia/commons/thumb/a/ab/War.jpg/500px-War.jpg")
    assert server.asked("/wikipedia/commons/a/ab/War.jpg") == []
    server.requests.clear()
    assert wikipedia.fetch() == report
    assert server.requests == []
    assert wikipedia.tree() == before
    assert slept == []


def test_a_trial_takes_the_first_of_each_list_and_is_built_from_them(wikipedia: Wikipedia) -> None:
    assert wikipedia.fetch()["items"]["pictures"]["there"] == 12
    whole = sum(build_wikipedia_m3l(wikipedia.folder).view("en").sizes)
    assert wikipedia.fetch(limit=2)["tuples"] == {"train": 2, "test": 2}
    assert sum(build_wikipedia_m3l(wikipedia.folder).view("en").sizes) <= 4 < whole


def test_titles_are_looked_up_many_at_once(wikipedia: Wikipedia) -> None:
    for number in range(100, 160):
        english = f"Page {number} " + "o" * 120
        wikipedia.add("en", english, written(number, "en"))
        wikipedia.rows["train"].append((f"seite {number}", english.lower(), ""))
    wikipedia.fetch()
    queries = [request.query for request in wikipedia.server.asked("/en/w/api.php")]
    lookups = [query["titles"] for query in queries if "titles" in query]
    assert 4 < len(lookups) < 20
    assert all(len(quote(titles)) < 4010 for titles in lookups)
    assert max(titles.count("|") for titles in lookups) > 20


class TestTitles:
    def look(self, wikipedia: Wikipedia, title: str) -> dict[str, Any]:
        wikipedia.rows = {"train": [(title, title, "")], "test": []}
        wikipedia.fetch()
        return wikipedia.record("en", title)

    def test_case_is_found_again(self, wikipedia: Wikipedia) -> None:
        names = "Sue Barker", "Hotchkiss et Cie", "HMS Forester (H74)", "IPhone", "LaDainian"
        for name in names:
            wikipedia.add("en", name, "Some text.")
            assert self.look(wikipedia, name.lower())["title"] == name

    def test_redirects_and_another_spelling_than_that_of_a_disambiguation(
        self, wikipedia: Wikipedia
    ) -> None:
        wikipedia.add("en", "Great war", "", redirect="Horse", section="History")
        record = self.look(wikipedia, "great war")
        assert record["title"] == "Horse"
        assert (record["redirect"], record["section"]) == ("Great war", "History")
        wikipedia.add("en", "Ave", "may be", disambiguation=True)
        wikipedia.add("en", "AVE", "A train.")
        assert self.look(wikipedia, "ave")["title"] == "AVE"

    def test_what_is_no_article(self, wikipedia: Wikipedia) -> None:
        wikipedia.add("en", "Sue Barker (singer)", "Some text.")
        wikipedia.add("en", "Mercury", "may be", disambiguation=True)
        wikipedia.add("en", "Mercurius", "", redirect="Mercury")
        wikipedia.add("en", "Bare", " \n")
        wikipedia.add("en", "Fleeting", "Some text.")
        page = {"pageid": 5, "ns": 14, "title": "Category:Horses"}
        answer = Reply(json.dumps({"query": {"pages": [page]}}).encode())

        def trouble(request: Request) -> Reply | None:
            if "pageids" in request.query:  # deleted between the two questions
                wikipedia.articles["en"].pop("Fleeting", None)
            return answer if "Horses" in request.query.get("titles", "") else None

        wikipedia.trouble = trouble
        for title, reason in {
            **dict.fromkeys(("a|b", "x" * 300, "c#", "{{x}}"), "impossible title"),
            "mercurius": "disambiguation page",
            "fleeting": "missing",
            "bare": "no text",
            "sue barker": "missing",
            "category:Horses": "no article",
        }.items():
            assert self.look(wikipedia, title)["gone"] == reason
            assert reason in {line["gone"] for line in wikipedia.not_there()}

    def test_what_is_gone_is_not_asked_for_again(self, wikipedia: Wikipedia) -> None:
        assert self.look(wikipedia, "nowhere")["gone"] == "missing"
        wikipedia.add("en", "Nowhere", "Some text.")
        wikipedia.server.requests.clear()
        assert wikipedia.fetch()["items"]["articles/en"]["gone"] == {"missing": 1}
        assert wikipedia.server.requests == []
        assert wikipedia.fetch(retry_gone=True)["items"]["articles/en"]["there"] == 1


class TestPictures:
    def take(self, wikipedia: Wikipedia, original: Reply, *small: Reply) -> dict[str, Any]:
        wikipedia.rows = {"train": [("hauspferd", "horse", NEW)], "test": []}
        wikipedia.picture(NEW, original)
        wikipedia.server.serve(path_of(str(thumbnail(NEW))), *small)
        counts: dict[str, Any] = wikipedia.fetch()["items"]["pictures"]
        return counts

    @pytest.mark.parametrize(
        "small",
        [
            *([Reply(status=status)] for status in (400, 404, 410)),
            [BROKEN],
            [replace(GOOD, cut=500), Reply(hang_up=True), GOOD],
        ],
    )
    def test_the_original_is_taken_if_the_thumbnail_is_no_good(
        self, wikipedia: Wikipedia, small: list[Reply]
    ) -> None:
        assert self.take(wikipedia, GOOD, *small)["there"] == 1
        assert wikipedia.fetched_picture(NEW).read_bytes() == drawn(1)

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [
            (Reply(status=404), "deleted"),
            (Reply(status=410), "deleted"),
            (BROKEN, "can't be opened"),
        ],
    )
    def test_what_is_no_picture(self, wikipedia: Wikipedia, reply: Reply, reason: str) -> None:
        assert self.take(wikipedia, reply, reply)["gone"] == {reason: 1}
        assert wikipedia.not_there()[0]["asked"] == NEW
        assert list(wikipedia.folder.glob("pictures/**/*.new*")) == []

    @pytest.mark.parametrize(
        ("reply", "message"),
        [
            *((Reply(status=s), f"answered {s}") for s in (401, 403, 429, 500, 503)),
            (
                Reply(b"<html>Log in</html>", headers={"Content-Type": "text/html"}),
                "a web page came instead of the file",
            ),
        ],
    )
    def test_what_is_refused_is_not_asked_for_as_original_and_may_pass(
        self, wikipedia: Wikipedia, reply: Reply, message: str
    ) -> None:
        counts = self.take(wikipedia, GOOD, reply)
        assert (counts["there"], counts["gone"], counts["failed"]) == (0, {}, 1)
        assert wikipedia.server.asked(path_of(NEW)) == []
        assert message in wikipedia.not_there()[0]["failed"]
        assert self.take(wikipedia, GOOD, GOOD)["there"] == 1

    def test_one_that_fails_does_not_stop_the_others(self, wikipedia: Wikipedia) -> None:
        serve = wikipedia.server.serve
        loop = serve("/loop.jpg", Reply(status=302, headers={"Location": "/loop.jpg"}))
        urls = [serve(f"/{status}.jpg", Reply(status=status)) for status in (403, 500)]
        for url in (*urls, loop, "http://[upload/x.jpg", "nowhere.jpg"):
            wikipedia.rows["train"].insert(0, ("hauspferd", "horse", url))
        counts = wikipedia.fetch()["items"]["pictures"]
        assert counts == {"asked": 17, "there": 12, "gone": {"no address": 2}, "failed": 3}
        failed = [line["failed"] for line in wikipedia.not_there() if "failed" in line]
        assert any("OCTIS_M3L_CONTACT" in message for message in failed)
        for url in urls:
            serve(path_of(url), GOOD)
        with pytest.raises(FetchError, match=r"1 items could not be fetched.*not-there.jsonl"):
            wikipedia.fetch(accept_failed=False)
        assert wikipedia.fetch()["items"]["pictures"]["there"] == 14

    @pytest.mark.parametrize("status", [403, 503])
    def test_a_server_that_answers_nothing_is_left_alone(
        self, wikipedia: Wikipedia, status: int
    ) -> None:
        serve = wikipedia.server.serve
        urls = [serve(f"/{number}.jpg", Reply(status=status)) for number in range(30)]
        wikipedia.rows["train"] = [("hauspferd", "horse", url) for url in urls]
        message = rf"10 failures one after another\. What has come is kept\. .* {status}"
        with pytest.raises(FetchError, match=message) as caught:
            wikipedia.fetch(quick(retries=0))
        assert caught.value.status == status
        assert len([r for r in wikipedia.server.requests if r.path.endswith(".jpg")]) == 10
        busy = Reply(status=429, headers={"Retry-After": "7200"})
        with pytest.raises(FetchError, match="come back in more than an hour"):
            self.take(wikipedia, GOOD, busy)

    def test_several_in_a_cell(self, wikipedia: Wikipedia) -> None:
        cell = f"{address('War.jpg')} {address('Page_8.jpg')}"
        wikipedia.rows["train"][1] = ("hauspferd", "horse", cell)
        wikipedia.fetch()
        dataset = build_wikipedia_m3l(wikipedia.folder, validation=0)
        assert dataset.info()["views"]["pictures"]["items"]["train"] == 8


def test_addresses_of_thumbnails_and_descriptions() -> None:
    for name, expected in {
        "A_b.jpg": "500px-A_b.jpg",
        "%C3%84.JPG": "500px-%C3%84.JPG",
        "A.svg": "500px-A.svg.png",
        "A.gif": "500px-A.gif",
        "A.tif": "lossy-page1-500px-A.tif.jpg",
        "A.pdf": "page1-500px-A.pdf.jpg",
        "%C3%84" * 90 + ".jpg": "500px-thumbnail.jpg",
    }.items():
        start = "https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/"
        for scheme in ("http", "https"):
            published = address(name).replace("https", scheme)
            assert thumbnail(published) == f"{start}{name}/{expected}"
    for url in ("https://example.org/a.jpg", address("") + "x/y.jpg", ""):
        assert thumbnail(url) is None
        assert description_page(url) is None
    url = "https://upload.wikimedia.org/wikipedia/en/a/ab/X.jpg"
    assert description_page(url) == "https://en.wikipedia.org/wiki/File:X.jpg"


class TestApi:
    def troubled(self, wikipedia: Wikipedia, *replies: Reply) -> None:
        waiting = list(replies)

        def trouble(request: Request) -> Reply | None:
            return waiting.pop(0) if waiting and request.path.endswith("api.php") else None

        wikipedia.trouble = trouble

    def test_passing_trouble_passes(self, wikipedia: Wikipedia, slept: list[float]) -> None:
        lagged = Reply(b'{"error": {"code": "maxlag", "info": "Waiting", "lag": 6}}')
        self.troubled(wikipedia, *[lagged] * 6)
        assert wikipedia.fetch()["failed"] == 2 * 12
        slept.clear()
        limited = Reply(b'{"error": {"code": "ratelimited", "info": "Too often"}}')
        busy = replace(lagged, headers={"Retry-After": "120"})
        cut = Reply(b'{"query": {"pages": []}}', cut=9)
        self.troubled(wikipedia, lagged, limited, busy, Reply(status=502), cut)
        assert wikipedia.fetch(quick(retries=3))["failed"] == 0
        assert slept[:3] == [5, 5, 5]
        assert 119 <= slept[3] <= 120

    def test_other_errors_are_final(self, wikipedia: Wikipedia) -> None:
        for answer, message in {
            b'{"error": {"code": "blocked", "info": "You are out"}}': "answered 'blocked': You are",
            b"[]": "expected that of MediaWiki's API",
            b'{"continue": {"x": 1}}': "the API's answer has no end",
        }.items():
            self.troubled(wikipedia, *[Reply(answer)] * 600)
            with pytest.raises(FetchError, match=message):
                wikipedia.fetch()


class Killed(Fetcher):
    """Is interrupted after so many requests."""

    def __init__(self, after: int) -> None:
        super().__init__(retries=2, contact="me@example.org")
        self.left = after

    def _get(self, *arguments: Any, **more: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super()._get(*arguments, **more)


class TestInterruptions:
    @pytest.fixture
    def unbroken(self, wikipedia: Wikipedia) -> dict[str, bytes]:
        """What is there after a fetch without interruption; the next ones start anew."""
        wikipedia.rows["train"].append(("weg", "away", address("Away.jpg")))
        wikipedia.fetch()
        files = wikipedia.tree()
        wikipedia.folder = wikipedia.folder.with_name("broken")
        return files

    def test_killed_between_requests(
        self, wikipedia: Wikipedia, unbroken: dict[str, bytes]
    ) -> None:
        for after in (0, 1, 2, 3, 7, 13, 2, 9, 11, 5):
            with pytest.raises(KeyboardInterrupt):
                wikipedia.fetch(Killed(after))
        wikipedia.fetch()
        assert wikipedia.tree() == unbroken

    @pytest.mark.parametrize("late", [False, True])
    def test_killed_while_writing(
        self,
        wikipedia: Wikipedia,
        unbroken: dict[str, bytes],
        monkeypatch: pytest.MonkeyPatch,
        late: bool,
    ) -> None:
        write, left = Store.write, [0]

        def killed(*arguments: Any) -> None:
            left[0] -= 1
            if late or left[0] >= 0:
                write(*arguments)
            if left[0] < 0:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Store, "write", killed)
            for left[0] in (0, 4, 5, 7, 3, 8):
                with pytest.raises(KeyboardInterrupt):
                    wikipedia.fetch()
        wikipedia.fetch()
        assert wikipedia.tree() == unbroken

    def test_a_download_that_breaks_off_and_damage(
        self, wikipedia: Wikipedia, unbroken: dict[str, bytes]
    ) -> None:
        war = Reply(drawn(0), etag='"0"')
        wikipedia.picture(address("War.jpg"), replace(war, cut=900))
        assert wikipedia.fetch()["failed"] == 1
        wikipedia.picture(address("War.jpg"), war)
        assert wikipedia.fetch()["failed"] == 0
        assert wikipedia.tree() == unbroken
        picture, store = wikipedia.fetched_picture(address("War.jpg")), Store(wikipedia.folder)
        for harm in (b"", b'{"asked": "horse", "te', b"[]", b"\xff", b"{}"):
            picture.write_bytes(harm + bytes(picture.stat().st_size - len(harm)))
            store.path("en", "horse").write_bytes(harm)
            store.path(PICTURES, address("DC.png")).write_bytes(harm)
            wikipedia.fetch()
            assert wikipedia.tree() == unbroken


def test_wikimedia_wants_a_contact(wikipedia: Wikipedia) -> None:
    with pytest.raises(SettingsError, match="set OCTIS_M3L_CONTACT to your e-mail"):
        wikipedia.fetch(Fetcher(delay=2.0))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True, max_size=4))
def test_the_store_keeps_names_of_any_kind_apart(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        for name in names:
            store.write("en", name, {"text": name})
        for name in names:
            assert (store.read("en", name) or {})["text"] == name
            assert store.read("de", name) is None


def test_a_record_in_anothers_place_and_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.write("en", "a", {"text": "x"})
    place = store.path("en", "b")
    place.parent.mkdir(parents=True, exist_ok=True)
    store.path("en", "a").rename(place)
    assert store.read("en", "b") is None

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("octis_m3l.files.json.dumps", full)
    with pytest.raises(StorageError, match=r"can't be written: no space is left on the disk"):
        store.write("en", "a", {"text": "x"})
