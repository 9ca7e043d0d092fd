"""Raw text into tokens, and tokens into ids of a vocabulary, one view at a time."""

import warnings
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import chain
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.item_checks import as_items, check_characters, is_missing, kind_of
from octis_m3l.data.languages import checked_language, doubts_of_language
from octis_m3l.data.stop_words import available_stop_words, comparable_words, stop_words
from octis_m3l.data.text_checks import (
    check_tokenizer,
    checked_share,
    checked_stop_words,
    checked_switch,
    checked_tokens,
    checked_training_mask,
    checked_vocabulary,
    checked_whole_number,
    not_text,
)
from octis_m3l.data.tokenized import (
    EncodedTexts,
    IdsOfForm,
    PreprocessingReport,
    TokenizedCorpus,
)
from octis_m3l.data.tokenizers import (
    UNSEGMENTED,
    automatic_tokenizer,
    form_finder,
    lower_case,
    normalise,
    split_form,
    stop_word_key,
)
from octis_m3l.errors import DataError, MissingDependencyError, SettingsError, suggest

__all__ = [
    "PreprocessingReport",
    "TextPreprocessor",
    "TokenizedCorpus",
    "available_stop_words",
    "stop_words",
]

_ONE_CHARACTER_WORDS = frozenset({"ja", "zh"})


