"""Files and folders are written whole or not at all."""

import errno
import os
import re
import tempfile
from pathlib import Path
from typing import Any

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
forked = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")


def write_marked(folder: Path, text: str, *, overwrite: bool = False) -> None:
    with folder_written_whole(folder, overwrite=overwrite, marker=MARKER) as new:
        (new / MARKER).write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(message: str, error: type[Exception] = StorageError) -> Any:
    """Return a context that ends with an error whose message contains a text."""
    return pytest.raises(error, match=re.escape(message))


def test_files_and_folders_appear_only_when_the_block_ends_well(tmp_path: Path) -> None:
    path, folder = tmp_path / "new" / "a.npy", tmp_path / "above" / "data"
    with written_whole(path) as temporary:
        temporary.write_text("complete")
        assert temporary.suffix == ".npy"
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), written_whole(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    with folder_written_whole(folder, overwrite=False, marker=MARKER) as new:
        (new / MARKER).write_text("old")
        assert not folder.exists()
    rewriting = folder_written_whole(folder, overwrite=True, marker=MARKER)
    with pytest.raises(KeyboardInterrupt), rewriting as new:
        (new / MARKER).write_text("half")
        raise KeyboardInterrupt
    assert (path.read_text(), (folder / MARKER).read_text()) == ("complete", "old")
    assert (names(path.parent), names(folder.parent)) == (["a.npy"], ["data"])
    # Others may read them like any new file or folder.
    (tmp_path / "new file").touch()
    assert path.stat().st_mode == (tmp_path / "new file").stat().st_mode
    assert folder.stat().st_mode == folder.parent.stat().st_mode


def test_a_folder_is_replaced_only_when_that_is_wanted_and_it_is_ours(tmp_path: Path) -> None:
    folder, link, thesis = (tmp_path / name for name in ("data", "link", "thesis"))
    folder.mkdir()
    write_marked(folder, "old")
    (folder / "left").write_text("over")
    there = "exists already and is not empty"
    with refused(f"{folder} {there}; pass overwrite=True (--overwrite) or choose another folder."):
        write_marked(folder, "new")
    assert names(folder) == ["left", MARKER]
    # A linked folder is replaced where it really is.
    link.symlink_to(folder)
    write_marked(link, "new", overwrite=True)
    assert link.is_symlink()
    assert (folder / MARKER).read_text() == "new"
    assert names(folder) == [MARKER]
    thesis.write_text("years of work")
    foreign = f"{there}; it holds no metadata.json, so it is not replaced: choose another folder."
    for place in (tmp_path, thesis):
        with refused(f"{place} {foreign}"):
            write_marked(place, "new", overwrite=True)
    assert names(tmp_path) == ["data", "link", "thesis"]


def test_the_old_folder_comes_back_when_the_new_one_cannot_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rename = tmp_path / "data", Path.replace
    write_marked(folder, "old")

    def refuse_new(path: Path, target: Path) -> Path:
        if path.name.startswith(".data-"):
            raise OSError("refused")
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", refuse_new)
    with refused(f"{folder} can't be written: refused; check the path and its permissions, or"):
        write_marked(folder, "new", overwrite=True)
    assert (folder / MARKER).read_text() == "old"
    assert names(tmp_path) == ["data"]


def test_the_working_folder_and_mount_points_are_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / "disk").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "data")
    for given in ("", ".", "..", "../data"):
        with refused(
            f"'{Path(given)}' is the working folder, or above it, and would be replaced as a "
            "whole; name another folder, such as one in it."
        ):
            write_marked(Path(given), "new")
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "disk")
    with refused("disk is a mount point, which can't be replaced; name"):
        write_marked(Path("disk"), "new")
    write_marked(Path("disk/new"), "new")
    write_marked(Path("new"), "new")
    assert names(tmp_path / "data") == ["disk", "new"]


