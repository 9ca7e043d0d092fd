"""A server on 127.0.0.1 that says what a test tells it to, and remembers what it was asked."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True)
class Request:
    """What was asked: the path (unquoted), the query, the headers."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: "LocalServer"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        request = Request(unquote(parts.path), query, dict(self.headers.items()))
        reply = self.server.reply(request)
        if reply.stall:
            self.server.closing.wait(reply.stall)
        self.close_connection = reply.hang_up or reply.cut is not None or not reply.framed
        if not reply.hang_up:
            with suppress(BrokenPipeError, ConnectionResetError):  # the client gave up waiting
                self._send(request, reply)

    def _send(self, request: Request, reply: Reply) -> None:
        body, status, headers = reply.body, reply.status, dict(reply.headers)
        marks = {"ETag": reply.etag, "Last-Modified": reply.modified}
        headers |= {name: mark for name, mark in marks.items() if mark}
        wanted = request.headers.get("Range")
        same = request.headers.get("If-Range") == (reply.etag or reply.modified)
        if status == 200 and wanted and reply.ranges and same:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            status, headers["Content-Range"] = 206, f"bytes {start}-{len(body) - 1}/{len(body)}"
            body = body[start:]
        self.send_response(status)
        length = {"Content-Length": str(len(body))} if reply.framed else {}
        for name, value in {**length, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if reply.cut is None else body[: reply.cut])
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


class LocalServer(ThreadingHTTPServer):
    """Use it in a `with` block; `serve` says what is at a path.

    Replies to one path are given one after another, the last one for good. A path that nothing is
    served at is asked of `otherwise`, by default 404.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = f"http://127.0.0.1:{self.server_address[1]}"
        self.requests: list[Request] = []
        self.otherwise: Answer = Reply(b"not here", status=404)
        self.closing = threading.Event()
        self._answers: dict[str, list[Answer]] = {}

    def __enter__(self) -> "LocalServer":
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()

    def serve(self, path: str, *answers: Answer) -> str:
        """Say what is at an unquoted path; returns its address."""
        self._answers[path] = list(answers)
        return self.root + path

    def asked(self, path: str) -> list[Request]:
        """What was asked of a path."""
        return [request for request in self.requests if request.path == path]

    def reply(self, request: Request) -> Reply:
        self.requests.append(request)
        waiting = self._answers.get(request.path, [self.otherwise])
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return answer if isinstance(answer, Reply) else answer(request)

    def handle_error(self, *_: object) -> None:
        pass
