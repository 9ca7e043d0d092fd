"""A data set on disk: everything comes back, and stock OCTIS reads each text view."""

import copy
import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from octis.dataset.dataset import Dataset
from PIL import Image
from views import image_view, refuses, text_view

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.folder import formats, writing
from octis_m3l.data.folder.writing import write_embeddings
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.views import ImageView, TextView, View
from octis_m3l.errors import StorageError
from octis_m3l.files import described_files, read_json

from_folder = MultiviewDataset.from_folder

NASTY = [
    *("null", "NULL", "NA", "NaN", "nan", "None", "N/A", "#N/A", "<NA>", "inf", "-Infinity"),
    *("1984", "007", "1e5", "-1", "0x1F", "1,5", "True", "false", "2024-01-01", "1+2j"),
    *('"', '""', '"a', 'a"', "'", '"""x""', "#", "#a", "\\", "\\t", "a\\", "\\N", ",", ";", "="),
    *("\ufeff", "\ufeffa", "\u200b", "\x1a", "\x7f", "\x01", "\u00ad"),
    *("日本", "ü", "u\u0308", "क्षि", "👩‍👩‍👧", "\U0001f9ff", "\u202eabc", "ﬁ", "x" * 200_000),
    *("train", "val", "test", "word"),
]

MESSY = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))


def is_word(text: str) -> bool:
    return text.split() == [text] and "\0" not in text


words = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).filter(is_word),
)
free_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
label_texts = st.one_of(
    st.sampled_from([*NASTY[:30], "a b", "\t", "\r", "\n", "a\r\nb"]), free_texts
)


def picture(shade: int) -> NDArray[np.uint8]:
    return np.full((2, 3, 3), shade, np.uint8)


def picture_files(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"picture {number}.png" for number in range(count)]
    for shade, path in enumerate(paths):
        Image.fromarray(picture(shade)).save(path)
    return paths


def small(**changes: Any) -> MultiviewDataset:
    """Two languages with everything that a text view can have, and three drawn pictures."""
    english = text_view(
        "en",
        ["cat dog cat", "dog", "", "null cat"],
        sizes=(2, 1, 1),
        labels=["pets", "pets", "", "007"],
        language="en",
        indexes=np.array([0, 2, 5, 3]),
        inputs=6,
        texts=["A cat, a dog,\na cat.", "Dog\u2028s", "half \ud83d of a pair", ""],
        word_vectors=np.eye(3, 2, dtype=np.float32),
        word_space="of-en",
        preprocessor=TextPreprocessor("en", vocabulary_size=3, stop_words=["the", "a"]),
        embeddings=np.arange(8, dtype=np.float32).reshape(4, 2),
        embedding_name="lsa-2",
    )
    german = text_view("de", ["Katze Hund", "Hund"], sizes=(1, 0, 1))
    image = ImageView(name="image", sizes=(2, 0, 1), pictures=[picture(s) for s in (0, 9, 255)])
    fold = {"en": [0, -1, 1, 2], "de": [0, 2], "image": [0, -1, 2]}
    arguments: dict[str, Any] = {
        "links": np.array([[0, 0, 0], [1, -1, 1], [3, 1, 2], [2, -1, -1]]),
        "pivot": "en",
        "metadata": {"name": "small", "licence": "CC0", "dropped": {"en": [1, 4]}},
        "dictionaries": {
            ("en", "de"): np.array([[0, 0], [1, 1]]),
            ("de", "en"): np.array([[1, 1]]),
        },
        "partitions": {"fold\t1": {name: np.array(of, np.int8) for name, of in fold.items()}},
    }
    return MultiviewDataset([english, german, image], **(arguments | changes))


