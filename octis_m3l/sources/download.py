"""Files and JSON over HTTP: retried, resumed, checked, and no faster than servers like it."""

import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import metadata
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import pooch
import requests
from pydantic import Field
from requests import exceptions
from tqdm.auto import tqdm
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from octis_m3l.errors import OctisM3LError, SettingsError, StorageError
from octis_m3l.files import read_json, write_errors, write_json
from octis_m3l.validation import validated

CONTACT = "OCTIS_M3L_CONTACT"
WIKIMEDIA = (".wikipedia.org", ".wikimedia.org")
_WIKIMEDIA_DELAY = 0.5
_PASSING = frozenset({408, 425, 429, *range(500, 600)})
# 416: a file that is shorter than what has arrived of it.
_ANSWERED = frozenset({200, 206, 416})
_LONGEST_BACKOFF, _LONGEST_PAUSE = 120.0, 3600.0
_BLOCK = 1 << 14
_BAR_AFTER = 2.0
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_REMEDIES = {
    401: "It asks for a login.",
    403: f"Some servers want to know whom to write to: set {CONTACT} to your e-mail address.",
    404: "It is not there (any more): check the address.",
    410: "It has been removed for good.",
}
_NO_ADDRESS = (
    "it, or what it redirects to, is no address that starts with http:// or https:// and names a "
    "host."
)
_Answer = TypeVar("_Answer")
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]

# Both log whole addresses, which may hold secrets.
pooch.get_logger().setLevel(logging.WARNING)
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


class FetchError(OctisM3LError):
    """A file or an answer could not be fetched; `passing` if it may work later."""

    def __init__(self, message: str, *, status: int | None = None, passing: bool = False) -> None:
        super().__init__(message)
        self.status, self.passing = status, passing


class Fetcher:
    """Downloads files and JSON.

    Connection errors, time-outs, truncated answers and the statuses 408, 425, 429 and 500 to 599
    are retried, after the pause that the server asks for (``Retry-After``) or an exponential
    back-off; so is 403 if it names a pause or says that no requests are left. Other failures are
    final.

    Parameters
    ----------
    retries : int
        How often a request is repeated, counted anew when a download makes progress.
    timeout : float
        Seconds to wait for an answer.
    delay : float
        Least number of seconds between two requests to one host; for Wikimedia at least 0.5.
    backoff : float
        Seconds of the first back-off, which doubles from retry to retry.
    user_agent : str, optional
        What to send as user agent. None: that of `user_agent_of`.
    contact : str, optional
        Whom operators of servers can write to. None: the environment's ``OCTIS_M3L_CONTACT``.
    """

    @validated
    def __init__(
        self,
        *,
        retries: Annotated[int, Field(ge=0)] = 5,
        timeout: Annotated[_Seconds, Field(gt=0)] = 30.0,
        delay: _Seconds = 0.0,
        backoff: _Seconds = 1.0,
        user_agent: str | None = None,
        contact: str | None = None,
    ) -> None:
        self.retries, self.timeout, self.backoff = retries, timeout, backoff
        self.names_contact = bool(user_agent or contact or os.environ.get(CONTACT, "").strip())
        user_agent = (user_agent or user_agent_of(contact)).strip()
        if not (user_agent.isascii() and user_agent.isprintable() and user_agent):
            raise SettingsError(
                f"the user agent {user_agent!r} can't be sent: expected ASCII characters without "
                f"line breaks (the contact is from the argument or from {CONTACT})."
            )
        self._session = _PoliteSession(delay)
        self._session.headers["User-Agent"] = user_agent

    def download(
        self,
        url: str,
        destination: Path,
        *,
        sha256: str | None = None,
        size: int | None = None,
        refuse_html: bool = False,
        progress: bool = False,
    ) -> Path:
        """Fetch a file, and give it its name when it is complete and correct.

        What has arrived of an interrupted download is kept in ``<destination>.part``; the next
        call continues from there if the file at the source is still the same. A file that is
        there with the right SHA-256 and size, as far as they are given, is not fetched again, and
        more than `size` bytes are not read. With `refuse_html`, a web page in place of the file is
        an error. `progress` shows a bar if it takes more than a few seconds.
        """
        if destination.is_dir():
            raise FetchError(f"{destination} is a folder, where a file was expected.")
        with write_errors(destination):
            if size is not None and destination.is_file() and destination.stat().st_size != size:
                destination.unlink()
            try:
                pooch.retrieve(
                    url,
                    known_hash=sha256,
                    fname=destination.name,
                    path=destination.parent,
                    downloader=_Download(self, destination, sha256, size, refuse_html, progress),
                )
            except OctisM3LError:
                raise
            except ValueError as error:  # of pooch: another hash
                raise FetchError(
                    f"{shown(url)}: {error} Fetch it again; if that does not help, the file at "
                    "the source has changed."
                ) from None
        return destination

    def json(self, url: str, parameters: Mapping[str, str] | None = None) -> Any:
        """Return what a server answers in JSON to a query with these parameters."""

        def ask() -> Any:
            with self._get(url, params=parameters) as answer:
                try:
                    return json.loads(answer.content)
                except (ValueError, RecursionError):
                    raise _Interrupted("the answer is no JSON, or not all of it") from None

        return self._retried(url, ask)

    def _retried(
        self, url: str, ask: Callable[[], _Answer], arrived: Callable[[], int] = lambda: 0
    ) -> _Answer:
        """Ask until an answer is complete, a failure is final, or retries are used up."""
        failures = 0
        while True:
            before = arrived()
            try:
                return ask()
            except FetchError as error:
                failure = error
            except requests.RequestException as error:
                failure = _failure(error, url)
            failures = 1 if arrived() > before else failures + 1
            if failures > self.retries or not failure.passing:
                raise failure from None
            pause = min(self.backoff * 2.0 ** (failures - 1), _LONGEST_BACKOFF)
            self._session.postpone(url, pause)

    def _get(self, url: str, **arguments: Any) -> requests.Response:
        """Return an answer with content."""
        try:
            answer = self._session.get(url, timeout=self.timeout, stream=True, **arguments)
        except requests.RequestException:
            raise
        except ValueError:
            raise FetchError(f"{shown(url)}: {_NO_ADDRESS}") from None
        status, pause = answer.status_code, _seconds_to_wait(answer)
        if pause > _LONGEST_PAUSE:
            answer.close()
            raise FetchError(
                f"{shown(url)}: the server answered {status} and asks to come back in more than "
                "an hour. Run it again then: it continues where it stopped.",
                status=status,
            )
        self._session.postpone(answer.url, pause)
        if status in _ANSWERED:
            return answer
        answer.close()
        asks_to_wait = "Retry-After" in answer.headers
        used_up = answer.headers.get("X-RateLimit-Remaining") == "0"
        refused_for_now = status == HTTPStatus.FORBIDDEN and (asks_to_wait or used_up)
        passing = status in _PASSING or refused_for_now
        remedy = "Try again later." if passing else _REMEDIES.get(status, "")
        limit = ", because no more requests are allowed for now" if used_up else ""
        raise FetchError(
            f"{shown(url)}: the server answered {status} {answer.reason}{limit}. {remedy}".rstrip(),
            status=status,
            passing=passing,
        )


