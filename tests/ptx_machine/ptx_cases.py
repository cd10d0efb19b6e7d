"""What the tests of the kernels on the machine share: devices, schedules, error budgets."""

from __future__ import annotations

import machine
import pytest
import torch
from torch import Tensor

from support.batches import evaluate, flat
from support.cases import LOSSES, Case, generator_for
from support.embeddings import BATCH_LOSSES, TripletCase, run_batch
from support.oracle.pairwise import exact
from support.oracle.triplet import exact_batch
from support.tolerance import check, grad_floor, loss_floor
from support.triplet_tolerance import check_batch, product_unit

# Every device with every schedule.
PLACES = [(device, schedule) for device in machine.DEVICES for schedule in machine.SCHEDULES]

everywhere = pytest.mark.parametrize("place", PLACES, ids="-".join)


def cases(*tables: list[Case] | list[TripletCase]):
    table = [case for table in tables for case in table]
    return pytest.mark.parametrize("case", table, ids=lambda case: case.name)


def grad_output_for(name: str, shape: tuple[int, ...]) -> Tensor:
    """A random d objective / d loss, of numbers that every dtype holds."""
    return torch.randint(-8, 9, shape, generator=generator_for(name)).double() / 4


def hold_pairwise(case: Case, loss: str, dtype: torch.dtype, *, form=flat, **options) -> None:
    """The error budget of tolerance.py for the loss and every gradient; padding gets gradient 0."""
    batch = case.batch(dtype)
    shape = (len(case.sizes),) if options.get("reduction") == "none" else ()
    grad_output = grad_output_for(case.name, shape)
    got = evaluate(LOSSES[loss], form(batch), grad_output, **options)
    wanted = exact(batch, loss, grad_output=grad_output, **options)
    check("loss", got.loss, wanted.loss, loss_floor(wanted, dtype), case=case)
    check("grad", got.grad, wanted.grad, grad_floor(wanted, dtype), case=case)
    assert (got.padding_grad == 0).all()


def hold_batch(case: TripletCase, mining: str, dtype: torch.dtype, **options) -> None:
    """The rule of triplet_tolerance.py: picks exactly, values and gradients within it."""
    batch = case.batch(dtype)
    got = run_batch(BATCH_LOSSES[mining], batch, **options)
    unit = product_unit(mining, dtype)
    wanted = exact_batch(batch, mining, product_unit=unit, **options)
    plain = run_batch(BATCH_LOSSES[mining], batch, impl="reference", **options)
    check_batch(got, wanted, dtype, plain, case=case)
