"""Files and answers over HTTP: politely, again after a failure, whole or not at all."""

import os
import random
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib.metadata import metadata
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from octis_m3l.data.sources.fetching_answers import (
    Again,
    check_status,
    reason_of,
    shown,
)
from octis_m3l.data.sources.fetching_errors import FetchError
from octis_m3l.data.sources.fetching_parts import Part
from octis_m3l.errors import SettingsError

CONTACT = "OCTIS_M3L_CONTACT"

# A server that asks for a longer pause is asked again in another run.
LONGEST_PAUSE = 3600.0

_LONGEST_BACKOFF = 120.0
# What a broken connection loses at most.
_BLOCK = 1 << 14

_Answer = TypeVar("_Answer")

__all__ = ["CONTACT", "FetchError", "Fetcher", "user_agent_of"]


class Fetcher:
    """Asks servers for files and for JSON, and takes no for an answer.

    Requests to one host keep a distance in time. After a connection error, a time-out, a truncated
    answer, 408, 425, 429 or 5xx it waits and asks again: as long as ``Retry-After`` says, and at
    least ``backoff × 2ⁿ`` seconds, of which up to half are left to chance. All else that is no
    success is final.

    Parameters
    ----------
    retries : int
        How often in a row one thing is asked for again. A download that went on in between starts
        to count anew.
    timeout : float
        Seconds to wait for a connection, and for the next bytes.
    delay : float
        The least number of seconds between two requests to one host.
    backoff : float
        Seconds before the first retry, doubled with each further one.
    progress : bool
        Whether to show a bar for each download.
    user_agent : str, optional
        In place of the package's name, version and address, and the contact.
    contact : str, optional
        Where the operators of a server can reach you, an e-mail address say, as Wikimedia asks
        for. Default: the environment's ``OCTIS_M3L_CONTACT``.
    sleep, clock : callable
        How to wait, and what time it is, in seconds.

    Raises
    ------
    SettingsError
        If a number is negative, or the user agent can't be sent.
    """

    def __init__(
        self,
        *,
        retries: int = 5,
        timeout: float = 30.0,
        delay: float = 0.0,
        backoff: float = 1.0,
        progress: bool = False,
        user_agent: str | None = None,
        contact: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, value in (("retries", retries), ("delay", delay), ("backoff", backoff)):
            if not value >= 0:
                raise SettingsError(f"{name}={value}: expected 0 or more.")
        if not timeout > 0:
            raise SettingsError(f"timeout={timeout}: expected seconds, more than 0.")
        self.retries, self.timeout, self.delay, self.backoff = retries, timeout, delay, backoff
        self.progress = progress
        self.user_agent = _sendable(user_agent or user_agent_of(contact))
        self._sleep = sleep
        self._session = requests.Session()
        self._session.headers["User-Agent"] = self.user_agent
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Polite(delay, sleep, clock))

    def download(
        self, url: str, destination: Path, *, sha256: str | None = None, size: int | None = None
    ) -> Path:
        """Fetch a file, or the rest of it, and give it its name when it is whole.

        What has come so far is kept in ``<destination>.part``, and the next call goes on from
        there if the file at the source is still the same. A file that is there already, with the
        right checksum and size where they are given, isn't fetched again.

        Parameters
        ----------
        url : str
            Where the file is, over http or https.
        destination : Path
            Where it goes; the folder is made.
        sha256 : str, optional
            Its checksum, in hexadecimal.
        size : int, optional
            Its length in bytes.

        Returns
        -------
        Path
            `destination`.

        Raises
        ------
        FetchError
            If the server refuses, goes on failing, sends something else than expected, or the file
            can't be written.
        """
        _check_address(url)
        part = Part(destination, url, sha256=sha256, size=size)
        if not part.is_done():
            if not part.is_complete():
                self._insist(lambda: self._receive(url, part), url, lambda: part.longest)
            part.finish()
        return destination

    def json(self, url: str, parameters: Mapping[str, str]) -> Any:
        """Return what a server answers in JSON.

        Parameters
        ----------
        url : str
            The address, over http or https.
        parameters : mapping of str to str
            The query.

        Raises
        ------
        FetchError
            If the server refuses, goes on failing, or its answer is no JSON.
        """
        _check_address(url)

        def ask() -> Any:
            with self._session.get(url, params=dict(parameters), timeout=self.timeout) as answer:
                check_status(answer, url)
                try:
                    return answer.json()
                except requests.JSONDecodeError:
                    raise Again("the answer is no JSON, or not all of it") from None

        return self._insist(ask, url)

    def pause(self, attempt: int, least: float = 0.0) -> None:
        """Wait as before retry number `attempt`, counted from 0.

        Parameters
        ----------
        attempt : int
            How often it failed before.
        least : float
            The least number of seconds.
        """
        longest = min(self.backoff * 2.0 ** min(attempt, 32), _LONGEST_BACKOFF)
        self._sleep(max(least, longest * (1 - random.random() / 2)))

    def _insist(
        self, ask: Callable[[], _Answer], url: str, progress: Callable[[], int] = lambda: 0
    ) -> _Answer:
        failures, reached = 0, progress()
        while True:
            try:
                return ask()
            except requests.RequestException as error:
                trouble = reason_of(error, url, self.timeout)
            except Again as again:
                trouble = again
            if progress() > reached:
                failures, reached = 0, progress()
            if failures == self.retries:
                times = "once" if failures == 0 else f"{failures + 1} times"
                raise FetchError(
                    f"{shown(url)}: {trouble}; asked {times}. Try again later: it goes on where "
                    "it stopped.",
                    status=trouble.status,
                    passing=True,
                )
            if trouble.pause > LONGEST_PAUSE:
                raise FetchError(
                    f"{shown(url)}: {trouble}, and the server asks to come back in "
                    f"{trouble.pause:.0f} seconds. Run it again then.",
                    status=trouble.status,
                )
            self.pause(failures, trouble.pause)
            failures += 1

    def _receive(self, url: str, part: Part) -> None:
        headers = {"Accept-Encoding": "identity", **part.headers()}
        with self._session.get(url, headers=headers, timeout=self.timeout, stream=True) as answer:
            if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.drop()
                raise Again("the file at the source is shorter than before")
            check_status(answer, url)
            part.accept(answer)
            with part.open() as stream, self._bar(part) as bar:
                for block in answer.iter_content(_BLOCK):
                    stream.write(block)
                    bar.update(len(block))
        part.check_length()

    def _bar(self, part: Part) -> Any:
        from tqdm.auto import tqdm

        return tqdm(
            desc=part.destination.name,
            total=part.length,
            initial=part.offset,
            unit="B",
            unit_scale=True,
            disable=not self.progress,
        )