def same(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    if isinstance(first, Mapping):
        return list(first) == list(second) and all(same(first[k], second[k]) for k in first)
    return bool(first == second)


def pixels(pictures: Any) -> list[list[Any]] | None:
    if pictures is None:
        return None
    return [(np.asarray(Image.open(p)) if isinstance(p, Path) else p).tolist() for p in pictures]


def assert_same_dataset(dataset: MultiviewDataset, read: MultiviewDataset) -> None:
    assert list(dataset.views) == list(read.views)
    for name, view in dataset.views.items():
        assert type(view) is type(read.view(name))
        for field in fields(view):
            values = getattr(view, field.name), getattr(read.view(name), field.name)
            assert same(*(map(pixels, values) if field.name == "pictures" else values)), field.name
    for attribute in ("pivot", "links", "metadata", "dictionaries", "partitions"):
        assert same(getattr(dataset, attribute), getattr(read, attribute)), attribute


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def edited(folder: Path, **changes: Any) -> None:
    content = read_json(folder / "metadata.json") | changes
    (folder / "metadata.json").write_text(json.dumps(content), encoding="utf-8")


def replace_file(folder: Path, name: str, content: str) -> None:
    """Change a file, and what the manifest says of it, as no copying accident would."""
    (folder / name).write_text(content, encoding="utf-8", newline="\n")
    manifest = (folder / "metadata.json").rename(folder.parent / "manifest")
    described = described_files(folder)
    manifest.rename(folder / "metadata.json")
    edited(folder, **described)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    small().save(tmp_path / "data")
    return tmp_path / "data"


# Everything comes back.


@st.composite
def text_views(draw: st.DrawFn, name: str) -> TextView:
    sizes = draw(st.tuples(*[st.integers(0, 3)] * 3))
    count = sum(sizes)
    few = draw(st.lists(words, min_size=1, max_size=4))
    documents = [" ".join(draw(st.lists(st.sampled_from(few), max_size=5))) for _ in range(count)]
    per_item = {"min_size": count, "max_size": count}
    view = text_view(
        name,
        documents,
        vocabulary=draw(st.permutations(list(dict.fromkeys(" ".join(documents).split())))),
        sizes=sizes,
        labels=draw(st.none() | st.lists(label_texts, **per_item)),
        texts=draw(st.none() | st.lists(st.text(max_size=8), **per_item)),
        language=draw(st.sampled_from([None, "en", "zh"])),
    )
    if draw(st.booleans()):
        indexes = draw(st.permutations(range(count + 2)))[:count]
        view = replace(view, indexes=np.array(indexes, np.int64), inputs=count + 2)
    if draw(st.booleans()):
        vectors = np.random.default_rng(0).normal(size=(len(view.vocabulary), 2))
        view = replace(view, word_vectors=vectors.astype(np.float32))
    return view


@st.composite
def datasets(draw: st.DrawFn) -> MultiviewDataset:
    views: list[View] = [draw(text_views(f"text-{n}")) for n in range(draw(st.integers(1, 2)))]
    kind = draw(st.sampled_from(["none", "pictures", "embeddings"]))
    if kind != "none":
        sizes = draw(st.tuples(*[st.integers(0, 2)] * 3))
        drawn = {"pictures": [picture(n) for n in range(sum(sizes))], "embeddings": None}
        views.insert(0, image_view("image", *sizes, **(drawn if kind == "pictures" else {})))
    if draw(st.booleans()):
        vectors = np.random.default_rng(1).normal(size=(len(views[-1]), 4)).astype(np.float32)
        views[-1] = replace(views[-1], embeddings=vectors, embedding_name="Some.encoder_v1")
    rows = []
    for _ in range(draw(st.integers(0, 5))):
        partition = draw(st.sampled_from(["train", "validation", "test"]))
        spans = [view.rows(partition) for view in views]
        rows.append([draw(st.sampled_from([-1, *range(s.start, s.stop)])) for s in spans])
    partitions = {
        name: {
            view.name: np.array([draw(st.integers(-1, 2)) for _ in range(len(view))], np.int8)
            for view in views
        }
        for name in draw(st.lists(free_texts, max_size=2, unique=True))
    }
    texts = [view for view in views if isinstance(view, TextView)]
    index = [st.integers(0, len(view.vocabulary) - 1) for view in (texts[0], texts[-1])]
    pairs = draw(st.lists(st.tuples(*index), max_size=3))
    dictionary = {(texts[0].name, texts[-1].name): np.array(pairs, np.int64).reshape(-1, 2)}
    return MultiviewDataset(
        views,
        np.array(rows, np.int64).reshape(-1, len(views)),
        metadata={"note": draw(free_texts), "number": 1.5},
        dictionaries=dictionary if pairs and len(texts) > 1 else {},
        partitions=partitions,
    )


@MESSY
@given(datasets())
def test_everything_comes_back(dataset: MultiviewDataset) -> None:
    with tempfile.TemporaryDirectory() as parent:
        dataset.save(Path(parent) / "data")
        assert names(Path(parent)) == ["data"]
        assert_same_dataset(dataset, from_folder(Path(parent) / "data"))


def test_a_folder_that_was_moved_is_read_and_written_over_itself(tmp_path: Path) -> None:
    dataset = small()
    dataset.save(tmp_path / "data")
    assert dataset.dataset_path == str(tmp_path / "data")
    shutil.move(tmp_path / "data", tmp_path / "moved")
    read = from_folder(str(tmp_path / "moved"))
    assert_same_dataset(dataset, read)
    assert read.dataset_path == str(tmp_path / "moved")
    assert isinstance(read.view("en").embeddings, np.memmap)
    assert isinstance(read.text_view("en").word_vectors, np.memmap)
    read.save(tmp_path / "moved", overwrite=True)
    assert_same_dataset(dataset, from_folder(tmp_path / "moved"))
    assert_same_dataset(dataset, read)


def test_the_folder_is_readable_by_people(stored: Path) -> None:
    manifest = read_json(stored / "metadata.json")
    assert (manifest["format"], manifest["version"]) == ("octis-m3l dataset", 1)
    assert [view["name"] for view in manifest["views"]] == ["en", "de", "image"]
    assert (manifest["last-training-doc"], manifest["last-validation-doc"]) == (2, 3)
    assert manifest["metadata"]["licence"] == "CC0"
    for name, content in {
        "links.tsv": "en\tde\timage\n0\t0\t0\n1\t-1\t1\n3\t1\t2\n2\t-1\t-1\n",
        "dictionaries/en--de.tsv": "cat\tKatze\ndog\tHund\n",
        "image/images.tsv": "".join(
            f"image/pictures/00000{number}.png\t{partition}\n"
            for number, partition in enumerate(["train", "train", "test"])
        ),
        "en/indexes.txt": "0\n2\n5\n3\n",
        "en/partitions.tsv": '"fold\t1"\ntrain\n""\nval\ntest\n',
    }.items():
        assert (stored / name).read_text() == content, name
    listed = "corpus.tsv embeddings indexes.txt metadata.json partitions.tsv preprocessing.json "
    listed += "texts.jsonl vocabulary.txt word_vectors.json word_vectors.npy"
    assert names(stored / "en") == listed.split()


def test_dictionaries_whose_files_would_have_one_name(tmp_path: Path) -> None:
    views = [text_view(name, [f"word{name}"]) for name in ("a", "-b", "a-", "b")]
    pairs = {("a", "-b"): np.array([[0, 0]]), ("a-", "b"): np.array([[0, 0]])}
    dataset = MultiviewDataset(views, dictionaries=pairs)
    dataset.save(tmp_path / "data")
    assert_same_dataset(dataset, from_folder(tmp_path / "data"))


# Stock OCTIS.


def assert_octis_reads(view: TextView) -> None:
    with tempfile.TemporaryDirectory() as parent:
        dataset = MultiviewDataset([view])
        dataset.save(Path(parent) / "data")
        assert_same_dataset(dataset, from_folder(Path(parent) / "data"))
        octis = Dataset()
        octis.load_custom_dataset_from_folder(str(Path(parent) / "data" / view.name))
    assert octis.get_corpus() == view.documents(slice(0, len(view)))
    assert octis.get_vocabulary() == list(view.vocabulary)
    assert octis.get_metadata()["last-training-doc"] == view.sizes[0]
    assert octis.get_metadata()["last-validation-doc"] == sum(view.sizes[:2])
    if view.labels is None:
        assert octis.get_labels() is None
    elif all(label.isalpha() and label.isascii() and label not in NASTY for label in view.labels):
        assert octis.get_labels() == list(view.labels)


@MESSY
@given(text_views("en").filter(len))
@example(text_view("en", ["\ufeffa b c"] * 2))
@example(text_view("en", ["a b c"] * 3, sizes=(1, 1, 1), labels=["sport", "art", "sport"]))
@example(text_view("en", ["1"] * 40_000 + [""] * 40_000 + ["a b"]))
def test_octis_reads_whatever_the_words_are(view: TextView) -> None:
    assert_octis_reads(view)


@pytest.mark.parametrize(
    "document",
    [
        *("", *NASTY, "#N/A N/A", "1 2", "1 e5", "- 1", "NaN NaN"),
        *('" "', '"a b"', "1 2 3", "\\ \\ \\", "null null null"),
    ],
    ids=lambda document: ascii(document)[:20],
)
def test_octis_reads_a_corpus_of_one_nasty_document_again_and_again(document: str) -> None:
    assert_octis_reads(text_view("en", [document] * 3, sizes=(1, 1, 1)))


# Pictures.


def pictured(pictures: list[Any], **changes: Any) -> MultiviewDataset:
    view = ImageView(name="image", sizes=(len(pictures), 0, 0), pictures=pictures, **changes)
    return MultiviewDataset.linked_by_row([text_view("en", ["a"] * len(pictures)), view])


def pictures_of(dataset: MultiviewDataset) -> list[Any]:
    return dataset.view("image").items(slice(0, len(dataset.view("image"))))


def test_picture_files_stay_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = picture_files(tmp_path / "photos", 2)
    dataset = pictured(paths, labels=["x", "y"], embeddings=np.ones((2, 2), np.float32))
    dataset.save(tmp_path / "data")
    table = (tmp_path / "data" / "image" / "images.tsv").read_text()
    assert table.splitlines()[0] == "../photos/picture 0.png\ttrain\tx"
    read = from_folder(tmp_path / "data")
    assert pictures_of(read) == paths
    assert_same_dataset(dataset, read)
    # Relative paths are those of the working folder.
    monkeypatch.chdir(tmp_path)
    pictured([Path("photos/picture 0.png")]).save(Path("sub/data"))
    monkeypatch.chdir(tmp_path / "photos")
    assert pictures_of(from_folder(Path("../sub/data"))) == paths[:1]


def test_pictures_on_another_drive_have_their_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = picture_files(tmp_path / "photos", 1)

    def refuse(*_: Any) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", refuse)
    pictured(paths).save(tmp_path / "data")
    table = (tmp_path / "data" / "image" / "images.tsv").read_text()
    assert table == f"{paths[0].as_posix()}\ttrain\n"
    assert pictures_of(from_folder(tmp_path / "data")) == paths


@pytest.mark.parametrize("through_link", [False, True])
def test_replacing_a_folder_keeps_the_pictures_inside(tmp_path: Path, through_link: bool) -> None:
    drawn = [picture(shade) for shade in range(6)]
    pictured(drawn, embeddings=np.eye(6, dtype=np.float32)).save(tmp_path / "data")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    split = from_folder(tmp_path / ("link" if through_link else "data")).with_split(0.5, 0.25)
    before = pixels(pictures_of(split))
    split.save(tmp_path / "data", overwrite=True)
    read = from_folder(tmp_path / "data")
    assert pixels(pictures_of(read)) == before
    assert ".." not in (tmp_path / "data" / "image" / "images.tsv").read_text()
    assert_same_dataset(split, read)
    assert names(tmp_path) == ["data", "link"]
    # New pictures get names that the old ones do not have.
    old = pictures_of(read)[:2]
    pictured([picture(77), *reversed(old)]).save(tmp_path / "data", overwrite=True)
    shown = pixels(pictures_of(from_folder(tmp_path / "data")))
    assert shown == [picture(77).tolist(), *reversed(before[:2] if before else [])]


def test_missing_pictures_are_counted_and_named(tmp_path: Path) -> None:
    paths = picture_files(tmp_path / "photos", 6)
    dataset = pictured(paths)
    dataset.save(tmp_path / "data")
    for path in paths[1:]:
        path.unlink()
    message = (
        f"view 'image': 5 of 6 picture files are missing: {paths[1]}, {paths[2]}, {paths[3]}, …; "
        "put them back there, or build the data set again without them."
    )
    with refuses(message):
        from_folder(tmp_path / "data")
    with refuses(message):
        dataset.save(tmp_path / "again")
    assert names(tmp_path) == ["data", "photos"]


# Embeddings.


def test_embeddings_are_added_and_chosen(stored: Path) -> None:
    wide = np.arange(12, dtype=np.float64).reshape(4, 3)
    write_embeddings(stored, "en", wide, "sbert", {"model": "x/y", "revision": "1"})
    write_embeddings(stored, "de", np.ones((2, 3), np.float32), "sbert", {})
    assert read_json(stored / "en" / "embeddings" / "sbert.json") == {
        "name": "sbert",
        "dimensions": 3,
        "rows": 4,
        "fingerprint": small().view("en").fingerprint(),
        "description": {"model": "x/y", "revision": "1"},
    }
    message = (
        "view 'en' has several embeddings: lsa-2, sbert; choose with embeddings='lsa-2' for every "
        "view, or embeddings={'en': 'lsa-2'} (--embeddings en=lsa-2)."
    )
    with refuses(message):
        from_folder(stored)
    choices: list[tuple[Any, str]] = [
        ("sbert", "sbert"),
        ({"en": "lsa-2"}, "lsa-2"),
        ({"texts": "sbert"}, "sbert"),
        ({"texts": "sbert", "en": "lsa-2"}, "lsa-2"),
        ({"en": "*"}, "lsa-2"),
    ]
    for chosen, expected in choices:
        views = from_folder(stored, embeddings=chosen).views
        assert [view.embedding_name for view in views.values()] == [expected, "sbert", "given"]
        assert views["image"].embeddings is None
    read = from_folder(stored, embeddings="sbert")
    assert same(np.asarray(read.view("en").embeddings), wide.astype(np.float32))


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../a", "a b", "x" * 101, "Ü"])
def test_embeddings_have_the_name_of_a_file(stored: Path, name: str) -> None:
    message = f"embeddings named '{name}': expected a file name of letters, digits, '.', '_' and '-"
    with refuses(message):
        write_embeddings(stored, "en", np.ones((4, 2), np.float32), name, {})
    dataset = small().with_embeddings({"de": np.ones((2, 2))}, name=name)
    with refuses(message):
        dataset.save(stored, overwrite=True)


NO_JSON = "the description of the embeddings 'mine' can't be written as JSON (Object of type ob"


@pytest.mark.parametrize(
    ("view", "rows", "name", "description", "message"),
    [
        ("fr", np.ones((4, 2)), "mine", {}, "unknown view 'fr'. Known: de, en, image."),
        ("en", np.ones((3, 2)), "mine", {}, "view 'en': embeddings have 3 rows for 4 items"),
        ("en", np.full((4, 2), np.nan), "mine", {}, "view 'en': the embedding of row 0 holds NaN"),
        ("en", np.ones((4, 2)), "org/model v2", {}, "'org-model-v2' would do."),
        ("en", np.ones((4, 2)), "mine", {"model": object()}, NO_JSON),
    ],
)
def test_embeddings_that_cannot_be_added(
    stored: Path, view: str, rows: Any, name: str, description: Any, message: str
) -> None:
    before = (stored / "metadata.json").read_bytes()
    with refuses(message):
        write_embeddings(stored, view, rows, name, description)
    assert (stored / "metadata.json").read_bytes() == before
    assert_same_dataset(small(), from_folder(stored))


def test_interrupted_embeddings_leave_a_readable_folder(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = from_folder(stored)
    new = np.ones((4, 9), np.float32)

    def interrupt(place: Path, *_: Any) -> None:
        place.parent.mkdir(parents=True)
        place.with_name(f"{place.name}.npy").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(formats, "_write_array", interrupt)
        write_embeddings(stored, "en", new, "lsa-2", {})
    assert_same_dataset(before, from_folder(stored))

    def killed(path: Path, target: Path) -> Path:
        if path.name == "lsa-2.json":
            raise KeyboardInterrupt
        return rename(path, target)

    rename = Path.replace
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        write_embeddings(stored, "en", new, "lsa-2", {})
    assert from_folder(stored).view("en").embeddings is None
    write_embeddings(stored, "en", new, "lsa-2", {})
    assert same(np.asarray(from_folder(stored).view("en").embeddings), new)
    assert names(stored / "en" / "embeddings") == ["lsa-2.json", "lsa-2.npy"]
    assert ".embeddings.lock" not in names(stored)


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        ("lsa", "view 'en' has no embeddings 'lsa'. Did you mean 'lsa-2'? Known: lsa-2."),
        ({"de": "lsa"}, "view 'de' has no embeddings 'lsa'. Known: none"),
        (
            {"eng": "lsa-2"},
            "unknown view in embeddings: 'eng'. Did you mean 'en'? Known: de, en, image, images, t",
        ),
    ],
)
def test_embeddings_that_are_not_there(stored: Path, embeddings: Any, message: str) -> None:
    with refuses(message):
        from_folder(stored, embeddings=embeddings)
    MultiviewDataset([text_view("en", ["a"])]).save(stored.parent / "bare")
    with refuses("no view has embeddings 'lsa', or any others; encode the"):
        from_folder(stored.parent / "bare", embeddings="lsa")


