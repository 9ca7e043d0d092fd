"""Commands for public data sets: list, info, fetch, build."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from octis_m3l.cli.shared import AsJson, Overwrite, Pairs, errors, print_json, screen, show
from octis_m3l.experiments.arguments import pairs, settings
from octis_m3l.progress import is_watched

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
def list_(folder: Fetched = None, as_json: AsJson = False) -> None:
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
def info(name: Name, folder: Fetched = None, as_json: AsJson = False) -> None:
    """Say where a data set is from, its licence, what to cite, and what is here of it."""
    from octis_m3l.sources.build import describe

    show(describe(name, folder), as_json)


@datasets.command()
def fetch(
    name: Name,
    folder: Fetched = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A choice of this set: limit=100, say."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Fetch everything anew, whatever is there.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a data set's files; interrupted, the same command goes on where it stopped."""
    from octis_m3l.sources.fetch import fetch as fetch_files

    record = fetch_files(
        name, folder, progress=not as_json and is_watched(), **settings(set_, again=again)
    )
    if as_json:
        print_json(record)
        return
    size = sum(file["size"] for file in record["files"].values())
    screen.print(
        f"{record['name']}: {len(record['files'])} files, {_megabytes(size)}. Licence: "
        f"{record['licence']}",
        markup=False,
        soft_wrap=True,
    )
    if record["left_out"]:
        errors.print(f"not there: {', '.join(record['left_out'])}", markup=False, soft_wrap=True)
    where = "" if folder is None else f" --folder {folder}"
    screen.print(
        f"Build it: octis-m3l datasets build {name} --out FOLDER{where}",
        markup=False,
        soft_wrap=True,
    )


@datasets.command()
def build(
    name: Name,
    out: Annotated[Path, typer.Option(help="Folder of the data set.")],
    folder: Fetched = None,
    views: Annotated[str | None, typer.Option(help="Only these views: en,de,pictures")] = None,
    vocabulary: Annotated[int | None, typer.Option(min=1, help="Words of each language.")] = None,
    text: Pairs = None,
    image: Pairs = None,
    label: Annotated[str | None, typer.Option(help="Column of labels.")] = None,
    group: Annotated[str | None, typer.Option(help="Column: rows that are one record.")] = None,
    language: Annotated[
        list[str] | None,
        typer.Option(metavar="VIEW=LANGUAGE", help="Where the name doesn't say it."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other choice; see datasets info."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Build a fetched data set; columns are named for those of the Hugging Face hub alone."""
    from octis_m3l.sources.build import build as build_dataset

    own: dict[str, Any] = {
        "views": [view.strip() for view in views.split(",")] if views else None,
        "vocabulary_size": vocabulary,
        "texts": pairs(text, "--text") or None,
        "images": pairs(image, "--image") or None,
        "label": label,
        "group": group,
        "languages": pairs(language, "--language") or None,
    }
    dataset = build_dataset(name, out, folder, overwrite=overwrite, **settings(set_, **own))
    show(dataset.info(), as_json)


def _state(fetched: Mapping[str, Any] | None) -> str:
    if fetched is None:
        return "no"
    return "unreadable" if "unreadable" in fetched else "yes"


def _megabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e6:.1f} MB"
