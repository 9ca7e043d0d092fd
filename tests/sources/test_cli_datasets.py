"""The commands for public data sets, as a user types them."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import octis_m3l.cli  # noqa: F401
from octis_m3l.cli.datasets import datasets
from octis_m3l.data import MultiviewDataset
from octis_m3l.errors import SettingsError, StorageError
from octis_m3l.sources.catalogue import sources

from .bags import small_bags
from .local_server import LocalServer
from .serving import serve

app = typer.Typer()
app.add_typer(datasets, name="datasets")


@pytest.fixture(autouse=True)
def served(server: LocalServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalServer:
    source = serve(server, sources()["ecnews"], {"BobXWu/InfoCTM": small_bags()})
    monkeypatch.setitem(sources(), "ecnews", source)
    monkeypatch.setenv("OCTIS_M3L_CACHE", str(tmp_path / "cache"))
    return server


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["datasets", *map(str, arguments)])


def said(*arguments: Any) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)


def test_list_info_fetch_build(tmp_path: Path) -> None:
    listed = {entry["name"]: entry for entry in said("list")["datasets"]}
    assert list(listed) == list(sources())
    assert listed["ecnews"]["fetched"] is None
    assert said("info", "ecnews")["options"] == {"views": None, "validation": 0.0, "seed": 0}
    record = said("fetch", "ecnews")
    assert record["files"]["vocab_en"]["size"] == 14
    assert (tmp_path / "cache" / "datasets" / "ecnews" / "raw" / "vocab_en").is_file()
    assert said("info", "ecnews")["fetched"]["files"] == len(small_bags())
    told = said("build", "ecnews", "--out", tmp_path / "out", "--views", "en")
    assert told["views"]["en"]["items"] == {"train": 3, "validation": 0, "test": 1}
    assert MultiviewDataset.from_folder(tmp_path / "out").metadata["licence"] == "none stated"


def test_for_people(tmp_path: Path) -> None:
    shown = run("list")
    assert shown.exit_code == 0
    assert "bible-passages" in shown.stdout
    assert "none stated" in shown.stdout
    shown = run("fetch", "ecnews", "--folder", tmp_path / "mine")
    assert shown.exit_code == 0
    assert "ecnews: 16 files" in shown.stdout
    assert "Licence: none stated" in shown.stdout
    assert f"octis-m3l datasets build ecnews --out FOLDER --folder {tmp_path}" in shown.stdout
    shown = run(
        *("build", "ecnews", "--folder", tmp_path / "mine", "--out", tmp_path / "out"),
        *("--set", "validation=0.34"),
    )
    assert shown.exit_code == 0
    assert MultiviewDataset.from_folder(tmp_path / "out").text_view("en").sizes == (2, 1, 1)


def test_errors_are_those_that_main_prints(tmp_path: Path) -> None:
    wrong = run("fetch", "ecnew").exception
    assert isinstance(wrong, SettingsError)
    assert "Did you mean 'ecnews'?" in str(wrong)
    wrong = run("build", "ecnews", "--out", tmp_path / "out").exception
    assert isinstance(wrong, StorageError)
    assert "octis-m3l datasets fetch ecnews" in str(wrong)
    wrong = run("build", "ecnews", "--out", tmp_path / "out", "--vocabulary", 9).exception
    assert str(wrong) == "ecnews has no option 'vocabulary_size'. Known: seed, validation, views."
    wrong = run("build", "ecnews", "--out", tmp_path / "out", "--text", "en=title").exception
    assert str(wrong) == "ecnews has no option 'texts'. Known: seed, validation, views."
    wrong = run("build", "ecnews", "--out", tmp_path / "out", "--set", "validation=a").exception
    assert str(wrong) == "ecnews: validation='a': it should be a valid number."


def test_fetching_again(served: LocalServer) -> None:
    said("fetch", "ecnews")
    served.requests.clear()
    said("fetch", "ecnews")
    assert served.requests == []
    said("fetch", "ecnews", "--again")
    assert len(served.requests) == len(small_bags())


@pytest.mark.parametrize("content", ["{", '{"format": "octis-m3l source", "files": {}}'])
def test_a_damaged_record_does_not_hide_the_list(tmp_path: Path, content: str) -> None:
    home = tmp_path / "cache" / "datasets" / "ecnews"
    home.mkdir(parents=True)
    (home / "source.json").write_text(content)
    listed = {entry["name"]: entry["fetched"] for entry in said("list")["datasets"]}
    assert "Delete it and fetch the set" in listed["ecnews"]["unreadable"]
    assert listed["m10"] is None
    assert run("list").exit_code == 0
    assert isinstance(run("info", "ecnews").exception, StorageError)
