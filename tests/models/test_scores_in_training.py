"""M3L-Contrast's guard: MRR of validation items, measured while it trains."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted import planted

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.encoders import encode
from octis_m3l.models import M3LContrast, m3l_contrast

from .contract import TOP_WORDS, assert_same
from .contract.helpers import watched_losses

SMALL: dict[str, Any] = {
    **{"num_topics": 4, "hidden_size": 12, "batch_size": 16, "epochs": 3},
    **{"encoder": "clsi", "dimensions": 10},
}


def scores_of(model: Any) -> list[float]:
    return [epoch["score"] for epoch in model.history.epochs if "score" in epoch]


def mean_reciprocal_rank(model: Any, dataset: MultiviewDataset, most: int) -> tuple[float, int]:
    """Return the mean over directions of the MRR of validation items, and of how many tuples."""
    embeddings = encode(dataset, "clsi", dimensions=10).embeddings
    shares: dict[str, dict[int, Any]] = {}
    for name, view in dataset.views.items():
        rows = range(view.sizes[0], view.sizes[0] + min(most, view.sizes[1]))
        shares[name] = {}
        for row in rows:
            given = torch.tensor(np.asarray(embeddings[name][row], np.float32))[None]
            with torch.no_grad():
                mean, _ = model.network.posterior(name, given)
            shares[name][row] = np.exp(mean[0].double().numpy())
            shares[name][row] /= shares[name][row].sum()
    linked = set()
    for link in dataset.links.tolist():
        for a, one in zip(dataset.views, link, strict=True):
            linked |= {(a, one, b, other) for b, other in zip(dataset.views, link, strict=True)}
    directions, tuples = [], set()
    for a in shares:
        for b in shares:
            ranks = []
            for query, of_query in shares[a].items():
                found = sorted(
                    (float(np.sqrt(((of_query**0.5 - of_target**0.5) ** 2).sum() / 2)), target)
                    for target, of_target in shares[b].items()
                )
                right = [n for n, (_, t) in enumerate(found, 1) if (a, query, b, t) in linked]
                if a != b and right:
                    ranks.append(1 / right[0])
                    tuples.add(int(dataset.tuples(a)[query]))
            if ranks:
                directions.append(np.mean(ranks))
    return float(np.mean(directions)), len(tuples)


@pytest.mark.parametrize("most", [500, 11])
def test_it_is_the_mrr_of_a_slow_loop(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    measure, measured = M3LContrast._score, []

    def watched(*given: Any) -> Any:
        function: Any = measure(*given)
        measured.append(function)
        return function

    monkeypatch.setattr(M3LContrast, "_score", watched)
    # Three views, a quarter of the items missing, some with two pictures.
    dataset = planted(tuples=150, missing=0.25, shares=(0.6, 0.3)).dataset
    assert min(view.sizes[1] for view in dataset.views.values()) > 20
    monkeypatch.setattr(m3l_contrast, "_SCORED", most)
    for epochs in (1, 6):
        model: Any = M3LContrast(**SMALL | {"epochs": epochs}).fit(dataset, top_words=TOP_WORDS)
        kept = model.history.epochs[model.history.best_epoch]["score"]
        expected, tuples = mean_reciprocal_rank(model, dataset, most)
        assert kept == pytest.approx(expected, abs=1e-9)
        assert measured[-1]() == (pytest.approx(expected, abs=1e-9), tuples)
        assert kept >= max(scores_of(model)) - max(0.02, 0.5 / tuples**0.5)


def without_validation_links(data: MultiviewDataset) -> MultiviewDataset:
    sizes = np.array([view.sizes[0] for view in data.views.values()])
    return MultiviewDataset(data.views.values(), data.links[(data.links < sizes).all(axis=1)])


def test_it_needs_linked_validation_items_in_use(data: MultiviewDataset) -> None:
    for dataset, changes, partitions in (
        (data.with_split(0.8, 0.0), {}, True),
        (without_validation_links(data), {}, True),
        (data, {}, False),
        (data, {"patience": 3}, True),
    ):
        model = M3LContrast(**SMALL | changes)
        model.partitioning(partitions)
        model.train_model(dataset, top_words=TOP_WORDS)
        assert model.history is not None
        assert scores_of(model) == []
        assert (model.history.best_epoch is None) is (not changes)
        assert all("validation" in epoch for epoch in model.history.epochs) is bool(changes)


def test_a_network_that_gets_worse_has_earlier_weights(
    data: MultiviewDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def falling(self: Any, network: Any, fit: Any) -> Any:
        norm = next(m for m in network.modules() if isinstance(m, torch.nn.BatchNorm1d))
        # 63 tuples are four batches; the score falls after three epochs.
        return lambda: (-abs(float(norm.num_batches_tracked) - 12), 1000)  # type: ignore[arg-type]

    settings = SMALL | {"epochs": 20, "schedule": "constant"}
    monkeypatch.setattr(M3LContrast, "_score", falling)
    short = M3LContrast(**settings | {"epochs": 3}).train_model(data, top_words=TOP_WORDS)
    model = M3LContrast(**settings)
    output = model.train_model(data, top_words=TOP_WORDS)
    assert model.history is not None
    assert (model.history.best_epoch, len(model.history.epochs)) == (2, 8)
    assert model.history.stopped == "early"
    assert_same(output, short)
    # After Ctrl-C in the sixth epoch, too.
    with monkeypatch.context() as patch:
        watched_losses(M3LContrast, patch, interrupted_at=5 * 4 + 2)
        stopped = M3LContrast(**settings, checkpoint=tmp_path)
        with pytest.raises(KeyboardInterrupt), pytest.warns(UserWarning, match="after 5 of 20"):
            stopped.train_model(data, top_words=TOP_WORDS)
    assert stopped.output is not None
    assert_same(stopped.output, short)
    resumed = M3LContrast(**settings, checkpoint=tmp_path)
    assert_same(resumed.train_model(data, top_words=TOP_WORDS), short)
    assert resumed.history is not None
    assert resumed.history.epochs == model.history.epochs
