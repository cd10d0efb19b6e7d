"""Without memory there is an exception that says so, and the next call is right."""

from __future__ import annotations

import sys

import pytest
import torch

from fused_rankloss import ops
from support.isolated import run_python

PROGRAM = """
import resource, torch
import fused_rankloss as F

torch.set_num_threads(2)
torch.manual_seed(0)
n, rows = 4_000_000, 3_000
scores, labels = torch.randn(n, requires_grad=True), torch.randint(0, 3, (n,))
wide = torch.randn(2 * n)[::2].requires_grad_()
x, classes = torch.randn(rows, 64, requires_grad=True), torch.arange(rows) % 3
triplets = [torch.randn(100_000, 64, requires_grad=True) for _ in range(3)]
CALLS = {{
    "pairwise": lambda: F.pairwise_hinge_loss(scores, labels),
    "strided": lambda: F.pairwise_hinge_loss(wide, labels),
    "lambda": lambda: F.lambda_loss(scores, labels, k=5),
    "listwise": lambda: F.list_mle_loss(scores, labels),
    "triplet": lambda: F.triplet_loss(*triplets).backward(),
    "all": lambda: F.batch_all_triplet_loss(x, classes),
}}
F.pairwise_hinge_loss(torch.randn(300_000), torch.randint(0, 3, (300_000,)))  # threads are there
torch.zeros(1_000_000).add_(1)  # and those of OpenMP, which would end the process

def used():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

limit = resource.getrlimit(resource.RLIMIT_AS)
kinds = set()
for free in ({free}):
    resource.setrlimit(resource.RLIMIT_AS, (used() + (free << 20), limit[1]))
    try:
        CALLS["{name}"]()
    except (MemoryError, torch.OutOfMemoryError) as error:
        resource.setrlimit(resource.RLIMIT_AS, limit)
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError):
            assert text.startswith("fused_rankloss: out of memory: could not allocate"), text
            assert "elements" in text
        assert "/" not in text.replace("can't", ""), text
        kinds.add(type(error).__name__)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
print(*kinds)
print(F.pairwise_hinge_loss(torch.tensor([0.0, 1.0]), torch.tensor([1, 0])).item())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_AS of Linux")
@pytest.mark.parametrize("name", ["pairwise", "strided", "lambda", "listwise", "triplet", "all"])
def test_out_of_memory(name: str) -> None:
    program = PROGRAM.format(name=name, free="0, 1, 4, 16, 40, 80")
    kinds, after = run_python(program).splitlines()
    assert set(kinds.split()) <= {"OutOfMemoryError", "MemoryError"} and kinds
    assert float(after) == 2.0


def test_a_tensor_that_cannot_be() -> None:
    """What torch itself refuses to allocate: the size, and no line of a header."""
    program = """
    import torch
    import fused_rankloss as F
    try:
        F.pairwise_hinge_loss(torch.empty(2**42, 0), torch.empty(2**42, 0))
    except torch.OutOfMemoryError as error:
        print(error)
    """
    text = run_python(program)
    assert "could not allocate a tensor of 4398046511104 elements" in text
    assert "line " not in text and ".h" not in text


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        ("", torch.OutOfMemoryError),
        (": CUDA out of memory. Tried to allocate 2.00 GiB", torch.OutOfMemoryError),
        (": CUDA error: out of memory", torch.OutOfMemoryError),
        (": CUDA error: device-side assert triggered", RuntimeError),
    ],
)
def test_only_a_lack_of_memory_is_called_so(cause: str, kind: type[Exception]) -> None:
    """An error that an earlier kernel has left shows in the next allocation, too."""

    def op() -> None:
        raise RuntimeError(
            f"fused_rankloss: out of memory: could not allocate a tensor of 3 elements{cause}"
        )

    with pytest.raises(kind, match="could not allocate a tensor of 3 elements") as raised:
        ops.call(op)
    assert raised.type is kind
    assert str(raised.value).endswith(cause)
    assert ("out of memory" in str(raised.value)) == (kind is torch.OutOfMemoryError)
