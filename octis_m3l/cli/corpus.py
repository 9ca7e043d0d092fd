"""Commands that make data sets: build, encode."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

import octis_m3l
from octis_m3l.cli import options
from octis_m3l.cli.options import pairs, settings
from octis_m3l.cli.printing import show, shows_progress
from octis_m3l.errors import DataError, SettingsError, check_known, warn
from octis_m3l.files import check_can_write

_VOCABULARY = 2000
_COLUMN = "VIEW=COLUMN, as en=title_en"

Encoders = Annotated[
    list[str] | None,
    typer.Option(metavar="VIEW=ENCODER", help="Such as en=sentence-transformers:NAME; see encode."),
]
Cache = Annotated[
    Path | None, typer.Option(help="Folder of vectors to keep; default: the user's cache folder.")
]
EncodingDevice = Annotated[
    str | None,
    typer.Option(help="Of encoders: auto, cpu, cuda, or several: cuda:0,cuda:1.  [default: auto]"),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Keep vectors in the data set only.")]


def build(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="A .csv, .tsv, .jsonl (.gz too) or .xlsx, or a folder of train_bow_matrix_*.npz "
            "or of OCTIS (corpus.tsv)."
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the data set.")],
    text: options.ViewColumns = None,
    image: options.ViewColumns = None,
    octis: Annotated[
        list[str] | None,
        typer.Option(metavar="VIEW=FOLDER", help="A data set of OCTIS; several become one."),
    ] = None,
    linked_by_row: Annotated[
        bool, typer.Option("--linked-by-row", help="With --octis: link equal rows.")
    ] = False,
    partition: Annotated[str | None, typer.Option(help="Column: train, validation, test.")] = None,
    label: options.Label = None,
    group: options.Group = None,
    language: options.Language = None,
    vocabulary: Annotated[int, typer.Option(min=1, help="Words of each language.")] = _VOCABULARY,
    tokenizer: Annotated[
        list[str] | None,
        typer.Option(metavar="VIEW=NAME", help="unicode, whitespace, jieba or fugashi."),
    ] = None,
    embeddings: Annotated[
        list[str] | None, typer.Option(metavar="VIEW=FILE.npy", help="Your own, row by row.")
    ] = None,
    encoder: Encoders = None,
    cache: Cache = None,
    no_cache: NoCache = False,
    device: EncodingDevice = None,
    word_vectors: Annotated[
        list[str] | None,
        typer.Option(metavar="VIEW=FILE", help="word2vec's text format, .npy or .npz."),
    ] = None,
    without_vector: Annotated[
        str, typer.Option(help="Words that the file lacks: error, or zeros.")
    ] = "error",
    dictionary: Annotated[
        list[str] | None,
        typer.Option(metavar="VIEW,VIEW=FILE", help="A word and its translation on each line."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any other setting of TextPreprocessor: stop_words=false, keep_numbers=true, …",
        ),
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="Between cells: ',', ';', tab, …  [default: detected]")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="utf-8, utf-16, latin-1, …  [default: detected]")
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Make a data set from a table: --text en=title_en --text de=title_de --image photos=path.

    Without --partition the records of a table are split at random: 80 % train, 10 % validation,
    10 % test. Folders of bags of words or of OCTIS have partitions already.
    """
    from octis_m3l.data.folder.manifest import MANIFEST
    from octis_m3l.data.words import WithoutVector
    from octis_m3l.encoders import encoder_from
    from octis_m3l.encoders.encode import encoders_of

    chosen, own = pairs(encoder, "--encoder"), pairs(embeddings, "--embeddings")
    for name in {*chosen} & {*own}:
        raise SettingsError(f"view '{name}' has both --embeddings and --encoder; give one of them.")
    for option, given in {"--device": device, "--cache": cache, "--no-cache": no_cache}.items():
        if given and not chosen:
            raise SettingsError(f"{option} goes with --encoder VIEW=ENCODER only; leave it out.")
    if without_vector != "error" and not word_vectors:
        raise SettingsError("--without-vector goes with --word-vectors VIEW=FILE only.")
    kept = _cache(cache, no_cache)
    for specification in chosen.values():
        encoder_from(specification)
    texts, images = pairs(text, "--text", _COLUMN), pairs(image, "--image", _COLUMN)
    folders = pairs(octis, "--octis")
    if (source is None) == (not folders):
        raise SettingsError("give one of the two: a table or a folder, or --octis VIEW=FOLDER.")
    if linked_by_row and not folders:
        raise SettingsError("--linked-by-row goes with --octis VIEW=FOLDER only.")
    for name in () if source is None or source.is_dir() else chosen:
        check_known(name, [*texts, *images, "texts", "images"], "view", SettingsError)
    check_can_write(out, overwrite=overwrite, marker=MANIFEST)
    languages = pairs(language, "--language")
    of_tables = {
        "--text": text,
        "--image": image,
        "--partition": partition,
        "--label": label,
        "--group": group,
        "--tokenizer": tokenizer,
        "--set": set_,
        "--vocabulary": vocabulary != _VOCABULARY,
        "--delimiter": delimiter,
        "--encoding": encoding,
    }
    if source is None or source.is_dir():
        useless = [option for option, given in of_tables.items() if given]
        if useless:
            raise SettingsError(
                f"{', '.join(useless)}: {source or ', '.join(folders.values())} already has a "
                "vocabulary, labels and partitions; leave these options out."
            )
        dataset = _from_folders(source or folders, linked_by_row, languages).with_embeddings(own)
    elif not source.suffix and not source.exists():
        raise DataError(f"{source} is missing; expected a table, or a folder of bags of words.")
    elif not text:
        raise SettingsError("name at least one text column: --text VIEW=COLUMN.")
    else:
        dataset = octis_m3l.MultiviewDataset.from_table(
            source,
            delimiter=delimiter,
            encoding=encoding,
            texts=texts,
            images={view: None if column == "-" else column for view, column in images.items()},
            partition=partition,
            split=(0.8, 0.1) if partition is None else None,
            label=label,
            group=group,
            languages=languages,
            preprocessing=_preprocessing(
                texts, languages, vocabulary, pairs(tokenizer, "--tokenizer"), settings(set_)
            ),
            embeddings=own,
            metadata={"name": source.name},
        )
        _warn_of_empty_partitions(dataset)
    vectors, policy = pairs(word_vectors, "--word-vectors"), cast(WithoutVector, without_vector)
    dataset = dataset.with_word_vectors(vectors, without_vector=policy)
    for names, path in pairs(dictionary, "--dictionary").items():
        named = [name.strip() for name in names.split(",")]
        if len(named) != 2:
            raise SettingsError(
                f"--dictionary {names}={path}: expected two views, as in --dictionary en,de=FILE."
            )
        dataset = dataset.with_dictionary(named[0], named[1], path)
    if chosen:
        encoders = encoders_of(dataset, chosen, device)
        dataset = octis_m3l.embed(dataset, encoders, cache=kept, progress=shows_progress(as_json))
    dataset.save(out, overwrite=overwrite)
    show(dataset.info(), as_json)


