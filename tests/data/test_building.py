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
from octis_m3l.errors import DataError, OctisM3LError, SettingsError

PLAIN = TextPreprocessor(tokenizer="whitespace", stop_words=False, vocabulary_size=None)
PARTITIONS = ("train", "validation", "test")
NAN = float("nan")


def built(texts: dict[str, list[Any]], **arguments: Any) -> MultiviewDataset:
    """Build without stop words, so that every word counts."""
    return from_lists(
        texts, **{"preprocessing": PLAIN, "languages": dict.fromkeys(texts), **arguments}
    )


def texts_of(data: MultiviewDataset, name: str) -> list[str]:
    return data.text_view(name).items(slice(0, len(data.view(name))))


def picture(number: int) -> np.ndarray[Any, Any]:
    return np.full((1, 1, 3), number, np.uint8)


def shades_of(data: MultiviewDataset, name: str) -> list[int]:
    """Return the shade of each picture of one colour."""
    return [int(array[0, 0, 0]) for array in data.view(name).items(slice(0, len(data.view(name))))]


def files(data: MultiviewDataset, name: str) -> list[str]:
    return [path.name for path in data.view(name).items(slice(0, len(data.view(name))))]


def tied(data: MultiviewDataset) -> list[set[tuple[str, str]]]:
    """Return the tuples that have more than one item, as names of views and of items."""
    groups: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for name, view in data.views.items():
        shown = (
            (
                files(data, name)
                if isinstance(view.items(slice(0, 1))[0], Path)
                else shades_of(data, name)
            )
            if isinstance(view, ImageView)
            else texts_of(data, name)
        )
        for number, item in zip(data.tuples(name), shown, strict=True):
            groups[int(number)].add((name, str(item)))
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


def quietly(function: Any, *arguments: Any, **more: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*arguments, **more)


# What is in a record.


def test_item_i_of_every_list_belongs_to_record_i() -> None:
    data = quietly(built, {"en": ["sea", "wood"], "de": ["meer", "wald"]})
    assert texts_of(data, "en") == ["sea", "wood"]
    assert texts_of(data, "de") == ["meer", "wald"]
    assert data.links.tolist() == [[0, 0], [1, 1]]
    assert data.view("en").sizes == (2, 0, 0)
    assert data.pivot == "en"
    assert "dropped" not in data.metadata


@pytest.mark.parametrize("missing", [None, NAN, np.float64("nan"), pd.NA])
def test_a_missing_cell_is_a_gap(missing: Any) -> None:
    data = quietly(
        built,
        {"en": ["sea", missing, "field"], "de": [missing, "wald", "feld"]},
        images={"photo": [picture(1), missing, missing]},
        labels=["a", missing, "c"],
    )
    assert texts_of(data, "en") == ["sea", "field"]
    assert texts_of(data, "de") == ["wald", "feld"]
    assert tied(data) == [
        {("en", "sea"), ("photo", "1")},
        {("en", "field"), ("de", "feld")},
    ]
    assert data.view("en").labels == ["a", "c"]
    assert data.view("de").labels == ["", "c"]
    assert data.view("en").input_rows.tolist() == [0, 2]
    assert data.view("photo").input_rows.tolist() == [0]


def test_a_cell_may_hold_several_items() -> None:
    data = quietly(
        built,
        {"en": ["sea", "wood"], "de": [["meer", "see"], None]},
        images={"photo": [[picture(1), picture(2), picture(3)], (picture(4), None)]},
    )
    assert shades_of(data, "photo") == [1, 2, 3, 4]
    assert tied(data) == [
        {("en", "sea"), ("de", "meer"), ("de", "see"), *(("photo", str(i)) for i in (1, 2, 3))},
        {("en", "wood"), ("photo", "4")},
    ]


def test_a_path_that_several_records_have_is_one_picture(folder: Path) -> None:
    shared = folder / "1.jpg"
    data = quietly(
        built,
        {"en": ["sea", "wood", "field"]},
        images={"photo": [str(shared), [folder / "0.jpg", shared], folder / "2.jpg"]},
    )
    assert files(data, "photo") == ["1.jpg", "0.jpg", "2.jpg"]
    assert tied(data) == [
        {("en", "sea"), ("en", "wood"), ("photo", "1.jpg"), ("photo", "0.jpg")},
        {("en", "field"), ("photo", "2.jpg")},
    ]


