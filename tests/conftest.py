"""What tests share: planted data, the command line, one thread, tables as wide as in a file."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from planted import IMAGE, Planted, planted
from shell import Refused, Run

from octis_m3l.data.dataset import MultiviewDataset

torch.set_num_threads(1)
os.environ.pop("COLUMNS", None)


@pytest.fixture(scope="session", autouse=True)
def temporary_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep vectors in a temporary folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OCTIS_M3L_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def planted_data() -> Planted:
    """Two languages and pictures, a quarter of the items missing."""
    return planted(missing=0.25)


@pytest.fixture(scope="session")
def embedded(planted_data: Planted) -> MultiviewDataset:
    """The same with embeddings of the texts given, as long as those of the pictures."""
    dataset = planted_data.dataset
    pictures = dataset.view(IMAGE).embeddings
    assert pictures is not None
    random = np.random.default_rng(1)
    vectors: dict[str, Any] = {}
    for name, view in dataset.text_views.items():
        of_words = random.normal(size=(len(view.vocabulary), pictures.shape[1]))
        vectors[name] = (view.bag_of_words @ of_words).astype(np.float32)
    return dataset.with_embeddings(vectors, order="stored")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command: exit code, stdout, and stderr as one line."""

    # The command line looks at COLUMNS when it is imported.
    from octis_m3l.cli import main

    def _run(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["octis-m3l", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, " ".join(err.split())

    return _run


@pytest.fixture
def refused(run: Run) -> Refused:
    """Return a function that asserts that a command ends with an error that has a message."""

    def _refused(message: str, *arguments: Any) -> str:
        code, out, err = run(*arguments)
        assert (code, out) == (1, "")
        assert message in err
        assert "Traceback" not in err
        return err

    return _refused
