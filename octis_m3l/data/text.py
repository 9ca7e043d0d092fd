"""Text preprocessing: raw texts of one language become ids of the words of a vocabulary."""

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, lru_cache, partial
from itertools import chain
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, PlainValidator
from scipy.sparse import csr_matrix

from octis_m3l.data.item_checks import as_items, check_characters, is_missing
from octis_m3l.data.languages import doubt_of_segmentation, doubt_of_stop_words, language_code
from octis_m3l.data.tokenizers import (
    UNSEGMENTED,
    automatic_tokenizer,
    comparable_word,
    comparable_words,
    find_forms,
    lower_case,
    normalise,
    split_form,
    stop_words,
)
from octis_m3l.errors import DataError, MissingDependencyError, SettingsError, first_few, warn
from octis_m3l.validation import validated, validated_fields

Tokenizer = Callable[[str], Sequence[str]]
TokenizerName = Literal["auto", "fugashi", "jieba", "separated", "unicode", "whitespace"]

_ONE_CHARACTER_WORDS = frozenset({"ja", "zh"})


def _frozen_words(given: Any) -> bool | frozenset[str]:
    if isinstance(given, bool):
        return given
    if (
        isinstance(given, str)
        or not isinstance(given, Collection)
        or not all(isinstance(word, str) for word in given)
    ):
        raise ValueError(
            "should be True for the language's list, False for none, or a collection of words"
        )
    return frozenset(given)


@dataclass(frozen=True)
class PreprocessingReport:
    """What the preprocessing of one view removed; missing documents do not count as empty."""

    view: str
    documents: int
    empty_documents: tuple[int, ...]
    tokens_before: int
    tokens_after: int
    vocabulary_size: int

    def __str__(self) -> str:
        """Return the report as one sentence."""
        count = len(self.empty_documents)
        rows = f"{'row' if count == 1 else 'rows'} {first_few(self.empty_documents, 10)}"
        empty = f"{count} of them with no token left ({rows})" if count else "none of them empty"
        return (
            f"View {self.view!r}: {self.documents} documents, {empty}; {self.tokens_after} of "
            f"{self.tokens_before} tokens are in the vocabulary of {self.vocabulary_size} words."
        )


@dataclass(frozen=True, eq=False)
class TokenizedCorpus:
    """The documents of one view, one after another, as ids of the words of its vocabulary."""

    token_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    vocabulary: tuple[str, ...]
    report: PreprocessingReport


@dataclass(frozen=True, eq=False)
class EncodedTexts:
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
        return counts.astype(np.int64), np.bincount(bags.indices, minlength=len(self.words))

    def select(self, vocabulary: tuple[str, ...], view: str) -> TokenizedCorpus:
        """Return the tokens that are in the vocabulary."""
        position = {word: index for index, word in enumerate(vocabulary)}
        positions = np.array([position.get(word, -1) for word in self.words], dtype=np.int32)
        selected = positions[self.token_ids]
        kept = selected >= 0
        offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)[self.offsets]
        empty = np.flatnonzero((np.diff(offsets) == 0) & ~self.missing)
        report = PreprocessingReport(
            view,
            documents=len(self.missing),
            empty_documents=tuple(empty.tolist()),
            tokens_before=len(self.token_ids),
            tokens_after=int(offsets[-1]),
            vocabulary_size=len(vocabulary),
        )
        return TokenizedCorpus(selected[kept], offsets, vocabulary, report)


