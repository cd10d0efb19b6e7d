"""The learning-to-rank losses as data: what to call, with which options, and what is exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

import fused_rankloss
from support.batches import Batch, Outcome, evaluate, flat
from support.cases import Case
from support.oracle.lambda_ import lambda_exact
from support.oracle.listwise import listwise_exact
from support.oracle.pairwise import Exact
from support.tolerance import check, grad_floor, loss_floor

# The reference holds the matrix of pairs. For longer lists the floor alone has to do.
LONGEST_REFERENCE = 600


@dataclass(frozen=True)
class Ranking:
    """A loss with its options."""

    function: Callable
    oracle: Callable[..., Exact]
    options: dict = field(default_factory=dict)
    oracle_options: dict = field(default_factory=dict)

    def __call__(self, scores: Tensor, labels: Tensor, **options):
        own = {
            name: value.to(scores.device) if isinstance(value, Tensor) else value
            for name, value in self.options.items()
        }
        return self.function(scores, labels, **{**own, **options})

    def exact(self, batch: Batch, **options) -> Exact:
        return self.oracle(batch, **{**self.options, **self.oracle_options, **options})

    @property
    def name(self) -> str:
        return self.function.__name__


def logistic(**options) -> Ranking:
    return Ranking(fused_rankloss.pairwise_logistic_loss, lambda_exact, options, {"scheme": "none"})


def weighted(scheme: str, **options) -> Ranking:
    return Ranking(fused_rankloss.lambda_loss, lambda_exact, {"scheme": scheme, **options})


def listwise(loss: str, **options) -> Ranking:
    function = getattr(fused_rankloss, f"{loss}_loss")
    return Ranking(function, listwise_exact, options, {"loss": loss})


# One of each: what every contract is tested on.
PAIR = {
    "logistic": logistic(),
    "lambdarank": weighted("lambdarank"),
    "lambdarank_hinge": weighted("lambdarank", pair_loss="hinge"),
    "ndcg_loss1": weighted("ndcg_loss1"),
    "ndcg_loss2++": weighted("ndcg_loss2++", k=10),
    "arp": weighted("arp", pair_loss="squared_hinge"),
}
LIST = {
    "listnet": listwise("listnet"),
    "list_mle": listwise("list_mle"),
    "p_list_mle": listwise("list_mle", position_weights="exponential"),
    "approx_ndcg": listwise("approx_ndcg", temperature=0.5),
}
RANKING = PAIR | LIST

# Everything that takes another way through a kernel.
SCHEMES = ("lambdarank", "ndcg_loss1", "ndcg_loss2", "ndcg_loss2++", "arp", "none")
PAIR_LOSSES = ("logistic", "hinge", "squared_hinge")
TRUNCATIONS = ("either", "both", "discount")
GRID = {
    **{f"{s}-{p}": weighted(s, pair_loss=p) for s in SCHEMES for p in PAIR_LOSSES},
    **{
        f"{s}-{p}-{t}-3": weighted(s, pair_loss=p, truncation=t, k=3)
        for s in SCHEMES
        for p in PAIR_LOSSES
        for t in TRUNCATIONS
    },
    **{f"lambdarank-{t}-10": weighted("lambdarank", truncation=t, k=10) for t in TRUNCATIONS},
    "lambdarank-k-beyond": weighted("lambdarank", k=10_000),
    "lambdarank-linear": weighted("lambdarank", gain="linear"),
    "lambdarank-sigma": weighted("lambdarank", sigma=2.5, log="binary"),
    "lambdarank-hinge-margin": weighted("lambdarank", pair_loss="hinge", margin=0.25),
    "lambdarank-hinge-margin-0": weighted("lambdarank", pair_loss="hinge", margin=0.0),
    "lambdarank-hinge-margin-minus": weighted("lambdarank", pair_loss="hinge", margin=-0.5),
    "lambdarank-squared-margin": weighted("lambdarank", pair_loss="squared_hinge", margin=0.25),
    "lambdarank-discounts": weighted("lambdarank", discount=torch.tensor([1.0, 0.5, 0.25])),
    "lambdarank-rising-discounts": weighted("lambdarank", discount=torch.tensor([0.5, 1.0, 0.1])),
    "lambdarank-score-normalised": weighted("lambdarank", score_normalization=True),
    "lambdarank-list-normalised": weighted("lambdarank", list_normalization=True),
    "lambdarank-both-normalised": weighted(
        "lambdarank", score_normalization=True, list_normalization=True, k=30, sigma=2.0
    ),
    "none-list-normalised": weighted("none", list_normalization=True),
    "lambdarank-hinge-list-normalised": weighted(
        "lambdarank", pair_loss="hinge", list_normalization=True
    ),
    "ndcg_loss2++-mu": weighted("ndcg_loss2++", mu=0.5),
    "logistic": logistic(),
    "logistic-sigma": logistic(sigma=0.25),
    "logistic-binary": logistic(sigma=3.0, log="binary"),
}
LISTWISE_GRID = {
    **LIST,
    "list_mle-tensor": listwise("list_mle", position_weights=torch.tensor([1.0, 0.5, 0.25])),
    "approx_ndcg-linear": listwise("approx_ndcg", gain="linear"),
    "approx_ndcg-cold": listwise("approx_ndcg", temperature=0.01),
}


def graded(case: Case, dtype: torch.dtype = torch.float64) -> Batch:
    """A case with labels as a loss takes them: gains of some tables' own are beyond any number."""
    batch = case.batch(dtype)
    if case.labels in ("binary", "bool", "rare", "common", "grades", "relevant", "irrelevant"):
        return batch
    labels = batch.labels.double()
    top = labels.abs().max().clamp(min=1e-9) if len(labels) else 1.0
    return replace(batch, labels=(labels / top * 6).to(torch.float32))


def hold(
    ranking: Ranking,
    batch: Batch,
    device: str,
    *,
    impl: str = "auto",
    case: object = "",
    form: Callable = flat,
    grad_output: Tensor | None = None,
    **options,
) -> Outcome:
    """The error budget of tolerance.py, for the loss and for the gradient of every item."""
    dtype = batch.scores.dtype
    call = form(batch.to(device))
    got = evaluate(ranking, call, grad_output, impl=impl, **options)
    wanted = ranking.exact(batch, grad_output=grad_output, **options)
    plain = None
    if impl == "auto" and max(batch.sizes, default=0) <= LONGEST_REFERENCE:
        plain = evaluate(ranking, call, grad_output, impl="reference", **options)
    floors = loss_floor(wanted, dtype), grad_floor(wanted, dtype)
    check("loss", got.loss, wanted.loss, floors[0], plain and plain.loss, case=case)
    check("grad", got.grad, wanted.grad, floors[1], plain and plain.grad, case=case)
    return got
