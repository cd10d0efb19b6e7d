"""Learning-to-rank losses worked out by hand, which reference and kernels must give."""

from __future__ import annotations

import math

import pytest
import torch

import fused_rankloss
from support.batches import Batch, evaluate, one_list

ln, log2 = math.log, math.log2
every_impl = pytest.mark.parametrize("impl", ["reference", "auto"])

# Ranks 2, 1, 3 and labels 2, 1, 0; gains 3, 1, 0; discounts 1/log2(3), 1, 1/2.
SCORES, LABELS = [0.0, ln(2), -ln(2)], [2, 1, 0]
IDEAL = 3 + 1 / log2(3)
G = [3 / IDEAL, 1 / IDEAL, 0.0]
D = [1 / log2(3), 1.0, 0.5]
# Gaps: (0,1) -ln 2, (0,2) ln 2, (1,2) 2 ln 2; so e^-gap is 2, 1/2, 1/4.
VALUE = {(0, 1): ln(3), (0, 2): ln(1.5), (1, 2): ln(1.25)}
SLOPE = {(0, 1): 2 / 3, (0, 2): 1 / 3, (1, 2): 1 / 5}
STEP = [0.0, 1 - 1 / log2(3), 1 / log2(3) - 0.5]  # delta(1), delta(2)
APART = {(0, 1): 1, (0, 2): 1, (1, 2): 2}


@every_impl
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("copies", [1, 300])
def test_approx_ndcg_beside_a_large_score(impl: str, dtype: torch.dtype, copies: int) -> None:
    """Ranks are 1 for every large score, each above the others; then come 1 and 0, T = 1."""
    far = [1e17 * (1 + t / 1000) for t in range(copies)]
    batch = Batch.of([*far, 1.0, 0.0], [0] * copies + [0, 1], dtype=dtype)
    got = evaluate(fused_rankloss.approx_ndcg_loss, one_list(batch), impl=impl)
    rank = 1 + copies + 1 / (1 + math.exp(-1))
    slope = math.exp(-1) / (1 + math.exp(-1)) ** 2
    slope *= ln(2) / (ln(1 + rank) ** 2 * (1 + rank))
    rel = 1e-6 if dtype == torch.float32 else 1e-13
    assert got.loss.item() == pytest.approx(-1 / log2(1 + rank), rel=rel)
    assert got.grad[-2:].tolist() == pytest.approx([slope, -slope], rel=rel)
    # An exponential below the normal range may count as 0.
    assert got.grad[:-2].abs().max() <= torch.finfo(torch.float64).tiny


def weights_of(scheme: str) -> dict:
    if scheme == "none":
        return dict.fromkeys(VALUE, 1.0)
    if scheme == "arp":
        return {(i, j): LABELS[i] - LABELS[j] for i, j in VALUE}
    rank = {(i, j): (G[i] - G[j]) * abs(D[i] - D[j]) for i, j in VALUE}
    loss2 = {(i, j): (G[i] - G[j]) * STEP[APART[i, j]] for i, j in VALUE}
    both = {pair: 10 * loss2[pair] + rank[pair] for pair in VALUE}
    return {"lambdarank": rank, "ndcg_loss2": loss2, "ndcg_loss2++": both}[scheme]


def compare(got, total: float, grad: list[float]) -> None:
    assert got.loss.item() == pytest.approx(total, rel=1e-12, abs=1e-15)
    assert got.grad.tolist() == pytest.approx(grad, rel=1e-12, abs=1e-15)


def sums(weights: dict) -> tuple[float, list[float]]:
    grad = [0.0] * 3
    for (i, j), weight in weights.items():
        grad[i] -= weight * SLOPE[i, j]
        grad[j] += weight * SLOPE[i, j]
    return sum(weight * VALUE[pair] for pair, weight in weights.items()), grad


@every_impl
@pytest.mark.parametrize("scheme", ["none", "arp", "lambdarank", "ndcg_loss2", "ndcg_loss2++"])
def test_schemes(scheme: str, impl: str, device: str) -> None:
    call = one_list(Batch.of(SCORES, LABELS).to(device))
    total, grad = sums(weights_of(scheme))
    options = {"scheme": scheme, "impl": impl}
    compare(evaluate(fused_rankloss.lambda_loss, call, reduction="sum", **options), total, grad)
    mean = evaluate(fused_rankloss.lambda_loss, call, **options)
    compare(mean, total / 3, [value / 3 for value in grad])


@every_impl
def test_logistic(impl: str, device: str) -> None:
    call = one_list(Batch.of(SCORES, LABELS).to(device))
    total, grad = sums(weights_of("none"))
    function = fused_rankloss.pairwise_logistic_loss
    compare(evaluate(function, call, impl=impl), total / 3, [value / 3 for value in grad])
    binary = evaluate(function, call, impl=impl, log="binary", reduction="sum")
    compare(binary, total / ln(2), [value / ln(2) for value in grad])


