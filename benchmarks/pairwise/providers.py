"""The implementations measured: the package, the baselines and the yardsticks."""

from __future__ import annotations

import functools

import numpy as np
import torch

from benchmarks.family import FUSED, MARGIN, Call, Provider, compiled
from benchmarks.pairwise import baselines
from benchmarks.pairwise.cases import ListCase
from benchmarks.pairwise.data import ListBatch
from benchmarks.pairwise.losses import LOSSES


def _fused(batch: ListBatch, impl: str = "auto") -> Call:
    function = LOSSES[batch.case.loss].fused
    return Call(function, batch.inputs(), {"margin": MARGIN, "impl": impl})


def _fused_binary(batch: ListBatch) -> Call:
    """The scores of a graded case with two levels, half and half: what the grades cost."""
    generator = torch.Generator().manual_seed(batch.labels.numel())
    labels = torch.randint(2, batch.labels.shape, generator=generator).to(batch.labels.device)
    call = _fused(batch)
    return Call(call.run, call.tensors | {"labels": labels}, call.keep)


def _eager(batch: ListBatch) -> Call:
    term = LOSSES[batch.case.loss].term
    return Call(baselines.eager, {"scores": batch.scores, "labels": batch.labels}, {"term": term})


def _eager_loop(batch: ListBatch) -> Call:
    keep = {"term": LOSSES[batch.case.loss].term, "lengths": batch.lengths()}
    return Call(baselines.eager_loop, {"scores": batch.scores, "labels": batch.labels}, keep)


def _padded(batch: ListBatch) -> Call:
    return Call(baselines.padded_eager, batch.padded(), {"term": LOSSES[batch.case.loss].term})


def _compile(batch: ListBatch) -> Call:
    """torch.compile of the five lines; what depends on the data's values stays outside."""
    call = _eager(batch)
    call.keep["pair_mean"] = compiled(baselines.mean_over_pairs, batch.device)
    return call


def _padded_compile(batch: ListBatch) -> Call:
    call = _padded(batch)
    return Call(compiled(call.run, batch.device), call.tensors, call.keep)


def _sort_cumsum(batch: ListBatch) -> Call:
    keep = {"levels": batch.levels, "degree": LOSSES[batch.case.loss].degree}
    tensors = batch.padded() if batch.offsets is not None else batch.inputs()
    return Call(baselines.sort_cumsum, tensors, keep)


def _numpy_argsort(batch: ListBatch) -> Call:
    # numpy has no bfloat16; half the bytes would not make a comparison sort faster.
    keys = batch.scores.to(torch.promote_types(batch.scores.dtype, torch.float32)).numpy()
    return Call(lambda scores: np.argsort(keys), {"scores": batch.scores})


def _torch_sort(batch: ListBatch) -> Call:
    return Call(lambda scores: torch.sort(scores, dim=-1), {"scores": batch.scores})


def _graded(case: ListCase) -> bool:
    return "grades" in case.data


def _two_levels(case: ListCase) -> bool:
    return not _graded(case) and case.data != "weights"


def _list_pairs(batch: ListBatch) -> int:
    """Positives x negatives: n^2 / 4 where half are positive."""
    return batch.num_pairs() // 4


def _padded_pairs(batch: ListBatch) -> int:
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
        compiles=True,
    ),
    Provider(
        "padded_compile",
        "torch.compile, padded",
        _padded_compile,
        lambda case, device: case.num_lists > 1,
        pairs=_padded_pairs,
        pair_bytes=5,
        pair_speed=3,
        compiles=True,
    ),
    Provider(
        "reference",
        "reference",
        functools.partial(_fused, impl="reference"),
        lambda case, device: case.num_lists == 1 and not _two_levels(case),
        pairs=ListBatch.num_pairs,
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
