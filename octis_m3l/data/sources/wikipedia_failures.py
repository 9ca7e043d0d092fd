"""What could not be had this time, while everything else goes on."""

from collections.abc import Iterator
from contextlib import contextmanager

from octis_m3l.data.sources.fetching_errors import FetchError

# So many failures one after another are no accident.
MOST_IN_A_ROW = 10


class Failures:
    """Collects failures that may pass; others, and too many in a row, are the end."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str, str]] = []
        self._in_a_row = 0

    @contextmanager
    def noted(self, kind: str, *names: str) -> Iterator[None]:
        """Note it if the block can't get something now.

        Parameters
        ----------
        kind : str
            What kind of items the block fetches.
        *names : str
            Which ones.

        Raises
        ------
        FetchError
            If it can't be got at all, or so many blocks failed that the server must be down.
        """
        try:
            yield
        except FetchError as error:
            if not error.passing:
                raise
            self.all += [(kind, name, str(error)) for name in names]
            self._in_a_row += 1
            if self._in_a_row == MOST_IN_A_ROW:
                raise FetchError(
                    f"{MOST_IN_A_ROW} failures one after another. What has come is kept. The last "
                    f"one: {error}",
                    status=error.status,
                    passing=True,
                ) from None
        else:
            self._in_a_row = 0
