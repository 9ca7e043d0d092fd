"""Mutual information between the topics of words in two languages."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

_SCORES_AT_ONCE = 2**20


def word_alignment(
    first: Tensor,
    second: Tensor,
    pairs: tuple[Tensor, Tensor],
    forward: Tensor,
    backward: Tensor,
    *,
    temperature: float,
    bounds: Sequence[int] | None = None,
) -> Tensor:
    r"""Return the InfoNCE of words and the words they are linked to, in both directions.

    Σ_{i,j} w_ij log[(exp(s_ij) + Σ_{n no positive of i} exp(s_in)) / exp(s_ij)], with s_ij =
    cos(first_i, second_j) / τ, and the same from the second language to the first; divided by the
    sum of all weights of both.

    No vocabulary × vocabulary matrix is kept: similarities are computed in blocks, once for both
    directions, and again in the backward pass.

    Parameters
    ----------
    first, second : Tensor (words × K)
        The weight of each topic for each word: columns of β.
    pairs : pair of Tensor of int64 (pairs)
        Word of the first language and word of the second; ascending, each pair once.
    forward, backward : Tensor (pairs)
        w: above 0 where the second word is a positive of the first, and the reverse.
    temperature : float
        τ; at least .025 in single precision, because exp(−2/τ) underflows below that.
    bounds : sequence of int, optional
        What `block_bounds` returns, to spare reading it back from a GPU every time.

    References
    ----------
    Wu et al. (2023), InfoCTM: a mutual information maximization perspective of cross-lingual topic
    modeling, AAAI.
    """
    one, other = functional.normalize(first, dim=1), functional.normalize(second, dim=1)
    if bounds is None:
        bounds = block_bounds(pairs[0], len(one), len(other))
    negatives = _Negatives.apply(one, other, *pairs, forward, backward, temperature, bounds)
    rows, columns, scores = negatives
    likely = scores.exp()
    loss = scores.new_zeros(())
    for sums, words, weights in ((rows, pairs[0], forward), (columns, pairs[1], backward)):
        loss = loss + (weights * ((sums[words] + likely).log() - scores)).sum()
    mean: Tensor = loss / (forward.sum() + backward.sum())
    return mean


class _Negatives(torch.autograd.Function):
    """Returns Σ exp(s) over each word's negatives, for both languages, and s of the pairs.

    1/τ, the largest possible s, is subtracted so that no exponential exceeds 1.
    """

    @staticmethod
    def forward(
        ctx: Any,
        one: Tensor,
        other: Tensor,
        first: Tensor,
        second: Tensor,
        forward: Tensor,
        backward: Tensor,
        temperature: float,
        bounds: Sequence[int],
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows, columns = one.new_empty(len(one)), one.new_zeros(len(other))
        scores = one.new_empty(len(first))
        for block, pairs, places, values in _blocks(one, other, first, second, temperature, bounds):
            flat = values.view(-1)
            scores[pairs] = flat[places]
            likely = values.exp_().view(-1)[places]
            flat[places] = likely * (forward[pairs] <= 0)
            rows[block] = values.sum(dim=1)
            flat[places] = likely * (backward[pairs] <= 0)
            columns += values.sum(dim=0)
        ctx.save_for_backward(one, other, first, second, forward, backward)
        ctx.temperature, ctx.bounds = temperature, bounds
        return rows, columns, scores

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, to_rows: Tensor, to_columns: Tensor, to_scores: Tensor
    ) -> tuple[Tensor | None, ...]:
        one, other, first, second, forward, backward = ctx.saved_tensors
        to_one, to_other = torch.empty_like(one), torch.zeros_like(other)
        of_pairs = to_rows[first] * (forward <= 0) + to_columns[second] * (backward <= 0)
        blocks = _blocks(one, other, first, second, ctx.temperature, ctx.bounds)
        for block, pairs, places, values in blocks:
            flat = values.exp_().view(-1)
            likely = flat[places]
            values.mul_(to_rows[block, None] + to_columns)
            flat[places] = likely * of_pairs[pairs] + to_scores[pairs]
            to_one[block] = values @ other
            to_other.addmm_(values.T, one[block])
        return to_one / ctx.temperature, to_other / ctx.temperature, *[None] * 6


def block_bounds(first: Tensor, words: int, others: int) -> list[int]:
    """Return where each block of words begins among the pairs, given their first words."""
    step = max(1, _SCORES_AT_ONCE // others)
    starts = torch.arange(0, words + step, step, device=first.device)
    found: list[int] = torch.searchsorted(first, starts).tolist()
    return found


def _blocks(
    one: Tensor,
    other: Tensor,
    first: Tensor,
    second: Tensor,
    temperature: float,
    bounds: Sequence[int],
) -> Iterator[tuple[slice, slice, Tensor, Tensor]]:
    """Yield s − 1/τ in blocks of rows, each with the pairs that lie in it and their places."""
    step = max(1, _SCORES_AT_ONCE // len(other))
    scaled = other.T / temperature
    for number, start in enumerate(range(0, len(one), step)):
        block = slice(start, min(start + step, len(one)))
        pairs = slice(bounds[number], bounds[number + 1])
        places = (first[pairs] - start) * len(other) + second[pairs]
        yield block, pairs, places, (one[block] @ scaled).sub_(1.0 / temperature)
