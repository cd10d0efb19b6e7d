"""The implementations measured: the package, the baselines and a yardstick."""

from __future__ import annotations

import torch

from benchmarks.family import FUSED, Call, Provider, compiled
from benchmarks.pairwise.cases import ListCase
from benchmarks.pairwise.data import ListBatch
from benchmarks.ranking import baselines
from benchmarks.ranking.losses import LOSSES


def _fused(batch: ListBatch) -> Call:
    loss = LOSSES[batch.case.loss]
    return Call(loss.fused, batch.inputs(), loss.options)


def _eager(batch: ListBatch) -> Call:
    loss = LOSSES[batch.case.loss]
    return Call(loss.eager, batch.padded(), loss.eager_options)


def _compile(batch: ListBatch) -> Call:
    call = _eager(batch)
    return Call(compiled(call.run, batch.device), call.tensors, call.keep)


def _scattered(batch: ListBatch) -> Call:
    call = _eager(batch)
    keep = {"mask": call.tensors["mask"], "eager": call.run, **call.keep}
    return Call(
        baselines.scattered, {"scores": batch.scores, "labels": call.tensors["labels"]}, keep
    )


def _torch_sort(batch: ListBatch) -> Call:
    return Call(lambda scores: torch.sort(scores, dim=-1), {"scores": batch.scores})


def _matrix_entries(batch: ListBatch) -> int:
    """Of what the padded forms fill: a matrix for each list, or a row."""
    if LOSSES[batch.case.loss].quadratic:
        return batch.num_pairs(padded=True)
    return batch.num_lists * max(batch.lengths())


def _applies_compiled(case: ListCase, device: str) -> bool:
    """Where training is timed: every further form takes most of a minute to compile."""
    return case.mode == "full" and case.dtype == "fp32"


PROVIDERS = (
    Provider(FUSED, "fused_rankloss", _fused, lambda case, device: True),
    Provider(
        "fused_graph",
        "fused_rankloss, CUDA graph",
        _fused,
        lambda case, device: device == "cuda" and case.num_lists == 1 and case.length <= 4096,
        captured=True,
    ),
    Provider(
        "eager",
        "PyTorch, padded, as in allRank",
        _eager,
        lambda case, device: True,
        pairs=_matrix_entries,
        pair_bytes=22,
    ),
    Provider(
        "scattered",
        "scattered first, as in sentence-transformers",
        _scattered,
        lambda case, device: case.ragged,
        pairs=_matrix_entries,
        pair_bytes=22,
    ),
    Provider(
        "compile",
        "torch.compile of the padded form",
        _compile,
        _applies_compiled,
        pairs=_matrix_entries,
        pair_bytes=9,
        pair_speed=2,
        compiles=True,
    ),
    Provider(
        "torch_sort",
        "torch.sort alone",
        _torch_sort,
        lambda case, device: not case.ragged,
        has_loss=False,
        checked=False,
    ),
)
