"""Batches: every tuple once an epoch, one of its own items a view, rows as stored."""

from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contextualized_topic_models.datasets.dataset import CTMDataset
from contextualized_topic_models.models.ctm import ZeroShotTM
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from planted import IMAGE, planted
from scipy.sparse import csr_array, csr_matrix
from views import image_view, refuses, text_view

from octis_m3l.data.batches import (
    Batch,
    SparseRows,
    TupleSampler,
    UnlinkedSampler,
    ViewBatch,
    ViewTensors,
)
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import TextView, View
from octis_m3l.errors import DataError

PARTITIONS = ("train", "validation", "test")
VOCABULARY = ("a", "b", "c")


def texts(name: str, sizes: tuple[int, int, int]) -> TextView:
    """Return documents of which the one numbered i says the words of i in the ternary system."""
    count = sum(sizes)
    documents = [
        " ".join(VOCABULARY[i // 3**place % 3] for place in range(i % 5)) for i in range(count)
    ]
    vectors = np.arange(count, dtype=np.float32)[:, None]
    return text_view(name, documents, vocabulary=VOCABULARY, sizes=sizes, embeddings=vectors)


def embeddings_of(data: MultiviewDataset) -> dict[str, Any]:
    return {name: view.embeddings for name, view in data.views.items()}


def epoch(sampler: TupleSampler, *, seed: int = 0, shuffle: bool = True) -> list[Batch]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return list(sampler.epoch(shuffle=shuffle))


def dense_words(view: TextView, items: list[int]) -> NDArray[np.float32]:
    return view.bag_of_words[items].toarray() if items else np.zeros((0, 3), np.float32)


@st.composite
def corpora(draw: st.DrawFn) -> MultiviewDataset:
    """Draw tuples of one English text, gaps, and up to three German texts and pictures."""
    sizes = [draw(st.integers(2, 9)), draw(st.integers(0, 4)), draw(st.integers(0, 4))]
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    held = random.integers(0, draw(st.integers(1, 4)), (sum(sizes), 2))
    bounds = np.cumsum([0, *sizes])
    rows = []
    for tuple_number, (german, photos) in enumerate(held):
        first = held[:tuple_number].sum(axis=0)
        for number in range(max(german, photos, 1)):
            items = [
                start + min(number, count - 1) if count else -1
                for start, count in zip(first, (german, photos), strict=True)
            ]
            rows.append([tuple_number, *items])
    of_view: Any = [[int(h.sum()) for h in np.split(one, bounds[1:-1])] for one in held.T]
    views = [
        texts("en", (sizes[0], sizes[1], sizes[2])),
        texts("de", of_view[0]),
        image_view("photo", *of_view[1]),
    ]
    return MultiviewDataset(views, np.array(rows, np.int64))


def items_by_tuple(data: MultiviewDataset, name: str, partition: str) -> dict[int, list[int]]:
    """Return the items of each tuple of a partition, by a slow loop."""
    rows = data.view(name).rows(partition)
    found: dict[int, list[int]] = {}
    for item in range(rows.start, rows.stop):
        found.setdefault(int(data.tuples(name)[item]), []).append(item)
    return found


def sizes_of_batches(tuples: int, batch_size: int) -> list[int]:
    """Return what batches should hold: a last one of one tuple joins the one before it."""
    sizes = [min(batch_size, tuples - start) for start in range(0, tuples, batch_size)]
    return [*sizes[:-2], sizes[-2] + 1] if len(sizes) > 1 and sizes[-1] == 1 else sizes


@settings(deadline=None, max_examples=150)
@given(data=corpora(), seed=st.integers(0, 1000), shuffle=st.booleans(), choice=st.data())
def test_an_epoch_visits_each_tuple_once_and_draws_its_own_items(
    data: MultiviewDataset, seed: int, shuffle: bool, choice: st.DataObject
) -> None:
    partition = choice.draw(st.sampled_from([p for p in PARTITIONS if tuples(data, p) > 1]))
    count = tuples(data, partition)
    batch_size = choice.draw(st.integers(2, count))
    sampler = TupleSampler(data, partition, embeddings_of(data), batch_size)
    batches = epoch(sampler, seed=seed, shuffle=shuffle)
    assert [batch.size for batch in batches] == sizes_of_batches(count, batch_size)
    assert len(sampler) == len(batches)
    held = {name: items_by_tuple(data, name, partition) for name in data.views}
    visited = []
    for batch in batches:
        # Every tuple has one English text, by which the tuples of a batch are known.
        numbers = data.tuples("en")[batch.views["en"].items.numpy()].tolist()
        visited += numbers
        assert len(numbers) == batch.size
        for name in data.views:
            rows = [row for row, number in enumerate(numbers) if number in held[name]]
            if len(rows) < 2:
                assert name not in batch.views
                continue
            view = batch.views[name]
            if view.rows is None:
                assert len(rows) == batch.size
            else:
                assert len(rows) < batch.size
                assert view.rows.tolist() == rows
            items = view.items.tolist()
            for row, item in zip(rows, items, strict=True):
                of_tuple = held[name][numbers[row]]
                assert item in of_tuple if shuffle else item == of_tuple[0]
            assert view.embeddings.tolist() == [[float(item)] for item in items]
            if name == "photo":
                assert view.words is None
            else:
                assert view.words is not None
                expected = dense_words(data.text_view(name), items)
                np.testing.assert_array_equal(view.words.dense(3).numpy(), expected)
                np.testing.assert_array_equal(view.words.totals.numpy(), expected.sum(axis=1))
    assert sorted(visited) == sorted(held["en"])
    assert shuffle or visited == sorted(held["en"])


def tuples(data: MultiviewDataset, partition: str) -> int:
    return len(items_by_tuple(data, "en", partition))


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 6), min_size=2, max_size=4),
    random_seed=st.integers(0, 2**32),
    batch_size=st.integers(2, 8),
)
def test_items_in_no_link_and_tuples_of_any_views_are_visited_in_order(
    sizes: list[int], random_seed: int, batch_size: int
) -> None:
    random = np.random.default_rng(random_seed)
    views = [texts("en", (3, 0, 0)), *(image_view(f"v{i}", n, 0, 0) for i, n in enumerate(sizes))]
    links = np.stack([random.integers(-1, len(view), 5) for view in views], axis=1)
    data = MultiviewDataset(views, links)
    held = {name: items_by_tuple(data, name, "train") for name in data.views}
    numbers = sorted({number for of_view in held.values() for number in of_view})
    if len(numbers) < batch_size:
        with pytest.raises(DataError):
            TupleSampler(data, "train", embeddings_of(data), batch_size)
        return
    sampler = TupleSampler(data, "train", embeddings_of(data), batch_size)
    found: dict[str, list[int]] = {name: [] for name in data.views}
    expected: dict[str, list[int]] = {name: [] for name in data.views}
    start = 0
    for batch in epoch(sampler, shuffle=False):
        for name in data.views:
            firsts = [
                held[name][n][0] for n in numbers[start : start + batch.size] if n in held[name]
            ]
            expected[name] += firsts if len(firsts) > 1 else []
            found[name] += batch.views[name].items.tolist() if name in batch.views else []
        start += batch.size
    assert start == len(numbers)
    assert found == expected


