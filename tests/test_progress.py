"""Whether anybody sees a progress bar."""

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from octis_m3l.devices import is_watched


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "application", "watched"),
    [
        (Terminal(), None, True),
        (io.StringIO(), None, False),
        (None, None, False),
        (io.StringIO(), "IPKernelApp", True),
        (io.StringIO(), "TerminalIPythonApp", False),
    ],
)
def test_terminals_and_notebooks_are_watched(
    stream: Any, application: str | None, watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    shell = None if application is None else SimpleNamespace(config={application: {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert is_watched() == watched
