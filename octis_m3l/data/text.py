"""Raw text into tokens, and tokens into ids of a vocabulary, one view at a time."""

import re
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import chain
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import pandas as pd
import stopwordsiso
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from octis_m3l.data.tokenizers import (
    TOKENIZERS,
    UNSEGMENTED,
    automatic_tokenizer,
    clitics,
    elides,
    form_finder,
    lower_case,
    normalise,
    split_form,
    stop_word_key,
    unicode_forms,
)
from octis_m3l.errors import DataError, SettingsError, suggest

_SAME_LIST = {"nb": "no", "nn": "no"}
_ONE_CHARACTER_WORDS = frozenset({"ja", "zh"})
_LANGUAGE_CODE = re.compile(r"[a-z]{2,3}")
_ROWS_SHOWN = 10


@dataclass(frozen=True)
class PreprocessingReport:
    """What the preprocessing of one view dropped.

    Parameters
    ----------
    view : str
        Name of the view.
    documents : int
        Number of rows, missing ones among them.
    empty_documents : tuple of int
        Rows that have a document of which no token is left, in order; missing rows do not count.
    tokens_before : int
        Tokens that `TextPreprocessor.tokenize` gives, before the vocabulary.
    tokens_after : int
        Tokens in the vocabulary.
    vocabulary_size : int
        Words in the vocabulary.
    """

    view: str
    documents: int
    empty_documents: tuple[int, ...]
    tokens_before: int
    tokens_after: int
    vocabulary_size: int

    def __str__(self) -> str:
        """Return the report as one sentence."""
        return (
            f"View {self.view!r}: {self.documents} documents, {self._empty()}; "
            f"{self.tokens_after} of {self.tokens_before} tokens are in the vocabulary of "
            f"{self.vocabulary_size} words."
        )

    def _empty(self) -> str:
        if not self.empty_documents:
            return "none of them empty"
        shown = ", ".join(map(str, self.empty_documents[:_ROWS_SHOWN]))
        more = ", ..." if len(self.empty_documents) > _ROWS_SHOWN else ""
        rows = "row" if len(self.empty_documents) == 1 else "rows"
        return f"{len(self.empty_documents)} of them with no token left ({rows} {shown}{more})"


@dataclass(frozen=True, eq=False)
class TokenizedCorpus:
    """The documents of one view as ids of its vocabulary, one after another.

    Parameters
    ----------
    token_ids : array of int32, shape (tokens,)
        Positions in the vocabulary, from 0 to ``len(vocabulary) - 1``.
    offsets : array of int64, shape (documents + 1,)
        Document ``i`` is ``token_ids[offsets[i]:offsets[i + 1]]``.
    vocabulary : tuple of str
        The words.
    report : PreprocessingReport
        What was dropped.
    """

    token_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    vocabulary: tuple[str, ...]
    report: PreprocessingReport


