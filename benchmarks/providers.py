"""Who runs a case: the package, the baselines and the yard-sticks."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import psutil
import torch
from torch import Tensor

from benchmarks import baselines
from benchmarks.cases import Case
from benchmarks.data import Batch
from benchmarks.losses import LOSSES, MARGIN

FUSED = "fused"


@dataclass
class Call:
    """A provider made ready for one batch: ``run(**tensors)`` is what is timed."""

    run: Callable[..., Tensor]
    tensors: dict[str, Tensor]  # has "scores"; the others go by name to run
    keep: dict[str, object] = field(default_factory=dict)  # further arguments of run

    def __call__(self, **tensors: Tensor) -> Tensor:
        return self.run(**tensors, **self.keep)

    def flat_gradient(self, grad: Tensor) -> Tensor:
        """The gradient of the real items in the order of the flat batch."""
        mask = self.tensors.get("mask")
        return grad.flatten() if mask is None else grad[mask]


@dataclass(frozen=True)
class Provider:
    name: str
    label: str  # for people
    prepare: Callable[[Batch], Call]
    applies: Callable[[Case, str], bool]  # to the case on a device
    # Of the quadratic ones: the pairs they compute, the bytes a pair that they hold, and how many
    # pairs they compute in the time that eager takes for one.
    pairs: Callable[[Batch], int] | None = None
    pair_bytes: int = 0
    pair_speed: int = 1
    has_loss: bool = True  # False: a yard-stick that computes none
    checked: bool = True  # the loss is that of the case
    max_scores: int | None = None  # of the log-linear ones that would only take minutes


def _inputs(batch: Batch) -> dict[str, Tensor]:
    named = {
        "scores": batch.scores,
        "labels": batch.labels,
        "weights": batch.weights,
        "offsets": batch.offsets,
    }
    return {name: tensor for name, tensor in named.items() if tensor is not None}


def _fused(batch: Batch, impl: str = "auto") -> Call:
    function = LOSSES[batch.case.loss].fused
    return Call(function, _inputs(batch), {"margin": MARGIN, "impl": impl})


def _fused_binary(batch: Batch) -> Call:
    """The scores of a graded case with two levels, half and half: what the grades cost."""
    generator = torch.Generator().manual_seed(batch.labels.numel())
    labels = torch.randint(2, batch.labels.shape, generator=generator).to(batch.labels.device)
    call = _fused(batch)
    return Call(call.run, call.tensors | {"labels": labels}, call.keep)


def _eager(batch: Batch) -> Call:
    term = LOSSES[batch.case.loss].term
    return Call(baselines.eager, {"scores": batch.scores, "labels": batch.labels}, {"term": term})


def _eager_loop(batch: Batch) -> Call:
    keep = {"term": LOSSES[batch.case.loss].term, "lengths": batch.lengths()}
    return Call(baselines.eager_loop, {"scores": batch.scores, "labels": batch.labels}, keep)


def _padded(batch: Batch) -> Call:
    return Call(baselines.padded_eager, batch.padded(), {"term": LOSSES[batch.case.loss].term})


@functools.cache
def _compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return torch.compile(function, dynamic=True)


def _check_compiler(batch: Batch) -> None:
    if batch.scores.device.type == "cpu" and shutil.which("c++") is None:
        raise RuntimeError("torch.compile needs a C++ compiler")


def _compile(batch: Batch) -> Call:
    """torch.compile of the five lines; what depends on the data's values stays outside."""
    _check_compiler(batch)
    call = _eager(batch)
    call.keep["pair_mean"] = _compiled(baselines.mean_over_pairs)
    return call


def _padded_compile(batch: Batch) -> Call:
    _check_compiler(batch)
    call = _padded(batch)
    return Call(_compiled(call.run), call.tensors, call.keep)


def _sort_cumsum(batch: Batch) -> Call:
    keep = {"levels": batch.levels, "degree": LOSSES[batch.case.loss].degree}
    tensors = batch.padded() if batch.offsets is not None else _inputs(batch)
    return Call(baselines.sort_cumsum, tensors, keep)


