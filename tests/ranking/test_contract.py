"""What every learning-to-rank loss promises besides its numbers: input forms, padding, NaN,
autograd, compilation, determinism, memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import fused_rankloss
from fused_rankloss import ops
from support.batches import (
    FORMS,
    Batch,
    Call,
    Outcome,
    evaluate,
    flat,
    nested,
    one_list,
    padded_mask,
    same_bits,
)
from support.cases import (
    MEDIUM,
    REDUCTIONS,
    SCORE_DTYPES,
    SMALL,
    Case,
    by_name,
    generator_for,
    name_of,
)
from support.isolated import run_python
from support.ranking import GRID, LISTWISE_GRID, PAIR, RANKING, weighted
from support.tolerance import check, grad_floor, loss_floor

CASES = by_name(SMALL + MEDIUM)
every_loss = pytest.mark.parametrize("name", RANKING)
every_impl = pytest.mark.parametrize("impl", ["auto", "reference"])
INF, NAN = float("inf"), float("nan")


def grades(name: str, dtype: torch.dtype = torch.float32) -> Batch:
    return CASES[name].batch(dtype)


# ---- Forms and padding ---------------------------------------------------------------------------


@pytest.mark.sanitize
@pytest.mark.parametrize("case", ["ragged", "weighted", "one_long"])
@every_loss
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_forms(case: str, name: str, form: str, reduction: str, device: str) -> None:
    batch = grades(case).to(device)
    one = evaluate(RANKING[name], flat(batch), reduction=reduction)
    other = evaluate(RANKING[name], FORMS[form](batch), reduction=reduction)
    assert one.same_bits(other)
    assert not other.padding_grad.count_nonzero()


@pytest.mark.parametrize("case", ["ragged", "weighted", "one_long"])
@every_loss
def test_a_batch_is_its_lists(case: str, name: str, device: str) -> None:
    """Calls for each list alone give the rows of "none", bit for bit."""
    batch = grades(case).to(device)
    together = evaluate(RANKING[name], flat(batch), reduction="none")
    for one, value, grad in zip(
        batch.lists(), together.loss, batch.split(together.grad), strict=True
    ):
        alone = evaluate(RANKING[name], one_list(one), reduction="none")
        assert alone.same_bits(Outcome(value, grad))


@pytest.mark.sanitize
@every_loss
@pytest.mark.parametrize("filler", [NAN, INF, -INF, 3.4e38, -0.0])
@pytest.mark.parametrize("form", ["lengths", "mask", "scattered_mask", "flat_mask"])
def test_padding_is_inert(name: str, filler: float, form: str, device: str) -> None:
    """Whatever padding holds and however wide it is, in scores, labels and weights alike."""
    for case in ("weighted", "one_long"):
        batch = grades(case)
        batch = replace(batch, labels=batch.labels.float()).to(device)
        plain = evaluate(RANKING[name], flat(batch))
        for extra in (1, 37):
            padded = evaluate(RANKING[name], FORMS[form](batch, extra, filler))
            assert padded.same_bits(plain)
            assert same_bits(padded.padding_grad, torch.zeros_like(padded.padding_grad))


@every_loss
@pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)
@every_impl
def test_dtypes_of_results(name: str, dtype: torch.dtype, impl: str, device: str) -> None:
    outcome = evaluate(RANKING[name], flat(grades("ragged", dtype).to(device)), impl=impl)
    assert outcome.loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert outcome.grad.dtype == dtype


@every_loss
@every_impl
def test_shapes_of_results(name: str, impl: str, device: str) -> None:
    batch = grades("ragged").to(device)
    for form in FORMS.values():
        call = form(batch)
        for reduction in REDUCTIONS:
            options = {**call.options, "reduction": reduction, "impl": impl}
            loss = RANKING[name](call.scores, call.labels, **options)
            assert list(loss.shape) == ([len(batch.sizes)] if reduction == "none" else [])
    for reduction in REDUCTIONS:
        options = {"reduction": reduction, "impl": impl}
        assert RANKING[name](batch.scores, batch.labels, **options).shape == ()


LABEL_DTYPES = [
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32, torch.uint64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn),
]


@every_loss
@pytest.mark.parametrize("dtype", LABEL_DTYPES, ids=name_of)
def test_label_dtypes(name: str, dtype: torch.dtype, device: str) -> None:
    scores = torch.randn(1050, generator=generator_for("label_dtypes"))
    batch = Batch(scores, torch.arange(1050) * 7 % 6, (20, 0, 30, 1000)).to(device)
    one = evaluate(RANKING[name], flat(batch))
    other = evaluate(RANKING[name], flat(replace(batch, labels=batch.labels.to(dtype))))
    assert one.same_bits(other)


@every_loss
@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_bool_labels(name: str, impl: str, device: str) -> None:
    batch = CASES["n32"].batch(torch.float32).to(device)
    one = evaluate(RANKING[name], one_list(batch), impl=impl)
    other = evaluate(RANKING[name], one_list(replace(batch, labels=batch.labels.long())), impl=impl)
    assert one.same_bits(other)


@every_loss
def test_layouts(name: str, device: str) -> None:
    """Transposed, strided, expanded: the same numbers, the same bits."""
    call = FORMS["mask"](grades("weighted").to(device))
    for change in (
        lambda t: t.t().contiguous().t(),
        lambda t: torch.stack([t, t], -1).flatten(-2)[..., ::2],
        lambda t: torch.cat([t, t], -1)[..., : t.shape[-1]],
    ):
        changed = call._replace(
            scores=change(call.scores),
            labels=change(call.labels),
            options={key: change(tensor) for key, tensor in call.options.items()},
        )
        assert evaluate(RANKING[name], call).same_bits(evaluate(RANKING[name], changed))


def test_nested_gradient_is_nested(device: str) -> None:
    for ranking in RANKING.values():
        call = nested(grades("ragged").to(device))
        scores = call.scores.detach().requires_grad_()
        ranking(scores, call.labels).backward()
        assert scores.grad.is_nested and scores.grad.shape == scores.shape


# ---- NaN, infinities, nothing --------------------------------------------------------------------


@pytest.mark.sanitize
@every_loss
@pytest.mark.parametrize("where", ["scores", "labels", "weights", "gains"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nan_poisons_its_list_only(name: str, where: str, reduction: str, device: str) -> None:
    if where == "gains" and not takes_gains(name):
        return
    for sizes in ((9, 12, 5), (40, 700, 30)):
        case = Case(f"three_{sizes}", sizes, "NaN goes into the second", labels="grades")
        batch = case.batch(torch.float32)
        tensors = {
            "scores": batch.scores,
            "labels": batch.labels.float(),
            "weights": torch.ones_like(batch.scores),
            "gains": batch.labels.float() ** 2,
        }
        gains = tensors["gains"] if where == "gains" else None
        tensors[where][sizes[0] + 3] = NAN
        batch = Batch(tensors["scores"], tensors["labels"], sizes, tensors["weights"]).to(device)
        options = {"reduction": reduction} | ({} if gains is None else {"gains": gains.to(device)})
        for form in (flat, lambda b: FORMS["lengths"](b, 2, 0.0)):
            if gains is not None and form is not flat:
                continue
            got = evaluate(RANKING[name], form(batch), **options)
            first, second, third = batch.split(got.grad)
            assert second.isnan().all()
            assert first.isfinite().all() and third.isfinite().all()
            poisoned = got.loss.isnan().tolist()
            assert poisoned == ([False, True, False] if reduction == "none" else True)
            assert same_bits(got.padding_grad, torch.zeros_like(got.padding_grad))


def takes_gains(name: str) -> bool:
    return name not in ("logistic", "arp", "listnet", "list_mle", "p_list_mle")


@pytest.mark.sanitize
@every_loss
@every_impl
@pytest.mark.parametrize("bad", [-1.0, INF, -INF, NAN])
@pytest.mark.parametrize("n", [1, 3, 129, 700])
def test_what_is_no_weight_poisons_its_list(
    name: str, impl: str, bad: float, n: int, device: str
) -> None:
    scores = torch.randn(n + 2, generator=generator_for("no_weight"))
    weights = torch.ones(n + 2)
    weights[0] = bad
    labels = torch.cat([torch.arange(n) % 3, torch.tensor([1, 0])])
    batch = Batch(scores, labels, (n, 2), weights).to(device)
    got = evaluate(RANKING[name], flat(batch), impl=impl, reduction="none")
    assert got.loss.isnan().tolist() == [True, False]
    assert got.grad[:n].isnan().all() and got.grad[n:].isfinite().all()
    if name in PAIR:
        options = {"impl": impl, "weighting": "preferred"}
        got = evaluate(RANKING[name], flat(batch), **options)
        assert got.loss.isnan() and got.grad[:n].isnan().all() and got.grad[n:].isfinite().all()


@pytest.mark.parametrize("name", PAIR)
@pytest.mark.parametrize("exponent", [-76, 60])
@pytest.mark.parametrize("reduction", ["mean", "list_mean"])
@pytest.mark.parametrize("case", ["weighted", "weighted_long"])
def test_means_ignore_the_scale_of_weights(
    name: str, exponent: int, reduction: str, case: str, device: str
) -> None:
    """Also where the product of two weights leaves the range of fp32."""
    batch = grades(case)
    batch = replace(batch, labels=batch.labels % 5)
    scaled = replace(batch, weights=batch.weights * 2.0**exponent)
    first = evaluate(RANKING[name], flat(batch.to(device)), reduction=reduction)
    second = evaluate(RANKING[name], flat(scaled.to(device)), reduction=reduction)
    assert first.same_bits(second)


# ---- Infinite labels -----------------------------------------------------------------------------

COMPARING = {
    "hinge": fused_rankloss.pairwise_hinge_loss,
    "squared_hinge": fused_rankloss.pairwise_squared_hinge_loss,
    "logistic": RANKING["logistic"],
    "none": GRID["none-logistic"],
    "none_hinge": GRID["none-hinge"],
    "none_squared_hinge": GRID["none-squared_hinge"],
    "list_mle": RANKING["list_mle"],
}
USING = {
    name: ranking
    for name, ranking in (GRID | {"approx_ndcg": RANKING["approx_ndcg"]}).items()
    if name.partition("-")[0] in ("lambdarank", "ndcg_loss1", "ndcg_loss2", "ndcg_loss2++")
    or name == "approx_ndcg"
}
LENGTHS = pytest.mark.parametrize("n", [3, 129, 400, 5000])


def with_infinite_labels(n: int, replaced: float) -> tuple[Batch, Batch]:
    """A list with a few infinite labels, and one with a finite number for them."""
    scores = torch.randn(n, generator=generator_for("infinite_labels"))
    labels = torch.arange(n) % 3 * 1.0
    labels[::50] = INF if replaced > 0 else -INF
    finite = torch.where(labels.isinf(), replaced, labels)
    return Batch(scores, labels, (n,)), Batch(scores, finite, (n,))


@LENGTHS
@pytest.mark.parametrize("name", COMPARING)
@pytest.mark.parametrize("sign", [1, -1])
def test_infinite_labels_are_compared(name: str, sign: int, n: int, device: str) -> None:
    infinite, finite = with_infinite_labels(n, 7.0 * sign)
    got = evaluate(COMPARING[name], one_list(infinite.to(device)))
    wanted = evaluate(COMPARING[name], one_list(finite.to(device)))
    assert got.loss.isfinite() and got.grad.count_nonzero()
    if "hinge" not in name:
        assert got.same_bits(wanted)
        return
    # Other keys, and other ways to the same counts and values.
    rel = 16 * n * 2**-53 + 2**-23
    assert got.loss.item() == pytest.approx(wanted.loss.item(), rel=rel)
    torch.testing.assert_close(got.grad, wanted.grad, rtol=rel, atol=rel)
    if n <= 400:
        plain = evaluate(COMPARING[name], one_list(infinite.to(device)), impl="reference")
        assert plain.loss.item() == pytest.approx(wanted.loss.item(), rel=2 * n * 2**-24)


@LENGTHS
@pytest.mark.parametrize("name", USING)
def test_infinite_gains_poison_their_list(name: str, n: int, device: str) -> None:
    infinite, finite = with_infinite_labels(n, 7.0)
    both = Batch.join([infinite, finite]).to(device)
    impls = ("auto", "reference") if n <= 400 else ("auto",)
    for impl in impls:
        got = evaluate(USING[name], flat(both), impl=impl, reduction="none")
        assert got.loss.isnan().tolist() == [True, False]
        assert got.grad[:n].isnan().all() and got.grad[n:].isfinite().all()
        for bad in (INF, -INF):
            gains = both.labels.clone()
            gains[0] = bad
            gains[1:n] = 1.0
            got = evaluate(USING[name], flat(both), impl=impl, reduction="none", gains=gains)
            assert got.loss.isnan().tolist() == [True, False]


@LENGTHS
@pytest.mark.parametrize("name", USING)
def test_a_label_of_minus_infinity_has_the_lowest_gain(name: str, n: int, device: str) -> None:
    infinite, finite = with_infinite_labels(n, -2000.0)
    options = USING[name].options
    if options.get("gain") == "linear":
        return
    got = evaluate(USING[name], one_list(infinite.to(device)))
    assert got.same_bits(evaluate(USING[name], one_list(finite.to(device))))


@LENGTHS
@pytest.mark.parametrize("sign", [1, -1])
@every_impl
def test_infinite_labels_of_arp(sign: int, n: int, impl: str, device: str) -> None:
    infinite, _ = with_infinite_labels(n, 7.0 * sign)
    if impl == "reference" and n > 400:
        return
    got = evaluate(RANKING["arp"], one_list(infinite.to(device)), impl=impl)
    assert got.loss.isnan() and got.grad.isnan().all()


@LENGTHS
@every_impl
def test_infinite_labels_of_statistics(n: int, impl: str, device: str) -> None:
    """Only the NDCG has to do with gains."""
    if impl == "reference" and n > 400:
        return
    results = []
    for batch in with_infinite_labels(n, 7.0):
        batch = batch.to(device)
        results.append(
            fused_rankloss.pairwise_logistic_loss(
                batch.scores, batch.labels, return_statistics=True, impl=impl
            )
        )
    (loss, got), (plain, wanted) = results
    assert same_bits(loss, plain)
    assert torch.equal(got.num_pairs, wanted.num_pairs)
    assert same_bits(got.pair_accuracy, wanted.pair_accuracy)
    assert got.ndcg.isnan().all() and wanted.ndcg.isfinite().all()


# ---- Large scores --------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["none", "lambdarank", "ndcg_loss1", "ndcg_loss2", "arp"])
@pytest.mark.parametrize("pair_loss", ["hinge", "squared_hinge"])
@pytest.mark.parametrize("n", [2, 50, 700, 5000])
def test_ties_of_large_scores_cost_the_margin(
    scheme: str, pair_loss: str, n: int, device: str
) -> None:
    if scheme == "ndcg_loss2" and n > 700:
        return
    for dtype in (torch.float32, torch.float64):
        zeros = Batch(torch.zeros(n, dtype=dtype), torch.arange(n) % 3, (n,)).to(device)
        options = {"scheme": scheme, "pair_loss": pair_loss}
        plain = evaluate(fused_rankloss.lambda_loss, one_list(zeros), **options)
        assert plain.loss.item() > 0
        for far in (1e14, 1e17, -1e17, 1e30):
            large = replace(zeros, scores=torch.full_like(zeros.scores, far))
            got = evaluate(fused_rankloss.lambda_loss, one_list(large), **options)
            assert got.same_bits(plain), (dtype, far)


@every_loss
@every_impl
@pytest.mark.parametrize("n", [1, 2, 700])
def test_nan_in_one_list(name: str, impl: str, n: int, device: str) -> None:
    """Also where the list has no pair to begin with."""
    scores = torch.randn(n, generator=generator_for("nan"))
    scores[n // 2] = NAN
    batch = Batch(scores, torch.arange(n) % 3, (n,)).to(device)
    got = evaluate(RANKING[name], one_list(batch), impl=impl)
    assert got.loss.isnan() and got.grad.isnan().all()


@pytest.mark.parametrize("copies", [1, 300])
@every_impl
def test_infinite_scores_of_pairs(copies: int, impl: str, device: str) -> None:
    """A pair with an infinite gap in order is free, out of order infinite, with a finite slope;
    two equal infinities in a pair make NaN, and elsewhere do not matter."""
    rest, grades = [0.25, -0.5] * copies, [1, 0] * copies

    def run(scores: list, labels: list):
        batch = Batch.of(scores + rest, labels + grades, dtype=torch.float32).to(device)
        return evaluate(RANKING["logistic"], one_list(batch), impl=impl, reduction="sum")

    right, wrong = run([INF, -INF], [1, 0]), run([-INF, 0.0], [1, 0])
    assert right.loss.isfinite() and right.grad[:2].tolist() == [0.0, 0.0]
    assert wrong.loss.item() == INF and wrong.grad[0].item() == -(copies + 1)
    assert wrong.grad.isfinite().all()
    assert run([INF, INF], [1, 0]).loss.isnan()
    assert run([INF, INF], [1, 1]).loss.isfinite()


# Hinges have slopes that are infinite, too.
WEIGHTLESS = {
    **{name: PAIR[name] for name in ("logistic", "lambdarank", "lambdarank_hinge", "arp")},
    "ndcg_loss2++": PAIR["ndcg_loss2++"],
    "squared_hinge": weighted("none", pair_loss="squared_hinge", list_normalization=True),
}


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of the oracle's bounds
@pytest.mark.parametrize("name", WEIGHTLESS)
@pytest.mark.parametrize("score", [INF, -INF])
@pytest.mark.parametrize("label", [0, 2])
@pytest.mark.parametrize("n", [3, 40, 600, 3000])
@every_impl
def test_infinite_scores_that_weigh_nothing(
    name: str, score: float, label: int, n: int, impl: str, device: str
) -> None:
    """They count nothing, in either order of their pairs."""
    if impl == "reference" and n > 600:
        pytest.skip("quadratic")
    generator = generator_for("weightless")
    # The reference has no wider type to round in.
    dtype = torch.float32 if impl == "auto" else torch.float64
    batch = Batch(
        torch.randn(n, generator=generator).to(dtype),
        torch.randint(0, 3, (n,), generator=generator),
        (n,),
        (torch.rand(n, generator=generator) + 0.5).to(dtype),
    )
    for at in (0, n // 2):
        batch.scores[at], batch.labels[at], batch.weights[at] = score, label, 0
    for weighting in ("product", "preferred") if label == 2 else ("product",):
        wanted = WEIGHTLESS[name].exact(batch, weighting=weighting)
        got = evaluate(WEIGHTLESS[name], one_list(batch.to(device)), impl=impl, weighting=weighting)
        check("loss", got.loss, wanted.loss, loss_floor(wanted, dtype))
        check("grad", got.grad, wanted.grad, grad_floor(wanted, dtype))


@pytest.mark.parametrize("pair_loss", ["logistic", "hinge", "squared_hinge"])
@pytest.mark.parametrize("scheme", ["lambdarank", "ndcg_loss2++"])
@pytest.mark.parametrize("n", [3, 40, 600, 3000])
@every_impl
def test_infinite_gaps_without_a_positive_dcg(
    pair_loss: str, scheme: str, n: int, impl: str, device: str
) -> None:
    """Then no pair weighs anything."""
    if impl == "reference" and n > 600:
        pytest.skip("quadratic")
    scores = torch.randn(n, generator=generator_for("no_dcg"))
    scores[0], scores[1] = INF, -INF
    labels = -(torch.arange(n) % 3) - 1.0
    labels[0], labels[1] = -3, -1
    call = one_list(Batch(scores, labels, (n,)).to(device))
    options = {"scheme": scheme, "pair_loss": pair_loss, "impl": impl}
    got = evaluate(fused_rankloss.lambda_loss, call, **options)
    assert got.loss == 0 and (got.grad == 0).all()


@pytest.mark.parametrize(("copies", "k"), [(1, 1), (300, 200)])
@pytest.mark.parametrize(
    ("labels", "infinite"), [((2, 0), True), ((0, 2), True), ((0, 1), False), ((1, 1), False)]
)
@every_impl
def test_infinite_scores_beyond_the_top(
    labels: tuple, infinite: bool, copies: int, k: int, impl: str, device: str
) -> None:
    """There, equal infinities are in no pair; a more relevant one is, with an item of the top."""
    scores = [-INF] * 2 + [1.0, 0.5] + [0.25, -0.5] * copies
    batch = Batch.of(scores, [*labels, 1, 2] + [1, 0] * copies, dtype=torch.float32).to(device)
    options = {"k": k, "scheme": "none", "reduction": "sum", "impl": impl}
    got = evaluate(fused_rankloss.lambda_loss, one_list(batch), **options)
    assert got.loss.isinf() == infinite and got.grad.isfinite().all()


@pytest.mark.parametrize("name", ["listnet", "list_mle", "p_list_mle", "approx_ndcg"])
@pytest.mark.parametrize("value", [INF, -INF])
@every_impl
def test_infinite_scores_poison_listwise_losses(
    name: str, value: float, impl: str, device: str
) -> None:
    batch = Batch.of([0.5, value, 1.0, 0.0, 2.0], [1, 0, 2, 0, 1])
    got = evaluate(RANKING[name], flat(replace(batch, sizes=(3, 2)).to(device)), impl=impl)
    assert got.grad[:3].isnan().all() and got.grad[3:].isfinite().all()


@pytest.mark.parametrize(
    ("labels", "poisoned"),
    [((1.0, INF, 0.0), True), ((-INF, -INF, -INF), True), ((1.0, -INF, 0.0), False)],
)
@every_impl
def test_infinite_labels_of_listnet(labels: tuple, poisoned: bool, impl: str, device: str) -> None:
    """The distribution of labels is one unless the largest of them is infinite."""
    batch = Batch.of([0.5, -0.5, 1.0, 0.0, 2.0], [*labels, 0.0, 1.0])
    got = evaluate(RANKING["listnet"], flat(replace(batch, sizes=(3, 2)).to(device)), impl=impl)
    assert got.grad[3:].isfinite().all()
    if poisoned:
        assert got.grad[:3].isnan().all()
        return
    batch = replace(batch, labels=batch.labels.clamp(min=-1000.0), sizes=(3, 2))
    wanted = evaluate(RANKING["listnet"], flat(batch.to(device)), impl=impl)
    assert torch.equal(got.loss, wanted.loss) and torch.equal(got.grad, wanted.grad)


def nothing(device: str) -> dict[str, tuple[Tensor, Tensor, dict]]:
    masked = {"mask": torch.zeros(3, 4, dtype=torch.bool, device=device)}
    zero = {"lengths": torch.zeros(3, dtype=torch.int64, device=device)}
    numbers = torch.randn(3, 4), torch.arange(12).view(3, 4)
    empty = {"offsets": torch.zeros(1, dtype=torch.int64, device=device)}
    return {
        "empty_list": (torch.zeros(0), torch.zeros(0), {}),
        "no_lists": (torch.zeros(0), torch.zeros(0), empty),
        "no_rows": (torch.zeros(0, 5), torch.zeros(0, 5), {}),
        "no_columns": (torch.zeros(3, 0), torch.zeros(3, 0), {}),
        "everything_masked": (*numbers, masked),
        "zero_lengths": (*numbers, zero),
        "zero_weights": (*numbers, {"weights": torch.zeros(3, 4, device=device)}),
    }


@every_loss
@every_impl
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nothing_is_zero_with_a_graph(name: str, impl: str, reduction: str, device: str) -> None:
    for what, (scores, labels, options) in nothing(device).items():
        scores = scores.to(device).requires_grad_()
        value = RANKING[name](scores, labels.to(device), reduction=reduction, impl=impl, **options)
        assert value.requires_grad, what
        assert torch.equal(value, torch.zeros_like(value)), what
        value.sum().backward()
        assert torch.equal(scores.grad, torch.zeros_like(scores)), what


# ---- Autograd ------------------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("reduction", REDUCTIONS)
@every_impl
def test_gradcheck(name: str, reduction: str, impl: str, device: str) -> None:
    """Ranks do not move with steps of 1e-7, and nothing else but the pair losses does."""
    call = flat(grades("weighted", torch.float64).to(device))
    scores = call.scores.detach().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: RANKING[name](s, call.labels, **call.options, reduction=reduction, impl=impl),
        (scores,),
        eps=1e-7,
        atol=1e-5,
        rtol=1e-5,
    )


@pytest.mark.parametrize("name", [*GRID, *LISTWISE_GRID])
def test_gradcheck_of_options(name: str, device: str) -> None:
    ranking = (GRID | LISTWISE_GRID)[name]
    if "normalised" in name:
        return  # those factors follow the scores, and are constants of the loss
    call = one_list(grades("n33", torch.float64).to(device))
    labels = call.labels % 5
    scores = call.scores.detach().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: ranking(s, labels), (scores,), eps=1e-7, atol=1e-5, rtol=1e-4, fast_mode=True
    )


@every_loss
def test_grad_outputs(name: str, device: str) -> None:
    """Each list's own gradient, times its grad_output."""
    batch = grades("ragged").to(device)
    grad_output = torch.randn(len(batch.sizes), generator=generator_for("grad_output")).to(device)
    together = evaluate(RANKING[name], flat(batch), grad_output, reduction="none").grad
    alone = evaluate(RANKING[name], flat(batch), reduction="none").grad
    owner = torch.repeat_interleave(torch.arange(len(batch.sizes)), torch.tensor(batch.sizes))
    wanted = alone.double() * grad_output.double()[owner.to(device)]
    torch.testing.assert_close(together.double(), wanted, rtol=2**-22, atol=1e-30)


