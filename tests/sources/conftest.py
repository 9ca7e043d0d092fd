"""A local server in place of all others, and pauses that take no time."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from octis_m3l.sources.download import CONTACT, Fetcher

from .local_server import LocalServer
from .wikipedia_server import Wikipedia, fill

PUBLIC = {
    "https://raw.githubusercontent.com": "/raw",
    "https://api.github.com": "/api",
    "https://upload.wikimedia.org": "",
    "https://en.wikipedia.org": "/en",
    "https://de.wikipedia.org": "/de",
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.delenv(CONTACT, raising=False)
    with LocalServer() as local:
        get = Fetcher._get

        def get_here(fetcher: Fetcher, url: str, **arguments: Any) -> Any:
            for host, path in PUBLIC.items():
                url = url.replace(host, local.root + path)
            return get(fetcher, url, **arguments)

        monkeypatch.setattr(Fetcher, "_get", get_here)
        yield local


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for, none of which is made."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


@pytest.fixture
def wikipedia(server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wikipedia:
    monkeypatch.setattr("octis_m3l.sources.wikipedia_fetching._today", lambda: "2026-01-02")
    small = Wikipedia(server, tmp_path / "fetched")
    fill(small)
    return small
