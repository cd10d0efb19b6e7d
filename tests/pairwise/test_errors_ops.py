"""Arguments that would lead the raw ops out of bounds raise ValueError with a message."""

from __future__ import annotations

import pytest
import torch

from fused_rankloss import ops
from fused_rankloss.functional.lambda_loss import GAINS, PAIR_LOSSES, SCHEMES, TRUNCATIONS
from fused_rankloss.functional.pairwise import REDUCTIONS, WEIGHTINGS
from fused_rankloss.functional.triplet import DISTANCES
from fused_rankloss.functional.triplet import REDUCTIONS as TRIPLET_REDUCTIONS
from fused_rankloss.reference.triplet import MININGS
from support.invalid import LENGTHS, MASK, OFFSETS, ROWS, VALUES, Refusal, S, Y

pytestmark = pytest.mark.sanitize

FORWARD = {
    "scores": S,
    "labels": Y,
    "weights": None,
    "list_weights": None,
    "mask": None,
    "lengths": None,
    "offsets": None,
    "margins": None,
    "margin": 1.0,
    "loss": "hinge",
    "weighting": "product",
    "boundary_grad": 1.0,
    "reduction": "mean",
    "needs_grad": True,
}
BACKWARD = {
    "grad_loss": torch.ones(()),
    "raw_grad": torch.zeros(1, 4, dtype=torch.int32),
    "list_scale": torch.ones(1, dtype=torch.float64),
    "mask": None,
    "lengths": None,
    "offsets": None,
    "dtype": torch.float32,
}
SHAPES = "expected scores of shape [N], [B, N] or, with offsets, [T], got "
SEVERAL = "expected one of mask, lengths and offsets, got several"

# (arguments that differ, text after the name)
FORWARD_REFUSES = {
    "scores_dtype": (
        {"scores": Y},
        "expected scores of dtype float16, bfloat16, float32 or float64",
    ),
    "scores_shape": ({"scores": S[None, None], "labels": Y[None, None]}, f"{SHAPES}[1, 1, 4]"),
    "offsets_of_rows": ({**ROWS, "offsets": OFFSETS}, f"{SHAPES}[2, 2]"),
    "labels_shape": ({"labels": Y[:2]}, "expected labels of shape [4] (as scores), got [2]"),
    "labels_dtype": (
        {"labels": S.to(torch.complex64)},
        "expected labels of a bool, integer or float dtype",
    ),
    "weights_shape": ({"weights": S[:2]}, "expected weights of shape [4] (as scores), got [2]"),
    "list_weights_dtype": (
        {"list_weights": torch.ones(1)},
        "expected list_weights of dtype float64, got another",
    ),
    "list_weights_shape": (
        {"list_weights": torch.ones(2, dtype=torch.float64)},
        "expected list_weights of shape [1], got [2]",
    ),
    "mask_dtype": ({"mask": MASK.byte()}, "expected a mask of dtype bool"),
    "mask_shape": ({"mask": MASK[:2]}, "expected a mask of shape [4], got [2]"),
    "offsets_dtype": ({"offsets": OFFSETS.float()}, "expected offsets of dtype int32 or int64"),
    "offsets_shape": ({"offsets": OFFSETS[:0]}, "expected offsets of shape [B + 1], got [0]"),
    "lengths_dtype": (
        {**ROWS, "lengths": LENGTHS.float()},
        "expected lengths of dtype int32 or int64",
    ),
    "lengths_shape": (
        {**ROWS, "lengths": LENGTHS[:1]},
        "expected lengths of shape [2], got [1]",
    ),
    "lengths_and_mask": ({**ROWS, "lengths": LENGTHS, "mask": MASK.view(2, 2)}, SEVERAL),
    "offsets_and_lengths": ({"offsets": OFFSETS, "lengths": LENGTHS}, SEVERAL),
    "margins_dtype": (
        {"margins": torch.ones(1)},
        "expected margins of dtype float64, got another",
    ),
    "margins_shape": (
        {"margins": torch.ones(0, dtype=torch.float64)},
        "expected margins of shape [] or [K] with K >= 1, got [0]",
    ),
    "weighting": (
        {"weighting": "sum"},
        "expected weighting 'product' or 'preferred', got 'sum'",
    ),
    "boundary_grad": ({"boundary_grad": 1.5}, "expected boundary_grad in [0, 1], got 1.5"),
    "boundary_grad_nan": (
        {"boundary_grad": float("nan")},
        "expected boundary_grad in [0, 1], got nan",
    ),
    "reduction": (
        {"reduction": "avg"},
        "expected reduction 'mean', 'sum', 'none', 'list_mean' or 'batch_mean', got 'avg'",
    ),
}
BACKWARD_REFUSES = {
    "raw_grad_shape": (
        {"raw_grad": torch.zeros(4)},
        "expected raw_grad of shape [K, *scores], got [4]",
    ),
    "raw_grad_dtype": (
        {"raw_grad": torch.zeros(1, 4).half()},
        "expected raw_grad of dtype float32 or float64",
    ),
    "list_scale_dtype": (
        {"list_scale": torch.ones(1)},
        "expected list_scale of dtype float64 and shape [1], got shape [1]",
    ),
    "list_scale_shape": (
        {"list_scale": torch.ones(2, dtype=torch.float64)},
        "expected list_scale of dtype float64 and shape [1], got shape [2]",
    ),
    "grad_loss_shape": (
        {"grad_loss": torch.ones(3)},
        "expected grad_loss of 1 or 1 elements, got shape [3]",
    ),
    "grad_loss_dtype": (
        {"grad_loss": torch.ones((), dtype=torch.float16)},
        "expected grad_loss of dtype float32 or float64",
    ),
    "dtype": (
        {"dtype": torch.int32},
        "expected scores of dtype float16, bfloat16, float32 or float64",
    ),
    "mask_shape": ({"mask": MASK[:2]}, "expected a mask of shape [4], got [2]"),
    "offsets_of_no_list": (
        {"offsets": OFFSETS[:1], "list_scale": torch.ones(0, dtype=torch.float64)},
        "expected offsets that start at 0 and end at 4 (the number of scores), got a single offset",
    ),
}


