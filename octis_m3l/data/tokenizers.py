"""Tokenizers and stop words.

The tokenizer "unicode" follows these rules:

- Text is normalised to NFKC. Typographic apostrophes and hyphens become ``'`` and ``-``. The Arabic
  tatweel, control characters and all other invisible characters (soft hyphens, variation selectors,
  direction marks) are removed; zero-width spaces and Hangul fillers become spaces. Thai and Lao AM
  remain one character.
- Symbols separate words, even those that NFKC would replace by letters or digits: ``Apple™``,
  ``№5``, ``①`` and ``5½`` become ``Apple``, ``5``, nothing and ``5``. Squared abbreviations
  (``㎏``), letters in circles and squares, Kangxi radicals, dates (``㋀``) and ideographs in
  brackets (``㈱``) are replaced as NFKC does.
- Superscript digits are digits at the start of a word and after one or two letters (``m²`` is
  ``m2``). After longer words and numbers they are footnote marks and separate words. Subscript
  digits are digits (``CO₂`` is ``co2``).
- A word consists of letters, their combining marks and digits. Inside a word, zero-width joiners,
  underscores (``new_york``), the Catalan middle dot (``col·lecció``), Hebrew gershayim (``צה״ל``),
  and full stops or commas between two digits are kept.
- Hyphenated words are split at the hyphens, unless the whole is a stop word.
- Apostrophes are part of the word (``o'clock``, ``п'ять``, ``aujourd'hui``, ``don't``). Only the
  elided words and clitics of French, Italian, Catalan, Portuguese, Galician, Irish, Romanian,
  English and German are split off (``l'école``, ``dell'arte``, ``dog's``); they count as stop
  words. In Turkish and Azerbaijani the suffix after an apostrophe is removed (except in
  ``kur'an``).

With every tokenizer, letters from old encodings are replaced: the cedillas of Romanian, and the
Arabic yeh and kaf of Persian and Urdu.
"""

import logging
import re
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any
from unicodedata import category, is_normalized, normalize

import regex
import stopwordsiso

from octis_m3l.errors import SettingsError, import_extra, suggest

UNSEGMENTED = frozenset({"bo", "km", "lo", "my", "th"})

_AUTOMATIC = {"zh": "jieba", "ja": "fugashi"}
_DOTLESS = frozenset({"az", "tr"})
_SAME_STOP_WORDS = {"fil": "tl", "nb": "no", "nn": "no"}
# Literal ranges, because `re` is far faster with them than `regex` with properties; a test compares
# the two. Removed are default-ignorable characters, control characters and the tatweel.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u0640\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200e\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufe00-\ufe0f\ufeff"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Fillers, the zero-width space, and visible characters of the category "format".
_SPACES = re.compile(
    "[\u200b\u3164\uffa0\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\ufff9-\ufffb\U000110bd"
    "\U000110cd\U00013430-\U0001343f]"
)
# Symbols and enclosed numbers that NFKC replaces by letters or digits.
_SIGNS = re.compile(
    "[¼-¾₨℀℁℃℅℆℉№℠-™℻⅐-⅟↉①-⑳⒈-⒛⓪㆒-㆟㉄-㉇㉑-㉟㉠-㉾㊀-㊿㋐-㋾\ufdfc"
    "\U0001f100-\U0001f10a\U0001f12a-\U0001f12e\U0001f16a-\U0001f16c\U0001f250\U0001f251]"
)
_FOOTNOTE_MARKS = regex.compile(
    r"""
    [⁰¹²³⁴-⁹]++ (?<=[\p{L}\p{M}\p{Nd}][⁰¹²³⁴-⁹]+)
    (?<!(?<![\p{L}\p{M}])[\p{Lu}\p{Ll}]{1,2}[⁰¹²³⁴-⁹]+)
    """,
    regex.VERBOSE,
)
_REPLACEMENTS = (
    ("\u0640", ""),
    ("\u2019", "'"),
    ("\u2018", "'"),
    ("\u02bc", "'"),
    ("\u05f3", "'"),
    ("\u2010", "-"),
    ("\u0e4d\u0e32", "\u0e33"),
    ("\u0ecd\u0eb2", "\u0eb3"),
)
_OLD_LETTERS = {
    "fa": str.maketrans("\u064a\u0643", "\u06cc\u06a9"),
    "ro": str.maketrans("şţŞŢ", "șțȘȚ"),
    "ur": str.maketrans("\u064a\u0643", "\u06cc\u06a9"),
}
_OPTIONAL_MARKS = frozenset({"ar", "el"})
_INCREMENT_SIGN, _DELTA = "\u2206", "δ"
_FORM = regex.compile(
    r"""
    [\p{L}\p{N}]
    (?: [\p{L}\p{M}\p{N}]++
      | ['_\-] (?=[\p{L}\p{N}])
      | (?<=\p{N}) [.,] (?=\p{N})
      | [\u200c\u200d]++ (?=[\p{L}\p{M}\p{N}])
      | (?<=\p{M}) \u200d
      | (?<=[lL]) \u00b7 (?=[lL])
      | (?<=\p{Hebrew}) ["\u05f4] (?=\p{Hebrew})
    )*+
    """,
    regex.VERBOSE,
)
_LEADING = {
    "ca": {"d", "l", "m", "n", "s", "t"},
    "fr": {"c", "ç", "d", "j", "jusqu", "l", "lorsqu", "m", "n", "puisqu", "qu", "quelqu"}
    | {"quoiqu", "s", "t"},
    "ga": {"b", "d", "m"},
    "gl": {"d"},
    "it": {"agl", "alcun", "all", "anch", "c", "ciascun", "coll", "com", "cos", "d", "dagl"}
    | {"dall", "degl", "dell", "dov", "gl", "l", "m", "n", "neanch", "negl", "nell", "nessun"}
    | {"nient", "pell", "qualcun", "quand", "quell", "quest", "s", "senz", "sugl", "sull", "t"}
    | {"tutt", "un", "v"},
    "pt": {"d"},
    "ro": {"dintr", "printr", "într"},
}
_TRAILING = {
    "ca": {"l", "ls", "m", "n", "ns", "s", "t"},
    "de": {"s"},
    "en": {"d", "ll", "m", "re", "s", "ve"},
}
_TURKIC_STEM = re.compile(r"kur'an|[^']+", re.IGNORECASE)
_import_tokenizer = partial(
    import_extra, otherwise=', or pass tokenizer="whitespace" if spaces separate the words already'
)


