"""How many threads compute, and who sees a progress bar."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from planted import Planted

from octis_m3l.comparison import compare
from octis_m3l.errors import SettingsError
from octis_m3l.metrics import TopicUniqueness
from octis_m3l.models import NMTM, PLTM, M3LContrast, neural
from octis_m3l.search import Optimizer

TINY: dict[str, Any] = {"num_topics": 3, "epochs": 1, "batch_size": 16, "hidden_size": 8}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Return the list of threads that training and inference had, on a machine of three."""
    found: list[int] = []

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **named: Any) -> Any:
            found.append(torch.get_num_threads())
            return function(*arguments, **named)

        return noted

    for name in ("train", "expected_topics"):
        monkeypatch.setattr(neural, name, noting(getattr(neural, name)))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield found
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


def test_training_searches_and_comparisons_choose_their_threads(
    planted_data: Planted, seen: list[int], tmp_path: Path
) -> None:
    data = planted_data.dataset.with_views(["en", "de"])
    texts = [" ".join(planted_data.words["en"][0])]

    def trains(kind: Any, **threads: int) -> None:
        kind(**TINY, **threads).fit(data, top_words=3).infer(texts, "en")

    def searches(threads: int) -> None:
        metric, space = TopicUniqueness(data, "en", 3), {"dropout": [0.1, 0.2]}
        options: dict[str, Any] = {"number_of_call": 1, "n_random_starts": 1, "model_runs": 1}
        options |= {"topk": 3, "save_path": f"{tmp_path}/", "threads": threads}
        Optimizer().optimize(M3LContrast(**TINY), data, metric, space, **options)

    def compares(threads: int | None) -> None:
        options: dict[str, Any] = {"seeds": 1, "metrics": ["tu"], "topk": 3, "progress": False}
        compare({"ours": M3LContrast(**TINY)}, data, threads=threads, **options)

    for expected, call in (
        (1, lambda: trains(M3LContrast)),
        (2, lambda: trains(M3LContrast, threads=2)),
        (1, lambda: trains(NMTM)),
        (2, lambda: trains(NMTM, threads=2)),
        (2, lambda: searches(2)),
        (1, lambda: compares(None)),
        (2, lambda: compares(2)),
    ):
        seen.clear()
        call()
        assert set(seen) == {expected}


def test_too_many_threads_are_refused(planted_data: Planted) -> None:
    for model in (M3LContrast, PLTM):
        with pytest.raises(SettingsError, match=r"threads=99999999: .* less than or equal to 1024"):
            model(threads=99_999_999)
    with pytest.raises(SettingsError, match=r"^threads=99999999: expected 1 to 1024\.$"):
        compare({"ours": M3LContrast(**TINY)}, planted_data.dataset, threads=99_999_999)


@pytest.mark.parametrize(
    ("watched", "progress", "shown"),
    [(True, None, True), (False, None, False), (True, False, False), (False, True, True)],
)
def test_fit_shows_a_bar_where_a_person_looks(
    watched: bool,
    progress: bool | None,
    shown: bool,
    planted_data: Planted,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("octis_m3l.models.base.is_watched", lambda: watched)
    model = M3LContrast(**TINY, progress=progress).fit(planted_data.dataset, top_words=3)
    assert ("training" in capfd.readouterr().err) == shown
    assert model.progress is progress
    model.train_model(planted_data.dataset, top_words=3)
    assert ("training" in capfd.readouterr().err) == bool(progress)
