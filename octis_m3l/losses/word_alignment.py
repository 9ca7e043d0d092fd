"""Mutual information of words' topics across two languages."""

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
) -> Tensor:
    r"""Return the InfoNCE of words and the words they are linked to, in both directions.

    Σ_{i,j} w_ij log[(exp(s_ij) + Σ_{n no positive of i} exp(s_in)) / exp(s_ij)], with s_ij =
    cos(first_i, second_j) / τ, and the same from the second language to the first; divided by the
    sum of all weights of both.

    No matrix of the two vocabularies is kept: similarities are made in blocks, once for both
    directions, and again in the backward pass.

    Parameters
    ----------
    first, second : Tensor (words × K)
        What topics say of each word: columns of β.
    pairs : pair of Tensor of int64 (pairs)
        Words of the first language and of the second; ascending, each pair once.
    forward, backward : Tensor (pairs)
        w: above 0 where the second word is a positive of the first, and the other way round.
    temperature : float
        τ.

    Returns
    -------
    Tensor (scalar)

    References
    ----------
    Wu et al. (2023), InfoCTM: a mutual information maximization perspective of cross-lingual topic
    modeling, AAAI.
    """
    one, other = functional.normalize(first, dim=1), functional.normalize(second, dim=1)
    rows, columns, scores = _Similarities.apply(one, other, *pairs, temperature)
    likely = scores.exp()
    loss = scores.new_zeros(())
    for sums, words, weights in ((rows, pairs[0], forward), (columns, pairs[1], backward)):
        positive = torch.where(weights > 0, likely, 0.0)
        # Of a word that all others are positives of, rounding may leave less than nothing.
        negatives = sums.index_add(0, words, positive, alpha=-1).clamp(min=0)
        loss = loss + (weights * ((negatives[words] + likely).log() - scores)).sum()
    mean: Tensor = loss / (forward.sum() + backward.sum())
    return mean


class _Similarities(torch.autograd.Function):
    """Σ_j exp(s_ij) of each i, Σ_i exp(s_ij) of each j, and s at some pairs."""

    @staticmethod
    def forward(
        ctx: Any, one: Tensor, other: Tensor, first: Tensor, second: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        blocks = _Blocks(one, other, first, second, temperature)
        rows, columns = one.new_empty(len(one)), one.new_zeros(len(other))
        scores = one.new_empty(len(first))
        for block, pairs, places, values in blocks:
            scores[pairs] = values.view(-1)[places]
            likely = values.exp_()
            rows[block] = likely.sum(dim=1)
            columns += likely.sum(dim=0)
        ctx.save_for_backward(one, other, first, second)
        ctx.temperature = temperature
        return rows, columns, scores

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, to_rows: Tensor, to_columns: Tensor, to_scores: Tensor
    ) -> tuple[Tensor | None, ...]:
        one, other, first, second = ctx.saved_tensors
        to_one, to_other = torch.empty_like(one), torch.zeros_like(other)
        for block, pairs, places, values in _Blocks(one, other, first, second, ctx.temperature):
            gradient = values.exp_().mul_(to_rows[block, None] + to_columns)
            gradient.view(-1).index_add_(0, places, to_scores[pairs])
            to_one[block] = gradient @ other
            to_other.addmm_(gradient.T, one[block])
        return to_one / ctx.temperature, to_other / ctx.temperature, None, None, None


class _Blocks:
    """The matrix s in blocks of rows, each with the pairs that lie in it."""

    def __init__(
        self, one: Tensor, other: Tensor, first: Tensor, second: Tensor, temperature: float
    ) -> None:
        self.one, self.other, self.temperature = one, other, temperature
        self.first, self.second = first, second
        self.step = max(1, _SCORES_AT_ONCE // len(other))
        starts = torch.arange(0, len(one) + self.step, self.step, device=first.device)
        self.bounds = torch.searchsorted(first, starts).tolist()

    def __iter__(self) -> Any:
        other = self.other.T / self.temperature
        for number, start in enumerate(range(0, len(self.one), self.step)):
            block = slice(start, min(start + self.step, len(self.one)))
            pairs = slice(self.bounds[number], self.bounds[number + 1])
            places = (self.first[pairs] - start) * len(self.other) + self.second[pairs]
            yield block, pairs, places, self.one[block] @ other
