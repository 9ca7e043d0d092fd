"""Tests of tokenizers and stop words."""

import re
import sys
import unicodedata
from types import ModuleType
from typing import Any

import pytest
import regex
import stopwordsiso

from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.tokenizers import lower_case, normalise, stop_words
from octis_m3l.errors import MissingDependencyError, SettingsError


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("fr", "L’école qu'il aime", "école aime"),
        ("fr", "aujourd’hui jusqu'à d'aujourd'hui l' été quelqu'une", ""),
        ("fr", "LORSQU'ON C'est-à-dire aujourd' hui celle-là", ""),
        ("fr", "prud'homme presqu'île arc-en-ciel", "prud'homme presqu'île arc ciel"),
        ("it", "L'arte dell'acqua c'è un po' quest'albero", "arte acqua albero"),
        ("ca", "l'escola d'una col·lecció donar-li'n", "escola col·lecció donar"),
        ("pt", "copo-d'água", "copo água"),
        ("en", "Don't we’ll it's dog's o'clock", "dog o'clock"),
        ("en", "covid-19 3.14 2020s new_york _x_", "covid 2020s new_york"),
        ("de", "Gibt's Straße E-Mail?", "straße mail"),
        ("tr", "Türkiye'nin IŞIK İstanbul'da Kur’an'ın", "türkiye ışık istanbul kur'an"),
        ("uk", "п'ять сім’я комп\u02bcютер", "п'ять сім'я комп'ютер"),
        ("br", "brezhoneg c'hoazh", "brezhoneg"),
        ("ro", "Într-un oraş și oraș, sunteți", "oraș oraș"),
        ("el", "ΟΔΥΣΣΕΥΣ είναι ήρωας ΕΙΝΑΙ", "οδυσσευς ήρωας"),
        ("ru", "Столица России — и ещё", "столица россии"),
        ("hi", "हिन्दी क्षेत्र की दिल्ली", "हिन्दी क्षेत्र दिल्ली"),
        ("ar", "كتـــاب المدرسة في الطَّالِبُ ثُمَّ ثم، إنّ", "كتاب المدرسة الطَّالِبُ"),
        ("fa", "كتاب کتاب‌ها را \u200c", "کتاب کتاب‌ها"),
        ("he", 'ארה"ב צה״ל של ג׳ירפה "שלום"', "ארה״ב צה״ל ג'ירפה שלום"),
        ("ko", "한국어는 아름다운 언어이다.", "한국어는 아름다운 언어이다"),
        (None, "don't l’école Ａｂｃ ﬁne so\u00adft ²", "don't l'école abc fine soft"),
    ],
)
def test_words_of_languages(language: str | None, text: str, expected: str) -> None:
    assert TextPreprocessor(language).tokenize(text) == expected.split()


ONE_CHARACTER = {"keep_numbers": True, "min_word_length": 1}
FRENCH = {"language": "fr", "stop_words": False}
ENGLISH = {"language": "en", "stop_words": False, "min_word_length": 1}
THAI = {"language": "th", "stop_words": False, "tokenizer": "whitespace"}


