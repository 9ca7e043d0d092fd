"""Models of sentence-transformers as encoders."""

import json
import logging
import pickle
import re
import shutil
import socket
from pathlib import Path
from typing import Any
from urllib.error import URLError

import filelock
import httpx
import numpy as np
import pytest
import requests
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_models import WINDOW, cached_on_hub, link_all, offline, write_sentence_model

from octis_m3l.encoders import EmbeddingCache, SentenceEncoder, load_encoder, save_encoder
from octis_m3l.encoders.opening import in_batches, no_network
from octis_m3l.encoders.sentence import windows_of
from octis_m3l.errors import DataError, SettingsError, StorageError

assert offline
TEXTS = [
    "boat",
    "sea wave boats " * 15 + "snow " * 23,
    "snow peak",
    "brot ofen, schiff.",
    "train " * 20,
    "a b",
]


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


def test_making_one_loads_nothing() -> None:
    encoder = SentenceEncoder("some/model", max_length=9)
    assert encoder.name == "model"
    assert encoder.state()[1]["dimensions"] is None
    assert "_loaded" not in vars(encoder)


def test_vectors_are_the_librarys(encoder: SentenceEncoder, library: Any) -> None:
    found = encoder.encode(TEXTS)
    assert found.dtype == np.float32
    assert found.shape == (len(TEXTS), encoder.dimensions) == (6, 16)
    np.testing.assert_allclose(found, library.encode(TEXTS), atol=1e-5)
    assert encoder.encode([]).shape == (0, 16)


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


def slow_mean(library: Any, text: str, prompt: str = "") -> NDArray[Any]:
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


def test_the_end_of_a_long_text_counts(folder: Path) -> None:
    encoder = SentenceEncoder(str(folder), long_texts="mean")
    found = encoder.encode(["sea " * 60 + "snow", "sea " * 60 + "train"])
    assert not np.allclose(found[0], found[1], atol=1e-3)


def letters(text: str) -> list[tuple[int, int]]:
    """Tokens of one or two letters; spaces belong to none."""
    return [match.span() for match in re.finditer(r"\w\w?|[^\w\s]", text)]


@settings(max_examples=200, deadline=None)
@given(st.text("ab ,.語\n", max_size=80), st.integers(1, 9))
def test_windows_put_together_are_the_text(text: str, room: int) -> None:
    windows = windows_of(text, letters(text), room, letters)
    assert "".join(piece for piece, _ in windows).strip() == text.strip()
    for piece, tokens in windows:
        assert tokens == max(1, len(letters(piece)))
        assert tokens <= room
    if len(letters(text)) <= room:
        assert [piece for piece, _ in windows] == [text]


def test_windows_end_between_words_where_there_are_any() -> None:
    text = "aaaa bbbb cccc dddd"
    windows = windows_of(text, letters(text), 5, letters)
    assert [piece.strip() for piece, _ in windows] == ["aaaa bbbb", "cccc dddd"]
    assert [len(p) for p, _ in windows_of("a" * 24, letters("a" * 24), 5, letters)] == [10, 10, 4]


def test_a_window_that_has_more_tokens_by_itself_is_made_shorter() -> None:
    def by_itself(text: str) -> list[tuple[int, int]]:
        return [(0, 0), *letters(text)]

    windows = windows_of("a" * 40, letters("a" * 40), 5, by_itself)
    assert "".join(piece for piece, _ in windows) == "a" * 40
    assert {tokens for _, tokens in windows} == {5}


def test_vectors_may_be_of_length_one(folder: Path, encoder: SentenceEncoder) -> None:
    found = SentenceEncoder(str(folder), normalise=True, long_texts="mean").encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    plain = encoder.encode(TEXTS)[[0]]
    np.testing.assert_allclose(found[[0]], plain / np.linalg.norm(plain), atol=1e-6)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_gives_float32_again(
    folder: Path, encoder: SentenceEncoder, precision: Any
) -> None:
    half = SentenceEncoder(str(folder), precision=precision)
    found = half.encode(TEXTS)
    assert found.dtype == np.float32
    assert next(half._loaded.parameters()).dtype == getattr(torch, precision)
    whole = encoder.encode(TEXTS)
    assert not np.array_equal(found, whole)
    assert np.corrcoef(found.ravel(), whole.ravel())[0, 1] > 0.99


