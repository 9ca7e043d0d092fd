"""OCTIS's own corpora, fetched and built."""

from pathlib import Path

import pytest

from octis_m3l.errors import DataError
from octis_m3l.sources.build import build
from octis_m3l.sources.catalogue import sources
from octis_m3l.sources.fetch import fetch

from .local_server import LocalServer
from .serving import serve


@pytest.mark.parametrize("name", ["20newsgroup", "bbc-news", "dblp", "m10"])
def test_octis_own_corpora(server: LocalServer, tmp_path: Path, name: str) -> None:
    folder = sources()[name].files[0].origin.rpartition("/")[0]
    corpus = b"sea ship sea\ttrain\t1\nwood\tval\t2\nship wood\ttest\t1\nsea\ttrain\t2\n"
    files = {f"{folder}/corpus.tsv": corpus, f"{folder}/vocabulary.txt": b"sea\nship\nwood\n"}
    source = serve(server, sources()[name], {"MIND-Lab/OCTIS": files})
    fetch(source, tmp_path)
    view = build(source, tmp_path / "out", tmp_path).text_view("en")
    assert view.sizes == (2, 1, 1)
    assert view.documents(slice(0, 4)) == [
        ["sea", "ship", "sea"],
        ["sea"],
        ["wood"],
        ["ship", "wood"],
    ]
    assert list(view.labels or ()) == ["1", "2", "2", "1"]
    assert view.vocabulary == ("sea", "ship", "wood")
    assert list(build(source, tmp_path / "en", tmp_path, views=["en"]).views) == ["en"]
    with pytest.raises(DataError, match="de"):
        build(source, tmp_path / "de", tmp_path, views=["de"])
