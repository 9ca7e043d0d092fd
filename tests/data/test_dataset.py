"""Views, and the data set that they make: what is refused, and its variations."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from octis.dataset.dataset import Dataset
from octis.models.LDA import LDA
from octis.models.NMF import NMF
from views import image_view, refuses, text_view

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import View

ENGLISH = ["cat dog", "dog dog cat", "horse", "bird horse", "cat", "dog bird"]
GERMAN = ["Katze Hund", "Hund Hund", "Pferd Vogel", "Katze", "Hund Vogel"]
TEXT = text_view("en", ["cat dog", "dog"])
IMAGE = image_view("image", 2, 1, 3)


def animals(**changes: Any) -> MultiviewDataset:
    """Six English, five German documents, four pictures; the third tuple has no German."""
    views = [
        text_view("en", ENGLISH, sizes=(4, 1, 1), labels=list("aabbab")),
        text_view("de", GERMAN, sizes=(3, 1, 1), indexes=np.array([0, 1, 3, 4, 5]), inputs=6),
        image_view("image", 2, 1, 1),
    ]
    links = np.array([[0, 0, 0], [1, 1, 1], [2, -1, -1], [3, 2, -1], [4, 3, 2], [5, 4, 3]])
    return MultiviewDataset(views, links, **changes)


def marks(**changes: list[int]) -> dict[str, Any]:
    """Return partition numbers of the animals, all in training unless others are given."""
    numbers = {"en": [0] * 6, "de": [0] * 5, "image": [0] * 4} | changes
    return {name: np.array(of_view, np.int8) for name, of_view in numbers.items()}


def linked_items(dataset: MultiviewDataset) -> set[frozenset[tuple[str, int]]]:
    """Return the tuples, each item by its view and its row in the input."""
    members: dict[int, set[tuple[str, int]]] = {}
    for name, view in dataset.views.items():
        for number, row in zip(dataset.tuples(name), view.input_rows, strict=True):
            members.setdefault(int(number), set()).add((name, int(row)))
    return {frozenset(m) for m in members.values()}


# Views.


NAMES = ["", "EN", "en us", "../en", "en.de", "日本"]
FLOATS = np.zeros((6, 2), np.float32)
TOO_LARGE = (
    "view 'image': the embedding of row 1 holds NaN, infinity or a number above 3e38, too large "
    "for single precision; encode it again or leave the item out."
)


def with_row(value: float, kind: type) -> Any:
    return np.array([[0, 0], [0, value], *[[0, 0]] * 4], kind)


@pytest.mark.parametrize(
    ("view", "changes", "message"),
    [
        *((IMAGE, {"name": n}, f"view name '{n}': expected lower-case letters, d") for n in NAMES),
        (IMAGE, {"name": "topic"}, "view name 'topic' is reserved for a column of this package's"),
        (IMAGE, {"sizes": (1,)}, "sizes=(1,): it should"),
        (IMAGE, {"sizes": (1, 0)}, "sizes=(1, 0): it should"),
        (IMAGE, {"sizes": (2, -1, 0)}, "view 'image': sizes (2, -1, 0), expected how many items"),
        (IMAGE, {"embeddings": None}, "image view 'image' has neither pictures nor embeddings; gi"),
        (IMAGE, {"pictures": [Path("a.png")]}, "view 'image': 1 pictures for 6 items; give one fo"),
        (IMAGE, {"embeddings": FLOATS[:3]}, "view 'image': embeddings have 3 rows for 6 items; gi"),
        (IMAGE, {"embeddings": FLOATS[0]}, "embeddings of shape (2,) and type float32, expected f"),
        (IMAGE, {"embeddings": FLOATS[:, :0]}, "embeddings of shape (6, 0) and type float32"),
        (IMAGE, {"embeddings": FLOATS.astype(int)}, "embeddings of shape (6, 2) and type int64"),
        (IMAGE, {"embeddings": with_row(np.nan, np.float32)}, TOO_LARGE),
        (IMAGE, {"embeddings": with_row(np.inf, np.float32)}, TOO_LARGE),
        (IMAGE, {"embeddings": with_row(1e300, np.float64)}, TOO_LARGE),
        (TEXT, {"vocabulary": ()}, "view 'en' has no vocabulary: no word was left after preproc"),
        (TEXT, {"vocabulary": ("a", "b", "a")}, "view 'en': the vocabulary has 'a', which is"),
        (TEXT, {"vocabulary": ("a", "")}, "view 'en': the vocabulary has '', which is empty"),
        (TEXT, {"vocabulary": ("a", "b\u00a0c")}, "which is empty, has white space or is there"),
        (TEXT, {"vocabulary": ("a",)}, "view 'en': a word index is outside the vocabulary of 1 wo"),
        (TEXT, {"token_ids": np.array([-1, 0, 1], np.int32)}, "a word index is outside the vocab"),
        (TEXT, {"token_ids": np.zeros((3, 1), np.int32)}, "token_ids of shape (3, 1) and type int"),
        (TEXT, {"token_ids": np.zeros(1, np.int32)}, "2 documents with 1 tokens do not fit 2 item"),
        (TEXT, {"sizes": (1, 0, 0)}, "2 documents with 3 tokens do not fit 1 items."),
        (TEXT, {"texts": ["one"]}, "view 'en': 1 texts for 2 items; give one for each item."),
        (TEXT, {"labels": ["a"]}, "view 'en': 1 labels for 2 items; give one for each item."),
        (TEXT, {"indexes": np.arange(3)}, "view 'en': 3 indexes for 2 items; give one for each it"),
        (TEXT, {"word_vectors": FLOATS}, "view 'en (word vectors)': embeddings have 6 rows for 2 "),
    ],
)
def test_a_view_that_does_not_fit(view: View, changes: dict[str, Any], message: str) -> None:
    with refuses(message):
        replace(view, **changes)


@pytest.mark.parametrize("offset_type", [np.int32, np.int64])
def test_counting_words_leaves_their_order_alone(offset_type: type) -> None:
    view = text_view("en", ["c a c b", "", "b a"], vocabulary=["a", "b", "c"])
    view = replace(view, offsets=view.offsets.astype(offset_type))
    assert view.bag_of_words.toarray().tolist() == [[1, 1, 2], [0, 0, 0], [1, 1, 0]]
    assert view.token_ids.tolist() == [2, 0, 2, 1, 1, 0]
    assert view.items(np.array([2, 0])) == ["b a", "c a c b"]


def test_a_fingerprint_is_that_of_the_texts() -> None:
    assert TEXT.fingerprint() == text_view("en", ["cat dog", "dog"]).fingerprint()
    assert TEXT.fingerprint() != text_view("en", ["dog", "cat dog"]).fingerprint()
    assert len(replace(TEXT, texts=["half of a pair: \ud83d", "b"]).fingerprint()) == 64


# The data set.


TORN = marks(de=[2, 0, 0, 0, 0])
ROWS = (
    "view 'de': embeddings have 5 rows, the input had 6 (of which 5 became items); give one row "
    "for each row of the input, or pass order='stored'."
)
INDICES = (
    "dictionary en-de: expected pairs of word indices below 4 and 4, given an array of shape "
    "(2, 2) with values from 0 to 4."
)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: IMAGE.rows("tests"),
            "unknown partition 'tests'. Did you mean 'test'? Known: test",
        ),
        (lambda: IMAGE.items(slice(0, 1)), "'image' has embeddings but no pictures: nothing to en"),
        (lambda: MultiviewDataset([TEXT, TEXT]), "two views have the same name: en, en; rename"),
        (lambda: MultiviewDataset([IMAGE]), "needs at least one text view: topics are made of wor"),
        (lambda: MultiviewDataset([]), "given no view at all"),
        (lambda: MultiviewDataset([TEXT], pivot="fr"), "unknown view 'fr'. Known: en."),
        (lambda: animals(pivot="image"), "view 'image' holds images and has no words; text views"),
        (lambda: animals().monolingual("image"), "view 'image' holds images and has no words"),
        (lambda: animals(dictionaries={("en", "de"): np.array([[0, 0], [1, 4]])}), INDICES),
        (
            lambda: animals().with_dictionary("en", "de", [("cow", "Katze")]),
            "none of its 1 pairs has both words in the vocabularies",
        ),
        *(
            (
                lambda numbers=numbers: animals(partitions={"other": numbers}),
                "partition 'other': expected for each of the 6 items of view 'en' 0 (train), 1 (v",
            )
            for numbers in ({}, {"en": np.zeros(5, np.int8)}, {"en": np.full(6, 3)})
        ),
        (lambda: animals().with_embeddings({"de": np.zeros((5, 2))}), ROWS),
        (
            lambda: animals().with_embeddings({"de": np.zeros((6, 2))}, order="stored"),
            "embeddings have 6 rows for 5 items",
        ),
        (
            lambda: animals().with_embeddings({"de": np.zeros((5, 2))}, order="sorted"),
            "with_embeddings: order='sorted': it should be 'input' or 'stored'.",
        ),
        (
            lambda: animals().with_embeddings({"dee": np.zeros((5, 2))}),
            "unknown view 'dee'. Did you mean 'de'?",
        ),
        (lambda: animals().with_views(["fr"]), "unknown view 'fr'. Known: de, en, image."),
        (lambda: animals().with_views(["image"]), "at least one text view"),
        *(
            (
                lambda shares=shares: animals().with_split(*shares),
                f"shares train={shares[0]}, validation={shares[1]}: expected train above 0 and bot",
            )
            for shares in ((0.0, 0.5), (0.9, 0.2), (1.2, 0.0), (0.5, -0.1))
        ),
        (
            lambda: animals().sample(3, partition="tset"),
            "it should be 'train', 'validation' or 'te",
        ),
        (lambda: animals().sample(0), "sample: count=0: it should be greater than or equal to 1."),
        (
            lambda: animals(partitions={"first": marks(), "other": marks()}).with_partition("othe"),
            "unknown partition mark 'othe'. Did you mean 'other'? Known: first, other.",
        ),
        (
            lambda: animals(partitions={"torn": TORN}).with_partition("torn"),
            "different partitions: en 0 (train), de 4 ",
        ),
    ],
)
def test_what_a_data_set_refuses(call: Callable[[], Any], message: str) -> None:
    with refuses(message):
        call()


def test_octis_sees_the_pivot_and_one_language_is_a_plain_dataset() -> None:
    dataset = animals(metadata={"name": "animals"})
    assert dataset.get_corpus() == [document.split() for document in ENGLISH]
    assert dataset.get_vocabulary() == ["cat", "dog", "horse", "bird"]
    assert dataset.get_labels() == list("aabbab")
    assert dataset.get_metadata()["last-training-doc"] == 4
    assert dataset.get_metadata()["last-validation-doc"] == 5
    train, validation, test = dataset.get_partitioned_corpus()
    assert (len(train), validation, test) == (4, [["cat"]], [["dog", "bird"]])
    assert [len(part) for part in dataset.get_partitioned_corpus(use_validation=False)] == [4, 1]
    german = dataset.monolingual("de")
    assert type(german) is Dataset
    assert german.get_corpus() == [document.split() for document in GERMAN]
    assert german.get_corpus() == animals(pivot="de").get_corpus()
    assert german.get_vocabulary() == ["Katze", "Hund", "Pferd", "Vogel"]
    assert german.get_metadata()["name"] == "animals"
    assert german.get_labels() == animals(pivot="de").get_labels() is None
    assert [len(part) for part in german.get_partitioned_corpus()] == [3, 1, 1]
    english = dataset.monolingual("en")
    assert english.get_corpus() == dataset.get_corpus()
    assert english.get_labels() == dataset.get_labels()
    assert list(map(list, english.get_partitioned_corpus())) == dataset.get_partitioned_corpus()


@pytest.mark.parametrize("model_class", [LDA, NMF])
@pytest.mark.parametrize("language", [None, "de"])
def test_models_of_octis_run_as_they_are(model_class: type[Any], language: str | None) -> None:
    random = np.random.default_rng(0)
    documents = [" ".join(random.choice(list("abcd"), 8)) for _ in range(40)]
    views = [text_view(name, documents, sizes=(30, 5, 5)) for name in ("en", "de")]
    dataset: Any = MultiviewDataset.linked_by_row(views)
    if language is not None:
        dataset = dataset.monolingual(language)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        output = model_class(num_topics=2, random_state=1).train_model(dataset, top_words=3)
    assert len(output["topics"]) == 2
    assert set(output["topics"][0]) <= set(dataset.get_vocabulary())
    assert output["topic-document-matrix"].shape == (2, 30)
    assert output["test-topic-document-matrix"].shape[1] == 5


def test_tuples_and_information() -> None:
    dataset = animals(metadata={"name": "animals"})
    assert dataset.is_linked
    assert dataset.tuples("en").tolist() == [0, 1, 2, 3, 4, 5]
    assert dataset.tuples("de").tolist() == [0, 1, 3, 4, 5]
    assert dataset.partition_tuples("train").tolist() == [0, 1, 2, 3]
    assert dataset.partition_tuples("test").tolist() == [5]
    info = dataset.info()
    assert info["name"] == "animals"
    assert info["views"]["en"]["items"] == {"train": 4, "validation": 1, "test": 1}
    assert info["views"]["image"]["embeddings"] == {"name": "given", "dimensions": 1}
    assert list(dataset.image_views) == ["image"]
    assert repr(dataset).startswith("<MultiviewDataset of 6 tuples (")
    unlinked = MultiviewDataset(dataset.views.values())
    assert not unlinked.is_linked
    assert len(linked_items(unlinked)) == 15


# Variations.


def test_embeddings_in_the_order_of_the_input(tmp_path: Path) -> None:
    given = np.arange(12, dtype=np.float64).reshape(6, 2)
    given[2] = np.nan
    german = animals().with_embeddings({"de": given}, name="mine").view("de")
    assert german.embedding_name == "mine"
    assert german.embeddings is not None
    assert german.embeddings.dtype == np.float32
    assert german.embeddings[:, 0].tolist() == [0, 2, 6, 8, 10]
    np.save(tmp_path / "en.npy", np.ones((6, 3), np.float32))
    english = animals().with_embeddings({"en": tmp_path / "en.npy"}).view("en")
    assert isinstance(english.embeddings, np.memmap)
    split = animals().with_split(0.5, 0.25, seed=3)
    vectors = split.with_embeddings({"de": np.arange(6.0)[:, None]}).view("de").embeddings
    assert vectors is not None
    assert vectors[:, 0].tolist() == split.view("de").input_rows.tolist()
    # A row that is not finite has the number that it was given with.
    place = split.view("de").input_rows.tolist().index(4)
    assert place != 4
    given[4] = np.nan
    with refuses("view 'de': the embedding of row 4 holds NaN"):
        split.with_embeddings({"de": given})


def test_embeddings_in_the_stored_order() -> None:
    given = np.arange(10, dtype=np.float32).reshape(5, 2)
    dataset = animals().with_embeddings({"de": given}, order="stored")
    assert dataset.view("de").embeddings is given


@pytest.mark.parametrize("content", ["missing", "empty", "text", "archive", "pickle"])
def test_embeddings_from_a_file_of_another_kind(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.npy"
    if content == "empty":
        path.touch()
    elif content == "text":
        path.write_text("1 2 3")
    elif content == "archive":
        np.savez(tmp_path / "a", a=np.zeros(1))
        (tmp_path / "a.npz").rename(path)
    elif content == "pickle":
        np.save(path, np.array([{}], object), allow_pickle=True)
    with refuses(f"view 'en': {path} can't be read as a .npy array (") as raised:
        animals().with_embeddings({"en": path})
    assert "write it with numpy.save" in str(raised.value)


def test_some_views_only() -> None:
    dictionaries = {("en", "de"): np.array([[0, 0]])}
    dataset = animals(dictionaries=dictionaries, partitions={"all": marks()})
    dataset = dataset.with_views(["image", "de"])
    assert list(dataset.views) == ["image", "de"]
    assert dataset.pivot == "de"
    assert dataset.dictionaries == {}
    assert set(dataset.partitions["all"]) == {"image", "de"}
    kept = {frozenset(m for m in t if m[0] != "en") for t in linked_items(animals())}
    assert linked_items(dataset) == kept - {frozenset()}


def test_complete_tuples_only() -> None:
    dataset = animals().complete()
    assert [view.sizes for view in dataset.views.values()] == [(2, 1, 1)] * 3
    assert linked_items(dataset) == {t for t in linked_items(animals()) if len(t) == 3}
    assert animals().complete([]).info() == dataset.info()
    both = animals().complete(["en", "de"])
    assert both.text_view("en").input_rows.tolist() == [0, 1, 3, 4, 5]
    assert len(both.view("image")) == 4
    assert both.get_corpus() == [d.split() for i, d in enumerate(ENGLISH) if i != 2]
    assert both.get_labels() == list("aabab")
    none = MultiviewDataset([TEXT, text_view("de", ["Hund"])]).complete()
    assert [len(view) for view in none.views.values()] == [0, 0]
    assert none.info()["tuples"] == 0


def test_a_random_split_keeps_tuples_whole() -> None:
    many: list[View] = [text_view("en", ["cat"] * 100), text_view("de", ["Hund"] * 150)]
    dataset = MultiviewDataset(many, np.array([[i // 2, i] for i in range(150)]))
    split = dataset.with_split(0.6, 0.2, seed=7)
    assert linked_items(split) == linked_items(dataset)
    assert split.view("en").sizes == (60, 20, 20)
    assert sum(split.view("de").sizes) == 150
    rows = [dataset.with_split(0.6, 0.2, seed=s).view("de").input_rows.tolist() for s in (7, 8)]
    assert rows[0] == split.view("de").input_rows.tolist() != rows[1]
    assert dataset.with_split(1.0, 0.0).view("en").sizes == (100, 0, 0)


def test_a_sample_has_so_many_items_of_each_view_in_whole_tuples() -> None:
    many: list[View] = [
        text_view("en", ["cat"] * 100, sizes=(80, 5, 15)),
        text_view("de", ["Hund"] * 60, sizes=(40, 5, 15)),
    ]
    whole = np.array([[i, i] for i in range(30)] + [[80 + i, 40 + i] for i in range(20)])
    dataset = MultiviewDataset(many, whole)
    sampled = dataset.sample(20, seed=7)
    sizes = [view.sizes for view in sampled.views.values()]
    assert [size[1:] for size in sizes] == [(5, 15)] * 2
    assert all(20 <= size[0] < 40 for size in sizes)
    assert {tied for tied in linked_items(sampled) if len(tied) > 1} <= linked_items(dataset)
    halves = {row for tied in linked_items(dataset) if len(tied) == 2 for row in tied}
    kept = {row for tied in linked_items(sampled) for row in tied}
    assert kept & halves == {row for t in linked_items(sampled) if len(t) == 2 for row in t}
    assert linked_items(dataset.sample(20, seed=7)) == linked_items(sampled)
    assert linked_items(dataset.sample(20, seed=8)) != linked_items(sampled)
    assert linked_items(dataset.sample(100)) == linked_items(dataset)
    unlinked = MultiviewDataset(many).sample(25)
    assert [view.sizes for view in unlinked.views.values()] == [(25, 5, 15)] * 2
    fewer = dataset.sample(3, partition="test")
    assert [view.sizes for view in fewer.views.values()] == [(80, 5, 3), (40, 5, 3)]


def test_another_partition() -> None:
    other = marks(en=[2, 0, 0, -1, 1, 0], de=[2, 0, -1, 1, 0], image=[2, 0, 1, 0])
    first = marks(en=[0, 0, 0, 0, 1, 2], de=[0, 0, 0, 1, 2], image=[0, 0, 1, 2])
    moved = animals(partitions={"other": other, "first": first}).with_partition("other")
    assert moved.view("en").sizes == (3, 1, 1)
    assert moved.view("en").input_rows.tolist() == [1, 2, 5, 4, 0]
    assert moved.get_labels() == ["a", "b", "b", "a", "a"]
    assert moved.view("image").embeddings.tolist() == [[1], [3], [2], [0]]  # type: ignore[union-attr]
    back = moved.with_partition("first")
    assert back.view("en").input_rows.tolist() == [1, 2, 0, 4, 5]
    assert linked_items(back) == {t for t in linked_items(animals()) if ("en", 3) not in t}
