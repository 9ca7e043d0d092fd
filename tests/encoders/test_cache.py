"""Vectors kept on disk: encoded once, resumed after a kill, checked when read."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from octis_m3l.encoders.base import embedding_name
from octis_m3l.encoders.cache import EmbeddingCache, content_key
from octis_m3l.encoders.picture import PictureEncoder
from octis_m3l.errors import DataError, SettingsError, StorageError


class Toy:
    """An encoder of ten lines."""

    name, dimensions = "toy/encoder of ours", 5

    def __init__(self, revision: str = "1") -> None:
        self.revision, self.seen = revision, []

    def fingerprint(self) -> str:
        return f"an encoder with long words / and spaces, version {self.revision}"

    def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
        self.seen += list(items)
        return np.stack([_vector(str(item) + self.revision) for item in items])


def _vector(text: str) -> NDArray[np.float32]:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(5).astype(np.float32)


def _texts(count: int) -> list[str]:
    return [f"document {number}" for number in range(count)]


def test_items_are_encoded_once_in_any_order(
    tmp_path: Path,
) -> None:
    cache, encoder, texts = EmbeddingCache(tmp_path, items_at_once=7), Toy(), _texts(40)
    first = cache.encode(encoder, texts)
    assert np.array_equal(first, Toy().encode(texts))
    assert isinstance(first, np.memmap)
    assert len(encoder.seen) == 40
    mixed = [texts[5], texts[5], texts[39], texts[0]]
    assert np.array_equal(cache.encode(encoder, mixed), first[[5, 5, 39, 0]])
    assert len(encoder.seen) == 40
    assert cache.encode(encoder, []).shape == (0, 5)


def test_a_changed_document_or_revision_is_encoded_again(tmp_path: Path) -> None:
    cache, encoder, texts = EmbeddingCache(tmp_path), Toy(), _texts(20)
    cache.encode(encoder, texts)
    encoder.seen.clear()
    texts[3] = "another document"
    assert cache.missing(encoder, texts) == 1
    assert np.array_equal(cache.encode(encoder, texts), Toy().encode(texts))
    assert encoder.seen == ["another document"]
    other = cache.encode(Toy("2"), texts)
    assert not np.allclose(other, cache.encode(encoder, texts))
    assert embedding_name(Toy("1")) != embedding_name(Toy("2"))
    assert np.array_equal(cache.encode(Toy("1"), texts), Toy().encode(texts))


def test_a_run_killed_while_encoding_goes_on_where_it_was(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    script = textwrap.dedent(
        f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_cache import Toy, _texts
        from octis_m3l.encoders.cache import EmbeddingCache

        class Slow(Toy):
            def encode(self, items):
                time.sleep(0.05)
                print(len(self.seen), flush=True)
                return super().encode(items)

        EmbeddingCache({str(broken)!r}, items_at_once=8).encode(Slow(), _texts(60))
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 24:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    encoder = Toy()
    again = EmbeddingCache(broken, items_at_once=8).encode(encoder, _texts(60))
    assert 0 < len(encoder.seen) <= 60 - 24
    assert np.array_equal(again, Toy().encode(_texts(60)))


@pytest.mark.slow
def test_two_processes_that_encode_the_same_do_it_once(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_cache import Toy, _texts
        from octis_m3l.encoders.cache import EmbeddingCache

        class Slow(Toy):
            def encode(self, items):
                time.sleep(0.02)
                return super().encode(items)

        encoder = Slow()
        EmbeddingCache({str(tmp_path / "cache")!r}, items_at_once=5).encode(encoder, _texts(50))
        print(len(encoder.seen))
        """
    )
    several = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    encoded = [int(process.communicate()[0]) for process in several]
    assert sorted(encoded) == [0, 50]
    encoder = Toy()
    found = EmbeddingCache(tmp_path / "cache").encode(encoder, _texts(50))
    assert np.array_equal(found, Toy().encode(_texts(50)))
    assert encoder.seen == _texts(50)[:0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=4), max_size=30))
def test_equal_keys_mean_equal_texts(texts: list[str]) -> None:
    keys = [content_key(text, 0) for text in texts]
    assert len(set(keys)) == len(set(texts))


@pytest.mark.parametrize(
    ("given", "calls"),
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
    tmp_path: Path, given: Any, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)

    class Fast(Toy):
        device = given
        calls = 0

        def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
            self.calls += 1
            return super().encode(items)

    encoder = Fast()
    EmbeddingCache(tmp_path, items_at_once=1).encode(encoder, _texts(130))
    assert encoder.calls == calls


def test_one_progress_bar_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Silent(Toy):
        device = "cuda"

    class WithBar(Silent):
        progress = False

        def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
            print("own" if self.progress else "none")
            return super().encode(items)

    cache = EmbeddingCache(tmp_path, items_at_once=2)
    cache.encode(Silent(), _texts(3), progress=True)
    assert "toy/encoder of ours: 100%" in capsys.readouterr().err
    for revision, count, expected in (("2", 3, "own\n"), ("3", 17, "none\nnone\n")):
        cache.encode(WithBar(revision), _texts(count), progress=True)
        out, err = capsys.readouterr()
        assert out == expected
        assert ("100%" in err) is (expected != "own\n")


