"""Data sets of the Hugging Face hub that have named columns."""

import hashlib
import re
from collections.abc import Mapping, Sequence, Set
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octis_m3l.errors import DataError, MissingDependencyError, SettingsError, suggest
from octis_m3l.files import read_json, write_json, written_whole
from octis_m3l.sources.fetching import Fetcher, FetchError
from octis_m3l.sources.source import Source

if TYPE_CHECKING:
    import pandas as pd

    from octis_m3l.data.dataset import MultiviewDataset

SCHEME = "huggingface:"
_NAME = re.compile(
    r"huggingface:(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[\w./-]+))?(?:#(?P<config>[\w.-]+))?"
)
_ONLY_DOTS = re.compile(r"(^|/)\.+(/|$)")
_COMMIT = re.compile(r"@([0-9a-f]{40})/")
_MARKS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
_LABELS = "labels.json"
_ROWS_AT_ONCE = 256
_INSTALL = 'Hugging Face data sets need datasets: pip install "octis-m3l[huggingface]"'


def huggingface_source(name: str) -> Source:
    """Return the source of any data set of the Hugging Face hub."""
    found = _NAME.fullmatch(name)
    if found is None or _ONLY_DOTS.search(found["name"]):
        raise SettingsError(
            f"'{name}': expected huggingface:NAME, with @REVISION and #CONFIGURATION after it "
            "where they are needed: huggingface:owner/name@main#en-de."
        )

    def collect(folder: Path, fetcher: Fetcher) -> Mapping[str, Any]:
        return _collect(folder, found["name"], found["revision"], found["config"])

    return Source(
        name=name,
        title=f"{found['name']} of the Hugging Face hub",
        views=(),
        linked=True,
        homepage=f"https://huggingface.co/datasets/{found['name']}",
        licence=f"see https://huggingface.co/datasets/{found['name']}",
        citation=f"see https://huggingface.co/datasets/{found['name']}",
        build=build_huggingface,
        collect=collect,
        notes="Say which column is which view when you build it: --text VIEW=COLUMN. A data set "
        "with pictures refers to files beside those that were fetched: keep them where they are.",
    )


def build_huggingface(
    raw: Path,
    *,
    texts: Mapping[str, str] | None = None,
    images: Mapping[str, str] | None = None,
    label: str | None = None,
    group: str | None = None,
    languages: Mapping[str, str] | None = None,
    vocabulary_size: int | None = 2000,
    seed: int = 0,
) -> "MultiviewDataset":
    """Return a data set of the columns that are named as views.

    Pictures are written to files in ``pictures``, beside `raw`: the data set refers to them. Splits
    called train, validation (valid, val, dev) and test are the partitions; where there is a single
    split, its rows are drawn: 80 % train, 10 % validation, 10 % test.
    """
    import pandas as pd

    from octis_m3l.data.build import from_frame
    from octis_m3l.data.languages import language_of
    from octis_m3l.data.text import TextPreprocessor

    splits = {path.stem: path for path in sorted(raw.glob("*.parquet"))}
    marks = {name: _mark(name, splits) for name in splits} if len(splits) > 1 else {}
    columns = sorted({column for path in splits.values() for column in _columns(path)})
    if not texts:
        raise SettingsError(
            f"name at least one text column: --text VIEW=COLUMN. There are: {', '.join(columns)}."
        )
    of_images = set((images or {}).values())
    used = {*texts.values(), *of_images, *(c for c in (label, group) if c)}
    for column in sorted(used):
        if column not in columns:
            raise DataError(f"there is no column '{column}'.{suggest(column, columns)}")
    frames = {name: _read_split(path, used, of_images) for name, path in splits.items()}
    arguments: dict[str, Any] = {"split": (0.8, 0.1), "split_seed": seed}
    if marks:
        frames = {name: frame.assign(**{"": marks[name]}) for name, frame in frames.items()}
        arguments = {"partition": ""}
    table = pd.concat(frames.values(), ignore_index=True)
    if label is not None:
        table[label] = _named(table[label], raw / _LABELS, label)
    spoken = {view: language_of(view, languages) for view in texts}
    return from_frame(
        table,
        texts=texts,
        images=images,
        label=label,
        group=group,
        languages=spoken,
        preprocessing={
            view: TextPreprocessor(language=language, vocabulary_size=vocabulary_size)
            for view, language in spoken.items()
        },
        **arguments,
    )


