"""Lists of two grades of which one is small: its items are sorted alone on the CPU, and the other
one's searched for among them. Results are held against the oracle on both sides of every border at
which that begins, and counts against those of the same scores solved another way."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fused_rankloss import ops
from support.batches import FORMS, Batch, evaluate, flat, one_list, same_bits
from support.cases import LOSSES, SCORE_DTYPES, WEIGHTINGS, generator_for, name_of
from support.oracle.pairwise import exact
from support.tolerance import check, grad_floor, loss_floor

pytestmark = pytest.mark.sanitize

every_loss = pytest.mark.parametrize("loss", LOSSES)
every_dtype = pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)
either_class = pytest.mark.parametrize("small_is", [0, 1], ids=["irrelevant", "relevant"])

# csrc/cpu/pairwise/policy.h: the least number of items, and the largest share of the minority.
ITEMS, SHARE = 4096, 8


def labels_of(n: int, size: int, small_is: int, generator: torch.Generator) -> Tensor:
    """``size`` items of the small class, anywhere."""
    labels = torch.full((n,), 1 - small_is)
    labels[torch.randperm(n, generator=generator)[:size]] = small_is
    return labels


def draw(
    name: str,
    n: int,
    size: int,
    small_is: int = 1,
    dtype: torch.dtype = torch.float32,
    weighted: bool = False,
) -> Batch:
    generator = generator_for(f"{name}_{n}_{size}")
    labels = labels_of(n, size, small_is, generator)
    scores = SCORES[name](torch.randn(n, generator=generator, dtype=torch.float64), labels)
    weights = torch.rand(n, generator=generator, dtype=torch.float64) if weighted else None
    return Batch(scores.to(dtype), labels, (n,), None if weights is None else weights.to(dtype))


SCORES = {
    "normal": lambda x, labels: x,
    # Every gap a multiple of 1/4: ties in both classes, and pairs exactly on the margin.
    "quarters": lambda x, labels: (x * 4).round() / 4,
    "equal": lambda x, labels: torch.full_like(x, 0.5),
    # All items of either class beyond all of the other: one interval holds the whole big class.
    "solved": lambda x, labels: x.clamp(-3, 3) + 20 * labels,
    "upside_down": lambda x, labels: x.clamp(-3, 3) - 20 * labels,
    "offset": lambda x, labels: x + 1e6,
    # One score so far away that buckets linear in scores would hold everything else in one.
    "one_far": lambda x, labels: torch.where(torch.arange(len(x)) == int(labels.argmax()), 1e30, x),
    "wide": lambda x, labels: x.sign() * torch.exp2(8 * x),
    "cauchy": lambda x, labels: x / x.roll(1).abs().clamp(min=1e-9),
}


def hold_against_oracle(
    batch: Batch, loss: str, device: str, engine: str = "fastest", **options
) -> None:
    dtype = batch.scores.dtype
    got = evaluate(LOSSES[loss], flat(batch.to(device)), **options)
    wanted = exact(batch, loss, engine=engine, **options)
    check("loss", got.loss, wanted.loss, loss_floor(wanted, dtype), case=options)
    check("grad", got.grad, wanted.grad, grad_floor(wanted, dtype), case=options)


def forward_op(batch: Batch, boundary_grad: float = 1.0, margin: float = 1.0):
    call = flat(batch)
    options = (margin, "hinge", "product", boundary_grad, "sum", True)
    offsets = call.options["offsets"]
    return ops.pairwise_forward(
        call.scores, call.labels, batch.weights, None, None, None, offsets, None, *options
    )


# ---- Against the oracle --------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCORES)
@either_class
@every_loss
def test_scores(name: str, small_is: int, loss: str, device: str) -> None:
    batch = draw(name, ITEMS + 5, 60, small_is)
    for margin in (1.0, -0.25):
        hold_against_oracle(batch, loss, device, margin=margin)


@every_dtype
@every_loss
@either_class
def test_dtypes(dtype: torch.dtype, loss: str, small_is: int, device: str) -> None:
    for name in ("normal", "quarters", "one_far"):
        batch = draw(name, ITEMS, 400, small_is, dtype)
        if batch.scores.isfinite().all():  # 1e30 is no fp16
            hold_against_oracle(batch, loss, device)


@either_class
@every_loss
@pytest.mark.parametrize(
    ("n", "size"),
    [
        (ITEMS - 1, 40),
        (ITEMS, 40),
        (ITEMS, 1),
        (ITEMS, 2),
        (ITEMS, ITEMS // SHARE),
        (ITEMS, ITEMS // SHARE + 1),
        (ITEMS + 63, 512),
        (ITEMS + 64, 511),
        (70_001, 700),
    ],
)
def test_sizes(n: int, size: int, small_is: int, loss: str, device: str) -> None:
    hold_against_oracle(draw("normal", n, size, small_is), loss, device)


@pytest.mark.parametrize(
    ("loss", "boundary_grad"),
    [("hinge", 0.0), ("hinge", 0.5), ("hinge", 1.0), ("squared_hinge", 1.0)],
)
@either_class
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weights(
    loss: str, boundary_grad: float, small_is: int, weighting: str, device: str
) -> None:
    options = {"weighting": weighting, "boundary_grad": boundary_grad}
    if loss != "hinge":
        del options["boundary_grad"]
    batch = draw("quarters", ITEMS, 100, small_is, weighted=True)
    hold_against_oracle(batch, loss, device, **options)


@either_class
@pytest.mark.parametrize("far", [3.4028234663852886e38, 1e300])
@every_loss
def test_ends_of_the_range(small_is: int, far: float, loss: str, device: str) -> None:
    """The far items' squares overflow a raw gradient, so they violate nothing there."""
    batch = draw("normal", ITEMS, 50, small_is, torch.float64 if far > 1e38 * 4 else torch.float32)
    scores = batch.scores.clone()
    scores[batch.labels == 1] = scores[batch.labels == 1].where(
        torch.arange(int(batch.labels.sum())) != 1, far
    )
    scores[batch.labels == 0] = scores[batch.labels == 0].where(
        torch.arange(int((1 - batch.labels).sum())) != 1, -far
    )
    hold_against_oracle(replace(batch, scores=scores), loss, device)


