"""Standardised embeddings beside numpy, and which bags of words are read as shorter ones."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from octis_m3l.data.batches import SparseRows
from octis_m3l.errors import DataError
from octis_m3l.networks import Standardiser, TypicalLength


def some(rows: int, dimensions: int) -> NDArray[np.float32]:
    random = np.random.default_rng(0)
    spread = random.uniform(0.01, 10, dimensions)
    return random.normal(random.normal(size=dimensions), spread, (rows, dimensions)).astype("f4")


def standardised(embeddings: NDArray[Any], rows: slice) -> NDArray[np.float32]:
    module = Standardiser(embeddings.shape[1])
    module.fit(embeddings, rows, "en")
    found: NDArray[np.float32] = module(torch.from_numpy(embeddings)).numpy()
    return found


@settings(deadline=None)
@given(
    size=st.integers(2, 30), dimensions=st.integers(1, 5), start=st.integers(0, 28), data=st.data()
)
def test_it_is_numpys_mean_and_standard_deviation_of_the_training_items(
    size: int, dimensions: int, start: int, data: st.DataObject
) -> None:
    embeddings = some(size, dimensions)
    start = min(start, size - 2)
    rows = slice(start, data.draw(st.integers(start + 2, size)))
    exact = embeddings.astype(np.float64)
    expected = (exact - exact[rows].mean(axis=0)) / exact[rows].std(axis=0)
    np.testing.assert_allclose(standardised(embeddings, rows), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("items", [1, 1001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, -123.456, 1e8, 1e-30])
def test_a_constant_dimension_is_only_centred(value: float, dtype: type, items: int) -> None:
    embeddings = some(items, 3).astype(dtype)
    embeddings[:, 1] = value
    found = standardised(embeddings, slice(0, items))
    np.testing.assert_allclose(found[:, 1], 0.0, atol=1e-6 * abs(value))
    np.testing.assert_allclose(found[:, [0, 2]].std(axis=0), float(items > 1), rtol=1e-4)
    module = Standardiser(3)
    module.fit(np.full((items, 3), value, dtype), slice(0, items), "en")
    assert module.scale.tolist() == [1.0, 1.0, 1.0]


def test_it_is_read_in_pieces() -> None:
    class Counting(np.ndarray):
        """Notes which slices of rows are read."""

        read: list[slice]

        def __getitem__(self, key: Any) -> Any:
            Counting.read.append(key)
            return np.asarray(self)[key]

    wide = np.broadcast_to(some(7, 1), (7, 8_000_000)).view(Counting)
    Counting.read = []
    module = Standardiser(1)
    module.mean, module.scale = torch.zeros(8_000_000), torch.ones(8_000_000)
    module.fit(wide, slice(1, 6), "en")
    assert Counting.read == [slice(1, 3), slice(3, 5), slice(5, 6)]
    narrow = Standardiser(1)
    narrow.fit(some(7, 1), slice(1, 6), "en")
    torch.testing.assert_close(module.mean[:3], narrow.mean.expand(3))
    torch.testing.assert_close(module.scale[-3:], narrow.scale.expand(3))


def test_no_training_item_is_an_error() -> None:
    with pytest.raises(DataError, match=r"^view .de. has no training item to standardise its emb"):
        Standardiser(3).fit(some(5, 3), slice(0, 0), "de")


@pytest.mark.parametrize("dimensions", [1, 2, 512])
def test_rows_of_one_length(dimensions: int) -> None:
    embeddings = some(40, dimensions)
    if dimensions > 1:
        embeddings[:30, dimensions // 2] = 7.5  # constant in training, and not afterwards
    one = Standardiser(dimensions, one_length=True)
    one.fit(embeddings, slice(0, 30), "en")
    # Rows far from all others and near the mean, too.
    given = np.concatenate([embeddings, 1e4 * embeddings, 1e-3 * embeddings[:1]])
    found = one(torch.from_numpy(given)).numpy()
    centred = given - embeddings[:30].mean(axis=0, dtype=np.float64)
    lengths = np.sqrt((found.astype(np.float64) ** 2).sum(axis=1))
    np.testing.assert_allclose(lengths, np.sqrt(dimensions), rtol=1e-5)
    for row, of_row in zip(found, centred, strict=True):
        factor = np.sqrt(dimensions) / np.linalg.norm(of_row)
        np.testing.assert_allclose(row, factor * of_row, rtol=1e-4, atol=1e-5)
    # What is exactly the mean has no direction.
    mean = one.mean[None].clone()
    assert one(mean).tolist() == [[0.0] * dimensions]


@pytest.mark.parametrize("one_length", [False, True])
@pytest.mark.parametrize(("dimensions", "given"), [(24, 1.75), (150, 0.7), (300, 0.7)])
def test_noise_is_added_in_training_alone(dimensions: int, given: float, one_length: bool) -> None:
    embeddings = torch.from_numpy(some(500, dimensions))
    noisy, plain = (
        Standardiser(dimensions, one_length=one_length, noise=noise).train()
        for noise in (given, 0.0)
    )
    for module in (noisy, plain):
        module.fit(embeddings.numpy(), slice(0, 500), "en")
    state = torch.get_rng_state()
    expected = plain(embeddings)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(0)
    added = (noisy(embeddings) - expected).numpy()
    # Six times the standard errors of the mean and standard deviation of all numbers.
    assert abs(added.mean()) < 6 * 0.7 / np.sqrt(added.size)
    assert abs(added.std() - 0.7) < 6 * 0.7 / np.sqrt(2 * added.size)
    np.testing.assert_allclose(added.std(axis=0), 0.7, rtol=0.2)
    assert abs(np.corrcoef(added[:, 0], added[:, 1])[0, 1]) < 6 / np.sqrt(500)
    assert not np.array_equal((noisy(embeddings) - expected).numpy(), added)
    state = torch.get_rng_state()
    assert torch.equal(noisy.eval()(embeddings), expected)
    assert torch.equal(torch.get_rng_state(), state)


def bags(*lengths: int) -> SparseRows:
    """Return rows of two words each, the first three times as frequent as the second."""
    totals = torch.tensor(lengths, dtype=torch.float32)
    counts = torch.stack([0.75 * totals, 0.25 * totals], dim=1).flatten()
    numbers = torch.arange(len(lengths))
    return SparseRows(
        numbers.repeat_interleave(2), torch.arange(2).repeat(len(lengths)), counts, totals
    )


@pytest.mark.parametrize(
    ("trained_on", "kept", "too_long"),
    [
        pytest.param([12, 16, 20], [0, 1, 20], [21, 3000], id="longer than all of them"),
        pytest.param([12] * 99 + [1200], [1, 12, 119], [120, 1200], id="five times the mean"),
    ],
)
def test_documents_that_are_too_long_are_read_as_one_of_the_mean_length(
    trained_on: list[int], kept: list[int], too_long: list[int]
) -> None:
    lengths = TypicalLength().train()
    for _ in range(2):
        for start in range(0, len(trained_on), 2):
            given = bags(*trained_on[start : start + 2])
            assert lengths(given) is given
    lengths.eval()
    given = bags(*kept, *too_long)
    found = lengths(given)
    few, entries = len(kept), 2 * len(kept)
    torch.testing.assert_close(found.totals[:few], given.totals[:few], rtol=0, atol=0)
    torch.testing.assert_close(found.counts[:entries], given.counts[:entries], rtol=0, atol=0)
    mean = sum(trained_on) / len(trained_on)
    expected = bags(*[1] * len(too_long)).counts * mean
    torch.testing.assert_close(found.counts[entries:], expected)
    torch.testing.assert_close(found.totals[few:], torch.full((len(too_long),), mean))


def test_weights_that_were_saved_without_lengths_scale_nothing() -> None:
    lengths = TypicalLength()
    lengths.load_state_dict({})
    given = bags(3, 30_000)
    assert lengths.eval()(given) is given