# Folders that are refused.


def cat_becomes_cow(folder: Path, *names: str) -> None:
    for name in names:
        content = (folder / name).read_text(encoding="utf-8")
        replace_file(folder, name, content.replace("cat", "cow"))


def another_shape(folder: Path) -> None:
    np.save(folder / "en" / "embeddings" / "lsa-2.npy", np.ones((2, 4), np.float32))
    replace_file(folder, "en/indexes.txt", "0\n2\n5\n3\n")


def flipped(name: str) -> Any:
    """Return what changes one bit of a file, as a disk may."""

    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[-3] ^= 64
        (folder / name).write_bytes(content)

    return damage


def truncated(folder: Path) -> None:
    (folder / "links.tsv").write_bytes((folder / "links.tsv").read_bytes()[:-9])


def other_pivot(folder: Path) -> None:
    whole = (folder / "metadata.json").read_bytes()
    (folder / "metadata.json").write_bytes(whole.replace(b'"pivot": "en"', b'"pivot": "de"'))


NO_MANIFEST = (
    " holds no metadata.json of a data set of octis-m3l: give the folder that dataset.save"
)
ONE_VIEW = {"kind": "text", "name": "en", "sizes": [1, 0, 0]}
HUGE = [ONE_VIEW | {"labels": True, "sizes": [10**15, 0, 0]}]
WORDS_OF = ("en/vocabulary.txt", "en/corpus.tsv", "dictionaries/en--de.tsv")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, " is missing: give the folder that dataset.save or octis-m3l build wrote."),
        (lambda f: (f / "metadata.json").unlink(), NO_MANIFEST),
        (lambda f: edited(f, format=None), NO_MANIFEST),
        (lambda f: edited(f, version=2), "has version 2 of its format, and this octis-m3l reads v"),
        (truncated, " is incomplete: links.tsv has 30 bytes instead of 39. It was probably copied"),
        (lambda f: (f / "links.tsv").unlink(), " is incomplete: links.tsv is missing. It was"),
        (other_pivot, "metadata.json is not what was written (its checksum differs): it is damag"),
        *(
            (flipped(name), f" is damaged: {name} is not what was written (its SHA-256 differs). C")
            for name in ("links.tsv", "en/texts.jsonl", "en/embeddings/lsa-2.npy")
        ),
        (lambda f: cat_becomes_cow(f, "en/texts.jsonl"), "lsa-2.npy was made for other items, whi"),
        (lambda f: cat_becomes_cow(f, *WORDS_OF), "word_vectors.npy was made for other words, whi"),
        (lambda f: edited(f, views=HUGE), "of shape (4, 2), expected (1000000000000000, 2)); wri"),
        (another_shape, "lsa-2.npy is damaged or incomplete (an array of shape (2, 4), expected "),
    ],
)
def test_folders_that_are_refused(stored: Path, damage: Any, message: str) -> None:
    damage(stored)
    with refuses(message, StorageError) as raised:
        from_folder(stored)
    assert str(raised.value).startswith(str(stored))


