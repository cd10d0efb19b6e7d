"""The exponential scan by itself, run on the CPU, against loops over all pairs in long double.

A tile of a warp has 256 places, a thread 8 of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from cuda_host.conftest import load
from cuda_host.host_cases import same_bits, sanitize
from support.cases import generator_for

OPENS, PUSHES_MORE, SEES_MORE, SEES_MOMENTS = 1, 2, 4, 8
UP, DOWN = 0, 1
U = 2.0**-53


class ScanHost:
    def __init__(self, library, namespace: str):
        torch.ops.load_library(str(library))
        self._ops = getattr(torch.ops, namespace)

    def scan(self, problem: Problem, *, blocks: int = 2, seed: int = 0) -> Tensor:
        """``[sweep, place]`` of slopes, and of values."""
        self._ops.set_blocks(blocks)
        self._ops.set_seed(seed)
        tensors = (
            *(problem.positions, problem.lists, problem.heads, problem.places),
            *(problem.pushes, problem.queries, problem.powers),
        )
        slopes, values = self._ops.scan(
            *(tensor.contiguous() for tensor in tensors),
            *(problem.moments, problem.scale, problem.sides),
        )
        return torch.stack([slopes, values])

    def series(self, wide: bool) -> Tensor:
        return self._ops.series(torch.zeros(1), wide)


@pytest.fixture(scope="session")
def scan_host(pytestconfig: pytest.Config) -> ScanHost:
    return load(
        pytestconfig,
        "launchers/exponential_scan_host.cpp",
        "fused_rankloss_exponential_scan_host",
        ScanHost,
    )


@dataclass
class Problem:
    positions: Tensor
    lists: Tensor  # their first places, and the end
    heads: Tensor
    places: Tensor
    pushes: Tensor
    queries: Tensor
    powers: Tensor  # [2, K]: of slopes and of values
    moments: bool  # added where places ask for them
    sides: int
    scale: float = 1.0

    def segments(self) -> list[tuple[int, int]]:
        starts = [*self.heads.nonzero().flatten().tolist(), len(self.heads)]
        return list(zip(starts[:-1], starts[1:], strict=True))


def make(
    name: str,
    sizes: list[int],
    *,
    features: int,
    powers: Tensor,
    sides: int = 2,
    moments: bool = True,
    width: float = 4.0,
    scores: str = "normal",
) -> Problem:
    generator = generator_for(name)
    n = sum(sizes)
    drawn = torch.randn(n, generator=generator, dtype=torch.float64) * width
    if scores == "quarters":
        drawn = (drawn * 4).round() / 4
    elif scores == "offset":
        drawn += 1000
    positions = torch.cat([part.sort(descending=True).values for part in drawn.split(sizes)])
    heads = torch.zeros(n, dtype=torch.bool)
    heads[torch.tensor([0, *sizes]).cumsum(0)[:-1]] = True
    bits = torch.randint(0, 2, (2, 3, n), generator=generator)
    places = bits[:, 0] * PUSHES_MORE + bits[:, 1] * SEES_MORE + bits[:, 2] * SEES_MOMENTS
    # Every second segment begins a list.
    lists = torch.tensor([*heads.nonzero().flatten()[::2].tolist(), n])
    weights = torch.randn(2, features, n, generator=generator, dtype=torch.float64)
    weights[:, :, ::7] = 0
    places = places.to(torch.uint8)
    return Problem(positions, lists, heads, places, *weights, powers, moments, sides)


def direct(p: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The exact sums, and what rounding may move them by.

    Between two items lie at most n steps and some 64 levels of the scans over threads and tiles.
    Each multiplies exp(-k x) by exp(-k step): k factors of an exponential that is off by 4 u, k
    products, and one product and one sum of the state. The distance is off by u of its size, which
    exp(-k x) feels k times, once more for the scale. Moments take a few sums and products a step.
    """
    n = len(p.positions)
    exact, bound = np.zeros((2, 2, 2, n), np.longdouble)
    positions = p.positions.numpy().astype(np.longdouble)
    pushes, queries = p.pushes.numpy(), p.queries.numpy()
    powers = p.powers.numpy()
    k = np.arange(1, powers.shape[1] + 1)[:, None]
    for begin, end in p.segments():
        steps = end - begin + 64
        for i in range(begin, end):
            for sweep, partners in ((UP, np.arange(begin, i)), (DOWN, np.arange(i + 1, end))):
                at = p.places[sweep].numpy()
                if p.sides == 2:
                    side = bool(at[i] & SEES_MORE)
                    partners = partners[((at[partners] & PUSHES_MORE) != 0) == side]
                x = p.scale * abs(positions[i] - positions[partners])
                weights = queries[:, i] @ pushes[:, partners].astype(np.longdouble)
                sizes = abs(queries[:, i]) @ abs(pushes[:, partners]).astype(np.longdouble)
                decays = np.exp(-k * x)
                for function in (0, 1):
                    part = powers[function] @ decays
                    rounded = abs(powers[function]) @ (decays * (steps * (6 * k + 2) + 2 * k * x))
                    if at[i] & SEES_MOMENTS:
                        more = p.moments * (x if function else np.ones_like(x))
                        part = more + part if function else more - part
                        rounded += 6 * steps * more
                    exact[function, sweep, i] = (weights * part).sum()
                    bound[function, sweep, i] = U * (sizes * rounded).sum()
    return exact, bound


