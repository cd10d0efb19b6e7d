"""What the tests of host-run kernels share."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from support.batches import Batch, evaluate, flat
from support.cases import (
    LOSSES,
    SCORE_DTYPES,
    Case,
    by_name,
    generator_for,
    name_of,
)
from support.oracle.pairwise import exact
from support.tolerance import check, grad_floor, loss_floor

every_loss = pytest.mark.parametrize("loss", LOSSES)
every_dtype = pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)
sanitize = pytest.mark.sanitize

# Invalid offsets of 100 slots: on a GPU they are not checked, which would synchronise.
invalid_offsets = pytest.mark.parametrize(
    "offsets",
    [
        [0, 50, 30, 100],  # falls
        [0, 40, 80, 101],  # beyond the end
        [0, 40, 80, 99],  # short of it
        [1, 40, 80, 100],  # not from 0
        [1, 40, 80, 99],
        [0, -5, 80, 100],
        [0, 2**40, 80, 100],
        [100, 100, 0, 0],
        [0, 100] * 500,  # every slot in 500 lists: far more than there is room for
    ],
    ids=lambda offsets: "-".join(map(str, offsets[:4])),
)


def cases(table: list[Case], *names: str):
    """All cases of a table, or those named."""
    chosen = [by_name(table)[name] for name in names] if names else table
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case.name)


def many_labels(label_dtype: torch.dtype, n: int, generator: torch.Generator) -> Tensor:
    """Labels ``[n]``, among them the extreme ones of their dtype."""
    low, high = {torch.bool: (0, 2), torch.uint8: (0, 256)}.get(label_dtype, (-128, 128))
    labels = torch.randint(low, high, (n,), generator=generator).to(label_dtype)
    if not label_dtype.is_floating_point and label_dtype.itemsize > 2:
        labels[:2] = torch.tensor([torch.iinfo(label_dtype).min, torch.iinfo(label_dtype).max])
    if label_dtype == torch.int64:
        labels[2:4] = torch.tensor([2**53, 2**53 + 1])  # equal as doubles
    if label_dtype.is_floating_point:
        labels[:3] = torch.tensor([-math.inf, math.inf, -0.0])
    return labels


def hold(case: Case, loss: str, dtype: torch.dtype, *, form=flat, **options) -> None:
    """The error budget, for the loss and every gradient; padding gets gradient 0."""
    batch = case.batch(dtype)
    reduction = options.get("reduction", "mean")
    shape = (len(case.sizes),) if reduction == "none" else ()
    grad_output = torch.randint(-8, 9, shape, generator=generator_for(case.name)).double() / 4
    fused = evaluate(LOSSES[loss], form(batch), grad_output, **options)
    wanted = exact(batch, loss, grad_output=grad_output, **options)
    check("loss", fused.loss, wanted.loss, loss_floor(wanted, dtype), case=case)
    check("grad", fused.grad, wanted.grad, grad_floor(wanted, dtype), case=case)
    assert (fused.padding_grad == 0).all()


LISTS = ("weights", "list_weights", "mask", "lengths", "offsets", "margins")


def forward(host, call, loss: str, **options) -> dict[str, Tensor]:
    """The four results of the op itself."""
    arguments = {
        **{name: None for name in LISTS},
        **{"margin": 1.0, "weighting": "product", "boundary_grad": 1.0, "reduction": "sum"},
        **call.options,
        **options,
    }
    results = host.pairwise_forward(
        call.scores,
        call.labels,
        *(arguments[name] for name in LISTS),
        arguments["margin"],
        loss,
        *(arguments[name] for name in ("weighting", "boundary_grad", "reduction")),
        True,
    )
    return dict(zip(("loss", "raw_grad", "list_scale", "margin_slope"), results, strict=True))


def hold_counts(results: dict, batch: Batch, **options) -> None:
    """Gradients, slopes and numbers of pairs exactly, the loss as tolerance.py says."""
    wanted = exact(batch, "hinge", reduction="sum", **options)
    assert torch.equal(results["raw_grad"][0].double(), wanted.grad)
    assert results["margin_slope"].item() == wanted.sums[0].margin_slope
    floor = loss_floor(wanted, batch.scores.dtype)
    check("loss", results["loss"].squeeze(), wanted.loss, floor)


def same_bits(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.numpy().tobytes() == b.numpy().tobytes()
