"""New documents as the words that a model knows."""

import json
import sys
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array, csc_array, csr_matrix, dok_array

from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.views import TextView
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.models.word_reader import WordReader

from .contract import refused

WORDS = ("boat", "sea", "tree", "wood")


def reader(**changes: Any) -> WordReader:
    return WordReader("en", WORDS, TextPreprocessor(language="en", **changes))


def stored(own: WordReader) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(json.dumps(own.preprocessor.as_dict()))
    return settings


def documents(view: TextView) -> list[list[str]]:
    return view.documents(slice(0, len(view)))


def test_texts_go_the_way_of_the_training_texts() -> None:
    found = reader().read(["The Sea, the sea: a BOAT!", "", "nothing known", "wood"])
    assert documents(found) == [["sea", "sea", "boat"], [], [], ["wood"]]
    assert found.name == "en"
    assert found.sizes == (4, 0, 0)
    assert found.vocabulary == WORDS
    assert documents(reader().read([])) == []
    assert documents(reader().read(np.array(["sea", "a tree"], object))) == [["sea"], ["tree"]]


def test_words_that_another_program_chose_are_found_in_raw_texts() -> None:
    arguments: dict[str, Any] = {
        "name": "en",
        "sizes": (1, 0, 0),
        "vocabulary": ("n't", "sea", "new_york", "2014", "i"),
        "token_ids": np.zeros(1, np.int32),
        "offsets": np.array([0, 1]),
    }
    english = WordReader.of_view(TextView(**arguments, language="en"))
    raw = english.read(["The Sea, in 2014: NEW_YORK!", "did n't sea", "(sea)"])
    assert documents(raw) == [["sea", "2014", "new_york"], ["n't", "sea"], ["sea"]]
    again = WordReader.restored("en", english.vocabulary, english.preprocessor.as_dict())
    assert documents(again.read(["(sea)"])) == [["sea"]]
    arguments |= {"name": "cn", "vocabulary": ("北京", "大学", "我们")}
    chinese = WordReader.of_view(TextView(**arguments, language="zh"))
    assert documents(chinese.read(["我们在北京。", "我们 北京"])) == [["我们", "北京"]] * 2
    arguments |= {"name": "th", "vocabulary": ("ทะเล",)}
    thai = WordReader.of_view(TextView(**arguments, language="th"))
    assert documents(thai.read(["ทะเล เรือ"])) == [["ทะเล"]]
    # Without a language, split at white space.
    arguments |= {"vocabulary": ("a", "Sea,", "the")}
    plain = WordReader.of_view(TextView(**arguments))
    assert documents(plain.read(["the Sea, a\tsea"])) == [["the", "Sea,", "a"]]


def test_a_tokenizer_that_is_not_there_is_said_and_separated_words_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = WordReader(
        "cn", ("北京", "大学"), TextPreprocessor.of_vocabulary(("北京", "大学"), "zh")
    )
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.warns(UserWarning, match=r'Install it with: pip install "octis-m3l\[chinese\]"'):
        found = reader.read(["北京 海 大学", "北京大学"])
    assert documents(found) == [["北京", "大学"], []]


@pytest.mark.parametrize("kind", [np.array, csr_matrix, csc_array, coo_array, dok_array])
@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.float32])
def test_counts_are_words_so_many_times(kind: Any, dtype: Any) -> None:
    found = reader().read(kind(np.array([[1, 0, 2, 0], [0, 0, 0, 0], [0, 0, 0, 3]], dtype)))
    assert documents(found) == [["boat", "tree", "tree"], [], ["wood"] * 3]
    assert found.token_ids.dtype == np.int32
    assert found.offsets.dtype == np.int64
    # Sums that the type of a single count does not hold; repeated entries.
    assert reader().read(kind(np.full((3, 4), 100, dtype))).offsets.tolist() == [0, 400, 800, 1200]
    places = (np.array([0, 0, 1]), np.array([1, 1, 3]))
    repeated = coo_array((np.array([1, 2, 1], dtype), places), shape=(2, 4))
    assert documents(reader().read(repeated)) == [["sea"] * 3, ["wood"]]


OTHER = "view 'en': a matrix of shape {}; expected whole numbers (items × 4 words), or texts."
COUNTS = "view 'en': word counts must be whole numbers, 0 or more."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ones((2, 3), np.int64), OTHER.format("(2, 3) and type int64")),
        (np.ones(4, np.int64), OTHER.format("(4,) and type int64")),
        (np.full((2, 4), 0.5, np.float32), COUNTS),
        (np.ones((2, 4), np.bool_), OTHER.format("(2, 4) and type bool")),
        (csr_matrix(np.full((2, 4), np.nan)), COUNTS),
        (csc_array(np.ones((2, 5), np.int32)), OTHER.format("(2, 5) and type int32")),
        (np.array([[0, 2, -1, 0]]), COUNTS),
        (torch.ones(2, 4), "View 'en', row 0: the document is of type Tensor; expected str"),
        (csr_matrix([[0, 2, -1, 0]]), COUNTS),
        (["sea", 3], "View 'en', row 1: "),
    ],
)
def test_what_is_no_count_or_text_is_refused(given: Any, message: str) -> None:
    refused(DataError, message, reader().read, given)


def test_stored_settings_bring_it_back() -> None:
    own = reader(stop_words={"sea"}, min_word_length=4)
    again = WordReader.restored("en", list(WORDS), stored(own))
    texts = ["the sea, the BOAT and a tree"]
    assert documents(again.read(texts)) == documents(own.read(texts)) == [["boat", "tree"]]
    assert again.vocabulary == WORDS


def test_a_tokenizer_of_ones_own_is_given_again() -> None:
    own = reader(tokenizer=lambda text: text.split("-"))
    again = WordReader.restored("en", WORDS, stored(own))
    message = "is a function, which stored settings do not contain"
    refused(SettingsError, message, again.read, ["sea-tree"])
    found = again.with_tokenizer(lambda text: text.split("-")).read(["sea-tree"])
    assert documents(found) == [["sea", "tree"]]
    assert documents(again.read(np.array([[0, 1, 0, 0]]))) == [["sea"]]
    message = "another tokenizer would find other words"
    refused(SettingsError, message, reader().with_tokenizer, str.split)
