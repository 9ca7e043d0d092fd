"""Models of open_clip as encoders."""

import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import offline, register_clip_architecture, write_clip_weights

from octis_m3l.encoders import ClipEncoder, load_encoder, save_encoder
from octis_m3l.errors import DataError, MissingDependencyError, SettingsError

assert offline
RANDOM = np.random.default_rng(0)
PICTURES = [RANDOM.integers(0, 256, (20 + i, 50 - i, 3), dtype=np.uint8) for i in range(7)]
TEXTS = ["a boat", "the sea " * 30, "ein Schiff", "snow"]
NAME = "tiny-clip"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    return write_clip_weights(folder / "w.safetensors", register_clip_architecture(folder / NAME))


@pytest.fixture(scope="module")
def library(weights: Path) -> Any:
    import open_clip

    model, _, transform = open_clip.create_model_and_transforms(NAME, pretrained=str(weights))
    return model.eval(), transform, open_clip.get_tokenizer(NAME)


def test_vectors_of_pictures_are_the_librarys(weights: Path, library: Any, tmp_path: Path) -> None:
    model, transform, _ = library
    Image.fromarray(PICTURES[2]).save(tmp_path / "2.png")
    items = [*PICTURES[:2], tmp_path / "2.png", Image.fromarray(PICTURES[3]), *PICTURES[4:]]
    encoder = ClipEncoder(NAME, str(weights), side="image", batch_size=3)
    assert encoder.name == "tiny-clip-w"
    assert "_loaded" not in vars(encoder)
    found = encoder.encode(items)
    assert found.dtype == np.float32
    with torch.no_grad():
        wanted = model.encode_image(
            torch.stack([transform(Image.fromarray(one)) for one in PICTURES]), normalize=True
        )
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)
    assert encoder.dimensions == found.shape[1] == 16
    assert encoder.encode([]).shape == (0, 16)


def test_vectors_of_texts_are_the_librarys(weights: Path, library: Any) -> None:
    model, _, tokenizer = library
    encoder = ClipEncoder(NAME, str(weights), side="text", normalise=False)
    assert encoder.name == "tiny-clip-w-text"
    assert encoder.dimensions == 16
    with torch.no_grad():
        wanted = model.encode_text(tokenizer(TEXTS)).numpy()
    np.testing.assert_allclose(encoder.encode(TEXTS), wanted, atol=1e-5)
    unit = ClipEncoder(NAME, str(weights), side="text").encode(TEXTS)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, wanted, atol=1e-5)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize("side", ["image", "text"])
def test_half_precision_gives_float32_again(weights: Path, side: Any, precision: Any) -> None:
    items: Any = PICTURES if side == "image" else TEXTS
    half = ClipEncoder(NAME, str(weights), side=side, precision=precision).encode(items)
    whole = ClipEncoder(NAME, str(weights), side=side).encode(items)
    assert half.dtype == np.float32
    assert not np.array_equal(half, whole)
    np.testing.assert_allclose(half, whole, atol=0.1)


def test_a_batch_that_does_not_fit_is_halved(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ClipEncoder(NAME, str(weights), side="image").encode(PICTURES)
    encoder = ClipEncoder(NAME, str(weights), side="image")
    right, sizes = encoder._run, []

    def limited(items: Any, rows: Any) -> Any:
        sizes.append(len(rows))
        if len(rows) > 3:
            raise torch.OutOfMemoryError("no room")
        return right(items, rows)

    monkeypatch.setattr(encoder, "_run", limited)
    np.testing.assert_allclose(encoder.encode(PICTURES), wanted, atol=1e-5)
    assert sizes == [7, 3, 3, 1]


@pytest.mark.parametrize("side", ["image", "text"])
def test_saved_and_loaded_it_gives_the_same(weights: Path, tmp_path: Path, side: Any) -> None:
    items: Any = PICTURES if side == "image" else TEXTS
    encoder = ClipEncoder(NAME, str(weights), side=side, normalise=False)
    wanted = encoder.encode(items)
    save_encoder(encoder, tmp_path)
    found = load_encoder(tmp_path)
    assert isinstance(found, ClipEncoder)
    assert found.dimensions == 16
    assert found.fingerprint() == encoder.fingerprint()
    assert "_loaded" not in vars(found)
    np.testing.assert_array_equal(found.encode(items), wanted)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).encode(items), wanted)


