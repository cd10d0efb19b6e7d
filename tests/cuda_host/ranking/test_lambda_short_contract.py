"""What the kernel of lambda losses over short lists promises besides its numbers: NaN, statistics,
bits, and its place beside other kernels. Run on the CPU."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import fused_rankloss
from cuda_host.host_cases import invalid_offsets, same_bits, sanitize
from support.batches import FORMS, Batch, evaluate, flat, one_list, padded_lengths, padded_mask
from support.cases import Case, generator_for
from support.oracle.ndcg import statistics_of
from support.ranking import PAIR, PAIR_LOSSES, TRUNCATIONS, weighted

INF, NAN = math.inf, math.nan


# ---- What is no number ---------------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("what", ["scores", "labels", "weights", "gains"])
@pytest.mark.parametrize("long", [30, 300])
@pytest.mark.parametrize("name", ["lambdarank", "ndcg_loss2++"])
def test_nan_poisons_its_list(what: str, long: int, name: str, on_lambda_host) -> None:
    case = Case("nan", (40, 9, long, 5), "", labels="continuous", weighted=what == "weights")
    batch = case.batch(torch.float32)
    gains = torch.ones_like(batch.scores)
    (gains if what == "gains" else getattr(batch, what))[60] = NAN  # in list 2
    poisoned = torch.zeros(len(batch.scores), dtype=torch.bool)
    poisoned[49 : 49 + long] = True
    options = {"gains": gains} if what == "gains" else {}
    outcome = evaluate(PAIR[name], flat(batch), reduction="none", **options)
    assert torch.equal(outcome.grad.isnan(), poisoned)
    assert outcome.loss.isnan().tolist() == [False, False, True, False]
    if what != "gains":
        padded = evaluate(PAIR[name], padded_lengths(batch, filler=NAN), reduction="none")
        assert padded.same_bits(outcome) and (padded.padding_grad == 0).all()


@sanitize
@pytest.mark.parametrize("more", [0, 150])
@pytest.mark.parametrize("pair_loss", PAIR_LOSSES)
def test_infinite_scores(more: int, pair_loss: str, on_lambda_host) -> None:
    """`more` items without a partner make it a block's list."""
    rows = [
        ([INF, 1.0, 0.0], [1, 0, 0], 0.0),  # relevant at the top: nothing to learn
        ([INF, INF, 0.0], [1, 1, 0], 0.0),  # equal infinities with equal labels
        ([0.0, INF], [1, 0], INF),  # irrelevant at the top
        ([INF, INF], [1, 0], NAN),
        ([INF, 5.0, INF], [1, 2, 0], NAN),
    ]
    for scores, labels, loss in rows:
        batch = Batch.of(scores + [-1e30] * more, labels + [-1] * more, dtype=torch.float32)
        ranking = weighted("none", pair_loss=pair_loss)
        outcome = evaluate(ranking, one_list(batch), reduction="sum")
        wanted = evaluate(ranking, one_list(batch), reduction="sum", impl="reference")
        assert outcome.grad.isnan().tolist() == wanted.grad.isnan().tolist()
        assert outcome.loss.item() == pytest.approx(loss, nan_ok=True, abs=1e-30)


@sanitize
@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_infinities_out_of_sight(truncation: str, on_lambda_host) -> None:
    """Two equal ones below the top are no pair; with one in the top they are, except for "both"."""
    batch = Batch.of([3.0, 1.0, -INF, -INF], [0, 1, 2, 0], dtype=torch.float32)
    for k in (1, 2, 3, 4):
        ranking = weighted("none", k=k, truncation=truncation)
        outcome = evaluate(ranking, one_list(batch))
        assert outcome.loss.isnan().item() == (k == 4 or (k == 3 and truncation != "both"))
        assert outcome.grad.isnan().all() == outcome.loss.isnan()


@sanitize
def test_diagonal_of_an_infinite_score(on_lambda_host) -> None:
    batch = Batch.of([1.0, INF, 0.0], [1, 0, 2], dtype=torch.float32)
    assert evaluate(PAIR["ndcg_loss1"], one_list(batch)).loss.isnan()
    assert not evaluate(PAIR["lambdarank"], one_list(batch)).grad.isnan().any()


