"""Batches of many lists: which are whose in the kernel of short lists (short_batch.cuh).

A block has eight consecutive lists where the average list is a warp's, one where it is longer. Of
eight lists, each warp solves one of up to 128 slots, and then all of them together the others.
"""

from __future__ import annotations

import pytest
import torch

from cuda_host.host_cases import every_loss, forward, hold, same_bits, sanitize
from support.batches import Batch, flat, padded_lengths
from support.cases import Case, generator_for


def lognormal_sizes(count: int, median: float, sigma: float, most: int) -> tuple[int, ...]:
    """Lengths as in logs of queries: most are short, some much longer than the average."""
    normal = torch.randn(count, generator=generator_for(f"lognormal {count} {median}"))
    return tuple(torch.exp(normal * sigma).mul(median).long().clamp(0, most).tolist())


RAGGED = lognormal_sizes(40, median=60, sigma=1.1, most=500)


@sanitize
@every_loss
def test_lognormal(loss: str, on_short_host) -> None:
    case = Case("lognormal", RAGGED, "of both kinds, some empty", labels="grades")
    assert min(RAGGED) < 10 and sum(size > 128 for size in RAGGED) > 5
    hold(case, loss, torch.float32, reduction="mean")
    hold(case, loss, torch.float32, reduction="list_mean", form=padded_lengths)


@sanitize
@pytest.mark.parametrize("reduction", ["mean", "none"])
@every_loss
def test_lists_in_blocks_of_eight_or_one(loss: str, reduction: str, short_host) -> None:
    """A list has the same bits in either, for K margins, too."""
    batch = Case("blocks", RAGGED[:14], "", labels="grades").batch(torch.float32)
    longest = Case("longest", (500,) * 20, "", labels="grades").batch(torch.float32)
    options = {"reduction": reduction, "margins": torch.tensor([1.0, -0.5], dtype=torch.float64)}
    assert len(batch.scores) <= 14 * 128 < len(longest.scores) / 20 * 14
    eights = forward(short_host, flat(batch), loss, **options)
    ones = forward(short_host, flat(Batch.join([batch, longest])), loss, **options)
    assert same_bits(eights["raw_grad"], ones["raw_grad"][:, : len(batch.scores)])
    assert same_bits(eights["margin_slope"], ones["margin_slope"][:, :14])


def test_long_lists_anywhere(short_host) -> None:
    """Together at either end or scattered, a list has the same bits."""
    sizes = (300, 200, 130) + (3,) * 20
    batch = Case("places", sizes, "", labels="grades").batch(torch.float32)
    lists = batch.lists()
    wanted = forward(short_host, flat(batch), "hinge", reduction="none")
    grads = batch.split(wanted["raw_grad"][0])
    for seed in (1, 2):
        order = torch.randperm(len(sizes), generator=generator_for(f"places {seed}")).tolist()
        moved = Batch(
            torch.cat([lists[i].scores for i in order]),
            torch.cat([lists[i].labels for i in order]),
            tuple(sizes[i] for i in order),
        )
        results = forward(short_host, flat(moved), "hinge", reduction="none")
        assert same_bits(results["loss"], wanted["loss"][order])
        for i, grad in zip(order, moved.split(results["raw_grad"][0]), strict=True):
            assert same_bits(grad, grads[i])
