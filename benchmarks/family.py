"""What every family of losses brings to the benchmarks: cases, batches, providers, an exact answer.

A family is a folder beside this file, as ``lists``; ``families`` holds the table.
"""

from __future__ import annotations

import functools
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import psutil
import torch
from torch import Tensor

FUSED = "fused"  # the provider that is this package, in every family
MARGIN = 1.0
PRESETS = ("quick", "default", "full")  # each holds the ones before it
DTYPES = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
    "fp64": torch.float64,
}

# Relative error that is not one of method but of rounding; half dtypes round the gradient itself,
# and baselines compute in them.
TOLERANCE = {"fp64": 1e-9, "fp32": 1e-4, "bf16": 3e-2, "fp16": 4e-3}


@dataclass(frozen=True, kw_only=True)
class Case(ABC):
    """What is measured, as data. Each family adds its shape."""

    loss: str
    data: str = ""  # a row of the family's DATA
    dtype: str = "fp32"  # fp32 | fp64 | bf16 | fp16
    mode: str = "full"  # forward, or full: forward + backward
    preset: str = "default"  # the first preset that runs it
    cuda_only: bool = False  # more than a CPU should be asked for

    @property
    @abstractmethod
    def shape(self) -> str:
        """As 4096x128."""

    @abstractmethod
    def warm_up(self) -> Case:
        """As small as it can be and still run the same code."""

    @property
    def name(self) -> str:
        return f"{self.shape} {self.data}".strip()

    @property
    def key(self) -> str:
        """What ``--only`` matches and goals refer to."""
        return f"{self.loss}/{self.name}/{self.dtype}/{self.mode}"


class Batch(ABC):
    """The tensors of a case, and what a result row says about them."""

    case: Case
    num_lists: int
    length: int  # of a list, their mean where ragged; or the number of embeddings
    num_scores: int  # numbers in the input
    levels: int  # different labels
    device: torch.device


@dataclass
class Call:
    """A provider made ready for one batch: ``run(**tensors)`` is what is timed."""

    run: Callable[..., Tensor]
    tensors: dict[str, Tensor]  # go by name to run
    keep: dict[str, Any] = field(default_factory=dict)  # further arguments of run
    leaves: tuple[str, ...] = ("scores",)  # the tensors that get a gradient
    picks: Callable[[], tuple[Tensor, Tensor]] | None = None  # what was mined, where it says so

    def __call__(self, **tensors: Tensor) -> Tensor:
        return self.run(**tensors, **self.keep)


@dataclass(frozen=True)
class Provider:
    name: str
    label: str  # for people
    prepare: Callable[[Any], Call]  # takes the family's batch
    applies: Callable[[Any, str], bool]  # to the family's case on a device
    # If the work grows faster than the input: the number of pairs computed, the bytes per pair,
    # and the number of pairs that are computed in the time that a preset allows for a provider.
    pairs: Callable[[Any], int] | None = None
    pair_bytes: int = 0
    pair_speed: float = 1
    has_loss: bool = True  # False: a yardstick that computes none
    checked: bool = True  # the loss is that of the case
    compiles: bool = False  # takes seconds before its first result
    captured: bool = False  # timed as the replay of a CUDA graph
    slack: float = 0.0  # relative error allowed to its gradient beyond rounding
    package: str | None = None  # it needs, beyond what this package needs
    max_scores: int | None = None  # of the log-linear ones that would only take minutes

    @property
    def installed(self) -> bool:
        return self.package is None or find_spec(self.package) is not None


@dataclass(frozen=True)
class Family:
    name: str  # what ``--family`` takes
    titles: dict[str, str]  # of its losses, for people
    case: type[Case]
    cases: tuple[Case, ...]
    small_cases: tuple[Case, ...]  # for pytest-benchmark: every path, in seconds
    providers: tuple[Provider, ...]
    make_batch: Callable[[Any, int, str], Batch]  # of a case, with a seed, on a device
    exact: Callable[[Any], Any]  # the answer in float64
    disagreement: Callable[[Any, Any, Provider, Call, Tensor, list[Tensor] | None], str | None]
    compares_memory: Callable[[Any], bool]  # whether a case's baselines have theirs measured too
    measurable_scores: int  # of smaller cases the CPU's peak memory is noise

    def provider(self, name: str) -> Provider:
        return next(provider for provider in self.providers if provider.name == name)


@functools.cache
def compiled(function: Callable[..., Tensor], device: torch.device) -> Callable[..., Tensor]:
    if device.type == "cpu" and shutil.which("c++") is None:
        raise RuntimeError("torch.compile needs a C++ compiler")
    return torch.compile(function, dynamic=True)


def reason_to_skip(provider: Provider, batch: Batch, max_pairs: int) -> str | None:
    """Why a provider that applies is left out of a case; None if it runs."""
    if provider.max_scores is not None and batch.num_scores > provider.max_scores:
        return f"more than {provider.max_scores:.0e} scores would take minutes"
    if provider.pairs is None:
        return None
    pairs = provider.pairs(batch)
    if batch.device.type == "cuda":
        available = torch.cuda.mem_get_info(batch.device)[0]
    else:
        available = psutil.virtual_memory().available
    element = max(DTYPES[batch.case.dtype].itemsize, 4)
    needed = pairs * provider.pair_bytes * element // 4
    usable = 0.8 * available
    if needed > usable:
        return f"would need {needed / 2**30:.0f} GiB, has {usable / 2**30:.0f} GiB"
    if pairs > max_pairs * provider.pair_speed:
        return f"{pairs:.1e} pairs would take too long in this preset"
    return None


def wrong_loss(loss: Tensor, exact: float, tolerance: float) -> str | None:
    """What is wrong with a loss, in words; None if nothing is."""
    if abs(float(loss) - exact) <= tolerance * abs(exact):
        return None
    return f"loss {float(loss):.9g} where {exact:.9g} is exact"


def wrong_gradient(grad: Tensor, exact: Tensor, tolerance: float) -> str | None:
    """The same of a gradient."""
    error = float((grad.double() - exact).norm() / exact.norm())
    return None if error <= tolerance else f"gradient off by {error:.2g} of its norm"
