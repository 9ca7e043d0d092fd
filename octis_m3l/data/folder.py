"""A dataset on disk: a folder with a sub-folder for each view, written whole and read back."""

import hashlib
import json
import os
import re
import shutil
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.views import ImageView, Picture, TextView, View
from octis_m3l.errors import DataError, StorageError, suggest
from octis_m3l.files import (
    check_file_sizes,
    file_sizes,
    folder_written_whole,
    read_json,
    write_json,
    written_whole,
)

FORMAT = "octis-m3l dataset"
VERSION = 1

_MANIFEST = "metadata.json"
_MARKS = ("train", "val", "test")
_NO_BREAK_SPACE = "\u00a0"
_DOCUMENTS_AT_ONCE = 10_000
_EMBEDDING_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_SPECIAL = re.compile('["\t\n\r\0]|^\ufeff')
_SURROGATE = re.compile("[\ud800-\udfff]")

ViewName = Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]


class _ViewEntry(BaseModel):
    name: ViewName
    kind: Literal["text", "image"]
    language: str | None = None
    sizes: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]
    inputs: NonNegativeInt | None = None
    labels: bool = False
    pictures: bool = False


class _DictionaryEntry(BaseModel):
    views: tuple[ViewName, ViewName]
    file: str = Field(pattern=r"^dictionaries/[a-z0-9_-]+\.tsv$")


class _Manifest(BaseModel):
    views: list[_ViewEntry]
    pivot: str
    links: NonNegativeInt | None
    metadata: dict[str, Any]
    partitions: list[str]
    dictionaries: list[_DictionaryEntry]
    files: dict[str, NonNegativeInt]

    def embedding_names(self, view: str) -> list[str]:
        """Return the names of a view's stored embeddings."""
        path = re.compile(rf"{view}/embeddings/({_EMBEDDING_NAME.pattern})\.npy")
        return sorted(found[1] for found in map(path.fullmatch, self.files) if found)

    def holds(self, path: str) -> bool:
        """Return whether an optional file is part of the data set."""
        return path in self.files


def write_folder(dataset: MultiviewDataset, folder: Path, *, overwrite: bool) -> None:
    """Write a data set, whole or not at all.

    Each text view's sub-folder is a folder of OCTIS's own format.

    Parameters
    ----------
    dataset : MultiviewDataset
        What to write. Pictures that are files stay where they are and are referred to, except
        those inside `folder`, which are carried over; arrays are written as PNG.
    folder : Path
        Where to.
    overwrite : bool
        Whether a data set that is there already is replaced, with all that its folder holds.

    Raises
    ------
    DataError
        If something can't be stored: a picture file is missing, the metadata are not JSON, the
        name of the embeddings is no file name.
    StorageError
        If the folder is not empty and may not be replaced.
    """
    folder = folder.resolve()
    entries = [_view_entry(view) for view in dataset.views.values()]
    metadata = _metadata_of(dataset)
    for view in dataset.views.values():
        _check_before_writing(view)
    with folder_written_whole(folder, overwrite=overwrite, marker=_MANIFEST) as new:
        kept = _keep_pictures(dataset.image_views.values(), folder, new)
        for view in dataset.views.values():
            marks = {name: of_view[view.name] for name, of_view in dataset.partitions.items()}
            _write_view(view, folder, new, marks, kept)
        if len(dataset.links):
            rows = dataset.links.astype(str).tolist()
            _write_table(new / "links.tsv", [list(dataset.views), *rows])
        dictionaries = _write_dictionaries(dataset, new)
        manifest = _Manifest(
            views=entries,
            pivot=dataset.pivot,
            links=len(dataset.links) or None,
            metadata=metadata,
            partitions=list(dataset.partitions),
            dictionaries=dictionaries,
            files=file_sizes(new),
        )
        sizes = dataset.views[dataset.pivot].sizes
        write_json(
            new / _MANIFEST,
            {"format": FORMAT, "version": VERSION, **_octis_marks(sizes), **manifest.model_dump()},
        )


