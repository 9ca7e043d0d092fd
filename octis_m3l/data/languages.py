"""Languages: which one a code or a name means, and whether texts seem to be in another one."""

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache

import numpy as np
import regex
import stopwordsiso
from numpy.typing import NDArray

from octis_m3l.data.tokenizers import has_stop_words
from octis_m3l.errors import SettingsError

_CODE = re.compile(r"[a-z]{2,3}")
# Country codes that are not language codes, and the language that is read in the country.
_COUNTRIES = {"cn": "zh", "cz": "cs", "dk": "da", "gr": "el", "jp": "ja", "ua": "uk"}
# Language codes that usually mean something else in names of columns.
_WORDS = frozenset(
    {"cat", "eu", "ha", "he", "hi", "id", "in", "it", "la", "may", "ms", "no", "so", "st", "uk"}
)
_WITHOUT_SPACES = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
)
_TOP_WORDS = 20


def language_code(language: str | None) -> str | None:
    """Return the ISO 639 code of a language that is given by a code or its English name."""
    if language is None:
        return None
    code = _code_of(language) or (language if _CODE.fullmatch(language) else None)
    if code is None:
        raise ValueError("should be a language's code such as 'en', its English name, or None")
    return code


def language_of(view: str, languages: Mapping[str, str | None] | None = None) -> str | None:
    """Return the language of a view: the given one, or else the one that its name indicates.

    A name indicates a language if `language_code` understands it as a whole (``zh``, ``zh-cn``,
    ``chinese``, ``cn``), or if it begins or ends with a language's English name or two-letter code
    (``german_abstract``, ``en_title``). Codes that are also English words or abbreviations count
    only as whole names (``it``, but not ``it_news``). The language must have stop words.
    """
    if languages is not None and view in languages:
        try:
            return language_code(languages[view])
        except ValueError as error:
            raise SettingsError(
                f"view '{view}': language={languages[view]!r}: it {error}."
            ) from None
    if has_stop_words(view):
        return view
    parts = re.split("[-_]", view)
    ends = [part for part in (parts[0], parts[-1]) if has_stop_words(part) or len(part) > 3]
    names = [view] * (parts[0] not in _WORDS) + [end for end in ends if end not in _WORDS]
    codes = map(_code_of, names)
    return next((code for code in codes if code is not None and has_stop_words(code)), None)


@lru_cache(maxsize=256)
def _code_of(name: str) -> str | None:
    """Return the language that a language tag, an English name or a country code means."""
    if has_stop_words(name):
        return name
    # The library and its data load slowly; common codes do not need them.
    from langcodes import Language, tag_is_valid

    tag = name.strip().lower().replace("_", "-")
    tag = _COUNTRIES.get(tag, tag)
    if tag_is_valid(tag):
        return Language.get(tag).prefer_macrolanguage().language
    if len(tag) > 3:
        with suppress(LookupError):
            return Language.find(tag.replace("-", " "), "en").prefer_macrolanguage().language
    return None


def doubt_of_segmentation(view: str, language: str | None, vocabulary: tuple[str, ...]) -> str:
    """Return a warning if texts split at spaces are in a script without spaces, else ""."""
    long = [word for word in vocabulary if _WITHOUT_SPACES.match(word)]
    if len(long) <= len(vocabulary) / 10:
        return ""
    return (
        f"view '{view}': its language {_known(language)}, but words such as {long[0][:20]!r} are "
        "in a script without spaces between words, so that whole sentences count as words. "
        f"{_give(view, 'zh')}, or the tokenizer 'whitespace' if the words are separated by spaces "
        "already."
    )


def doubt_of_stop_words(
    view: str, language: str | None, vocabulary: tuple[str, ...], token_ids: NDArray[np.int32]
) -> str:
    """Return a warning if the most frequent words are stop words of another language, else ""."""
    if len(vocabulary) < _TOP_WORDS:
        return ""
    counts = np.bincount(token_ids, minlength=len(vocabulary))
    top = [vocabulary[word] for word in np.argsort(-counts, kind="stable")[:_TOP_WORDS]]
    lists = {code: stopwordsiso.stopwords(code) for code in sorted(stopwordsiso.langs())}
    shared = {code: [word for word in top if word in words] for code, words in lists.items()}
    likely = max(shared, key=lambda code: len(shared[code]))
    if len(shared[likely]) < _TOP_WORDS / 2:
        return ""
    return (
        f"view '{view}': its language {_known(language)}, but {len(shared[likely])} of its "
        f"{_TOP_WORDS} most frequent words are stop words of '{likely}' "
        f"({', '.join(shared[likely][:5])}, …). {_give(view, likely)}, or keep all words with "
        "stop_words=False (--set stop_words=false)."
    )


def _known(language: str | None) -> str:
    return "is not known" if language is None else f"is '{language}'"


def _give(view: str, code: str) -> str:
    return (
        f"Give the language (languages={{'{view}': '{code}'}}; octis-m3l build: --language "
        f"{view}={code})"
    )
