"""The cross-lingual benchmarks in InfoCTM's repository."""

from pathlib import Path

import pytest

from octis_m3l.data import MultiviewDataset
from octis_m3l.errors import DataError, SettingsError, StorageError
from octis_m3l.sources.build import build
from octis_m3l.sources.catalogue import sources
from octis_m3l.sources.fetch import fetch

from .bags import small_bags
from .local_server import LocalServer
from .serving import serve


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
    source = serve(server, sources()[name], {"BobXWu/InfoCTM": files})
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
    assert dataset.metadata["name"] == name
    assert dataset.metadata["licence"] == "none stated"
    assert dataset.metadata["citation"] == source.citation
    assert dataset.metadata["source"]["commits"] == {
        "BobXWu/InfoCTM": sources()[name].repositories["BobXWu/InfoCTM"]
    }


def test_choices_of_bags(server: LocalServer, tmp_path: Path) -> None:
    source = serve(server, sources()["ecnews"], {"BobXWu/InfoCTM": small_bags()})
    fetch(source, tmp_path)
    dataset = build(source, tmp_path / "out", tmp_path, views=["en"], validation=0.34)
    assert list(dataset.views) == ["en"]
    assert dataset.text_view("en").sizes == (2, 1, 1)
    with pytest.raises(StorageError, match="exists already and is not empty; pass overwrite=True"):
        build(source, tmp_path / "out", tmp_path)
    build(source, tmp_path / "out", tmp_path, overwrite=True)
    with pytest.raises(DataError, match="de"):
        build(source, tmp_path / "other", tmp_path, views=["de"])
    with pytest.raises(SettingsError, match="expected a share from 0 to below 1"):
        build(source, tmp_path / "other", tmp_path, validation=2)
    assert not (tmp_path / "other").exists()
