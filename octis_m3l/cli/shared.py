"""What commands share: options, consoles, and how results are printed."""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.segment import Segment

from octis_m3l.devices import MOST_THREADS
from octis_m3l.errors import DataError, visible
from octis_m3l.experiments.arguments import pairs


class Terminal(Console):
    """A console that prints no control characters but its own."""

    def render_str(self, text: str, **options: Any) -> Any:
        """Return a text to lay out, with its control characters made visible."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: Any, options: Any = None) -> Any:
        """Yield what is printed, whatever it was laid out from."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


errors = Terminal(stderr=True)
# rich itself reads COLUMNS, and passes over what is no number.
screen = Terminal(width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 160)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Seed = Annotated[int, typer.Option(help="Of every random draw.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST_THREADS,
        help="On the processor.  [default: one, and for large batches as many as torch has]",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Folder = Annotated[Path, typer.Argument(help="A folder.")]
Pairs = Annotated[list[str] | None, typer.Option(metavar="VIEW=COLUMN")]

Embeddings = Annotated[
    list[str] | None,
    typer.Option(metavar="VIEW=NAME", help="Which to use where a view has several; see info."),
]


def chosen_embeddings(given: list[str] | None) -> dict[str, str] | None:
    """Return the names of embeddings by view."""
    return pairs(given, "--embeddings") or None


def read_data(folder: Path, embeddings: list[str] | None, views: str | None) -> Any:
    """Return a data set's views that are wanted, with the embeddings that are."""
    from octis_m3l.data import MultiviewDataset
    from octis_m3l.data.folder.manifest import read_manifest

    chosen = chosen_embeddings(embeddings) or {}
    if not views:
        return MultiviewDataset.from_folder(folder, embeddings=chosen or None)
    wanted = [name.strip() for name in views.split(",")]
    others = [entry.name for entry in read_manifest(folder).views if entry.name not in wanted]
    dataset = MultiviewDataset.from_folder(folder, embeddings=dict.fromkeys(others, "*") | chosen)
    return dataset.with_views(wanted)


def loading() -> Any:
    """Return what shows, in a terminal, that libraries and data are being loaded."""
    return errors.status("loading libraries and data …")


def model_and_data(model: Path, data: Path | None) -> tuple[Any, Any]:
    """Return a model, and the views of its data set that it inferred."""
    from octis_m3l.data import MultiviewDataset
    from octis_m3l.models import load_model

    loaded: Any = load_model(model)
    if loaded.interrupted:
        warnings.warn(
            f"the training of {model} was interrupted, so that this is an unfinished model; the "
            "same train command goes on.",
            stacklevel=2,
        )
    path = data or loaded.data_path
    if path is None:
        raise DataError("the model does not know where its data set is; pass --data FOLDER.")
    dataset = MultiviewDataset.from_folder(path, embeddings="*")
    known = loaded.data_fingerprints
    trained = [name for name in dataset.views if known is None or name in known]
    if len(trained) < len(dataset.views):
        dataset = dataset.with_views(trained)
    if known is not None and known != dataset.fingerprints():
        raise DataError(
            f"{path} is not the data set that the model was trained on, or has changed since: "
            "items, partitions or links differ. Pass that data set with --data, or train again."
        )
    inferred = [name for name in dataset.views if name in loaded.output.views]
    return loaded, dataset.with_views(inferred)


def show(described: dict[str, Any], as_json: bool) -> None:
    """Print a description: YAML for people, JSON for programs."""
    if as_json:
        print_json(described)
        return
    plain = json.loads(json.dumps(described, default=str))
    text = yaml.safe_dump(
        plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )
    print(visible(text), end="")


def print_json(content: Any) -> None:
    """Print one JSON value, and nothing else."""
    plain = json.loads(json.dumps(content, default=str), parse_constant=lambda _: None)
    # JSON means the same by what `visible` makes of a character.
    print(visible(json.dumps(plain, ensure_ascii=False)))
