"""A signal ends a long call on the CPU, and what its handler raises arrives as it is."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from fused_rankloss import _extension, ops
from support.isolated import HERE, python_environment

# A call that would take a minute or more on one thread, in the same process as its handler.
PROGRAM = """
import signal, sys, torch
import fused_rankloss as F

torch.set_num_threads({threads})
torch.manual_seed(0)

class Stop(Exception):
    pass

def handler(number, frame):
    raise Stop("by the handler")

# A shell's background job starts with the signal ignored: Python's own handler is set, too.
signal.signal(signal.SIGINT, handler if {own} else signal.default_int_handler)
scores = torch.randn({n}, requires_grad=True)
labels = torch.randint(0, 5, ({n},))
rows = torch.randn(16384, 64)
classes = torch.arange(16384) % 8
print("ready", flush=True)
try:
    while True:
        if "{family}" == "lambda":
            F.lambda_loss(scores, labels, scheme="ndcg_loss2")
        else:
            F.batch_all_triplet_loss(rows, classes)
        print("returned", flush=True)
except (KeyboardInterrupt, Stop) as error:
    print(type(error).__name__, flush=True)
    # The next call works.
    print(F.pairwise_hinge_loss(scores[:10], labels[:10]).isfinite().item(), flush=True)
"""


@pytest.mark.parametrize("family", ["lambda", "triplet"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("own", [False, True], ids=["default_handler", "own_handler"])
def test_a_call_is_interrupted(family: str, threads: int, own: bool) -> None:
    program = PROGRAM.format(family=family, threads=threads, own=own, n=40_000)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=python_environment(),
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(1)  # into the call
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    # Uninterrupted, the call would return first.
    assert output.split() == ["Stop" if own else "KeyboardInterrupt", "True"]


def test_another_error_is_no_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a handler raised in a compiled graph, which cannot pass it on, hides no later error."""
    monkeypatch.setattr(_extension, "take_interruption", KeyboardInterrupt)

    def op(text: str) -> None:
        raise RuntimeError(text)

    with pytest.raises(RuntimeError, match="another error"):
        ops.call(op, "another error")
    with pytest.raises(KeyboardInterrupt):
        ops.call(op, "fused_rankloss: interrupted by a signal handler")
