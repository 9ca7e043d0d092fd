"""The decoder: logits, loss and the published topics."""

import torch
from torch import Tensor

from octis_m3l.networks import TopicDecoder


def decoder() -> TopicDecoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = TopicDecoder(3, 7).double()
    with torch.no_grad():
        made.beta.mul_(5.0)
    return made


def proportions(rows: int) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randn(rows, 3, generator=random, dtype=torch.float64).softmax(dim=1)


def test_the_forms_of_the_published_topics() -> None:
    net = decoder()
    for _ in range(60):
        net(proportions(20))
    beta, mean = net.beta.detach(), (proportions(20) @ net.beta).mean(dim=0).detach()
    torch.testing.assert_close(net.topic_word_matrix(), beta.softmax(dim=1))
    assert not net.topic_word_matrix().requires_grad
    torch.testing.assert_close(net.topic_word_matrix("beta"), net.topic_word_matrix())
    centred = (beta - mean).softmax(dim=1)
    torch.testing.assert_close(net.topic_word_matrix("centred"), centred, rtol=1e-2, atol=1e-3)
    net.eval()
    normalised = net(torch.eye(3, dtype=torch.float64)).softmax(dim=1)
    torch.testing.assert_close(net.topic_word_matrix("batch-normalised"), normalised)
