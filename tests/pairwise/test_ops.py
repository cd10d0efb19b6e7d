"""The raw ops: torch's own checks of schema, fakes and registration, and what they return."""

from __future__ import annotations

import pytest
import torch

from fused_rankloss import ops
from support.batches import FORMS, Call, flat, same_bits
from support.cases import LOSSES, MEDIUM, REDUCTIONS, SCORE_DTYPES, SMALL, by_name, name_of

CASES = by_name(SMALL + MEDIUM)


def forward_arguments(
    call: Call,
    *,
    margins=None,
    margin: float = 1.0,
    loss: str = "hinge",
    weighting: str = "product",
    boundary_grad: float = 1.0,
    reduction: str = "mean",
    needs_grad: bool = True,
) -> tuple:
    names = ("weights", "list_weights", "mask", "lengths", "offsets")
    given = [call.options.get(name) for name in names]
    return (
        call.scores,
        call.labels,
        *given,
        margins,
        margin,
        loss,
        weighting,
        boundary_grad,
        reduction,
        needs_grad,
    )


def backward_arguments(call: Call, dtype: torch.dtype, **options) -> tuple:
    loss, raw_grad, list_scale, _ = ops.pairwise_forward(*forward_arguments(call, **options))
    index = [call.options.get(name) for name in ("mask", "lengths", "offsets")]
    return (torch.randn_like(loss), raw_grad, list_scale, *index, dtype)


# One row per call: (case, form, dtype, options).
SAMPLES = [
    ("ragged", "flat", torch.float32, {}),
    ("ragged", "lengths", torch.float16, {"reduction": "none"}),
    ("ragged", "mask", torch.bfloat16, {"reduction": "list_mean", "boundary_grad": 0.5}),
    ("ragged", "flat_mask", torch.float64, {"reduction": "sum", "loss": "squared_hinge"}),
    ("weighted", "mask", torch.float32, {"weighting": "preferred"}),
    ("weighted", "flat", torch.float32, {"loss": "squared_hinge", "reduction": "batch_mean"}),
    ("ragged", "flat", torch.float32, {"needs_grad": False}),
    ("ragged", "lengths", torch.float32, {"margins": [1.0], "reduction": "none"}),
    ("ragged", "flat", torch.float32, {"margins": [0.5, 1.0, 2.0]}),
    ("ragged", "flat", torch.float64, {"margins": 0.5, "loss": "squared_hinge"}),
    ("no_lists", "flat", torch.float32, {"reduction": "none"}),
    ("only_empty", "lengths", torch.float32, {}),
    ("n1025", "flat", torch.float32, {}),
]
samples = pytest.mark.parametrize(
    ("name", "form", "dtype", "options"),
    SAMPLES,
    ids=[f"{name}-{form}-{name_of(dtype)}-{n}" for n, (name, form, dtype, _) in enumerate(SAMPLES)],
)


def sample_call(name: str, form: str, dtype: torch.dtype, options: dict, device: str):
    options = dict(options)
    if "margins" in options:
        margins = torch.tensor(options["margins"], dtype=torch.float64, device=device)
        options["margins"] = margins
    return FORMS[form](CASES[name].batch(dtype).to(device)), options


@samples
@pytest.mark.parametrize("needs", ["no_grad", "scores_require_grad"])
def test_opcheck_forward(name, form, dtype, options, needs: str, device: str) -> None:
    call, options = sample_call(name, form, dtype, options, device)
    if needs == "scores_require_grad":
        call = call._replace(scores=call.scores.requires_grad_())
        # The raw op refuses to be differentiated, which is all that test would tell.
        tests = ("test_schema", "test_faketensor", "test_autograd_registration")
    else:
        tests = (
            "test_schema",
            "test_faketensor",
            "test_autograd_registration",
            "test_aot_dispatch_dynamic",
        )
    torch.library.opcheck(
        ops.pairwise_forward, forward_arguments(call, **options), test_utils=tests
    )


@samples
def test_opcheck_backward(name, form, dtype, options, device: str) -> None:
    call, options = sample_call(name, form, dtype, options, device)
    if options.get("needs_grad") is False:
        options["needs_grad"] = True
    torch.library.opcheck(ops.lists_backward, backward_arguments(call, dtype, **options))


@samples
def test_fakes_tell_what_comes(name, form, dtype, options, device: str) -> None:
    """Shape, dtype and strides of a fake run are those of the real one, without any opcheck."""
    call, options = sample_call(name, form, dtype, options, device)
    arguments = forward_arguments(call, **options)
    real = ops.pairwise_forward(*arguments)
    meta = ops.pairwise_forward(
        *(a.to("meta") if isinstance(a, torch.Tensor) else a for a in arguments)
    )
    for got, told in zip(real, meta, strict=True):
        assert (got.shape, got.dtype) == (told.shape, told.dtype)
        assert got.is_contiguous() and told.device.type == "meta"


def test_meta_tensors_through_the_function() -> None:
    call = FORMS["mask"](CASES["ragged"].batch(torch.float16))
    scores = call.scores.to("meta").requires_grad_()
    mask = call.options["mask"].to("meta")
    value = LOSSES["hinge"](scores, call.labels.to("meta"), mask=mask, reduction="none")
    assert value.shape == (len(CASES["ragged"].sizes),) and value.dtype == torch.float32
    value.sum().backward()
    assert scores.grad.shape == scores.shape and scores.grad.dtype == torch.float16