@dataclass(frozen=True)
class TextPreprocessor:
    """Turns the raw texts of one language into tokens and a vocabulary.

    The rules of the tokenizer "unicode" are in `octis_m3l.data.tokenizers`. Whatever the
    tokenizer, tokens are normalised to NFKC, and those without any letter or digit are dropped.

    Parameters
    ----------
    language : str, optional
        ISO 639-1 code; None splits at Unicode's words and knows no stop words.
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
        as it is given, to its words.

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
        _check_language(self.language)
        for name in ("vocabulary_size", "min_word_length", "min_document_frequency"):
            optional = name != "min_document_frequency"
            self._set(name, _whole_number(name, getattr(self, name), optional))
        self._set("max_document_frequency", _share(self.max_document_frequency))
        for name in ("lowercase", "keep_numbers"):
            self._set(name, _switch(name, getattr(self, name)))
        _check_tokenizer(self.tokenizer, self.language)
        self._set("stop_words", _stop_word_setting(self.stop_words, self.language))

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
            raise DataError(_not_text(text))
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
        rows = _training_mask(training, len(encoded.missing), view)
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
        words = _checked_vocabulary(vocabulary, view)
        return self._encode(texts, view).select(words, view)

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
                f"Preprocessing settings are a {_kind(settings)}; expected a mapping such as "
                '{"language": "en"}.'
            )
        known = [field.name for field in fields(cls)]
        for name in settings:
            if name not in known:
                hint = suggest(str(name), known)
                raise SettingsError(f"Unknown preprocessing setting {name!r}.{hint}")
        return cls(**{**settings, **_restored_tokenizer(settings)})

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _form_finder(self) -> Callable[[str], Iterable[str]]:
        if isinstance(self.tokenizer, str):
            return form_finder(self.tokenizer, self.language)
        function = self.tokenizer
        return lambda text: _checked_tokens(function(text))

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
            return _comparable(self.stop_words, self.language)
        if self.stop_words is True and self.language is not None:
            return stop_words(self.language)
        return frozenset()

    def _encode(self, texts: Sequence[str | None], view: str) -> "_EncodedTexts":
        find = self._form_finder()
        ids_of_form = _IdsOfForm(self._words)
        token_ids = array("i")
        documents = _documents(texts, view)
        offsets = np.zeros(len(documents) + 1, dtype=np.int64)
        missing = np.zeros(len(documents), dtype=np.bool_)
        for row, text in enumerate(documents):
            if isinstance(text, str):
                try:
                    token_ids.extend(chain.from_iterable(map(ids_of_form.__getitem__, find(text))))
                except DataError as error:
                    raise DataError(f"View {view!r}, row {row}: {error}") from None
            elif _is_missing(text):
                missing[row] = True
            else:
                raise DataError(f"View {view!r}, row {row}: {_not_text(text)}")
            offsets[row + 1] = len(token_ids)
        words = list(ids_of_form.id_of_word)
        return _EncodedTexts(np.array(token_ids, dtype=np.int32), offsets, words, missing)

    def _vocabulary(
        self, encoded: "_EncodedTexts", rows: NDArray[np.bool_], view: str
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
                f"keep_numbers={self.keep_numbers}. Lower min_word_length, pass stop_words=False "
                f"or keep_numbers=True, and check that the text is in language={self.language!r}."
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


def available_stop_words() -> tuple[str, ...]:
    """Return the ISO 639-1 codes of the languages that have a list of stop words, sorted."""
    return tuple(sorted(stopwordsiso.langs()))


@lru_cache(maxsize=128)
def stop_words(language: str) -> frozenset[str]:
    """Return the stop words of a language as words are compared with them.

    They are normalised, in lower case, and without marks in Arabic and Greek. Elided words such
    as the French "qu" and "jusqu" are among them.

    Parameters
    ----------
    language : str
        ISO 639-1 code, one of `available_stop_words` ("nb" and "nn" are "no").

    Raises
    ------
    SettingsError
        If there is no list for the language.
    """
    code = _SAME_LIST.get(language, language)
    if code not in stopwordsiso.langs():
        raise SettingsError(
            f"No stop words for language {language!r}.{suggest(language, available_stop_words())} "
            "Pass stop_words=False to keep every word, or stop_words=[...] with words of your own."
        )
    listed = _comparable(frozenset(stopwordsiso.stopwords(code)), language)
    return listed | clitics(language) | _pieces(listed, language)


@lru_cache(maxsize=128)
def _comparable(entries: frozenset[str], language: str | None) -> frozenset[str]:
    words = {stop_word_key(normalise(entry, language), language) for entry in entries}
    found = map(unicode_forms, words)
    return frozenset(words | {forms[0] for forms in found if len(forms) == 1})


def _pieces(words: frozenset[str], language: str) -> frozenset[str]:
    if not elides(language):
        return frozenset()
    return frozenset(piece for word in words if "'" in word for piece in word.split("'"))


class _IdsOfForm(dict[str, tuple[int, ...]]):
    """Written words with the ids of their tokens, each worked out when first met."""

    def __init__(self, words_of: Callable[[str], list[str]]) -> None:
        super().__init__()
        self._words_of = words_of
        self.id_of_word: dict[str, int] = {}

    def __missing__(self, form: str) -> tuple[int, ...]:
        known = self.id_of_word
        ids = tuple(known.setdefault(word, len(known)) for word in self._words_of(form))
        self[form] = ids
        return ids


@dataclass(frozen=True, eq=False)
class _EncodedTexts:
    """Documents as ids of all their words, before a vocabulary is chosen."""

    token_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    words: list[str]
    missing: NDArray[np.bool_]

    def counts(self, rows: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how often each word occurs in the given rows, and in how many of them."""
        shape = (len(rows), len(self.words))
        ones = np.ones(len(self.token_ids), dtype=np.int64)
        bags = csr_matrix((ones, self.token_ids, self.offsets), shape=shape)[rows]
        bags.sum_duplicates()
        counts = np.bincount(bags.indices, weights=bags.data, minlength=len(self.words))
        frequencies = np.bincount(bags.indices, minlength=len(self.words))
        return counts.astype(np.int64), frequencies.astype(np.int64)

    def select(self, vocabulary: tuple[str, ...], view: str) -> TokenizedCorpus:
        """Return the tokens that are in the vocabulary."""
        position = {word: index for index, word in enumerate(vocabulary)}
        positions = np.array([position.get(word, -1) for word in self.words], dtype=np.int32)
        selected = positions[self.token_ids]
        kept = selected >= 0
        offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)[self.offsets]
        empty = np.flatnonzero((np.diff(offsets) == 0) & ~self.missing)
        report = PreprocessingReport(
            view=view,
            documents=len(self.missing),
            empty_documents=tuple(empty.tolist()),
            tokens_before=len(self.token_ids),
            tokens_after=int(offsets[-1]),
            vocabulary_size=len(vocabulary),
        )
        return TokenizedCorpus(selected[kept], offsets, vocabulary, report)


