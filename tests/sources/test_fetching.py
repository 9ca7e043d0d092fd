"""Files and answers over HTTP, with everything that goes wrong."""

import errno
import gzip
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests

from octis_m3l.errors import OctisM3LError, SettingsError
from octis_m3l.sources.fetching import CONTACT, Fetcher, FetchError, user_agent_of
from octis_m3l.sources.fetching_parts import Part

from .local_server import LocalServer, Reply, Request

BODY = os.urandom(200_000)
SUM = hashlib.sha256(BODY).hexdigest()


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv(CONTACT, raising=False)
    with LocalServer() as local:
        yield local


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fetcher(clock: Clock) -> Callable[..., Fetcher]:
    def make(**arguments: Any) -> Fetcher:
        return Fetcher(**{"timeout": 5.0, "sleep": clock.sleep, "clock": clock, **arguments})

    return make


Make = Callable[..., Fetcher]


def _start(wanted: str | None) -> int:
    return int((wanted or "").removeprefix("bytes=").rstrip("-"))


class TestDownload:
    def test_writes_the_file_and_leaves_nothing_beside_it(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        url = server.serve("/a b/ü.bin", Reply(BODY)).replace(" ", "%20").replace("ü", "%C3%BC")
        place = tmp_path / "new" / "file.bin"
        assert fetcher().download(url, place, sha256=SUM.upper(), size=len(BODY)) == place
        assert place.read_bytes() == BODY
        assert [path.name for path in place.parent.iterdir()] == ["file.bin"]

    def test_an_empty_file_is_a_file(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        place = fetcher().download(server.serve("/f", Reply(b"")), tmp_path / "f", size=0)
        assert place.read_bytes() == b""

    def test_a_file_that_is_there_is_not_asked_for(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        url, place = server.serve("/f", Reply(BODY)), tmp_path / "f"
        place.write_bytes(BODY)
        fetcher().download(url, place)
        fetcher().download(url, place, sha256=SUM, size=len(BODY))
        assert server.requests == []

    def test_a_file_that_is_there_and_wrong_is_replaced(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        url, place = server.serve("/f", Reply(BODY)), tmp_path / "f"
        place.write_bytes(BODY[:-1])
        fetcher().download(url, place, size=len(BODY))
        assert place.read_bytes() == BODY
        place.write_bytes(BODY[:-1] + b"x")
        fetcher().download(url, place, sha256=SUM)
        assert place.read_bytes() == BODY
        assert len(server.requests) == 2

    def test_a_wrong_one_is_kept_while_no_right_one_comes(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        url, place = server.serve("/f", Reply(status=404)), tmp_path / "f"
        place.write_bytes(b"old")
        with pytest.raises(FetchError):
            fetcher().download(url, place, sha256=SUM)
        assert place.read_bytes() == b"old"

    def test_wrong_checksum_says_both_and_deletes_what_came(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        url = server.serve("/f", Reply(b"other", etag='"1"'))
        with pytest.raises(FetchError) as caught:
            fetcher().download(url, tmp_path / "f", sha256=SUM)
        assert SUM in str(caught.value)
        assert hashlib.sha256(b"other").hexdigest() in str(caught.value)
        assert caught.value.status is None
        assert list(tmp_path.iterdir()) == []

    def test_wrong_size_says_both(self, server: LocalServer, fetcher: Make, tmp_path: Path) -> None:
        url = server.serve("/f", Reply(b"other"))
        with pytest.raises(FetchError, match="has 5 bytes, where 7 were expected"):
            fetcher().download(url, tmp_path / "f", size=7)
        assert list(tmp_path.iterdir()) == []

    def test_what_is_no_checksum_is_refused(self, fetcher: Make, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="expected 64 hexadecimal digits"):
            fetcher().download("http://127.0.0.1/", tmp_path / "f", sha256="abc")


class TestResuming:
    def test_goes_on_within_a_call(
        self, server: LocalServer, fetcher: Make, clock: Clock, tmp_path: Path
    ) -> None:
        reply = Reply(BODY, etag='"1"')
        url = server.serve("/f", replace(reply, cut=80_000), replace(reply, cut=50_000), reply)
        fetcher().download(url, tmp_path / "f", sha256=SUM)
        first, second, third = (request.headers.get("Range") for request in server.requests)
        assert first is None
        assert 60_000 < _start(second) <= 80_000
        assert 90_000 < _start(third) <= 130_000
        assert (tmp_path / "f").read_bytes() == BODY
        assert len(clock.slept) == 2

    @pytest.mark.parametrize(
        "mark", [{"etag": '"1"'}, {"modified": "Mon, 01 Jan 2024 00:00:00 GMT"}]
    )
    def test_goes_on_in_the_next_call(
        self, server: LocalServer, fetcher: Make, tmp_path: Path, mark: dict[str, str]
    ) -> None:
        reply = Reply(BODY, **mark)  # type: ignore[arg-type]
        url = server.serve("/f", replace(reply, cut=70_000))
        with pytest.raises(FetchError, match=r"asked once. Try again later"):
            fetcher(retries=0).download(url, tmp_path / "f")
        assert not (tmp_path / "f").exists()
        server.serve("/f", reply)
        fetcher(retries=0).download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY
        assert server.requests[-1].headers["If-Range"] == next(iter(mark.values()))
        assert [path.name for path in tmp_path.iterdir()] == ["f"]

    @pytest.mark.parametrize("etag", ['"2"', None])
    def test_a_changed_file_starts_anew(
        self, server: LocalServer, fetcher: Make, tmp_path: Path, etag: str | None
    ) -> None:
        url = server.serve("/f", Reply(BODY, etag='"1"', cut=70_000), Reply(BODY[::-1], etag=etag))
        fetcher().download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY[::-1]

    def test_a_server_that_ignores_range_starts_anew(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        reply = Reply(BODY, etag='"1"', ranges=False)
        url = server.serve("/f", replace(reply, cut=70_000), reply)
        fetcher().download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY

    @pytest.mark.parametrize("etag", [None, 'W/"1"'])
    def test_without_a_strong_mark_starts_anew(
        self, server: LocalServer, fetcher: Make, tmp_path: Path, etag: str | None
    ) -> None:
        reply = Reply(BODY, etag=etag)
        url = server.serve("/f", replace(reply, cut=70_000), reply)
        fetcher().download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY
        assert "Range" not in server.requests[-1].headers

    def test_another_range_than_asked_for_is_not_believed(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        wrong = Reply(BODY[:10], 206, {"Content-Range": f"bytes 0-9/{len(BODY)}"})
        url = server.serve("/f", Reply(BODY, etag='"1"', cut=70_000), wrong, Reply(BODY))
        fetcher().download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY

    def test_another_version_s_range_is_not_believed(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        wrong = Reply(
            BODY[::-1][65_536:],
            206,
            {"Content-Range": f"bytes 65536-{len(BODY) - 1}/{len(BODY)}", "ETag": '"2"'},
        )
        url = server.serve("/f", Reply(BODY, etag='"1"', cut=70_000), wrong, Reply(BODY[::-1]))
        fetcher().download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY[::-1]

    def test_a_shorter_file_starts_anew(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        url = server.serve("/f", Reply(BODY, etag='"1"', cut=70_000), Reply(b"short", etag='"1"'))
        fetcher().download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == b"short"

    def test_the_part_of_another_address_is_not_taken(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        first = server.serve("/1", Reply(BODY, etag='"1"', cut=70_000))
        second = server.serve("/2", Reply(BODY[::-1], etag='"1"'))
        with pytest.raises(FetchError):
            fetcher(retries=0).download(first, tmp_path / "f")
        fetcher().download(second, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY[::-1]

    @pytest.mark.parametrize("about", [b"", b"[]", b'{"address": 1}', b"\xff"])
    def test_a_part_that_nothing_is_known_of_is_not_taken(
        self, server: LocalServer, fetcher: Make, tmp_path: Path, about: bytes
    ) -> None:
        (tmp_path / "f.part").write_bytes(b"anything")
        (tmp_path / "f.part.json").write_bytes(about)
        fetcher().download(server.serve("/f", Reply(BODY, etag='"1"')), tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY
        assert len(list(tmp_path.iterdir())) == 1

    @pytest.mark.parametrize("is_known", [False, True])
    @pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
    def test_a_part_that_is_a_link_is_not_written_through(
        self, server: LocalServer, fetcher: Make, tmp_path: Path, link: Any, is_known: bool
    ) -> None:
        url = server.serve("/f", Reply(BODY, etag='"1"', cut=70_000))
        if is_known:
            with pytest.raises(FetchError):
                fetcher(retries=0).download(url, tmp_path / "f")
            (tmp_path / "f.part").unlink()
        (tmp_path / "diary").write_bytes(b"years of work")
        link(tmp_path / "f.part", tmp_path / "diary")
        server.serve("/f", Reply(BODY, etag='"1"'))
        fetcher().download(url, tmp_path / "f")
        assert (tmp_path / "diary").read_bytes() == b"years of work"
        assert (tmp_path / "f").read_bytes() == BODY
        assert sorted(path.name for path in tmp_path.iterdir()) == ["diary", "f"]

    def test_killed_just_before_the_name_is_given(
        self, server: LocalServer, fetcher: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = server.serve("/f", Reply(BODY, etag='"1"'))

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", killed)
            with pytest.raises(KeyboardInterrupt):
                fetcher().download(url, tmp_path / "f", sha256=SUM)
        assert not (tmp_path / "f").exists()
        fetcher().download(url, tmp_path / "f", sha256=SUM)
        assert (tmp_path / "f").read_bytes() == BODY
        assert len(server.requests) == 1

    def test_retries_count_anew_after_progress(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        reply = Reply(BODY, etag='"1"')
        url = server.serve("/f", *[replace(reply, cut=20_000)] * 9, reply)
        fetcher(retries=1).download(url, tmp_path / "f", sha256=SUM)
        assert (tmp_path / "f").read_bytes() == BODY

    def test_a_server_that_never_gets_further_is_given_up(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        url = server.serve("/f", Reply(BODY, cut=20_000))
        with pytest.raises(FetchError, match="asked 3 times"):
            fetcher(retries=2).download(url, tmp_path / "f")
        assert not (tmp_path / "f").exists()


class TestAtOnce:
    def test_a_second_download_to_one_place_waits_and_says_so(
        self,
        server: LocalServer,
        fetcher: Make,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        begun, going_on = Event(), Event()

        def slow(_: Request) -> Reply:
            begun.set()
            going_on.wait(5)
            return Reply(BODY, etag='"1"')

        url = server.serve("/f", slow)
        with ThreadPoolExecutor(3) as pool:
            calls = [pool.submit(fetcher().download, url, tmp_path / "f")]
            assert begun.wait(5)
            calls += [pool.submit(fetcher().download, url, tmp_path / "f") for _ in range(2)]
            assert not wait(calls, timeout=1.5).done
            assert len(server.requests) == 1
            said = f"{tmp_path / 'f'} is being downloaded by another process; waiting"
            assert caplog.messages.count(said) == 2
            going_on.set()
            assert [call.result(5) for call in calls] == [tmp_path / "f"] * 3
        assert (tmp_path / "f").read_bytes() == BODY
        assert len(server.requests) == 1
        assert [path.name for path in tmp_path.iterdir()] == ["f"]

    def test_what_another_program_writes_to_the_part_is_not_taken(
        self, server: LocalServer, fetcher: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = server.serve("/f", Reply(BODY, etag='"1"'))
        check = Part.check_length
        others = [b"from elsewhere", b""]

        def meddle(part: Part) -> None:
            with (tmp_path / "f.part").open("ab") as stream:
                stream.write(others.pop(0))
            check(part)

        monkeypatch.setattr(Part, "check_length", meddle)
        fetcher().download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY
        assert len(server.requests) == 2


class TestWhatComes:
    @pytest.fixture
    def taken(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        blocks: list[int] = []
        opened = Part.open

        @contextmanager
        def watched(part: Part) -> Iterator[Callable[[bytes], None]]:
            with opened(part) as write:

                def take(block: bytes) -> None:
                    blocks.append(len(block))
                    write(block)

                yield take

        monkeypatch.setattr(Part, "open", watched)
        return blocks

    def test_the_rest_of_a_longer_file_is_not_taken(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        longer = BODY[::-1] + b"x"
        url = server.serve("/f", Reply(BODY, etag='"1"', cut=70_000), Reply(longer, etag='"1"'))
        fetcher().download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == longer
        assert [_start(request.headers.get("Range", "0")) > 0 for request in server.requests] == [
            False,
            True,
            False,
        ]

    def test_of_unknown_length_may_be_cut_off(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        url = server.serve("/f", Reply(b"half a fi", framed=False))
        with pytest.raises(FetchError, match="does not say how long it is") as caught:
            fetcher().download(url, tmp_path / "f")
        assert caught.value.passing
        assert list(tmp_path.iterdir()) == []

    def test_of_unknown_length_is_taken_where_it_can_be_checked(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        whole = Reply(BODY, framed=False)
        url = server.serve("/f", Reply(BODY[:99], framed=False), whole)
        fetcher().download(url, tmp_path / "f", size=len(BODY))
        fetcher().download(url, tmp_path / "g", sha256=SUM)
        assert (tmp_path / "f").read_bytes() == (tmp_path / "g").read_bytes() == BODY
        assert len(server.requests) == 3
        server.serve("/f", Reply(BODY[:99], framed=False))
        with pytest.raises(FetchError, match="its SHA-256 is") as caught:
            fetcher().download(url, tmp_path / "h", sha256=SUM)
        assert caught.value.passing

    def test_in_chunks_is_taken(self, server: LocalServer, fetcher: Make, tmp_path: Path) -> None:
        chunks = Reply(
            b"5\r\nwhole\r\n0\r\n\r\n", headers={"Transfer-Encoding": "chunked"}, framed=False
        )
        fetcher().download(server.serve("/f", chunks), tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == b"whole"

    def test_encoded_is_refused(self, server: LocalServer, fetcher: Make, tmp_path: Path) -> None:
        encoded = Reply(gzip.compress(BODY), headers={"Content-Encoding": "gzip"})
        with pytest.raises(FetchError, match=r"sent it encoded \(gzip\)"):
            fetcher().download(server.serve("/f", encoded), tmp_path / "f")
        assert list(tmp_path.iterdir()) == []

    def test_a_web_page_is_refused_if_wanted(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        page = Reply(b"<html>", headers={"Content-Type": "Text/HTML; charset=utf-8"})
        url = server.serve("/f", page)
        with pytest.raises(FetchError, match="a web page came instead of the file"):
            fetcher().download(url, tmp_path / "f.csv", refuse_html=True)
        assert list(tmp_path.iterdir()) == []
        fetcher().download(url, tmp_path / "f.html", refuse_html=True)
        fetcher().download(url, tmp_path / "f.csv")
        assert (tmp_path / "f.csv").read_bytes() == (tmp_path / "f.html").read_bytes() == b"<html>"

    def test_more_than_the_known_size_is_not_waited_for(
        self, server: LocalServer, fetcher: Make, tmp_path: Path, taken: list[int]
    ) -> None:
        url = server.serve("/f", Reply(bytes(2_000_000), framed=False))
        with pytest.raises(FetchError, match="more than 10 bytes, where 10 were expected"):
            fetcher().download(url, tmp_path / "f", size=10)
        assert sum(taken) < 100_000
        assert list(tmp_path.iterdir()) == []

    def test_more_than_was_announced_is_not_waited_for(
        self, server: LocalServer, fetcher: Make, tmp_path: Path, taken: list[int]
    ) -> None:
        def rest(request: Request) -> Reply:
            told = f"bytes {_start(request.headers['Range'])}-{len(BODY) - 1}/{len(BODY)}"
            return Reply(bytes(2_000_000), 206, {"Content-Range": told})

        url = server.serve("/f", Reply(BODY, etag='"1"', cut=70_000), rest, Reply(BODY))
        fetcher().download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY
        assert len(server.requests) == 3
        assert sum(taken) < 2.5 * len(BODY)

    def test_endless_json_is_cut_short(
        self, server: LocalServer, fetcher: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("octis_m3l.sources.fetching._LONGEST_JSON", 1 << 20)
        url = server.serve("/f", Reply(b" " * (1 << 20) + b"1"), Reply(b" " * 1_000_000 + b"1"))
        with pytest.raises(FetchError, match="longer than 1 MB") as caught:
            fetcher().json(url, {})
        assert not caught.value.passing
        assert fetcher().json(url, {}) == 1


class TestTrouble:
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 304])
    def test_final_answers_are_final(
        self, server: LocalServer, fetcher: Make, clock: Clock, tmp_path: Path, status: int
    ) -> None:
        url = server.serve("/f", Reply(status=status))
        with pytest.raises(FetchError, match=f"answered {status}") as caught:
            fetcher().download(url, tmp_path / "f")
        assert caught.value.status == status
        assert not caught.value.passing
        assert len(server.requests) == 1
        assert clock.slept == []
        assert isinstance(caught.value, OctisM3LError)

    def test_forbidden_says_what_may_help(self, server: LocalServer, fetcher: Make) -> None:
        with pytest.raises(FetchError, match="set OCTIS_M3L_CONTACT"):
            fetcher().json(server.serve("/f", Reply(status=403)), {})

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    def test_passing_trouble_passes(
        self, server: LocalServer, fetcher: Make, clock: Clock, tmp_path: Path, status: int
    ) -> None:
        trouble = Reply(status=status)
        url = server.serve("/f", trouble, trouble, trouble, Reply(BODY))
        fetcher(backoff=2.0).download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY
        for slept, longest in zip(clock.slept, (2.0, 4.0, 8.0), strict=True):
            assert longest / 2 <= slept <= longest

    def test_back_off_is_not_the_same_for_all(self, clock: Clock, fetcher: Make) -> None:
        for _ in range(5):
            fetcher().pause(3)
        assert len(set(clock.slept)) > 1

    def test_trouble_that_stays_is_told_with_its_status(
        self, server: LocalServer, fetcher: Make, clock: Clock
    ) -> None:
        with pytest.raises(FetchError, match=r"answered 503.*; asked 3 times") as caught:
            fetcher(retries=2).json(server.serve("/f", Reply(status=503)), {})
        assert caught.value.status == 503
        assert caught.value.passing
        assert len(server.requests) == 3

    @pytest.mark.parametrize("status", [429, 503])
    def test_retry_after_in_seconds(
        self, server: LocalServer, fetcher: Make, clock: Clock, status: int
    ) -> None:
        busy = Reply(status=status, headers={"Retry-After": "37"})
        fetcher().json(server.serve("/f", busy, Reply(b"1")), {})
        assert clock.slept == [37.0]

    def test_retry_after_as_a_date(self, server: LocalServer, fetcher: Make, clock: Clock) -> None:
        until = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
        busy = Reply(status=429, headers={"Retry-After": until})
        fetcher().json(server.serve("/f", busy, Reply(b"1")), {})
        assert 85 <= clock.slept[0] <= 92

    @pytest.mark.parametrize("given", ["soon", "-3", "", "Mon, 01 Jan 2001 00:00:00 GMT", "²"])
    def test_retry_after_that_says_nothing(
        self, server: LocalServer, fetcher: Make, clock: Clock, given: str
    ) -> None:
        busy = Reply(status=429, headers={"Retry-After": given})
        fetcher().json(server.serve("/f", busy, Reply(b"1")), {})
        assert 0.5 <= clock.slept[0] <= 1.0

    def test_retry_after_too_long_to_wait(
        self, server: LocalServer, fetcher: Make, clock: Clock
    ) -> None:
        busy = Reply(status=429, headers={"Retry-After": "86400"})
        with pytest.raises(FetchError, match="come back in 86400 seconds") as caught:
            fetcher().json(server.serve("/f", busy), {})
        assert caught.value.status == 429
        assert clock.slept == []

    def test_retry_after_too_long_to_wait_on_the_last_try(
        self, server: LocalServer, fetcher: Make, clock: Clock
    ) -> None:
        url = server.serve("/f", Reply(status=429, headers={"Retry-After": "7200"}), Reply(b"1"))
        patient = fetcher(retries=0)
        with pytest.raises(FetchError, match="come back in 7200 seconds") as caught:
            patient.json(url, {})
        assert not caught.value.passing
        with pytest.raises(FetchError, match="not asked, as the server asked to come back"):
            patient.json(url, {})
        assert len(server.requests) == 1
        clock.now += 7200
        assert patient.json(url, {}) == 1
        assert clock.slept == []

    def test_retry_after_holds_for_the_next_request(
        self, server: LocalServer, fetcher: Make, clock: Clock
    ) -> None:
        busy = server.serve("/f", Reply(status=429, headers={"Retry-After": "600"}))
        other = server.serve("/g", Reply(b"1"))
        patient = fetcher(retries=0)
        with pytest.raises(FetchError, match="answered 429") as caught:
            patient.json(busy, {})
        assert caught.value.passing
        clock.now += 100
        patient.json(other.replace("127.0.0.1", "localhost"), {})
        assert clock.slept == []
        patient.json(other, {})
        patient.json(other, {})
        assert clock.slept == [500.0]

    @pytest.mark.parametrize("status", [403, 429])
    def test_a_limit_of_requests_is_waited_for(
        self, server: LocalServer, fetcher: Make, clock: Clock, status: int
    ) -> None:
        reset = str(int(datetime.now(UTC).timestamp()) + 90)
        limit = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
        url = server.serve(
            "/f",
            Reply(status=status, headers=limit),
            Reply(status=status, headers={**limit, "Retry-After": "7"}),
            Reply(b"1"),
        )
        assert fetcher().json(url, {}) == 1
        assert 85 <= clock.slept[0] <= 92
        assert clock.slept[1:] == [7.0]
        server.serve("/f", Reply(status=status, headers=limit))
        with pytest.raises(FetchError, match=f"answered {status}") as caught:
            fetcher(retries=0).json(url, {})
        assert caught.value.passing
        assert CONTACT not in str(caught.value)

    def test_an_answer_may_ask_to_come_again(
        self, server: LocalServer, fetcher: Make, clock: Clock
    ) -> None:
        lag = Reply(b'{"lag": 3}', headers={"Retry-After": "5"})
        url = server.serve("/f", lag, Reply(b'{"lag": 30}'), Reply(b'{"lag": null}'))
        seen: list[str | None] = []

        def again(decoded: Any, headers: Mapping[str, str]) -> float | None:
            seen.append(headers.get("retry-after"))
            wait: float | None = decoded["lag"]
            return wait

        assert fetcher().json(url, {}, again=again) == {"lag": None}
        assert clock.slept == [5.0, 30.0]
        assert seen == ["5", None, None]
        server.serve("/f", lag)
        with pytest.raises(FetchError, match="can't answer now; asked 2 times") as caught:
            fetcher(retries=1).json(url, {}, again=again)
        assert caught.value.passing

    def test_time_outs(self, server: LocalServer, fetcher: Make, tmp_path: Path) -> None:
        url = server.serve("/f", Reply(BODY, stall=2.0), Reply(BODY))
        fetcher(timeout=0.1).download(url, tmp_path / "f")
        with pytest.raises(FetchError, match=r"no answer within 0\.1 seconds"):
            fetcher(timeout=0.1, retries=0).json(server.serve("/j", Reply(b"1", stall=2.0)), {})

    def test_hang_ups(self, server: LocalServer, fetcher: Make) -> None:
        url = server.serve("/f", Reply(hang_up=True), Reply(b"[1]"))
        assert fetcher().json(url, {}) == [1]

    def test_nobody_there(self, fetcher: Make, tmp_path: Path) -> None:
        with LocalServer() as gone:
            url = gone.serve("/f", Reply(BODY))
        with pytest.raises(FetchError, match="can't be reached"):
            fetcher(retries=1).download(url, tmp_path / "f")

    def test_truncated_json_is_asked_for_again(self, server: LocalServer, fetcher: Make) -> None:
        whole = Reply(b'{"a": "b"}')
        url = server.serve("/f", replace(whole, cut=4), Reply(b'{"a"'), whole)
        assert fetcher().json(url, {}) == {"a": "b"}

    def test_what_is_no_json(self, server: LocalServer, fetcher: Make) -> None:
        with pytest.raises(FetchError, match="is no JSON, or not all of it"):
            fetcher(retries=1).json(server.serve("/f", Reply(b"<html>")), {})


class TestRedirects:
    def test_are_followed(self, server: LocalServer, fetcher: Make, tmp_path: Path) -> None:
        target = server.serve("/target", Reply(BODY))
        url = server.serve("/f", Reply(status=302, headers={"Location": target}))
        fetcher().download(url, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY

    @pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x"])
    def test_to_other_things_are_not(
        self, server: LocalServer, fetcher: Make, tmp_path: Path, target: str
    ) -> None:
        url = server.serve("/f", Reply(status=302, headers={"Location": target}))
        with pytest.raises(FetchError, match="no address of http or https"):
            fetcher().download(url, tmp_path / "f")
        assert not (tmp_path / "f").exists()

    def test_without_end(self, server: LocalServer, fetcher: Make) -> None:
        url = server.serve("/f", Reply(status=302, headers={"Location": "/f"}))
        with pytest.raises(FetchError, match="redirects without end"):
            fetcher().json(url, {})

    @pytest.mark.parametrize("target", ["http://[::1/x", "http://127.0.0.1:abc/", "/caf\xe9"])
    def test_to_broken_addresses(
        self, server: LocalServer, fetcher: Make, tmp_path: Path, target: str
    ) -> None:
        url = server.serve("/f", Reply(status=302, headers={"Location": target}))
        for ask in (
            lambda: fetcher(retries=0).json(url, {}),
            lambda: fetcher(retries=0).download(url, tmp_path / "f"),
        ):
            with pytest.raises(FetchError, match="what it redirects to, is no address"):
                ask()

    @pytest.mark.parametrize("url", ["file:///etc/hostname", "/local", "http://", "http://[", ""])
    def test_only_http_is_asked(self, fetcher: Make, tmp_path: Path, url: str) -> None:
        with pytest.raises(FetchError, match="expected an address that starts with http://"):
            fetcher().download(url, tmp_path / "f")


class TestPoliteness:
    def test_requests_to_one_host_keep_their_distance(
        self, server: LocalServer, fetcher: Make, clock: Clock
    ) -> None:
        polite = fetcher(delay=3.0)
        url = server.serve("/f", Reply(b"1"))
        polite.json(url, {})
        assert clock.slept == []
        polite.json(url, {})
        assert clock.slept == [3.0]
        clock.now += 2.0
        polite.json(url, {})
        assert clock.slept == [3.0, 1.0]

    def test_redirects_too(self, server: LocalServer, fetcher: Make, clock: Clock) -> None:
        server.serve("/g", Reply(b"1"))
        url = server.serve("/f", Reply(status=301, headers={"Location": "/g"}))
        fetcher(delay=3.0).json(url, {})
        assert clock.slept == [3.0]

    def test_hosts_do_not_wait_for_each_other(
        self, server: LocalServer, fetcher: Make, clock: Clock
    ) -> None:
        polite = fetcher(delay=3.0)
        url = server.serve("/f", Reply(b"1"))
        polite.json(url, {})
        polite.json(url.replace("127.0.0.1", "localhost"), {})
        assert clock.slept == []

    def test_both_schemes_of_a_host_wait_for_each_other(
        self, fetcher: Make, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nobody(*_: object, **__: object) -> None:
            raise requests.ConnectionError

        monkeypatch.setattr("requests.adapters.HTTPAdapter.send", nobody)
        polite = fetcher(delay=3.0, retries=0)
        for scheme in ("http", "https"):
            with pytest.raises(FetchError, match="can't be reached"):
                polite.json(f"{scheme}://example.org/", {})
        assert clock.slept == [3.0]

    def test_says_who_asks(
        self, server: LocalServer, fetcher: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = server.serve("/f", Reply(b"1"))
        fetcher().json(url, {})
        monkeypatch.setenv(CONTACT, "me@example.org")
        fetcher().json(url, {})
        fetcher(contact="you@example.org").json(url, {})
        fetcher(user_agent="mine/1").json(url, {})
        agents = [request.headers["User-Agent"] for request in server.requests]
        assert all(agent.startswith("octis-m3l/") for agent in agents[:3])
        assert "me@example.org" in agents[1]
        assert "you@example.org" in agents[2]
        assert agents[3] == "mine/1"

    def test_says_the_home_page_where_there_is_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from email.message import Message

        about = Message()
        about["Version"] = "9"
        about["Project-URL"] = "Homepage, https://example.org/home"
        monkeypatch.setattr("octis_m3l.sources.fetching_agent.metadata", lambda _: about)
        assert user_agent_of("me") == "octis-m3l/9 (https://example.org/home; me)"

    @pytest.mark.parametrize("agent", ["a\r\nX-Other: 1", "größer", " "])
    def test_a_user_agent_that_cannot_be_sent(self, fetcher: Make, agent: str) -> None:
        with pytest.raises(SettingsError, match="can't be sent"):
            fetcher(user_agent=agent)

    @pytest.mark.parametrize("value", [-1, 1.5, True, "3", float("nan")])
    def test_retries_out_of_range(self, fetcher: Make, value: object) -> None:
        with pytest.raises(SettingsError, match=f"retries={value}: expected a whole number, 0 or"):
            fetcher(retries=value)

    @pytest.mark.parametrize("name", ["timeout", "delay", "backoff"])
    @pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), "3"])
    def test_seconds_out_of_range(self, fetcher: Make, name: str, value: object) -> None:
        with pytest.raises(SettingsError, match=f"{name}={value}: expected seconds"):
            fetcher(**{name: value})

    def test_no_time_is_no_timeout(self, fetcher: Make) -> None:
        with pytest.raises(SettingsError, match="timeout=0: expected seconds, more than 0"):
            fetcher(timeout=0)

    def test_secrets_are_not_told(
        self,
        server: LocalServer,
        fetcher: Make,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO)
        for reply in (Reply(status=404), Reply(status=500), Reply(hang_up=True), Reply(b"x")):
            url = server.serve("/f", reply).replace("//", "//someone:hush@") + "?token=hush"
            with pytest.raises(FetchError) as caught:
                fetcher(retries=1).download(url, tmp_path / "f", sha256=SUM)
            assert "hush" not in str(caught.value)
            assert "/f" in str(caught.value)
            assert caught.value.__cause__ is None
            assert caught.value.__suppress_context__ or caught.value.__context__ is None
        assert "hush" not in caplog.text
        assert not any("hush" in path.read_text("latin-1") for path in tmp_path.iterdir())


class TestDisk:
    def test_a_folder_in_the_way(self, fetcher: Make, tmp_path: Path) -> None:
        with pytest.raises(FetchError, match="is a folder, where a file was expected"):
            fetcher().download("http://127.0.0.1/f", tmp_path)

    def test_a_file_in_the_folder_s_place(self, fetcher: Make, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(FetchError, match=r"can't be written.*Choose another folder"):
            fetcher().download("http://127.0.0.1/f", tmp_path / "file" / "f")

    @pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may write anywhere")
    def test_a_folder_that_cannot_be_written(
        self, server: LocalServer, fetcher: Make, tmp_path: Path
    ) -> None:
        tmp_path.chmod(0o500)
        try:
            with pytest.raises(FetchError, match=r"can't be written \(Permission denied\)"):
                fetcher().download(server.serve("/f", Reply(BODY)), tmp_path / "f")
        finally:
            tmp_path.chmod(0o700)

    def test_a_full_disk(
        self, server: LocalServer, fetcher: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = server.serve("/f", Reply(BODY, etag='"1"'))

        def full(path: str, flags: int) -> int:
            Path(path).write_bytes(BODY[:1000])
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("octis_m3l.sources.fetching_parts._unlinked", full)
            with pytest.raises(FetchError, match=r"the disk is full. Make room") as caught:
                fetcher().download(url, tmp_path / "f")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "f").exists()
        fetcher().download(url, tmp_path / "f", sha256=SUM)
        assert server.requests[-1].headers["Range"] == "bytes=1000-"


def test_a_bar_is_shown_if_wanted(
    server: LocalServer, fetcher: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.serve("/f", Reply(BODY))
    fetcher().download(url, tmp_path / "quiet")
    assert capsys.readouterr().err == ""
    fetcher(progress=True).download(url, tmp_path / "shown")
    assert "shown" in capsys.readouterr().err
