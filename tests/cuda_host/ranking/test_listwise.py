"""The kernels of listwise losses, run on the CPU, against the float64 oracle.

A warp solves a list of up to 128 slots, a block one of up to 1024, with four items per thread;
a longer one is cut into tiles of 2048 positions, and a block computes the pairs of 256 rows. The
crossover is lowered, so that short lists also take the path of long ones.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cuda_host.host_cases import cases, every_dtype, invalid_offsets, same_bits, sanitize
from cuda_host.ranking.listwise_cases import every_loss, forward
from support.batches import FORMS, Batch, Outcome, evaluate, flat, one_list, padded_lengths
from support.cases import REDUCTIONS, SMALL, Case, by_name, generator_for
from support.ranking import LIST, LISTWISE_GRID, hold, listwise
from support.tolerance import check, grad_floor, loss_floor

MIXED = (130, 5, 0, 300, 128, 129, 1, 64, 0, 33, 500, 2, 0)
GRADED = ("binary", "bool", "rare", "common", "grades", "relevant", "irrelevant")


def graded(case: Case, dtype: torch.dtype = torch.float32) -> Batch:
    """Labels whose gains are numbers."""
    batch = case.batch(dtype)
    if case.labels in GRADED or not len(batch.labels):
        return batch
    labels = batch.labels.double()
    return replace(batch, labels=(labels / labels.abs().max().clamp(min=1e-9) * 6).float())


# ---- Against the oracle ----------------------------------------------------------------------


@cases(SMALL)
@every_loss
def test_small(case: Case, name: str, on_listwise_host) -> None:
    hold(LIST[name], graded(case), "cpu", case=case)


@cases(SMALL, "boundary_grades", "ragged", "weighted_boundary", "trailing_empty", "n31")
@every_loss
def test_small_lists_as_long_ones(case: Case, name: str, on_listwise_host) -> None:
    on_listwise_host.set(crossover=0)
    hold(LIST[name], graded(case), "cpu", case=case)


@sanitize
@cases(SMALL, "weighted")
@every_loss
@every_dtype
def test_dtypes(case: Case, name: str, dtype: torch.dtype, listwise_kernel: str) -> None:
    hold(LIST[name], graded(case, dtype), "cpu", case=case)


@sanitize
@cases(SMALL, "n129")
@pytest.mark.parametrize("name", sorted(set(LISTWISE_GRID) - set(LIST)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_options(case: Case, name: str, dtype: torch.dtype, listwise_kernel: str) -> None:
    hold(LISTWISE_GRID[name], graded(case, dtype), "cpu", case=case)


@cases(SMALL, "no_lists", "pairless_lists")
@pytest.mark.parametrize("name", ["listnet", "list_mle"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions(case: Case, name: str, reduction: str, listwise_kernel: str) -> None:
    shape = (len(case.sizes),) if reduction == "none" else ()
    grad_output = torch.randint(-8, 9, shape, generator=generator_for(case.name)).double() / 4
    batch = graded(case)
    hold(LIST[name], batch, "cpu", case=case, grad_output=grad_output, reduction=reduction)


@sanitize
@pytest.mark.parametrize("size", [1, 2, 31, 33, 127, 128, 129, 257, 511, 1023, 1024])
@every_loss
def test_borders(size: int, name: str, on_listwise_host) -> None:
    weighted = size % 2 == 0
    case = Case(f"n{size}", (size,), "a border", scores="quarters", weighted=weighted)
    hold(LIST[name], graded(case, torch.float64 if size % 3 else torch.float32), "cpu", case=case)


@pytest.mark.parametrize("size", [255, 257, 2047, 2048, 2049])
@every_loss
def test_tiles(size: int, name: str, on_listwise_host) -> None:
    on_listwise_host.set(crossover=100, blocks=3)
    case = Case(f"tiles{size}", (size,), "", scores="quarters", weighted=size % 2 == 0)
    hold(LIST[name], graded(case, torch.float64 if size % 3 else torch.float32), "cpu", case=case)


@sanitize
@pytest.mark.parametrize("crossover", [8, 200])
@every_loss
def test_mixed(name: str, crossover: int, on_listwise_host) -> None:
    """Warps', blocks' and long lists in one batch."""
    on_listwise_host.set(crossover=crossover, blocks=3)
    case = Case("mixed", MIXED + (9,) * 20, "", labels="grades", weighted=True)
    hold(LIST[name], graded(case), "cpu", case=case, reduction="list_mean")


@pytest.mark.parametrize("begin", [1, 2040])
@pytest.mark.parametrize("name", ["listnet", "list_mle"])
def test_lists_across_tiles(begin: int, name: str, on_listwise_host) -> None:
    sizes = (begin, 2055 - begin, 33, 0, 2200, 9, 40)
    on_listwise_host.set(crossover=8)
    case = Case("across", sizes, "", labels="grades", weighted=True)
    hold(LIST[name], graded(case), "cpu", case=case)


def test_more_than_one_step_of_tiles(listwise_host) -> None:
    """257 tiles: one more than a block scans at once."""
    n = 2048 * 256 + 5
    generator = generator_for("steps")
    scores = torch.randn(n, generator=generator, dtype=torch.float64).float()
    labels = torch.randint(0, 5, (n,), generator=generator)
    listwise_host.set(blocks=1)
    got = forward(listwise_host, one_list(Batch(scores, labels, (n,))), LIST["list_mle"])
    order = torch.sort(labels, descending=True, stable=True).indices
    s = scores.double()[order].numpy()
    tail = np.logaddexp.accumulate(s[::-1])[::-1]
    share = np.exp(s) * np.cumsum(np.exp(-tail))  # of exponentials between e^-20 and e^10
    # Each term's exponential is off by 2^-23 (2 + |x|), |x| < 20, and there are two of them.
    slack = 2.0**-23 * 44
    wanted = torch.from_numpy(share - 1)
    error = (got["raw_grad"][0].double()[order] - wanted).abs()
    assert (error <= slack * (1 + torch.from_numpy(share))).all()
    value = math.fsum(tail - s)
    assert abs(got["loss"].item() - value) <= slack * (value + n)


def test_many_lists(on_listwise_host) -> None:
    """More of them than fit a grid's other dimensions, and than a block sees at once."""
    on_listwise_host.set(crossover=30)
    batch = Case("lists", (40, 3, 100), "", labels="grades").batch(torch.float32)
    alone = evaluate(LIST["list_mle"], flat(batch), reduction="none")
    many = replace(batch, sizes=(0,) * 66_000 + batch.sizes)
    among = evaluate(LIST["list_mle"], flat(many), reduction="none")
    assert not among.loss[:66_000].count_nonzero()
    assert alone.same_bits(Outcome(among.loss[66_000:], among.grad))
    on_listwise_host.set(crossover=2)
    case = Case("lists", (3, 2) * 258, "", labels="grades", weighted=True)
    hold(LIST["listnet"], graded(case), "cpu", case=case)