def test_records_of_one_group_are_one(folder: Path) -> None:
    data = quietly(
        built,
        {"en": ["sea", "sea", "wood", "sea"], "de": ["meer", None, "wald", "meer"]},
        images={"photo": [folder / f"{number}.jpg" for number in (0, 1, 2, 3)]},
        group=["x", "x", "y", "x"],
        labels=["l", "l", "m", "l"],
    )
    assert texts_of(data, "en") == ["sea", "wood"]
    assert texts_of(data, "de") == ["meer", "wald"]
    assert tied(data) == [
        {("en", "sea"), ("de", "meer"), *(("photo", f"{i}.jpg") for i in (0, 1, 3))},
        {("en", "wood"), ("de", "wald"), ("photo", "2.jpg")},
    ]
    assert data.view("en").labels == ["l", "m"]
    assert data.view("photo").labels == ["l", "l", "m", "l"]


def test_items_of_records_with_different_labels_have_none(folder: Path) -> None:
    first, second = folder / "0.jpg", folder / "1.jpg"
    texts = {"en": ["sea", "wood", "field", "hill", "lake"]}
    with pytest.warns(UserWarning) as caught:
        data = built(
            texts,
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


@pytest.mark.parametrize("half", ["\ud83d", "\udc80"])
def test_half_of_a_surrogate_pair_is_refused(half: str) -> None:
    message = (
        f"View 'en', row 1: the document holds half of a surrogate pair ({half!r} at character 4), "
        "which is no character: it was decoded wrongly. Decode it again, or repair it with "
        "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        built({"en": ["sea", f"wood{half} hill"]})
    with pytest.raises(DataError, match=r"^label 1 holds half of a surrogate pair \("):
        built({"en": ["sea", "wood"]}, labels=["a", half])
    repaired = "wood \ud83d\ude00\ud83d".encode("utf-16", "surrogatepass")
    assert texts_of(built({"en": [repaired.decode("utf-16", "replace")]}), "en") == [
        "wood 😀\ufffd"
    ]


def test_whole_number_labels_with_gaps_stay_whole() -> None:
    data = built({"en": ["sea", "wood", "field"]}, labels=[3.0, float("nan"), 2.5])
    assert data.view("en").labels == ["3", "", "2.5"]


def test_images_may_be_known_by_embeddings_alone() -> None:
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    data = quietly(
        built,
        {"en": ["sea", "sea wood", "field sea"]},
        images={"photo": None},
        embeddings={"photo": vectors},
        partition=["test", "train", "train"],
    )
    photos = data.view("photo")
    assert isinstance(photos, ImageView)
    assert photos.pictures is None
    np.testing.assert_array_equal(photos.embeddings, vectors[[1, 2, 0]])
    assert data.links.tolist() == [[0, 0], [1, 1], [2, 2]]


def test_pictures_may_be_images_of_pillow() -> None:
    image = Image.new("L", (2, 1), 9)
    data = quietly(built, {"en": ["sea"]}, images={"photo": [image]})
    assert shades_of(data, "photo") == [9]
    assert data.view("photo").items(slice(0, 1))[0].shape == (1, 2, 3)


def test_languages_are_those_of_the_names_unless_given() -> None:
    texts = {"en": ["the sea and the sand"], "text": ["the sea"], "de": ["das Meer"]}
    data = from_lists(texts, languages={"de": None})
    assert [data.text_view(name).language for name in texts] == ["en", None, None]
    assert data.text_view("en").vocabulary == ("sand", "sea")
    assert data.text_view("text").vocabulary == ("sea", "the")
    assert data.text_view("de").vocabulary == ("das", "meer")


def test_preprocessing_may_be_one_or_one_a_view() -> None:
    texts = {"en": ["Sea Sea wood"], "de": ["Meer Meer Wald"]}
    one = TextPreprocessor(vocabulary_size=1)
    data = from_lists(texts, preprocessing=one)
    assert [view.vocabulary for view in data.text_views.values()] == [("sea",), ("meer",)]
    data = from_lists(texts, preprocessing={"en": one})
    assert data.text_view("en").preprocessor is one
    assert data.text_view("de").vocabulary == ("meer", "wald")
    assert data.text_view("de").preprocessor == TextPreprocessor(language="de")


def test_pivot_and_metadata_are_kept() -> None:
    data = built(
        {"en": ["sea"], "de": ["meer"]}, pivot="de", metadata={"name": "x", "licence": "CC0"}
    )
    assert data.pivot == "de"
    assert data.metadata["name"] == "x"
    assert data.metadata["licence"] == "CC0"
    assert data.metadata["preprocessing"] == [
        f"View {name!r}: 1 documents, none of them empty; 1 of 1 tokens are in the vocabulary of "
        "1 words."
        for name in ("en", "de")
    ]


# Partitions.


def test_items_are_stored_train_validation_test() -> None:
    marks = ["test", "Train", "dev", "TRAINING", "val", "valid", "validation", "train"]
    data = quietly(built, {"en": [f"sea w{i}" for i in range(8)]}, partition=marks)
    assert data.view("en").sizes == (3, 4, 1)
    assert data.view("en").input_rows.tolist() == [1, 3, 7, 2, 4, 5, 6, 0]
    assert texts_of(data, "en") == [f"sea w{i}" for i in (1, 3, 7, 2, 4, 5, 6, 0)]


def test_the_same_picture_in_two_partitions_is_an_error(folder: Path) -> None:
    path = folder / "0.jpg"
    message = (
        f"view 'photo': the same item ({str(path)[:80]}) is in two partitions of 'partition', "
        "train and test (record 2); keep it in one."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        built(
            {"en": ["sea", "wood", "sea"]},
            images={"photo": [path, None, path]},
            partition=["train", "train", "test"],
        )


def test_a_group_across_partitions_is_an_error() -> None:
    marks = ["train", "train", "test"]
    message = "the group of record 2 is in two partitions of '{}', train and test; keep it in one."
    for texts in ({"en": ["sea", "see", "sea"]}, {"en": ["sea"] * 3, "de": ["meer"] * 3}):
        with pytest.raises(DataError, match=f"^{re.escape(message.format('partition'))}$"):
            built(texts, partition=marks, group=[1, 2, 1])
        with pytest.raises(DataError, match=f"^{re.escape(message.format('other'))}$"):
            built(texts, other_partitions={"other": marks}, group=[1, 2, 1])


def test_other_partitions_are_kept_and_can_be_chosen() -> None:
    data = quietly(
        built,
        {"en": ["sea", "sea wood", "sea field"], "de": ["meer", None, "meer feld"]},
        partition=["test", "train", "train"],
        other_partitions={"other": ["train", "validation", "test"]},
    )
    assert texts_of(data, "en") == ["sea wood", "sea field", "sea"]
    other = data.with_partition("other")
    assert texts_of(other, "en") == ["sea", "sea wood", "sea field"]
    assert other.view("en").sizes == (1, 1, 1)
    assert other.view("de").sizes == (1, 0, 1)
    assert tied(other) == tied(data)[::-1]


# What can't be used.


def test_empty_documents_are_left_out_and_links_follow() -> None:
    texts = {"en": ["sea", "", "...", "wood", "field"], "de": ["meer", "see", "holz", "", "feld"]}
    with pytest.warns(UserWarning) as caught:
        data = built(texts, labels=list("abcde"))
    assert [str(warning.message) for warning in caught] == [
        "view 'en': 2 of 5 items have no word left after preprocessing (rows 1, 2, counted from "
        "0); they were left out, links follow.",
        "view 'de': 1 of 5 items have no word left after preprocessing (rows 3, counted from "
        "0); they were left out, links follow.",
    ]
    assert data.metadata["dropped"] == {"en": [1, 2], "de": [3]}
    assert texts_of(data, "en") == ["sea", "wood", "field"]
    assert texts_of(data, "de") == ["meer", "see", "holz", "feld"]
    assert data.view("en").labels == ["a", "d", "e"]
    assert tied(data) == [
        {("en", "sea"), ("de", "meer")},
        {("en", "field"), ("de", "feld")},
    ]


def test_pictures_that_cannot_be_opened_are_left_out_and_links_follow(folder: Path) -> None:
    names = ["text.jpg", "0.jpg", "cut.jpg", "gone.jpg", "1.jpg", "empty.jpg"]
    with pytest.warns(UserWarning) as caught:
        data = built(
            {"en": [f"sea w{i}" for i in range(6)]},
            images={"photo": [folder / name for name in names]},
        )
    assert [str(warning.message) for warning in caught] == [
        "view 'photo': 4 of 6 items can't be opened as an image (rows 0, 2, 3, 5, counted from 0: "
        f"{folder / 'text.jpg'} is no picture; {folder / 'cut.jpg'} is broken or can't be read "
        "(Truncated File Read); "
        f"{folder / 'gone.jpg'} is missing; {folder / 'empty.jpg'} is no picture); they were left "
        "out, links follow."
    ]
    assert files(data, "photo") == ["0.jpg", "1.jpg"]
    assert tied(data) == [
        {("en", "sea w1"), ("photo", "0.jpg")},
        {("en", "sea w4"), ("photo", "1.jpg")},
    ]


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "JPEG", "TIFF"])
def test_a_truncated_picture_of_any_kind_is_noticed(kind: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for name in ("whole", "cut"):
        Image.fromarray(noise).save(tmp_path / name, kind)
    content = (tmp_path / "cut").read_bytes()
    (tmp_path / "cut").write_bytes(content[: len(content) * 2 // 3])
    with pytest.warns(UserWarning, match=r"1 of 2 items can't be opened as an image \(rows 1, "):
        data = built(
            {"en": ["sea", "wood"]}, images={"photo": [tmp_path / "whole", tmp_path / "cut"]}
        )
    assert files(data, "photo") == ["whole"]


def test_unusable_items_may_be_an_error(folder: Path) -> None:
    message = (
        "view 'en': 1 of 2 items have no word left after preprocessing (rows 1, counted from 0); "
        "repair or remove them, or pass unusable='drop'."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        built({"en": ["sea", ""]}, unusable="error")
    message = (
        "view 'photo': 1 of 2 items can't be opened as an image (rows 0, counted from 0: "
        f"{folder / 'cut.jpg'} is broken or can't be read (Truncated File Read)); "
        "repair or remove them, or pass unusable='drop'."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        built(
            {"en": ["sea", "wood"]},
            images={"photo": [folder / "cut.jpg", folder / "1.jpg"]},
            unusable="error",
        )
    assert len(quietly(built, {"en": ["sea", None]}, unusable="error").view("en")) == 1


def test_a_view_without_any_usable_item_is_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match="View 'de': no vocabulary: none of its 0 training"):
        built({"en": ["sea"], "de": [None]})
    message = "view 'photo' has no usable item: all 1 were missing or dropped."
    with (
        pytest.warns(UserWarning, match="1 of 1 items can't be opened"),
        pytest.raises(DataError, match=f"^{re.escape(message)}$"),
    ):
        built({"en": ["sea", "wood"]}, images={"photo": [folder / "text.jpg", None]})


def test_embeddings_may_be_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "en.npy", np.array([[1.0], [2.0]], np.float32))
    data = built(
        {"en": ["sea", "sea wood"]},
        embeddings={"en": tmp_path / "en.npy"},
        partition=["test", "train"],
    )
    assert data.view("en").embeddings is not None
    assert np.asarray(data.view("en").embeddings).tolist() == [[2.0], [1.0]]


# Arguments that are refused.

TWO = {"en": ["sea", "wood"]}
THREE = {"en": ["sea", "wood"], "de": ["meer"]}
GREY, FLOATS = np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3))


@pytest.mark.parametrize(
    ("texts", "arguments", "message"),
    [
        (TWO, {"group": ["a", None]}, "record 1 has no group; give one for each record."),
        (TWO, {"group": [1, 2, 3]}, "the lists differ in length (en: 2, group: 3); give one entry"),
        (THREE, {}, "the lists differ in length (en: 2, de: 1); give one entry for each record, N"),
        (TWO, {"embeddings": {"enn": FLOATS}}, "embeddings are given for 'enn', which is no view."),
        (TWO, {"embeddings": {"en": np.zeros((3, 1))}}, "view 'en': embeddings have 3 rows, the i"),
        (TWO, {"images": {"p": None}}, "image view 'p' has neither pictures nor embeddings."),
        (TWO, {"images": {"en": [GREY] * 2}}, "view 'en' is named among the texts and the images."),
        (TWO, {"images": {"p": [None, GREY]}}, "view 'p', record 1: a picture of shape (2, 2) and"),
        (TWO, {"images": {"p": [FLOATS, None]}}, "view 'p', record 0: a picture of shape (2, 2, 3"),
        (
            TWO,
            {"images": {"p": [None, 2]}},
            "view 'p', record 1: a picture of type int; expected",
        ),
        (TWO, {"labels": ["a"]}, "1 labels for 2 records; give one for each."),
        (TWO, {"partition": ["train"] * 3}, "3 entries of 'partition' for 2 records."),
        (TWO, {"partition": ["Tset", None]}, "'partition' has 2 unknown entries, the first is 'Ts"),
        (TWO, {"other_partitions": {"o": ["train", "x"]}}, "'o' has 1 unknown entries, the first "),
        (TWO, {"partition": ["train"] * 2, "split": (1, 0)}, "partition and split are both given;"),
        (TWO, {"split": (0.8, 0.3)}, "split=(0.8, 0.3): expected the shares of train, above 0, an"),
        (TWO, {"split": 0.8}, "from_lists: split=0.8: it should be a valid tuple."),
        ({"en": []}, {}, "there is no record: every list is empty."),
        ({}, {}, "there is no record: every list is empty."),
        (TWO, {"unusable": "skip"}, "from_lists: unusable='skip': it should be 'drop' or 'error'."),
        (TWO, {"languages": {"enn": "en"}}, "languages: there is no view of texts 'enn'. Did you "),
        (TWO, {"preprocessing": {"enn": PLAIN}}, "preprocessing: there is no view of texts 'enn'."),
    ],
)
def test_lists_that_are_refused(
    texts: dict[str, list[Any]], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(OctisM3LError, match=f"^{re.escape(message)}"):
        built(texts, **arguments)


# Properties.

NOTHING = ("", "...", None, NAN)


@st.composite
def records(draw: st.DrawFn) -> tuple[dict[str, list[Any]], list[Any], list[str]]:
    """Draw cells of two languages and pictures, each item different from all others."""
    count = draw(st.integers(0, 7))
    number = 1
    texts: dict[str, list[Any]] = {}
    for name in ("en", "de"):
        texts[name] = [f"{name}0 all"]
        for _ in range(count):
            cell: list[Any] = []
            for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
                usable = draw(st.booleans() | st.just(True))
                cell.append(f"{name}{number} all" if usable else draw(st.sampled_from(NOTHING)))
                number += 1
            alone = len(cell) == 1 and draw(st.booleans())
            texts[name].append(cell[0] if alone else cell or None)
    photos: list[Any] = [picture(0)]
    for _ in range(count):
        cell = [picture(number + extra) for extra in range(draw(st.sampled_from([0, 1, 1, 2])))]
        number += len(cell)
        photos.append(cell)
    partition = ["train"] + [draw(st.sampled_from(PARTITIONS)) for _ in range(count)]
    return texts, photos, partition


def usable(cell: Any) -> list[Any]:
    """Return the items of a cell that a data set keeps."""
    listed = cell if isinstance(cell, list) else [cell]
    return [item for item in listed if isinstance(item, np.ndarray) or item not in NOTHING]


def appearing(column: list[Any]) -> list[Any]:
    """Return the rows of a view's input: its items if it has lists, else its cells."""
    if not any(isinstance(cell, list) for cell in column):
        return column
    flat = [item for cell in column for item in (cell if isinstance(cell, list) else [cell])]
    return [item for item in flat if item is not None and item == item]


def random_build(
    case: tuple[dict[str, list[Any]], list[Any], list[str]], **arguments: Any
) -> MultiviewDataset:
    texts, photos, partition = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return built(texts, images={"photo": photos}, partition=partition, **arguments)


@settings(deadline=None, max_examples=150)
@given(records())
def test_the_linked_items_of_a_record_are_its_own(
    case: tuple[dict[str, list[Any]], list[Any], list[str]],
) -> None:
    texts, photos, partition = case
    labels = [f"l{record}" for record in range(len(partition))]
    data = random_build(case, labels=labels)
    place = {("en", text): i for i, text in enumerate(texts_of(data, "en"))}
    place |= {("de", text): i for i, text in enumerate(texts_of(data, "de"))}
    place |= {("photo", str(shade)): i for i, shade in enumerate(shades_of(data, "photo"))}
    columns = {**texts, "photo": photos}
    expected_groups: list[set[tuple[str, str]]] = []
    for record, mark in enumerate(partition):
        mine = {
            (name, str(item[0, 0, 0]) if isinstance(item, np.ndarray) else item)
            for name, column in columns.items()
            for item in usable(column[record])
        }
        for name, item in mine:
            view, stored = data.view(name), place.pop((name, item))
            assert stored in range(*view.rows(mark).indices(len(view)))
            assert view.labels is not None
            assert view.labels[stored] == labels[record]
        if len({name for name, _ in mine}) > 1:
            expected_groups.append(mine)
    assert place == {}
    found = sorted(map(sorted, tied(data)))
    assert found == sorted(map(sorted, expected_groups))


@settings(deadline=None, max_examples=150)
@given(records())
def test_the_embedding_of_an_item_follows_it(
    case: tuple[dict[str, list[Any]], list[Any], list[str]],
) -> None:
    texts, photos, _ = case
    shades = [item[0, 0, 0] for cell in photos for item in usable(cell)]
    inputs = {name: appearing(column) for name, column in texts.items()}
    embeddings = {
        name: np.arange(len(rows), dtype=np.float64)[:, None] for name, rows in inputs.items()
    }
    embeddings["photo"] = np.arange(len(shades), dtype=np.float64)[:, None]
    data = random_build(case, embeddings=embeddings)
    for name, rows in inputs.items():
        view = data.view(name)
        assert view.embeddings is not None
        assert view.embeddings.dtype == np.float32
        assert [rows[int(value)] for value in view.embeddings[:, 0]] == texts_of(data, name)
    found = data.view("photo").embeddings
    assert found is not None
    assert [shades[int(value)] for value in found[:, 0]] == shades_of(data, "photo")


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.none() | st.integers(0, 2)),
        min_size=1,
        max_size=9,
    )
)
def test_groups_and_shared_pictures_are_the_tuples_of_a_slow_loop(
    rows: list[tuple[int, int, int | None]],
) -> None:
    group = [f"g{g}" for g, _, _ in rows]
    english = [f"g{g}t{t} all" for g, t, _ in rows]
    german = [f"g{g} all" for g, _, _ in rows]
    photos = [None if p is None else f"{SHARED}/{p}.png" for _, _, p in rows]
    data = quietly(
        built,
        {"en": english, "de": german},
        images={"photo": photos} if any(photos) else None,
        group=group,
    )
    members: dict[str, set[tuple[str, str]]] = {}
    for g, *cells in zip(group, english, german, photos, strict=True):
        mine = {
            (name, cell.rsplit("/", 1)[-1])
            for name, cell in zip(("en", "de", "photo"), cells, strict=True)
            if cell
        }
        members[g] = members.get(g, set()) | mine
    groups = list(members.values())
    for _ in rows:
        merged: list[set[tuple[str, str]]] = []
        for one in groups:
            touching = [other for other in merged if other & one]
            merged = [other for other in merged if not other & one]
            merged.append(one.union(*touching))
        groups = merged
    assert sorted(map(sorted, tied(data))) == sorted(map(sorted, groups))


