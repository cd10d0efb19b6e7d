"""The scan of lambda losses over long lists, run on the CPU, against the oracle.

The lists are ranked here: the kernel finds them as csrc/cuda/lambda/ranked_lists.cuh says. Tiles
have 256 and 2048 places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from cuda_host.conftest import load
from cuda_host.host_cases import same_bits, sanitize
from support.batches import Batch
from support.cases import WEIGHTINGS, Case, name_of
from support.oracle.lambda_ import Pairs, lambda_exact
from support.oracle.ndcg import gains_of, normalised, ranks_of
from support.tolerance import check, grad_floor, loss_floor

SCHEMES = ("none", "arp", "lambdarank", "ndcg_loss1", "ndcg_loss2", "ndcg_loss2++")
PAIR_LOSSES = ("logistic", "hinge", "squared_hinge")
TRUNCATIONS = ("either", "both", "discount")
INERT = 0xFFFFFFFF

FACTORS = SCHEMES[:3]  # what the scan takes
every_scheme = pytest.mark.parametrize("scheme", FACTORS)


@dataclass
class Ranked:
    """Lists with their items by rank, and something inert before, between and after them."""

    scores: Tensor
    label_ranks: Tensor
    gains: Tensor | None
    discounts: Tensor | None
    weights: Tensor  # [2, positions]
    table: Tensor  # list, begin, size, top
    num_lists: int
    num_grades: int
    positions: Tensor  # of each item of the batch


def rank(batch: Batch, o: Pairs, gaps: list[int], poisoned: tuple[int, ...] = ()) -> Ranked:
    """``gaps``: inert positions before each list, over and over."""
    lists, table, places, total = [], [], [], 0
    for b, one in enumerate(batch.lists()):
        n, begin = len(one.scores), total + gaps[b % len(gaps)]
        total = begin + n
        ranks = torch.tensor(ranks_of(one.scores.tolist()), dtype=torch.int64)
        places.append(begin + ranks - 1)
        size = 0 if b in poisoned else n
        table.append([2 * b + 1, begin, size, min(n, o.k or n)])
        gains = normalised(gains_of(one.labels.tolist(), None, o.gain), o.discount, o.k)
        if o.scheme == "arp":
            gains = one.labels.tolist()
        discounts = torch.tensor([o.discount_at(r) for r in ranks.tolist()], dtype=torch.float64)
        gains = torch.tensor(gains, dtype=torch.float64)
        more = torch.ones(n, dtype=torch.float64) if one.weights is None else one.weights.double()
        less = more if o.weighting == "product" else torch.ones_like(more)
        at = torch.searchsorted(one.labels.unique(), one.labels)
        lists.append((one.scores, torch.full_like(at, INERT) if size == 0 else at))
        lists[-1] += (gains, discounts, more, less)
    total += gaps[0]
    slots = torch.cat(places)

    def spread(values: list[Tensor], filler: float) -> Tensor:
        result = torch.full((total,), filler, dtype=values[0].dtype)
        result[slots] = torch.cat(values)
        return result

    columns = [list(column) for column in zip(*lists, strict=True)]
    scores, label_ranks, gains, discounts, more, less = columns
    return Ranked(
        spread(scores, math.nan),
        spread(label_ranks, INERT),
        spread(gains, math.nan) if o.scheme in ("arp", "lambdarank") else None,
        spread(discounts, math.nan) if o.scheme == "lambdarank" else None,
        torch.stack([spread(more, math.nan), spread(less, math.nan)]),
        torch.tensor(table),
        2 * len(lists) + 1,
        max((len(one.labels.unique()) for one in batch.lists()), default=0),
        slots,
    )


class LambdaScanHost:
    def __init__(self, library, namespace: str):
        torch.ops.load_library(str(library))
        self._ops = getattr(torch.ops, namespace)

    def scan(
        self, ranked: Ranked, o: Pairs, *, ordered: Tensor | None = None, **options
    ) -> tuple[Tensor, Tensor]:
        """Gradients by position, and value and slope of each list; adds to ``ordered``."""
        blocks, seed, grad = options.get("blocks", 2), options.get("seed", 0), options.get("grad")
        self._ops.set_blocks(blocks)
        self._ops.set_seed(seed)
        wanted = len(ranked.scores) if grad is not False else 0
        gradients = torch.zeros(wanted, dtype=torch.float64)
        sums = torch.zeros(ranked.num_lists, 2, dtype=torch.float64)
        self._ops.lambda_scan(
            *(ranked.scores, ranked.label_ranks, ranked.gains, ranked.discounts, ranked.weights),
            *(ranked.table, ranked.num_grades),
            *(SCHEMES.index(o.scheme), PAIR_LOSSES.index(o.pair_loss)),
            *(o.sigma, o.k or 0, TRUNCATIONS.index(o.truncation), gradients, sums, ordered),
        )
        return gradients, sums

    def factors(self, scheme: str, pair_loss: str, k: int = 0, **options: bool) -> bool:
        names = ("has_gains", "has_discounts", "score_normalization")
        flags = [options.get(name, False) for name in names]
        at = SCHEMES.index(scheme), PAIR_LOSSES.index(pair_loss)
        return self._ops.factors(*at, k, *flags)


@pytest.fixture(scope="session")
def scan_host(pytestconfig: pytest.Config) -> LambdaScanHost:
    return load(
        pytestconfig,
        "launchers/lambda_scan_host.cpp",
        "fused_rankloss_lambda_scan_host",
        LambdaScanHost,
    )


def normaliser(slopes: Tensor) -> Tensor:
    return torch.where(slopes > 0, torch.log2(1 + 2 * slopes) / (2 * slopes), 1.0)


def hold(
    host: LambdaScanHost,
    case: Case,
    dtype: torch.dtype = torch.float32,
    *,
    gaps: tuple[int, ...] = (3,),
    blocks: int = 2,
    **options,
) -> None:
    """The error budget, for the loss of every list, its gradients, and its sum of slopes.

    That sum is known from the loss with list_normalization, which divides by it.
    """
    batch = case.batch(dtype)
    o = Pairs(**options)
    ranked = rank(batch, o, list(gaps))
    gradients, sums = host.scan(ranked, o, blocks=blocks)
    scale = o.sigma
    lists = ranked.table[:, 0]
    values, slopes = sums[lists, 0], sums[lists, 1] * scale
    assert (sums[0::2] == 0).all(), "lists that are not in the table are not written"
    grads = gradients[ranked.positions] * scale
    inert = torch.ones(len(gradients), dtype=torch.bool)
    inert[ranked.positions] = False
    assert (gradients[inert] == 0).all()
    for list_normalization in (False, True):
        wanted = lambda_exact(
            batch, reduction="none", list_normalization=list_normalization, **options
        )
        factors = normaliser(slopes) if list_normalization else torch.ones_like(slopes)
        of_items = factors.repeat_interleave(torch.tensor(batch.sizes))
        check("loss", values * factors, wanted.loss, loss_floor(wanted, dtype), case=case)
        check("grad", grads * of_items, wanted.grad, grad_floor(wanted, dtype), case=case)


def of_sizes(*sizes: int, labels: str = "grades", scores: str = "normal", weighted: bool = False):
    name = f"{sizes}{labels}{scores}{weighted}"
    return Case(name, sizes, "", scores=scores, labels=labels, weighted=weighted)


# ---- Against the oracle ----------------------------------------------------------------------


@sanitize
@every_scheme
def test_schemes(scheme: str, scan_host) -> None:
    hold(scan_host, of_sizes(130, 40), scheme=scheme)


@every_scheme
@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_truncations(scheme: str, truncation: str, scan_host) -> None:
    """The scan takes them beyond a top of kDirectTop."""
    case = of_sizes(200, 40, 135, scores="quarters")
    hold(scan_host, case, scheme=scheme, truncation=truncation, k=130)


@every_scheme
def test_ties(scheme: str, scan_host) -> None:
    """Tied scores, whose ranks decide."""
    hold(scan_host, of_sizes(90, scores="quarters"), scheme=scheme)
    hold(scan_host, of_sizes(40, scores="equal"), scheme=scheme)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@every_scheme
def test_weights(scheme: str, weighting: str, scan_host) -> None:
    case = of_sizes(170, weighted=True)
    hold(scan_host, case, scheme=scheme, weighting=weighting, k=140)


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64), ids=name_of)
@pytest.mark.parametrize("scores", ["wide", "descending", "ascending"])
def test_scores(scores: str, dtype: torch.dtype, scan_host) -> None:
    hold(scan_host, of_sizes(70, scores=scores), dtype, scheme="lambdarank")


@pytest.mark.parametrize("sigma", [0.1, 30.0])
@pytest.mark.parametrize("dtype", (torch.float32, torch.float64), ids=name_of)
def test_sigma(dtype: torch.dtype, sigma: float, scan_host) -> None:
    hold(scan_host, of_sizes(100), dtype, scheme="arp", sigma=sigma)


@sanitize
@pytest.mark.parametrize("labels", ["relevant", "binary", "distinct", "signed", "rare"])
def test_labels(labels: str, scan_host) -> None:
    """From no pair to seven rounds."""
    hold(scan_host, of_sizes(100, labels=labels), scheme="none")


@sanitize
@pytest.mark.parametrize("begin", [0, 1, 7, 250, 255, 256, 2040])
def test_lists_across_tiles(begin: int, scan_host) -> None:
    sizes = (33, 1, 300, 5, 0, 20)
    case = of_sizes(*sizes)
    hold(scan_host, case, gaps=(begin, 0, 9, 0), blocks=3, scheme="none")


@pytest.mark.parametrize("size", [256, 512, 2048, 2300])
def test_sizes(size: int, scan_host) -> None:
    hold(scan_host, of_sizes(size, labels="binary"), gaps=(0,), scheme="none")


def test_several_tiles(scan_host) -> None:
    hold(scan_host, of_sizes(700, labels="binary"), torch.float64, scheme="lambdarank", k=400)


@sanitize
@pytest.mark.parametrize("labels", ["binary", "grades", "distinct"])
@pytest.mark.parametrize("scheme", ["none", "ndcg_loss2"])
def test_ordered_pairs(scheme: str, labels: str, scan_host) -> None:
    """Exact counts, ties among them, beside the losses and without; over several tiles."""
    batch = of_sizes(2100, 1, 40, labels=labels, scores="quarters").batch(torch.float32)
    o = Pairs(scheme=scheme)
    ranked = rank(batch, o, [3, 0])
    ordered = torch.zeros(ranked.num_lists, 2, dtype=torch.int64)
    _, sums = scan_host.scan(ranked, o, ordered=ordered, blocks=3)
    assert (sums == 0).all() == (scheme == "ndcg_loss2")
    for row, one in zip(ordered[1::2], batch.lists(), strict=True):
        more = one.labels[:, None] > one.labels[None, :]
        gaps = (one.scores[:, None] - one.scores[None, :])[more]
        assert row.tolist() == [more.sum().item(), (2 * (gaps > 0) + (gaps == 0)).sum().item()]
    assert (ordered[0::2] == 0).all()


# ---- What is not everyday --------------------------------------------------------------------


@sanitize
def test_poisoned_lists_are_left_out(scan_host) -> None:
    o = Pairs(scheme="lambdarank")
    batch = of_sizes(40, 30, 50).batch(torch.float32)
    batch.scores[45] = math.nan
    ranked = rank(batch, o, [0], poisoned=(1,))
    gradients, sums = scan_host.scan(ranked, o)
    assert (sums[3] == 0).all() and (gradients[ranked.positions[40:70]] == 0).all()
    rest = Batch(
        torch.cat([batch.scores[:40], batch.scores[70:]]),
        torch.cat([batch.labels[:40], batch.labels[70:]]),
        (40, 50),
    )
    wanted = lambda_exact(rest, reduction="none", scheme="lambdarank")
    check("loss", sums[[1, 5], 0], wanted.loss, loss_floor(wanted, torch.float32))


INFINITE = [
    ([math.inf, 1.0, 0.0, -0.5], [1, 0, 0, 0]),  # relevant at the top
    ([1.0, -math.inf, 0.5], [1, 0, 1]),
    ([math.inf, math.inf, 0.0], [1, 1, 0]),  # equal infinities with equal labels
    ([0.0, math.inf], [1, 0]),  # irrelevant at the top: infinite
    ([-math.inf, 0.0], [1, 0]),
    ([-math.inf, math.inf, 0.0, 1.0], [1, 0, 2, 0]),
]


@sanitize
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of the oracle's bounds
@pytest.mark.parametrize(("scores", "labels"), INFINITE)
@pytest.mark.parametrize("copies", [0, 12])
def test_infinite_scores(scores: list, labels: list, copies: int, scan_host) -> None:
    """The loss is what the formula says, and slopes are those of far scores.

    The oracle's bounds are infinite here: up to 20 slopes of at most 1, or values of 200 pairs of
    at most 2, with arguments of up to 2, are in a sum.
    """
    scores, labels = scores + [0.25, -0.5] * copies, labels + [1, 0] * copies
    o = Pairs(scheme="none")
    batch = Batch.of(scores, labels, dtype=torch.float32)
    ranked = rank(batch, o, [2])
    gradients, sums = scan_host.scan(ranked, o)
    wanted = lambda_exact(batch, reduction="none", scheme="none")
    value_floor = torch.full_like(wanted.loss, 1600 * 2.0**-23)
    check("loss", sums[[1], 0], wanted.loss, value_floor)
    slope_floor = torch.full_like(wanted.grad, 80 * 2.0**-23)
    check("grad", gradients[ranked.positions], wanted.grad, slope_floor)


@pytest.mark.parametrize("copies", [70, 400])
@pytest.mark.parametrize(
    ("labels", "infinite"), [((2, 0), True), ((0, 2), True), ((0, 1), False), ((1, 1), False)]
)
def test_infinite_scores_beyond_the_top(
    labels: tuple, infinite: bool, copies: int, scan_host
) -> None:
    """There, equal infinities are in no pair; a more relevant one is, with an item of the top."""
    o = Pairs(scheme="none", k=129)
    scores = [-math.inf] * 2 + [1.0 - t / 256 for t in range(128)] + [0.5] * (2 * copies)
    batch = Batch.of(scores, [*labels] + [1] * (128 + 2 * copies), dtype=torch.float32)
    gradients, sums = scan_host.scan(rank(batch, o, [0]), o)
    assert sums[1, 0].isinf() == infinite and gradients.isfinite().all()


def test_what_factors(scan_host) -> None:
    for scheme in SCHEMES:
        for pair_loss in PAIR_LOSSES:
            wanted = scheme in FACTORS and pair_loss == "logistic"
            assert scan_host.factors(scheme, pair_loss) == wanted
            assert not scan_host.factors(scheme, pair_loss, score_normalization=True)
    for option in ("has_gains", "has_discounts"):
        assert not scan_host.factors("lambdarank", "logistic", **{option: True})
        assert scan_host.factors("none", "logistic", **{option: True})
    assert scan_host.factors("none", "logistic", k=129)
    assert not scan_host.factors("none", "logistic", k=128)


def test_without_gradients(scan_host) -> None:
    o = Pairs(scheme="lambdarank")
    ranked = rank(of_sizes(90, 20).batch(torch.float32), o, [1])
    _, with_gradients = scan_host.scan(ranked, o)
    gradients, sums = scan_host.scan(ranked, o, grad=False)
    assert gradients.numel() == 0 and same_bits(sums, with_gradients)


@pytest.mark.parametrize("scheme", ["none", "lambdarank"])
def test_a_list_does_not_depend_on_those_around_it(scheme: str, scan_host) -> None:
    o = Pairs(scheme=scheme, k=140)
    case = of_sizes(70, 33, 400, 5)
    batch = case.batch(torch.float64)
    batch.labels[70:103] //= 3  # one grade of three
    ranked = rank(batch, o, [4, 300, 0])
    gradients, sums = scan_host.scan(ranked, o)
    together = batch.split(gradients[ranked.positions])
    for b, one in enumerate(batch.lists()):
        alone = rank(one, o, [0])
        gradients, sums_alone = scan_host.scan(alone, o)
        assert same_bits(gradients[alone.positions], together[b].clone())
        assert same_bits(sums_alone[1], sums[2 * b + 1])


@sanitize
def test_schedules_and_grids_agree_bit_for_bit(scan_host) -> None:
    o = Pairs(scheme="arp")
    ranked = rank(of_sizes(70, 3, 500, 200, labels="binary").batch(torch.float32), o, [4, 1700])
    first = scan_host.scan(ranked, o, blocks=1, seed=1)
    for blocks, seed in ((2, 2), (3, 3)):
        other = scan_host.scan(ranked, o, blocks=blocks, seed=seed)
        assert all(same_bits(a, b) for a, b in zip(first, other, strict=True))
