"""The kernels of triplet_forward and triplet_backward, run on the CPU."""

from __future__ import annotations

import math

import pytest
import torch

from cuda_host.triplet.cases import DISTANCES, DTYPES, ROUNDING, close, grad_output, load
from fused_rankloss.reference.triplet import triplet

pytestmark = pytest.mark.sanitize


@pytest.fixture(scope="module")
def host(pytestconfig: pytest.Config):
    return load(pytestconfig.cache)


def hold(host, rows, dtype, *, eps=0.0, p=2.0, **options) -> None:
    """Loss and gradients as specified, within the rounding of their types."""
    options = {
        "margin": 0.5,
        "distance": "euclidean",
        "swap": False,
        "boundary_grad": 0.0,
        "reduction": "mean",
        **options,
    }
    rows = [row.to(dtype) for row in rows]
    soft = options["margin"] == "soft"
    margin = 0.0 if soft else options["margin"]
    norm = (options["distance"], p, eps, options["swap"])
    forward = host.ops.triplet_forward(
        *rows, None, margin, soft, *norm, options["boundary_grad"], options["reduction"]
    )
    grads = host.ops.triplet_backward(grad_output(forward[0]), *rows, *forward[1:], *norm)
    exact = [row.double().clone().requires_grad_() for row in rows]
    loss = triplet(*exact, p=p, eps=eps, **options)
    loss.backward(grad_output(loss))
    loss_type = torch.float64 if dtype == torch.float64 else torch.float32
    close("loss", forward[0], loss.detach(), 2 * ROUNDING[loss_type])
    for name, grad, row in zip(("anchor", "positive", "negative"), grads, exact, strict=True):
        close(name, grad, row.grad, 2 * ROUNDING[dtype])


def rows_of(size: int, dim: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(size * 100 + dim)
    return [torch.randn(size, dim, generator=generator) for _ in range(3)]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: str(d).split(".")[1])
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("swap", [False, True])
def test_distances(dtype, distance: str, swap: bool, host) -> None:
    hold(host, rows_of(19, 37), dtype, distance=distance, swap=swap)


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("eps", [0.0, 1e-6, 0.1])
@pytest.mark.parametrize("swap", [False, True])
def test_norms(p: float, eps: float, swap: bool, host) -> None:
    hold(host, rows_of(9, 33), torch.float32, p=p, eps=eps, swap=swap)
    hold(host, rows_of(9, 5), torch.float64, p=p, eps=eps, swap=swap)


@pytest.mark.parametrize("reduction", ["mean", "mean_nonzero", "sum", "none"])
@pytest.mark.parametrize("margin", [0.0, 0.5, "soft"])
def test_reductions(reduction: str, margin, host) -> None:
    hold(host, rows_of(11, 4), torch.float32, reduction=reduction, margin=margin)


@pytest.mark.parametrize(("size", "dim"), [(0, 4), (1, 1), (7, 31), (8, 32), (9, 65), (3, 0)])
def test_borders(size: int, dim: int, host) -> None:
    if dim == 0:
        pytest.skip("rows without elements are at distance 0")
    hold(host, rows_of(size, dim), torch.float32)


@pytest.mark.parametrize("boundary", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("distance", DISTANCES)
def test_kinks_and_coincident_points(boundary: float, distance: str, host) -> None:
    rows = [torch.ones(6, 4), torch.ones(6, 4), torch.ones(6, 4)]
    rows[1][::2] = 3
    rows[2][::3] = 3
    rows[0][5] = 0
    options = {"distance": distance, "boundary_grad": boundary, "margin": 0.0}
    hold(host, rows, torch.float32, swap=True, **options)
    hold(host, rows, torch.float32, reduction="none", **options)


@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("swap", [False, True])
def test_ties_of_norms(p: float, swap: bool, host) -> None:
    """The same distance, and so a gap of exactly 0, for numbers in another order."""
    anchor = torch.zeros(6, 4)
    positive = torch.randint(-9, 10, (6, 4), generator=torch.Generator().manual_seed(3)).float()
    rows = [anchor, positive, positive.flip(1)]
    hold(host, rows, torch.float64, p=p, swap=swap, margin=0.0, boundary_grad=1.0)
    norm = ("euclidean", p, 0.0, swap)
    forward = host.ops.triplet_forward(*rows, None, 0.0, False, *norm, 0.5, "sum")
    assert forward[0] == 0 or swap, "every gap is 0, but where (p, n) is nearer"


def test_nan_stays_in_its_row(host) -> None:
    rows = rows_of(5, 6)
    rows[2][3, 1] = math.nan
    hold(host, rows, torch.float32, reduction="none", distance="sqeuclidean")
