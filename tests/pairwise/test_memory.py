"""Peak memory is linear in the number of scores, with a constant that is promised."""

from __future__ import annotations

import pytest

from support.cases import LOSSES
from support.isolated import run_python

pytestmark = pytest.mark.slow

# Bytes a score beyond scores and labels, forward and backward together: the promise.
EXTRA_BYTES = 40

# /proc/self/clear_refs resets the high-water mark to what is resident now, so that neither the
# import of torch nor the making of the inputs counts. A warm-up of the same kind of call first pays
# for thread pools and code pages.
MEASURE = """
import torch
from support.cases import LOSSES

def peak():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024

def call(lists, width):
    torch.manual_seed(0)
    shape = (lists, width) if lists > 1 else (width,)
    scores = torch.randn(shape, dtype=torch.float32).requires_grad_()
    labels = torch.empty(shape, dtype=torch.int8).random_(0, {grades})
    with open("/proc/self/clear_refs", "w") as control:
        control.write("5")
    before = peak()
    LOSSES["{loss}"](scores, labels).backward()
    return peak() - before

torch.set_num_threads(2)
lists, width = {lists}, {width}
call(lists, width)
print(call(lists, width), call(4 * lists, width) if lists > 1 else call(1, 4 * width))
"""


def measure(loss: str, grades: int, lists: int, width: int) -> tuple[int, int]:
    code = MEASURE.format(loss=loss, grades=grades, lists=lists, width=width)
    small, large = map(int, run_python(code).split())
    return small, large


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("grades", [2, 5, 100], ids=["binary", "grades", "grades"])
@pytest.mark.parametrize(
    ("lists", "width"), [(1, 1_000_000), (8_000, 125)], ids=["one_list", "short_lists"]
)
def test_peak_memory(loss: str, grades: int, lists: int, width: int) -> None:
    """Four times the scores may take three times as much more, and no other term with it."""
    small, large = measure(loss, grades, lists, width)
    scores = lists * width
    extra = (large - small) / (3 * scores)
    assert 0 < extra <= EXTRA_BYTES, f"{extra:.1f} bytes a score"
    # A page of slack for every allocation would not show; a quadratic term would be 4e12 bytes.
    assert large <= 4 * scores * EXTRA_BYTES + (8 << 20)
