"""Fetching a set: whole or not at all, going on after an interruption."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from octis_m3l.errors import SettingsError, StorageError
from octis_m3l.files import write_json, written_whole
from octis_m3l.sources.build import build, describe
from octis_m3l.sources.catalogue import source_of
from octis_m3l.sources.fetch import fetch
from octis_m3l.sources.fetching import Fetcher, FetchError
from octis_m3l.sources.source import RemoteFile, Source

from .bags import FOLDER, small_bags
from .local_server import LocalServer, Reply
from .serving import NEWEST, serve, whole

REPOSITORY = "BobXWu/InfoCTM"
COMMIT = source_of("ecnews").repositories[REPOSITORY]
MISSING = f"/raw/{REPOSITORY}/{COMMIT}/{FOLDER}/vocab_cn"


def bags(server: LocalServer) -> Source:
    return serve(server, source_of("ecnews"), {REPOSITORY: small_bags()})


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_all_files_come_and_are_written_down(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    record = fetch(source, tmp_path)
    home = tmp_path / "ecnews"
    expected = {name.rpartition("/")[2]: body for name, body in small_bags().items()}
    assert content(home / "raw") == expected
    assert sorted(path.name for path in home.iterdir()) == [".lock", "raw", "source.json"]
    assert json.loads((home / "source.json").read_text()) == record
    assert record["licence"] == "none stated"
    assert record["commits"] == {REPOSITORY: COMMIT}
    assert "NLPCC 2020" in record["citation"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", record["date"])
    entry = record["files"]["vocab_en"]
    assert entry["url"] == f"{server.root}/raw/{REPOSITORY}/{COMMIT}/{FOLDER}/vocab_en"
    assert entry["size"] == len(expected["vocab_en"])
    assert entry["checked"] == "recorded on first fetch"
    assert record["left_out"] == []


def test_a_file_that_is_not_there_stops_it_and_nothing_passes_for_whole(
    server: LocalServer, tmp_path: Path
) -> None:
    source = bags(server)
    server.serve(MISSING, Reply(b"no", status=404))
    with pytest.raises(FetchError, match=r"vocab_cn: the server answered 404"):
        fetch(source, tmp_path)
    home = tmp_path / "ecnews"
    assert not (home / "raw").exists()
    assert not (home / "source.json").exists()
    message = "has not been fetched to .*ecnews, or not completely: octis-m3l datasets fetch ecnews"
    with pytest.raises(StorageError, match=message):
        build(source, tmp_path / "out", tmp_path)
    asked = {request.path for request in server.requests}
    server.requests.clear()
    server.serve(MISSING, Reply(small_bags()[f"{FOLDER}/vocab_cn"]))
    fetch(source, tmp_path)
    again = {request.path for request in server.requests}
    assert again & asked == {MISSING}


def test_what_the_set_can_do_without_is_left_out(server: LocalServer, tmp_path: Path) -> None:
    files = small_bags()
    del files[f"{FOLDER}/train_texts_cn.txt"]
    source = serve(server, source_of("ecnews"), {REPOSITORY: files})
    record = fetch(source, tmp_path)
    assert record["left_out"] == ["train_texts_cn.txt"]
    assert describe(source, tmp_path)["fetched"]["left_out"] == ["train_texts_cn.txt"]
    assert build(source, tmp_path / "out", tmp_path).text_view("cn").sizes == (2, 0, 1)


def test_passing_trouble_passes(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    body = small_bags()[f"{FOLDER}/vocab_cn"]
    server.serve(MISSING, Reply(status=500), Reply(body, cut=3), Reply(body))
    record = fetch(source, tmp_path)
    assert record["files"]["vocab_cn"]["size"] == len(body)
    assert (tmp_path / "ecnews" / "raw" / "vocab_cn").read_bytes() == body


def test_a_wrong_checksum(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    files = tuple(
        replace(file, sha256="0" * 64) if file.path == "vocab_cn" else file for file in source.files
    )
    with pytest.raises(FetchError, match=f"expected {'0' * 64} but got [0-9a-f]+"):
        fetch(replace(source, files=files), tmp_path)
    home = tmp_path / "ecnews"
    assert not (home / "raw").exists()
    assert "vocab_cn" not in content(home)


@pytest.mark.parametrize("links", [True, False])
def test_damaged_files_are_fetched_again_and_must_be_as_before(
    server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def no_links(*_: object) -> None:
        raise OSError("this file system has no hard links")

    if not links:
        monkeypatch.setattr("os.link", no_links)
    source = bags(server)
    first = fetch(source, tmp_path)
    raw = tmp_path / "ecnews" / "raw"
    (raw / "vocab_cn").write_bytes(b"x" * (raw / "vocab_cn").stat().st_size)
    (raw / "vocab_en").unlink()
    with pytest.raises(StorageError, match=r"2 files are missing or damaged, the first is vocab_c"):
        build(source, tmp_path / "out", tmp_path)
    server.requests.clear()
    assert fetch(source, tmp_path) == first
    assert sorted(r.path.rpartition("/")[2] for r in server.requests) == ["vocab_cn", "vocab_en"]
    (raw / "vocab_cn").unlink()
    server.serve(MISSING, Reply("山\n川\n".encode()))
    with pytest.raises(FetchError, match="does not match the known hash"):
        fetch(source, tmp_path)
    server.serve(MISSING, Reply(small_bags()[f"{FOLDER}/vocab_cn"]))
    assert fetch(source, tmp_path) == first


def test_interrupted_at_the_very_end(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    first = fetch(source, tmp_path)
    (tmp_path / "ecnews" / "source.json").unlink()
    server.requests.clear()
    assert fetch(source, tmp_path) == first
    assert server.requests == []


def test_two_at_once(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    (tmp_path / "ecnews").mkdir()
    message = "another process is fetching to .*ecnews; wait for it, or give another folder"
    with FileLock(tmp_path / "ecnews" / ".lock"), pytest.raises(StorageError, match=message):
        fetch(source, tmp_path)
    first = fetch(source, tmp_path)
    # What is there already needs nobody's leave.
    with FileLock(tmp_path / "ecnews" / ".lock"):
        assert fetch(source, tmp_path) == first


def test_other_commits_than_the_catalogue_names(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    fetch(source, tmp_path)
    later = replace(source, repositories={REPOSITORY: "1" * 40})
    with pytest.raises(StorageError, match=r"from other commits .* with again=True \(--again\)"):
        fetch(later, tmp_path)
    with pytest.raises(FetchError, match="404"):
        fetch(later, tmp_path, again=True)
    # A set that is there stays while a new one can't be had.
    assert build(source, tmp_path / "out", tmp_path).text_view("en").sizes == (3, 0, 1)
    for path, body in small_bags().items():
        server.serve(f"/raw/{REPOSITORY}/{'1' * 40}/{path}", Reply(body))
    record = fetch(later, tmp_path, again=True)
    assert record["pins"] == record["commits"] == {REPOSITORY: "1" * 40}
    home = tmp_path / "ecnews"
    assert sorted(path.name for path in home.iterdir()) == [".lock", "raw", "source.json"]


def test_an_unfinished_fetch_of_other_commits(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    server.serve(MISSING, Reply(status=404))
    with pytest.raises(FetchError, match="404"):
        fetch(source, tmp_path)
    later = replace(source, repositories={REPOSITORY: "1" * 40})
    for path in small_bags():
        server.serve(f"/raw/{REPOSITORY}/{'1' * 40}/{path}", Reply(small_bags()[path]))
    with pytest.raises(StorageError, match="from other commits than the catalogue"):
        fetch(later, tmp_path)
    server.requests.clear()
    assert fetch(later, tmp_path, again=True)["commits"] == {REPOSITORY: "1" * 40}
    assert len(server.requests) == len(small_bags())


def test_a_web_page_is_no_file(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    page = Reply(b"<html>log in</html>", headers={"Content-Type": "text/html"})
    server.serve(MISSING, page)
    with pytest.raises(FetchError, match="a web page came instead of the file"):
        fetch(source, tmp_path)
    server.serve(MISSING, Reply(small_bags()[f"{FOLDER}/vocab_cn"]))
    assert fetch(source, tmp_path)["left_out"] == []


def test_a_spoilt_first_fetch_is_not_kept_to(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    server.serve(MISSING, Reply(b"spoilt"))
    fetch(source, tmp_path)
    good = small_bags()[f"{FOLDER}/vocab_cn"]
    server.serve(MISSING, Reply(good))
    (tmp_path / "ecnews" / "raw" / "vocab_cn").unlink()
    with pytest.raises(FetchError, match=r"that of the first fetch; .* again=True \(--again\)"):
        fetch(source, tmp_path)
    fetch(source, tmp_path, again=True)
    assert (tmp_path / "ecnews" / "raw" / "vocab_cn").read_bytes() == good


def test_a_record_of_another_set(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    fetch(source, tmp_path)
    (tmp_path / "ecnews").rename(tmp_path / "other")
    other = replace(source, name="other")
    for call in (lambda: fetch(other, tmp_path), lambda: build(other, tmp_path / "o", tmp_path)):
        with pytest.raises(StorageError, match="holds the data set ecnews, where other was expec"):
            call()


def test_a_folder_that_is_a_file(server: LocalServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"can't be written: .*choose another folder"):
        fetch(bags(server), tmp_path / "file")


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
        self.calls.append(sorted(path.name for path in folder.iterdir()))
        with written_whole(folder / "article.json") as place:
            place.write_text(f"{limit}")
        if self.fails:
            raise FetchError("no more today")
        return {"articles": limit}


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("limit", "ten", r"own: limit='ten': it should be a valid integer\."),
        ("limit", True, "it should be a valid integer"),
        ("limit", 2.5, "it should be a valid integer"),
        ("strict", "no", "it should be a valid boolean"),
        ("strict", 1, "it should be a valid boolean"),
        ("share", "0.1", r"it should be a valid number\."),
        ("share", None, r"it should be a valid number\."),
        ("views", "en", "'str' instances are not allowed as a Sequence value"),
        ("views", [1], "it should be a valid string"),
        ("columns", {"a": 1}, "it should be a valid string"),
    ],
)
def test_choices_are_of_the_right_kind(
    server: LocalServer, tmp_path: Path, option: str, value: Any, expected: str
) -> None:
    def chosen(
        folder: Path,
        fetcher: Any = None,
        *,
        progress: bool = False,
        limit: int | None = None,
        strict: bool = False,
        share: float = 0.5,
        views: Sequence[str] | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        return {}

    source = choosing(chosen, build=chosen)
    with pytest.raises(SettingsError, match=expected):
        fetch(source, tmp_path, **{option: value})
    assert not (tmp_path / "own").exists()
    good = {"limit": 3, "strict": True, "share": 1, "views": ["en"], "columns": {"a": "b"}}
    fetch(source, tmp_path, **good)
    with pytest.raises(SettingsError, match=expected):
        build(source, tmp_path / "out", tmp_path, **{option: value})


def test_a_collected_set_goes_on_and_a_failure_leaves_the_old_one(tmp_path: Path) -> None:
    collect, article = Collector(), tmp_path / "own" / "raw" / "article.json"
    source = choosing(collect)
    collect.fails = True
    with pytest.raises(FetchError, match="no more today"):
        fetch(source, tmp_path, limit=3)
    assert not article.parent.exists()
    collect.fails = False
    first = fetch(source, tmp_path, limit=3)
    assert collect.calls == [[], ["article.json"]]
    assert (first["options"], first["collected"]) == ({"limit": 3}, {"articles": 3})
    assert list(first["files"]) == ["article.json"]
    with pytest.raises(SettingsError, match=r"own has no option 'limti'.*limit"):
        fetch(source, tmp_path, limti=3)
    collect.fails = True
    with pytest.raises(FetchError, match="no more today"):
        fetch(source, tmp_path)
    assert article.read_text() == "3"
    assert fetch(source, tmp_path, limit=3) == first
    collect.fails = False
    assert fetch(source, tmp_path)["collected"] == {"articles": 9}
    assert article.read_text() == "9"
    assert len(collect.calls) == 4
    assert sorted(p.name for p in (tmp_path / "own").iterdir()) == [".lock", "raw", "source.json"]


@pytest.mark.parametrize("written", [False, True])
def test_interrupted_while_a_new_set_takes_the_place_of_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool
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
            fetch(source, tmp_path)
    limit = 9 if written else 3
    record = fetch(source, tmp_path, limit=limit)
    assert (record == first) is not written
    assert (tmp_path / "own" / "raw" / "article.json").read_text() == f"{limit}"


def test_what_is_to_be_done_now_is_no_part_of_the_set(tmp_path: Path) -> None:
    calls: list[bool] = []
    failed = [1]

    def collect(
        folder: Path, fetcher: Fetcher, *, progress: bool, retry: bool = False, accept: bool = False
    ) -> dict[str, Any]:
        calls.append(retry)
        return {"failed": failed[0]}

    source = choosing(collect, actions={"retry": True, "accept": False})
    assert fetch(source, tmp_path, accept=True)["options"] == {}
    fetch(source, tmp_path, accept=True)
    assert len(calls) == 2
    failed[0] = 0
    fetch(source, tmp_path)
    fetch(source, tmp_path)
    fetch(source, tmp_path, accept=True)
    assert len(calls) == 3
    fetch(source, tmp_path, retry=True)
    fetch(source, tmp_path, retry=True)
    assert calls[3:] == [True, True]


def test_a_record_of_another_program(server: LocalServer, tmp_path: Path) -> None:
    home = tmp_path / "ecnews"
    home.mkdir()
    for text in ("{}", "{", "[]", '{"format": "octis-m3l source", "files": {}}', "\0"):
        (home / "source.json").write_text(text)
        message = "is damaged, or no record of a fetched data set. Delete it and fetch the set"
        with pytest.raises(StorageError, match=message):
            fetch(bags(server), tmp_path)


def test_the_newest_commit_is_kept_to(server: LocalServer, tmp_path: Path) -> None:
    name = "MIND-Lab/OCTIS"
    files = {
        "preprocessed_datasets/M10/corpus.tsv": b"sea ship\ttrain\t1\nwood sea\ttest\t2\n",
        "preprocessed_datasets/M10/vocabulary.txt": b"sea\nship\nwood\n",
    }
    source = serve(server, source_of("m10"), {name: files})
    words = f"/raw/{name}/{NEWEST}/preprocessed_datasets/M10/vocabulary.txt"
    server.serve(words, Reply(status=404))
    with pytest.raises(FetchError, match="404"):
        fetch(source, tmp_path)
    # What is newest changes in between.
    server.serve(f"/api/repos/{name}/commits/HEAD", Reply(json.dumps({"sha": "1" * 40}).encode()))
    server.serve(words, Reply(files["preprocessed_datasets/M10/vocabulary.txt"]))
    record = fetch(source, tmp_path)
    assert record["commits"] == {name: NEWEST}
    assert len(server.asked(f"/api/repos/{name}/commits/HEAD")) == 1
    files_told = describe(source, tmp_path)["files"]
    assert NEWEST in files_told[0]["url"]
    assert files_told[0]["sha256"] == "not known: recorded on first fetch"


@pytest.mark.parametrize("answer", [b"[]", b'{"sha": 3}', b'{"sha": "123"}', b'"sha"'])
def test_answers_that_name_no_commit(server: LocalServer, tmp_path: Path, answer: bytes) -> None:
    source = serve(server, source_of("m10"), {})
    server.serve("/api/repos/MIND-Lab/OCTIS/commits/HEAD", Reply(answer))
    with pytest.raises(FetchError, match="the answer names no commit; expected GitHub's"):
        fetch(source, tmp_path)


def listed(server: LocalServer) -> Source:
    """A set whose files stand in the repository's list."""

    def listing(trees: Mapping[str, Any], raw: Path) -> list[RemoteFile]:
        return list(trees["some/where"])

    pinned = {"some/where": "abc1230"}
    source = replace(
        source_of("m10"), name="listed", repositories=pinned, files=(), listings=(listing,)
    )
    return serve(server, source, {"some/where": {"a/b c#1.txt": b"one", "z.txt": b"two"}})