def assert_refused(op, arguments: dict, text: str) -> None:
    with pytest.raises(ValueError) as raised:
        op(*arguments.values())
    assert str(raised.value) == text


@pytest.mark.parametrize("name", FORWARD_REFUSES)
def test_forward(name: str) -> None:
    change, text = FORWARD_REFUSES[name]
    assert_refused(ops.pairwise_forward, FORWARD | change, f"pairwise_hinge_loss: {text}")


@pytest.mark.parametrize("refusal", VALUES, ids=str)
def test_forward_values(refusal: Refusal) -> None:
    change = {"scores": refusal.scores, "labels": refusal.labels, **refusal.options}
    text = f"pairwise_hinge_loss: {refusal.text}"
    assert_refused(ops.pairwise_forward, FORWARD | change, text)


def test_forward_of_an_unknown_loss() -> None:
    with pytest.raises(ValueError, match="'cubic_hinge'"):
        ops.pairwise_forward(*(FORWARD | {"loss": "cubic_hinge"}).values())


@pytest.mark.parametrize("name", BACKWARD_REFUSES)
def test_backward(name: str) -> None:
    change, text = BACKWARD_REFUSES[name]
    assert_refused(ops.lists_backward, BACKWARD | change, f"lists_backward: {text}")


@pytest.mark.parametrize("offsets", [[0, 2, 9], [0, 4, 2, 4], [-3, 4], [0, 3], [1, 4]], ids=str)
def test_backward_values(offsets: list[int]) -> None:
    """Offsets that the forward pass would have refused."""
    change = {
        "list_scale": torch.ones(len(offsets) - 1, dtype=torch.float64),
        "offsets": torch.tensor(offsets),
    }
    text = "lists_backward: expected the lengths or offsets of the forward pass"
    assert_refused(ops.lists_backward, BACKWARD | change, text)


def arguments_of_ops() -> dict[str, tuple]:
    """A call of every op, its tensors on the CPU."""
    rows, classes = torch.randn(4, 3), torch.arange(4) // 2
    pairs = tuple(FORWARD.values())
    options = ("lambdarank", "hinge", 1.0, 1.0, 1.0, 0.0, "linear", 0, "either", False, False)
    batch = (rows, classes, None, None, None, 1.0, False, "hard", "euclidean", 0.0)
    norm = ("euclidean", 2.0, 1e-6, False)
    mined = ops.batch_triplet_forward(*batch, "mean", False, True)[1:6]
    distances, slope = ops.triplet_forward(rows, rows, rows, None, 1.0, False, *norm, 0.0, "mean")[
        1:
    ]
    one = torch.ones(())
    return {
        "pairwise_forward": pairs,
        "lambda_forward": (
            *(S, Y, None, None, None, None, None, None, None),
            *options,
            *("product", "mean", True, True),
        ),
        "listwise_forward": (
            *(S, Y, None, None, None, None, None, None, None),
            *("listnet", "none", 1.0, "linear", "mean", True),
        ),
        "lists_backward": tuple(BACKWARD.values()),
        "triplet_forward": (rows, rows, rows, None, 1.0, False, *norm, 0.0, "mean"),
        "triplet_backward": (one, rows, rows, rows, distances, slope, *norm),
        "batch_triplet_forward": (*batch, "mean", False, True),
        "batch_triplet_backward": (one, *batch, *mined),
    }


# What csrc/bind has a table for, and the functions a tuple.
NAMES = {
    ("pairwise_forward", "weighting"): WEIGHTINGS,
    ("pairwise_forward", "reduction"): REDUCTIONS,
    ("lambda_forward", "scheme"): SCHEMES,
    ("lambda_forward", "pair_loss"): PAIR_LOSSES,
    ("lambda_forward", "truncation"): TRUNCATIONS,
    ("lambda_forward", "gain"): GAINS,
    ("triplet_forward", "distance"): DISTANCES,
    ("triplet_forward", "reduction"): TRIPLET_REDUCTIONS,
    ("batch_triplet_forward", "mining"): tuple(MININGS),
}


@pytest.mark.parametrize(("name", "option"), NAMES)
def test_names_are_those_of_python(name: str, option: str) -> None:
    op, arguments = getattr(ops, name), list(arguments_of_ops()[name])
    place = [argument.name for argument in op._schema.arguments].index(option)
    *first, last = map(repr, NAMES[name, option])
    for value in NAMES[name, option]:
        arguments[place] = value
        op(*arguments)
    arguments[place] = "other"
    with pytest.raises(ValueError) as raised:
        op(*arguments)
    expected = f"expected {option} {', '.join(first)} or {last}, got 'other'"
    assert str(raised.value).partition(": ")[2] == expected


@pytest.mark.parametrize("name", arguments_of_ops())
def test_tensors_of_two_devices(name: str) -> None:
    """One meta tensor among others makes torch call the shape function, whose results would be
    uninitialised memory."""
    arguments = arguments_of_ops()[name]
    op = getattr(ops, name)
    op(*arguments)
    places = [at for at, value in enumerate(arguments) if isinstance(value, torch.Tensor)]
    assert len(places) >= 2
    for at in places:
        mixed = [value.to("meta") if n == at else value for n, value in enumerate(arguments)]
        with pytest.raises(ValueError, match=rf"^{name}: expected \w+ on (cpu|meta) \(as "):
            op(*mixed)
