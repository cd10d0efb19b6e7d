"""Calls as csrc/cuda/pairwise/pairwise.cu puts them together, against the float64 reference.

Which kernels run for which batch, and that what one leaves to the next arrives there.

The shorter of 64 lists are a warp's or a block's (to count, up to 1024 slots; to sum values, 512),
the others sorted; with few lists, those up to 10,240 slots are enumerated in tiles.
"""

from __future__ import annotations

import math

import pytest
import torch

from cuda_host.host_cases import every_loss, forward, hold, same_bits, sanitize
from support.batches import FORMS, flat, flat_mask, one_list, padded_lengths
from support.cases import Case

SHORT, TILES, LONG = "short", "tiles", "long"

MIXED = (3, 40, 700, 5000)
MANY = MIXED + (9,) * 59 + (1100,)
VERY_LONG = 11_000


@sanitize
@pytest.mark.parametrize("reduction", ["mean", "list_mean", "none"])
@every_loss
def test_short_and_long(loss: str, reduction: str, on_dispatch_host) -> None:
    case = Case("mixed", MANY, "lists of both kinds", labels="grades")
    hold(case, loss, torch.float32, reduction=reduction)
    assert on_dispatch_host.kernels() == [SHORT, LONG]


@every_loss
def test_short_and_long_with_padding(loss: str, on_dispatch_host) -> None:
    case = Case("mixed", MANY, "and a mask", labels="grades")
    form = lambda batch: flat_mask(batch, extra=1, filler=math.nan)  # noqa: E731
    hold(case, loss, torch.float32, form=form)
    assert on_dispatch_host.kernels() == [SHORT, LONG]


@every_loss
def test_short_and_long_with_margins(loss: str, dispatch_host) -> None:
    """K margins share the workspace: the short kernel's sums lie where the long one's do."""
    call = flat(Case("margins", MANY, "", labels="grades").batch(torch.float32))
    margins = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    together = forward(dispatch_host, call, loss, margins=margins, reduction="list_mean")
    assert dispatch_host.kernels() == [SHORT, LONG]
    for k, margin in enumerate(margins.tolist()):
        single = forward(dispatch_host, call, loss, margin=margin, reduction="list_mean")
        for name in ("loss", "raw_grad", "margin_slope"):
            assert same_bits(together[name][k], single[name].reshape(together[name][k].shape))


@sanitize
@pytest.mark.parametrize("long", [700, 5000])
@every_loss
def test_nan_poisons_its_list(long: int, loss: str, dispatch_host) -> None:
    """Neither kernel's poisoned list reaches the other's lists."""
    batch = Case("nan", MANY, "", labels="grades").batch(torch.float32)
    clean = forward(dispatch_host, flat(batch), loss, reduction="none")
    batch.scores[sum(MANY[: MANY.index(long)]) + 5] = math.nan
    results = forward(dispatch_host, flat(batch), loss, reduction="none")
    poisoned = torch.tensor([size == long for size in MANY])
    for name in ("loss", "list_scale"):
        assert torch.equal(results[name].isnan(), poisoned)
        assert torch.equal(results[name][~poisoned], clean[name][~poisoned])


@sanitize
def test_broken_offsets(dispatch_host) -> None:
    call = flat(Case("broken", MANY, "", labels="grades").batch(torch.float32))
    call.options["offsets"][2:4] = torch.tensor([800, 20])
    for loss in ("hinge", "squared_hinge"):
        results = forward(dispatch_host, call, loss, reduction="none")
        assert dispatch_host.kernels() == [SHORT, LONG]
        assert all(results[name].isnan().all() for name in ("loss", "list_scale"))


@every_loss
def test_schedules_agree_bit_for_bit(loss: str, dispatch_host) -> None:
    call = flat(Case("seeds", MANY, "", labels="grades").batch(torch.float32))
    results = []
    for seed in (1, 2):
        dispatch_host.set(seed=seed)
        results.append(forward(dispatch_host, call, loss, reduction="mean"))
    for name, tensor in results[0].items():
        assert same_bits(tensor, results[1][name]), name


@pytest.mark.parametrize(
    ("sizes", "form", "kernels"),
    [
        ((3, 40, 100) * 20, "lengths", [SHORT]),  # a warp each
        ((3, 40, 500) + (9,) * 37, "lengths", [SHORT]),  # a block each
        ((3, 40, 100), "flat", [SHORT]),  # as few slots as the longest short list
        ((1025,) * 32, "mask", [LONG]),  # too wide for a block, even if few slots are real
        (MIXED, "flat", [TILES]),
        (MIXED, "lengths", [TILES]),
        (MIXED * 8, "lengths", [SHORT, LONG]),
        ((3, VERY_LONG, 40), "flat", [TILES, LONG]),
        ((3, VERY_LONG, 40), "lengths", [TILES, LONG]),
        ((VERY_LONG,), "one", [LONG]),
        ((0, 0, 0), "flat", [SHORT]),
    ],
)
@every_loss
def test_kernels(
    sizes: tuple[int, ...], form: str, kernels: list[int], loss: str, on_dispatch_host
) -> None:
    filler = {"filler": math.nan} if form == "lengths" else {}
    shape = one_list if form == "one" else FORMS[form]
    case = Case("kernels", sizes, "", labels="grades")
    hold(case, loss, torch.float32, form=lambda batch: shape(batch, **filler))
    assert on_dispatch_host.kernels() == kernels


@pytest.mark.parametrize("width", [0, 100, 5000])
def test_no_lists(width: int, dispatch_host) -> None:
    """However wide: nothing is launched without a block, and the loss is written."""
    batch = Case("empty", (), "").batch(torch.float32)
    for loss in ("hinge", "squared_hinge"):
        results = forward(dispatch_host, padded_lengths(batch, width), loss, reduction="mean")
        assert dispatch_host.kernels() == [SHORT]
        assert results["loss"] == 0


def test_too_many_slots(dispatch_host) -> None:
    """More than 32 bits count are refused before anything is launched or allocated."""
    text = "expected at most 2147483647 scores on CUDA, got 2147483648"
    for op in (dispatch_host.huge_forward, dispatch_host.huge_backward):
        with pytest.raises(ValueError, match=text):
            op(2**31)
