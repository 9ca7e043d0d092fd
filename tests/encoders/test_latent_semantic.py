"""LSA beside scikit-learn, and cross-language LSI on planted data."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits

from octis_m3l.data import from_lists
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.data.views import TextView
from octis_m3l.encoders import encode_words, fit_cross_language, fit_per_language, from_word_vectors
from octis_m3l.encoders.saving import load_encoder, save_encoder
from octis_m3l.errors import DataError, StorageError

THEMES, WORDS = 6, 8
PLAIN = TextPreprocessor(tokenizer="whitespace", stop_words=False)
Texts = dict[str, list[Any]]


def built(texts: Texts, partition: list[str] | None = None) -> MultiviewDataset:
    return from_lists(
        texts, partition=partition, preprocessing=PLAIN, languages=dict.fromkeys(texts)
    )


def without_texts(texts: list[str]) -> MultiviewDataset:
    """Return one view of which only the words are known."""
    words = [text.split() for text in texts]
    vocabulary = tuple(sorted({word for one in words for word in one}))
    view = TextView(
        name="en",
        sizes=(len(texts), 0, 0),
        vocabulary=vocabulary,
        token_ids=np.array([vocabulary.index(word) for text in words for word in text], np.int32),
        offsets=np.cumsum([0, *map(len, words)]),
        language="en",
    )
    return MultiviewDataset([view])


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


def words_and_parts(text: str) -> list[str]:
    """Return the words of a text, and every three successive characters of each."""
    found = []
    for word in text.split():
        padded = f"_{word}_"
        parts = zip(padded, padded[1:], padded[2:], strict=False)
        found += [word, *("\x01" + "".join(part) for part in parts)]
    return found


def vocabulary_of(text: str) -> tuple[str, ...]:
    return tuple(sorted(words_and_parts(text)))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit_length: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit_length


@pytest.mark.parametrize("terms", [40_000, 25])
def test_lsa_is_scikit_learns(terms: int) -> None:
    texts = random_texts(70)
    dataset = built({"en": texts}, ["train"] * 50 + ["test"] * 20)
    encoder = fit_per_language(dataset, "en", dimensions=6, terms=terms, seed=3)
    common = sorted(encoder.vocabulary)
    assert list(encoder.vocabulary) == common
    counted = TfidfVectorizer(
        analyzer=words_and_parts,
        sublinear_tf=True,
        min_df=2,
        vocabulary=None if terms > 99 else common,
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
    assert fit_per_language(built({"en": ["aa bb"]}), "en").vocabulary == vocabulary_of("aa bb")
    shared = built({"en": ["aa bb", "aa cc", "aa dd"]})
    assert fit_per_language(shared, "en").vocabulary == vocabulary_of("aa bb cc dd")
    texts = ["aa bb cc", "aa bb dd", "aa cc ee", "bb cc aa"]
    assert fit_per_language(built({"en": texts}), "en", terms=4).vocabulary == (
        *("\x01_aa", "\x01_bb", "\x01aa_"),
        "aa",
    )
    assert fit_per_language(built({"en": texts}), "en").vocabulary == vocabulary_of("aa bb cc")
    encoder = fit_per_language(built({"en": ["aa", "aa aa", "aa"]}), "en")
    known, unknown = encoder.encode(["aa", "bb"])
    assert np.linalg.norm(known) == pytest.approx(1.0, rel=1e-6)
    assert not unknown.any()


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
        counted = TfidfVectorizer(analyzer=words_and_parts, sublinear_tf=True, min_df=2)
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


def with_ridge(map_: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the x of least |map · x − target|² + r |x|²; r: a tenth of the map's mean square."""
    dimensions = map_.shape[1]
    ridge = 0.1 * (map_**2).sum() / dimensions
    rows = np.vstack([map_, np.sqrt(ridge) * np.eye(dimensions)])
    wanted = np.concatenate([target, np.zeros((dimensions, *target.shape[1:]))])
    return np.asarray(np.linalg.lstsq(rows, wanted, rcond=None)[0])


