"""The kernels of listwise losses, run by the host harness in the place of the real op."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from cuda_host import host_build
from support.batches import Call
from support.ranking import Ranking

SHORT = 1024  # the longest list that a block has
KERNELS = {"short": SHORT, "long": 0}  # the crossover from one kernel to the other

every_loss = pytest.mark.parametrize("name", ["listnet", "list_mle", "p_list_mle", "approx_ndcg"])


class ListwiseHost:
    """The op of listwise_host.cpp."""

    def __init__(self, library: Path):
        torch.ops.load_library(str(library))
        self._ops = torch.ops.fused_rankloss_listwise_host
        self.set()

    def set(self, *, crossover: int = SHORT, blocks: int = 2, seed: int = 0) -> None:
        """Lists of more than ``crossover`` slots are long; ``blocks`` have them side by side."""
        self._ops.set_crossover(crossover)
        self._ops.set_blocks(blocks)
        self._ops.set_seed(seed)

    def listwise_forward(self, *arguments):
        results = self._ops.listwise_forward(*arguments)
        atomics, blocks = self._ops.last_launch()
        assert atomics == blocks, "every block counts itself as finished, once and atomically"
        return results


def load(cache: pytest.Cache) -> ListwiseHost:
    return ListwiseHost(host_build.library("launchers/listwise_host.cpp", cache))


LISTS = ("weights", "list_weights", "gains", "mask", "lengths", "offsets")


def forward(host: ListwiseHost, call: Call, ranking: Ranking, **options) -> dict[str, Tensor]:
    """The three results of the op itself."""
    arguments = {
        **dict.fromkeys(LISTS),
        **{"reduction": "sum", "position_weights": None, "temperature": 1.0, "needs_grad": True},
        **ranking.options,
        **call.options,
        **options,
    }
    weights = arguments["position_weights"]
    exponential = weights == "exponential"
    results = host.listwise_forward(
        call.scores,
        call.labels,
        *(arguments[name] for name in LISTS),
        None if exponential else weights,
        ranking.oracle_options["loss"],
        "exponential" if exponential else "none",
        arguments["temperature"],
        arguments.get("gain", "exponential"),
        arguments["reduction"],
        arguments["needs_grad"],
    )
    return dict(zip(("loss", "raw_grad", "list_scale"), results, strict=True))