def read_folder(folder: Path, *, embeddings: str | Mapping[str, str] | None) -> MultiviewDataset:
    """Read a data set that `write_folder` wrote.

    Parameters
    ----------
    folder : Path
        The folder.
    embeddings : str or mapping of view to str, or None
        Which embeddings to use: one name for every view that has any, or a name for some views.
        A view that is not named uses the only ones that it has.

    Raises
    ------
    StorageError
        If the folder is missing, of another kind, damaged, or copied only in part; or if
        embeddings were made for other items.
    DataError
        If a view has several embeddings and none is chosen, or picture files are missing.
    """
    manifest = _read_manifest(folder)
    choices = _choices(manifest, embeddings)
    views = [_read_encoded_view(folder, manifest, e, choices[e.name]) for e in manifest.views]
    dataset = MultiviewDataset(
        views,
        _read_links(folder, manifest),
        pivot=manifest.pivot,
        metadata=manifest.metadata,
        dictionaries=_read_dictionaries(folder, manifest, views),
        partitions=_read_partitions(folder, manifest),
    )
    dataset.dataset_path = str(folder)
    return dataset


def write_embeddings(
    folder: Path,
    view: str,
    embeddings: NDArray[Any],
    name: str,
    description: Mapping[str, Any],
) -> None:
    """Add embeddings of one view to a data set on disk, or replace those of the same name.

    Parameters
    ----------
    folder : Path
        A folder that `write_folder` wrote.
    view : str
        The view.
    embeddings : array (items × dimensions)
        One row for each item, in stored order.
    name : str
        What they are called, a file name: letters, digits, ``.``, ``_`` and ``-``.
    description : mapping
        The encoder's model, revision, pooling and so on, as JSON can hold it.

    Raises
    ------
    DataError
        If the view is unknown, or the name, rows, values or description are not as said here.
    StorageError
        If the folder is missing, of another kind, or copied only in part.
    """
    _check_embedding_name(name)
    _check_json(description, f"the description of the embeddings '{name}'")
    manifest = _read_manifest(folder)
    entries = {entry.name: entry for entry in manifest.views}
    if view not in entries:
        raise DataError(f"unknown view '{view}'.{suggest(view, entries)}")
    read = _read_view(folder, manifest, entries[view], np.asarray(embeddings), name)
    place = f"{view}/embeddings/{name}"
    content = read_json(folder / _MANIFEST)
    for ending in (".npy", ".json"):
        content["files"].pop(place + ending, None)
    write_json(folder / _MANIFEST, content)
    _write_embeddings(folder, read, np.asarray(embeddings), description)
    for ending in (".npy", ".json"):
        content["files"][place + ending] = (folder / (place + ending)).stat().st_size
    write_json(folder / _MANIFEST, content)


# Writing.


def _view_entry(view: View) -> _ViewEntry:
    return _ViewEntry(
        name=view.name,
        kind=view.kind,
        language=view.language if isinstance(view, TextView) else None,
        sizes=view.sizes,
        inputs=view.inputs,
        labels=view.labels is not None,
        pictures=isinstance(view, ImageView) and view.pictures is not None,
    )


def _octis_marks(sizes: tuple[int, int, int]) -> dict[str, int]:
    return {"last-training-doc": sizes[0], "last-validation-doc": sizes[0] + sizes[1]}


def _metadata_of(dataset: MultiviewDataset) -> dict[str, Any]:
    marks = _octis_marks((0, 0, 0))
    metadata = {key: value for key, value in dataset.metadata.items() if key not in marks}
    _check_json(metadata, "the metadata of the data set")
    return metadata


def _check_json(content: Mapping[str, Any], what: str) -> None:
    try:
        json.dumps(dict(content), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{what} can't be written as JSON ({error}); use texts, finite numbers, lists and "
            "dictionaries."
        ) from None


