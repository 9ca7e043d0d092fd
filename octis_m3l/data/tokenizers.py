"""Text into words.

The rules of the tokenizer "unicode":

- Text is normalised to NFKC; typographic apostrophes and hyphens become ``'`` and ``-``; the Arabic
  tatweel, control characters and all other invisible characters (soft hyphens, variation selectors,
  marks of direction) are removed; zero-width spaces and Hangul fillers are spaces; Thai and Lao AM
  stay one character.
- A sign that is neither letter nor digit separates words, also where NFKC would write it with
  letters or digits: ``Apple™``, ``№5``, ``①`` and ``5½`` become ``Apple``, ``5``, nothing and
  ``5``. Squared abbreviations (``㎏``), letters in circles and squares, Kangxi radicals, dates
  (``㋀``) and what NFKC puts in brackets (``㈱``) are written out.
- Raised digits are digits at the start of a word, and after one or two letters (``m²`` is ``m2``);
  after longer words and numbers they are taken for footnote marks and separate. Lowered digits are
  digits (``CO₂`` is ``co2``).
- A word is a run of letters, their combining marks and digits. Inside a word the zero-width
  joiners stay, as do an underscore (``new_york``), the Catalan middle dot (``col·lecció``), Hebrew
  gershayim (``צה״ל``), and a full stop or comma between two digits.
- Hyphenated words are split at their hyphens, unless they are stop words as a whole.
- Apostrophes belong to the word (``o'clock``, ``п'ять``, ``aujourd'hui``, ``don't``). Only the
  elided and leaning words of French, Italian, Catalan, Portuguese, Galician, Irish, Romanian,
  English and German are split off (``l'école``, ``dell'arte``, ``dog's``), and they go with the
  stop words. In Turkish and Azerbaijani what follows the apostrophe is a suffix and is dropped
  (but for ``kur'an``).

Whatever the tokenizer, letters that stand for others in old encodings are replaced: the cedillas
of Romanian and the Arabic yeh and kaf of Persian and Urdu.
"""

import logging
import re
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any
from unicodedata import category, is_normalized, normalize

import regex

from octis_m3l.errors import MissingDependencyError

TOKENIZERS = ("auto", "fugashi", "jieba", "separated", "unicode", "whitespace")
UNSEGMENTED = frozenset({"bo", "km", "lo", "my", "th"})

_AUTOMATIC = {"zh": "jieba", "ja": "fugashi"}
_DOTLESS = frozenset({"az", "tr"})
# Literal ranges, since `re` is far faster on them than `regex` on properties; a test compares them
# with the properties. Removed: what is ignorable by default, control characters, the tatweel.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u0640\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200e\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufe00-\ufe0f\ufeff"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Fillers, the zero-width space, and signs of the category "format" that are seen.
_SPACES = re.compile(
    "[\u200b\u3164\uffa0\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\ufff9-\ufffb\U000110bd"
    "\U000110cd\U00013430-\U0001343f]"
)
# Symbols and enclosed numbers that NFKC writes with letters or digits.
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


def normalise(text: str, language: str | None = None) -> str:
    """Return the text in the one spelling that words are counted in."""
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
    # Python writes the small form of İ with a dot above the i, which has one already.
    return normalise(text.lower().replace("i\u0307", "i"), language)


def stop_word_key(word: str, language: str | None = None) -> str:
    """Return what a word and an entry of a list of stop words are compared by.

    It is in lower case, and without accents in Greek and vowel signs in Arabic, since lists and
    texts have them or not.
    """
    word = lower_case(word, language)
    if language not in _OPTIONAL_MARKS:
        return word
    letters = normalize("NFD", word.replace(_INCREMENT_SIGN, _DELTA))
    return "".join(letter for letter in letters if category(letter) != "Mn")


def unicode_forms(text: str) -> list[str]:
    """Return the words of a text as they are written, with hyphens and apostrophes inside."""
    return _FORM.findall(text)


def clitics(language: str | None) -> frozenset[str]:
    """Return the elided and leaning words that an apostrophe ties to others."""
    code = language or ""
    return frozenset(_LEADING.get(code, ())).union(_TRAILING.get(code, ()))


def elides(language: str | None) -> bool:
    """Return whether words of the language lose their end before an apostrophe."""
    return language in _LEADING


def split_form(
    form: str, language: str | None, is_stop_word: Callable[[str], bool], keep_clitics: bool
) -> list[str]:
    """Split what `unicode_forms` found at hyphens and at the apostrophes of clitics."""
    if is_stop_word(form):
        return []
    return [
        piece
        for part in form.replace('"', "\u05f4").split("-")
        for piece in _split_apostrophes(part, language, is_stop_word, keep_clitics)
    ]


def _split_apostrophes(
    part: str, language: str | None, is_stop_word: Callable[[str], bool], keep_clitics: bool
) -> list[str]:
    if language is None or "'" not in part:
        return [part]
    if language in _DOTLESS:
        return _TURKIC_STEM.findall(part)[:1]
    leading, trailing = _LEADING.get(language, ()), _TRAILING.get(language, ())
    before: list[str] = []
    after: list[str] = []
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
    return [*before, part, *after] if keep_clitics else [part]


def form_finder(name: str, language: str | None) -> Callable[[str], Iterable[str]]:
    """Return the function that finds the written words of a text."""
    name = automatic_tokenizer(language) if name == "auto" else name
    if name == "jieba":
        return _jieba_forms()
    if name == "fugashi":
        return _fugashi_forms()
    if name in ("separated", "whitespace"):
        return lambda text: normalise(text).split()
    return lambda text: unicode_forms(normalise(text))


def automatic_tokenizer(language: str | None) -> str:
    """Return the name of the tokenizer that "auto" stands for."""
    return "unicode" if language is None else _AUTOMATIC.get(language, "unicode")


def _jieba_forms() -> Callable[[str], Iterable[str]]:
    jieba = _optional("jieba", "Chinese", "chinese")
    jieba.setLogLevel(logging.WARNING)
    cut: Callable[[str], Iterable[str]] = jieba.lcut
    return lambda text: cut(normalise(text))


def _fugashi_forms() -> Callable[[str], Iterable[str]]:
    tagger = _fugashi_tagger(_optional("fugashi", "Japanese", "japanese"))
    parse: Callable[[str], str] = tagger.parse
    return lambda text: parse(normalise(text)).split()


@lru_cache(maxsize=1)
def _fugashi_tagger(fugashi: ModuleType) -> Any:
    try:
        return fugashi.Tagger("-Owakati")
    except RuntimeError as error:
        raise _missing("unidic-lite", "Japanese", "japanese") from error


def _optional(module: str, language: str, extra: str) -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(module)
    except ImportError as error:
        raise _missing(module, language, extra) from error


def _missing(package: str, language: str, extra: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"{language} text needs the package {package}, which is not installed. Install it with: "
        f'pip install "octis-m3l[{extra}]". Or pass tokenizer="whitespace" if the words of the '
        "text are already separated by spaces."
    )