@dataclass(frozen=True)
class TextPreprocessor:
    """Turns the raw texts of one language into tokens and a vocabulary.

    The rules of the tokenizer "unicode" are in `octis_m3l.data.tokenizers`. Whatever the
    tokenizer, tokens are normalised to NFKC, and those without any letter or digit are dropped.

    Parameters
    ----------
    language : str, optional
        ISO 639-1 code, or what stands for one: "zh-CN", "deu", "chinese", "cn". None splits at
        Unicode's words and knows no stop words.
    vocabulary_size : int, optional
        Most frequent words that are kept, at least 1; None keeps all.
    stop_words : bool or collection of str
        True for the language's list, False for none, or the words themselves. They are matched
        after normalising and whatever their case. Unless there are none, elided words ("l", "qu")
        that are split off an apostrophe go with them.
    lowercase : bool
        Whether tokens are in lower case.
    min_word_length : int, optional
        Least number of characters, combining marks included, at least 1; None for 1 in Chinese
        and Japanese and 2 in all other languages.
    min_document_frequency : int
        Number of training documents that a word must be in, at least 1.
    max_document_frequency : float
        Share of the training documents that a word may be in, above 0 and at most 1; missing
        documents do not count.
    keep_numbers : bool
        Whether tokens without a letter are kept.
    tokenizer : str or callable
        "unicode"; "whitespace" for text whose words are already separated; "jieba" for Chinese;
        "fugashi" for Japanese; "auto" for the one of the language; or a function from a text, just
        as it is given, to its words. "separated" is "whitespace", but `transform` splits what the
        vocabulary does not have as "auto" would: for raw text where another program chose the
        words.

    Raises
    ------
    SettingsError
        If a setting is out of range, the tokenizer is unknown, the language has no list of stop
        words though they are wanted, or it has no spaces between words and "auto" cannot help.
    """

    language: str | None = None
    vocabulary_size: int | None = 2000
    stop_words: bool | Collection[str] = True
    lowercase: bool = True
    min_word_length: int | None = None
    min_document_frequency: int = 1
    max_document_frequency: float = 1.0
    keep_numbers: bool = False
    tokenizer: str | Callable[[str], Sequence[str]] = "auto"

    def __post_init__(self) -> None:
        """Check every setting."""
        self._set("language", checked_language(self.language))
        for name in ("vocabulary_size", "min_word_length", "min_document_frequency"):
            optional = name != "min_document_frequency"
            self._set(name, checked_whole_number(name, getattr(self, name), optional))
        self._set("max_document_frequency", checked_share(self.max_document_frequency))
        for name in ("lowercase", "keep_numbers"):
            self._set(name, checked_switch(name, getattr(self, name)))
        check_tokenizer(self.tokenizer, self.language)
        self._set("stop_words", checked_stop_words(self.stop_words, self.language))

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of a text, before the vocabulary.

        Parameters
        ----------
        text : str
            One document.

        Raises
        ------
        DataError
            If the text is not a string, or a tokenizer of one's own returns what is no word.
        MissingDependencyError
            If the language's tokenizer is not installed.
        """
        if not isinstance(text, str):
            raise DataError(not_text(text))
        check_characters(text)
        find = self._form_finder()
        return [word for form in find(text) for word in self._words(form)]

    def fit_transform(
        self,
        texts: Sequence[str | None],
        training: NDArray[np.bool_] | None = None,
        view: str = "text",
    ) -> TokenizedCorpus:
        """Choose the vocabulary and return all documents as its ids.

        The vocabulary is the most frequent words of the training rows, ties in alphabetical
        order, and is itself in alphabetical order (by code point). Other words are dropped.

        Parameters
        ----------
        texts : sequence of str or None
            The documents; None and NaN are missing and have no tokens.
        training : array of bool, shape (documents,), optional
            Rows that the vocabulary is chosen on; None for all.
        view : str
            Name for errors and the report.

        Raises
        ------
        DataError
            If a document is not text, the mask does not fit, or no word is left.
        MissingDependencyError
            If the language's tokenizer is not installed.
        """
        encoded = self._encode(texts, view)
        rows = checked_training_mask(training, len(encoded.missing), view)
        return encoded.select(self._vocabulary(encoded, rows, view), view)

    def transform(
        self, texts: Sequence[str | None], vocabulary: Sequence[str], view: str = "text"
    ) -> TokenizedCorpus:
        """Return documents as ids of a vocabulary that is already chosen.

        Parameters
        ----------
        texts : sequence of str or None
            The documents; None and NaN are missing and have no tokens.
        vocabulary : sequence of str
            Different words, in the order of their ids.
        view : str
            Name for errors and the report.

        Raises
        ------
        DataError
            If a document is not text, or the vocabulary is empty, repeats a word or has one with
            white space in it.
        MissingDependencyError
            If the language's tokenizer is not installed.
        """
        words = checked_vocabulary(vocabulary, view)
        spellings = _other_spellings(self, words)
        known = frozenset(words).union(spellings)
        words_of = self._known_or_split(known) if self.tokenizer == "separated" else self._words
        encoded = self._encode(texts, view, words_of)
        found = [spellings.get(word, word) for word in encoded.words]
        return replace(encoded, words=found).select(words, view)

    def doubts_of_language(self, corpus: TokenizedCorpus, view: str) -> list[str]:
        """Return what speaks against the language that texts were split in, a sentence each.

        Parameters
        ----------
        corpus : TokenizedCorpus
            What `fit_transform` returned.
        view : str
            Name for the sentences.
        """
        return doubts_of_language(
            view,
            self.language,
            corpus,
            separates_at_spaces=self.tokenizer == "auto" and self._splits_forms(),
            leaves_out_stop_words=self.stop_words is True,
        )

    def as_dict(self) -> dict[str, object]:
        """Return the settings as JSON can store them; a function only by its name."""
        names = [field.name for field in fields(self)]
        settings: dict[str, object] = {name: getattr(self, name) for name in names}
        if not isinstance(self.stop_words, bool):
            settings["stop_words"] = sorted(self.stop_words)
        if not isinstance(self.tokenizer, str):
            settings["tokenizer"] = {"callable": _name_of(self.tokenizer)}
        return settings

    @classmethod
    def of_vocabulary(cls, vocabulary: Collection[str], language: str | None) -> Self:
        """Return what reads new texts where another program chose the words.

        Parameters
        ----------
        vocabulary : collection of str
            The words; whether they are all in lower case decides whether texts are put in it.
        language : str, optional
            ISO 639-1 code; decides how texts are split where their words aren't separated.
        """
        return cls(
            language=language,
            vocabulary_size=None,
            stop_words=False,
            lowercase=all(word == word.lower() for word in vocabulary),
            min_word_length=1,
            keep_numbers=True,
            tokenizer="separated",
        )

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Return the preprocessor that `as_dict` described.

        Parameters
        ----------
        settings : mapping
            Settings by name; those that are left out have their defaults. A tokenizer that was a
            function must be passed again before any text is tokenized.

        Raises
        ------
        SettingsError
            If a setting is unknown or out of range.
        """
        if not isinstance(settings, Mapping):
            raise SettingsError(
                f"Preprocessing settings are a {kind_of(settings)}; expected a mapping such as "
                '{"language": "en"}.'
            )
        known = [field.name for field in fields(cls)]
        for name in settings:
            if name not in known:
                hint = suggest(str(name), known)
                raise SettingsError(f"Unknown preprocessing setting {name!r}.{hint}")
        return cls(**{**settings, **_restored_tokenizer(settings)})

    def with_tokenizer(self, tokenizer: Callable[[str], Sequence[str]]) -> Self:
        """Return the preprocessor with a function that its stored settings could not bring back.

        Parameters
        ----------
        tokenizer : callable
            The function from a text to its words.

        Raises
        ------
        SettingsError
            If it never was a function: the words would not be those of the vocabulary.
        """
        if not callable(tokenizer):
            raise SettingsError(
                f"a tokenizer is a function from a text to its words; given {tokenizer!r}."
            )
        if isinstance(self.tokenizer, str):
            raise SettingsError(
                f"the texts were split into words by '{self.tokenizer}', and another tokenizer "
                "would find other words; leave it out, or build the data set again with it."
            )
        return replace(self, tokenizer=tokenizer)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _form_finder(self) -> Callable[[str], Iterable[str]]:
        if isinstance(self.tokenizer, str):
            return form_finder(self.tokenizer, self.language)
        function = self.tokenizer
        return lambda text: checked_tokens(function(text))

    def _words(self, form: str) -> list[str]:
        word = normalise(form, self.language)
        if self.lowercase:
            word = lower_case(word, self.language)
        pieces = self._split(word) if self._splits_forms() else word.split()
        return [piece for piece in pieces if self._keeps(piece)]

    def _splits_forms(self) -> bool:
        if self.tokenizer == "auto":
            return automatic_tokenizer(self.language) == "unicode"
        return self.tokenizer == "unicode"

    def _split(self, form: str) -> list[str]:
        return split_form(form, self.language, self._is_stop_word, keep_clitics=not self._stops())

    def _keeps(self, word: str) -> bool:
        least = self.min_word_length
        if least is None:
            least = 1 if self.language in _ONE_CHARACTER_WORDS else 2
        wanted = str.isalnum if self.keep_numbers else str.isalpha
        return len(word) >= least and any(map(wanted, word)) and not self._is_stop_word(word)

    def _is_stop_word(self, word: str) -> bool:
        stops = self._stops()
        return bool(stops) and stop_word_key(word.strip("'"), self.language) in stops

    def _stops(self) -> frozenset[str]:
        if isinstance(self.stop_words, frozenset):
            return comparable_words(self.stop_words, self.language)
        if self.stop_words is True and self.language is not None:
            return stop_words(self.language)
        return frozenset()

    def _known_or_split(self, known: frozenset[str]) -> Callable[[str], list[str]]:
        """Return what finds the words of a form: itself if it is known, else what it consists of.

        Where the language's tokenizer is not there, a form that is not known has no words.
        """
        splits = replace(self, tokenizer="auto") if self.language not in UNSEGMENTED else None

        def words_of(form: str) -> list[str]:
            nonlocal splits
            whole = self._words(form)
            if splits is None or known.issuperset(whole):
                return whole
            try:
                return splits.tokenize(form)
            except MissingDependencyError as error:
                warnings.warn(str(error), stacklevel=7)
                splits = None
                return whole

        return words_of

    def _encode(
        self,
        texts: Sequence[str | None],
        view: str,
        words_of: Callable[[str], list[str]] | None = None,
    ) -> EncodedTexts:
        find = self._form_finder()
        ids_of_form = IdsOfForm(words_of or self._words)
        token_ids = array("i")
        documents = as_items(texts, f"View {view!r}")
        offsets = np.zeros(len(documents) + 1, dtype=np.int64)
        missing = np.zeros(len(documents), dtype=np.bool_)
        for row, text in enumerate(documents):
            if isinstance(text, str):
                try:
                    check_characters(text)
                    token_ids.extend(chain.from_iterable(map(ids_of_form.__getitem__, find(text))))
                except DataError as error:
                    raise DataError(f"View {view!r}, row {row}: {error}") from None
            elif is_missing(text):
                missing[row] = True
            else:
                raise DataError(f"View {view!r}, row {row}: {not_text(text)}")
            offsets[row + 1] = len(token_ids)
        words = list(ids_of_form.id_of_word)
        return EncodedTexts(np.array(token_ids, dtype=np.int32), offsets, words, missing)

    def _vocabulary(
        self, encoded: EncodedTexts, rows: NDArray[np.bool_], view: str
    ) -> tuple[str, ...]:
        documents = int(np.count_nonzero(rows & ~encoded.missing))
        if documents == 0:
            raise DataError(
                f"View {view!r}: no vocabulary: none of its {np.count_nonzero(rows)} training "
                f"documents has text ({len(rows)} documents in all). Give texts, or other "
                "training rows."
            )
        counts, frequencies = encoded.counts(rows)
        common = frequencies / documents > self.max_document_frequency
        kept = (frequencies >= self.min_document_frequency) & ~common
        if not kept.any():
            reason = self._nothing(frequencies, documents)
            raise DataError(f"View {view!r}: no vocabulary: {reason}")
        words = [encoded.words[index] for index in np.flatnonzero(kept)]
        ranked = sorted(zip((-counts[kept]).tolist(), words, strict=True))
        return tuple(sorted(word for _, word in ranked[: self.vocabulary_size]))

    def _nothing(self, frequencies: NDArray[np.int64], documents: int) -> str:
        different = int(np.count_nonzero(frequencies))
        if different == 0:
            return (
                f"not one word of the {documents} training documents with text is left after stop "
                f"words, min_word_length={self.min_word_length} and "
                f"keep_numbers={self.keep_numbers}. Lower min_word_length, set stop_words=False or "
                "keep_numbers=True (octis-m3l build: --set stop_words=false), and check that the "
                f"text is in language={self.language!r}."
            )
        rare = np.count_nonzero((frequencies > 0) & (frequencies < self.min_document_frequency))
        common = np.count_nonzero(frequencies / documents > self.max_document_frequency)
        return (
            f"of {different} different words in the {documents} training documents with text, "
            f"{rare} are in fewer than min_document_frequency={self.min_document_frequency} "
            f"documents and {common} are in more than "
            f"max_document_frequency={self.max_document_frequency} of them. Lower "
            "min_document_frequency or raise max_document_frequency."
        )