SHARED = ""


@pytest.fixture(scope="module", autouse=True)
def shared_pictures(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Write the pictures that random records share."""
    global SHARED
    path = tmp_path_factory.mktemp("shared")
    for number in range(3):
        Image.new("RGB", (2, 2), (number, 0, 0)).save(path / f"{number}.png")
    SHARED = str(path)


# Frames.


def frame(folder: Path) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "english": ["sea all", None, "wood all sea"],
            "de": ["see", "see", np.nan],
            "file": ["0.jpg", "1.jpg", None],
            "split": ["test", "train", "train"],
            "topic": ["water", None, "land"],
            "article": [1, 2, 3],
        }
    )


def test_a_frame_has_a_column_for_each_view(folder: Path) -> None:
    data = from_frame(
        frame(folder),
        texts={"en": "english", "de": "de"},
        images={"photo": "file"},
        partition="split",
        label="topic",
        image_folder=folder,
        preprocessing=PLAIN,
        unusable="error",
    )
    assert texts_of(data, "en") == ["wood all sea", "sea all"]
    assert data.view("en").sizes == (1, 0, 1)
    assert data.view("en").labels == ["land", "water"]
    assert data.view("de").labels == ["", "water"]
    assert data.view("photo").items(slice(0, 2)) == [folder / "1.jpg", folder / "0.jpg"]
    assert tied(data) == [
        {("de", "see"), ("photo", "1.jpg")},
        {("en", "sea all"), ("de", "see"), ("photo", "0.jpg")},
    ]


@pytest.mark.parametrize("dtype", ["object", "string", "str"])
def test_missing_values_of_any_kind_of_column_are_gaps(dtype: str) -> None:
    given_frame = pd.DataFrame(
        {"en": pd.Series(["sea", None, "wood"], dtype=dtype), "de": ["meer", "see", "wald"]}
    )
    data = quietly(from_frame, given_frame, texts=["en", "de"], preprocessing=PLAIN)
    assert texts_of(data, "en") == ["sea", "wood"]
    assert data.links.tolist() == [[-1, 1], [0, 0], [1, 2]]


def test_a_frame_may_have_a_row_for_each_picture(folder: Path) -> None:
    long = pd.DataFrame(
        {
            "id": [7, 7, 8],
            "en": ["sea", "sea", "sea wood"],
            "file": [folder / "0.jpg", folder / "1.jpg", folder / "2.jpg"],
            "split": ["train", "train", "test"],
            "partition": ["test", "test", "train"],
        }
    )
    data = quietly(
        from_frame,
        long,
        texts=["en"],
        images=["file"],
        group="id",
        partition="split",
        other_partitions=["partition"],
        preprocessing=PLAIN,
    )
    assert texts_of(data, "en") == ["sea", "sea wood"]
    assert tied(data) == [
        {("en", "sea"), ("file", "0.jpg"), ("file", "1.jpg")},
        {("en", "sea wood"), ("file", "2.jpg")},
    ]
    assert texts_of(data.with_partition("partition"), "en") == ["sea wood", "sea"]


# JSON lines.

ROWS = [
    {"text": {"en": "sea", "de": "meer"}, "photo": ["0.jpg", "1.jpg"], "split": "train"},
    {"text": {"en": "wood"}, "photo": None, "split": "train", "label": "green"},
    {"text": {"de": "see", "en": None}, "photo": "2.jpg", "split": "train", "label": "blue"},
    {"text": {"en": "wood sea", "de": "meer see"}, "split": "test"},
]
FIELDS: dict[str, Any] = {
    "texts": {"en": "text.en", "de": "text.de"},
    "images": ["photo"],
    "partition": "split",
    "label": "label",
    "preprocessing": PLAIN,
}


def test_json_lines_have_a_field_for_each_view(folder: Path, tmp_path: Path) -> None:
    lines = "\n".join([*map(json.dumps, ROWS[:2]), "", *map(json.dumps, ROWS[2:])])
    for path in (folder / "a.jsonl", tmp_path / "a.jsonl"):
        path.write_text(lines)
    data = quietly(from_jsonl, folder / "a.jsonl", **FIELDS)
    elsewhere = quietly(from_jsonl, tmp_path / "a.jsonl", image_folder=folder, **FIELDS)
    assert elsewhere.fingerprints() == data.fingerprints()
    assert texts_of(data, "en") == ["sea", "wood", "wood sea"]
    assert texts_of(data, "de") == ["meer", "see", "meer see"]
    assert data.view("photo").items(slice(0, 3)) == [folder / f"{i}.jpg" for i in range(3)]
    assert data.view("en").sizes == (2, 0, 1)
    assert data.view("en").labels == ["", "green", ""]
    assert tied(data) == [
        {("en", "sea"), ("de", "meer"), ("photo", "0.jpg"), ("photo", "1.jpg")},
        {("de", "see"), ("photo", "2.jpg")},
        {("en", "wood sea"), ("de", "meer see")},
    ]


def test_a_split_is_drawn_before_the_vocabulary_is_chosen() -> None:
    texts = [f"word{'abcdefghij'[i % 10]}{'abcdefghij'[i // 10]}" for i in range(100)]
    data = built({"en": texts, "de": texts}, split=(0.8, 0.1), unusable="drop")
    assert data.view("en").sizes[0] == 80
    assert set(data.text_view("en").vocabulary) == set(texts_of(data, "en")[:80])


def test_records_with_a_common_picture_are_in_one_partition(tmp_path: Path) -> None:
    logo = tmp_path / "logo.png"
    Image.new("RGB", (2, 2)).save(logo)
    count = 10_000
    tracemalloc.start()
    data = from_lists({"en": ["sea wood"] * count}, images={"p": [logo] * count}, split=(1.0, 0.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(data.view("en").sizes) == count
    # Nothing grows with the square of the records.
    assert peak < count**2


def test_a_missing_document_may_be_any_nan() -> None:
    nan = np.float32("nan")
    built = MultiviewDataset.from_lists(
        {"en": ["cat dog", nan, "dog"], "de": ["a", "b", pd.NaT]},
        preprocessing=TextPreprocessor(stop_words=False, min_word_length=1),
    )
    assert [len(view) for view in built.views.values()] == [2, 2]
    assert built.fingerprints()


@pytest.mark.parametrize(
    "given", ["sea ship", b"sea", 3, {"a": "sea"}, {"sea"}, Path("a"), pd.DataFrame({"a": [1]})]
)
@pytest.mark.parametrize(
    "argument", ["texts", "images", "partition", "labels", "group", "other_partitions"]
)
def test_a_single_item_is_no_list(argument: str, given: Any) -> None:
    wanted = {"x": given} if argument in ("texts", "images", "other_partitions") else given
    message = f"expected a list of items, given one {type(given).__name__}; put a single item in a"
    with pytest.raises(DataError, match=message):
        from_lists(**{"texts": {"en": ["sea", "wood"]}, argument: wanted})


@pytest.mark.parametrize("of", [list, tuple, iter, pd.Series, np.array])
def test_lists_may_be_of_any_kind(of: Any) -> None:
    data = from_lists(
        {"en": of(["sea wood", "wood"])}, labels=of(["a", "b"]), partition=of(["train", "test"])
    )
    assert data.view("en").sizes == (1, 0, 1)
    assert data.view("en").labels == ["a", "b"]


def test_groups_of_long_numbers_are_told_apart() -> None:
    data = from_lists({"en": ["sea", "wood", "sea"]}, group=[2**53, 2**53 + 1, 2.5])
    assert data.info()["tuples"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": "x"}, "from_frame has no argument 'labels'. Did you mean 'label'? Known: "),
        ({"label": ["x"]}, "from_frame: label=['x']: it should be hashable."),
        (
            {"texts": {"en": ["a"]}},
            "from_frame: texts['en']=['a']: it should be hashable.",
        ),
        (
            {"texts": 3},
            "from_frame: texts=3: it should be a valid dictionary or should be",
        ),
        (
            {"other_partitions": [3]},
            "from_frame: other_partitions[0]=3: it should be a valid string.",
        ),
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
    with pytest.raises((DataError, SettingsError), match=f"^{re.escape(message)}"):
        from_frame(**{"frame": frame, "texts": ["en"], **arguments})
    assert from_frame(frame, texts="en", label="x").view("en").labels == ["1"]


def test_some_views_know_nothing_of_what_others_lost() -> None:
    with pytest.warns(UserWarning, match="left out"):
        dataset = from_lists({"en": ["ship", "ship"], "de": ["schiff", "?!"]})
    assert dataset.metadata["dropped"] == {"de": [1]}
    kept = dataset.with_views(["en"]).metadata
    assert kept["dropped"] == {}
    with pytest.raises(
        DataError, match=re.escape("with_views: names='en,de': it should be a valid list.")
    ):
        dataset.with_views("en,de")
