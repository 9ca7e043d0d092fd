"""OCTIS and contextualized-topic-models on numpy 2."""

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from math import log
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from octis_m3l import compat

OCTIS, CTM, MEASURES = compat.PATCHED_MODULES


@pytest.fixture
def unmended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the three modules, and that anything mends them."""
    kept = [finder for finder in sys.meta_path if not isinstance(finder, compat._PatchingFinder)]
    assert len(kept) == len(sys.meta_path) - 1
    monkeypatch.setattr(sys, "meta_path", kept)
    for name in compat.PATCHED_MODULES:
        importlib.import_module(name)
        monkeypatch.delitem(sys.modules, name)


def stopping(module: ModuleType, path: Path) -> Any:
    return module.EarlyStopping(patience=1, path=str(path))


def divergence(module: ModuleType) -> Any:
    return module.KLDivergence([[0.5, 0.5]], [[0.25, 0.75]]).score()


def source(name: str) -> str:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "gone"), [(OCTIS, "Inf"), (CTM, "Inf"), (MEASURES, "float")])
def test_upstream_still_needs_mending(name: str, gone: str) -> None:
    """When this fails, a new version is mended: drop the module from `octis_m3l.compat`."""
    assert re.search(rf"\bnp\.{gone}\b", source(name))


def test_octis_stops_early(tmp_path: Path) -> None:
    early = stopping(importlib.import_module(OCTIS), tmp_path / "checkpoint.pt")
    assert early.val_loss_min == float("inf")
    network = torch.nn.Linear(1, 1)
    for loss in (2.0, 1.0, 1.5):
        assert not early.early_stop
        early(loss, network)
    assert early.early_stop
    assert early.val_loss_min == 1.0
    assert (tmp_path / "checkpoint.pt").is_file()


def test_contextualized_topic_models_stops_early(tmp_path: Path) -> None:
    saved: list[str] = []
    model = SimpleNamespace(save=saved.append, model=SimpleNamespace(beta=torch.ones(1)))
    early = stopping(importlib.import_module(CTM), tmp_path)
    assert early.val_loss_min == float("inf")
    for loss in (2.0, 1.0, 1.5):
        assert not early.early_stop
        early(loss, model)
    assert early.early_stop
    assert early.val_loss_min == 1.0
    assert saved == [str(tmp_path)] * 2


def test_contextualized_topic_models_measures() -> None:
    found = divergence(importlib.import_module(MEASURES))
    assert found == pytest.approx(0.5 * log(4 / 3))


def calls(path: Path) -> dict[str, Callable[[ModuleType], Any]]:
    return {
        OCTIS: lambda module: stopping(module, path),
        CTM: lambda module: stopping(module, path),
        MEASURES: divergence,
    }


@pytest.mark.parametrize("name", compat.PATCHED_MODULES)
@pytest.mark.parametrize("imported_first", [False, True])
@pytest.mark.usefixtures("unmended")
def test_a_module_fails_until_it_is_mended(name: str, imported_first: bool, tmp_path: Path) -> None:
    call = calls(tmp_path)[name]
    module = importlib.import_module(name)
    with pytest.raises(AttributeError, match=r"`np\.(Inf|float)` was"):
        call(module)
    if not imported_first:
        del sys.modules[name]
    compat.install()
    mended = importlib.import_module(name)
    assert (mended is module) == imported_first
    call(mended)
    assert mended.np.zeros is np.zeros
    assert mended.np.float32 is np.float32
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = mended.np.nonsense


@pytest.mark.usefixtures("unmended")
def test_it_is_installed_once_and_only_where_it_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without = list(sys.meta_path)
    with monkeypatch.context() as older:
        older.setattr(np, "Inf", np.inf, raising=False)
        older.setattr(np, "float", float, raising=False)
        compat.install()
        assert sys.meta_path == without
        # numpy 1.24 to 1.26 have the one, and lack the other.
        older.delattr(np, "float")
        compat.install()
        assert sys.meta_path[1:] == without
    compat.install()
    compat.install()
    assert sys.meta_path[1:] == without
    assert isinstance(sys.meta_path[0], compat._PatchingFinder)


def test_numpy_itself_and_other_modules_are_left_alone() -> None:
    assert not hasattr(np, "Inf")
    finder = compat._PatchingFinder()
    for name in ("numpy", "octis.models", "octis.models.early_stopping", "json"):
        assert finder.find_spec(name, None) is None


def test_importing_the_package_is_enough() -> None:
    code = (
        "import octis_m3l\n"
        f"from {OCTIS} import EarlyStopping\n"
        "print(EarlyStopping().val_loss_min)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.stdout == "inf\n", found.stderr
