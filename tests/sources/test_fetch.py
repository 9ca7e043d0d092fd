"""Fetching a set: whole or not at all, going on after an interruption."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from filelock import FileLock

from octis_m3l.errors import SettingsError, StorageError
from octis_m3l.files import write_json, written_whole
from octis_m3l.sources.build import build, describe
from octis_m3l.sources.catalogue import source_of
from octis_m3l.sources.download import Fetcher, FetchError
from octis_m3l.sources.fetch import fetch
from octis_m3l.sources.source import RemoteFile, Source

from .local_server import LocalServer, Reply
from .serving import BAGS, FOLDER, NEWEST, serve, served_bags, small_bags, whole

COMMIT = source_of("ecnews").repositories[BAGS]
MISSING = f"/raw/{BAGS}/{COMMIT}/{FOLDER}/vocab_cn"
GOOD = Reply(small_bags()[f"{FOLDER}/vocab_cn"])
LATER = "1" * 40
COMPLETE = ["raw", "source.json"]


@pytest.fixture
def bags(server: LocalServer) -> Source:
    return served_bags(server)


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def by_name(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {path.rpartition("/")[2]: body for path, body in files.items()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def asked(server: LocalServer) -> list[str]:
    """Return the names of the files asked for since the last call."""
    paths = sorted(request.path.rpartition("/")[2] for request in server.requests)
    server.requests.clear()
    return paths


def test_all_files_come_and_are_written_down(bags: Source, tmp_path: Path) -> None:
    record = fetch(bags, tmp_path)
    home = tmp_path / "ecnews"
    expected = by_name(small_bags())
    assert content(home / "raw") == expected
    assert names(home) == COMPLETE
    assert json.loads((home / "source.json").read_text()) == record
    assert (record["licence"], record["commits"]) == ("none stated", {BAGS: COMMIT})
    assert "NLPCC 2020" in record["citation"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", record["date"])
    entry = record["files"]["vocab_en"]
    assert entry["url"] == f"https://raw.githubusercontent.com/{BAGS}/{COMMIT}/{FOLDER}/vocab_en"
    assert entry["size"] == len(expected["vocab_en"])
    assert entry["checked"] == "recorded on first fetch"
    assert record["left_out"] == []


@pytest.mark.parametrize(
    ("reply", "sha256", "message"),
    [
        (Reply(b"no", status=404), None, "vocab_cn: the server answered 404"),
        (
            Reply(b"<html>log in</html>", headers={"Content-Type": "text/html"}),
            None,
            "a web page came instead of the file",
        ),
        (GOOD, "0" * 64, f"expected {'0' * 64} but got [0-9a-f]+"),
    ],
)
def test_a_file_that_does_not_come_stops_it_and_nothing_passes_for_whole(
    bags: Source, server: LocalServer, tmp_path: Path, reply: Reply, sha256: str, message: str
) -> None:
    files = [replace(f, sha256=sha256) if f.path == "vocab_cn" else f for f in bags.files]
    server.serve(MISSING, reply)
    with pytest.raises(FetchError, match=message):
        fetch(replace(bags, files=tuple(files)), tmp_path)
    assert not {"vocab_cn", "source.json"} & {*content(tmp_path / "ecnews")}
    unfetched = "has not been fetched to .*ecnews, or not completely: octis-m3l datasets fetch ecn"
    with pytest.raises(StorageError, match=unfetched):
        build(bags, tmp_path / "out", tmp_path)
    before = {*asked(server)}
    server.serve(MISSING, GOOD)
    fetch(bags, tmp_path)
    assert before & {*asked(server)} == {"vocab_cn"}


def test_what_the_set_can_do_without_is_left_out(server: LocalServer, tmp_path: Path) -> None:
    files = small_bags()
    del files[f"{FOLDER}/train_texts_cn.txt"]
    source = serve(server, source_of("ecnews"), {BAGS: files})
    record = fetch(source, tmp_path)
    assert record["left_out"] == ["train_texts_cn.txt"]
    assert describe(source, tmp_path)["fetched"]["left_out"] == ["train_texts_cn.txt"]
    assert build(source, tmp_path / "out", tmp_path).text_view("cn").sizes == (2, 0, 1)


def test_damaged_files_are_fetched_again_and_must_be_as_before(
    bags: Source, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fetch(bags, tmp_path)
    raw = tmp_path / "ecnews" / "raw"
    (raw / "vocab_cn").write_bytes(b"x" * (raw / "vocab_cn").stat().st_size)
    (raw / "vocab_en").unlink()
    with pytest.raises(StorageError, match=r"2 files are missing or damaged, the first is vocab_c"):
        build(bags, tmp_path / "out", tmp_path)
    asked(server)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("os.link", Mock(side_effect=[None, KeyboardInterrupt]))
        fetch(bags, tmp_path)
    assert fetch(bags, tmp_path) == first
    assert asked(server) == ["vocab_cn", "vocab_en"]
    (tmp_path / "ecnews" / "source.json").unlink()
    assert fetch(bags, tmp_path) == first
    assert asked(server) == []
    # A first fetch that was wrong is not kept to for ever.
    (raw / "vocab_cn").unlink()
    server.serve(MISSING, Reply("山\n川\n".encode()))
    message = r"does not match the known hash.* that of the first fetch; .* again=True \(--again\)"
    with pytest.raises(FetchError, match=message):
        fetch(bags, tmp_path)
    fetch(bags, tmp_path, again=True)
    assert (raw / "vocab_cn").read_text() == "山\n川\n"


def test_two_at_once(bags: Source, tmp_path: Path) -> None:
    lock = tmp_path / ".ecnews.lock"
    message = "another process is at work on .*ecnews; wait for it or stop it"
    with FileLock(lock), pytest.raises(StorageError, match=message):
        fetch(bags, tmp_path)
    first = fetch(bags, tmp_path)
    # What is there already needs nobody's leave.
    with FileLock(lock):
        assert fetch(bags, tmp_path) == first


@pytest.mark.parametrize("finished", [True, False])
def test_other_commits_than_the_catalogue_names(
    bags: Source, server: LocalServer, tmp_path: Path, finished: bool
) -> None:
    if not finished:
        server.serve(MISSING, Reply(status=404))
        with pytest.raises(FetchError, match="404"):
            fetch(bags, tmp_path)
    else:
        fetch(bags, tmp_path)
    later = replace(bags, repositories={BAGS: LATER})
    with pytest.raises(StorageError, match=r"from other commits .* with again=True \(--again\)"):
        fetch(later, tmp_path)
    with pytest.raises(FetchError, match="404"):
        fetch(later, tmp_path, again=True)
    if finished:  # A set that is there stays while a new one can't be had.
        assert build(bags, tmp_path / "out", tmp_path).text_view("en").sizes == (3, 0, 1)
    for path, body in small_bags().items():
        server.serve(f"/raw/{BAGS}/{LATER}/{path}", Reply(body))
    asked(server)
    record = fetch(later, tmp_path, again=True)
    assert record["pins"] == record["commits"] == {BAGS: LATER}
    assert len(asked(server)) == len(small_bags())
    assert names(tmp_path / "ecnews") == COMPLETE


def test_records_of_another_set_or_program(
    bags: Source, server: LocalServer, tmp_path: Path
) -> None:
    fetch(bags, tmp_path)
    (tmp_path / "ecnews").rename(tmp_path / "other")
    other = replace(bags, name="other")
    for call in (
        lambda: fetch(other, tmp_path),
        lambda: fetch(other, tmp_path, again=True),
        lambda: build(other, tmp_path / "o", tmp_path),
    ):
        with pytest.raises(StorageError, match="holds the data set ecnews, where other was expec"):
            call()
    message = "is damaged, or no record of a fetched data set. Delete it and fetch the set"
    for text in ("{}", "{", "[]", '{"format": "octis-m3l source", "files": {}}', "\0"):
        (tmp_path / "other" / "source.json").write_text(text)
        with pytest.raises(StorageError, match=message):
            fetch(other, tmp_path)


def test_a_folder_that_is_a_file(bags: Source, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"can't be written: .*choose another folder"):
        fetch(bags, tmp_path / "file")


def choosing(collect: Any, **more: Any) -> Source:
    return replace(source_of("m10"), name="own", repositories={}, files=(), collect=collect, **more)


class Collector:
    """Writes its option to a file; fails if it is told to."""

    def __init__(self) -> None:
        self.fails = False
        self.calls: list[list[str]] = []

    def __call__(
        self, folder: Path, fetcher: Fetcher, *, progress: bool, limit: int = 9
    ) -> dict[str, Any]:
        self.calls.append(names(folder))
        with written_whole(folder / "article.json") as place:
            place.write_text(f"{limit}")
        if self.fails:
            raise FetchError("no more today")
        return {"articles": limit}


@pytest.mark.parametrize(
    ("call", "name", "option", "values", "expected"),
    [
        (fetch, "wikipedia-m3l", "limit", ("ten", True, 2.5), "it should be a valid integer"),
        (fetch, "wikipedia-m3l", "limit", (0,), "it should be greater than or equal to 1"),
        (build, "wikipedia-m3l", "words", (0,), "it should be greater than or equal to 1"),
        (build, "wikipedia-m3l", "validation", (1,), "it should be less than 1"),
        (fetch, "wikipedia-m3l", "retry_gone", ("no", 1), "it should be a valid boolean"),
        (fetch, "wikipedia-m3l", "limti", (3,), "no option 'limti'. .*: accept_failed, limit"),
        (build, "ecnews", "validation", ("0.1", None), "it should be a valid number"),
        (build, "ecnews", "views", ("en",), "'str' instances are not allowed as a Sequence value"),
        (build, "m10", "views", ([1],), "it should be a valid string"),
        (build, "huggingface:a/b", "texts", ({"a": 1},), "it should be a valid string"),
    ],
)
def test_choices_are_of_the_right_kind(
    call: Any, name: str, option: str, values: Sequence[Any], expected: str, tmp_path: Path
) -> None:
    for value in values:
        start = "" if "option" in expected else rf": {option}={re.escape(repr(value))}: "
        with pytest.raises(SettingsError, match=f"^{name}{start}.*{expected}"):
            call(name, tmp_path / "place", **{option: value})
    assert not (tmp_path / "place").exists()


def test_a_collected_set_goes_on_and_a_failure_leaves_the_old_one(tmp_path: Path) -> None:
    collect, article = Collector(), tmp_path / "own" / "raw" / "article.json"
    source = choosing(collect)
    first = fetch(source, tmp_path, limit=3)
    assert (first["options"], first["collected"]) == ({"limit": 3}, {"articles": 3})
    assert list(first["files"]) == ["article.json"]
    for again in (False, True):
        collect.fails = True
        with pytest.raises(FetchError, match="no more today"):
            fetch(source, tmp_path, again=again)
        assert fetch(source, tmp_path, limit=3) == first
        collect.fails = False
    assert collect.calls == [[], ["article.json"], []]
    assert fetch(source, tmp_path)["collected"] == {"articles": 9}
    assert article.read_text() == "9"
    assert collect.calls[3:] == [[]]
    assert fetch(source, tmp_path, again=True, limit=4)["collected"] == {"articles": 4}
    assert collect.calls[4:] == [[]]
    assert names(tmp_path / "own") == COMPLETE


@pytest.mark.parametrize("renames", range(3))
def test_killed_while_files_of_other_commits_take_their_place(
    bags: Source, server: LocalServer, tmp_path: Path, renames: int
) -> None:
    fetch(bags, tmp_path)
    later = replace(bags, repositories={BAGS: LATER})
    new = {path: body + b" " for path, body in small_bags().items()}
    for path, body in new.items():
        server.serve(f"/raw/{BAGS}/{LATER}/{path}", Reply(body))
    rename, left = Path.rename, [renames]

    def killed(path: Path, target: Path) -> None:
        if path.parent.name == "ecnews" and not left[0]:
            raise KeyboardInterrupt
        left[0] -= path.parent.name == "ecnews"
        rename(path, target)

    with pytest.MonkeyPatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Path, "rename", killed)
        fetch(later, tmp_path, again=True)
    if renames < 2:
        with pytest.raises(StorageError, match="from other commits"):
            fetch(later, tmp_path)
        assert fetch(bags, tmp_path)["commits"] == {BAGS: COMMIT}
        assert content(tmp_path / "ecnews" / "raw") == by_name(small_bags())
    assert fetch(later, tmp_path, again=True)["commits"] == {BAGS: LATER}
    assert content(tmp_path / "ecnews" / "raw") == by_name(new)
    assert names(tmp_path / "ecnews") == COMPLETE


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("written", [False, True])
def test_interrupted_while_the_record_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool, again: bool
) -> None:
    def killed(path: Path, content: Mapping[str, Any]) -> None:
        if written or path.name != "source.json":
            write_json(path, content)
        if path.name == "source.json":
            raise KeyboardInterrupt

    source = choosing(Collector())
    first = fetch(source, tmp_path, limit=3)
    with monkeypatch.context() as patch:
        patch.setattr("octis_m3l.sources.fetch.write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(source, tmp_path, again=again)
    limit = 9 if written else 3
    record = fetch(source, tmp_path, limit=limit)
    assert (record == first) is not written
    assert (tmp_path / "own" / "raw" / "article.json").read_text() == f"{limit}"


def test_the_newest_commit_is_kept_to(
    server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, folder = "MIND-Lab/OCTIS", "preprocessed_datasets/M10"
    files = {f"{folder}/corpus.tsv": b"sea ship\ttrain\t1\n", f"{folder}/vocabulary.txt": b"sea\n"}
    source = serve(server, source_of("m10"), {name: files})
    words = f"/raw/{name}/{NEWEST}/{folder}/vocabulary.txt"
    server.serve(words, Reply(status=404))
    with pytest.raises(FetchError, match="404"):
        fetch(source, tmp_path)
    # What is newest changes in between.
    head = f"/api/repos/{name}/commits/HEAD"
    server.serve(head, Reply(json.dumps({"sha": LATER}).encode()))
    server.serve(words, Reply(b"sea\n"))
    # Another process finishes while this one waits for it.
    record = fetch(source, tmp_path)
    aside = (tmp_path / "m10" / "source.json").rename(tmp_path / "source.json")

    @contextmanager
    def held(home: Path) -> Iterator[None]:
        aside.rename(home / "source.json")
        yield

    monkeypatch.setattr("octis_m3l.sources.fetch.held", held)
    assert fetch(source, tmp_path)["commits"] == record["commits"] == {name: NEWEST}
    assert len(server.asked(head)) == 1
    described = describe(source, tmp_path)["files"]
    assert NEWEST in described[0]["url"]
    assert described[0]["sha256"] == "not known: recorded on first fetch"


@pytest.fixture
def listed(server: LocalServer) -> Source:
    """A set whose files stand in the repository's list."""

    def listing(trees: Mapping[str, Any], raw: Path) -> list[RemoteFile]:
        return list(trees["some/where"])

    pinned = {"some/where": "abc1230"}
    source = replace(
        source_of("m10"), name="listed", repositories=pinned, files=(), listings=(listing,)
    )
    return serve(server, source, {"some/where": {"a/b c#1.txt": b"one", "z.txt": b"two"}})


