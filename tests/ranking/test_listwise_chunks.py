"""ListNet and ListMLE where one way to compute ends and another begins: chunks of 1024 items
(csrc/cpu/simd/listwise_loops.h), and scores that leave the range of exponentials
(csrc/cpu/listwise/list_mle.h).
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

import fused_rankloss
from support.batches import FORMS, Batch, evaluate, one_list
from support.cases import WEIGHTS, generator_for, name_of
from support.ranking import RANKING, hold

CHUNK = 1024
INF = float("inf")
LOSSES = ("listnet", "list_mle", "p_list_mle")

pytestmark = pytest.mark.sanitize


def batch_of(n: int, labels: str, dtype: torch.dtype) -> Batch:
    """Weighted; "continuous" labels are sorted, and "two" tie over every border."""
    generator = generator_for(f"chunks {n} {labels}")
    scores = torch.randn(n, generator=generator, dtype=torch.float64)
    drawn = {
        "continuous": torch.rand(n, generator=generator),
        "two": torch.arange(n) % 2,
        "wide": torch.randint(-(2**62), 2**62, (n,), generator=generator),
    }[labels]
    return Batch(scores.to(dtype), drawn, (n,), WEIGHTS(n, generator).to(dtype))


@pytest.mark.parametrize("labels", ["continuous", "two"])
@pytest.mark.parametrize("n", [CHUNK, CHUNK + 1, 2 * CHUNK + 1])
@pytest.mark.parametrize("name", LOSSES)
def test_borders(n: int, labels: str, name: str, device: str) -> None:
    hold(RANKING[name], batch_of(n, labels, torch.float64), device)


@pytest.mark.parametrize("n", [100, 1500])
def test_labels_of_64_bits(n: int, device: str) -> None:
    hold(RANKING["list_mle"], batch_of(n, "wide", torch.float32), device)


def placed(shape: str, size: float, n: int) -> torch.Tensor:
    """What is added to the scores, by their place in the order of labels."""
    added = torch.zeros(n, dtype=torch.float64)
    if shape == "peaks":  # above everything behind: once in the first chunk, twice in the last
        added[[10, CHUNK + 200, n - 3]] = torch.tensor([3.0, 2.0, 1.0]).double() * size
    elif shape == "pits":  # below everything, one of them last of all
        added[[10, CHUNK + 200, n - 1]] = -size
    elif shape == "falling":
        added = torch.linspace(size, 0, n, dtype=torch.float64)
    else:
        added[CHUNK:] = {"step up": size, "step down": -size}[shape]
    return added


# Beside what exponentials in double precision take, 708, and the drops within which a chunk stays
# in it: 64 for fp64, 300 for others.
@pytest.mark.parametrize("size", [63.0, 250.0, 400.0, 1500.0])
@pytest.mark.parametrize("shape", ["peaks", "pits", "falling", "step up", "step down"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=name_of)
def test_spread_scores(shape: str, size: float, dtype: torch.dtype, device: str) -> None:
    """Items of weight 0 have no gradient but what comes from the others, however small."""
    n = CHUNK + 540
    batch = batch_of(n, "continuous", dtype)
    order = batch.labels.argsort(descending=True, stable=True)
    scores = batch.scores.double()
    scores[order] += placed(shape, size, n)
    hold(RANKING["list_mle"], replace(batch, scores=scores.to(dtype)), device)


@pytest.mark.parametrize("name", ["listnet", "list_mle"])
@pytest.mark.parametrize("n", [3, 1100])
def test_largest_scores(name: str, n: int, device: str) -> None:
    scores = torch.randn(n, generator=generator_for("largest")) * 1e38
    scores[0], scores[n - 1] = 3e38, -3e38
    got = evaluate(RANKING[name], one_list(Batch(scores, torch.arange(n) % 3, (n,)).to(device)))
    assert got.grad.isfinite().all() and not got.loss.isnan()


def test_small_terms_keep_their_digits() -> None:
    """Of two items the loss is log(1 + exp(-gap)): its digits, not those of 1."""
    gaps = torch.cat([torch.linspace(-80, 80, 641), torch.tensor([-700.0, 300.0, 700.0])]).double()
    scores = torch.stack([gaps, torch.zeros_like(gaps)], 1)
    labels = torch.tensor([1, 0]).expand(scores.shape)
    got = fused_rankloss.list_mle_loss(scores, labels, reduction="none")
    for gap, term in zip(gaps.tolist(), got.tolist(), strict=True):
        exact = max(-gap, 0.0) + math.log1p(math.exp(-abs(gap)))
        # An exponential's error moves log(1 + e) by no more, relatively: tolerance.py's e.
        assert abs(term - exact) <= 2.0**-51 * (2 + abs(gap)) * exact, gap


def test_logarithms_of_counts() -> None:
    """The first term of a list of equal scores is the logarithm of their number."""
    sizes = [1, 2, 3, 5, 7, 10, 11, 181, 362, 724, 1000, CHUNK, CHUNK + 1, 3000, 20_000]
    offsets = torch.tensor([0, *sizes]).cumsum(0)
    scores = torch.full((sum(sizes),), 0.25, dtype=torch.float64)
    labels = torch.arange(sum(sizes))
    got = fused_rankloss.list_mle_loss(
        scores, labels, offsets=offsets, position_weights=torch.ones(1), reduction="none"
    )
    wanted = torch.tensor(sizes, dtype=torch.float64).log()
    torch.testing.assert_close(got, wanted, rtol=2.0**-51, atol=0)


@pytest.mark.parametrize("labels", [[800.0, 0.0, 799.5], [-INF, 1.0, 0.5], [0.0, -1e30, -INF]])
def test_listnet_of_far_labels(labels: list[float], device: str) -> None:
    batch = Batch.of([0.5, -0.25, 1.0], labels, label_dtype=torch.float32, dtype=torch.float32)
    call = one_list(batch.to(device))
    got, wanted = (evaluate(RANKING["listnet"], call, impl=impl) for impl in ("auto", "reference"))
    torch.testing.assert_close(got.loss, wanted.loss, rtol=2.0**-21, atol=0)
    torch.testing.assert_close(got.grad, wanted.grad, rtol=2.0**-20, atol=2.0**-24)


@pytest.mark.parametrize("impl", ["auto", "reference"])
@pytest.mark.parametrize("labels", [[INF, 0.0], [-INF, -INF]])
def test_listnet_of_no_distribution(labels: list[float], impl: str) -> None:
    batch = Batch.of([0.5, 1.0], labels, label_dtype=torch.float32, dtype=torch.float32)
    got = evaluate(RANKING["listnet"], one_list(batch), impl=impl)
    assert got.loss.isnan() and got.grad.isnan().all()


@pytest.mark.parametrize("labels", ["continuous", "two"])
@pytest.mark.parametrize("name", LOSSES)
def test_threads_and_padding_of_a_long_list(name: str, labels: str, threads) -> None:
    """Chunks are of items: neither holes between them nor threads move a bit."""
    batch = batch_of(70_001, labels, torch.float32)
    outcomes = []
    for form in ("flat", "scattered_mask"):
        call = FORMS[form](batch)
        for count in (1, 3):
            threads(count)
            outcomes.append(evaluate(RANKING[name], call))
    assert all(outcome.same_bits(outcomes[0]) for outcome in outcomes)
    assert outcomes[0].loss.isfinite() and outcomes[0].grad.count_nonzero()
