"""Several margins in the kernel of short lists: each is what it is alone, whatever their number."""

from __future__ import annotations

import itertools

import torch

from cuda_host.host_cases import every_loss, forward, same_bits, sanitize
from support.batches import flat
from support.cases import REDUCTIONS, Case

MARGINS = (1.0, -0.5, 0.25)
BATCH = Case("margins", (40, 5, 0, 130, 1, 9), "lists of warps and blocks", labels="grades")


@sanitize
@every_loss
def test_each_margin_is_alone(loss: str, on_short_host) -> None:
    call = flat(BATCH.batch(torch.float32))
    for reduction, count in itertools.product(REDUCTIONS, (2, 3)):
        margins = torch.tensor(MARGINS[:count], dtype=torch.float64)
        together = forward(on_short_host, call, loss, reduction=reduction, margins=margins)
        for k, margin in enumerate(MARGINS[:count]):
            alone = forward(on_short_host, call, loss, reduction=reduction, margin=margin)
            assert same_bits(together["list_scale"], alone["list_scale"]), (reduction, count)
            assert same_bits(together["raw_grad"][k], alone["raw_grad"][0])
            assert same_bits(together["loss"][k].reshape(-1), alone["loss"].reshape(-1))
