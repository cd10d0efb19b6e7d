"""The oracles of the learning-to-rank losses against each other, against finite differences, and
against the formulas of the libraries that users come from, written out as those have them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from support.batches import Batch
from support.cases import SMALL, by_name, generator_for
from support.oracle.lambda_ import lambda_exact
from support.oracle.listwise import listwise_exact
from support.ranking import GRID, LISTWISE_GRID

CASES = by_name(SMALL)
SHORT = [CASES[name] for name in ("ragged", "boundary_grades", "weighted")]
every_case = pytest.mark.parametrize("case", SHORT, ids=lambda case: case.name)


@every_case
@pytest.mark.parametrize("name", GRID)
def test_rows_are_loops(case, name: str) -> None:
    for weighting in ("product", "preferred"):
        options = {"reduction": "none", "weighting": weighting}
        loops = GRID[name].exact(case.batch(), engine="loops", **options)
        rows = GRID[name].exact(case.batch(), engine="rows", **options)
        assert [one.pairs for one in rows.sums] == pytest.approx([one.pairs for one in loops.sums])
        for what in ("loss", "grad", "loss_bound", "grad_bound", "loss_terms", "grad_terms"):
            ours, theirs = getattr(rows, what), getattr(loops, what)
            torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13, msg=what)


@pytest.mark.parametrize("name", [*LISTWISE_GRID, "logistic", "none-hinge"])
def test_gradients_are_slopes(name: str) -> None:
    """Central differences; lambda weights and ranks, which are constants, are left out."""
    ranking = (LISTWISE_GRID | GRID)[name]
    batch = CASES["weighted"].batch()
    exact, h = ranking.exact(batch, reduction="sum"), 1e-6
    for item in range(len(batch.scores)):
        step = torch.zeros_like(batch.scores)
        step[item] = h
        up, down = (
            ranking.exact(replace(batch, scores=batch.scores + sign * step), reduction="sum").loss
            for sign in (1, -1)
        )
        slope = (up - down) / (2 * h)
        torch.testing.assert_close(exact.grad[item], slope, rtol=1e-5, atol=1e-7)


def one_list(n: int = 12) -> tuple[list, list]:
    """Scores without ties, and grades."""
    generator = generator_for("libraries")
    scores = torch.randperm(4 * n, generator=generator)[:n].double() / 8 - 2
    return scores.tolist(), torch.randint(0, 5, (n,), generator=generator).tolist()


def ours(function, scores: list, labels: list, **options) -> float:
    return function(Batch.of(scores, labels), reduction="sum", **options).loss.item()


# ---- allRank, sentence-transformers --------------------------------------------------------------


def allrank_lambda_loss(s, y, scheme: str, k: int | None, sigma: float, mu: float) -> float:
    """allRank's lambdaLoss, reduction "sum" with binary log, without its clamps by eps."""
    n = len(s)
    order = sorted(range(n), key=lambda i: -s[i])
    s, y = [s[i] for i in order], [y[i] for i in order]  # position p has rank p + 1
    top = sorted(y, reverse=True)[:k]
    ideal = sum((2**label - 1) / math.log2(2 + p) for p, label in enumerate(top))
    gains = [(2**label - 1) / ideal for label in y]
    total = 0.0
    for i in range(n):
        for j in range(n):
            if not (scheme == "ndcgLoss1" or y[i] > y[j]):
                continue
            if k is not None and (i >= k or j >= k):
                continue
            t = abs(i - j)
            delta = abs(1 / math.log2(1 + t) - 1 / math.log2(2 + t)) if t else 0.0
            loss2 = delta * abs(gains[i] - gains[j])
            rank = abs(1 / math.log2(2 + i) - 1 / math.log2(2 + j)) * abs(gains[i] - gains[j])
            weight = {
                "none": 1.0,
                "ndcgLoss1": gains[i] / math.log2(2 + i),
                "ndcgLoss2": loss2,
                "lambdaRank": rank,
                "ndcgLoss2PP": mu * loss2 + rank,
                "rankNetWeightedByGTDiff": abs(y[i] - y[j]),
            }[scheme]
            total -= weight * math.log2(1 / (1 + math.exp(-sigma * (s[i] - s[j]))))
    return total


@pytest.mark.parametrize("k", [None, 1, 5, 100])
@pytest.mark.parametrize(
    ("theirs", "scheme"),
    [
        ("none", "none"),
        ("ndcgLoss1", "ndcg_loss1"),
        ("ndcgLoss2", "ndcg_loss2"),
        ("lambdaRank", "lambdarank"),
        ("ndcgLoss2PP", "ndcg_loss2++"),
        ("rankNetWeightedByGTDiff", "arp"),
    ],
)
def test_allrank(theirs: str, scheme: str, k: int | None) -> None:
    scores, labels = one_list()
    options = {"scheme": scheme, "sigma": 1.5, "mu": 10.0, "log": "binary"}
    got = ours(lambda_exact, scores, labels, k=k, truncation="both", **options)
    assert got == pytest.approx(allrank_lambda_loss(scores, labels, theirs, k, 1.5, 10.0))


