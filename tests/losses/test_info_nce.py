"""InfoNCE beside slow loops over pairs."""

from collections.abc import Iterator
from itertools import combinations, permutations, product
from math import exp, log, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from octis_m3l.losses.averages import Average
from octis_m3l.losses.info_nce import Negatives, Similarity, info_nce

SIMILARITIES: tuple[Similarity, ...] = ("cosine", "dot")
NEGATIVES: tuple[Negatives, ...] = ("other-view", "both-views", "printed")
SHARE = 0.4
AVERAGES: tuple[Average, ...] = ("pooled", "present", "batch")
every_kind = pytest.mark.parametrize(
    ("similarity", "negatives"), list(product(SIMILARITIES, NEGATIVES))
)


def slow_info_nce(
    vectors: NDArray[np.float64],
    present: NDArray[np.bool_],
    groups: list[int],
    temperature: float,
    similarity: Similarity,
    negatives: Negatives,
    average: Average,
) -> float:
    """Return the loss as its definition says, pair by pair."""
    views, rows, _ = vectors.shape

    def score(a: int, i: int, b: int, j: int) -> float:
        x, y = vectors[a, i].tolist(), vectors[b, j].tolist()
        dot = sum(p * q for p, q in zip(x, y, strict=True))
        if similarity == "cosine":
            dot /= sqrt(sum(p * p for p in x)) * sqrt(sum(q * q for q in y))
        return dot / temperature

    def against(a: int, i: int, b: int) -> Iterator[float]:
        others = [j for j in range(rows) if groups[j] != groups[i]]
        if negatives == "printed":
            for c, d, j in product(range(views), range(views), [i, *others]):
                if present[c, i] and present[d, j]:
                    yield score(c, i, d, j)
            return
        yield score(a, i, b, i)
        for j in others:
            if present[b, j]:
                yield score(a, i, b, j)
            if negatives == "both-views" and present[a, j]:
                yield score(a, i, a, j)

    pairs = {
        (a, b): [i for i in range(rows) if present[a, i] and present[b, i]]
        for a, b in permutations(range(views), 2)
    }

    def one_way(a: int, b: int) -> float:
        total = 0.0
        for i in pairs[a, b]:
            scores = list(against(a, i, b))
            largest = max(scores)
            total += largest + log(sum(exp(s - largest) for s in scores)) - score(a, i, b, i)
        count = {"present": len(pairs[a, b]), "pooled": rows * SHARE, "batch": rows}[average]
        return total / count if count else 0.0

    ways = [(one_way(a, b), one_way(b, a)) for a, b in combinations(range(views), 2)]
    return sum(0.5 * (there + back) for there, back in ways)


@st.composite
def batches(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[int]]:
    """Draw vectors, which of them are there, and which rows are linked."""
    shape = draw(st.integers(2, 4)), draw(st.integers(1, 5)), draw(st.integers(2, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    present = random.random(shape[:2]) < draw(st.sampled_from([0.3, 0.7, 1.0]))
    return random.normal(size=shape), present, random.integers(0, shape[1], shape[1]).tolist()


@every_kind
@pytest.mark.parametrize("linked", [False, True])
@settings(max_examples=25, deadline=None)
@given(
    batch=batches(),
    average=st.sampled_from(AVERAGES),
    temperature=st.sampled_from([0.07, 0.5, 2.0]),
)
def test_it_is_what_a_loop_over_pairs_gives(
    similarity: Similarity,
    negatives: Negatives,
    linked: bool,
    batch: tuple[NDArray[np.float64], NDArray[np.bool_], list[int]],
    average: Average,
    temperature: float,
) -> None:
    vectors, present, drawn = batch
    groups = drawn if linked else list(range(len(drawn)))
    expected = slow_info_nce(vectors, present, groups, temperature, similarity, negatives, average)
    for dtype, relative in ((torch.float64, 1e-8), (torch.float32, 1e-4)):
        for there in (torch.tensor(present), None) if present.all() else (torch.tensor(present),):
            found = info_nce(
                torch.tensor(vectors, dtype=dtype),
                there,
                temperature=temperature,
                similarity=similarity,
                negatives=negatives,
                groups=torch.tensor(groups) if linked else None,
                average=average,
                share=SHARE,
            )
            assert found.dtype == dtype
            assert found.shape == ()
            assert found.item() == pytest.approx(expected, rel=relative, abs=relative)


def test_default_is_cosine_and_both_views() -> None:
    vectors = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    chosen = info_nce(vectors, temperature=0.5, similarity="cosine", negatives="both-views")
    assert torch.equal(info_nce(vectors, temperature=0.5), chosen)


@every_kind
@pytest.mark.parametrize("average", AVERAGES)
def test_views_with_nothing_in_common_have_no_loss(
    similarity: Similarity, negatives: Negatives, average: Average
) -> None:
    vectors = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    present = torch.tensor([[True, True, False, False], [False, False, True, False]])
    vectors = (vectors * present[:, :, None]).requires_grad_()
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
    vectors = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    present = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 1, 1], [0, 1, 1, 1, 1]]).bool()
    loss = info_nce(vectors, present, temperature=1e-6, similarity=similarity, negatives=negatives)
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert gradient.isfinite().all()
    exact = slow_info_nce(
        vectors.detach().double().numpy(),
        present.numpy(),
        list(range(5)),
        1e-6,
        similarity,
        negatives,
        "present",
    )
    assert loss.item() == pytest.approx(exact, rel=1e-5)


@every_kind
@pytest.mark.parametrize("average", AVERAGES)
def test_its_gradient(similarity: Similarity, negatives: Negatives, average: Average) -> None:
    random = torch.Generator().manual_seed(0)
    vectors = torch.randn(3, 4, 3, dtype=torch.float64, generator=random).requires_grad_()
    present = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 1], [0, 1, 1, 1]]).bool()
    # Where all tuples are linked, none is a negative.
    linked = (None, torch.tensor([0, 1, 1, 2]), torch.zeros(4))
    for there, groups in product((None, present), linked):
        assert torch.autograd.gradcheck(
            lambda x, there=there, groups=groups: info_nce(
                x,
                there,
                temperature=0.5,
                similarity=similarity,
                negatives=negatives,
                groups=groups,
                average=average,
                share=SHARE,
            ),
            [vectors],
        )