def test_a_batch_that_does_not_fit_is_halved(folder: Path, encoder: SentenceEncoder) -> None:
    small = SentenceEncoder(str(folder), batch_size=8)
    sizes, right = [], small._loaded.encode

    def limited(texts: list[str], **options: Any) -> Any:
        sizes.append(len(texts))
        if len(texts) > 3:
            raise torch.OutOfMemoryError("no room")
        return right(texts, **options)

    small._loaded.encode = limited
    np.testing.assert_allclose(small.encode(TEXTS * 2), encoder.encode(TEXTS * 2), atol=1e-5)
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2]


def test_a_text_that_does_not_fit_is_an_error(folder: Path) -> None:
    encoder = SentenceEncoder(str(folder))

    def never(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("no room")

    encoder._loaded.encode = never
    message = "^the memory of cpu does not hold a single text beside the model; use another device"
    with pytest.raises(SettingsError, match=message):
        encoder.encode(TEXTS)


def test_several_devices_have_the_librarys_pool(folder: Path, encoder: SentenceEncoder) -> None:
    several = SentenceEncoder(str(folder), device=["cpu", "cpu"], batch_size=8)
    library, right = several._loaded, several._loaded.encode
    calls: list[Any] = []

    def pooled(texts: list[str], *, pool: Any, batch_size: int, **options: Any) -> Any:
        calls.append((pool, batch_size))
        if batch_size > 2:
            raise torch.OutOfMemoryError("no room")
        return right(texts, **options)

    library.start_multi_process_pool = lambda devices: calls.append(devices) or "the pool"
    library.stop_multi_process_pool = lambda pool: calls.append("stopped")
    library.encode = pooled
    np.testing.assert_allclose(several.encode(TEXTS), encoder.encode(TEXTS), atol=1e-5)
    pools = [("the pool", 8), ("the pool", 4), ("the pool", 2)]
    assert calls == [["cpu", "cpu"], *pools, "stopped"]


@pytest.mark.parametrize("devices", ["cpu", ["cpu", "cpu"]])
def test_an_interruption_passes_through(folder: Path, devices: Any) -> None:
    encoder = SentenceEncoder(str(folder), device=devices)
    stopped: list[Any] = []

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    encoder._loaded.encode = interrupted
    encoder._loaded.start_multi_process_pool = lambda devices: "the pool"
    encoder._loaded.stop_multi_process_pool = stopped.append
    with pytest.raises(KeyboardInterrupt):
        encoder.encode(TEXTS)
    assert stopped == ([] if devices == "cpu" else ["the pool"])


def test_saved_and_loaded_it_gives_the_same(folder: Path, tmp_path: Path) -> None:
    encoder = SentenceEncoder(str(folder), long_texts="mean", prompt="query: ", batch_size=3)
    wanted = encoder.encode(TEXTS)
    save_encoder(encoder, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.json"]
    found = load_encoder(tmp_path)
    assert isinstance(found, SentenceEncoder)
    assert "_loaded" not in vars(found)
    assert found.dimensions == 16
    assert "_loaded" not in vars(found)
    assert found.state() == encoder.state()
    assert found.fingerprint() == encoder.fingerprint()
    assert found.batch_size == "auto"
    np.testing.assert_allclose(found.encode(TEXTS), wanted, atol=1e-5)


def test_a_saved_folder_may_be_named_from_elsewhere(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    save_encoder(SentenceEncoder("tiny"), tmp_path)
    monkeypatch.chdir(tmp_path)
    assert load_encoder(tmp_path).encode(["boat"]).shape == (1, 16)


def test_a_model_that_has_moved_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "model")
    save_encoder(SentenceEncoder(str(moved)), tmp_path / "saved")
    shutil.rmtree(moved)
    message = (
        f"{moved} is not there any more: the encoder of a saved model had its model there. Put it "
        "back, or tell where it is now: load(folder, encoders={view: SentenceEncoder(…)})."
    )
    encoder = load_encoder(tmp_path / "saved")
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        encoder.encode(TEXTS)


def test_an_unknown_stored_setting_is_an_error() -> None:
    message = "^a stored encoder of kind 'sentence-transformers' has a setting 'colour' that is not"
    with pytest.raises(StorageError, match=message):
        SentenceEncoder.restore({}, {"model": "a/b", "colour": 1})


def test_it_is_pickled_without_weights(encoder: SentenceEncoder) -> None:
    wanted = encoder.encode(TEXTS)
    assert len(pickle.dumps(encoder)) < 2000
    again = pickle.loads(pickle.dumps(encoder))
    assert "_loaded" not in vars(again)
    np.testing.assert_array_equal(again.encode(TEXTS), wanted)


def test_fingerprints_tell_what_decides_vectors(folder: Path, tmp_path: Path) -> None:
    path = str(folder)
    base = SentenceEncoder(path).fingerprint()
    assert re.fullmatch("[0-9a-f]{64}", base)
    same = [
        {"batch_size": 3},
        {"device": "cpu"},
        {"device": ["cpu", "cpu"]},
        {"precision": "float32"},
        {"progress": True},
    ]
    assert {SentenceEncoder(path, **one).fingerprint() for one in same} == {base}
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    assert SentenceEncoder(str(moved)).fingerprint() == base
    others: list[dict[str, Any]] = [
        {"max_length": 8},
        {"long_texts": "mean"},
        {"prompt": "query: "},
        {"normalise": True},
        {"precision": "bfloat16"},
    ]
    assert len({base, *(SentenceEncoder(path, **one).fingerprint() for one in others)}) == 6
    write_sentence_model(tmp_path / "other", seed=1)
    assert SentenceEncoder(str(tmp_path / "other")).fingerprint() != base
    (moved / "README.md").write_text("changed")
    assert SentenceEncoder(str(moved)).fingerprint() == base
    (moved / "1_Pooling" / "config.json").write_text("{}")
    assert SentenceEncoder(str(moved)).fingerprint() != base


def test_a_model_in_the_cache_of_the_hub_is_used_at_its_commit(
    folder: Path, encoder: SentenceEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789abcdef0123456789abcdef01234567"
    link_all(folder, cached_on_hub(tmp_path, "sentence-transformers/tiny", commit))
    for name in ("sentence-transformers/tiny", "tiny"):
        cached = SentenceEncoder(name)
        assert cached.fingerprint() != encoder.fingerprint()
        np.testing.assert_allclose(cached.encode(TEXTS), encoder.encode(TEXTS), atol=1e-5)
        assert cached.state()[1]["revision"] == commit
        again = SentenceEncoder(name, revision=commit)
        assert again.fingerprint() == cached.fingerprint()
    assert SentenceEncoder("a/b", revision=commit).fingerprint() != cached.fingerprint()


def test_what_cannot_be_loaded_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"^model='\./tyni': there is no such file or folder\.$"):
        SentenceEncoder("./tyni").encode(TEXTS)
    message = (
        r"^the model 'some/model' can't be loaded: the network can't be reached \(.+\)\. Try again "
        r"later, or download it elsewhere and pass the local path\.$"
    )
    with pytest.raises(DataError, match=message):
        SentenceEncoder("some/model").encode(TEXTS)
    with pytest.raises(
        DataError, match=r"^the model 'some/model' at revision 'v2' can't be loaded"
    ):
        SentenceEncoder("some/model", revision="v2").fingerprint()
    with pytest.raises(DataError, match=rf"^the sentence-transformers model '{tmp_path}' can't be"):
        SentenceEncoder(str(tmp_path)).encode(TEXTS)

    def unknown(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such repository")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unknown)
    message = (
        r"^the model 'some/model' can't be loaded \(no such repository\)\. Check the spelling; "
        r"where there is no network, download it elsewhere and pass the local path\.$"
    )
    with pytest.raises(DataError, match=message):
        SentenceEncoder("some/model").encode(TEXTS)


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize("trap", ["modules.json", "config.json", "pytorch_model.bin"])
def test_a_folder_runs_no_code(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    monkeypatch.chdir(tmp_path)
    model = Path(shutil.copytree(folder, tmp_path / "model"))
    (model / "evil.py").write_text("open('ran', 'w')\nclass Evil: pass\n")
    if trap == "modules.json":
        modules = [{"idx": 0, "name": "0", "path": "", "type": "evil.Evil"}]
        (model / trap).write_text(json.dumps(modules))
    elif trap == "config.json":
        config = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}
        (model / trap).write_text(json.dumps(config))
    else:
        (model / "model.safetensors").unlink()
        torch.save({"a": Evil()}, model / trap)
    with pytest.raises(DataError, match="can't be loaded"):
        SentenceEncoder(str(model)).encode(["boat"])
    assert not (tmp_path / "ran").exists()


def test_empty_texts_and_other_things_are_errors(encoder: SentenceEncoder) -> None:
    for text in ("", " \n"):
        with pytest.raises(DataError, match=r"^text 1 is empty: there is nothing to encode; leave"):
            encoder.encode(["boat", text])
    with pytest.raises(DataError, match=r"^text 2 is of type float; expected a str"):
        encoder.encode(["boat", "sea", float("nan")])  # type: ignore[list-item]
    with pytest.raises(
        DataError, match=r"^texts to encode: expected a list of items, given one str"
    ):
        encoder.encode("boat")
    with pytest.raises(DataError, match=r"^text 1 holds half of a surrogate pair \('\\ud83d' at"):
        encoder.encode(["boat", "sea \ud83d"])


def test_vectors_that_are_not_finite_are_an_error(folder: Path) -> None:
    broken = SentenceEncoder(str(folder), precision="float16")
    right = broken._loaded.encode

    def overflowing(texts: list[str], **options: Any) -> Any:
        found = right(texts, **options)
        found[[text.startswith("snow") for text in texts], 3] = np.inf
        return found

    broken._loaded.encode = overflowing
    message = (
        "the vector of text 2 is not finite; float16 overflows in some models: pass "
        "precision='bfloat16' or 'float32'."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        broken.encode(TEXTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 0}, "max_length=0: it should be greater than or equal to 1."),
        ({"long_texts": "middle"}, "long_texts='middle': it should be 'truncate' or 'mean'."),
        ({"precision": "int8"}, "precision='int8': it should be 'auto', 'float32', 'float16' or "),
        ({"batch_size": 2.5}, "batch_size=2.5: it should be a valid integer or should be 'auto'."),
        ({"normalise": "yes"}, "normalise='yes': it should be a valid boolean."),
    ],
)
def test_impossible_settings_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}"):
        SentenceEncoder("some/model", **options)


