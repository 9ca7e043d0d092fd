"""Models of open_clip as encoders."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import cached_on_hub, offline, register_clip_architecture, write_clip_weights

from octis_m3l.encoders import ClipEncoder, load_encoder, save_encoder
from octis_m3l.errors import DataError, SettingsError

assert offline
RANDOM = np.random.default_rng(0)
PICTURES = [RANDOM.integers(0, 256, (20 + i, 50 - i, 3), dtype=np.uint8) for i in range(7)]
TEXTS = ["a boat", "the sea " * 30, "ein Schiff", "snow"]
NAME = "tiny-clip"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    return write_clip_weights(folder / "w.safetensors", register_clip_architecture(folder / NAME))


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
        f"{evil} does not hold plain weights: it is broken, or it contains code, which is not "
        "run. Give a file of safetensors."
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
        ("ViT-B-32", "opnai", SettingsError, "pretrained='opnai' is neither a file nor a tag of V"),
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
        SettingsError, match=r"^pretrained='openai': hf-hub:a/b has its own weights"
    ):
        ClipEncoder("hf-hub:a/b", "openai", side="image")
    with pytest.raises(SettingsError, match=r"^side='picture': it should be 'image' or 'text'\.$"):
        ClipEncoder(NAME, "openai", side="picture")  # type: ignore[arg-type]


def test_a_folder_of_open_clip_brings_weights_and_settings(weights: Path, tmp_path: Path) -> None:
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


def test_clip_of_the_hub_is_loaded_at_the_commit_that_its_fingerprint_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import open_clip
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    register_clip_architecture(tmp_path / "architecture")
    config = {"model_cfg": open_clip.get_model_config(NAME), "preprocess_cfg": {}}
    old, new = "0" * 39 + "1", "0" * 39 + "2"
    first = cached_on_hub(tmp_path, "some/clip", old)
    folders = [first, first.with_name(new)]
    for seed, one in enumerate(folders):
        one.mkdir(exist_ok=True)
        (one / "open_clip_config.json").write_text(json.dumps(config))
        write_clip_weights(one / "open_clip_model.safetensors", NAME, seed=seed)
    picture = [np.arange(3072, dtype=np.uint8).reshape(32, 32, 3)]
    wanted = [ClipEncoder(f"local-dir:{one}", side="image").encode(picture) for one in folders]
    encoder = ClipEncoder("hf-hub:some/clip", side="image")
    fingerprint = encoder.fingerprint()
    # The branch moves between the two, as when another process fetches the newest.
    (tmp_path / "models--some--clip" / "refs" / "main").write_text(new)
    np.testing.assert_array_equal(encoder.encode(picture), wanted[0])
    later = ClipEncoder("hf-hub:some/clip", side="image")
    np.testing.assert_array_equal(later.encode(picture), wanted[1])
    assert later.fingerprint() != fingerprint
    save_encoder(encoder, tmp_path / "saved")
    again: Any = load_encoder(tmp_path / "saved")
    np.testing.assert_array_equal(again.encode(picture), wanted[0])
    assert again.fingerprint() == fingerprint


def test_a_folder_of_clip_keeps_its_fingerprint_where_it_goes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "open_clip_config.json").write_text("{}")
    fingerprint = ClipEncoder(f"local-dir:{tmp_path / 'a'}", side="image").fingerprint()
    (tmp_path / "a").rename(tmp_path / "b")
    moved = ClipEncoder(f"local-dir:{tmp_path / 'b'}", side="image")
    assert moved.fingerprint() == fingerprint
    (tmp_path / "b" / "open_clip_config.json").write_text("{ }")
    assert ClipEncoder(f"local-dir:{tmp_path / 'b'}", side="image").fingerprint() != fingerprint