@partial(validated_fields, error=SettingsError)
@dataclass(frozen=True)
class TextPreprocessor:
    """Turns the raw texts of one language into tokens and a vocabulary.

    `octis_m3l.data.tokenizers` describes the rules of the tokenizer "unicode". With every
    tokenizer, tokens are normalised to NFKC, and those without any letter or digit are removed.

    Parameters
    ----------
    language : str, optional
        ISO 639-1 code, or another name of the language: "zh-CN", "deu", "chinese", "cn". None
        splits texts at Unicode's word boundaries and uses no stop words.
    vocabulary_size : int, optional
        Number of words to keep, the most frequent ones, at least 1; None keeps all.
    stop_words : bool or collection of str
        True for the language's list, False for none, or the words themselves. Words are compared
        after normalising, regardless of case. Unless there are no stop words, elided words ("l",
        "qu") that are split off at an apostrophe are removed too.
    lowercase : bool
        Whether tokens are converted to lower case.
    min_word_length : int, optional
        Minimum number of characters, including combining marks, at least 1; None for 1 in Chinese
        and Japanese and 2 in all other languages.
    min_document_frequency : int
        Number of training documents in which a word must occur, at least 1.
    max_document_frequency : float
        Share of the training documents in which a word may occur, above 0 and at most 1; missing
        documents do not count.
    keep_numbers : bool
        Whether tokens without a letter are kept.
    tokenizer : str or callable
        "unicode"; "whitespace" for text whose words are already separated; "jieba" for Chinese;
        "fugashi" for Japanese; "auto" to choose by language; or a function that takes a text,
        unchanged, and returns its words. "separated" is like "whitespace", but `transform` splits
        words outside the vocabulary as "auto" would: for raw text where another program chose the
        words.

    Raises
    ------
    SettingsError
        If a setting is invalid, there is no list of stop words for the language, or the language
        has no spaces between words and "auto" has no tokenizer for it.
    """

    language: Annotated[str | None, AfterValidator(language_code)] = None
    vocabulary_size: Annotated[int, Field(ge=1)] | None = 2000
    stop_words: Annotated[bool | Collection[str], PlainValidator(_frozen_words)] = True
    lowercase: bool = True
    min_word_length: Annotated[int, Field(ge=1)] | None = None
    min_document_frequency: Annotated[int, Field(ge=1)] = 1
    max_document_frequency: Annotated[float, Field(gt=0, le=1)] = 1.0
    keep_numbers: bool = False
    tokenizer: TokenizerName | Tokenizer = "auto"

    def __post_init__(self) -> None:
        """Check that the language has what the other settings need."""
        if self.tokenizer == "auto" and self.language in UNSEGMENTED:
            raise SettingsError(
                f'Language {self.language!r} has no spaces between words, and tokenizer="auto" '
                "cannot find them. Pass a function from a text to its words as tokenizer, or "
                'tokenizer="whitespace" if the words of the text are already separated by spaces.'
            )
        if self.stop_words is True and self.language is not None:
            stop_words(self.language)

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of a text, before the vocabulary is applied."""
        _check_text(text)
        return [word for form in self._find_forms()(text) for word in self._words_of(form)]

    def fit_transform(
        self,
        texts: Sequence[str | None],
        training: NDArray[np.bool_] | None = None,
        view: str = "text",
    ) -> TokenizedCorpus:
        """Choose the vocabulary and return all documents as its ids.

        The vocabulary consists of the most frequent words of the training rows; of equally
        frequent words the alphabetically first ones. It is in alphabetical order (by code point).

        Parameters
        ----------
        texts : sequence of str or None
            The documents; None and NaN are missing and have no tokens.
        training : array of bool, shape (documents,), optional
            Rows on which the vocabulary is chosen; None for all.
        view : str
            Name for errors and the report.

        Raises
        ------
        DataError
            If a document is not text, the mask has another shape, or no word is left.
        """
        encoded = self._encode(texts, view, self._words_of)
        shape = encoded.missing.shape
        rows = np.ones(shape, np.bool_) if training is None else np.asarray(training)
        if rows.dtype != np.bool_ or rows.shape != shape:
            raise DataError(
                f"View {view!r}: the training mask is of type {rows.dtype} and shape {rows.shape}; "
                f"expected bool and {shape}, one truth value for each document."
            )
        return encoded.select(self._choose_vocabulary(encoded, rows, view), view)

    def transform(
        self, texts: Sequence[str | None], vocabulary: Sequence[str], view: str = "text"
    ) -> TokenizedCorpus:
        """Return documents as ids of an existing vocabulary.

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
            If a document is not text, or the vocabulary is empty or not made of different words.
        """
        words = tuple(as_items(vocabulary, f"view '{view}', vocabulary"))
        check_vocabulary(words, view)
        return self.encoded(texts, words, view).select(words, view)

    def encoded(
        self, texts: Sequence[str | None], known: tuple[str, ...], view: str = "text"
    ) -> EncodedTexts:
        """Return texts as ids of all their words; known words stay whole, in their spelling."""
        spellings = _other_spellings(self, known)
        words_of: Callable[[str], list[str]] = self._words_of
        if self.tokenizer == "separated" and self.language not in UNSEGMENTED:
            words_of = self._known_or_split(frozenset(known).union(spellings))
        encoded = self._encode(texts, view, words_of)
        return replace(encoded, words=[spellings.get(word, word) for word in encoded.words])

    def doubts_of_language(self, corpus: TokenizedCorpus, view: str) -> list[str]:
        """Return warnings if the texts seem to be in another language than the one given."""
        words, doubts = corpus.vocabulary, []
        if self.tokenizer == "auto" and self._chosen_tokenizer() == "unicode":
            doubts.append(doubt_of_segmentation(view, self.language, words))
        if self.stop_words is True:
            doubts.append(doubt_of_stop_words(view, self.language, words, corpus.token_ids))
        return [doubt for doubt in doubts if doubt]

    def as_dict(self) -> dict[str, object]:
        """Return the settings as JSON can store them; a function only by its name."""
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        if not isinstance(self.stop_words, bool):
            settings["stop_words"] = sorted(self.stop_words)
        if not isinstance(self.tokenizer, str):
            settings["tokenizer"] = {"callable": _name_of(self.tokenizer)}
        return settings

    @classmethod
    def of_vocabulary(cls, vocabulary: Collection[str], language: str | None) -> Self:
        """Return a preprocessor for new texts of a corpus whose words another program chose.

        If all words are in lower case, texts are converted to lower case.
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
    @partial(validated, error=SettingsError)
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Return the preprocessor that `as_dict` described; omitted settings have their defaults.

        If the tokenizer was a function, `with_tokenizer` must give it again.
        """
        stored = settings.get("tokenizer")
        if isinstance(stored, Mapping) and isinstance(stored.get("callable"), str):
            settings = {**settings, "tokenizer": _UnrestoredTokenizer(stored["callable"])}
        return cls(**settings)

    @partial(validated, error=SettingsError)
    def with_tokenizer(self, tokenizer: Tokenizer) -> Self:
        """Return the preprocessor with the function that stored settings only name."""
        if isinstance(self.tokenizer, str):
            raise SettingsError(
                f"the texts were split into words by '{self.tokenizer}', and another tokenizer "
                "would find other words; leave it out, or build the data set again with it."
            )
        return replace(self, tokenizer=tokenizer)

    def _chosen_tokenizer(self) -> str | Tokenizer:
        return automatic_tokenizer(self.language) if self.tokenizer == "auto" else self.tokenizer

    def _find_forms(self) -> Callable[[str], Iterable[str]]:
        tokenizer = self._chosen_tokenizer()
        if isinstance(tokenizer, str):
            return find_forms(tokenizer)
        return lambda text: _checked_tokens(tokenizer(text))

    def _words_of(self, form: str) -> list[str]:
        """Return the words that a form, a word as it is written, consists of."""
        word = normalise(form, self.language)
        if self.lowercase:
            word = lower_case(word, self.language)
        pieces = word.split()
        if self._chosen_tokenizer() == "unicode":
            keep_clitics = not self._stop_words()
            pieces = split_form(word, self.language, self._is_stop_word, keep_clitics)
        return [piece for piece in pieces if self._keeps(piece)]

    def _keeps(self, word: str) -> bool:
        least = self.min_word_length
        if least is None:
            least = 1 if self.language in _ONE_CHARACTER_WORDS else 2
        wanted = str.isalnum if self.keep_numbers else str.isalpha
        return len(word) >= least and any(map(wanted, word)) and not self._is_stop_word(word)

    def _is_stop_word(self, word: str) -> bool:
        stops = self._stop_words()
        return bool(stops) and comparable_word(word.strip("'"), self.language) in stops

    def _stop_words(self) -> frozenset[str]:
        if isinstance(self.stop_words, frozenset):
            return comparable_words(self.stop_words, self.language)
        if self.stop_words is True and self.language is not None:
            return stop_words(self.language)
        return frozenset()

    def _known_or_split(self, known: frozenset[str]) -> Callable[[str], list[str]]:
        """Return a function that keeps known forms whole and splits others by language.

        Other forms are ignored if the language's tokenizer is not installed.
        """
        splitting: TextPreprocessor | None = replace(self, tokenizer="auto")

        def words_of(form: str) -> list[str]:
            nonlocal splitting
            whole = self._words_of(form)
            if splitting is None or known.issuperset(whole):
                return whole
            try:
                return splitting.tokenize(form)
            except MissingDependencyError as error:
                warn(str(error))
                splitting = None
                return whole

        return words_of

    def _encode(
        self, texts: Sequence[str | None], view: str, words_of: Callable[[str], list[str]]
    ) -> EncodedTexts:
        find = self._find_forms()
        id_of_word: dict[str, int] = {}

        @cache
        def ids_of_form(form: str) -> tuple[int, ...]:
            return tuple(id_of_word.setdefault(word, len(id_of_word)) for word in words_of(form))

        token_ids = array("i")
        documents = as_items(texts, f"View {view!r}")
        offsets = np.zeros(len(documents) + 1, dtype=np.int64)
        missing = np.zeros(len(documents), dtype=np.bool_)
        for row, text in enumerate(documents):
            if is_missing(text):
                missing[row] = True
            else:
                try:
                    _check_text(text)
                    token_ids.extend(chain.from_iterable(map(ids_of_form, find(text))))
                except DataError as error:
                    raise DataError(f"View {view!r}, row {row}: {error}") from None
            offsets[row + 1] = len(token_ids)
        return EncodedTexts(np.array(token_ids, np.int32), offsets, list(id_of_word), missing)

    def _choose_vocabulary(
        self, encoded: EncodedTexts, rows: NDArray[np.bool_], view: str
    ) -> tuple[str, ...]:
        documents = int(np.count_nonzero(rows & ~encoded.missing))
        counts, frequencies = encoded.counts(rows)
        found = frequencies > 0
        rare = found & (frequencies < self.min_document_frequency)
        common = frequencies / max(1, documents) > self.max_document_frequency
        kept = found & ~rare & ~common
        if not kept.any():
            raise DataError(
                f"View {view!r}: no vocabulary. {documents} of its {np.count_nonzero(rows)} "
                f"training documents have text. With language={self.language!r}, its stop words, "
                f"min_word_length={self.min_word_length} and keep_numbers={self.keep_numbers}, "
                f"{np.count_nonzero(found)} different words are left; {np.count_nonzero(rare)} are "
                f"in fewer than min_document_frequency={self.min_document_frequency} documents, "
                f"{np.count_nonzero(common)} in more than "
                f"max_document_frequency={self.max_document_frequency} of them. Change one of "
                "these settings (stop_words=False; octis-m3l build: --set stop_words=false), or "
                "give other texts."
            )
        words = [encoded.words[index] for index in np.flatnonzero(kept)]
        ranked = sorted(zip((-counts[kept]).tolist(), words, strict=True))
        return tuple(sorted(word for _, word in ranked[: self.vocabulary_size]))


@lru_cache(maxsize=32)
def _other_spellings(preprocessor: TextPreprocessor, vocabulary: tuple[str, ...]) -> dict[str, str]:
    """Return the words of the vocabulary that the preprocessor spells differently, by its spelling.

    A vocabulary from another program may follow other rules.
    """
    known = frozenset(vocabulary)
    found = {}
    for word in vocabulary:
        tokens = () if word.isascii() else preprocessor._words_of(word)
        if len(tokens) == 1 and tokens[0] not in known:
            found[tokens[0]] = word
    return found


@dataclass(frozen=True)
class _UnrestoredTokenizer:
    """Replaces a function of which stored settings have only the name."""

    name: str

    def __call__(self, text: str) -> list[str]:
        raise SettingsError(
            f"The tokenizer {self.name!r} is a function, which stored settings do not contain. "
            "Pass it again: tokenizers={view: function} to MultiviewDataset.from_folder or to a "
            "model's load."
        )


def _name_of(function: Tokenizer) -> str:
    if isinstance(function, _UnrestoredTokenizer):
        return function.name
    named: Any = function if hasattr(function, "__qualname__") else type(function)
    return f"{getattr(named, '__module__', None) or 'builtins'}:{named.__qualname__}"


def check_vocabulary(words: Collection[str], view: str) -> None:
    """Check that a vocabulary has different words without white space."""
    if not words:
        raise DataError(
            f"view '{view}' has no vocabulary: no word was left after preprocessing; check the "
            "language, the stop words and the vocabulary size."
        )
    invalid = [word for word in words if not isinstance(word, str) or word.split() != [word]]
    if len(set(words)) < len(words):
        invalid += [word for word, count in Counter(words).items() if count > 1]
    if invalid:
        raise DataError(
            f"view '{view}': the vocabulary has {invalid[0]!r}, which is empty, has white space "
            "or is there twice; expected different words."
        )


def _check_text(text: object) -> None:
    if not isinstance(text, str):
        raise DataError(
            f"the document is of type {type(text).__name__}; expected str, or None if it is "
            "missing. Decode bytes, and convert other types with str()."
        )
    check_characters(text)


def _checked_tokens(tokens: object) -> list[str]:
    """Return the words that a custom tokenizer found, without empty ones."""
    if isinstance(tokens, Iterable) and not isinstance(tokens, str | bytes):
        words = [word for word in tokens if not isinstance(word, str) or word.strip()]
        invalid = [w for w in words if not isinstance(w, str) or w.split() != [w]]
    else:
        words, invalid = [], [tokens]
    if invalid:
        raise DataError(
            f"the tokenizer returned {invalid[0]!r}; expected a list of words without white space. "
            "Correct the function given as tokenizer; it can join words with underscores."
        )
    return words