def slowly_fitted(dataset: MultiviewDataset, dimensions: int, seed: int) -> Any:
    """Return every language's map and words' weights of its training documents, tuple by tuple."""
    weights, languages = side_by_side(dataset)
    linked = weights[languages >= 2]
    encoders = fit_cross_language(dataset, list(dataset.views), dimensions=dimensions, seed=seed)
    sizes = [len(encoder.vocabulary) for encoder in encoders.values()]
    places = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    svd = TruncatedSVD(dimensions, random_state=seed).fit(linked)
    found = svd.components_.T
    has = np.array([[row[place].any() for place in places] for row in linked])
    for _ in range(0 if has.all() else 3):
        latent = np.zeros((len(linked), found.shape[1]))
        for row, text in enumerate(linked):
            own = np.concatenate(
                [place for place, one in zip(places, has[row], strict=True) if one]
            )
            latent[row] = with_ridge(found[own], text[own])
        found = np.vstack(
            [
                with_ridge(latent[has[:, n]], linked[has[:, n]][:, place]).T
                for n, place in enumerate(places)
            ]
        )
        left, sizes, _ = np.linalg.svd(found, full_matrices=False)
        found = left[:, sizes >= 0.4 * sizes.max()]
    return {name: found[place] for name, place in zip(encoders, places, strict=True)}, encoders


@pytest.mark.parametrize(
    ("case", "languages"), [("pairs", {2}), ("gaps", {1, 2}), ("three", {1, 2, 3})]
)
def test_cross_language_lsi_is_alternating_least_squares_of_languages_side_by_side(
    case: str, languages: set[int]
) -> None:
    data = three_languages() if case == "three" else planted(gaps=case == "gaps")
    assert {*side_by_side(data)[1].tolist()} == languages
    numbers = data.tuples("de")[data.view("de").rows("train")]
    assert np.bincount(numbers).max() == (2 if case == "gaps" else 1)
    maps, encoders = slowly_fitted(data, 5, seed=2)
    vectors, expected = [], []
    for name, encoder in encoders.items():
        texts = list(data.text_view(name).texts or ())
        counted = TfidfVectorizer(
            analyzer=words_and_parts, sublinear_tf=True, vocabulary=encoder.vocabulary
        )
        counted.fit(texts[: data.view(name).sizes[0]])
        estimate = with_ridge(maps[name], counted.transform(texts).toarray().T).T
        vectors.append(encoder.encode(texts))
        expected.append(estimate / len(encoders))
    # Dimensions may be rotated, in all languages alike.
    found, slow = np.vstack(vectors), np.vstack(expected)
    np.testing.assert_allclose(found @ found.T, slow @ slow.T, atol=1e-4)


def three_languages(whole: int = 12, others: int = 40) -> MultiviewDataset:
    """Return texts of which most lack one of three languages, and one has no counterpart."""
    texts: Texts = {
        language: [
            text if number < whole or number % 3 != position else None
            for number, text in enumerate(random_texts(whole + others, position, language))
        ]
        for position, language in enumerate(("en", "de", "fi"))
    }
    return built(
        {
            language: [*column, "en1 en2" if language == "en" else None]
            for language, column in texts.items()
        }
    )


