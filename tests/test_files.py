"""Files and folders are written whole or not at all."""

import errno
import os
import re
import tempfile
from pathlib import Path

import pytest
from safetensors import SafetensorError

from octis_m3l import files
from octis_m3l.errors import SettingsError, StorageError
from octis_m3l.files import (
    check_can_write,
    check_can_write_file,
    check_files,
    described_files,
    folder_written_whole,
    held,
    read_json,
    read_yaml,
    recover,
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
        if path.name.startswith(".data-"):
            raise OSError("refused")
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", refuse_new)
    message = f"{folder} can't be written: refused; check the path and its permissions, or choose"
    with pytest.raises(StorageError, match=re.escape(message)):
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


@pytest.mark.parametrize("given", ["", ".", "..", "../data"])
def test_the_working_folder_is_not_replaced(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    message = (
        f"'{Path(given)}' is the working folder, or above it, and would be replaced as a whole; "
        "name another folder, such as one in it."
    )
    with pytest.raises(StorageError, match=re.escape(message)):
        write_marked(Path(given), "new")
    write_marked(Path("new"), "new")
    assert names(tmp_path / "data") == ["new"]


def test_a_mount_point_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "disk")
    (tmp_path / "disk").mkdir()
    with pytest.raises(StorageError, match=r"disk is a mount point, which can't be replaced; name"):
        write_marked(tmp_path / "disk", "new")
    write_marked(tmp_path / "disk" / "data", "new")


def test_what_can_not_be_written_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    message = f"{tmp_path / 'file' / 'above' / 'data'} can't be written: Not a directory; check"
    with pytest.raises(StorageError, match=re.escape(message)):
        check_can_write(tmp_path / "file" / "above" / "data", overwrite=True, marker=MARKER)
    with pytest.raises(StorageError, match="is a folder, where a file was expected; name a file"):
        check_can_write_file(tmp_path)

    def read_only(dir: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    for refused in (
        lambda: check_can_write(tmp_path / "data", overwrite=True, marker=MARKER),
        lambda: check_can_write_file(tmp_path / "topics.png"),
    ):
        with pytest.raises(StorageError, match=r"can't be written: Permission denied; check the"):
            refused()
    assert names(tmp_path) == ["file"]


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        # As numpy and safetensors say it.
        OSError("262144 requested and 4096 written"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_line_and_what_was_there_stays(error: Exception, tmp_path: Path) -> None:
    write_marked(tmp_path / "data", "old")
    (tmp_path / "a.txt").write_text("old")
    told = "can't be written: no space is left on the disk; free some space, or choose another f"
    with (
        pytest.raises(StorageError, match=re.escape(f"{tmp_path / 'data'} {told}")),
        folder_written_whole(tmp_path / "data", overwrite=True, marker=MARKER) as new,
    ):
        (new / MARKER).write_text("ha")
        raise error
    with (
        pytest.raises(StorageError, match=re.escape(f"{tmp_path / 'a.txt'} {told}")),
        written_whole(tmp_path / "a.txt") as temporary,
    ):
        temporary.write_text("ha")
        raise error
    assert (tmp_path / "data" / MARKER).read_text() == "old"
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt", "data"]


# Killed.


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")
@pytest.mark.parametrize("steps", range(4))
@pytest.mark.parametrize("next_is", ["load", "save"])
def test_a_folder_survives_a_kill_at_every_step(
    steps: int, next_is: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    write_marked(folder, "old")
    rename, done = Path.replace, []

    def killed(path: Path, target: Path) -> Path:
        if len(done) == steps:
            os._exit(9)
        done.append(path)
        return rename(path, target)

    if (child := os.fork()) == 0:
        monkeypatch.setattr(Path, "replace", killed)
        write_marked(folder, "new", overwrite=True)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == (9 if steps < 3 else 0)
    assert folder.exists() == (steps != 1)
    expected = "old" if steps < 2 else "new"
    if next_is == "load":
        recover(folder, MARKER)
        assert (folder / MARKER).read_text() == expected
    else:
        check_can_write(folder, overwrite=True, marker=MARKER)
        assert (folder / MARKER).read_text() == expected
        write_marked(folder, "newer", overwrite=True)
        assert (folder / MARKER).read_text() == "newer"
        assert names(tmp_path) == ["data"]


def test_a_hidden_folder_of_the_users_own_stays(tmp_path: Path) -> None:
    for name in (".data.replaced", ".data-personal", ".data-abcdefgh"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("mine")
    recover(tmp_path / "data", MARKER)
    assert not (tmp_path / "data").exists()
    write_marked(tmp_path / "data", "new")
    assert names(tmp_path) == [".data-abcdefgh", ".data-personal", ".data.replaced", "data"]


def test_a_folder_in_the_place_of_one_that_was_being_replaced_is_kept(tmp_path: Path) -> None:
    write_marked(tmp_path / ".data.replaced", "old")
    write_marked(tmp_path / "thesis", "work")
    (tmp_path / "thesis" / MARKER).rename(tmp_path / "thesis" / "a.tex")
    (tmp_path / "thesis").rename(tmp_path / "data")
    recover(tmp_path / "data", MARKER)
    assert names(tmp_path / "data") == ["a.tex"]
    (tmp_path / "data" / "a.tex").unlink()
    recover(tmp_path / "data", MARKER)
    assert (tmp_path / "data" / MARKER).read_text() == "old"


# Locks.


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")
def test_one_process_works_on_a_folder_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    unfinished = tmp_path / ".data-abcdefgh.part"
    with held(folder), held(folder):
        unfinished.mkdir()
        if (child := os.fork()) == 0:
            told = []
            for work in (
                lambda: check_can_write(folder, overwrite=True, marker=MARKER),
                lambda: write_marked(folder, "new"),
            ):
                try:
                    work()
                except StorageError as error:
                    told.append(str(error).startswith(f"another process is at work on {folder}; w"))
            os._exit(0 if told == [True, True] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert unfinished.is_dir()
    assert names(tmp_path) == [".data-abcdefgh.part"]
    (tmp_path / ".data-abcdefgi.part").symlink_to(tmp_path)
    with held(folder):
        assert names(tmp_path) == [".data.lock"]


# What is read.


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
    manifest = described_files(tmp_path)
    assert manifest["files"] == {f"below/{name}": 3 for name in "abcdefgh"}
    check_files(tmp_path, manifest)
    (tmp_path / "below" / "a").write_text("a")
    (tmp_path / "below" / "b").unlink()
    message = (
        f"{tmp_path} is incomplete: below/a has 1 bytes instead of 3; below/b is missing. It was "
        "probably copied or downloaded only in part; copy it again."
    )
    with pytest.raises(StorageError, match=re.escape(message)):
        check_files(tmp_path, manifest)
    for name in "cdefgh":
        (tmp_path / "below" / name).unlink()
    with pytest.raises(StorageError, match=r"below/e is missing; and 3 more\. It was"):
        check_files(tmp_path, manifest)


def test_hashes_tell_what_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.tsv", "b.npy", "c.png"):
        (tmp_path / name).write_text(name)
    manifest = described_files(tmp_path)
    assert check_files(tmp_path, manifest) == 2
    assert check_files(tmp_path, manifest, thoroughly=True) == 3
    for name in ("b.npy", "c.png"):
        (tmp_path / name).write_text(name.upper())
    message = f"{tmp_path} is damaged: b.npy is not what was written (its SHA-256 differs). Copy it"
    with pytest.raises(StorageError, match=re.escape(message)):
        check_files(tmp_path, manifest)
    monkeypatch.setattr(files, "_SMALL_ARRAY", 4)
    assert check_files(tmp_path, manifest) == 1
    assert check_files(tmp_path, manifest, hashes=False) == 0
    with pytest.raises(StorageError, match=r"b.npy is not what .*; c.png is not what was written"):
        check_files(tmp_path, manifest, thoroughly=True)
    # As earlier versions wrote it.
    assert check_files(tmp_path, {"files": manifest["files"]}, thoroughly=True) == 0


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({}, "its manifest does not list its files"),
        ({"files": [1]}, "its manifest does not list its files"),
        ({"files": {}, "sha256": 3}, "its manifest does not list its files"),
        ({"files": {"../a": 1}}, "its manifest lists '../a', which is not in the folder"),
        ({"files": {"/etc/passwd": 1}}, "its manifest lists '/etc/passwd', which is not in the"),
    ],
)
def test_a_manifest_of_another_shape(
    manifest: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match=re.escape(f"{tmp_path} is damaged: {message}")):
        check_files(tmp_path, manifest)


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
        ("[" * 500, "can't be read as YAML"),
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
