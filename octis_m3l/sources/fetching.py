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
from typing import Annotated, Any, NoReturn, TypeVar
from urllib.parse import urlsplit, urlunsplit

import pooch
import requests
from pydantic import Field
from requests.adapters import HTTPAdapter
from tqdm.auto import tqdm
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from octis_m3l.errors import OctisM3LError, SettingsError, StorageError
from octis_m3l.files import held, read_json, write_errors, write_json
from octis_m3l.validation import validated

__all__ = ["CONTACT", "FetchError", "Fetcher", "user_agent_of"]

CONTACT = "OCTIS_M3L_CONTACT"
WIKIMEDIA = (".wikipedia.org", ".wikimedia.org")
_WIKIMEDIA_DELAY = 0.5
_PASSING = frozenset({408, 425, 429, *range(500, 600)})
# 416: a file that is shorter than what has arrived of it.
_ANSWERED = frozenset({200, 206, 416})
_LONGEST_BACKOFF, _LONGEST_PAUSE = 120.0, 3600.0
_LONGEST_JSON = 64 * 2**20
_BLOCK = 1 << 14
_BAR_AFTER = 2.0
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_REMEDIES = {
    401: "It asks for a login.",
    403: f"Some servers want to know whom to write to: set {CONTACT} to your e-mail address.",
    404: "It is not there (any more): check the address.",
    410: "It has been removed for good.",
}
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
    back-off; so is 403 with such a pause. Other failures are final.

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
        self.retries, self.timeout, self.delay, self.backoff = retries, timeout, delay, backoff
        self.names_contact = bool(user_agent or contact or os.environ.get(CONTACT, "").strip())
        self.user_agent = (user_agent or user_agent_of(contact)).strip()
        if not (self.user_agent.isascii() and self.user_agent.isprintable() and self.user_agent):
            raise SettingsError(
                f"the user agent {self.user_agent!r} can't be sent: expected ASCII characters "
                f"without line breaks (the contact is from the argument or from {CONTACT})."
            )
        self._session = requests.Session()
        self._session.headers["User-Agent"] = self.user_agent
        adapter = _PoliteAdapter(self)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)

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
        there with the right checksum and size, as far as they are given, is not fetched again.

        Parameters
        ----------
        url : str
            Its address.
        destination : Path
            Where to store it.
        sha256 : str, optional
            Its checksum, in hexadecimal digits.
        size : int, optional
            Its length in bytes; more are not read.
        refuse_html : bool
            Whether a web page in place of the file is an error.
        progress : bool
            Whether to show a progress bar if it takes more than a few seconds.

        Returns
        -------
        Path
            The destination.
        """
        check_address(url)
        if destination.is_dir():
            raise FetchError(f"{destination} is a folder, where a file was expected.")
        # Another download to the same place is waited for, and its file is used.
        with held(destination, wait=True), write_errors(destination):
            if size is not None and destination.is_file() and destination.stat().st_size != size:
                destination.unlink()
            verified = sha256 is not None
            download = _Download(self, url, destination, size, verified, refuse_html, progress)
            try:
                pooch.retrieve(
                    url,
                    known_hash=sha256,
                    fname=destination.name,
                    path=destination.parent,
                    downloader=download,
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
        """Return what a server answers in JSON.

        Parameters
        ----------
        url : str
            Its address.
        parameters : mapping, optional
            The query.
        """
        check_address(url)

        def ask() -> Any:
            content = bytearray()
            with self._get(url, params=parameters) as answer:
                for block in answer.iter_content(_BLOCK):
                    content += block
                    if len(content) > _LONGEST_JSON:
                        raise FetchError(
                            f"{shown(url)}: the answer is longer than {_LONGEST_JSON >> 20} MB. "
                            "Check the address."
                        )
            try:
                return json.loads(content)
            except (ValueError, RecursionError):
                raise _Interrupted("the answer is no JSON, or not all of it") from None

        return self._until_complete(url, ask)

    def _until_complete(
        self, url: str, ask: Callable[[], _Answer], arrived: Callable[[], int] = lambda: 0
    ) -> _Answer:
        """Ask again if connections fail or break off; urllib3 repeats the rest in `_get`."""
        failures = 0
        while True:
            before = arrived()
            try:
                return ask()
            except requests.RequestException as error:
                reason = _reason(error, url, self.timeout)
            failures = 1 if arrived() > before else failures + 1
            if failures > self.retries:
                raise FetchError(
                    f"{shown(url)}: {reason}. Try again later: it continues where it stopped.",
                    passing=True,
                )
            time.sleep(min(self.backoff * 2.0 ** (failures - 1), _LONGEST_BACKOFF))

    def _get(self, url: str, **arguments: Any) -> requests.Response:
        """Return an answer with content."""
        try:
            answer = self._session.get(url, timeout=self.timeout, stream=True, **arguments)
        except FetchError as error:
            raise FetchError(f"{shown(url)}: {error}", status=error.status) from None
        except requests.RequestException:
            raise
        except ValueError:
            raise FetchError(_not_an_address(url)) from None
        status = answer.status_code
        if status in _ANSWERED:
            return answer
        answer.close()
        asks_to_wait = "Retry-After" in answer.headers
        used_up = answer.headers.get("X-RateLimit-Remaining") == "0"
        passing = status in _PASSING or (
            status == HTTPStatus.FORBIDDEN and (used_up or asks_to_wait)
        )
        remedy = "Try again later." if passing else _REMEDIES.get(status, "")
        limit = ", because no more requests are allowed for now" if used_up else ""
        raise FetchError(
            f"{shown(url)}: the server answered {status} {answer.reason}{limit}. {remedy}".rstrip(),
            status=status,
            passing=passing,
        )


def user_agent_of(contact: str | None = None) -> str:
    """Return the package, its version, its address, and whom to write to.

    Parameters
    ----------
    contact : str, optional
        Whom to write to. None: the environment's ``OCTIS_M3L_CONTACT``, if it is set.
    """
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
    """Downloads one file, as `pooch.retrieve` asks for it; goes on with what has arrived of it."""

    fetcher: Fetcher
    url: str
    destination: Path
    size: int | None
    verified: bool
    refuse_html: bool
    progress: bool

    def __post_init__(self) -> None:
        self._bytes = self.destination.with_name(f"{self.destination.name}.part")
        self._description = self.destination.with_name(f"{self.destination.name}.part.json")
        self._version: str | None = None

    def __call__(self, url: str, output_file: str, _: object) -> None:
        """Download to a file."""

        def receive() -> None:
            with self.fetcher._get(url, headers=self._headers()) as answer:
                self._receive(answer)

        self.fetcher._until_complete(url, receive, self._length)
        self._bytes.replace(output_file)
        self._discard()

    def _length(self) -> int:
        # A link leads to a file that is not a part of this download.
        is_own = self._bytes.is_file() and not self._bytes.is_symlink()
        return self._bytes.stat().st_size if is_own else 0

    def _discard(self) -> None:
        self._description.unlink(missing_ok=True)
        self._bytes.unlink(missing_ok=True)

    def _headers(self) -> dict[str, str]:
        """Return headers that ask for the rest, if the file at the source is still the same."""
        try:
            known = read_json(self._description)
        except StorageError:
            known = {}
        self._version = known.get("version") if known.get("url") == self._hashed_url() else None
        if not self._version or not self._length():
            self._discard()
            return {"Accept-Encoding": "identity"}
        wanted = {"Range": f"bytes={self._length()}-", "If-Range": self._version}
        return {"Accept-Encoding": "identity", **wanted}

    def _receive(self, answer: requests.Response) -> None:
        """Append the bytes of an answer, or start with them."""
        headers, version = answer.headers, _version_of(answer)
        if headers.get("Content-Encoding", "identity") != "identity":
            self._refuse("the server sent it encoded, though asked not to.")
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if self.refuse_html and kind in ("text/html", "application/xhtml+xml"):
            self._refuse(
                "a web page came instead of the file (a log-in page?). Open the address in a "
                "browser to see what it says."
            )
        total = int(headers["Content-Length"]) if "Content-Length" in headers else None
        if answer.status_code == HTTPStatus.OK:
            self._discard()
            write_json(self._description, {"url": self._hashed_url(), "version": version})
        else:
            found = _RANGE.match(headers.get("Content-Range", ""))
            is_same = version in (None, self._version)
            if not found or int(found[1]) != self._length() or not is_same:
                self._discard()
                raise _Interrupted("the server sent another part of the file than asked for")
            total = int(found[2])
        if self.size is not None and total not in (None, self.size):
            self._refuse_size(f"{total}")
        limit = total if self.size is None else self.size
        if limit is None and "Transfer-Encoding" not in headers and not self.verified:
            self._refuse("the server does not say how long it is, so it may be incomplete.")
        bar = tqdm(
            desc=self.destination.name,
            total=limit,
            initial=self._length(),
            unit="B",
            unit_scale=True,
            leave=False,
            delay=_BAR_AFTER,
            disable=not self.progress,
        )
        with bar, self._bytes.open("ab") as stream:
            for block in answer.iter_content(_BLOCK):
                stream.write(block)
                bar.update(len(block))
                if limit is not None and stream.tell() > limit:
                    break
        arrived = self._length()
        if limit is not None and arrived > limit:
            if limit == self.size:
                self._refuse_size(f"more than {limit}")
            self._discard()
        if limit is not None and arrived != limit:
            raise _Interrupted(f"{arrived} of {limit} bytes arrived")

    def _refuse_size(self, found: str) -> NoReturn:
        self._refuse(
            f"it has {found} bytes, where {self.size} were expected. The file at the source has "
            "changed, or the server sent something else."
        )

    def _refuse(self, reason: str) -> NoReturn:
        self._discard()
        raise FetchError(f"{shown(self.url)}: {reason}")

    def _hashed_url(self) -> str:
        # Not the address itself, which may hold secrets.
        return hashlib.sha256(self.url.encode()).hexdigest()


class _PoliteAdapter(HTTPAdapter):
    """Waits between requests to one host, and as long as the host asks for; redirects included."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._patience = _Patience(
            total=None,
            connect=0,
            read=0,
            redirect=0,
            other=0,
            status=fetcher.retries,
            status_forcelist=_PASSING,
            allowed_methods={"GET"},
            raise_on_status=False,
            backoff_factor=fetcher.backoff,
            backoff_jitter=fetcher.backoff,
            backoff_max=_LONGEST_BACKOFF,
        )
        super().__init__(max_retries=self._patience)
        self._not_before: dict[str, float] = {}

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        """Wait, send, and note when the host may be asked next."""
        host = str(urlsplit(request.url or "").hostname)
        pause = self._not_before.get(host, 0.0) - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        least = _WIKIMEDIA_DELAY if host.endswith(WIKIMEDIA) else 0.0
        self._not_before[host] = time.monotonic() + max(self._fetcher.delay, least)
        answer = super().send(request, *args, **kwargs)
        asked_for = time.monotonic() + (self._patience.get_retry_after(answer.raw) or 0.0)
        self._not_before[host] = max(self._not_before[host], asked_for)
        return answer


