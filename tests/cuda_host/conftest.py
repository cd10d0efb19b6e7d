"""The CUDA kernels, run by the host harness, in the place of the real ops."""

from __future__ import annotations

import os
from pathlib import Path

import host_build
import pytest
import torch

import fused_rankloss.ops

# `make sanitize` preloads AddressSanitizer; then the kernels are compiled for it, too.
SANITIZE = "libasan" in os.environ.get("LD_PRELOAD", "")


class HostOps:
    """The ops of pairwise_host.cpp. They check after each launch that its blocks were counted."""

    def __init__(self, library: Path):
        torch.ops.load_library(str(library))
        self._ops = torch.ops.fused_rankloss_host

    def seed(self, seed: int) -> None:
        """Chooses the schedule of the launches that follow."""
        self._ops.set_seed(seed)

    def pairwise_forward(self, *arguments):
        results = self._ops.pairwise_forward(*arguments)
        atomics, blocks = self._ops.last_launch()
        assert atomics == blocks, "every block counts itself as finished, once and atomically"
        return results

    def lists_backward(self, *arguments):
        return self._ops.lists_backward(*arguments)


@pytest.fixture(scope="session")
def host(pytestconfig: pytest.Config) -> HostOps:
    if mutant := os.environ.get("FUSED_RANKLOSS_HOST_LIBRARY"):  # of mutants.py
        return HostOps(Path(mutant))
    if not host_build.have_compiler():
        pytest.skip("no C++ compiler")
    folder = pytestconfig.cache.mkdir("cuda_host")
    return HostOps(
        host_build.build("pairwise_host.cpp", folder, uses_torch=True, sanitize=SANITIZE)
    )


@pytest.fixture
def on_host(host: HostOps, monkeypatch: pytest.MonkeyPatch) -> HostOps:
    """Lets the public functions compute CPU tensors with the CUDA kernels."""
    monkeypatch.setattr(fused_rankloss.ops, "pairwise_forward", host.pairwise_forward)
    monkeypatch.setattr(fused_rankloss.ops, "lists_backward", host.lists_backward)
    host.seed(0)
    return host
