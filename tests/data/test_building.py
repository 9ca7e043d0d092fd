"""Data sets from lists, frames and JSON lines: items, links and rows stay together."""

import json
import re
import tracemalloc
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from octis_m3l.data import from_frame, from_jsonl, from_lists
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.views import ImageView
from octis_m3l.errors import DataError, OctisM3LError

pytestmark = pytest.mark.filterwarnings("error")
PLAIN = TextPreprocessor(tokenizer="whitespace", stop_words=False, vocabulary_size=None)
PARTITIONS = ("train", "validation", "test")
NAN = float("nan")


def built(texts: dict[str, list[Any]], **arguments: Any) -> MultiviewDataset:
    """Build without stop words, so that every word counts."""
    return from_lists(
        texts, **{"preprocessing": PLAIN, "languages": dict.fromkeys(texts), **arguments}
    )


def refused(message: str, call: Any, *arguments: Any, **more: Any) -> None:
    with pytest.raises(OctisM3LError, match=f"^{re.escape(message)}"):
        call(*arguments, **more)


def picture(number: int) -> np.ndarray[Any, Any]:
    return np.full((1, 1, 3), number, np.uint8)


def shown(item: Any) -> str:
    """Return a text, the name of a picture's file, or the shade of an array of one colour."""
    if isinstance(item, np.ndarray):
        return str(item[0, 0, 0])
    return item.name if isinstance(item, Path) else str(item)


def items_of(data: MultiviewDataset, name: str) -> list[str]:
    return [shown(item) for item in data.view(name).items(slice(0, len(data.view(name))))]


