"""Which embeddings the views of a data set get."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from octis_m3l.data import from_lists
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.encoders import Encoder, PictureEncoder, encode
from octis_m3l.errors import DataError

WORDS = {"en": ("sea", "boat", "sail", "tree", "leaf"), "de": ("meer", "boot", "segel", "baum")}


def texts(language: str, count: int = 8) -> list[Any]:
    random = np.random.default_rng(len(language))
    return [" ".join(random.choice(WORDS[language], 12)) for _ in range(count)]


def built(columns: dict[str, list[Any]], **arguments: Any) -> MultiviewDataset:
    return from_lists(
        columns,
        preprocessing=TextPreprocessor(stop_words=False),
        languages=dict.fromkeys(columns),
        **arguments,
    )


def linked(**arguments: Any) -> MultiviewDataset:
    return built({"en": texts("en"), "de": texts("de")}, **arguments)


def pictures(count: int = 8) -> list[NDArray[np.uint8]]:
    return [np.full((4, 4, 3), 30 * number, np.uint8) for number in range(count)]


def vectors(count: int = 8, dimensions: int = 3) -> NDArray[np.float32]:
    return np.arange(count * dimensions, dtype=np.float32).reshape(count, dimensions)


def kinds(dataset: MultiviewDataset, *arguments: Any, **more: Any) -> dict[str, str]:
    found = encode(dataset, *arguments, **more)
    assert set(found.embeddings) == set(dataset.views)
    for name, view in dataset.views.items():
        assert len(found.embeddings[name]) == len(view)
    return {
        name: found.encoders[name].name if name in found.encoders else "given"
        for name in dataset.views
    }


class Lengths:
    """An encoder of one's own: how long a text is, and how many words it has."""

    name = "lengths"
    dimensions = 2

    def __init__(self) -> None:
        self.calls = 0

    def encode(self, items: Sequence[str]) -> NDArray[np.float32]:
        self.calls += 1
        return np.array([[len(item), len(item.split())] for item in items], np.float32)


def test_auto_uses_given_embeddings_or_fits_encoders() -> None:
    assert kinds(linked()) == {"en": "clsi", "de": "clsi"}
    assert kinds(linked(images={"photo": pictures()})) == {
        "en": "clsi",
        "de": "clsi",
        "photo": "picture",
    }
    assert kinds(
        linked(images={"photo": None}, embeddings={"en": vectors(), "photo": vectors()})
    ) == {
        "en": "given",
        "de": "lsa",
        "photo": "given",
    }
    assert kinds(built({"en": texts("en")})) == {"en": "lsa"}


def test_auto_fits_each_language_by_itself_where_none_are_linked() -> None:
    english, german = [*texts("en"), *[None] * 8], [*[None] * 8, *texts("de")]
    apart = built({"en": english, "de": german})
    assert kinds(apart) == {"en": "lsa", "de": "lsa"}
    with_photos = built({"en": english, "de": german}, images={"photo": [*pictures(), *[None] * 8]})
    assert with_photos.is_linked
    assert kinds(with_photos) == {"en": "lsa", "de": "lsa", "photo": "picture"}
    only_in_test = built(
        {"en": [*english, "sea boat"], "de": [*german, "meer boot"]},
        partition=["train"] * 16 + ["test"],
    )
    assert kinds(only_in_test) == {"en": "lsa", "de": "lsa"}


def test_lsa_and_clsi_replace_given_embeddings_of_texts() -> None:
    dataset = linked(images={"photo": None}, embeddings={"en": vectors(), "photo": vectors()})
    assert kinds(dataset, "lsa") == {"en": "lsa", "de": "lsa", "photo": "given"}
    assert kinds(dataset, "clsi") == {"en": "clsi", "de": "clsi", "photo": "given"}


def test_given_embeddings_are_the_data_sets_own() -> None:
    dataset = linked(embeddings={"en": vectors(), "de": vectors(dimensions=5)})
    found = encode(dataset, "given")
    assert found.encoders == {}
    for name in ("en", "de"):
        assert found.embeddings[name] is dataset.view(name).embeddings


