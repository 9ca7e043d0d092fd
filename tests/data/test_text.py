"""Tests of tokenizing and of choosing a vocabulary."""

import dataclasses
import json
import logging
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import regex
import stopwordsiso
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from octis_m3l.data.text import (
    PreprocessingReport,
    TextPreprocessor,
    TokenizedCorpus,
    available_stop_words,
    stop_words,
)
from octis_m3l.data.tokenizers import lower_case, normalise
from octis_m3l.errors import DataError, MissingDependencyError, SettingsError

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


def fitted(
    preprocessor: TextPreprocessor, texts: Sequence[Any], training: Any = None
) -> TokenizedCorpus:
    """Return the corpus of texts to which one that always has a word is added."""
    mask = None if training is None else np.array([*training, True])
    return preprocessor.fit_transform([*texts, "qwertz"], mask, view="any")


def decoded(corpus: TokenizedCorpus) -> list[list[str]]:
    """Return the words of every document."""
    ends = zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True)
    return [[corpus.vocabulary[token] for token in corpus.token_ids[a:b]] for a, b in ends]


def refused(kind: type[Exception], call: Callable[[], object]) -> str:
    """Return the text of the error that a call must raise."""
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


class TestCorpus:
    """What fit_transform and transform return."""

    @quick
    @given(preprocessors, documents)
    def test_ids_and_offsets_are_in_range(
        self, preprocessor: TextPreprocessor, texts: list[str | None]
    ) -> None:
        """Ids are positions in the vocabulary and offsets rise from 0 to the number of tokens."""
        corpus = fitted(preprocessor, texts)
        assert corpus.token_ids.dtype == np.int32
        assert corpus.offsets.dtype == np.int64
        assert corpus.offsets.shape == (len(texts) + 2,)
        assert corpus.offsets[0] == 0
        assert corpus.offsets[-1] == len(corpus.token_ids) == corpus.report.tokens_after
        assert (np.diff(corpus.offsets) >= 0).all()
        assert ((corpus.token_ids >= 0) & (corpus.token_ids < len(corpus.vocabulary))).all()

    @quick
    @given(preprocessors, documents, st.data())
    def test_vocabulary_is_of_the_training_rows(
        self, preprocessor: TextPreprocessor, texts: list[str | None], data: st.DataObject
    ) -> None:
        """It is sorted, has no word twice, and every word is in a training row."""
        size = len(texts)
        training = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
        corpus = fitted(preprocessor, texts, training)
        assert list(corpus.vocabulary) == sorted(set(corpus.vocabulary))
        assert len(corpus.vocabulary) <= (preprocessor.vocabulary_size or np.inf)
        seen = {"qwertz"}
        for text, chosen in zip(texts, training, strict=True):
            seen |= set(preprocessor.tokenize(text)) if chosen and isinstance(text, str) else set()
        assert set(corpus.vocabulary) <= seen
        assert all(word.split() == [word] for word in corpus.vocabulary)

    @quick
    @given(preprocessors, documents)
    def test_documents_are_what_tokenize_gives(
        self, preprocessor: TextPreprocessor, texts: list[str | None]
    ) -> None:
        """Every document is its tokens in order, without those outside the vocabulary."""
        corpus = fitted(preprocessor, texts)
        found = [preprocessor.tokenize(text) if isinstance(text, str) else [] for text in texts]
        kept = [[word for word in document if word in corpus.vocabulary] for document in found]
        assert decoded(corpus)[:-1] == kept
        assert corpus.report.tokens_before == sum(map(len, found)) + 1

    @quick
    @given(preprocessors, documents)
    def test_transform_repeats_fit_transform(
        self, preprocessor: TextPreprocessor, texts: list[str | None]
    ) -> None:
        """The fitted vocabulary gives the same corpus and report, and so does a second fit."""
        first = fitted(preprocessor, texts)
        again = fitted(preprocessor, texts)
        transformed = preprocessor.transform([*texts, "qwertz"], first.vocabulary, view="any")
        for other in (again, transformed):
            np.testing.assert_array_equal(other.token_ids, first.token_ids)
            np.testing.assert_array_equal(other.offsets, first.offsets)
            assert other.vocabulary == first.vocabulary
            assert other.report == first.report

    @quick
    @given(preprocessors, documents)
    def test_missing_rows_are_documents_of_no_tokens(
        self, preprocessor: TextPreprocessor, texts: list[str | None]
    ) -> None:
        """They have no tokens, and are not among those that the report calls empty."""
        corpus = fitted(preprocessor, texts)
        lengths = np.diff(corpus.offsets)
        given_rows = [row for row, text in enumerate(texts) if isinstance(text, str)]
        assert all(lengths[row] == 0 for row in range(len(texts)) if row not in given_rows)
        empty = [row for row in [*given_rows, len(texts)] if lengths[row] == 0]
        assert corpus.report.empty_documents == tuple(empty)

    @quick
    @given(st.sampled_from([None, "en", "fr", "it", "ca", "he", "ro"]), sentences | anything)
    def test_tokens_are_their_own_tokens(self, language: str | None, text: str) -> None:
        """Tokenizing the tokens again changes nothing."""
        preprocessor = TextPreprocessor(language)
        tokens = preprocessor.tokenize(text)
        assert preprocessor.tokenize(" ".join(tokens)) == tokens

    def test_pandas_columns(self) -> None:
        """None, NaN and pandas' NA are missing."""
        column = pd.Series(["red apple", pd.NA, "red pear"], dtype="string")
        corpus = TextPreprocessor("en").fit_transform(column)  # type: ignore[arg-type]
        assert decoded(corpus) == [["red", "apple"], [], ["red", "pear"]]
        assert corpus.report.empty_documents == ()
        corpus = TextPreprocessor().fit_transform([None, float("nan"), "red"])  # type: ignore[list-item]
        np.testing.assert_array_equal(corpus.offsets, [0, 0, 0, 1])

    def test_most_frequent_words_with_ties_in_order(self) -> None:
        """The size cuts the rarest words, and of equally frequent ones the last of the alphabet."""
        texts = ["pear pear apple", "plum fig", "kiwi kiwi kiwi"]
        corpus = TextPreprocessor(vocabulary_size=4).fit_transform(texts)
        assert corpus.vocabulary == ("apple", "fig", "kiwi", "pear")

    def test_document_frequencies(self) -> None:
        """They count training documents that are not missing."""
        texts = ["one two", "one three", "one two four", None, "four four"]
        training = np.array([True, True, True, True, False])
        bounds = {"min_document_frequency": 2, "max_document_frequency": 0.67}
        corpus = TextPreprocessor(**bounds).fit_transform(texts, training)  # type: ignore[arg-type]
        assert corpus.vocabulary == ("two",)
        assert decoded(corpus) == [["two"], [], ["two"], [], []]
        assert corpus.report.empty_documents == (1, 4)

    def test_share_at_its_bound_is_kept(self) -> None:
        """A word in 29 of 100 documents is in a share of 0.29."""
        texts = ["pear plum"] * 29 + ["plum"] * 71
        corpus = TextPreprocessor(max_document_frequency=0.29).fit_transform(texts)
        assert corpus.vocabulary == ("pear",)

    def test_transform_keeps_the_order_of_the_vocabulary(self) -> None:
        """A vocabulary from elsewhere need not be sorted."""
        corpus = TextPreprocessor("en").transform(["The pear", "fig fig", ""], ["pear", "fig"])
        assert corpus.token_ids.tolist() == [0, 1, 1]
        assert corpus.offsets.tolist() == [0, 1, 3, 3]
        assert corpus.vocabulary == ("pear", "fig")

    def test_no_documents(self) -> None:
        """No documents are a corpus of no documents."""
        corpus = TextPreprocessor().transform([], ["pear"])
        assert corpus.offsets.tolist() == [0]
        assert corpus.token_ids.shape == (0,)

    def test_report(self) -> None:
        """The report reads as a sentence."""
        corpus = TextPreprocessor("en").fit_transform(["a red pear", "the", None, "!"], view="en")
        assert str(corpus.report) == (
            "View 'en': 4 documents, 2 of them with no token left (rows 1, 3); 2 of 2 tokens are "
            "in the vocabulary of 2 words."
        )
        many = PreprocessingReport("de", 20, tuple(range(12)), 9, 8, 3)
        assert "12 of them with no token left (rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...)" in str(many)
        assert "none of them empty" in str(PreprocessingReport("de", 2, (), 9, 8, 3))
        assert "(row 1)" in str(PreprocessingReport("de", 2, (1,), 9, 8, 3))


