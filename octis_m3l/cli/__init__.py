"""The command line: parses, calls, prints."""

import os
import re
import sys
import warnings
from typing import Annotated, Any

import typer

from octis_m3l import __version__
from octis_m3l.cli.compare import compare
from octis_m3l.cli.corpus import build, encode
from octis_m3l.cli.datasets import datasets
from octis_m3l.cli.information import info, models
from octis_m3l.cli.look import evaluate, infer, topics
from octis_m3l.cli.printing import errors
from octis_m3l.cli.train import demo, train
from octis_m3l.cli.tune import tune
from octis_m3l.errors import OctisM3LError


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"octis-m3l {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
]
__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Topic models for many languages and images at once.",
)


@app.callback()
def _whole(version: Version = False) -> None:
    pass


for command in (demo, build, encode, train, evaluate, topics, infer, tune, compare, models, info):
    app.command()(command)
app.add_typer(datasets, name="datasets")


def main() -> None:
    """Run the command line; errors that a user can mend are one line and exit code 1."""
    warnings.showwarning = _show_warning
    try:
        app()
    except OctisM3LError as error:
        _say("[bold red]error:[/bold red]", error)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except (OSError, UnicodeError) as error:
        _say("[bold red]error:[/bold red]", f"{error}; check the path and its permissions.")
        raise SystemExit(1) from None


def _say(kind: str, message: object) -> None:
    """Print a message on one line, so that no part of it looks like another message."""
    errors.print(kind, end=" ")
    one_line = re.sub(r"\s*\n\s*", " ", str(message))
    # In a file or a pipe, a line break would cut paths in two.
    whole = not errors.is_terminal
    errors.print(one_line, markup=False, highlight=False, soft_wrap=whole)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning):
        _say("[yellow]warning:[/yellow]", message)
