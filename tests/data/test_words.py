"""Word vectors and dictionaries from files."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, save_npz

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.words import (
    mutually_nearest,
    nearest_words,
    read_pairs,
    read_word_vectors,
    translations,
)
from octis_m3l.errors import DataError

WORDS = ("house", "tree", "cat")
LINES = "4 2\ncat 1 2\nHouse 9 9\nhouse 3.5 -4e-1\ntree 5 6 \n"
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)


def of_languages(*names: str) -> MultiviewDataset:
    texts = {"en": ["house tree cat", "cat cat tree"], "de": ["haus baum katze", "baum katze"]}
    texts = {name: texts.get(name, [f"{name}aa {name}bb", f"{name}bb"]) for name in names}
    return MultiviewDataset.from_lists(texts, languages=dict.fromkeys(texts))


@pytest.fixture
def dataset() -> MultiviewDataset:
    return of_languages("en", "de")


def word_pairs(dataset: MultiviewDataset) -> list[tuple[str, str]]:
    english, german = (view.vocabulary for view in dataset.text_views.values())
    return [(english[a], german[b]) for a, b in dataset.dictionaries["en", "de"]]


# Word vectors.


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.vec", "vectors.txt.gz"])
@pytest.mark.parametrize(
    "text", [LINES, "\ufeff" + LINES, "tree 5 6\ncat 1 2\nhouse 3.5 -.4\ncat 7 8\n"]
)
def test_text_files_with_and_without_a_header(text: str, name: str, tmp_path: Path) -> None:
    path, data = tmp_path / name, text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    found = read_word_vectors(path, WORDS, "en")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[3.5, -0.4], [5, 6], [1, 2]])


def test_words_without_a_vector(tmp_path: Path, dataset: MultiviewDataset) -> None:
    path = tmp_path / "few.txt"
    path.write_text("tree 5 6\n")
    with pytest.raises(
        DataError,
        match=r"no vector for 2 of the 3 words of view 'en' \(house, cat\); check its language, "
        r".* give the words zeros, .* without_vector='zeros' \(octis-m3l build: --without-vector ",
    ):
        read_word_vectors(path, WORDS, "en")
    assert read_word_vectors(path, WORDS, "en", "zeros").tolist() == [[0, 0], [5, 6], [0, 0]]
    wrong: Any = "zero"
    message = "^with_word_vectors: without_vector='zero': it should be 'error' or 'zeros'"
    with pytest.raises(DataError, match=message):
        dataset.with_word_vectors({"en": path}, without_vector=wrong)


def test_words_with_spaces_and_lines_that_can_not_be_read(tmp_path: Path) -> None:
    """As in glove.840B and other public files."""
    lines = ["at name@domain.com 1 1", ". . . 2 2", "nan 3 3", "2 9 9", "tree 5 6", "caf\xe9 1 2"]
    lines += ["cat 1", "house x 4", "house  3 4", "tree 9 9", "new\xc2\xa0york 1 1", "cat 1 2"]
    lines += ["dog 1"]
    path = tmp_path / "wild.txt"
    for header in ([], ["13 2"]):
        path.write_text("\n".join([*header, *lines]), encoding="latin-1")
        numbers = ", ".join(str(number + len(header)) for number in (6, 7, 8, 13))
        message = rf"4 of 13 lines can't be read as a word and its 2 numbers .* \(lines {numbers}\)"
        with pytest.warns(UserWarning, match=message):
            found = read_word_vectors(path, WORDS, "en")
        assert found.tolist() == [[3, 4], [5, 6], [1, 2]]


def test_matrices_have_a_row_for_each_word(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(3, 2)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "b.npz", array)
    save_npz(tmp_path / "c.npz", csr_array(array))
    for source in (array, tmp_path / "a.npy", str(tmp_path / "b.npz"), tmp_path / "c.npz"):
        np.testing.assert_array_equal(read_word_vectors(source, WORDS, "en"), array)
    np.savez(tmp_path / "two.npz", one=array, other=array)
    with pytest.raises(DataError, match=r"\(it holds 2 arrays: one, other\); expected one matrix"):
        read_word_vectors(tmp_path / "two.npz", WORDS, "en")


NO_NUMBERS = r"(\d) of \1 lines can't be read as a word and its \d numbers .*; expected a file of"
NOT_FINITE = r"view 'en': the word vectors of 1 words hold NaN or infinity \(tree\); give finite nu"


@pytest.mark.parametrize(
    ("given_vectors", "message"),
    [
        ("", r"no vector for 3 of the 3 words of view 'en' \(house, tree, cat\); check its lang"),
        ("haus 1 2\n", "no vector for 3 of the 3 words"),
        *((text, NO_NUMBERS) for text in ("tree\n", "tree 5 x\n", "2 2\ntree x 6\ncat\n")),
        *((text, NOT_FINITE) for text in ("tree 5 nan\n", "tree 5 1e300\n")),
        (LINES[:22], "holds 2 words, but its first line announces 4: the file is incomplete"),
        (np.ones((2, 2)), r"shape \(2, 2\) .* expected numbers, a row for each of its 3 words"),
        (np.array([["a"], ["b"], ["c"]]), "and type <U1; expected numbers"),
        *((np.array([[1], [bad], [1]]), NOT_FINITE) for bad in (np.nan, np.inf, 1e300)),
    ],
)
def test_vectors_that_are_invalid(given_vectors: Any, message: str, tmp_path: Path) -> None:
    if isinstance(given_vectors, str):
        (tmp_path / "bad.txt").write_text(given_vectors)
        given_vectors = tmp_path / "bad.txt"
    with pytest.raises(DataError, match=message):
        read_word_vectors(given_vectors, WORDS, "en", "zeros")


@pytest.mark.parametrize("name", ["x.npz", "x.npy", "x.txt", "x.txt.gz"])
def test_files_that_are_broken_or_missing(name: str, tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(LINES.partition("\n")[2].encode() * 50))
    whole[60:90] = bytes(30)
    for content in (None, b"\xff\xfe\x00", bytes(whole)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="can't be read"):
            read_word_vectors(tmp_path / name, WORDS, "en", "zeros")


WORD = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=8)


@quick
@given(st.lists(WORD, min_size=1, max_size=10, unique=True))
def test_vectors_that_were_written_are_read(tmp_path: Path, words: list[str]) -> None:
    path = tmp_path / "vectors.txt"
    random = np.random.default_rng(len(words))
    vectors = random.normal(size=(len(words), 3)).astype(np.float32)
    rows = zip(words, vectors.tolist(), strict=True)
    lines = [f"{word} {' '.join(map(repr, row))}\n" for word, row in rows]
    random.shuffle(lines)
    path.write_text(f"{len(words)} 3\n" + "".join(lines), encoding="utf-8")
    np.testing.assert_array_equal(read_word_vectors(path, words, "en"), vectors)


# Neighbours.


def test_mutually_nearest_words_equal_a_loop() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(size=(9, 3)), random.normal(size=(7, 3))
    one[4] = 0
    lengths = [np.linalg.norm(v, axis=1) for v in (one, other)]
    scores = one @ other.T / np.maximum(lengths[0][:, None] * lengths[1], 1e-9)
    expected = [
        [a, b]
        for a in range(9)
        for b in range(7)
        if one[a].any() and scores[a, b] == scores[a].max() == scores[:, b].max()
    ]
    assert mutually_nearest(one, other).tolist() == expected


def test_of_equal_vectors_the_first_is_nearest() -> None:
    random = np.random.default_rng(0)
    others = random.normal(size=(40, 300))
    others[[7, 19, 31]] = others[3]
    for _ in range(20):
        found = nearest_words(others[3] + 0.01 * random.normal(size=(1, 300)), others, 4)
        assert found.tolist() == [[3, 7, 19, 31]]


# Dictionaries.


def test_dictionaries_of_muse_and_with_tabs(tmp_path: Path, dataset: MultiviewDataset) -> None:
    path = tmp_path / "en-de.txt"
    path.write_text(
        "house haus\ncat\tkatze\n\nhouse Haus\ntree baum\r\ntree baum\n", encoding="utf-8-sig"
    )
    assert read_pairs(path)[:2] == [("house", "haus"), ("cat", "katze")]
    assert len(read_pairs(path)) == 5
    found = word_pairs(dataset.with_dictionary("en", "de", path))
    assert sorted(found) == [("cat", "katze"), ("house", "haus"), ("tree", "baum")]


@quick
@given(st.lists(st.tuples(WORD, WORD), max_size=20), st.sampled_from(["\t", " "]))
def test_pairs_that_were_written_are_read(
    tmp_path: Path, pairs: list[tuple[str, str]], between: str
) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text("".join(f"{a}{between}{b}\n" for a, b in pairs), encoding="utf-8")
    assert read_pairs(path) == pairs


def test_dictionaries_of_indices_and_mappings(tmp_path: Path, dataset: MultiviewDataset) -> None:
    rows = np.array([[2, 1], [0, 0], [2, 1]])
    np.save(tmp_path / "pairs.npy", rows)
    for pairs in (rows, rows.astype(float), tmp_path / "pairs.npy", [(2, 1), (0, 0)]):
        found = dataset.with_dictionary("en", "de", pairs).dictionaries["en", "de"]
        assert found.tolist() == [[0, 0], [2, 1]]
    tied = dataset.with_dictionary("en", "de", {"house": "haus"})
    assert word_pairs(tied) == [("house", "haus")]
    # Of two dictionaries of the same views, in either order, the last is kept.
    again = tied.with_dictionary("de", "en", np.array([[0, 1]]))
    assert {k: v.tolist() for k, v in again.dictionaries.items()} == {("de", "en"): [[0, 1]]}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (np.zeros((0, 2), np.int64), "dictionary en-de: it has no pair of words"),
        (np.array([[0, 3]]), "expected pairs of word indices below 3 and 3"),
        (np.array([[0.5, 1]]), "indices are whole numbers"),
        (
            [("house", "haus", "x")],
            r"\('house', 'haus', 'x'\) is not a pair of words; expected for",
        ),
        (["ab"], r"'ab' is not a pair of words"),
        ([b"ab"], r"b'ab' is not a pair of words"),
        ([(True, False)], r"\(True, False\) is not a pair of words"),
        ([1], r"1 is not a pair of words"),
        ([("house", 3)], r"\('house', 3\) is not a pair of words"),
        ([("haus", "house")], "none of its 1 pairs has both words in the vocabularies; check the"),
        ("a b c\n", "line 1: 'a b c'; expected a word and its translation"),
        (Path("none.txt"), r"none\.txt can't be read .*; check its path, and copy"),
    ],
)
def test_pairs_that_are_invalid(
    pairs: Any, message: str, dataset: MultiviewDataset, tmp_path: Path
) -> None:
    if isinstance(pairs, str):
        (tmp_path / "pairs.txt").write_text(pairs)
        pairs = tmp_path / "pairs.txt"
    with pytest.raises(DataError, match=message):
        dataset.with_dictionary("en", "de", pairs)


def test_a_dictionary_connects_two_views(dataset: MultiviewDataset) -> None:
    with pytest.raises(DataError, match="a dictionary connects two views; given 'en' twice"):
        dataset.with_dictionary("en", "en", np.array([[0, 1]]))


def test_languages_that_no_chain_of_dictionaries_connects() -> None:
    dataset = of_languages("en", "de", "fi", "fr")
    for first, second in (("en", "de"), ("fi", "fr")):
        dataset = dataset.with_dictionary(first, second, np.array([[0, 0]]))
    message = r"nmtm connects .*, and none connects fi, fr with the rest"
    with pytest.raises(DataError, match=message):
        translations(dataset.dictionaries, dataset.text_views, "nmtm")
    whole = dataset.with_dictionary("fr", "de", np.array([[1, 0]]))
    found = translations(whole.dictionaries, whole.text_views, "nmtm")
    assert found["de", "fr"].tolist() == [[0, 1]]
