"""Languages: which one a code or a name stands for, and whether texts are in the one given."""

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache

import numpy as np
import regex
import stopwordsiso

from octis_m3l.data.stop_words import has_stop_words
from octis_m3l.data.tokenized import TokenizedCorpus
from octis_m3l.errors import SettingsError

_CODE = re.compile(r"[a-z]{2,3}")
# Codes of countries that are no language's, and the language that nearly all read there.
_COUNTRIES = {"cn": "zh", "cz": "cs", "dk": "da", "gr": "el", "jp": "ja", "ua": "uk"}
# Codes of languages that mean something else in most names of columns.
_WORDS = frozenset(
    {"cat", "eu", "ha", "he", "hi", "id", "in", "it", "la", "may", "ms", "no", "so", "st", "uk"}
)
_WITHOUT_SPACES = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
)
_TOP_WORDS = 20


def checked_language(language: object) -> str | None:
    """Return the ISO 639 code of a language, None if none is given."""
    if language is None:
        return None
    if isinstance(language, str):
        code = _code_of(language) or (language if _CODE.fullmatch(language) else None)
        if code is not None:
            return code
    raise SettingsError(
        f"language is {language!r}; expected a language's code such as 'en', its English name, or "
        "None."
    )


def language_of(view: str, languages: Mapping[str, str | None] | None = None) -> str | None:
    """Return the language of a view: the one given for it, else the one that its name says.

    A name says a language if `checked_language` understands it as a whole (``zh``, ``zh-cn``,
    ``chinese``, ``cn``), or if it begins or ends with a language's English name or code of two
    letters (``german_abstract``, ``en_title``). Codes that are English words or abbreviations
    count as whole names only (``it``, but not ``it_news``). There must be stop words for it.
    """
    if languages is not None and view in languages:
        return checked_language(languages[view])
    if has_stop_words(view):
        return view
    parts = re.split("[-_]", view)
    ends = [part for part in (parts[0], parts[-1]) if has_stop_words(part) or len(part) > 3]
    names = [view] * (parts[0] not in _WORDS) + [end for end in ends if end not in _WORDS]
    codes = map(_code_of, names)
    return next((code for code in codes if code is not None and has_stop_words(code)), None)


@lru_cache(maxsize=256)
def _code_of(name: str) -> str | None:
    """Return the language that a tag, an English name or a country's code stands for."""
    if has_stop_words(name):
        return name
    # Only names that are not understood without it wait for the library and its data.
    from langcodes import Language, tag_is_valid

    tag = name.strip().lower().replace("_", "-")
    tag = _COUNTRIES.get(tag, tag)
    if tag_is_valid(tag):
        return Language.get(tag).prefer_macrolanguage().language
    if len(tag) > 3:
        with suppress(LookupError):
            return Language.find(tag.replace("-", " "), "en").prefer_macrolanguage().language
    return None


def doubts_of_language(
    view: str,
    language: str | None,
    corpus: TokenizedCorpus,
    *,
    separates_at_spaces: bool,
    leaves_out_stop_words: bool,
) -> list[str]:
    """Return what speaks against the language that the texts of a view were split in."""
    doubts = []
    known = "is not known" if language is None else f"is '{language}'"
    long = [word for word in corpus.vocabulary if _WITHOUT_SPACES.match(word)]
    if separates_at_spaces and len(long) > len(corpus.vocabulary) / 10:
        doubts.append(
            f"view '{view}': its language {known}, but words such as {long[0][:20]!r} are of a "
            "script without spaces between words, so that whole sentences count as words. Give "
            f"the language (languages={{'{view}': 'zh'}}; octis-m3l build: --language {view}=zh), "
            "or the tokenizer 'whitespace' if the words are separated by spaces already."
        )
    if leaves_out_stop_words and len(corpus.vocabulary) >= _TOP_WORDS:
        counts = np.bincount(corpus.token_ids, minlength=len(corpus.vocabulary))
        top = [corpus.vocabulary[word] for word in np.argsort(-counts, kind="stable")[:_TOP_WORDS]]
        lists = {code: stopwordsiso.stopwords(code) for code in sorted(stopwordsiso.langs())}
        shared = {code: [word for word in top if word in words] for code, words in lists.items()}
        likely = max(shared, key=lambda code: len(shared[code]))
        if len(shared[likely]) >= _TOP_WORDS / 2:
            doubts.append(
                f"view '{view}': its language {known}, but {len(shared[likely])} of its "
                f"{_TOP_WORDS} most frequent words are stop words of '{likely}' "
                f"({', '.join(shared[likely][:5])}, …). Give the language (languages={{'{view}': "
                f"'{likely}'}}; octis-m3l build: --language {view}={likely}), or keep all words "
                "with stop_words=False (--set stop_words=false)."
            )
    return doubts