def _check_embedding_name(name: str) -> None:
    if not _EMBEDDING_NAME.fullmatch(name):
        possible = _UNSAFE.sub("-", name).lstrip(".")[:100] or "mine"
        raise DataError(
            f"embeddings named '{name}': expected a file name of letters, digits, '.', '_' and "
            f"'-', at most 100 and not beginning with '.'; '{possible}' would do."
        )


def _check_before_writing(view: View) -> None:
    if view.embeddings is not None:
        _check_embedding_name(view.embedding_name)
    if isinstance(view, ImageView):
        _check_pictures(view.name, view.pictures or [])


def _check_pictures(view: str, pictures: Sequence[Picture]) -> None:
    missing = [str(p) for p in pictures if isinstance(p, Path) and not p.is_file()]
    if missing:
        shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise DataError(
            f"view '{view}': {len(missing)} of {len(pictures)} picture files are missing: {shown}; "
            "put them back there, or build the data set again without them."
        )
    for number, picture in enumerate(pictures):
        if not isinstance(picture, Path) and (
            picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3
        ):
            raise DataError(
                f"view '{view}': picture {number} has shape {picture.shape} and type "
                f"{picture.dtype}; expected uint8 (height × width × 3)."
            )


def _keep_pictures(views: Iterable[ImageView], folder: Path, new: Path) -> dict[Path, Path]:
    """Copy the pictures that replacing the folder would delete; say where each is now."""
    kept: dict[Path, Path] = {}
    for view in views:
        for picture in view.pictures or []:
            if not isinstance(picture, Path) or picture in kept:
                continue
            for place in (Path(os.path.abspath(picture)), picture.resolve()):  # noqa: PTH100
                if place.is_relative_to(folder):
                    kept[picture] = new / place.relative_to(folder)
                    kept[picture].parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(picture, kept[picture])
                    break
    return kept


def _write_view(
    view: View,
    folder: Path,
    new: Path,
    marks: Mapping[str, NDArray[np.int8]],
    kept: Mapping[Path, Path],
) -> None:
    place = new / view.name
    place.mkdir(exist_ok=True)
    if view.indexes is not None:
        _write_lines(place / "indexes.txt", view.indexes.astype(str).tolist())
    if marks:
        columns = [[(*_MARKS, "")[mark] for mark in marks[name]] for name in marks]
        _write_table(place / "partitions.tsv", [list(marks), *zip(*columns, strict=True)])
    if isinstance(view, TextView):
        _write_text(view, place)
    elif isinstance(view, ImageView):
        view = _write_images(view, folder, new, kept)
    if view.embeddings is not None:
        _write_embeddings(new, view, view.embeddings, {})


def _write_text(view: TextView, place: Path) -> None:
    _write_items(place / "corpus.tsv", _document_fields(view), view)
    _write_lines(place / "vocabulary.txt", view.vocabulary)
    described = {"name": view.name, "language": view.language, **_octis_marks(view.sizes)}
    write_json(place / "metadata.json", described)
    if view.texts is not None:
        _write_lines(place / "texts.jsonl", map(_json_line, view.texts))
    if view.preprocessor is not None:
        write_json(place / "preprocessing.json", view.preprocessor.as_dict())
    if view.word_vectors is not None:
        record = _array_record(view.word_vectors, _vocabulary_fingerprint(view.vocabulary))
        _write_array(place / "word_vectors", view.word_vectors, record)


def _document_fields(view: TextView) -> Iterator[str]:
    """Give the documents in a form that pandas takes for text, whatever the words are.

    Empty fields, ``null``, ``1984`` or ``#N/A N/A`` would become NaN or numbers; a no-break space
    at the end prevents it, and `str.split` drops that.
    """
    for start in range(0, len(view), _DOCUMENTS_AT_ONCE):
        rows = slice(start, min(start + _DOCUMENTS_AT_ONCE, len(view)))
        for words in view.documents(rows):
            yield " ".join(words) + (_NO_BREAK_SPACE if len(words) < 3 else "")


