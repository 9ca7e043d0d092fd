"""Real corpora in several languages, made from Debian's archive: `corpora.py FOLDER [NAME …]`.

There are five kinds of text. A document and its translations make one tuple, in which languages may
be missing:

- ``package-descriptions`` (en, de, fr, ja, pl): descriptions of Debian's packages, one for each
  source package, translated by the Debian Description Translation Project; labelled by section.
- ``manual-pages`` (en, de, fr, pl, ru): name and description of each page, translated by
  manpages-l10n; labelled by section, system calls and functions of common headers by header.
- ``program-messages`` (en, es, it, nl, zh): messages that follow each other in one of a program's
  source files; labelled by program. These texts are short.
- ``desktop-help`` (en, cs, el, es, sv): pages of the help of GNOME and its programs; labelled by
  program, GNOME's own by chapter.
- ``office-help`` (en, cs, da, hu, sl): pages of LibreOffice's help; labelled by module.

A text consists of blocks (paragraphs or messages). Left out are blocks that three or more documents
share; translated blocks that are still English; translations that have another number of blocks
than the original, or of which less than three quarters remain; texts that another document has too;
and documents that share most of their words with another one. The partition of a document is
decided by a hash of its source package, page or source file, so that no two partitions share one.
"""

import argparse
import gzip
import hashlib
import html
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from xml.etree import ElementTree

import numpy as np
from debian import MIRROR, Archive
from sklearn.feature_extraction.text import CountVectorizer

from octis_m3l.files import cache_folder, write_json, written_whole

SHARED_BY, SAME_WORDS, LEAST_TRANSLATED, MOST_LABELS = 3, 0.7, 0.75, 15
MESSAGE_WORDS, COMMON_HEADERS = 40, 12
MANUALS = ("manpages", "manpages-dev", "coreutils", "util-linux", "systemd", "e2fsprogs", "procps")
PROGRAMS = ("aptitude", "bash", "darktable", "gimp", "git", "gnome-control-center", "gnucash",
            "gnumeric", "kmail", "nautilus", "okular")  # fmt: skip
HELPED = ("gnome-user-docs", "evolution-common", "evince-common", "orca", "gedit-common",
          "seahorse", "eog", "gnome-boxes", "gnome-calculator", "gnome-terminal-data",
          "gnome-system-monitor", "epiphany-browser-data")  # fmt: skip


@dataclass
class Document:
    """A text in several languages, as blocks that correspond by position ("" where missing)."""

    id: str
    label: str
    group: str
    blocks: dict[str, list[str]]


def joined(text: str) -> str:
    """Return a text on one line, without the spaces that line breaks leave in Chinese and such."""
    return re.sub(r"(?<=[\u3000-\uffef]) (?=[\u3000-\uffef])", "", " ".join(text.split()))


