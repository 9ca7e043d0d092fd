"""What a search says of its hyperparameters: importances, best points, the response surface."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from octis_m3l import Optimizer
from octis_m3l.errors import DataError
from octis_m3l.reports import at_edge, draw_search, importances, search_table

from .toy import SPACE, Data, Height, Hill


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("climbed")
    options: dict[str, Any] = {"surrogate_model": "RS", "number_of_call": 60, "model_runs": 1}
    options |= {"save_models": False, "save_path": f"{folder}/"}
    return Optimizer().optimize(Hill(), Data(), Height(), SPACE, **options)


def test_what_matters_is_important(climbed: Any) -> None:
    shares = importances(climbed)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert sum(shares.values()) == pytest.approx(1.0)
    # The hill falls by .49 at most along x, by .36 along y, and by .2 between the kinds.
    assert min(shares.values()) > 0.02
    assert importances(climbed) == shares


def test_the_table_says_what_matters_and_where_the_range_ends(climbed: Any, tmp_path: Path) -> None:
    def shown(result: Any, weights: dict[str, float]) -> str:
        console = Console(width=120, record=True)
        console.print(search_table(result, weights))
        return console.export_text()

    shares = importances(climbed)
    table = shown(climbed, shares)
    assert "The best of 60 calls" in table
    assert "highest run" not in table
    assert "explains" in table
    assert all(f"{share:.0%}" in table for share in shares.values())
    assert at_edge(climbed) == {}
    options: dict[str, Any] = {"surrogate_model": "RS", "number_of_call": 12, "model_runs": 2}
    space = {"x": (0.31, 99.0, "log-uniform")}
    x0 = {"x": [0.32]}
    below = Optimizer().optimize(
        Hill(), Data(), Height(), space, save_path=f"{tmp_path}/", x0=x0, **options
    )
    assert at_edge(below) == {"x": "low"}
    few = Optimizer().optimize(
        Hill(), Data(), Height(), space, save_path=f"{tmp_path}/few/", x0=x0, number_of_call=3
    )
    assert at_edge(few) == {}, "of few calls an end says nothing"
    table = shown(below, {})
    assert "medians of 2 runs" in table
    assert "lowest and highest run" in table
    assert "end of the range of x (low): try a wider range" in " ".join(table.split())


def test_a_picture_of_numbers_and_categories(climbed: Any, tmp_path: Path) -> None:
    draw_search(climbed, tmp_path / "search.pdf")
    assert (tmp_path / "search.pdf").stat().st_size > 5000


def test_few_calls_have_no_importances(tmp_path: Path) -> None:
    few = Optimizer().optimize(
        Hill(), Data(), Height(), SPACE, save_path=f"{tmp_path}/", number_of_call=2, model_runs=1
    )
    with pytest.raises(DataError, match="2 calls of this search did not fail, and 4 are needed"):
        importances(few)