def _json_line(text: str) -> str:
    return json.dumps(text, ensure_ascii=_SURROGATE.search(text) is not None)


def _vocabulary_fingerprint(vocabulary: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(vocabulary).encode()).hexdigest()


def _write_images(view: ImageView, folder: Path, new: Path, kept: Mapping[Path, Path]) -> ImageView:
    if view.pictures is None:
        _write_items(new / view.name / "images.tsv", [""] * len(view), view)
        return view
    stored = _stored_pictures(view, new, kept)
    paths = [_relative(path, new if path.is_relative_to(new) else folder) for path in stored]
    _write_items(new / view.name / "images.tsv", paths, view)
    return ImageView(
        name=view.name,
        sizes=view.sizes,
        pictures=stored,
        embeddings=view.embeddings,
        embedding_name=view.embedding_name,
    )


def _stored_pictures(view: ImageView, new: Path, kept: Mapping[Path, Path]) -> list[Path]:
    stored: list[Path] = []
    number = 0
    for picture in view.pictures or []:
        if isinstance(picture, Path):
            stored.append(kept.get(picture) or Path(os.path.abspath(picture)))  # noqa: PTH100
            continue
        place = new / view.name / "pictures"
        place.mkdir(exist_ok=True)
        while (path := place / f"{number:06}.png").exists():
            number += 1
        Image.fromarray(picture).save(path)
        stored.append(path)
    return stored


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.as_posix()


def _write_items(path: Path, firsts: Iterable[str], view: View) -> None:
    marks = _item_marks(view.sizes)
    if view.labels is None:
        _write_table(path, zip(firsts, marks, strict=True))
    else:
        _write_table(path, zip(firsts, marks, map(str, view.labels), strict=True))


def _item_marks(sizes: tuple[int, int, int]) -> list[str]:
    return [mark for mark, size in zip(_MARKS, sizes, strict=True) for _ in range(size)]


def _write_table(path: Path, rows: Iterable[Sequence[str]]) -> None:
    _write_lines(path, ("\t".join(map(_field, row)) or '""' for row in rows))


def _field(value: str) -> str:
    if not _SPECIAL.search(value):
        return value
    if "\0" in value:
        raise DataError(
            f"{value[:80]!r} holds a NUL character, at which OCTIS would cut it off; remove it "
            "from the words, labels and file names."
        )
    return '"' + value.replace('"', '""') + '"'


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(line + "\n" for line in lines)
    except UnicodeEncodeError as error:
        around = error.object[max(0, error.start - 20) : error.end + 20]
        raise DataError(
            f"{path.parent.name}/{path.name}: {around!r} holds half of a surrogate pair, which no "
            "text file can hold; remove it from the words, labels and file names."
        ) from None


def _write_dictionaries(dataset: MultiviewDataset, new: Path) -> list[_DictionaryEntry]:
    entries: dict[str, _DictionaryEntry] = {}
    for (first, second), pairs in dataset.dictionaries.items():
        file = f"dictionaries/{first}--{second}"
        while file in entries:
            file += "_"
        entries[file] = _DictionaryEntry(views=(first, second), file=f"{file}.tsv")
        words = [dataset.text_view(name).vocabulary for name in (first, second)]
        (new / "dictionaries").mkdir(exist_ok=True)
        rows = ((words[0][a], words[1][b]) for a, b in pairs.tolist())
        _write_table(new / f"{file}.tsv", rows)
    return list(entries.values())


def _write_embeddings(
    folder: Path, view: View, embeddings: NDArray[Any], description: Mapping[str, Any]
) -> None:
    record = {
        "name": view.embedding_name,
        **_array_record(embeddings, view.fingerprint()),
        "description": dict(description),
    }
    _write_array(folder / view.name / "embeddings" / view.embedding_name, embeddings, record)


def _array_record(values: NDArray[Any], fingerprint: str) -> dict[str, Any]:
    rows, dimensions = values.shape
    return {"dimensions": dimensions, "rows": rows, "fingerprint": fingerprint}