def tied(data: MultiviewDataset) -> list[set[tuple[str, str]]]:
    """Return the tuples that have more than one item, as names of views and of items."""
    groups: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for name in data.views:
        for number, item in zip(data.tuples(name), items_of(data, name), strict=True):
            groups[int(number)].add((name, item))
    return [group for _, group in sorted(groups.items()) if len(group) > 1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of pictures: four good ones, and three that can't be opened."""
    path = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(4):
        noise = random.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path / f"{number}.jpg")
    good = (path / "0.jpg").read_bytes()
    (path / "text.jpg").write_bytes(b"this is no picture")
    (path / "cut.jpg").write_bytes(good[: len(good) // 2])
    (path / "empty.jpg").write_bytes(b"")
    return path


# What is in a record.


def test_item_i_of_every_list_belongs_to_record_i() -> None:
    metadata = {"name": "x", "licence": "CC0"}
    texts = {"en": ["sea", "wood"], "de": ["meer", "wald"]}
    # A column of whole numbers with gaps comes as floats.
    data = built(texts, metadata=metadata, labels=[3.0, NAN], unusable="error")
    assert (items_of(data, "en"), items_of(data, "de")) == (["sea", "wood"], ["meer", "wald"])
    assert data.links.tolist() == [[0, 0], [1, 1]]
    assert (data.view("en").sizes, data.pivot) == ((2, 0, 0), "en")
    assert data.view("en").labels == ["3", ""]
    assert data.metadata.items() >= metadata.items()
    assert data.metadata["preprocessing"] == [
        f"View {name!r}: 2 documents, none of them empty; 2 of 2 tokens are in the vocabulary of "
        "2 words."
        for name in ("en", "de")
    ]
    assert "dropped" not in data.metadata
    assert built({"en": ["sea"], "de": ["meer"]}, pivot="de").pivot == "de"


@pytest.mark.parametrize("of", [list, tuple, iter, pd.Series, np.array])
def test_lists_may_be_of_any_kind(of: Any) -> None:
    data = built(
        {"en": of(["sea wood", "wood"])}, labels=of(["a", "b"]), partition=of(["train", "test"])
    )
    assert (data.view("en").sizes, data.view("en").labels) == ((1, 0, 1), ["a", "b"])


@pytest.mark.parametrize(
    "missing", [None, NAN, np.float64("nan"), np.float32("nan"), pd.NA, pd.NaT]
)
def test_a_missing_cell_is_a_gap(missing: Any) -> None:
    data = built(
        {"en": ["sea", missing, "field"], "de": [missing, "wald", "feld"]},
        images={"photo": [picture(1), missing, missing]},
        labels=["a", missing, "c"],
    )
    assert (items_of(data, "en"), items_of(data, "de")) == (["sea", "field"], ["wald", "feld"])
    assert tied(data) == [{("en", "sea"), ("photo", "1")}, {("en", "field"), ("de", "feld")}]
    assert (data.view("en").labels, data.view("de").labels) == (["a", "c"], ["", "c"])
    assert data.view("en").input_rows.tolist() == [0, 2]
    assert data.view("photo").input_rows.tolist() == [0]


def test_records_of_one_group_are_one(folder: Path) -> None:
    data = built(
        {"en": ["sea", "sea", "wood", "sea"], "de": ["meer", None, "wald", "meer"]},
        images={"photo": [folder / f"{number}.jpg" for number in range(4)]},
        group=["x", "x", "y", "x"],
        labels=["l", "l", "m", "l"],
    )
    assert (items_of(data, "en"), items_of(data, "de")) == (["sea", "wood"], ["meer", "wald"])
    assert tied(data) == [
        {("en", "sea"), ("de", "meer"), *(("photo", f"{i}.jpg") for i in (0, 1, 3))},
        {("en", "wood"), ("de", "wald"), ("photo", "2.jpg")},
    ]
    assert data.view("en").labels == ["l", "m"]
    assert data.view("photo").labels == ["l", "l", "m", "l"]
    assert data.view("en").input_rows.tolist() == [0, 2]
    long_numbers = built({"en": ["sea", "wood", "sea"]}, group=[2**53, 2**53 + 1, 2.5])
    assert long_numbers.info()["tuples"] == 3


def test_items_of_records_with_different_labels_have_none(folder: Path) -> None:
    first, second = folder / "0.jpg", folder / "1.jpg"
    with pytest.warns(UserWarning) as caught:
        data = built(
            {"en": ["sea", "wood", "field", "hill", "lake"]},
            images={"photo": [first, first, second, second, first]},
            labels=["water", "land", "land", None, "water"],
        )
    assert [str(warning.message) for warning in caught] == [
        f"view 'photo': 1 of 2 items belong to records with different labels ({first}: land, "
        "water); they have no label. Give all their records one label to keep it."
    ]
    assert data.view("en").labels == ["water", "land", "land", "", "water"]
    assert data.view("photo").labels == ["", "land"]
    with pytest.warns(UserWarning, match=r"view 'en': 1 of 1 items .* \(sea: land, water\); they"):
        data = built({"en": ["sea", "sea"]}, group=[1, 1], labels=["water", "land"])
    assert data.view("en").labels == [""]


def test_images_may_be_known_by_embeddings_alone(tmp_path: Path) -> None:
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.save(tmp_path / "photo.npy", vectors)
    for given_vectors in (vectors, tmp_path / "photo.npy"):
        data = built(
            {"en": ["sea", "sea wood", "field sea"]},
            images={"photo": None},
            embeddings={"photo": given_vectors},
            partition=["test", "train", "train"],
        )
        photos = data.view("photo")
        assert isinstance(photos, ImageView)
        assert photos.pictures is None
        np.testing.assert_array_equal(photos.embeddings, vectors[[1, 2, 0]])
        assert data.links.tolist() == [[0, 0], [1, 1], [2, 2]]


def test_pictures_may_be_images_of_pillow_or_grey() -> None:
    grey = np.full((1, 2), 9, np.uint8)
    for given_picture in (Image.fromarray(grey), grey):
        data = built({"en": ["sea"]}, images={"photo": [given_picture]})
        (found,) = data.view("photo").items(slice(0, 1))
        np.testing.assert_array_equal(found, np.full((1, 2, 3), 9))


def test_languages_and_preprocessing_are_those_of_the_names_unless_given() -> None:
    texts = {"en": ["the sea and the sand"], "text": ["the sea sea"], "de": ["das Meer Meer"]}
    data = from_lists(texts, languages={"de": None})
    assert [view.language for view in data.text_views.values()] == ["en", None, None]
    words = [view.vocabulary for view in data.text_views.values()]
    assert words == [("sand", "sea"), ("sea", "the"), ("das", "meer")]
    one = TextPreprocessor(vocabulary_size=1)
    words = [view.vocabulary for view in from_lists(texts, preprocessing=one).text_views.values()]
    assert words == [("the",), ("sea",), ("meer",)]
    data = from_lists(texts, preprocessing={"text": one})
    assert data.text_view("text").preprocessor is one
    assert data.text_view("de").preprocessor == TextPreprocessor(language="de")
    assert data.text_view("de").vocabulary == ("meer",)


# Partitions.


def test_items_are_stored_train_validation_test() -> None:
    marks = ["test", "Train", "dev", "TRAINING", "val", "valid", "validation", "train"]
    data = built({"en": [f"sea w{i}" for i in range(8)]}, partition=marks)
    assert data.view("en").sizes == (3, 4, 1)
    assert data.view("en").input_rows.tolist() == [1, 3, 7, 2, 4, 5, 6, 0]
    assert items_of(data, "en") == [f"sea w{i}" for i in (1, 3, 7, 2, 4, 5, 6, 0)]


def test_an_item_or_a_group_in_two_partitions_is_an_error(folder: Path) -> None:
    path = folder / "0.jpg"
    message = (
        "'{}', record 2: the same item ({}) is in two partitions of '{}', train and test; keep it "
        "in one."
    )
    marks = ["train", "train", "test"]
    one, two = {"en": ["sea", "see", "sea"]}, {"en": ["sea"] * 3, "de": ["meer"] * 3}
    shared = message.format("photo", str(path)[:80], "partition")
    refused(shared, built, one, images={"photo": [path, None, path]}, partition=marks)
    for texts in (one, two):
        others = {"other": marks}
        refused(
            message.format("group", 1, "partition"), built, texts, group=[1, 2, 1], partition=marks
        )
        refused(
            message.format("group", 1, "other"),
            built,
            texts,
            group=[1, 2, 1],
            other_partitions=others,
        )


def test_other_partitions_are_kept_and_can_be_chosen() -> None:
    data = built(
        {"en": ["sea", "sea wood", "sea field"], "de": ["meer", None, "meer feld"]},
        partition=["test", "train", "train"],
        other_partitions={"other": ["train", "validation", "test"]},
    )
    assert items_of(data, "en") == ["sea wood", "sea field", "sea"]
    other = data.with_partition("other")
    assert items_of(other, "en") == ["sea", "sea wood", "sea field"]
    assert (other.view("en").sizes, other.view("de").sizes) == ((1, 1, 1), (1, 0, 1))
    assert tied(other) == tied(data)[::-1]


def test_a_split_is_drawn_before_the_vocabulary_is_chosen() -> None:
    texts = [f"word{'abcdefghij'[i % 10]}{'abcdefghij'[i // 10]}" for i in range(100)]
    with pytest.warns(UserWarning, match="20 of 100 items have no word left after preprocessing"):
        data = built({"en": texts, "de": texts}, split=(0.8, 0.1))
    assert data.view("en").sizes[0] == 80
    assert set(data.text_view("en").vocabulary) == set(items_of(data, "en")[:80])


def test_records_with_a_common_picture_are_in_one_partition(folder: Path) -> None:
    count, logo = 10_000, folder / "0.jpg"
    tracemalloc.start()
    data = from_lists({"en": ["sea wood"] * count}, images={"p": [logo] * count}, split=(1.0, 0.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(data.view("en").sizes) == count
    # Nothing grows with the square of the records.
    assert peak < count**2


# What can't be used.


def test_empty_documents_are_left_out_and_links_follow() -> None:
    texts = {"en": ["sea", "", "...", "wood", "field"], "de": ["meer", "see", "holz", "", "feld"]}
    message = (
        "view '{}': {} of 5 items have no word left after preprocessing (rows {}, counted from 0); "
    )
    english, german = message.format("en", 2, "1, 2"), message.format("de", 1, "3")
    refused(f"{english}repair or remove them, or pass unus", built, texts, unusable="error")
    with pytest.warns(UserWarning) as caught:
        data = built(texts, labels=list("abcde"))
    warned = [str(warning.message) for warning in caught]
    assert warned == [f"{one}they were left out, links follow." for one in (english, german)]
    assert data.metadata["dropped"] == {"en": [1, 2], "de": [3]}
    assert items_of(data, "en") == ["sea", "wood", "field"]
    assert items_of(data, "de") == ["meer", "see", "holz", "feld"]
    assert data.view("en").labels == ["a", "d", "e"]
    assert tied(data) == [{("en", "sea"), ("de", "meer")}, {("en", "field"), ("de", "feld")}]
    assert data.with_views(["de"]).metadata["dropped"] == {"de": [3]}


def test_pictures_that_cannot_be_opened_are_left_out_and_links_follow(folder: Path) -> None:
    names = ["text.jpg", "0.jpg", "cut.jpg", "gone.jpg", "1.jpg", "empty.jpg"]
    texts, images = [f"sea w{i}" for i in range(6)], [folder / name for name in names]
    message = (
        "view 'photo': 4 of 6 items can't be opened as an image (rows 0, 2, 3, 5, counted from 0: "
        f"{folder / 'text.jpg'} is no picture; {folder / 'cut.jpg'} is broken or can't be read "
        f"(Truncated File Read); {folder / 'gone.jpg'} is missing; {folder / 'empty.jpg'} is no "
        "picture)"
    )
    with pytest.warns(UserWarning) as caught:
        data = built({"en": texts}, images={"photo": images})
    assert [str(one.message) for one in caught] == [f"{message}; they were left out, links follow."]
    assert items_of(data, "photo") == ["0.jpg", "1.jpg"]
    assert tied(data) == [
        {("en", f"sea w{number}"), ("photo", name)} for number, name in ((1, "0.jpg"), (4, "1.jpg"))
    ]
    message += "; repair or remove them, or pass unusable='drop'."
    refused(message, built, {"en": texts}, images={"photo": images}, unusable="error")


def test_a_view_without_any_usable_item_is_an_error(folder: Path) -> None:
    message = "View 'de': no vocabulary. 0 of its 0 training documents have text."
    refused(message, built, {"en": ["sea"], "de": [None]})
    message = "view 'photo' has no usable item: all 1 were missing or dropped."
    with pytest.warns(UserWarning, match="1 of 1 items can't be opened"):
        refused(message, built, TWO, images={"photo": [folder / "text.jpg", None]})


# Arguments that are refused.

TWO = {"en": ["sea", "wood"]}
THREE = {"en": ["sea", "wood"], "de": ["meer"]}
GREY, FLOATS = np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3))


@pytest.mark.parametrize(
    ("texts", "arguments", "message"),
    [
        (TWO, {"group": ["a", None]}, "record 1 has no group; give one for each record."),
        (TWO, {"group": [["a"], 1]}, "group: expected a name or number for each record (unhasha"),
        (TWO, {"group": [1, 2, 3]}, "the lists differ in length (en: 2, group: 3); give one entry"),
        (THREE, {}, "the lists differ in length (en: 2, de: 1); give one entry for each record, N"),
        (TWO, {"embeddings": {"enn": FLOATS}}, "embeddings are given for 'enn', which is no view."),
        (TWO, {"embeddings": {"en": np.zeros((3, 1))}}, "view 'en': embeddings have 3 rows, the i"),
        (TWO, {"images": {"p": None}}, "image view 'p' has neither pictures nor embeddings."),
        (TWO, {"images": {"en": [GREY] * 2}}, "view 'en' is named among the texts and the images."),
        (TWO, {"images": {"p": [None, FLOATS]}}, "view 'p', record 1: the picture is an array of "),
        (TWO, {"images": {"p": [1, 2]}}, "view 'p', record 0: the picture is of type int; expecte"),
        (TWO, {"images": {"p": ["http://a/b", 2]}}, "view 'p', record 0: the picture is an addres"),
        (TWO, {"labels": ["a"]}, "1 labels for 2 records; give one for each."),
        (TWO, {"labels": ["a", 2.0**53]}, "label 9007199254740992.0: a float of this size may be"),
        (TWO, {"labels": ["a", "\ud83d"]}, "label 1 holds half of a surrogate pair ("),
        (TWO, {"partition": ["train"] * 3}, "3 entries of 'partition' for 2 records; g"),
        (TWO, {"partition": ["Tset", None]}, "'partition' has 2 unknown entries, the first is 'Ts"),
        (TWO, {"other_partitions": {"o": ["train", "x"]}}, "'o' has 1 unknown entries, the first "),
        (TWO, {"partition": ["train"] * 2, "split": (1, 0)}, "partition and split are both given;"),
        (TWO, {"split": (0.8, 0.3)}, "shares train=0.8, validation=0.3: expected train above "),
        (TWO, {"split": 0.8}, "from_lists: split=0.8: it should be a valid tuple."),
        (TWO, {"split": (0.8, 0.1), "split_seed": -1}, "seed=-1: expected a whole number, 0 or mo"),
        ({"en": []}, {}, "there is no record: every list is empty."),
        ({}, {}, "there is no record: every list is empty."),
        (TWO, {"unusable": "skip"}, "from_lists: unusable='skip': it should be 'drop' or 'error'."),
        (TWO, {"languages": {"enn": "en"}}, "unknown view of texts in languages 'enn'. Di"),
        (TWO, {"preprocessing": {"enn": PLAIN}}, "unknown view of texts in preprocessing '"),
    ],
)
def test_lists_that_are_refused(
    texts: dict[str, list[Any]], arguments: dict[str, Any], message: str
) -> None:
    refused(message, built, texts, **arguments)


@pytest.mark.parametrize("half", ["\ud83d", "\udc80"])
def test_half_of_a_surrogate_pair_is_refused(half: str) -> None:
    message = (
        f"View 'en', row 1: the document holds half of a surrogate pair ({half!r} at character 4), "
        "which is no character: it was decoded wrongly. Decode it again, or repair it with "
        "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')."
    )
    refused(message, built, {"en": ["sea", f"wood{half} hill"]})
    repaired = "wood \ud83d\ude00\ud83d".encode("utf-16", "surrogatepass")
    data = built({"en": [repaired.decode("utf-16", "replace")]})
    assert items_of(data, "en") == ["wood 😀\ufffd"]


@pytest.mark.parametrize(
    "single", ["sea ship", b"sea", 3, {"a": "sea"}, {"sea"}, Path("a"), pd.DataFrame({"a": [1]})]
)
@pytest.mark.parametrize(
    "argument", ["texts", "images", "partition", "labels", "group", "other_partitions"]
)
def test_a_single_item_is_no_list(argument: str, single: Any) -> None:
    of_views = argument in ("texts", "images", "other_partitions")
    message = f"expected a list of items, given one {type(single).__name__}; put a single item in a"
    with pytest.raises(DataError, match=message):
        from_lists(**{"texts": TWO, argument: {"x": single} if of_views else single})


# Properties.

NOTHING = ("", "...", None, NAN)


@st.composite
def records(draw: st.DrawFn) -> tuple[dict[str, list[Any]], list[str]]:
    """Draw cells of two languages and pictures, each item different from all others."""
    count, number = draw(st.integers(0, 7)), 1
    columns: dict[str, list[Any]] = {"en": ["en0 all"], "de": ["de0 all"], "photo": [picture(0)]}
    for name, column in columns.items():
        for _ in range(count):
            cell: list[Any] = []
            for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
                item = picture(number) if name == "photo" else f"{name}{number} all"
                usable = name == "photo" or draw(st.booleans() | st.just(True))
                cell.append(item if usable else draw(st.sampled_from(NOTHING)))
                number += 1
            alone = len(cell) == 1 and draw(st.booleans())
            column.append(cell[0] if alone else cell or None)
    return columns, ["train"] + [draw(st.sampled_from(PARTITIONS)) for _ in range(count)]


def flat(cells: list[Any]) -> list[Any]:
    return [item for cell in cells for item in (cell if isinstance(cell, list) else [cell])]


def is_kept(item: Any) -> bool:
    return isinstance(item, np.ndarray) or item not in NOTHING


@settings(deadline=None, max_examples=150)
@given(records())
def test_links_labels_and_embeddings_of_an_item_are_those_of_its_record(
    case: tuple[dict[str, list[Any]], list[str]],
) -> None:
    columns, partition = case
    labels = [f"l{record}" for record in range(len(partition))]
    # Embeddings have a row for each cell, or for each item where a column has lists.
    inputs = {
        name: [item for item in flat(column) if item is not None and item is not NAN]
        if any(isinstance(cell, list) for cell in column)
        else column
        for name, column in columns.items()
    }
    vectors = {name: np.arange(len(rows), dtype=float)[:, None] for name, rows in inputs.items()}
    texts, images = {name: columns[name] for name in ("en", "de")}, {"photo": columns["photo"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        data = built(texts, images=images, partition=partition, labels=labels, embeddings=vectors)
    place = {}
    for name, rows in inputs.items():
        stored = items_of(data, name)
        found = data.view(name).embeddings
        assert found is not None
        assert found.dtype == np.float32
        assert [shown(rows[int(value)]) for value in found[:, 0]] == stored
        place |= {(name, item): number for number, item in enumerate(stored)}
    expected_groups = []
    for record, mark in enumerate(partition):
        mine = {
            (name, shown(item))
            for name, column in columns.items()
            for item in filter(is_kept, flat([column[record]]))
        }
        for name, item in mine:
            view, number = data.view(name), place.pop((name, item))
            assert number in range(*view.rows(mark).indices(len(view)))
            assert view.labels is not None
            assert view.labels[number] == labels[record]
        if len({name for name, _ in mine}) > 1:
            expected_groups.append(mine)
    assert place == {}
    assert sorted(map(sorted, tied(data))) == sorted(map(sorted, expected_groups))


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.none() | st.integers(0, 2)),
        min_size=1,
        max_size=9,
    )
)
def test_groups_and_shared_pictures_are_the_tuples_of_a_slow_loop(
    rows: list[tuple[int, int, int | None]], folder: Path
) -> None:
    group = [f"g{g}" for g, _, _ in rows]
    english = [f"g{g}t{t} all" for g, t, _ in rows]
    german = [f"g{g} all" for g, _, _ in rows]
    photos = [None if p is None else folder / f"{p}.jpg" for _, _, p in rows]
    images = {"photo": photos} if any(photos) else None
    data = built({"en": english, "de": german}, images=images, group=group)
    members: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for g, en, de, photo in zip(group, english, german, photos, strict=True):
        members[g] |= {("en", en), ("de", de)} | ({("photo", photo.name)} if photo else set())
    groups = list(members.values())
    for _ in rows:
        merged: list[set[tuple[str, str]]] = []
        for one in groups:
            touching = [other for other in merged if other & one]
            merged = [other for other in merged if not other & one]
            merged.append(one.union(*touching))
        groups = merged
    assert sorted(map(sorted, tied(data))) == sorted(map(sorted, groups))


# Frames.


def test_a_frame_has_a_column_for_each_view(folder: Path) -> None:
    frame = pd.DataFrame(
        {
            "english": ["sea all", "sea all", None, "wood all sea"],
            "de": ["see", None, "see", np.nan],
            "file": ["0.jpg", "2.jpg", "1.jpg", None],
            "split": ["test", "test", "train", "train"],
            "fold": ["train", "train", "train", "test"],
            "topic": ["water", "water", None, "land"],
            "article": [7, 7, 8, 9],
        }
    )
    data = from_frame(
        frame,
        texts={"en": "english", "de": "de"},
        images={"photo": "file"},
        partition="split",
        other_partitions=["fold"],
        label="topic",
        group="article",
        image_folder=folder,
        preprocessing=PLAIN,
        unusable="error",
    )
    assert items_of(data, "en") == ["wood all sea", "sea all"]
    assert data.view("en").sizes == (1, 0, 1)
    assert (data.view("en").labels, data.view("de").labels) == (["land", "water"], ["", "water"])
    assert data.view("photo").items(slice(0, 2)) == [folder / "1.jpg", folder / "0.jpg"]
    assert tied(data) == [
        {("de", "see"), ("photo", "1.jpg")},
        {("en", "sea all"), ("de", "see"), ("photo", "0.jpg"), ("photo", "2.jpg")},
    ]
    assert items_of(data.with_partition("fold"), "en") == ["sea all", "wood all sea"]


@pytest.mark.parametrize("dtype", ["object", "string", "str"])
def test_missing_values_of_any_kind_of_column_are_gaps(dtype: str) -> None:
    english = pd.Series(["sea", None, "wood"], dtype=dtype)
    frame = pd.DataFrame({"en": english, "de": ["meer", "see", "wald"]})
    data = from_frame(frame, texts=["en", "de"], preprocessing=PLAIN)
    assert items_of(data, "en") == ["sea", "wood"]
    assert data.links.tolist() == [[-1, 1], [0, 0], [1, 2]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": "x"}, "from_frame has no argument 'labels'. Did you mean 'label'? Known: "),
        ({"label": ["x"]}, "from_frame: label=['x']: it should be hashable."),
        ({"texts": {"en": ["a"]}}, "from_frame: texts['en']=['a']: it should be hashable."),
        ({"texts": 3}, "from_frame: texts=3: it should be a valid dictionary or should be"),
        ({"other_partitions": [3]}, "from_frame: other_partitions[0]=3: it should be a valid str"),
        ({"group": "twice"}, "the table has 2 columns 'twice'; rename all but one of them."),
        ({"texts": ["enn"]}, "there is no column 'enn'. Did you mean 'en'? Known: en, twice, twic"),
        ({"partition": "y"}, "there is no column 'y'."),
        ({"images": {"photo": "y"}}, "there is no column 'y'."),
        ({"other_partitions": ["y"]}, "there is no column 'y'."),
        ({"frame": "a.csv"}, "from_frame: frame='a.csv': it should be an instance of DataFrame."),
    ],
)
def test_columns_are_named_by_one_word(arguments: dict[str, Any], message: str) -> None:
    frame = pd.DataFrame([["sea", 1, 2, 3]], columns=["en", "x", "twice", "twice"])
    refused(message, from_frame, **{"frame": frame, "texts": ["en"], **arguments})
    assert from_frame(frame, texts="en", label="x").view("en").labels == ["1"]


