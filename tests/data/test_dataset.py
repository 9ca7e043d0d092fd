"""Views, and the data set that they make: what is refused, and its variations."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from octis.dataset.dataset import Dataset
from octis.models.LDA import LDA
from octis.models.NMF import NMF

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import ImageView, TextView, View
from octis_m3l.errors import DataError

ANIMALS = ("cat", "dog", "horse", "bird")
TIERE = ("Katze", "Hund", "Pferd", "Vogel")


def text_view(name: str, documents: list[list[int]], **changes: Any) -> TextView:
    offsets = np.cumsum([0, *map(len, documents)]).astype(np.int64)
    arguments: dict[str, Any] = {
        "sizes": (len(documents), 0, 0),
        "vocabulary": ANIMALS if name == "en" else TIERE,
        "token_ids": np.array([word for document in documents for word in document], np.int32),
        "offsets": offsets,
    }
    return TextView(name=name, **(arguments | changes))


def image_view(name: str, *sizes: int, **changes: Any) -> ImageView:
    embeddings = np.arange(sum(sizes) * 2, dtype=np.float32).reshape(-1, 2)
    arguments: dict[str, Any] = {"sizes": sizes, "embeddings": embeddings}
    return ImageView(name=name, **(arguments | changes))


def animals(**changes: Any) -> MultiviewDataset:
    """Six English, five German documents, four pictures; the third tuple has no German."""
    english = [[0, 1], [1, 1, 0], [2], [3, 2], [0], [1, 3]]
    german = [[0, 1], [1, 1], [3, 2], [0], [1, 3]]
    views = [
        text_view("en", english, sizes=(4, 1, 1), labels=list("aabbab")),
        text_view("de", german, sizes=(3, 1, 1), indexes=np.array([0, 1, 3, 4, 5]), inputs=6),
        image_view("image", 2, 1, 1),
    ]
    links = np.array([[0, 0, 0], [1, 1, 1], [2, -1, -1], [3, 2, -1], [4, 3, 2], [5, 4, 3]])
    return MultiviewDataset(views, links, **changes)


def words(dataset: MultiviewDataset, name: str) -> list[list[str]]:
    view = dataset.text_view(name)
    return view.documents(slice(0, len(view)))


def linked_items(dataset: MultiviewDataset) -> set[frozenset[tuple[str, int]]]:
    """Return the tuples, each item by its view and its row in the input."""
    members: dict[int, set[tuple[str, int]]] = {}
    for name, view in dataset.views.items():
        for number, row in zip(dataset.tuples(name), view.input_rows, strict=True):
            members.setdefault(int(number), set()).add((name, int(row)))
    return {frozenset(m) for m in members.values()}


# Views.


@pytest.mark.parametrize("name", ["", "EN", "en us", "../en", "en.de", "日本"])
def test_a_view_name_is_a_safe_file_name(name: str) -> None:
    message = f"view name '{name}': expected lower-case letters, digits, '_' and '-' only."
    with pytest.raises(DataError, match=re.escape(message)):
        image_view(name, 1, 0, 0)


@pytest.mark.parametrize("sizes", [(1,), (2, -1, 0), (1, 0)])
def test_sizes_are_those_of_three_partitions(sizes: tuple[int, ...]) -> None:
    with pytest.raises(
        DataError, match=rf"sizes[ =]{re.escape(str(sizes))}[,:] (expected|it should)"
    ):
        ImageView(name="image", sizes=sizes, embeddings=np.ones((1, 1), np.float32))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabulary": ()}, "view 'en' has no vocabulary: no word was left after preprocessing"),
        ({"vocabulary": ("a", "b", "a")}, "view 'en': the vocabulary repeats a word."),
        (
            {"vocabulary": ("a", "")},
            "view 'en': a word of the vocabulary is empty or con",
        ),
        ({"vocabulary": ("a", "b\u00a0c")}, "is empty or contains white space."),
        ({"vocabulary": ("a",)}, "view 'en': a word index is outside the vocabulary of 1 words."),
        ({"token_ids": np.array([-1, 0, 1], np.int32)}, "a word index is outside the vocabulary"),
        ({"token_ids": np.array([0], np.int32)}, "2 documents with 1 tokens do not fit 2 items."),
        ({"sizes": (1, 0, 0)}, "2 documents with 3 tokens do not fit 1 items."),
        ({"texts": ["one"]}, "view 'en': 1 texts for 2 items; give one for each item."),
        ({"labels": ["a"]}, "view 'en': 1 labels for 2 items; give one for each item."),
        ({"indexes": np.arange(3)}, "view 'en': 3 indexes for 2 items; give one for each item."),
        (
            {"word_vectors": np.zeros((3, 2), np.float32)},
            "view 'en (word vectors)': embeddings have 3 rows for 4 items",
        ),
    ],
)
def test_a_text_view_that_does_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        text_view("en", [[0, 1], [1]], **{"sizes": (2, 0, 0)} | changes)


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (np.zeros((3, 2), np.float32), "view 'image': embeddings have 3 rows for 2 items; give"),
        (np.zeros(2, np.float32), "embeddings of shape (2,) and type float32, expected floats"),
        (np.zeros((2, 0), np.float32), "embeddings of shape (2, 0) and type float32"),
        (np.zeros((2, 2), np.int64), "embeddings of shape (2, 2) and type int64"),
        (
            np.array([[0, 1], [np.nan, 0]], np.float32),
            "view 'image': the embedding of row 1 holds NaN, infinity or a number above 3e38, too "
            "large for single precision; encode it again or leave the item out.",
        ),
        (np.array([[0, np.inf], [0, 0]], np.float32), "the embedding of row 0 holds NaN, inf"),
        (np.array([[0, 1], [0, 1e300]]), "the embedding of row 1 holds NaN, infinity or a number"),
    ],
)
def test_embeddings_that_do_not_fit(embeddings: NDArray[Any], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        image_view("image", 2, 0, 0, embeddings=embeddings)


def test_an_image_view_has_something_to_look_at() -> None:
    message = "image view 'image' has neither pictures nor embeddings; give one of them."
    with pytest.raises(DataError, match=re.escape(message)):
        image_view("image", 1, 0, 0, embeddings=None)
    message = "view 'image': 1 pictures for 2 items; give one for each item."
    with pytest.raises(DataError, match=re.escape(message)):
        image_view("image", 2, 0, 0, pictures=[Path("a.png")])
    message = "image view 'image' has embeddings but no pictures: nothing to encode."
    with pytest.raises(DataError, match=re.escape(message)):
        image_view("image", 2, 0, 0).items(slice(0, 1))


def test_a_partition_that_is_misspelt() -> None:
    message = "unknown partition 'tests'. Did you mean 'test'? Known: test, train, validation."
    with pytest.raises(DataError, match=re.escape(message)):
        image_view("image", 2, 1, 3).rows("tests")
    assert image_view("image", 2, 1, 3).rows("test") == slice(3, 6)


@pytest.mark.parametrize("offset_type", [np.int32, np.int64])
def test_counting_words_leaves_their_order_alone(offset_type: type) -> None:
    view = text_view("en", [[2, 0, 2, 1], [], [1, 0]])
    view = text_view("en", [[2, 0, 2, 1], [], [1, 0]], offsets=view.offsets.astype(offset_type))
    assert view.bag_of_words.toarray().tolist() == [[1, 1, 2, 0], [0, 0, 0, 0], [1, 1, 0, 0]]
    assert view.token_ids.tolist() == [2, 0, 2, 1, 1, 0]
    assert view.items(np.array([2, 0])) == ["dog cat", "horse cat horse dog"]


def test_a_fingerprint_is_that_of_the_texts() -> None:
    view = text_view("en", [[0], [1]])
    assert view.fingerprint() == text_view("en", [[0], [1]]).fingerprint()
    assert view.fingerprint() != text_view("en", [[1], [0]]).fingerprint()
    half = text_view("en", [[0], [1]], texts=["half of a pair: \ud83d", "b"])
    assert len(half.fingerprint()) == 64


# The data set.


def test_what_makes_no_data_set() -> None:
    english = text_view("en", [[0]])
    with pytest.raises(DataError, match=re.escape("two views have the same name: en, en; rename")):
        MultiviewDataset([english, english])
    message = "needs at least one text view: topics are made of words; given image."
    with pytest.raises(DataError, match=re.escape(message)):
        MultiviewDataset([image_view("image", 1, 0, 0)])
    with pytest.raises(DataError, match="given no view at all"):
        MultiviewDataset([])
    with pytest.raises(DataError, match=re.escape("unknown view 'fr'. Known: en.")):
        MultiviewDataset([english], pivot="fr")
    message = "view 'image' holds images and has no words; text views: en, de."
    with pytest.raises(DataError, match=re.escape(message)):
        animals(pivot="image")


def test_a_dictionary_that_points_nowhere() -> None:
    message = (
        "dictionary en-de: expected pairs of word indices below 4 and 4, given an array of shape "
        "(2, 2) with values from 0 to 4."
    )
    with pytest.raises(DataError, match=re.escape(message)):
        animals(dictionaries={("en", "de"): np.array([[0, 0], [1, 4]])})
    with pytest.raises(DataError, match="none of its 1 pairs has both words in the vocabularies"):
        animals().with_dictionary("en", "de", [("cow", "Katze")])


@pytest.mark.parametrize("marks", [{}, {"en": np.zeros(5, np.int8)}, {"en": np.full(6, 3)}])
def test_a_named_partition_marks_every_item(marks: dict[str, Any]) -> None:
    message = "partition 'other': expected for each of the 6 items of view 'en' 0 (train), 1 (vali"
    with pytest.raises(DataError, match=re.escape(message)):
        animals(partitions={"other": marks})


def test_octis_sees_the_pivot() -> None:
    dataset = animals(metadata={"name": "animals"})
    assert dataset.get_corpus()[1] == ["dog", "dog", "cat"]
    assert dataset.get_vocabulary() == list(ANIMALS)
    assert dataset.get_labels() == list("aabbab")
    assert dataset.get_metadata()["last-training-doc"] == 4
    assert dataset.get_metadata()["last-validation-doc"] == 5
    train, validation, test = dataset.get_partitioned_corpus()
    assert (len(train), validation, test) == (4, [["cat"]], [["dog", "bird"]])
    assert [len(part) for part in dataset.get_partitioned_corpus(use_validation=False)] == [4, 1]
    german = animals(pivot="de")
    assert german.get_corpus() == words(german, "de")
    assert german.get_labels() is None


def test_one_language_is_a_plain_dataset() -> None:
    dataset = animals(metadata={"name": "animals"})
    german = dataset.monolingual("de")
    assert type(german) is Dataset
    assert german.get_corpus() == words(dataset, "de")
    assert german.get_vocabulary() == list(TIERE)
    assert german.get_metadata()["name"] == "animals"
    parts = german.get_partitioned_corpus()
    assert [len(part) for part in parts] == [3, 1, 1]
    english = dataset.monolingual("en")
    assert english.get_corpus() == dataset.get_corpus()
    assert english.get_labels() == dataset.get_labels()
    assert list(map(list, english.get_partitioned_corpus())) == dataset.get_partitioned_corpus()
    with pytest.raises(DataError, match="holds images and has no words"):
        dataset.monolingual("image")


@pytest.mark.parametrize("model_class", [LDA, NMF])
@pytest.mark.parametrize("language", [None, "de"])
def test_models_of_octis_run_as_they_are(model_class: type[Any], language: str | None) -> None:
    generator = np.random.default_rng(0)
    documents = [generator.integers(0, 4, 8).tolist() for _ in range(40)]
    views = [text_view(name, documents, sizes=(30, 5, 5)) for name in ("en", "de")]
    dataset: Any = MultiviewDataset.linked_by_row(views)
    if language is not None:
        dataset = dataset.monolingual(language)
    model = model_class(num_topics=2, random_state=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        output = model.train_model(dataset, top_words=3)
    assert len(output["topics"]) == 2
    assert set(output["topics"][0]) <= set(dataset.get_vocabulary())
    assert output["topic-document-matrix"].shape == (2, 30)
    assert output["test-topic-document-matrix"].shape[1] == 5


def test_tuples_of_a_partition() -> None:
    dataset = animals()
    assert dataset.is_linked
    assert dataset.tuples("en").tolist() == [0, 1, 2, 3, 4, 5]
    assert dataset.tuples("de").tolist() == [0, 1, 3, 4, 5]
    assert dataset.partition_tuples("train").tolist() == [0, 1, 2, 3]
    assert dataset.partition_tuples("test").tolist() == [5]
    unlinked = MultiviewDataset(dataset.views.values())
    assert not unlinked.is_linked
    assert len(linked_items(unlinked)) == 15


def test_information() -> None:
    dataset = animals(metadata={"name": "animals"})
    info = dataset.info()
    assert info["name"] == "animals"
    assert info["views"]["en"]["items"] == {"train": 4, "validation": 1, "test": 1}
    assert info["views"]["image"]["embeddings"] == {"name": "given", "dimensions": 2}
    assert repr(dataset).startswith("<MultiviewDataset of 6 tuples (")
    assert (info["tuples"], info["tuples_with_every_view"], info["largest_tuple"]) == (6, 4, 3)


# Variations.


def test_embeddings_in_the_order_of_the_input(tmp_path: Path) -> None:
    given = np.arange(12, dtype=np.float64).reshape(6, 2)
    given[2] = np.nan
    dataset = animals().with_embeddings({"de": given}, name="mine")
    german = dataset.view("de")
    assert german.embedding_name == "mine"
    assert german.embeddings is not None
    assert german.embeddings.dtype == np.float32
    assert german.embeddings[:, 0].tolist() == [0, 2, 6, 8, 10]
    np.save(tmp_path / "en.npy", np.ones((6, 3), np.float32))
    english = animals().with_embeddings({"en": tmp_path / "en.npy"}).view("en")
    assert isinstance(english.embeddings, np.memmap)


def test_embeddings_in_the_stored_order() -> None:
    given = np.arange(10, dtype=np.float32).reshape(5, 2)
    dataset = animals().with_embeddings({"de": given}, order="stored")
    assert dataset.view("de").embeddings is given
    split = animals().with_split(0.5, 0.25, seed=3)
    view = split.view("de").input_rows
    marked = np.arange(6, dtype=np.float32)[:, None]
    assert split.with_embeddings({"de": marked}).view("de").embeddings[:, 0].tolist() == list(view)  # type: ignore[index]


def test_embeddings_that_cannot_be_attached(tmp_path: Path) -> None:
    dataset = animals()
    message = (
        "view 'de': embeddings have 5 rows, the input had 6 (of which 5 became items); give one "
        "row for each row of the input, or pass order='stored'."
    )
    with pytest.raises(DataError, match=re.escape(message)):
        dataset.with_embeddings({"de": np.zeros((5, 2))})
    with pytest.raises(DataError, match=re.escape("embeddings have 6 rows for 5 items")):
        dataset.with_embeddings({"de": np.zeros((6, 2))}, order="stored")
    with pytest.raises(DataError, match=re.escape("unknown order 'sorted'; use 'input' or 'stor")):
        dataset.with_embeddings({"de": np.zeros((5, 2))}, order="sorted")
    with pytest.raises(DataError, match=re.escape("unknown view 'dee'. Did you mean 'de'?")):
        dataset.with_embeddings({"dee": np.zeros((5, 2))})


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
    message = rf"view 'en': {re.escape(str(path))} can't be read as a \.npy array \(.+\); write it"
    with pytest.raises(DataError, match=message):
        animals().with_embeddings({"en": path})


def test_some_views_only() -> None:
    marks = {name: np.zeros(len(v), np.int8) for name, v in animals().views.items()}
    dataset = animals(
        dictionaries={("en", "de"): np.array([[0, 0]])}, partitions={"all": marks}
    ).with_views(["image", "de"])
    assert list(dataset.views) == ["image", "de"]
    assert dataset.pivot == "de"
    assert dataset.dictionaries == {}
    assert set(dataset.partitions["all"]) == {"image", "de"}
    kept = {frozenset(m for m in t if m[0] != "en") for t in linked_items(animals())}
    assert linked_items(dataset) == kept - {frozenset()}
    with pytest.raises(DataError, match=re.escape("unknown view 'fr'. Known: de, en, image.")):
        dataset = animals().with_views(["fr"])
    with pytest.raises(DataError, match="at least one text view"):
        animals().with_views(["image"])


def test_complete_tuples_only() -> None:
    dataset = animals().complete()
    assert [view.sizes for view in dataset.views.values()] == [(2, 1, 1)] * 3
    assert linked_items(dataset) == {t for t in linked_items(animals()) if len(t) == 3}
    both = animals().complete(["en", "de"])
    assert both.text_view("en").input_rows.tolist() == [0, 1, 3, 4, 5]
    assert len(both.view("image")) == 4
    assert words(both, "en") == [d for i, d in enumerate(words(animals(), "en")) if i != 2]
    assert both.get_labels() == list("aabab")
    assert animals().complete([]).info() == dataset.info()


def test_no_tuple_is_complete() -> None:
    dataset = MultiviewDataset([text_view("en", [[0]]), text_view("de", [[1]])]).complete()
    assert [len(view) for view in dataset.views.values()] == [0, 0]
    assert dataset.info()["tuples"] == 0


def test_a_random_split_keeps_tuples_whole() -> None:
    many: list[View] = [text_view("en", [[0]] * 100), text_view("de", [[1]] * 150)]
    links = np.array([[i // 2, i] for i in range(0, 150)])
    dataset = MultiviewDataset(many, links)
    split = dataset.with_split(0.6, 0.2, seed=7)
    assert linked_items(split) == linked_items(dataset)
    assert split.view("en").sizes == (60, 20, 20)
    assert sum(split.view("de").sizes) == 150
    again = dataset.with_split(0.6, 0.2, seed=7)
    assert np.array_equal(again.view("de").input_rows, split.view("de").input_rows)
    other = dataset.with_split(0.6, 0.2, seed=8)
    assert not np.array_equal(other.view("de").input_rows, split.view("de").input_rows)
    assert dataset.with_split(1.0, 0.0).view("en").sizes == (100, 0, 0)


@pytest.mark.parametrize("shares", [(0.0, 0.5), (0.9, 0.2), (1.2, 0.0), (0.5, -0.1)])
def test_a_split_with_impossible_shares(shares: tuple[float, float]) -> None:
    message = f"shares train={shares[0]}, validation={shares[1]}: expected train above 0 and both"
    with pytest.raises(DataError, match=re.escape(message)):
        animals().with_split(*shares)


def test_a_sample_has_so_many_items_of_each_view_in_whole_tuples() -> None:
    many: list[View] = [
        text_view("en", [[0]] * 100, sizes=(80, 5, 15)),
        text_view("de", [[1]] * 60, sizes=(40, 5, 15)),
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
    again = dataset.sample(20, seed=7)
    assert linked_items(again) == linked_items(sampled)
    assert linked_items(dataset.sample(20, seed=8)) != linked_items(sampled)
    assert linked_items(dataset.sample(100)) == linked_items(dataset)
    unlinked = MultiviewDataset(many).sample(25)
    assert [view.sizes for view in unlinked.views.values()] == [(25, 5, 15)] * 2
    fewer = dataset.sample(3, partition="test")
    assert [view.sizes for view in fewer.views.values()] == [(80, 5, 3), (40, 5, 3)]
    with pytest.raises(DataError, match=r"unknown partition 'tset'. Did you mean 'test'\?"):
        dataset.sample(3, partition="tset")
    with pytest.raises(DataError, match="expected a whole number"):
        dataset.sample(0)


def test_another_partition() -> None:
    other = {
        "en": np.array([2, 0, 0, -1, 1, 0], np.int8),
        "de": np.array([2, 0, -1, 1, 0], np.int8),
        "image": np.array([2, 0, 1, 0], np.int8),
    }
    first = {"en": np.array([0, 0, 0, 0, 1, 2], np.int8)}
    first |= {"de": np.array([0, 0, 0, 1, 2], np.int8), "image": np.array([0, 0, 1, 2], np.int8)}
    dataset = animals(partitions={"other": other, "first": first})
    moved = dataset.with_partition("other")
    assert moved.view("en").sizes == (3, 1, 1)
    assert moved.view("en").input_rows.tolist() == [1, 2, 5, 4, 0]
    assert moved.get_labels() == ["a", "b", "b", "a", "a"]
    assert moved.view("image").embeddings.tolist() == [[2, 3], [6, 7], [4, 5], [0, 1]]  # type: ignore[union-attr]
    back = moved.with_partition("first")
    assert back.view("en").input_rows.tolist() == [1, 2, 0, 4, 5]
    assert linked_items(back) == {t for t in linked_items(animals()) if ("en", 3) not in t}
    message = "unknown partition mark 'others'. Did you mean 'other'? Known: first, other."
    with pytest.raises(DataError, match=re.escape(message)):
        dataset.with_partition("others")


def test_another_partition_that_tears_a_tuple() -> None:
    marks = {name: np.zeros(len(v), np.int8) for name, v in animals().views.items()}
    marks["de"] = np.array([2, 0, 0, 0, 0], np.int8)
    with pytest.raises(DataError, match=r"different partitions: en 0 \(train\), de 4 "):
        animals(partitions={"torn": marks}).with_partition("torn")


def test_a_row_that_is_not_finite_has_the_number_that_it_was_given_with() -> None:
    texts = ["a ship", "a wave", "a sail", "the sea", "the coast", "an island"] * 4
    dataset = MultiviewDataset.from_lists({"en": texts}, split=(0.5, 0.2), split_seed=1)
    given = np.ones((len(texts), 2))
    given[7, 1] = np.nan
    assert dataset.view("en").input_rows[7] != 7
    with pytest.raises(DataError, match=r"^view .en.: the embedding of row 7 holds NaN"):
        dataset.with_embeddings({"en": given})
