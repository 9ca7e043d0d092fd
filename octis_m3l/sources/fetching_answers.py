"""What a server's answer means: take it, ask again, or give up."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit, urlunsplit

import requests

from octis_m3l.sources.fetching_errors import FetchError

_PASSING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}

_NUMBER = re.compile(r"[0-9]{1,12}")

_MENDING = {
    HTTPStatus.UNAUTHORIZED: "It asks for a login.",
    HTTPStatus.FORBIDDEN: (
        "The server does not let it go; some ask for a user agent with a contact: set "
        "OCTIS_M3L_CONTACT."
    ),
    HTTPStatus.NOT_FOUND: "It is not there (any more): check the address.",
    HTTPStatus.GONE: "It has been taken away for good.",
}


class Again(Exception):  # noqa: N818
    """Something that may pass: worth another try."""

    def __init__(self, reason: str, *, status: int | None = None, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.status, self.pause = status, pause


def check_status(answer: requests.Response, url: str) -> None:
    """Let an answer with content pass."""
    status = answer.status_code
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    said = f"the server answered {status}" + (f" {answer.reason}" if answer.reason else "")
    if _is_limit(answer):
        said += ", as no more requests are allowed for now"
    if _passes(answer):
        raise Again(said, status=status, pause=pause_of(answer))
    mending = next((text for known, text in _MENDING.items() if known == status), "")
    raise FetchError(f"{shown(url)}: {said}. {mending}".rstrip(), status=status)


def check_kind(answer: requests.Response, url: str, refuse_html: bool) -> None:
    """Let an answer pass whose bytes are those of a file."""
    encoding = answer.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise FetchError(
            f"{shown(url)}: the server sent it encoded ({encoding}), though asked not to."
        )
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if refuse_html and kind in ("text/html", "application/xhtml+xml"):
        raise FetchError(
            f"{shown(url)}: a web page came instead of the file (a log-in page?). Open the "
            "address in a browser to see what it says."
        )


def pause_of(answer: requests.Response) -> float:
    """Return how many seconds an answer asks to wait before the next request; 0 for success."""
    if not _passes(answer):
        return 0.0
    pause = retry_after(answer)
    reset = answer.headers.get("X-RateLimit-Reset", "").strip()
    if not pause and _is_used_up(answer) and _NUMBER.fullmatch(reset):
        pause = max(0.0, float(reset) - _now(answer).timestamp())
    return pause


def _passes(answer: requests.Response) -> bool:
    status = answer.status_code
    return status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR or _is_limit(answer)


def _is_limit(answer: requests.Response) -> bool:
    return answer.status_code == HTTPStatus.FORBIDDEN and (
        "Retry-After" in answer.headers or _is_used_up(answer)
    )


def _is_used_up(answer: requests.Response) -> bool:
    return answer.headers.get("X-RateLimit-Remaining", "").strip() == "0"


def retry_after(answer: requests.Response) -> float:
    """Return how many seconds a server asks to wait; 0 where it says nothing that can be read."""
    given = answer.headers.get("Retry-After", "").strip()
    if _NUMBER.fullmatch(given):
        return float(given)
    until = _date(given)
    return max(0.0, (until - _now(answer)).total_seconds()) if until is not None else 0.0


def _now(answer: requests.Response) -> datetime:
    return _date(answer.headers.get("Date", "")) or datetime.now(UTC)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def reason_of(error: requests.RequestException, url: str, timeout: float) -> Again:
    """Say what failed, without the address, which requests would show as a whole."""
    if isinstance(error, requests.TooManyRedirects):
        raise FetchError(f"{shown(url)}: it redirects without end.") from None
    if isinstance(error, requests.exceptions.InvalidSchema | requests.exceptions.InvalidURL):
        raise FetchError(
            f"{shown(url)}: it, or what it redirects to, is no address of http or https; nothing "
            "else is followed."
        ) from None
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE" in str(error).upper():
        raise FetchError(
            f"{shown(url)}: the server's certificate can't be verified. Where a proxy signs with "
            "its own, name its certificates in REQUESTS_CA_BUNDLE."
        ) from None
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return Again(f"no answer within {timeout:g} seconds")
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return Again("the connection broke before all had come")
    if isinstance(error, requests.exceptions.ProxyError):
        return Again("the proxy can't be reached")
    if isinstance(error, requests.ConnectionError):
        return Again("the server can't be reached, or it hung up")
    return Again(f"the answer can't be read ({type(error).__name__})")


def shown(url: str) -> str:
    """Return an address for people: without user, password and query, which may hold secrets."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return "the address given"
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    path = parts.path if parts.netloc or "@" not in parts.path else "…"
    return urlunsplit((parts.scheme, host + port, path, "…" if parts.query else "", ""))
