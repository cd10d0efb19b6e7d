"""Peak memory of the batch losses is linear in the number of embeddings."""

from __future__ import annotations

import pytest

from support.isolated import run_python

pytestmark = pytest.mark.slow

# Bytes per embedding beyond inputs, forward and backward together, for rows of DIM fp32 numbers:
# copies of the rows for the search, the gradient, and a few numbers per anchor.
DIM = 16
EXTRA_BYTES = 4 * DIM * 12 + 400
# Tiles and buffers of the threads, whatever the batch.
FIXED_BYTES = 16 << 20

# As in test_memory.py: the high-water mark is reset once the inputs are there, after a warm-up.
MEASURE = """
import torch
from support.embeddings import BATCH_LOSSES

def peak():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024

def call(n):
    torch.manual_seed(0)
    labels = torch.arange(n) // 4
    embeddings = torch.randn(n, {dim}) + labels[:, None] % 97
    embeddings.requires_grad_()
    with open("/proc/self/clear_refs", "w") as control:
        control.write("5")
    before = peak()
    BATCH_LOSSES["{mining}"](embeddings, labels).backward()
    return peak() - before

torch.set_num_threads(2)
call({n})
print(call({n}), call(4 * {n}))
"""


@pytest.mark.parametrize("mining", ["hard", "semi_hard", "all"])
def test_peak_memory(mining: str) -> None:
    """Three times as much more may take what four times the embeddings are promised, as the memory
    of the small call may have been there already. One byte a pair would be three times as much."""
    n = 1024
    code = MEASURE.format(mining=mining, n=n, dim=DIM)
    small, large = map(int, run_python(code).split())
    assert large - small <= 4 * n * EXTRA_BYTES, (small, large)
    assert large <= 4 * n * EXTRA_BYTES + FIXED_BYTES, (small, large)