@pytest.mark.parametrize(
    ("settings", "text", "expected"),
    [
        ({"language": "en", "lowercase": False}, "The Pears, 3,5 and 10:30 of A", "Pears"),
        ({"language": "en", **ONE_CHARACTER}, "pears 3,5 7!", "pears 3,5 7"),
        ({"min_word_length": 5}, "pear pears", "pears"),
        # Without stop words clitics are tokens; own words replace or extend a list.
        (FRENCH, "l'école qu'il aujourd'hui", "école qu il aujourd'hui"),
        (ENGLISH, "Don't they'd've a dog's", "don't they d ve a dog s"),
        ({"language": "fr", "stop_words": ["Été"]}, "qu'un été", "un"),
        (
            {"language": "en", "stop_words": stop_words("en") | {"Pear"}},
            "a pear don't plum",
            "plum",
        ),
        # Combining marks and joiners.
        ({}, "e\u0301te\u0301 \u0301\u0301 \u200d\u200d a\u200d \u200cab", "été ab"),
        ({}, "അവന്‍ ക്‍ക", "അവന്‍ ക്‍ക"),
        # Text that is already separated.
        (THAI, "น้ำ\u200bดำ ๆๆ -- 12 l'école.", "น้ำ ดำ ๆๆ l'école."),
        ({"language": "fr", "tokenizer": "whitespace"}, "l' école", "école"),
        # Signs are no letters of the word beside them.
        ({}, "Apple™ №5 Einstein³ Tee① 5½l 25℃ IBM¹⁰ 1914²", "apple einstein tee ibm"),
        ({}, "℠Dienst Преступление²", "dienst преступление"),
        (ONE_CHARACTER, "№5 1914² 2½ 9①", "5 1914 2 9"),
        # Compatible spellings of letters and digits are written out.
        ({}, "m² 5km³ mc² ㎡ CO₂ H₂O ²³⁵U", "m2 5km3 mc2 m2 co2 h2o 235u"),
        ({}, "ﬁne Ａｐｐｌｅ ㎏ ⅷ 𝐁old", "fine apple kg viii bold"),
        ({}, "ｶﾀｶﾅ ⼭⼈ ㋿ ﷺ", "カタカナ 山人 令和 صلى الله عليه وسلم"),
        # Invisible characters, and the dots of the Turkish i.
        ({}, "he\ufe0fart e\u034f\u0301te\u0301", "heart été"),
        ({"language": "en"}, "İstanbul i\u0307zmir I\u0307zmir", "istanbul izmir izmir"),
        ({"language": "tr"}, "İSTANBUL IŞIK", "istanbul ışık"),
        ({"language": "sr", "stop_words": False}, "реч и слово", "реч слово"),
    ],
)
def test_words_by_settings(settings: dict[str, Any], text: str, expected: str) -> None:
    assert TextPreprocessor(**settings).tokenize(text) == expected.split()


def test_own_tokenizer() -> None:
    seen: list[str] = []

    def split(text: str) -> list[str]:
        seen.append(text)
        return ["The", "Ｐear", "", " ", "\ufdfa", "7"]

    expected = ["pear", "صلى", "الله", "عليه", "وسلم"]
    assert TextPreprocessor("en", tokenizer=split).tokenize("Tｈe") == expected
    assert seen == ["Tｈe"]


def test_every_sign() -> None:
    written_out = re.compile(
        "CJK RADICAL|KANGXI RADICAL|(CIRCLED|SQUARED) LATIN|LATIN.*LETTER|SUBSCRIPT|TELEGRAPH"
    )
    glued = set()
    for sign in filter(unicodedata.decomposition, map(chr, range(sys.maxunicode + 1))):
        if unicodedata.category(sign)[0] in "CPSZ" or unicodedata.category(sign) == "No":
            added = normalise(f"word{sign}word")[4:-4]
            if added and (added[0].isalnum() or added[-1].isalnum()):
                glued.add(sign)
    squared = {s for s in glued if unicodedata.decomposition(s).startswith("<square>")}
    rest = glued - squared
    assert all(written_out.search(unicodedata.name(sign)) for sign in rest), rest
    assert {"㎏", "㌔"} <= squared
    assert {"₂", "⼀", "⺟", "Ⓐ", "㋀"} <= rest
    assert not {"™", "№", "³", "①", "½", "㊙", "₨"} & glued


def test_every_invisible_character() -> None:
    joiners, blanks = {"\u200c", "\u200d"}, {"\u200b", "\u3164", "\uffa0"}
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    ignorable = set(regex.findall(r"\p{Default_Ignorable_Code_Point}", everything))
    assert len(ignorable) > 4000
    for sign in ignorable.union(regex.findall(r"\p{Cf}", everything), "\u0640"):
        between = " " if sign in blanks or sign not in ignorable | {"\u0640"} else ""
        between = sign if sign in joiners else between
        assert normalise(f"so{sign}ft") == f"so{between}ft", hex(ord(sign))


def test_every_letter_in_lower_case() -> None:
    for letter in map(chr, range(sys.maxunicode + 1)):
        if unicodedata.category(letter) in ("Lu", "Lt"):
            for language in (None, "tr"):
                marks = [unicodedata.combining(x) for x in normalise(letter)]
                small = lower_case(normalise(letter), language)
                assert len(small) == len(marks), hex(ord(letter))