@pytest.mark.parametrize(
    ("place", "changes"),
    [
        ("links", {"links": "many"}),
        ("views.0.name", {"views": [ONE_VIEW | {"name": "../en"}]}),
        ("views.0.kind", {"views": [ONE_VIEW | {"kind": "sound"}]}),
        ("views.0.sizes.2", {"views": [ONE_VIEW | {"sizes": [1, 0, -1]}]}),
        ("dictionaries.0.file", {"dictionaries": [{"views": ["en", "de"], "file": "../a"}]}),
        ("pivot", {"pivot": None}),
    ],
)
def test_a_manifest_that_was_changed(stored: Path, place: str, changes: dict[str, Any]) -> None:
    edited(stored, **changes)
    with refuses(f"{stored / 'metadata.json'} is damaged or incomplete ({place}: ", StorageError):
        from_folder(stored)


OTHER_WORD = "cow\ttrain\ta\ndog\ttrain\ta\ndog\tval\ta\nx\ttest\ta\n"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("en/corpus.tsv", OTHER_WORD, "'cow' is missing or unknown); copy it again"),
        ("en/corpus.tsv", "dog\tval\ta\n", "expected (2, 1, 1) rows of train, val and test in"),
        ("en/corpus.tsv", "dog\ttrain\n", "2 columns, expected 3"),
        ("en/corpus.tsv", 'dog\t"train\n', "2 columns, expected 3"),
        ("en/indexes.txt", "0\none\n2\n3\n", "invalid literal for int() with base 10: 'one'"),
        ("en/texts.jsonl", "cat\n", "1 texts, expected 4"),
        ("en/embeddings/lsa-2.npy", "", "No data left in file); write it again"),
        ("links.tsv", "de\ten\timage\n0\t0\t0\n", "expected the views en, de, image in this orde"),
        ("links.tsv", "en\tde\timage\n0\tx\t0\n", "invalid literal for int() with base 10: 'x'"),
        ("dictionaries/en--de.tsv", "cow\tKuh\n", "'cow' is missing or unknown"),
        ("en/partitions.tsv", "fold\ntrain\n", "expected the names of the partitions in order"),
        ("en/partitions.tsv", '"fold\t1"\ntrains\n', "'trains' is missing or unknown"),
    ],
)
def test_a_file_that_was_changed(stored: Path, name: str, content: str, reason: str) -> None:
    replace_file(stored, name, content)
    with refuses(f"{stored / name} is damaged or incomplete ({reason}", StorageError):
        from_folder(stored)