def user_agent_of(contact: str | None = None) -> str:
    """Return who is asking: the package, its version, its address, and whom to write to.

    Parameters
    ----------
    contact : str, optional
        Default: the environment's ``OCTIS_M3L_CONTACT``.
    """
    about = metadata("octis-m3l")
    urls = [entry.rpartition(",")[2].strip() for entry in about.get_all("Project-URL") or ()]
    home = next(iter([*(about.get_all("Home-page") or ()), *urls]), None)
    contact = contact or os.environ.get(CONTACT, "").strip()
    remarks = "; ".join(remark for remark in (home, contact) if remark)
    return f"octis-m3l/{about['Version']}" + (f" ({remarks})" if remarks else "")


class _Polite(HTTPAdapter):
    """Keeps a distance in time between requests to one host; redirects come through here too."""

    def __init__(
        self, delay: float, sleep: Callable[[float], None], clock: Callable[[], float]
    ) -> None:
        super().__init__()
        self._delay, self._sleep, self._clock = delay, sleep, clock
        self._asked: dict[str, float] = {}

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        host = urlsplit(request.url or "").hostname or ""
        if self._delay and str(host) in self._asked:
            wait = self._asked[str(host)] + self._delay - self._clock()
            if wait > 0:
                self._sleep(wait)
        self._asked[str(host)] = self._clock()
        return super().send(request, *args, **kwargs)


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise FetchError(
            f"{shown(url)}: expected an address that starts with http:// or https:// and names a "
            "host."
        )


def _sendable(user_agent: str) -> str:
    if not (user_agent.isascii() and user_agent.isprintable() and user_agent.strip()):
        raise SettingsError(
            f"the user agent {user_agent!r} can't be sent: expected ASCII letters without line "
            f"breaks (the contact is from the argument or from {CONTACT})."
        )
    return user_agent.strip()
