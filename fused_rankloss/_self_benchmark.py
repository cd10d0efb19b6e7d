"""Times the losses beside what people write in eager PyTorch, on this machine.

A first impression in at most two minutes. ``python -m benchmarks`` in the source folder is the
measurement: more cases, stronger baselines (sort + cumsum, torch.compile), memory.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

import fused_rankloss as frl

SECONDS = 60.0  # for all cases on all devices; the rest of two minutes is for what overshoots
MOST_ROUNDS = 51


# Of one tensor; Any, because the functions return a tuple with some options.
Loss = Callable[[Tensor], Any]


class Case(NamedTuple):
    name: str
    leaf: Tensor
    fused: Loss
    eager: Loss


def pair_matrix(scores: Tensor, labels: Tensor, term: Callable[[Tensor], Tensor]) -> Tensor:
    """The mean over all pairs of lists ``[B, N]``, from ``[B, N, N]`` differences."""
    is_pair = labels[:, :, None] > labels[:, None, :]
    terms = term(scores[:, :, None] - scores[:, None, :])
    return torch.where(is_pair, terms, 0).sum() / is_pair.sum()


def lambda_rank(scores: Tensor, labels: Tensor) -> Tensor:
    gains = 2.0**labels - 1
    positions = torch.arange(scores.shape[1], device=scores.device)
    discounts = 1 / torch.log2(positions + 2.0)
    best = (gains.sort(1, descending=True).values * discounts).sum(1, keepdim=True)
    discount = discounts[scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)]
    gains = gains / best
    weights = (gains[:, :, None] - gains[:, None, :]).abs()
    weights *= (discount[:, :, None] - discount[:, None, :]).abs()
    is_pair = labels[:, :, None] > labels[:, None, :]
    terms = weights * softplus(scores[:, None, :] - scores[:, :, None])
    return torch.where(is_pair, terms, 0).sum() / is_pair.sum()


def hardest(embeddings: Tensor, labels: Tensor) -> Tensor:
    distances = torch.cdist(embeddings, embeddings)
    same = labels[:, None] == labels
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    farthest = distances.masked_fill(~positive, -torch.inf).max(1).values
    nearest = distances.masked_fill(same, torch.inf).min(1).values
    return torch.relu(farthest - nearest + 1).mean()


def every_triplet(embeddings: Tensor, labels: Tensor) -> Tensor:
    distances = torch.cdist(embeddings, embeddings)
    same = labels[:, None] == labels
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    terms = torch.relu(distances[:, :, None] - distances[:, None, :] + 1)
    return terms[positive[:, :, None] & ~same[:, None, :]].mean()


def cases(device: torch.device) -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def scores(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    def labels(levels: int, *shape: int) -> Tensor:
        return torch.randint(levels, shape, generator=generator).to(device)

    binary, grades = labels(2, 1, 8192), labels(5, 256, 128)
    one_list, few = labels(5, 1, 2048), labels(5, 32, 512)
    fours, small = torch.arange(2048, device=device) // 4, torch.arange(256, device=device) // 4
    return [
        Case(
            "hinge, one list of 8,192",
            scores(1, 8192),
            lambda s: frl.pairwise_hinge_loss(s, binary),
            lambda s: torch.clamp(1 - s[binary > 0][:, None] + s[binary == 0], min=0).mean(),
        ),
        Case(
            "hinge, 256 lists of 128, 5 grades",
            scores(256, 128),
            lambda s: frl.pairwise_hinge_loss(s, grades),
            lambda s: pair_matrix(s, grades, lambda gap: torch.clamp(1 - gap, min=0)),
        ),
        Case(
            "RankNet, one list of 2,048, 5 grades",
            scores(1, 2048),
            lambda s: frl.pairwise_logistic_loss(s, one_list),
            lambda s: pair_matrix(s, one_list, lambda gap: softplus(-gap)),
        ),
        Case(
            "LambdaRank, 32 lists of 512",
            scores(32, 512),
            lambda s: frl.lambda_loss(s, few),
            lambda s: lambda_rank(s, few),
        ),
        Case(
            "batch-hard, 2,048 embeddings of 128",
            scores(2048, 128),
            lambda x: frl.batch_hard_triplet_loss(x, fours),
            lambda x: hardest(x, fours),
        ),
        Case(
            "batch-all, 256 embeddings of 128",
            scores(256, 128),
            lambda x: frl.batch_all_triplet_loss(x, small),
            lambda x: every_triplet(x, small),
        ),
    ]


def seconds_of(function: Loss, leaf: Tensor) -> float:
    leaf.grad = None
    if leaf.is_cuda:
        torch.cuda.synchronize(leaf.device)
    begin = time.perf_counter()
    function(leaf).backward()
    if leaf.is_cuda:
        torch.cuda.synchronize(leaf.device)
    return time.perf_counter() - begin


def measure(case: Case, budget: float) -> tuple[float, float, float]:
    """Medians in seconds, and the median of the ratios: the two take turns."""
    leaf = case.leaf.requires_grad_()
    end = time.perf_counter() + budget
    for function in (case.fused, case.eager):  # what is set up at the first call
        seconds_of(function, leaf)
    samples: list[tuple[float, float]] = []
    while len(samples) < 3 or (len(samples) < MOST_ROUNDS and time.perf_counter() < end):
        if len(samples) % 2 == 0:
            mine = seconds_of(case.fused, leaf)
            other = seconds_of(case.eager, leaf)
        else:
            other = seconds_of(case.eager, leaf)
            mine = seconds_of(case.fused, leaf)
        samples.append((mine, other))
    mine, other = (statistics.median(column) for column in zip(*samples, strict=True))
    return mine, other, statistics.median(other / mine for mine, other in samples)


def run(devices: list[torch.device]) -> None:
    print("\nForward and backward of float32 inputs, medians; the two implementations take turns.")
    print(f"{'':38} {'device':8} {'fused':>10} {'eager':>10} {'eager / fused':>14}")
    for device in devices:
        on_device = cases(device)
        for case in on_device:
            print(f"{case.name:38} {device!s:8}", end=" ", flush=True)
            try:
                mine, other, ratio = measure(case, SECONDS / len(devices) / len(on_device))
            except torch.OutOfMemoryError:
                print("out of memory")
                continue
            print(f"{1e3 * mine:7.2f} ms {1e3 * other:7.1f} ms {ratio:13.1f}x", flush=True)