def test_weights_that_have_moved_say_what_to_do(weights: Path, tmp_path: Path) -> None:
    moved = tmp_path / "w.safetensors"
    moved.write_bytes(weights.read_bytes())
    save_encoder(ClipEncoder(NAME, str(moved), side="image"), tmp_path / "saved")
    moved.unlink()
    message = (
        f"{moved} is not there any more: the encoder of a saved model had its pretrained there. "
        "Put it back, or tell where it is now: load(folder, encoders={view: ClipEncoder(…)})."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        load_encoder(tmp_path / "saved").encode(PICTURES)


def test_fingerprints_tell_what_decides_vectors(weights: Path, tmp_path: Path) -> None:
    other = write_clip_weights(tmp_path / "w.safetensors", NAME, seed=1)
    base = ClipEncoder(NAME, str(weights), side="image").fingerprint()
    copied = tmp_path / "copied.safetensors"
    copied.write_bytes(weights.read_bytes())
    assert ClipEncoder(NAME, str(copied), side="image", batch_size=2).fingerprint() == base
    others = [
        ClipEncoder(NAME, str(weights), side="text"),
        ClipEncoder(NAME, str(other), side="image"),
        ClipEncoder(NAME, str(weights), side="image", normalise=False),
        ClipEncoder(NAME, str(weights), side="image", precision="bfloat16"),
    ]
    assert len({base, *(one.fingerprint() for one in others)}) == 5


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("touched-by-a-pickle"),))


