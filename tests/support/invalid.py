"""Everything the functions refuse, as data: the call, the type of the error, and its whole text."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

S = torch.zeros(4)
Y = torch.tensor([1, 0, 1, 0])
ROWS = {"scores": S.view(2, 2), "labels": Y.view(2, 2)}
OFFSETS = torch.tensor([0, 1, 4])
LENGTHS = torch.tensor([1, 2])
MASK = torch.ones(4, dtype=torch.bool)


def jagged(values: Tensor, offsets: Tensor = OFFSETS) -> Tensor:
    return torch.nested.nested_tensor_from_jagged(values, offsets)


NESTED_PAIR = {"scores": jagged(S), "labels": jagged(Y)}


@dataclass(frozen=True)
class Refusal:
    """A call that raises ``error`` with the text ``"<function>: <text>"``."""

    name: str
    error: type[Exception]
    text: str
    scores: object = S
    labels: object = Y
    options: dict = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def type_error(name: str, text: str, scores=S, labels=Y, **options) -> Refusal:
    return Refusal(name, TypeError, text, scores, labels, options)


def value_error(name: str, text: str, scores=S, labels=Y, **options) -> Refusal:
    return Refusal(name, ValueError, text, scores, labels, options)


def meta(tensor: Tensor) -> Tensor:
    """On another device than the scores, one that every machine has."""
    return tensor.to("meta")


FLOATS = "expected scores of dtype float16, bfloat16, float32 or float64, got "
AS_TENSOR = "; pass torch.as_tensor"
SWAPPED = "; were scores and labels swapped? The order is (scores, labels)"
SHAPES = "expected scores of shape [N], [B, N] or, with offsets, [T], got "

SCORES = [
    type_error(
        "scores_list",
        "expected scores to be a tensor, got list; pass torch.as_tensor(scores)",
        scores=[1.0],
    ),
    type_error(
        "scores_array",
        "expected scores to be a tensor, got ndarray; pass torch.as_tensor(scores)",
        scores=S.numpy(),
    ),
    type_error("scores_none", "expected scores to be a tensor, got NoneType", scores=None),
    type_error("scores_int64", f"{FLOATS}torch.int64{SWAPPED}", scores=Y, labels=S),
    type_error("scores_bool", f"{FLOATS}torch.bool{SWAPPED}", scores=Y.bool(), labels=S),
    type_error("scores_uint8", f"{FLOATS}torch.uint8{SWAPPED}", scores=Y.byte(), labels=S),
    type_error("scores_complex", f"{FLOATS}torch.complex64", scores=S.to(torch.complex64)),
    type_error("scores_float8", f"{FLOATS}torch.float8_e5m2", scores=S.to(torch.float8_e5m2)),
    value_error("scores_scalar", f"{SHAPES}[]", scores=S[0], labels=Y[0]),
    value_error("scores_3d", f"{SHAPES}[1, 1, 4]", scores=S[None, None], labels=Y[None, None]),
    value_error(
        "scores_sparse",
        "expected dense or nested jagged scores, got layout torch.sparse_coo",
        scores=S.to_sparse(),
    ),
]

LABELS = [
    type_error(
        "labels_list",
        "expected labels to be a tensor, got list; pass torch.as_tensor(labels)",
        labels=[1, 0],
    ),
    type_error(
        "labels_complex",
        "expected real labels, got dtype torch.complex64",
        labels=Y.to(torch.complex64),
    ),
    value_error("labels_shape", "expected labels of shape [4] (as scores), got [3]", labels=Y[:3]),
    value_error(
        "labels_column",
        "expected labels of shape [4] (as scores), got [4, 1]; for one list of 4 items, pass "
        "labels.squeeze(-1)",
        labels=Y[:, None],
    ),
    value_error(
        "scores_column",
        "expected labels of shape [4, 1] (as scores), got [4]; for one list of 4 items, pass "
        "scores.squeeze(-1)",
        scores=S[:, None],
    ),
    value_error(
        "labels_broadcast",
        "expected labels of shape [2, 2] (as scores), got [2]",
        scores=S.view(2, 2),
        labels=Y[:2],
    ),
    value_error("labels_device", "expected labels on cpu (as scores), got meta", labels=meta(Y)),
    value_error(
        "labels_nested", "expected labels as scores are, got nested labels", labels=jagged(Y)
    ),
]

WEIGHTS = [
    type_error("weights_number", "expected weights to be a tensor, got float", weights=1.0),
    type_error(
        "weights_complex",
        "expected real weights, got dtype torch.complex64",
        weights=S.to(torch.complex64),
    ),
    value_error(
        "weights_shape", "expected weights of shape [4] (as scores), got [2]", weights=S[:2]
    ),
    value_error("weights_device", "expected weights on cpu (as scores), got meta", weights=meta(S)),
    value_error(
        "weights_grad",
        "expected weights that require no grad (they are constants of the loss), "
        "got weights with requires_grad=True; pass weights.detach()",
        weights=torch.ones(4, requires_grad=True),
    ),
]

BOOL = "expected a mask of dtype torch.bool (True = real item), got "
INDEX = "to be a tensor of int32 or int64, got "

LISTS = [
    type_error(
        "mask_list",
        "expected mask to be a tensor, got list; pass torch.as_tensor(mask)",
        mask=[True] * 4,
    ),
    type_error("mask_uint8", f"{BOOL}torch.uint8", mask=MASK.byte()),
    type_error("mask_float", f"{BOOL}torch.float32", mask=MASK.float()),
    value_error(
        "mask_shape", "expected mask of shape [4] (as scores), got [2, 2]", mask=MASK.view(2, 2)
    ),
    value_error("mask_device", "expected mask on cpu (as scores), got meta", mask=meta(MASK)),
    value_error(
        "lengths_of_one_list",
        "expected scores of shape [B, N] with lengths, got [4]",
        lengths=LENGTHS,
    ),
    value_error(
        "lengths_shape", "expected lengths of shape [2], got [1]", **ROWS, lengths=LENGTHS[:1]
    ),
    type_error(
        "lengths_list",
        f"expected lengths {INDEX}list; pass torch.as_tensor(lengths)",
        **ROWS,
        lengths=[1, 2],
    ),
    type_error(
        "lengths_float",
        f"expected lengths {INDEX}a tensor of dtype torch.float32 and shape [2]",
        **ROWS,
        lengths=LENGTHS.float(),
    ),
    value_error(
        "lengths_device",
        "expected lengths on cpu (as scores), got meta",
        **ROWS,
        lengths=meta(LENGTHS),
    ),
    value_error(
        "lengths_and_mask",
        "expected mask or lengths, got both",
        **ROWS,
        lengths=LENGTHS,
        mask=MASK.view(2, 2),
    ),
    value_error(
        "offsets_and_lengths",
        "expected offsets or lengths, got both",
        offsets=OFFSETS,
        lengths=LENGTHS,
    ),
    type_error(
        "offsets_list",
        f"expected offsets {INDEX}list; pass torch.as_tensor(offsets)",
        offsets=[0, 4],
    ),
    type_error(
        "offsets_int16",
        f"expected offsets {INDEX}a tensor of dtype torch.int16 and shape [3]",
        offsets=OFFSETS.short(),
    ),
    value_error(
        "offsets_shape", "expected offsets of shape [B + 1], got [1, 3]", offsets=OFFSETS[None]
    ),
    value_error(
        "offsets_without_any", "expected offsets of shape [B + 1], got [0]", offsets=OFFSETS[:0]
    ),
    value_error(
        "offsets_device", "expected offsets on cpu (as scores), got meta", offsets=meta(OFFSETS)
    ),
    value_error(
        "offsets_of_rows",
        "expected flat scores of shape [T] with offsets, got [2, 2]",
        **ROWS,
        offsets=OFFSETS,
    ),
]

OTHERS = "expected labels with the list lengths of scores, got others"

NESTED = [
    *(
        value_error(
            f"nested_and_{what}",
            f"expected no {what} with nested scores, got one",
            **NESTED_PAIR,
            **{what: value},
        )
        for what, value in [("mask", MASK), ("lengths", LENGTHS), ("offsets", OFFSETS)]
    ),
    value_error(
        "nested_features",
        "expected nested scores of layout torch.jagged with one number per item [B, j] and no "
        "holes, got layout torch.jagged with 3 dimensions",
        scores=jagged(torch.zeros(4, 5)),
        labels=jagged(Y),
    ),
    value_error(
        "nested_dense_labels",
        "expected nested jagged labels as scores are, got labels of layout torch.strided and "
        "1 dimensions",
        scores=jagged(S),
    ),
    type_error(
        "nested_list_labels",
        "expected labels to be a tensor, got list; pass torch.as_tensor(labels)",
        scores=jagged(S),
        labels=[1, 0, 1, 0],
    ),
    value_error(
        "nested_other_lengths", OTHERS, jagged(S), labels=jagged(Y, torch.tensor([0, 2, 4]))
    ),
    value_error(
        "nested_other_number", OTHERS, jagged(S), labels=jagged(Y, torch.tensor([0, 2, 3, 4]))
    ),
]

REDUCTION = "expected reduction to be one of 'mean', 'sum', 'none', 'list_mean', 'batch_mean', got "
NUMBER = "expected margin to be a float or a tensor, got "
MARGIN_SHAPE = "expected margin to be a float or a tensor of shape [] or [K], K >= 1, got shape "

OPTIONS = [
    value_error("reduction", f"{REDUCTION}'avg'", reduction="avg"),
    value_error("reduction_none", f"{REDUCTION}None", reduction=None),
    value_error(
        "weighting",
        "expected weighting to be one of 'product', 'preferred', got 'sum'",
        weighting="sum",
    ),
    type_error("margin_str", f"{NUMBER}str", margin="1"),
    type_error("margin_none", f"{NUMBER}NoneType", margin=None),
    type_error("margin_bool", f"{NUMBER}bool", margin=True),
    type_error("margin_list", f"{NUMBER}list{AS_TENSOR}(margin)", margin=[1.0]),
    value_error("margin_nan", "expected a finite margin, got nan", margin=float("nan")),
    value_error("margin_inf", "expected a finite margin, got inf", margin=float("inf")),
    value_error("margin_negative_inf", "expected a finite margin, got -inf", margin=-float("inf")),
    value_error(
        "margin_too_large",
        "expected margin within the range of float64, got a larger integer",
        margin=10**400,
    ),
    value_error("margin_matrix", f"{MARGIN_SHAPE}[2, 1]", margin=torch.ones(2, 1)),
    value_error("margin_without_any", f"{MARGIN_SHAPE}[0]", margin=torch.ones(0)),
    type_error("margin_bools", "expected a real margin, got dtype torch.bool", margin=MASK),
    type_error(
        "margin_complex",
        "expected a real margin, got dtype torch.complex64",
        margin=S.to(torch.complex64),
    ),
    value_error("margin_device", "expected margin on cpu (as scores), got meta", margin=meta(S)),
]

IMPL = [value_error("impl", "expected impl to be one of 'auto', 'reference', got 'x'", impl="x")]

SLOPE = "expected boundary_grad to be a float, got "

BOUNDARY_GRAD = [
    value_error("negative", "expected boundary_grad in [0, 1], got -0.1", boundary_grad=-0.1),
    value_error("above_one", "expected boundary_grad in [0, 1], got 2", boundary_grad=2),
    value_error("nan", "expected boundary_grad in [0, 1], got nan", boundary_grad=float("nan")),
    type_error("str", f"{SLOPE}str", boundary_grad="1"),
    type_error("none", f"{SLOPE}NoneType", boundary_grad=None),
    type_error("bool", f"{SLOPE}bool", boundary_grad=True),
    type_error("tensor", f"{SLOPE}Tensor", boundary_grad=torch.ones(())),
]


def _lengths(bad: int) -> Refusal:
    text = f"expected lengths in [0, 2], got {bad} for list 1"
    return value_error(f"lengths_value_{bad}", text, **ROWS, lengths=torch.tensor([2, bad]))


def _offsets(offsets: list[int], bad: int) -> Refusal:
    text = (
        "expected offsets that start at 0, never fall and end at 4 (the number of scores), "
        f"got {offsets[bad]} and {offsets[bad + 1]} for list {bad}; "
        "if these are the sizes of lists, pass F.pad(offsets.cumsum(0), (1, 0))"
    )
    return value_error(f"offsets_value_{offsets}", text, offsets=torch.tensor(offsets))


# What only the values tell: checked by the op, on the CPU.
VALUES = [
    _lengths(-1),
    _lengths(3),
    _lengths(2**40),
    _offsets([1, 2, 4], 0),
    _offsets([-1, 2, 4], 0),
    _offsets([0, 3, 2, 4], 1),
    _offsets([0, 2, 5], 1),
    _offsets([0, 2, 3], 1),
    _offsets([0, 2**40, 4], 0),
    value_error(
        "offsets_of_no_list",
        "expected offsets that start at 0 and end at 4 (the number of scores), got a single offset",
        offsets=OFFSETS[:1],
    ),
]

# What both implementations refuse, and for every loss.
COMMON = SCORES + LABELS + WEIGHTS + LISTS + NESTED + OPTIONS
