"""Calls as csrc/cuda/pairwise.cu puts them together, against the float64 reference.

Which kernels run for which batch, and that what one leaves to the next arrives there.

The shorter of 64 lists are a warp's or a block's (to count, up to 1024 slots, or up to 8192 with
enough shared memory; to sum values, 512), the others sorted; with few lists, those up to 10,240
slots are enumerated in tiles.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from host_cases import every_loss, forward, hold, hold_counts, same_bits, sanitize

from batches import FORMS, flat, flat_mask, one_list, padded_lengths
from cases import Case, name_of

SHORT, TILES, LONG, HALF, SMALL_CLASS = 1, 2, 3, 4, 5  # digits of last_kernels()

MIXED = (3, 40, 700, 5000)
MANY = MIXED + (9,) * 59 + (1100,)
VERY_LONG = 11_000
ONE_LAUNCH = 98 * 2048


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
        dispatch_host.seed(seed)
        results.append(forward(dispatch_host, call, loss, reduction="mean"))
    for name, tensor in results[0].items():
        assert same_bits(tensor, results[1][name]), name


@pytest.mark.parametrize(
    ("sizes", "form", "kernels"),
    [
        ((3, 40, 100) * 20, "lengths", [SHORT]),  # a warp each
        ((3, 40, 500) + (9,) * 37, "lengths", [SHORT]),  # a block each
        ((3, 40, 100), "flat", [SHORT]),  # as few slots as the longest short list
        (MIXED, "flat", [TILES]),
        (MIXED, "lengths", [TILES]),
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


@pytest.fixture(params=[(99, 100), (163, 164), (227, 228)], ids=["sm_86", "sm_80", "sm_90"])
def much_shared_memory(request: pytest.FixtureRequest, dispatch_host):
    """Of a block and of a multiprocessor, in KB: enough for a medium list, or for two at once."""
    dispatch_host.shared_memory(*request.param)
    yield request.param[1] >= 2 * 99
    dispatch_host.shared_memory()


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_medium_lists(loss: str, much_shared_memory: bool, on_dispatch_host) -> None:
    """Their kernel is that of short lists where they count; values are summed as ever."""
    sizes = (40, 1100, 700) + (9,) * 30
    case = Case("medium", sizes, "", labels="grades")
    counts = loss == "hinge"
    hold(case, loss, torch.float32)
    assert on_dispatch_host.kernels() == (
        [SHORT] if counts and much_shared_memory else [SHORT, LONG]
    )
    form = lambda batch: padded_lengths(batch, filler=math.nan)  # noqa: E731
    hold(case, loss, torch.float32, form=form)
    assert on_dispatch_host.kernels() == ([SHORT] if counts else [TILES])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=name_of)
@pytest.mark.parametrize("form", ["one", "flat", "lengths"])
def test_long_list_of_half_scores(dtype: torch.dtype, form: str, on_dispatch_host) -> None:
    shape = one_list if form == "one" else FORMS[form]
    hold(Case("halves", (17_000,), "", labels="grades"), "hinge", dtype, form=shape)
    assert on_dispatch_host.kernels() == [HALF]


@pytest.mark.parametrize(
    ("n", "wanted", "kernel"),
    [
        (ONE_LAUNCH, True, LONG),
        (ONE_LAUNCH + 1, False, LONG),
        (ONE_LAUNCH + 1, True, SMALL_CLASS),
    ],
)
def test_small_class(n: int, wanted: bool, kernel: int, dispatch_host) -> None:
    """Looked for in lists that are more than one launch sorts, and only where it is wanted."""
    batch = Case("small", (n,), "").batch(torch.float32)
    batch = replace(batch, labels=torch.arange(n) % 100 == 0)
    dispatch_host.want_small_class(wanted)
    try:
        results = forward(dispatch_host, one_list(batch), "hinge")
    finally:
        dispatch_host.want_small_class(False)
    assert dispatch_host.kernels() == [kernel]
    hold_counts(results, batch)


@pytest.mark.parametrize("width", [0, 100, 5000])
def test_no_lists(width: int, dispatch_host) -> None:
    """However wide: nothing is launched without a block, and the loss is written."""
    batch = Case("empty", (), "").batch(torch.float32)
    for loss in ("hinge", "squared_hinge"):
        results = forward(dispatch_host, padded_lengths(batch, width), loss, reduction="mean")
        assert dispatch_host.kernels() == [SHORT]
        assert results["loss"] == 0
