"""Inference networks beside contextualized-topic-models', and θ that depends on no neighbour."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from contextualized_topic_models.networks.inference_network import ContextualInferenceNetwork
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import sparse_rows
from torch import Tensor, nn

from octis_m3l.networks import InferenceNetwork, Posterior, SparseLinear, expected_topics
from octis_m3l.networks.inference import ViewBatchNorm

POSTERIORS: tuple[Posterior, ...] = ("ctm", "free-variance", "free")


def rows(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def network(posterior: Posterior = "ctm", dropout: float = 0.0) -> InferenceNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return InferenceNetwork(6, 4, (8, 7), dropout=dropout, posterior=posterior)


@pytest.mark.parametrize("hidden_sizes", [(8,), (8, 7), (5, 6, 7)])
@pytest.mark.parametrize("activation", ["softplus", "relu"])
def test_ctm_is_their_network_bit_for_bit(hidden_sizes: tuple[int, ...], activation: str) -> None:
    theirs = ContextualInferenceNetwork(0, 6, 4, hidden_sizes, activation, dropout=0.0)
    ours = InferenceNetwork(6, 4, hidden_sizes, activation=activation, dropout=0.0, posterior="ctm")
    ours.load_state_dict(theirs.state_dict())
    for seed in range(3):
        embeddings = rows(9, 6, seed=seed)
        for found, expected in zip(ours(embeddings), theirs(None, embeddings), strict=True):
            assert torch.equal(found, expected)
    ours.eval()
    theirs.eval()
    for found, expected in zip(ours(rows(1, 6)), theirs(None, rows(1, 6)), strict=True):
        assert torch.equal(found, expected)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


@pytest.mark.parametrize("dropout", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_the_dropout_asked_for_is_the_dropout_done(posterior: Posterior, dropout: float) -> None:
    net = InferenceNetwork(6, 4, (500,), dropout=dropout, posterior=posterior)
    seen: list[Tensor] = []
    net.dropout_enc.register_forward_hook(lambda module, given, result: seen.append(result))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net(rows(100, 6))
    assert (seen[0] == 0).double().mean().item() == pytest.approx(dropout, abs=0.01)
    net.eval()
    net(rows(100, 6))
    assert (seen[1] != 0).all()


@pytest.mark.parametrize("posterior", ["free-variance", "free"])
def test_a_free_variance_starts_at_one_and_is_finite_for_an_outlier(posterior: Posterior) -> None:
    net = network(posterior).eval()
    with torch.no_grad():
        net.f_sigma.weight.copy_(rows(4, 7))
    assert torch.equal(network(posterior)(rows(50, 6))[1], torch.zeros(50, 4))
    embeddings = torch.full((1, 6), 1e6).requires_grad_()
    log_variance = net(embeddings)[1]
    assert (log_variance.abs() <= 6.0).all()
    log_variance.exp().sum().backward()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()
    assert all(
        parameter.grad is None or parameter.grad.isfinite().all() for parameter in net.parameters()
    )


@settings(deadline=None)
@given(
    count=st.integers(1, 9),
    topics=st.integers(2, 40),
    samples=st.sampled_from([0, 1, 5]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 2**31 - 1),
    data=st.data(),
)
def test_a_document_gets_the_same_topics_whatever_stands_beside_it(
    count: int, topics: int, samples: int, dtype: torch.dtype, seed: int, data: st.DataObject
) -> None:
    mean, log_variance = rows(count, topics, dtype=dtype), rows(count, topics, seed=1, dtype=dtype)
    together = expected_topics(mean, log_variance, samples, seed)
    assert together.dtype == dtype
    torch.testing.assert_close(together.sum(dim=1), torch.ones(count, dtype=dtype))
    order = data.draw(st.permutations(range(count)))
    permuted = expected_topics(mean[order], log_variance[order], samples, seed)
    assert torch.equal(permuted, together[order])
    for row in range(count):
        one = slice(row, row + 1)
        alone = expected_topics(mean[one], log_variance[one], samples, seed)
        assert torch.equal(alone, together[one])
    cut = data.draw(st.integers(0, count))
    pieces = [
        expected_topics(mean[a:b], log_variance[a:b], samples, seed)
        for a, b in pairwise([0, cut, count])
    ]
    assert torch.equal(torch.cat(pieces), together)


def test_samples_follow_from_the_seed_alone() -> None:
    mean, log_variance = rows(5, 4), rows(5, 4, seed=1)
    state = torch.get_rng_state()
    first = expected_topics(mean, log_variance, 3, 7)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(expected_topics(mean, log_variance, 3, 7), first)
    assert not torch.isclose(expected_topics(mean, log_variance, 3, 8), first).all()
    assert torch.equal(expected_topics(mean, log_variance, 0, 7), mean.softmax(dim=1))
    assert not expected_topics(mean.requires_grad_(), log_variance, 2, 0).requires_grad


def test_many_samples_come_near_the_expectation() -> None:
    mean, log_variance = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.3, -0.4]])
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    weight = (-0.5 * grid.square()).exp()
    spread = log_variance.double().exp().sum().sqrt()
    logit = mean[0, 0].double() - mean[0, 1].double() + spread * grid
    exact = (weight * logit.sigmoid()).sum() / weight.sum()
    found = expected_topics(mean, log_variance, 20_000, 0)
    assert found[0, 0].item() == pytest.approx(exact.item(), abs=0.01)


# Networks on bags of words.


def test_the_sparse_layer_is_the_dense_one() -> None:
    torch.manual_seed(0)
    counts = np.random.default_rng(0).poisson(0.3, size=(6, 20)).astype(np.float64)
    counts[[0, 3, 5]] = 0
    ours, plain = SparseLinear(20, 4).double(), nn.Linear(20, 4).double()
    with torch.no_grad():
        plain.weight.copy_(ours.weight.T)
        plain.bias.copy_(ours.bias)
    found, expected = ours(sparse_rows(counts)), plain(torch.from_numpy(counts))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert ours.weight.abs().max() <= 1 / np.sqrt(20)
    found.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad.T, rtol=1e-12, atol=1e-12)  # type: ignore[union-attr]
    torch.testing.assert_close(ours.bias.grad, plain.bias.grad, rtol=1e-12, atol=1e-12)


def test_every_view_has_statistics_of_its_own_and_one_shift() -> None:
    torch.manual_seed(0)
    norm = ViewBatchNorm(3, ["en", "half"])
    batches = {"en": torch.randn(50, 3) + 5, "half": torch.randn(50, 3) - 5}
    for _ in range(100):
        for view, values in batches.items():
            norm(values, view)
    nn.init.constant_(norm.bias, 2.0)
    norm.eval()
    for view, values in batches.items():
        np.testing.assert_allclose(norm(values, view).mean(dim=0).detach(), 2.0, atol=1e-3)
    assert [name for name, _ in norm.named_parameters()] == ["bias"]
