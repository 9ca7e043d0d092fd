"""From topics to words; batch norm, softmax and reconstruction in one step."""

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from octis_m3l.data.batches import SparseRows
from octis_m3l.losses.reconstruction import reconstruction
from octis_m3l.networks.inference import ShiftedBatchNorm, batch_normalised

TopicForm = Literal["beta", "centred", "batch-normalised", "documents"]

# As many numbers as fit into a core's cache twice.
_IN_CACHE = 65536


class TopicDecoder(nn.Module):
    """Topics of one vocabulary: p = softmax(BN(θβ)), a product of experts.

    References
    ----------
    Srivastava & Sutton (2017), section 3.3.
    """

    def __init__(self, topics: int, vocabulary: int, form: TopicForm = "beta") -> None:
        super().__init__()
        self.beta = xavier(topics, vocabulary)
        self.batch_norm = nn.BatchNorm1d(vocabulary, affine=False)
        self.of_documents: Tensor | None
        empty = torch.zeros(topics, vocabulary) if form == "documents" else None
        self.register_buffer("of_documents", empty)

    def loss(self, theta: Tensor, words: SparseRows, present: Tensor | None = None) -> Tensor:
        """Return the reconstruction loss of each row, from θ (rows × K) and its bag of words.

        `present` says which rows are documents; without it, all.
        """
        return decoded_loss(theta @ self.beta, self.batch_norm, words, present)

    def topic_word_matrix(self, form: TopicForm = "beta") -> Tensor:
        """Return the distribution of words in each topic (K × vocabulary).

        Parameters
        ----------
        form : {'beta', 'centred', 'batch-normalised', 'documents'}
            'beta': softmax(β), as contextualized-topic-models. 'centred': softmax(β − m), where m
            is each word's mean logit over training documents, the running mean of the batch
            norm: a word that every topic has ranks first in none. 'batch-normalised':
            softmax(BN(β)), the decoder's distribution for a document of one topic only.
            'documents': `of_documents` (see models.relevance); without any, as 'beta'.
        """
        if form == "documents" and self.of_documents is not None and self.of_documents.any():
            return self.of_documents.clone()
        beta = self.beta.detach()
        mean, variance = self.batch_norm.running_mean, self.batch_norm.running_var
        assert mean is not None and variance is not None
        if form in ("centred", "batch-normalised"):
            beta = beta - mean
        if form == "batch-normalised":
            beta = beta * (variance + self.batch_norm.eps).rsqrt()
        return beta.softmax(dim=1)


class SharedDecoder(nn.Module):
    """p = softmax(BN(θβ)) with a given β, which several decoders can share."""

    def __init__(self, vocabulary: int, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.batch_norm = ShiftedBatchNorm(vocabulary, epsilon)

    def loss(self, theta: Tensor, beta: Tensor, words: SparseRows) -> Tensor:
        """Return the reconstruction loss of each row, from θ (rows × K) and β (K × vocabulary)."""
        return decoded_loss(theta @ beta, self.batch_norm, words)


def xavier(topics: int, vocabulary: int) -> nn.Parameter:
    """Return a new β."""
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(topics, vocabulary)))


def decoded_loss(
    values: Tensor, norm: nn.BatchNorm1d, words: SparseRows, present: Tensor | None = None
) -> Tensor:
    """Return −Σ_w w · log softmax(BN(values)) of each document.

    In training it equals ``reconstruction(norm(values), words)``, with the same gradients and
    running statistics, in two thirds of the time; most of a training step is spent here. `present`
    says which rows are documents; without it, all.
    """
    if not norm.training or words.width is not None:
        return reconstruction(batch_normalised(norm, values, present), words)
    if len(values) < 2:
        raise ValueError("batch normalisation compares documents: expected two, given one.")
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    places = words.rows * values.shape[1] + words.words
    return cast(Tensor, _Decoded.apply(values, norm.bias, norm, words, places))


class _Decoded(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        bias: Tensor | None,
        norm: nn.BatchNorm1d,
        words: SparseRows,
        places: Tensor,
    ) -> Tensor:
        normalised, _, scale = torch.native_batch_norm(
            values,
            norm.weight,
            bias,
            norm.running_mean,
            norm.running_var,
            True,
            norm.momentum or 0.0,
            norm.eps,
        )
        likely = normalised.softmax(dim=1)
        ctx.save_for_backward(normalised, scale, bias, places)
        ctx.likely, ctx.words = likely, words
        chosen = likely.view(-1).index_select(0, places)
        logarithms = chosen.clamp_(min=torch.finfo(likely.dtype).tiny).log_()
        logarithms.mul_(words.counts)
        return values.new_zeros(len(values)).index_add_(0, words.rows, logarithms, alpha=-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        normalised, scale, bias, places = ctx.saved_tensors
        words = ctx.words
        # Overwritten: allocating another matrix of this size takes longer than computing it.
        likely, ctx.likely = ctx.likely, None
        if likely is None:
            raise RuntimeError("the gradients of decoded_loss were taken already: compute it anew.")
        weights = gradient.index_select(0, words.rows).mul_(words.counts)
        to_logits = likely.mul_((words.totals * gradient)[:, None])
        to_logits.view(-1).index_add_(0, places, weights, alpha=-1)
        # dx = s(g − mean g − x̂ mean(g x̂)), where x̂ is the logits without their shift.
        summed = to_logits.sum(dim=0)
        along = _summed_product(to_logits, normalised)
        if bias is not None:
            along -= bias * summed
        along *= scale / len(normalised)
        constant = summed * scale / len(normalised)
        if bias is not None:
            constant -= bias * along
        to_values = to_logits.mul_(scale).addcmul_(normalised, along, value=-1).sub_(constant)
        return to_values, None if bias is None else summed, None, None, None


def _summed_product(first: Tensor, second: Tensor) -> Tensor:
    """Return the column sums of the elementwise product."""
    if first.is_cuda or first.numel() <= _IN_CACHE:
        return (first * second).sum(dim=0)
    rows = max(1, _IN_CACHE // first.shape[1])
    product = first.new_empty(rows, first.shape[1])
    total = first.new_zeros(first.shape[1])
    for one, other in zip(torch.split(first, rows), torch.split(second, rows), strict=True):
        total += torch.mul(one, other, out=product[: len(one)]).sum(dim=0)
    return total
