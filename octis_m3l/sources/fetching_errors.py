"""What went wrong with a server or a file."""

from octis_m3l.errors import OctisM3LError


class FetchError(OctisM3LError):
    """A file or an answer could not be had."""

    def __init__(self, message: str, *, status: int | None = None, passing: bool = False) -> None:
        super().__init__(message)
        self.status, self.passing = status, passing
