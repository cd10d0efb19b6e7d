"""Calls leave no memory behind, whether they return or raise."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.isolated import python_environment, run_python

# One string of a call would be 32 bytes and what the allocator adds.
LEAK_BYTES = 16
CALLS = 2_000

# A process of its own, with one thread: the numbers are of the whole process. Its first calls pay
# for caches; what Python allocates itself is not malloc's.
MEASURE = """
import ctypes
import torch
import fused_rankloss as F
from fused_rankloss import ops

fields = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in fields.split()]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Mallinfo

torch.set_num_threads(1)
torch.manual_seed(0)
scores = torch.randn(2, 4, requires_grad=True)
labels = torch.tensor([[2, 0, 1, 0], [1, 1, 0, 2]])
rows = torch.randn(8, 3, requires_grad=True)
classes = torch.arange(8) // 2

def refused():
    try:
        ops.batch_triplet_forward(rows, classes, None, None, None, 1.0, False, "no such mining",
                                  "euclidean", 0.0, "mean", False, False)
    except ValueError:
        return
    raise AssertionError("expected a ValueError")

CALLS = {{
    "pairwise": lambda: F.pairwise_hinge_loss(scores, labels).backward(),
    "lambda": lambda: F.lambda_loss(scores, labels).backward(),
    "listwise": lambda: F.listnet_loss(scores, labels).backward(),
    "triplet": lambda: F.triplet_loss(rows, rows + 1, rows - 1).backward(),
    "hard": lambda: F.batch_hard_triplet_loss(rows, classes).backward(),
    "semi_hard": lambda: F.batch_semi_hard_triplet_loss(rows, classes).backward(),
    "all": lambda: F.batch_all_triplet_loss(rows, classes).backward(),
    "refused": refused,
}}
call = CALLS["{name}"]
for _ in range({calls} // 4):
    call()
before = mallinfo().uordblks
for _ in range({calls}):
    call()
print((mallinfo().uordblks - before) / {calls})
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="needs mallinfo2 of glibc 2.33",
)
@pytest.mark.parametrize(
    "name", ["pairwise", "lambda", "listwise", "triplet", "hard", "semi_hard", "all", "refused"]
)
def test_calls_leave_nothing_behind(name: str) -> None:
    grown = float(run_python(MEASURE.format(name=name, calls=CALLS)))
    assert grown < LEAK_BYTES, f"{grown:.1f} bytes per call"


DROPS = """
import ctypes

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]

def test_allocations():
    for _ in range(10):
        address = libc.malloc(32)
        if {freed}:
            libc.free(address)
"""


@pytest.mark.sanitize
@pytest.mark.skipif("libasan" not in os.environ.get("LD_PRELOAD", ""), reason="see make sanitize")
@pytest.mark.parametrize("freed", [True, False])
def test_a_leak_fails_the_session(tmp_path: Path, freed: bool) -> None:
    file = tmp_path / "test_drops.py"
    file.write_text(DROPS.format(freed=freed))
    command = [sys.executable, "-m", "pytest", "-s", "-p", "leaks", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(file)],
        env=python_environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "1 passed" in done.stdout
    assert ("LeakSanitizer: detected memory leaks" in done.stderr) == (not freed)
    assert done.returncode == (0 if freed else 1), done.stdout + done.stderr