def test_all_items_of_a_tuple_are_drawn_equally_often() -> None:
    views = [texts("en", (2, 0, 0)), image_view("photo", 4, 0, 0)]
    data = MultiviewDataset(views, np.array([[0, 0], [0, 1], [0, 2], [1, 3]]))
    sampler = TupleSampler(data, "train", embeddings_of(data), 2)
    drawn: Counter[tuple[int, ...]] = Counter()
    for seed in range(600):
        (batch,) = epoch(sampler, seed=seed)
        drawn[tuple(batch.views["photo"].items.tolist())] += 1
    assert sorted(drawn) == [(0, 3), (1, 3), (2, 3), (3, 0), (3, 1), (3, 2)]
    assert min(drawn.values()) > 70


def test_several_partitions_and_some_views_share_tensors() -> None:
    views = [texts("en", (3, 2, 2)), image_view("photo", 5, 0, 0)]
    data = MultiviewDataset(views, np.array([[0, 0], [1, 1], [2, 2]]))
    embeddings = {"en": embeddings_of(data)["en"]}
    both = TupleSampler(data, ["train", "test"], embeddings, 5)
    (batch,) = epoch(both, shuffle=False)
    assert list(batch.views) == ["en"]
    assert batch.views["en"].items.tolist() == [0, 1, 2, 5, 6]
    validation = TupleSampler(data, "validation", embeddings, 2, tensors=both.tensors)
    assert validation.tensors["en"] is both.tensors["en"]
    (batch,) = epoch(validation, shuffle=False)
    assert batch.views["en"].embeddings.ravel().tolist() == [3.0, 4.0]