class TestWords:
    """The rules of the tokenizer "unicode"."""

    @pytest.mark.parametrize(
        ("language", "text", "expected"),
        [
            ("fr", "L’école qu'il aime", ["école", "aime"]),
            ("fr", "aujourd’hui jusqu'à d'aujourd'hui l' été quelqu'une", []),
            ("fr", "LORSQU'ON C'est-à-dire aujourd' hui celle-là", []),
            (
                "fr",
                "prud'homme presqu'île arc-en-ciel",
                ["prud'homme", "presqu'île", "arc", "ciel"],
            ),
            ("it", "L'arte dell'acqua c'è un po' quest'albero", ["arte", "acqua", "albero"]),
            ("ca", "l'escola d'una col·lecció donar-li'n", ["escola", "col·lecció", "donar"]),
            ("pt", "copo-d'água", ["copo", "água"]),
            ("en", "Don't we’ll it's dog's o'clock", ["dog", "o'clock"]),
            ("en", "covid-19 3.14 2020s new_york _x_", ["covid", "2020s", "new_york"]),
            ("de", "Gibt's Straße E-Mail?", ["straße", "mail"]),
            (
                "tr",
                "Türkiye'nin IŞIK İstanbul'da Kur’an'ın",
                ["türkiye", "ışık", "istanbul", "kur'an"],
            ),
            ("uk", "п'ять сім’я комп\u02bcютер", ["п'ять", "сім'я", "комп'ютер"]),
            ("br", "brezhoneg c'hoazh", ["brezhoneg"]),
            ("ro", "Într-un oraş și oraș, sunteți", ["oraș", "oraș"]),
            ("el", "ΟΔΥΣΣΕΥΣ είναι ήρωας ΕΙΝΑΙ", ["οδυσσευς", "ήρωας"]),
            ("ru", "Столица России — и ещё", ["столица", "россии"]),
            ("hi", "हिन्दी क्षेत्र की दिल्ली", ["हिन्दी", "क्षेत्र", "दिल्ली"]),
            ("ar", "كتـــاب المدرسة في الطَّالِبُ ثُمَّ ثم، إنّ", ["كتاب", "المدرسة", "الطَّالِبُ"]),
            ("fa", "كتاب کتاب‌ها را \u200c", ["کتاب", "کتاب‌ها"]),
            ("he", 'ארה"ב צה״ל של ג׳ירפה "שלום"', ["ארה״ב", "צה״ל", "ג'ירפה", "שלום"]),
            ("ko", "한국어는 아름다운 언어이다.", ["한국어는", "아름다운", "언어이다"]),
            (
                None,
                "don't l’école Ａｂｃ ﬁne so\u00adft ²",
                ["don't", "l'école", "abc", "fine", "soft"],
            ),
        ],
    )
    def test_words_of_languages(self, language: str | None, text: str, expected: list[str]) -> None:
        """Words stay whole, and no rubbish is left of elisions and stop words."""
        assert TextPreprocessor(language).tokenize(text) == expected

    def test_without_stop_words_clitics_are_tokens(self) -> None:
        """Nothing but what is too short is dropped when there are no stop words."""
        french = TextPreprocessor("fr", stop_words=False)
        assert french.tokenize("l'école qu'il aujourd'hui") == ["école", "qu", "il", "aujourd'hui"]
        english = TextPreprocessor("en", stop_words=False, min_word_length=1)
        expected = ["don't", "they", "d", "ve", "a", "dog", "s"]
        assert english.tokenize("Don't they'd've a dog's") == expected
        assert TextPreprocessor("fr", stop_words=["Été"]).tokenize("qu'un été") == ["un"]

    def test_case_numbers_and_lengths(self) -> None:
        """Each setting does what it says; stop words go whatever their case."""
        text = "The Pears, 3,5 and 10:30 of A"
        assert TextPreprocessor("en", lowercase=False).tokenize(text) == ["Pears"]
        kept = TextPreprocessor("en", keep_numbers=True, min_word_length=1).tokenize("pears 3,5 7!")
        assert kept == ["pears", "3,5", "7"]
        assert TextPreprocessor(min_word_length=5).tokenize("pear pears") == ["pears"]

    def test_combining_marks_and_joiners(self) -> None:
        """Decomposed letters are composed, and stray marks and joiners are no words."""
        text = "e\u0301te\u0301 \u0301\u0301 \u200d\u200d a\u200d \u200cab"
        assert TextPreprocessor().tokenize(text) == ["été", "ab"]
        assert TextPreprocessor().tokenize("അവന്‍ ക്‍ക") == ["അവന്‍", "ക്‍ക"]

    def test_text_that_is_already_separated(self) -> None:
        """The tokenizer "whitespace" splits at white space only; punctuation alone is no word."""
        thai = TextPreprocessor("th", stop_words=False, tokenizer="whitespace")
        assert thai.tokenize("น้ำ\u200bดำ ๆๆ -- 12 l'école.") == ["น้ำ", "ดำ", "ๆๆ", "l'école."]
        assert TextPreprocessor("fr", tokenizer="whitespace").tokenize("l' école") == ["école"]

    def test_own_tokenizer(self) -> None:
        """A function gets the text as it is; its tokens are normalised and filtered."""
        seen: list[str] = []

        def split(text: str) -> list[str]:
            seen.append(text)
            return ["The", "Ｐear", "", " ", "\ufdfa", "7"]

        expected = ["pear", "صلى", "الله", "عليه", "وسلم"]
        assert TextPreprocessor("en", tokenizer=split).tokenize("Tｈe") == expected
        assert seen == ["Tｈe"]