def _collect(
    folder: Path, name: str, revision: str | None, config: str | None
) -> Mapping[str, Any]:
    try:
        datasets: Any = import_module("datasets")
    except ImportError:
        raise MissingDependencyError(_INSTALL) from None
    if Path(name).exists():
        raise SettingsError(
            f"{SCHEME}{name}: {Path(name).absolute()} is there, and the library would take it in "
            "place of the hub's; run it in another folder."
        )
    try:
        loaded = datasets.load_dataset(name, config, revision=revision)
    except Exception as error:
        # The library raises whatever its parts do: of files, of the network, of the hub.
        raise FetchError(
            f"{SCHEME}{name}: it can't be loaded ({type(error).__name__}: {_first_line(error)}). "
            "Check the name, the configuration after # and the network; sets that need a program "
            "of their own are not run."
        ) from error
    for left in folder.glob("*.parquet"):
        left.unlink()
    labels: dict[str, Any] = {}
    rows = {}
    for split, table in loaded.items():
        with written_whole(folder / f"{split}.parquet") as path:
            table.to_parquet(path)
        rows[split] = len(table)
        for column, feature in table.features.items():
            if isinstance(feature, datasets.ClassLabel):
                labels[column] = list(feature.names)
    write_json(folder / _LABELS, labels)
    about = next(iter(loaded.values())).info
    # The library says the commit only in the addresses of the files that it took.
    told = (_COMMIT.search(str(url)) for url in about.download_checksums or ())
    return {
        "rows": rows,
        "revision": next((found[1] for found in told if found), revision or ""),
        "licence": about.license or "",
        "citation": about.citation or "",
    }


def _columns(path: Path) -> list[str]:
    """Return a split's columns, and the fields within them: column.field."""
    schema = _parquet(path).schema_arrow
    types: Any = import_module("pyarrow.types")
    names = []
    for field in schema:
        names.append(field.name)
        if types.is_struct(field.type):
            inner = [field.type.field(number).name for number in range(field.type.num_fields)]
            names += [f"{field.name}.{name}" for name in inner if "bytes" not in inner]
    return names


def _parquet(path: Path) -> Any:
    try:
        module: Any = import_module("pyarrow.parquet")
    except ImportError:
        raise MissingDependencyError(_INSTALL) from None
    return module.ParquetFile(path)


def _read_split(path: Path, used: Set[str], of_images: Set[str]) -> "pd.DataFrame":
    """Return the columns that are used, a picture's cell being the path of its file."""
    import pandas as pd

    file = _parquet(path)
    outer = [n for n in file.schema_arrow.names if n in used or _starts(used, f"{n}.")]
    pictures = path.parent.with_name("pictures") / path.stem
    pieces: list[pd.DataFrame] = []
    for number, batch in enumerate(file.iter_batches(_ROWS_AT_ONCE, columns=outer)):
        read = batch.to_pandas()
        cells = {name: _cells(read, name) for name in sorted(used)}
        for column in of_images:
            cells[column] = [
                _picture(cell, pictures, row)
                for row, cell in enumerate(cells[column], number * _ROWS_AT_ONCE)
            ]
        pieces.append(pd.DataFrame(cells))
    return pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=sorted(used))


def _starts(names: Set[str], beginning: str) -> bool:
    return any(name.startswith(beginning) for name in names)


def _cells(read: "pd.DataFrame", name: str) -> list[Any]:
    """Return the cells of a column, or of a field in it; a split without it has none."""
    if name in read.columns:
        return list(read[name])
    for column in read.columns:
        if name.startswith(f"{column}."):
            field = name.removeprefix(f"{column}.")
            cells = read[column]
            return [cell.get(field) if isinstance(cell, dict) else None for cell in cells]
    return [None] * len(read)


def _mark(split: str, splits: Mapping[str, Path]) -> str:
    if split not in _MARKS:
        raise SettingsError(
            f"the split '{split}' of {', '.join(splits)} is neither train nor validation nor "
            "test; build such a set from a table of your own: octis-m3l build."
        )
    return _MARKS[split]


def _picture(cell: Any, folder: Path, row: int) -> Path | None:
    """Write a picture's bytes to a file, called by row and content: each row's is an item."""
    if cell is None:
        return None
    if not isinstance(cell, Mapping) or not isinstance(cell.get("bytes"), bytes):
        raise DataError(
            f"an image column holds a {type(cell).__name__}; expected pictures as the hub stores "
            "them."
        )
    path = folder / f"{row}-{hashlib.sha256(cell['bytes']).hexdigest()[:32]}"
    if not path.is_file() or path.read_bytes() != cell["bytes"]:
        folder.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as fresh:
            fresh.write_bytes(cell["bytes"])
    return path


def _named(labels: "pd.Series[Any]", path: Path, column: str) -> Sequence[Any]:
    import pandas as pd

    names = read_json(path).get(column)
    if names is None:
        return labels.tolist()
    return [
        names[int(label)] if not pd.isna(label) and 0 <= label < len(names) else None
        for label in labels
    ]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:200]
