"""Articles and pictures, fetched from a small Wikipedia."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from octis_m3l.errors import DataError, SettingsError
from octis_m3l.sources.fetching import Fetcher, FetchError
from octis_m3l.sources.wikipedia_fetching import description_page, thumbnail
from octis_m3l.sources.wikipedia_m3l import (
    build_wikipedia_m3l,
    fetch_wikipedia_m3l,
    wikipedia_source,
)
from octis_m3l.sources.wikipedia_store import PICTURES, WikipediaStore

from .local_server import LocalServer, Reply, Request
from .wikipedia_server import Wikipedia, address, drawn, path_of, plain, written


def quick(**arguments: Any) -> Fetcher:
    return Fetcher(**({"retries": 2, "timeout": 5.0} | arguments))


def fetch(wikipedia: Wikipedia, folder: Path, **arguments: Any) -> dict[str, Any]:
    arguments = {"fetcher": quick(), "endpoints": wikipedia.endpoints, **arguments}
    return fetch_wikipedia_m3l(folder, **arguments)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def picture_of(folder: Path, name: str) -> Path:
    store = WikipediaStore(folder)
    record = store.read(PICTURES, name)
    assert record is not None
    return store.picture_path(name, record)


def not_there(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "not-there.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


class TestFetching:
    def test_everything_comes_once(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path, slept: list[float]
    ) -> None:
        report = fetch(wikipedia, tmp_path)
        whole = {"asked": 12, "there": 12, "gone": {}, "failed": 0}
        assert report == {
            "tuples": {"train": 9, "test": 3},
            "complete_tuples": {"train": 9, "test": 3},
            "items": {"articles/en": whole, "articles/de": whole, "pictures": whole},
            "failed": 0,
        }
        assert json.loads((tmp_path / "report.json").read_text()) == report
        assert not_there(tmp_path) == []
        record = WikipediaStore(tmp_path).read("articles/de", "großer türkenkrieg")
        assert record is not None
        page = wikipedia.articles["de"]["Großer Türkenkrieg"]
        assert record["title"] == "Großer Türkenkrieg"
        assert (record["page"], record["revision"]) == (page.number, 1000 + page.number)
        assert record["text"].startswith("Dewörter")
        assert record["retrieved"] == "2026-01-02"
        place = picture_of(tmp_path, address("War.jpg"))
        assert (place.read_bytes(), place.suffix) == (drawn(0), ".jpg")
        assert server.asked("/wikipedia/commons/thumb/a/ab/War.jpg/500px-War.jpg")
        assert server.asked("/wikipedia/commons/a/ab/War.jpg") == []
        before = tree(tmp_path)
        server.requests.clear()
        assert fetch(wikipedia, tmp_path) == report
        assert server.requests == []
        assert tree(tmp_path) == before
        assert slept == []

    def test_a_trial_takes_the_first_of_each_list_and_is_built_from_them(
        self, wikipedia: Wikipedia, tmp_path: Path
    ) -> None:
        assert fetch(wikipedia, tmp_path)["items"]["pictures"]["there"] == 12
        whole = sum(build_wikipedia_m3l(tmp_path).view("en").sizes)
        assert fetch(wikipedia, tmp_path, limit=2)["tuples"] == {"train": 2, "test": 2}
        assert sum(build_wikipedia_m3l(tmp_path).view("en").sizes) <= 4 < whole

    def test_titles_are_looked_up_many_at_once(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        for number in range(100, 160):
            german, english, picture = plain(number)
            english += " " + "o" * 120
            wikipedia.add("en", english, written(number, "en"))
            wikipedia.rows["train"].append((german.lower(), english.lower(), address(picture)))
        fetch(wikipedia, tmp_path, fetcher=quick(retries=0))
        lookups = [r for r in server.asked("/en/w/api.php") if "titles" in r.query]
        assert 4 < len(lookups) < 20
        assert all(len(quote(r.query["titles"])) < 4010 for r in lookups)
        assert max(r.query["titles"].count("|") for r in lookups) > 20


class TestTitles:
    def look(self, wikipedia: Wikipedia, tmp_path: Path, title: str) -> dict[str, Any]:
        wikipedia.rows = {"train": [(title, title, "")], "test": []}
        fetch(wikipedia, tmp_path)
        record = WikipediaStore(tmp_path).read("articles/en", title)
        assert record is not None
        return record

    @pytest.mark.parametrize(
        "title", ["Sue Barker", "Hotchkiss et Cie", "HMS Forester (H74)", "iPhone", "LaDainian"]
    )
    def test_case_is_found_again(self, wikipedia: Wikipedia, tmp_path: Path, title: str) -> None:
        wikipedia.add("en", title[0].upper() + title[1:], "Some text.")
        found = self.look(wikipedia, tmp_path, title.lower())["title"]
        assert found == title[0].upper() + title[1:]

    def test_redirects_are_followed_and_recorded(
        self, wikipedia: Wikipedia, tmp_path: Path
    ) -> None:
        wikipedia.add("en", "Great war", "", redirect="Horse", section="History")
        record = self.look(wikipedia, tmp_path, "great war")
        assert record["title"] == "Horse"
        assert (record["redirect"], record["section"]) == ("Great war", "History")

    def test_another_spelling_is_preferred_to_a_disambiguation(
        self, wikipedia: Wikipedia, tmp_path: Path
    ) -> None:
        wikipedia.add("en", "Ave", "may be", disambiguation=True)
        wikipedia.add("en", "AVE", "A train.")
        assert self.look(wikipedia, tmp_path, "ave")["title"] == "AVE"

    @pytest.mark.parametrize(
        ("title", "reason"),
        [
            *((title, "impossible title") for title in ("a|b", "x" * 300, "c#", "{{x}}")),
            ("mercurius", "disambiguation page"),
            ("bare", "no text"),
            ("fleeting", "missing"),
            ("sue barker", "missing"),
            ("category:Horses", "no article"),
        ],
    )
    def test_what_is_no_article(
        self, wikipedia: Wikipedia, tmp_path: Path, title: str, reason: str
    ) -> None:
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
        assert self.look(wikipedia, tmp_path, title)["gone"] == reason
        assert reason in {line["gone"] for line in not_there(tmp_path)}

    def test_what_is_gone_is_not_asked_for_again(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        assert self.look(wikipedia, tmp_path, "nowhere")["gone"] == "missing"
        wikipedia.add("en", "Nowhere", "Some text.")
        server.requests.clear()
        report = fetch(wikipedia, tmp_path)
        assert report["items"]["articles/en"]["gone"] == {"missing": 1}
        assert server.requests == []
        report = fetch(wikipedia, tmp_path, retry_gone=True)
        assert report["items"]["articles/en"]["there"] == 1


class TestPictures:
    good = Reply(drawn(1), etag='"1"')
    away = Reply(status=404)
    broken = Reply(drawn(1)[:700])
    page = Reply(b"<html>Log in</html>", headers={"Content-Type": "text/html"})

    def take(
        self, wikipedia: Wikipedia, tmp_path: Path, small: Sequence[Reply], original: Reply
    ) -> dict[str, Any]:
        url = address("New.jpg")
        wikipedia.rows = {"train": [("hauspferd", "horse", url)], "test": []}
        wikipedia.server.serve(path_of(thumbnail(url, 500) or ""), *small)
        wikipedia.server.serve(path_of(url), original)
        counts: dict[str, Any] = fetch(wikipedia, tmp_path)["items"]["pictures"]
        return counts

    @pytest.mark.parametrize(
        "small",
        [
            *([Reply(status=status)] for status in (400, 404, 410)),
            [broken],
            [replace(good, cut=500), Reply(hang_up=True), good],
        ],
    )
    def test_the_original_is_taken_if_the_thumbnail_is_no_good(
        self, wikipedia: Wikipedia, tmp_path: Path, small: list[Reply]
    ) -> None:
        assert self.take(wikipedia, tmp_path, small, self.good)["there"] == 1
        assert picture_of(tmp_path, address("New.jpg")).read_bytes() == drawn(1)

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [(away, "deleted"), (Reply(status=410), "deleted"), (broken, "can't be opened")],
    )
    def test_what_is_no_picture(
        self, wikipedia: Wikipedia, tmp_path: Path, reply: Reply, reason: str
    ) -> None:
        assert self.take(wikipedia, tmp_path, [reply], reply)["gone"] == {reason: 1}
        assert not_there(tmp_path)[0]["asked"] == address("New.jpg")
        assert list(tmp_path.glob("pictures/**/*.new*")) == []

    def test_a_web_page_is_no_picture_and_may_pass(
        self, wikipedia: Wikipedia, tmp_path: Path
    ) -> None:
        counts = self.take(wikipedia, tmp_path, [self.page], self.page)
        assert (counts["there"], counts["gone"], counts["failed"]) == (0, {}, 1)
        assert "a web page came instead of the file" in not_there(tmp_path)[0]["failed"]
        assert self.take(wikipedia, tmp_path, [self.good], self.good)["there"] == 1

    @pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
    def test_what_is_refused_is_not_asked_for_as_original(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path, status: int
    ) -> None:
        counts = self.take(wikipedia, tmp_path, [Reply(status=status)], self.good)
        assert (counts["there"], counts["failed"]) == (0, 1)
        assert server.asked(path_of(address("New.jpg"))) == []
        assert f"answered {status}" in not_there(tmp_path)[0]["failed"]

    def test_one_that_fails_does_not_stop_the_others(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        server.serve("/loop.jpg", Reply(status=302, headers={"Location": "/loop.jpg"}))
        urls = [server.serve(f"/{status}.jpg", Reply(status=status)) for status in (403, 500)]
        for url in (*urls, f"{server.root}/loop.jpg", "http://[upload/x.jpg", "nowhere.jpg"):
            wikipedia.rows["train"].insert(0, ("hauspferd", "horse", url))
        counts = fetch(wikipedia, tmp_path)["items"]["pictures"]
        assert counts == {"asked": 17, "there": 12, "gone": {"no address": 2}, "failed": 3}
        failed = [line["failed"] for line in not_there(tmp_path) if "failed" in line]
        assert any("OCTIS_M3L_CONTACT" in message for message in failed)
        for url in urls:
            server.serve(path_of(url), self.good)
        counts = fetch(wikipedia, tmp_path)["items"]["pictures"]
        assert (counts["there"], counts["failed"]) == (14, 1)

    @pytest.mark.parametrize("status", [403, 503])
    def test_a_server_that_answers_nothing_is_left_alone(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path, status: int
    ) -> None:
        urls = [server.serve(f"/{number}.jpg", Reply(status=status)) for number in range(30)]
        wikipedia.rows["train"] = [("hauspferd", "horse", url) for url in urls]
        message = rf"10 failures one after another\. What has come is kept\. .* {status}"
        with pytest.raises(FetchError, match=message) as caught:
            fetch(wikipedia, tmp_path, fetcher=quick(retries=0))
        assert caught.value.status == status
        assert len([r for r in server.requests if r.path.endswith(".jpg")]) == 10

    def test_a_server_that_asks_for_a_long_pause_is_left_alone(
        self, wikipedia: Wikipedia, tmp_path: Path
    ) -> None:
        busy = Reply(status=429, headers={"Retry-After": "7200"})
        with pytest.raises(FetchError, match="come back in more than an hour"):
            self.take(wikipedia, tmp_path, [busy], self.good)

    def test_another_width_is_fetched_anew(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        fetch(wikipedia, tmp_path)
        wikipedia.picture(address("War.jpg"), 250, seed=99)
        fetch(wikipedia, tmp_path, width=250)
        assert picture_of(tmp_path, address("War.jpg")).read_bytes() == drawn(99)

    def test_several_in_a_cell(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        cell = f"{address('War.jpg')} {address('Page_8.jpg')}"
        wikipedia.rows["train"][1] = ("hauspferd", "horse", cell)
        fetch(wikipedia, tmp_path)
        dataset = build_wikipedia_m3l(tmp_path, validation=0)
        assert dataset.info()["views"]["pictures"]["items"]["train"] == 8


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("A_b.jpg", "A_b.jpg/330px-A_b.jpg"),
        ("%C3%84.JPG", "%C3%84.JPG/330px-%C3%84.JPG"),
        ("A.svg", "A.svg/330px-A.svg.png"),
        ("A.gif", "A.gif/330px-A.gif"),
        ("A.tif", "A.tif/lossy-page1-330px-A.tif.jpg"),
        ("A.pdf", "A.pdf/page1-330px-A.pdf.jpg"),
        ("%C3%84" * 90 + ".jpg", "%C3%84" * 90 + ".jpg/330px-thumbnail.jpg"),
    ],
)
def test_thumbnail_addresses(name: str, expected: str) -> None:
    for scheme in ("http", "https"):
        published = address(name).replace("https", scheme)
        start = "https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/"
        assert thumbnail(published, 330) == start + expected


@pytest.mark.parametrize("url", ["https://example.org/a.jpg", address("") + "x/y.jpg", ""])
def test_addresses_of_other_servers(url: str) -> None:
    assert thumbnail(url, 330) is None
    assert description_page(url) is None


def test_pictures_of_one_wikipedia_alone_are_described_there() -> None:
    url = "https://upload.wikimedia.org/wikipedia/en/a/ab/X.jpg"
    assert description_page(url) == "https://en.wikipedia.org/wiki/File:X.jpg"


class TestApi:
    def troubled(self, wikipedia: Wikipedia, *replies: Reply) -> None:
        waiting = list(replies)

        def trouble(request: Request) -> Reply | None:
            return waiting.pop(0) if waiting and request.path.endswith("api.php") else None

        wikipedia.trouble = trouble

    def test_lag_and_limits_are_waited_for(
        self, wikipedia: Wikipedia, tmp_path: Path, slept: list[float]
    ) -> None:
        lagged = Reply(b'{"error": {"code": "maxlag", "info": "Waiting", "lag": 6}}')
        limited = Reply(b'{"error": {"code": "ratelimited", "info": "Too often"}}')
        self.troubled(wikipedia, lagged, limited, replace(lagged, headers={"Retry-After": "120"}))
        assert fetch(wikipedia, tmp_path / "1", fetcher=quick(retries=3))["failed"] == 0
        assert slept[:3] == [5, 5, 5]
        assert 119 <= slept[3] <= 120
        self.troubled(wikipedia, *[lagged] * 6)
        assert fetch(wikipedia, tmp_path / "2")["failed"] == 2 * 12
        assert fetch(wikipedia, tmp_path / "2")["failed"] == 0

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (
                b'{"error": {"code": "blocked", "info": "You are out"}}',
                "the API answered 'blocked': You are out",
            ),
            (b"[]", "expected that of MediaWiki's API"),
            (b'{"continue": {"x": 1}}', "the API's answer has no end"),
        ],
    )
    def test_other_errors_are_final(
        self, wikipedia: Wikipedia, tmp_path: Path, answer: bytes, message: str
    ) -> None:
        self.troubled(wikipedia, *[Reply(answer)] * 600)
        with pytest.raises(FetchError, match=message):
            fetch(wikipedia, tmp_path)

    def test_time_outs_errors_and_truncated_answers(
        self, wikipedia: Wikipedia, tmp_path: Path
    ) -> None:
        cut = Reply(b'{"query": {"pages": []}}', cut=9)
        self.troubled(wikipedia, Reply(stall=1.0), Reply(status=502), cut, Reply(hang_up=True))
        assert fetch(wikipedia, tmp_path, fetcher=quick(retries=5, timeout=0.2))["failed"] == 0


class Killed(Fetcher):
    """Is interrupted after so many requests."""

    def __init__(self, after: int) -> None:
        super().__init__(retries=2)
        self.left = after

    def json(self, *arguments: Any, **more: Any) -> Any:
        self._count()
        return super().json(*arguments, **more)

    def download(self, *arguments: Any, **more: Any) -> Path:
        self._count()
        return super().download(*arguments, **more)

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


class TestInterruptions:
    @pytest.fixture
    def unbroken(self, wikipedia: Wikipedia, tmp_path: Path) -> Path:
        wikipedia.rows["train"].append(("weg", "away", address("Away.jpg")))
        fetch(wikipedia, tmp_path / "unbroken")
        return tmp_path / "unbroken"

    def test_killed_between_requests(
        self, wikipedia: Wikipedia, unbroken: Path, tmp_path: Path
    ) -> None:
        broken = tmp_path / "broken"
        for after in (0, 1, 2, 3, 7, 13, 2, 9, 11, 5):
            with pytest.raises(KeyboardInterrupt):
                fetch(wikipedia, broken, fetcher=Killed(after))
        fetch(wikipedia, broken)
        assert tree(broken) == tree(unbroken)

    @pytest.mark.parametrize("late", [False, True])
    def test_killed_while_writing(
        self,
        wikipedia: Wikipedia,
        unbroken: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        late: bool,
    ) -> None:
        broken, write = tmp_path / "broken", WikipediaStore.write
        left = [0]

        def killed(*arguments: Any) -> None:
            left[0] -= 1
            if late or left[0] >= 0:
                write(*arguments)
            if left[0] < 0:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(WikipediaStore, "write", killed)
            for left[0] in (0, 4, 5, 7, 3, 8):
                with pytest.raises(KeyboardInterrupt):
                    fetch(wikipedia, broken)
        fetch(wikipedia, broken)
        assert tree(broken) == tree(unbroken)

    def test_a_download_that_breaks_off(
        self, wikipedia: Wikipedia, server: LocalServer, unbroken: Path, tmp_path: Path
    ) -> None:
        broken = tmp_path / "broken"
        place = path_of(thumbnail(address("War.jpg"), 500) or "")
        for path in (place, "/wikipedia/commons/a/ab/War.jpg"):
            server.serve(path, Reply(drawn(0), etag='"0"', cut=900))
        assert fetch(wikipedia, broken)["failed"] == 1
        server.serve(place, Reply(drawn(0), etag='"0"'))
        assert fetch(wikipedia, broken)["failed"] == 0
        assert tree(broken) == tree(unbroken)

    @pytest.mark.parametrize("harm", [b"", b'{"asked": "horse", "te', b"[]", b"\xff", b"{}"])
    def test_what_is_damaged_is_fetched_again(
        self, wikipedia: Wikipedia, unbroken: Path, harm: bytes
    ) -> None:
        before = tree(unbroken)
        store = WikipediaStore(unbroken)
        picture = picture_of(unbroken, address("War.jpg"))
        picture.write_bytes(harm + bytes(picture.stat().st_size - len(harm)))
        store.path("articles/en", "horse").write_bytes(harm)
        store.path(PICTURES, address("DC.png")).write_bytes(harm)
        fetch(wikipedia, unbroken)
        assert tree(unbroken) == before


class TestArguments:
    def test_wikimedia_wants_a_contact_of_every_fetcher(self, tmp_path: Path) -> None:
        collect = wikipedia_source().collect
        assert collect is not None
        for call in (
            lambda: fetch_wikipedia_m3l(tmp_path),
            lambda: collect(tmp_path, quick(delay=2.0), progress=False),
        ):
            with pytest.raises(SettingsError, match="set OCTIS_M3L_CONTACT to your e-mail"):
                call()

    def test_numbers(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="limit=0: expected 1 or more"):
            fetch(wikipedia, tmp_path, limit=0)
        with pytest.raises(SettingsError, match=r"width=300: .*Known: .*330"):
            fetch(wikipedia, tmp_path, width=300)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"a,b\n", "has the columns a, b; expected de_title, en_title, image_url"),
            (b"", "is empty; expected a header"),
            (b"de_title,en_title,image_url\na,b,c,d\n", "line 2: 4 cells where the header has 3"),
            (b"de_title,en_title,image_url\n\xff,b,c\n", "is not written in utf-8"),
        ],
    )
    def test_lists_of_titles_that_are_none(
        self, wikipedia: Wikipedia, tmp_path: Path, content: bytes, message: str
    ) -> None:
        wikipedia.server.serve("/titles/train-titles.csv", Reply(content))
        with pytest.raises(DataError, match=message):
            fetch(wikipedia, tmp_path)