def test_files_of_a_repositorys_list(server: LocalServer, tmp_path: Path) -> None:
    source = listed(server)
    path = f"/raw/some/where/{whole('abc1230')}/z.txt"
    server.serve(path, Reply(b"TWO"))
    with pytest.raises(FetchError, match="is not the file that the repository's list names"):
        fetch(source, tmp_path)
    assert "z.txt" not in content(tmp_path / "listed")
    server.serve(path, Reply(b"two"))
    record = fetch(source, tmp_path)
    assert record["commits"] == {"some/where": whole("abc1230")}
    assert (tmp_path / "listed" / "raw" / "a" / "b c#1.txt").read_bytes() == b"one"
    assert {file["checked"] for file in record["files"].values()} == {"with the catalogue"}


@pytest.mark.parametrize(
    "answer",
    [
        b'{"tree": [], "truncated": true}',
        b"[]",
        b'{"tree": [{"type": "blob", "path": "a", "sha": 3}]}',
    ],
)
def test_lists_that_are_not_whole(server: LocalServer, tmp_path: Path, answer: bytes) -> None:
    source = listed(server)
    server.serve(f"/api/repos/some/where/git/trees/{whole('abc1230')}", Reply(answer))
    with pytest.raises(FetchError, match="is no complete list of files"):
        fetch(source, tmp_path)
