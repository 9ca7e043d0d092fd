"""A catalogue's set served from 127.0.0.1, as GitHub serves it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from octis_m3l.sources.source import Source

from .local_server import LocalServer, Reply

NEWEST = "abcdef0123456789abcdef0123456789abcdef01"


def whole(commit: str | None) -> str:
    """The forty digits that the served repositories have for a commit."""
    return ((commit or "") + NEWEST)[:40] if commit else NEWEST


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def serve(server: LocalServer, source: Source, files: Mapping[str, Mapping[str, bytes]]) -> Source:
    """Serve files by repository and path; returns the source that asks here, without checksums."""
    for repository, named in source.repositories.items():
        commit = whole(named)
        content = files.get(repository, {})
        server.serve(
            f"/api/repos/{repository}/commits/{named or 'HEAD'}",
            Reply(json.dumps({"sha": commit}).encode()),
        )
        tree = [
            {"path": path, "type": "blob", "sha": blob(body), "size": len(body)}
            for path, body in content.items()
        ]
        folders = [{"path": "some", "type": "tree", "sha": "0" * 40}]
        server.serve(
            f"/api/repos/{repository}/git/trees/{commit}",
            Reply(json.dumps({"sha": commit, "tree": folders + tree, "truncated": False}).encode()),
        )
        for path, body in content.items():
            server.serve(f"/raw/{repository}/{commit}/{path}", Reply(body, etag=f'"{blob(body)}"'))
    return replace(
        source,
        files=tuple(replace(file, sha256=None, size=None) for file in source.files),
        raw=f"{server.root}/raw",
        api=f"{server.root}/api",
    )