def test_errors_of_the_encoder_and_of_the_cache_are_distinct(tmp_path: Path) -> None:
    class Remote(Toy):
        def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
            raise ConnectionError("the service is down")

    with pytest.raises(ConnectionError, match=r"^the service is down$"):
        EmbeddingCache(tmp_path).encode(Remote(), _texts(2))
    (tmp_path / "file").write_text("")
    message = r"^the cache .*file can't be used \(.*\); use another\.$"
    with pytest.raises(StorageError, match=message):
        EmbeddingCache(tmp_path / "file").encode(Toy(), _texts(2))
    with pytest.raises(SettingsError, match="items_at_once=0: expected 1 or more"):
        EmbeddingCache(tmp_path, items_at_once=0)
    plain: Any = type("Plain", (), {"name": "plain", "encode": Toy.encode})()
    with pytest.raises(DataError, match=r"'plain' has no method fingerprint\(\)"):
        EmbeddingCache(tmp_path).encode(plain, ["text"])
    cache = EmbeddingCache(tmp_path)
    cache.encode(Toy(), _texts(3))
    longer: Any = type("Longer", (Toy,), {"dimensions": 6})()
    with pytest.raises(
        StorageError, match=r"holds vectors of 5 dimensions, expected 6; change the"
    ):
        cache.encode(longer, _texts(3))


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
        cache.encode(Broken(), _texts(3))
    assert cache.missing(Toy(), _texts(3)) == 3


@pytest.mark.parametrize("what", ["text", "the vector of text"])
def test_errors_of_items_name_the_row_of_all_items(tmp_path: Path, what: str) -> None:
    class Strict(Toy):
        def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
            for row, item in enumerate(items):
                if not item:
                    raise DataError(f"{what} {row} is empty; leave it out.")
            return super().encode(items)

    with pytest.raises(DataError, match=rf"^{what} 25 is empty"):
        EmbeddingCache(tmp_path, items_at_once=10).encode(Strict(), [*_texts(25), ""])


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
    with pytest.raises(DataError, match="item 7 is of type int"):
        content_key(3, 7)


def test_paths_given_as_text_are_known_by_the_files_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = []
    for number, folder in enumerate(("x", "y")):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8), (200 * number, 20, 90)).save(tmp_path / folder / "1.png")
        monkeypatch.chdir(tmp_path / folder)
        vectors.append(EmbeddingCache(tmp_path / "cache").encode(PictureEncoder(), ["1.png"]))
    assert not np.allclose(*vectors)


def test_lost_and_damaged_rows_are_encoded_again(tmp_path: Path) -> None:
    cache, encoder, texts = EmbeddingCache(tmp_path), Toy(), _texts(10)
    cache.encode(encoder, texts)
    (path,) = tmp_path.glob("*.f32")
    content = bytearray(path.read_bytes())
    content[4 * 5 * 6 + 2] ^= 0xFF
    path.write_bytes(content[: 4 * 5 * 8 + 3])
    for expected in ([texts[6], *texts[8:]], []):
        encoder.seen.clear()
        assert np.array_equal(cache.encode(encoder, texts), Toy().encode(texts))
        assert encoder.seen == expected
    path.unlink()
    assert cache.missing(encoder, texts) == 10
    assert np.array_equal(cache.encode(encoder, texts[:3]), Toy().encode(texts[:3]))
    # Entries of the lost file are not taken for vectors of the new one.
    assert np.array_equal(cache.encode(encoder, texts), Toy().encode(texts))


def test_a_damaged_index_says_what_to_do(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.encode(Toy(), _texts(3))
    index = tmp_path / "index.sqlite3"
    index.write_bytes(b"no database at all" * 100)
    message = rf"can't be used \(file is not a database\); it is damaged: delete {index}, or use an"
    with pytest.raises(StorageError, match=message):
        cache.encode(Toy(), _texts(3))
    index.unlink()
    assert np.array_equal(cache.encode(Toy(), _texts(3)), Toy().encode(_texts(3)))


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(sqlite3.Connection):
        def executemany(self, *_: Any) -> Any:
            raise sqlite3.OperationalError("database or disk is full")

    right = sqlite3.connect
    cache, encoder = EmbeddingCache(tmp_path), Toy()
    with monkeypatch.context() as patched:
        patched.setattr("sqlite3.connect", lambda *a, **k: right(*a, **k, factory=Full))
        with pytest.raises(StorageError, match=r"\(database or disk is full\); free some sp"):
            cache.encode(encoder, _texts(3))
    found = cache.encode(encoder, _texts(3))
    assert np.array_equal(found, Toy().encode(_texts(3)))


def test_vectors_of_a_folder_that_cannot_be_written_to_are_read(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.txt" for number in range(2)]
    for path in paths:
        path.write_text(path.name)
        os.utime(path, (0, 0))
    cache = EmbeddingCache(tmp_path / "cache")
    items = [*_texts(3), *paths]
    wanted = cache.encode(Toy(), items)
    uri = f"file:{tmp_path / 'cache' / 'index.sqlite3'}?mode=ro"
    right = sqlite3.connect
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sqlite3.connect", lambda *_, **__: right(uri, uri=True))
        assert np.array_equal(cache.encode(Toy(), items), wanted)


def test_files_are_known_by_their_content(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_text(f"content {number % 2}")
        old = time.time() - 100
        os.utime(path, (old, old))
    cache, encoder = EmbeddingCache(tmp_path / "cache"), Toy()
    assert cache.missing(encoder, paths) == 2
    cache.encode(encoder, paths)
    moved = paths[0].rename(tmp_path / "moved.png")
    assert cache.missing(encoder, [moved, *paths[1:]]) == 0
    paths[1].write_text("another")
    assert cache.missing(encoder, paths[1:]) == 1
    with pytest.raises(DataError, match=r"0\.png can't be read"):
        cache.missing(encoder, paths)
