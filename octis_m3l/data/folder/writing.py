"""Writing a data set to a folder, whole or not at all, and adding embeddings to it."""

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from octis_m3l.data.folder.formats import (
    check_pictures,
    document_fields,
    write_embeddings_of,
    write_items,
    write_lines,
    write_table,
    write_texts,
    write_word_vectors,
)
from octis_m3l.data.folder.manifest import (
    FORMAT,
    MANIFEST,
    VERSION,
    DictionaryEntry,
    Manifest,
    ViewEntry,
    check_embedding_name,
    check_json,
    read_manifest,
)
from octis_m3l.data.folder.reading import read_view
from octis_m3l.data.parts import DatasetParts
from octis_m3l.data.views import OCTIS_PARTITIONS, ImageView, TextView, View
from octis_m3l.errors import check_known
from octis_m3l.files import (
    described_files,
    folder_written_whole,
    held,
    read_json,
    remove_unfinished,
    write_errors,
    write_json,
)


def write_folder(parts: DatasetParts, folder: Path, *, overwrite: bool) -> None:
    """Write a data set, whole or not at all; each text view's sub-folder is in OCTIS's own format.

    Pictures that are files stay where they are and are referred to, except those inside `folder`,
    which are copied along; arrays are written as PNG.
    """
    views = {view.name: view for view in parts.views}
    pivot = parts.pivot or ""
    marks = views[pivot].octis_metadata
    metadata = {key: value for key, value in parts.metadata.items() if key not in marks}
    check_json(metadata, "the metadata of the data set")
    for view in views.values():
        if view.embeddings is not None:
            check_embedding_name(view.embedding_name)
            check_json(view.embedding_encoder or {}, f"the encoder of view '{view.name}'")
        if isinstance(view, ImageView):
            check_pictures(view.name, view.pictures or [])
    with folder_written_whole(folder, overwrite=overwrite, marker=MANIFEST) as new:
        folder = folder.resolve()
        copies = _copied_pictures(views.values(), folder, new)
        for view in views.values():
            partitions = {name: numbers[view.name] for name, numbers in parts.partitions.items()}
            _write_view(view, folder, new, partitions, copies)
        links = [] if parts.links is None else parts.links.astype(str).tolist()
        if links:
            write_table(new / "links.tsv", [list(views), *links])
        entries = [
            ViewEntry(
                name=view.name,
                kind=view.kind,
                language=view.language if isinstance(view, TextView) else None,
                sizes=view.sizes,
                inputs=view.inputs,
                labels=view.labels is not None,
                pictures=isinstance(view, ImageView) and view.pictures is not None,
            )
            for view in views.values()
        ]
        manifest = Manifest(
            views=entries,
            pivot=pivot,
            links=len(links) or None,
            metadata=metadata,
            partitions=list(parts.partitions),
            dictionaries=_write_dictionaries(parts, views, new),
            **described_files(new),
        )
        content = {"format": FORMAT, "version": VERSION, **marks, **manifest.model_dump()}
        write_json(new / MANIFEST, content, checked=True)


def _write_view(
    view: View,
    folder: Path,
    new: Path,
    partitions: Mapping[str, NDArray[np.int8]],
    copies: Mapping[Path, Path],
) -> None:
    place = new / view.name
    place.mkdir(exist_ok=True)
    if view.indexes is not None:
        write_lines(place / "indexes.txt", view.indexes.astype(str).tolist())
    if partitions:
        columns = [
            [(*OCTIS_PARTITIONS, "")[number] for number in numbers]
            for numbers in partitions.values()
        ]
        write_table(place / "partitions.tsv", [list(partitions), *zip(*columns, strict=True)])
    if isinstance(view, TextView):
        write_items(place / "corpus.tsv", document_fields(view), view)
        write_lines(place / "vocabulary.txt", view.vocabulary)
        described = {"name": view.name, "language": view.language, **view.octis_metadata}
        write_json(place / "metadata.json", described)
        if view.texts is not None:
            write_texts(place / "texts.jsonl", view.texts)
        if view.preprocessor is not None:
            write_json(place / "preprocessing.json", view.preprocessor.as_dict())
        write_word_vectors(place / "word_vectors", view)
    elif isinstance(view, ImageView):
        fields = [""] * len(view)
        if view.pictures is not None:
            stored = _stored_pictures(view, new, copies)
            fields = [_relative(p, new if p.is_relative_to(new) else folder) for p in stored]
            view = replace(view, pictures=stored)
        write_items(place / "images.tsv", fields, view)
    write_embeddings_of(new, view, {})


