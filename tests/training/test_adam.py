"""Adam with its bookkeeping done once: the same numbers as torch's own."""

import copy

import torch
from torch import nn, optim

from octis_m3l.training.adam import Adam

SHAPES = [(5, 3), (7,), (2, 2)]


def _twins() -> tuple[list[nn.Parameter], Adam, list[nn.Parameter], optim.Adam]:
    torch.manual_seed(0)
    weights = [torch.randn(shape) for shape in SHAPES]
    ours, theirs = ([nn.Parameter(w.clone()) for w in weights] for _ in range(2))
    reference = optim.Adam(theirs, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    return ours, _adam(ours), theirs, reference


def _adam(parameters: list[nn.Parameter]) -> Adam:
    return Adam(parameters, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)


def _give_gradients(
    step: int, ours: list[nn.Parameter], theirs: list[nn.Parameter], *, gaps: bool
) -> None:
    """Give both the same gradients; where ours have none, theirs are zero."""
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        gradient = torch.randn(SHAPES[number])
        missing = gaps and (step + number) % 3 == 0
        mine.grad = None if missing else gradient.clone()
        other.grad = torch.zeros_like(gradient) if missing else gradient


def test_steps_are_those_of_torch_and_a_missing_gradient_is_zero() -> None:
    for gaps in (False, True):
        ours, adam, theirs, reference = _twins()
        for step in range(20):
            adam.zero_grad()
            assert all(parameter.grad is None for parameter in ours)
            _give_gradients(step, ours, theirs, gaps=gaps)
            adam.step()
            reference.step()
        for mine, other in zip(ours, theirs, strict=True):
            assert torch.equal(mine, other)
            assert adam.state[mine]["step"] == reference.state[other]["step"]


def test_a_state_is_loaded_from_torchs_own_and_from_itself() -> None:
    ours, adam, theirs, reference = _twins()
    for step in range(5):
        _give_gradients(step, ours, theirs, gaps=True)
        reference.step()
    for mine, other in zip(ours, theirs, strict=True):
        mine.data.copy_(other.data)
    adam.load_state_dict(copy.deepcopy(reference.state_dict()))
    for step in range(10):
        if step == 5:
            state = copy.deepcopy(adam.state_dict())
            adam = _adam(ours)
            adam.load_state_dict(state)
        _give_gradients(step, ours, theirs, gaps=step % 2 == 0)
        adam.step()
        reference.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