@lru_cache(maxsize=32)
def _other_spellings(preprocessor: TextPreprocessor, vocabulary: tuple[str, ...]) -> dict[str, str]:
    """Return words of a vocabulary made by other rules, by what the preprocessor makes of them."""
    known = frozenset(vocabulary)
    found = {}
    for word in vocabulary:
        tokens = () if word.isascii() else preprocessor._words(word)
        if len(tokens) == 1 and tokens[0] not in known:
            found[tokens[0]] = word
    return found


@dataclass(frozen=True)
class _UnrestoredTokenizer:
    """Stands where settings were stored with a function that they cannot bring back."""

    name: str

    def __call__(self, text: str) -> list[str]:
        raise SettingsError(
            f"The tokenizer {self.name!r} is a function, which stored settings do not contain. "
            "Pass it again: tokenizers={view: function} to MultiviewDataset.from_folder or to a "
            "model's load."
        )


def _name_of(function: Callable[[str], Sequence[str]]) -> str:
    if isinstance(function, _UnrestoredTokenizer):
        return function.name
    named = function if hasattr(function, "__qualname__") else type(function)
    module = getattr(named, "__module__", None) or "builtins"
    return f"{module}:{named.__qualname__}"


def _restored_tokenizer(settings: Mapping[str, Any]) -> dict[str, object]:
    stored = settings.get("tokenizer")
    if not isinstance(stored, Mapping):
        return {}
    name = stored.get("callable")
    if not isinstance(name, str) or len(stored) != 1:
        raise SettingsError(
            f"tokenizer is {dict(stored)!r}; expected a name, or "
            '{"callable": "module:name"} for a function.'
        )
    return {"tokenizer": _UnrestoredTokenizer(name)}
