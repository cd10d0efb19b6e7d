"""Batches of many lists: who takes which in the kernel of short lists (list_tickets.cuh).

Blocks take the lists of more than 128 slots first, then each of their warps takes others: a list
at a time, or with fewer tickets than lists, several.
"""

from __future__ import annotations

import pytest
import torch
from host_cases import every_loss, forward, hold, same_bits, sanitize

from batches import Batch, flat, padded_lengths
from cases import Case, generator_for


def lognormal_sizes(count: int, median: float, sigma: float, most: int) -> tuple[int, ...]:
    """Lengths as in logs of queries: most are short, some much longer than the average."""
    normal = torch.randn(count, generator=generator_for(f"lognormal {count} {median}"))
    return tuple(torch.exp(normal * sigma).mul(median).long().clamp(0, most).tolist())


RAGGED = lognormal_sizes(40, median=60, sigma=1.1, most=500)


@pytest.fixture(params=[0, 9, 1], ids=["single", "some", "most"])
def teams(request: pytest.FixtureRequest, short_host):
    """Sets how many blocks there are; lists come one by one, four at a time, or eight and more."""
    yield lambda blocks=3: short_host.teams(blocks=blocks, tickets=request.param)
    short_host.teams()


@sanitize
@every_loss
def test_lognormal(loss: str, on_short_host, teams) -> None:
    teams()
    case = Case("lognormal", RAGGED, "of both kinds, some empty", labels="grades")
    assert min(RAGGED) < 10 and sum(size > 128 for size in RAGGED) > 5
    hold(case, loss, torch.float32, reduction="mean")
    hold(case, loss, torch.float32, reduction="list_mean", form=padded_lengths)


@sanitize
@pytest.mark.parametrize("reduction", ["mean", "none"])
@every_loss
def test_any_number_of_blocks_gives_the_same_bits(
    loss: str, reduction: str, short_host, teams
) -> None:
    short_host.slow_double(False)
    call = flat(Case("blocks", RAGGED[:14], "", labels="grades").batch(torch.float32))
    options = {"reduction": reduction, "margins": torch.tensor([1.0, -0.5], dtype=torch.float64)}
    results = []
    for blocks in (1, 3, 10):
        teams(blocks)
        short_host.seed(blocks)
        results.append(forward(short_host, call, loss, **options))
    short_host.seed(0)
    for other in results[1:]:
        for name, tensor in results[0].items():
            assert same_bits(tensor, other[name]), name


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
