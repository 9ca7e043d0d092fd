"""Commands that look at a trained model: evaluate, topics, infer."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table
from rich.text import Text

import octis_m3l
from octis_m3l.cli import options
from octis_m3l.cli.printing import errors, print_json, screen
from octis_m3l.errors import DataError, SettingsError, check_known, suggest, visible, warn

_OF_PAIRS = ("mrr", "uap", "jsd")
_FEW = 30
_LONGEST_NAME = 200


def evaluate(
    model: options.TrainedModel,
    data: options.DataOfModel = None,
    partition: options.Partition = "test",
    metric: options.Metrics = None,
    topk: Annotated[int, typer.Option(min=1, help="Top words of a topic that are scored.")] = 10,
    corpus: options.Corpus = None,
    as_json: options.AsJson = False,
) -> None:
    """Score a model: every measure that applies, on every view and pair of views."""
    from octis_m3l.metrics.scores import applicable, missing, scores_of
    from octis_m3l.reports import scores_table

    loaded, dataset = options.model_and_data(model, data)
    output = loaded.output
    reference = None
    if corpus is not None:
        reference = octis_m3l.MultiviewDataset.from_folder(corpus, embeddings="*")
    measures = applicable(dataset, output, partition, metric, topk=topk, corpus=reference)
    if lacking := missing(metric, measures, partition):
        raise DataError(lacking[0])
    scores = scores_of(measures, output)
    coverage = {
        where: metric.coverage(output)
        for where, metric in measures.get("cnpmi", {}).items()
        if math.isfinite(scores["cnpmi"][where])
    }
    if as_json:
        samples = {
            name: {
                where: dict(
                    zip(("queries", "of", "margin"), (*one.sampled, one.margin), strict=True)
                )
                for where, one in by_view.items()
                if getattr(one, "sampled", None)
            }
            for name, by_view in measures.items()
        }
        samples = {name: by_view for name, by_view in samples.items() if by_view}
        described = {"partition": partition, "scores": scores, "coverage": coverage}
        print_json(described | ({"samples": samples} if samples else {}))
    else:
        screen.print(scores_table(scores, measures, coverage))
    linked = {
        where: len({*metric.item_tuples().tolist()})
        for name in _OF_PAIRS
        for where, metric in measures.get(name, {}).items()
    }
    few = [f"{where}: {count}" for where, count in linked.items() if count < _FEW]
    if few:
        errors.say(
            f"the {partition} partition has few linked items ({', '.join(few)}): these scores are "
            "uncertain, and it is easy to find one item among few."
        )
    languages = [name for name in dataset.text_views if f"topics/{name}" in output]
    if metric is None and "cnpmi" not in measures and len(languages) > 1:
        errors.say(
            "cnpmi and topic-quality are left out: they count words in linked documents, and fewer "
            "than 200 are held out; name others with --corpus FOLDER, or ask for it with --metric "
            "cnpmi."
        )


def topics(
    model: options.TrainedModel,
    words: Annotated[int, typer.Option(min=1, help="Of each topic.")] = 10,
    documents: Annotated[
        int, typer.Option(min=0, help="Show this many typical items of each view.")
    ] = 0,
    data: options.DataOfModel = None,
    picture: options.Picture = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the aligned topics, most frequent first; --picture draws them with their pictures."""
    from octis_m3l.reports import check_picture, draw_topic_sheet, listed_topics, topics_table

    if picture:
        check_picture(picture)
    loaded: Any = octis_m3l.load_model(model)
    if documents or picture:
        loaded, loaded.dataset = options.model_and_data(model, data)
    listed = listed_topics(loaded, words)
    for entry in listed if documents else ():
        entry["documents"] = {
            view: [
                {
                    "row": int(r.input_row),
                    "weight": round(float(r.weight), 4),
                    "item": str(r.content),
                }
                for r in loaded.representatives(entry["topic"], view, count=documents).itertuples()
            ]
            for view in loaded.output.views
        }
    if picture:
        draw_topic_sheet(loaded, picture, words=words)
        errors.say(f"drawn to {picture}")
    if as_json:
        print_json({"topics": listed})
        return
    screen.print(topics_table(loaded, words))
    for entry in listed if documents else ():
        screen.print(f"\n[bold]topic {entry['topic']}[/bold]")
        for view, items in entry["documents"].items():
            for item in items:
                shown = " ".join(visible(item["item"]).split())[:110]
                screen.print(f"  {view} {item['weight']:.2f}  {shown}", markup=False)


