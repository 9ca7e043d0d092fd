"""Vectors kept on disk: encoded once, resumed after a kill, checked when read."""

import hashlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from tiny_models import raises

from octis_m3l.encoders.base import embedding_name
from octis_m3l.encoders.cache import EmbeddingCache, content_key
from octis_m3l.encoders.picture import PictureEncoder
from octis_m3l.errors import DataError, SettingsError, StorageError

TEXTS = [f"document {number}" for number in range(130)]


class Toy:
    """An encoder of ten lines, which remembers what it was given in each call."""

    name, dimensions, device = "toy/encoder of ours", 5, None

    def __init__(self, revision: str = "1", device: Any = None) -> None:
        self.revision, self.device, self.calls = revision, device, []

    @property
    def seen(self) -> list[Any]:
        return [item for call in self.calls for item in call]

    def fingerprint(self) -> str:
        return f"an encoder with long words / and spaces, version {self.revision}"

    def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
        self.calls.append(list(items))
        return np.stack([vector(f"{item}{self.revision}") for item in items])


def vector(text: str) -> NDArray[np.float32]:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(5).astype(np.float32)


def assert_encodes(folder: Path, texts: list[Any], seen: list[Any] | None) -> None:
    """Assert that vectors are right, and which texts the encoder was given for them."""
    encoder = Toy()
    assert np.array_equal(EmbeddingCache(folder).encode(encoder, texts), Toy().encode(texts))
    assert seen is None or encoder.seen == seen


def test_items_are_encoded_once_in_any_order(tmp_path: Path) -> None:
    cache, encoder, texts = EmbeddingCache(tmp_path, items_at_once=7), Toy(), TEXTS[:40]
    first = cache.encode(encoder, texts)
    assert np.array_equal(first, Toy().encode(texts))
    assert isinstance(first, np.memmap)
    mixed = [texts[5], texts[5], texts[39], texts[0]]
    assert np.array_equal(cache.encode(encoder, mixed), first[[5, 5, 39, 0]])
    assert encoder.seen == texts
    assert cache.encode(encoder, []).shape == (0, 5)
    # Few of many.
    cache.encode(encoder, TEXTS)
    assert np.array_equal(cache.encode(encoder, TEXTS[9:10]), first[9:10])
    assert encoder.seen == TEXTS


def test_a_changed_document_or_revision_is_encoded_again(tmp_path: Path) -> None:
    assert_encodes(tmp_path, TEXTS[:20], TEXTS[:20])
    changed = [*TEXTS[:3], "another document", *TEXTS[4:20]]
    assert EmbeddingCache(tmp_path).missing(Toy(), changed) == 1
    assert_encodes(tmp_path, changed, ["another document"])
    other = EmbeddingCache(tmp_path).encode(Toy("2"), changed)
    assert np.array_equal(other, Toy("2").encode(changed))
    assert embedding_name(Toy("1")) != embedding_name(Toy("2"))
    assert_encodes(tmp_path, changed, [])


def encoding(folder: Path) -> "subprocess.Popen[str]":
    """Start a process that encodes 60 texts, eight in a twentieth of a second."""
    script = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_cache import TEXTS, EmbeddingCache, Toy

class Slow(Toy):
    def encode(self, items):
        time.sleep(0.05)
        print(len(self.seen), flush=True)
        return super().encode(items)

