"""Long lists in one launch, which sorts for itself: the bits of the path with the library's sort.

The launcher's own sort stands for the library's: stable, by score and then by list. A tile has 2048
slots, which is as many as one block has alone.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from cuda_host.host_cases import (
    every_dtype,
    every_loss,
    forward,
    hold,
    invalid_offsets,
    same_bits,
    sanitize,
)
from support.batches import FORMS, Batch, flat, flat_mask, one_list, padded_lengths
from support.cases import Case, generator_for

ALL = 2**31


def hold_same(host, call, loss: str, *, crossover: int = 0, blocks: int = 3, **options) -> None:
    """Both paths give the same bits; the one launch does with any schedule and grid."""
    host.set(crossover=crossover)
    wanted = forward(host, call, loss, **options)
    for grid, seed in ((blocks, 1), (1, 2)):
        host.set(crossover=crossover, blocks=grid, seed=seed, one_launch=ALL)
        for name, tensor in forward(host, call, loss, **options).items():
            assert same_bits(tensor, wanted[name]), (name, grid)


# ---- Sizes, dtypes, forms --------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("scores", ["normal", "quarters"])
@every_dtype
def test_dtypes(dtype: torch.dtype, scores: str, long_host) -> None:
    """Both signs, with ties or without: an order that is not stable by slot shows in the sums."""
    case = Case("dtypes", (700,), "", scores=scores, labels="grades", weighted=True)
    hold_same(long_host, one_list(case.batch(dtype)), "squared_hinge")


@sanitize
@pytest.mark.parametrize("size", [1, 33, 2047, 2048, 2049])
def test_sizes(size: int, long_host) -> None:
    case = Case("sizes", (size,), "", scores="quarters", labels="grades")
    hold_same(long_host, one_list(case.batch(torch.float32)), "hinge")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_tiles(dtype: torch.dtype, long_host) -> None:
    """Blocks have two tiles, two and one, or all of them; values take any order to pieces."""
    batch = Case("tiles", (4 * 2048 + 5,), "", labels="rare", weighted=True).batch(dtype)
    hold_same(long_host, one_list(batch), "squared_hinge")


@sanitize
@pytest.mark.parametrize(
    ("loss", "dtype"),
    [("hinge", torch.bfloat16), ("hinge", torch.float32), ("squared_hinge", torch.float64)],
    ids=["counts-bfloat16", "counts-float32", "values-float64"],
)
def test_several_lists(loss: str, dtype: torch.dtype, long_host) -> None:
    """Long ones, short ones that are left alone, and empty ones, across tiles."""
    sizes = (70, 3, 0, 2300, 200, 31)
    batch = Case("several", sizes, "", labels="signed", weighted=loss != "hinge").batch(dtype)
    hold_same(long_host, flat(batch), loss, crossover=50, reduction="list_mean")


@pytest.mark.parametrize("lists", [255, 300])
def test_more_lists_than_a_digit_has_values(lists: int, long_host) -> None:
    sizes = tuple(3 + t % 5 for t in range(lists))
    batch = Case("lists", sizes, "", labels="grades").batch(torch.float32)
    hold_same(long_host, flat(batch), "squared_hinge", crossover=4, reduction="none")


@sanitize
@pytest.mark.parametrize("form", [name for name in FORMS if name not in ("flat", "nested")])
def test_forms(form: str, long_host) -> None:
    batch = Case("forms", (40, 3, 300, 0, 90), "", labels="grades").batch(torch.float32)
    call = FORMS[form](batch, filler=math.nan)
    hold_same(long_host, call, "squared_hinge", crossover=8, reduction="none")


def test_margins(long_host) -> None:
    margins = torch.tensor([0.5, -1.0, math.nan], dtype=torch.float64)
    batch = Case("margins", (130, 3, 90), "", labels="grades").batch(torch.float32)
    for loss in ("hinge", "squared_hinge"):
        hold_same(long_host, flat(batch), loss, crossover=8, margins=margins)


@sanitize
def test_many_labels(long_host) -> None:
    """The ranks of labels are sorted in what the sort by score has left."""
    batch = Case("labels", (2100, 30), "", labels="continuous").batch(torch.float32)
    hold_same(long_host, flat(batch), "hinge")


# ---- No long list ----------------------------------------------------------------------------


@every_loss
def test_no_list_is_long(loss: str, on_long_host) -> None:
    """Which the host cannot know: the other kernel's sums are all that there is to reduce."""
    on_long_host.set(crossover=50, one_launch=ALL)
    hold(Case("short", (50, 3, 0, 49, 50), "", labels="grades"), loss, torch.float32)


