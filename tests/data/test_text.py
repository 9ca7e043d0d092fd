"""Tests of text preprocessing: settings, corpora and errors."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from octis_m3l.data.text import PreprocessingReport, TextPreprocessor, TokenizedCorpus
from octis_m3l.errors import DataError, SettingsError

quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

words = st.text("abcdeéßİIıΣς'’-_.,·\u0301\u200d\u200c19 \u00a0\n", max_size=12)
sentences = st.lists(words, max_size=8).map(" ".join)
anything = st.text(max_size=40)
documents = st.lists(st.none() | st.just(float("nan")) | sentences | anything, max_size=8)
preprocessors = st.builds(
    TextPreprocessor,
    language=st.sampled_from([None, "en", "fr", "tr", "el", "he", "ar"]),
    vocabulary_size=st.none() | st.integers(1, 6),
    stop_words=st.booleans(),
    lowercase=st.booleans(),
    min_word_length=st.none() | st.integers(1, 3),
    keep_numbers=st.booleans(),
    tokenizer=st.sampled_from(["unicode", "whitespace"]),
)


def fitted(preprocessor: TextPreprocessor, texts: Sequence[Any], training: Any) -> TokenizedCorpus:
    """Return the corpus of texts to which one that always has a word is added."""
    return preprocessor.fit_transform([*texts, "qwertz"], np.array([*training, True]), view="any")


def decoded(corpus: TokenizedCorpus) -> list[list[str]]:
    """Return the words of every document."""
    ends = zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True)
    return [[corpus.vocabulary[token] for token in corpus.token_ids[a:b]] for a, b in ends]


def refused(call: Callable[[], object], kind: type[Exception] = DataError) -> str:
    """Return the text of the error that a call must raise."""
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


@quick
@given(preprocessors, documents, st.data())
def test_corpora_of_any_texts(
    preprocessor: TextPreprocessor, texts: list[str | None], data: st.DataObject
) -> None:
    size = len(texts)
    training = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    corpus = fitted(preprocessor, texts, training)
    found = [preprocessor.tokenize(text) if isinstance(text, str) else [] for text in texts]
    seen = {word for words, kept in zip(found, training, strict=True) if kept for word in words}
    assert list(corpus.vocabulary) == sorted(set(corpus.vocabulary) & (seen | {"qwertz"}))
    assert len(corpus.vocabulary) <= (preprocessor.vocabulary_size or np.inf)
    assert all(word.split() == [word] for word in corpus.vocabulary)
    kept = [[word for word in document if word in corpus.vocabulary] for document in found]
    assert decoded(corpus)[:-1] == kept
    assert (corpus.token_ids.dtype, corpus.offsets.dtype) == (np.int32, np.int64)
    assert corpus.offsets.shape == (size + 2,)
    assert corpus.offsets[-1] == len(corpus.token_ids) == corpus.report.tokens_after
    assert corpus.report.tokens_before == sum(map(len, found)) + 1
    empty = [row for row, text in enumerate(texts) if isinstance(text, str) and not kept[row]]
    assert [row for row in corpus.report.empty_documents if row < size] == empty
    again = fitted(preprocessor, texts, training)
    transformed = preprocessor.transform([*texts, "qwertz"], corpus.vocabulary, view="any")
    for other in (again, transformed):
        np.testing.assert_array_equal(other.token_ids, corpus.token_ids)
        np.testing.assert_array_equal(other.offsets, corpus.offsets)
        assert (other.vocabulary, other.report) == (corpus.vocabulary, corpus.report)


@quick
@given(st.sampled_from([None, "en", "fr", "it", "ca", "he", "ro"]), sentences | anything)
def test_tokens_are_their_own_tokens(language: str | None, text: str) -> None:
    preprocessor = TextPreprocessor(language)
    tokens = preprocessor.tokenize(text)
    assert preprocessor.tokenize(" ".join(tokens)) == tokens


def test_missing_documents() -> None:
    column: Any = pd.Series(["red apple", pd.NA, "red pear"], dtype="string")
    corpus = TextPreprocessor("en").fit_transform(column)
    assert decoded(corpus) == [["red", "apple"], [], ["red", "pear"]]
    assert corpus.report.empty_documents == ()
    texts: list[Any] = [None, float("nan"), "red"]
    assert TextPreprocessor().fit_transform(texts).offsets.tolist() == [0, 0, 0, 1]


def test_most_frequent_words_with_ties_in_order() -> None:
    texts = ["pear pear apple", "plum fig", "kiwi kiwi kiwi"]
    corpus = TextPreprocessor(vocabulary_size=4).fit_transform(texts)
    assert corpus.vocabulary == ("apple", "fig", "kiwi", "pear")


def test_document_frequencies() -> None:
    texts = ["one two", "one three", "one two four", None, "four four"]
    training = np.array([True, True, True, True, False])
    preprocessor = TextPreprocessor(min_document_frequency=2, max_document_frequency=0.67)
    corpus = preprocessor.fit_transform(texts, training)
    assert corpus.vocabulary == ("two",)
    assert decoded(corpus) == [["two"], [], ["two"], [], []]
    assert corpus.report.empty_documents == (1, 4)
    # A share that is the highest allowed is kept.
    texts = ["pear plum"] * 29 + ["plum"] * 71
    corpus = TextPreprocessor(max_document_frequency=0.29).fit_transform(texts)
    assert corpus.vocabulary == ("pear",)


def test_transform_keeps_the_order_of_the_vocabulary() -> None:
    corpus = TextPreprocessor("en").transform(["The pear", "fig fig", ""], ["pear", "fig"])
    assert decoded(corpus) == [["pear"], ["fig", "fig"], []]
    assert corpus.vocabulary == ("pear", "fig")
    assert decoded(TextPreprocessor().transform([], ["pear"])) == []


def test_report() -> None:
    corpus = TextPreprocessor("en").fit_transform(["a red pear", "the", None, "!"], view="en")
    assert str(corpus.report) == (
        "View 'en': 4 documents, 2 of them with no token left (rows 1, 3); 2 of 2 tokens are "
        "in the vocabulary of 2 words."
    )
    many = PreprocessingReport("de", 20, tuple(range(12)), 9, 8, 3)
    assert "12 of them with no token left (rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …)" in str(many)
    assert "none of them empty" in str(PreprocessingReport("de", 2, (), 9, 8, 3))
    assert "(row 1)" in str(PreprocessingReport("de", 2, (1,), 9, 8, 3))


# Settings.

LANGUAGE = "it should be a language's code such as 'en', its English name, or None."
STOP_WORDS = "it should be True for the language's list, False for none, or a collection of words."
TOKENIZER = (
    "it should be 'auto', 'fugashi', 'jieba', 'separated', 'unicode' or 'whitespace' or should be "
    "callable."
)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("vocabulary_size", 0, "it should be greater than or equal to 1."),
        ("vocabulary_size", 2.5, "it should be a valid integer."),
        ("min_word_length", True, "it should be a valid integer."),
        ("min_document_frequency", 0, "it should be greater than or equal to 1."),
        ("max_document_frequency", 0.0, "it should be greater than 0."),
        ("max_document_frequency", 5, "it should be less than or equal to 1."),
        ("lowercase", "yes", "it should be a valid boolean."),
        ("language", "xx-YY", LANGUAGE),
        ("language", "", LANGUAGE),
        ("language", 3, "it should be a valid string."),
        ("tokenizer", "jeiba", TOKENIZER),
        ("tokenizer", 3, TOKENIZER),
        ("tokenizer", {"name": "a"}, TOKENIZER),
        ("stop_words", "the", STOP_WORDS),
        ("stop_words", [1], STOP_WORDS),
    ],
)
def test_invalid_settings(name: str, value: Any, reason: str) -> None:
    message = f"TextPreprocessor: {name}={value!r}: {reason}"
    assert refused(lambda: TextPreprocessor(**{name: value}), SettingsError) == message
    assert refused(lambda: TextPreprocessor.from_dict({name: value}), SettingsError) == message


def test_settings_that_are_unknown_or_do_not_go_together() -> None:
    unknown: Any = {"lowercas": True}
    message = "TextPreprocessor has no argument 'lowercas'. Did you mean 'lowercase'? Known: "
    assert refused(lambda: TextPreprocessor(**unknown), SettingsError).startswith(message)
    assert refused(lambda: TextPreprocessor.from_dict(unknown), SettingsError).startswith(message)
    listed: Any = []
    message = refused(lambda: TextPreprocessor.from_dict(listed), SettingsError)
    assert message.startswith("from_dict: settings=[]: it should be a valid dict")
    assert refused(lambda: TextPreprocessor("th"), SettingsError) == (
        "Language 'th' has no spaces between words, and tokenizer=\"auto\" cannot find them. Pass "
        'a function from a text to its words as tokenizer, or tokenizer="whitespace" if the words '
        "of the text are already separated by spaces."
    )


def stored(preprocessor: TextPreprocessor) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(json.dumps(preprocessor.as_dict()))
    return settings


@quick
@given(preprocessors)
def test_round_trip(preprocessor: TextPreprocessor) -> None:
    assert TextPreprocessor.from_dict(stored(preprocessor)) == preprocessor


def test_numbers_of_numpy_and_own_stop_words() -> None:
    numbers: Any = {"vocabulary_size": np.int64(5), "max_document_frequency": np.float32(0.5)}
    preprocessor = TextPreprocessor(**numbers, stop_words={"the", "and"})
    kept = stored(preprocessor)
    assert (kept["vocabulary_size"], kept["stop_words"]) == (5, ["and", "the"])
    again = TextPreprocessor.from_dict(kept)
    assert again == preprocessor
    assert hash(again) == hash(preprocessor)


class Splitter:
    def __call__(self, text: str) -> list[str]:
        return text.split()


@pytest.mark.parametrize(
    ("tokenizer", "name"),
    [
        (Splitter(), f"{__name__}:Splitter"),
        (decoded, f"{__name__}:decoded"),
        (str.split, "builtins:str.split"),
    ],
)
def test_a_function_comes_back_only_by_its_name(tokenizer: Any, name: str) -> None:
    kept = stored(TextPreprocessor(tokenizer=tokenizer))
    assert kept["tokenizer"] == {"callable": name}
    restored = TextPreprocessor.from_dict(kept)
    assert restored.as_dict() == kept
    assert refused(lambda: restored.fit_transform(["a text"]), SettingsError) == (
        f"The tokenizer '{name}' is a function, which stored settings do not contain. Pass it "
        "again: tokenizers={view: function} to MultiviewDataset.from_folder or to a model's load."
    )
    assert restored.with_tokenizer(str.split).tokenize("some text") == ["some", "text"]
    name_only: Any = "unicode"
    message = "with_tokenizer: tokenizer='unicode': it should be callable."
    assert refused(lambda: restored.with_tokenizer(name_only), SettingsError) == message
    assert refused(lambda: TextPreprocessor().with_tokenizer(str.split), SettingsError) == (
        "the texts were split into words by 'auto', and another tokenizer would find other words; "
        "leave it out, or build the data set again with it."
    )


# Errors.


EN = TextPreprocessor("en")
NO_TEXT = (
    "the document is of type {}; expected str, or None if it is missing. Decode bytes, and convert "
    "other types with str()."
)
MASK = "View 'text': the training mask is of type {} and shape {}; expected bool and (2,), one "
NO_VOCABULARY = "view 'text' has no vocabulary: no word was left after preprocessing; check the "
WORD = "view 'text': the vocabulary has {}, which is empty, has white space or is there twice; expe"
TOKENS = (
    "View 'text', row 1: the tokenizer returned {}; expected a list of words without white space. "
    "Correct the function given as tokenizer; it can join words with underscores."
)


def split_into(tokens: Any) -> object:
    texts: list[Any] = [None, "x"]
    return TextPreprocessor("en", tokenizer=lambda text: tokens).fit_transform(texts)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: EN.fit_transform(["a", 7], view="de"),
            f"View 'de', row 1: {NO_TEXT}".format("int"),
        ),
        (lambda: EN.transform([b"a"], ["b"]), f"View 'text', row 0: {NO_TEXT}".format("bytes")),
        (lambda: EN.tokenize(7), NO_TEXT.format("int")),
        (lambda: EN.fit_transform("pear"), "View 'text': expected a list of items, given one str;"),
        (lambda: EN.fit_transform(["a", "b"], np.array([0, 1])), MASK.format("int64", "(2,)")),
        (lambda: EN.fit_transform(["a", "b"], np.array([True])), MASK.format("bool", "(1,)")),
        (lambda: EN.transform(["pear"], []), NO_VOCABULARY),
        (lambda: EN.transform(["pear"], "pear"), "view 'text', vocabulary: expected a list of it"),
        (lambda: EN.transform(["pear"], ["a pear"]), WORD.format("'a pear'")),
        (lambda: EN.transform(["pear"], ["fig", ""]), WORD.format("''")),
        (lambda: EN.transform(["pear"], [3]), WORD.format("3")),
        (lambda: EN.transform(["pear"], ["fig", "fig"]), WORD.format("'fig'")),
        (lambda: split_into(["pear", "new york"]), TOKENS.format("'new york'")),
        (lambda: split_into(["pear", 3]), TOKENS.format("3")),
        (lambda: split_into("pear"), TOKENS.format("'pear'")),
        (lambda: split_into(None), TOKENS.format("None")),
    ],
)
def test_calls_that_are_refused(call: Callable[[], object], message: str) -> None:
    assert refused(call).startswith(message)


def test_texts_without_a_vocabulary() -> None:
    message = (
        "View 'text': no vocabulary. {} of its {} training documents have text. With language={}, "
        "its stop words, min_word_length=None and keep_numbers=False, {} different words are left; "
        "{} are in fewer than min_document_frequency={} documents, {} in more than "
        "max_document_frequency={} of them. Change one of these settings (stop_words=False; "
        "octis-m3l build: --set stop_words=false), or give other texts."
    )

    def said(texts: list[str | None], *numbers: object, **settings: Any) -> None:
        training = np.array([text not in ("pear", "fig") for text in texts])
        found = refused(lambda: TextPreprocessor(**settings).fit_transform(texts, training))
        assert found == message.format(*numbers)

    said(["pear", None], 0, 1, None, 0, 0, 1, 0, 1.0)
    said(["the a 7", "pear"], 1, 1, "'en'", 0, 0, 1, 0, 1.0, language="en")
    bounds = {"min_document_frequency": 2, "max_document_frequency": 0.5}
    said(["red pear", "fig", "red fig", None], 2, 3, None, 3, 2, 2, 1, 0.5, **bounds)