# ---- Forms and bits --------------------------------------------------------------------------


@sanitize
@cases(SMALL, "weighted")
@every_loss
@pytest.mark.parametrize("form", ["lengths", "scattered_mask", "flat_mask"])
def test_forms(case: Case, name: str, form: str, listwise_kernel: str) -> None:
    """Padding changes no bit, whatever it holds and wherever it is."""
    batch = graded(case)
    batch = replace(batch, labels=batch.labels.float())
    one = evaluate(LIST[name], flat(batch))
    other = evaluate(LIST[name], FORMS[form](batch, filler=math.nan))
    assert one.same_bits(other)
    assert not other.padding_grad.count_nonzero()


@every_loss
def test_wide_padding(name: str, listwise_kernel: str) -> None:
    """Tiles of nothing else."""
    batch = Case("padded", (120, 0, 5, 64), "", labels="grades", weighted=True).batch(torch.float32)
    one = evaluate(LIST[name], flat(batch))
    for form in ("lengths", "scattered_mask"):
        other = evaluate(LIST[name], FORMS[form](batch, 900, math.inf))
        assert one.same_bits(other)


@every_loss
def test_raw_gradient_of_padding_is_zero(name: str, listwise_kernel: str, on_listwise_host) -> None:
    batch = Case("padding", (40, 3, 190, 0), "", labels="grades", weighted=True).batch()
    batch.scores[45] = math.nan
    for form in ("lengths", "mask", "scattered_mask", "flat_mask"):
        call = FORMS[form](batch, filler=math.nan)
        raw = forward(on_listwise_host, call, LIST[name])["raw_grad"]
        assert (call.padding(raw[0]) == 0).all()


