"""Files and JSON over HTTP, with everything that goes wrong."""

import errno
import gzip
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from octis_m3l.errors import DataError, OctisM3LError, SettingsError, StorageError
from octis_m3l.sources.download import CONTACT, Fetcher, FetchError, user_agent_of

from .local_server import Answer, LocalServer, Reply, Request

BODY = os.urandom(200_000)
SUM = hashlib.sha256(BODY).hexdigest()
WHOLE = Reply(BODY, etag='"1"')
OTHER = Reply(BODY[::-1])
YEARS = "Mon, 01 Jan {} 00:00:00 GMT"
Take = Callable[..., bytes]


def fetcher(**arguments: Any) -> Fetcher:
    return Fetcher(**{"timeout": 5.0, **arguments})


@pytest.fixture
def take(server: LocalServer, tmp_path: Path) -> Take:
    """Serve answers at a path, download from there to a file, and return what came."""

    def taking(
        *answers: Answer, path: str = "/f", to: str = "f", retries: int = 5, **arguments: Any
    ) -> bytes:
        url = server.serve(path, *answers)
        return fetcher(retries=retries).download(url, tmp_path / to, **arguments).read_bytes()

    return taking


def start(request: Request) -> int:
    """Return the byte from which on a request wants the file."""
    return int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_the_file_and_leaves_nothing_beside_it(server: LocalServer, tmp_path: Path) -> None:
    url = server.serve("/a b/ü.bin", Reply(BODY)).replace(" ", "%20").replace("ü", "%C3%BC")
    place = tmp_path / "new" / "file.bin"
    assert fetcher().download(url, place, sha256=SUM, size=len(BODY)) == place
    assert place.read_bytes() == BODY
    assert names(place.parent) == ["file.bin"]


@pytest.mark.parametrize(
    ("reply", "arguments", "content"),
    [
        (Reply(b""), {"size": 0}, b""),
        (Reply(BODY, framed=False), {"size": len(BODY)}, BODY),
        (Reply(BODY, framed=False), {"sha256": SUM}, BODY),
        (Reply(b"<html>", headers={"Content-Type": "text/html"}), {}, b"<html>"),
        (
            Reply(b"5\r\nwhole\r\n0\r\n\r\n", 200, {"Transfer-Encoding": "chunked"}, framed=False),
            {},
            b"whole",
        ),
    ],
)
def test_kinds_of_answers(
    take: Take, reply: Reply, arguments: dict[str, Any], content: bytes
) -> None:
    assert take(reply, **arguments) == content


