"""Lists of stop words, made comparable with words of a text."""

from functools import lru_cache

import stopwordsiso

from octis_m3l.data.tokenizers import (
    clitics,
    elides,
    normalise,
    stop_word_key,
    unicode_forms,
)
from octis_m3l.errors import SettingsError, suggest

_SAME_LIST = {"fil": "tl", "nb": "no", "nn": "no"}


def available_stop_words() -> tuple[str, ...]:
    """Return the ISO 639-1 codes of the languages that have a list of stop words, sorted."""
    return tuple(sorted(stopwordsiso.langs()))


def has_stop_words(language: str) -> bool:
    """Return whether there is a list of stop words for a language."""
    return _SAME_LIST.get(language, language) in stopwordsiso.langs()


@lru_cache(maxsize=128)
def stop_words(language: str) -> frozenset[str]:
    """Return the stop words of a language as words are compared with them.

    They are normalised, in lower case, and without marks in Arabic and Greek. Elided words such
    as the French "qu" and "jusqu" are among them.
    """
    if not has_stop_words(language):
        raise SettingsError(
            f"No stop words for language {language!r}.{suggest(language, available_stop_words())} "
            "Pass stop_words=False to keep every word, or stop_words=[...] with words of your own."
        )
    listed = comparable_words(
        frozenset(stopwordsiso.stopwords(_SAME_LIST.get(language, language))), language
    )
    return listed | clitics(language) | _pieces(listed, language)


@lru_cache(maxsize=128)
def comparable_words(entries: frozenset[str], language: str | None) -> frozenset[str]:
    """Return words as `stop_words` has them, so that they can be compared."""
    words = {stop_word_key(normalise(entry, language), language) for entry in entries}
    found = map(unicode_forms, words)
    return frozenset(words | {forms[0] for forms in found if len(forms) == 1})


def _pieces(words: frozenset[str], language: str) -> frozenset[str]:
    if not elides(language):
        return frozenset()
    return frozenset(piece for word in words if "'" in word for piece in word.split("'"))
