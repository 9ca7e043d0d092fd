"""A local server for the tests of this folder, and pauses that take no time."""

import time
from collections.abc import Iterator

import pytest

from octis_m3l.sources.fetching import CONTACT

from .local_server import LocalServer
from .wikipedia_server import Wikipedia, fill


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.delenv(CONTACT, raising=False)
    with LocalServer() as local:
        yield local


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for, none of which is made."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


@pytest.fixture
def wikipedia(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> Wikipedia:
    monkeypatch.setattr("octis_m3l.sources.wikipedia_store._today", lambda: "2026-01-02")
    small = Wikipedia(server)
    fill(small)
    return small
