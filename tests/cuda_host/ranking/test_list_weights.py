"""List weights in the kernels of lambda and listwise losses."""

from __future__ import annotations

import pytest
import torch

from cuda_host.host_cases import sanitize
from support import list_weights
from support.cases import REDUCTIONS, Case
from support.list_weights import NO_WEIGHTS, sevens, weighed
from support.ranking import LIST, PAIR, RANKING, hold

every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)
SIZES = (40, 3, 0, 100, 1, 33, 7)
KERNELS = [(name, kernel) for name in PAIR for kernel in ("short", "long", "scan")]


@pytest.fixture(params=KERNELS, ids="-".join)
def pair_loss(request: pytest.FixtureRequest, on_lambda_host) -> str:
    name, kernel = request.param
    on_lambda_host.set(crossover=None if kernel == "short" else 0, scans=kernel == "scan")
    return name


@pytest.fixture(params=LIST)
def list_loss(request: pytest.FixtureRequest, listwise_kernel: str) -> str:
    return request.param


def hold_everything(name: str, reduction: str) -> None:
    case = Case("weighed", SIZES, "", labels="grades", weighted=True)
    hold(RANKING[name], weighed(case.batch(torch.float32)), "cpu", case=case, reduction=reduction)
    list_weights.hold_zero_leaves_out(RANKING[name], sevens("cpu"), reduction)
    list_weights.hold_all_zero(RANKING[name], sevens("cpu"), reduction)
    list_weights.hold_nan_stays(RANKING[name], sevens("cpu"), reduction)
    for bad in NO_WEIGHTS:
        list_weights.hold_what_is_no_weight(RANKING[name], sevens("cpu"), bad, reduction)


@sanitize
@every_reduction
def test_pair_losses(pair_loss: str, reduction: str) -> None:
    hold_everything(pair_loss, reduction)


@sanitize
@every_reduction
def test_list_losses(list_loss: str, reduction: str) -> None:
    hold_everything(list_loss, reduction)