def normalise(text: str, language: str | None = None) -> str:
    """Return the text with one spelling for each word."""
    if text.isascii() and text.isprintable():
        return text
    text = _INVISIBLE.sub("", _SPACES.sub(" ", text))
    if not is_normalized("NFKC", text):
        text = normalize("NFKC", _SIGNS.sub(" ", _FOOTNOTE_MARKS.sub(" ", text)))
    for given, wanted in _REPLACEMENTS:
        text = text.replace(given, wanted)
    return text.translate(_OLD_LETTERS[language]) if language in _OLD_LETTERS else text


def lower_case(text: str, language: str | None = None) -> str:
    """Return the text in lower case, with the dotless i in Turkish and Azerbaijani."""
    if language in _DOTLESS:
        text = text.replace("I", "\u0131")
    # Python's lower case of İ has a combining dot above the i, which has a dot already.
    return normalise(text.lower().replace("i\u0307", "i"), language)


def find_forms(name: str) -> Callable[[str], Iterable[str]]:
    """Return the function of a tokenizer that finds the words of a text as they are written."""
    if name == "jieba":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            jieba = _import_tokenizer("jieba", "chinese")
        jieba.setLogLevel(logging.WARNING)
        return lambda text: jieba.lcut(normalise(text))
    if name == "fugashi":
        tagger = _fugashi_tagger(_import_tokenizer("fugashi", "japanese"))
        return lambda text: tagger.parse(normalise(text)).split()
    if name in ("separated", "whitespace"):
        return lambda text: normalise(text).split()
    return lambda text: _FORM.findall(normalise(text))


def automatic_tokenizer(language: str | None) -> str:
    """Return the tokenizer that "auto" chooses for a language."""
    return _AUTOMATIC.get(language or "", "unicode")


def split_form(
    form: str, language: str | None, is_stop_word: Callable[[str], bool], keep_clitics: bool
) -> list[str]:
    """Split a word that the tokenizer "unicode" found at its hyphens and at clitics."""
    if is_stop_word(form):
        return []
    leading, trailing = _LEADING.get(language or "", ()), _TRAILING.get(language or "", ())
    pieces: list[str] = []
    for part in form.replace('"', "\u05f4").split("-"):
        before, after = list[str](), list[str]()
        if language in _DOTLESS and "'" in part:
            part = "".join(_TURKIC_STEM.findall(part)[:1])
        while "'" in part and not is_stop_word(part):
            first, _, rest = part.partition("'")
            start, _, last = part.rpartition("'")
            if first.lower() in leading:
                before.append(first)
                part = rest
            elif last.lower() in trailing:
                after.insert(0, last)
                part = start
            else:
                break
        pieces += [*before, part, *after] if keep_clitics else [part]
    return pieces


def has_stop_words(language: str) -> bool:
    """Return whether there is a list of stop words for a language."""
    return _SAME_STOP_WORDS.get(language, language) in stopwordsiso.langs()


@lru_cache(maxsize=128)
def stop_words(language: str) -> frozenset[str]:
    """Return the stop words of a language (ISO 639-1) as `comparable_word` spells words.

    They include elided words such as the French "qu" and "jusqu".
    """
    if not has_stop_words(language):
        raise SettingsError(
            f"No stop words for language {language!r}.{suggest(language, stopwordsiso.langs())} "
            "Pass stop_words=False to keep every word, or stop_words=[...] with your own words."
        )
    listed = comparable_words(
        frozenset(stopwordsiso.stopwords(_SAME_STOP_WORDS.get(language, language))), language
    )
    leading = _LEADING.get(language, set())
    elided = {piece for word in listed if leading and "'" in word for piece in word.split("'")}
    return listed.union(leading, _TRAILING.get(language, ()), elided)


@lru_cache(maxsize=128)
def comparable_words(entries: frozenset[str], language: str | None) -> frozenset[str]:
    """Return words in the form that `comparable_word` gives."""
    words = {comparable_word(normalise(entry, language), language) for entry in entries}
    found = map(_FORM.findall, words)
    return frozenset(words | {forms[0] for forms in found if len(forms) == 1})


def comparable_word(word: str, language: str | None = None) -> str:
    """Return the form of a word that is compared with stop words.

    It is in lower case, without accents in Greek and without vowel signs in Arabic, because lists
    and texts may have them or not.
    """
    word = lower_case(word, language)
    if language not in _OPTIONAL_MARKS:
        return word
    letters = normalize("NFD", word.replace(_INCREMENT_SIGN, _DELTA))
    return "".join(letter for letter in letters if category(letter) != "Mn")


@lru_cache(maxsize=1)
def _fugashi_tagger(fugashi: Any) -> Any:
    try:
        return fugashi.Tagger("-Owakati")
    except RuntimeError:
        # It has no dictionary.
        _import_tokenizer("unidic_lite", "japanese", "unidic-lite")
        raise
