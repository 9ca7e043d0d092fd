"""What could not be had this time, while everything else goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from octis_m3l.sources.fetching_errors import FetchError
from octis_m3l.sources.wikipedia_store import PICTURES

# So many failures one after another are no accident.
MOST_IN_A_ROW = 10
# A server that says so, and not for a passing moment, is not to be asked for anything else.
_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


class Failures:
    """Collects failures; too many in a row are the end, and of articles each that can't pass."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str, str]] = []
        self._in_a_row = 0

    @contextmanager
    def noted(self, kind: str, *names: str) -> Iterator[None]:
        """Note it if the block can't get something now."""
        try:
            yield
        except FetchError as error:
            if not (error.passing or (kind == PICTURES and error.status not in _BUSY)):
                raise
            self.all += [(kind, name, str(error)) for name in names]
            self._in_a_row += 1
            if self._in_a_row == MOST_IN_A_ROW:
                raise FetchError(
                    f"{MOST_IN_A_ROW} failures one after another. What has come is kept. The last "
                    f"one: {error}",
                    status=error.status,
                    passing=error.passing,
                ) from None
        else:
            self._in_a_row = 0
