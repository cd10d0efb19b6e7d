"""The implementations measured: the package, the baselines, other libraries and a yardstick."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.family import FUSED, MARGIN, Call, Provider, compiled
from benchmarks.triplet import baselines, libraries
from benchmarks.triplet.cases import EmbeddingCase
from benchmarks.triplet.data import EmbeddingBatch
from benchmarks.triplet.losses import LOSSES

# A search in fp32 by |x|^2 + |y|^2 - 2xy takes the second hardest where the two are equal to its
# rounding: with one anchor in 800, the gradient is off by 5% of its norm.
_SEARCH_SLACK = 0.05
_CHUNKED_SPEED = 2
_PRODUCT_SPEED = 10


def _fused(batch: EmbeddingBatch) -> Call:
    loss = LOSSES[batch.case.loss]
    keep = {"margin": MARGIN, "distance": loss.distance, "reduction": loss.reduction}
    picks = None
    if loss.mining == "hard":

        def picks() -> tuple[Tensor, Tensor]:
            mined = loss.fused(**batch.tensors, margin=MARGIN, return_mined=True)[1]
            return mined.positive, mined.negative

    return Call(loss.fused, batch.tensors, keep, batch.leaves, picks)


def _call(run: Callable[..., Tensor], batch: EmbeddingBatch) -> Call:
    return Call(run, batch.tensors, leaves=batch.leaves)


_EAGER = {
    "hard": baselines.eager_hard,
    "semi_hard": baselines.eager_semi_hard,
    "all": baselines.eager_all,
    None: baselines.eager_triplets,
}


def _eager(batch: EmbeddingBatch) -> Call:
    return _call(_EAGER[LOSSES[batch.case.loss].mining], batch)


def _compile(batch: EmbeddingBatch) -> Call:
    return _call(compiled(_EAGER[LOSSES[batch.case.loss].mining], batch.device), batch)


def _torch_nn(batch: EmbeddingBatch) -> Call:
    return _call(torch.nn.TripletMarginLoss(margin=MARGIN), batch)


def _from_library(batch: EmbeddingBatch, library: Callable[[str], Callable]) -> Call:
    return _call(library(LOSSES[batch.case.loss].mining), batch)


def _matmul(batch: EmbeddingBatch) -> Call:
    x, references = batch.tensors["embeddings"], batch.references
    return Call(lambda x: torch.mm(x, references.T), {"x": x}, leaves=("x",))


def _mining(case: EmbeddingCase) -> str | None:
    return LOSSES[case.loss].mining


def _mines(*minings: str) -> Callable[[EmbeddingCase, str], bool]:
    return lambda case, device: _mining(case) in minings


def _alone(*minings: str) -> Callable[[EmbeddingCase, str], bool]:
    """Of a batch among itself, without references."""
    return lambda case, device: _mining(case) in minings and not case.references


def _written_out(case: EmbeddingCase, device: str) -> bool:
    """The eager forms: squared distances of given triplets, and minings; references for one."""
    if case.loss == "triplet_euclidean":
        return False
    return not case.references or _mining(case) == "hard"


def _matrix_entries(batch: EmbeddingBatch) -> int:
    """Of the tensor that the eager form fills: a matrix, a cube of triplets, or none."""
    mining = LOSSES[batch.case.loss].mining
    if mining is None:
        return batch.num_scores
    return batch.num_pairs() if mining == "hard" else batch.num_pairs() * batch.case.rows


def _positive_rows(batch: EmbeddingBatch) -> int:
    """Of a row of negatives for each positive pair, as libraries fill them for all triplets."""
    if LOSSES[batch.case.loss].mining != "all":
        return batch.num_pairs()
    return batch.num_positive_pairs() * batch.case.rows


PROVIDERS = (
    Provider(FUSED, "fused_rankloss", _fused, lambda case, device: True),
    Provider(
        "fused_graph",
        "fused_rankloss, CUDA graph",
        _fused,
        lambda case, device: device == "cuda" and case.rows <= 4096,
        captured=True,
    ),
    Provider(
        "eager",
        "PyTorch, cdist and masks",
        _eager,
        _written_out,
        pairs=_matrix_entries,
        pair_bytes=26,
        slack=_SEARCH_SLACK,
    ),
    Provider(
        "compile",
        "torch.compile of it",
        _compile,
        _written_out,
        pairs=_matrix_entries,
        pair_bytes=16,
        compiles=True,
        slack=_SEARCH_SLACK,
    ),
    Provider(
        "chunked",
        "PyTorch, product in chunks",
        lambda batch: _call(baselines.chunked_hard, batch),
        _mines("hard"),
        pairs=EmbeddingBatch.num_pairs,
        pair_speed=_CHUNKED_SPEED,
        slack=_SEARCH_SLACK,
    ),
    Provider(
        "torch_nn",
        "torch.nn.TripletMarginLoss",
        _torch_nn,
        lambda case, device: case.loss == "triplet_euclidean",
    ),
    Provider(
        "metric_learning",
        "pytorch-metric-learning",
        functools.partial(_from_library, library=libraries.metric_learning),
        _mines("hard", "all"),
        pairs=_positive_rows,
        pair_bytes=40,
        slack=_SEARCH_SLACK,
        package="pytorch_metric_learning",
    ),
    Provider(
        "sentence_transformers",
        "sentence-transformers",
        functools.partial(_from_library, library=libraries.sentence_transformers),
        _alone("hard", "semi_hard", "all"),
        pairs=_positive_rows,
        pair_bytes=40,
        slack=_SEARCH_SLACK,
        package="sentence_transformers",
    ),
    Provider(
        "keops",
        "KeOps",
        lambda batch: _call(libraries.keops_hard, batch),
        lambda case, device: _alone("hard")(case, device) and case.dtype in ("fp32", "fp64"),
        pairs=EmbeddingBatch.num_pairs,
        compiles=True,
        slack=_SEARCH_SLACK,
        package="pykeops",
    ),
    Provider(
        "matmul",
        "torch.mm(x, x.T) alone",
        _matmul,
        _mines("hard", "semi_hard", "all"),
        pairs=EmbeddingBatch.num_pairs,
        pair_bytes=4,
        pair_speed=_PRODUCT_SPEED,
        has_loss=False,
        checked=False,
    ),
)