def user_agent_of(contact: str | None = None) -> str:
    """Return the package, its version, its address, and whom to write to: ``OCTIS_M3L_CONTACT``."""
    about = metadata("octis-m3l")
    pages = [entry.rpartition(",")[2].strip() for entry in about.get_all("Project-URL") or ()]
    contact = contact or os.environ.get(CONTACT, "").strip()
    remarks = "; ".join(remark for remark in (*pages[:1], contact) if remark)
    return f"octis-m3l/{about['Version']}" + (f" ({remarks})" if remarks else "")


def shown(url: str) -> str:
    """Return an address for people: without user, password and query, which may hold secrets."""
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return "the address given"
    query = "…" if parts.query else ""
    return urlunsplit((parts.scheme, f"{parts.hostname or ''}{port}", parts.path, query, ""))


class _Interrupted(requests.RequestException):
    """An answer that is not complete, or not the one asked for."""


@dataclass
class _Download:
    """Downloads a file, as `pooch.retrieve` asks for it; goes on with what has arrived of it."""

    fetcher: Fetcher
    destination: Path
    sha256: str | None
    size: int | None
    refuse_html: bool
    progress: bool

    def __call__(self, url: str, output_file: str, _: object) -> None:
        """Download to a file."""
        part = _Part(url, self.destination)
        self.fetcher._retried(url, lambda: self._receive(part), part.length)
        part.path.replace(output_file)
        part.discard()

    def _receive(self, part: "_Part") -> None:
        """Ask for the file, or if it is still the same for the rest of it, and write it."""
        version = part.version()
        rest = {"Range": f"bytes={part.length()}-", "If-Range": version} if version else {}
        headers = {"Accept-Encoding": "identity", **rest}
        with self.fetcher._get(part.url, headers=headers) as answer:
            try:
                total = self._total(answer, part, version)
                limit = total if self.size is None else self.size
                self._write(answer, part, limit)
            except FetchError:
                part.discard()
                raise
        arrived = part.length()
        if limit is not None and arrived > limit:
            part.discard()
            if limit == self.size:
                raise self._wrong_size(part, f"more than {limit}")
        if limit is not None and arrived != limit:
            raise _Interrupted(f"{arrived} of {limit} bytes arrived")

    def _total(self, answer: requests.Response, part: "_Part", asked: str | None) -> int | None:
        """Return the length of the whole file, if it is the right one and its length is known."""
        headers, url = answer.headers, shown(part.url)
        total = int(headers["Content-Length"]) if "Content-Length" in headers else None
        # A weak ETag does not identify a version.
        etag = headers.get("ETag", "").strip()
        version = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
        if answer.status_code == HTTPStatus.OK:
            part.start(version)
        else:
            found = _RANGE.match(headers.get("Content-Range", ""))
            if not found or int(found[1]) != part.length() or version not in (None, asked):
                part.discard()
                raise _Interrupted("the server sent another part of the file than asked for")
            total = int(found[2])
        if headers.get("Content-Encoding", "identity") != "identity":
            raise FetchError(f"{url}: the server sent it encoded, though asked not to.")
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if self.refuse_html and kind in ("text/html", "application/xhtml+xml"):
            raise FetchError(
                f"{url}: a web page came instead of the file (a log-in page?). Open the address "
                "in a browser to see what it says."
            )
        if self.size is not None and total not in (None, self.size):
            raise self._wrong_size(part, f"{total}")
        known = total is not None or self.size is not None or self.sha256 is not None
        if not known and "Transfer-Encoding" not in headers:
            raise FetchError(
                f"{url}: the server does not say how long it is, so it may be incomplete."
            )
        return total

    def _wrong_size(self, part: "_Part", found: str) -> FetchError:
        return FetchError(
            f"{shown(part.url)}: it has {found} bytes, where {self.size} were expected. The file "
            "at the source has changed, or the server sent something else."
        )

    def _write(self, answer: requests.Response, part: "_Part", limit: int | None) -> None:
        """Append what comes, up to a limit."""
        bar = tqdm(
            desc=self.destination.name,
            total=limit,
            initial=part.length(),
            unit="B",
            unit_scale=True,
            leave=False,
            delay=_BAR_AFTER,
            disable=not self.progress,
        )
        with bar, part.path.open("ab") as stream:
            for block in answer.iter_content(_BLOCK):
                stream.write(block)
                bar.update(len(block))
                if limit is not None and stream.tell() > limit:
                    break


