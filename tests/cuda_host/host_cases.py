"""What the tests of host-run kernels share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from batches import evaluate, flat
from cases import (
    LOSSES,
    SCORE_DTYPES,
    Case,
    by_name,
    generator_for,
    name_of,
)
from oracle import exact
from tolerance import check, grad_floor, loss_floor

every_loss = pytest.mark.parametrize("loss", LOSSES)
every_dtype = pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)
sanitize = pytest.mark.sanitize


def cases(table: list[Case], *names: str):
    """All cases of a table, or those named."""
    chosen = [by_name(table)[name] for name in names] if names else table
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case.name)


def hold(case: Case, loss: str, dtype: torch.dtype, *, form=flat, **options) -> None:
    """The error budget, for the loss and every gradient; padding gets gradient 0."""
    batch = case.batch(dtype)
    reduction = options.get("reduction", "mean")
    shape = (len(case.sizes),) if reduction == "none" else ()
    upstream = torch.randint(-8, 9, shape, generator=generator_for(case.name)).double() / 4
    fused = evaluate(LOSSES[loss], form(batch), upstream, **options)
    wanted = exact(batch, loss, upstream=upstream, **options)
    check("loss", fused.loss, wanted.loss, loss_floor(wanted, dtype), case=case)
    check("grad", fused.grad, wanted.grad, grad_floor(wanted, dtype), case=case)
    assert (fused.padding_grad == 0).all()


def forward(host, call, loss: str, **options) -> dict[str, Tensor]:
    """The four results of the op itself."""
    arguments = {
        **{name: None for name in ("weights", "mask", "lengths", "offsets", "margins")},
        **{"margin": 1.0, "weighting": "product", "boundary_grad": 1.0, "reduction": "sum"},
        **call.options,
        **options,
    }
    results = host.pairwise_forward(
        call.scores,
        call.labels,
        *(arguments[name] for name in ("weights", "mask", "lengths", "offsets", "margins")),
        arguments["margin"],
        loss,
        *(arguments[name] for name in ("weighting", "boundary_grad", "reduction")),
        True,
    )
    return dict(zip(("loss", "raw_grad", "list_scale", "margin_slope"), results, strict=True))


def same_bits(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.numpy().tobytes() == b.numpy().tobytes()
