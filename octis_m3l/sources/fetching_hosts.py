"""When a host may be asked next."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from octis_m3l.sources.fetching_answers import pause_of, shown
from octis_m3l.sources.fetching_errors import FetchError

# A server that asks for a longer pause is asked again in another run.
LONGEST_PAUSE = 3600.0


class Hosts:
    """Keeps a distance in time between requests to one host, and the pauses that it asked for."""

    def __init__(
        self, delay: float, sleep: Callable[[float], None], clock: Callable[[], float]
    ) -> None:
        self.delay, self._sleep, self._clock = delay, sleep, clock
        self._asked: dict[str, float] = {}
        self._not_before: dict[str, float] = {}

    def wait(self, url: str) -> None:
        """Wait until the host of an address may be asked."""
        host, now = _host(url), self._clock()
        pause = self._not_before.get(host, now) - now
        if pause > LONGEST_PAUSE:
            raise FetchError(
                f"{shown(url)}: not asked, as the server asked to come back in {pause:.0f} "
                "seconds. Run it again then."
            )
        if self.delay and host in self._asked:
            pause = max(pause, self._asked[host] + self.delay - now)
        if pause > 0:
            self._sleep(pause)
        self._not_before.pop(host, None)
        self._asked[host] = self._clock()

    def hold(self, url: str, seconds: float) -> None:
        """Remember a pause that a host asks for."""
        if seconds > 0:
            self._not_before[_host(url)] = self._clock() + seconds


class Polite(HTTPAdapter):
    """Sends when the host may be asked; redirects come through here too."""

    def __init__(self, hosts: Hosts) -> None:
        super().__init__()
        self._hosts = hosts

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        """Wait, send, and remember what pause the answer asks for."""
        url = request.url or ""
        self._hosts.wait(url)
        answer = super().send(request, *args, **kwargs)
        self._hosts.hold(url, pause_of(answer))
        return answer


def _host(url: str) -> str:
    return str(urlsplit(url).hostname or "")
