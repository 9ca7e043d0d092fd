"""The catalogue: what each set says of itself, names, where raw files are kept, bags of words."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from octis_m3l.data import MultiviewDataset
from octis_m3l.errors import DataError, SettingsError
from octis_m3l.sources.build import build, describe, describe_all
from octis_m3l.sources.catalogue import source_of, sources
from octis_m3l.sources.fetch import fetch, home_of

from .local_server import LocalServer
from .serving import BAGS, serve, small_bags


@pytest.mark.parametrize("name", sources())
def test_every_set_says_what_it_is(name: str) -> None:
    source = source_of(name)
    assert source.name == name
    assert re.fullmatch(r"[a-z0-9-]+", name)
    assert all(len(text) > 5 for text in (source.title, source.licence, source.citation))
    assert source.homepage.startswith("https://")
    assert len(set(source.views)) == len(source.views) > 0
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
        assert file.address("0" * 40).startswith("https://raw.githubusercontent.com/")
    described = describe(source, Path("nowhere"))
    assert described["fetched"] is None
    assert "views" in described["options"]


def test_the_sets_that_users_know_are_there_in_alphabetical_order() -> None:
    names = "20newsgroup amazon-review bbc-news bible-passages dblp ecnews m10 rakuten-amazon"
    assert [described["name"] for described in describe_all(Path("nowhere"))] == [
        *names.split(),
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
    message = (
        r"^unknown data set 'ecnew'\. Did you mean 'ecnews'\? Known: 20newsgroup, amazon-review, "
        r".* of the Hugging Face hub are called huggingface:NAME\.$"
    )
    with pytest.raises(SettingsError, match=message):
        source_of("ecnew")
    for name in ("", "a/b/c", "../x y", "..", "./x"):
        with pytest.raises(SettingsError, match="expected huggingface:NAME, with @REVISION"):
            source_of(f"huggingface:{name}")


def test_where_raw_files_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = source_of("ecnews")
    monkeypatch.setenv("OCTIS_M3L_CACHE", "~/mine")
    assert home_of(source, None) == Path.home() / "mine" / "datasets" / "ecnews"
    monkeypatch.delenv("OCTIS_M3L_CACHE")
    assert home_of(source, None).parts[-3:] == ("octis-m3l", "datasets", "ecnews")
    names = ("huggingface:a/b", "huggingface:a-b", "huggingface:o/n@de", "huggingface:o/n#de")
    homes = {home_of(source_of(name), tmp_path) for name in names}
    assert len(homes) == len(names)
    assert all(re.fullmatch(r"huggingface-[\w-]+-[0-9a-f]{8}", home.name) for home in homes)


@pytest.mark.parametrize(
    ("name", "folder", "other", "language"),
    [
        ("ecnews", "ECNews", "cn", "zh"),
        ("amazon-review", "Amazon_Review", "cn", "zh"),
        ("rakuten-amazon", "Rakuten_Amazon", "ja", "ja"),
    ],
)
def test_bags_of_words(
    server: LocalServer, tmp_path: Path, name: str, folder: str, other: str, language: str
) -> None:
    files = {
        path.replace("ECNews", folder).replace("_cn", f"_{other}"): body
        for path, body in small_bags().items()
    }
    source = serve(server, sources()[name], {BAGS: files})
    fetch(source, tmp_path)
    build(source, tmp_path / "out", tmp_path)
    dataset = MultiviewDataset.from_folder(tmp_path / "out")
    assert set(dataset.views) == set(source.views) == {"en", other}
    assert not dataset.is_linked
    english, second = dataset.text_view("en"), dataset.text_view(other)
    assert (english.language, second.language) == ("en", language)
    assert (english.sizes, second.sizes) == ((3, 0, 1), (2, 0, 1))
    assert english.documents(slice(0, 1)) == [["sea", "ship", "sea"]]
    assert list(second.labels or ()) == ["b", "b", "a"]
    assert english.word_vectors is not None
    about = dataset.metadata
    expected = (name, "none stated", source.citation)
    assert (about["name"], about["licence"], about["citation"]) == expected
    assert about["source"]["commits"] == sources()[name].repositories


@pytest.mark.parametrize("name", ["20newsgroup", "bbc-news", "dblp", "m10"])
def test_octis_own_corpora(server: LocalServer, tmp_path: Path, name: str) -> None:
    folder = sources()[name].files[0].origin.rpartition("/")[0]
    corpus = b"sea ship sea\ttrain\t1\nwood\tval\t2\nship wood\ttest\t1\nsea\ttrain\t2\n"
    files = {f"{folder}/corpus.tsv": corpus, f"{folder}/vocabulary.txt": b"sea\nship\nwood\n"}
    source = serve(server, sources()[name], {"MIND-Lab/OCTIS": files})
    fetch(source, tmp_path)
    view = build(source, tmp_path / "out", tmp_path).text_view("en")
    assert view.sizes == (2, 1, 1)
    documents = [" ".join(document) for document in view.documents(slice(0, 4))]
    assert documents == ["sea ship sea", "sea", "wood", "ship wood"]
    assert list(view.labels or ()) == ["1", "2", "2", "1"]
    assert view.vocabulary == ("sea", "ship", "wood")
    assert list(build(source, tmp_path / "en", tmp_path, views=["en"]).views) == ["en"]
    with pytest.raises(DataError, match="de"):
        build(source, tmp_path / "de", tmp_path, views=["de"])