def test_languages_that_no_tuple_has_together_meet_through_a_third() -> None:
    themes, rng = 6, np.random.default_rng(0)
    columns: Texts = {"en": [], "de": [], "fi": []}
    for number in range(90):
        theme = number % themes
        for position, (language, column) in enumerate(columns.items()):
            words = [f"{language}{theme}x{word}" for word in rng.integers(8, size=12)]
            lacks = position == (0 if number // themes % 2 else 2)
            column.append(None if lacks else " ".join(words))
    fitted = fit_cross_language(built(columns), list(columns), dimensions=themes)
    wordings = {
        language: [" ".join(f"{language}{theme}x{word}" for word in range(8)) for theme in range(6)]
        for language in ("en", "fi")
    }
    english, finnish = (unit(fitted[name].encode(texts)) for name, texts in wordings.items())
    similarity = english @ finnish.T
    assert similarity.diagonal().min() > 0.9
    assert (similarity - 2 * np.eye(themes)).max() < 0.3


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("gaps", [False, True])
def test_words_of_no_linked_tuple_are_encoded_as_zeros(position: int, gaps: bool) -> None:
    columns: list[Texts] = [
        {"en": [*random_texts(20), *[None] * 10, "alone1 alone2", "alone1 alone2"]},
        {"de": [*random_texts(20, 1, "de"), *[None] * 12]},
    ]
    columns.insert(position, {"fi": [*[None] * 20, *random_texts(10, 2, "fi"), None, None]})
    if gaps:
        third: list[Any] = random_texts(20, 3, "nl")
        columns.append({"nl": [*third[:8], *[None] * 24]})
    texts = {name: column for one in columns for name, column in one.items()}
    fitted = fit_cross_language(built(texts), list(texts), dimensions=4)
    assert not fitted["fi"].encode(random_texts(3, 2, "fi")).any()
    assert not fitted["en"].encode(["alone1 alone2"]).any()
    lengths = np.linalg.norm(fitted["en"].encode(random_texts(3)), axis=1)
    assert ((lengths > 0.01) & (lengths < 2)).all()


@pytest.mark.parametrize("seed", range(5))
def test_repeated_texts_with_gaps_keep_their_translations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names, different = ("en", "de", "fi"), 12
    texts = {name: random_texts(different, 10 * seed + n, name) for n, name in enumerate(names)}
    chosen = [*range(different), *rng.integers(different, size=60)]
    columns: Texts = {
        name: [texts[name][one] if rng.random() > 0.2 else None for one in chosen] for name in names
    }
    fitted = fit_cross_language(built(columns), list(names))
    vectors = {name: unit(fitted[name].encode(texts[name])) for name in names}
    for first, second in combinations(names, 2):
        nearest = (vectors[first] @ vectors[second].T).argmax(axis=1)
        np.testing.assert_array_equal(nearest, np.arange(different))


def test_the_number_of_threads_does_not_change_cross_language_lsi() -> None:
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            fitted = fit_cross_language(three_languages(), ["en", "de", "fi"], dimensions=20)
        found.append([encoder.components for encoder in fitted.values()])
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


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
    texts = ["The boats, the boats!", "A boat of 1912; and the boats.", "Boats and sails, 1912"]
    encoder = fit_per_language(
        from_lists({"en": texts}, preprocessing=TextPreprocessor(language="en")), "en"
    )
    # Numbers and stop words are counted too: they tell texts apart.
    assert {*encoder.vocabulary} == {
        *vocabulary_of("the boats and 1912"),
        *("\x01_bo", "\x01boa", "\x01oat"),
    }
    np.testing.assert_array_equal(encoder.encode(["BOATS"]), encoder.encode(["boats,"]))


def test_other_forms_of_a_word_share_its_parts() -> None:
    random, themes = np.random.default_rng(0), ("navig", "harvest", "calcul", "whisper")
    endings, unseen = ("ate", "ation", "ator", "ating"), ("atet", "ably", "atrix")
    texts = [" ".join(theme + random.choice(endings) for _ in range(6)) for theme in themes * 20]
    encoder = fit_per_language(built({"en": texts}), "en", dimensions=4)
    known = unit(encoder.encode([" ".join(theme + end for end in endings) for theme in themes]))
    for end in unseen:
        found = unit(encoder.encode([theme + end for theme in themes]))
        np.testing.assert_array_equal((found @ known.T).argmax(axis=1), range(4))


def test_a_word_has_the_vector_of_the_whole_word_alone() -> None:
    dataset = planted(gaps=False)
    words = dataset.text_view("de").vocabulary
    encoder = fit_cross_language(dataset, ["en", "de"])["de"]
    rows = encoder.components[[encoder.vocabulary.index(word) for word in words]]
    found = encode_words(dataset, "clsi")["de"]
    np.testing.assert_allclose(found, rows, atol=1e-6)
    assert np.abs(encoder.encode(words) - rows).max() > 0.05


def test_an_encoder_saved_by_version_01_counts_words_alone() -> None:
    encoder = fit_per_language(built({"en": random_texts(20)}), "en")
    arrays, settings = encoder.state()
    again = type(encoder).restore(arrays, settings)
    texts = ["en1 en2", "en1x"]
    np.testing.assert_array_equal(again.encode(texts), encoder.encode(texts))
    assert again.encode(texts).any(axis=1).all()
    words = [n for n, term in enumerate(encoder.vocabulary) if term.isalnum()]
    del settings["parts"]
    settings["vocabulary"] = [encoder.vocabulary[n] for n in words]
    old = type(encoder).restore({name: array[words] for name, array in arrays.items()}, settings)
    counted = TfidfVectorizer(analyzer=str.split, sublinear_tf=True, vocabulary=old.vocabulary)
    counted.fit(texts)
    counted.idf_ = old.idf
    np.testing.assert_allclose(
        old.encode(texts), counted.transform(texts).toarray() @ old.components, atol=1e-6
    )
    assert old.encode(texts).any(axis=1).tolist() == [True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokenizer": "newtok"}, "has an impossible setting"),
        ({"min_word_length": 0}, "has an impossible setting"),
        ({"unheard_of": 1}, "has an impossible setting"),
    ],
)
def test_saved_settings_are_checked(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    save_encoder(fit_per_language(built({"en": random_texts(20)}), "en"), tmp_path)
    file = tmp_path / "encoder.json"
    content = json.loads(file.read_text())
    content["settings"]["preprocessor"] |= change
    file.write_text(json.dumps(content))
    with pytest.raises(StorageError, match=message):
        load_encoder(tmp_path)


def test_rare_words_of_a_view_without_texts_are_split_in_fitting_as_in_encoding() -> None:
    texts = ["well-being deal boat", "bell-beings deal boat", "deal boat new", "boat new deal"]
    encoder = fit_per_language(without_texts(texts), "en", dimensions=3)
    counted = TfidfVectorizer(analyzer=words_and_parts, sublinear_tf=True, min_df=2)
    split = [text.replace("-", " ") for text in texts]
    decomposition = TruncatedSVD(3, random_state=0).fit(counted.fit_transform(split))
    expected = decomposition.transform(counted.transform(split))
    found = encoder.encode(texts)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-5)


