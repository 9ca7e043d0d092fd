"""Data sets of the Hugging Face hub that have named columns, through its library ``datasets``."""

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octis_m3l import data
from octis_m3l.errors import DataError, SettingsError, check_known, import_extra
from octis_m3l.files import damage_errors, written_whole
from octis_m3l.sources.download import Fetcher, FetchError
from octis_m3l.sources.source import Source, preprocessors

if TYPE_CHECKING:
    import pandas as pd

SCHEME = "huggingface:"
_NAME = re.compile(
    r"huggingface:(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[\w./-]+))?(?:#(?P<config>[\w.-]+))?"
)
_ONLY_DOTS = re.compile(r"(^|/)\.+(/|$)")
_COMMIT = re.compile(r"@([0-9a-f]{40})/")


def huggingface_source(name: str) -> Source:
    """Return any data set of the Hugging Face hub as a source."""
    found = _NAME.fullmatch(name)
    if found is None or _ONLY_DOTS.search(found["name"]):
        raise SettingsError(
            f"'{name}': expected huggingface:NAME, with @REVISION and #CONFIGURATION after it "
            "where they are needed: huggingface:owner/name@main#en-de."
        )

    def collect(folder: Path, fetcher: Fetcher, *, progress: bool = False) -> Mapping[str, Any]:
        return _download(folder, found["name"], found["revision"], found["config"])

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
        notes="Name the columns that are views when you build it: --text VIEW=COLUMN. A data set "
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
) -> "data.MultiviewDataset":
    """Return a data set of the columns that are named as views; a field in one is column.field.

    Pictures are written to files in ``pictures``, beside `raw`, to which the data set refers.
    Splits called train, validation (valid, val, dev) and test are the partitions. The rows of a
    single split are drawn: 80 % train, 10 % validation, 10 % test.
    """
    import pandas as pd

    from octis_m3l.data.views import numbers_of_names

    splits, images = _read_splits(raw), images or {}
    columns = sorted({column for split in splits.values() for column in _columns(split)})
    if not texts:
        raise SettingsError(
            f"name at least one text column: --text VIEW=COLUMN. There are: {', '.join(columns)}."
        )
    others = {*texts.values(), *(column for column in (label, group) if column)}
    for column in sorted(others.union(images.values())):
        check_known(column, columns, "column")
    arguments: dict[str, Any] = {"split": (0.8, 0.1), "split_seed": seed}
    if len(splits) > 1:
        try:
            numbers_of_names(splits, "the names of the splits")
        except DataError as error:
            raise SettingsError(
                f"{error} Build such a data set from a table of your own: octis-m3l build."
            ) from None
        arguments = {"partition": ""}
    frames = []
    for name, split in splits.items():
        frame = _read_columns(split, others)
        for column in images.values():
            pictures: Any = list(_pictures(split, column, raw.with_name("pictures") / name))
            frame[column] = pictures
        frames.append(frame.assign(**{"": name}))
    return data.from_frame(
        pd.concat(frames, ignore_index=True),
        texts=texts,
        images=images,
        label=label,
        group=group,
        languages=languages,
        preprocessing=preprocessors(texts, vocabulary_size, languages),
        **arguments,
    )


def _download(
    folder: Path, name: str, revision: str | None, config: str | None
) -> Mapping[str, Any]:
    datasets = import_extra("datasets", "huggingface")
    if Path(name).exists():
        raise SettingsError(
            f"{SCHEME}{name}: {Path(name).absolute()} exists, and the library would take it "
            "instead of the hub's; run it in another folder."
        )
    try:
        loaded = datasets.load_dataset(name, config, revision=revision)
    except Exception as error:  # of files, the network, the hub
        reason = (str(error).strip().splitlines() or ["no reason given"])[0][:200]
        raise FetchError(
            f"{SCHEME}{name}: it can't be loaded ({type(error).__name__}: {reason}). "
            "Check the name, the configuration after # and the network; data sets that need to "
            "run a program of their own can't be used."
        ) from error
    shutil.rmtree(folder)
    loaded.save_to_disk(folder)
    about = next(iter(loaded.values())).info
    # Only the addresses of the downloaded files name the commit.
    commits = (_COMMIT.search(str(url)) for url in about.download_checksums or ())
    return {
        "rows": {split: len(table) for split, table in loaded.items()},
        "revision": next((found[1] for found in commits if found), revision or ""),
        "licence": about.license or "",
        "citation": about.citation or "",
    }


def _read_splits(raw: Path) -> dict[str, Any]:
    """Return the splits with the fields of each column as columns of their own."""
    datasets = import_extra("datasets", "huggingface")
    with damage_errors(raw, "fetch it again: octis-m3l datasets fetch NAME --again"):
        loaded = datasets.load_from_disk(raw)
    splits = {}
    for name, split in sorted(loaded.items()):
        for column, feature in split.features.items():
            if isinstance(feature, datasets.Image):
                split = split.cast_column(column, datasets.Image(decode=False))
        splits[name] = split.flatten()
    return splits


def _columns(split: Any) -> list[str]:
    """Return the names of columns; that of a picture stands for its bytes and its path."""
    names = split.column_names
    of_pictures = {name.removesuffix(".bytes") for name in names if name.endswith(".bytes")}
    parts = {f"{name}.{part}" for name in of_pictures for part in ("bytes", "path")}
    return [*(name for name in names if name not in parts), *of_pictures]


def _read_columns(split: Any, columns: Iterable[str]) -> "pd.DataFrame":
    """Return columns, labels with their names; a column that the split lacks is empty."""
    there = [column for column in columns if column in split.column_names]
    read = split.select_columns(there).to_pandas()
    for column in there:
        names = getattr(split.features[column], "names", None)
        if names is not None:
            read[column] = read[column].map(dict(enumerate(names)))
    frame: pd.DataFrame = read.reindex(index=range(len(split)))
    # Numbers and truth values stay what they are beside None.
    frame[sorted({*columns}.difference(there))] = None
    return frame


def _pictures(split: Any, column: str, folder: Path) -> Iterator[Path | None]:
    """Write pictures to files, named by row and content, because each row's is an item."""
    if f"{column}.bytes" not in split.column_names:
        if column in split.column_names:
            raise DataError(f"the column '{column}' holds no pictures; name one that does.")
        yield from [None] * len(split)
        return
    folder.mkdir(parents=True, exist_ok=True)
    for row, cell in enumerate(split.select_columns([f"{column}.bytes"])):
        content = cell[f"{column}.bytes"]
        if content is None:
            yield None
            continue
        path = folder / f"{row}-{hashlib.sha256(content).hexdigest()[:32]}"
        if not path.is_file() or path.read_bytes() != content:
            with written_whole(path) as fresh:
                fresh.write_bytes(content)
        yield path