def test_words_of_a_vocabulary_made_by_other_rules_are_found() -> None:
    vocabulary = ("i\u0307stanbul", "heart\ufe0f", "co₂", "plain")
    texts = ["İstanbul heart\ufe0f heart CO₂ CO2 Plain"]
    others = TextPreprocessor.of_vocabulary(vocabulary, "en")
    for preprocessor in (others, TextPreprocessor("en")):
        corpus = preprocessor.transform(texts, vocabulary)
        assert corpus.token_ids.tolist() == [0, 1, 1, 2, 2, 3]
    both = TextPreprocessor().transform(["CO₂ co2"], ["co2", "co₂"])
    assert both.token_ids.tolist() == [0, 0]


def test_many_languages() -> None:
    for language in stopwordsiso.langs():
        assert len(stop_words(language)) > 10
    assert {"the", "don't"} <= stop_words("en")
    assert {"qu", "jusqu", "lorsqu", "aujourd", "hui"} <= stop_words("fr")
    assert stop_words("nb") == stop_words("no")


@pytest.mark.parametrize("language", sorted(stopwordsiso.langs()))
def test_nothing_is_left_of_a_stop_word(language: str) -> None:
    preprocessor = TextPreprocessor(language, tokenizer="unicode", min_word_length=2)
    entries = [entry for entry in stopwordsiso.stopwords(language) if len(entry.split()) == 1]
    broken = {entry for entry in entries if "\u2206" in entry or "," in entry}
    left = {entry for entry in entries if preprocessor.tokenize(entry)}
    assert left <= broken


def test_unknown_language() -> None:
    message = (
        r"^No stop words for language 'sr'\. Known: af, ar, bg, .* Pass stop_words=False to keep "
        r"every word, or stop_words=\[\.\.\.\] with your own words\.$"
    )
    for build in (stop_words, TextPreprocessor):
        with pytest.raises(SettingsError, match=message):
            build("sr")
    with pytest.raises(SettingsError, match=r"Did you mean 'en'\?"):
        stop_words("eng")


def test_jieba_finds_chinese_words_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("jieba")
    capfd.readouterr()
    tokens = TextPreprocessor("zh").tokenize("我来到北京清华大学，喜欢书。")
    assert {"北京", "清华大学", "书"} <= set(tokens)
    assert "，" not in tokens
    assert TextPreprocessor("zh").tokenize("书的，１") == ["书"]
    assert TextPreprocessor("zh", stop_words=False).tokenize("书Ａ，１") == ["书", "a"]
    assert capfd.readouterr().err == ""


def test_fugashi_finds_japanese_words() -> None:
    pytest.importorskip("fugashi")
    pytest.importorskip("unidic_lite")
    assert TextPreprocessor("ja").tokenize("東京で本を読む。")[:2] == ["東京", "本"]


def without_dictionary(option: str) -> None:
    raise RuntimeError(option)


NO_DICTIONARY = ModuleType("fugashi")
vars(NO_DICTIONARY)["Tagger"] = without_dictionary


@pytest.mark.parametrize(
    ("modules", "code", "extra", "package"),
    [
        ({"jieba": None}, "zh", "chinese", "jieba"),
        ({"fugashi": None}, "ja", "japanese", "fugashi"),
        ({"fugashi": NO_DICTIONARY, "unidic_lite": None}, "ja", "japanese", "unidic-lite"),
    ],
)
def test_the_package_of_a_language_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, modules: dict[str, Any], code: str, extra: str, package: str
) -> None:
    for module, fake in modules.items():
        monkeypatch.setitem(sys.modules, module, fake)
    with pytest.raises(MissingDependencyError) as caught:
        TextPreprocessor(code).fit_transform(["本"])
    assert str(caught.value) == (
        f"this needs the package {package}, which is not installed. Install it with: pip install "
        f'"octis-m3l[{extra}]", or pass tokenizer="whitespace" if spaces separate the words '
        "already."
    )
    assert TextPreprocessor(code, tokenizer="whitespace").tokenize("東京 書") == ["東京", "書"]
