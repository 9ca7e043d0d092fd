"""Vectors kept on disk: encoded once, resumed after a kill, checked when read."""

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from octis_m3l.encoders.cache import EmbeddingCache
from octis_m3l.encoders.content import content_keys
from octis_m3l.encoders.naming import embedding_name
from octis_m3l.encoders.opening import finished
from octis_m3l.encoders.picture import PictureEncoder
from octis_m3l.errors import DataError, SettingsError, StorageError


class Toy:
    """An encoder of ten lines."""

    name, dimensions = "toy/encoder of ours", 5

    def __init__(self, revision: str = "1") -> None:
        self.revision, self.seen = revision, []

    def fingerprint(self) -> str:
        return hashlib.sha256(self.revision.encode()).hexdigest()

    def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
        self.seen += list(items)
        return np.stack([_vector(str(item) + self.revision) for item in items])


def _vector(text: str) -> NDArray[np.float32]:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(5).astype(np.float32)


def _texts(count: int) -> list[str]:
    return [f"document {number}" for number in range(count)]


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", "files.sqlite3")
    }


def _only(folder: Path, name: str) -> Path:
    (found,) = folder.rglob(name)
    return found


def test_what_was_encoded_is_not_encoded_again_and_order_and_repeats_do_not_matter(
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


def test_a_changed_document_alone_is_encoded_again(tmp_path: Path) -> None:
    cache, encoder, texts = EmbeddingCache(tmp_path), Toy(), _texts(20)
    cache.encode(encoder, texts)
    encoder.seen.clear()
    texts[3] = "another document"
    assert cache.missing(encoder, texts) == 1
    assert np.array_equal(cache.encode(encoder, texts), Toy().encode(texts))
    assert encoder.seen == ["another document"]


def test_another_revision_has_vectors_of_its_own(tmp_path: Path) -> None:
    cache, texts = EmbeddingCache(tmp_path), _texts(4)
    first, second = cache.encode(Toy("1"), texts), cache.encode(Toy("2"), texts)
    assert not np.allclose(first, second)
    assert np.array_equal(cache.encode(Toy("1"), texts), first)


def test_a_run_killed_while_encoding_ends_with_the_same_files(tmp_path: Path) -> None:
    whole, broken = EmbeddingCache(tmp_path / "whole", items_at_once=8), tmp_path / "broken"
    whole.encode(Toy(), _texts(60))
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
    assert _files(broken) == _files(tmp_path / "whole")


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


@pytest.mark.parametrize("name", ["vectors.f32", "keys.bin"])
def test_a_truncated_file_costs_the_rows_that_it_lost(tmp_path: Path, name: str) -> None:
    cache, encoder, texts = EmbeddingCache(tmp_path), Toy(), _texts(10)
    cache.encode(encoder, texts)
    encoder.seen.clear()
    path = _only(tmp_path, name)
    os.truncate(path, path.stat().st_size * 7 // 10 + 3)
    assert np.array_equal(cache.encode(encoder, texts), Toy().encode(texts))
    assert encoder.seen == texts[7:]


def test_a_damaged_row_is_encoded_again(tmp_path: Path) -> None:
    cache, encoder, texts = EmbeddingCache(tmp_path), Toy(), _texts(10)
    cache.encode(encoder, texts)
    encoder.seen.clear()
    path = _only(tmp_path, "vectors.f32")
    content = bytearray(path.read_bytes())
    content[4 * 5 * 6 + 2] ^= 0xFF
    path.write_bytes(content)
    assert np.array_equal(cache.encode(encoder, texts), Toy().encode(texts))
    assert encoder.seen == [texts[6]]
    encoder.seen.clear()
    assert np.array_equal(cache.encode(encoder, texts), Toy().encode(texts))
    assert not encoder.seen


def test_a_folder_of_other_dimensions_is_refused(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.encode(Toy(), _texts(3))

    class Longer(Toy):
        dimensions = 6

    with pytest.raises(StorageError, match=r"holds vectors of 5 dimensions .*expected 6"):
        cache.encode(Longer(), _texts(3))


def test_vectors_that_are_not_finite_are_refused_and_none_is_kept(tmp_path: Path) -> None:
    class Broken(Toy):
        def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
            return super().encode(items) * np.float32(np.nan)

    cache = EmbeddingCache(tmp_path)
    with pytest.raises(DataError, match=r"returned an array of shape \(3, 5\) for 3 items"):
        cache.encode(Broken(), _texts(3))
    assert cache.missing(Toy(), _texts(3)) == 3


def test_an_encoder_without_fingerprint_is_told_to_have_one(tmp_path: Path) -> None:
    class Plain:
        name, dimensions = "plain", 2

        def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
            return np.zeros((len(items), 2), np.float32)

    with pytest.raises(DataError, match=r"'plain' has no fingerprint\(\)"):
        EmbeddingCache(tmp_path).encode(Plain(), ["text"])


def test_pictures_are_known_by_what_is_in_the_file(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(path)
        old = time.time() - 100
        os.utime(path, (old, old))
    known = tmp_path / "files.sqlite3"
    keys = content_keys(paths, known)
    assert len(set(keys)) == 3
    assert content_keys(paths, known) == keys == content_keys(paths)
    moved = tmp_path / "moved.png"
    paths[0].rename(moved)
    assert content_keys([moved], known) == keys[:1]
    Image.new("RGB", (4, 4), (99, 0, 0)).save(paths[1])
    assert content_keys([paths[1]], known) != keys[1:2]
    known.write_bytes(b"no database at all" * 100)
    assert content_keys(paths[2:], known) == keys[2:]
    with pytest.raises(DataError, match=r"0\.png can't be read"):
        content_keys(paths[:1], known)
    with pytest.raises(DataError, match="item 0 is of type int"):
        content_keys([3])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=4), max_size=30))
def test_keys_are_equal_where_texts_are(texts: list[str]) -> None:
    keys = content_keys(texts)
    assert len(set(keys)) == len(set(texts))
    assert keys == [content_keys([text])[0] for text in texts]


def test_pictures_of_other_shape_or_kind_have_other_keys() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    image = Image.fromarray(pixels)
    others = [pixels, pixels.reshape(4, 2, 3), pixels + 1, image, image.convert("L")]
    assert len(set(content_keys(others))) == 5
    assert content_keys([pixels.copy()]) == content_keys([pixels])


@pytest.mark.parametrize(
    ("given", "calls"),
    [
        (("cuda:0", "cuda:1"), 3),
        ("cuda:1", 17),
        (torch.device("cuda", 1), 17),
        ("auto", 17),
        (["cpu"], 130),
        ([torch.device("cpu")], 130),
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


def test_a_fingerprint_may_be_any_words_and_counts_to_the_last(tmp_path: Path) -> None:
    class Worded(Toy):
        def fingerprint(self) -> str:
            return f"an encoder with long words / and spaces, version {self.revision}"

    first = EmbeddingCache(tmp_path).encode(Worded("1"), _texts(2))
    second = EmbeddingCache(tmp_path).encode(Worded("2"), _texts(2))
    assert not np.allclose(first, second)
    assert embedding_name(Worded("1")) != embedding_name(Worded("2"))


def test_errors_of_items_name_the_row_of_all_items(tmp_path: Path) -> None:
    class Strict(Toy):
        def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
            for row, item in enumerate(items):
                if not item:
                    raise DataError(f"text {row} is empty; leave it out.")
            return super().encode(items)

    texts = [*_texts(25), ""]
    with pytest.raises(DataError, match=r"^text 25 is empty"):
        EmbeddingCache(tmp_path, items_at_once=10).encode(Strict(), texts)

    class Overflowing(Toy):
        def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
            vectors = super().encode(items)
            vectors[[not item for item in items]] = np.inf
            return finished(vectors, "text", normalise=False)

    with pytest.raises(DataError, match=r"^the vector of text 25 is not finite"):
        EmbeddingCache(tmp_path / "other", items_at_once=10).encode(Overflowing(), texts)


def test_one_bar_moves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_errors_of_the_encoder_are_its_own(tmp_path: Path) -> None:
    class Remote(Toy):
        def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
            raise ConnectionError("the service is down")

    with pytest.raises(ConnectionError, match=r"^the service is down$"):
        EmbeddingCache(tmp_path).encode(Remote(), _texts(2))
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StorageError, match=r"^the cache .*file can't be used \(.*\); use another\.$"
    ):
        EmbeddingCache(tmp_path / "file").encode(Toy(), _texts(2))


def test_numbers_too_large_for_single_precision_are_refused(tmp_path: Path) -> None:
    class Large(Toy):
        def encode(self, items: Sequence[Any]) -> Any:
            return np.full((len(items), 5), 1e300)

    with pytest.raises(DataError, match="expected finite numbers"), np.errstate(over="ignore"):
        EmbeddingCache(tmp_path).encode(Large(), _texts(2))


def test_paths_as_text_are_known_by_what_is_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = []
    for number, folder in enumerate(("x", "y")):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8), (200 * number, 20, 90)).save(tmp_path / folder / "1.png")
        monkeypatch.chdir(tmp_path / folder)
        vectors.append(EmbeddingCache(tmp_path / "cache").encode(PictureEncoder(), ["1.png"]))
    assert not np.allclose(*vectors)


def test_palettes_tell_pictures_apart() -> None:
    images = []
    for colour in ((255, 0, 0), (0, 255, 0)):
        image = Image.new("P", (4, 4), 0)
        image.putpalette([*colour] * 256)
        images.append(image)
    assert len(set(content_keys(images))) == 2


def test_a_cache_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError, match=r"the cache .*file can't be used"):
        EmbeddingCache(tmp_path / "file").encode(Toy(), _texts(2))
    with pytest.raises(SettingsError, match="items_at_once=0: expected 1 or more"):
        EmbeddingCache(tmp_path, items_at_once=0)
