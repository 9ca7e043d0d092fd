"""The Wikipedia data of M3L-Contrast, fetched from a small Wikipedia."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from octis_m3l.data import MultiviewDataset
from octis_m3l.errors import DataError, SettingsError, StorageError
from octis_m3l.sources.build import build as build_source
from octis_m3l.sources.fetch import fetch as fetch_source
from octis_m3l.sources.fetching import Fetcher, FetchError
from octis_m3l.sources.wikipedia_fetching import thumbnail
from octis_m3l.sources.wikipedia_m3l import (
    WIKIPEDIA_M3L_SOURCE,
    WikipediaEndpoints,
    build_wikipedia_m3l,
    fetch_wikipedia_m3l,
    wikipedia_source,
)
from octis_m3l.sources.wikipedia_store import PICTURES, WikipediaStore

from .local_server import LocalServer, Reply, Request
from .wikipedia_server import Wikipedia, address, drawn, path_of, written

LONG = "Sehr langer Titel " + "ä" * 80

# German title, English title, picture; as published: in lower case.
TUPLES = [
    ("Großer Türkenkrieg", "Great Turkish War", "War.jpg"),
    ("Hauspferd", "Horse", "Horse_%28brown%29.jpg"),
    ("1/f-Rauschen", "Pink noise", "No%22ise%2C_pink.JPG"),
    ("Washington, D.C.", 'Washington, "D.C."', "DC.png"),
    ("Five Nights at Freddy’s (Spieleserie)", "Five Nights at Freddy's", "Freddy%27s.jpg"),
    ("ʻEua", "ʻEua", "%CA%BBEua.gif"),
    (LONG, "A very long title " + "o" * 200, "Long_" + "%C3%A4" * 90 + ".jpg"),
    ("Königreich der Niederlande", "Kingdom of the Netherlands", "Nl.svg"),
]


def fill(wikipedia: Wikipedia) -> None:
    for number in range(12):
        tuples = TUPLES[number] if number < len(TUPLES) else _plain(number)
        german, english, picture = tuples
        wikipedia.add("de", german, written(number, "de"))
        wikipedia.add("en", english, written(number, "en"))
        wikipedia.picture(address(picture), seed=number)
        row = (german.lower(), english.lower(), address(picture))
        wikipedia.rows["test" if number % 4 == 3 else "train"].append(row)


def _plain(number: int) -> tuple[str, str, str]:
    return f"Seite {number}", f"Page {number}", f"Page_{number}.jpg"


@pytest.fixture(autouse=True)
def one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octis_m3l.sources.wikipedia_store._today", lambda: "2026-01-02")


@pytest.fixture
def wikipedia(server: LocalServer) -> Wikipedia:
    small = Wikipedia(server)
    fill(small)
    return small


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
    def test_everything_comes(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
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

    def test_an_article_is_kept_with_its_revision(
        self, wikipedia: Wikipedia, tmp_path: Path
    ) -> None:
        fetch(wikipedia, tmp_path)
        record = WikipediaStore(tmp_path).read("articles/de", "großer türkenkrieg")
        assert record is not None
        page = wikipedia.articles["de"]["Großer Türkenkrieg"]
        assert record["title"] == "Großer Türkenkrieg"
        assert (record["page"], record["revision"]) == (page.number, 1000 + page.number)
        assert record["text"].startswith("Dewörter")
        assert record["retrieved"] == "2026-01-02"

    def test_a_picture_is_kept_as_it_came(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        fetch(wikipedia, tmp_path)
        place = picture_of(tmp_path, address("War.jpg"))
        assert place.read_bytes() == drawn(0)
        assert place.suffix == ".jpg"

    def test_thumbnails_are_asked_for(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        fetch(wikipedia, tmp_path)
        assert server.asked("/wikipedia/commons/thumb/a/ab/War.jpg/500px-War.jpg")
        assert server.asked("/wikipedia/commons/a/ab/War.jpg") == []

    def test_a_second_run_asks_for_nothing(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        first = fetch(wikipedia, tmp_path)
        before = tree(tmp_path)
        server.requests.clear()
        assert fetch(wikipedia, tmp_path) == first
        assert server.requests == []
        assert tree(tmp_path) == before

    def test_a_trial_takes_the_first_of_each_list(
        self, wikipedia: Wikipedia, tmp_path: Path
    ) -> None:
        assert fetch(wikipedia, tmp_path, limit=2)["tuples"] == {"train": 2, "test": 2}
        assert fetch(wikipedia, tmp_path)["items"]["pictures"]["there"] == 12

    def test_a_trial_is_built_from_what_it_took(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        fetch(wikipedia, tmp_path)
        whole = sum(build_wikipedia_m3l(tmp_path).view("en").sizes)
        fetch(wikipedia, tmp_path, limit=2)
        assert sum(build_wikipedia_m3l(tmp_path).view("en").sizes) <= 4 < whole

    def test_titles_are_looked_up_many_at_once(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        for number in range(100, 160):
            german, english, picture = _plain(number)
            wikipedia.add("en", english, written(number, "en"))
            wikipedia.rows["train"].append((german.lower(), english.lower(), address(picture)))
        fetch(wikipedia, tmp_path, fetcher=quick(retries=0))
        lookups = [r for r in server.asked("/en/w/api.php") if "titles" in r.query]
        assert len(lookups) < 20
        assert all(len(r.query["titles"].encode()) < 4000 for r in lookups)


class TestTitles:
    def look(
        self, wikipedia: Wikipedia, tmp_path: Path, title: str, language: str = "en"
    ) -> dict[str, Any]:
        wikipedia.rows = {"train": [(title, title, "")], "test": []}
        fetch(wikipedia, tmp_path)
        record = WikipediaStore(tmp_path).read(f"articles/{language}", title)
        assert record is not None
        return record

    @pytest.mark.parametrize(
        "title", ["Sue Barker", "Hotchkiss et Cie", "HMS Forester (H74)", "iPhone", "LaDainian"]
    )
    def test_case_is_found_again(self, wikipedia: Wikipedia, tmp_path: Path, title: str) -> None:
        wikipedia.add("en", title[0].upper() + title[1:], "Some text.")
        found = self.look(wikipedia, tmp_path, title.lower())["title"]
        assert found == title[0].upper() + title[1:]

    def test_another_title_is_not_taken(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        wikipedia.add("en", "Sue Barker (singer)", "Some text.")
        assert self.look(wikipedia, tmp_path, "sue barker")["gone"] == "missing"

    def test_redirects_are_followed_and_told(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        wikipedia.add("en", "Great war", "", redirect="Horse", section="History")
        record = self.look(wikipedia, tmp_path, "great war")
        assert record["title"] == "Horse"
        assert (record["redirect"], record["section"]) == ("Great war", "History")

    def test_a_redirect_to_a_disambiguation(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        wikipedia.add("en", "Mercury", "may be", disambiguation=True)
        wikipedia.add("en", "Mercurius", "", redirect="Mercury")
        record = self.look(wikipedia, tmp_path, "mercurius")
        assert record["gone"] == "disambiguation page"
        assert {line["gone"] for line in not_there(tmp_path)} == {"disambiguation page", "missing"}

    def test_a_disambiguation_is_passed_over(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        wikipedia.add("en", "Ave", "may be", disambiguation=True)
        wikipedia.add("en", "AVE", "A train.")
        assert self.look(wikipedia, tmp_path, "ave")["title"] == "AVE"

    @pytest.mark.parametrize("title", ["a|b", "x" * 300, "c#", "{{x}}"])
    def test_impossible_titles(self, wikipedia: Wikipedia, tmp_path: Path, title: str) -> None:
        assert self.look(wikipedia, tmp_path, title)["gone"] == "impossible title"

    def test_an_article_without_text(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        wikipedia.add("en", "Bare", " \n")
        assert self.look(wikipedia, tmp_path, "bare")["gone"] == "no text"

    def test_an_article_that_is_deleted_meanwhile(
        self, wikipedia: Wikipedia, tmp_path: Path
    ) -> None:
        wikipedia.add("en", "Fleeting", "Some text.")

        def deleted(request: Request) -> Reply | None:
            if "pageids" in request.query:
                wikipedia.articles["en"].pop("Fleeting", None)
            return None

        wikipedia.trouble = deleted
        assert self.look(wikipedia, tmp_path, "fleeting")["gone"] == "missing"

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
    def take(
        self, wikipedia: Wikipedia, tmp_path: Path, small: Reply, original: Reply, **more: Any
    ) -> dict[str, Any]:
        url = address("New.jpg")
        wikipedia.rows = {"train": [("hauspferd", "horse", url)], "test": []}
        wikipedia.server.serve(path_of(thumbnail(url, 500) or ""), small)
        wikipedia.server.serve(path_of(url), original)
        return fetch(wikipedia, tmp_path, **more)["items"]["pictures"]

    good = Reply(drawn(1))
    away = Reply(status=404)
    page = Reply(b"<html>Log in</html>", headers={"Content-Type": "text/html"})

    @pytest.mark.parametrize("status", [400, 404, 410])
    def test_where_there_is_no_thumbnail_the_original_is_taken(
        self, wikipedia: Wikipedia, tmp_path: Path, status: int
    ) -> None:
        assert self.take(wikipedia, tmp_path, Reply(status=status), self.good)["there"] == 1

    @pytest.mark.parametrize("status", [404, 410])
    def test_deleted(self, wikipedia: Wikipedia, tmp_path: Path, status: int) -> None:
        gone = Reply(status=status)
        assert self.take(wikipedia, tmp_path, gone, gone)["gone"] == {"deleted": 1}
        assert not_there(tmp_path)[0]["asked"] == address("New.jpg")

    def test_a_broken_thumbnail_of_a_good_original(
        self, wikipedia: Wikipedia, tmp_path: Path
    ) -> None:
        broken = Reply(drawn(1)[:700])
        assert self.take(wikipedia, tmp_path, broken, self.good)["there"] == 1

    def test_what_cannot_be_opened(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        broken = Reply(drawn(1)[:700])
        assert self.take(wikipedia, tmp_path, broken, broken)["gone"] == {"can't be opened": 1}
        assert list(tmp_path.glob("pictures/**/*.new*")) == []

    def test_a_web_page_is_no_picture_and_may_pass(
        self, wikipedia: Wikipedia, tmp_path: Path
    ) -> None:
        counts = self.take(wikipedia, tmp_path, self.page, self.page)
        assert (counts["there"], counts["gone"], counts["failed"]) == (0, {}, 1)
        assert "a web page came instead of the file" in not_there(tmp_path)[0]["failed"]
        assert self.take(wikipedia, tmp_path, self.good, self.good)["there"] == 1

    def test_truncated_downloads_are_gone_on_with(
        self, wikipedia: Wikipedia, tmp_path: Path
    ) -> None:
        url = address("New.jpg")
        whole = Reply(drawn(1), etag='"1"')
        wikipedia.rows = {"train": [("hauspferd", "horse", url)], "test": []}
        wikipedia.server.serve(
            path_of(thumbnail(url, 500) or ""), replace(whole, cut=500), Reply(hang_up=True), whole
        )
        fetch(wikipedia, tmp_path)
        place = picture_of(tmp_path, url)
        assert place.read_bytes() == drawn(1)

    def test_a_server_that_fails_for_one_is_asked_for_the_others(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        stuck = server.serve("/stuck.jpg", Reply(status=500))
        wikipedia.rows["train"].insert(0, ("hauspferd", "horse", stuck))
        counts = fetch(wikipedia, tmp_path)["items"]["pictures"]
        assert (counts["there"], counts["failed"]) == (12, 1)
        server.serve("/stuck.jpg", self.good)
        counts = fetch(wikipedia, tmp_path)["items"]["pictures"]
        assert (counts["there"], counts["failed"]) == (13, 0)

    def test_a_server_that_is_down_is_left_alone(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        urls = [server.serve(f"/{number}.jpg", Reply(status=503)) for number in range(30)]
        wikipedia.rows["train"] = [("hauspferd", "horse", url) for url in urls]
        with pytest.raises(FetchError, match=r"10 failures one after another\. What has come"):
            fetch(wikipedia, tmp_path, fetcher=quick(retries=0))
        assert len([r for r in server.requests if r.path.endswith(".jpg")]) == 10

    @pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
    def test_what_is_refused_is_not_asked_for_as_original(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path, status: int
    ) -> None:
        counts = self.take(wikipedia, tmp_path, Reply(status=status), self.good)
        assert (counts["there"], counts["failed"]) == (0, 1)
        assert server.asked(path_of(address("New.jpg"))) == []
        assert f"answered {status}" in not_there(tmp_path)[0]["failed"]

    def test_one_that_is_refused_does_not_stop_the_others(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        server.serve("/refused.jpg", Reply(status=403))
        server.serve("/loop.jpg", Reply(status=302, headers={"Location": "/loop.jpg"}))
        urls = (f"{server.root}/refused.jpg", f"{server.root}/loop.jpg", "http://[upload/x.jpg")
        for url in urls:
            wikipedia.rows["train"].insert(0, ("hauspferd", "horse", url))
        counts = fetch(wikipedia, tmp_path)["items"]["pictures"]
        assert counts == {"asked": 15, "there": 12, "gone": {"no address": 1}, "failed": 2}
        failed = [line["failed"] for line in not_there(tmp_path) if "failed" in line]
        assert any("OCTIS_M3L_CONTACT" in message for message in failed)

    def test_a_server_that_refuses_everything_is_left_alone(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        urls = [server.serve(f"/{number}.jpg", Reply(status=403)) for number in range(30)]
        wikipedia.rows["train"] = [("hauspferd", "horse", url) for url in urls]
        with pytest.raises(FetchError, match=r"10 failures one.*CONTACT") as caught:
            fetch(wikipedia, tmp_path)
        assert caught.value.status == 403
        assert len([r for r in server.requests if r.path.endswith(".jpg")]) == 10

    def test_a_server_that_asks_for_a_long_pause_is_left_alone(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        busy = Reply(status=429, headers={"Retry-After": "7200"})
        with pytest.raises(FetchError, match="come back in more than an hour"):
            self.take(wikipedia, tmp_path, busy, self.good)

    def test_another_width_is_fetched_anew(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        fetch(wikipedia, tmp_path)
        wikipedia.picture(address("War.jpg"), 250, seed=99)
        fetch(wikipedia, tmp_path, width=250)
        place = picture_of(tmp_path, address("War.jpg"))
        assert place.read_bytes() == drawn(99)

    def test_no_address(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        wikipedia.rows = {"train": [("hauspferd", "horse", "nowhere.jpg")], "test": []}
        report = fetch(wikipedia, tmp_path)
        assert report["items"]["pictures"]["gone"] == {"no address": 1}

    def test_several_in_a_cell(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        cell = f"{address('War.jpg')} {address('Page_8.jpg')}"
        wikipedia.rows["train"][1] = ("hauspferd", "horse", cell)
        fetch(wikipedia, tmp_path)
        dataset = build_wikipedia_m3l(tmp_path, validation=0)
        assert dataset.info()["views"]["pictures"]["items"]["train"] == 8

    def test_widths_are_wikimedia_s(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"width=300: .*Known: .*330"):
            fetch(wikipedia, tmp_path, width=300)


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
def test_addresses_without_thumbnails(url: str) -> None:
    assert thumbnail(url, 330) is None


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
        self.troubled(wikipedia, lagged, limited)
        assert fetch(wikipedia, tmp_path)["failed"] == 0
        assert slept == [5, 5]
        assert len([request for request in wikipedia.server.requests if request.query]) > 2

    def test_what_the_server_says_is_waited(
        self, wikipedia: Wikipedia, tmp_path: Path, slept: list[float]
    ) -> None:
        lagged = Reply(
            b'{"error": {"code": "maxlag", "info": "Waiting"}}', headers={"Retry-After": "120"}
        )
        self.troubled(wikipedia, lagged)
        fetch(wikipedia, tmp_path)
        assert max(slept) >= 119

    def test_pages_of_other_kinds_are_no_articles(
        self, wikipedia: Wikipedia, tmp_path: Path
    ) -> None:
        page = {"pageid": 5, "ns": 14, "title": "Category:Horses"}
        wikipedia.rows = {"train": [("x", "category:Horses", "")], "test": []}
        answer = Reply(json.dumps({"query": {"pages": [page]}}).encode())
        wikipedia.trouble = lambda r: answer if "Horses" in r.query.get("titles", "") else None
        assert fetch(wikipedia, tmp_path)["items"]["articles/en"]["gone"] == {"no article": 1}

    def test_other_errors_are_told(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        self.troubled(wikipedia, Reply(b'{"error": {"code": "blocked", "info": "You are out"}}'))
        with pytest.raises(FetchError, match="the API answered 'blocked': You are out"):
            fetch(wikipedia, tmp_path)

    def test_what_is_no_api(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        self.troubled(wikipedia, Reply(b"[]"))
        with pytest.raises(FetchError, match="expected that of MediaWiki's API"):
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
        _same(build_wikipedia_m3l(broken), build_wikipedia_m3l(unbroken))

    @pytest.mark.parametrize("late", [False, True])
    def test_killed_while_writing(
        self,
        wikipedia: Wikipedia,
        unbroken: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        late: bool,
    ) -> None:
        broken, keep = tmp_path / "broken", WikipediaStore.write
        left = [0]

        def killed(*arguments: Any) -> None:
            left[0] -= 1
            if late or left[0] >= 0:
                keep(*arguments)
            if left[0] < 0:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(WikipediaStore, "write", killed)
            for left[0] in (0, 4, 5, 7, 3, 8):
                with pytest.raises(KeyboardInterrupt):
                    fetch(wikipedia, broken)
        fetch(wikipedia, broken)
        assert tree(broken) == tree(unbroken)

    def test_killed_during_a_download(
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

    def test_records_that_are_damaged_are_fetched_again(
        self, wikipedia: Wikipedia, unbroken: Path
    ) -> None:
        before = tree(unbroken)
        store = WikipediaStore(unbroken)
        for harm in (b"", b'{"asked": "horse", "te', b"[]", b"\xff", b"{}"):
            store.path("articles/en", "horse").write_bytes(harm)
            store.path(PICTURES, address("DC.png")).write_bytes(harm)
            fetch(wikipedia, unbroken)
            assert tree(unbroken) == before

    def test_pictures_with_other_bytes_are_fetched_again(
        self, wikipedia: Wikipedia, unbroken: Path
    ) -> None:
        before = tree(unbroken)
        place = picture_of(unbroken, address("DC.png"))
        place.write_bytes(bytes(place.stat().st_size))
        assert WikipediaStore(unbroken).read(PICTURES, address("DC.png")) is None
        fetch(wikipedia, unbroken)
        assert tree(unbroken) == before

    def test_pictures_that_are_cut_off_are_fetched_again(
        self, wikipedia: Wikipedia, unbroken: Path
    ) -> None:
        before = tree(unbroken)
        place = picture_of(unbroken, address("DC.png"))
        place.write_bytes(drawn(3)[:50])
        assert WikipediaStore(unbroken).read(PICTURES, address("DC.png")) is None
        fetch(wikipedia, unbroken)
        assert tree(unbroken) == before


def _same(first: Any, second: Any) -> None:
    assert first.info() == second.info()
    assert first.metadata == second.metadata
    for name in ("en", "de"):
        assert first.view(name).texts == second.view(name).texts
        assert first.view(name).vocabulary == second.view(name).vocabulary
    assert (first.links == second.links).all()


class TestArguments:
    def test_wikimedia_wants_a_contact(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="set OCTIS_M3L_CONTACT to your e-mail"):
            fetch_wikipedia_m3l(tmp_path)

    def test_wikimedia_wants_a_contact_of_every_fetcher(self, tmp_path: Path) -> None:
        for call in (fetch_wikipedia_m3l, WIKIPEDIA_M3L_SOURCE.collect):
            assert call is not None
            with pytest.raises(SettingsError, match="set OCTIS_M3L_CONTACT to your e-mail"):
                call(tmp_path, fetcher=quick(delay=2.0), progress=False)

    def test_limit(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="limit=0: expected 1 or more"):
            fetch_wikipedia_m3l(tmp_path, limit=0)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"a,b\n", "has the columns a, b; expected de_title, en_title, image_url"),
            (b"", "has the columns none"),
            (b"de_title,en_title,image_url\na,b\n", "line 2: expected 3 cells"),
            (b"de_title,en_title,image_url\na,b,c,d\n", "line 2: expected 3 cells"),
            (b"de_title,en_title,image_url\n\xff,b,c\n", "is no CSV in UTF-8"),
            (b'de_title,en_title,image_url\n"a,b,c\n', "is no CSV in UTF-8"),
        ],
    )
    def test_lists_of_titles_that_are_none(
        self,
        wikipedia: Wikipedia,
        server: LocalServer,
        tmp_path: Path,
        content: bytes,
        message: str,
    ) -> None:
        server.serve("/titles/train-titles.csv", Reply(content))
        with pytest.raises(DataError, match=message):
            fetch(wikipedia, tmp_path)


class TestSource:
    def test_describes_the_set(self) -> None:
        assert WIKIPEDIA_M3L_SOURCE.views == ("en", "de", "pictures")
        assert "CC BY-SA" in WIKIPEDIA_M3L_SOURCE.licence
        assert "COLING 2022" in WIKIPEDIA_M3L_SOURCE.citation
        assert [file.path for file in WIKIPEDIA_M3L_SOURCE.files] == [
            "train-titles.csv",
            "test-titles.csv",
        ]

    def test_collects_and_builds(self, wikipedia: Wikipedia, tmp_path: Path) -> None:
        source = wikipedia_source(wikipedia.endpoints)
        assert source.collect is not None
        assert source.collect(tmp_path, quick(delay=1.0))["failed"] == 0
        assert source.build(tmp_path, words=10).info()["pivot"] == "en"

    def test_goes_through_the_catalogue_s_calls(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        source = wikipedia_source(wikipedia.endpoints)
        record = fetch_source(source, tmp_path, fetcher=quick(delay=1.0))
        assert record["collected"]["items"]["pictures"]["there"] == 12
        server.requests.clear()
        fetch_source(source, tmp_path, fetcher=quick(delay=1.0))
        assert server.requests == []
        dataset = build_source(source, tmp_path / "out", tmp_path, vocabulary_size=20)
        assert len(dataset.view("de").vocabulary) == 20
        assert MultiviewDataset.from_folder(tmp_path / "out").info() == dataset.info()

    def test_failed_and_gone_items_are_asked_for_again(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        horse = wikipedia.articles["en"].pop("Horse")
        stuck = server.serve("/stuck.jpg", Reply(status=403))
        wikipedia.rows["train"].append(("hauspferd", "horse", stuck))
        source = wikipedia_source(wikipedia.endpoints)
        record = fetch_source(source, tmp_path, fetcher=quick(), accept_failed=True)
        assert record["collected"]["failed"] == 1
        assert record["options"] == {}
        server.serve("/stuck.jpg", Reply(drawn(77)))
        wikipedia.articles["en"]["Horse"] = horse
        record = fetch_source(source, tmp_path, fetcher=quick(), accept_failed=True)
        assert record["collected"]["failed"] == 0
        assert record["collected"]["items"]["articles/en"]["gone"] == {"missing": 1}
        for _ in range(2):
            server.requests.clear()
            record = fetch_source(source, tmp_path, fetcher=quick(), retry_gone=True)
            assert record["collected"]["items"]["articles/en"]["gone"] == {}
        assert server.requests == []
        with pytest.raises(SettingsError, match="accept_failed='no': it should be a valid boolean"):
            fetch_source(source, tmp_path, fetcher=quick(), accept_failed="no")

    def test_what_is_unfinished_is_not_recorded(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        server.serve(
            path_of(thumbnail(address("War.jpg"), 500) or ""),
            Reply(drawn(0), etag='"0"', cut=900),
        )
        source = wikipedia_source(wikipedia.endpoints)
        record = fetch_source(source, tmp_path, fetcher=quick(), accept_failed=True)
        assert [name for name in record["files"] if ".part" in name] == []

    def test_does_not_call_a_set_whole_that_is_not(
        self, wikipedia: Wikipedia, server: LocalServer, tmp_path: Path
    ) -> None:
        stuck = server.serve("/stuck.jpg", Reply(status=500))
        wikipedia.rows["train"].append(("hauspferd", "horse", stuck))
        source = wikipedia_source(wikipedia.endpoints)
        assert source.collect is not None
        with pytest.raises(
            FetchError, match=r"1 items could not be fetched.*not-there.jsonl lists"
        ):
            source.collect(tmp_path, quick(delay=0.5))


def test_endpoints_name_the_commit() -> None:
    assert "b16be9269dc8322eb06cefbbb23073a28be488dc" in WikipediaEndpoints().titles


def test_building_needs_the_lists(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="fetch the data first, with fetch_wikipedia_m3l"):
        build_wikipedia_m3l(tmp_path)