def _write_array(place: Path, values: NDArray[Any], record: Mapping[str, Any]) -> None:
    with written_whole(place.with_name(f"{place.name}.npy")) as temporary:
        np.save(temporary, np.ascontiguousarray(values, np.float32), allow_pickle=False)
    write_json(place.with_name(f"{place.name}.json"), record)


# Reading.


def _read_manifest(folder: Path) -> _Manifest:
    path = folder / _MANIFEST
    if not folder.is_dir():
        raise StorageError(
            f"{folder} is missing or no folder; give the folder that MultiviewDataset.save wrote."
        )
    if not path.is_file():
        raise StorageError(
            f"{folder} holds no {_MANIFEST}: it is no data set of octis-m3l, or was copied only in "
            "part; give the folder that MultiviewDataset.save wrote."
        )
    content = read_json(path)
    if content.get("format") != FORMAT:
        raise StorageError(
            f"{path} has the format {content.get('format')!r}, expected {FORMAT!r}: it is of "
            f"another program; give the folder that MultiviewDataset.save wrote{_above(folder)}."
        )
    if content.get("version") != VERSION:
        raise StorageError(
            f"{path} has version {content.get('version')!r} of the format, and this octis-m3l "
            f"reads version {VERSION}: it was written by another octis-m3l; upgrade this one."
        )
    try:
        manifest = _Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StorageError(
            f"{path} is damaged at '{where}' ({first['msg']}); copy it again."
        ) from None
    check_file_sizes(folder, manifest.files)
    return manifest


def _above(folder: Path) -> str:
    above = folder.resolve().parent
    try:
        is_dataset = read_json(above / _MANIFEST).get("format") == FORMAT
    except (StorageError, OSError):
        return ""
    return f", perhaps {above}, of which this folder is one view" if is_dataset else ""


def _choices(manifest: _Manifest, wanted: str | Mapping[str, str] | None) -> dict[str, str | None]:
    stored = {entry.name: manifest.embedding_names(entry.name) for entry in manifest.views}
    if isinstance(wanted, str):
        if not any(stored.values()):
            raise DataError(
                f"no view has embeddings '{wanted}', or any others; encode the views first, or "
                "leave embeddings out."
            )
        wanted = {view: wanted for view, names in stored.items() if names}
    for view in wanted or {}:
        if view not in stored:
            raise DataError(f"unknown view '{view}' in embeddings.{suggest(view, stored)}")
    return {view: _choice(view, names, (wanted or {}).get(view)) for view, names in stored.items()}


def _choice(view: str, names: list[str], wanted: str | None) -> str | None:
    if wanted is not None:
        if wanted not in names:
            raise DataError(f"view '{view}' has no embeddings '{wanted}'.{suggest(wanted, names)}")
        return wanted
    if len(names) > 1:
        raise DataError(
            f"view '{view}' has several embeddings: {', '.join(names)}; choose with "
            f"embeddings='{names[0]}' for every view, or embeddings={{'{view}': '{names[0]}'}}."
        )
    return names[0] if names else None


def _read_encoded_view(
    folder: Path, manifest: _Manifest, entry: _ViewEntry, name: str | None
) -> View:
    if name is None:
        return _read_view(folder, manifest, entry, None, "given")
    place = folder / entry.name / "embeddings" / name
    values, fingerprint = _read_array(place, sum(entry.sizes))
    view = _read_view(folder, manifest, entry, values, name)
    if fingerprint != view.fingerprint():
        raise StorageError(
            f"{place}.npy was made for other items than view '{entry.name}' holds: they changed "
            "since; encode them again."
        )
    return view


