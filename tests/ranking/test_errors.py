"""What the learning-to-rank functions and their raw ops refuse: the type and the whole text."""

from __future__ import annotations

import pytest
import torch

import fused_rankloss
from fused_rankloss import ops
from support.invalid import IMPL, MASK, ROWS, VALUES, Refusal, S, Y
from support.invalid_ranking import REFUSED

pytestmark = pytest.mark.sanitize

EVERYTHING = [(name, refusal) for name, refusals in REFUSED.items() for refusal in refusals]


def assert_refused(name: str, refusal: Refusal, **options) -> None:
    function = getattr(fused_rankloss, name)
    with pytest.raises(refusal.error) as raised:
        function(refusal.scores, refusal.labels, **refusal.options, **options)
    assert type(raised.value) is refusal.error
    assert str(raised.value) == f"{name}: {refusal.text}"


@pytest.mark.parametrize(("name", "refusal"), EVERYTHING, ids=str)
def test_functions(name: str, refusal: Refusal) -> None:
    assert_refused(name, refusal)
    assert_refused(name, refusal, impl="reference")


@pytest.mark.parametrize("refusal", VALUES + IMPL, ids=str)
@pytest.mark.parametrize("name", REFUSED)
def test_values(name: str, refusal: Refusal) -> None:
    assert_refused(name, refusal)


@pytest.mark.parametrize("name", REFUSED)
def test_options_are_keywords(name: str) -> None:
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        getattr(fused_rankloss, name)(S, Y, "lambdarank")


def test_listwise_losses_weigh_no_pairs() -> None:
    for name in ("listnet_loss", "list_mle_loss", "approx_ndcg_loss"):
        with pytest.raises(TypeError, match="unexpected keyword argument 'weighting'"):
            getattr(fused_rankloss, name)(S, Y, weighting="product")


# ---- The raw ops ---------------------------------------------------------------------------------

LISTS = {
    "scores": S,
    "labels": Y,
    "weights": None,
    "list_weights": None,
    "gains": None,
    "mask": None,
    "lengths": None,
    "offsets": None,
}
LAMBDA = LISTS | {
    "discounts": None,
    "scheme": "lambdarank",
    "pair_loss": "logistic",
    "sigma": 1.0,
    "margin": 1.0,
    "scale": 1.0,
    "mu": 10.0,
    "gain": "exponential",
    "k": 0,
    "truncation": "either",
    "score_normalization": False,
    "list_normalization": False,
    "weighting": "product",
    "reduction": "mean",
    "needs_grad": True,
    "needs_statistics": True,
}
LISTWISE = LISTS | {
    "position_weights": None,
    "loss": "list_mle",
    "positions": "none",
    "temperature": 1.0,
    "gain": "exponential",
    "reduction": "mean",
    "needs_grad": True,
}
BOTH_REFUSE = {
    "scores_dtype": {"scores": Y},
    "labels_shape": {"labels": Y[:2]},
    "weights_shape": {"weights": S[:2]},
    "list_weights_shape": {"list_weights": torch.ones(2, dtype=torch.float64)},
    "list_weights_dtype": {"list_weights": torch.ones(1)},
    "gains_shape": {"gains": S[:2].double()},
    "gains_dtype": {"gains": S},
    "mask_dtype": {"mask": MASK.byte()},
    "mask_shape": {"mask": MASK[:2]},
    "offsets_of_rows": {**ROWS, "offsets": torch.tensor([0, 1, 4])},
    "lengths_and_mask": {**ROWS, "lengths": torch.tensor([1, 2]), "mask": MASK.view(2, 2)},
    "reduction": {"reduction": "avg"},
    "gain": {"gain": "log"},
}
LAMBDA_REFUSES = BOTH_REFUSE | {
    "discounts_dtype": {"discounts": S},
    "discounts_shape": {"discounts": torch.ones(2, 2, dtype=torch.float64)},
    "discounts_empty": {"discounts": torch.ones(0, dtype=torch.float64)},
    "scheme": {"scheme": "ndcg"},
    "pair_loss": {"pair_loss": "cubic"},
    "truncation": {"truncation": "top"},
    "weighting": {"weighting": "sum"},
    "sigma": {"sigma": 0.0},
    "sigma_nan": {"sigma": float("nan")},
    "k": {"k": -1},
}
LISTWISE_REFUSES = BOTH_REFUSE | {
    "position_weights_dtype": {"position_weights": S},
    "position_weights_empty": {"position_weights": torch.ones(0, dtype=torch.float64)},
    "loss": {"loss": "softmax"},
    "positions": {"positions": "linear"},
    "temperature": {"temperature": 0.0},
    "temperature_nan": {"temperature": float("nan")},
}


def assert_op_refuses(op, arguments: dict, name: str) -> None:
    with pytest.raises(ValueError) as raised:
        op(*arguments.values())
    assert str(raised.value).startswith(f"{name}: expected ")


@pytest.mark.parametrize("name", LAMBDA_REFUSES)
def test_lambda_op(name: str) -> None:
    assert_op_refuses(ops.lambda_forward, LAMBDA | LAMBDA_REFUSES[name], "lambda_loss")


@pytest.mark.parametrize("name", LISTWISE_REFUSES)
def test_listwise_op(name: str) -> None:
    speaks = "listwise_forward" if name == "loss" else "list_mle_loss"
    assert_op_refuses(ops.listwise_forward, LISTWISE | LISTWISE_REFUSES[name], speaks)


@pytest.mark.parametrize("refusal", VALUES, ids=str)
def test_op_values(refusal: Refusal) -> None:
    change = {"scores": refusal.scores, "labels": refusal.labels, **refusal.options}
    for op, arguments, name in (
        (ops.lambda_forward, LAMBDA, "lambda_loss"),
        (ops.listwise_forward, LISTWISE, "list_mle_loss"),
    ):
        with pytest.raises(ValueError) as raised:
            op(*(arguments | change).values())
        assert str(raised.value) == f"{name}: {refusal.text}"
