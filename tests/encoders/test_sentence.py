"""Models of sentence-transformers as encoders."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_models import WINDOW, Evil, HubModel, raises, write_sentence_model

from octis_m3l.encoders import SentenceEncoder
from octis_m3l.encoders.sentence import windows_of
from octis_m3l.errors import DataError, SettingsError

LONG = "sea wave boats " * 15 + "snow " * 23
TEXTS = ["boat", LONG, "snow peak", "brot ofen, schiff.", "train " * 20, "a b"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentence_model(tmp_path_factory.mktemp("sentence") / "tiny")


@pytest.fixture(scope="module")
def library(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> SentenceEncoder:
    return SentenceEncoder(str(folder))


@pytest.mark.parametrize("batch_size", [1, 2, 5, "auto"])
def test_rows_stay_in_order_whatever_the_batches(
    folder: Path, encoder: SentenceEncoder, batch_size: Any
) -> None:
    texts = [f"boat {'sea ' * (i * 7 % 30)}snow" for i in range(40)]
    found = SentenceEncoder(str(folder), batch_size=batch_size).encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_allclose(found, alone, atol=1e-5)


def test_a_long_text_is_cut_off(folder: Path, encoder: SentenceEncoder) -> None:
    longer = ["sea " * 22 + "snow", "sea " * 22, "sea " * 3 + "snow"]
    found = encoder.encode(longer)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert not np.allclose(found[1], found[2], atol=1e-2)
    short = SentenceEncoder(str(folder), max_length=5).encode([*longer, "sea sea sea"])
    np.testing.assert_allclose(short, short[[3, 3, 3, 3]], atol=1e-6)
    more = SentenceEncoder(str(folder), max_length=40).encode(longer)
    assert not np.allclose(more[0], more[1], atol=1e-3)


def slow_mean(library: Any, text: str, prompt: str) -> NDArray[Any]:
    """Words here are one token, and a plural's end another: cut after so many tokens."""
    pieces, tokens = [[]], [0]
    room = WINDOW - 2 - len(library.tokenizer.tokenize(prompt))
    for word in text.split():
        size = len(library.tokenizer.tokenize(word))
        if tokens[-1] + size > room:
            pieces.append([])
            tokens.append(0)
        pieces[-1].append(word)
        tokens[-1] += size
    found = library.encode([prompt + " ".join(piece) for piece in pieces])
    return np.average(found, axis=0, weights=tokens)


@pytest.mark.parametrize("prompt", [None, "query: "])
def test_windows_are_averaged_as_by_a_slow_loop(
    folder: Path, library: Any, prompt: str | None
) -> None:
    encoder = SentenceEncoder(str(folder), long_texts="mean", prompt=prompt)
    found = encoder.encode(TEXTS)
    wanted = np.stack([slow_mean(library, text, prompt or "") for text in TEXTS])
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    truncated = SentenceEncoder(str(folder), prompt=prompt).encode(TEXTS)
    np.testing.assert_allclose(found[[0, 2, 3, 5]], truncated[[0, 2, 3, 5]], atol=1e-5)
    assert not np.allclose(found[1], truncated[1], atol=1e-2)


def letters(text: str) -> list[tuple[int, int]]:
    """Tokens of one or two letters; spaces belong to none."""
    return [match.span() for match in re.finditer(r"\w\w?|[^\w\s]", text)]


def windows(text: str, room: int) -> list[tuple[str, int]]:
    return windows_of(text, letters(text), room, letters)


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(st.text("ab ,.語\n", max_size=80), st.integers(1, 9))
def test_windows_put_together_are_the_text(text: str, room: int) -> None:
    found = windows(text, room)
    assert "".join(piece for piece, _ in found).strip() == text.strip()
    for piece, tokens in found:
        assert tokens == max(1, len(letters(piece)))
        assert tokens <= room
    if len(letters(text)) <= room:
        assert [piece for piece, _ in found] == [text]


def test_windows_end_between_words_where_there_are_any() -> None:
    found = windows("aaaa bbbb cccc dddd", 5)
    assert [piece.strip() for piece, _ in found] == ["aaaa bbbb", "cccc dddd"]
    assert [len(piece) for piece, _ in windows("a" * 24, 5)] == [10, 10, 4]


def test_a_window_that_has_more_tokens_by_itself_is_made_shorter() -> None:
    text = "a" * 40
    found = windows_of(text, letters(text), 5, lambda piece: [(0, 0), *letters(piece)])
    assert "".join(piece for piece, _ in found) == text
    assert {tokens for _, tokens in found} == {5}


