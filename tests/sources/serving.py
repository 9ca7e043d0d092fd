"""Data sets of the catalogue served from 127.0.0.1, as GitHub serves them."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, save_npz

from octis_m3l.sources.catalogue import source_of
from octis_m3l.sources.source import Source

from .local_server import LocalServer, Reply

NEWEST = "abcdef0123456789abcdef0123456789abcdef01"


def whole(commit: str | None) -> str:
    """The forty digits that the served repositories have for a commit."""
    return ((commit or "") + NEWEST)[:40]


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def serve(server: LocalServer, source: Source, files: Mapping[str, Mapping[str, bytes]]) -> Source:
    """Serve files by repository and path; returns the source without checksums."""
    for repository, named in source.repositories.items():
        commit, content = whole(named), files.get(repository, {})
        tree = [
            {"path": path, "type": "blob", "sha": blob(body), "size": len(body)}
            for path, body in content.items()
        ]
        tree.append({"path": "some", "type": "tree", "sha": "0" * 40})
        for place, answer in {
            f"commits/{named or 'HEAD'}": {"sha": commit},
            f"git/trees/{commit}": {"sha": commit, "tree": tree, "truncated": False},
        }.items():
            server.serve(f"/api/repos/{repository}/{place}", Reply(json.dumps(answer).encode()))
        for path, body in content.items():
            server.serve(f"/raw/{repository}/{commit}/{path}", Reply(body, etag=f'"{blob(body)}"'))
    return replace(
        source, files=tuple(replace(file, sha256=None, size=None) for file in source.files)
    )


# A small folder of bags of words, in the shape of InfoCTM's.
BAGS = "BobXWu/InfoCTM"
FOLDER = "data/ECNews"
LINES = {
    "vocab_en": "sea\nship\nwood\n",
    "vocab_cn": "海\n船\n",
    "train_texts_en.txt": "sea ship sea\nwood\nship wood\n",
    "test_texts_en.txt": "sea\n",
    "train_texts_cn.txt": "海\n船 海\n",
    "test_texts_cn.txt": "船\n",
    "train_labels_en.txt": "a\nb\na\n",
    "test_labels_en.txt": "b\n",
    "train_labels_cn.txt": "b\nb\n",
    "test_labels_cn.txt": "a\n",
}
MATRICES: dict[str, Any] = {
    "train_bow_matrix_en.npz": [[2, 1, 0], [0, 0, 1], [0, 1, 1]],
    "test_bow_matrix_en.npz": [[1, 0, 0]],
    "train_bow_matrix_cn.npz": [[1, 0], [1, 1]],
    "test_bow_matrix_cn.npz": [[0, 1]],
    "word2vec_en.npz": [[0.5, 0.0], [0.0, 1.0], [2.0, 2.0]],
    "word2vec_cn.npz": [[1.0, 0.0], [0.0, 1.0]],
}


def small_bags() -> dict[str, bytes]:
    """The files by their path in the repository."""
    files = {f"{FOLDER}/{name}": text.encode() for name, text in LINES.items()}
    for name, values in MATRICES.items():
        stream = io.BytesIO()
        save_npz(stream, csr_matrix(np.array(values)))
        files[f"{FOLDER}/{name}"] = stream.getvalue()
    return files


def served_bags(server: LocalServer) -> Source:
    return serve(server, source_of("ecnews"), {BAGS: small_bags()})
