"""Fetching a set: whole or not at all, going on after an interruption."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from octis_m3l.data.sources.build import build, describe
from octis_m3l.data.sources.catalogue import SOURCES
from octis_m3l.data.sources.fetch import fetch
from octis_m3l.data.sources.fetching import Fetcher, FetchError
from octis_m3l.data.sources.source import RemoteFile, Source
from octis_m3l.errors import SettingsError, StorageError

from .bags import FOLDER, small_bags
from .local_server import LocalServer, Reply
from .serving import NEWEST, quick_fetcher, serve, whole

REPOSITORY = "BobXWu/InfoCTM"
COMMIT = SOURCES["ecnews"].repositories[0].commit
MISSING = f"/raw/{REPOSITORY}/{COMMIT}/{FOLDER}/vocab_cn"


def bags(server: LocalServer) -> Source:
    return serve(server, SOURCES["ecnews"], {REPOSITORY: small_bags()})


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_all_files_come_and_are_written_down(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    record = fetch(source, tmp_path, fetcher=quick_fetcher())
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


def test_a_second_fetch_asks_nobody(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    first = fetch(source, tmp_path, fetcher=quick_fetcher())
    asked = len(server.requests)
    assert asked == len(small_bags())
    assert fetch(source, tmp_path, fetcher=quick_fetcher()) == first
    assert len(server.requests) == asked


def test_a_file_that_is_not_there_stops_it_and_nothing_passes_for_whole(
    server: LocalServer, tmp_path: Path
) -> None:
    source = bags(server)
    server.serve(MISSING, Reply(b"no", status=404))
    with pytest.raises(FetchError, match=r"vocab_cn: the server answered 404"):
        fetch(source, tmp_path, fetcher=quick_fetcher())
    home = tmp_path / "ecnews"
    assert not (home / "raw").exists()
    assert not (home / "source.json").exists()
    message = "has not been fetched to .*ecnews, or not to its end: octis-m3l datasets fetch ecnews"
    with pytest.raises(StorageError, match=message):
        build(source, tmp_path / "out", tmp_path)
    asked = {request.path for request in server.requests}
    server.requests.clear()
    server.serve(MISSING, Reply(small_bags()[f"{FOLDER}/vocab_cn"]))
    fetch(source, tmp_path, fetcher=quick_fetcher())
    again = {request.path for request in server.requests}
    assert again & asked == {MISSING}


def test_what_the_set_can_do_without_is_left_out(server: LocalServer, tmp_path: Path) -> None:
    files = small_bags()
    del files[f"{FOLDER}/train_texts_cn.txt"]
    source = serve(server, SOURCES["ecnews"], {REPOSITORY: files})
    record = fetch(source, tmp_path, fetcher=quick_fetcher())
    assert record["left_out"] == ["train_texts_cn.txt"]
    assert describe(source, tmp_path)["fetched"]["left_out"] == ["train_texts_cn.txt"]
    assert build(source, tmp_path / "out", tmp_path).text_view("cn").sizes == (2, 0, 1)


def test_passing_trouble_passes(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    body = small_bags()[f"{FOLDER}/vocab_cn"]
    server.serve(MISSING, Reply(status=500), Reply(body, cut=3), Reply(body))
    record = fetch(source, tmp_path, fetcher=quick_fetcher())
    assert record["files"]["vocab_cn"]["size"] == len(body)
    assert (tmp_path / "ecnews" / "raw" / "vocab_cn").read_bytes() == body


def test_a_body_that_never_comes_whole(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    server.serve(MISSING, Reply(b"123456", cut=3, ranges=False))
    with pytest.raises(FetchError, match="vocab_cn"):
        fetch(source, tmp_path, fetcher=quick_fetcher())
    assert not (tmp_path / "ecnews" / "raw").exists()


def test_a_wrong_checksum(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    files = tuple(
        replace(file, sha256="0" * 64) if file.path == "vocab_cn" else file for file in source.files
    )
    with pytest.raises(FetchError, match=f"its SHA-256 is [0-9a-f]+, where {'0' * 64} was"):
        fetch(replace(source, files=files), tmp_path, fetcher=quick_fetcher())
    home = tmp_path / "ecnews"
    assert not (home / "raw").exists()
    assert "vocab_cn" not in content(home)


def test_damaged_files_are_fetched_again_and_must_be_as_before(
    server: LocalServer, tmp_path: Path
) -> None:
    source = bags(server)
    first = fetch(source, tmp_path, fetcher=quick_fetcher())
    raw = tmp_path / "ecnews" / "raw"
    (raw / "vocab_cn").write_bytes(b"x" * (raw / "vocab_cn").stat().st_size)
    (raw / "vocab_en").unlink()
    with pytest.raises(StorageError, match=r"1 files are missing or damaged, the first is vocab_e"):
        build(source, tmp_path / "out", tmp_path)
    server.requests.clear()
    assert fetch(source, tmp_path, fetcher=quick_fetcher()) == first
    assert sorted(r.path.rpartition("/")[2] for r in server.requests) == ["vocab_cn", "vocab_en"]
    (raw / "vocab_cn").unlink()
    server.serve(MISSING, Reply("山\n川\n".encode()))
    with pytest.raises(FetchError, match="its SHA-256 is"):
        fetch(source, tmp_path, fetcher=quick_fetcher())
    assert not raw.exists()
    server.serve(MISSING, Reply(small_bags()[f"{FOLDER}/vocab_cn"]))
    assert fetch(source, tmp_path, fetcher=quick_fetcher()) == first


def test_interrupted_at_the_very_end(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    first = fetch(source, tmp_path, fetcher=quick_fetcher())
    (tmp_path / "ecnews" / "source.json").unlink()
    server.requests.clear()
    assert fetch(source, tmp_path, fetcher=quick_fetcher()) == first
    assert server.requests == []


def test_two_at_once(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    (tmp_path / "ecnews").mkdir()
    message = "ecnews is being fetched to by another process; wait for it, or give another folder"
    with FileLock(tmp_path / "ecnews" / ".lock"), pytest.raises(StorageError, match=message):
        fetch(source, tmp_path, fetcher=quick_fetcher())
    first = fetch(source, tmp_path, fetcher=quick_fetcher())
    # What is there already needs nobody's leave.
    with FileLock(tmp_path / "ecnews" / ".lock"):
        assert fetch(source, tmp_path, fetcher=quick_fetcher()) == first


def test_other_commits_than_the_catalogue_names(server: LocalServer, tmp_path: Path) -> None:
    source = bags(server)
    fetch(source, tmp_path, fetcher=quick_fetcher())
    later = replace(source, repositories=(replace(source.repositories[0], commit="1" * 40),))
    with pytest.raises(StorageError, match="was fetched from other commits than the catalogue"):
        fetch(later, tmp_path, fetcher=quick_fetcher())


def test_a_record_of_another_program(server: LocalServer, tmp_path: Path) -> None:
    home = tmp_path / "ecnews"
    home.mkdir()
    for text, message in (("{}", "is no record of a fetched data set"), ("{", "not readable JSON")):
        (home / "source.json").write_text(text)
        with pytest.raises(StorageError, match=message):
            fetch(bags(server), tmp_path, fetcher=quick_fetcher())


def test_the_newest_commit_is_kept_to(server: LocalServer, tmp_path: Path) -> None:
    name = "MIND-Lab/OCTIS"
    files = {
        "preprocessed_datasets/M10/corpus.tsv": b"sea ship\ttrain\t1\nwood sea\ttest\t2\n",
        "preprocessed_datasets/M10/vocabulary.txt": b"sea\nship\nwood\n",
    }
    source = serve(server, SOURCES["m10"], {name: files})
    words = f"/raw/{name}/{NEWEST}/preprocessed_datasets/M10/vocabulary.txt"
    server.serve(words, Reply(status=404))
    with pytest.raises(FetchError, match="404"):
        fetch(source, tmp_path, fetcher=quick_fetcher())
    # What is newest changes in between.
    server.serve(f"/api/repos/{name}/commits/HEAD", Reply(json.dumps({"sha": "1" * 40}).encode()))
    server.serve(words, Reply(files["preprocessed_datasets/M10/vocabulary.txt"]))
    record = fetch(source, tmp_path, fetcher=quick_fetcher())
    assert record["commits"] == {name: NEWEST}
    assert len(server.asked(f"/api/repos/{name}/commits/HEAD")) == 1
    files_told = describe(source, tmp_path)["files"]
    assert NEWEST in files_told[0]["url"]
    assert files_told[0]["sha256"] == "not known: recorded on first fetch"


@pytest.mark.parametrize("answer", [b"[]", b'{"sha": 3}', b'{"sha": "123"}', b'"sha"'])
def test_answers_that_name_no_commit(server: LocalServer, tmp_path: Path, answer: bytes) -> None:
    source = serve(server, SOURCES["m10"], {})
    server.serve("/api/repos/MIND-Lab/OCTIS/commits/HEAD", Reply(answer))
    with pytest.raises(FetchError, match="the answer names no commit; expected GitHub's"):
        fetch(source, tmp_path, fetcher=quick_fetcher())


def listed(server: LocalServer) -> Source:
    """A set whose files stand in the repository's list."""

    def listing(trees: Mapping[str, Any], raw: Path) -> list[RemoteFile]:
        return [
            RemoteFile(e.path, "some/where", e.path, size=e.size, blob=e.blob)
            for e in trees["some/where"]
        ]

    pinned = replace(SOURCES["m10"].repositories[0], name="some/where", commit="abc1230")
    source = replace(
        SOURCES["m10"], name="listed", repositories=(pinned,), files=(), listings=(listing,)
    )
    return serve(server, source, {"some/where": {"a/b c#1.txt": b"one", "z.txt": b"two"}})