def test_stop_words_of_your_own_are_not_counted_and_a_plus_is_no_part() -> None:
    texts = ["the boats +new boilerplate", "the boats +new boilerplate", "the sails"]
    own = TextPreprocessor(language="en", stop_words=["boilerplate"], tokenizer="whitespace")
    encoder = fit_per_language(from_lists({"en": texts}, preprocessing=own), "en")
    assert {term for term in encoder.vocabulary if term[0] != "\x01"} == {"the", "boats", "+new"}
    assert not encoder.of_words().encode(["new"]).any()


def test_texts_without_words_are_an_error_and_one_term_is_enough() -> None:
    with pytest.raises(DataError, match=r"view 'en': no training text has a word that an encoder"):
        fit_per_language(without_texts(["...", "..."]), "en")
    few = fit_per_language(built({"en": ["aa bb", "aa cc"]}), "en", terms=1)
    assert few.encode(["aa"]).shape == (1, 1)


def test_a_view_without_raw_texts_is_encoded_by_its_words() -> None:
    texts = ["aa bb the", "bb the aa", "aa the cc", "cc bb"]
    found = fit_per_language(without_texts(texts), "en", dimensions=2)
    expected = fit_per_language(built({"en": texts}), "en", dimensions=2)
    assert found.vocabulary == expected.vocabulary
    assert {"aa", "bb", "cc", "the"} < {*found.vocabulary}
    np.testing.assert_array_equal(found.encode(texts), expected.encode(texts))


def test_word_vectors_are_averaged_by_tfidf() -> None:
    texts = ["aa bb bb", "bb cc", "cc aa"]
    dataset = built({"en": texts})
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    encoder = from_word_vectors(dataset.with_word_vectors({"en": vectors}), "en")
    weights = TfidfVectorizer(analyzer=str.split, sublinear_tf=True).fit_transform(texts)
    assert encoder.name == "word-vectors"
    np.testing.assert_allclose(encoder.encode(texts), weights.toarray() @ vectors, atol=1e-6)