TOO_FEW = " a model needs two at least, since batch normalisation compares rows."


@pytest.mark.parametrize(
    ("sampler", "partition", "batch_size", "message"),
    [
        (TupleSampler, "train", 6, "batch_size=6 is larger than the data: 5 tuples in train; use"),
        (TupleSampler, "test", 2, f"1 tuples in test:{TOO_FEW}"),
        (TupleSampler, ["validation", "test"], 2, f"1 tuples in validation and test:{TOO_FEW}"),
        (TupleSampler, "training", 2, "unknown partition 'training'"),
        (UnlinkedSampler, "test", 2, f"view 'en' has 1 items in test:{TOO_FEW}"),
        (UnlinkedSampler, "train", 20, "the data: 5 items in the largest view of train; use at"),
    ],
)
def test_too_little_data_is_an_error(
    sampler: Any, partition: Any, batch_size: int, message: str
) -> None:
    data = MultiviewDataset([texts("en", (5, 0, 1))])
    with refuses(message):
        sampler(data, partition, embeddings_of(data), batch_size)
    shrunk = sampler(data, "train", embeddings_of(data), 6, shrinks=True)
    assert (len(shrunk), shrunk.batch_size) == (1, 5)


# Rows of all views, joined.


def test_joined_rows_are_arranged_by_view_and_tuple() -> None:
    tuples = {"en": None, "de": [1, 3], "photo": [0, 1, 3]}
    views = {}
    for name, rows in tuples.items():
        items, place = torch.zeros(len(rows or range(4))), rows and torch.tensor(rows)
        views[name] = ViewBatch(items, place, items[:, None], None)
    batch, whole = Batch(4, views), Batch(4, {"en": views["en"]})
    joined = torch.arange(1.0, 19.0).reshape(9, 2)
    expected, present, row = np.zeros((3, 4, 2)), np.zeros((3, 4), bool), 0
    for number, of_view in enumerate(tuples.values()):
        for place in of_view or range(4):
            expected[number, place], present[number, place] = joined[row], True
            row += 1
    assert batch.stack(joined).tolist() == expected.tolist()
    np.testing.assert_array_equal(batch.present(), present)  # type: ignore[arg-type]
    assert whole.present() is None
    assert whole.stack(joined[:4]).tolist() == [joined[:4].tolist()]
    assert [len(part) for part in batch.split(joined)] == [4, 2, 3]
    assert torch.equal(torch.cat(batch.split(joined)), joined)
    assert [one.tolist() for one in batch.common("photo", "de")] == [[1, 2], [0, 1]]
    assert [one.tolist() for one in batch.common("de", "en")] == [[0, 1], [1, 3]]


def test_some_documents_in_another_order() -> None:
    words = SparseRows(
        torch.tensor([0, 0, 2]),
        torch.tensor([1, 2, 0]),
        torch.tensor([3.0, 1.0, 2.0]),
        torch.tensor([4.0, 0.0, 2.0]),
    )
    taken = words.take(torch.tensor([2, 0]))
    assert taken.dense(3).tolist() == [[2, 0, 0], [0, 3, 1]]
    assert taken.totals.tolist() == [2, 4]
    both = SparseRows.joined([words, taken])
    assert both.dense(3).tolist() == [[0, 3, 1], [0, 0, 0], [2, 0, 0], [2, 0, 0], [0, 3, 1]]


# Views as tensors.


ARRAY = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)