@sanitize
@every_loss
def test_a_batch_is_its_lists(name: str, listwise_kernel: str) -> None:
    batch = graded(Case("alone", (70, 3, 0, 400, 200), "", labels="grades", weighted=True))
    together = evaluate(LIST[name], flat(batch), reduction="none")
    for one, value, grad in zip(
        batch.lists(), together.loss, batch.split(together.grad), strict=True
    ):
        alone = evaluate(LIST[name], one_list(one), reduction="none")
        assert alone.same_bits(Outcome(value, grad))


@sanitize
@every_loss
def test_a_warp_gives_the_bits_of_a_block(name: str, on_listwise_host) -> None:
    """With padding, the list of a warp becomes one of a block."""
    batch = Case("warp", (100,), "", labels="grades", weighted=True).batch(torch.float32)
    one = evaluate(LIST[name], one_list(batch))
    assert one.same_bits(evaluate(LIST[name], FORMS["scattered_mask"](batch, 60)))


@sanitize
@every_loss
def test_schedules_and_grids_agree_bit_for_bit(name: str, listwise_host) -> None:
    long = 400 if name == "approx_ndcg" else 4300
    case = Case("seeds", (70, 3, 0, long, 200), "", labels="grades", weighted=True)
    call = flat(graded(case))
    results = []
    for blocks, seed in ((1, 1), (3, 2), (2, 3)):
        listwise_host.set(crossover=100, blocks=blocks, seed=seed)
        results.append(forward(listwise_host, call, LIST[name], reduction="list_mean"))
    for other in results[1:]:
        for what, tensor in results[0].items():
            assert same_bits(tensor, other[what]), what


@every_loss
def test_values_without_gradients(name: str, listwise_kernel: str, on_listwise_host) -> None:
    call = flat(graded(by_name(SMALL)["ragged"]))
    both = forward(on_listwise_host, call, LIST[name])
    alone = forward(on_listwise_host, call, LIST[name], needs_grad=False)
    assert same_bits(both["loss"], alone["loss"]) and alone["raw_grad"].numel() == 0


# ---- Labels, gains, numbers that break others ------------------------------------------------

LABEL_DTYPES = (
    *(torch.uint8, torch.int8, torch.int16, torch.int32),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
)


@sanitize
@pytest.mark.parametrize("dtype", LABEL_DTYPES, ids=str)
def test_label_dtypes(dtype: torch.dtype, listwise_kernel: str) -> None:
    name = "list_mle" if listwise_kernel == "long" else "approx_ndcg"
    scores = torch.randn(250, generator=generator_for("label_dtypes"))
    batch = Batch(scores, torch.arange(250) * 7 % 6, (20, 0, 30, 200))
    one = evaluate(LIST[name], flat(batch))
    assert one.same_bits(evaluate(LIST[name], flat(replace(batch, labels=batch.labels.to(dtype)))))
    binary = replace(batch, labels=(batch.labels > 3).to(dtype))
    one = evaluate(LIST[name], flat(replace(batch, labels=batch.labels > 3)))
    assert one.same_bits(evaluate(LIST[name], flat(binary)))


