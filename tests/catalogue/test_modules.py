"""The catalogue losses as modules: the functions' values and options."""

from __future__ import annotations

import pickle

import pytest
import torch

import fused_rankloss
from support.catalogue import LOSSES, VARIANT_IDS, VARIANTS, batch_for, evaluate

MODULES = {
    "hinge": fused_rankloss.CatalogueHingeLoss,
    "squared_hinge": fused_rankloss.CatalogueSquaredHingeLoss,
    "logistic": fused_rankloss.CatalogueLogisticLoss,
    "warp": fused_rankloss.CatalogueWARPLoss,
    "softmax": fused_rankloss.CatalogueSoftmaxLoss,
}


@pytest.mark.parametrize(("loss", "options"), VARIANTS, ids=VARIANT_IDS)
def test_same_as_the_function(loss: str, options: dict) -> None:
    batch = batch_for("modules")
    options = {**options, "reduction": "list_mean", "negatives": 4}
    module = pickle.loads(pickle.dumps(MODULES[loss](**options)))
    assert evaluate(module, batch).same_bits(evaluate(LOSSES[loss], batch, **options))


@pytest.mark.parametrize("loss", MODULES)
def test_what_is_no_option(loss: str) -> None:
    for wrong in ({"margins": 1.0}, {"exclude": None}):
        with pytest.raises(TypeError, match="got unexpected options"):
            MODULES[loss](**wrong)


def test_a_margin_is_learned() -> None:
    module = fused_rankloss.CatalogueHingeLoss(margin=torch.nn.Parameter(torch.tensor(0.5)))
    batch = batch_for("learned")
    module(batch.queries, batch.items, batch.positives).backward()
    assert module.margin.grad > 0 and dict(module.named_parameters()).keys() == {"margin"}