def test_given_is_an_error_where_nothing_is_given() -> None:
    message = (
        "view 'de' has no embeddings; attach them with dataset.with_embeddings, or use "
        "encoder='lsa' or 'clsi'."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        encode(linked(embeddings={"en": vectors()}), "given")


def test_clsi_is_an_error_where_nothing_is_linked() -> None:
    apart = built({"en": [*texts("en"), *[None] * 8], "de": [*[None] * 8, *texts("de")]})
    with pytest.raises(DataError, match="needs training tuples that link en and de; there is"):
        encode(apart, "clsi")


def test_clsi_of_one_language_needs_no_links() -> None:
    assert kinds(built({"en": texts("en")}), "clsi") == {"en": "clsi"}


def test_embeddings_are_those_of_the_encoder_for_the_items_as_stored() -> None:
    dataset = linked(
        images={"photo": pictures()}, partition=["test", "train", "train", "validation"] * 2
    )
    found = encode(dataset, dimensions=2)
    for name, encoder in found.encoders.items():
        view = dataset.view(name)
        assert isinstance(encoder, Encoder)
        assert found.embeddings[name].shape == (8, encoder.dimensions)
        for item in range(8):
            alone = encoder.encode(view.items(slice(item, item + 1)))
            np.testing.assert_array_equal(alone[0], found.embeddings[name][item])


def test_dimensions_are_at_most_those_asked_for() -> None:
    for encoder in ("lsa", "clsi"):
        assert encode(linked(), encoder, dimensions=2).embeddings["en"].shape == (8, 2)


def test_the_same_call_again_returns_the_same_object() -> None:
    dataset = linked()
    first = encode(dataset)
    assert encode(dataset) is first
    assert encode(dataset, "auto", dimensions=150, seed=0) is first
    assert encode(dataset, "lsa") is not first
    assert encode(dataset, "lsa") is encode(dataset, "lsa")
    assert encode(dataset, dimensions=2) is not first
    assert encode(dataset, seed=1) is not first
    assert encode(linked()) is not first


def test_the_last_two_answers_are_remembered() -> None:
    dataset = linked()
    first, second = encode(dataset, "lsa"), encode(dataset, "clsi")
    assert encode(dataset, "lsa") is first
    assert encode(dataset, "clsi") is second
    third = encode(dataset, "lsa", dimensions=2)
    assert encode(dataset, "clsi") is second
    assert encode(dataset, "lsa", dimensions=2) is third
    again = encode(dataset, "lsa")
    assert again is not first
    for name, embeddings in again.embeddings.items():
        np.testing.assert_array_equal(embeddings, first.embeddings[name])


def test_views_are_in_the_order_of_the_data_set() -> None:
    dataset = linked(images={"photo": pictures()}, embeddings={"de": vectors()})
    found = encode(dataset, encoders={"photo": PictureEncoder()})
    assert list(found.embeddings) == ["en", "de", "photo"]


def test_your_own_encoder_is_used() -> None:
    dataset, own = linked(), Lengths()
    assert isinstance(own, Encoder)
    found = encode(dataset, encoders={"de": own})
    assert found.encoders["de"] is own
    assert own.calls == 1
    expected = [[len(text), 12] for text in dataset.text_view("de").items(slice(0, 8))]
    assert found.embeddings["de"].tolist() == expected
    assert found.encoders["en"].name == "lsa"
    assert encode(dataset, encoders={"de": own}) is not found
    assert encode(dataset).encoders["de"].name == "clsi"


def test_your_own_encoder_replaces_given_embeddings() -> None:
    class Red(PictureEncoder):
        """How red a picture is."""

        dimensions = 1

        def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
            return np.array([[item[0, 0, 0]] for item in items], np.float32)

    dataset = linked(images={"photo": pictures()}, embeddings={"en": vectors()})
    found = encode(dataset, "given", encoders={"en": Lengths(), "de": Lengths(), "photo": Red()})
    assert found.embeddings["en"].shape == (8, 2)
    assert found.embeddings["photo"].ravel().tolist() == [30.0 * number for number in range(8)]


def test_your_own_encoder_must_return_one_finite_vector_per_item() -> None:
    class Wrong(Lengths):
        """Returns what it is told to."""

        def __init__(self, answer: NDArray[Any]) -> None:
            self.answer = answer

        def encode(self, items: Sequence[str]) -> NDArray[Any]:
            return self.answer

    hole = vectors()
    hole[2, 1] = np.nan
    for answer, message in (
        (
            vectors(7),
            "view 'en': embeddings have 7 rows for 8 items; give one row for each item, in the "
            "same order.",
        ),
        (
            hole,
            "view 'en': the embedding of row 2 holds NaN, infinity or a number above 3e38, too "
            "large for single precision; encode it again or leave the item out.",
        ),
        (
            np.zeros(8, np.float32),
            "view 'en': embeddings of shape (8,) and type float32, expected floats (items × "
            "dimensions) with 8 rows.",
        ),
        (
            vectors(),
            "the encoder of view 'en' returned vectors of 3 dimensions, but its attribute "
            "dimensions is 2.",
        ),
    ):
        with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
            encode(linked(), encoders={"en": Wrong(answer)})


def test_an_encoder_for_an_unknown_view_is_an_error() -> None:
    message = "unknown view 'dee'. Did you mean 'de'? Known: de, en."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        encode(linked(), encoders={"dee": Lengths()})


def test_a_much_larger_embedding_is_warned_of() -> None:
    given = vectors() + 1
    given[5, 1] = 1e30
    message = (
        r"^the embedding of row 5 of view 'en' has a value of 1e\+30, where the largest of an "
        "embedding is usually .*: one such row can spoil the topics of all; encode it again, or "
        r"leave the item out\.$"
    )
    with pytest.warns(UserWarning, match=message):
        encode(linked().with_embeddings({"en": given}))