@pytest.mark.parametrize("at_once", [1, 7, 2**24])
def test_texts_stay_in_their_file(
    at_once: int, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "_AT_ONCE", at_once)
    expected = ["a", "", "zwei\nZeilen\t\u2028", "日本 \ud800", "\ufeffx"]
    path = stored / "texts.jsonl"
    formats.write_texts(path, expected)
    found = formats.read_texts(path, 5)
    assert list(found) == expected
    assert found == expected
    assert found != expected[:4]
    assert (found[-1], found[1:3], found[::-2]) == (expected[-1], expected[1:3], expected[::-2])
    with pytest.raises(IndexError):
        found[5]
    assert copy.deepcopy(found) is found
    assert pickle.loads(pickle.dumps(found)) == expected
    formats.write_texts(path.with_name("none.jsonl"), [])
    assert list(formats.read_texts(path.with_name("none.jsonl"), 0)) == []
    path.write_text('"a"\n"b\n', encoding="utf-8")
    with refuses(f"{path} is damaged or incomplete (2 texts, expected 3)", StorageError):
        formats.read_texts(path, 3)
    broken = formats.read_texts(path, 2)
    assert broken[0] == "a"
    with refuses(f"{path} is damaged or incomplete (Invalid control character", StorageError):
        broken[1]


