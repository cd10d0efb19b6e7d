"""Transforms of torch that the losses of all families refuse, in words for their users."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import fused_rankloss
from support.cases import LOSSES
from support.ranking import RANKING

GRADES = torch.arange(12) % 4


def over_lists(function):
    return lambda scores, **options: function(scores, GRADES, **options)


def of_batches(function):
    return lambda x, **options: function(x.view(6, 2), GRADES[:6] % 2, **options)


def of_rows(x: Tensor, **options) -> Tensor:
    rows = x.view(3, 2, 2)
    return fused_rankloss.triplet_loss(rows[0], rows[1], rows[2], **options)


ALL = {
    **{name: over_lists(function) for name, function in (LOSSES | RANKING).items()},
    **{
        name: of_batches(getattr(fused_rankloss, f"batch_{name}_triplet_loss"))
        for name in ("hard", "semi_hard", "all")
    },
    "triplet": of_rows,
}
every_loss = pytest.mark.parametrize("name", ALL)


@every_loss
def test_torch_func(name: str) -> None:
    loss, x = ALL[name], torch.randn(12)
    for call in (
        lambda: torch.func.grad(loss)(x),
        lambda: torch.func.jacrev(loss)(x),
        lambda: torch.func.jvp(loss, (x,), (x,)),
        lambda: torch.func.vmap(loss)(x.expand(3, 12)),
    ):
        with pytest.raises(NotImplementedError, match="_loss: expected no torch.func transform"):
            call()


@every_loss
def test_the_reference_under_torch_func_grad(name: str) -> None:
    loss, x = ALL[name], torch.randn(12, dtype=torch.float64)
    got = torch.func.grad(lambda x: loss(x, impl="reference"))(x)
    variable = x.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(loss(variable), variable)
    torch.testing.assert_close(got, wanted)


@every_loss
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_torch_jit_trace(name: str) -> None:
    with pytest.raises(NotImplementedError, match="_loss: expected no torch.jit.trace"):
        torch.jit.trace(ALL[name], torch.randn(12))