def _read_view(
    folder: Path,
    manifest: _Manifest,
    entry: _ViewEntry,
    embeddings: NDArray[Any] | None,
    embedding_name: str,
) -> View:
    place = folder / entry.name
    is_text = entry.kind == "text"
    firsts, labels = _read_items(place / ("corpus.tsv" if is_text else "images.tsv"), entry)
    has_indexes = manifest.holds(f"{entry.name}/indexes.txt")
    common: dict[str, Any] = {
        "name": entry.name,
        "sizes": entry.sizes,
        "inputs": entry.inputs,
        "indexes": _read_indexes(place / "indexes.txt") if has_indexes else None,
        "labels": labels,
        "embeddings": embeddings,
        "embedding_name": embedding_name,
    }
    if is_text:
        return _read_text(place, manifest, entry, firsts, common)
    pictures = _read_pictures(folder, entry.name, firsts) if entry.pictures else None
    return ImageView(pictures=pictures, **common)


def _read_text(
    place: Path,
    manifest: _Manifest,
    entry: _ViewEntry,
    documents: list[str],
    common: Mapping[str, Any],
) -> TextView:
    vocabulary = tuple(_read_lines(place / "vocabulary.txt"))
    token_ids, offsets = _token_ids(documents, vocabulary, place)
    optional: dict[str, Any] = {}
    if manifest.holds(f"{entry.name}/texts.jsonl"):
        optional["texts"] = _read_texts(place / "texts.jsonl")
    if manifest.holds(f"{entry.name}/preprocessing.json"):
        settings = read_json(place / "preprocessing.json")
        optional["preprocessor"] = TextPreprocessor.from_dict(settings)
    if manifest.holds(f"{entry.name}/word_vectors.npy"):
        optional["word_vectors"] = _read_word_vectors(place / "word_vectors", vocabulary)
    return TextView(
        vocabulary=vocabulary,
        token_ids=token_ids,
        offsets=offsets,
        language=entry.language,
        **optional,
        **common,
    )


def _token_ids(
    documents: list[str], vocabulary: tuple[str, ...], place: Path
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    number = {word: index for index, word in enumerate(vocabulary)}
    token_ids = array("i")
    offsets = np.zeros(len(documents) + 1, np.int64)
    for row, document in enumerate(documents):
        try:
            token_ids.extend(map(number.__getitem__, document.split()))
        except KeyError as error:
            raise StorageError(
                f"{place / 'corpus.tsv'}, line {row + 1}: the word {error} is not in "
                "vocabulary.txt; one of them was changed; copy both again."
            ) from None
        offsets[row + 1] = len(token_ids)
    return np.array(token_ids, np.int32), offsets


def _read_word_vectors(place: Path, vocabulary: tuple[str, ...]) -> NDArray[np.float32]:
    values, fingerprint = _read_array(place, len(vocabulary))
    if fingerprint != _vocabulary_fingerprint(vocabulary):
        raise StorageError(
            f"{place}.npy follows another vocabulary than {place.parent / 'vocabulary.txt'}: it "
            "changed since; make the word vectors again."
        )
    return values


def _read_pictures(folder: Path, view: str, paths: list[str]) -> list[Path]:
    base = folder.resolve()
    pictures = [Path(os.path.normpath(base / path)) for path in paths]
    _check_pictures(view, pictures)
    return pictures


def _read_items(path: Path, entry: _ViewEntry) -> tuple[list[str], list[str] | None]:
    columns = _read_table(path, 3 if entry.labels else 2)
    if columns[1] != _item_marks(entry.sizes):
        given = [columns[1].count(mark) for mark in _MARKS]
        raise StorageError(
            f"{path} has {len(columns[1])} rows, {given[0]} train, {given[1]} val and {given[2]} "
            f"test; {_MANIFEST} says {', '.join(map(str, entry.sizes))} in this order; the file "
            "was changed; copy it again."
        )
    return columns[0], columns[2] if entry.labels else None


def _read_table(path: Path, width: int) -> list[list[str]]:
    try:
        frame = pd.read_csv(
            path,
            sep="\t",
            header=None,
            dtype=str,
            na_filter=False,
            skip_blank_lines=False,
            encoding="utf-8",
        )
    except pd.errors.EmptyDataError:
        return [[] for _ in range(width)]
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} can't be read ({error}); copy it again.") from None
    if frame.shape[1] != width:
        raise StorageError(
            f"{path} has {frame.shape[1]} columns, expected {width}; it was changed; copy it again."
        )
    return [frame[column].tolist() for column in range(width)]


