"""Files of Debian's archive: its indices, and what is in packages and sources."""

import bz2
import io
import lzma
import re
import tarfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from octis_m3l.files import sha256
from octis_m3l.sources.download import Fetcher

MIRROR, RELEASE = "https://deb.debian.org/debian", "bookworm"


class Archive:
    """The part `main` of a Debian release; files are kept, and checked by the archive's hashes.

    Parameters
    ----------
    cache : Path
        Where files are kept.
    mirror : str
        The address of the archive.
    """

    def __init__(self, cache: Path, mirror: str) -> None:
        self.cache, self.mirror, self.fetcher = cache, mirror, Fetcher()
        self.fetched: dict[str, str] = {}

    def fetch(self, path: str, digest: str | None = None) -> Path:
        """Return a file, downloaded if need be."""
        target = self.cache / path.replace("/", "_")
        self.fetcher.download(f"{self.mirror}/{path}", target, sha256=digest, progress=True)
        self.fetched[path] = digest or sha256(target)
        return target

    @cached_property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of every index."""
        text = self.fetch(f"dists/{RELEASE}/Release").read_text("utf-8")
        rows = [line.split() for line in text.partition("\nSHA256:\n")[2].splitlines()]
        return {row[2]: row[0] for row in rows if len(row) == 3}

    def index(self, path: str) -> Iterator[dict[str, str]]:
        """Yield the records of an index."""
        path = f"main/{path}"
        data = self.fetch(f"dists/{RELEASE}/{path}", self.digests[path]).read_bytes()
        text = (lzma if path.endswith(".xz") else bz2).decompress(data).decode("utf-8")
        for stanza in text.split("\n\n"):
            if stanza.strip():
                yield dict(re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.M))

    @cached_property
    def packages(self) -> dict[str, dict[str, str]]:
        """The records of binary packages, by name."""
        return {record["Package"]: record for record in self.index("binary-amd64/Packages.xz")}

    @cached_property
    def sources(self) -> dict[str, dict[str, str]]:
        """The records of source packages, by name."""
        return {record["Package"]: record for record in self.index("source/Sources.xz")}

    def binary(self, name: str) -> Iterator[tuple[str, bytes]]:
        """Yield paths and contents of a binary package's files."""
        record = self.packages[name]
        data = self.fetch(record["Filename"], record["SHA256"]).read_bytes()
        return unpacked(member(data, "data.tar"))

    def source(self, name: str) -> Iterator[tuple[str, bytes]]:
        """Yield paths and contents of a program's source files."""
        record = self.sources[name]
        rows = [line.split() for line in record["Checksums-Sha256"].strip().split("\n")]
        digest, _, file = next(row for row in rows if re.search(r"\.orig\.tar\.\w+$", row[2]))
        return unpacked(self.fetch(f"{record['Directory']}/{file}", digest).read_bytes())


def member(package: bytes, name: str) -> bytes:
    """Return the content of the first member of an `ar` file whose name starts with `name`."""
    start = len(b"!<arch>\n")
    while start < len(package):
        header, start = package[start : start + 60], start + 60
        size = int(header[48:58])
        if header.startswith(name.encode()):
            return package[start : start + size]
        start += size + size % 2
    raise SystemExit(f"a package has no {name}")


def unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield paths and contents of the files in a compressed tar file."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for item in tar:
            content = tar.extractfile(item) if item.isfile() else None
            if content is not None:
                yield item.name.removeprefix("./"), content.read()