class TestUnicode:
    """Every code point: what is removed, what separates, and what is written out."""

    def test_signs_are_no_letters_of_the_word_beside_them(self) -> None:
        """Trade marks, numero signs, enclosed numbers, fractions and footnote marks separate."""
        text = "Apple™ №5 Einstein³ Tee① 5½l 25℃ IBM¹⁰ 1914² ℠Dienst Преступление²"
        expected = ["apple", "einstein", "tee", "ibm", "dienst", "преступление"]
        assert TextPreprocessor().tokenize(text) == expected
        numbers = TextPreprocessor(keep_numbers=True, min_word_length=1).tokenize("№5 1914² 2½ 9①")
        assert numbers == ["5", "1914", "2", "9"]

    def test_compatible_spellings_of_letters_and_digits_are_written_out(self) -> None:
        """Units, formulas, full-width letters, ligatures, half-width kana and radicals."""
        text = "m² 5km³ mc² ㎡ CO₂ H₂O ²³⁵U ﬁne Ａｐｐｌｅ ㎏ ⅷ ｶﾀｶﾅ ⼭⼈ 𝐁old ㋿ ﷺ"
        expected = ["m2", "5km3", "mc2", "m2", "co2", "h2o", "235u", "fine", "apple", "kg", "viii"]
        expected += ["カタカナ", "山人", "bold", "令和", "صلى", "الله", "عليه", "وسلم"]
        assert TextPreprocessor().tokenize(text) == expected

    def test_every_sign(self) -> None:
        """What is no letter, mark or digit adds none to a word, but for known abbreviations."""
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

    def test_every_invisible_character(self) -> None:
        """None stays in a word or splits it; joiners stay, and blanks and format signs split."""
        joiners, blanks = {"\u200c", "\u200d"}, {"\u200b", "\u3164", "\uffa0"}
        everything = "".join(map(chr, range(sys.maxunicode + 1)))
        ignorable = set(regex.findall(r"\p{Default_Ignorable_Code_Point}", everything))
        assert len(ignorable) > 4000
        for sign in ignorable.union(regex.findall(r"\p{Cf}", everything), "\u0640"):
            between = " " if sign in blanks or sign not in ignorable | {"\u0640"} else ""
            between = sign if sign in joiners else between
            assert normalise(f"so{sign}ft") == f"so{between}ft", hex(ord(sign))
        assert TextPreprocessor().tokenize("he\ufe0fart e\u034f\u0301te\u0301") == ["heart", "été"]

    def test_every_letter_in_lower_case(self) -> None:
        """Lower case adds no mark, and is in lower case."""
        for letter in map(chr, range(sys.maxunicode + 1)):
            if unicodedata.category(letter) in ("Lu", "Lt"):
                for language in (None, "tr"):
                    marks = [unicodedata.combining(x) for x in normalise(letter)]
                    small = lower_case(normalise(letter), language)
                    assert len(small) == len(marks), hex(ord(letter))
        assert TextPreprocessor("en").tokenize("İstanbul i\u0307zmir I\u0307zmir") == [
            "istanbul",
            "izmir",
            "izmir",
        ]
        assert TextPreprocessor("tr").tokenize("İSTANBUL IŞIK") == ["istanbul", "ışık"]

    def test_words_of_a_vocabulary_made_by_other_rules_are_found(self) -> None:
        """As saved data sets and OCTIS's folders have them: with invisible characters and so on."""
        vocabulary = ("i\u0307stanbul", "heart\ufe0f", "co₂", "plain")
        texts = ["İstanbul heart\ufe0f heart CO₂ CO2 Plain"]
        others = TextPreprocessor.of_vocabulary(vocabulary, "en")
        for preprocessor in (others, TextPreprocessor("en")):
            corpus = preprocessor.transform(texts, vocabulary)
            assert corpus.token_ids.tolist() == [0, 1, 1, 2, 2, 3]
        both = TextPreprocessor().transform(["CO₂ co2"], ["co2", "co₂"])
        assert both.token_ids.tolist() == [0, 0]


