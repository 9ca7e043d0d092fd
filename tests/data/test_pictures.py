"""One policy for opening pictures, whoever looks at them."""

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from octis_m3l.data import pictures as opening
from octis_m3l.data.pictures import as_picture, fault_of, open_picture
from octis_m3l.encoders import PictureEncoder
from octis_m3l.errors import DataError

RAMP = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def pixels(item: Any, row: int = 0) -> NDArray[np.uint8]:
    image = open_picture(item, row)
    assert image.mode == "RGB"
    return np.asarray(image)


def saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def png(path: Path, size: tuple[int, int, int, int], *chunks: tuple[bytes, bytes]) -> Path:
    """Write a PNG of any width, height, depth and kind; Pillow writes few of them."""
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in [(b"IHDR", struct.pack(">IIBBBBB", *size, 0, 0, 0)), *chunks, (b"IEND", b"")]:
        check = struct.pack(">I", zlib.crc32(kind + data))
        content += struct.pack(">I", len(data)) + kind + data + check
    path.write_bytes(content)
    return path


def huge_png(path: Path, width: int, height: int) -> Path:
    return png(path, (width, height, 8, 0), (b"IDAT", zlib.compress(b"\0")))


def refused(message: str, call: Any, *arguments: Any) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(message)}"):
        call(*arguments)


def test_paths_images_and_arrays_are_one_picture(tmp_path: Path) -> None:
    colour = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], axis=2)
    path = saved(Image.fromarray(colour), tmp_path / "a.png")
    for item in (path, str(path), Image.fromarray(colour), Image.open(path), colour):
        np.testing.assert_array_equal(pixels(item), colour)
    path = saved(Image.fromarray(RAMP), tmp_path / "grey.png")
    for item in (RAMP, RAMP[:, :, None], path):
        np.testing.assert_array_equal(pixels(item), np.repeat(RAMP[:, :, None], 3, axis=2))


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    layer = np.zeros((1, 3, 4), np.uint8)
    layer[0, :, 3] = (0, 128, 255)
    wanted = [[[255] * 3, [127] * 3, [0] * 3]]
    for item in (layer, Image.fromarray(layer), saved(Image.fromarray(layer), tmp_path / "a.png")):
        np.testing.assert_array_equal(pixels(item), wanted)
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    found = pixels(saved(palette, tmp_path / "a.gif", transparency=0))
    np.testing.assert_array_equal(found, [[[255, 255, 255], [40, 50, 60]]])


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    deep = np.array([[0, 257, 32768, 65535]], np.uint16)
    wanted = np.array([[0, 1, 128, 255]])[:, :, None].repeat(3, axis=2)
    for name in ("a.png", "a.tiff"):
        found = pixels(saved(Image.fromarray(deep), tmp_path / name))
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(pixels(Image.fromarray(deep.astype(np.int32))), wanted)


GREY = [
    *(("1", 255, 255), ("L", 100, 100), ("LA", (100, 128), 177), ("La", (50, 128), 177)),
    *((mode, 32768, 128) for mode in ("I", "I;16", "I;16L", "I;16B")),
    *(("F", 0.5, 128), ("F", 1.0, 255), ("F", 100.0, 100), ("F", 32768.0, 128), ("F", -1.0, 0)),
    *(("F", float("nan"), 0), ("F", float("inf"), 255), ("PA", (1, 0), 255)),
]