@every_impl
@pytest.mark.parametrize("pair_loss", ["hinge", "squared_hinge"])
def test_hinges_have_no_logarithm(pair_loss: str, impl: str, device: str) -> None:
    call = one_list(Batch.of(SCORES, LABELS).to(device))
    options = {"pair_loss": pair_loss, "impl": impl}
    natural = evaluate(fused_rankloss.lambda_loss, call, **options)
    assert natural.loss > 0
    binary = evaluate(fused_rankloss.lambda_loss, call, log="binary", **options)
    assert binary.same_bits(natural)


@every_impl
def test_ndcg_loss1(impl: str, device: str) -> None:
    """All nine ordered pairs, of which three are an item with itself."""
    call = one_list(Batch.of(SCORES, LABELS).to(device))
    ratio = {(i, j): math.exp(SCORES[j] - SCORES[i]) for i in range(3) for j in range(3)}
    total = sum(G[i] * D[i] * ln(1 + ratio[i, j]) for i, j in ratio)
    grad = [0.0] * 3
    for i, j in ratio:
        slope = G[i] * D[i] * ratio[i, j] / (1 + ratio[i, j])
        grad[i] -= slope
        grad[j] += slope
    options = {"scheme": "ndcg_loss1", "impl": impl}
    compare(evaluate(fused_rankloss.lambda_loss, call, reduction="sum", **options), total, grad)
    mean = evaluate(fused_rankloss.lambda_loss, call, **options)
    compare(mean, total / 9, [value / 9 for value in grad])


@every_impl
def test_truncation(impl: str, device: str) -> None:
    """With k = 1 only item 1 is on top; maxDCG@1 is 3."""
    call = one_list(Batch.of(SCORES, LABELS).to(device))
    g = [1.0, 1 / 3, 0.0]

    def run(truncation: str, reduction: str):
        options = {"k": 1, "truncation": truncation, "reduction": reduction, "impl": impl}
        return evaluate(fused_rankloss.lambda_loss, call, **options)

    kept = {
        "either": {
            (0, 1): (g[0] - g[1]) * (1 - 1 / log2(3)),
            (1, 2): (g[1] - g[2]) * (1 - 0.5),
        },
        "discount": {(0, 1): g[0] - g[1], (1, 2): g[1] - g[2]},
        "both": {},
    }
    for truncation, weights in kept.items():
        total, grad = sums(weights)
        compare(run(truncation, "sum"), total, grad)
        pairs = max(len(weights), 1)
        compare(run(truncation, "mean"), total / pairs, [value / pairs for value in grad])


@every_impl
def test_normalisations(impl: str, device: str) -> None:
    call = one_list(Batch.of(SCORES, LABELS).to(device))
    weights = {
        pair: weight / (0.01 + ln(2) * (2 if pair == (1, 2) else 1))
        for pair, weight in weights_of("lambdarank").items()
    }
    total, grad = sums(weights)
    options = {"reduction": "sum", "impl": impl}
    scored = evaluate(fused_rankloss.lambda_loss, call, score_normalization=True, **options)
    compare(scored, total, grad)
    total, grad = sums(weights_of("lambdarank"))
    size = 2 * sum(weights_of("lambdarank")[pair] * SLOPE[pair] for pair in SLOPE)
    factor = log2(1 + size) / size
    listed = evaluate(fused_rankloss.lambda_loss, call, list_normalization=True, **options)
    compare(listed, factor * total, [factor * value for value in grad])


@every_impl
def test_hinges(impl: str, device: str) -> None:
    """Scores 1, 2, 0.5 and margin 0.5: gaps below it by 1.5, 0 (on the margin, slope 1) and -1."""
    call = one_list(Batch.of([1.0, 2.0, 0.5], LABELS).to(device))
    weights = weights_of("lambdarank")  # the same ranks
    on, edge = weights[0, 1], weights[0, 2]
    options = {"margin": 0.5, "reduction": "sum", "impl": impl}
    hinge = evaluate(fused_rankloss.lambda_loss, call, pair_loss="hinge", **options)
    compare(hinge, 1.5 * on, [-on - edge, on, edge])
    squared = evaluate(fused_rankloss.lambda_loss, call, pair_loss="squared_hinge", **options)
    compare(squared, 2.25 * on, [-3 * on, 3 * on, 0.0])


