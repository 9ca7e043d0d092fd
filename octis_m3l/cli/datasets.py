"""Commands for public data sets: list, info, fetch, build."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from octis_m3l.cli import options
from octis_m3l.cli.printing import errors, print_json, screen, show, shows_progress

datasets = typer.Typer(no_args_is_help=True, help="Public data sets: list, fetch and build them.")

Name = Annotated[
    str,
    typer.Argument(help="As datasets list has it, or huggingface:OWNER/NAME[@REVISION][#PART]."),
]
Fetched = Annotated[
    Path | None,
    typer.Option(help="Folder of all fetched files; default: in the user's cache folder."),
]


@datasets.command("list")
def list_(folder: Fetched = None, as_json: options.AsJson = False) -> None:
    """List the public data sets, and which have been fetched."""
    from octis_m3l.sources.build import describe_all

    described = describe_all(folder)
    keys = ("name", "title", "views", "linked", "licence", "size", "fetched")
    if as_json:
        print_json({"datasets": [{key: each[key] for key in keys} for each in described]})
        return
    # A name is typed again, so it stays whole in the narrowest terminal.
    name = Column("name", no_wrap=True, min_width=max(len(each["name"]) for each in described))
    table = Table(name, "what it is", "views", "linked", "licence", "size", "fetched")
    for each in described:
        table.add_row(
            each["name"],
            Text(each["title"]),
            ", ".join(each["views"]),
            "yes" if each["linked"] else "no",
            Text(each["licence"]),
            _megabytes(each["size"]),
            _state(each["fetched"]),
        )
    screen.print(table)
    screen.print("Any of the Hugging Face hub: huggingface:OWNER/NAME", markup=False)


@datasets.command()
def info(name: Name, folder: Fetched = None, as_json: options.AsJson = False) -> None:
    """Show a data set's source, licence and citation, and what has been fetched of it."""
    from octis_m3l.sources.build import describe

    show(describe(name, folder), as_json)


@datasets.command()
def fetch(
    name: Name,
    folder: Fetched = None,
    set_: options.Set = None,
    again: Annotated[bool, typer.Option("--again", help="Fetch everything anew.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Fetch a data set's files; interrupted, the same command continues where it stopped."""
    from octis_m3l.sources.fetch import fetch as fetch_files

    record = fetch_files(
        name, folder, progress=shows_progress(as_json), **options.settings(set_, again=again)
    )
    if as_json:
        print_json(record)
        return
    size = sum(file["size"] for file in record["files"].values())
    count, licence = len(record["files"]), record["licence"]
    screen.say(f"{record['name']}: {count} files, {_megabytes(size)}. Licence: {licence}")
    if record["left_out"]:
        errors.say(f"not available: {', '.join(record['left_out'])}")
    where = "" if folder is None else f" --folder {folder}"
    screen.say(f"Build it: octis-m3l datasets build {name} --out FOLDER{where}")


@datasets.command()
def build(
    name: Name,
    out: Annotated[Path, typer.Option(help="Folder of the data set.")],
    folder: Fetched = None,
    views: options.Views = None,
    vocabulary: Annotated[int | None, typer.Option(min=1, help="Words of each language.")] = None,
    text: options.ViewColumns = None,
    image: options.ViewColumns = None,
    label: options.Label = None,
    group: options.Group = None,
    language: options.Language = None,
    set_: options.Set = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Build a fetched data set; only those of the Hugging Face hub need columns named."""
    from octis_m3l.sources.build import build as build_dataset

    own: dict[str, Any] = {
        "views": options.names(views) or None,
        "vocabulary_size": vocabulary,
        "texts": options.pairs(text, "--text") or None,
        "images": options.pairs(image, "--image") or None,
        "label": label,
        "group": group,
        "languages": options.pairs(language, "--language") or None,
    }
    dataset = build_dataset(name, out, folder, overwrite=overwrite, **options.settings(set_, **own))
    show(dataset.info(), as_json)


def _state(fetched: Mapping[str, Any] | None) -> str:
    if fetched is None:
        return "no"
    return "unreadable" if "unreadable" in fetched else "yes"


def _megabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e6:.1f} MB"