class TestStopWords:
    """Lists of stop words."""

    def test_many_languages(self) -> None:
        """Each language that is named has a list in lower case."""
        assert len(available_stop_words()) >= 20
        assert list(available_stop_words()) == sorted(available_stop_words())
        for language in available_stop_words():
            assert len(stop_words(language)) > 10
        assert {"the", "don't"} <= stop_words("en")
        assert {"qu", "jusqu", "lorsqu", "aujourd", "hui"} <= stop_words("fr")
        assert stop_words("nb") == stop_words("no")

    @pytest.mark.parametrize("language", available_stop_words())
    def test_nothing_is_left_of_a_stop_word(self, language: str) -> None:
        """Every entry of a list is dropped, and not cut into what is none."""
        preprocessor = TextPreprocessor(language, tokenizer="unicode", min_word_length=2)
        entries = [entry for entry in stopwordsiso.stopwords(language) if len(entry.split()) == 1]
        broken = {entry for entry in entries if "\u2206" in entry or "," in entry}
        left = {entry for entry in entries if preprocessor.tokenize(entry)}
        assert left <= broken

    def test_own_words_extend_a_list(self) -> None:
        """What the function returns can be joined with words of one's own."""
        own = TextPreprocessor("en", stop_words=stop_words("en") | {"Pear"})
        assert own.tokenize("the pear and the plum don't") == ["plum"]

    def test_unknown_language(self) -> None:
        """The error names near languages and what to pass."""
        message = refused(SettingsError, lambda: stop_words("sr"))
        assert message.startswith("No stop words for language 'sr'. Known: af, ar, bg, ")
        assert message.endswith(
            " Pass stop_words=False to keep every word, or stop_words=[...] with words of your own."
        )
        assert refused(SettingsError, lambda: TextPreprocessor("sr")) == message
        assert "Did you mean 'en'?" in refused(SettingsError, lambda: stop_words("eng"))
        assert TextPreprocessor("sr", stop_words=False).tokenize("реч и слово") == ["реч", "слово"]