class _Patience(Retry):
    """Retries as urllib3 does, but not at once, and not after hours."""

    def get_backoff_time(self) -> float:
        """Return a pause before the first retry too."""
        return max(super().get_backoff_time(), self.backoff_factor)

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        """Return whether to ask again: also if a refusal says when."""
        refused_for_now = status_code == HTTPStatus.FORBIDDEN and has_retry_after
        return refused_for_now or super().is_retry(method, status_code, has_retry_after)

    def get_retry_after(self, response: Any) -> float | None:
        """Return how many seconds a server asks to wait."""
        try:
            seconds = super().get_retry_after(response)
        except InvalidHeader:
            return None
        if seconds is not None and seconds > _LONGEST_PAUSE:
            raise FetchError(
                f"the server answered {response.status} and asks to come back in more than an "
                "hour. Run it again then: it continues where it stopped.",
                status=response.status,
            )
        return seconds


def check_address(url: str) -> None:
    """Reject what is no address of http or https."""
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and parts.port != 0
        )
    except ValueError:
        good = False
    if not good:
        raise FetchError(
            f"{shown(url)}: expected an address that starts with http:// or https:// and names a "
            "host."
        )


def _version_of(answer: requests.Response) -> str | None:
    """Return what identifies the file's version; a weak ETag does not."""
    etag = answer.headers.get("ETag", "").strip()
    return etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified")


def _reason(error: requests.RequestException, url: str, timeout: float) -> str:
    """Say what failed if it may pass; raise what can't."""
    if isinstance(error, requests.TooManyRedirects):
        raise FetchError(f"{shown(url)}: it redirects without end.") from None
    if isinstance(error, requests.exceptions.InvalidSchema | requests.exceptions.InvalidURL):
        raise FetchError(_not_an_address(url)) from None
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE" in str(error).upper():
        raise FetchError(
            f"{shown(url)}: the server's certificate can't be verified. If a proxy signs with its "
            "own, name its certificates in REQUESTS_CA_BUNDLE."
        ) from None
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer within {timeout:g} seconds"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy can't be reached"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke before everything had arrived"
    if isinstance(error, _Interrupted):
        return str(error)
    return "the server can't be reached, or it hung up"


def _not_an_address(url: str) -> str:
    return (
        f"{shown(url)}: it, or what it redirects to, is no address of http or https; nothing else "
        "is followed."
    )
