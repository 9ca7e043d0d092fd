"""Classes are found in files of a package and by entry points, without being imported."""

import sys
from pathlib import Path

import pytest

from octis_m3l.metrics import METRICS
from octis_m3l.registry import Registry

FIRST = '''
"""Not imported to be found."""
import nowhere_to_be_found

class Base:
    name: str

class Last(Base):
    name = "last"

class Early(Base):
    """Two names.

    More.
    """

    name: tuple[str, ...] = ("b", "a")
    order = 5
'''
OTHER = 'class Other:\n    """Another\n    one."""\n\n    name = "other"\n    order = 7\n'


def test_classes_of_files_and_of_other_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "registering"
    package.mkdir()
    for file, text in {"__init__": "", "first": FIRST, "other": OTHER}.items():
        (package / f"{file}.py").write_text(text, "utf-8")
    installed = tmp_path / "elsewhere-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    points = "[registering]\nlast = elsewhere:Nothing\njson = json.decoder:JSONDecoder\n"
    (installed / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    __import__("registering")
    found: Registry[type] = Registry("registering")
    assert list(found) == ["a", "b", "other", "last", "json"]
    assert "a" in found
    assert "c" not in found
    assert found.registered["a"].summary == "Two names."
    assert found.registered["other"].summary == "Another one."
    assert found.registered["json"].summary == "Of the package elsewhere."
    assert found.registered["last"].module == "registering.first"
    assert found["other"].__name__ == "Other"
    assert found["json"].__name__ == "JSONDecoder"
    assert "registering.first" not in sys.modules
    with pytest.raises(KeyError):
        found["c"]


def test_metrics_with_two_names_are_one_class() -> None:
    assert METRICS["classification"] is METRICS["classification-f1"]
