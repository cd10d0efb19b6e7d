"""The threads of the CPU kernels: forks, callers on several threads, more threads than cores."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import fused_rankloss
from support.isolated import HERE, python_environment, run_python

pytestmark = pytest.mark.sanitize


def inputs() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    scores, one_list = (torch.randn(*s, generator=generator) for s in ((300, 100), (1, 70_000)))
    labels = [torch.randint(0, 4, x.shape, generator=generator) for x in (scores, one_list)]
    embeddings = torch.randn(300, 16, generator=generator)
    return [scores, labels[0], one_list, labels[1], embeddings, torch.arange(300) // 4]


def results(tensors: list[torch.Tensor] | None = None) -> list[bytes]:
    """Losses and gradients of short lists, one long list and embeddings: many tasks each.

    Bytes, since torch compares large tensors on threads of OpenMP, which a forked child must not.
    """
    losses = ("pairwise_hinge_loss", "pairwise_hinge_loss", "batch_hard_triplet_loss")
    tensors = inputs() if tensors is None else tensors
    found = []
    for name, values, labels in zip(losses, tensors[::2], tensors[1::2], strict=True):
        values = values.detach().requires_grad_()
        loss = getattr(fused_rankloss, name)(values, labels)
        loss.backward()
        found += [loss.detach().numpy().tobytes(), values.grad.numpy().tobytes()]
    return found


def test_a_forked_child_has_threads_of_its_own() -> None:
    """Data loaders fork when the parent has computed; its threads are not in the child."""
    run_python(
        """
        import os
        import torch
        from package.test_threads import inputs, results

        torch.set_num_threads(3)
        tensors = inputs()
        wanted = results(tensors)
        children = []
        for _ in range(3):  # and children's children
            child = os.fork()
            if child:
                children.append(child)
            else:
                children = []
            assert results(tensors) == wanted
        assert all(os.waitpid(child, 0)[1] == 0 for child in children)
        """
    )


def test_callers_on_several_threads() -> None:
    wanted = results()
    with ThreadPoolExecutor(4) as callers:
        for found in callers.map(lambda _: results(), range(12)):
            assert found == wanted


def test_the_number_of_threads_may_change() -> None:
    wanted = results()
    before = torch.get_num_threads()
    try:
        for threads in (1, 16, 2, 5):
            torch.set_num_threads(threads)
            assert results() == wanted, threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="needs all addresses")
def test_no_thread_can_be_made() -> None:
    """Their stacks find no room: the caller does all the work."""
    code = """if True:
        import hashlib, re, resource
        from package.test_threads import inputs, results

        tensors = inputs()
        size = 1024 * int(re.search(r"VmSize:\\s*(\\d+)", open("/proc/self/status").read())[1])
        resource.setrlimit(resource.RLIMIT_AS, (size + 2**32,) * 2)
        print(hashlib.sha256(b"".join(results(tensors))).hexdigest())
        """
    large = 2**36  # bytes of stack for each thread, from the start of the process on
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=HERE,
        env=python_environment(OMP_NUM_THREADS="4", OPENBLAS_NUM_THREADS="1"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (large, large)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == hashlib.sha256(b"".join(results())).hexdigest()
