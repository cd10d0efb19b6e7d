"""What the catalogue losses refuse: the type and the whole text of every error."""

from __future__ import annotations

import pytest
import torch

from fused_rankloss import ops
from support.catalogue import LOSSES
from support.invalid import meta

pytestmark = pytest.mark.sanitize

Q, V, P = torch.zeros(2, 3), torch.zeros(5, 3), torch.tensor([0, 4])
FLOATS = "of dtype float16, bfloat16, float32 or float64, got"
FORMS = "expected positives of shape [2], [2, P] or, with offsets, [P], got"
FLAT = {"offsets": torch.tensor([0, 1, 2])}
RANGE = "in [0, 5) (the number of items), got"

# (error, text, arguments).
REFUSALS = [
    (
        TypeError,
        "expected queries to be a tensor, got list; pass torch.as_tensor(queries)",
        {"queries": [[1.0]]},
    ),
    (TypeError, f"expected queries {FLOATS} torch.int64", {"queries": Q.long()}),
    (ValueError, "expected queries of shape [B, D], got [3]", {"queries": Q[0]}),
    (TypeError, f"expected items {FLOATS} torch.bool", {"items": V.bool()}),
    (
        TypeError,
        "expected items of dtype torch.float32 (as queries), got torch.float16",
        {"items": V.half()},
    ),
    (ValueError, "expected items of shape [M, 3] (D as queries), got [5, 2]", {"items": V[:, :2]}),
    (ValueError, "expected items on cpu (as queries), got meta", {"items": meta(V)}),
    (ValueError, "expected dense items, got layout torch.sparse_coo", {"items": V.to_sparse()}),
    (
        ValueError,
        "expected item_bias of shape [5] (one for each item), got [5, 1]",
        {"item_bias": torch.zeros(5, 1)},
    ),
    (TypeError, f"expected item_bias {FLOATS} torch.int64", {"item_bias": torch.zeros(5).long()}),
    (
        TypeError,
        "expected positives to be a tensor, got list; pass torch.as_tensor(positives)",
        {"positives": [0, 1]},
    ),
    (
        TypeError,
        "expected positives to be a tensor of int32 or int64, got a tensor of dtype "
        "torch.float32 and shape [2]",
        {"positives": P.float()},
    ),
    (ValueError, f"{FORMS} [3]", {"positives": torch.zeros(3).long()}),
    (ValueError, f"{FORMS} [2, 1, 1]", {"positives": P[:, None, None]}),
    (ValueError, "expected positives on cpu (as queries), got meta", {"positives": meta(P)}),
    (
        ValueError,
        "expected dense or sparse CSR positives, got layout torch.sparse_coo",
        {"positives": P.to_sparse()},
    ),
    (
        ValueError,
        "expected sparse positives of shape [2, 5], got [2, 4]",
        {"positives": torch.eye(2, 4).to_sparse_csr()},
    ),
    (
        ValueError,
        "expected no offsets with sparse positives, got one",
        {"positives": torch.eye(2, 5).to_sparse_csr(), **FLAT},
    ),
    (
        ValueError,
        "expected flat positives of shape [P] with offsets, got [2, 1]",
        {"positives": P[:, None], **FLAT},
    ),
    (
        ValueError,
        "expected offsets of shape [3], got [2]; of sizes, pass F.pad(offsets.cumsum(0), (1, 0))",
        {"offsets": torch.tensor([0, 2])},
    ),
    (
        ValueError,
        "expected offsets of positives that start at 0, never fall and end at 2, got [0, 2, 1]",
        {"offsets": torch.tensor([0, 2, 1])},
    ),
    (
        ValueError,
        "expected offsets of positives that start at 0, never fall and end at 2, got [1, 1, 2]",
        {"offsets": torch.tensor([1, 1, 2])},
    ),
    (ValueError, f"expected positives {RANGE} 5 for query 1", {"positives": torch.tensor([0, 5])}),
    (
        ValueError,
        f"expected positives {RANGE} -2 for query 0",
        {"positives": torch.tensor([-2, 0])},
    ),
    (
        ValueError,
        f"expected positives {RANGE} -1 for query 0",
        {"positives": torch.tensor([-1, 0]), **FLAT},
    ),
    (ValueError, f"expected exclude {RANGE} 9 for query 1", {"exclude": torch.tensor([0, 9])}),
    (
        ValueError,
        "expected exclude with exclude_offsets, got none",
        {"exclude_offsets": FLAT["offsets"]},
    ),
    (
        TypeError,
        "expected query_ids of a bool or integer dtype, got torch.float32",
        {"query_ids": torch.zeros(2)},
    ),
    (
        ValueError,
        "expected item_ids of shape [5] (one for each row of items), got [2]",
        {"item_ids": P},
    ),
    (
        ValueError,
        "expected list_weights of shape [2] (one for each query), got [5]",
        {"list_weights": torch.ones(5)},
    ),
    (
        ValueError,
        "expected list_weights that require no grad (they are constants of the loss), "
        "got list_weights with requires_grad=True; pass list_weights.detach()",
        {"list_weights": torch.ones(2, requires_grad=True)},
    ),
    (
        TypeError,
        "expected negatives to be 'all' or an int, got 'hardest'",
        {"negatives": "hardest"},
    ),
    (TypeError, "expected negatives to be 'all' or an int, got True", {"negatives": True}),
    (ValueError, "expected negatives >= 1, got 0", {"negatives": 0}),
    (TypeError, "expected workspace to be an int, got 1000000.0", {"workspace": 1e6}),
    (
        ValueError,
        "expected reduction to be one of 'mean', 'sum', 'none', 'list_mean', "
        "'batch_mean', got 'avg'",
        {"reduction": "avg"},
    ),
    (ValueError, "expected impl to be one of 'auto', 'reference', got 'x'", {"impl": "x"}),
]

