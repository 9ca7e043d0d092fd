"""The command line run in this process, on a small data set and model that it made itself."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from octis_m3l.cli import main
from octis_m3l.data.demo import demo_corpus
from octis_m3l.models.m3l_contrast import M3LContrastNetwork

FAST = ("--set", "epochs=3", "--set", "batch_size=16")
Interrupted = Callable[[int], AbstractContextManager[None]]


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Interrupted:
    """Return a context in which Ctrl-C is pressed in a certain step of training."""

    @contextmanager
    def _interrupted(step: int) -> Iterator[None]:
        loss, calls = M3LContrastNetwork.loss, [0]

        def counted(self: M3LContrastNetwork, batch: Any) -> Any:
            calls[0] += 1
            if calls[0] == step:
                raise KeyboardInterrupt
            return loss(self, batch)

        with monkeypatch.context() as patch:
            patch.setattr(M3LContrastNetwork, "loss", counted)
            yield

    return _interrupted


def _write_table(folder: Path) -> Path:
    """Write a CSV of demo reports with pictures' paths, some of them missing."""
    corpus = demo_corpus(60)
    folder.mkdir()
    columns: dict[str, list[Any]] = {"english": [], "deutsch": [], "photo": [], "theme": []}
    for number, (english, german, _, picture) in enumerate(corpus.links):
        columns["english"].append(corpus.text_view("en").items(np.array([english]))[0])
        shown = corpus.text_view("de").items(np.array([german]))[0] if german >= 0 else None
        columns["deutsch"].append(shown)
        if picture >= 0:
            pixels = corpus.view("pictures").items(np.array([picture]))[0]
            Image.fromarray(pixels).save(folder / f"{number}.png")
        columns["photo"].append(f"{number}.png" if picture >= 0 else None)
        columns["theme"].append(f"t{number % 10}")
    pd.DataFrame(columns).to_csv(folder / "reports.csv", index=False)
    return folder / "reports.csv"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a table (source/reports.csv), a data set (corpus) and a model."""
    root = tmp_path_factory.mktemp("cli")
    table = _write_table(root / "source")
    views = ["--text", "en=english", "--text", "de=deutsch", "--image", "photos=photo"]
    for command in (
        ["build", table, *views, "--label", "theme", "--out", root / "corpus", "--json"],
        ["train", root / "corpus", "--out", root / "model", "--json", "--topics", 5, *FAST],
    ):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
            patch.setattr(sys, "argv", ["octis-m3l", *map(str, command)])
            main()
        assert not ended.value.code
    return root
