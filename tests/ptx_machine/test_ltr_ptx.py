"""lambda_loss, the logistic loss and the listwise losses, by their launchers and machine code."""

from __future__ import annotations

import math

import pytest
import torch
from machine import Kernels
from ptx_cases import cases, everywhere, grad_output_for

from support.batches import FORMS
from support.cases import MEDIUM, REDUCTIONS, SMALL, Case, generator_for, name_of
from support.ranking import GRID, LISTWISE_GRID, RANKING, graded, hold

every_ranking = pytest.mark.parametrize("name", RANKING)
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


every_option = pytest.mark.parametrize("name", GRID | LISTWISE_GRID)


@cases(SMALL)
@every_ranking
@everywhere
def test_small(on_ptx: Kernels, case: Case, name: str, place: tuple[str, str]) -> None:
    on_ptx.use(*place)
    hold(RANKING[name], graded(case, torch.float32), "cpu", case=case)


@cases(MEDIUM)
@every_ranking
@everywhere
def test_medium(on_ptx: Kernels, case: Case, name: str, place: tuple[str, str]) -> None:
    on_ptx.use(*place)
    hold(RANKING[name], graded(case, torch.float32), "cpu", case=case)


@cases(SMALL, MEDIUM)
@every_ranking
@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
def test_dtypes(on_ptx: Kernels, case: Case, name: str, dtype: torch.dtype) -> None:
    hold(RANKING[name], graded(case, dtype), "cpu", case=case)


@cases(SMALL, MEDIUM)
@every_option
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=name_of)
def test_options(on_ptx: Kernels, case: Case, name: str, dtype: torch.dtype) -> None:
    hold((GRID | LISTWISE_GRID)[name], graded(case, dtype), "cpu", case=case)


@cases(SMALL)
@every_ranking
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions(on_ptx: Kernels, case: Case, name: str, reduction: str) -> None:
    shape = (len(case.sizes),) if reduction == "none" else ()
    grad_output = grad_output_for(case.name, shape)
    hold(
        RANKING[name], graded(case), "cpu", case=case, grad_output=grad_output, reduction=reduction
    )


@cases(SMALL, MEDIUM)
@every_ranking
@pytest.mark.parametrize("form", FORMS)
def test_forms(on_ptx: Kernels, case: Case, name: str, form: str) -> None:
    hold(RANKING[name], graded(case, torch.float32), "cpu", case=case, form=FORMS[form])


@every_ranking
@pytest.mark.parametrize("sizes", [(6000,), (4100, 3, 0, 1030)], ids=str)
def test_long_lists(on_ptx: Kernels, name: str, sizes: tuple[int, ...]) -> None:
    case = Case(f"long{sizes}", sizes, "several blocks per list", labels="grades")
    hold(RANKING[name], graded(case, torch.float32), "cpu", case=case)


@every_ranking
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=name_of)
@pytest.mark.parametrize("n", [40, 1000, 3000])
def test_nan_is_no_padding(on_ptx: Kernels, name: str, dtype: torch.dtype, n: int) -> None:
    generator = generator_for(f"nan {n}")
    scores = torch.randn(n, generator=generator).to(dtype)
    scores[n // 3] = math.nan
    labels = torch.randint(0, 4, (n,), generator=generator)
    assert RANKING[name](scores, labels).isnan()


@every_ranking
@pytest.mark.parametrize("length", [0, 5, 600])
def test_one_wide_row_of_a_short_list(on_ptx: Kernels, name: str, length: int) -> None:
    """Known to be short on the device alone."""
    generator = generator_for(f"wide {length}")
    scores = torch.randn(1, 1025, generator=generator).requires_grad_()
    labels = torch.randint(0, 5, (1, 1025), generator=generator)
    padded = RANKING[name](scores, labels, lengths=torch.tensor([length]))
    grad = torch.autograd.grad(padded, scores)[0]
    alone = scores.detach()[0, :length].requires_grad_()
    wanted = RANKING[name](alone, labels[0, :length], impl="reference")
    wanted_grad = torch.autograd.grad(wanted, alone)[0]
    assert padded.item() == pytest.approx(wanted.item(), rel=1e-5, abs=1e-7)
    assert torch.allclose(grad[0, :length], wanted_grad, rtol=1e-4, atol=1e-7)
    assert not grad[0, length:].any()


@every_ranking
def test_no_list(on_ptx: Kernels, name: str) -> None:
    scores = torch.randn(0, requires_grad=True)
    value = RANKING[name](scores, torch.arange(0), offsets=torch.tensor([0]))
    assert value == 0 and torch.autograd.grad(value, scores)[0].shape == (0,)
