"""OCTIS and contextualized-topic-models on numpy 2."""

import importlib
import subprocess
import sys
from math import log
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from octis_m3l import compat

OCTIS, CTM, MEASURES = compat.PATCHED_MODULES


def use(name: str, folder: Path) -> Any:
    """Return a divergence, or the least loss of a training that stops after one rise."""
    module: Any = importlib.import_module(name)
    if name == MEASURES:
        return module.KLDivergence([[0.5, 0.5]], [[0.25, 0.75]]).score()
    early = module.EarlyStopping(patience=1, path=str(folder / "model"))
    assert early.val_loss_min == float("inf")
    network: Any = torch.nn.Linear(1, 1)
    if name == CTM:
        network = SimpleNamespace(save=lambda path: None, model=SimpleNamespace(beta=torch.ones(1)))
    for loss in (2.0, 1.0, 1.5):
        assert not early.early_stop
        early(loss, network)
    assert early.early_stop
    return early.val_loss_min


@pytest.fixture
def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the three modules, and that anything patches them."""
    kept = [finder for finder in sys.meta_path if not isinstance(finder, compat._PatchingFinder)]
    assert len(kept) == len(sys.meta_path) - 1
    monkeypatch.setattr(sys, "meta_path", kept)
    for name in compat.PATCHED_MODULES:
        importlib.import_module(name)
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    ("name", "gone", "expected"),
    [(OCTIS, "Inf", 1.0), (CTM, "Inf", 1.0), (MEASURES, "float", 0.5 * log(4 / 3))],
)
@pytest.mark.parametrize("imported_first", [False, True])
@pytest.mark.usefixtures("unpatched")
def test_a_module_fails_until_it_is_patched(
    name: str, gone: str, expected: float, imported_first: bool, tmp_path: Path
) -> None:
    """If it works unpatched, upstream is corrected: drop the module from `octis_m3l.compat`."""
    with pytest.raises(AttributeError, match=rf"`np\.{gone}` was"):
        use(name, tmp_path)
    module = sys.modules[name]
    if not imported_first:
        del sys.modules[name]
    compat.install()
    assert use(name, tmp_path) == pytest.approx(expected)
    patched: Any = sys.modules[name]
    assert (patched is module) == imported_first
    assert patched.np.zeros is np.zeros
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = patched.np.nonsense


@pytest.mark.usefixtures("unpatched")
def test_it_is_installed_once() -> None:
    without = list(sys.meta_path)
    compat.install()
    compat.install()
    assert sys.meta_path[1:] == without
    finder: Any = sys.meta_path[0]
    for name in ("numpy", "octis.models", "octis.models.early_stopping", "json"):
        assert finder.find_spec(name, None) is None
    assert not hasattr(np, "Inf")


@pytest.mark.slow
def test_a_process_that_imports_the_package_needs_nothing_else() -> None:
    code = f"import octis_m3l\nfrom {OCTIS} import EarlyStopping\nEarlyStopping()\n"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
