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
    damage_errors,
    described_files,
    folder_written_whole,
    held,
    read_document,
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


def test_a_file_appears_only_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.npy"
    with written_whole(path) as temporary:
        temporary.write_text("complete")
        assert temporary.suffix == ".npy"
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), written_whole(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "complete"
    assert names(path.parent) == ["a.npy"]
    # Others may read it like any new file.
    (tmp_path / "new file").touch()
    assert path.stat().st_mode == (tmp_path / "new file").stat().st_mode


def test_a_folder_appears_only_when_the_block_ends_well(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "data"
    with folder_written_whole(folder, overwrite=False, marker=MARKER) as new:
        (new / MARKER).write_text("old")
        assert not folder.exists()
    with (
        pytest.raises(KeyboardInterrupt),
        folder_written_whole(folder, overwrite=True, marker=MARKER) as new,
    ):
        (new / MARKER).write_text("half")
        raise KeyboardInterrupt
    assert (folder / MARKER).read_text() == "old"
    assert names(folder.parent) == ["data"]
    assert folder.stat().st_mode == folder.parent.stat().st_mode


def test_a_folder_is_replaced_only_when_that_is_wanted(tmp_path: Path) -> None:
    folder, link = tmp_path / "data", tmp_path / "link"
    folder.mkdir()
    write_marked(folder, "old")
    (folder / "left").write_text("over")
    message = (
        f"{folder} exists already and is not empty; pass overwrite=True (--overwrite) or choose "
        "another folder."
    )
    with pytest.raises(StorageError, match=f"^{re.escape(message)}$"):
        write_marked(folder, "new")
    assert names(folder) == ["left", MARKER]
    # A linked folder is replaced where it really is.
    link.symlink_to(folder)
    write_marked(link, "new", overwrite=True)
    assert link.is_symlink()
    assert (folder / MARKER).read_text() == "new"
    assert names(folder) == [MARKER]
    assert names(tmp_path) == ["data", "link"]


def test_what_somebody_else_made_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("years of work")
    message = (
        f"{tmp_path} exists already and is not empty; it holds no metadata.json, so it is not "
        "replaced: choose another folder."
    )
    with pytest.raises(StorageError, match=re.escape(message)):
        write_marked(tmp_path, "new", overwrite=True)
    with pytest.raises(StorageError, match="thesis exists already"):
        write_marked(tmp_path / "thesis", "new", overwrite=True)
    assert names(tmp_path) == ["thesis"]


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


@pytest.mark.parametrize("given", ["", ".", "..", "../data"])
def test_the_working_folder_and_mount_points_are_not_replaced(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / "disk").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "data")
    message = (
        f"'{Path(given)}' is the working folder, or above it, and would be replaced as a whole; "
        "name another folder, such as one in it."
    )
    with pytest.raises(StorageError, match=re.escape(message)):
        write_marked(Path(given), "new")
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "disk")
    with pytest.raises(StorageError, match=r"disk is a mount point, which can't be replaced; name"):
        write_marked(Path("disk"), "new")
    write_marked(Path("disk/new"), "new")
    write_marked(Path("new"), "new")
    assert names(tmp_path / "data") == ["disk", "new"]


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
    with (
        pytest.raises(StorageError, match=re.escape(f"{folder} {message}")),
        folder_written_whole(folder, overwrite=True, marker=MARKER) as new,
    ):
        (new / MARKER).write_text("half")
        raise error
    with pytest.raises(StorageError, match=re.escape(f"{file} {message}")), written_whole(file):
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
    expected = "old" if steps < 2 else "new"
    if steps % 2:
        recover(folder, MARKER)
    else:
        check_can_write(folder, overwrite=True, marker=MARKER)
    assert (folder / MARKER).read_text() == expected
    write_marked(folder, "newer", overwrite=True)
    assert (folder / MARKER).read_text() == "newer"
    assert names(tmp_path) == ["data"]


def test_other_hidden_folders_and_other_data_are_kept(tmp_path: Path) -> None:
    for name in (".data.replaced", ".data-personal", ".data-abcdefgh"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("mine")
    recover(tmp_path / "data", MARKER)
    assert not (tmp_path / "data").exists()
    write_marked(tmp_path / "data", "new")
    assert names(tmp_path) == [".data-abcdefgh", ".data-personal", ".data.replaced", "data"]
    # A folder in the place of one that was being replaced.
    write_marked(tmp_path / ".thesis.replaced", "old")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.tex").write_text("work")
    recover(tmp_path / "thesis", MARKER)
    assert names(tmp_path / "thesis") == ["a.tex"]
    (tmp_path / "thesis" / "a.tex").unlink()
    recover(tmp_path / "thesis", MARKER)
    assert (tmp_path / "thesis" / MARKER).read_text() == "old"


# Locks.


@forked
def test_one_process_works_on_a_folder_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    unfinished = tmp_path / ".data-abcdefgh.part"
    with held(folder), held(folder):
        unfinished.mkdir()
        if (child := os.fork()) == 0:
            message = f"^another process is at work on {re.escape(str(folder))}; wait for it or"
            try:
                with pytest.raises(StorageError, match=message):
                    check_can_write(folder, overwrite=True, marker=MARKER)
                with pytest.raises(StorageError, match=message):
                    write_marked(folder, "new")
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert unfinished.is_dir()
    assert names(tmp_path) == [".data-abcdefgh.part"]
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
    with pytest.raises(StorageError, match=r"a.json is not what was written \(its checksum diff"):
        read_json(path)
    path.unlink()
    message = f"{path} is missing: the folder is incomplete; copy it again."
    with pytest.raises(StorageError, match=re.escape(message)):
        read_json(path)
    with pytest.raises(ValueError, match="not JSON compliant"):
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
    with pytest.raises(StorageError, match=re.escape(f"{path} {message}")):
        read_json(path)


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
    # Manifests of earlier versions have no hashes.
    assert check_files(tmp_path, {"files": manifest["files"]}, thoroughly=True) == 0


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
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


def test_a_document_of_another_format_or_version_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"format": "octis-m3l toy", "version": 2})
    assert read_document(path, "octis-m3l toy", 2)["version"] == 2
    with pytest.raises(StorageError, match="has the format 'octis-m3l toy', expected 'other'"):
        read_document(path, "other", 2)
    with pytest.raises(StorageError, match=r"has version 2 of its format.*pip install --upgrade"):
        read_document(path, "octis-m3l toy", 1)


def test_damaged_content_is_one_error_that_names_the_file(tmp_path: Path) -> None:
    empty: dict[str, int] = {}
    missing = r"x is damaged or incomplete \('name' is missing or unknown\); copy it again\.$"
    with pytest.raises(StorageError, match=missing), damage_errors(tmp_path / "x"):
        empty["name"]
    message = r"x is damaged or incomplete \(bad\); begin anew\.$"
    with pytest.raises(StorageError, match=message), damage_errors(tmp_path / "x", "begin anew"):
        raise ValueError("bad\nmore")
    with pytest.raises(SettingsError, match="as it is"), damage_errors(tmp_path / "x"):
        raise SettingsError("as it is")
