"""What all encoders with pretrained weights have in common: each kind needs one case here."""

import copy
import pickle
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tiny_models import (
    HubModel,
    raises,
    register_clip_architecture,
    write_clip_weights,
    write_sentence_model,
    write_static_model,
    write_timm_weights,
)

from octis_m3l.encoders import (
    ClipEncoder,
    EmbeddingCache,
    SentenceEncoder,
    StaticEncoder,
    TimmEncoder,
    load_encoder,
    save_encoder,
)
from octis_m3l.encoders.base import ENCODERS
from octis_m3l.encoders.pretrained import _LOADED
from octis_m3l.encoders.saving import described, from_description
from octis_m3l.errors import DataError, MissingDependencyError, SettingsError, StorageError

RANDOM = np.random.default_rng(0)
PICTURES: list[Any] = [RANDOM.integers(0, 256, (30 + i, 50 - i, 3), np.uint8) for i in range(7)]
TEXTS = ["boat", "sea wave boats " * 15, "snow peak", "brot ofen, schiff.", "a b"]
CLIP = "tiny-clip"


def by_sentence_transformers(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu").encode(TEXTS)


def by_model2vec(folder: Path) -> Any:
    from model2vec import StaticModel

    return StaticModel.from_pretrained(folder).encode(TEXTS)


def by_open_clip(weights: Path, side: str) -> NDArray[Any]:
    import open_clip

    model, _, transform = open_clip.create_model_and_transforms(CLIP, pretrained=str(weights))
    with torch.no_grad():
        if side == "text":
            tokens = open_clip.get_tokenizer(CLIP)(TEXTS)
            return model.eval().encode_text(tokens, normalize=True).numpy()
        stacked = torch.stack([transform(Image.fromarray(one)) for one in PICTURES])
        return model.eval().encode_image(stacked, normalize=True).numpy()


def by_timm(weights: Path) -> NDArray[Any]:
    import timm
    from safetensors.torch import load_file

    network = timm.create_model("test_resnet", num_classes=0).eval()
    network.load_state_dict({n: t for n, t in load_file(weights).items() if "fc." not in n})
    settings = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**settings, is_training=False)
    with torch.no_grad():
        return network(torch.stack([transform(Image.fromarray(one)) for one in PICTURES])).numpy()


def write_clip(path: Path, seed: int = 0) -> Path:
    path.mkdir()
    return write_clip_weights(
        path / "tiny.safetensors", register_clip_architecture(path), seed=seed
    )


def write_timm(path: Path, seed: int) -> Path:
    path.mkdir()
    return write_timm_weights(path / "tiny.safetensors", "test_resnet", seed=seed)


@dataclass
class Case:
    """One kind of encoder, with tiny random weights."""

    write: Callable[[Path, int], Path]
    make: Callable[..., Any]
    by_library: Callable[[Path], NDArray[Any]]
    items: list[Any]
    name: str
    package: str
    settings: tuple[dict[str, Any], ...] = ()
    has_precision: bool = True


