"""Host-run kernels on NaN and infinity, and on invalid lengths and offsets."""

from __future__ import annotations

import math

import pytest
import torch

from cuda_host.host_cases import every_loss, forward, invalid_offsets, sanitize
from support.batches import Batch, evaluate, one_list, padded_lengths
from support.cases import (
    LOSSES,
    REDUCTIONS,
    Case,
    generator_for,
    name_of,
)
from support.oracle.pairwise import exact
from support.tolerance import check, grad_floor


@sanitize
@pytest.mark.parametrize("what", ["scores", "labels", "weights"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@every_loss
def test_nan_poisons_its_list(what: str, reduction: str, loss: str, on_host) -> None:
    case = Case("nan", (40, 9, 130, 5), "NaN", labels="continuous", weighted=what == "weights")
    batch = case.batch(torch.float32)
    getattr(batch, what)[60] = math.nan  # in list 2
    call = padded_lengths(batch, filler=math.nan)
    poisoned = torch.zeros(len(batch.scores), dtype=torch.bool)
    poisoned[49:179] = True
    outcome = evaluate(LOSSES[loss], call, reduction=reduction)
    assert torch.equal(outcome.grad.isnan(), poisoned)
    assert (outcome.padding_grad == 0).all()
    if reduction == "none":
        assert outcome.loss.isnan().tolist() == [False, False, True, False]
    else:
        assert outcome.loss.isnan()
    wanted = exact(batch, loss, reduction=reduction)
    check("grad", outcome.grad, wanted.grad, grad_floor(wanted, torch.float32), case=case)


@sanitize
@every_loss
def test_infinite_scores(loss: str, on_host) -> None:
    inf = math.inf
    rows = [
        ([inf, 1.0, 0.0], [1, 0, 0], [0, 0, 0]),  # relevant at the top: nothing to learn
        ([1.0, -inf, 0.5], [1, 0, 1], [0, 0, 0]),
        ([inf, inf, 0.0], [1, 1, 0], [0, 0, 0]),  # equal infinities with equal labels
        ([0.0, inf], [1, 0], [-1, 1]),  # irrelevant at the top
        ([-inf, 0.0], [1, 0], [-1, 1]),
        ([inf, inf], [1, 0], None),
        ([-inf, 5.0, -inf], [1, 2, 0], None),
    ]
    for scores, labels, counts in rows:
        batch = Batch.of(scores, labels, dtype=torch.float32)
        outcome = evaluate(LOSSES[loss], one_list(batch), reduction="sum")
        if counts is None:
            assert outcome.loss.isnan() and outcome.grad.isnan().all()
        elif any(counts):
            assert outcome.loss == inf
            assert loss != "hinge" or outcome.grad.tolist() == counts
        else:
            assert outcome.loss == 0 and outcome.grad.tolist() == [0.0] * len(scores)


@sanitize
@pytest.mark.parametrize("index_dtype", [torch.int32, torch.int64], ids=name_of)
def test_invalid_lengths(index_dtype: torch.dtype, host) -> None:
    scores = torch.randn(4, 50, generator=generator_for("lengths"))
    labels = torch.arange(200).view(4, 50) % 3
    good, bad = torch.tensor([50, 0, 20, 7]), torch.tensor([50, -1, 20, 51])
    results = [
        host.pairwise_forward(
            *(scores, labels, None, None, None, lengths.to(index_dtype), None, None),
            *(1.0, "hinge", "product", 1.0, "none", True),
        )
        for lengths in (good, bad)
    ]
    assert results[1][0].isnan().tolist() == [False, True, False, True]
    assert results[1][0][[0, 2]].equal(results[0][0][[0, 2]])


@sanitize
@invalid_offsets
def test_invalid_offsets(offsets: list[int], host) -> None:
    """Every list is poisoned, and nothing is read or written out of bounds."""
    scores = torch.randn(100, generator=generator_for("offsets"))
    call = one_list(Batch(scores, torch.arange(100) % 4, (100,)))
    call.options["offsets"] = torch.tensor(offsets)
    results = forward(host, call, "hinge", reduction="none")
    assert results["loss"].isnan().all() and results["list_scale"].isnan().all()
    ones = torch.ones(len(offsets) - 1)
    grad = host.lists_backward(
        *(ones, results["raw_grad"], results["list_scale"]),
        *(None, None, call.options["offsets"], torch.float32),
    )
    assert (grad.isnan() | (grad == 0)).all()