def test_what_the_model_cannot_do_is_an_error(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"^max_length=65: .* reads at most 64 tokens; give no"):
        SentenceEncoder(str(folder), max_length=65).encode(TEXTS)
    with pytest.raises(SettingsError, match=r"^no token of a text fits into 4 beside the marks"):
        SentenceEncoder(str(folder), max_length=4, long_texts="mean", prompt="query: ").encode(
            TEXTS
        )
    with pytest.raises(SettingsError, match=r"^device='cuda:99' can't be used here"):
        SentenceEncoder(str(folder), device="cuda:99").encode(TEXTS)
    with pytest.raises(SettingsError, match=r"^device=\[\] names no device"):
        SentenceEncoder(str(folder), device=[]).encode(TEXTS)


def test_a_bar_is_drawn_only_where_it_is_wanted(
    folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    encoder = SentenceEncoder(str(folder))
    encoder.encode(TEXTS)
    assert capfd.readouterr().err == ""
    encoder.progress = True
    encoder.encode(TEXTS)
    assert "6/6" in capfd.readouterr().err


def test_what_is_in_the_cache_needs_no_weights(folder: Path, tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    vectors = cache.encode(SentenceEncoder(str(folder)), TEXTS)
    again = SentenceEncoder(str(folder))
    assert cache.missing(again, [*TEXTS, "another"]) == 1
    np.testing.assert_array_equal(cache.encode(again, TEXTS), vectors)
    assert again.dimensions == vectors.shape[1]
    assert "_loaded" not in vars(again)


def test_batches_grow_on_a_gpu_in_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    room, most = 1000, [900]  # another's peak, before

    def run(rows: NDArray[np.int64]) -> NDArray[Any]:
        most[0] = max(most[0], len(rows))
        sizes.append(len(rows))
        return np.ones((len(rows), 2), np.float32)

    monkeypatch.setattr("torch.cuda.reset_peak_memory_stats", lambda _: most.__setitem__(0, 0))
    monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda _: most[0])
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda _: 0)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (room, room))
    for _ in range(2):
        sizes: list[int] = []
        in_batches(
            np.arange(1500), run, batch_size="auto", device="cuda", progress=False, what="text"
        )
        assert sizes == [32, 64, 128, 256, 512, 508]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx.ConnectError("no route"), True),
        (URLError(socket.gaierror(-2, "unknown")), True),
        (requests.ReadTimeout("slow"), True),
        (RuntimeError("404"), False),
        (filelock.Timeout("a.lock"), False),
    ],
)
def test_networks_that_are_not_there_are_told_from_other_errors(
    error: Exception, expected: bool
) -> None:
    assert no_network(error) is expected
    try:
        raise ValueError("can't load it") from error
    except ValueError as outer:
        assert no_network(outer) is expected
