"""What the triplet losses and their raw ops refuse: the type and the whole text of every error."""

from __future__ import annotations

import pytest
import torch

import fused_rankloss
from fused_rankloss import ops
from fused_rankloss.functional._checks import check_device
from pairwise.test_errors import assert_refused, on
from support.embeddings import BATCH_LOSSES
from support.invalid import Refusal
from support.invalid_triplet import (
    BATCH,
    EMBEDDINGS,
    LABELS,
    OPTIONS,
    REFERENCES,
    REFS,
    ROWS,
    A,
    R,
    RowsRefusal,
    X,
    Y,
)

pytestmark = pytest.mark.sanitize

every_mining = pytest.mark.parametrize("mining", BATCH_LOSSES)
every_impl = pytest.mark.parametrize("impl", ["auto", "reference"])


@pytest.mark.parametrize("refusal", EMBEDDINGS + LABELS + REFERENCES + OPTIONS + BATCH, ids=str)
@every_mining
def test_batches(refusal: Refusal, mining: str) -> None:
    assert_refused(BATCH_LOSSES[mining], f"batch_{mining}_triplet_loss", refusal)


@pytest.mark.parametrize("refusal", EMBEDDINGS + LABELS + REFERENCES, ids=str)
def test_reference_refuses_the_same(refusal: Refusal) -> None:
    def reference(embeddings, labels, **options):
        return BATCH_LOSSES["hard"](embeddings, labels, impl="reference", **options)

    assert_refused(reference, "batch_hard_triplet_loss", refusal)


@pytest.mark.parametrize("refusal", ROWS, ids=str)
@every_impl
def test_rows(refusal: RowsRefusal, impl: str) -> None:
    tensors = {"anchor": A, "positive": A, "negative": A}
    with pytest.raises(refusal.error) as raised:
        fused_rankloss.triplet_loss(**{**tensors, **refusal.arguments}, impl=impl)
    assert type(raised.value) is refusal.error
    assert str(raised.value) == f"triplet_loss: {refusal.text}"


@pytest.mark.parametrize("refusal", OPTIONS, ids=str)
def test_options_of_rows(refusal: Refusal) -> None:
    def rows(embeddings, labels, **options):
        return fused_rankloss.triplet_loss(A, A, A, **options)

    assert_refused(rows, "triplet_loss", refusal)


def test_options_are_keywords() -> None:
    with pytest.raises(TypeError, match="takes 3 positional arguments but 4 were given"):
        fused_rankloss.triplet_loss(A, A, A, 1.0)
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        fused_rankloss.batch_hard_triplet_loss(X, Y, 1.0)


def test_modules_speak_for_the_function() -> None:
    with pytest.raises(
        ValueError, match=r"^batch_all_triplet_loss: expected labels of shape \[4\]"
    ):
        fused_rankloss.BatchAllTripletLoss()(X, Y[:2])


def test_other_devices() -> None:
    with pytest.raises(
        NotImplementedError, match="^triplet_loss: expected anchor on a cpu or cuda"
    ):
        check_device("triplet_loss", "anchor", on("mps"))


# ---- The raw ops: arguments that would lead them out of bounds -----------------------------------

FORWARD = {
    "embeddings": X,
    "labels": Y,
    "ref_embeddings": None,
    "ref_labels": None,
    "margin_tensor": None,
    "margin": 1.0,
    "soft": False,
    "mining": "hard",
    "distance": "euclidean",
    "boundary_grad": 0.0,
    "reduction": "mean",
    "needs_grad": False,
    "needs_mined": True,
}
FORWARD_REFUSES = {
    "embeddings_dtype": {"embeddings": X.long()},
    "embeddings_shape": {"embeddings": X[0]},
    "labels_shape": {"labels": Y[:2]},
    "labels_dtype": {"labels": Y.float()},
    "refs_without_labels": {"ref_embeddings": R},
    "ref_labels_alone": {"ref_labels": Y},
    "refs_width": {**REFS, "ref_embeddings": R[:, :2]},
    "refs_dtype": {**REFS, "ref_embeddings": R.double()},
    "ref_labels_shape": {**REFS, "ref_labels": Y},
    "margin_dtype": {"margin_tensor": torch.ones(())},
    "margin_shape": {"margin_tensor": torch.ones(2, dtype=torch.float64)},
    "mining": {"mining": "soft"},
    "distance": {"distance": "l2"},
    "boundary_grad": {"boundary_grad": float("nan")},
    "reduction": {"reduction": "avg"},
}
BACKWARD_REFUSES = {
    "grad_loss_shape": {"grad_loss": torch.ones(3)},
    "grad_loss_dtype": {"grad_loss": torch.ones((), dtype=torch.float16)},
    "positive_shape": {"positive": torch.zeros(3, dtype=torch.int64)},
    "negative_dtype": {"negative": torch.zeros(4, dtype=torch.int32)},
    "distances_shape": {"distances": torch.zeros(4, dtype=torch.float64)},
    "slope_dtype": {"slope": torch.zeros(4)},
    "anchor_scale_shape": {"anchor_scale": torch.zeros(2, dtype=torch.float64)},
}
ROWS_FORWARD = {
    "anchor": A,
    "positive": A,
    "negative": A,
    "margin_tensor": None,
    "margin": 1.0,
    "soft": False,
    "distance": "euclidean",
    "p": 2.0,
    "eps": 0.0,
    "swap": False,
    "boundary_grad": 0.0,
    "reduction": "mean",
}
ROWS_REFUSE = {
    "anchor_shape": {"anchor": A[0]},
    "positive_shape": {"positive": A[:2]},
    "negative_dtype": {"negative": A.double()},
    "p": {"p": 0.0},
    "distance": {"distance": "l2"},
    "reduction": {"reduction": "avg"},
}


def assert_op_refuses(op, arguments: dict, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected "):
        op(*arguments.values())


@pytest.mark.parametrize("name", FORWARD_REFUSES)
def test_forward_op(name: str) -> None:
    arguments = {**FORWARD, **FORWARD_REFUSES[name]}
    assert_op_refuses(ops.batch_triplet_forward, arguments, "batch_(hard_triplet_loss|triplet)")


@pytest.mark.parametrize("name", BACKWARD_REFUSES)
def test_backward_op(name: str) -> None:
    loss, *results = ops.batch_triplet_forward(*FORWARD.values())[:6]
    saved = ("positive", "negative", "distances", "slope", "anchor_scale")
    arguments = {
        "grad_loss": torch.ones_like(loss),
        **FORWARD,
        **dict(zip(saved, results, strict=True)),
    }
    for name_of_forward in ("reduction", "needs_grad", "needs_mined"):
        del arguments[name_of_forward]
    ops.batch_triplet_backward(*arguments.values())
    arguments.update(BACKWARD_REFUSES[name])
    assert_op_refuses(ops.batch_triplet_backward, arguments, "batch_hard_triplet_loss")


@pytest.mark.parametrize("name", ROWS_REFUSE)
def test_rows_op(name: str) -> None:
    assert_op_refuses(ops.triplet_forward, {**ROWS_FORWARD, **ROWS_REFUSE[name]}, "triplet_loss")


def test_picks_out_of_bounds_are_never_followed() -> None:
    """What a backward op is handed may be anything."""
    loss, *results = ops.batch_triplet_forward(*FORWARD.values())[:6]
    results[0] = torch.tensor([7, -9, 2**40, 1])
    arguments = [torch.ones_like(loss), *list(FORWARD.values())[:-3], *results]
    with pytest.raises(ValueError, match="^batch_hard_triplet_loss: expected "):
        ops.batch_triplet_backward(*arguments)
