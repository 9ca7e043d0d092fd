"""LSA beside scikit-learn, and cross-language LSI on planted data."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from octis_m3l.data import from_lists
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.views import TextView
from octis_m3l.encoders import fit_cross_language, fit_per_language, from_word_vectors

THEMES, WORDS = 6, 8
PLAIN = TextPreprocessor(tokenizer="whitespace", stop_words=False)
Texts = dict[str, list[Any]]


def built(texts: Texts, partition: list[str] | None = None) -> MultiviewDataset:
    return from_lists(
        texts, partition=partition, preprocessing=PLAIN, languages=dict.fromkeys(texts)
    )


def document(language: str, themes: tuple[int, ...], random: np.random.Generator) -> str:
    return " ".join(
        f"{language}{theme}x{number}"
        for theme in themes
        for number in random.permutation(WORDS)[:6]
    )


def random_texts(count: int, seed: int = 0, language: str = "en") -> list[str]:
    random = np.random.default_rng(seed)
    words = np.array([f"{language}{number}" for number in range(40)])
    return [" ".join(random.choice(words, random.integers(3, 30))) for _ in range(count)]


def planted(gaps: bool) -> MultiviewDataset:
    """Return pairs that share two themes; every pair of themes is tested once."""
    random = np.random.default_rng(0)
    pairs = list(combinations(range(THEMES), 2))
    texts: Texts = {"en": [], "de": []}
    for number in range(90):
        themes = pairs[number % len(pairs)]
        texts["en"].append(None if gaps and number % 5 == 1 else document("en", themes, random))
        german = [document("de", themes, random) for _ in range(1 + (gaps and number % 3 == 0))]
        texts["de"].append(None if gaps and number % 5 == 2 else german)
    for themes in pairs:
        for language, column in texts.items():
            column.append(document(language, themes, random))
    return built(texts, ["train"] * 90 + ["test"] * len(pairs))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit_length: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit_length


@pytest.mark.parametrize("words", [20_000, 12])
def test_lsa_is_scikit_learns(words: int) -> None:
    texts = random_texts(70)
    dataset = built({"en": texts}, ["train"] * 50 + ["test"] * 20)
    encoder = fit_per_language(dataset, "en", dimensions=6, words=words, seed=3)
    common = sorted(encoder.vocabulary)
    assert list(encoder.vocabulary) == common
    counted = TfidfVectorizer(
        analyzer=str.split, sublinear_tf=True, min_df=2, vocabulary=None if words > 99 else common
    )
    decomposition = TruncatedSVD(6, random_state=3)
    decomposition.fit(counted.fit_transform(texts[:50]))
    expected = decomposition.transform(counted.transform(texts))
    found = encoder.encode(texts)
    assert found.dtype == np.float32
    assert found.shape == (70, 6)
    assert encoder.dimensions == 6
    assert fit_per_language(built({"en": texts[:10]}), "en", dimensions=300).dimensions == 9
    assert list(counted.get_feature_names_out()) == common
    sign = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * sign, expected, atol=1e-4)
    assert np.abs(expected).max() > 0.3


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_words_of_several_documents_are_kept_the_most_frequent_first() -> None:
    assert fit_per_language(built({"en": ["aa bb"]}), "en").vocabulary == ("aa", "bb")
    shared = built({"en": ["aa bb", "aa cc", "aa dd"]})
    assert fit_per_language(shared, "en").vocabulary == ("aa", "bb", "cc", "dd")
    texts = ["aa bb cc", "aa bb dd", "aa cc ee", "bb cc aa"]
    assert fit_per_language(built({"en": texts}), "en", words=2).vocabulary == ("aa", "bb")
    assert fit_per_language(built({"en": texts}), "en").vocabulary == ("aa", "bb", "cc")
    encoder = fit_per_language(built({"en": ["aa", "aa aa", "aa"]}), "en")
    np.testing.assert_allclose(encoder.encode(["aa", "bb"]), [[1.0], [0.0]])


def test_nothing_is_learned_from_test_documents() -> None:
    english, german = random_texts(30), random_texts(30, seed=1, language="de")
    parts = ["train"] * 30 + ["validation"] * 4 + ["test"] * 6
    fitted = []
    for more in (random_texts(10, seed=2), ["en1 neu neu"] * 10):
        texts = {"en": english + more, "de": german + random_texts(10, seed=3, language="de")}
        data = built(texts, parts)
        both = fit_cross_language(data, ["en", "de"], dimensions=5)
        fitted.append([*both.values(), fit_per_language(data, "en", dimensions=5)])
    for one, other in zip(*fitted, strict=True):
        assert one.vocabulary == other.vocabulary
        np.testing.assert_array_equal(one.idf, other.idf)
        np.testing.assert_array_equal(one.components, other.components)


@pytest.mark.parametrize("gaps", [False, True])
def test_cross_language_lsi_puts_linked_documents_nearest(gaps: bool) -> None:
    dataset = planted(gaps)
    fitted = fit_cross_language(dataset, ["en", "de"], dimensions=THEMES)
    assert list(fitted) == ["en", "de"]
    assert {encoder.name for encoder in fitted.values()} == {"clsi"}
    vectors, numbers = {}, {}
    for name, encoder in fitted.items():
        view = dataset.text_view(name)
        vectors[name] = unit(encoder.encode(view.items(view.rows("test"))))
        numbers[name] = dataset.tuples(name)[view.rows("test")]
    nearest = (vectors["en"] @ vectors["de"].T).argmax(axis=1)
    assert len(nearest) == 15
    np.testing.assert_array_equal(numbers["de"][nearest], numbers["en"])


def side_by_side(dataset: MultiviewDataset) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the weights of all training tuples' words, and how many languages each has."""
    tuples = dataset.partition_tuples("train")
    blocks, languages = [], np.zeros(len(tuples), np.int64)
    for name in dataset.views:
        view = dataset.text_view(name)
        texts = view.items(view.rows("train"))
        counted = TfidfVectorizer(analyzer=str.split, sublinear_tf=True, min_df=2)
        weighted = counted.fit_transform(texts).toarray()
        block = np.zeros((len(tuples), weighted.shape[1]))
        of_document = dataset.tuples(name)[view.rows("train")].tolist()
        for row, number in enumerate(tuples):
            mine = [weighted[d] for d, n in enumerate(of_document) if n == number]
            if mine:
                block[row] = np.mean(mine, axis=0)
                languages[row] += 1
        blocks.append(block)
    return np.hstack(blocks), languages


