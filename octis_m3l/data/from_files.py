"""A data set from the files and folders that the command line names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.languages import language_of
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.views import PARTITIONS
from octis_m3l.errors import DataError, SettingsError, warn

VOCABULARY = 2000


def dataset_from_files(
    source: Path | Mapping[str, Path],
    *,
    texts: Mapping[str, str],
    images: Mapping[str, str],
    partition: str | None,
    label: str | None,
    group: str | None,
    languages: Mapping[str, str],
    vocabulary: int,
    tokenizers: Mapping[str, str],
    embeddings: Mapping[str, str],
    settings: Mapping[str, Any] | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    linked_by_row: bool = False,
) -> MultiviewDataset:
    """Return a data set from a table, a folder of bags of words, or folders of OCTIS."""
    if not isinstance(source, Path) or source.is_dir():
        of_tables = {
            "--text": texts,
            "--image": images,
            "--partition": partition,
            "--label": label,
            "--group": group,
            "--tokenizer": tokenizers,
            "--set": settings,
            "--vocabulary": vocabulary != VOCABULARY,
            "--delimiter": delimiter,
            "--encoding": encoding,
        }
        if any(of_tables.values()):
            folder = source if isinstance(source, Path) else ", ".join(map(str, source.values()))
            raise SettingsError(
                f"{', '.join(option for option, given in of_tables.items() if given)}: {folder} "
                "already has a vocabulary, labels and partitions; leave these options out."
            )
        if isinstance(source, Path) and not (source / "corpus.tsv").is_file():
            dataset = MultiviewDataset.from_bow_folder(source, languages=languages)
        else:
            dataset = MultiviewDataset.from_octis(
                source, linked="by row" if linked_by_row else None, languages=languages
            )
        return dataset.with_embeddings(embeddings)
    if not source.suffix and not source.exists():
        raise DataError(f"{source} is missing; expected a table, or a folder of bags of words.")
    if not texts:
        raise SettingsError("name at least one text column: --text VIEW=COLUMN.")
    for name in {"language", "vocabulary_size", "tokenizer"} & {*(settings or {})}:
        raise SettingsError(
            f"--set {name}: it has an option of its own; see octis-m3l build --help."
        )
    preprocessing = {
        view: TextPreprocessor.from_dict(
            {
                "language": language_of(view, languages),
                "vocabulary_size": vocabulary,
                "tokenizer": tokenizers.get(view, "auto"),
                **(settings or {}),
            }
        )
        for view in texts
    }
    dataset = MultiviewDataset.from_table(
        source,
        delimiter=delimiter,
        encoding=encoding,
        texts=texts,
        images={view: None if column == "-" else column for view, column in images.items()},
        partition=partition,
        split=(0.8, 0.1) if partition is None else None,
        label=label,
        group=group,
        languages=dict(languages),
        preprocessing=preprocessing,
        embeddings=dict(embeddings),
        metadata={"name": source.name},
    )
    items = np.sum([view.sizes for view in dataset.views.values()], axis=0)
    empty = [name for name, number in zip(PARTITIONS, items, strict=True) if not number]
    if empty:
        warn(
            f"no item is in the partition(s) {' and '.join(empty)}: a model can't be "
            f"{'trained' if 'train' in empty else 'scored'} on them; give more records, or a "
            "column with partitions (--partition).",
        )
    return dataset


def with_words(
    dataset: MultiviewDataset,
    word_vectors: Mapping[str, str],
    without_vector: str,
    dictionaries: Mapping[str, str],
) -> MultiviewDataset:
    """Return the data set with word vectors and dictionaries from files."""
    policy: Any = without_vector
    dataset = dataset.with_word_vectors(word_vectors, without_vector=policy)
    for views, path in dictionaries.items():
        named = [name.strip() for name in views.split(",")]
        if len(named) != 2:
            raise SettingsError(
                f"--dictionary {views}={path}: expected two views, as in --dictionary en,de=FILE."
            )
        dataset = dataset.with_dictionary(named[0], named[1], path)
    return dataset