def test_files_of_torch_are_read_without_running_code(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain = write_clip_weights(tmp_path / "w.pt", NAME)
    found = ClipEncoder(NAME, str(plain), side="image").encode(PICTURES)
    wanted = ClipEncoder(NAME, str(weights), side="image").encode(PICTURES)
    np.testing.assert_array_equal(found, wanted)
    evil = tmp_path / "evil.pt"
    torch.save({"state_dict": {"a": Evil()}}, evil)
    message = (
        f"{evil} holds no plain weights: it is broken, or holds code, which is not run. Give a "
        "file of safetensors."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        ClipEncoder(NAME, str(evil), side="image").encode(PICTURES)
    assert not (tmp_path / "touched-by-a-pickle").exists()


def test_random_weights_are_refused() -> None:
    message = (
        "tiny-clip without pretrained would have random weights; give a tag of open_clip, such as "
        "'openai' or 'laion2b_s34b_b79k', or a file of weights."
    )
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        ClipEncoder(NAME, side="image")


@pytest.mark.parametrize(
    ("model", "pretrained", "error", "message"),
    [
        ("ViT-B-23", "openai", SettingsError, "unknown architecture 'ViT-B-23'; did you mean ViT-"),
        ("ViT-B-32", "opnai", SettingsError, "pretrained='opnai' is no file, and no tag of ViT-B-"),
        ("ViT-B-32", "gone.pt", DataError, "pretrained='gone.pt': there is no such file or folder"),
        (
            "hf-hub:some/model",
            None,
            DataError,
            "the open_clip model 'hf-hub:some/model' can't be l",
        ),
        ("local-dir:/gone", None, DataError, "the open_clip model 'local-dir:/gone' can't be load"),
        ("ViT-B-32", "openai", DataError, "the open_clip model 'ViT-B-32' with pretrained='openai"),
    ],
)
def test_what_cannot_be_loaded_is_an_error(
    model: str, pretrained: str | None, error: type[Exception], message: str
) -> None:
    encoder = ClipEncoder(model, pretrained, side="text")
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        encoder.encode(TEXTS)
    with pytest.raises(error):
        encoder.fingerprint()


def test_weights_of_another_architecture_are_an_error(weights: Path, tmp_path: Path) -> None:
    register_clip_architecture(tmp_path, "deeper-clip", layers=2)
    encoder = ClipEncoder("deeper-clip", str(weights), side="image")
    message = rf"^the open_clip model 'deeper-clip' with pretrained='{weights}' can't be loaded \("
    with pytest.raises(DataError, match=message):
        encoder.encode(PICTURES)


def test_a_model_that_brings_its_weights_takes_no_others() -> None:
    with pytest.raises(
        SettingsError, match=r"^pretrained='openai': hf-hub:a/b brings its own weig"
    ):
        ClipEncoder("hf-hub:a/b", "openai", side="image")
    with pytest.raises(SettingsError, match=r"^side='picture': it should be 'image' or 'text'\.$"):
        ClipEncoder(NAME, "openai", side="picture")  # type: ignore[arg-type]


def test_a_broken_picture_says_which(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    encoder = ClipEncoder(NAME, str(weights), side="image", batch_size=2)
    message = rf"^picture 5 \({tmp_path / 'broken.png'}\) can't be opened \("
    with pytest.raises(DataError, match=message):
        encoder.encode([*PICTURES[:5], tmp_path / "broken.png"])
    with pytest.raises(DataError, match=r"^text 1 is empty"):
        ClipEncoder(NAME, str(weights), side="text").encode(["a", ""])


def test_a_folder_of_open_clip_brings_weights_and_settings(
    weights: Path, library: Any, tmp_path: Path
) -> None:
    import json

    import open_clip

    config = {"model_cfg": open_clip.get_model_config(NAME), "preprocess_cfg": {}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    (tmp_path / "open_clip_model.safetensors").write_bytes(weights.read_bytes())
    encoder = ClipEncoder(f"local-dir:{tmp_path}", side="image")
    wanted = ClipEncoder(NAME, str(weights), side="image").encode(PICTURES)
    np.testing.assert_allclose(encoder.encode(PICTURES), wanted, atol=1e-6)
    before = encoder.fingerprint()
    (tmp_path / "open_clip_model.safetensors").unlink()
    gone = ClipEncoder(f"local-dir:{tmp_path}", side="image")
    with pytest.raises(DataError, match=r"can't be loaded \("):
        gone.encode(PICTURES)
    assert gone.fingerprint() != before


def test_a_folder_of_open_clip_runs_no_code_for_its_tokenizer(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    import open_clip

    monkeypatch.chdir(tmp_path)
    config = open_clip.get_model_config(NAME)
    config["text_cfg"] |= {
        "hf_tokenizer_name": "x",
        "tokenizer_kwargs": {"trust_remote_code": True},
    }
    model = tmp_path / "model"
    model.mkdir()
    (model / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": {}})
    )
    (model / "open_clip_model.safetensors").write_bytes(weights.read_bytes())
    (model / "tokenizer_config.json").write_text(
        json.dumps({"auto_map": {"AutoTokenizer": ["evil.Evil", None]}})
    )
    (model / "evil.py").write_text("open('ran', 'w')\nclass Evil: pass\n")
    with pytest.raises(DataError, match="can't be loaded"):
        ClipEncoder(f"local-dir:{model}", side="text").encode(TEXTS)
    assert not (tmp_path / "ran").exists()


def test_without_open_clip_it_says_how_to_install_it(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    message = (
        "this encoder needs the package open-clip-torch, which is not installed. Install it with: "
        'pip install "octis-m3l[images]".'
    )
    with pytest.raises(MissingDependencyError, match=f"^{re.escape(message)}$"):
        ClipEncoder(NAME, str(weights), side="image").encode(PICTURES)


def test_a_bar_is_drawn_only_where_it_is_wanted(
    weights: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    encoder = ClipEncoder(NAME, str(weights), side="image")
    encoder.encode(PICTURES)
    assert capfd.readouterr().err == ""
    encoder.progress = True
    encoder.encode(PICTURES)
    assert "7/7" in capfd.readouterr().err