def assert_fitted_on(dataset: MultiviewDataset, rows: NDArray[np.float64]) -> None:
    fitted = fit_cross_language(dataset, list(dataset.views), dimensions=5, seed=2)
    expected = TruncatedSVD(5, random_state=2).fit(rows).components_.T
    found = np.concatenate([encoder.components for encoder in fitted.values()])
    sign = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * sign, expected, atol=1e-4)


def test_cross_language_lsi_is_lsa_of_whole_tuples_set_side_by_side() -> None:
    dataset = planted(gaps=True)
    rows, languages = side_by_side(dataset)
    numbers = dataset.tuples("de")[dataset.view("de").rows("train")]
    assert np.bincount(numbers).max() == 2
    assert {1, 2} == set(languages.tolist())
    assert_fitted_on(dataset, rows[languages == 2])


@pytest.mark.parametrize(
    ("whole", "others", "used"), [(31, 30, 3), (30, 30, 3), (6, 30, 3), (5, 30, 2), (1, 30, 2)]
)
def test_tuples_of_some_languages_count_where_too_few_have_all(
    whole: int, others: int, used: int
) -> None:
    texts: Texts = {
        language: [
            text if number < whole or number % 3 != position else None
            for number, text in enumerate(random_texts(whole + others, position, language))
        ]
        for position, language in enumerate(("en", "de", "fi"))
    }
    dataset = built(
        {
            language: [*column, "en1 en2" if language == "en" else None]
            for language, column in texts.items()
        }
    )
    rows, languages = side_by_side(dataset)
    assert np.bincount(languages).tolist() == [0, 1, others, whole]
    assert_fitted_on(dataset, rows[languages >= used])


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_single_tuple_is_enough_for_cross_language_lsi() -> None:
    for texts in ({"en": ["aa bb"], "de": ["cc dd"]}, {"en": ["aa bb"]}):
        fitted = fit_cross_language(built(texts), list(texts))
        assert {encoder.dimensions for encoder in fitted.values()} == {1}


def test_a_new_document_is_encoded_as_it_would_be_in_the_corpus() -> None:
    dataset = planted(gaps=True)
    view = dataset.text_view("de")
    texts = [*view.items(slice(0, len(view))), "something else", ""]
    for encoder in (
        fit_per_language(dataset, "de", dimensions=5),
        fit_cross_language(dataset, ["en", "de"], dimensions=5)["de"],
    ):
        together = encoder.encode(texts)
        for row in range(0, len(texts), 7):
            np.testing.assert_array_equal(encoder.encode([texts[row]])[0], together[row])
        np.testing.assert_array_equal(encoder.encode(texts[::-1])[::-1], together)
        # A document without a known word is zero.
        assert together.any(axis=1).tolist() == [True] * len(view) + [False] * 2
        assert encoder.encode([]).shape == (0, 5)


def test_raw_texts_are_tokenized_as_for_the_topic_model() -> None:
    texts = ["The boats, the boats!", "A boat; and the boats.", "Boats and sails", "sails, sails"]
    encoder = fit_per_language(
        from_lists({"en": texts}, preprocessing=TextPreprocessor(language="en")), "en"
    )
    assert encoder.vocabulary == ("boats", "sails")
    np.testing.assert_array_equal(encoder.encode(["BOATS"]), encoder.encode(["the boats,"]))


def test_a_view_without_raw_texts_is_encoded_by_its_words() -> None:
    texts = ["aa bb the", "bb the aa", "aa the cc", "cc bb"]
    vocabulary = ("aa", "bb", "cc", "the")
    words = [text.split() for text in texts]
    view = TextView(
        name="en",
        sizes=(4, 0, 0),
        vocabulary=vocabulary,
        token_ids=np.array([vocabulary.index(word) for text in words for word in text], np.int32),
        offsets=np.cumsum([0, *map(len, words)]),
        language="en",
    )
    found = fit_per_language(MultiviewDataset([view]), "en", dimensions=2)
    expected = fit_per_language(built({"en": texts}), "en", dimensions=2)
    assert found.vocabulary == vocabulary
    np.testing.assert_array_equal(found.encode(texts), expected.encode(texts))


def test_word_vectors_are_averaged_by_tfidf() -> None:
    texts = ["aa bb bb", "bb cc", "cc aa"]
    dataset = built({"en": texts})
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    encoder = from_word_vectors(dataset.with_word_vectors({"en": vectors}), "en")
    weights = TfidfVectorizer(analyzer=str.split, sublinear_tf=True).fit_transform(texts)
    assert encoder.name == "word-vectors"
    np.testing.assert_allclose(encoder.encode(texts), weights.toarray() @ vectors, atol=1e-6)