class _Part:
    """What has arrived of a file, with a note of the address and version that it is from."""

    def __init__(self, url: str, destination: Path) -> None:
        self.url = url
        self.path = destination.with_name(f"{destination.name}.part")
        self._note = destination.with_name(f"{destination.name}.part.json")
        # Not the address itself, which may hold secrets.
        self._source = hashlib.sha256(url.encode()).hexdigest()

    def length(self) -> int:
        # A link leads to a file that is not a part of this download.
        is_own = self.path.is_file() and not self.path.is_symlink()
        return self.path.stat().st_size if is_own else 0

    def version(self) -> str | None:
        """Return what identifies the file of which a part has arrived; discard other parts."""
        try:
            note = read_json(self._note)
        except StorageError:
            note = {}
        if note.get("url") == self._source and note.get("version") and self.length():
            return str(note["version"])
        self.discard()
        return None

    def start(self, version: str | None) -> None:
        self.discard()
        write_json(self._note, {"url": self._source, "version": version})

    def discard(self) -> None:
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


class _PoliteSession(requests.Session):
    """Waits between requests to one host, and as long as the host asks for; redirects included."""

    def __init__(self, delay: float) -> None:
        super().__init__()
        self._delay = delay
        self._not_before: dict[str, float] = {}

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Wait, send, and note when the host may be asked next."""
        host = _host(request.url)
        pause = self._not_before.get(host, 0.0) - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        least = _WIKIMEDIA_DELAY if host.endswith(WIKIMEDIA) else 0.0
        self.postpone(str(request.url), max(self._delay, least))
        return super().send(request, **kwargs)

    def postpone(self, url: str, seconds: float) -> None:
        """Ask the host of an address again only after so many seconds."""
        earliest = time.monotonic() + seconds
        self._not_before[_host(url)] = max(self._not_before.get(_host(url), 0.0), earliest)


def _host(url: str | None) -> str:
    return str(urlsplit(url or "").hostname)


def _seconds_to_wait(answer: requests.Response) -> float:
    """Return how many seconds a server asks to wait."""
    try:
        return Retry().get_retry_after(answer.raw) or 0.0
    except (InvalidHeader, ValueError):  # such as a year of five digits
        return 0.0


def _failure(error: requests.RequestException, url: str) -> FetchError:
    """Return an error that says what failed, and whether it may pass."""
    final = None
    if isinstance(error, exceptions.TooManyRedirects):
        final = "it redirects without end."
    elif isinstance(error, ValueError):
        final = _NO_ADDRESS
    elif isinstance(error, exceptions.SSLError) and "CERTIFICATE" in str(error).upper():
        final = (
            "the server's certificate can't be verified. If a proxy signs with its own, name its "
            "certificates in REQUESTS_CA_BUNDLE."
        )
    if final:
        return FetchError(f"{shown(url)}: {final}")
    reason = f"the server can't be reached, or the connection broke ({type(error).__name__})"
    if isinstance(error, _Interrupted):
        reason = str(error)
    return FetchError(
        f"{shown(url)}: {reason}. Try again later: it continues where it stopped.", passing=True
    )