@pytest.mark.parametrize("floating", [False, True])
def test_labels_of_all_bits(floating: bool, listwise_kernel: str) -> None:
    """Signs, both ends of the range, zeros of both signs, and neighbours that are equal in fp64."""
    values = [0, -1, 5, -(2**63), 2**63 - 1, 2**53, 2**53 + 1, -7, 0, 2**53 + 1, 3, -(2**63)]
    labels = torch.tensor(values)
    if floating:
        labels = torch.tensor([0.0, -1.5, 1e300, -1e-300, -0.0, math.inf, 5e-324, -math.inf, 2.0])
    scores = torch.randn(len(labels), generator=generator_for("bits"))
    hold(LIST["list_mle"], Batch(scores, labels, (len(labels),)), "cpu")


@sanitize
@pytest.mark.parametrize("rising", [True, False])
@pytest.mark.parametrize("form", ["flat", "scattered_mask"])
def test_gains_of_items(rising: bool, form: str, listwise_kernel: str) -> None:
    """Also gains that do not rise with the labels, and negative ones."""
    generator = generator_for("own_gains")
    labels = torch.randint(0, 5, (207,), generator=generator)
    gains = labels * 2.0 if rising else torch.rand(207, generator=generator) - 0.25
    batch = Batch(torch.randn(207, generator=generator), labels, (200, 0, 7))
    carried = FORMS[form](replace(batch, labels=gains)).labels
    got = evaluate(LIST["approx_ndcg"], FORMS[form](batch), gains=carried)
    wanted = LIST["approx_ndcg"].exact(batch, gains=gains)
    check("loss", got.loss, wanted.loss, loss_floor(wanted, torch.float32))
    check("grad", got.grad, wanted.grad, grad_floor(wanted, torch.float32))


@pytest.mark.parametrize("top", [127, 1000, 5000])
@pytest.mark.parametrize("gain", ["exponential", "linear"])
def test_large_and_negative_labels(top: int, gain: str, listwise_kernel: str) -> None:
    labels = torch.randint(-3, top + 1, (90,), generator=generator_for("gains"))
    labels[0] = top
    batch = Batch(torch.randn(90, generator=generator_for("large")), labels, (60, 30))
    got = hold(LIST["approx_ndcg"], batch, "cpu", gain=gain)
    assert got.loss.isfinite() and got.loss != 0


@sanitize
def test_lists_that_do_not_count(listwise_kernel: str) -> None:
    """They add 0, and change no mean but "batch_mean"."""
    batch = Batch.of([0.5, 1.0, -1.0, 2.0, 0.25, 3.0, 1.0], [3, -1, 0, -2, -2, 0, 0])
    batch = replace(batch, sizes=(3, 2, 0, 1, 1))
    for name in ("list_mle", "p_list_mle", "approx_ndcg"):
        for reduction in REDUCTIONS:
            got = hold(LIST[name], batch, "cpu", reduction=reduction)
            assert not got.grad[3:].count_nonzero()
        assert evaluate(LIST[name], flat(batch), reduction="none").loss[1:].tolist() == [0.0] * 4


