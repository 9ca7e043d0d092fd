"""Checks of the settings of text preprocessing, and of the texts that come in."""

from collections.abc import Collection, Iterable, Sequence
from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.item_checks import is_scalar, kind_of
from octis_m3l.data.stop_words import stop_words
from octis_m3l.data.tokenizers import TOKENIZERS, UNSEGMENTED
from octis_m3l.errors import DataError, SettingsError, suggest


def checked_whole_number(name: str, value: object, optional: bool) -> int | None:
    """Return a setting that must be a whole number from 1."""
    if value is None and optional:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        alternative = ", or None" if optional else ""
        raise SettingsError(f"{name} is {value!r}; expected a whole number from 1{alternative}.")
    return int(value)


def checked_share(value: object) -> float:
    """Return `max_document_frequency`, which must be above 0 and at most 1."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) <= 1:
        raise SettingsError(
            f"max_document_frequency is {value!r}; expected a share of the documents above 0 and "
            "at most 1."
        )
    return float(value)


def checked_switch(name: str, value: object) -> bool:
    """Return a setting that must be True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise SettingsError(f"{name} is {value!r}; expected True or False.")
    return bool(value)


def check_tokenizer(tokenizer: object, language: str | None) -> None:
    """Refuse an unknown tokenizer, and "auto" for a language that it has none for."""
    if callable(tokenizer):
        return
    if not isinstance(tokenizer, str):
        raise SettingsError(
            f"tokenizer is of type {kind_of(tokenizer)}; expected one of {', '.join(TOKENIZERS)}, "
            "or a function from a text to its words."
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


def checked_stop_words(value: object, language: str | None) -> bool | frozenset[str]:
    """Return the setting `stop_words`, words of one's own as a frozen set."""
    if isinstance(value, bool):
        if value and language is not None:
            stop_words(language)
        return value
    if isinstance(value, str) or not isinstance(value, Collection) or is_scalar(value):
        raise SettingsError(
            f"stop_words is {value!r}; expected True for the language's list, False for none, or "
            "a collection of words."
        )
    for word in value:
        if not isinstance(word, str):
            raise SettingsError(f"stop_words has {word!r} of type {kind_of(word)}; expected words.")
    return frozenset(value)


def checked_training_mask(
    training: NDArray[np.bool_] | None, documents: int, view: str
) -> NDArray[np.bool_]:
    """Return the training mask, all rows if none is given."""
    if training is None:
        return np.ones(documents, dtype=np.bool_)
    mask = np.asarray(training)
    if mask.dtype != np.bool_ or mask.shape != (documents,):
        raise DataError(
            f"View {view!r}: the training mask is of type {mask.dtype} and shape {mask.shape}; "
            f"expected bool and ({documents},), one truth value a document."
        )
    return mask


def checked_vocabulary(vocabulary: Sequence[str], view: str) -> tuple[str, ...]:
    """Return a vocabulary of different words, none of which has white space."""
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


def checked_tokens(tokens: Sequence[str]) -> list[str]:
    """Return the words that a tokenizer of one's own gave, without empty ones."""
    if isinstance(tokens, (str, bytes)) or not isinstance(tokens, Iterable):
        raise DataError(
            f"the tokenizer returned {kind_of(tokens)}; expected a list of words. Mend the "
            "function given as tokenizer."
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


def not_text(value: object) -> str:
    """Return what to say of a document that is no text."""
    mend = "Decode it" if isinstance(value, bytes) else "Convert it with str() if it is text"
    return f"the document is of type {kind_of(value)}; expected str, or None if missing. {mend}."
