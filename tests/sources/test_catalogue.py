"""The catalogue: every set says what it is; names; where raw files are kept."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from octis_m3l.errors import SettingsError
from octis_m3l.sources.build import build, describe, describe_all
from octis_m3l.sources.catalogue import source_of, sources
from octis_m3l.sources.fetch import home_of


@pytest.mark.parametrize("name", sources())
def test_every_set_says_what_it_is(name: str) -> None:
    source = source_of(name)
    assert source.name == name
    assert re.fullmatch(r"[a-z0-9-]+", name)
    assert all(len(text) > 5 for text in (source.title, source.licence, source.citation))
    assert source.homepage.startswith("https://")
    assert source.views
    assert len(set(source.views)) == len(source.views)
    assert source.files or source.listings or source.collect
    for repository, commit in source.repositories.items():
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", repository)
        assert commit is None or re.fullmatch(r"[0-9a-f]{12,40}", commit)
    assert len({file.path for file in source.files}) == len(source.files)
    for file in source.files:
        assert file.repository in source.repositories
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert (file.sha256 is None) == (file.size is None)
        assert ".." not in file.path
        assert source.address(file, "0" * 40).startswith("https://raw.githubusercontent.com/")
    described = describe(source, Path("nowhere"))
    assert described["fetched"] is None
    assert "views" in described["options"]


def test_the_sets_that_users_know_are_there_in_alphabetical_order() -> None:
    assert [described["name"] for described in describe_all(Path("nowhere"))] == [
        "20newsgroup",
        "amazon-review",
        "bbc-news",
        "bible-passages",
        "dblp",
        "ecnews",
        "m10",
        "rakuten-amazon",
        "storybooks",
        "wikipedia-m3l",
    ]


def test_the_catalogue_imports_nothing_heavy() -> None:
    code = (
        "import sys; from octis_m3l.sources.catalogue import sources; sources();"
        "print({'torch', 'sklearn', 'gensim', 'pandas', 'datasets', 'PIL'} & {*sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr


def test_names() -> None:
    assert source_of("BBC_News") is sources()["bbc-news"]
    assert source_of("huggingface:owner/name").homepage.endswith("/datasets/owner/name")
    message = "unknown data set 'ecnew'. Did you mean 'ecnews'? Known: 20newsgroup, amazon-review, "
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}") as raised:
        source_of("ecnew")
    assert str(raised.value).endswith("of the Hugging Face hub are called huggingface:NAME.")


def test_an_option_that_the_set_lacks(tmp_path: Path) -> None:
    message = "ecnews has no option 'vocabulary_size'. Known: seed, validation, views."
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        build("ecnews", tmp_path / "out", tmp_path, vocabulary_size=5)


def test_where_raw_files_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = source_of("ecnews")
    monkeypatch.setenv("OCTIS_M3L_CACHE", str(tmp_path / "mine"))
    assert home_of(source, None) == tmp_path / "mine" / "datasets" / "ecnews"
    monkeypatch.setenv("OCTIS_M3L_CACHE", "~/mine")
    assert home_of(source, None) == Path.home() / "mine" / "datasets" / "ecnews"
    monkeypatch.delenv("OCTIS_M3L_CACHE")
    assert home_of(source, None).parts[-3:] == ("octis-m3l", "datasets", "ecnews")
    names = ("huggingface:a/b", "huggingface:a-b", "huggingface:o/n@de", "huggingface:o/n#de")
    homes = {home_of(source_of(name), tmp_path) for name in names}
    assert len(homes) == len(names)
    assert all(re.fullmatch(r"huggingface-[\w-]+-[0-9a-f]{8}", home.name) for home in homes)