LISTS = ("weights", "list_weights", "gains", "mask", "lengths", "offsets")


def arguments(call, **options) -> list:
    """What the op takes."""
    named = {
        **{name: call.options.get(name) for name in LISTS},
        **{"discounts": None},
        **{"scheme": "lambdarank", "pair_loss": "logistic", "sigma": 1.0, "margin": 1.0},
        **{"scale": 1.0, "mu": 10.0, "gain": "exponential", "k": 0, "truncation": "either"},
        **{"score_normalization": False, "list_normalization": False, "weighting": "product"},
        **{"reduction": "none", "needs_grad": True, "needs_statistics": True},
    }
    assert set(options) <= set(named)
    return [call.scores, call.labels, *(named | options).values()]


@sanitize
def test_invalid_lengths(lambda_host) -> None:
    scores = torch.randn(4, 150, generator=generator_for("lengths"))
    labels = torch.arange(600).view(4, 150) % 3
    call = padded_lengths(Batch(scores.flatten(), labels.flatten(), (150,) * 4), extra=0)
    results = []
    for lengths in ([150, 0, 20, 7], [150, -1, 20, 151]):
        call.options["lengths"] = torch.tensor(lengths)
        results.append(lambda_host.lambda_forward(*arguments(call)))
    assert results[1][0].isnan().tolist() == [False, True, False, True]
    assert results[1][0][[0, 2]].equal(results[0][0][[0, 2]])


@sanitize
@invalid_offsets
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_invalid_offsets(offsets: list[int], reduction: str, lambda_host) -> None:
    """Every list is poisoned, and nothing is read or written out of bounds."""
    scores = torch.randn(100, generator=generator_for("offsets"))
    call = one_list(Batch(scores, torch.arange(100) % 4, (100,)))
    call.options["offsets"] = torch.tensor(offsets)
    loss, _, scale, statistics = lambda_host.lambda_forward(*arguments(call, reduction=reduction))
    assert loss.isnan().all() and scale.isnan().all()
    assert (statistics[:, 0] == 0).all() and statistics[:, 1:].isnan().all()


# ---- Statistics ----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [None, 1, 5, 60])
@pytest.mark.parametrize("truncation", ["either", "both"])
@pytest.mark.parametrize("form", ["flat", "scattered_mask"])
@pytest.mark.parametrize("scores", ["normal", "quarters"])
def test_statistics(k: int | None, truncation: str, form: str, scores: str, on_lambda_host) -> None:
    case = Case("statistics", (3, 0, 1, 64, 200, 9), "", scores=scores, labels="grades")
    batch = case.batch(torch.float32)
    call = FORMS[form](batch)
    for options in (
        {},
        {"gain": "linear", "scheme": "none"},
        {"discount": torch.tensor([1.0, 0.5]), "scheme": "arp"},
    ):
        _, got = fused_rankloss.lambda_loss(
            call.scores,
            call.labels,
            **call.options,
            **options,
            k=k,
            truncation=truncation,
            return_statistics=True,
        )
        wanted = [
            statistics_of(
                one.scores.tolist(),
                one.labels.tolist(),
                gain=options.get("gain", "exponential"),
                discounts=[1.0, 0.5] if "discount" in options else None,
                k=k,
            )
            for one in batch.lists()
        ]
        shares = [share / pairs if pairs else NAN for pairs, share, _ in wanted]
        assert got.num_pairs.tolist() == [pairs for pairs, _, _ in wanted]
        # fp64 sums of up to 200 terms.
        same = {"rel": 2.0**-44, "nan_ok": True}
        assert got.pair_accuracy.tolist() == pytest.approx(shares, **same)
        assert got.ndcg.tolist() == pytest.approx([ndcg for _, _, ndcg in wanted], **same)


