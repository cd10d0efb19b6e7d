"""Infinite scores in lists of every length: what scans put in their place must not show."""

from __future__ import annotations

import math

import pytest
import torch

import fused_rankloss
from support.batches import Batch, evaluate, one_list
from support.cases import generator_for
from support.ranking import PAIR_LOSSES

INF = math.inf

# Of an item of one grade the score +inf, of one of a higher grade -inf, or both.
INFINITE = {
    "above": {1: INF},
    "below": {2: -INF},
    "both": {1: INF, 2: -INF},
    "in_order": {3: INF, 0: -INF},
}
OPTIONS = {
    "none": {"scheme": "none"},
    "lambdarank": {"scheme": "lambdarank"},
    "arp": {"scheme": "arp"},
    "either": {"scheme": "lambdarank", "k": 200},
    "both": {"scheme": "lambdarank", "k": 200, "truncation": "both"},
    "discount": {"scheme": "lambdarank", "k": 200, "truncation": "discount"},
    "ndcg_loss1": {"scheme": "ndcg_loss1", "k": 200},
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("pair_loss", PAIR_LOSSES)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("infinite", INFINITE)
@pytest.mark.parametrize("n", [40, 400, 700])
def test_as_the_reference(
    n: int, infinite: str, options: str, pair_loss: str, weighted: bool, device: str
) -> None:
    generator = generator_for(f"infinite{n}")
    scores = torch.randn(n, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (n,), generator=generator)
    for label, score in INFINITE[infinite].items():
        scores[(labels == label).nonzero()[3]] = score
    weights = torch.randint(0, 3, (n,), generator=generator).double() if weighted else None
    call = one_list(Batch(scores, labels, (n,), weights).to(device))
    chosen = {"pair_loss": pair_loss, **OPTIONS[options]}
    got, wanted = (
        evaluate(fused_rankloss.lambda_loss, call, impl=impl, **chosen)
        for impl in ("auto", "reference")
    )
    # Which are infinite and which NaN exactly; the others are of the order of 1, in fp64.
    torch.testing.assert_close(got.loss, wanted.loss, equal_nan=True)
    torch.testing.assert_close(got.grad, wanted.grad, equal_nan=True)