@every_loss
@pytest.mark.parametrize("n", [40, 300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_score_gaps_of_1e4(name: str, n: int, dtype: torch.dtype, listwise_kernel: str) -> None:
    generator = generator_for("gaps")
    scores = (torch.rand(n, generator=generator, dtype=torch.float64) - 0.5) * 2e4
    scores[: n // 2] = torch.randn(n // 2, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 5, (n,), generator=generator)
    got = hold(LIST[name], Batch(scores.to(dtype), labels, (n,)), "cpu")
    assert got.loss.isfinite() and got.grad.isfinite().all()


# ---- What is no number -----------------------------------------------------------------------


@pytest.mark.parametrize("what", ["scores", "labels", "weights", "gains"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@every_loss
def test_poisoned_lists(name: str, what: str, value: float, listwise_kernel: str) -> None:
    long = 30 if value == math.inf else 200
    if value == value and what != "scores" or what == "gains" and name != "approx_ndcg":
        return
    batch = Case("nan", (40, 9, long, 5), "", labels="grades", weighted=True).batch(torch.float32)
    batch = replace(batch, labels=batch.labels.float())
    gains = batch.labels.clone()
    (gains if what == "gains" else getattr(batch, what))[60] = value  # in list 2
    poisoned = torch.zeros(len(batch.scores), dtype=torch.bool)
    poisoned[49 : 49 + long] = True
    call = padded_lengths(batch, filler=math.nan)
    options = {}
    if what == "gains":
        options["gains"] = padded_lengths(replace(batch, labels=gains), filler=math.nan).labels
    outcome = evaluate(LIST[name], call, reduction="none", **options)
    assert torch.equal(outcome.grad.isnan(), poisoned)
    assert (outcome.padding_grad == 0).all()
    assert outcome.loss.isnan().tolist() == [False, False, True, False]
    others = evaluate(LIST[name], call, **options)
    assert others.loss.isnan() and torch.equal(others.grad.isnan(), poisoned)
    if what != "gains":
        wanted = LIST[name].exact(batch)
        check("grad", others.grad, wanted.grad, grad_floor(wanted, torch.float32))


@pytest.mark.parametrize("n", [3, 200])
def test_infinite_labels_of_listnet(n: int, listwise_kernel: str) -> None:
    """A largest label that is infinite makes no distribution; another one has no share in it."""
    batch = Case("infinite", (7, n, n, n, 4), "", labels="grades").batch(torch.float32)
    labels = batch.labels.float()
    labels[7 + 1] = math.inf
    labels[7 + n : 7 + 2 * n] = -math.inf
    labels[7 + 2 * n] = -math.inf
    poisoned = torch.zeros(len(labels), dtype=torch.bool)
    poisoned[7 : 7 + 2 * n] = True
    outcome = evaluate(LIST["listnet"], flat(replace(batch, labels=labels)), reduction="none")
    assert outcome.loss.isnan().tolist() == [False, True, True, False, False]
    assert torch.equal(outcome.grad.isnan(), poisoned)
    finite = replace(batch, labels=labels.clamp(min=-1000.0))
    others = evaluate(LIST["listnet"], flat(finite), reduction="none")
    assert torch.equal(outcome.loss[3:], others.loss[3:])
    assert torch.equal(outcome.grad[~poisoned], others.grad[~poisoned])


@pytest.mark.parametrize("n", [1, 2])
@every_loss
def test_poison_without_a_pair(name: str, n: int, listwise_kernel: str) -> None:
    batch = Batch(torch.full((n,), math.nan), torch.zeros(n), (n,))
    got = evaluate(LIST[name], one_list(batch))
    assert got.loss.isnan() and got.grad.isnan().all()


@sanitize
@every_loss
def test_invalid_lengths(name: str, listwise_kernel: str, on_listwise_host) -> None:
    scores = torch.randn(4, 150, generator=generator_for("lengths"))
    batch = Batch(scores, torch.arange(600).view(4, 150) % 3, (600,))
    results = []
    for lengths in ([150, 0, 20, 7], [150, -1, 20, 151]):
        call = one_list(batch)
        call.options["lengths"] = torch.tensor(lengths)
        results.append(forward(on_listwise_host, call, LIST[name], reduction="none")["loss"])
    assert results[1].isnan().tolist() == [False, True, False, True]
    assert results[1][[0, 2]].equal(results[0][[0, 2]])


@sanitize
@invalid_offsets
@every_loss
def test_invalid_offsets(
    offsets: list[int], name: str, listwise_kernel: str, on_listwise_host
) -> None:
    """Every list is poisoned, and nothing is read or written out of bounds."""
    scores = torch.randn(100, generator=generator_for("offsets"))
    call = one_list(Batch(scores, torch.arange(100) % 14, (100,)))
    call.options["offsets"] = torch.tensor(offsets)
    results = forward(on_listwise_host, call, LIST[name], reduction="none")
    assert results["loss"].isnan().all() and results["list_scale"].isnan().all()


# ---- Scores and weights that are no everyday ones --------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_one_huge_score(dtype: torch.dtype, temperature: float, listwise_kernel: str) -> None:
    """It leaves the order of the others alone. One that is far above adds nothing but a rank."""
    ranking = listwise("approx_ndcg", temperature=temperature)
    batch = Batch.of([1e17, 1.0, 0.0, 0.0], [0, 0, 1, 0], dtype=dtype)
    got = evaluate(ranking, flat(batch), reduction="sum")
    wanted = ranking.exact(batch, reduction="sum")
    loss_floors, grad_floors = loss_floor(wanted, dtype), grad_floor(wanted, dtype)
    # They are in the size of the results, not in that of the scores.
    assert max(loss_floors.max(), grad_floors.max()) < 2**-20
    check("loss", got.loss, wanted.loss, loss_floors)
    check("grad", got.grad, wanted.grad, grad_floors)
    # By hand.
    passed = 1 / (1 + math.exp(-1 / temperature))  # by how much of a rank 1 is above 0
    beyond = 1 + (1 + 1 + passed + 0.5)  # itself, the huge one, 1, and a tie
    assert wanted.loss.item() == pytest.approx(-1 / math.log2(beyond), rel=2**-50)


def test_temperatures_without_an_inverse(listwise_kernel: str) -> None:
    """Soft ranks are ranks then, of which ties share theirs."""
    ranking = listwise("approx_ndcg", temperature=1e-310)
    batch = Batch.of([7.0, 1.0, 0.0, 0.0], [0, 0, 1, 0])
    got = evaluate(ranking, flat(batch), reduction="sum")
    assert got.loss.item() == pytest.approx(-1 / math.log2(4.5), rel=2**-50)


@pytest.mark.parametrize("weight", [-1.0, math.inf, -math.inf, math.nan])
@every_loss
def test_what_is_no_weight(name: str, weight: float, listwise_kernel: str) -> None:
    batch = Case("weights", (4, 5), "", labels="grades", weighted=True).batch(torch.float32)
    batch.weights[6] = weight
    got = evaluate(LIST[name], flat(batch), reduction="none")
    assert got.loss.isnan().tolist() == [False, True]
    assert got.grad.isnan().tolist() == [False] * 4 + [True] * 5


@pytest.mark.parametrize(
    ("name", "label", "gain", "poisons"),
    [
        ("list_mle", math.inf, "exponential", False),
        ("list_mle", -math.inf, "exponential", False),
        ("listnet", math.inf, "exponential", True),
        ("listnet", -math.inf, "exponential", False),
        ("approx_ndcg", math.inf, "exponential", True),
        ("approx_ndcg", -math.inf, "exponential", False),
        ("approx_ndcg", -math.inf, "linear", True),
    ],
)
def test_infinite_labels(
    name: str, label: float, gain: str, poisons: bool, listwise_kernel: str
) -> None:
    """They are NaN where their values count, and not only their order."""
    ranking = listwise(name, **({"gain": gain} if name == "approx_ndcg" else {}))
    batch = Batch.of([0.5, -0.5, 0.1, 1.0, 0.2], [1, 0, 0, label, 1], dtype=torch.float32)
    batch = replace(batch, sizes=(2, 3))
    got = evaluate(ranking, flat(batch), reduction="none")
    assert got.loss.isnan().tolist() == [False, poisons]
    assert got.grad.isnan().tolist() == [False] * 2 + [poisons] * 3
    if name == "list_mle":
        finite = replace(batch, labels=torch.tensor([1, 0, 0, 9 if label > 0 else -9, 1]))
        assert got.same_bits(evaluate(ranking, flat(finite), reduction="none"))


def test_no_list_at_all(on_listwise_host) -> None:
    """No scores, then: those of no list are refused."""
    on_listwise_host.set(crossover=8)
    for name in LIST:
        for size in (0, 40):
            call = one_list(Batch(torch.randn(size), torch.arange(size), (size,)))
            call.options["offsets"] = torch.zeros(1, dtype=torch.int64)
            if size > 0:
                with pytest.raises(ValueError, match="got a single offset"):
                    forward(on_listwise_host, call, LIST[name], reduction="mean")
                continue
            got = forward(on_listwise_host, call, LIST[name], reduction="mean")
            assert got["loss"] == 0 and got["list_scale"].numel() == 0
