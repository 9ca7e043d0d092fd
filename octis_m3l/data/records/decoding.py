"""Files as text: unpacked, and in whatever encoding they are written."""

import codecs
import gzip
import warnings
import zlib
from pathlib import Path

from charset_normalizer import from_bytes

from octis_m3l.errors import DataError, SettingsError

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# What programs write that do not write Unicode.
_LEGACY = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("cp874", "koi8_r", "cp932", "euc_jp", "gb18030", "big5", "cp949"),
]
_LOOKED_AT = 100_000
_SHOWN = 60


def read_text(path: Path, encoding: str | None = None) -> str:
    """Return the text of a file."""
    content = _content(path)
    if encoding is None:
        return _detected(content, path).removeprefix("\ufeff")
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise SettingsError(
            f"encoding={encoding!r} is not known; expected such as utf-8, utf-16, latin-1, cp1250 "
            "or gb18030."
        ) from None
    except UnicodeError as error:
        raise DataError(f"{path} is not written in {encoding} ({error}).") from None


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix.lower() == ".gz" else content
    except FileNotFoundError:
        raise DataError(f"{path} is missing; check its path.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path} can't be unpacked ({error}): it is cut off, damaged or not gzipped; copy it "
            "again."
        ) from None
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror}).") from None


def _detected(content: bytes, path: Path) -> str:
    marked = [name for mark, name in _MARKS.items() if content.startswith(mark)]
    head = content[:_LOOKED_AT]
    zeros = head[::2].count(0), head[1::2].count(0)
    sixteen = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    certain = ["utf-8"] + [sixteen] * (sum(zeros) > 0)
    if sum(zeros) > len(head) // 5:
        certain.reverse()
    for encoding in [*marked[:1], *certain]:
        try:
            return content.decode(encoding)
        except UnicodeError:
            continue
    lines = [line for line in content.splitlines() if not line.isascii()]
    found = list(from_bytes(b"\n".join(lines)[:_LOOKED_AT], cp_isolation=_LEGACY))
    likely = [
        match.encoding
        for match in found
        if match.chaos <= found[0].chaos + 0.05 and match.coherence >= found[0].coherence - 0.05
    ]
    # Among those that fit as well as the best, Western European is by far the most frequent.
    for encoding in sorted(likely, key="cp1252".__ne__):
        try:
            text = content.decode(encoding)
        except UnicodeError:
            continue
        first = next(place for place, letter in enumerate(text) if not letter.isascii())
        shown = " ".join(text[max(0, first - _SHOWN // 2) : first + _SHOWN // 2].split())
        warnings.warn(
            f"{path} is not written in UTF-8; it is read as {encoding} ({shown!r}). If letters are "
            "wrong, give its encoding (--encoding).",
            stacklevel=2,
        )
        return text
    raise DataError(
        f"{path} is no text in any encoding that is recognised; give its encoding (--encoding), "
        "or save it in UTF-8."
    )