def test_a_data_set_is_saved_over_the_folder_that_its_texts_are_in(stored: Path) -> None:
    dataset = from_folder(stored)
    expected = list(dataset.text_view("en").texts or [])
    assert len(expected) == 4
    dataset.save(stored, overwrite=True)
    for one in (dataset, from_folder(stored)):
        assert list(one.text_view("en").texts or []) == expected
        assert one.text_view("en").items(slice(1, 3)) == expected[1:3]


def test_half_precision_is_kept(stored: Path, tmp_path: Path) -> None:
    dataset = from_folder(stored)
    vectors = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float16)
    np.save(tmp_path / "half.npy", vectors)
    half = dataset.with_embeddings({"en": tmp_path / "half.npy"}, order="stored", name="half")
    half.save(tmp_path / "of-half")
    again = from_folder(tmp_path / "of-half", embeddings={"en": "half"}).view("en").embeddings
    assert isinstance(again, np.memmap)
    assert again.dtype == np.float16
    np.testing.assert_array_equal(again, vectors)


def test_the_folder_of_one_view_points_to_the_whole(stored: Path) -> None:
    message = f"octis-m3l build wrote, perhaps {stored}, of which this folder is one view."
    with refuses(message, StorageError):
        from_folder(stored / "en")


def test_a_folder_of_a_version_without_hashes(stored: Path) -> None:
    content = read_json(stored / "metadata.json")
    del content["sha256"]
    (stored / "metadata.json").write_text(json.dumps(content), encoding="utf-8")
    assert_same_dataset(small(), from_folder(stored))
    write_embeddings(stored, "de", np.ones((2, 9), np.float32), "mine", {})
    added = read_json(stored / "metadata.json")["sha256"]
    assert sorted(added) == ["de/embeddings/mine.json", "de/embeddings/mine.npy"]
    from_folder(stored)


