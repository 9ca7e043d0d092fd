"""Which language a name stands for, and the warnings where texts are in another."""

import re
import sys
from typing import Any

import pytest

from octis_m3l.data import MultiviewDataset, TextPreprocessor
from octis_m3l.data.languages import language_of
from octis_m3l.errors import SettingsError

ENGLISH = (
    "The cat and the dog were in the house that is by the sea, and it was not as big as they "
    "said. She had been there with her mother before, but we will go to it for a day or two. "
    "When he is here, you have the time to see what all of them are like."
)
CHINESE = ["我们今天早上一起去学校。", "他们喜欢在海边看书，也喜欢唱歌。", "昨天的天气非常好。"]
THAI = ["วันนี้เราไปโรงเรียนด้วยกัน", "เขาชอบอ่านหนังสือที่ชายทะเล"]
NAMES = (
    "en:en zh:zh nb:nb cn:zh zh-cn:zh zh_hans:zh jp:ja ua:uk uk:uk thai:th english:en chinese:zh "
    "mandarin:zh deu:de ger:de pt_br:pt en_title:en title-en:en german_abstract:de it:it"
)
# Of languages without stop words, of countries, and of columns.
NO_LANGUAGE = (
    "kr kn khmer text title second news_cn a xx zz us gb at in in_text may docs it_news so_posts "
    "uk_news user_id hi_res la_a photos abstract to_be no_stop my_en_text body "
    "text_1 main_title summary-long content content_1 caption main_caption title_1 main_body"
)


@pytest.mark.parametrize(
    ("view", "language"),
    [*(pair.split(":") for pair in NAMES.split()), *((name, None) for name in NO_LANGUAGE.split())],
)
def test_names_of_views_say_their_language(view: str, language: str | None) -> None:
    """By code, English name, or a country's usual mistake for one; never by chance."""
    assert language_of(view) == language
    assert language_of(view, {view: None}) is None
    assert language_of(view, {view: "French"}) == "fr"


@pytest.mark.parametrize(
    ("given", "code"),
    [("zh-CN", "zh"), ("English", "en"), ("cn", "zh"), ("eng", "en"), ("Kannada", "kn")],
)
def test_settings_understand_names_of_languages(given: str, code: str) -> None:
    own = TextPreprocessor(given, stop_words=False, tokenizer="whitespace")
    assert own.as_dict()["language"] == code
    texts = {"x": ["one two"]}
    data = MultiviewDataset.from_lists(texts, languages={"x": given}, preprocessing=own)
    assert data.text_view("x").language == code


@pytest.mark.parametrize("given", ["", "no language", "xx-YY"])
def test_what_is_not_a_language(given: str) -> None:
    message = (
        f"view 'de': language={given!r}: it should be a language's code such as 'en', its English "
        "name, or None."
    )
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        language_of("de", {"de": given})


def test_common_codes_do_not_wait_for_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langcodes", None)
    assert language_of("en") == "en"
    assert TextPreprocessor("de").language == "de"


def test_stop_words_of_a_view_named_in_english_are_left_out() -> None:
    data = MultiviewDataset.from_lists({"english": [ENGLISH], "en_title": [ENGLISH]})
    for view in data.text_views.values():
        assert view.language == "en"
        assert {"cat", "dog", "sea"} <= set(view.vocabulary)
        assert not {"the", "and", "were"} & set(view.vocabulary)


def test_an_unknown_language_whose_stop_words_stay_is_warned_of() -> None:
    message = (
        r"view 'reports': its language is not known, but 1\d of its 20 most frequent words are "
        r"stop words of 'en' \(.*the.*, …\)\. Give the language \(languages=\{'reports': 'en'\}; "
        r"octis-m3l build: --language reports=en\), or keep all words with stop_words=False"
    )
    with pytest.warns(UserWarning, match=message):
        MultiviewDataset.from_lists({"reports": [ENGLISH]})
    with pytest.warns(UserWarning, match=r"view 'de': its language is 'de', but .* of 'en' \("):
        MultiviewDataset.from_lists({"de": [ENGLISH]})


@pytest.mark.parametrize("texts", [CHINESE, THAI, ["今日は学校へ行きました。"], ["ខ្ញុំទៅសាលារៀន"]])
def test_sentences_without_spaces_are_warned_of(texts: list[str]) -> None:
    message = (
        r"view 'reports': its language is not known, but words such as '.*' are in a script "
        r"without spaces between words, so that whole sentences count as words\. Give the language "
        r"\(languages=\{'reports': 'zh'\}; octis-m3l build: --language reports=zh\), or the "
        "tokenizer 'whitespace' if"
    )
    with pytest.warns(UserWarning, match=message):
        MultiviewDataset.from_lists({"reports": texts})


@pytest.mark.parametrize(
    ("name", "text", "settings"),
    [
        ("x", ENGLISH, {"stop_words": False}),
        ("x", ENGLISH, {"stop_words": ["the"]}),
        ("x", "我们 今天 学校", {"tokenizer": "whitespace"}),
        ("ko", "학교에 갑니다 漢字 바다 음악 도서관 친구 시장 병원 기차 산 별", {}),
        ("en", ENGLISH, {"language": "en"}),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_is_chosen_is_not_warned_of(name: str, text: str, settings: dict[str, Any]) -> None:
    MultiviewDataset.from_lists({name: [text]}, preprocessing=TextPreprocessor(**settings))
