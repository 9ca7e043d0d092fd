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
_WITHOUT_SPACES = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
)
_TOP_WORDS = 20


def checked_language(language: object) -> str | None:
    """Return the ISO 639 code of a language, None if none is given.

    Parameters
    ----------
    language : object
        None, a code ("en", "zh-CN", "deu"), a country's code that is no language's ("cn"), or an
        English name ("chinese").

    Raises
    ------
    SettingsError
        If it is none of these.
    """
    if language is None:
        return None
    if isinstance(language, str):
        if has_stop_words(language):
            return language
        code = _code_of(language) or (language if _CODE.fullmatch(language) else None)
        if code is not None:
            return code
    raise SettingsError(
        f"language is {language!r}; expected a language's code such as 'en', its English name, or "
        "None."
    )


def language_of(view: str, languages: Mapping[str, str | None] | None = None) -> str | None:
    """Return the language of a view: the one given for it, else the one that its name says.

    A name says a language by its code, its English name or its country's code (``zh``, ``zh-cn``,
    ``chinese``, ``cn``), or by a part that is such a name or a code of two letters (``en_title``).
    It counts only if there are stop words for the language.

    Parameters
    ----------
    view : str
        The name.
    languages : mapping of view to str or None, optional
        What is given.
    """
    if languages is not None and view in languages:
        return checked_language(languages[view])
    if has_stop_words(view):
        return view
    parts = [part for part in re.split("[-_]", view) if len(part) == 2 or len(part) > 3]
    names = [view, *(part for part in parts if part != view)]
    codes = (_code_of(name, countries=name == view) for name in names)
    return next((code for code in codes if code is not None and has_stop_words(code)), None)


@lru_cache(maxsize=256)
def _code_of(name: str, countries: bool = True) -> str | None:
    """Return the language that a tag, an English name or a country's code stands for."""
    if has_stop_words(name):
        return name
    # Only names that are not understood without it wait for the library and its data.
    from langcodes import Language
    from langcodes.tag_parser import LanguageTagError

    tag = name.strip().replace("_", "-")
    found = None
    with suppress(LanguageTagError):
        if Language.get(tag).is_valid():
            found = Language.get(tag)
        elif countries and len(tag) == 2 and Language.get(f"und-{tag}").is_valid():
            found = Language.get(f"und-{tag}").maximize()
    if found is None and len(tag) > 3:
        with suppress(LookupError):
            found = Language.find(tag.replace("-", " "), "en")
    return None if found is None else found.prefer_macrolanguage().language


def doubts_of_language(
    view: str,
    language: str | None,
    corpus: TokenizedCorpus,
    *,
    separates_at_spaces: bool,
    leaves_out_stop_words: bool,
) -> list[str]:
    """Return what speaks against the language that the texts of a view were split in.

    Parameters
    ----------
    view : str
        Its name.
    language : str, optional
        ISO 639-1 code.
    corpus : TokenizedCorpus
        Its words.
    separates_at_spaces : bool
        Whether its words were found by spaces and punctuation alone, by default.
    leaves_out_stop_words : bool
        Whether the stop words of the language are left out, by default.
    """
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