@dataclass(frozen=True)
class _UnrestoredTokenizer:
    """Stands where settings were stored with a function that they cannot bring back."""

    name: str

    def __call__(self, text: str) -> list[str]:
        raise SettingsError(
            f"The tokenizer {self.name!r} is a function, which stored settings do not contain. "
            "Pass it again: dataclasses.replace(preprocessor, tokenizer=...)."
        )


def _kind(value: object) -> str:
    return type(value).__name__


def _not_text(value: object) -> str:
    mend = "Decode it" if isinstance(value, bytes) else "Convert it with str() if it is text"
    return f"the document is of type {_kind(value)}; expected str, or None if missing. {mend}."


def _is_missing(value: object) -> bool:
    if value is None:
        return True
    if isinstance(value, (float, np.floating)):
        return bool(np.isnan(value))
    return value is pd.NA


def _documents(texts: Iterable[object], view: str) -> list[object]:
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise DataError(
            f"View {view!r}: the documents are one {_kind(texts)}; expected a list of texts. "
            "Wrap a single text in a list."
        )
    return list(texts)


def _training_mask(
    training: NDArray[np.bool_] | None, documents: int, view: str
) -> NDArray[np.bool_]:
    if training is None:
        return np.ones(documents, dtype=np.bool_)
    mask = np.asarray(training)
    if mask.dtype != np.bool_ or mask.shape != (documents,):
        raise DataError(
            f"View {view!r}: the training mask is of type {mask.dtype} and shape {mask.shape}; "
            f"expected bool and ({documents},), one truth value a document."
        )
    return mask


