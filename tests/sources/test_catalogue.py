"""The catalogue: every set says what it is; names; where raw files are kept."""

import re
from pathlib import Path

import pytest

from octis_m3l.errors import SettingsError
from octis_m3l.sources.build import build, describe, describe_all, options_of
from octis_m3l.sources.catalogue import SOURCES, source_of
from octis_m3l.sources.places import cache_folder


@pytest.mark.parametrize("name", SOURCES)
def test_every_set_says_what_it_is(name: str) -> None:
    source = SOURCES[name]
    assert source.name == name
    assert re.fullmatch(r"[a-z0-9-]+", name)
    for said in (source.title, source.licence, source.citation):
        assert len(said) > 5
    assert source.homepage.startswith("https://")
    assert source.views
    assert len(set(source.views)) == len(source.views)
    assert source.files or source.listings or source.collect
    named = [repository.name for repository in source.repositories]
    assert len(set(named)) == len(named)
    for repository in source.repositories:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", repository.name)
        assert repository.commit is None or re.fullmatch(r"[0-9a-f]{12,40}", repository.commit)
    paths = [file.path for file in source.files]
    assert len(set(paths)) == len(paths)
    for file in source.files:
        assert file.repository in named
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert (file.sha256 is None) == (file.size is None)
        assert ".." not in file.path
    described = describe(source, Path("nowhere"))
    assert described["fetched"] is None
    assert set(described["options"]) == set(options_of(source))


def test_the_sets_that_users_know_are_there() -> None:
    assert {
        "wikipedia-m3l",
        "bible-passages",
        "storybooks",
        "ecnews",
        "amazon-review",
        "rakuten-amazon",
        "20newsgroup",
        "bbc-news",
        "dblp",
        "m10",
    } <= set(SOURCES)
    assert [entry["name"] for entry in describe_all(Path("nowhere"))] == list(SOURCES)


def test_names() -> None:
    assert source_of("BBC_News") is SOURCES["bbc-news"]
    assert source_of("huggingface:owner/name").homepage.endswith("/datasets/owner/name")
    message = "unknown data set 'ecnew'. Did you mean 'ecnews'? Known: 20newsgroup, amazon-review, "
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}") as raised:
        source_of("ecnew")
    assert str(raised.value).endswith("Any of the Hugging Face hub is called huggingface:NAME.")


def test_an_option_that_the_set_lacks(tmp_path: Path) -> None:
    message = "ecnews has no option 'vocabulary_size'. Known: seed, validation, views."
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        build("ecnews", tmp_path / "out", tmp_path, vocabulary_size=5)


def test_where_raw_files_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OCTIS_M3L_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine" / "datasets"
    monkeypatch.setenv("OCTIS_M3L_CACHE", "~/mine")
    assert cache_folder() == Path.home() / "mine" / "datasets"
    monkeypatch.delenv("OCTIS_M3L_CACHE")
    assert cache_folder().parts[-2:] == ("octis-m3l", "datasets")