def test_json_lines_have_a_field_for_each_view(folder: Path, tmp_path: Path) -> None:
    rows = [
        {"text": {"en": "sea", "de": "meer"}, "photo": ["0.jpg", "1.jpg"], "split": "train"},
        {"text": {"en": "wood"}, "photo": None, "split": "train", "label": "green"},
        {"text": {"de": "meer", "en": None}, "photo": "2.jpg", "split": "test", "label": "blue"},
    ]
    columns = {"texts": {"en": "text.en", "de": "text.de"}, "images": ["photo"], "label": "label"}
    for path in (folder / "a.jsonl", tmp_path / "a.jsonl"):
        path.write_text("\n\n".join(map(json.dumps, rows)))
        found = from_jsonl(
            path, image_folder=folder, partition="split", preprocessing=PLAIN, **columns
        )
    data = from_jsonl(folder / "a.jsonl", partition="split", preprocessing=PLAIN, **columns)
    assert found.fingerprints() == data.fingerprints()
    assert (items_of(data, "en"), items_of(data, "de")) == (["sea", "wood"], ["meer", "meer"])
    assert data.view("photo").items(slice(0, 3)) == [folder / f"{i}.jpg" for i in range(3)]
    assert (data.view("en").labels, data.view("de").labels) == (["", "green"], ["", "blue"])
    assert tied(data) == [
        {("en", "sea"), ("de", "meer"), ("photo", "0.jpg"), ("photo", "1.jpg")},
        {("de", "meer"), ("photo", "2.jpg")},
    ]