@every_loss
def test_long_lists_without_items(loss: str, on_long_host, long_host) -> None:
    batch = Case("masked", (40, 60), "", labels="grades").batch(torch.float32)
    call = flat_mask(batch)
    call.options["mask"][:] = False
    for one_launch in (0, ALL):
        long_host.set(crossover=20, one_launch=one_launch)
        results = forward(long_host, call, loss, reduction="none")
        assert all((results[name] == 0).all() for name in ("loss", "raw_grad", "margin_slope"))


# ---- What is no number -----------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("what", ["scores", "weights"])
def test_nan(what: str, long_host) -> None:
    case = Case("nan", (40, 9, 130, 5), "", labels="grades", weighted=True)
    batch = case.batch(torch.float32)
    getattr(batch, what)[60] = math.nan  # in list 2
    call = padded_lengths(batch, filler=math.nan)
    hold_same(long_host, call, "squared_hinge", crossover=8, reduction="none")
    results = forward(long_host, call, "squared_hinge", reduction="none")
    assert results["loss"].isnan().tolist() == [False, False, True, False]


@sanitize
@every_dtype
def test_infinities_and_extreme_scores(dtype: torch.dtype, long_host) -> None:
    """Also both zeros and subnormal numbers, whose keys are next to each other."""
    largest, least = torch.finfo(dtype).max, torch.finfo(dtype).smallest_normal
    special = [math.inf, -math.inf, largest, -largest, least, -least, least / 2, -least / 2]
    scores = torch.tensor([*special, 0.0, -0.0] * 7, dtype=torch.float64).to(dtype)
    order = torch.randperm(70, generator=generator_for("extreme"))
    batch = Batch(scores[order], (torch.arange(70) % 10 > 4)[order].long(), (70,))
    hold_same(long_host, one_list(batch), "hinge")
    mixed = replace(batch, labels=torch.arange(70) % 3, sizes=(30, 40))
    hold_same(long_host, flat(mixed), "hinge", reduction="none")


@sanitize
@invalid_offsets
def test_invalid_offsets(offsets: list[int], long_host) -> None:
    """Every list is poisoned, and nothing is read or written out of bounds."""
    scores = torch.randn(100, generator=generator_for("offsets"))
    call = one_list(Batch(scores, torch.arange(100) % 14, (100,)))
    call.options["offsets"] = torch.tensor(offsets)
    for crossover in (0, 30):
        long_host.set(crossover=crossover, one_launch=ALL)
        results = forward(long_host, call, "squared_hinge", reduction="none")
        assert results["loss"].isnan().all() and results["list_scale"].isnan().all()


# ---- Batches ---------------------------------------------------------------------------------


@every_loss
def test_bits_of_a_list_do_not_depend_on_its_batch(loss: str, long_host) -> None:
    """Alone, and across tiles behind another one; sorted by the library there."""
    batch = Case("alone", (2300,), "", labels="grades").batch(torch.float32)
    long_host.set(one_launch=ALL)
    alone = forward(long_host, one_list(batch), loss)
    ahead = Case("ahead", (2048,), "", labels="signed").batch(torch.float32)
    both = Batch(
        torch.cat([ahead.scores, batch.scores]),
        torch.cat([ahead.labels, batch.labels]),
        (2048, 2300),
    )
    for one_launch in (0, ALL):
        long_host.set(one_launch=one_launch)
        results = forward(long_host, flat(both), loss, reduction="none")
        assert same_bits(results["raw_grad"][..., 2048:], alone["raw_grad"])
        assert results["loss"][1] == alone["loss"]