def test_allrank_listwise() -> None:
    """Their listNet, listMLE (without ties, whose order is random there) and approxNDCGLoss."""
    scores, labels = one_list()
    s, y = np.array(scores), np.array(labels, dtype=float)
    p = np.exp(y) / np.exp(y).sum()
    listnet = -(p * np.log(np.exp(s) / np.exp(s).sum())).sum()
    assert ours(listwise_exact, scores, labels, loss="listnet") == pytest.approx(listnet)

    distinct = [label + item / 100 for item, label in enumerate(labels)]
    z = s[np.argsort([-label for label in distinct])]
    tails = np.cumsum(np.exp(z - z.max())[::-1])[::-1]
    mle = (np.log(tails) - (z - z.max())).sum()
    assert ours(listwise_exact, scores, distinct, loss="list_mle") == pytest.approx(mle)

    alpha = 2.0
    above = 1 / (1 + np.exp(alpha * (s[:, None] - s[None, :])))
    np.fill_diagonal(above, 0)
    gains = 2**y - 1
    ideal = (np.sort(gains)[::-1] / np.log2(2 + np.arange(len(y)))).sum()
    ndcg = (gains / ideal / np.log2(2 + above.sum(1))).sum()
    got = ours(listwise_exact, scores, labels, loss="approx_ndcg", temperature=1 / alpha)
    assert got == pytest.approx(-ndcg)


def test_sentence_transformers_p_list_mle() -> None:
    """Their weights 2^(n - rank) - 1 divided by their sum, on documents in the given order."""
    scores, _ = one_list()
    n = len(scores)
    weights = np.array([2.0 ** (n - rank) - 1 for rank in range(1, n + 1)])
    weights /= weights.sum()
    exponentials = np.exp(scores)
    terms = [weights[t] * (np.log(exponentials[t:].sum()) - scores[t]) for t in range(n)]
    got = ours(
        listwise_exact,
        scores,
        list(range(n, 0, -1)),
        loss="list_mle",
        position_weights="exponential",
    )
    assert got == pytest.approx(sum(terms))


# ---- pytorchltr ----------------------------------------------------------------------------------


def test_pytorchltr() -> None:
    """Sums over pairs of one list; their NDCG2 has its discounts one position late."""
    s, y = one_list()
    n = len(s)
    pairs = [(i, j) for i in range(n) for j in range(n) if y[i] > y[j]]
    hinge = sum(max(0, 1 - (s[i] - s[j])) for i, j in pairs)
    assert ours(lambda_exact, s, y, scheme="none", pair_loss="hinge") == pytest.approx(hinge)
    logistic = sum(math.log2(1 + math.exp(-2 * (s[i] - s[j]))) for i, j in pairs)
    options = {"sigma": 2.0, "log": "binary"}
    assert ours(lambda_exact, s, y, scheme="none", **options) == pytest.approx(logistic)
    arp2 = sum((y[i] - y[j]) * math.log2(1 + math.exp(-2 * (s[i] - s[j]))) for i, j in pairs)
    assert ours(lambda_exact, s, y, scheme="arp", **options) == pytest.approx(arp2)


# ---- TF-Ranking, Rax -----------------------------------------------------------------------------


@pytest.mark.parametrize("topn", [3, 7])
def test_tf_ranking_dcg_lambda_weight(topn: int) -> None:
    """DCGLambdaWeight(topn, gain 2^y - 1, discount 1 / log2(1 + r), normalized), LambdaMART part,
    on the logistic loss; times the list size there."""
    s, y = one_list()
    n = len(s)
    rank = {i: r for r, i in enumerate(sorted(range(n), key=lambda i: -s[i]), 1)}
    disc = {i: 1 / math.log2(1 + rank[i]) * (rank[i] <= topn) for i in rank}
    top = sorted(y, reverse=True)[:topn]
    ideal = sum((2**label - 1) / math.log2(2 + p) for p, label in enumerate(top))
    total = 0.0
    for i in range(n):
        for j in range(n):
            if y[i] > y[j] and min(rank[i], rank[j]) <= topn:
                weight = abs(2 ** y[i] - 2 ** y[j]) / ideal * abs(disc[i] - disc[j])
                gap = s[i] - s[j]
                total += weight * (max(-gap, 0) + math.log1p(math.exp(-abs(gap))))
    assert ours(lambda_exact, s, y, k=topn, truncation="discount") == pytest.approx(total)


# ---- LightGBM, XGBoost ---------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("truncation", [2, 5, 30])
def test_lightgbm_gradients(norm: bool, truncation: int) -> None:
    """LambdarankNDCG::GetGradientsForOneQuery: the gradient of our sum, with both normalisations
    where lambdarank_norm is set. Discounts beyond the truncation are those of the true rank."""
    s, y = one_list()
    n, sigma = len(s), 1.5
    order = sorted(range(n), key=lambda i: -s[i])
    top = sorted(y, reverse=True)[:truncation]
    inverse = 1 / sum((2**label - 1) / math.log2(2 + p) for p, label in enumerate(top))
    lambdas, summed = [0.0] * n, 0.0
    for a in range(min(truncation, n)):
        for b in range(a + 1, n):
            if y[order[a]] == y[order[b]]:
                continue
            high, low = (a, b) if y[order[a]] > y[order[b]] else (b, a)
            i, j = order[high], order[low]
            delta = (2 ** y[i] - 2 ** y[j]) * inverse
            delta *= abs(1 / math.log2(2 + high) - 1 / math.log2(2 + low))
            if norm:
                delta /= 0.01 + abs(s[i] - s[j])
            p = -sigma * delta / (1 + math.exp(sigma * (s[i] - s[j])))
            lambdas[i] += p
            lambdas[j] -= p
            summed -= 2 * p
    if norm:
        lambdas = [value * math.log2(1 + summed) / summed for value in lambdas]
    exact = lambda_exact(
        Batch.of(s, y),
        sigma=sigma,
        k=truncation,
        score_normalization=norm,
        list_normalization=norm,
        reduction="sum",
    )
    assert exact.grad.tolist() == pytest.approx(lambdas)
