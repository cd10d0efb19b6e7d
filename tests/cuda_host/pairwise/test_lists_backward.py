"""The lists_backward kernel, run on the CPU."""

from __future__ import annotations

import math

import pytest
import torch

from cuda_host.host_cases import every_dtype, sanitize
from support.cases import (
    generator_for,
    name_of,
)


@sanitize
@every_dtype
@pytest.mark.parametrize("raw_dtype", [torch.int32, torch.float32, torch.float64], ids=name_of)
@pytest.mark.parametrize("per_list", [False, True])
def test_lists_backward(dtype: torch.dtype, raw_dtype: torch.dtype, per_list: bool, host) -> None:
    generator = generator_for(f"{dtype} {raw_dtype}")
    sizes, num_margins = [5, 0, 300, 1], 3
    total, num_lists = sum(sizes), len(sizes)
    raw = torch.randint(-1000, 1000, (num_margins, total), generator=generator).to(raw_dtype)
    scale = torch.rand(num_lists, generator=generator, dtype=torch.float64)
    scale[3] = math.nan
    shape = (num_margins, num_lists) if per_list else (num_margins,)
    grad_output = torch.randn(shape, generator=generator)
    mask = torch.rand(total, generator=generator) < 0.8
    mask[-1] = True
    offsets = torch.tensor([0, *sizes]).cumsum(0)
    fused = host.lists_backward(grad_output, raw, scale, mask, None, offsets, dtype)

    lists = torch.repeat_interleave(torch.arange(num_lists), torch.tensor(sizes))
    by_list = (
        grad_output.double() if per_list else grad_output.double()[:, None].expand(-1, num_lists)
    )
    wanted = (by_list[:, lists] * raw.double()).sum(0) * scale[lists]
    wanted = torch.where(mask, wanted, 0.0)
    assert fused.dtype == dtype and fused[-1].isnan()
    assert (fused[~mask] == 0).all()
    # fp64 sums in another order, then one rounding (by way of fp32 for 16 bits).
    unit = torch.finfo(dtype).eps / 2 + (2.0**-24 if dtype.itemsize == 2 else 0)
    error = (fused.double() - wanted).abs()[:-1]
    size = (by_list[:, lists] * raw.double()).abs().sum(0) * scale[lists]
    assert (error <= unit * wanted.abs()[:-1] + 2.0**-51 * size[:-1]).all()


def test_int64_counts_are_refused(host) -> None:
    raw, scale = torch.zeros(1, 3, dtype=torch.int64), torch.ones(1, dtype=torch.float64)
    with pytest.raises(ValueError, match="^lists_backward: expected raw_grad of dtype int32, "):
        host.lists_backward(torch.ones(1), raw, scale, None, None, None, torch.float32)
