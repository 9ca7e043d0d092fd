"""The part of a file that has come so far, on disk beside the place where the whole will be."""

import errno
import hashlib
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path

import requests
from filelock import FileLock, Timeout

from octis_m3l.errors import SettingsError, StorageError
from octis_m3l.files import read_json, sha256, write_json
from octis_m3l.sources.fetching_answers import Again, check_kind, shown
from octis_m3l.sources.fetching_errors import FetchError

logger = logging.getLogger(__name__)

_RANGE = re.compile(r"bytes\s+(\d+)-(\d+)/(\d+|\*)")


class Part:
    """A download under way.

    ``<destination>.part`` has the bytes; ``<destination>.part.json`` of which file they are: the
    address's hash, the server's mark of the version (ETag or Last-Modified) and the length.
    ``<destination>.part.lock`` is there while one is at work on them.
    """

    def __init__(
        self,
        destination: Path,
        url: str,
        *,
        sha256: str | None,
        size: int | None,
        refuse_html: bool = False,
    ) -> None:
        if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
            raise SettingsError(f"sha256='{sha256}': expected 64 hexadecimal digits.")
        self.destination = destination
        self.sha256, self.size = sha256 and sha256.lower(), size
        self.length: int | None = None
        self.offset = 0
        self.longest = 0
        self._refuse_html = refuse_html and destination.suffix.lower() not in (".html", ".htm")
        self._framed, self._received = True, 0
        self._shown = shown(url)
        self._address = hashlib.sha256(url.encode()).hexdigest()
        self._bytes = destination.with_name(f"{destination.name}.part")
        self._about = destination.with_name(f"{destination.name}.part.json")
        self._kept: Mapping[str, object] = {}
        with self._written():
            if destination.is_dir():
                raise FetchError(f"{destination} is a folder, where a file was expected.")
            destination.parent.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody else downloads to the same place, and keep others waiting."""
        place = self.destination.with_name(f"{self.destination.name}.part.lock")
        lock = FileLock(place)
        with self._written():
            try:
                lock.acquire(timeout=1)
            except Timeout:
                logger.warning(
                    "%s is being downloaded by another process; waiting", self.destination
                )
                lock.acquire()
            while not place.exists():  # the one before took it away: it guards nothing any more
                lock.release()
                lock.acquire()
        try:
            with self._written():
                self._kept = self._read_about()
            yield
        finally:
            with suppress(OSError):
                place.unlink(missing_ok=True)
            lock.release()

    def is_done(self) -> bool:
        """Whether the whole file is there already."""
        if not self.destination.is_file():
            return False
        if self.size is not None and self.destination.stat().st_size != self.size:
            return False
        return self.sha256 is None or sha256(self.destination) == self.sha256

    def is_complete(self) -> bool:
        """Whether all bytes had come when an earlier call was interrupted."""
        self.offset = self.longest = self._so_far() if self._kept else 0
        self.length = _whole_number(self._kept.get("length"))
        return self.offset > 0 and self.offset == self.length

    def headers(self) -> dict[str, str]:
        """Return what to ask for: the rest, if the file is still of the version that came."""
        mark = self._kept.get("mark")
        self.offset = self._so_far() if isinstance(mark, str) else 0
        if not self.offset:
            return {}
        return {"Range": f"bytes={self.offset}-", "If-Range": str(mark)}

    def accept(self, answer: requests.Response) -> None:
        """Make ready for the bytes of an answer: further ones, or all of them."""
        try:
            check_kind(answer, self._shown, self._refuse_html)
        except FetchError:
            self.drop()
            raise
        mark, told = _mark(answer), _whole_number(answer.headers.get("Content-Length"))
        chunked = "chunked" in answer.headers.get("Transfer-Encoding", "").lower()
        self._framed, self._received = chunked or told is not None, 0
        if answer.status_code == HTTPStatus.PARTIAL_CONTENT:
            found = _RANGE.match(answer.headers.get("Content-Range", ""))
            changed = mark is not None and mark != self._kept.get("mark")
            if not found or int(found[1]) != self.offset or not self.offset or changed:
                self.drop()
                raise Again("the server sent another range than was asked for")
            before = _whole_number(self._kept.get("length"))
            length = before if found[3] == "*" else int(found[3])
            if before not in (None, length):
                self.drop()
                raise Again("the file at the source has another length than before")
            mark = str(self._kept["mark"])
        else:
            self.offset, length = 0, None if chunked else told
        if self.size is not None and length is not None and length != self.size:
            self.drop()
            raise self._of_other_size(str(length))
        if not self._framed and (self.sha256, self.size, length) == (None, None, None):
            self.drop()
            raise FetchError(
                f"{self._shown}: the server does not say how long it is, so nobody can tell "
                "whether all of it came. Try again later, or give its checksum or size.",
                passing=True,
            )
        self.length = length
        with self._written():
            if not self.offset:
                # Never what others laid there: a link, or a file of theirs.
                self._bytes.unlink(missing_ok=True)
                self._bytes.open("xb").close()
            self._kept = {"address": self._address, "mark": mark, "length": length}
            write_json(self._about, self._kept)

    @contextmanager
    def open(self) -> Iterator[Callable[[bytes], None]]:
        """Give what takes the next bytes; too many of them are refused, and all dropped."""
        limit = self.size if self.length is None else self.length
        too_long = False
        try:
            with (
                self._written(),
                open(self._bytes, "r+b", opener=_unlinked) as stream,
            ):
                stream.seek(self.offset)

                def write(block: bytes) -> None:
                    nonlocal too_long
                    self._received += len(block)
                    too_long = limit is not None and self.offset + self._received > limit
                    if too_long and limit == self.size:
                        raise self._of_other_size(f"more than {limit}")
                    if too_long:
                        raise Again(f"more than the {limit} bytes that were announced came")
                    stream.write(block)

                yield write
        finally:
            if too_long:
                self.drop()
            self.longest = max(self.longest, self._so_far())

    def check_length(self) -> None:
        """Check that all bytes have come."""
        come = self.offset + self._received
        if self._so_far() != come:
            self.drop()
            raise Again("something else wrote to the same file")
        wanted = self.size if self.length is None and not self._framed else self.length
        if wanted is not None and come < wanted:
            raise Again(f"only {come} of {wanted} bytes came")

    def finish(self) -> None:
        """Check size and checksum, and give the file its name."""
        with self._written():
            come = self._so_far()
            if self.size is not None and come != self.size:
                self.drop()
                raise self._of_other_size(str(come))
            if self.sha256 is not None and (found := sha256(self._bytes)) != self.sha256:
                self.drop()
                raise FetchError(
                    f"{self._shown}: its SHA-256 is {found}, where {self.sha256} was expected. "
                    "What came is deleted: ask again, and if that does not help, the file at the "
                    "source has changed.",
                    passing=not self._framed,
                )
            with self._bytes.open("rb+") as stream:
                os.fsync(stream.fileno())
            self._bytes.replace(self.destination)
            self._about.unlink(missing_ok=True)

    def drop(self) -> None:
        """Forget what has come."""
        with self._written():
            self._about.unlink(missing_ok=True)
            self._bytes.unlink(missing_ok=True)
        self._kept, self.offset = {}, 0

    def _so_far(self) -> int:
        try:
            found = self._bytes.lstat()
        except FileNotFoundError:
            return 0
        # A link leads to a file that is not a part of this download.
        own = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
        return found.st_size if own else 0

    def _read_about(self) -> Mapping[str, object]:
        if not self._about.is_file():
            return {}
        try:
            kept = read_json(self._about)
        except StorageError:
            return {}
        return kept if kept.get("address") == self._address else {}

    def _of_other_size(self, size: str) -> FetchError:
        return FetchError(
            f"{self._shown}: it has {size} bytes, where {self.size} were expected. The file at "
            "the source has changed, or the server sent something else."
        )

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except requests.RequestException:
            raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                message = (
                    f"{self.destination}: the disk is full. Make room and run it again: it goes "
                    "on where it stopped."
                )
            else:
                message = (
                    f"{self.destination}: it can't be written ({error.strerror or error}). Choose "
                    "another folder, or mend this one's permissions."
                )
            raise FetchError(message) from None


def _unlinked(path: str, flags: int) -> int:
    """Open a file, but not through a symbolic link."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))


def _mark(answer: requests.Response) -> str | None:
    # If-Range takes strong marks only: a weak ETag says "much the same".
    etag = answer.headers.get("ETag", "").strip()
    if etag and not etag.startswith("W/"):
        return etag
    return answer.headers.get("Last-Modified") or None


def _whole_number(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isdecimal() else None
