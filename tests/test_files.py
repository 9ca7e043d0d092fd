"""Files and folders are written whole or not at all."""

import os
import re
from pathlib import Path

import pytest

from octis_m3l.errors import SettingsError, StorageError
from octis_m3l.files import (
    check_file_sizes,
    file_sizes,
    folder_written_whole,
    read_json,
    read_yaml,
    write_json,
    written_whole,
)

MARKER = "metadata.json"


def write_marked(folder: Path, text: str, *, overwrite: bool = False) -> None:
    with folder_written_whole(folder, overwrite=overwrite, marker=MARKER) as new:
        (new / MARKER).write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.npy"
    with written_whole(path) as temporary:
        temporary.write_text("whole")
        assert temporary.suffix == ".npy"
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["a.npy"]


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), written_whole(path) as temporary:
        temporary.write_text("ha")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_appears_only_when_the_block_ends_well(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "data"
    with folder_written_whole(folder, overwrite=False, marker=MARKER) as new:
        (new / MARKER).write_text("{}")
        assert not folder.exists()
    assert names(folder) == [MARKER]
    assert names(folder.parent) == ["data"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write_marked(folder, "new")
    assert (folder / MARKER).read_text() == "new"
    assert names(tmp_path) == ["data"]


def test_a_folder_is_replaced_only_when_that_is_wanted(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_marked(folder, "old")
    (folder / "left").write_text("over")
    message = (
        f"{folder} exists already and is not empty; pass overwrite=True (--overwrite) or choose "
        "another"
    )
    with pytest.raises(StorageError, match=re.escape(message)):
        write_marked(folder, "new")
    assert (folder / MARKER).read_text() == "old"
    write_marked(folder, "new", overwrite=True)
    assert (folder / MARKER).read_text() == "new"
    assert names(folder) == [MARKER]
    assert names(tmp_path) == ["data"]


def test_a_folder_of_somebody_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("years of work")
    message = (
        f"{tmp_path} exists already and is not empty; it holds no metadata.json, so it is not "
        "replaced: choose another folder."
    )
    with pytest.raises(StorageError, match=re.escape(message)):
        write_marked(tmp_path, "new", overwrite=True)
    assert names(tmp_path) == ["thesis"]


def test_a_file_in_the_place_of_a_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StorageError, match="exists already"):
        write_marked(tmp_path / "data", "new", overwrite=True)
    assert (tmp_path / "data").read_text() == "a file"


def test_an_interrupted_folder_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_marked(folder, "old")
    with (
        pytest.raises(KeyboardInterrupt),
        folder_written_whole(folder, overwrite=True, marker=MARKER) as new,
    ):
        (new / MARKER).write_text("ha")
        raise KeyboardInterrupt
    assert (folder / MARKER).read_text() == "old"
    assert names(tmp_path) == ["data"]


def test_the_old_folder_comes_back_when_the_new_one_cannot_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    write_marked(folder, "old")
    rename = Path.replace

    def refuse_new(path: Path, target: Path) -> Path:
        if path.name.startswith(".data-") and not path.name.endswith("-old"):
            raise OSError("refused")
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", refuse_new)
    with pytest.raises(OSError, match="refused"):
        write_marked(folder, "new", overwrite=True)
    assert (folder / MARKER).read_text() == "old"
    assert names(tmp_path) == ["data"]


def test_a_linked_folder_is_replaced_where_it_really_is(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    write_marked(real, "old")
    link.symlink_to(real)
    write_marked(link, "new", overwrite=True)
    assert link.is_symlink()
    assert (real / MARKER).read_text() == "new"


def test_the_working_folder_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    write_marked(Path(), "new")
    assert (tmp_path / "data" / MARKER).read_text() == "new"


def test_json_comes_back(tmp_path: Path) -> None:
    content = {"name": "Übersicht 日本", "numbers": [1, 2.5, None], "nested": {"a": True}}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content
    assert "Übersicht 日本" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_json_without_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": ', "is not readable JSON (Expecting value: line 1 column 7 (char 6)): it is "),
        (b'{"a": "\xff"}', "is not readable JSON ('utf-8' codec can't decode byte 0xff"),
        (b'{"a": ' * 10**5, "is not readable JSON (maximum recursion depth"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not readable JSON (Exceeds the limit"),
        (b"[1]", "holds a JSON list, where an object was expected."),
    ],
)
def test_json_that_is_damaged(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=re.escape(f"{path} {message}")):
        read_json(path)


def test_json_that_is_missing(tmp_path: Path) -> None:
    message = f"{tmp_path / 'a.json'} is missing: the folder is incomplete; copy it again."
    with pytest.raises(StorageError, match=re.escape(message)):
        read_json(tmp_path / "a.json")


def test_sizes_tell_what_is_missing_or_truncated(tmp_path: Path) -> None:
    for name in "abcdefgh":
        (tmp_path / "below").mkdir(exist_ok=True)
        (tmp_path / "below" / name).write_text(name * 3)
    sizes = file_sizes(tmp_path)
    assert sizes == {f"below/{name}": 3 for name in "abcdefgh"}
    check_file_sizes(tmp_path, sizes)
    (tmp_path / "below" / "a").write_text("a")
    (tmp_path / "below" / "b").unlink()
    message = (
        f"{tmp_path} is incomplete: below/a has 1 bytes instead of 3; below/b is missing. It was "
        "probably copied or downloaded only in part; copy it again."
    )
    with pytest.raises(StorageError, match=re.escape(message)):
        check_file_sizes(tmp_path, sizes)
    for name in "cdefgh":
        (tmp_path / "below" / name).unlink()
    with pytest.raises(StorageError, match=r"below/e is missing; and 3 more\. It was"):
        check_file_sizes(tmp_path, sizes)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no umask")
@pytest.mark.parametrize(("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_others_may_read_what_the_umask_lets_them(
    mask: int, file: int, folder: int, tmp_path: Path
) -> None:
    before = os.umask(mask)
    try:
        with written_whole(tmp_path / "file.txt") as temporary:
            temporary.write_text("text")
        write_marked(tmp_path / "folder", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "file.txt").stat().st_mode & 0o777 == file
    assert (tmp_path / "folder").stat().st_mode & 0o777 == folder


LAUGHS = "a0: &a0 [ha, ha]\n" + "".join(
    f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LAUGHS, "with its aliases written out"),
        ("a: &a [*a]", "with its aliases written out"),
        ("[" * 5000, "nested more than 50 deep"),
        ("a: " * 3, "can't be read as YAML"),
        ("a: 2024-13-45", "can't be read as YAML"),
        (f"a: {'9' * 5000}", "can't be read as YAML"),
        ("a: !!python/object/apply:os.getcwd []", "can't be read as YAML"),
        ("? [a, b]\n: c", "can't be read as YAML"),
        ("a: 1\nb: 2\na: 3", "'a' is there twice"),
    ],
)
def test_yaml_that_would_explode_run_code_or_lose_entries(
    tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "a.yaml").write_text(content)
    with pytest.raises(SettingsError, match=message):
        read_yaml(tmp_path / "a.yaml")


def test_yaml_may_have_aliases_and_depth_as_settings_do(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "base: &base {epochs: 5, rate: 1e-3}\nmine: {<<: *base, epochs: 7}\n"
        + "".join(f"m{n}: *base\n" for n in range(500))
        + f"deep: {'[' * 40}1{']' * 40}\n"
    )
    content = read_yaml(tmp_path / "a.yaml")
    assert content["mine"] == {"epochs": 7, "rate": 0.001}
    assert content["m499"] == {"epochs": 5, "rate": 0.001}