def _from_folders(
    source: Path | dict[str, str], linked_by_row: bool, languages: dict[str, str]
) -> "octis_m3l.MultiviewDataset":
    if isinstance(source, Path) and not (source / "corpus.tsv").is_file():
        return octis_m3l.MultiviewDataset.from_bow_folder(source, languages=languages)
    linked: Literal["by row"] | None = "by row" if linked_by_row else None
    return octis_m3l.MultiviewDataset.from_octis(source, linked=linked, languages=languages)


def _preprocessing(
    views: Iterable[str],
    languages: dict[str, str],
    vocabulary: int,
    tokenizers: dict[str, str],
    others: dict[str, Any],
) -> "dict[str, octis_m3l.TextPreprocessor]":
    from octis_m3l.data.languages import language_of

    for name in {"language", "vocabulary_size", "tokenizer"} & {*others}:
        raise SettingsError(
            f"--set {name}: it has an option of its own; see octis-m3l build --help."
        )
    return {
        view: octis_m3l.TextPreprocessor.from_dict(
            {
                "language": language_of(view, languages),
                "vocabulary_size": vocabulary,
                "tokenizer": tokenizers.get(view, "auto"),
                **others,
            }
        )
        for view in views
    }


def _warn_of_empty_partitions(dataset: "octis_m3l.MultiviewDataset") -> None:
    from octis_m3l.data.views import PARTITIONS

    items = [sum(sizes) for sizes in zip(*(v.sizes for v in dataset.views.values()), strict=True)]
    empty = [name for name, count in zip(PARTITIONS, items, strict=True) if not count]
    if empty:
        warn(
            f"no item is in the partition(s) {' and '.join(empty)}: a model can't be "
            f"{'trained' if 'train' in empty else 'scored'} on them; give more records, or a "
            "column with partitions (--partition)."
        )


def _cache(folder: Path | None, without: bool) -> Path | str | None:
    if without and folder is not None:
        raise SettingsError("--cache and --no-cache: give one of them.")
    return None if without else folder or "default"


def encode(
    data: options.Data,
    encoder: Encoders = None,
    cache: Cache = None,
    no_cache: NoCache = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the embeddings of other encoders too.")
    ] = False,
    device: EncodingDevice = None,
    as_json: options.AsJson = False,
) -> None:
    """Encode texts and pictures of a data set; interrupted, the same command continues.

    Encoders: use, e5, sentence-transformers:NAME, model2vec:NAME,
    open-clip:ARCHITECTURE/PRETRAINED, open-clip-text:ARCHITECTURE/PRETRAINED, timm:NAME, picture;
    NAME may be a local folder, and options follow a question mark:
    sentence-transformers:NAME?max_length=128. VIEW may be texts or images: all of them.
    """
    from octis_m3l.encoders.encode import encode_folder

    chosen = pairs(encoder, "--encoder")
    if not chosen:
        raise SettingsError("name an encoder for a view: --encoder en=sentence-transformers:NAME.")
    encoded = encode_folder(
        data,
        chosen,
        device=device,
        cache=_cache(cache, no_cache),
        replace=not keep,
        progress=shows_progress(as_json),
    )
    show(encoded, as_json)