def infer(
    model: options.TrainedModel,
    items: Annotated[
        list[str] | None,
        typer.Argument(
            help="Texts, paths of pictures, one .npy of embeddings, or a table with --text; "
            "- : lines of standard input"
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VIEW=COLUMN", help="If ITEMS is a table: the view and column of its texts."
        ),
    ] = None,
    view: Annotated[
        str, typer.Option(help="The items' view; not needed where the model has one language.")
    ] = "",
    topics: Annotated[int, typer.Option(min=1, help="How many topics of each item.")] = 3,
    words: Annotated[int, typer.Option(min=1, help="How many words of each topic.")] = 6,
    device: options.Device = "cpu",
    as_json: options.AsJson = False,
) -> None:
    """Show the topics of new documents or pictures, with their words in every language.

    Empty texts get no topics: null in JSON.
    """
    column = None
    if text:
        if view or not items or "-" in items:
            raise SettingsError("--text VIEW=COLUMN goes with tables, and without --view.")
        if len(text) > 1:
            raise SettingsError(
                f"--text is given {len(text)} times; infer one view at a time. From Python, "
                "model.infer_linked takes several views of the same items."
            )
        ((view, column),) = options.pairs(text, "--text", "VIEW=COLUMN, as en=title_en").items()
    loaded: Any = octis_m3l.load_model(model, device=device)
    chosen = view or _only_language(loaded.output)
    read = _read_items(items or ["-"], loaded.output, chosen, column)
    known = [n for n, item in enumerate(read) if not isinstance(item, str) or item.strip()]
    if not known:
        raise DataError("there is nothing to infer: give texts, paths, or lines on stdin.")
    if missing := sorted({*range(len(read))} - {*known}):
        warn(
            f"{len(missing)} of {len(read)} texts are empty and get no topics; the first is item "
            f"{missing[0]}."
        )
        read = [read[number] for number in known]
    theta = loaded.infer(read, chosen)
    found = loaded.words_of(theta, topics=topics, words=words)
    found["item"] = np.array(known)[found["item"]]
    if as_json:
        proportions: list[list[float] | None] = [None] * (len(known) + len(missing))
        for number, row in zip(known, theta, strict=True):
            proportions[number] = [round(float(share), 6) for share in row]
        print_json({"view": chosen, "topics": found.to_dict("records"), "theta": proportions})
        return
    table = Table(*[str(column) for column in found.columns])
    for row in found.itertuples(index=False):
        table.add_row(*[f"{x:.3f}" if isinstance(x, float) else Text(visible(str(x))) for x in row])
    screen.print(table)


def _only_language(output: Any) -> str:
    """Return the one text view that a model infers."""
    languages: list[str] = [name for name in output.views if name in output.vocabularies]
    if len(languages) != 1:
        raise DataError(
            f"the model knows the views {', '.join(output.views)}; say which one the items belong "
            "to: --view VIEW, or for a table --text VIEW=COLUMN."
        )
    return languages[0]


def _read_items(given: Sequence[str], output: Any, view: str, column: str | None) -> Any:
    """Return texts, paths of pictures, or embeddings."""
    from octis_m3l.data.arrays import read_array

    check_known(view, output.views, "view")
    if len(given) == 1 and given[0].endswith(".npy"):
        return np.asarray(read_array(given[0], view), np.float32)
    if column is not None:
        lines = [text for table in given for text in _column(table, column)]
    else:
        lines = [line for item in given for line in (_standard_input() if item == "-" else [item])]
    if view in output.vocabularies:
        return lines if column is not None else [_text(line) for line in lines]
    paths = [Path(line) for line in lines if line.strip()]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(paths)} pictures are missing, the first is {missing[0]}."
        )
    return paths


def _column(table: str, column: str) -> list[str]:
    """Return a column of a table, "" where a cell is empty."""
    from octis_m3l.data.item_checks import is_missing
    from octis_m3l.data.records import read_table

    frame = read_table(table)
    names = frame.columns.tolist()
    if names.count(column) != 1:
        times = names.count(column) or "no"
        raise DataError(f"{table} has {times} column(s) '{column}'.{suggest(column, names)}")
    return ["" if is_missing(cell) else str(cell) for cell in frame[column]]


def _standard_input() -> list[str]:
    try:
        return [line.rstrip("\n") for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is not written in UTF-8 ({error}).") from None


def _text(item: str) -> str:
    """Return a text, or the content of the text file that it names."""
    from octis_m3l.data.records import format_of, read_text

    path = Path(item)
    if len(item.split()) != 1 or len(item) > _LONGEST_NAME or not path.suffix:
        return item
    if path.suffix == ".txt":
        return read_text(path)
    if path.is_file():
        raise DataError(
            f"{item} is a file; expected a text, a .txt file, - for lines of standard input, or "
            "for a table the view and column of its texts: --text VIEW=COLUMN."
        )
    if format_of(path):
        raise DataError(f"there is no file {item}.")
    return item