@every_impl
def test_weights(impl: str, device: str) -> None:
    """Item weights 2, 3, 1: pairs weigh 6, 2, 3 or those of the first, 2, 2, 3."""
    call = one_list(Batch.of(SCORES, LABELS, [2.0, 3.0, 1.0]).to(device))
    for weighting, (a, b, c) in {"product": (6, 2, 3), "preferred": (2, 2, 3)}.items():
        options = {"weighting": weighting, "impl": impl}
        total, grad = sums({(0, 1): a, (0, 2): b, (1, 2): c})
        got = evaluate(fused_rankloss.pairwise_logistic_loss, call, **options)
        pairs = a + b + c
        compare(got, total / pairs, [value / pairs for value in grad])


@every_impl
def test_listnet(impl: str, device: str) -> None:
    """exp of scores 1, 2, 1/2 and of labels 4, 1, 1/4 (labels may be real numbers)."""
    labels = [ln(4), 0.0, -ln(4)]
    call = one_list(Batch.of(SCORES, labels, label_dtype=torch.float64).to(device))
    q, p = [2 / 7, 4 / 7, 1 / 7], [16 / 21, 4 / 21, 1 / 21]
    total = -sum(a * ln(b) for a, b in zip(p, q, strict=True))
    grad = [b - a for a, b in zip(p, q, strict=True)]
    compare(evaluate(fused_rankloss.listnet_loss, call, impl=impl), total, grad)


@every_impl
def test_list_mle(impl: str, device: str) -> None:
    """The order is that of the items; exp of scores 1, 2, 1/2, tails 7/2, 5/2, 1/2."""
    call = one_list(Batch.of(SCORES, LABELS).to(device))
    terms = [ln(3.5), ln(1.25), 0.0]
    first, second = [-5 / 7, 4 / 7, 1 / 7], [0, -1 / 5, 1 / 5]

    def expected(v: list[float]) -> tuple[float, list[float]]:
        total = v[0] * terms[0] + v[1] * terms[1]
        return total, [v[0] * a + v[1] * b for a, b in zip(first, second, strict=True)]

    function = fused_rankloss.list_mle_loss
    compare(evaluate(function, call, impl=impl), *expected([1, 1]))
    exponential = evaluate(function, call, impl=impl, position_weights="exponential")
    compare(exponential, *expected([3 / 4, 1 / 4]))
    given = torch.tensor([0.5], device=device)
    compare(evaluate(function, call, impl=impl, position_weights=given), *expected([0.5, 0]))


@every_impl
def test_list_mle_ties_keep_their_order(impl: str, device: str) -> None:
    tied = one_list(Batch.of(SCORES, [1, 1, 0]).to(device))
    apart = one_list(Batch.of(SCORES, [2, 1, 0]).to(device))
    one, other = (evaluate(fused_rankloss.list_mle_loss, call, impl=impl) for call in (tied, apart))
    assert one.same_bits(other)


@every_impl
def test_approx_ndcg(impl: str, device: str) -> None:
    """sigmoid(s_j - s_i): items 0 and 1 2/3, 0 and 2 1/3, 1 and 2 1/5; the rest are 1 minus it."""
    call = one_list(Batch.of(SCORES, LABELS).to(device))
    ranks = [1 + 2 / 3 + 1 / 3, 1 + 1 / 3 + 1 / 5, 1 + 2 / 3 + 4 / 5]
    total = -sum(g / log2(1 + r) for g, r in zip(G, ranks, strict=True))
    c = [g * ln(2) / ((1 + r) * ln(1 + r) ** 2) for g, r in zip(G, ranks, strict=True)]
    slope = {(0, 1): 2 / 9, (0, 2): 2 / 9, (1, 2): 4 / 25}
    grad = [0.0] * 3
    for (i, j), steep in slope.items():
        # s_i in the rank of j, and in its own.
        grad[i] += (c[j] - c[i]) * steep
        grad[j] += (c[i] - c[j]) * steep
    compare(evaluate(fused_rankloss.approx_ndcg_loss, call, impl=impl), total, grad)


@every_impl
def test_statistics(impl: str, device: str) -> None:
    """Five pairs, of which one is a tie and two are in order."""
    scores = torch.tensor([0.5, 1.0, 0.5, -1.0], device=device)
    labels = torch.tensor([2, 1, 1, 0], device=device)
    _, statistics = fused_rankloss.lambda_loss(
        scores, labels, k=2, return_statistics=True, impl=impl
    )
    assert statistics.num_pairs.tolist() == [5]
    assert statistics.pair_accuracy.tolist() == [pytest.approx(3.5 / 5)]
    # Ranks 2, 1, 3, 4: gains 1 and 3 on top, ideal 3 and 1.
    ndcg = (1 + 3 / log2(3)) / (3 + 1 / log2(3))
    assert statistics.ndcg.tolist() == [pytest.approx(ndcg, rel=1e-14)]
    assert statistics.num_pairs.dtype == torch.int64
    assert statistics.ndcg.dtype == statistics.pair_accuracy.dtype == torch.float64
