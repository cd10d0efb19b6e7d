"""The hinges, by their launchers and machine code: every regime of list on two devices."""

from __future__ import annotations

import math

import pytest
import torch
from machine import Kernels
from ptx_cases import cases, everywhere, hold_pairwise

import fused_rankloss
from support.batches import FORMS
from support.cases import (
    LOSSES,
    MEDIUM,
    REDUCTIONS,
    SCORE_DTYPES,
    SMALL,
    Case,
    generator_for,
    name_of,
)

every_loss = pytest.mark.parametrize("loss", LOSSES)
every_dtype = pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)


@cases(SMALL)
@every_loss
@everywhere
def test_small(on_ptx: Kernels, case: Case, loss: str, place: tuple[str, str]) -> None:
    on_ptx.use(*place)
    hold_pairwise(case, loss, torch.float32)


@cases(MEDIUM)
@every_loss
@everywhere
def test_medium(on_ptx: Kernels, case: Case, loss: str, place: tuple[str, str]) -> None:
    on_ptx.use(*place)
    hold_pairwise(case, loss, torch.float32)


@cases(SMALL, MEDIUM)
@every_loss
@every_dtype
def test_dtypes(on_ptx: Kernels, case: Case, loss: str, dtype: torch.dtype) -> None:
    hold_pairwise(case, loss, dtype)


@cases(SMALL)
@every_loss
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions(on_ptx: Kernels, case: Case, loss: str, reduction: str) -> None:
    hold_pairwise(case, loss, torch.float64, reduction=reduction)


@cases(SMALL, MEDIUM)
@every_loss
@pytest.mark.parametrize("form", FORMS)
def test_forms(on_ptx: Kernels, case: Case, loss: str, form: str) -> None:
    hold_pairwise(case, loss, torch.float32, form=FORMS[form])


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=name_of)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("sizes", [(12_289,), (10_300, 5, 0, 900)], ids=str)
def test_long_lists(
    on_ptx: Kernels, loss: str, dtype: torch.dtype, weighted: bool, sizes: tuple[int, ...]
) -> None:
    case = Case(f"long{sizes}", sizes, "sorted within one launch", "quarters", "grades", weighted)
    hold_pairwise(case, loss, dtype)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=name_of)
def test_longest_lists(on_ptx: Kernels, loss: str, dtype: torch.dtype) -> None:
    sizes = (202_000, 3, 500)
    case = Case("longest", sizes, "sorted by a library", labels="grades")
    hold_pairwise(case, loss, dtype)


@every_loss
@pytest.mark.parametrize("margins", [[0.5], [0.5, -0.25, 1.0]], ids=str)
@pytest.mark.parametrize("n", [40, 700, 2000])
def test_margins(on_ptx: Kernels, loss: str, margins: list[float], n: int) -> None:
    """A loss for each margin, as if each were called for alone; also its derivative."""
    generator = generator_for(f"margins {n}")
    scores = torch.randn(n, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (n,), generator=generator)
    tensor = torch.tensor(margins, dtype=torch.float64, requires_grad=True)
    together = LOSSES[loss](scores, labels, margin=tensor)
    grad = torch.autograd.grad(together.sum(), tensor)[0]
    for k, margin in enumerate(margins):
        alone = torch.tensor(margin, dtype=torch.float64, requires_grad=True)
        wanted = LOSSES[loss](scores, labels, margin=alone, impl="reference")
        slope = torch.autograd.grad(wanted, alone)[0]
        assert together[k].item() == pytest.approx(wanted.item(), rel=1e-12)
        assert grad[k].item() == pytest.approx(slope.item(), rel=1e-12)


@every_loss
@pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)
@pytest.mark.parametrize("n", [40, 1000, 3000, 12_000])
def test_nan_is_no_padding(on_ptx: Kernels, loss: str, dtype: torch.dtype, n: int) -> None:
    """fp32 arithmetic makes every NaN 0x7fffffff: that must be no key of what is left out."""
    generator = generator_for(f"nan {n}")
    scores = torch.randn(n, generator=generator).to(dtype)
    scores[n // 3] = math.nan
    labels = torch.randint(0, 4, (n,), generator=generator)
    value = LOSSES[loss](scores, labels)
    assert value.isnan(), f"a NaN among the scores is left out: the loss is {value.item()}"


@everywhere
@every_loss
@pytest.mark.parametrize("shape", [(32, 1025), (40, 1100)], ids=str)
def test_many_lists_beyond_a_warps(
    on_ptx: Kernels, loss: str, shape: tuple[int, int], place: tuple[str, str]
) -> None:
    """Workspaces are as large as what the launch writes."""
    on_ptx.use(*place)
    generator = generator_for(f"many {shape}")
    scores = torch.randn(shape, generator=generator)
    labels = torch.randint(0, 3, shape, generator=generator)
    value = LOSSES[loss](scores, labels)
    wanted = LOSSES[loss](scores, labels, impl="reference")
    assert value.item() == pytest.approx(wanted.item(), rel=1e-6)


@every_loss
def test_no_list(on_ptx: Kernels, loss: str) -> None:
    scores = torch.randn(0, requires_grad=True)
    value = LOSSES[loss](scores, torch.arange(0), offsets=torch.tensor([0]))
    assert value == 0 and torch.autograd.grad(value, scores)[0].shape == (0,)


def test_launches_are_the_projects_own(on_ptx: Kernels) -> None:
    fused_rankloss.pairwise_hinge_loss(torch.randn(100), torch.arange(100))
    assert any(name.startswith("fused_rankloss::") for name in on_ptx.launched())