def _read_lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} can't be read ({error}); copy it again.") from None
    return text.removesuffix("\n").split("\n") if text else []


def _read_indexes(path: Path) -> NDArray[np.int64]:
    try:
        return np.array(_read_lines(path), dtype=np.int64)
    except ValueError as error:
        raise StorageError(f"{path} holds no row numbers ({error}); copy it again.") from None


def _read_texts(path: Path) -> list[str]:
    try:
        return [json.loads(line) for line in _read_lines(path)]
    except ValueError as error:
        raise StorageError(f"{path} holds no JSON lines ({error}); copy it again.") from None


def _read_array(place: Path, rows: int) -> tuple[NDArray[np.float32], str]:
    path = place.with_name(f"{place.name}.npy")
    record = read_json(place.with_name(f"{place.name}.json"))
    try:
        values: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StorageError(f"{path} is no whole .npy file ({error}); write it again.") from None
    expected = (rows, record.get("dimensions"))
    if values.shape != expected:
        raise StorageError(
            f"{path} holds an array of shape {values.shape}, expected {expected}: it belongs to "
            "other items; write it again."
        )
    return values, str(record.get("fingerprint"))


def _read_links(folder: Path, manifest: _Manifest) -> NDArray[np.int64] | None:
    if manifest.links is None:
        return None
    path = folder / "links.tsv"
    columns = _read_table(path, len(manifest.views))
    header = [column[0] for column in columns if column]
    if header != [entry.name for entry in manifest.views]:
        raise StorageError(
            f"{path} begins with {header}, expected the names of the views in order: "
            f"{', '.join(entry.name for entry in manifest.views)}; copy it again."
        )
    try:
        return np.array([column[1:] for column in columns], dtype=np.int64).T.copy()
    except ValueError as error:
        raise StorageError(f"{path} holds no item numbers ({error}); copy it again.") from None


def _read_dictionaries(
    folder: Path, manifest: _Manifest, views: Iterable[View]
) -> dict[tuple[str, str], NDArray[np.int64]]:
    number = {
        view.name: {word: index for index, word in enumerate(view.vocabulary)}
        for view in views
        if isinstance(view, TextView)
    }
    dictionaries = {}
    for entry in manifest.dictionaries:
        columns = _read_table(folder / entry.file, 2)
        pairs = np.empty((len(columns[0]), 2), np.int64)
        for side, view in enumerate(entry.views):
            try:
                pairs[:, side] = [number[view][word] for word in columns[side]]
            except KeyError as error:
                raise StorageError(
                    f"{folder / entry.file}: {error} is not in the vocabulary of view '{view}'; "
                    "one of them was changed; copy both again."
                ) from None
        dictionaries[entry.views] = pairs
    return dictionaries


def _read_partitions(folder: Path, manifest: _Manifest) -> dict[str, dict[str, NDArray[np.int8]]]:
    number = {mark: value for value, mark in enumerate(_MARKS)} | {"": -1}
    partitions: dict[str, dict[str, NDArray[np.int8]]] = {name: {} for name in manifest.partitions}
    for entry in manifest.views if partitions else []:
        path = folder / entry.name / "partitions.tsv"
        for name, column in zip(partitions, _read_table(path, len(partitions)), strict=True):
            marks = [number.get(mark) for mark in column[1:]]
            if column[:1] != [name] or None in marks or len(marks) != sum(entry.sizes):
                raise StorageError(
                    f"{path}: the column of '{name}' was changed; expected {sum(entry.sizes)} "
                    "entries train, val, test or nothing; copy it again."
                )
            partitions[name][entry.name] = np.array(marks, np.int8)
    return partitions