def test_files_of_a_repositorys_list(server: LocalServer, tmp_path: Path) -> None:
    source = listed(server)
    record = fetch(source, tmp_path, fetcher=quick_fetcher())
    assert record["commits"] == {"some/where": whole("abc1230")}
    assert (tmp_path / "listed" / "raw" / "a" / "b c#1.txt").read_bytes() == b"one"
    assert {file["checked"] for file in record["files"].values()} == {"with the catalogue"}


def test_a_file_that_is_not_the_one_in_the_list(server: LocalServer, tmp_path: Path) -> None:
    source = listed(server)
    path = f"/raw/some/where/{whole('abc1230')}/z.txt"
    server.serve(path, Reply(b"TWO"))
    with pytest.raises(FetchError, match="is not the file that the repository's list names"):
        fetch(source, tmp_path, fetcher=quick_fetcher())
    assert "z.txt" not in content(tmp_path / "listed")
    server.serve(path, Reply(b"two"))
    assert len(fetch(source, tmp_path, fetcher=quick_fetcher())["files"]) == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b'{"tree": [], "truncated": true}', "is no whole list of files"),
        (b"[]", "is no whole list of files"),
        (b'{"tree": [{"type": "blob", "path": "a", "sha": "x"}]}', "has no path or no checksum"),
    ],
)
def test_lists_that_are_not_whole(
    server: LocalServer, tmp_path: Path, answer: bytes, message: str
) -> None:
    source = listed(server)
    server.serve(f"/api/repos/some/where/git/trees/{whole('abc1230')}", Reply(answer))
    with pytest.raises(FetchError, match=message):
        fetch(source, tmp_path, fetcher=quick_fetcher())