# ---- The same as another way ---------------------------------------------------------------------


@either_class
@pytest.mark.parametrize("boundary_grad", [0.0, 1.0])
@pytest.mark.parametrize("name", ["normal", "quarters", "equal", "offset", "wide"])
@every_dtype
def test_counts_do_not_depend_on_the_path(
    name: str, boundary_grad: float, small_is: int, dtype: torch.dtype, device: str
) -> None:
    """A third grade far above forms pairs that violate nothing, and has all classes sorted."""
    batch = draw(name, 40_000, 500, small_is, dtype)
    top = torch.finfo(dtype).max
    batch = replace(batch, scores=batch.scores.clamp(-top / 4, top / 4))
    three = Batch(
        torch.cat([batch.scores, torch.tensor([top], dtype=dtype)]),
        torch.cat([batch.labels, torch.tensor([2])]),
        (len(batch.scores) + 1,),
    )
    raw, slope = forward_op(batch.to(device), boundary_grad)[1::2]
    wanted, wanted_slope = forward_op(three.to(device), boundary_grad)[1::2]
    assert raw.dtype == torch.int32 and raw.any()
    assert torch.equal(raw[0], wanted[0, :-1]) and wanted[0, -1] == 0
    assert torch.equal(slope, wanted_slope)


@every_loss
@either_class
def test_one_search_a_margin(loss: str, small_is: int, device: str) -> None:
    batch = draw("quarters", 40_000, 300, small_is).to(device)
    margins = torch.tensor([0.25, -0.5, 3.0], dtype=torch.float64, device=device)
    grad_output = torch.eye(3)
    together = [
        evaluate(LOSSES[loss], one_list(batch), grad_output[k], margin=margins) for k in range(3)
    ]
    for k, margin in enumerate(margins.tolist()):
        alone = evaluate(LOSSES[loss], one_list(batch), margin=margin)
        assert same_bits(together[k].loss[k], alone.loss)
        assert torch.equal(together[k].grad, alone.grad)


@every_loss
@pytest.mark.parametrize("label_dtype", [torch.bool, torch.int8, torch.float32, torch.float64])
def test_labels_of_any_dtype(loss: str, label_dtype: torch.dtype, device: str) -> None:
    batch = draw("normal", 9000, 90).to(device)
    wanted = evaluate(LOSSES[loss], one_list(batch))
    assert evaluate(
        LOSSES[loss], one_list(replace(batch, labels=batch.labels.to(label_dtype)))
    ).same_bits(wanted)
    if label_dtype != torch.bool:
        spread = (batch.labels * 120 - 60).to(label_dtype)
        assert evaluate(LOSSES[loss], one_list(replace(batch, labels=spread))).same_bits(wanted)