# What can't be written, or is not finished.


def test_an_existing_folder_is_replaced_only_when_that_is_wanted(stored: Path) -> None:
    other = MultiviewDataset([text_view("en", ["new"])])
    with refuses("pass overwrite=True (--overwrite) or choose another", StorageError):
        other.save(stored)
    assert_same_dataset(small(), from_folder(stored))
    other.save(stored, overwrite=True)
    assert_same_dataset(other, from_folder(stored))
    assert names(stored) == ["en", "metadata.json"]


@pytest.mark.parametrize("existing", [False, True])
def test_interrupted_writing_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool
) -> None:
    if existing:
        small().save(tmp_path / "data")

    def interrupt(_: Path) -> dict[str, int]:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "described_files", interrupt)
    with pytest.raises(KeyboardInterrupt):
        small(metadata={}).save(tmp_path / "data", overwrite=True)
    assert names(tmp_path) == (["data"] if existing else [])
    if existing:
        assert_same_dataset(small(), from_folder(tmp_path / "data"))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (
            pictured([np.zeros((2, 2), np.uint8)]),
            "view 'image': picture 0 has shape (2, 2) and type uint8; expected uint8 (height × "
            "width × 3).",
        ),
        (
            small(metadata={"date": object()}),
            "the metadata of the data set can't be written as JSON (Object of type object is not "
            "JSON serializable); use texts, finite numbers, lists and dictionaries.",
        ),
        (small(metadata={"score": float("nan")}), "can't be written as JSON (Out of range float"),
        (
            MultiviewDataset([text_view("en", ["a\0b c"])]),
            "en/corpus.tsv: 'a\\x00b c\\xa0\\ttrain' holds a NUL character or half of a surrogate "
            "pair, which OCTIS's files can't hold; remove it from the words, labels and file "
            "names.",
        ),
        (
            MultiviewDataset([text_view("en", ["c", "a b\ud83d d"])]),
            "en/corpus.tsv: 'a b\\ud83d d\\ttrain' holds a NUL character or half of a surrogate",
        ),
    ],
)
def test_what_cannot_be_stored(tmp_path: Path, dataset: MultiviewDataset, message: str) -> None:
    with refuses(message):
        dataset.save(tmp_path / "data")
    assert names(tmp_path) == []
