"""Everything the triplet losses refuse, as data: the call, the error's type, and its whole text."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from support.invalid import Refusal, jagged, meta

X = torch.zeros(4, 3)
Y = torch.tensor([0, 0, 1, 1])
R = torch.zeros(2, 3)
RY = torch.tensor([0, 1])
REFS = {"ref_embeddings": R, "ref_labels": RY}


def type_error(name: str, text: str, embeddings=X, labels=Y, **options) -> Refusal:
    return Refusal(name, TypeError, text, embeddings, labels, options)


def value_error(name: str, text: str, embeddings=X, labels=Y, **options) -> Refusal:
    return Refusal(name, ValueError, text, embeddings, labels, options)


FLOATS = "of dtype float16, bfloat16, float32 or float64, got "
INTEGERS = "of a bool or integer dtype, got "
OF_EMBEDDINGS = "expected labels of shape [4] (one for each row of embeddings), got "
UNSIGNED = "expected labels and ref_labels both signed or both unsigned where one is uint64, got "
TOGETHER = "expected ref_embeddings and ref_labels or neither, got only "

EMBEDDINGS = [
    type_error(
        "embeddings_array",
        "expected embeddings to be a tensor, got ndarray; pass torch.as_tensor(embeddings)",
        X.numpy(),
    ),
    type_error(
        "embeddings_list",
        "expected embeddings to be a tensor, got list; pass torch.as_tensor(embeddings)",
        [[1.0]],
    ),
    type_error("embeddings_int64", f"expected embeddings {FLOATS}torch.int64", X.long()),
    type_error("embeddings_complex", f"expected embeddings {FLOATS}torch.complex64", X.cfloat()),
    value_error("embeddings_row", "expected embeddings of shape [N, D], got [3]", X[0]),
    value_error("embeddings_3d", "expected embeddings of shape [N, D], got [1, 4, 3]", X[None]),
    value_error(
        "embeddings_sparse",
        "expected dense embeddings, got layout torch.sparse_coo",
        X.to_sparse(),
    ),
    value_error(
        "embeddings_nested", "expected dense embeddings, got layout torch.jagged", jagged(X)
    ),
]

LABELS = [
    type_error(
        "labels_list",
        "expected labels to be a tensor, got list; pass torch.as_tensor(labels)",
        labels=[0, 0, 1, 1],
    ),
    type_error("labels_float", f"expected labels {INTEGERS}torch.float32", labels=Y.float()),
    type_error("labels_half", f"expected labels {INTEGERS}torch.bfloat16", labels=Y.bfloat16()),
    type_error("labels_complex", f"expected labels {INTEGERS}torch.complex64", labels=Y.cfloat()),
    value_error("labels_shape", f"{OF_EMBEDDINGS}[3]", labels=Y[:3]),
    value_error("labels_column", f"{OF_EMBEDDINGS}[4, 1]", labels=Y[:, None]),
    value_error(
        "labels_device", "expected labels on cpu (as embeddings), got meta", labels=meta(Y)
    ),
]

REFERENCES = [
    value_error("only_ref_embeddings", f"{TOGETHER}ref_embeddings", ref_embeddings=R),
    value_error("only_ref_labels", f"{TOGETHER}ref_labels", ref_labels=RY),
    type_error(
        "refs_list",
        "expected ref_embeddings to be a tensor, got list; pass torch.as_tensor(ref_embeddings)",
        ref_embeddings=[[1.0]],
        ref_labels=RY,
    ),
    type_error(
        "refs_dtype",
        "expected ref_embeddings of dtype torch.float32 (as embeddings), got torch.float16",
        ref_embeddings=R.half(),
        ref_labels=RY,
    ),
    value_error(
        "refs_width",
        "expected ref_embeddings of shape [M, 3] (D as embeddings), got [2, 2]",
        ref_embeddings=R[:, :2],
        ref_labels=RY,
    ),
    value_error(
        "refs_row",
        "expected ref_embeddings of shape [M, 3] (D as embeddings), got [3]",
        ref_embeddings=R[0],
        ref_labels=RY,
    ),
    value_error(
        "refs_device",
        "expected ref_embeddings on cpu (as embeddings), got meta",
        ref_embeddings=meta(R),
        ref_labels=RY,
    ),
    type_error(
        "ref_labels_float",
        f"expected ref_labels {INTEGERS}torch.float32",
        ref_embeddings=R,
        ref_labels=RY.float(),
    ),
    value_error(
        "ref_labels_shape",
        "expected ref_labels of shape [2] (one for each row of ref_embeddings), got [4]",
        ref_embeddings=R,
        ref_labels=Y,
    ),
    type_error(
        "uint64_and_signed",
        f"{UNSIGNED}torch.uint64 and torch.int64",
        labels=Y.to(torch.uint64),
        ref_embeddings=R,
        ref_labels=RY,
    ),
    type_error(
        "signed_and_uint64",
        f"{UNSIGNED}torch.int8 and torch.uint64",
        labels=Y.to(torch.int8),
        ref_embeddings=R,
        ref_labels=RY.to(torch.uint64),
    ),
    value_error(
        "ref_labels_device",
        "expected ref_labels on cpu (as ref_embeddings), got meta",
        ref_embeddings=R,
        ref_labels=meta(RY),
    ),
]

KINDS = "expected margin to be a float, a tensor or 'soft'"
ONE_OF = "expected distance to be one of 'euclidean', 'sqeuclidean', 'cosine', got "
REDUCTION = "expected reduction to be one of 'mean', 'mean_nonzero', 'sum', 'none', got "
SLOPE = "expected boundary_grad to be a float, got "

# What all four functions have.
OPTIONS = [
    value_error("distance", f"{ONE_OF}'l2'", distance="l2"),
    value_error("distance_none", f"{ONE_OF}None", distance=None),
    value_error("reduction", f"{REDUCTION}'avg'", reduction="avg"),
    value_error("impl", "expected impl to be one of 'auto', 'reference', got 'x'", impl="x"),
    value_error("margin_str", f"{KINDS}, got 'hard'", margin="hard"),
    type_error("margin_none", f"{KINDS}, got NoneType", margin=None),
    type_error("margin_bool", f"{KINDS}, got bool", margin=True),
    type_error("margin_list", f"{KINDS}, got list; pass torch.as_tensor(margin)", margin=[1.0]),
    value_error("margin_nan", "expected a finite margin, got nan", margin=float("nan")),
    value_error("margin_inf", "expected a finite margin, got inf", margin=float("inf")),
    value_error(
        "margin_vector", f"{KINDS}, the tensor of shape [], got shape [1]", margin=torch.ones(1)
    ),
    type_error(
        "margin_bools", "expected a real margin, got dtype torch.bool", margin=torch.tensor(True)
    ),
    value_error("boundary_above", "expected boundary_grad in [0, 1], got 2", boundary_grad=2),
    value_error(
        "boundary_nan", "expected boundary_grad in [0, 1], got nan", boundary_grad=float("nan")
    ),
    type_error("boundary_str", f"{SLOPE}str", boundary_grad="1"),
    type_error("boundary_bool", f"{SLOPE}bool", boundary_grad=True),
]

BATCH = [
    type_error("boundary_none", f"{SLOPE}NoneType", boundary_grad=None),
    value_error(
        "margin_device", "expected margin on cpu (as embeddings), got meta", margin=meta(Y[0])
    ),
]

A = torch.zeros(4, 3)


@dataclass(frozen=True)
class RowsRefusal:
    """A call of ``triplet_loss`` with arguments that differ from three tensors ``A``."""

    name: str
    error: type[Exception]
    text: str
    arguments: dict

    def __str__(self) -> str:
        return self.name


def rows_type_error(name: str, text: str, **arguments) -> RowsRefusal:
    return RowsRefusal(name, TypeError, text, arguments)


def rows_value_error(name: str, text: str, **arguments) -> RowsRefusal:
    return RowsRefusal(name, ValueError, text, arguments)


SHAPE = "expected anchor, positive and negative of shape"
ONLY = "expected p and eps with distance='euclidean' only, got "

ROWS = [
    rows_type_error(
        "anchor_list",
        "expected anchor to be a tensor, got list; pass torch.as_tensor(anchor)",
        anchor=[1.0],
    ),
    rows_type_error(
        "negative_none", "expected negative to be a tensor, got NoneType", negative=None
    ),
    rows_type_error("anchor_int", f"expected anchor {FLOATS}torch.int64", anchor=A.long()),
    rows_type_error("positive_bool", f"expected positive {FLOATS}torch.bool", positive=A.bool()),
    rows_type_error(
        "positive_dtype",
        "expected positive of dtype torch.float32 (as anchor), got torch.float16",
        positive=A.half(),
    ),
    rows_value_error(
        "negative_device", "expected negative on cpu (as anchor), got meta", negative=meta(A)
    ),
    rows_value_error(
        "negative_sparse",
        "expected dense negative, got layout torch.sparse_coo",
        negative=A.to_sparse(),
    ),
    rows_value_error("scalar", f"{SHAPE} [..., D], got [], [4, 3] and [4, 3]", anchor=A[0, 0]),
    rows_value_error(
        "width", f"{SHAPE}s that broadcast, got [4, 3], [4, 3] and [4, 2]", negative=A[:, :2]
    ),
    rows_value_error(
        "number", f"{SHAPE}s that broadcast, got [4, 3], [3, 3] and [4, 3]", positive=A[:3]
    ),
    rows_value_error("p_zero", "expected p > 0, got 0.0", distance="euclidean", p=0),
    rows_value_error("p_nan", "expected p > 0, got nan", distance="euclidean", p=float("nan")),
    rows_type_error("p_str", "expected p to be a float, got str", p="2"),
    rows_type_error("eps_none", "expected eps to be a float, got NoneType", eps=None),
    rows_value_error("eps_inf", "expected a finite eps, got inf", eps=float("inf")),
    rows_value_error("p_squared", f"{ONLY}p=1.0 and eps=1e-06 with distance='sqeuclidean'", p=1),
    rows_value_error(
        "eps_cosine", f"{ONLY}p=2.0 and eps=0.0 with distance='cosine'", eps=0, distance="cosine"
    ),
    rows_type_error("swap", "expected swap to be a bool, got int", swap=1),
    rows_value_error(
        "margin_device", "expected margin on cpu (as anchor), got meta", margin=meta(A[0, 0])
    ),
]
