"""Files and answers over HTTP: politely, again after a failure, whole or not at all."""

import json
import random
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import requests

from octis_m3l.errors import visible
from octis_m3l.sources.fetching_agent import CONTACT, sendable, user_agent_of
from octis_m3l.sources.fetching_answers import (
    Again,
    check_status,
    reason_of,
    retry_after,
    shown,
)
from octis_m3l.sources.fetching_checks import check_address, check_numbers
from octis_m3l.sources.fetching_errors import FetchError
from octis_m3l.sources.fetching_hosts import LONGEST_PAUSE, Hosts, Polite
from octis_m3l.sources.fetching_parts import Part

_LONGEST_BACKOFF = 120.0
_LONGEST_JSON = 64 * 2**20
# What a broken connection loses at most.
_BLOCK = 1 << 14

_Answer = TypeVar("_Answer")

__all__ = ["CONTACT", "FetchError", "Fetcher", "user_agent_of"]


class Fetcher:
    """Asks servers for files and for JSON, and takes no for an answer.

    Requests to one host keep a distance in time. After a connection error, a time-out, a truncated
    answer, 408, 425, 429 or 5xx it waits and asks again: as long as ``Retry-After`` says, and at
    least ``backoff × 2ⁿ`` seconds, of which up to half are left to chance. So it does after a 403
    that says that no more requests are allowed for now. All else that is no success is final. What
    pause a host asked for holds for all further requests to it.
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
        check_numbers(retries, timeout, delay=delay, backoff=backoff)
        self.retries, self.timeout, self.delay, self.backoff = retries, timeout, delay, backoff
        self.progress = progress
        self.user_agent = sendable(user_agent or user_agent_of(contact))
        self._sleep = sleep
        self._session = requests.Session()
        self._session.headers["User-Agent"] = self.user_agent
        self.hosts = Hosts(delay, sleep, clock)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, Polite(self.hosts))

    def download(
        self,
        url: str,
        destination: Path,
        *,
        sha256: str | None = None,
        size: int | None = None,
        refuse_html: bool = False,
    ) -> Path:
        """Fetch a file, or the rest of it, and give it its name when it is whole.

        What has come so far is kept in ``<destination>.part``, and the next call goes on from
        there if the file at the source is still the same. A file that is there already, with the
        right checksum and size where they are given, isn't fetched again. While another thread or
        process downloads to the same place, it waits.
        """
        check_address(url)
        part = Part(destination, url, sha256=sha256, size=size, refuse_html=refuse_html)
        if part.is_done():
            return destination
        with part.alone():
            if not part.is_done():
                if not part.is_complete():
                    self._insist(lambda: self._receive(url, part), url, lambda: part.longest)
                part.finish()
        return destination

    def json(
        self,
        url: str,
        parameters: Mapping[str, str],
        *,
        again: Callable[[Any, Mapping[str, str]], float | None] | None = None,
    ) -> Any:
        """Return what a server answers in JSON."""
        check_address(url)

        def ask() -> Any:
            with self._get(url, params=dict(parameters)) as answer:
                check_status(answer, url)
                decoded = _decoded(answer, url)
                wait = None if again is None else again(decoded, answer.headers)
                if wait is not None:
                    pause = max(wait, retry_after(answer))
                    self.hosts.hold(answer.url, pause)
                    raise Again("the server answered that it can't answer now", pause=pause)
                return decoded

        return self._insist(ask, url)

    def pause(self, attempt: int, least: float = 0.0) -> None:
        """Wait as before retry number `attempt`, counted from 0."""
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
            if trouble.pause > LONGEST_PAUSE:
                raise FetchError(
                    f"{shown(url)}: {trouble}, and the server asks to come back in "
                    f"{trouble.pause:.0f} seconds. Run it again then.",
                    status=trouble.status,
                )
            if failures >= self.retries:
                times = "once" if failures == 0 else f"{failures + 1} times"
                raise FetchError(
                    f"{shown(url)}: {trouble}; asked {times}. Try again later: it goes on where "
                    "it stopped.",
                    status=trouble.status,
                    passing=True,
                )
            self.pause(failures, trouble.pause)
            failures += 1

    def _get(self, url: str, **arguments: Any) -> requests.Response:
        try:
            return self._session.get(url, timeout=self.timeout, stream=True, **arguments)
        except (requests.RequestException, FetchError):
            raise
        except ValueError:
            raise FetchError(
                f"{shown(url)}: it, or what it redirects to, is no address that can be asked."
            ) from None

    def _receive(self, url: str, part: Part) -> None:
        headers = {"Accept-Encoding": "identity", **part.headers()}
        with self._get(url, headers=headers) as answer:
            if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.drop()
                raise Again("the file at the source is shorter than before")
            check_status(answer, url)
            part.accept(answer)
            with part.open() as write, self._bar(part) as bar:
                for block in answer.iter_content(_BLOCK):
                    write(block)
                    bar.update(len(block))
        part.check_length()

    def _bar(self, part: Part) -> Any:
        from tqdm.auto import tqdm

        return tqdm(
            desc=visible(part.destination.name),
            total=part.length,
            initial=part.offset,
            unit="B",
            unit_scale=True,
            disable=not self.progress,
        )


def _decoded(answer: requests.Response, url: str) -> Any:
    content = bytearray()
    for block in answer.iter_content(_BLOCK):
        content += block
        if len(content) > _LONGEST_JSON:
            raise FetchError(
                f"{shown(url)}: its answer is longer than {_LONGEST_JSON >> 20} MB, which no "
                "sensible one is. Check the address."
            )
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise Again("the answer is no JSON, or not all of it") from None