def _numpy_argsort(batch: Batch) -> Call:
    # numpy has no bfloat16; half the bytes would not make a comparison sort faster.
    keys = batch.scores.to(torch.promote_types(batch.scores.dtype, torch.float32)).numpy()
    return Call(lambda scores: np.argsort(keys), {"scores": batch.scores})


def _torch_sort(batch: Batch) -> Call:
    return Call(lambda scores: torch.sort(scores, dim=-1), {"scores": batch.scores})


def _graded(case: Case) -> bool:
    return "grades" in case.data


def _two_levels(case: Case) -> bool:
    return not _graded(case) and case.data != "weights"


def _list_pairs(batch: Batch) -> int:
    """Positives x negatives: n^2 / 4 where half are positive."""
    return batch.num_pairs() // 4


def _padded_pairs(batch: Batch) -> int:
    return batch.num_pairs(padded=True)


PROVIDERS = (
    Provider(FUSED, "fused_rankloss", _fused, lambda case, device: True),
    Provider(
        "fused_binary",
        "fused_rankloss, two levels",
        _fused_binary,
        lambda case, device: _graded(case),
        checked=False,
    ),
    Provider(
        "eager",
        "PyTorch, five lines",
        _eager,
        lambda case, device: case.num_lists == 1 and _two_levels(case),
        pairs=_list_pairs,
        pair_bytes=26,
    ),
    Provider(
        "eager_loop",
        "PyTorch, loop over lists",
        _eager_loop,
        lambda case, device: 1 < case.num_lists < 10_000 and _two_levels(case),
        pairs=_list_pairs,
        pair_bytes=26,
    ),
    Provider(
        "padded_eager",
        "PyTorch, padded [B, N, N]",
        _padded,
        lambda case, device: case.num_lists > 1,
        pairs=_padded_pairs,
        pair_bytes=18,
    ),
    Provider(
        "compile",
        "torch.compile, five lines",
        _compile,
        lambda case, device: case.num_lists == 1 and _two_levels(case),
        pairs=_list_pairs,
        pair_speed=12,
    ),
    Provider(
        "padded_compile",
        "torch.compile, padded",
        _padded_compile,
        lambda case, device: case.num_lists > 1,
        pairs=_padded_pairs,
        pair_bytes=5,
        pair_speed=3,
    ),
    Provider(
        "reference",
        "reference",
        functools.partial(_fused, impl="reference"),
        lambda case, device: case.num_lists == 1 and not _two_levels(case),
        pairs=Batch.num_pairs,
        pair_bytes=30,
    ),
    Provider(
        "sort_cumsum",
        "PyTorch, sort + cumsum",
        _sort_cumsum,
        lambda case, device: LOSSES[case.loss].degree is not None,
        max_scores=20_000_000,
    ),
    Provider(
        "numpy_argsort",
        "numpy.argsort alone",
        _numpy_argsort,
        lambda case, device: case.num_lists == 1 and device == "cpu",
        has_loss=False,
        checked=False,
    ),
    Provider(
        "torch_sort",
        "torch.sort alone",
        _torch_sort,
        lambda case, device: not case.ragged and (case.num_lists > 1 or device != "cpu"),
        has_loss=False,
        checked=False,
    ),
)
BY_NAME = {provider.name: provider for provider in PROVIDERS}


def reason_to_skip(provider: Provider, batch: Batch, max_pairs: int) -> str | None:
    """Why a provider that applies is left out of a case; None if it runs."""
    scores = batch.scores
    if provider.max_scores is not None and scores.numel() > provider.max_scores:
        return f"more than {provider.max_scores:.0e} scores would take minutes"
    if provider.pairs is None:
        return None
    pairs = provider.pairs(batch)
    if scores.is_cuda:
        available = torch.cuda.mem_get_info(scores.device)[0]
    else:
        available = psutil.virtual_memory().available
    needed = pairs * provider.pair_bytes * max(scores.element_size(), 4) // 4
    usable = 0.8 * available
    if needed > usable:
        return f"would need {needed / 2**30:.0f} GiB, has {usable / 2**30:.0f} GiB"
    if pairs > max_pairs * provider.pair_speed:
        return f"{pairs:.1e} pairs would take too long in this preset"
    return None