def test_batches_are_of_single_precision() -> None:
    counts, items = texts("en", (12, 0, 0)).bag_of_words, torch.tensor([3, 0])
    found = ViewTensors(ARRAY.astype(np.float64), counts.astype(np.float64), VOCABULARY)
    words = found.words(items)
    types = {found.embeddings(items).dtype, words.counts.dtype, words.totals.dtype}
    assert types == {torch.float32}


@pytest.mark.parametrize("stored", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("resident_bytes", [0, 1 << 20])
@pytest.mark.filterwarnings("error")
def test_a_memory_mapped_file_gives_what_an_array_gives(
    stored: type, resident_bytes: int, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", ARRAY.astype(stored))
    found = ViewTensors(np.load(tmp_path / "x.npy", mmap_mode="r"), resident_bytes=resident_bytes)
    for items in ([5, 0, 11, 5], [], list(range(12))):
        rows = found.embeddings(torch.tensor(items, dtype=torch.int64))
        assert rows.dtype == torch.float32
        assert rows.tolist() == ARRAY.astype(stored)[items].astype(np.float32).tolist()


@pytest.mark.parametrize("stored", [np.float16, np.float32])
def test_a_memory_mapped_file_stays_on_disk(stored: type, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((3, 2), stored))
    found = ViewTensors(np.load(path, mmap_mode="r"))
    changed = np.load(path, mmap_mode="r+")
    changed[1] = 7.0
    changed.flush()
    assert found.embeddings(torch.tensor([1])).tolist() == [[7.0, 7.0]]


def test_padded_documents_are_the_same_and_may_have_no_words_at_all() -> None:
    counts = np.array([[2, 0, 1], [0, 0, 0], [0, 3, 0]], np.float32)
    items = torch.tensor([2, 0, 1])
    for dense, width in ((counts, 2), (counts, 3), (0 * counts, 2)):
        view = ViewTensors(ARRAY[:3], csr_array(dense), VOCABULARY)
        found, expected = view.padded(items, None, width), view.words(items)
        assert torch.equal(found.dense(3), expected.dense(3))
        assert torch.equal(found.totals, expected.totals)
        for rows in (found, expected):
            assert rows.summed(rows.counts).tolist() == dense[[2, 0, 1]].sum(axis=1).tolist()
    absent = ViewTensors(ARRAY[:3], csr_array(counts), VOCABULARY).padded(
        items, torch.tensor([True, False, True]), 2
    )
    assert absent.dense(3).tolist() == [[0, 3, 0], [0, 0, 0], [0, 0, 0]]
    assert absent.totals.tolist() == [3, 0, 0]


def test_item_by_item_it_is_a_ctm_dataset() -> None:
    counts = texts("en", (12, 0, 0)).bag_of_words
    ours = ViewTensors(ARRAY, counts, VOCABULARY)
    theirs = CTMDataset(ARRAY, csr_matrix(counts), dict(enumerate(VOCABULARY)))
    assert isinstance(ours, CTMDataset)
    assert len(ours) == len(theirs) == 12
    assert ours.idx2token == theirs.idx2token == {0: "a", 1: "b", 2: "c"}
    for item in range(12):
        assert ours[item].keys() == theirs[item].keys()
        assert all(torch.equal(ours[item][key], theirs[item][key]) for key in theirs[item])
    pictures = ViewTensors(ARRAY)
    assert len(pictures) == 12
    assert pictures[1]["X_contextual"].tolist() == ARRAY[1].tolist()
    assert pictures[1]["X_bow"].shape == (1, 0)


def test_contextualized_topic_models_trains_on_it() -> None:
    random = np.random.default_rng(0)
    counts = csr_array(random.poisson(0.7, (20, 6)).astype(np.float32))
    words = [f"w{number}" for number in range(6)]
    view = ViewTensors(random.normal(size=(20, 5)).astype(np.float32), counts, words)
    sizes = {"bow_size": 6, "contextual_size": 5, "n_components": 3, "batch_size": 8}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ZeroShotTM(**sizes, num_epochs=2, num_data_loader_workers=0)
        before = model.model.beta.detach().clone()
        model.fit(view, n_samples=2)
    assert model.model.beta.isfinite().all()
    assert not torch.equal(model.model.beta.cpu(), before.cpu())
    topics = model.get_topic_lists(4)
    assert [len(topic) for topic in topics] == [4, 4, 4]
    assert set().union(*topics) <= set(words)
    assert model.training_doc_topic_distributions.shape == (20, 3)


def test_shares_are_of_all_tuples_and_of_pairs_of_linked_views() -> None:
    linked = planted(("en", "de"), tuples=40, missing={"de": 0.5, IMAGE: 0.7}).dataset
    unlinked = replace(linked.view("en"), name="fi")
    links = np.column_stack([linked.links, np.full(len(linked.links), -1)])
    dataset = MultiviewDataset([*linked.views.values(), unlinked], links)
    vectors = {n: np.zeros((len(v), 2), np.float32) for n, v in dataset.views.items()}
    has = {
        name: set(dataset.tuples(name)[: view.sizes[0]].tolist())
        for name, view in dataset.views.items()
    }
    tuples = len(set().union(*has.values()))
    single = {name: len(of) / tuples for name, of in has.items()}
    double = [len(has[a] & has[b]) / tuples for a, b in combinations(has, 2)]
    assert double.count(0.0) == 3
    assert single[IMAGE] < single["de"] < single["en"]
    for batch in TupleSampler(dataset, "train", vectors, 8).epoch():
        assert batch.text_share == pytest.approx((2 * single["en"] + single["de"]) / 3)
        assert batch.item_share == pytest.approx(sum(single.values()) / 4)
        assert batch.pair_share == pytest.approx(sum(double) / 3)


@pytest.mark.parametrize("kind", [TupleSampler, UnlinkedSampler])
def test_batches_are_the_same_however_many_are_arranged_together(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = planted(missing=0.4, tuples=50).dataset
    vectors = {n: np.arange(2.0 * len(v)).reshape(-1, 2) for n, v in data.views.items()}
    found: list[Any] = []
    for together in (1, 12, 1024):
        monkeypatch.setattr("octis_m3l.data.batches.ROWS_TOGETHER", together)
        torch.manual_seed(3)
        found.append([])
        for batch in kind(data, "train", vectors, 4).epoch():
            for name, view in batch.views.items():
                rows = None if view.rows is None else view.rows.tolist()
                words = view.words and [*view.words.rows.tolist(), *view.words.words.tolist()]
                found[-1].append((name, view.items.tolist(), rows, view.embeddings.tolist(), words))
    assert found[0] == found[1] == found[2]


# Views without links.


def unlinked(english: int = 11, partition: str | None = "train") -> UnlinkedSampler:
    """Visit documents of one word each, the word of their number, and pictures."""
    views: list[View] = [image_view("image", 3, 2, 0)]
    for name, count in (("en", english), ("de", 4)):
        words = [f"w{i}" for i in range(count + 3)]
        vectors = np.arange(count + 3, dtype=np.float32)[:, None]
        views.append(text_view(name, words, sizes=(count, 2, 1), embeddings=vectors))
    data = MultiviewDataset(views)
    return UnlinkedSampler(data, partition, embeddings_of(data), 4, shrinks=True)


def test_unlinked_an_epoch_is_as_long_as_the_longest_view_and_others_repeat() -> None:
    one = unlinked()
    torch.manual_seed(0)
    batches = list(one.epoch())
    assert len(batches) == len(one) == 3
    assert [batch.size for batch in batches] == [4, 4, 3]
    seen = {
        name: torch.cat([b.views[name].items for b in batches]).tolist() for name in one.tensors
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
    assert [i for batch in one.epoch() for i in batch.views["en"].items.tolist()] != seen["en"]


def test_unlinked_the_order_may_be_kept_and_all_partitions_visited() -> None:
    one = unlinked(partition=None)
    found = torch.cat([batch.views["de"].items for batch in one.epoch(shuffle=False)]).tolist()
    assert found == [0, 1, 2, 3, 4, 5, 6] * 2
    held_out = list(unlinked(partition="validation").epoch(shuffle=False))
    assert held_out[0].views["en"].items.tolist() == [11, 12]
    # A last batch of one item joins the one before it.
    of_nine = unlinked(english=9)
    assert [batch.size for batch in of_nine.epoch()] == [4, 5]
    assert len(of_nine) == 2
