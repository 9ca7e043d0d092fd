"""The decoder: logits, loss and the published topics."""

import pytest
import torch
from torch import Tensor

from octis_m3l.data.batches import SparseRows
from octis_m3l.networks import TopicDecoder, TopicForm

FORMS: tuple[TopicForm, ...] = ("beta", "centred", "batch-normalised")


def decoder(topics: int = 3, vocabulary: int = 7) -> TopicDecoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = TopicDecoder(topics, vocabulary).double()
    with torch.no_grad():
        made.beta.mul_(5.0)
    return made


def proportions(rows: int, topics: int = 3) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randn(rows, topics, generator=random, dtype=torch.float64).softmax(dim=1)


def test_logits_are_batch_normalised_mixtures() -> None:
    net, theta = decoder(), proportions(20)
    mixed = theta @ net.beta
    variance = mixed.var(dim=0, correction=0)
    expected = (mixed - mixed.mean(dim=0)) / (variance + net.batch_norm.eps).sqrt()
    torch.testing.assert_close(net(theta), expected)


def test_the_loss_is_that_of_the_dense_words() -> None:
    net, theta = decoder(), proportions(5)
    counts = torch.tensor([[2, 0, 1, 0, 0, 3, 0]] * 4 + [[0] * 7], dtype=torch.float64)
    rows, words = counts.nonzero(as_tuple=True)
    sparse = SparseRows(rows, words, counts[rows, words], counts.sum(dim=1))
    expected = -(counts * net(theta).log_softmax(dim=1)).sum(dim=1)
    found = net.loss(theta, sparse)
    torch.testing.assert_close(found, expected)
    assert found[-1].item() == 0.0


@pytest.mark.parametrize("form", FORMS)
def test_every_topic_is_a_distribution_of_words(form: TopicForm) -> None:
    net = decoder(5, 40)
    for _ in range(3):
        net(proportions(20, 5))
    matrix = net.topic_word_matrix(form)
    assert matrix.shape == (5, 40)
    assert (matrix > 0).all()
    assert not matrix.requires_grad
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(5, dtype=torch.float64))


def test_the_forms_of_the_published_topics() -> None:
    net = decoder()
    for _ in range(60):
        net(proportions(20))
    beta, mean = net.beta.detach(), (proportions(20) @ net.beta).mean(dim=0).detach()
    torch.testing.assert_close(net.topic_word_matrix(), beta.softmax(dim=1))
    torch.testing.assert_close(net.topic_word_matrix("beta"), net.topic_word_matrix())
    centred = (beta - mean).softmax(dim=1)
    torch.testing.assert_close(net.topic_word_matrix("centred"), centred, rtol=1e-2, atol=1e-3)
    net.eval()
    normalised = net(torch.eye(3, dtype=torch.float64)).softmax(dim=1)
    torch.testing.assert_close(net.topic_word_matrix("batch-normalised"), normalised)