EmbeddingCache({str(folder)!r}, items_at_once=8).encode(Slow(), TEXTS[:60])
"""
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def test_a_run_killed_while_encoding_goes_on_where_it_was(tmp_path: Path) -> None:
    with encoding(tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 24:
                break
        process.kill()
    cache, encoder = EmbeddingCache(tmp_path), Toy()
    assert np.array_equal(cache.encode(encoder, TEXTS[:60]), Toy().encode(TEXTS[:60]))
    assert 0 < len(encoder.seen) <= 60 - 24


@pytest.mark.slow
def test_two_processes_that_encode_the_same_do_it_once(tmp_path: Path) -> None:
    several = [encoding(tmp_path) for _ in range(2)]
    calls = [len(process.communicate()[0].split()) for process in several]
    assert sorted(calls) == [0, 8]
    assert_encodes(tmp_path, TEXTS[:60], [])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=4), max_size=30))
def test_equal_keys_mean_equal_texts(texts: list[str]) -> None:
    assert len({content_key(text, 0) for text in texts}) == len(set(texts))


@pytest.mark.parametrize(
    ("device", "calls"),
    [
        (("cuda:0", "cuda:1"), 3),
        ("cuda:1", 17),
        ("auto", 17),
        (["cpu"], 130),
        (None, 130),
        (0, 130),
    ],
)
def test_encoders_on_fast_devices_are_given_more_at_once(
    tmp_path: Path, device: Any, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    encoder = Toy(device=device)
    EmbeddingCache(tmp_path, items_at_once=1).encode(encoder, TEXTS)
    assert len(encoder.calls) == calls


def test_one_progress_bar_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class WithBar(Toy):
        progress = False

        def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
            print("own" if self.progress else "none")
            return super().encode(items)

    cache = EmbeddingCache(tmp_path, items_at_once=2)
    for encoder, count, printed in (
        (Toy("1", "cuda"), 3, ""),
        (WithBar("2", "cuda"), 3, "own\n"),
        (WithBar("3", "cuda"), 17, "none\nnone\n"),
    ):
        cache.encode(encoder, TEXTS[:count], progress=True)
        out, err = capsys.readouterr()
        assert out == printed
        assert ("toy/encoder of ours: 100%" in err) is (printed != "own\n")


def test_errors_of_the_encoder_and_of_the_cache_are_distinct(tmp_path: Path) -> None:
    class Remote(Toy):
        def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
            raise ConnectionError("the service is down")

    cache, few = EmbeddingCache(tmp_path), TEXTS[:3]
    raises(ConnectionError, "the service is down", cache.encode, Remote(), few)
    (tmp_path / "file").write_text("")
    unusable = EmbeddingCache(tmp_path / "file")
    message = f"the cache {tmp_path / 'file'} can't be used ("
    raises(StorageError, message, unusable.encode, Toy(), few)
    message = "items_at_once=0: expected 1 or more"
    raises(SettingsError, message, lambda: EmbeddingCache(tmp_path, items_at_once=0))
    plain: Any = type("Plain", (), {"name": "plain", "encode": Toy.encode})()
    message = "the encoder 'plain' has no method fingerprint()"
    raises(DataError, message, cache.encode, plain, few)
    cache.encode(Toy(), few)
    longer: Any = type("Longer", (Toy,), {"dimensions": 6})()
    with pytest.raises(
        StorageError, match=r"holds vectors of 5 dimensions, expected 6; change the"
    ):
        cache.encode(longer, few)


@pytest.mark.parametrize("factor", [np.nan, 1e300])
def test_vectors_that_are_not_finite_are_refused_and_none_is_kept(
    tmp_path: Path, factor: float
) -> None:
    class Broken(Toy):
        def encode(self, items: Sequence[Any]) -> Any:
            return super().encode(items).astype(np.float64) * factor

    cache = EmbeddingCache(tmp_path)
    message = r"returned an array of shape \(3, 5\) for 3 items, expected finite numbers"
    with pytest.raises(DataError, match=message), np.errstate(over="ignore"):
        cache.encode(Broken(), TEXTS[:3])
    assert cache.missing(Toy(), TEXTS[:3]) == 3


@pytest.mark.parametrize("what", ["text", "the vector of text"])
def test_errors_of_items_name_the_row_of_all_items(tmp_path: Path, what: str) -> None:
    class Strict(Toy):
        def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
            if "" in items:
                raise DataError(f"{what} {items.index('')} is empty; leave it out.")
            return super().encode(items)

    cache = EmbeddingCache(tmp_path, items_at_once=10)
    raises(DataError, f"{what} 25 is empty", cache.encode, Strict(), [*TEXTS[:25], ""])


def test_pictures_of_other_shape_kind_or_palette_have_other_keys() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    image = Image.fromarray(pixels)
    others = [pixels, pixels.reshape(4, 2, 3), pixels + 1, image, image.convert("L")]
    for colour in ((255, 0, 0), (0, 255, 0)):
        palette = Image.new("P", (4, 4), 0)
        palette.putpalette([*colour] * 256)
        others.append(palette)
    assert len({content_key(one, 0) for one in others}) == 7
    assert content_key(pixels.copy(), 0) == content_key(pixels, 0)
    raises(DataError, "item 7 is of type int", content_key, 3, 7)


def test_lost_and_damaged_rows_are_encoded_again(tmp_path: Path) -> None:
    texts = TEXTS[:10]
    assert_encodes(tmp_path, texts, texts)
    (path,) = tmp_path.glob("*.f32")
    content = bytearray(path.read_bytes())
    content[4 * 5 * 6 + 2] ^= 0xFF
    path.write_bytes(content[: 4 * 5 * 8 + 3])
    assert_encodes(tmp_path, texts, [texts[6], *texts[8:]])
    assert_encodes(tmp_path, texts, [])
    path.unlink()
    assert EmbeddingCache(tmp_path).missing(Toy(), texts) == 10
    assert_encodes(tmp_path, texts[:3], texts[:3])
    # Entries of the lost file are not taken for vectors of the new one.
    assert_encodes(tmp_path, texts, texts[3:])


def test_a_damaged_index_says_what_to_do(tmp_path: Path) -> None:
    assert_encodes(tmp_path, TEXTS[:3], None)
    index = tmp_path / "index.sqlite3"
    index.write_bytes(b"no database at all" * 100)
    message = (
        f"the cache {tmp_path} can't be used (file is not a database). If the disk is full, free "
        "some space and run it again: what is stored counts. If the index is damaged, delete "
        f"{index}. Or use another cache (OCTIS_M3L_CACHE=FOLDER)."
    )
    raises(StorageError, message, EmbeddingCache(tmp_path).encode, Toy(), TEXTS[:3])
    index.unlink()
    assert_encodes(tmp_path, TEXTS[:3], TEXTS[:3])


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(sqlite3.Connection):
        def executemany(self, *_: Any) -> Any:
            raise sqlite3.OperationalError("database or disk is full")

    right = sqlite3.connect
    with monkeypatch.context() as patched:
        patched.setattr("sqlite3.connect", lambda *a, **k: right(*a, **k, factory=Full))
        with pytest.raises(
            StorageError, match=r"\(database or disk is full\)\. If the disk is full"
        ):
            EmbeddingCache(tmp_path).encode(Toy(), TEXTS[:3])
    assert_encodes(tmp_path, TEXTS[:3], TEXTS[:3])


def written(folder: Path, *contents: str) -> list[Path]:
    """Write files that have not changed for a while."""
    paths = [folder / f"{number}.png" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content)
        os.utime(path, (time.time() - 100,) * 2)
    return paths


def test_vectors_of_a_folder_that_cannot_be_written_to_are_read(tmp_path: Path) -> None:
    items = [*TEXTS[:3], *written(tmp_path, "a", "b")]
    assert_encodes(tmp_path / "cache", items, items)
    uri = f"file:{tmp_path / 'cache' / 'index.sqlite3'}?mode=ro"
    right = sqlite3.connect
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sqlite3.connect", lambda *_, **__: right(uri, uri=True))
        assert_encodes(tmp_path / "cache", items, [])


def test_files_are_known_by_their_content(tmp_path: Path) -> None:
    paths = written(tmp_path, "one", "two", "one")
    cache = EmbeddingCache(tmp_path / "cache")
    assert cache.missing(Toy(), paths) == 2
    cache.encode(Toy(), paths)
    moved = paths[0].rename(tmp_path / "moved.png")
    assert cache.missing(Toy(), [moved, *paths[1:]]) == 0
    paths[1].write_text("another")
    assert cache.missing(Toy(), paths[1:]) == 1
    raises(DataError, f"{paths[0]} can't be read", cache.missing, Toy(), paths)


def test_others_can_write_while_files_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, right = written(tmp_path, "a picture"), Path.read_bytes
    place = tmp_path / "cache" / "index.sqlite3"

    def reading(path: Path) -> bytes:
        with closing(sqlite3.connect(place, timeout=0)) as other, other:
            other.execute("insert into files values ('another', 'state', 'key')")
        return right(path)

    monkeypatch.setattr(Path, "read_bytes", reading)
    assert EmbeddingCache(tmp_path / "cache").missing(Toy(), paths) == 1


def test_paths_given_as_text_are_known_by_the_files_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = []
    for number in range(2):
        folder = tmp_path / f"folder-{number}"
        folder.mkdir()
        Image.new("RGB", (8, 8), (200 * number, 20, 90)).save(folder / "1.png")
        monkeypatch.chdir(folder)
        vectors.append(EmbeddingCache(tmp_path / "cache").encode(PictureEncoder(), ["1.png"]))
    assert not np.allclose(*vectors)