def _copied_pictures(views: Iterable[View], folder: Path, new: Path) -> dict[Path, Path]:
    """Copy the pictures that replacing the folder would delete; return where each is now."""
    copies: dict[Path, Path] = {}
    for view in views:
        for picture in (isinstance(view, ImageView) and view.pictures) or []:
            if not isinstance(picture, Path) or picture in copies:
                continue
            for place in (Path(os.path.abspath(picture)), picture.resolve()):  # noqa: PTH100
                if place.is_relative_to(folder):
                    copies[picture] = new / place.relative_to(folder)
                    copies[picture].parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(picture, copies[picture])
                    break
    return copies


def _stored_pictures(view: ImageView, new: Path, copies: Mapping[Path, Path]) -> list[Path]:
    """Write the pictures that are arrays as PNG; return where each picture is now."""
    stored: list[Path] = []
    number = 0
    for picture in view.pictures or []:
        if isinstance(picture, Path):
            stored.append(copies.get(picture) or Path(os.path.abspath(picture)))  # noqa: PTH100
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
        # On another drive.
        return path.as_posix()


def _write_dictionaries(
    parts: DatasetParts, views: Mapping[str, View], new: Path
) -> list[DictionaryEntry]:
    entries: dict[str, DictionaryEntry] = {}
    words = {name: view.vocabulary for name, view in views.items() if isinstance(view, TextView)}
    for (first, second), pairs in parts.dictionaries.items():
        file = f"dictionaries/{first}--{second}"
        while file in entries:
            file += "_"
        entries[file] = DictionaryEntry(views=(first, second), file=f"{file}.tsv")
        (new / "dictionaries").mkdir(exist_ok=True)
        rows = ((words[first][a], words[second][b]) for a, b in pairs.tolist())
        write_table(new / f"{file}.tsv", rows)
    return list(entries.values())


def write_embeddings(
    folder: Path,
    view: str,
    embeddings: NDArray[Any],
    name: str,
    description: Mapping[str, Any],
    *,
    encoder: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> None:
    """Add embeddings of one view to a data set on disk, or replace those of the same name.

    Parameters
    ----------
    folder : Path
        A folder that `MultiviewDataset.save` wrote.
    view : str
        The view.
    embeddings : array (items × dimensions)
        One row for each item, in stored order.
    name : str
        Their name, fit for a file: letters, digits, ``.``, ``_`` and ``-``.
    description, encoder : mapping
        The encoder's model, revision, pooling and so on; and as `View.embedding_encoder`.
    replace : bool
        Whether the view's other embeddings that an encoder made are removed; a user's own stay.
    """
    check_embedding_name(name)
    check_json(description, f"the description of the embeddings '{name}'")
    check_json(encoder or {}, f"the encoder of the embeddings '{name}'")
    read_manifest(folder)
    # Several processes may encode views of one data set.
    with held(folder / "embeddings", wait=True), write_errors(folder):
        manifest = read_manifest(folder)
        entries = {entry.name: entry for entry in manifest.views}
        check_known(view, entries, "view")
        encoded = read_view(
            folder,
            manifest,
            entries[view],
            embeddings=np.asarray(embeddings),
            embedding_name=name,
            embedding_encoder=encoder,
        )
        place = folder / view / "embeddings"
        place.mkdir(exist_ok=True)
        remove_unfinished(place)
        others = manifest.embedding_names(view) if replace else []
        replaced = [
            f"{view}/embeddings/{other}{suffix}"
            for other in others
            if other != name and read_json(place / f"{other}.json").get("encoder")
            for suffix in (".npy", ".json")
        ]
        _add_embeddings(folder, encoded, description, replaced)


def _add_embeddings(
    folder: Path, view: View, description: Mapping[str, Any], replaced: list[str]
) -> None:
    content = read_json(folder / MANIFEST)
    with TemporaryDirectory(
        prefix=".embeddings-", suffix=".part", dir=folder / view.name / "embeddings"
    ) as staged:
        write_embeddings_of(Path(staged), view, description)
        stored = described_files(Path(staged))
        # The manifest never lists a file whose content differs.
        for path in stored["files"]:
            content["files"].pop(path, None)
        write_json(folder / MANIFEST, content, checked=True)
        for path in stored["files"]:
            (Path(staged) / path).replace(folder / path)
    for part, of_files in stored.items():
        known = {**content.get(part, {}), **of_files}
        content[part] = {path: value for path, value in known.items() if path not in replaced}
    write_json(folder / MANIFEST, content, checked=True)
    for path in replaced:
        (folder / path).unlink(missing_ok=True)
