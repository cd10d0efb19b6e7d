"""Ranks, gains and discounts, item by item, for the oracles of the learning-to-rank losses."""

from __future__ import annotations

import math


def ranks_of(scores: list) -> list[int]:
    """1-based, by descending score, equal scores by position."""
    ranks = [0] * len(scores)
    for rank, item in enumerate(sorted(range(len(scores)), key=lambda i: (-scores[i], i)), 1):
        ranks[item] = rank
    return ranks


def discount(rank: int, discounts: list | None) -> float:
    if discounts is None:
        return 1 / math.log2(1 + rank)
    return discounts[rank - 1] if rank <= len(discounts) else 0.0


def gains_of(labels: list, gains: list | None, gain: str) -> list[float]:
    """Exponential gains come divided by 2^(largest label), where that is more than 1."""
    if gains is not None:
        return [float(value) for value in gains]
    if gain == "linear":
        return [float(label) for label in labels]
    top = max([0.0, *(float(label) for label in labels)])
    if math.isinf(top):
        return [math.nan] * len(labels)
    return [2.0 ** (float(label) - top) - 2.0**-top for label in labels]


def max_dcg(gains: list[float], discounts: list | None = None, k: int | None = None) -> float:
    best = sorted(gains, reverse=True)[:k]
    return math.fsum(g * discount(r, discounts) for r, g in enumerate(best, 1))


def normalised(
    gains: list[float], discounts: list | None = None, k: int | None = None
) -> list[float]:
    ideal = max_dcg(gains, discounts, k)
    return [g / ideal if ideal > 0 else 0.0 for g in gains]


def statistics_of(
    scores: list,
    labels: list,
    gains: list | None = None,
    gain: str = "exponential",
    discounts: list | None = None,
    k: int | None = None,
) -> tuple[int, float, float]:
    """Number of pairs, how many are in order (ties 1/2), NDCG."""
    n, pairs, in_order = len(scores), 0, 0.0
    for i in range(n):
        for j in range(n):
            if labels[i] > labels[j]:
                pairs += 1
                in_order += 1.0 if scores[i] > scores[j] else 0.5 * (scores[i] == scores[j])
    gains = gains_of(labels, gains, gain)
    if not all(map(math.isfinite, gains)):
        return pairs, in_order, math.nan
    ranked = zip(gains, ranks_of(scores), strict=True)
    dcg = math.fsum(g * discount(r, discounts) for g, r in ranked if k is None or r <= k)
    ideal = max_dcg(gains, discounts, k)
    return pairs, in_order, dcg / ideal if ideal > 0 else math.nan
