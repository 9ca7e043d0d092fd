"""A server on 127.0.0.1 that says what a test tells it to, and remembers what it was asked."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True)
class Request:
    """What was asked: the path (unquoted), the query, the headers, the time."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    time: float


@dataclass(frozen=True)
class Reply:
    """What is answered.

    With an `etag` or `modified` and status 200, Range is honoured if If-Range fits, unless
    `ranges` is off. `cut`: announce the whole body, send so many bytes of it, hang up. `stall`:
    seconds before the answer. `hang_up`: no answer at all. `framed`: off, the length is not
    announced, and the end of the connection is the end.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    modified: str | None = None
    ranges: bool = True
    cut: int | None = None
    stall: float = 0.0
    hang_up: bool = False
    framed: bool = True


Answer = Reply | Callable[[Request], Reply]


class LocalServer:
    """Use it in a `with` block; `serve` says what is at a path.

    Replies to one path are given one after another, the last one for good. A path that nothing is
    served at is asked of `otherwise`, by default 404.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.otherwise: Answer = Reply(b"not here", status=404)
        self._answers: dict[str, list[Answer]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_GET(self) -> None:
                owner._handle(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    def __enter__(self) -> "LocalServer":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def root(self) -> str:
        """The address, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self, path: str, *answers: Answer) -> str:
        """Say what is at an unquoted path; returns its address."""
        with self._lock:
            self._answers[path] = list(answers)
        return self.root + path

    def asked(self, path: str) -> list[Request]:
        """What was asked of a path."""
        return [request for request in self.requests if request.path == path]

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        request = Request(
            unquote(parts.path),
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            dict(handler.headers.items()),
            time.monotonic(),
        )
        with self._lock:
            self.requests.append(request)
            waiting = self._answers.get(request.path, [self.otherwise])
            answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            reply = answer if isinstance(answer, Reply) else answer(request)
        if reply.stall:
            self._closing.wait(reply.stall)
        handler.close_connection = reply.hang_up or reply.cut is not None or not reply.framed
        if not reply.hang_up:
            with suppress(BrokenPipeError, ConnectionResetError):  # the client gave up waiting
                _send(handler, request, reply)
                handler.wfile.flush()


def _send(handler: BaseHTTPRequestHandler, request: Request, reply: Reply) -> None:
    body, status, headers = reply.body, reply.status, dict(reply.headers)
    mark = reply.etag or reply.modified
    if reply.etag:
        headers["ETag"] = reply.etag
    if reply.modified:
        headers["Last-Modified"] = reply.modified
    wanted = request.headers.get("Range")
    if status == 200 and wanted and reply.ranges and request.headers.get("If-Range") == mark:
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(body):
            status, headers["Content-Range"], body = 416, f"bytes */{len(body)}", b""
        else:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body = body[start:]
    handler.send_response(status)
    length = {"Content-Length": str(len(body))} if reply.framed else {}
    for name, value in {**length, **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body if reply.cut is None else body[: reply.cut])
