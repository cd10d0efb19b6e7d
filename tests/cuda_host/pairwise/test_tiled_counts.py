"""The integers and bits of host-run kernels: counts are exact, schedules change nothing."""

from __future__ import annotations

import pytest
import torch

from cuda_host.host_cases import every_dtype, every_loss, forward, many_labels, same_bits, sanitize
from support.batches import Batch, flat, one_list
from support.cases import (
    Case,
    generator_for,
    name_of,
)

SEEDS = (1, 2, 3)
LABEL_DTYPES = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
)


@sanitize
@every_dtype
@pytest.mark.parametrize("label_dtype", LABEL_DTYPES, ids=name_of)
def test_counts_are_exact(dtype: torch.dtype, label_dtype: torch.dtype, host) -> None:
    generator = generator_for(f"{dtype} {label_dtype}")
    n = 300
    scores = torch.randint(-12, 13, (n,), generator=generator).to(dtype) / 4
    labels = many_labels(label_dtype, n, generator)
    for inclusive in (0.0, 1.0):
        results = forward(
            host, one_list(Batch(scores, labels, (n,))), "hinge", boundary_grad=inclusive
        )
        s, reach = scores.double()[:, None], scores.double()[None, :] + 1
        pairs = labels[:, None] > labels[None, :]
        violating = pairs & ((s <= reach) if inclusive else (s < reach))
        assert results["raw_grad"].dtype == torch.int32
        assert torch.equal(results["raw_grad"][0].long(), violating.sum(0) - violating.sum(1))
        assert results["margin_slope"].item() == violating.sum()
        mean = forward(host, one_list(Batch(scores, labels, (n,))), "hinge", reduction="mean")
        assert mean["list_scale"].item() == 1 / pairs.sum().item()


def test_boundary_is_decided_in_double_precision(host) -> None:
    """0.1 has no fp32: s + 0.1 lies between neighbours, and no s_i sits on the boundary."""
    s = torch.rand(200, generator=generator_for("boundary"))
    scores = torch.cat([s, (s.double() + 0.1).float(), (s - 0.1)])
    labels = torch.arange(600) % 7
    results = forward(host, one_list(Batch(scores, labels, (600,))), "hinge", margin=0.1)
    violating = (labels[:, None] > labels[None, :]) & (
        scores.double()[:, None] <= scores.double()[None, :] + 0.1
    )
    assert torch.equal(results["raw_grad"][0].long(), violating.sum(0) - violating.sum(1))


@sanitize
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "list_mean"])
@every_loss
def test_schedules_agree_bit_for_bit(loss: str, reduction: str, weighted: bool, host) -> None:
    case = Case("seeds", (70, 3, 0, 1100, 200), "", labels="grades", weighted=weighted)
    call = flat(case.batch(torch.float32))
    results = []
    for seed in SEEDS:
        host.seed(seed)
        results.append(forward(host, call, loss, reduction=reduction))
    for other in results[1:]:
        for name, tensor in results[0].items():
            assert same_bits(tensor, other[name]), name
