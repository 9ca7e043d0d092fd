"""A small folder of bags of words, in the shape of InfoCTM's."""

import io
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, save_npz

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
MATRICES = {
    "train_bow_matrix_en.npz": [[2, 1, 0], [0, 0, 1], [0, 1, 1]],
    "test_bow_matrix_en.npz": [[1, 0, 0]],
    "train_bow_matrix_cn.npz": [[1, 0], [1, 1]],
    "test_bow_matrix_cn.npz": [[0, 1]],
    "word2vec_en.npz": [[0.5, 0.0], [0.0, 1.0], [2.0, 2.0]],
    "word2vec_cn.npz": [[1.0, 0.0], [0.0, 1.0]],
}


def matrix(values: Any) -> bytes:
    stream = io.BytesIO()
    save_npz(stream, csr_matrix(np.array(values)))
    return stream.getvalue()


def small_bags() -> dict[str, bytes]:
    """The files by their path in the repository."""
    files = {name: text.encode() for name, text in LINES.items()}
    files |= {name: matrix(values) for name, values in MATRICES.items()}
    return {f"{FOLDER}/{name}": content for name, content in files.items()}