OWN = [
    ("hinge", ValueError, "expected boundary_grad in [0, 1], got 2", {"boundary_grad": 2}),
    ("hinge", ValueError, "expected a finite margin, got inf", {"margin": float("inf")}),
    ("hinge", TypeError, "expected margin to be a float or a tensor, got NoneType",
     {"margin": None}),
    ("squared_hinge", ValueError,
     "expected margin to be a float or a tensor of shape [], got shape [1]",
     {"margin": torch.ones(1)}),
    ("logistic", ValueError, "expected sigma > 0, got 0", {"sigma": 0}),
    ("warp", ValueError, "expected boundary_grad to be 0 or 1, got 0.5", {"boundary_grad": 0.5}),
    ("warp", ValueError, "expected rank_weights to be one of 'harmonic', 'uniform', a tensor, "
     "got 'top'", {"rank_weights": "top"}),
    ("warp", ValueError, "expected rank_weights of shape [R], got []",
     {"rank_weights": torch.tensor(1.0)}),
    ("softmax", ValueError, "expected temperature > 0, got -1", {"temperature": -1}),
    ("softmax", TypeError, "expected a real temperature, got dtype torch.bool",
     {"temperature": torch.tensor(True)}),
    ("softmax", ValueError, "expected denominator to be one of 'catalogue', 'negatives', got 'x'",
     {"denominator": "x"}),
]  # fmt: skip


def assert_refused(loss: str, error: type[Exception], text: str, arguments: dict) -> None:
    batch = {"queries": Q, "items": V, "positives": P}
    with pytest.raises(error) as raised:
        LOSSES[loss](**{**batch, **arguments})
    assert type(raised.value) is error
    assert str(raised.value) == f"catalogue_{loss}_loss: {text}"