def test_counts_are_wide_where_a_list_may_be() -> None:
    """A count is at most the number of slots: int64 from 2^31 slots on."""
    for slots, dtype in ((2**31 - 1, torch.int32), (2**31, torch.int64)):
        scores = torch.empty(slots, dtype=torch.float16, device="meta")
        call = Call(scores, scores, {}, scores)
        assert ops.pairwise_forward(*forward_arguments(call))[1].dtype == dtype


# ---- What the outputs hold -----------------------------------------------------------------------


@pytest.mark.parametrize("form", ["mask", "scattered_mask", "lengths", "flat_mask"])
@pytest.mark.parametrize("loss", LOSSES)
def test_raw_gradient_is_zero_in_padding(form: str, loss: str, device: str) -> None:
    call = FORMS[form](CASES["ragged"].batch(torch.float32).to(device), 4, float("nan"))
    raw = ops.pairwise_forward(*forward_arguments(call, loss=loss))[1]
    assert raw.shape == (1, *call.scores.shape)
    assert not call.padding(raw[0]).count_nonzero()


@pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("boundary_grad", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", ["ragged", "weighted"])
def test_raw_gradient_dtype(
    dtype: torch.dtype, loss: str, boundary_grad: float, name: str, device: str
) -> None:
    call = flat(CASES[name].batch(dtype).to(device))
    options = {"loss": loss, "boundary_grad": boundary_grad}
    raw = ops.pairwise_forward(*forward_arguments(call, **options))[1]
    counts = loss == "hinge" and name == "ragged" and boundary_grad in (0.0, 1.0)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert raw.dtype == (torch.int32 if counts else wide)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_list_scale(reduction: str, device: str) -> None:
    """Lists of 4, 0, 1 and 2 pairs; then the last is poisoned."""
    scores = torch.tensor([0.0, 1, 2, 3, 5, 0, 1, 0, 1, 2], device=device)
    labels = torch.tensor([0, 0, 1, 1, 1, 0, 1, 0, 0, 1], device=device)
    offsets = torch.tensor([0, 4, 5, 7, 10], device=device)
    scales = {
        "sum": [1.0] * 4,
        "none": [1.0] * 4,
        "batch_mean": [1 / 4] * 4,
        "mean": [1 / 7] * 4,
        "list_mean": [1 / (4 * 3), 0.0, 1 / (1 * 3), 1 / (2 * 3)],
    }
    poisoned = {
        "mean": [1 / 5] * 3,
        "list_mean": [1 / (4 * 2), 0.0, 1 / (1 * 2)],
    }
    call = Call(scores, labels, {"offsets": offsets}, torch.arange(10))
    scale = ops.pairwise_forward(*forward_arguments(call, reduction=reduction))[2]
    torch.testing.assert_close(scale.tolist(), scales[reduction], rtol=2**-52, atol=0.0)
    scores[8] = torch.nan
    scale = ops.pairwise_forward(*forward_arguments(call, reduction=reduction))[2]
    kept = poisoned.get(reduction, scales[reduction][:3])
    torch.testing.assert_close(scale[:3].tolist(), kept, rtol=2**-52, atol=0.0)
    assert scale[3].isnan()


@pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)
def test_backward_rounds_once(dtype: torch.dtype, device: str) -> None:
    """Counts of three margins, grad_outputs of single precision, one rounding at the end."""
    raw = torch.tensor([[3, -2, 0, 7], [1, 1, -1, 2], [0, 5, 0, -9]], dtype=torch.int32)
    grad_output = torch.tensor([[0.1, -0.7], [0.2, 0.3], [1.3, 0.6]])
    scale = torch.tensor([1 / 3, 1 / 7], dtype=torch.float64)
    offsets = torch.tensor([0, 2, 4])
    owner = torch.tensor([0, 0, 1, 1])
    wanted = (scale * grad_output.double())[:, owner] * raw.double()
    bound = wanted.abs().sum(0)
    given = [t.to(device) for t in (grad_output, raw, scale)]
    got = ops.lists_backward(*given, None, None, offsets.to(device), dtype).cpu()
    assert got.dtype == dtype
    # Single precision on the way to a half costs a second, much smaller rounding.
    allowed = (torch.finfo(dtype).eps / 2 + 2**-24 * (dtype.itemsize < 4)) * wanted.sum(0).abs()
    allowed += 8 * 2**-53 * bound
    assert ((got.double() - wanted.sum(0)).abs() <= allowed).all()


def test_backward_of_one_list(device: str) -> None:
    raw = torch.tensor([[2, -1, -1]], dtype=torch.int32, device=device)
    scale = torch.tensor([0.5], dtype=torch.float64, device=device)
    grad_output = torch.tensor(3.0, device=device)
    got = ops.lists_backward(grad_output, raw, scale, None, None, None, torch.float32)
    assert same_bits(got.cpu(), torch.tensor([3.0, -1.5, -1.5]))