def _checked_vocabulary(vocabulary: Sequence[str], view: str) -> tuple[str, ...]:
    words = () if isinstance(vocabulary, str) else tuple(vocabulary)
    if not words:
        raise DataError(
            f"View {view!r}: the vocabulary is {vocabulary!r}; expected a sequence of words such "
            "as the vocabulary that fit_transform returned."
        )
    for word in words:
        if not isinstance(word, str) or word.split() != [word]:
            raise DataError(
                f"View {view!r}: {word!r} is no word of a vocabulary; expected a string that is "
                "not empty and has no white space."
            )
    if len(set(words)) < len(words):
        repeated = next(word for word in words if words.count(word) > 1)
        raise DataError(
            f"View {view!r}: the vocabulary has {repeated!r} more than once; remove the repetition."
        )
    return words


def _checked_tokens(tokens: Sequence[str]) -> list[str]:
    if isinstance(tokens, (str, bytes)) or not isinstance(tokens, Iterable):
        raise DataError(
            f"the tokenizer returned {_kind(tokens)}; expected a list of words. Mend the function "
            "given as tokenizer."
        )
    words = list(tokens)
    for kind in set(map(type, words)):
        if not issubclass(kind, str):
            raise DataError(
                f"the tokenizer returned a token of type {kind.__name__}; expected str. Mend the "
                "function given as tokenizer."
            )
    words = [word for word in words if word.strip()]
    for word in words:
        if word.split() != [word]:
            raise DataError(
                f"the tokenizer returned {word!r}, which has white space; expected single words. "
                "Let the function given as tokenizer split it or join it with an underscore."
            )
    return words


def _check_language(language: object) -> None:
    if language is None or (isinstance(language, str) and _LANGUAGE_CODE.fullmatch(language)):
        return
    base = re.split("[-_]", str(language).strip().lower())[0]
    hint = f" Did you mean {base!r}?" if _LANGUAGE_CODE.fullmatch(base) else ""
    raise SettingsError(
        f"language is {language!r}; expected an ISO 639-1 code in lower case such as 'en', or "
        f"None.{hint}"
    )


def _whole_number(name: str, value: object, optional: bool) -> int | None:
    if value is None and optional:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        alternative = ", or None" if optional else ""
        raise SettingsError(f"{name} is {value!r}; expected a whole number from 1{alternative}.")
    return int(value)


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) <= 1:
        raise SettingsError(
            f"max_document_frequency is {value!r}; expected a share of the documents above 0 and "
            "at most 1."
        )
    return float(value)


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise SettingsError(f"{name} is {value!r}; expected True or False.")
    return bool(value)


def _check_tokenizer(tokenizer: object, language: str | None) -> None:
    if callable(tokenizer):
        return
    if not isinstance(tokenizer, str):
        raise SettingsError(
            f"tokenizer is of type {_kind(tokenizer)}; expected one of {', '.join(TOKENIZERS)}, or "
            "a function from a text to its words."
        )
    if tokenizer not in TOKENIZERS:
        raise SettingsError(
            f"Unknown tokenizer {tokenizer!r}.{suggest(tokenizer, TOKENIZERS)} Or pass a function "
            "from a text to its words."
        )
    if tokenizer == "auto" and language in UNSEGMENTED:
        raise SettingsError(
            f'Language {language!r} has no spaces between words, and tokenizer="auto" cannot '
            "find them. Pass a function from a text to its words as tokenizer, or "
            'tokenizer="whitespace" if the words of the text are already separated by spaces.'
        )


def _stop_word_setting(value: object, language: str | None) -> bool | frozenset[str]:
    if isinstance(value, bool):
        if value and language is not None:
            stop_words(language)
        return value
    if isinstance(value, str) or not isinstance(value, Collection):
        raise SettingsError(
            f"stop_words is {value!r}; expected True for the language's list, False for none, or "
            "a collection of words."
        )
    for word in value:
        if not isinstance(word, str):
            raise SettingsError(f"stop_words has {word!r} of type {_kind(word)}; expected words.")
    return frozenset(value)


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