@every_loss
@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpointing_and_models(name: str, use_reentrant: bool, device: str) -> None:
    call = flat(grades("ragged").to(device))
    features = torch.randn(len(call.scores), 4, generator=generator_for("model")).to(device)
    weight = torch.randn(4, device=device, requires_grad=True)

    def objective(weight: Tensor) -> Tensor:
        return RANKING[name](features @ weight, call.labels, **call.options)

    checkpoint(objective, weight, use_reentrant=use_reentrant).backward()
    direct = evaluate(RANKING[name], call._replace(scores=(features @ weight).detach()))
    torch.testing.assert_close(weight.grad, features.T @ direct.grad)


@pytest.fixture
def raw_gradients(monkeypatch) -> list[int]:
    """The sizes of the raw gradients that forward passes computed."""
    sizes = []
    for op in ("lambda_forward", "listwise_forward"):
        original = getattr(ops, op)

        def spy(*arguments, original=original):
            outputs = original(*arguments)
            sizes.append(outputs[1].numel())
            return outputs

        monkeypatch.setattr(ops, op, spy)
    return sizes


@every_loss
def test_no_gradient_unless_needed(name: str, device: str, raw_gradients: list[int]) -> None:
    call = flat(grades("ragged").to(device))
    needed = call.scores.detach().requires_grad_()

    def run(scores: Tensor) -> Tensor:
        return RANKING[name](scores, call.labels, **call.options)

    values = [run(call.scores), run(needed)]
    with torch.no_grad():
        values.append(run(needed))
    with torch.inference_mode():
        values.append(run(needed))
    assert raw_gradients == [0, len(call.scores), 0, 0]
    assert all(same_bits(value.detach(), values[0]) for value in values)
    assert [value.requires_grad for value in values] == [False, True, False, False]