def test_what_can_not_be_written_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    inside = tmp_path / "file" / "above" / "data"
    with refused(f"{inside} can't be written: Not a directory; check"):
        check_can_write(inside, overwrite=True, marker=MARKER)
    with refused("is a folder, where a file was expected; name a file"):
        check_can_write_file(tmp_path)

    def read_only(dir: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    with refused("can't be written: Permission denied; check the"):
        check_can_write(tmp_path / "data", overwrite=True, marker=MARKER)
    with refused("can't be written: Permission denied; check the"):
        check_can_write_file(tmp_path / "topics.png")
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        # numpy's and safetensors' messages.
        OSError("262144 requested and 4096 written"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_line_and_nothing_is_lost(error: Exception, tmp_path: Path) -> None:
    folder, file = tmp_path / "data", tmp_path / "a.txt"
    write_marked(folder, "old")
    file.write_text("old")
    message = "can't be written: no space is left on the disk; free some space, or choose another"
    rewriting = folder_written_whole(folder, overwrite=True, marker=MARKER)
    with refused(f"{folder} {message}"), rewriting as new:
        (new / MARKER).write_text("half")
        raise error
    with refused(f"{file} {message}"), written_whole(file):
        raise error
    assert (folder / MARKER).read_text() == file.read_text() == "old"
    assert names(tmp_path) == ["a.txt", "data"]


# Killed.


@forked
@pytest.mark.parametrize("steps", range(4))
def test_a_folder_survives_a_kill_at_every_step(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    if steps % 2:
        recover(folder, MARKER)
    else:
        check_can_write(folder, overwrite=True, marker=MARKER)
    assert (folder / MARKER).read_text() == ("old" if steps < 2 else "new")
    write_marked(folder, "newer", overwrite=True)
    assert (folder / MARKER).read_text() == "newer"
    assert names(tmp_path) == ["data"]


def test_other_hidden_folders_and_other_data_are_kept(tmp_path: Path) -> None:
    hidden = [".data-abcdefgh", ".data-personal", ".data.replaced"]
    for name in hidden:
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("mine")
    recover(tmp_path / "data", MARKER)
    assert not (tmp_path / "data").exists()
    write_marked(tmp_path / "data", "new")
    assert names(tmp_path) == [*hidden, "data"]
    # A folder in the place of one that was being replaced.
    thesis = tmp_path / "thesis"
    write_marked(tmp_path / ".thesis.replaced", "old")
    thesis.mkdir()
    (thesis / "a.tex").write_text("work")
    recover(thesis, MARKER)
    assert names(thesis) == ["a.tex"]
    (thesis / "a.tex").unlink()
    recover(thesis, MARKER)
    assert (thesis / MARKER).read_text() == "old"


@forked
def test_one_process_works_on_a_folder_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    unfinished = tmp_path / ".data-abcdefgh.part"
    with held(folder), held(folder):
        unfinished.mkdir()
        if (child := os.fork()) == 0:
            busy = f"another process is at work on {folder}; wait for it or"
            try:
                with refused(busy):
                    check_can_write(folder, overwrite=True, marker=MARKER)
                with refused(busy):
                    write_marked(folder, "new")
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert unfinished.is_dir()
    assert names(tmp_path) == [unfinished.name]
    (tmp_path / ".data-abcdefgi.part").symlink_to(tmp_path)
    with held(folder):
        assert names(tmp_path) == [".data.lock"]


# What is read.


def test_json_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    content = {"name": "Übersicht 日本", "numbers": [1, 2.5, None], "nested": {"a": True}}
    for checked in (False, True):
        write_json(path, content, checked=checked)
        assert read_json(path) == content
        assert "Übersicht 日本" in path.read_text(encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace("2.5", "3.5"), encoding="utf-8")
    with refused("a.json is not what was written (its checksum differs)"):
        read_json(path)
    path.unlink()
    with refused(f"{path} is missing: the folder is incomplete; copy it again."):
        read_json(path)
    with refused("not JSON compliant", ValueError):
        write_json(path, {"a": float("nan")})
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
    with refused(f"{path} {message}"):
        read_json(path)


def test_sizes_and_hashes_tell_what_is_missing_truncated_or_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    for name in ("below/a.tsv", "b.npy", "c.png", "d", "e", "f"):
        (tmp_path / name).write_text(name)
    manifest = described_files(tmp_path)
    assert manifest["files"]["below/a.tsv"] == 11
    assert check_files(tmp_path, manifest) == 2
    assert check_files(tmp_path, manifest, thoroughly=True) == 6
    for name in ("b.npy", "c.png"):
        (tmp_path / name).write_text(name.upper())
    changed = "is not what was written (its SHA-256 differs)"
    with refused(f"{tmp_path} is damaged: b.npy {changed}. Copy it again, or make it anew."):
        check_files(tmp_path, manifest)
    with refused(f"b.npy {changed}; c.png {changed}."):
        check_files(tmp_path, manifest, thoroughly=True)
    monkeypatch.setattr(files, "_SMALL_ARRAY", 4)
    assert check_files(tmp_path, manifest) == 1
    assert check_files(tmp_path, manifest, hashes=False) == 0
    # Manifests of earlier versions have no hashes.
    assert check_files(tmp_path, {"files": manifest["files"]}, thoroughly=True) == 0
    (tmp_path / "below" / "a.tsv").write_text("a")
    (tmp_path / "b.npy").unlink()
    with refused(
        f"{tmp_path} is incomplete: b.npy is missing; below/a.tsv has 1 bytes instead of 11. It "
        "was probably copied or downloaded only in part; copy it again."
    ):
        check_files(tmp_path, manifest)
    for name in ("c.png", "d", "e", "f"):
        (tmp_path / name).unlink()
    with refused("e is missing; and 1 more. It was"):
        check_files(tmp_path, manifest)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"files": [1]}, "its manifest does not list its files"),
        ({"files": {}, "sha256": 3}, "its manifest does not list its files"),
        ({"files": {"../a": 1}}, "its manifest lists '../a', which is not in the folder"),
        ({"files": {"/etc/passwd": 1}}, "its manifest lists '/etc/passwd', which is not in the"),
    ],
)
def test_a_manifest_of_another_shape(manifest: Any, message: str, tmp_path: Path) -> None:
    with refused(f"{tmp_path} is damaged: {message}"):
        check_files(tmp_path, manifest)


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
    with refused(message, SettingsError):
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
