"""The command line: parses, calls, prints."""

import os
import re
import sys
import warnings
from typing import Annotated, Any

import typer

from octis_m3l import __version__
from octis_m3l.cli.data import build, encode, info
from octis_m3l.cli.datasets import datasets
from octis_m3l.cli.looking import evaluate, infer, topics
from octis_m3l.cli.searching import compare, tune
from octis_m3l.cli.shared import errors
from octis_m3l.cli.training import demo, models, train
from octis_m3l.errors import OctisM3LError


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"octis-m3l {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Say which it is."),
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


for command in (
    demo,
    build,
    encode,
    train,
    evaluate,
    topics,
    infer,
    tune,
    compare,
    models,
    info,
):
    app.command()(command)
app.add_typer(datasets, name="datasets")


def main() -> None:
    """Run the command line; errors that a user can mend are one line and exit code 1."""
    warnings.showwarning = _show_warning
    try:
        app()
    except OctisM3LError as error:
        errors.print("[bold red]error:[/bold red]", end=" ")
        errors.print(_one_line(error), markup=False, highlight=False)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except (OSError, UnicodeError) as error:
        errors.print("[bold red]error:[/bold red]", end=" ")
        errors.print(f"{_one_line(error)}; check the path and its permissions.", markup=False)
        raise SystemExit(1) from None


def _one_line(message: object) -> str:
    """Return a message on one line, so that no part of it looks like another message."""
    return re.sub(r"\s*\n\s*", " ", str(message))


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning):
        errors.print("[yellow]warning:[/yellow]", end=" ")
        errors.print(_one_line(message), markup=False, highlight=False)
