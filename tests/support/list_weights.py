"""What list weights mean, for whichever loss over lists and whichever kernel computes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from support.batches import Batch, evaluate, flat

NAN, INF = math.nan, math.inf
NO_WEIGHTS = (-1.0, INF, -INF, NAN)


def weighed(batch: Batch) -> Batch:
    """With list weights, among them 0."""
    some = torch.tensor([1.0, 0.0, 2.5, 0.25, 3.0]).repeat(len(batch.sizes) // 5 + 1)
    return replace(batch, list_weights=some[: len(batch.sizes)].to(batch.scores.device))


def sevens(device: str, n: int = 7) -> Batch:
    """Four lists of n items, each of which counts for every loss, in quarters."""
    scores = (torch.arange(4 * n) * 5 % 11).float() / 4
    return Batch(scores, torch.arange(4 * n) * 3 % 4, (n,) * 4).to(device)


def with_weights(batch: Batch, *weights: float) -> Batch:
    return replace(batch, list_weights=torch.tensor(weights, device=batch.scores.device))


def subset(batch: Batch, *lists: int) -> Batch:
    return Batch.join([batch.lists()[b] for b in lists])


def hold_zero_leaves_out(loss: Callable, batch: Batch, reduction: str, n: int = 7) -> None:
    """A list of weight 0 is nothing to a loss, and as if it were not there to a mean."""
    one = evaluate(loss, flat(with_weights(batch, 1, 0, 2, 0)), reduction=reduction)
    assert not one.grad[n : 2 * n].any() and not one.grad[3 * n :].any()
    if reduction == "none":
        assert one.loss[[1, 3]].tolist() == [0, 0]
    elif reduction != "batch_mean":
        other = evaluate(loss, flat(with_weights(subset(batch, 0, 2), 1, 2)), reduction=reduction)
        torch.testing.assert_close(one.loss, other.loss)
        torch.testing.assert_close(one.grad.view(4, n)[[0, 2]], other.grad.view(2, n))


def hold_all_zero(loss: Callable, batch: Batch, reduction: str) -> None:
    got = evaluate(loss, flat(with_weights(batch, 0, 0, 0, 0)), reduction=reduction)
    assert not got.loss.any() and not got.grad.any()


def hold_nan_stays(loss: Callable, batch: Batch, reduction: str, n: int = 7) -> None:
    """0 times NaN is NaN; the others do not notice."""
    plain = with_weights(batch, 1, 0, 2, 0.5)
    scores = batch.scores.clone()
    scores[n + 2] = NAN
    got = evaluate(loss, flat(replace(plain, scores=scores)), reduction=reduction)
    wanted = evaluate(loss, flat(plain), reduction=reduction)
    others = torch.arange(4) != 1
    assert got.grad[n : 2 * n].isnan().all()
    assert torch.equal(got.grad.view(4, n)[others], wanted.grad.view(4, n)[others])
    if reduction == "none":
        assert got.loss[1].isnan() and torch.equal(got.loss[others], wanted.loss[others])
    else:
        assert got.loss.isnan()


def hold_what_is_no_weight(
    loss: Callable, batch: Batch, bad: float, reduction: str, n: int = 7
) -> None:
    """It makes its list NaN, and adds nothing to the divisor of a mean."""
    got = evaluate(loss, flat(with_weights(batch, 1, bad, 2, 0.5)), reduction=reduction)
    wanted = evaluate(loss, flat(with_weights(batch, 1, 0, 2, 0.5)), reduction=reduction)
    others = torch.arange(4) != 1
    assert got.grad[n : 2 * n].isnan().all()
    assert torch.equal(got.grad.view(4, n)[others], wanted.grad.view(4, n)[others])
    if reduction == "none":
        assert got.loss.isnan().tolist() == [False, True, False, False]
    else:
        assert got.loss.isnan()