def limited(encoder: SentenceEncoder, most: int) -> list[int]:
    """Let an encoder have memory for so many texts, and return the sizes of its batches."""
    sizes, right = [], encoder._loaded.encode

    def encode(texts: list[str], *, batch_size: int, pool: Any = None, **options: Any) -> Any:
        sizes.append(batch_size)
        if batch_size > most:
            raise torch.OutOfMemoryError("no room")
        return right(texts, **options)

    encoder._loaded.encode = encode
    return sizes


def test_a_batch_that_does_not_fit_is_halved(folder: Path, encoder: SentenceEncoder) -> None:
    small = SentenceEncoder(str(folder), batch_size=8)
    sizes = limited(small, 3)
    np.testing.assert_allclose(small.encode(TEXTS * 2), encoder.encode(TEXTS * 2), atol=1e-5)
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2]
    limited(small, 0)
    message = "the memory of cpu does not hold a single text beside the model; use another device"
    raises(SettingsError, message, small.encode, TEXTS)


def test_several_devices_have_the_librarys_pool(folder: Path, encoder: SentenceEncoder) -> None:
    several = SentenceEncoder(str(folder), device=["cpu", "cpu"], batch_size=8)
    sizes, pools = limited(several, 2), []
    several._loaded.start_multi_process_pool = lambda devices: pools.append(devices) or "the pool"
    several._loaded.stop_multi_process_pool = pools.append
    np.testing.assert_allclose(several.encode(TEXTS), encoder.encode(TEXTS), atol=1e-5)
    assert sizes == [8, 4, 2]
    assert pools == [["cpu", "cpu"], "the pool"]
    # It is also stopped after an error.
    limited(several, 0)
    with pytest.raises(SettingsError, match="the memory of cpu and cpu does not hold"):
        several.encode(TEXTS)
    assert pools[2:] == pools[:2]


def test_the_prefix_of_the_librarys_own_models_may_be_left_out(
    folder: Path, encoder: SentenceEncoder, on_hub: HubModel
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    on_hub("sentence-transformers/tiny", commit, folder)
    found = [SentenceEncoder(name) for name in ("sentence-transformers/tiny", "tiny")]
    found.append(SentenceEncoder("tiny", revision=commit))
    for cached in found:
        np.testing.assert_allclose(cached.encode(TEXTS), encoder.encode(TEXTS), atol=1e-5)
        assert cached.state()[1]["revision"] == commit
    assert found[1].fingerprint() == found[2].fingerprint() != encoder.fingerprint()


@pytest.mark.parametrize("trap", ["modules.json", "config.json", "pytorch_model.bin"])
def test_a_folder_runs_no_code(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    monkeypatch.chdir(tmp_path)
    model = Path(shutil.copytree(folder, tmp_path / "model"))
    (model / "evil.py").write_text("open('ran', 'w')\nclass Evil: pass\n")
    if trap == "pytorch_model.bin":
        (model / "model.safetensors").unlink()
        torch.save({"a": Evil()}, model / trap)
    else:
        modules = [{"idx": 0, "name": "0", "path": "", "type": "evil.Evil"}]
        config = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}
        (model / trap).write_text(json.dumps(modules if trap == "modules.json" else config))
    with pytest.raises(DataError, match="can't be loaded"):
        SentenceEncoder(str(model)).encode(["boat"])
    assert not (tmp_path / "ran").exists()


def test_what_the_model_cannot_do_is_an_error(folder: Path) -> None:
    for settings, message in (
        ({"max_length": 65}, f"max_length=65: {folder} reads at most 64 tokens; give no"),
        (
            {"max_length": 4, "long_texts": "mean", "prompt": "query: "},
            "no token of a text fits into 4 beside the special tokens",
        ),
        ({"device": "cuda:99"}, "device='cuda:99' can't be used here"),
        ({"device": []}, "SentenceEncoder: device=[]: it should"),
    ):
        raises(
            SettingsError, message, lambda s=settings: SentenceEncoder(folder, **s).encode(TEXTS)
        )


def test_batches_grow_on_a_gpu_in_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    room, most = 1000, [900]  # another's peak, before

    class Counting(SentenceEncoder):
        def _run(self, items: list[str], rows: NDArray[np.int64]) -> NDArray[Any]:
            most[0] = max(most[0], len(rows))
            sizes.append(len(rows))
            return np.ones((len(rows), 2), np.float32)

    monkeypatch.setattr("torch.cuda.reset_peak_memory_stats", lambda _: most.__setitem__(0, 0))
    monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda _: most[0])
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda _: 0)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (room, room))
    monkeypatch.setattr("octis_m3l.encoders.batched.chosen_device", lambda name: name)
    for _ in range(2):
        sizes: list[int] = []
        Counting("a/b", device="cuda").encode(["text"] * 1500)
        assert sizes == [32, 64, 128, 256, 512, 508]
