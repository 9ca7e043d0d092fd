"""Data sets of OCTIS and of contextualized-topic-models as views."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contextualized_topic_models.datasets.dataset import CTMDataset
from octis.dataset.dataset import Dataset
from scipy.sparse import csr_matrix
from views import refuses

from octis_m3l import MultiviewDataset
from octis_m3l.data import text_view_from_ctm, text_view_from_octis

CORPUS = [["sea", "ship"], ["ship", "harbour", "ship"], ["snow"], ["sea", "unknown"]]
VOCABULARY = ["sea", "ship", "harbour", "snow"]
MARKS = {"last-training-doc": 2, "last-validation-doc": 3}


OCTIS = Dataset(CORPUS, VOCABULARY, ["a", "b", "a", "b"], MARKS)


def test_an_octis_dataset_keeps_documents_partitions_and_labels() -> None:
    view = text_view_from_octis(OCTIS, "en", language="en")
    assert view.sizes == (2, 1, 1)
    assert view.documents(slice(0, 4)) == [*CORPUS[:3], ["sea"]]
    assert view.labels == ["a", "b", "a", "b"]


def test_an_octis_folder_is_linked_row_by_row_with_another(tmp_path: Path) -> None:
    OCTIS.save(str(tmp_path))
    views = [text_view_from_octis(tmp_path, name) for name in ("en", "de")]
    dataset = MultiviewDataset.linked_by_row(views)
    assert dataset.tuples("en").tolist() == dataset.tuples("de").tolist() == [0, 1, 2, 3]


def test_a_ctm_dataset_keeps_counts_and_embeddings() -> None:
    counts = csr_matrix(np.array([[1, 2, 0], [0, 0, 3]]))
    vectors = np.arange(8.0).reshape(2, 4)
    names = {0: "sea", 1: "ship", 2: "snow"}
    view = text_view_from_ctm(CTMDataset(vectors, counts, names), "en")
    np.testing.assert_array_equal(view.bag_of_words.toarray(), counts.toarray())
    assert view.embeddings is not None
    np.testing.assert_array_equal(view.embeddings, vectors)
    assert view.documents(slice(0, 2)) == [["sea", "ship", "ship"], ["snow"] * 3]


def folder(path: Path, rows: str) -> Path:
    """Write a folder of OCTIS: its lines of documents, and their words."""
    (path / "corpus.tsv").write_text(rows)
    (path / "vocabulary.txt").write_text("sea\nship\nsnow\nsummit\n")
    return path


HALF = CTMDataset(np.zeros((1, 2)), csr_matrix(np.array([[0.5, 1.0]])), {0: "a", 1: "b"})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda path: text_view_from_octis(path, "en"), "can't be loaded by OCTIS ("),
        (
            lambda _: text_view_from_octis(Dataset([], [], [], {}), "en"),
            "view 'en': the OCTIS data set holds no document",
        ),
        (
            lambda path: text_view_from_octis(folder(path, "sea\ttrain\nship\tdev\n"), "en"),
            "corpus.tsv is marked 'dev'; OCTIS knows train, val and test, and would drop it.",
        ),
        (lambda _: text_view_from_ctm([1], "en"), "view 'en': list is no CTMDataset"),
        (lambda _: text_view_from_ctm(HALF, "en"), "word counts must be whole numbers"),
    ],
)
def test_what_is_no_data_set(call: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    with refuses(message):
        call(tmp_path)


def test_a_folder_that_is_not_sorted_keeps_texts_and_embeddings_with_their_documents(
    tmp_path: Path,
) -> None:
    rows = [("snow summit", "test"), ("sea ship", "train"), ("ship sea", "val"), ("sea", "train")]
    lines = "".join(f"{words}\t{mark}\n" for words, mark in rows)
    raw = [f"RAW {words}" for words, _ in rows]
    view = text_view_from_octis(folder(tmp_path, lines), "en", texts=raw)
    documents = [" ".join(words) for words in view.documents(slice(0, 4))]
    assert documents == ["sea ship", "sea", "ship sea", "snow summit"]
    assert view.items(slice(0, 4)) == [f"RAW {document}" for document in documents]
    vectors = np.arange(4, dtype=np.float32)[:, None]
    dataset = MultiviewDataset([view]).with_embeddings({"en": vectors})
    assert dataset.view("en").embeddings is not None
    np.testing.assert_array_equal(dataset.view("en").embeddings[:, 0], [1, 3, 2, 0])


def test_empty_documents_are_counted_in_one_warning() -> None:
    data = Dataset([["sea"], ["unknown"]], ["sea"], None, {"last-training-doc": 2})
    with pytest.warns(UserWarning, match="view 'en': 1 of 2 documents have no word"):
        text_view_from_octis(data, "en")
