"""What only a GPU can show of the losses over ranked lists: that nothing waits for the host."""

from __future__ import annotations

import pytest
import torch

import fused_rankloss
from support.batches import FORMS, Call, flat
from support.cases import MEDIUM, REDUCTIONS, SMALL, by_name
from support.ranking import PAIR

pytestmark = pytest.mark.gpu

CASES = by_name(SMALL + MEDIUM)
every_loss = pytest.mark.parametrize("name", PAIR)


def cuda_call(case: str, form=flat) -> Call:
    return form(CASES[case].batch(torch.float32).to("cuda"))


@every_loss
@pytest.mark.parametrize("form", FORMS)
def test_nothing_waits_for_the_host(name: str, form: str) -> None:
    calls = [cuda_call(case, FORMS[form]) for case in ("ragged", "weighted", "n257")]
    gains = [call.labels.float() for call in calls]
    discount = torch.tensor([1.0, 0.5, 0.25], device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        for call in calls:
            for reduction in REDUCTIONS:
                scores = call.scores.detach().requires_grad_()
                PAIR[name](
                    scores, call.labels, **call.options, reduction=reduction
                ).sum().backward()
        for call, own in zip(calls, gains, strict=True):
            fused_rankloss.lambda_loss(
                call.scores,
                call.labels,
                **call.options,
                gains=own,
                discount=discount,
                return_statistics=True,
            )
    finally:
        torch.cuda.set_sync_debug_mode("default")