@pytest.mark.parametrize(
    ("mode", "pixel", "wanted"),
    [
        ("P", 1, (40, 50, 60)),
        ("PA", (1, 255), (40, 50, 60)),
        *((mode, pixel, (grey,) * 3) for mode, pixel, grey in GREY),
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("RGBX", (10, 20, 30, 0), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBa", (64, 0, 0, 128), (191, 127, 127)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("YCbCr", (76, 85, 255), (254, 0, 0)),
        ("LAB", (137, 128, 128), (128, 128, 128)),
        ("HSV", (85, 255, 255), (0, 255, 0)),
    ],
)
def test_every_mode_becomes_rgb(mode: str, pixel: Any, wanted: tuple[int, ...]) -> None:
    image = Image.new(mode, (1, 1), pixel)
    if mode in ("P", "PA"):
        image.putpalette([10, 20, 30, 40, 50, 60])
    found = pixels(image).astype(int)[0, 0]
    assert np.abs(found - wanted).max() <= 2, found


def test_files_of_rare_modes(tmp_path: Path) -> None:
    red = Image.new("RGB", (1, 1), "red")
    for mode in ("CMYK", "YCbCr", "LAB"):
        found = pixels(saved(red.convert(mode), tmp_path / f"{mode}.tiff")).astype(int)
        assert np.abs(found - [255, 0, 0]).max() <= 6, (mode, found)
    floats = saved(Image.fromarray(np.array([[0, 0.5, 1]], np.float32)), tmp_path / "f.tiff")
    assert pixels(floats)[0, :, 0].tolist() == [0, 128, 255]
    high = saved(Image.fromarray(np.array([[0, 100, 255]], np.float32)), tmp_path / "h.tiff")
    assert pixels(high)[0, :, 0].tolist() == [0, 100, 255]


@pytest.mark.parametrize(
    ("depth", "kind", "row", "transparent", "wanted"),
    [
        (1, 0, bytes([0b01000000]), "0000", (255, 255)),
        (2, 0, bytes([0b01000000]), "0001", (255, 0)),
        (4, 0, bytes([0x73]), "0007", (255, 51)),
        (8, 0, bytes([100, 7]), "0064", (255, 7)),
        (16, 0, bytes.fromhex("8000 8080"), "8000", (255, 128)),
        (16, 0, bytes.fromhex("0000 8080"), "0000", (255, 128)),
        (8, 2, bytes([9, 8, 7, 5, 5, 5]), "0009 0008 0007", (255, 5)),
        (16, 2, bytes.fromhex("1234 0000 0000 0505 0505 0505"), "1234 0000 0000", (255, 5)),
    ],
)
def test_a_transparent_colour_of_any_depth_lies_on_white(
    depth: int, kind: int, row: bytes, transparent: str, wanted: tuple[int, int], tmp_path: Path
) -> None:
    chunks = (b"tRNS", bytes.fromhex(transparent)), (b"IDAT", zlib.compress(b"\0" + row))
    path = png(tmp_path / "a.png", (2, 1, depth, kind), *chunks)
    expected = np.array(wanted)[None, :, None].repeat(3, axis=2)
    np.testing.assert_array_equal(pixels(path), expected)
    np.testing.assert_array_equal(pixels(Image.open(path)), expected)


def test_orientation_is_applied_and_broken_exif_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(Image.fromarray(RAMP), tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(pixels(path)[:, :, 0], np.rot90(RAMP, -1))
    path = saved(Image.fromarray(RAMP), tmp_path / "b.png", exif=b"Exif\0\0no exif at all")
    np.testing.assert_array_equal(pixels(path)[:, :, 0], RAMP)


def test_of_an_animation_the_first_picture_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "lime", "blue")]
    for name in ("a.gif", "a.tiff", "a.png"):
        path = saved(frames[0], tmp_path / name, save_all=True, append_images=frames[1:])
        np.testing.assert_array_equal(pixels(path), np.full((2, 2, 3), (255, 0, 0)))


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = huge_png(tmp_path / "huge.png", 10_000, 9_000)
    message = (
        f"picture 3 ({path}) is too large (10000 × 9000 pixels), at most 89,478,485 pixels are "
        "opened; mend it or leave it out."
    )
    with pytest.warns(Image.DecompressionBombWarning):
        refused(message, open_picture, path, 3)
    with pytest.warns(Image.DecompressionBombWarning):
        assert str(fault_of(path)).startswith("is too large (10000 × 9000 pixels), at most ")
    path = huge_png(tmp_path / "bomb.png", 60_000, 60_000)
    message = f"picture 0 ({path}) is too large (Image size (3600000000 pixels)"
    refused(message, open_picture, path, 0)
    assert str(fault_of(path)).startswith("is too large (")


def test_an_image_in_memory_has_the_same_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "MOST_PIXELS", 11)
    message = "picture 2 (an image of Pillow) is too large (4 × 3 pixels)"
    refused(message, open_picture, Image.fromarray(RAMP), 2)


def test_broken_and_missing_files_are_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    for kind in ("png", "jpeg", "gif", "tiff", "webp", "bmp"):
        path = saved(Image.fromarray(noise), tmp_path / f"a.{kind}")
        assert fault_of(path) is None
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert str(fault_of(path)).startswith("is broken or can't be read (")
    (tmp_path / "text.png").write_text("words")
    assert fault_of(tmp_path / "gone.png") == "is missing"
    assert fault_of(tmp_path / "text.png") == "is no picture"
    assert str(fault_of(tmp_path)).startswith("is broken or can't be read (")
    for unusable in (path, tmp_path / "gone.png", tmp_path / "text.png", tmp_path):
        with pytest.raises(DataError) as caught:
            open_picture(unusable, 7)
        # Pillow names what was cut off differently when all pixels are read.
        message = f"picture 7 ({unusable}) {str(fault_of(unusable))[:20]}"
        assert str(caught.value).startswith(message)
        assert str(caught.value).endswith("; mend it or leave it out.")


@pytest.mark.parametrize(
    "address", ["https://example.org/a.png", "http://a/b", "s3://bucket/a.png", "data:image/png;,"]
)
def test_an_address_is_refused(address: str) -> None:
    for item in (address, Path(address)):
        message = (
            f"picture 4 is an address ({item}): nothing is fetched from the net. Download it "
            "first, and give the file's path."
        )
        refused(message, open_picture, item, 4)
    message = "view 'photo', record 5: the picture is an address ("
    refused(message, as_picture, address, "photo", 5)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (np.zeros((2, 2, 3)), "picture 1 is an array of shape (2, 2, 3) and type float64; expe"),
        (np.zeros((2, 2, 5), np.uint8), "picture 1 is an array of shape (2, 2, 5) and type uint8;"),
        (np.zeros(3, np.uint8), "picture 1 is an array of shape (3,) and type uint8; expected"),
        (np.zeros((0, 2, 3), np.uint8), "picture 1 is an array of shape (0, 2, 3) and type uint8;"),
        (b"abc", "picture 1 is of type bytes; expected a path, an image of Pillow or an array"),
    ],
)
def test_what_is_no_picture_is_refused(item: Any, message: str) -> None:
    refused(message, PictureEncoder().encode, [RAMP, item])


def test_a_transparent_picture_lies_on_white_wherever_it_is_used() -> None:
    layer = np.zeros((8, 8, 4), np.uint8)
    np.testing.assert_array_equal(
        as_picture(Image.fromarray(layer), "photo", 0), layer[..., :3] + 255
    )
    found = PictureEncoder().encode([layer, np.full((8, 8), 255, np.uint8)])
    np.testing.assert_array_equal(found[0], found[1])
