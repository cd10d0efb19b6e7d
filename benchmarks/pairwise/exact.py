"""The loss and gradient of a batch in float64, which a provider must give before it is timed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmarks.family import MARGIN, TOLERANCE, Call, Provider, wrong_gradient, wrong_loss
from benchmarks.pairwise.data import ListBatch
from benchmarks.pairwise.losses import LOSSES

_CHUNK_ENTRIES = 2**22  # float64 entries of a pair matrix held at once
_LONGEST_BY_PAIRS = 512  # longer lists of a batch are cheaper sorted one by one


def exact_loss(batch: ListBatch) -> tuple[float, Tensor]:
    """The mean loss over all pairs, and its gradient for the flat scores."""
    loss = LOSSES[batch.case.loss]
    short = batch.offsets is None and batch.scores.dim() == 2
    short = short and batch.scores.shape[1] <= _LONGEST_BY_PAIRS
    scores = batch.scores.double().cpu().flatten()
    labels = batch.labels.cpu().flatten()
    weights = None if batch.weights is None else batch.weights.double().cpu().flatten()
    if loss.degree is None or short:
        total, pairs, grad = _by_pairs(batch, scores, labels, weights)
    else:
        grad = torch.zeros_like(scores)
        total = pairs = 0.0
        bounds = batch.bounds()
        for begin, end in zip(bounds, bounds[1:], strict=False):
            part = slice(begin, end)
            list_weights = np.ones(end - begin) if weights is None else weights[part].numpy()
            list_total, list_pairs = _by_sorting(
                scores[part].numpy(), labels[part].numpy(), list_weights, loss.degree,
                grad[part].numpy(),
            )  # fmt: skip
            total += list_total
            pairs += list_pairs
    return total / pairs, grad / pairs


def disagreement(
    batch: ListBatch,
    exact: tuple[float, Tensor],
    provider: Provider,
    call: Call,
    loss: Tensor,
    grads: list[Tensor] | None,
) -> str | None:
    """What is wrong with a provider's loss and gradient, in words; None if nothing is."""
    tolerance = TOLERANCE[batch.case.dtype]
    exact_value, exact_grad = exact
    wrong = wrong_loss(loss, exact_value, tolerance)
    if wrong is not None or grads is None:
        return wrong
    [grad] = grads
    mask = call.tensors.get("mask")
    flat = grad.flatten() if mask is None else grad[mask]  # of the real items
    return wrong_gradient(flat.cpu(), exact_grad, tolerance + provider.slack)


def _by_pairs(
    batch: ListBatch, scores: Tensor, labels: Tensor, weights: Tensor | None
) -> tuple[float, float, Tensor]:
    """Every pair, in chunks, differentiated by autograd: for batches of short lists, any loss."""
    term = LOSSES[batch.case.loss].term
    leaf = scores.clone().requires_grad_()
    weights = torch.ones_like(scores) if weights is None else weights
    bounds = batch.bounds()
    total = pairs = 0.0
    step = 1
    while bounds:
        if batch.offsets is None:  # equal lengths: several lists at once
            step = max(1, _CHUNK_ENTRIES // batch.scores.shape[-1] ** 2)
        lists = bounds[: step + 1]
        bounds = bounds[step:] if len(bounds) > step + 1 else []
        num_lists, part = len(lists) - 1, slice(lists[0], lists[-1])
        rows = max(1, _CHUNK_ENTRIES // (lists[-1] - lists[0]))
        length = (lists[-1] - lists[0]) // num_lists
        for first in range(0, length, rows):
            s, y, w = (t[part].view(num_lists, length) for t in (leaf, labels, weights))
            i = slice(first, first + rows)
            is_pair = y[:, i, None] > y[:, None, :]
            pair_weights = w[:, i, None] * w[:, None, :] * is_pair
            chunk = (pair_weights * term(MARGIN - s[:, i, None] + s[:, None, :])).sum()
            chunk.backward()
            total += chunk.item()
            pairs += pair_weights.sum().item()
    return total, pairs, leaf.grad


def _by_sorting(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray, degree: int, grad: np.ndarray
) -> tuple[float, float]:
    """One list; adds the gradient of the list's sum to ``grad``. Returns that sum and the pairs.

    For each level against all lower ones, both sides sorted: an item's pairs are a prefix or suffix
    of the other side, whose moments of order 0 to ``degree`` give the sum of gap ** degree.
    """
    order = np.argsort(scores)
    total = pairs = 0.0
    for level in np.unique(labels)[1:]:
        higher = order[labels[order] == level]
        lower = order[labels[order] < level]
        high, high_weights = scores[higher], weights[higher]
        low, low_weights = scores[lower], weights[lower]
        reach = low + MARGIN

        first = np.searchsorted(reach, high, side="left")
        moments = [_suffix_sums(low_weights * low**k)[first] for k in range(degree + 1)]
        x = MARGIN - high
        if degree == 1:
            value, slope = x * moments[0] + moments[1], moments[0]
        else:
            value = x * x * moments[0] + 2 * x * moments[1] + moments[2]
            slope = 2 * (x * moments[0] + moments[1])
        total += float(high_weights @ value)
        grad[higher] -= high_weights * slope
        del first, moments, x, value, slope  # a list of 1e8 is checked too

        last = np.searchsorted(high, reach, side="right")
        moments = [_prefix_sums(high_weights * high**k)[last] for k in range(degree)]
        slope = moments[0] if degree == 1 else 2 * (reach * moments[0] - moments[1])
        grad[lower] += low_weights * slope
        pairs += float(high_weights.sum() * low_weights.sum())
    return total, pairs


def _prefix_sums(values: np.ndarray) -> np.ndarray:
    """The sum of the first k values, for k = 0 .. n."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _suffix_sums(values: np.ndarray) -> np.ndarray:
    """The sum of the values from k on, for k = 0 .. n."""
    return _prefix_sums(values[::-1])[::-1]
