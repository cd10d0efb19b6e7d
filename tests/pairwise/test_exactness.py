"""What is exact is compared exactly: pair counts as integers, the plain five-liner on a grid,
scores that carry a large offset, and numbers at the ends of their range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from fused_rankloss import ops
from support.batches import Batch, evaluate, flat, one_list, same_bits
from support.cases import (
    LARGE,
    LOSSES,
    MEDIUM,
    SCORE_DTYPES,
    SMALL,
    Case,
    by_name,
    generator_for,
    name_of,
)
from support.oracle.pairwise import exact
from support.tolerance import check, grad_floor, loss_floor

HINGE = LOSSES["hinge"]
every_loss = pytest.mark.parametrize("loss", LOSSES)
every_dtype = pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)


def forward_op(batch: Batch, loss: str = "hinge", boundary_grad: float = 1.0, margin: float = 1.0):
    call = flat(batch)
    return ops.pairwise_forward(
        call.scores,
        call.labels,
        batch.weights,
        None,
        None,
        None,
        call.options["offsets"],
        None,
        margin,
        loss,
        "product",
        boundary_grad,
        "mean",
        True,
    )


def unweighted(table: list[Case]):
    cases = [case for case in table if not case.weighted]
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


# ---- Counts --------------------------------------------------------------------------------------


@unweighted(SMALL + MEDIUM + LARGE)
@pytest.mark.parametrize("boundary_grad", [0.0, 1.0])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=name_of)
def test_raw_gradient_counts_pairs(
    case: Case, boundary_grad: float, dtype: torch.dtype, device: str
) -> None:
    batch = case.batch(dtype)
    _, raw, scale, slope = forward_op(batch.to(device), boundary_grad=boundary_grad)
    wanted = exact(batch, "hinge", reduction="sum", boundary_grad=boundary_grad)
    assert raw.dtype == torch.int32 and raw.shape == (1, len(batch.scores))
    assert torch.equal(raw[0].cpu(), wanted.grad.to(torch.int32)), case
    pairs = int(sum(one.pairs for one in wanted.sums))
    assert scale.tolist() == [1 / pairs if pairs else 0.0] * len(batch.sizes)
    assert slope.tolist() == [[float(one.margin_slope) for one in wanted.sums]]


@unweighted(SMALL + MEDIUM)
def test_gradient_is_a_multiple_of_the_normaliser(case: Case, device: str) -> None:
    batch = case.batch(torch.float32)
    wanted = exact(batch, "hinge", reduction="sum")
    pairs = sum(one.pairs for one in wanted.sums)
    grad_output = torch.tensor(-0.75, dtype=torch.float64)
    grad = evaluate(HINGE, flat(batch.to(device)), grad_output).grad.double().cpu()
    counts = grad * pairs / grad_output
    # fp32 tells apart counts up to 2^23; no list here comes near.
    assert torch.equal(counts.round(), wanted.grad), case
    check("counts", counts, wanted.grad, wanted.grad.abs() * 2**-23, case=case)


@every_loss
@pytest.mark.parametrize("name", ["n1025", "n4096_distinct", "weighted_long", "one_long"])
def test_score_gradients_sum_to_zero(loss: str, name: str, device: str) -> None:
    """The loss does not change when all scores of a list shift together."""
    batch = by_name(MEDIUM)[name].batch(torch.float64)
    raw = forward_op(batch.to(device), loss)[1][0].cpu()
    wanted = exact(batch, loss, reduction="sum")
    for rows, bound in zip(batch.split(raw), batch.split(wanted.grad_bound), strict=True):
        allowed = (wanted.roundings + 1) * 2**-53 * float(bound.sum())
        assert abs(float(rows.sum())) <= (allowed if raw.dtype.is_floating_point else 0)


def test_ten_billion_pairs(device: str) -> None:
    """100,000 relevant against 100,000: far more pairs than an int32 counts."""
    n = 200_000
    scores = torch.randn(n, generator=generator_for("ten_billion")) * 0.3
    labels = torch.arange(n) % 2
    outcome = evaluate(HINGE, one_list(Batch(scores, labels, (n,)).to(device)), reduction="sum")
    relevant, other = scores[1::2].double().numpy(), scores[0::2].double().numpy()
    # s_i <= s_j + 1, counted for every j among the sorted s_i and the other way round.
    counts = np.empty(n)
    counts[1::2] = np.searchsorted(np.sort(other + 1), relevant, "left") - len(other)
    counts[0::2] = np.searchsorted(np.sort(relevant), other + 1, "right")
    assert counts[0::2].sum() > 2**32
    # With "sum" each gradient is its count, and counts up to 100,000 are exact in fp32.
    assert np.array_equal(outcome.grad.double().cpu().numpy(), counts)
    # Summed from the counts: sum_t count_t * s_t + margin * pairs.
    total = (counts * scores.double().numpy()).sum() + counts[0::2].sum()
    assert outcome.loss.item() == pytest.approx(total, rel=2**-23)


# ---- The five-liner ------------------------------------------------------------------------------


def five_liner(scores: Tensor, labels: Tensor, margin: float) -> Tensor:
    pos, neg = scores[labels == 1], scores[labels == 0]
    return torch.clamp(margin - pos[:, None] + neg[None, :], min=0).mean()


@pytest.mark.parametrize("margin", [-0.5, 0.0, 0.25, 1.0])
@pytest.mark.parametrize("n", [2, 33, 300, 1500])
@every_dtype
def test_five_liner_on_a_grid(n: int, margin: float, dtype: torch.dtype, device: str) -> None:
    """Multiples of 1/4: nothing rounds in fp64, and hundreds of pairs sit on the margin."""
    generator = generator_for(f"five_liner_{n}")
    grid = torch.randint(-12, 13, (n,), generator=generator).double() / 4
    labels = torch.randint(0, 2, (n,), generator=generator)
    labels[:2] = torch.tensor([0, 1])
    plain = grid.clone().requires_grad_()
    value = five_liner(plain, labels, margin)
    (slope,) = torch.autograd.grad(value, plain)
    batch = Batch(grid.to(dtype), labels, (n,)).to(device)
    fused = evaluate(HINGE, one_list(batch), margin=margin)
    wanted = exact(Batch(grid, labels, (n,)), "hinge", margin=margin)
    # The five-liner itself is exact up to its mean, so the budget is that of the oracle.
    check("loss", fused.loss, value.detach(), loss_floor(wanted, dtype), case="five_liner")
    check("grad", fused.grad, slope, grad_floor(wanted, dtype), case="five_liner")
    pairs = wanted.sums[0].pairs
    if dtype == torch.float64:
        assert torch.equal((fused.grad.cpu() * pairs).round(), (slope * pairs).round())


# ---- Offsets and extremes ------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6, 1e7, -1e7])
@pytest.mark.parametrize("name", ["n33", "n257", "n1025", "n4096_distinct", "few_relevant"])
def test_offsets_cost_no_digit(loss: str, offset: float, name: str, device: str) -> None:
    case = by_name(SMALL + MEDIUM)[name]
    batch = case.batch()
    shifted = Batch((batch.scores + offset).float(), batch.labels, batch.sizes)
    fused = evaluate(LOSSES[loss], flat(shifted.to(device)))
    wanted = exact(shifted, loss)
    assert fused.loss.item() == pytest.approx(wanted.loss.item(), rel=1e-6)
    check("loss", fused.loss, wanted.loss, loss_floor(wanted, torch.float32), case=case)
    check("grad", fused.grad, wanted.grad, grad_floor(wanted, torch.float32), case=case)
    if loss == "hinge":
        counts = exact(shifted, loss, reduction="sum").grad
        assert torch.equal(forward_op(shifted.to(device))[1][0].cpu(), counts.to(torch.int32))


def far_group(kind: str, far: float) -> tuple[list[float], list[int]]:
    """Items ``far`` away that violate nothing, or nothing but their own margins."""
    return {
        "below": ([-far], [0]),
        "above": ([far], [4]),
        "both": ([far, -far, -far], [4, 0, 0]),
        "group_below": ([-far, -far, -far], [1, 0, 0]),
        "group_above": ([far, far, far], [4, 5, 4]),
    }[kind]


@every_loss
@pytest.mark.parametrize("kind", ["below", "above", "both", "group_below", "group_above"])
@pytest.mark.parametrize("far", [3e4, 1e6, 1e9, 1e15, 1e30, 3.4028234663852886e38])
@pytest.mark.parametrize("n", [40, 300, 600, 3000])
def test_far_items_cost_no_digit(loss: str, kind: str, far: float, n: int, device: str) -> None:
    """Scores of -1e30 and the like mark items as unwanted: the others' loss must not notice."""
    case = Case(f"far_{n}", (n,), "items far away")
    near = case.batch(torch.float32)
    scores, labels = far_group(kind, far)
    batch = Batch(
        torch.cat([torch.tensor(scores), near.scores]),
        torch.cat([torch.tensor(labels), near.labels + 2]),
        (n + len(scores),),
    )
    fused = evaluate(LOSSES[loss], flat(batch.to(device)))
    wanted = exact(batch, loss, engine="rows")
    check("loss", fused.loss, wanted.loss, loss_floor(wanted, torch.float32), case=kind)
    check("grad", fused.grad, wanted.grad, grad_floor(wanted, torch.float32), case=kind)
    assert wanted.loss < 10