def hold(host: ScanHost, problem: Problem, **options) -> Tensor:
    got = host.scan(problem, **options)
    exact, bound = direct(problem)
    excess = abs(got.numpy() - exact) - bound
    assert (excess <= 0).all(), f"off by {excess.max()} too much at {excess.argmax()}"
    return got


TAMED = torch.tensor([[1.0, -0.5, 0.25], [0.5, 2.0, -1.0]], dtype=torch.float64)


@sanitize
@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("features", [1, 2, 4])
def test_features_and_sides(features: int, sides: int, scan_host) -> None:
    sizes = [1, 30, 2, 7, 8, 9, 64, 150]
    problem = make("features", sizes, features=features, powers=TAMED, sides=sides)
    problem.scale = 0.3
    hold(scan_host, problem)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("scores", ["normal", "quarters", "offset"])
def test_series(wide: bool, scores: str, scan_host) -> None:
    softplus, sigmoid, _ = scan_host.series(wide)
    powers = torch.stack([sigmoid, softplus])
    hold(scan_host, make("series", [300], features=1, powers=powers, scores=scores))


@sanitize
@pytest.mark.parametrize(
    "sizes",
    [[1], [255], [256], [257], [300, 500], [2049], [100, 412], [256, 256, 1], [700, 1, 900, 5]],
    ids=str,
)
def test_segments_and_tiles(sizes: list[int], scan_host) -> None:
    problem = make("tiles", sizes, features=1, powers=TAMED[:, :1], width=100.0 / sum(sizes))
    hold(scan_host, problem, blocks=2)


def test_without_moments(scan_host) -> None:
    hold(scan_host, make("no", [400], features=2, powers=TAMED, moments=False, sides=1))


def test_without_powers(scan_host) -> None:
    hold(scan_host, make("moments", [400, 30], features=2, powers=TAMED[:, :0]))


def test_more_tiles_than_a_warp_scans_at_once(scan_host) -> None:
    """With exp(-x) and steps of ln(2), sums are binary numbers: known without loops."""
    n = 70 * 256 + 300
    positions = -math.log(2) * torch.arange(n, dtype=torch.float64)
    ones = torch.ones(1, n, dtype=torch.float64)
    heads = torch.zeros(n, dtype=torch.bool)
    heads[0] = True
    places = torch.zeros(2, n, dtype=torch.uint8)
    places[UP] = SEES_MOMENTS
    problem = Problem(
        positions,
        torch.tensor([0, n]),
        heads,
        places,
        ones,
        ones,
        torch.tensor([[0.0], [1.0]], dtype=torch.float64),
        True,
        1,
    )
    counts, sums = scan_host.scan(problem, blocks=1)
    met = torch.arange(n, dtype=torch.float64)
    assert torch.equal(counts, torch.stack([met, torch.zeros(n)]))
    # The steps are off by the rounding of positions up to 2^14: 2^-40 each, and 2^-53 of decays.
    assert (sums[DOWN] - (1 - 0.5**met).flip(0)).abs().max() <= 2.0**-38