# ---- What must not show --------------------------------------------------------------------------


@every_loss
@either_class
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=name_of)
@pytest.mark.parametrize("weighted", [False, True])
def test_thread_counts(
    loss: str, small_is: int, dtype: torch.dtype, weighted: bool, threads
) -> None:
    call = one_list(draw("normal", 300_001, 3000, small_is, dtype, weighted))
    outcomes = []
    for count in (1, 2, 3, 8):
        threads(count)
        outcomes.append(evaluate(LOSSES[loss], call))
    assert all(outcome.same_bits(outcomes[0]) for outcome in outcomes)


@every_loss
@pytest.mark.parametrize("n", [9000, 100_000])
@pytest.mark.parametrize("form", ["lengths", "scattered_mask", "flat_mask"])
def test_padding(loss: str, n: int, form: str, device: str) -> None:
    """fp64 shows every bit of the sums."""
    batch = draw("normal", n, n // 100, dtype=torch.float64, weighted=True)
    batch = replace(batch, labels=batch.labels.double()).to(device)
    plain = evaluate(LOSSES[loss], flat(batch))
    padded = evaluate(LOSSES[loss], FORMS[form](batch, n, torch.nan))
    if device == "cuda" and "mask" in form:  # slots choose the kernel, masked ones included
        wanted = exact(batch.to("cpu"), loss)
        check("loss", padded.loss.cpu(), wanted.loss, loss_floor(wanted, torch.float64))
        check("grad", padded.grad.cpu(), wanted.grad, grad_floor(wanted, torch.float64))
    else:
        assert padded.same_bits(plain)
    assert same_bits(padded.padding_grad, torch.zeros_like(padded.padding_grad))


@every_loss
def test_neighbours(loss: str, device: str) -> None:
    long, other = draw("normal", 70_001, 70), draw("wide", 5000, 40, 0)
    short = draw("quarters", 100, 3)
    joined = Batch.join([short, long, other, short])
    together = evaluate(LOSSES[loss], flat(joined.to(device)), reduction="none")
    for place, one in enumerate([short, long, other, short]):
        alone = evaluate(LOSSES[loss], flat(one.to(device)), reduction="none")
        assert same_bits(together.loss[place], alone.loss[0])
        assert same_bits(joined.split(together.grad)[place], alone.grad)


# ---- Non-finite ----------------------------------------------------------------------------------


@every_loss
@either_class
def test_nan_and_equal_infinities_poison(loss: str, small_is: int, device: str) -> None:
    clean = draw("normal", ITEMS, 40, small_is, weighted=True)
    small = int((clean.labels == small_is).nonzero()[3])
    big = int((clean.labels != small_is).nonzero()[3])
    poisons = [(name, {item: torch.nan}) for name in ("scores", "weights") for item in (small, big)]
    poisons += [("scores", {small: end, big: end}) for end in (torch.inf, -torch.inf)]
    for name, values in poisons:
        tensor = getattr(clean, name).clone()
        for item, value in values.items():
            tensor[item] = value
        got = evaluate(LOSSES[loss], one_list(replace(clean, **{name: tensor}).to(device)))
        assert got.loss.isnan() and got.grad.isnan().all()


@either_class
@pytest.mark.parametrize("end", [torch.inf, -torch.inf])
@pytest.mark.parametrize("where", ["small", "big"])
def test_infinities(small_is: int, end: float, where: str, device: str) -> None:
    batch = draw("normal", ITEMS, 40, small_is)
    label = small_is if where == "small" else 1 - small_is
    scores = batch.scores.clone()
    scores[(batch.labels == label).nonzero()[:2, 0]] = end
    hold_against_oracle(replace(batch, scores=scores), "hinge", device, "rows")


@every_loss
@pytest.mark.parametrize(
    ("margin", "wanted_loss"), [(torch.inf, torch.inf), (-torch.inf, 0.0), (torch.nan, torch.nan)]
)
def test_margins_that_are_no_numbers(
    loss: str, margin: float, wanted_loss: float, device: str
) -> None:
    batch = draw("normal", ITEMS, 40).to(device)
    margins = torch.tensor([margin, 1.0], dtype=torch.float64, device=device)
    got = LOSSES[loss](batch.scores, batch.labels, margin=margins).cpu()
    assert got[0].item() == pytest.approx(wanted_loss, nan_ok=True)
    wanted = exact(batch, loss)
    check("loss", got[1], wanted.loss, loss_floor(wanted, torch.float32))