@pytest.mark.parametrize("margin", [0.1, 1.0, 1e-3])
def test_boundary_is_decided_in_double_precision(margin: float, device: str) -> None:
    """Neighbours of s_j + m in fp32: rounding the sum to fp32 would move pairs across it."""
    below = torch.linspace(-3, 3, 40)
    near = (below.double() + margin).float()
    above = torch.full_like(near, torch.inf)
    around = [near, near.nextafter(above), near.nextafter(-above)]
    scores = torch.cat([below, *around])
    labels = (torch.arange(len(scores)) >= len(below)).long()
    batch = Batch(scores, labels, (len(scores),))
    for boundary_grad in (0.0, 1.0):
        options = {"boundary_grad": boundary_grad, "margin": margin}
        counts = exact(batch, "hinge", reduction="sum", engine="loops", **options).grad
        raw = forward_op(batch.to(device), **options)[1][0].cpu()
        assert torch.equal(raw, counts.to(torch.int32))


@every_loss
@pytest.mark.parametrize("boundary_grad", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [2, 50, 600, 5000])
def test_ties_of_large_scores_cost_the_margin(
    loss: str, boundary_grad: float, weighted: bool, n: int, device: str
) -> None:
    """Even below the rounding of the scores: the difference of equal scores is 0 at any size."""
    options = {"boundary_grad": boundary_grad} if loss == "hinge" else {}
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        labels = torch.arange(n) % 3
        weights = torch.ones(n, dtype=dtype) if weighted else None
        for margin, cost in ((1.0, 1.0), (0.25, 0.25 if loss == "hinge" else 0.0625), (-1.0, 0.0)):
            zeros = Batch(torch.zeros(n, dtype=dtype), labels, (n,), weights).to(device)
            plain = evaluate(LOSSES[loss], one_list(zeros), margin=margin, **options)
            assert plain.loss.item() == pytest.approx(cost, rel=2**-23)
            for far in (1e14, 1e17, -1e17, 1e30):
                large = replace(zeros, scores=torch.full_like(zeros.scores, far))
                got = evaluate(LOSSES[loss], one_list(large), margin=margin, **options)
                assert got.same_bits(plain), (dtype, margin, far)


