"""What the learning-to-rank functions refuse, as data, beside what every loss over lists does."""

from __future__ import annotations

import torch

from support.invalid import COMMON, NESTED_PAIR, S, jagged, meta, type_error, value_error

# What the losses over lists have in common: everything but margins and the weighting of pairs.
LISTS = [
    refusal
    for refusal in COMMON
    if not refusal.name.startswith("margin") and refusal.name != "weighting"
]
PAIRS = [
    value_error(
        "weighting",
        "expected weighting to be one of 'product', 'preferred', got 'sum'",
        weighting="sum",
    ),
    value_error("log", "expected log to be one of 'natural', 'binary', got 'e'", log="e"),
    type_error("sigma_str", "expected sigma to be a float, got str", sigma="1"),
    type_error("sigma_bool", "expected sigma to be a float, got bool", sigma=True),
    type_error("sigma_tensor", "expected sigma to be a float, got Tensor", sigma=torch.ones(())),
    value_error("sigma_zero", "expected sigma > 0, got 0.0", sigma=0.0),
    value_error("sigma_negative", "expected sigma > 0, got -1", sigma=-1),
    value_error("sigma_nan", "expected a finite sigma, got nan", sigma=float("nan")),
    value_error("sigma_inf", "expected a finite sigma, got inf", sigma=float("inf")),
    type_error(
        "statistics", "expected return_statistics to be a bool, got int", return_statistics=1
    ),
]
GAIN = "expected gain to be one of 'exponential', 'linear', got "
CONSTANT = "that require no grad (they are constants of the loss), got "
GAINS = [
    value_error("gain", f"{GAIN}'log'", gain="log"),
    type_error(
        "gains_list",
        "expected gains to be a tensor, got list; pass torch.as_tensor(gains)",
        gains=[1.0],
    ),
    value_error("gains_shape", "expected gains of shape [4] (as scores), got [2]", gains=S[:2]),
    value_error("gains_device", "expected gains on cpu (as scores), got meta", gains=meta(S)),
    type_error(
        "gains_complex",
        "expected real gains, got dtype torch.complex64",
        gains=S.to(torch.complex64),
    ),
    value_error(
        "gains_grad",
        f"expected gains {CONSTANT}gains with requires_grad=True; pass gains.detach()",
        gains=torch.ones(4, requires_grad=True),
    ),
    value_error(
        "nested_dense_gains",
        "expected nested jagged gains as scores are, got gains of layout torch.strided and "
        "1 dimensions",
        **NESTED_PAIR,
        gains=S,
    ),
    value_error(
        "nested_other_gains",
        "expected gains with the list lengths of scores, got others",
        **NESTED_PAIR,
        gains=jagged(S, torch.tensor([0, 2, 4])),
    ),
]
SCHEME = (
    "expected scheme to be one of 'lambdarank', 'ndcg_loss1', 'ndcg_loss2', 'ndcg_loss2++', 'arp', "
    "'none', got "
)
PAIR_LOSS = "expected pair_loss to be one of 'logistic', 'hinge', 'squared_hinge', got "
DISCOUNT = "expected discount of shape [R], R >= 1, got "
LAMBDA = [
    value_error("scheme", f"{SCHEME}'ndcg'", scheme="ndcg"),
    value_error("scheme_none", f"{SCHEME}None", scheme=None),
    value_error("pair_loss", f"{PAIR_LOSS}'exponential'", pair_loss="exponential"),
    value_error(
        "truncation",
        "expected truncation to be one of 'either', 'both', 'discount', got 'top'",
        truncation="top",
    ),
    value_error("k_zero", "expected k >= 1, got 0", k=0),
    value_error("k_negative", "expected k >= 1, got -3", k=-3),
    value_error("k_large", f"expected k below 2^63, got {2**63}", k=2**63),
    type_error("k_float", "expected k to be an int or None, got float", k=5.0),
    type_error("k_bool", "expected k to be an int or None, got bool", k=True),
    type_error("margin_tensor", "expected margin to be a float, got Tensor", margin=S[0]),
    value_error("margin_nan", "expected a finite margin, got nan", margin=float("nan")),
    value_error("mu_negative", "expected mu >= 0, got -1.0", mu=-1.0),
    value_error("mu_inf", "expected a finite mu, got inf", mu=float("inf")),
    type_error(
        "score_normalization",
        "expected score_normalization to be a bool, got NoneType",
        score_normalization=None,
    ),
    type_error(
        "list_normalization",
        "expected list_normalization to be a bool, got str",
        list_normalization="yes",
    ),
    value_error(
        "discount",
        "expected discount to be one of 'log2', a tensor, got 'linear'",
        discount="linear",
    ),
    value_error(
        "discount_array",
        "expected discount to be one of 'log2', a tensor, got array([1., 1., 1., 1.]); "
        "pass torch.as_tensor(discount)",
        discount=torch.ones(4, dtype=torch.float64).numpy(),
    ),
    value_error("discount_number", f"{DISCOUNT}[]", discount=torch.ones(())),
    value_error("discount_empty", f"{DISCOUNT}[0]", discount=torch.ones(0)),
    value_error("discount_matrix", f"{DISCOUNT}[2, 2]", discount=torch.ones(2, 2)),
    value_error(
        "discount_device", "expected discount on cpu (as scores), got meta", discount=meta(S)
    ),
    value_error(
        "discount_grad",
        f"expected discount {CONSTANT}discount with requires_grad=True; pass discount.detach()",
        discount=torch.ones(3, requires_grad=True),
    ),
]
POSITIONS = "expected position_weights "
LIST_MLE = [
    value_error(
        "positions",
        f"{POSITIONS}to be one of 'exponential', None or a tensor, got 'linear'",
        position_weights="linear",
    ),
    value_error(
        "positions_number",
        f"{POSITIONS}of shape [R], R >= 1, got []",
        position_weights=torch.ones(()),
    ),
    value_error(
        "positions_device",
        f"{POSITIONS}on cpu (as scores), got meta",
        position_weights=meta(S),
    ),
]
APPROX_NDCG = [
    value_error("temperature_zero", "expected temperature > 0, got 0", temperature=0),
    value_error("temperature_inf", "expected a finite temperature, got inf", temperature=1e999),
    type_error(
        "temperature_none",
        "expected temperature to be a float, got NoneType",
        temperature=None,
    ),
]

REFUSED = {
    "pairwise_logistic_loss": LISTS + PAIRS,
    "lambda_loss": LISTS + PAIRS + GAINS + LAMBDA,
    "listnet_loss": LISTS,
    "list_mle_loss": LISTS + LIST_MLE,
    "approx_ndcg_loss": LISTS + GAINS + APPROX_NDCG,
}