CASES = {
    "sentence-transformers": Case(
        lambda path, seed: write_sentence_model(path / "tiny", seed=seed),
        lambda path, **settings: SentenceEncoder(str(path), **settings),
        by_sentence_transformers,
        TEXTS,
        "tiny",
        "sentence_transformers",
        ({"max_length": 8}, {"long_texts": "mean"}, {"prompt": "query: "}),
    ),
    "model2vec": Case(
        lambda path, seed: write_static_model(path / "tiny", seed=seed),
        lambda path, **settings: StaticEncoder(str(path), **settings),
        by_model2vec,
        TEXTS,
        "tiny",
        "model2vec",
        ({"max_length": 7}, {"max_length": None}),
        has_precision=False,
    ),
    "open-clip": Case(
        write_clip,
        lambda path, **settings: ClipEncoder(CLIP, str(path), **{"side": "image"} | settings),
        lambda path: by_open_clip(path, "image"),
        PICTURES,
        "tiny-clip-tiny",
        "open_clip",
        ({"side": "text"},),
    ),
    "open-clip, text": Case(
        write_clip,
        lambda path, **settings: ClipEncoder(CLIP, str(path), side="text", **settings),
        lambda path: by_open_clip(path, "text"),
        TEXTS,
        "tiny-clip-tiny-text",
        "open_clip",
    ),
    "timm": Case(
        write_timm,
        lambda path, **settings: TimmEncoder("test_resnet", weights=str(path), **settings),
        by_timm,
        PICTURES,
        "test_resnet-tiny",
        "timm",
    ),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def path(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case.write(tmp_path_factory.mktemp("models") / "one", 0)


@pytest.fixture(scope="module")
def other(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case.write(tmp_path_factory.mktemp("models") / "other", 1)


def is_loaded(encoder: Any) -> bool:
    return encoder in _LOADED


def test_every_kind_has_a_case() -> None:
    kinds = {kind.partition(",")[0] for kind in CASES}
    assert kinds == {*ENCODERS} - {"picture", "latent-semantic", "joined", "use", "e5"}


def test_vectors_are_the_librarys(case: Case, path: Path) -> None:
    encoder = case.make(path)
    assert (encoder.name, encoder.reads == "text") == (case.name, case.items is TEXTS)
    assert not is_loaded(encoder)
    assert case.make(path).encode([]).shape == (0, encoder.dimensions)
    found = encoder.encode(case.items)
    assert found.dtype == np.float32
    assert found.shape == (len(case.items), encoder.dimensions)
    wanted = case.by_library(path)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    unit = case.make(path, normalise=True).encode(case.items)
    length = np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, wanted / length, atol=1e-5)
    for precision in ("float16", "bfloat16") if case.has_precision else ():
        half = case.make(path, precision=precision).encode(case.items)
        assert half.dtype == np.float32
        assert not np.array_equal(half, found)
        assert np.corrcoef(half.ravel(), found.ravel())[0, 1] > 0.99


def test_saved_and_loaded_it_gives_the_same(case: Case, path: Path, tmp_path: Path) -> None:
    encoder = case.make(path, normalise=True)
    wanted = encoder.encode(case.items)
    save_encoder(encoder, tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["encoder.json"]
    found: Any = load_encoder(tmp_path)
    assert type(found) is type(encoder)
    assert found.dimensions == wanted.shape[1]
    assert not is_loaded(found)
    assert found.state() == encoder.state()
    assert found.fingerprint() == encoder.fingerprint()
    np.testing.assert_array_equal(found.encode(case.items), wanted)
    assert len(pickle.dumps(found)) < 2000
    for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert not is_loaded(again)
        assert again.state() == found.state()
        np.testing.assert_array_equal(again.encode(case.items), wanted)
    assert is_loaded(found)


def test_fingerprints_differ_where_vectors_do(
    case: Case, path: Path, other: Path, tmp_path: Path
) -> None:
    base = case.make(path).fingerprint()
    assert re.fullmatch("[0-9a-f]{64}", base)
    moved = shutil.copytree(path.parent, tmp_path / "moved") / path.name
    same = [case.make(moved), case.make(path, progress=True)]
    settings = [*case.settings, {"normalise": not same[0].normalise}]
    if case.has_precision:
        same.append(case.make(path, batch_size=3, device="cpu", precision="float32"))
        settings.append({"precision": "bfloat16"})
    assert {one.fingerprint() for one in same} == {base}
    others = [case.make(path, **one) for one in settings] + [case.make(other)]
    assert len({base, *(one.fingerprint() for one in others)}) == len(others) + 1


def test_a_bar_is_shown_only_if_wanted(
    case: Case, path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    encoder = case.make(path)
    for progress in (False, True):
        encoder.progress = progress
        encoder.encode(case.items)
        assert ("100%" in capfd.readouterr().err) is progress


def test_a_changed_setting_forgets_what_was_loaded(case: Case, path: Path, other: Path) -> None:
    encoder = case.make(path)
    before, identity = encoder.encode(case.items), encoder.fingerprint()
    same, state = {"progress": True, "normalise": encoder.normalise}, encoder.state()
    for name, value in same.items():
        setattr(encoder, name, value)
    assert is_loaded(encoder)
    if case.has_precision:
        # Which weights it has, and the length of vectors, are still known on another device.
        encoder.device = "cpu"
        assert not is_loaded(encoder)
    assert encoder.state() == state
    encoder.progress = False
    setattr(encoder, encoder.paths[0], str(other))
    assert not is_loaded(encoder)
    fresh = case.make(other)
    np.testing.assert_array_equal(encoder.encode(case.items), fresh.encode(case.items))
    assert encoder.fingerprint() == fresh.fingerprint() != identity
    assert not np.allclose(fresh.encode(case.items), before)


@pytest.mark.parametrize("package", ["model2vec", "open_clip", "timm"])
def test_a_missing_package_says_how_to_install_it(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (case,) = (one for kind, one in CASES.items() if one.package == package and "," not in kind)
    path = case.write(tmp_path / "model", 0)
    monkeypatch.setitem(sys.modules, package, None)
    message = r"^this needs the package .*, which is not installed\. Install it with: pip "
    with pytest.raises(MissingDependencyError, match=message + r'install "octis-m3l\[\w+\]"\.$'):
        case.make(path).encode(case.items)


def test_a_saved_encoder_refuses_other_weights_and_asks_for_missing_ones(
    case: Case, path: Path, other: Path, tmp_path: Path
) -> None:
    place = shutil.copytree(path.parent, tmp_path / "model") / path.name
    encoder = case.make(place)
    assert "identity" not in encoder.state()[1]
    wanted = encoder.encode(case.items)
    save_encoder(encoder, tmp_path / "saved")
    description: Any = described(encoder)
    shutil.rmtree(tmp_path / "model")
    new = f"{{view: {type(encoder).__name__}(…)}}"
    remedy = (
        f" Or give another encoder: to a saved model, load(folder, encoders={new}); to a data set, "
        f"embed(dataset, {new})."
    )

    def refused(kind: type[Exception], message: str) -> None:
        for saved in (load_encoder(tmp_path / "saved"), from_description(description)):
            raises(kind, message + remedy, saved.encode, case.items)  # type: ignore[union-attr]

    refused(DataError, f"{encoder.paths[0]}='{place}': there is no such file or folder.")
    shutil.copytree(other.parent, tmp_path / "model")
    refused(
        StorageError,
        f"{place} has other weights than the saved encoder had, so vectors of new items would not "
        "fit. Put the former weights back.",
    )
    of_data: Any = from_description(description)
    setattr(of_data, of_data.paths[0], str(path))
    np.testing.assert_array_equal(of_data.encode(case.items), wanted)


def test_cached_vectors_need_no_weights(case: Case, path: Path, tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    vectors = cache.encode(case.make(path), case.items)
    again = case.make(path)
    assert cache.missing(again, case.items) == 0
    np.testing.assert_array_equal(cache.encode(again, case.items), vectors)
    assert again.dimensions == vectors.shape[1]
    assert not is_loaded(again)


@pytest.mark.parametrize("make", [SentenceEncoder, StaticEncoder])
def test_a_model_in_the_cache_of_the_hub_is_used_at_its_commit(
    make: Any, tmp_path: Path, on_hub: HubModel
) -> None:
    write = write_sentence_model if make is SentenceEncoder else write_static_model
    folders = [write(tmp_path / f"model-{seed}", seed=seed) for seed in (0, 1)]
    old, new = "0" * 39 + "1", "0" * 39 + "2"
    on_hub("some/model", new, folders[1])
    on_hub("some/model", old, folders[0])
    encoder = make("some/model")
    wanted = make(str(folders[0])).encode(TEXTS)
    np.testing.assert_allclose(encoder.encode(TEXTS), wanted, atol=1e-5)
    assert encoder.state()[1]["revision"] == old
    assert make("some/model", revision=old).fingerprint() == encoder.fingerprint()
    later = make("some/model", revision=new)
    assert not np.allclose(later.encode(TEXTS[:1]), encoder.encode(TEXTS[:1]))
    names = [encoder, later, make("not/there", revision=old)]
    assert len({one.fingerprint() for one in names}) == 3
    # The branch moves on: a saved encoder keeps its commit.
    save_encoder(encoder, tmp_path / "saved")
    on_hub("some/model", new)
    saved: Any = load_encoder(tmp_path / "saved")
    assert saved.fingerprint() == encoder.fingerprint()
    np.testing.assert_array_equal(saved.encode(TEXTS), encoder.encode(TEXTS))


def test_what_cannot_be_loaded_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = "model='./tyni': there is no such file or folder."
    raises(DataError, message, SentenceEncoder("./tyni").encode, TEXTS)
    here = str(tmp_path)
    for encoder, what in (
        (SentenceEncoder("a/b"), "sentence-transformers model 'a/b' can't be loaded ("),
        (StaticEncoder("a/b", revision="v"), "model2vec model 'a/b' at revision 'v' can't be load"),
        (SentenceEncoder(here), f"sentence-transformers model '{here}' can't be loaded ("),
        (StaticEncoder(here), f"model2vec model '{here}' can't be loaded ("),
    ):
        raises(DataError, f"the {what}", encoder.encode, TEXTS)

    def unknown(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such repository")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unknown)
    message = (
        "the sentence-transformers model 'a/b' can't be loaded (no such repository). Check the "
        "spelling and the network connection, or download it elsewhere and pass the local path."
    )
    raises(DataError, message, SentenceEncoder("a/b").encode, TEXTS)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["boat", ""], "text 1 is empty: there is nothing to encode; leave"),
        (["boat", " \n"], "text 1 is empty: there is nothing to encode; leave"),
        (["boat", "sea", float("nan")], "text 2 is of type float; expected a str"),
        ("boat", "texts to encode: expected a list of items, given one"),
        (["boat", "sea \ud83d"], r"text 1 holds half of a surrogate pair ('\ud83d' at"),
    ],
)
def test_texts_that_cannot_be_encoded_are_named(texts: Any, message: str) -> None:
    raises(DataError, message, StaticEncoder("some/model").encode, texts)


def test_pictures_that_cannot_be_encoded_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    clip = ClipEncoder(CLIP, str(write_clip(tmp_path / "clip")), side="image", batch_size=2)
    raises(
        DataError, f"picture 5 ({broken}) is no picture; mend", clip.encode, [*PICTURES[:5], broken]
    )


def test_a_vector_that_is_not_finite_is_named(tmp_path: Path) -> None:
    encoder = StaticEncoder(str(write_static_model(tmp_path / "tiny")))
    right = encoder._loaded.encode

    def overflowing(texts: list[str], **options: Any) -> Any:
        found = right(texts, **options)
        found[[text.startswith("snow") for text in texts], 3] = np.inf
        return found

    encoder._loaded.encode = overflowing
    message = "the vector of text 2 is not finite; "
    remedy = "look at that text, and check that the model's"
    raises(DataError, message + remedy, encoder.encode, TEXTS)
    encoder._precision = lambda: "float16"  # type: ignore[method-assign]
    remedy = "float16 overflows in some models: pass precisi"
    raises(DataError, message + remedy, encoder.encode, TEXTS)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("model", "", "model='': it should have at least 1 character."),
        ("model", 3, "model=3: it should be a valid string."),
        ("max_length", 0, "max_length=0: it should be greater than 0."),
        ("long_texts", "middle", "long_texts='middle': it should be 'truncate' or 'mean'."),
        ("precision", "int8", "precision='int8': it should be 'auto', 'float32', 'float16' or "),
        ("batch_size", 2.5, "batch_size=2.5: it should be a valid integer or should be 'auto'."),
        ("normalise", "yes", "normalise='yes': it should be a valid boolean."),
        ("normalize", True, "unknown setting 'normalize'. Did you mean 'normalise'?"),
    ],
)
def test_impossible_settings_are_errors(name: str, value: Any, message: str) -> None:
    message = f"SentenceEncoder: {message}"
    raises(SettingsError, message, lambda: SentenceEncoder(**{"model": "a/b", name: value}))
    raises(SettingsError, message, setattr, SentenceEncoder("a/b"), name, value)


def test_a_path_stays_the_same_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_static_model(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    encoder = StaticEncoder("tiny")
    assert encoder.model == StaticEncoder(Path("tiny")).model == str(folder)  # type: ignore[arg-type]
    assert encoder.specification == f"model2vec:{folder}"
    assert TimmEncoder("resnet18", weights="./tiny").weights == str(folder)
    assert StaticEncoder("org/model").model == "org/model"
    monkeypatch.chdir("/")
    assert encoder.encode(TEXTS).shape == (5, 8)
