"""What the functions refuse: the type and the whole text of every error in refusals.py."""

from __future__ import annotations

import warnings
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import fused_rankloss
from fused_rankloss import _extension
from fused_rankloss.functional._checks import check_device
from support.cases import LOSSES
from support.invalid import BOUNDARY_GRAD, COMMON, IMPL, MASK, VALUES, Refusal, S, Y

pytestmark = pytest.mark.sanitize


def assert_refused(function, name: str, refusal: Refusal) -> None:
    with pytest.raises(refusal.error) as raised:
        function(refusal.scores, refusal.labels, **refusal.options)
    assert type(raised.value) is refusal.error
    assert str(raised.value) == f"{name}: {refusal.text}"


@pytest.mark.parametrize("refusal", COMMON + VALUES + IMPL, ids=str)
@pytest.mark.parametrize("loss", LOSSES)
def test_functions(refusal: Refusal, loss: str) -> None:
    assert_refused(LOSSES[loss], f"pairwise_{loss}_loss", refusal)


@pytest.mark.parametrize("refusal", BOUNDARY_GRAD, ids=str)
def test_boundary_grad(refusal: Refusal) -> None:
    assert_refused(LOSSES["hinge"], "pairwise_hinge_loss", refusal)


@pytest.mark.parametrize("refusal", COMMON, ids=str)
def test_reference_refuses_the_same(refusal: Refusal) -> None:
    def reference(scores, labels, **options):
        return LOSSES["hinge"](scores, labels, impl="reference", **options)

    assert_refused(reference, "pairwise_hinge_loss", refusal)


def test_nested_of_another_layout() -> None:
    with pytest.warns(UserWarning, match="prototype"):
        scores = torch.nested.nested_tensor([torch.zeros(2), torch.zeros(1)])
    with pytest.raises(ValueError) as raised:
        LOSSES["hinge"](scores, scores)
    assert str(raised.value) == (
        "pairwise_hinge_loss: expected nested scores of layout torch.jagged with one number per "
        "item [B, j] and no holes, got layout torch.strided with 2 dimensions"
    )


def test_squared_hinge_has_no_boundary_grad() -> None:
    for function in (
        lambda **options: LOSSES["squared_hinge"](S, Y, **options),
        fused_rankloss.PairwiseSquaredHingeLoss,
    ):
        with pytest.raises(TypeError, match="unexpected keyword argument 'boundary_grad'"):
            function(boundary_grad=0.0)


def test_options_are_keywords() -> None:
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        LOSSES["hinge"](S, Y, 1.0)


def test_modules_speak_for_the_function() -> None:
    with pytest.raises(ValueError, match=r"^pairwise_hinge_loss: expected labels of shape \[4\]"):
        fused_rankloss.PairwiseHingeLoss()(S, Y[:2])


# ---- A column of scores --------------------------------------------------------------------------

OVER_LISTS = [
    "pairwise_hinge_loss",
    "pairwise_squared_hinge_loss",
    "pairwise_logistic_loss",
    "lambda_loss",
    "listnet_loss",
    "list_mle_loss",
    "approx_ndcg_loss",
]
COLUMN = r"scores of shape \[4, 1\] are 4 lists of one item each.* pass scores\.squeeze\(-1\)"


@pytest.mark.parametrize("name", OVER_LISTS)
def test_a_column_of_scores_draws_a_warning(name: str) -> None:
    """What a linear layer gives without squeeze(-1): no list has a pair, and nothing is learnt."""
    function = getattr(fused_rankloss, name)
    for impl in ("auto", "reference"):
        with pytest.warns(UserWarning, match=rf"^{name}: {COLUMN}") as caught:
            value = function(S[:, None], Y[:, None], impl=impl)
        assert len(caught) == 1 and caught[0].filename == __file__
        assert value.isfinite()


def test_the_warning_names_the_call_of_a_module() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 1))
    with pytest.warns(UserWarning, match=COLUMN) as caught:
        fused_rankloss.PairwiseHingeLoss()(module(torch.ones(4, 2)), Y[:, None])
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("scores", "options"),
    [
        (S[:, None], {"mask": MASK[:, None]}),
        (S[:, None], {"lengths": torch.ones(4, dtype=torch.int64)}),
        (S[None], {}),
        (S[:1, None], {}),
        (S, {}),
    ],
    ids=["mask", "lengths", "row", "single", "flat"],
)
def test_other_shapes_draw_none(scores: torch.Tensor, options: dict) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LOSSES["hinge"](scores, torch.ones_like(scores), **options)


# ---- Numbers -------------------------------------------------------------------------------------


def test_numbers_of_other_types() -> None:
    """Any number is taken: numpy's too, in a scalar or an array of no dimension."""
    scores, labels = torch.tensor([0.0, 1.0, 0.5, 2.0]), torch.tensor([2, 1, 0, 1])
    plain = fused_rankloss.lambda_loss(scores, labels, k=2, sigma=0.5)
    for k in (np.int64(2), np.uint8(2), np.array(2)):
        for sigma in (np.float32(0.5), np.float64(0.5), np.array(0.5), Fraction(1, 2)):
            assert torch.equal(fused_rankloss.lambda_loss(scores, labels, k=k, sigma=sigma), plain)
    plain = LOSSES["hinge"](scores, labels, margin=2.0)
    for margin in (2, np.float16(2), np.int32(2), np.array(2.0)):
        assert torch.equal(LOSSES["hinge"](scores, labels, margin=margin), plain)
    for value in (np.bool_(True), np.array([1.0]), np.array("1"), 1j):
        with pytest.raises(TypeError, match="expected sigma to be a float"):
            fused_rankloss.lambda_loss(scores, labels, sigma=value)


# ---- Devices -------------------------------------------------------------------------------------


def on(device: str) -> SimpleNamespace:
    """Stands in for scores on a device that this machine may not have."""
    return SimpleNamespace(device=torch.device(device))


def test_other_devices() -> None:
    with pytest.raises(NotImplementedError) as raised:
        check_device("pairwise_hinge_loss", "scores", on("mps"))
    assert str(raised.value) == (
        "pairwise_hinge_loss: expected scores on a cpu or cuda device, got mps; "
        "impl='reference' runs on every device"
    )


def test_cuda_without_kernels(monkeypatch) -> None:
    monkeypatch.setattr(_extension, "_cuda_unavailable_reason", "a reason")
    with pytest.raises(RuntimeError) as raised:
        check_device("pairwise_hinge_loss", "scores", on("cuda"))
    assert str(raised.value) == (
        "pairwise_hinge_loss: got CUDA tensors, but this installation of fused_rankloss has no "
        "CUDA kernels: a reason"
    )


@pytest.mark.gpu
def test_values_on_a_gpu_make_nan() -> None:
    """Reading them would wait for the GPU: these lists are NaN, and nothing is out of bounds."""
    scores, labels = torch.zeros(6, device="cuda"), torch.arange(6, device="cuda") % 2
    for offsets, bad in [([0, 2, 9], 1), ([0, 4, 2, 6], 1), ([1, 3, 6], 0), ([0, 3, 5], 1)]:
        given = torch.tensor(offsets, device="cuda")
        loss = LOSSES["hinge"](scores, labels, offsets=given, reduction="none")
        assert loss[bad].isnan()
    rows = scores.view(2, 3), labels.view(2, 3)
    for lengths in ([3, -1], [3, 4]):
        given = torch.tensor(lengths, device="cuda")
        loss = LOSSES["hinge"](*rows, lengths=given, reduction="none")
        assert loss.isnan().tolist() == [False, True]
