"""Adam whose bookkeeping is done once, not parameter by parameter in every step."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn, optim


class Adam(optim.Adam):
    """torch's fused Adam, number for number, with less around it.

    With small batches, what torch's own does in Python for each parameter, and the step counters
    that it raises one by one, take longer than the update. Here all counters are one tensor, and
    lists are made once. A parameter without a gradient is left as it is, its counter too.

    References
    ----------
    Kingma & Ba (2015), Adam: a method for stochastic optimization.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float],
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)
        self._begin()

    def _begin(self) -> None:
        """Make the state of all parameters, or take over what was loaded."""
        self._parameters: list[Any] = self.param_groups[0]["params"]
        if not self._parameters:
            return
        first = self._parameters[0]
        loaded = [self.state[p].get("step", torch.zeros(())) for p in self._parameters]
        self._steps = torch.stack([step.to(first.device, torch.float32) for step in loaded])
        for parameter, step in zip(self._parameters, self._steps.unbind(), strict=True):
            state = self.state[parameter]
            state["step"] = step
            for name in ("exp_avg", "exp_avg_sq"):
                if name not in state:
                    state[name] = torch.zeros_like(parameter)
        self._lists = [
            [self.state[p][name] for p in self._parameters]
            for name in ("exp_avg", "exp_avg_sq", "step")
        ]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state."""
        super().load_state_dict(state_dict)
        self._begin()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""
        if not set_to_none:
            super().zero_grad(set_to_none=False)
            return
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Do one step."""
        there = [n for n, parameter in enumerate(self._parameters) if parameter.grad is not None]
        if not there:
            return
        lists = [self._parameters, *self._lists]
        if len(there) == len(self._parameters):
            self._steps.add_(1)
        else:
            lists = [[each[n] for n in there] for each in lists]
            for step in lists[-1]:
                step.add_(1)
        parameters, averages, squares, steps = lists
        gradients = [parameter.grad for parameter in parameters]
        group = self.param_groups[0]
        torch._fused_adam_(
            parameters,
            gradients,
            averages,
            squares,
            [],
            steps,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )
