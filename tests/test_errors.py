"""What the functions refuse: the type and the whole text of every error in refusals.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

import fused_rankloss
from cases import LOSSES
from fused_rankloss import _extension
from fused_rankloss.functional._checks import check_device
from refusals import BOUNDARY_GRAD, COMMON, IMPL, VALUES, Refusal, S, Y

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
        "pairwise_hinge_loss: expected nested scores of layout torch.jagged with one number an "
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
