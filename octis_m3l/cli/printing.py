"""How commands print: consoles without foreign control characters, YAML, JSON."""

import json
import os
import sys
from typing import Any

import yaml
from rich.console import Console
from rich.segment import Segment

from octis_m3l import files
from octis_m3l.devices import is_watched
from octis_m3l.errors import visible


class Terminal(Console):
    """A console that prints no control characters except its own."""

    def render_str(self, text: str, **options: Any) -> Any:
        """Return a text to lay out, with its control characters made visible."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: Any, options: Any = None) -> Any:
        """Yield segments to print, with control characters of the content made visible."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def say(self, text: str) -> None:
        """Print plain text: no markup, no colours, no line breaks of the console's own."""
        self.print(text, markup=False, highlight=False, soft_wrap=True)


errors = Terminal(stderr=True)
# rich itself reads COLUMNS, and ignores it if it is not a number.
screen = Terminal(width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 160)


def loading() -> Any:
    """Return a status line that shows, in a terminal, that libraries and data are being loaded."""
    return errors.status("loading libraries and data …")


def shows_progress(as_json: bool) -> bool:
    """Return whether a command shows progress bars."""
    return not as_json and is_watched()


def show(described: dict[str, Any], as_json: bool) -> None:
    """Print a description: YAML for people, JSON for programs."""
    if as_json:
        print_json(described)
        return
    text = yaml.safe_dump(
        files.as_json(described),
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=100,
    )
    print(visible(text), end="")


def print_json(content: Any) -> None:
    """Print one JSON value, and nothing else; NaN becomes null."""
    # JSON reads the escapes that `visible` writes as the same characters.
    print(visible(json.dumps(files.as_json(content, finite=True), ensure_ascii=False)))