def test_a_set_that_is_collected_in_its_own_way(server: LocalServer, tmp_path: Path) -> None:
    calls = []

    def collect(folder: Path, fetcher: Fetcher) -> dict[str, Any]:
        calls.append(sorted(path.name for path in folder.iterdir()))
        (folder / "one.txt").write_text("1")
        if len(calls) == 1:
            raise FetchError("no more today")
        return {"gone": 3}

    source = replace(SOURCES["m10"], name="own", repositories=(), files=(), collect=collect)
    with pytest.raises(FetchError, match="no more today"):
        fetch(source, tmp_path, fetcher=quick_fetcher())
    assert not (tmp_path / "own" / "raw").exists()
    record = fetch(source, tmp_path, fetcher=quick_fetcher())
    assert calls == [[], ["one.txt"]]
    assert record["collected"] == {"gone": 3}
    assert list(record["files"]) == ["one.txt"]
    assert fetch(source, tmp_path, fetcher=quick_fetcher()) == record
    assert len(calls) == 2


def test_choices_of_a_collected_set_are_checked_and_others_than_before_fetch_more(
    server: LocalServer, tmp_path: Path
) -> None:
    asked: list[int] = []

    def collect(folder: Path, fetcher: Fetcher, *, limit: int = 9) -> dict[str, Any]:
        asked.append(limit)
        (folder / "article.json").write_text(f"{limit}")
        return {"articles": limit}

    source = replace(SOURCES["m10"], name="own", repositories=(), files=(), collect=collect)
    with pytest.raises(SettingsError, match=r"'limti' is no choice in fetching own.*limit"):
        fetch(source, tmp_path, fetcher=Fetcher(), limti=3)
    assert fetch(source, tmp_path, fetcher=Fetcher(), limit=3)["options"] == {"limit": 3}
    fetch(source, tmp_path, fetcher=Fetcher(), limit=3)
    record = fetch(source, tmp_path, fetcher=Fetcher())
    assert record["collected"] == {"articles": 9}
    assert asked == [3, 9]
    assert (tmp_path / "own" / "raw" / "article.json").read_text() == "9"
