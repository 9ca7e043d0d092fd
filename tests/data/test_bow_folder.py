"""Folders of bags of words: there and back, and what is wrong with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, load_npz, save_npz
from views import refuses, text_view

from octis_m3l.data import MultiviewDataset, TextView, from_bow_folder, write_bow_folder
from octis_m3l.errors import SettingsError, StorageError

WORDS = {"en": ("sea", "ship", "wood"), "cn": ("海", "船")}


def write(folder: Path, **changes: Any) -> Path:
    """Write a folder of two languages by hand: 3 and 1 documents in English, 2 and 0 in Chinese."""
    folder.mkdir()
    counts = {
        "train_bow_matrix_en.npz": [[2, 1, 0], [0, 0, 1], [0, 1, 1]],
        "test_bow_matrix_en.npz": [[1, 0, 0]],
        "train_bow_matrix_cn.npz": [[1, 0], [1, 3]],
        "word2vec_en.npz": [[0.5, 0.0], [0.0, 1.0], [2.0, 2.0]],
    }
    lines = {
        "vocab_en": "sea\nship\nwood\n",
        "vocab_cn": "海\n船\n",
        "train_texts_en.txt": "sea ship sea\nwood\nship wood\n",
        "test_texts_en.txt": "sea\n",
        "train_labels_en.txt": "a\nb\na\n",
        "test_labels_en.txt": "b\n",
        "train_labels_cn.txt": "b\nb\n",
    }
    for name, content in {**counts, **lines, **changes}.items():
        if content is None:
            continue
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        elif isinstance(content, str):
            (folder / name).write_text(content, encoding="utf-8")
        else:
            save_npz(folder / name, csr_matrix(np.array(content)))
    return folder


def joined(view: TextView) -> list[str]:
    return [" ".join(words) for words in view.documents(slice(0, len(view)))]


def test_every_language_is_a_view_and_nothing_is_linked(tmp_path: Path) -> None:
    dataset = from_bow_folder(write(tmp_path / "news"), languages={"cn": "zh"})
    assert list(dataset.views) == ["cn", "en"]
    assert not dataset.is_linked
    assert dataset.metadata["name"] == "news"
    english, chinese = dataset.text_view("en"), dataset.text_view("cn")
    assert (english.sizes, chinese.sizes) == ((3, 0, 1), (2, 0, 0))
    assert (english.language, chinese.language) == ("en", "zh")
    # In the order of the text, or of the vocabulary where there is none.
    assert joined(english) == ["sea ship sea", "wood", "ship wood", "sea"]
    assert joined(chinese) == ["海", "海 船 船 船"]
    assert list(english.labels or ()) == ["a", "b", "a", "b"]
    assert english.word_vectors is not None
    assert english.word_vectors.tolist() == [[0.5, 0], [0, 1], [2, 2]]
    assert english.word_space == "word2vec_en.npz"
    assert chinese.word_vectors is None
    assert chinese.word_space is None


def test_texts_that_say_something_else_are_kept_for_encoders_only(tmp_path: Path) -> None:
    texts = "ship sea sea\nwood wood\nship wood\n"
    view = from_bow_folder(write(tmp_path / "a", **{"train_texts_en.txt": texts})).text_view("en")
    assert joined(view)[:2] == ["sea sea ship", "wood"]
    assert view.items(slice(0, 2)) == ["ship sea sea", "wood wood"]


def test_some_documents_may_be_held_out(tmp_path: Path) -> None:
    counts = np.eye(20, dtype=int)
    changes: dict[str, Any] = {
        "train_bow_matrix_en.npz": counts,
        "test_bow_matrix_en.npz": counts[:2],
        "vocab_en": "".join(f"w{number}\n" for number in range(20)),
        "train_texts_en.txt": None,
        "train_labels_en.txt": "".join(f"{number}\n" for number in range(20)),
        "test_labels_en.txt": "x\ny\n",
        "word2vec_en.npz": None,
    }
    folder = write(tmp_path / "a", **changes)
    views = [from_bow_folder(folder, validation=0.25, seed=s).text_view("en") for s in (0, 0, 1)]
    for view in views:
        assert view.sizes == (15, 5, 2)
        labels = list(view.labels or ())
        assert sorted(labels[:20], key=int) == [str(number) for number in range(20)]
        assert labels[20:] == ["x", "y"]
        assert [int(d[1:]) for d in joined(view)[:20]] == list(map(int, labels[:20]))
    assert views[0].labels == views[1].labels != views[2].labels
    for share in (-0.1, 1.0):
        with refuses("expected a share from 0 to below 1", SettingsError):
            from_bow_folder(folder, validation=share)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_en": None}, "expected a line for each word or document."),
        ({"vocab_en": "sea\n"}, "train_bow_matrix_en.npz has 3 columns, and the vocabulary beside"),
        ({"train_labels_en.txt": "a\n"}, "train_labels_en.txt has 1 lines for 3 documents of the"),
        ({"train_bow_matrix_en.npz": b"PK"}, "train_bow_matrix_en.npz can't be read as a sparse m"),
        ({"test_bow_matrix_en.npz": [[0.5, 0, 0]]}, "word counts must be whole numbers, 0 or more"),
        ({"test_bow_matrix_en.npz": [[-1, 0, 0]]}, "word counts must be whole numbers, 0 or more."),
        ({"word2vec_en.npz": [[1.0]]}, "word2vec_en.npz has 1 rows, and the vocabulary beside"),
        ({"train_texts_en.txt": b"\xff\n\n\n"}, "train_texts_en.txt can't be read as UTF-8 ("),
    ],
)
def test_what_does_not_fit_is_one_clear_error(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with refuses(message):
        from_bow_folder(write(tmp_path / "a", **changes))


def test_a_truncated_matrix(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    path = folder / "train_bow_matrix_en.npz"
    whole = path.read_bytes()
    for kept in (0, 40, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:kept])
        with refuses("can't be read as a sparse matrix"):
            from_bow_folder(folder)


def test_folders_without_matrices(tmp_path: Path) -> None:
    with refuses("holds no train_bow_matrix_<language>.npz"):
        from_bow_folder(tmp_path)
    with refuses("is no folder; expected a folder of bags of words"):
        from_bow_folder(tmp_path / "none")


@given(
    rows=st.lists(st.lists(st.integers(0, 3), max_size=6), min_size=2, max_size=8),
    train=st.integers(1, 7),
    labelled=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_there_and_back(
    rows: list[list[int]], train: int, labelled: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    train = min(train, len(rows) - 1)
    words = ("a", "é", "海", "d")
    view = text_view(
        "en",
        [" ".join(words[number] for number in row) for row in rows],
        vocabulary=words,
        sizes=(train, 0, len(rows) - train),
        labels=[f"l{number % 2}" for number in range(len(rows))] if labelled else None,
        word_vectors=np.arange(8, dtype=np.float32).reshape(4, 2),
    )
    folder = tmp_path_factory.mktemp("there") / "bags"
    write_bow_folder(MultiviewDataset([view]), folder)
    again = from_bow_folder(folder).text_view("en")
    for field in ("sizes", "vocabulary", "labels", "token_ids", "offsets", "word_vectors"):
        np.testing.assert_array_equal(getattr(again, field), getattr(view, field))
    assert load_npz(folder / "train_bow_matrix_en.npz").shape == (train, 4)


def test_a_folder_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    dataset = from_bow_folder(write(tmp_path / "a"))
    with refuses("exists already and is not empty", StorageError):
        write_bow_folder(dataset, tmp_path / "a")
    write_bow_folder(dataset, tmp_path / "b")
    assert from_bow_folder(tmp_path / "b").get_corpus()[1][1] == "船"
