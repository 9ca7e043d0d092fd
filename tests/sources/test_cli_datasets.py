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
from octis_m3l.errors import OctisM3LError, StorageError
from octis_m3l.sources.catalogue import sources

from .local_server import LocalServer
from .serving import served_bags, small_bags

app = typer.Typer()
app.add_typer(datasets, name="datasets")


@pytest.fixture(autouse=True)
def served(server: LocalServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalServer:
    monkeypatch.setitem(sources(), "ecnews", served_bags(server))
    monkeypatch.setenv("OCTIS_M3L_CACHE", str(tmp_path / "cache"))
    return server


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["datasets", *map(str, arguments)])


def said(*arguments: Any) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.exception
    return result.stdout


def told(*arguments: Any) -> Any:
    return json.loads(said(*arguments, "--json"))


def test_list_info_fetch_build_and_fetch_again(served: LocalServer, tmp_path: Path) -> None:
    listed = {entry["name"]: entry for entry in told("list")["datasets"]}
    assert list(listed) == list(sources())
    assert listed["ecnews"]["fetched"] is None
    assert told("info", "ecnews")["options"] == {"views": None, "validation": 0.0, "seed": 0}
    record = told("fetch", "ecnews")
    assert record["files"]["vocab_en"]["size"] == 14
    assert (tmp_path / "cache" / "datasets" / "ecnews" / "raw" / "vocab_en").is_file()
    assert told("info", "ecnews")["fetched"]["files"] == len(small_bags())
    built = told("build", "ecnews", "--out", tmp_path / "out", "--views", "en")
    assert built["views"]["en"]["items"] == {"train": 3, "validation": 0, "test": 1}
    assert MultiviewDataset.from_folder(tmp_path / "out").metadata["licence"] == "none stated"
    served.requests.clear()
    told("fetch", "ecnews")
    assert served.requests == []
    told("fetch", "ecnews", "--again")
    assert len(served.requests) == len(small_bags())


def test_for_people(tmp_path: Path) -> None:
    shown = said("list")
    assert "bible-passages" in shown
    assert "none stated" in shown
    mine = ("--folder", tmp_path / "mine")
    shown = said("fetch", "ecnews", *mine)
    assert "ecnews: 16 files" in shown
    assert "Licence: none stated" in shown
    assert f"octis-m3l datasets build ecnews --out FOLDER --folder {tmp_path}" in shown
    said("build", "ecnews", *mine, "--out", tmp_path / "out", "--set", "validation=0.34")
    assert MultiviewDataset.from_folder(tmp_path / "out").text_view("en").sizes == (2, 1, 1)


def test_errors_are_those_that_main_prints(tmp_path: Path) -> None:
    def wrong(*arguments: Any) -> str:
        error = run(*arguments).exception
        assert isinstance(error, OctisM3LError)
        return str(error)

    build = ("build", "ecnews", "--out", tmp_path / "out")
    assert "Did you mean 'ecnews'?" in wrong("fetch", "ecnew")
    assert "octis-m3l datasets fetch ecnews" in wrong(*build)
    known = "Known: seed, validation, views."
    unknown = f"ecnews has no option 'vocabulary_size'. {known}"
    assert wrong(*build, "--vocabulary", 9) == unknown
    assert wrong(*build, "--text", "en=title") == f"ecnews has no option 'texts'. {known}"
    number = "ecnews: validation='a': it should be a valid number."
    assert wrong(*build, "--set", "validation=a") == number
    said("fetch", "ecnews")
    assert "'de'" in wrong(*build, "--views", "de")
    assert "expected a share from 0 to below 1" in wrong(*build, "--set", "validation=2")
    assert not (tmp_path / "out").exists()
    said(*build)
    assert "exists already and is not empty; pass overwrite=True" in wrong(*build)
    said(*build, "--overwrite")


@pytest.mark.parametrize("content", ["{", '{"format": "octis-m3l source", "files": {}}'])
def test_a_damaged_record_does_not_hide_the_list(tmp_path: Path, content: str) -> None:
    home = tmp_path / "cache" / "datasets" / "ecnews"
    home.mkdir(parents=True)
    (home / "source.json").write_text(content)
    listed = {entry["name"]: entry["fetched"] for entry in told("list")["datasets"]}
    assert "Delete it and fetch the set" in listed["ecnews"]["unreadable"]
    assert listed["m10"] is None
    said("list")
    assert isinstance(run("info", "ecnews").exception, StorageError)