@pytest.mark.parametrize(("error", "text", "arguments"), REFUSALS)
@pytest.mark.parametrize("loss", LOSSES)
def test_batches(loss: str, error: type[Exception], text: str, arguments: dict) -> None:
    assert_refused(loss, error, text, arguments)
    if "impl" not in arguments:
        assert_refused(loss, error, text, {**arguments, "impl": "reference"})


@pytest.mark.parametrize(("loss", "error", "text", "arguments"), OWN)
def test_options(loss: str, error: type[Exception], text: str, arguments: dict) -> None:
    assert_refused(loss, error, text, arguments)


def test_other_devices() -> None:
    class Elsewhere(torch.Tensor):
        @property
        def device(self):
            return torch.device("cuda")

    queries, items = Q.as_subclass(Elsewhere), V.as_subclass(Elsewhere)
    positives = P.as_subclass(Elsewhere)
    with pytest.raises(NotImplementedError) as raised:
        LOSSES["hinge"](queries, items, positives)
    assert str(raised.value) == (
        "catalogue_hinge_loss: expected queries on the cpu, got cuda; "
        "impl='reference' runs on every device"
    )


# ---- The raw op: whatever would lead it out of bounds --------------------------------------------

BLOCK = {
    "scores": torch.zeros(2, 5),
    "item_bias": None,
    "positives": torch.tensor([0, 4]),
    "positive_offsets": torch.tensor([0, 1, 2]),
    "excluded": torch.tensor([1]),
    "excluded_offsets": torch.tensor([0, 1, 1]),
    "query_weights": None,
    "parameter": None,
    "rank_sums": None,
    "loss": "hinge",
    "margin": 1.0,
    "sigma": 1.0,
    "temperature": 1.0,
    "boundary_grad": 1.0,
    "denominator": "catalogue",
    "negatives": 0,
    "needs_grad": True,
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"scores": torch.zeros(2, 5).half()},
        {"scores": torch.zeros(5, 2).T},
        {"scores": torch.zeros(10)},
        {"item_bias": torch.zeros(4)},
        {"positives": torch.tensor([0, 5])},
        {"positives": torch.tensor([-1, 0])},
        {"positives": torch.tensor([0, 4], dtype=torch.int32)},
        {"positive_offsets": torch.tensor([0, 2])},
        {"positive_offsets": torch.tensor([0, 3, 2])},
        {"positive_offsets": torch.tensor([1, 1, 2])},
        {"excluded": torch.tensor([7])},
        {"excluded_offsets": torch.tensor([0, 1, 2])},
        {"query_weights": torch.ones(1, dtype=torch.float64)},
        {"parameter": torch.ones(1)},
        {"rank_sums": torch.ones(0, dtype=torch.float64)},
        {"sigma": 0.0},
        {"boundary_grad": 2.0},
        {"denominator": "x"},
        {"negatives": -1},
        {"loss": "x"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_block(wrong: dict) -> None:
    ops.call(ops.catalogue_block, *{**BLOCK, "scores": torch.zeros(2, 5)}.values())
    with pytest.raises(ValueError, match=r"^catalogue_(hinge_loss|block): expected "):
        ops.call(ops.catalogue_block, *{**BLOCK, **wrong}.values())


@pytest.mark.parametrize("loss", LOSSES)
def test_transforms(loss: str) -> None:
    with pytest.raises(NotImplementedError, match="expected no torch.func transform"):
        torch.func.grad(lambda queries: LOSSES[loss](queries, V, torch.tensor([0, 1])))(Q)
    with pytest.raises(NotImplementedError, match="expected no torch.jit.trace"):
        torch.jit.trace(lambda queries: LOSSES[loss](queries, V, torch.tensor([0, 1])), (Q,))


def test_sizes_for_offsets() -> None:
    with pytest.raises(ValueError, match=r"pass F.pad\(offsets.cumsum\(0\), \(1, 0\)\)"):
        LOSSES["hinge"](Q, V, torch.tensor([0, 1]), offsets=torch.tensor([1, 1]))