class TestChineseAndJapanese:
    """The tokenizers that are installed only where they are wanted."""

    def test_jieba(self, capfd: pytest.CaptureFixture[str]) -> None:
        """Chinese words are found, and jieba says nothing."""
        pytest.importorskip("jieba")
        capfd.readouterr()
        tokens = TextPreprocessor("zh").tokenize("我来到北京清华大学，喜欢书。")
        assert {"北京", "清华大学"} <= set(tokens)
        assert "书" in tokens
        assert "，" not in tokens
        assert capfd.readouterr().err == ""

    def test_fugashi(self) -> None:
        """Japanese words are found."""
        pytest.importorskip("fugashi")
        pytest.importorskip("unidic_lite")
        tokens = TextPreprocessor("ja").tokenize("東京で本を読む。")
        assert tokens[:2] == ["東京", "本"]

    def test_jieba_is_called_with_normalised_text(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its messages are off, and words of one character and no punctuation are kept."""
        levels: list[int] = []
        fake = SimpleNamespace(setLogLevel=levels.append, lcut=lambda text: [*text, " "])
        monkeypatch.setitem(sys.modules, "jieba", fake)
        assert TextPreprocessor("zh").tokenize("书的，１") == ["书"]
        assert TextPreprocessor("zh", stop_words=False).tokenize("书Ａ，１") == ["书", "a"]
        assert levels == [logging.WARNING, logging.WARNING]

    def test_fugashi_separates_at_spaces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The tagger is asked for words alone."""
        options: list[str] = []

        def tagger(option: str) -> SimpleNamespace:
            options.append(option)
            return SimpleNamespace(parse=" ".join)

        fake = ModuleType("fugashi")
        fake.Tagger = tagger  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "fugashi", fake)
        assert TextPreprocessor("ja").tokenize("東京本。") == ["東", "京", "本"]
        assert options == ["-Owakati"]

    @pytest.mark.parametrize(
        ("module", "code", "language", "extra"),
        [("jieba", "zh", "Chinese", "chinese"), ("fugashi", "ja", "Japanese", "japanese")],
    )
    def test_missing_package(
        self, monkeypatch: pytest.MonkeyPatch, module: str, code: str, language: str, extra: str
    ) -> None:
        """The error has the command that installs the package."""
        monkeypatch.setitem(sys.modules, module, None)
        preprocessor = TextPreprocessor(code)
        message = refused(MissingDependencyError, lambda: preprocessor.fit_transform(["本"]))
        assert message == (
            f"{language} text needs the package {module}, which is not installed. Install it with: "
            f'pip install "octis-m3l[{extra}]". Or pass tokenizer="whitespace" if the words of the '
            "text are already separated by spaces."
        )
        assert TextPreprocessor(code, tokenizer="whitespace").tokenize("東京 書") == ["東京", "書"]

    def test_missing_dictionary(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a dictionary fugashi fails, and the same command installs one."""

        def fail(option: str) -> None:
            raise RuntimeError(option)

        fake = ModuleType("fugashi")
        fake.Tagger = fail  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "fugashi", fake)
        message = refused(MissingDependencyError, lambda: TextPreprocessor("ja").tokenize("本"))
        assert "needs the package unidic-lite" in message
        assert 'pip install "octis-m3l[japanese]"' in message


class TestSettings:
    """Settings: what is refused, and what comes back from a file."""

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            (
                {"vocabulary_size": 0},
                "vocabulary_size is 0; expected a whole number from 1, or None.",
            ),
            (
                {"vocabulary_size": 2.5},
                "vocabulary_size is 2.5; expected a whole number from 1, or None.",
            ),
            (
                {"min_word_length": True},
                "min_word_length is True; expected a whole number from 1, or None.",
            ),
            (
                {"min_document_frequency": 0},
                "min_document_frequency is 0; expected a whole number from 1.",
            ),
            (
                {"max_document_frequency": 5},
                "max_document_frequency is 5; expected a share of the documents above 0 and at "
                "most 1.",
            ),
            ({"lowercase": "yes"}, "lowercase is 'yes'; expected True or False."),
            (
                {"language": ""},
                "language is ''; expected a language's code such as 'en', its English name, or "
                "None.",
            ),
            (
                {"tokenizer": "jeiba"},
                "Unknown tokenizer 'jeiba'. Did you mean 'jieba'? Known: auto, fugashi, jieba, "
                "separated, unicode, whitespace. Or pass a function from a text to its words.",
            ),
            (
                {"tokenizer": 3},
                "tokenizer is of type int; expected one of auto, fugashi, jieba, separated, "
                "unicode, whitespace, or a function from a text to its words.",
            ),
            (
                {"stop_words": "the"},
                "stop_words is 'the'; expected True for the language's list, False for none, or a "
                "collection of words.",
            ),
            ({"stop_words": [1]}, "stop_words has 1 of type int; expected words."),
            (
                {"language": "th"},
                "Language 'th' has no spaces between words, and tokenizer=\"auto\" cannot find "
                "them. Pass a function from a text to its words as tokenizer, or "
                'tokenizer="whitespace" if the words of the text are already separated by spaces.',
            ),
        ],
    )
    def test_refused(self, setting: dict[str, Any], message: str) -> None:
        """Each error says what was given and what was expected."""
        assert refused(SettingsError, lambda: TextPreprocessor(**setting)) == message
        assert refused(SettingsError, lambda: TextPreprocessor.from_dict(setting)) == message

    @quick
    @given(preprocessors)
    def test_round_trip(self, preprocessor: TextPreprocessor) -> None:
        """Settings come back from JSON."""
        stored = json.loads(json.dumps(preprocessor.as_dict()))
        assert TextPreprocessor.from_dict(stored) == preprocessor

    def test_numbers_of_numpy_and_own_stop_words(self) -> None:
        """They are stored as JSON's numbers and a sorted list."""
        preprocessor = TextPreprocessor(
            vocabulary_size=np.int64(5),  # type: ignore[arg-type]
            max_document_frequency=np.float32(0.5),  # type: ignore[arg-type]
            stop_words={"the", "and"},
        )
        stored = json.loads(json.dumps(preprocessor.as_dict()))
        assert stored["vocabulary_size"] == 5
        assert stored["stop_words"] == ["and", "the"]
        assert TextPreprocessor.from_dict(stored) == preprocessor
        assert hash(preprocessor) == hash(TextPreprocessor.from_dict(stored))

    def test_a_function_comes_back_only_by_its_name(self) -> None:
        """The name is kept, nothing is imported, and the error says how to pass it again."""
        stored = json.loads(json.dumps(TextPreprocessor(tokenizer=str.split).as_dict()))
        stored["tokenizer"] = {"callable": "no_such_module:split"}
        restored = TextPreprocessor.from_dict(stored)
        assert restored.as_dict() == stored
        assert refused(SettingsError, lambda: restored.fit_transform(["a text"])) == (
            "The tokenizer 'no_such_module:split' is a function, which stored settings do not "
            "contain. Pass it again: tokenizers={view: function} to "
            "MultiviewDataset.from_folder or to a model's load."
        )
        again = dataclasses.replace(restored, tokenizer=str.split)
        assert again.tokenize("some text") == ["some", "text"]

    def test_names_of_functions(self) -> None:
        """Functions have their module and name, other callables those of their class."""

        class Splitter:
            def __call__(self, text: str) -> list[str]:
                return text.split()

        stored = TextPreprocessor(tokenizer=Splitter()).as_dict()["tokenizer"]
        assert stored == {"callable": f"{__name__}:{Splitter.__qualname__}"}
        named = TextPreprocessor(tokenizer=decoded).as_dict()["tokenizer"]  # type: ignore[arg-type]
        assert named == {"callable": f"{__name__}:decoded"}
        method = TextPreprocessor(tokenizer=str.split).as_dict()["tokenizer"]
        assert method == {"callable": "builtins:str.split"}

    def test_refused_stored_settings(self) -> None:
        """A setting that is not known, and what is no mapping."""
        assert refused(
            SettingsError, lambda: TextPreprocessor.from_dict({"lowercas": True})
        ).startswith("Unknown preprocessing setting 'lowercas'. Did you mean 'lowercase'? Known: ")
        assert refused(SettingsError, lambda: TextPreprocessor.from_dict([])) == (  # type: ignore[arg-type]
            'Preprocessing settings are a list; expected a mapping such as {"language": "en"}.'
        )
        assert refused(
            SettingsError, lambda: TextPreprocessor.from_dict({"tokenizer": {"name": "jieba"}})
        ) == (
            "tokenizer is {'name': 'jieba'}; expected a name, or {\"callable\": \"module:name\"} "
            "for a function."
        )


class TestRefusedData:
    """Documents, masks, vocabularies and tokens that are not what they should be."""

    @pytest.mark.parametrize(
        ("document", "message"),
        [
            (
                b"pear",
                "View 'de', row 1: the document is of type bytes; expected str, or None if "
                "missing. Decode it.",
            ),
            (
                7,
                "View 'de', row 1: the document is of type int; expected str, or None if missing. "
                "Convert it with str() if it is text.",
            ),
        ],
    )
    def test_documents_that_are_no_text(self, document: Any, message: str) -> None:
        """The error names the view, the row and the type."""
        texts = ["pear", document]
        preprocessor = TextPreprocessor("de")
        assert refused(DataError, lambda: preprocessor.fit_transform(texts, view="de")) == message
        assert (
            refused(DataError, lambda: preprocessor.transform(texts, ["pear"], view="de"))
            == message
        )
        assert refused(DataError, lambda: preprocessor.tokenize(document)) in message

    def test_one_text_instead_of_many(self) -> None:
        """A string is not a sequence of documents."""
        assert refused(DataError, lambda: TextPreprocessor().fit_transform("pear")) == (
            "View 'text': expected a list of items, given one str; put a single item in a list."
        )

    @pytest.mark.parametrize("training", [np.array([0, 1]), np.array([True])])
    def test_masks(self, training: Any) -> None:
        """A mask is of truth values, one a document."""
        message = refused(
            DataError, lambda: TextPreprocessor().fit_transform(["pear", "fig"], training)
        )
        assert message.startswith("View 'text': the training mask is of type ")
        assert message.endswith("expected bool and (2,), one truth value a document.")

    def test_no_training_document(self) -> None:
        """Training rows without text have no vocabulary."""
        message = refused(
            DataError,
            lambda: TextPreprocessor().fit_transform(["pear", None], np.array([False, True])),
        )
        assert message == (
            "View 'text': no vocabulary: none of its 1 training documents has text (2 documents in "
            "all). Give texts, or other training rows."
        )

    def test_no_word(self) -> None:
        """The error names the settings that dropped the words."""
        message = refused(
            DataError, lambda: TextPreprocessor("en").fit_transform(["the", "a 7"], view="en")
        )
        assert message == (
            "View 'en': no vocabulary: not one word of the 2 training documents with text is left "
            "after stop words, min_word_length=None and keep_numbers=False. Lower min_word_length, "
            "set stop_words=False or keep_numbers=True (octis-m3l build: --set "
            "stop_words=false), and check that the text is in "
            "language='en'."
        )

    def test_no_word_of_the_wanted_frequency(self) -> None:
        """The error has the counts of too rare and too frequent words."""
        preprocessor = TextPreprocessor(min_document_frequency=2, max_document_frequency=0.5)
        texts = ["red pear", "red fig", None]
        assert refused(DataError, lambda: preprocessor.fit_transform(texts)) == (
            "View 'text': no vocabulary: of 3 different words in the 2 training documents with "
            "text, 2 are in fewer than min_document_frequency=2 documents and 1 are in more than "
            "max_document_frequency=0.5 of them. Lower min_document_frequency or raise "
            "max_document_frequency."
        )

    @pytest.mark.parametrize(
        ("vocabulary", "message"),
        [
            ([], "View 'text': the vocabulary is []; expected a sequence of words such as the "),
            ("pear", "View 'text': the vocabulary is 'pear'; expected a sequence of words such "),
            (["a pear"], "View 'text': 'a pear' is no word of a vocabulary; expected a string "),
            ([""], "View 'text': '' is no word of a vocabulary; expected a string that is not "),
            ([3], "View 'text': 3 is no word of a vocabulary; expected a string that is not "),
            (["fig", "fig"], "View 'text': the vocabulary has 'fig' more than once; remove the "),
        ],
    )
    def test_vocabularies(self, vocabulary: Any, message: str) -> None:
        """A vocabulary is a sequence of different words."""
        given = refused(DataError, lambda: TextPreprocessor().transform(["pear"], vocabulary))
        assert given.startswith(message)

    @pytest.mark.parametrize(
        ("tokens", "message"),
        [
            (
                ["pear", "new york"],
                "View 'en', row 1: the tokenizer returned 'new york', which has white space; "
                "expected single words. Let the function given as tokenizer split it or join it "
                "with an underscore.",
            ),
            (
                ["pear", 3],
                "View 'en', row 1: the tokenizer returned a token of type int; expected str. Mend "
                "the function given as tokenizer.",
            ),
            (
                "pear",
                "View 'en', row 1: the tokenizer returned str; expected a list of words. Mend the "
                "function given as tokenizer.",
            ),
            (
                None,
                "View 'en', row 1: the tokenizer returned NoneType; expected a list of words. Mend "
                "the function given as tokenizer.",
            ),
        ],
    )
    def test_tokens(self, tokens: Any, message: str) -> None:
        """What a tokenizer of one's own returns is checked."""
        preprocessor = TextPreprocessor("en", tokenizer=lambda text: tokens)
        assert (
            refused(DataError, lambda: preprocessor.fit_transform([None, "x"], view="en"))
            == message
        )
