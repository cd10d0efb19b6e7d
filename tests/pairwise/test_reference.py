"""``impl="reference"``, the specification in plain PyTorch, against the oracle: value, gradient by
autograd, every reduction and option. The fused losses are then held against both."""

from __future__ import annotations

import pytest
import torch

from support.batches import evaluate, flat
from support.cases import LOSSES, REDUCTIONS, SMALL, WEIGHTINGS, Case, generator_for
from support.oracle.pairwise import exact
from support.tolerance import check, grad_floor, loss_floor


def _grad_output(reduction: str, case: Case) -> torch.Tensor:
    shape = (len(case.sizes),) if reduction == "none" else ()
    return torch.randn(shape, generator=generator_for(case.name), dtype=torch.float64)


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_reference(case: Case, loss: str, reduction: str, weighting: str, device: str) -> None:
    if weighting == "preferred" and not case.weighted:
        return  # without weights there is nothing to choose
    batch = case.batch()
    options = {"reduction": reduction, "weighting": weighting}
    grad_output = _grad_output(reduction, case)
    call = flat(batch.to(device))
    outcome = evaluate(LOSSES[loss], call, grad_output, impl="reference", **options)
    wanted = exact(batch, loss, grad_output=grad_output, engine="loops", **options)
    check("loss", outcome.loss, wanted.loss, loss_floor(wanted, torch.float64), case=case)
    check("grad", outcome.grad, wanted.grad, grad_floor(wanted, torch.float64), case=case)


@pytest.mark.parametrize("boundary_grad", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("margin", [-0.5, 0.0, 0.75])
def test_boundary(boundary_grad: float, margin: float, device: str) -> None:
    case = Case("reference_boundary", (40, 7), "margins on the grid", "quarters", "grades")
    batch = case.batch()
    options = {"boundary_grad": boundary_grad, "margin": margin}
    outcome = evaluate(LOSSES["hinge"], flat(batch.to(device)), impl="reference", **options)
    wanted = exact(batch, "hinge", engine="loops", **options)
    check("loss", outcome.loss, wanted.loss, loss_floor(wanted, torch.float64), case=case)
    check("grad", outcome.grad, wanted.grad, grad_floor(wanted, torch.float64), case=case)