def test_files_of_a_repositorys_list(listed: Source, server: LocalServer, tmp_path: Path) -> None:
    path = f"/raw/some/where/{whole('abc1230')}/z.txt"
    server.serve(path, Reply(b"TWO"))
    with pytest.raises(FetchError, match="is not the file that the repository's list names"):
        fetch(listed, tmp_path)
    assert "z.txt" not in content(tmp_path / "listed")
    server.serve(path, Reply(b"two"))
    record = fetch(listed, tmp_path)
    assert record["commits"] == {"some/where": whole("abc1230")}
    assert (tmp_path / "listed" / "raw" / "a" / "b c#1.txt").read_bytes() == b"one"
    assert {file["checked"] for file in record["files"].values()} == {"with the catalogue"}


def test_answers_that_name_no_commit_or_not_all_files(
    listed: Source, server: LocalServer, tmp_path: Path
) -> None:
    wrong_tree = b'{"tree": [{"type": "blob", "path": "a", "sha": 3}]}'
    for answer in (b'{"tree": [], "truncated": true}', b"[]", wrong_tree):
        server.serve(f"/api/repos/some/where/git/trees/{whole('abc1230')}", Reply(answer))
        with pytest.raises(FetchError, match="the answer is no complete list of files"):
            fetch(listed, tmp_path)
    for answer in (b"[]", b'{"sha": 3}', b'{"sha": "123"}', b'"sha"'):
        server.serve("/api/repos/some/where/commits/abc1230", Reply(answer))
        with pytest.raises(FetchError, match="commits/abc1230: the answer is no description of a"):
            fetch(listed, tmp_path / "other")
    other = Reply(json.dumps({"sha": LATER}).encode())
    server.serve("/api/repos/some/where/commits/abc1230", other)
    with pytest.raises(FetchError, match=f"has the commit {LATER} in place of abc1230"):
        fetch(listed, tmp_path / "other")
