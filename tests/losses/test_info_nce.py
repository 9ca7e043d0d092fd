"""InfoNCE beside slow loops over pairs."""

from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import plain_info_nce
from torch import Tensor

from octis_m3l.losses.averages import Average
from octis_m3l.losses.info_nce import Negatives, Similarity, info_nce

SHARE = 0.4
AVERAGES: tuple[Average, ...] = ("pooled", "present", "batch")
KINDS = list(product(("cosine", "dot"), ("other-view", "both-views", "printed")))
every_kind = pytest.mark.parametrize(("similarity", "negatives"), KINDS)
PRESENT = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 1, 1], [0, 1, 1, 1, 1]]).bool()


def some(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=random, dtype=dtype).requires_grad_()


def listed(vectors: Tensor, present: Tensor) -> dict[str, dict[int, Tensor]]:
    """Return each view's vectors by row, as the plain transcription takes them."""
    views = zip(vectors.double(), present, strict=True)
    return {
        str(n): {i: v[i] for i in there.nonzero().ravel().tolist()}
        for n, (v, there) in enumerate(views)
    }


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Draw vectors, and which of them are there."""
    shape = draw(st.integers(2, 4)), draw(st.integers(1, 5)), draw(st.integers(2, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    present = random.random(shape[:2]) < draw(st.sampled_from([0.3, 0.7, 1.0]))
    return torch.tensor(random.normal(size=shape)), torch.tensor(present)


@every_kind
@settings(max_examples=50, deadline=None)
@given(
    batch=batches(),
    average=st.sampled_from(AVERAGES),
    temperature=st.sampled_from([0.07, 0.5, 2.0]),
)
def test_it_is_what_a_loop_over_pairs_gives(
    similarity: Similarity,
    negatives: Negatives,
    batch: tuple[Tensor, Tensor],
    average: Average,
    temperature: float,
) -> None:
    vectors, present = batch
    kind = temperature, similarity, negatives
    averaged = {"average": average, "rows": vectors.shape[1], "share": SHARE}
    expected = plain_info_nce(listed(vectors, present), *kind, **averaged).item()
    for dtype, relative in ((torch.float64, 1e-8), (torch.float32, 1e-4)):
        for there in (present, None) if present.all() else (present,):
            found = info_nce(
                vectors.to(dtype),
                there,
                temperature=temperature,
                similarity=similarity,
                negatives=negatives,
                average=average,
                share=SHARE,
            )
            assert found.dtype == dtype
            assert found.shape == ()
            assert found.item() == pytest.approx(expected, rel=relative, abs=relative)


def test_default_is_cosine_and_both_views() -> None:
    chosen = info_nce(some(3, 4, 5), temperature=0.5, similarity="cosine", negatives="both-views")
    assert torch.equal(info_nce(some(3, 4, 5), temperature=0.5), chosen)


@every_kind
@pytest.mark.parametrize("average", AVERAGES)
def test_views_with_nothing_in_common_have_no_loss(
    similarity: Similarity, negatives: Negatives, average: Average
) -> None:
    present = torch.tensor([[True, True, False, False], [False, False, True, False]])
    vectors = (some(2, 4, 3).detach() * present[:, :, None]).requires_grad_()
    loss = info_nce(
        vectors,
        present,
        temperature=0.1,
        similarity=similarity,
        negatives=negatives,
        average=average,
        share=SHARE,
    )
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert loss.item() == 0.0
    assert torch.equal(gradient, torch.zeros_like(gradient))


@every_kind
def test_a_tiny_temperature_does_not_overflow(similarity: Similarity, negatives: Negatives) -> None:
    vectors, kind = some(3, 5, 4), {"similarity": similarity, "negatives": negatives}
    loss = info_nce(vectors, PRESENT, temperature=1e-6, **kind)  # type: ignore[arg-type]
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert gradient.isfinite().all()
    rows = listed(vectors.detach(), PRESENT)
    exact = plain_info_nce(rows, 1e-6, **kind, average="present", rows=5, share=1.0)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-5)


@every_kind
@pytest.mark.parametrize("average", AVERAGES)
def test_its_gradient(similarity: Similarity, negatives: Negatives, average: Average) -> None:
    present = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 1], [0, 1, 1, 1]]).bool()
    for there in (None, present):
        loss = partial(
            info_nce,
            present=there,
            temperature=0.5,
            similarity=similarity,
            negatives=negatives,
            average=average,
            share=SHARE,
        )
        assert torch.autograd.gradcheck(loss, [some(3, 4, 3, dtype=torch.float64)])
