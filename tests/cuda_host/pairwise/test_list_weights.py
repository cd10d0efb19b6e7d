"""List weights in the reductions of the pairwise kernels."""

from __future__ import annotations

import pytest
import torch

from cuda_host.host_cases import every_loss, hold, sanitize
from support import list_weights
from support.cases import LOSSES, REDUCTIONS, Case
from support.list_weights import NO_WEIGHTS, sevens, weighed

every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)


class Weighed(Case):
    def batch(self, *arguments):
        return weighed(super().batch(*arguments))


@pytest.fixture(params=["tiles", "short", "long"])
def kernel(request: pytest.FixtureRequest, on_pairwise_host: None, pairwise_host) -> None:
    if request.param == "long":
        pairwise_host.set("tiles", crossover=0, one_launch=0)
    else:
        pairwise_host.set(request.param)


@sanitize
@every_loss
@every_reduction
@pytest.mark.parametrize("weighted", [False, True])
def test_against_the_oracle(loss: str, reduction: str, weighted: bool, kernel: None) -> None:
    case = Weighed("weighed", (40, 3, 0, 100, 1, 33, 7), "", labels="grades", weighted=weighted)
    hold(case, loss, torch.float32, reduction=reduction)


@sanitize
@every_loss
@every_reduction
def test_weights_of_0(loss: str, reduction: str, kernel: None) -> None:
    list_weights.hold_zero_leaves_out(LOSSES[loss], sevens("cpu"), reduction)
    list_weights.hold_all_zero(LOSSES[loss], sevens("cpu"), reduction)
    list_weights.hold_nan_stays(LOSSES[loss], sevens("cpu"), reduction)
    infinite = sevens("cpu")
    infinite.scores[10] = float("inf")
    list_weights.hold_zero_leaves_out(LOSSES[loss], infinite, reduction)


@sanitize
@every_loss
@every_reduction
@pytest.mark.parametrize("bad", NO_WEIGHTS)
def test_what_is_no_weight(loss: str, reduction: str, bad: float, kernel: None) -> None:
    list_weights.hold_what_is_no_weight(LOSSES[loss], sevens("cpu"), bad, reduction)
