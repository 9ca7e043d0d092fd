"""Random numbers of training: they depend on seed, epoch, step, purpose, view and place alone."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from octis_m3l.data.batches import Batch, ViewBatch
from octis_m3l.data.noise import Noise, Purpose, StepNoise, derive_seed

PLACES = 6
CPU = torch.device("cpu")


def noise(seed: int = 0, epoch: int = 0, views: tuple[str, ...] = ("en", "de")) -> Noise:
    return Noise(seed, epoch, views, PLACES, CPU)


def drawn(of: Noise, step: int = 0, view: str = "en", **given: Any) -> Tensor:
    asked = {"kind": "normal", "name": "topics", "copies": 2, "columns": 5, **given}
    return StepNoise(of, step)(Purpose(view=view, **asked))


def test_numbers_do_not_depend_on_what_else_is_drawn() -> None:
    alone, busy = noise(), noise()
    for step in range(40):
        drawn(busy, step, "de")
        drawn(busy, step, name="hidden units", kind="bits")
        if step % 3 == 0:
            assert torch.equal(drawn(alone, step), drawn(busy, step))
    # As often as wanted, in any order, and in the middle of an epoch.
    assert torch.equal(drawn(busy, 2), drawn(noise(), 2))
    assert torch.equal(drawn(busy, 2), drawn(busy, 2))
    torch.manual_seed(5)
    assert torch.equal(drawn(noise(), 17), drawn(alone, 17))


def test_everything_that_they_are_for_changes_them() -> None:
    found = [drawn(noise(), step) for step in (0, 1, 31, 32, 33, 64)]
    found += [drawn(noise(seed)) for seed in (1, 2)] + [drawn(noise(epoch=1))]
    found += [drawn(noise(), view="de"), drawn(noise(), name="further topics")]
    found.append(drawn(noise(), kind="bits").float())
    for one, other in combinations([each.flatten().numpy() for each in found], 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.5


def test_names_of_views_do_not_matter() -> None:
    assert torch.equal(drawn(noise(), view="de"), drawn(noise(views=("x", "y")), view="y"))


def test_they_are_normal_and_bits() -> None:
    given: dict[str, Any] = {"copies": 300, "columns": 41}
    normal, bits = drawn(noise(), **given), drawn(noise(), kind="bits", **given)
    assert normal.shape == bits.shape == (300, PLACES, 41)
    count = normal.numel()
    assert abs(float(normal.mean())) < 6 / np.sqrt(count)
    assert float(normal.var()) == pytest.approx(1.0, abs=6 * np.sqrt(2 / count))
    assert bits.dtype == torch.int16
    for bit in range(16):
        share = float(((bits.int() >> bit) & 1).double().mean())
        assert share == pytest.approx(0.5, abs=6 * 0.5 / np.sqrt(count))
    # Every sixteen bits for themselves: those that are drawn together do not follow each other.
    flat = bits.flatten().double().numpy()
    for lag in range(1, 5):
        assert abs(np.corrcoef(flat[lag:], flat[:-lag])[0, 1]) < 6 / np.sqrt(count)


def test_a_purpose_of_many_numbers_is_drawn_step_by_step() -> None:
    large: dict[str, Any] = {"copies": 40, "columns": 2000}
    one, again = noise(), noise()
    drawn(one, 0, **large)
    assert torch.equal(drawn(one, 1, **large), drawn(again, 1, **large))
    assert not torch.equal(drawn(one, 1, **large), drawn(one, 0, **large))


def batch(rows: dict[str, list[int] | None], of: StepNoise | None) -> Batch:
    views = {}
    for name, places in rows.items():
        count = 4 if places is None else len(places)
        given = None if places is None else torch.tensor(places)
        views[name] = ViewBatch(torch.arange(count), given, torch.zeros(count, 1), None)
    return Batch(4, views, numbers=of)


def test_a_row_has_the_numbers_of_its_tuple_whatever_is_missing() -> None:
    of = StepNoise(noise(), 3)
    whole, gaps = batch({"en": None, "de": None}, of), batch({"en": [0, 3], "de": [1, 2, 3]}, of)
    kept = [0, 3, 5, 6, 7]
    for copies in (1, 3):
        all_rows = whole.normal("topics", torch.zeros(8, 5), copies=copies)
        some = gaps.normal("topics", torch.zeros(5, 5), copies=copies)
        assert torch.equal(all_rows[..., kept, :], some)
    one = whole.normal("topics", torch.zeros(4, 5).double(), ["de"])
    assert one.dtype == torch.float64
    assert torch.equal(whole.normal("topics", torch.zeros(8, 5))[4:], one.float())
    values = torch.arange(1.0, 41).reshape(8, 5)
    dropped = whole.dropout(0.4, "hidden units", values)
    assert torch.equal(dropped[kept], gaps.dropout(0.4, "hidden units", values[kept]))
    lost = dropped == 0
    torch.testing.assert_close(dropped[~lost], values[~lost] / 0.6, rtol=1e-4, atol=0)
    assert 0.1 < float(lost.double().mean()) < 0.7
    many = torch.ones(4, 20_000)
    for share in (0.01, 0.2, 0.5, 0.99):
        found = whole.dropout(share, "many", many, ["en"])
        count, spread = many.numel(), np.sqrt(share * (1 - share))
        assert float((found == 0).double().mean()) == pytest.approx(
            share, abs=6 * spread / np.sqrt(count)
        )
        assert found.unique().tolist() == pytest.approx([0.0, 1 / (1 - share)], rel=2e-3)
    assert whole.dropout(0.0, "hidden units", values) is values
    assert whole.dropout(1 - 1e-9, "hidden units", values).isfinite().all()


def test_without_a_source_torchs_global_state_is_used() -> None:
    plain = batch({"en": None}, None)
    values = torch.ones(4, 500)
    for draw in (
        lambda: plain.normal("topics", values, copies=2),
        lambda: plain.dropout(0.4, "topics", values),
    ):
        torch.manual_seed(0)
        first = draw()
        assert not torch.equal(draw(), first)
        torch.manual_seed(0)
        assert torch.equal(draw(), first)
    zeros = plain.dropout(0.4, "topics", values) == 0
    assert float(zeros.double().mean()) == pytest.approx(0.4, abs=6 * np.sqrt(0.24 / 2000))


def test_the_order_of_an_epoch_has_a_generator_of_its_own() -> None:
    first, second = noise(3, 1).for_order(), noise(3, 1).for_order()
    assert torch.equal(torch.randperm(50, generator=first), torch.randperm(50, generator=second))
    other = torch.randperm(50, generator=noise(3, 2).for_order())
    assert not torch.equal(torch.randperm(50, generator=noise(3, 1).for_order()), other)
    assert noise(3, 1).seed == derive_seed(3, 1)