def test_softplus_of_far_and_near_scores(scan_host) -> None:
    """The functions themselves, at all distances that matter, to what the header states."""
    far = torch.tensor([0.0, 1e-300, 1e-9, 0.1, 1.0, 17.0, 40.0, 700.0, 1e6, 1e300, math.inf])
    for wide, stated in ((False, (1.2e-10, 1.4e-9)), (True, (1.6e-18, 3.0e-17))):
        softplus, sigmoid, _ = scan_host.series(wide)
        k = torch.arange(1, len(sigmoid) + 1)
        for x in far.double().tolist():
            problem = make("far", [2], features=1, powers=torch.stack([sigmoid, softplus]))
            problem.positions = torch.tensor([x, 0.0], dtype=torch.float64)
            problem.moments = False
            problem.places[:] = 0
            problem.pushes[:], problem.queries[:] = 1, 1
            (_, slope), (_, value) = scan_host.scan(problem)[:, UP]
            u = math.exp(-x)
            pairs = ((value, math.log1p(u), softplus), (slope, u / (1 + u), sigmoid))
            for (got, wanted, series), error in zip(pairs, stated, strict=True):
                rounded = U * (series.abs() * (6 * k + 4) * u**k).sum().item()
                moved = (error + 2 * U * min(x, 1e4)) * wanted
                # Below the normal range an exponential may stay at the smallest number.
                assert abs(got.item() - wanted) <= rounded + moved + 2.0**-1020


def test_infinite_distances_separate(scan_host) -> None:
    """Sums beyond an infinite gap are as if it were a segment's end, but counts go on.

    Of 300 terms of about 1, which round 300 times.
    """
    tolerance = {"rtol": 0, "atol": 300 * 300 * U}
    problem = make("inf", [300], features=1, powers=TAMED, sides=1)
    problem.positions[:40] = math.inf
    problem.positions[270:] = -math.inf
    problem.places[:] = SEES_MOMENTS
    with_counts, values = scan_host.scan(problem)
    assert with_counts.isfinite().all() and values.isfinite().all()
    problem.moments = False
    slopes, _ = scan_host.scan(problem)
    counts = problem.queries[0] * (problem.pushes[0].cumsum(0) - problem.pushes[0])
    assert torch.allclose((with_counts - slopes)[UP], counts, **tolerance)
    problem.heads[[40, 270]] = True
    problem.positions[:40], problem.positions[270:] = 0, 0
    apart, _ = scan_host.scan(problem)
    assert torch.allclose(slopes, apart, **tolerance)


@sanitize
def test_schedules_and_grids_agree_bit_for_bit(scan_host) -> None:
    problem = make("bits", [70, 3, 2500, 200], features=2, powers=TAMED)
    first = scan_host.scan(problem, blocks=1, seed=1)
    for blocks, seed in ((2, 2), (3, 3)):
        assert same_bits(first, scan_host.scan(problem, blocks=blocks, seed=seed))


def test_a_list_does_not_depend_on_those_around_it(scan_host) -> None:
    problem = make("around", [70, 33, 900, 40, 300, 5], features=2, powers=TAMED)
    together = scan_host.scan(problem)
    for begin, end in zip(problem.lists[:-1].tolist(), problem.lists[1:].tolist(), strict=True):
        alone = Problem(
            problem.positions[begin:end].clone(),
            torch.tensor([0, end - begin]),
            problem.heads[begin:end].clone(),
            problem.places[:, begin:end].clone(),
            problem.pushes[:, begin:end].clone(),
            problem.queries[:, begin:end].clone(),
            *(problem.powers, problem.moments, problem.sides),
        )
        assert same_bits(scan_host.scan(alone), together[..., begin:end].clone())
