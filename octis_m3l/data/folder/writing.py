"""Writing a data set to a folder, whole or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.folder.arrays import store_embeddings, write_word_vectors
from octis_m3l.data.folder.manifest import (
    FORMAT,
    MANIFEST,
    VERSION,
    DictionaryEntry,
    Manifest,
    ViewEntry,
    check_embedding_name,
    check_json,
    octis_marks,
)
from octis_m3l.data.folder.pictures import (
    check_pictures,
    keep_pictures,
    relative_path,
    stored_pictures,
)
from octis_m3l.data.folder.tables import (
    MARKS,
    document_fields,
    json_line,
    write_items,
    write_lines,
    write_table,
)
from octis_m3l.data.views import ImageView, TextView, View
from octis_m3l.files import described_files, folder_written_whole, write_json


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
    entries = [_view_entry(view) for view in dataset.views.values()]
    metadata = _metadata_of(dataset)
    for view in dataset.views.values():
        _check_before_writing(view)
    with folder_written_whole(folder, overwrite=overwrite, marker=MANIFEST) as new:
        folder = folder.resolve()
        kept = keep_pictures(dataset.image_views.values(), folder, new)
        for view in dataset.views.values():
            marks = {name: of_view[view.name] for name, of_view in dataset.partitions.items()}
            _write_view(view, folder, new, marks, kept)
        if len(dataset.links):
            rows = dataset.links.astype(str).tolist()
            write_table(new / "links.tsv", [list(dataset.views), *rows])
        dictionaries = _write_dictionaries(dataset, new)
        manifest = Manifest(
            views=entries,
            pivot=dataset.pivot,
            links=len(dataset.links) or None,
            metadata=metadata,
            partitions=list(dataset.partitions),
            dictionaries=dictionaries,
            **described_files(new),
        )
        sizes = dataset.views[dataset.pivot].sizes
        write_json(
            new / MANIFEST,
            {"format": FORMAT, "version": VERSION, **octis_marks(sizes), **manifest.model_dump()},
            checked=True,
        )


def _view_entry(view: View) -> ViewEntry:
    return ViewEntry(
        name=view.name,
        kind=view.kind,
        language=view.language if isinstance(view, TextView) else None,
        sizes=view.sizes,
        inputs=view.inputs,
        labels=view.labels is not None,
        pictures=isinstance(view, ImageView) and view.pictures is not None,
    )


def _metadata_of(dataset: MultiviewDataset) -> dict[str, Any]:
    marks = octis_marks((0, 0, 0))
    metadata = {key: value for key, value in dataset.metadata.items() if key not in marks}
    check_json(metadata, "the metadata of the data set")
    return metadata


def _check_before_writing(view: View) -> None:
    if view.embeddings is not None:
        check_embedding_name(view.embedding_name)
        check_json(view.embedding_encoder or {}, f"the encoder of view '{view.name}'")
    if isinstance(view, ImageView):
        check_pictures(view.name, view.pictures or [])


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
        write_lines(place / "indexes.txt", view.indexes.astype(str).tolist())
    if marks:
        columns = [[(*MARKS, "")[mark] for mark in marks[name]] for name in marks]
        write_table(place / "partitions.tsv", [list(marks), *zip(*columns, strict=True)])
    if isinstance(view, TextView):
        _write_text(view, place)
    elif isinstance(view, ImageView):
        view = _write_images(view, folder, new, kept)
    if view.embeddings is not None:
        store_embeddings(new, view, view.embeddings, {})


def _write_text(view: TextView, place: Path) -> None:
    write_items(place / "corpus.tsv", document_fields(view), view)
    write_lines(place / "vocabulary.txt", view.vocabulary)
    described = {"name": view.name, "language": view.language, **octis_marks(view.sizes)}
    write_json(place / "metadata.json", described)
    if view.texts is not None:
        write_lines(place / "texts.jsonl", map(json_line, view.texts))
    if view.preprocessor is not None:
        write_json(place / "preprocessing.json", view.preprocessor.as_dict())
    if view.word_vectors is not None:
        path = place / "word_vectors"
        write_word_vectors(path, view.word_vectors, view.vocabulary, view.word_space)


def _write_images(view: ImageView, folder: Path, new: Path, kept: Mapping[Path, Path]) -> ImageView:
    if view.pictures is None:
        write_items(new / view.name / "images.tsv", [""] * len(view), view)
        return view
    stored = stored_pictures(view, new, kept)
    paths = [relative_path(path, new if path.is_relative_to(new) else folder) for path in stored]
    write_items(new / view.name / "images.tsv", paths, view)
    return ImageView(
        name=view.name,
        sizes=view.sizes,
        pictures=stored,
        embeddings=view.embeddings,
        embedding_name=view.embedding_name,
        embedding_encoder=view.embedding_encoder,
    )


def _write_dictionaries(dataset: MultiviewDataset, new: Path) -> list[DictionaryEntry]:
    entries: dict[str, DictionaryEntry] = {}
    for (first, second), pairs in dataset.dictionaries.items():
        file = f"dictionaries/{first}--{second}"
        while file in entries:
            file += "_"
        entries[file] = DictionaryEntry(views=(first, second), file=f"{file}.tsv")
        words = [dataset.text_view(name).vocabulary for name in (first, second)]
        (new / "dictionaries").mkdir(exist_ok=True)
        rows = ((words[0][a], words[1][b]) for a, b in pairs.tolist())
        write_table(new / f"{file}.tsv", rows)
    return list(entries.values())
