"""Models of open_clip as encoders."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from tiny_models import Evil, HubModel, raises, register_clip_architecture, write_clip_weights

from octis_m3l.encoders import ClipEncoder, load_encoder, save_encoder
from octis_m3l.errors import DataError, SettingsError

RANDOM = np.random.default_rng(0)
PICTURES = [RANDOM.integers(0, 256, (20 + i, 50 - i, 3), dtype=np.uint8) for i in range(7)]
NAME = "tiny-clip"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    return write_clip_weights(folder / "w.safetensors", register_clip_architecture(folder / NAME))


@pytest.fixture(scope="module")
def vectors(weights: Path) -> Any:
    return ClipEncoder(NAME, str(weights), side="image").encode(PICTURES)


def write_model(folder: Path, weights: Path, **text_settings: Any) -> ClipEncoder:
    """Write a folder of open_clip, which has weights and settings."""
    config = open_clip.get_model_config(NAME)
    config["text_cfg"] |= text_settings
    settings = {"model_cfg": config, "preprocess_cfg": {}}
    folder.mkdir(exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(settings))
    (folder / "open_clip_model.safetensors").write_bytes(weights.read_bytes())
    return ClipEncoder(f"local-dir:{folder}", side="text" if text_settings else "image")


def test_files_of_torch_are_read_without_running_code(
    vectors: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain = write_clip_weights(tmp_path / "w.pt", NAME)
    found = ClipEncoder(NAME, str(plain), side="image").encode(PICTURES)
    np.testing.assert_array_equal(found, vectors)
    evil = tmp_path / "evil.pt"
    torch.save({"state_dict": {"a": Evil()}}, evil)
    message = (
        f"{evil} does not hold plain weights: it is broken, or it contains code, which is not "
        "run. Give a file of safetensors."
    )
    raises(DataError, message, ClipEncoder(NAME, str(evil), side="image").encode, PICTURES)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("arguments", "side", "message"),
    [
        (
            (NAME,),
            "image",
            "tiny-clip without pretrained would have random weights; give a tag of open_clip, such "
            "as 'openai' or 'laion2b_s34b_b79k', or a file of weights.",
        ),
        (
            ("hf-hub:a/b", "openai"),
            "image",
            "pretrained='openai': hf-hub:a/b has its own weights",
        ),
        (
            (NAME, "openai"),
            "picture",
            "side='picture': it should be 'image' or 'text'.",
        ),
    ],
)
def test_impossible_settings_are_errors(arguments: Any, side: Any, message: str) -> None:
    raises(SettingsError, f"ClipEncoder: {message}", lambda: ClipEncoder(*arguments, side=side))


@pytest.mark.parametrize(
    ("model", "pretrained", "error", "message"),
    [
        ("ViT-B-23", "openai", SettingsError, "unknown architecture 'ViT-B-23'; did you mean ViT-"),
        ("ViT-B-32", "opnai", SettingsError, "pretrained='opnai' is neither a file nor a tag of V"),
        ("ViT-B-32", "gone.pt", DataError, "pretrained='gone.pt': there is no such file or folder"),
        ("hf-hub:a/b", None, DataError, "the open-clip model 'a/b' can't be loaded ("),
        ("local-dir:/gone", None, DataError, "the open-clip model 'local-dir:/gone' can't be load"),
        ("ViT-B-32", "openai", DataError, "the open-clip model 'timm/vit_base_patch32_clip_224.op"),
    ],
)
def test_what_cannot_be_loaded_is_an_error(
    model: str, pretrained: str | None, error: type[Exception], message: str
) -> None:
    encoder = ClipEncoder(model, pretrained, side="text")
    raises(error, message, encoder.encode, ["a boat"])
    raises(error, message, encoder.fingerprint)


def test_weights_of_another_architecture_are_an_error(weights: Path, tmp_path: Path) -> None:
    register_clip_architecture(tmp_path, "deeper-clip", layers=2)
    encoder = ClipEncoder("deeper-clip", str(weights), side="image")
    message = f"the open-clip model 'deeper-clip' with the weights '{weights}' can't be loaded ("
    raises(DataError, message, encoder.encode, PICTURES)


def test_a_folder_of_open_clip_has_weights_and_settings(
    weights: Path, vectors: Any, tmp_path: Path
) -> None:
    encoder = write_model(tmp_path / "a", weights)
    np.testing.assert_allclose(encoder.encode(PICTURES), vectors, atol=1e-6)
    (tmp_path / "a").rename(tmp_path / "b")
    moved = ClipEncoder(f"local-dir:{tmp_path / 'b'}", side="image")
    assert moved.fingerprint() == encoder.fingerprint()
    (tmp_path / "b" / "open_clip_model.safetensors").unlink()
    gone = ClipEncoder(f"local-dir:{tmp_path / 'b'}", side="image")
    with pytest.raises(DataError, match=r"can't be loaded \("):
        gone.encode(PICTURES)
    assert gone.fingerprint() != encoder.fingerprint()


def test_a_folder_of_open_clip_runs_no_code_for_its_tokenizer(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "model"
    encoder = write_model(
        model, weights, hf_tokenizer_name="x", tokenizer_kwargs={"trust_remote_code": True}
    )
    code = {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    (model / "tokenizer_config.json").write_text(json.dumps(code))
    (model / "evil.py").write_text("open('ran', 'w')\nclass Evil: pass\n")
    with pytest.raises(DataError, match="can't be loaded"):
        encoder.encode(["a boat"])
    assert not (tmp_path / "ran").exists()


def test_clip_of_the_hub_is_loaded_at_the_commit_that_its_fingerprint_names(
    tmp_path: Path, on_hub: HubModel
) -> None:
    register_clip_architecture(tmp_path / "architecture")
    commits, wanted = [39 * "0" + "1", 39 * "0" + "2"], []
    for seed, commit in reversed([*enumerate(commits)]):
        weights = write_clip_weights(tmp_path / f"{seed}.safetensors", NAME, seed=seed)
        wanted.append(write_model(on_hub("some/clip", commit), weights).encode(PICTURES))
    encoder = ClipEncoder("hf-hub:some/clip", side="image")
    fingerprint = encoder.fingerprint()
    # The branch moves between the two, as when another process fetches the newest.
    on_hub("some/clip", commits[1])
    np.testing.assert_array_equal(encoder.encode(PICTURES), wanted[1])
    later = ClipEncoder("hf-hub:some/clip", side="image")
    np.testing.assert_array_equal(later.encode(PICTURES), wanted[0])
    assert later.fingerprint() != fingerprint
    save_encoder(encoder, tmp_path / "saved")
    again: Any = load_encoder(tmp_path / "saved")
    np.testing.assert_array_equal(again.encode(PICTURES), wanted[1])
    assert again.fingerprint() == fingerprint