@every_loss
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("steps", [1.0, 1.2, 1.6, -0.4])
@pytest.mark.parametrize("n", [40, 700, 5000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=name_of)
def test_gaps_of_large_scores(
    loss: str, weighted: bool, steps: float, n: int, dtype: torch.dtype, device: str
) -> None:
    """Neighbouring numbers above 2^60, and margins that their sums round away, or up."""
    generator = generator_for(f"large_{n}")
    step = 2.0**60 * torch.finfo(dtype).eps
    grid = (torch.randint(0, 12, (n,), generator=generator) * step).to(dtype)
    labels = torch.randint(0, 3, (n,), generator=generator)
    weights = torch.randint(1, 3, (n,), generator=generator).to(dtype) if weighted else None
    near = Batch(grid, labels, (n,), weights).to(device)
    far = replace(near, scores=near.scores + 2.0**60)
    plain = evaluate(LOSSES[loss], one_list(near), margin=steps * step)
    got = evaluate(LOSSES[loss], one_list(far), margin=steps * step)
    # Terms of one sign, and in the second case every difference is exact.
    rel = 16 * n * 2**-53 + torch.finfo(plain.loss.dtype).eps
    assert got.loss.item() == pytest.approx(plain.loss.item(), rel=rel)
    allowed = rel * plain.grad.abs().max().item() if loss != "hinge" or weighted else 0
    torch.testing.assert_close(got.grad, plain.grad, rtol=0, atol=allowed)


EXTREMES = {
    # name: (scores, labels, margin)
    "far_apart": ([0.0, -2.1e26, 3.4e37, 42.0], [2, 1, 0, 0], 1.0),
    "far_apart_reversed": ([0.0, -2.1e26, 3.4e37, 42.0], [0, 0, 1, 2], 1.0),
    "largest": ([-3.4e38, 3.4e38, 0.0, 3.3e38], [1, 0, 1, 0], 1.0),
    "subnormals": ([1e-45, 3e-45, 0.0, -1e-45, 4e-45, 2e-39], [1, 0, 1, 0, 0, 1], 0.0),
    "subnormal_margin": ([1e-45, 3e-45, 0.0, -1e-45, 4e-45], [1, 0, 1, 0, 0], 3e-45),
    "signed_zeros": ([0.0, -0.0, -0.0, 0.0], [1, 0, 1, 0], 0.0),
    "tiny_beside_huge": ([1e-30, 1e30, -1e-30, 1.0], [1, 0, 1, 0], 1e-20),
}


@every_loss
@pytest.mark.parametrize("copies", [1, 100, 300])
@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=name_of)
def test_extreme_scores(loss: str, copies: int, name: str, dtype: torch.dtype, device: str) -> None:
    """Copies take the same numbers through direct loops and through sorting."""
    scores, labels, margin = EXTREMES[name]
    batch = Batch.of(scores * copies, labels * copies, dtype=dtype)
    # A raw gradient is stored before it is divided by the number of pairs, so that sums of squares
    # overflow where a mean would not.
    options = {"margin": margin, "reduction": "mean" if loss == "hinge" else "sum"}
    fused = evaluate(LOSSES[loss], one_list(batch.to(device)), **options)
    wanted = exact(batch, loss, **options)
    check("loss", fused.loss, wanted.loss, loss_floor(wanted, dtype), case=name)
    check("grad", fused.grad, wanted.grad, grad_floor(wanted, dtype), case=name)


