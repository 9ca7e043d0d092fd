"""Batches of unlinked views."""

import re

import numpy as np
import pytest
import torch

from octis_m3l.data import ImageView, MultiviewDataset, TextView
from octis_m3l.data.batches import UnlinkedSampler
from octis_m3l.errors import DataError


def dataset(english: int = 11, german: int = 4, pictures: int = 0) -> MultiviewDataset:
    views: list[TextView | ImageView] = [
        TextView(
            name=name,
            sizes=(count, 2, 1),
            vocabulary=tuple(f"w{i}" for i in range(count + 3)),
            token_ids=np.arange(count + 3, dtype=np.int32),
            offsets=np.arange(count + 4),
            embeddings=np.arange(count + 3, dtype=np.float32)[:, None],
        )
        for name, count in (("en", english), ("de", german))
    ]
    if pictures:
        vectors = np.arange(pictures, dtype=np.float32)[:, None]
        views.append(ImageView(name="image", sizes=(pictures, 0, 0), embeddings=vectors))
    return MultiviewDataset(views)


def sampler(
    data: MultiviewDataset, batch: int = 4, partition: str | None = "train"
) -> UnlinkedSampler:
    vectors = {name: view.embeddings for name, view in data.views.items()}
    return UnlinkedSampler(data, partition, vectors, batch)  # type: ignore[arg-type]


def test_an_epoch_is_as_long_as_the_longest_view_and_others_repeat() -> None:
    one = sampler(dataset(pictures=3))
    torch.manual_seed(0)
    batches = list(one.epoch())
    assert len(batches) == len(one) == 3
    assert [batch.size for batch in batches] == [4, 4, 3]
    seen = {
        name: torch.cat([batch.views[name].items for batch in batches]).tolist()
        for name in ("en", "de", "image")
    }
    assert sorted(seen["en"]) == list(range(11))
    for name, count in (("de", 4), ("image", 3)):
        for start in range(0, 11, count):
            piece = seen[name][start : start + count]
            assert len(set(piece)) == len(piece)
            assert set(piece) <= set(range(count))
    for batch in batches:
        for view in batch.views.values():
            assert view.rows is None
            assert view.embeddings.ravel().tolist() == view.items.tolist()
            if view.words is not None:
                assert view.words.words.tolist() == view.items.tolist()
    assert batches[0].views["image"].words is None
    # Views are in orders of their own.
    assert seen["en"][:4] != seen["de"][:4]
    assert [batch.views["en"].items.tolist() for batch in one.epoch()] != seen["en"]


def test_a_last_batch_of_one_joins_the_one_before_it() -> None:
    sizes = [batch.size for batch in sampler(dataset(english=9)).epoch()]
    assert sizes == [4, 5]
    assert len(sampler(dataset(english=9))) == 2


def test_the_order_may_be_kept_and_all_partitions_visited() -> None:
    one = sampler(dataset(), partition=None)
    found = torch.cat([batch.views["de"].items for batch in one.epoch(shuffle=False)]).tolist()
    assert found == [0, 1, 2, 3, 4, 5, 6] * 2
    held_out = list(sampler(dataset(), batch=2, partition="validation").epoch(shuffle=False))
    assert held_out[0].views["en"].items.tolist() == [11, 12]


def test_the_same_seed_gives_the_same_batches() -> None:
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append([b.views["de"].items.tolist() for b in sampler(dataset()).epoch()])
    assert drawn[0] == drawn[1]


def test_too_little_data() -> None:
    message = "view 'de' has 1 items in test: a model needs two at least, since batch normalisation"
    with pytest.raises(DataError, match=f"^{re.escape(message)}"):
        sampler(dataset().with_views(["de"]), partition="test")
    message = "batch_size=20 is larger than the data: 11 items in the largest view of train; use at"
    with pytest.raises(DataError, match=f"^{re.escape(message)}"):
        sampler(dataset(), batch=20)


def test_batches_are_the_same_however_many_are_arranged_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for together in (1, 8, 1024):
        monkeypatch.setattr("octis_m3l.data.batches.ROWS_TOGETHER", together)
        torch.manual_seed(3)
        found.append(
            [
                [v.items.tolist() + v.words.rows.tolist() + v.words.words.tolist()]  # type: ignore[union-attr]
                for b in sampler(dataset()).epoch()
                for v in b.views.values()
            ]
        )
    assert found[0] == found[1] == found[2]
