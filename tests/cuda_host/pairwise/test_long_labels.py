"""Labels of every type and number of grades, and margins on the boundary, in the long-list kernels.

What they count is compared exactly: up to eight grades are looked up, more are sorted by byte.
"""

from __future__ import annotations

import pytest
import torch

from cuda_host.host_cases import forward, many_labels, sanitize
from support.batches import Batch, one_list
from support.cases import generator_for

LABEL_DTYPES = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
)


@sanitize
@pytest.mark.parametrize("label_dtype", LABEL_DTYPES, ids=str)
def test_counts_are_exact(label_dtype: torch.dtype, long_host) -> None:
    long_host.set()
    generator = generator_for(f"{label_dtype}")
    n = 300
    scores = torch.randint(-12, 13, (n,), generator=generator) / 4
    labels = many_labels(label_dtype, n, generator)
    for inclusive in (0.0, 1.0):
        call = one_list(Batch(scores, labels, (n,)))
        results = forward(long_host, call, "hinge", boundary_grad=inclusive)
        s, reach = scores.double()[:, None], scores.double()[None, :] + 1
        pairs = labels[:, None] > labels[None, :]
        violating = pairs & ((s <= reach) if inclusive else (s < reach))
        assert torch.equal(results["raw_grad"][0].long(), violating.sum(0) - violating.sum(1))
        assert results["margin_slope"].item() == violating.sum()
    mean = forward(long_host, call, "hinge", reduction="mean")
    assert mean["list_scale"].item() == 1 / pairs.sum().item()


@pytest.mark.parametrize("grades", [1, 2, 3, 7, 8, 9, 10])
@pytest.mark.parametrize("lowest", [-(2**63), -1, 2**63 - 10])
def test_numbers_of_grades(grades: int, lowest: int, long_host) -> None:
    """Eight grades and the least int64 fit in the table, any more are sorted."""
    long_host.set()
    scores = torch.randn(200, generator=generator_for("grades"))
    rank = torch.arange(200) % grades
    counts = []
    for labels in (rank + lowest, rank.double()):
        counts.append(forward(long_host, one_list(Batch(scores, labels, (200,))), "hinge"))
    pairs = rank[:, None] > rank[None, :]
    violating = pairs & (scores.double()[:, None] <= scores.double()[None, :] + 1)
    for results in counts:
        assert torch.equal(results["raw_grad"][0].long(), violating.sum(0) - violating.sum(1))


@pytest.mark.parametrize(
    "bits",
    [
        (24, 25, 26, 27),  # one byte in the middle
        (8, 16, 32, 48),  # the lowest bit of bytes
        (7, 31, 55, 63),  # the highest
    ],
    ids=str,
)
def test_bytes_in_which_labels_differ(bits: tuple[int, ...], long_host) -> None:
    """Sixteen grades are sorted, in passes over just the bytes that vary."""
    long_host.set()
    generator = generator_for("bytes")
    scores = torch.randn(200, generator=generator)
    grade = torch.randperm(200, generator=generator) % 16
    labels = sum((grade >> t & 1) << bit for t, bit in enumerate(bits))
    results = forward(long_host, one_list(Batch(scores, labels, (200,))), "hinge")
    violating = (labels[:, None] > labels[None, :]) & (
        scores.double()[:, None] <= scores.double()[None, :] + 1
    )
    assert torch.equal(results["raw_grad"][0].long(), violating.sum(0) - violating.sum(1))


def test_boundary_is_decided_in_double_precision(long_host) -> None:
    """0.1 has no fp32: s + 0.1 lies between neighbours, and no s_i sits on the boundary."""
    long_host.set()
    s = torch.rand(200, generator=generator_for("boundary"))
    scores = torch.cat([s, (s.double() + 0.1).float(), (s - 0.1)])
    labels = torch.arange(600) % 7
    call = one_list(Batch(scores, labels, (600,)))
    results = forward(long_host, call, "hinge", margin=0.1)
    violating = (labels[:, None] > labels[None, :]) & (
        scores.double()[:, None] <= scores.double()[None, :] + 0.1
    )
    assert torch.equal(results["raw_grad"][0].long(), violating.sum(0) - violating.sum(1))