def test_zeros_of_either_sign_are_equal(device: str) -> None:
    scores = torch.randint(-1, 2, (600,), generator=generator_for("zeros")).float()
    labels = torch.arange(600) % 3
    plain = Batch(scores, labels, (600,)).to(device)
    signed = Batch(torch.where(scores == 0, -0.0, scores), labels, (600,)).to(device)
    for margin in (0.0, 1.0):
        first = evaluate(HINGE, one_list(plain), margin=margin)
        second = evaluate(HINGE, one_list(signed), margin=margin)
        assert first.same_bits(second)


@pytest.mark.gpu
@pytest.mark.parametrize("table", [SMALL, MEDIUM, LARGE], ids=["small", "medium", "large"])
def test_cpu_and_cuda_count_alike(table: list[Case]) -> None:
    for case in table:
        for dtype in SCORE_DTYPES:
            for boundary_grad in (0.0, 1.0):
                batch = replace(case.batch(dtype), weights=None)
                cpu = forward_op(batch, boundary_grad=boundary_grad)
                cuda = forward_op(batch.to("cuda"), boundary_grad=boundary_grad)
                # Counts, scales and slopes; the loss itself is a sum in another order.
                for ours, theirs in zip(cpu[1:], cuda[1:], strict=True):
                    assert same_bits(ours, theirs.cpu()), (case, dtype, boundary_grad)