@pytest.mark.parametrize(
    ("reply", "arguments", "message"),
    [
        (
            Reply(b"other", etag='"1"'),
            {"sha256": SUM},
            f"expected {SUM} but got {hashlib.sha256(b'other').hexdigest()}.*Fetch it again; "
            "if that does not help",
        ),
        (Reply(bytes(2_000_000)), {"size": 10}, "has 2000000 bytes, where 10 were expected"),
        (
            Reply(bytes(2_000_000), framed=False),
            {"size": 10},
            "has more than 10 bytes, where 10 were expected",
        ),
        (Reply(BODY[:99], framed=False), {}, "does not say how long it is"),
        (
            Reply(gzip.compress(BODY), headers={"Content-Encoding": "gzip"}),
            {},
            "sent it encoded, though asked not to",
        ),
        (
            Reply(b"<html>", headers={"Content-Type": "Text/HTML; charset=utf-8"}),
            {"refuse_html": True},
            "a web page came instead of the file",
        ),
    ],
)
def test_what_is_refused(
    take: Take, tmp_path: Path, reply: Reply, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(FetchError, match=message) as caught:
        take(reply, **arguments)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


def test_a_file_that_is_there_is_fetched_only_if_it_is_wrong(
    take: Take, server: LocalServer, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(BODY)
    assert take(WHOLE) == take(WHOLE, sha256=SUM, size=len(BODY)) == BODY
    assert server.requests == []
    for wrong, known in ((BODY[:-1], {"size": len(BODY)}), (BODY[::-1], {"sha256": SUM})):
        (tmp_path / "f").write_bytes(wrong)
        assert take(WHOLE, **known) == BODY
    assert len(server.requests) == 2


# Resuming.


def test_within_a_call(take: Take, server: LocalServer, slept: list[float]) -> None:
    cut = [replace(WHOLE, cut=80_000), replace(WHOLE, cut=50_000)]
    assert take(*cut, WHOLE, sha256=SUM) == BODY
    first, second, third = map(start, server.requests)
    assert first == 0
    assert 60_000 < second <= 80_000
    assert 90_000 < third <= 130_000
    assert len(slept) == 2


@pytest.mark.parametrize("mark", [{"etag": '"1"'}, {"modified": "Mon, 01 Jan 2024 00:00:00 GMT"}])
def test_in_the_next_call(
    take: Take, server: LocalServer, tmp_path: Path, mark: dict[str, Any]
) -> None:
    with pytest.raises(FetchError, match=r"Try again later: it continues where it stopped"):
        take(Reply(BODY, **mark, cut=70_000), retries=0)
    assert not (tmp_path / "f").exists()
    assert take(Reply(BODY, **mark), retries=0) == BODY
    assert server.requests[-1].headers["If-Range"] == next(iter(mark.values()))
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize(
    ("first", "answers"),
    [
        (WHOLE, [replace(OTHER, etag='"2"')]),
        (WHOLE, [OTHER]),
        (WHOLE, [replace(WHOLE, body=BODY[::-1], ranges=False)]),
        (Reply(BODY), [OTHER]),
        (Reply(BODY, etag='W/"1"'), [replace(OTHER, etag='W/"1"')]),
        # A file that is shorter now, another part than asked for, a part of another version,
        # more than announced.
        (WHOLE, [Reply(b"<html>", 416, {"Content-Type": "text/html"}), OTHER]),
        (WHOLE, [Reply(b"1" * 10, 206, {"Content-Range": "bytes 0-9/99"}), OTHER]),
        (
            WHOLE,
            [
                Reply(b"1", 206, {"Content-Range": "bytes 70000-70000/70001", "ETag": '"2"'}),
                OTHER,
            ],
        ),
        (
            WHOLE,
            [
                lambda request: Reply(
                    bytes(2_000_000), 206, {"Content-Range": f"bytes {start(request)}-9/200000"}
                ),
                OTHER,
            ],
        ),
    ],
)
def test_another_file_starts_anew(take: Take, first: Reply, answers: list[Answer]) -> None:
    assert take(replace(first, cut=70_000), *answers, refuse_html=True) == BODY[::-1]


def test_a_part_of_another_file_is_not_used(take: Take, tmp_path: Path) -> None:
    with pytest.raises(FetchError):
        take(replace(WHOLE, cut=70_000), retries=0)
    assert take(replace(WHOLE, body=BODY[::-1]), path="/other") == BODY[::-1]
    for about in (b"", b"[]", b'{"url": 1}', b"\xff"):
        (tmp_path / "f").unlink()
        (tmp_path / "f.part").write_bytes(b"anything")
        (tmp_path / "f.part.json").write_bytes(about)
        assert take(WHOLE) == BODY
        assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("is_known", [False, True])
def test_a_part_that_is_a_link_is_not_written_through(
    take: Take, tmp_path: Path, is_known: bool
) -> None:
    if is_known:
        with pytest.raises(FetchError):
            take(replace(WHOLE, cut=70_000), retries=0)
        (tmp_path / "f.part").unlink()
    (tmp_path / "diary").write_bytes(b"years of work")
    (tmp_path / "f.part").symlink_to(tmp_path / "diary")
    assert take(WHOLE) == BODY
    assert (tmp_path / "diary").read_bytes() == b"years of work"
    assert names(tmp_path) == ["diary", "f"]


def test_a_bar_is_shown_if_wanted(
    take: Take, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("octis_m3l.sources.download._BAR_AFTER", 0)
    take(WHOLE)
    assert capsys.readouterr().err == ""
    take(WHOLE, to="shown", progress=True)
    assert "shown" in capsys.readouterr().err


def test_retries_count_anew_after_progress(take: Take, server: LocalServer, tmp_path: Path) -> None:
    assert take(*[replace(WHOLE, cut=20_000)] * 9, WHOLE, retries=1, sha256=SUM) == BODY
    with pytest.raises(FetchError, match="connection broke") as caught:
        take(Reply(BODY, cut=20_000), path="/g", to="g", retries=2)
    assert caught.value.passing
    assert len(server.asked("/g")) <= 4
    assert not (tmp_path / "g").exists()


# Trouble: what is repeated, what is final, and after which pauses.


@pytest.mark.parametrize(
    ("reply", "message", "passing"),
    [
        *((Reply(status=s), f"answered {s}", False) for s in (400, 401, 403, 404, 410, 204, 304)),
        (Reply(status=503), r"answered 503.* Try again later\.", True),
        (
            Reply(status=403, headers={"X-RateLimit-Remaining": "0"}),
            "answered 403 .* no more requests are allowed for now",
            True,
        ),
    ],
)
def test_answers_without_content(
    server: LocalServer, slept: list[float], reply: Reply, message: str, passing: bool
) -> None:
    with pytest.raises(FetchError, match=message) as caught:
        fetcher(retries=2).json(server.serve("/f", reply))
    assert (caught.value.status, caught.value.passing) == (reply.status, passing)
    assert isinstance(caught.value, OctisM3LError)
    assert (len(server.requests), len(slept)) == ((3, 2) if passing else (1, 0))
    asks_for_contact = reply.status == 403 and not passing
    assert (f"set {CONTACT}" in str(caught.value)) == asks_for_contact


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503, 522])
def test_passing_trouble_passes(server: LocalServer, slept: list[float], status: int) -> None:
    url = server.serve("/f", *[Reply(status=status)] * 3, Reply(b"[1]"))
    assert fetcher(backoff=2.0).json(url) == [1]
    assert slept == pytest.approx([2, 4, 8], abs=0.1)


@pytest.mark.parametrize("status", [403, 429, 503])
def test_retry_after(server: LocalServer, slept: list[float], status: int) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    for given, least, most in (("37", 37, 37), (until, 85, 92)):
        slept.clear()
        busy = Reply(status=status, headers={"Retry-After": given})
        fetcher().json(server.serve("/f", busy, Reply(b"1")))
        assert len(slept) == 1
        assert least - 0.1 <= slept[0] <= most


@pytest.mark.parametrize("given", ["soon", "-3", "", "0", *map(YEARS.format, (2001, 99999))])
def test_retry_after_that_says_nothing(server: LocalServer, slept: list[float], given: str) -> None:
    busy = [Reply(status=status, headers={"Retry-After": given}) for status in (403, 429)]
    assert fetcher().json(server.serve("/f", *busy, Reply(b"1"))) == 1
    assert sum(slept) < 4


def test_retry_after_too_long_to_wait(server: LocalServer, slept: list[float]) -> None:
    busy = server.serve("/f", Reply(status=429, headers={"Retry-After": "86400"}))
    for retries in (0, 5):
        server.requests.clear()
        with pytest.raises(FetchError, match=r"/f: .*come back in more than an hour") as caught:
            fetcher(retries=retries).json(busy)
        assert (caught.value.status, caught.value.passing) == (429, False)
        assert (len(server.requests), slept) == (1, [])


def test_retry_after_holds_for_the_next_request(server: LocalServer, slept: list[float]) -> None:
    busy = server.serve("/f", Reply(status=429, headers={"Retry-After": "600"}))
    other = server.serve("/g", Reply(b"1"))
    patient = fetcher(retries=0)
    with pytest.raises(FetchError, match="answered 429"):
        patient.json(busy)
    patient.json(other.replace("127.0.0.1", "localhost"))
    assert slept == []
    patient.json(other)
    assert 590 < slept[0] <= 600


def test_time_outs_hang_ups_and_nobody_there(server: LocalServer) -> None:
    slow = Reply(b"1", stall=2.0)
    assert fetcher(timeout=0.1).json(server.serve("/f", slow, Reply(b"1"))) == 1
    with pytest.raises(FetchError, match=r"can't be reached.* \(ReadTimeout\)"):
        fetcher(timeout=0.1, retries=0).json(server.serve("/f", slow))
    assert fetcher().json(server.serve("/f", Reply(hang_up=True), Reply(b"[1]"))) == [1]
    with LocalServer() as gone:
        url = gone.serve("/f", Reply(BODY))
    with pytest.raises(FetchError, match=r"can't be reached.* \(ConnectionError\)") as caught:
        fetcher(retries=1).json(url)
    assert caught.value.passing


def test_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED")

    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", failing)
    with pytest.raises(FetchError, match="REQUESTS_CA_BUNDLE"):
        fetcher().json("https://example.org/")


def test_json(server: LocalServer) -> None:
    whole = Reply(b'{"a": "b"}')
    harmed = replace(whole, body=b'{"a": "\xff"}', headers={"Content-Type": "application/json"})
    url = server.serve("/f", replace(whole, cut=4), Reply(b'{"a"'), harmed, whole)
    assert fetcher().json(url, {"x": "y"}) == {"a": "b"}
    assert server.requests[-1].query == {"x": "y"}
    with pytest.raises(FetchError, match="is no JSON, or not all of it"):
        fetcher(retries=1).json(server.serve("/f", Reply(b"<html>")))


# Addresses.


def test_only_http_is_asked(take: Take, server: LocalServer, tmp_path: Path) -> None:
    wrong = ["file:///etc/hostname", "http://[", "http://127.0.0.1:abc/", "http://"]
    targets = ["ftp://127.0.0.1/x", "data:,x", "/caf\xe9", "http://[::1/x"]
    away = [Reply(status=302, headers={"Location": target}) for target in wrong[:3] + targets]
    calls = [
        *(lambda url=url: fetcher().download(url, tmp_path / "f") for url in [*wrong, "/f", ""]),
        *(lambda reply=reply: fetcher().json(server.serve("/f", reply)) for reply in away),
        *(lambda reply=reply: take(reply) for reply in away),
    ]
    for call in calls:
        with pytest.raises(FetchError, match="is no address that starts with http:// or https://"):
            call()
    with pytest.raises(FetchError, match="redirects without end"):
        take(Reply(status=302, headers={"Location": "/f"}))
    assert names(tmp_path) == []


def test_secrets_are_not_shown(
    server: LocalServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for reply in (Reply(status=404), Reply(status=500), Reply(hang_up=True), Reply(b"x")):
        url = server.serve("/f", reply).replace("//", "//someone:hush@") + "?token=hush"
        with pytest.raises(FetchError, match="/f") as caught:
            fetcher(retries=1).download(url, tmp_path / "f", sha256=SUM)
        assert "hush" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "hush" not in caplog.text
    assert not any("hush" in path.read_text("latin-1") for path in tmp_path.iterdir())


# Politeness.


def test_requests_to_one_host_keep_their_distance_redirects_too(
    server: LocalServer, slept: list[float]
) -> None:
    polite = fetcher(delay=3.0)
    url = server.serve("/f", Reply(b"1"))
    polite.json(url)
    polite.json(url.replace("127.0.0.1", "localhost"))
    assert slept == []
    polite.json(url)
    assert slept == [pytest.approx(3.0, abs=0.2)]
    slept.clear()
    fetcher(delay=3.0).json(server.serve("/g", Reply(status=302, headers={"Location": "/f"})))
    assert slept == [pytest.approx(3.0, abs=0.2)]


def test_both_schemes_of_a_host_wait_for_each_other_and_wikimedia_is_asked_slowly(
    monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise requests.ConnectionError

    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", nobody)
    wiki = "en.wikipedia.org"
    for host, delay, expected in (("example.org", 3.0, 3.0), (wiki, 0.0, 0.5), (wiki, 2.0, 2.0)):
        slept.clear()
        polite = fetcher(delay=delay, retries=0)
        for scheme in ("http", "https"):
            with pytest.raises(FetchError, match="can't be reached"):
                polite.json(f"{scheme}://{host}/")
        assert slept == [pytest.approx(expected, abs=0.2)]


def test_says_who_asks(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
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
    about = Message()
    about["Version"] = "9"
    about["Project-URL"] = "Homepage, https://example.org/home"
    monkeypatch.setattr("octis_m3l.sources.download.metadata", lambda _: about)
    assert user_agent_of("me") == "octis-m3l/9 (https://example.org/home; me)"


def test_arguments_that_can_not_be_used() -> None:
    for name, values in {
        "retries": (-1, 1.5, True, "3"),
        "timeout": (-1, 0, float("inf"), "3"),
        "delay": (-1, float("inf"), "3"),
        "backoff": (-1, float("inf"), "3"),
    }.items():
        for value in values:
            with pytest.raises(DataError, match=f"Fetcher: {name}={value!r}: it should be"):
                fetcher(**{name: value})
    for agent in ("a\r\nX-Other: 1", "größer", " "):
        with pytest.raises(SettingsError, match="can't be sent"):
            fetcher(user_agent=agent)


def test_a_folder_or_a_file_in_the_way(server: LocalServer, tmp_path: Path) -> None:
    url = server.serve("/f", WHOLE)
    with pytest.raises(FetchError, match="is a folder, where a file was expected"):
        fetcher().download(url, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"can't be written: .*choose another folder"):
        fetcher().download(url, tmp_path / "file" / "f")


def test_a_full_disk(
    take: Take, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Iterator[bytes]:
        yield BODY[:1000]
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(requests.Response, "iter_content", full)
        with pytest.raises(StorageError, match=r"no space is left on the disk") as caught:
            take(WHOLE)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "f").exists()
    assert take(WHOLE, sha256=SUM) == BODY
    assert server.requests[-1].headers["Range"] == "bytes=1000-"
