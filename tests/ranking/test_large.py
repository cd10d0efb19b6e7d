"""Lists that several threads share, where no oracle can look at every pair: the gradients of some
items, each exact over all of its pairs, and the loss along a direction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from support.batches import Batch, evaluate, one_list
from support.cases import generator_for
from support.oracle.lambda_ import Pairs, pair_terms
from support.oracle.ndcg import gains_of, normalised, ranks_of
from support.ranking import RANKING, Ranking, logistic, weighted
from support.tolerance import term_error

SAMPLED = 60
LOSSES = {
    "logistic": logistic(),
    "logistic_sigma": logistic(sigma=3.0),
    "lambdarank": weighted("lambdarank"),
    "lambdarank_k": weighted("lambdarank", k=1000, truncation="discount"),
    "lambdarank_hinge": weighted("lambdarank", pair_loss="hinge"),
    "lambdarank_squared": weighted("lambdarank", pair_loss="squared_hinge"),
    "ndcg_loss2++_k": weighted("ndcg_loss2++", k=50),
}


def long_list(n: int, scores: str, labels: str, dtype: torch.dtype) -> Batch:
    generator = generator_for(f"long {n} {scores} {labels}")
    drawn = torch.randn(n, generator=generator, dtype=torch.float64)
    if scores == "ties":
        drawn = (drawn * 4).round() / 4
    grades = {"grades": 5, "binary": 2}.get(labels)
    y = torch.rand(n, generator=generator) * 4
    if grades:
        y = (torch.rand(n, generator=generator) ** 3 * grades).long()
    return Batch(drawn.to(dtype), y, (n,))


def gradient_of(batch: Batch, ranking: Ranking, items: list[int]) -> list[tuple[float, ...]]:
    """Of the sum: the gradient of some items, what its terms and what its roundings may move."""
    o = Pairs(**{**ranking.options, **ranking.oracle_options})
    s, y = batch.scores.double().numpy(), batch.labels.double().numpy()
    ranks = np.array(ranks_of(s.tolist()))
    place = np.arange(1, len(s) + 1)
    g = np.array(normalised(gains_of(y.tolist(), None, o.gain), None, o.k))
    d = 1 / np.log2(1 + ranks)
    if o.truncation == "discount" and o.k is not None:
        d = np.where(ranks <= o.k, d, 0)
    top = np.ones(len(s), bool) if o.k is None else ranks <= o.k
    true_d = np.concatenate([[0.0], 1 / np.log2(1 + np.append(place, len(s) + 1))])
    found = []
    for m in items:
        others = np.flatnonzero((y != y[m]) & (top | top[m]))
        sign = np.where(y[m] > y[others], 1.0, -1.0)
        _, slope, reach = pair_terms(sign * (s[m] - s[others]), o)
        weight = size = np.ones(len(others))
        if o.scheme != "none":
            change, rank_size = abs(d[m] - d[others]), d[m] + d[others]
            if o.scheme == "ndcg_loss2++":
                apart = abs(ranks[m] - ranks[others])
                change = o.mu * (true_d[apart] - true_d[apart + 1]) + change
                rank_size = o.mu * (true_d[apart] + true_d[apart + 1]) + rank_size
            weight = abs(g[m] - g[others]) * change
            size = (g[m] + g[others]) * rank_size
        numbers = 8 + abs(s[m]) + abs(s[others])
        found.append(
            (
                -(sign * weight * slope).sum(),
                (weight * slope * reach).sum(),
                (size * (slope + 1) * numbers).sum(),
            )
        )
    return found


@pytest.mark.sanitize
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    ("n", "scores", "labels", "dtype"),
    [
        (32_769, "normal", "grades", torch.float32),
        (32_769, "ties", "continuous", torch.float32),
        (100_003, "normal", "binary", torch.bfloat16),
        (40_000, "ties", "grades", torch.float64),
    ],
    ids=str,
)
def test_gradients_of_some_items(
    name: str, n: int, scores: str, labels: str, dtype: torch.dtype, device: str
) -> None:
    batch = long_list(n, scores, labels, dtype)
    got = evaluate(LOSSES[name], one_list(batch.to(device)), reduction="sum")
    items = torch.randperm(n, generator=generator_for(name))[:SAMPLED].tolist()
    best = int(batch.scores.float().argmax())
    for m, (exact, terms, bound) in zip(
        [*items, best], gradient_of(batch, LOSSES[name], [*items, best]), strict=True
    ):
        # As tolerance.py derives it; a sum goes through no more partial sums than 8 an item.
        raw = 2.0**-24 if dtype != torch.float64 else 2.0**-53
        u = torch.finfo(dtype).eps / 2
        allowed = (u + raw) * abs(exact) + (8 * n + 16) * 2.0**-53 * bound
        allowed += float(term_error(dtype, torch.tensor(terms), 8 * n))
        allowed += torch.finfo(dtype).tiny * u
        assert abs(got.grad[m].item() - exact) <= allowed, (m, got.grad[m].item(), exact, allowed)


@pytest.mark.parametrize("name", ["logistic", "lambdarank", "lambdarank_squared"])
def test_the_loss_along_a_direction(name: str, device: str) -> None:
    """Its difference is what the gradient says, in double precision and with no rank moved."""
    batch = long_list(32_769, "normal", "grades", torch.float64)
    grid = torch.randperm(32_769, generator=generator_for("grid")).double() / 8192 - 2
    batch = replace(batch, scores=grid)
    call = one_list(batch.to(device))
    direction = torch.randn(32_769, generator=generator_for(name), dtype=torch.float64).to(device)
    h = 1e-7
    step = direction * h
    up, down = (
        LOSSES[name](call.scores + sign * step, call.labels, reduction="sum").item()
        for sign in (1, -1)
    )
    wanted = (evaluate(LOSSES[name], call, reduction="sum").grad * direction).sum().item()
    scale = abs(up) * 2.0**-50 / h
    assert (up - down) / (2 * h) == pytest.approx(wanted, rel=1e-4, abs=scale)


def test_list_mle_of_a_long_list(device: str) -> None:
    batch = long_list(50_001, "normal", "continuous", torch.float32)
    got = evaluate(RANKING["list_mle"], one_list(batch.to(device)))
    order = batch.labels.argsort(descending=True, stable=True)
    s = batch.scores.double()[order]
    tails = s.flip(0).logcumsumexp(0).flip(0)
    torch.testing.assert_close(got.loss.double().cpu(), (tails - s).sum(), rtol=2**-22, atol=0)
    grad = torch.exp(s + (-tails).logcumsumexp(0)) - 1
    torch.testing.assert_close(got.grad.double().cpu()[order], grad, rtol=2**-20, atol=2**-20)


def test_listnet_of_a_long_list(device: str) -> None:
    batch = long_list(50_001, "normal", "continuous", torch.float32)
    got = evaluate(RANKING["listnet"], one_list(batch.to(device)))
    s, p = batch.scores.double(), torch.softmax(batch.labels.double(), 0)
    wanted = (p * (s.logsumexp(0) - s)).sum()
    torch.testing.assert_close(got.loss.double().cpu(), wanted, rtol=2**-22, atol=0)
    grad = torch.softmax(s, 0) - p
    torch.testing.assert_close(got.grad.double().cpu(), grad, rtol=2**-20, atol=2**-40)
