"""Files and JSON over HTTP, with everything that goes wrong."""

import errno
import gzip
import hashlib
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests

from octis_m3l.errors import DataError, OctisM3LError, SettingsError, StorageError
from octis_m3l.sources.fetching import CONTACT, Fetcher, FetchError, user_agent_of

from .local_server import LocalServer, Reply, Request

BODY = os.urandom(200_000)
SUM = hashlib.sha256(BODY).hexdigest()
WHOLE = Reply(BODY, etag='"1"')


def fetcher(**arguments: Any) -> Fetcher:
    return Fetcher(**{"timeout": 5.0, **arguments})


def start(request: Request) -> int:
    """Return the byte from which on a request wants the file."""
    return int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestDownload:
    def test_writes_the_file_and_leaves_nothing_beside_it(
        self, server: LocalServer, tmp_path: Path
    ) -> None:
        url = server.serve("/a b/ü.bin", Reply(BODY)).replace(" ", "%20").replace("ü", "%C3%BC")
        place = tmp_path / "new" / "file.bin"
        assert fetcher().download(url, place, sha256=SUM, size=len(BODY)) == place
        assert place.read_bytes() == BODY
        assert names(place.parent) == ["file.bin"]
        empty = fetcher().download(server.serve("/f", Reply(b"")), tmp_path / "f", size=0)
        assert empty.read_bytes() == b""

    def test_a_file_that_is_there_is_fetched_only_if_it_is_wrong(
        self, server: LocalServer, tmp_path: Path
    ) -> None:
        url, place = server.serve("/f", Reply(BODY)), tmp_path / "f"
        place.write_bytes(BODY)
        fetcher().download(url, place)
        fetcher().download(url, place, sha256=SUM, size=len(BODY))
        assert server.requests == []
        place.write_bytes(BODY[:-1])
        fetcher().download(url, place, size=len(BODY))
        assert place.read_bytes() == BODY
        place.write_bytes(BODY[::-1])
        fetcher().download(url, place, sha256=SUM)
        assert place.read_bytes() == BODY
        assert len(server.requests) == 2

    def test_a_wrong_checksum(self, server: LocalServer, tmp_path: Path) -> None:
        url = server.serve("/f", Reply(b"other", etag='"1"'))
        with pytest.raises(FetchError, match="Fetch it again; if that does not help") as caught:
            fetcher().download(url, tmp_path / "f", sha256=SUM)
        assert SUM in str(caught.value)
        assert hashlib.sha256(b"other").hexdigest() in str(caught.value)
        assert "\n" not in str(caught.value)
        assert names(tmp_path) == []

    @pytest.mark.parametrize("framed", [True, False])
    def test_a_wrong_size_is_not_waited_for(
        self, server: LocalServer, tmp_path: Path, framed: bool
    ) -> None:
        url = server.serve("/f", Reply(bytes(2_000_000), framed=framed))
        found = "2000000" if framed else "more than 10"
        with pytest.raises(FetchError, match=f"has {found} bytes, where 10 were expected"):
            fetcher().download(url, tmp_path / "f", size=10)
        assert names(tmp_path) == []

    def test_of_unknown_length_is_taken_only_where_it_can_be_checked(
        self, server: LocalServer, tmp_path: Path
    ) -> None:
        cut, whole = Reply(BODY[:99], framed=False), Reply(BODY, framed=False)
        url = server.serve("/f", cut)
        with pytest.raises(FetchError, match="does not say how long it is"):
            fetcher().download(url, tmp_path / "f")
        assert names(tmp_path) == []
        server.serve("/f", cut, whole)
        fetcher().download(url, tmp_path / "f", size=len(BODY))
        fetcher().download(url, tmp_path / "g", sha256=SUM)
        assert (tmp_path / "f").read_bytes() == (tmp_path / "g").read_bytes() == BODY

    def test_in_chunks_is_taken(self, server: LocalServer, tmp_path: Path) -> None:
        chunks = Reply(
            b"5\r\nwhole\r\n0\r\n\r\n", headers={"Transfer-Encoding": "chunked"}, framed=False
        )
        fetcher().download(server.serve("/f", chunks), tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == b"whole"

    def test_encoded_is_refused(self, server: LocalServer, tmp_path: Path) -> None:
        encoded = Reply(gzip.compress(BODY), headers={"Content-Encoding": "gzip"})
        with pytest.raises(FetchError, match="sent it encoded, though asked not to"):
            fetcher().download(server.serve("/f", encoded), tmp_path / "f")
        assert names(tmp_path) == []

    def test_a_web_page_is_refused_if_wanted(self, server: LocalServer, tmp_path: Path) -> None:
        page = Reply(b"<html>", headers={"Content-Type": "Text/HTML; charset=utf-8"})
        url = server.serve("/f", page)
        with pytest.raises(FetchError, match="a web page came instead of the file"):
            fetcher().download(url, tmp_path / "f.csv", refuse_html=True)
        assert names(tmp_path) == []
        fetcher().download(url, tmp_path / "f.csv")
        assert (tmp_path / "f.csv").read_bytes() == b"<html>"


class TestResuming:
    def test_within_a_call(self, server: LocalServer, tmp_path: Path, slept: list[float]) -> None:
        url = server.serve("/f", replace(WHOLE, cut=80_000), replace(WHOLE, cut=50_000), WHOLE)
        fetcher().download(url, tmp_path / "f", sha256=SUM)
        first, second, third = map(start, server.requests)
        assert first == 0
        assert 60_000 < second <= 80_000
        assert 90_000 < third <= 130_000
        assert (tmp_path / "f").read_bytes() == BODY
        assert len(slept) == 2

    @pytest.mark.parametrize(
        "mark", [{"etag": '"1"'}, {"modified": "Mon, 01 Jan 2024 00:00:00 GMT"}]
    )
    def test_in_the_next_call(
        self, server: LocalServer, tmp_path: Path, mark: dict[str, Any]
    ) -> None:
        reply = Reply(BODY, **mark)
        url = server.serve("/f", replace(reply, cut=70_000))
        with pytest.raises(FetchError, match=r"Try again later: it continues where it stopped"):
            fetcher(retries=0).download(url, tmp_path / "f")
        assert not (tmp_path / "f").exists()
        server.serve("/f", reply)
        fetcher(retries=0).download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY
        assert server.requests[-1].headers["If-Range"] == next(iter(mark.values()))
        assert names(tmp_path) == ["f"]

    @pytest.mark.parametrize(
        ("first", "answers"),
        [
            (WHOLE, [Reply(BODY[::-1], etag='"2"')]),
            (WHOLE, [Reply(BODY[::-1])]),
            (WHOLE, [replace(WHOLE, body=BODY[::-1], ranges=False)]),
            (Reply(BODY), [Reply(BODY[::-1])]),
            (Reply(BODY, etag='W/"1"'), [Reply(BODY[::-1], etag='W/"1"')]),
            # A file that is shorter now, another part than asked for, a part of another version.
            (WHOLE, [Reply(b"", 416), Reply(BODY[::-1])]),
            (
                WHOLE,
                [Reply(b"1" * 10, 206, {"Content-Range": "bytes 0-9/99"}), Reply(BODY[::-1])],
            ),
            (
                WHOLE,
                [
                    Reply(b"1", 206, {"Content-Range": "bytes 70000-70000/70001", "ETag": '"2"'}),
                    Reply(BODY[::-1]),
                ],
            ),
        ],
    )
    def test_another_file_starts_anew(
        self, server: LocalServer, tmp_path: Path, first: Reply, answers: list[Reply]
    ) -> None:
        url = server.serve("/f", replace(first, cut=70_000), *answers)
        fetcher().download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY[::-1]

    def test_more_than_was_announced_is_not_kept(self, server: LocalServer, tmp_path: Path) -> None:
        def rest(request: Request) -> Reply:
            told = f"bytes {start(request)}-{len(BODY) - 1}/{len(BODY)}"
            return Reply(bytes(2_000_000), 206, {"Content-Range": told})

        url = server.serve("/f", replace(WHOLE, cut=70_000), rest, Reply(BODY))
        fetcher().download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY

    def test_the_part_of_another_address_is_not_used(
        self, server: LocalServer, tmp_path: Path
    ) -> None:
        first = server.serve("/1", replace(WHOLE, cut=70_000))
        second = server.serve("/2", replace(WHOLE, body=BODY[::-1]))
        with pytest.raises(FetchError):
            fetcher(retries=0).download(first, tmp_path / "f")
        fetcher().download(second, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY[::-1]

    @pytest.mark.parametrize("about", [b"", b"[]", b'{"url": 1}', b"\xff"])
    def test_a_part_of_an_unknown_file_is_not_used(
        self, server: LocalServer, tmp_path: Path, about: bytes
    ) -> None:
        (tmp_path / "f.part").write_bytes(b"anything")
        (tmp_path / "f.part.json").write_bytes(about)
        fetcher().download(server.serve("/f", WHOLE), tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY
        assert names(tmp_path) == ["f"]

    @pytest.mark.parametrize("is_known", [False, True])
    def test_a_part_that_is_a_link_is_not_written_through(
        self, server: LocalServer, tmp_path: Path, is_known: bool
    ) -> None:
        url = server.serve("/f", replace(WHOLE, cut=70_000))
        if is_known:
            with pytest.raises(FetchError):
                fetcher(retries=0).download(url, tmp_path / "f")
            (tmp_path / "f.part").unlink()
        (tmp_path / "diary").write_bytes(b"years of work")
        (tmp_path / "f.part").symlink_to(tmp_path / "diary")
        server.serve("/f", WHOLE)
        fetcher().download(url, tmp_path / "f")
        assert (tmp_path / "diary").read_bytes() == b"years of work"
        assert (tmp_path / "f").read_bytes() == BODY
        assert names(tmp_path) == ["diary", "f"]

    def test_a_second_download_to_one_place_waits(
        self, server: LocalServer, tmp_path: Path
    ) -> None:
        begun, going_on = Event(), Event()

        def slow(_: Request) -> Reply:
            begun.set()
            going_on.wait(5)
            return WHOLE

        url = server.serve("/f", slow)
        with ThreadPoolExecutor(2) as pool:
            calls = [pool.submit(fetcher().download, url, tmp_path / "f")]
            assert begun.wait(5)
            calls.append(pool.submit(fetcher().download, url, tmp_path / "f"))
            assert not wait(calls, timeout=0.3).done
            going_on.set()
            assert [call.result(5) for call in calls] == [tmp_path / "f"] * 2
        assert (tmp_path / "f").read_bytes() == BODY
        assert len(server.requests) == 1

    def test_a_bar_is_shown_if_wanted(
        self,
        server: LocalServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr("octis_m3l.sources.fetching._BAR_AFTER", 0)
        url = server.serve("/f", WHOLE)
        fetcher().download(url, tmp_path / "quiet")
        assert capsys.readouterr().err == ""
        fetcher().download(url, tmp_path / "shown", progress=True)
        assert "shown" in capsys.readouterr().err

    def test_retries_count_anew_after_progress(self, server: LocalServer, tmp_path: Path) -> None:
        url = server.serve("/f", *[replace(WHOLE, cut=20_000)] * 9, WHOLE)
        fetcher(retries=1).download(url, tmp_path / "f", sha256=SUM)
        assert (tmp_path / "f").read_bytes() == BODY
        stuck = server.serve("/g", Reply(BODY, cut=20_000))
        with pytest.raises(FetchError, match="connection broke") as caught:
            fetcher(retries=2).download(stuck, tmp_path / "g")
        assert caught.value.passing
        assert len(server.asked("/g")) <= 4
        assert not (tmp_path / "g").exists()


class TestTrouble:
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 304])
    def test_final_answers_are_final(
        self, server: LocalServer, tmp_path: Path, slept: list[float], status: int
    ) -> None:
        url = server.serve("/f", Reply(status=status))
        with pytest.raises(FetchError, match=f"answered {status}") as caught:
            fetcher().download(url, tmp_path / "f")
        assert (caught.value.status, caught.value.passing) == (status, False)
        assert isinstance(caught.value, OctisM3LError)
        assert len(server.requests) == 1
        assert slept == []
        assert (f"set {CONTACT}" in str(caught.value)) == (status == 403)

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 503, 522])
    def test_passing_trouble_passes(
        self, server: LocalServer, tmp_path: Path, slept: list[float], status: int
    ) -> None:
        trouble = Reply(status=status)
        url = server.serve("/f", trouble, trouble, trouble, Reply(BODY))
        fetcher(backoff=2.0).download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY
        first, second, third = slept
        assert first == 2
        assert 4 <= second <= 6
        assert 8 <= third <= 10

    def test_trouble_that_stays(self, server: LocalServer) -> None:
        with pytest.raises(FetchError, match=r"answered 503.* Try again later\.") as caught:
            fetcher(retries=2).json(server.serve("/f", Reply(status=503)))
        assert (caught.value.status, caught.value.passing) == (503, True)
        assert len(server.requests) == 3

    @pytest.mark.parametrize("status", [403, 429, 503])
    def test_retry_after(self, server: LocalServer, slept: list[float], status: int) -> None:
        until = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
        for given, least, most in (("37", 37, 37), (until, 85, 92)):
            slept.clear()
            busy = Reply(status=status, headers={"Retry-After": given})
            fetcher().json(server.serve("/f", busy, Reply(b"1")))
            assert least <= slept[0] <= most

    @pytest.mark.parametrize("given", ["soon", "-3", "", "Mon, 01 Jan 2001 00:00:00 GMT"])
    def test_retry_after_that_says_nothing(
        self, server: LocalServer, slept: list[float], given: str
    ) -> None:
        busy = Reply(status=429, headers={"Retry-After": given})
        assert fetcher().json(server.serve("/f", busy, Reply(b"1"))) == 1
        assert sum(slept) < 2

    @pytest.mark.parametrize("retries", [0, 5])
    def test_retry_after_too_long_to_wait(
        self, server: LocalServer, slept: list[float], retries: int
    ) -> None:
        busy = server.serve("/f", Reply(status=429, headers={"Retry-After": "86400"}))
        with pytest.raises(FetchError, match=r"/f: .*come back in more than an hour") as caught:
            fetcher(retries=retries).json(busy)
        assert (caught.value.status, caught.value.passing) == (429, False)
        assert len(server.requests) == 1
        assert slept == []

    def test_retry_after_holds_for_the_next_request(
        self, server: LocalServer, slept: list[float]
    ) -> None:
        busy = server.serve("/f", Reply(status=429, headers={"Retry-After": "600"}))
        other = server.serve("/g", Reply(b"1"))
        patient = fetcher(retries=0)
        with pytest.raises(FetchError, match="answered 429"):
            patient.json(busy)
        patient.json(other.replace("127.0.0.1", "localhost"))
        assert slept == []
        patient.json(other)
        assert 590 < slept[0] <= 600

    def test_a_limit_of_requests_is_no_lack_of_a_contact(self, server: LocalServer) -> None:
        limit = Reply(status=403, headers={"X-RateLimit-Remaining": "0"})
        with pytest.raises(FetchError, match="no more requests are allowed for now") as caught:
            fetcher().json(server.serve("/f", limit))
        assert caught.value.passing
        assert CONTACT not in str(caught.value)

    def test_time_outs(self, server: LocalServer, tmp_path: Path) -> None:
        url = server.serve("/f", Reply(BODY, stall=2.0), Reply(BODY))
        fetcher(timeout=0.1).download(url, tmp_path / "f")
        with pytest.raises(FetchError, match=r"no answer within 0\.1 seconds"):
            fetcher(timeout=0.1, retries=0).json(server.serve("/j", Reply(b"1", stall=2.0)))

    def test_hang_ups_and_nobody_there(self, server: LocalServer, tmp_path: Path) -> None:
        assert fetcher().json(server.serve("/f", Reply(hang_up=True), Reply(b"[1]"))) == [1]
        with LocalServer() as gone:
            url = gone.serve("/f", Reply(BODY))
        with pytest.raises(FetchError, match="can't be reached") as caught:
            fetcher(retries=1).download(url, tmp_path / "f")
        assert caught.value.passing

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), "REQUESTS_CA_BUNDLE"),
            (requests.exceptions.ProxyError("x"), "the proxy can't be reached"),
        ],
    )
    def test_certificates_and_proxies(
        self, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
    ) -> None:
        def failing(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("requests.adapters.HTTPAdapter.send", failing)
        with pytest.raises(FetchError, match=message):
            fetcher().json("https://example.org/")

    def test_json(self, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = Reply(b'{"a": "b"}')
        url = server.serve("/f", replace(whole, cut=4), Reply(b'{"a"'), whole)
        assert fetcher().json(url, {"x": "y"}) == {"a": "b"}
        assert server.requests[-1].query == {"x": "y"}
        with pytest.raises(FetchError, match="is no JSON, or not all of it"):
            fetcher(retries=1).json(server.serve("/f", Reply(b"<html>")))
        monkeypatch.setattr("octis_m3l.sources.fetching._LONGEST_JSON", 1 << 20)
        with pytest.raises(FetchError, match="longer than 1 MB"):
            fetcher().json(server.serve("/f", Reply(b" " * (1 << 20) + b"1")))


class TestRedirects:
    def test_are_followed_no_faster_than_other_requests(
        self, server: LocalServer, tmp_path: Path, slept: list[float]
    ) -> None:
        server.serve("/target", Reply(BODY))
        url = server.serve("/f", Reply(status=302, headers={"Location": "/target"}))
        fetcher(delay=3.0).download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY
        assert slept == [pytest.approx(3.0, abs=0.2)]

    @pytest.mark.parametrize(
        "target",
        [
            "file:///etc/hostname",
            "ftp://127.0.0.1/x",
            "data:,x",
            "http://[::1/x",
            "http://127.0.0.1:abc/",
            "/caf\xe9",
        ],
    )
    def test_to_other_things_are_not(
        self, server: LocalServer, tmp_path: Path, target: str
    ) -> None:
        url = server.serve("/f", Reply(status=302, headers={"Location": target}))
        for ask in (
            lambda: fetcher(retries=0).json(url),
            lambda: fetcher(retries=0).download(url, tmp_path / "f"),
        ):
            with pytest.raises(FetchError, match="what it redirects to, is no address of http"):
                ask()
        assert names(tmp_path) == []

    def test_without_end(self, server: LocalServer) -> None:
        url = server.serve("/f", Reply(status=302, headers={"Location": "/f"}))
        with pytest.raises(FetchError, match="redirects without end"):
            fetcher().json(url)

    @pytest.mark.parametrize("url", ["file:///etc/hostname", "/local", "http://", "http://[", ""])
    def test_only_http_is_asked(self, tmp_path: Path, url: str) -> None:
        with pytest.raises(FetchError, match="expected an address that starts with http://"):
            fetcher().download(url, tmp_path / "f")


class TestPoliteness:
    def test_requests_to_one_host_keep_their_distance(
        self, server: LocalServer, slept: list[float]
    ) -> None:
        polite = fetcher(delay=3.0)
        url = server.serve("/f", Reply(b"1"))
        polite.json(url)
        polite.json(url.replace("127.0.0.1", "localhost"))
        assert slept == []
        polite.json(url)
        assert slept == [pytest.approx(3.0, abs=0.2)]

    @pytest.mark.parametrize(
        ("host", "delay", "expected"),
        [("example.org", 3.0, 3.0), ("en.wikipedia.org", 0.0, 0.5), ("en.wikipedia.org", 2.0, 2.0)],
    )
    def test_both_schemes_of_a_host_wait_for_each_other_and_wikimedia_is_asked_slowly(
        self,
        monkeypatch: pytest.MonkeyPatch,
        slept: list[float],
        host: str,
        delay: float,
        expected: float,
    ) -> None:
        def nobody(*_: object, **__: object) -> None:
            raise requests.ConnectionError

        monkeypatch.setattr("requests.adapters.HTTPAdapter.send", nobody)
        polite = fetcher(delay=delay, retries=0)
        for scheme in ("http", "https"):
            with pytest.raises(FetchError, match="can't be reached"):
                polite.json(f"{scheme}://{host}/")
        assert slept == [pytest.approx(expected, abs=0.2)]

    def test_says_who_asks(self, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
        url = server.serve("/f", Reply(b"1"))
        fetcher().json(url)
        monkeypatch.setenv(CONTACT, "me@example.org")
        fetcher().json(url)
        fetcher(contact="you@example.org").json(url)
        fetcher(user_agent="mine/1").json(url)
        agents = [request.headers["User-Agent"] for request in server.requests]
        assert all(agent.startswith("octis-m3l/") for agent in agents[:3])
        assert "me@example.org" in agents[1]
        assert "you@example.org" in agents[2]
        assert agents[3] == "mine/1"

    def test_names_the_home_page_if_there_is_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from email.message import Message

        about = Message()
        about["Version"] = "9"
        about["Project-URL"] = "Homepage, https://example.org/home"
        monkeypatch.setattr("octis_m3l.sources.fetching.metadata", lambda _: about)
        assert user_agent_of("me") == "octis-m3l/9 (https://example.org/home; me)"

    def test_secrets_are_not_shown(
        self, server: LocalServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        for reply in (Reply(status=404), Reply(status=500), Reply(hang_up=True), Reply(b"x")):
            url = server.serve("/f", reply).replace("//", "//someone:hush@") + "?token=hush"
            with pytest.raises(FetchError) as caught:
                fetcher(retries=1).download(url, tmp_path / "f", sha256=SUM)
            assert "hush" not in str(caught.value)
            assert "/f" in str(caught.value)
            assert caught.value.__suppress_context__ or caught.value.__context__ is None
        assert "hush" not in caplog.text
        assert not any("hush" in path.read_text("latin-1") for path in tmp_path.iterdir())


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("retries", value) for value in (-1, 1.5, True, "3")),
            *(
                (name, v)
                for name in ("timeout", "delay", "backoff")
                for v in (-1, float("inf"), "3")
            ),
            ("timeout", 0),
        ],
    )
    def test_numbers_out_of_range(self, name: str, value: object) -> None:
        with pytest.raises(DataError, match=f"Fetcher: {name}={value!r}: it should be"):
            fetcher(**{name: value})

    @pytest.mark.parametrize("agent", ["a\r\nX-Other: 1", "größer", " "])
    def test_a_user_agent_that_cannot_be_sent(self, agent: str) -> None:
        with pytest.raises(SettingsError, match="can't be sent"):
            fetcher(user_agent=agent)


class TestDisk:
    def test_a_folder_or_a_file_in_the_way(self, server: LocalServer, tmp_path: Path) -> None:
        url = server.serve("/f", WHOLE)
        with pytest.raises(FetchError, match="is a folder, where a file was expected"):
            fetcher().download(url, tmp_path)
        (tmp_path / "file").touch()
        with pytest.raises(StorageError, match=r"can't be written: .*choose another folder"):
            fetcher().download(url, tmp_path / "file" / "f")

    def test_a_full_disk(
        self, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = server.serve("/f", WHOLE)

        def full(*_: object) -> Iterator[bytes]:
            yield BODY[:1000]
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(requests.Response, "iter_content", full)
            with pytest.raises(StorageError, match=r"no space is left on the disk") as caught:
                fetcher().download(url, tmp_path / "f")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "f").exists()
        fetcher().download(url, tmp_path / "f", sha256=SUM)
        assert server.requests[-1].headers["Range"] == "bytes=1000-"