@every_loss
def test_second_derivatives_are_refused(name: str, device: str) -> None:
    call = flat(grades("ragged").to(device))
    scores = call.scores.detach().requires_grad_()
    value = RANKING[name](scores, call.labels, **call.options)
    (grad,) = torch.autograd.grad(value, scores, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives .* not implemented.*ref"):
        (value + grad.square().sum()).backward()


@every_loss
def test_second_derivatives_of_the_reference(name: str, device: str) -> None:
    call = one_list(grades("n31", torch.float64).to(device))
    scores = (call.scores * 0.5).detach()[:9].requires_grad_()
    labels = call.labels[:9]
    assert torch.autograd.gradgradcheck(
        lambda s: RANKING[name](s, labels, impl="reference"), (scores,), atol=1e-4, rtol=1e-3
    )


@every_loss
def test_changes_in_place(name: str, device: str) -> None:
    """Of what says where the lists are they are noticed; scores and labels may change."""
    call = FORMS["mask"](grades("ragged").to(device))
    scores = call.scores.detach().requires_grad_()
    value = RANKING[name](scores * 1, call.labels, **call.options)
    call.labels.zero_()
    (grad,) = torch.autograd.grad(value, scores, retain_graph=True)
    assert grad.count_nonzero()
    call.options["mask"].zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


@every_loss
def test_the_raw_ops_have_no_derivative(name: str, device: str) -> None:
    call = flat(grades("ragged").to(device))
    scores = call.scores.detach().requires_grad_()
    op, arguments = raw_arguments(name, call._replace(scores=scores))
    value = op(*arguments)[0]
    with pytest.raises(NotImplementedError, match="differentiated through the functions"):
        value.backward()


def raw_arguments(name: str, call: Call) -> tuple:
    """The op that a loss calls, and what it calls it with."""
    seen = []
    op = "lambda_forward" if name in PAIR else "listwise_forward"
    original = getattr(ops, op)

    def record(*arguments):
        seen.append(arguments)
        return original(*arguments)

    setattr(ops, op, record)
    try:
        RANKING[name](call.scores, call.labels, **call.options)
    finally:
        setattr(ops, op, original)
    # The function sees the scores inside autograd.Function, detached.
    return original, (call.scores, *seen[0][1:])


@every_loss
@pytest.mark.parametrize("form", ["flat", "mask", "lengths"])
def test_opcheck(name: str, form: str, device: str) -> None:
    """Schema, fake kernel and registration, by torch's own checks."""
    batch = grades("weighted").to(device)
    call = FORMS[form](batch)
    for reduction in ("mean", "none"):
        options = {**call.options, "reduction": reduction}
        if name in PAIR:
            options["return_statistics"] = True
        op, arguments = raw_arguments(name, call._replace(options=options))
        torch.library.opcheck(
            op,
            arguments,
            test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
        )


# ---- Compilation ---------------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("form", ["flat", "mask"])
def test_compiled(name: str, form: str, device: str) -> None:
    call = FORMS[form](grades("ragged").to(device))
    torch._dynamo.reset()
    function = torch.compile(RANKING[name].__call__, backend="aot_eager", fullgraph=True)
    assert evaluate(function, call).same_bits(evaluate(RANKING[name], call))


def test_compiled_with_everything(device: str) -> None:
    """Dynamic shapes, all options, statistics."""
    torch._dynamo.reset()
    discount = torch.tensor([1.0, 0.5, 0.25], device=device)

    def objective(scores, labels, gains, offsets):
        loss, statistics = fused_rankloss.lambda_loss(
            scores,
            labels,
            gains=gains,
            offsets=offsets,
            discount=discount,
            k=2,
            return_statistics=True,
        )
        return loss, statistics.ndcg.nanmean()

    function = torch.compile(objective, backend="aot_eager", fullgraph=True, dynamic=True)
    for case in ("ragged", "weighted"):
        batch = grades(case).to(device)
        arguments = (batch.labels, batch.labels.float(), batch.offsets())
        plain, fused = (batch.scores.clone().requires_grad_() for _ in range(2))
        wanted, got = objective(plain, *arguments), function(fused, *arguments)
        assert same_bits(got[0].detach(), wanted[0].detach())
        torch.testing.assert_close(got[1], wanted[1])
        wanted[0].backward()
        got[0].backward()
        assert same_bits(fused.grad, plain.grad)


def test_export(device: str) -> None:
    class Objective(torch.nn.Module):
        def forward(self, scores, labels, mask):
            return sum(ranking(scores, labels, mask=mask) for ranking in RANKING.values())

    call = padded_mask(grades("ragged").to(device))
    arguments = (call.scores, call.labels, call.options["mask"])
    program = torch.export.export(Objective(), arguments)
    assert same_bits(program.module()(*arguments), Objective()(*arguments))


@every_loss
def test_autocast_leaves_the_loss_in_single_precision(name: str, device: str) -> None:
    call = flat(grades("ragged").to(device))
    with torch.autocast(device, torch.bfloat16):
        inside = evaluate(RANKING[name], call)
    assert inside.same_bits(evaluate(RANKING[name], call))


# ---- Determinism ---------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["n1025", "one_long", "weighted_long", "many_short"])
@every_loss
def test_repeats_and_threads(case: str, name: str, device: str, threads) -> None:
    call = flat(grades(case).to(device))
    if case == "n1025":
        call = call._replace(labels=(call.labels * 5).floor())
    first = evaluate(RANKING[name], call)
    for count in (1, 2, 3, 8):
        threads(count)
        assert all(evaluate(RANKING[name], call).same_bits(first) for _ in range(3))


@pytest.mark.parametrize("name", ["logistic", "lambdarank", "lambdarank_hinge", "list_mle"])
def test_threads_on_a_long_list(name: str, threads) -> None:
    scores = torch.randn(70_001, generator=generator_for("long"))
    labels = torch.randint(0, 5, scores.shape, generator=generator_for("long labels"))
    call = flat(Batch(scores, labels, (70_001,)))
    outcomes = []
    for count in (1, 2, 5):
        threads(count)
        outcomes.append(evaluate(RANKING[name], call))
    assert all(outcome.same_bits(outcomes[0]) for outcome in outcomes)


@every_loss
def test_neighbours_do_not_matter(name: str, device: str) -> None:
    """A list gives the same bits in a batch in any place."""
    batch = grades("growing")
    order = torch.randperm(len(batch.sizes), generator=generator_for(name)).tolist()
    lists = batch.lists()
    moved = Batch.join([lists[number] for number in order])
    here = evaluate(RANKING[name], flat(batch.to(device)), reduction="none")
    there = evaluate(RANKING[name], flat(moved.to(device)), reduction="none")
    grads, moved_grads = batch.split(here.grad), moved.split(there.grad)
    for place, number in enumerate(order):
        assert same_bits(there.loss[place], here.loss[number])
        assert same_bits(moved_grads[place], grads[number])


# ---- Memory --------------------------------------------------------------------------------------

# Bytes a score beyond scores and labels, forward and backward together: the promise. Sums,
# factors and order of an item in double precision.
EXTRA_BYTES = 160

MEASURE = """
import torch
from support.ranking import RANKING

def peak():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024

def call(lists, width):
    torch.manual_seed(0)
    shape = (lists, width) if lists > 1 else (width,)
    scores = torch.randn(shape, dtype=torch.float32).requires_grad_()
    labels = torch.empty(shape, dtype=torch.int8).random_(0, 5)
    with open("/proc/self/clear_refs", "w") as control:
        control.write("5")
    before = peak()
    RANKING["{name}"](scores, labels).backward()
    return peak() - before

torch.set_num_threads(2)
lists, width = {lists}, {width}
call(lists, width)
print(call(lists, width), call(4 * lists, width) if lists > 1 else call(1, 4 * width))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "lists", "width"),
    [
        *((name, 1, 200_000) for name in ("logistic", "lambdarank", "lambdarank_hinge")),
        *((name, 1, 200_000) for name in ("listnet", "list_mle", "approx_ndcg")),
        # What has no fast way is quadratic in time, for which long lists are too slow.
        ("ndcg_loss2++", 2_000, 100),
        ("arp", 1, 4_000),
    ],
)
def test_peak_memory(name: str, lists: int, width: int) -> None:
    """Four times the scores may take three times as much more, and no other term with it."""
    code = MEASURE.format(name=name, lists=lists, width=width)
    small, large = map(int, run_python(code).split())
    assert large <= 4 * lists * width * EXTRA_BYTES + (8 << 20)
    if lists * width >= 100_000:
        assert (large - small) / (3 * lists * width) <= EXTRA_BYTES