@sanitize
@pytest.mark.parametrize("bad", [NAN, INF])
def test_statistics_of_a_poisoned_list(bad: float, on_lambda_host) -> None:
    scores = torch.randn(200, generator=generator_for("bad"))
    scores[70:72] = bad
    _, got = fused_rankloss.lambda_loss(
        scores,
        torch.arange(200) % 3,
        offsets=torch.tensor([0, 60, 100, 200]),
        return_statistics=True,
    )
    assert got.num_pairs.bool().tolist() == [True, False, True]
    assert got.pair_accuracy.isnan().tolist() == [False, True, False]
    assert got.ndcg.isnan().tolist() == [False, True, False]


# ---- Bits ----------------------------------------------------------------------------------------


def results_of(host, call, **options) -> list[Tensor]:
    return list(host.lambda_forward(*arguments(call, **options)))


OPTIONS = [
    {},
    {"scheme": "ndcg_loss2++", "pair_loss": "hinge", "k": 20},
    {"list_normalization": True, "score_normalization": True, "k": 3},
    {"k": 14},
    {"scheme": "ndcg_loss1", "truncation": "both", "k": 70},
]
every_options = pytest.mark.parametrize("options", OPTIONS, ids=str)


@sanitize
@every_options
@pytest.mark.parametrize("weighted", [False, True])
def test_schedules_agree_bit_for_bit(options: dict, weighted: bool, lambda_host) -> None:
    case = Case("seeds", (70, 3, 0, 400, 12, 200), "", labels="grades", weighted=weighted)
    call = flat(case.batch(torch.float32))
    results = []
    for seed in (1, 2, 3):
        lambda_host.seed(seed)
        results.append(results_of(lambda_host, call, reduction="list_mean", **options))
    for other in results[1:]:
        assert all(same_bits(a, b) for a, b in zip(results[0], other, strict=True))


@every_options
def test_lists_do_not_know_of_each_other(options: dict, lambda_host) -> None:
    """A list alone has the bits that it has in any batch."""
    case = Case("alone", (70, 3, 0, 400, 200), "", labels="grades", weighted=True)
    batch = case.batch(torch.float32)
    loss, raw_grad, _, statistics = results_of(lambda_host, flat(batch), **options)
    for index, (alone, grad) in enumerate(
        zip(batch.lists(), batch.split(raw_grad[0]), strict=True)
    ):
        single = results_of(lambda_host, flat(alone), **options)
        assert same_bits(single[0][0], loss[index]) and same_bits(single[1][0], grad)
        assert same_bits(single[3][0], statistics[index])


@sanitize
@every_options
@pytest.mark.parametrize("extra", [1, 150])
def test_padding_does_not_matter(options: dict, extra: int, lambda_host) -> None:
    """Nor, with it, whether a warp or a block solves a list."""
    case = Case("padding", (1, 2, 7, 16, 40, 100, 128, 0, 90), "", scores="quarters")
    batch = replace(case.batch(torch.float64), labels=torch.arange(384) % 5)
    plain = results_of(lambda_host, flat(batch), **options)
    for call in (
        padded_lengths(batch, extra, NAN),
        padded_mask(batch, extra, NAN),
        FORMS["scattered_mask"](batch, extra, INF),
    ):
        other = results_of(lambda_host, call, **options)
        assert all(same_bits(plain[i], other[i]) for i in (0, 2, 3))
        assert same_bits(plain[1][0], other[1].flatten()[call.slots])
        assert not call.padding(other[1]).count_nonzero()


def test_a_block_adds_up_as_a_warp_does(lambda_host) -> None:
    """Rows in the same order: another order would change the last bit of some of these lists."""
    batch = Case("teams", tuple(range(89, 129)), "", labels="grades").batch(torch.float64)
    one = results_of(lambda_host, flat(batch), k=14)
    other = results_of(lambda_host, padded_mask(batch, extra=1), k=14)
    assert same_bits(one[0], other[0]) and same_bits(one[2], other[2])


@pytest.mark.parametrize("name", ["lambdarank", "ndcg_loss2++"])
def test_values_without_gradients(name: str, on_lambda_host) -> None:
    batch = Case("plain", (40, 200), "", labels="grades").batch(torch.float32)
    wanted = evaluate(PAIR[name], flat(batch))
    value = PAIR[name](batch.scores, batch.labels, offsets=batch.offsets())
    assert same_bits(value, wanted.loss)
