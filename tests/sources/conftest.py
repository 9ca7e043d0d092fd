"""A local server for the tests of this folder."""

from collections.abc import Iterator

import pytest

from .local_server import LocalServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LocalServer() as local:
        yield local