def aligned(texts: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the languages that have as many blocks as English."""
    return {name: texts[name] for name in texts if len(texts[name]) == len(texts["en"])}


def package_descriptions(archive: Archive) -> Iterator[Document]:
    """Yield what packages are for: of each source package, that with the most translations."""
    found: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(dict)
    for language in ("en", "de", "fr", "ja", "pl"):
        ending = "xz" if language == "en" else "bz2"
        for record in archive.index(f"i18n/Translation-{language}.{ending}"):
            title, _, rest = record[f"Description-{language}"].partition("\n")
            blocks = [title, *re.split(r"^[ \t]+\.[ \t]*$", rest, flags=re.M)]
            key = record["Package"], record["Description-md5"]
            found[key][language] = [joined(block) for block in blocks if block.strip()]
    best: dict[str, tuple[tuple[int, int], Document]] = {}
    for (name, _), texts in found.items():
        if name in archive.packages and "en" in texts:
            record = archive.packages[name]
            source = record.get("Source", name).split()[0]
            document = Document(name, record["Section"], source, aligned(texts))
            size = len(document.blocks), len("".join(texts["en"]))
            if source not in best or size > best[source][0]:
                best[source] = size, document
    yield from (document for _, document in best.values())


CHARACTERS = {"aq": "'", "lq": "“", "rq": "”", "dq": '"', "em": "—", "en": "–", "rs": "\\"}
HIDDEN = {"TS": "TE", "EX": "EE", "nf": "fi", "EQ": "EN"}


def plain(text: str) -> str:
    """Return a line of a manual page without roff's escapes."""
    text = re.sub(r'\\".*|\\[fFmsn](?:\[.*?\]|\(..|[+-]?\w)|\\\*(?:\[.*?\]|\(..)', "", text)
    named = r"\\(?:\[(\w+)\]|\((..))"
    text = re.sub(named, lambda found: CHARACTERS.get(found[1] or found[2], ""), text)
    return re.sub(r"\\(.?)", lambda found: {"~": " ", "0": " ", "e": "\\"}.get(
        found[1], found[1] if found[1] in "-. `'" else ""), text)  # fmt: skip


def sections(page: str) -> list[list[str]]:
    """Return each section of a manual page: its title, then paragraphs, without examples."""
    result: list[list[str]] = []
    until = ""
    for line in page.split("\n"):
        macro, _, rest = (
            line[1:].strip().partition(" ") if line[:1] in (".", "'") else ("", "", line)
        )
        if until:
            until = "" if macro == until else until
        elif macro in HIDDEN:
            until = HIDDEN[macro]
        elif macro == "SH":
            result.append([rest.strip('" '), ""])
        elif result and re.fullmatch("PP|P|LP|TP|IP|HP|TQ|SS", macro):
            result[-1].append("")
        elif result and re.fullmatch("|[BIR]|SM|SB|[BIR]{2}", macro):
            words = [a or b for a, b in re.findall(r'"([^"]*)"|(\S+)', rest)]
            gap = "" if re.fullmatch("[BIR]{2}", macro) else " "
            result[-1][-1] += " " + plain(gap.join(words) if macro else rest)
    return [[joined(block) for block in section if block.strip()] for section in result]


def manual_pages(archive: Archive) -> Iterator[Document]:
    """Yield names and descriptions of programs, functions and files."""
    pages: dict[str, dict[str, list[list[str]]]] = defaultdict(dict)
    headers: dict[str, str] = {}
    languages = ("de", "fr", "pl", "ru")
    translations = [f"manpages-{name}{part}" for name in languages for part in ("", "-dev")]
    for package in (*MANUALS, *translations):
        for path, content in archive.binary(package):
            found = re.fullmatch(r"usr/share/man/(?:(\w+)/)?man(\d)/(.*)\.gz", path)
            if found and (package in MANUALS) != bool(found[1]):
                page = gzip.decompress(content).decode("utf-8", "replace")
                pages[found[3]][found[1] or "en"] = sections(page)
                included = re.search(r"#include\s+<([\w/]+\.h)>", page)
                if included and found[2] in "23":
                    headers.setdefault(found[3], included[1])
    common = {header for header, _ in Counter(headers.values()).most_common(COMMON_HEADERS)}
    for name, texts in pages.items():
        titles = [section[0] for section in texts.get("en", [])]
        if "DESCRIPTION" in titles:
            at, header = titles.index("DESCRIPTION"), headers.get(name, "")
            parts = {key: page[0][1:] + page[at][1:] for key, page in texts.items() if page[at:]}
            label = header if header in common else f"section {name.rpartition('.')[2][0]}"
            yield Document(name, label, name, aligned(parts))


def messages(catalogue: str) -> Iterator[tuple[str, int, str, str]]:
    """Yield file, line, original and translation of the messages of a catalogue (.po)."""
    for entry in catalogue.split("\n\n"):
        place = re.search(r"^#: (?:\.\./)*(\S+?)(?::(\d+))?(?:\s|$)", entry, re.M)
        if place and not re.search(r"^(?:#~|#,.*fuzzy|msgid_plural)", entry, re.M):
            original, translation = (
                "".join(re.findall(r'"(.*)"', found[1]) if found else "")
                for found in (
                    re.search(rf'^{field} (".*"(?:\n".*")*)', entry, re.M)
                    for field in ("msgid", "msgstr")
                )
            )
            yield place[1], int(place[2] or 0), tidy(original), tidy(translation)


def tidy(message: str) -> str:
    """Return a message without markup, places of arguments and marks of shortcut keys."""
    message = re.sub(r"\\(.)", lambda found: " " if found[1] in "nt" else found[1], message)
    marks = r"\([_&]\w\)|<[^<>]*>|%[-#\d$.*]*[hlz]*[a-zA-Z%]|%\d|[_&](?=\w)"
    return joined(re.sub(marks, "", html.unescape(message)))


def program_messages(archive: Archive) -> Iterator[Document]:
    """Yield messages of a program that follow each other in one of its source files."""
    names = {"es": "es", "it": "it", "nl": "nl", "zh_CN": "zh"}
    for program in PROGRAMS:
        found: dict[tuple[str, int, str], dict[str, str]] = defaultdict(dict)
        for path, content in archive.source(program):
            parts = re.fullmatch(r"[^/]+/po[\w-]*/(\w+)(?:\.po|/[\w-]+\.po)", path)
            if parts and parts[1] in names:
                for file, line, original, translation in messages(content.decode("utf-8")):
                    if len(original.split()) > 2:
                        found[file, line, original][names[parts[1]]] = translation
        files: dict[str, list[dict[str, list[str]]]] = defaultdict(list)
        for (file, _, original), texts in sorted(found.items()):
            chunks = files[file]
            if not chunks or len(" ".join(chunks[-1]["en"]).split()) >= MESSAGE_WORDS:
                chunks.append({name: [] for name in ("en", *names.values())})
            for name, blocks in chunks[-1].items():
                blocks.append(original if name == "en" else texts.get(name, ""))
        for file, chunks in files.items():
            for number, chunk in enumerate(chunks):
                group = f"{program}/{file}"
                yield Document(f"{group}#{number}", program, group, chunk)


def desktop_help(archive: Archive) -> Iterator[Document]:
    """Yield pages of the help of GNOME and its programs."""
    namespace = "{http://projectmallard.org/1.0/}"
    names = {"C": "en", "cs": "cs", "el": "el", "es": "es", "sv": "sv"}
    pages: dict[str, dict[str, list[str]]] = defaultdict(dict)
    guides: dict[str, str] = {}
    for path, content in (file for package in HELPED for file in archive.binary(package)):
        found = re.fullmatch(r"usr/share/help/(\w+)/([\w-]+)/([\w-]+)\.page", path)
        if found and found[1] in names:
            page, name = ElementTree.fromstring(content), f"{found[2]}/{found[3]}"
            guide = page.find(f"{namespace}info/{namespace}link[@type='guide']")
            if guide is not None:
                guides.setdefault(name, f"{found[2]}/{guide.get('xref', '').partition('#')[0]}")
            for parent in list(page.iter()):
                for tag in ("info", "comment", "listing", "screen"):
                    for child in parent.findall(namespace + tag):
                        parent.remove(child)
            blocks = [item for item in page.iter() if re.search("}(?:title|p)$", str(item.tag))]
            pages[name][names[found[1]]] = [joined("".join(block.itertext())) for block in blocks]
    for name, texts in pages.items():
        if "en" in texts:
            program, chapter = name.partition("/")[0], name
            for _ in range(5):
                above = guides.get(chapter, "")
                chapter = chapter if above in ("", f"{program}/index", f"{program}/") else above
            label = chapter if program == "gnome-help" else program
            yield Document(name, label, name, aligned(texts))


def office_help(archive: Archive) -> Iterator[Document]:
    """Yield pages of LibreOffice's help, whose blocks are numbered."""
    names = {"en-us": "en", "cs": "cs", "da": "da", "hu": "hu", "sl": "sl"}
    other_system = re.compile(
        r'<span hidden="true" id="MAC.*?(?=<span hidden="true" id="def)', re.S
    )
    pages: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    for package, language in names.items():
        for path, content in archive.binary(f"libreoffice-help-{package}"):
            found = re.search(r"/text/(\w+/.*)\.html$", path)
            if found:
                page = other_system.sub("", content.decode("utf-8"))
                rows = re.findall(r'<(p|h\d) id="(\w+)"[^>]*>(.*?)</\1>', page, re.S)
                texts = {key: joined(html.unescape(re.sub("<[^>]*>", "", t))) for _, key, t in rows}
                pages[found[1]][language] = texts
    for name, translated in pages.items():
        keys = translated.get("en", {})
        blocks = {key: [rows.get(k, "") for k in keys] for key, rows in translated.items()}
        if keys:
            yield Document(name, name.partition("/")[0], name, blocks)


def hashed(text: str) -> int:
    """Return a number that looks random, always the same for the same text."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)


def length(blocks: Iterable[str]) -> int:
    """Return how many words there are."""
    return sum(len(block.split()) for block in blocks)


def is_translated(text: str, original: str) -> bool:
    """Tell whether a text is there and has less than half of the original's words."""
    here, there = (set(re.findall(r"\w+", side.casefold())) for side in (text, original))
    return bool(here) and 2 * len(here & there) < len(there)


def text_of(document: Document, common: set[str], most: int) -> dict[str, str]:
    """Return a document's text in each language; `most` is about the limit of English words."""
    places: dict[str, int] = {}
    for place, block in enumerate(document.blocks["en"]):
        if block.casefold() not in common and block not in places and length(places) < most:
            places[block] = place
    result = {"en": " ".join(places)}
    for language, blocks in document.blocks.items():
        kept = {
            en: blocks[place] for en, place in places.items() if is_translated(blocks[place], en)
        }
        if kept and length(kept) >= LEAST_TRANSLATED * length(places):
            result[language] = " ".join(kept.values())
    return result


def tuples(
    documents: Iterable[Document], languages: int, least: int, most: int, per_label: int
) -> list[dict[str, Any]]:
    """Return the rows of a corpus, in an order that looks random; see `CORPORA`."""
    ordered = sorted(documents, key=lambda document: hashed(document.id))
    shared = Counter(b for d in ordered for b in {block.casefold() for block in d.blocks["en"]})
    common = {block for block, number in shared.items() if number >= SHARED_BY}
    rows: list[dict[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    for document in ordered:
        text = text_of(document, common, most)
        text = {language: part for language, part in text.items() if (language, part) not in seen}
        if len(text) >= languages and length([text.get("en", "")]) >= least:
            seen.update(text.items())
            rows.append({**vars(document), "text": text})
    rows = [rows[at] for at in distinct([row["text"]["en"] for row in rows])]
    frequent = {
        label for label, _ in Counter(row["label"] for row in rows).most_common(MOST_LABELS)
    }
    taken: Counter[str] = Counter()
    result = []
    for row in rows:
        label = row["label"] if row["label"] in frequent else "other"
        taken[label] += 1
        if taken[label] <= per_label:
            share = hashed(row["group"]) % 10
            partition = "train" if share < 7 else "validation" if share < 8 else "test"
            names = {"id": row["id"], "label": label, "group": row["group"]}
            result.append({**names, "text": row["text"], "partition": partition})
    return result


def distinct(texts: Sequence[str]) -> list[int]:
    """Return the places of texts that share fewer than `SAME_WORDS` with every one before them."""
    counts = CountVectorizer(binary=True).fit_transform(texts)
    sizes, kept = counts.sum(axis=1).A1, np.zeros(len(texts), bool)
    for at in range(len(texts)):
        common = (counts @ counts[at].T).toarray().ravel()
        kept[at] = not (kept & (common >= SAME_WORDS * (sizes + sizes[at] - common))).any()
    return [int(at) for at in kept.nonzero()[0]]


# Languages and words of a document at least; words at most; documents with one label at most.
CORPORA = {
    "package-descriptions": (package_descriptions, 3, 30, 250, 400),
    "manual-pages": (manual_pages, 2, 20, 200, 250),
    "program-messages": (program_messages, 2, 20, 80, 300),
    "desktop-help": (desktop_help, 2, 30, 400, 100),
    "office-help": (office_help, 2, 30, 200, 500),
}
LICENSES = {
    "package-descriptions": "those of the packages described",
    "manual-pages": "GPL-3+ (translations) and those of the pages, mostly Linux-man-pages-copyleft",
    "program-messages": "GPL-2, GPL-2+ or GPL-3+, by program",
    "desktop-help": "CC BY-SA 3.0, GFDL or GPL, by program",
    "office-help": "MPL-2.0",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Real corpora in several languages.")
    parser.add_argument("folder", type=Path, help="where NAME.jsonl.gz and NAME.json are written")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CORPORA))
    parser.add_argument("--cache", type=Path, default=cache_folder() / "corpora")
    parser.add_argument("--mirror", default=MIRROR)
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(CORPORA):
        parser.error(f"no corpus {min(unknown)!r}; there are {', '.join(CORPORA)}")
    for folder in (arguments.folder, arguments.cache):
        folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or CORPORA:
        archive = Archive(arguments.cache, arguments.mirror)
        build, *limits = CORPORA[name]
        rows = tuples(build(archive), *limits)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        with written_whole(arguments.folder / f"{name}.jsonl.gz") as path:
            path.write_bytes(gzip.compress(lines, mtime=0))
        facts = {
            "tuples": Counter(row["partition"] for row in rows),
            "documents": Counter(language for row in rows for language in row["text"]),
            "median_words": median(length([row["text"]["en"]]) for row in rows),
            "labels": dict(Counter(row["label"] for row in rows).most_common()),
            "license": LICENSES[name],
            "sha256": hashlib.sha256(lines).hexdigest(),
        }
        print(name, json.dumps(facts))
        write_json(arguments.folder / f"{name}.json", {**facts, "sources": archive.fetched})


if __name__ == "__main__":
    main()
