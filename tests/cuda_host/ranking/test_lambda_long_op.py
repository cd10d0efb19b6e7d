"""The op of long lists, run on the CPU: what is no number, what is not asked for, statistics, and
results that depend on nothing but the list."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from cuda_host.host_cases import cases, every_dtype, same_bits, sanitize
from support.batches import FORMS, Batch, Call, flat, one_list, padded_lengths
from support.cases import SMALL, Case, by_name, generator_for
from support.oracle.lambda_ import lambda_exact
from support.oracle.ndcg import statistics_of
from support.ranking import PAIR_LOSSES, SCHEMES
from support.tolerance import check, grad_floor, loss_floor

NAN, INF = math.nan, math.inf


def forward(host, call: Call, **options) -> dict[str, torch.Tensor]:
    """The four results of the op."""
    arguments = {
        **dict.fromkeys(("weights", "list_weights", "gains", "mask", "lengths", "offsets")),
        **{"discounts": None},
        **{"scheme": "lambdarank", "pair_loss": "logistic", "sigma": 1.0, "margin": 1.0},
        **{"scale": 1.0, "mu": 10.0, "gain": "exponential", "k": 0, "truncation": "either"},
        **{"score_normalization": False, "list_normalization": False, "weighting": "product"},
        **{"reduction": "sum", "needs_grad": True, "needs_statistics": False},
        **call.options,
        **options,
    }
    results = host.lambda_forward(call.scores, call.labels, *arguments.values())
    return dict(zip(("loss", "raw_grad", "list_scale", "statistics"), results, strict=True))


# ---- Not numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["scores", "labels", "weights", "gains"])
def test_nan_poisons_its_list_only(where: str, lambda_long_host) -> None:
    case = Case("poisoned", (9, 40, 12), "", labels="grades", weighted=True)
    batch = case.batch(torch.float32)
    gains = batch.labels.double()
    batch = replace(batch, labels=batch.labels.float())
    tensor = {**vars(batch), "gains": gains}[where]
    clean = forward(lambda_long_host, flat(batch), gains=gains, needs_statistics=True)
    tensor[20] = NAN
    got = forward(lambda_long_host, flat(batch), gains=gains, needs_statistics=True)
    for name in ("raw_grad", "statistics", "list_scale"):
        one, other = clean[name].squeeze(0), got[name].squeeze(0)
        cut = (9, 49) if name == "raw_grad" else (1, 2)
        assert same_bits(one[: cut[0]], other[: cut[0]]), name
        assert same_bits(one[cut[1] :], other[cut[1] :]), name
        assert other[cut[0] : cut[1]].isnan().sum() == (
            2 if name == "statistics" else cut[1] - cut[0]
        )
    assert got["statistics"][1, 0] == 0 and got["loss"].isnan()


@pytest.mark.parametrize(
    ("scores", "labels", "options", "poisons"),
    [
        ([INF, INF, 1.0], [1, 0, 0], {}, True),
        ([INF, INF, 1.0], [1, 1, 0], {}, False),
        ([INF, INF, 1.0], [1, 1, 0], {"scheme": "ndcg_loss1"}, True),
        ([INF, 0.0, 1.0], [1, 1, 0], {"scheme": "ndcg_loss1"}, True),
        ([2.0, -INF, -INF], [1, 1, 0], {}, True),
        ([2.0, -INF, -INF], [1, 1, 0], {"k": 1}, False),
        ([2.0, -INF, -INF], [1, 1, 0], {"k": 2}, True),
        ([2.0, -INF, -INF], [1, 1, 0], {"k": 2, "truncation": "both"}, False),
        ([2.0, -INF, -INF], [1, 1, 0], {"k": 3, "truncation": "both"}, True),
        ([2.0, -INF, -INF, -INF], [2, 1, 1, 0], {"k": 3, "truncation": "both"}, False),
        ([INF, -INF, 0.0], [0, 1, 2], {}, False),
    ],
)
@every_dtype
def test_infinite_scores(scores, labels, options, poisons, dtype, lambda_long_host) -> None:
    """Two equal infinities poison their list where a pair of them is kept."""
    batch = Batch.of([0.25, 0.5, *scores], [1, 0, *labels], dtype=dtype)
    batch = replace(batch, sizes=(2, len(scores)))
    options = {"scheme": "none", **options}
    got = forward(lambda_long_host, flat(batch), reduction="none", needs_statistics=True, **options)
    assert got["list_scale"].isnan().tolist() == [False, poisons]
    assert got["raw_grad"].isnan().flatten().tolist() == [False] * 2 + [poisons] * len(scores)
    wanted = statistics_of(scores, labels, k=options.get("k"))
    if not poisons:
        assert got["statistics"][1].tolist() == pytest.approx(wanted)


# ---- Infinite gaps, on every path ----------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of the oracle's bounds
@pytest.mark.parametrize("pair_loss", PAIR_LOSSES)
@pytest.mark.parametrize("scheme", ["none", "arp", "lambdarank", "ndcg_loss2++"])
@pytest.mark.parametrize("score", [INF, -INF])
@pytest.mark.parametrize("label", [0, 2])
@pytest.mark.parametrize("options", [{}, {"k": 7}, {"k": 9, "truncation": "both"}], ids=str)
def test_pairs_that_weigh_nothing_at_infinite_gaps(
    pair_loss: str, scheme: str, score: float, label: int, options: dict, any_kernel
) -> None:
    generator = generator_for("weightless")
    scores = torch.randn(300, generator=generator)
    labels = torch.randint(0, 3, (300,), generator=generator)
    weights = torch.rand(300, generator=generator) + 0.5
    batch = Batch(scores, labels, (300,), weights)
    for at in (0, 150):
        scores[at], labels[at], weights[at] = score, label, 0
    for weighting in ("product", "preferred") if label == 2 else ("product",):
        names = {"scheme": scheme, "pair_loss": pair_loss, "weighting": weighting, **options}
        wanted = lambda_exact(batch, reduction="sum", **names)
        got = forward(any_kernel, flat(batch), **names)
        grad = got["raw_grad"].squeeze(0).double() * got["list_scale"]
        check("loss", got["loss"], wanted.loss, loss_floor(wanted, torch.float32))
        check("grad", grad.float(), wanted.grad, grad_floor(wanted, torch.float32))


@pytest.mark.parametrize(
    ("scores", "labels", "weights", "infinite"),
    [
        # Of the items that are far above or below, and those they meet, who weighs something.
        ([INF, 0.0, 1.0], [0, 1, 1], [1, 0, 0], False),
        ([INF, 0.0, 1.0], [0, 1, 1], [1, 1, 0], True),
        ([INF, INF, 0.0], [0, 0, 1], [0, 1, 1], True),
        ([INF, 2.0, 1.0], [1, 2, 0], [1, 0, 1], False),
        ([-INF, 0.0, 1.0], [1, 0, 0], [1, 0, 0], False),
        ([-INF, 0.0, 1.0], [1, 0, 0], [1, 1, 0], True),
        ([-INF, 0.0, 1.0], [1, 0, 2], [1, 0, 1], False),
        ([-INF, -INF, 1.0], [1, 1, 0], [0, 1, 1], True),
        ([INF, -INF, 0.5], [0, 1, 0], [1, 1, 1], True),
        ([INF, -INF, 0.5], [0, 1, 0], [1, 0, 1], False),
        ([INF, -INF, 0.5], [0, 1, 0], [0, 1, 0], False),
    ],
)
@pytest.mark.parametrize("scheme", ["none", "arp", "lambdarank"])
def test_infinite_pairs_that_weigh_something(
    scheme: str, scores: list, labels: list, weights: list, infinite: bool, any_kernel
) -> None:
    batch = Batch.of(scores, labels, [float(w) for w in weights], dtype=torch.float32)
    assert forward(any_kernel, flat(batch), scheme=scheme)["loss"].isinf() == infinite


@pytest.mark.parametrize("pair_loss", PAIR_LOSSES)
@pytest.mark.parametrize("scheme", ["lambdarank", "ndcg_loss2++"])
def test_infinite_gaps_without_a_positive_dcg(pair_loss: str, scheme: str, any_kernel) -> None:
    batch = Batch.of([INF, -INF, 0.5, 0.0], [-3.0, -1.0, -2.0, -3.0], dtype=torch.float32)
    got = forward(any_kernel, flat(batch), scheme=scheme, pair_loss=pair_loss)
    assert got["loss"] == 0 and (got["raw_grad"] == 0).all()


# ---- What makes a list NaN, on every path --------------------------------------------------------

KERNELS = {"short": {}, "direct": {"crossover": 0, "scans": False}, "scan": {"crossover": 0}}


@pytest.fixture(params=KERNELS)
def any_kernel(request: pytest.FixtureRequest, lambda_host):
    lambda_host.set(**KERNELS[request.param])
    return lambda_host


def two_lists(labels: list[float], dtype: torch.dtype = torch.float32) -> Batch:
    """One list that is sound, and one with these labels."""
    batch = Batch.of(
        [0.5, -0.5, *(0.1, 0.5, 0.2, -1.0)[: len(labels)]], [1, 0, *labels], dtype=dtype
    )
    return replace(batch, labels=batch.labels.double(), sizes=(2, len(labels)))


@pytest.mark.parametrize("pair_loss", ["logistic", "hinge"])
@pytest.mark.parametrize("ends", [(0.0, INF), (-INF, 3.0), (-INF, INF)])
def test_infinite_labels_are_compared(pair_loss: str, ends: tuple, any_kernel) -> None:
    options = {"scheme": "none", "pair_loss": pair_loss, "needs_statistics": True}
    low, high = ends
    got = forward(any_kernel, flat(two_lists([low, 1.0, high, 1.0])), **options)
    wanted = forward(any_kernel, flat(two_lists([0.0, 1.0, 2.0, 1.0])), **options)
    for name in ("loss", "raw_grad", "list_scale"):
        assert same_bits(got[name], wanted[name]), name
    assert same_bits(got["statistics"][:, :2], wanted["statistics"][:, :2])
    assert got["statistics"][1, 2].isnan() == (high == INF)


@pytest.mark.parametrize(
    ("scheme", "options", "labels", "poisons"),
    [
        ("lambdarank", {}, (0.0, 1.0, INF), True),
        ("lambdarank", {}, (-INF, 1.0, 2.0), False),
        ("lambdarank", {"gain": "linear"}, (-INF, 1.0, 2.0), True),
        ("ndcg_loss1", {}, (0.0, INF), True),
        ("ndcg_loss2++", {"k": 1}, (0.0, 1.0, INF), True),
        ("arp", {}, (0.0, 1.0, INF), True),
        ("arp", {}, (-INF, 1.0, 0.0), True),
    ],
)
def test_infinite_gains_poison_where_they_count(
    scheme: str, options: dict, labels: tuple, poisons: bool, any_kernel
) -> None:
    call = flat(two_lists(list(labels)))
    got = forward(
        any_kernel, call, scheme=scheme, reduction="none", needs_statistics=True, **options
    )
    assert got["loss"].isnan().tolist() == [False, poisons]
    assert got["list_scale"].isnan().tolist() == [False, poisons]
    assert got["raw_grad"][0].isnan().tolist() == [False] * 2 + [poisons] * len(labels)
    assert got["statistics"][1].isnan().tolist() == [False, poisons, poisons]


@pytest.mark.parametrize("gain", [NAN, INF, -INF])
@pytest.mark.parametrize("k", [0, 1])
def test_gains_that_no_loss_needs(gain: float, k: int, any_kernel) -> None:
    """Without statistics they are not read; with them, NDCG is NaN."""
    batch = two_lists([0.0, 1.0, 2.0])
    options = {"scheme": "none", "reduction": "none", "k": k}
    wanted = forward(any_kernel, flat(batch), needs_statistics=True, **options)
    gains = batch.labels.clone()
    gains[2] = gain
    for statistics in (False, True):
        got = forward(any_kernel, flat(batch), gains=gains, needs_statistics=statistics, **options)
        assert all(same_bits(got[name], wanted[name]) for name in ("loss", "raw_grad"))
    assert same_bits(got["statistics"][:, :2], wanted["statistics"][:, :2])
    assert got["statistics"][:, 2].isnan().tolist() == [False, True]
    weighed = forward(any_kernel, flat(batch), gains=gains, scheme="lambdarank", reduction="none")
    assert weighed["loss"].isnan().tolist() == [False, True]


def test_a_bad_length_has_no_statistics(any_kernel) -> None:
    call = padded_lengths(Batch(torch.arange(8.0), torch.arange(8) % 3, (4, 4)), extra=0)
    call.options["lengths"] = torch.tensor([4, 5])
    got = forward(any_kernel, call, reduction="none", needs_statistics=True)
    assert got["loss"].isnan().tolist() == [False, True]
    assert got["statistics"].isnan().tolist() == [[False] * 3, [False, True, True]]
    assert got["statistics"][1, 0] == 0


def test_a_weight_of_negative_zero_is_zero(any_kernel) -> None:
    results = []
    for zero in (0.0, -0.0):
        weights = torch.tensor([1.0, 1.0, 0.5, zero, 2.0])
        call = flat(replace(two_lists([0.0, 1.0, 2.0]), weights=weights))
        results.append(forward(any_kernel, call, scheme="none", weighting="preferred"))
    wanted, got = results
    assert wanted["raw_grad"].isfinite().all()
    for name in ("loss", "raw_grad", "list_scale"):
        assert torch.equal(got[name], wanted[name]), name


@pytest.mark.parametrize("weight", [-1.0, INF, -INF, NAN])
@pytest.mark.parametrize("weighting", ["product", "preferred"])
@pytest.mark.parametrize("item", [2, 5])
def test_what_is_no_weight(weight: float, weighting: str, item: int, any_kernel) -> None:
    """Also of an item that is never the preferred one, and of one that is in no pair."""
    batch = two_lists([0.0, 1.0, 1.0, 0.0])
    weights = torch.ones(6)
    weights[item] = weight
    call = flat(replace(batch, weights=weights))
    options = {"scheme": "none", "k": 1, "truncation": "both", "reduction": "none"}
    for k in (0, 1):
        got = forward(any_kernel, call, **{**options, "k": k}, weighting=weighting)
        assert got["loss"].isnan().tolist() == [False, True]
        assert got["list_scale"].isnan().tolist() == [False, True]
        assert got["raw_grad"][0].isnan().tolist() == [False] * 2 + [True] * 4


def test_weights_of_pairs_that_overflow(any_kernel) -> None:
    batch = two_lists([0.0, 1.0, 1.0, 0.0], torch.float64)
    call = flat(replace(batch, weights=torch.full((6,), 1e200, dtype=torch.float64)))
    got = forward(any_kernel, call, scheme="none", reduction="none", needs_statistics=True)
    assert got["loss"].isnan().all() and got["raw_grad"].isnan().all()
    assert got["statistics"][:, 0].tolist() == [0, 0] and got["statistics"][:, 1:].isnan().all()


@pytest.mark.parametrize("exponent", [-80, 80])
@pytest.mark.parametrize("weighting", ["product", "preferred"])
@pytest.mark.parametrize("reduction", ["mean", "list_mean"])
def test_weights_whose_products_leave_fp32(
    exponent: int, weighting: str, reduction: str, any_kernel
) -> None:
    """A mean divides by them: nothing of it shows that they are no ones."""
    batch = two_lists([0.0, 1.0, 1.0, 0.0])
    options = {"scheme": "none", "reduction": reduction, "weighting": weighting}
    wanted = forward(any_kernel, flat(replace(batch, weights=torch.ones(6))), **options)
    weights = torch.full((6,), 2.0**exponent)
    got = forward(any_kernel, flat(replace(batch, weights=weights)), **options)
    for name in ("loss", "raw_grad", "list_scale"):
        assert same_bits(got[name], wanted[name]), name


@pytest.mark.parametrize("pair_loss", ["hinge", "squared_hinge"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_margins_beside_huge_scores(pair_loss: str, dtype: torch.dtype, any_kernel) -> None:
    """Equal scores are a margin apart from being in order, however large they are."""
    batch = Batch.of([1e17, 1e17, -1e17], [1, 0, 0], dtype=dtype)
    got = forward(any_kernel, flat(batch), scheme="none", pair_loss=pair_loss)
    slope = 1.0 if pair_loss == "hinge" else 2.0
    assert got["loss"] == 1
    assert got["raw_grad"][0].tolist() == [-slope, slope, 0]


def test_infinite_gaps_of_tiny_sigmas(lambda_host) -> None:
    more, less = torch.tensor([INF, -INF, 1e38]), torch.tensor([0.0, 0.0, -1e38])
    for sigma in (1e-40, 1e-36, 1e-30):
        value, slope = lambda_host.float_logistic(more, less, sigma).unbind(1)
        assert 0 <= value[0] < 1e-300 and 0 <= slope[0] < 1e-300
        assert value[1] == INF and abs(slope[1] - 1) < 1e-6
        assert value[2].isfinite() and 0 <= slope[2] <= 0.5


# ---- What results depend on ----------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
def test_raw_gradient_of_padding_is_zero(scheme: str, lambda_long_host) -> None:
    batch = Case("padding", (40, 3, 90), "", labels="grades", weighted=True).batch(torch.float32)
    batch.weights[10] = batch.scores[42] = NAN
    for form in ("lengths", "scattered_mask", "flat_mask"):
        call = FORMS[form](batch, filler=NAN)
        raw = forward(lambda_long_host, call, scheme=scheme)["raw_grad"]
        assert (call.padding(raw[0]) == 0).all()
        assert call.items(raw[0])[:43].isnan().all()


@sanitize
@pytest.mark.parametrize("statistics", [False, True])
def test_short_and_long_lists(statistics: bool, lambda_long_host) -> None:
    """Each is solved by its own kernel, as if it were alone."""
    batch = Case("mixed", (5, 70, 3, 0, 64, 65), "", labels="grades").batch(torch.float32)
    options = {"needs_statistics": statistics, "reduction": "none"}
    lambda_long_host.set(crossover=64)
    got = forward(lambda_long_host, flat(batch), **options)
    for one, loss, raw, row in zip(
        batch.lists(),
        got["loss"],
        batch.split(got["raw_grad"][0]),
        got["statistics"] if statistics else [None] * len(batch.sizes),
        strict=True,
    ):
        alone = forward(lambda_long_host, flat(one), **options)
        assert same_bits(alone["loss"][0], loss) and same_bits(alone["raw_grad"][0], raw)
        assert row is None or same_bits(alone["statistics"][0], row)


@sanitize
@pytest.mark.parametrize("crossover", [None, 64])
@pytest.mark.parametrize("length", [0, 1, 60, 70])
@pytest.mark.parametrize("lists", [1, 2])
def test_wide_rows_of_short_lists(lists: int, length: int, crossover, lambda_long_host) -> None:
    """The host knows the width alone. Rows may all be short, and there may be only one."""
    width = 70 if crossover else 1030
    sizes = (length, 0)[:lists]
    batch = Case("rows", sizes, "", labels="grades").batch(torch.float32)
    call = padded_lengths(batch, width - max(sizes), INF, torch.int32)
    options = {"needs_statistics": True, "reduction": "mean"}
    lambda_long_host.set(crossover=crossover)
    got = forward(lambda_long_host, call, **options)
    alone = forward(lambda_long_host, flat(batch), **options)
    assert same_bits(got["loss"], alone["loss"])
    assert same_bits(call.items(got["raw_grad"].flatten()), alone["raw_grad"][0])
    assert (call.padding(got["raw_grad"].flatten()) == 0).all()
    assert same_bits(got["list_scale"], alone["list_scale"])
    assert same_bits(got["statistics"], alone["statistics"])


@pytest.mark.parametrize("statistics", [False, True])
def test_no_list_at_all(statistics: bool, lambda_long_host) -> None:
    """No scores, then: those of no list are refused."""
    for size in (0, 40):
        call = one_list(Batch(torch.randn(size), torch.arange(size) % 3, (size,)))
        call.options["offsets"] = torch.zeros(1, dtype=torch.int64)
        if size > 0:
            with pytest.raises(ValueError, match="got a single offset"):
                forward(lambda_long_host, call, needs_statistics=statistics, reduction="mean")
            continue
        got = forward(lambda_long_host, call, needs_statistics=statistics, reduction="mean")
        assert got["loss"] == 0 and got["list_scale"].numel() == got["statistics"].numel() == 0


@sanitize
@pytest.mark.parametrize(
    ("scheme", "labels", "k", "longest", "scans"),
    [
        ("lambdarank", "grades", 40, 2300, False),
        ("lambdarank", "signed", 140, 2300, True),
        ("ndcg_loss1", "grades", 0, 300, False),
    ],
)
def test_schedules_and_grids_agree_bit_for_bit(
    scheme: str, labels: str, k: int, longest: int, scans: bool, lambda_long_host
) -> None:
    case = Case("seeds", (70, 3, 0, longest, 200), "", labels=labels, weighted=True)
    call = flat(case.batch(torch.float32))
    options = {"scheme": scheme, "k": k, "reduction": "list_mean", "list_normalization": True}
    results = []
    for blocks, seed in ((1, 1), (3, 2)):
        lambda_long_host.set(crossover=0, scans=scans, blocks=blocks, seed=seed)
        results.append(forward(lambda_long_host, call, needs_statistics=True, **options))
    for name, tensor in results[0].items():
        assert same_bits(tensor, results[1][name]), name


def test_other_lists_do_not_matter(lambda_long_host) -> None:
    """Bit for bit: a list alone, and behind others."""
    batch = Case("behind", (77, 2500), "", labels="thousandths", weighted=True).batch(torch.float32)
    options = {"reduction": "none", "needs_statistics": True, "k": 60}
    both = forward(lambda_long_host, flat(batch), **options)
    one = forward(lambda_long_host, flat(batch.lists()[1]), **options)
    assert same_bits(both["raw_grad"][0, 77:], one["raw_grad"][0])
    assert same_bits(both["statistics"][1:], one["statistics"])
    assert same_bits(both["loss"][1:], one["loss"])


@pytest.mark.parametrize("needs_grad", [True, False])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_not_wanted_changes_nothing(
    scheme: str, needs_grad: bool, lambda_long_host
) -> None:
    call = flat(by_name(SMALL)["weighted"].batch(torch.float32))
    options = {"scheme": scheme, "list_normalization": True, "k": 10}
    full = forward(lambda_long_host, call, needs_statistics=True, **options)
    got = forward(lambda_long_host, call, needs_grad=needs_grad, **options)
    assert same_bits(full["loss"], got["loss"])
    assert got["statistics"].shape == (0, 3)


# ---- Statistics ----------------------------------------------------------------------------------


@sanitize
@cases(SMALL, "ragged", "boundary_grades", "pairless_lists", "n127")
@pytest.mark.parametrize("form", ["flat", "scattered_mask"])
@pytest.mark.parametrize(("scheme", "k"), [("lambdarank", 5), ("none", 0), ("arp", 5)])
def test_statistics(case: Case, form: str, scheme: str, k: int, lambda_long_host) -> None:
    batch = case.batch(torch.float32)
    options = {"scheme": scheme, "k": k, "needs_statistics": True}
    got = forward(lambda_long_host, FORMS[form](batch), **options)["statistics"]
    for row, one in zip(got, batch.lists(), strict=True):
        wanted = statistics_of(one.scores.tolist(), one.labels.tolist(), k=k or None)
        assert row[:2].tolist() == list(wanted[:2])
        assert row[2].item() == pytest.approx(wanted[2], rel=1e-12, nan_ok=True)


@sanitize
@pytest.mark.parametrize("labels", ["grades", "distinct"])
def test_statistics_of_tiles(labels: str, lambda_long_host) -> None:
    """Counts of tens of thousands of pairs, ties among them, are exact."""
    batch = Case("tiles", (5, 2100, 300), "", "quarters", labels).batch(torch.float32)
    options = {"scheme": "none", "needs_statistics": True, "k": 1, "truncation": "both"}
    lambda_long_host.set(crossover=0, scans=False, blocks=3)
    got = forward(lambda_long_host, flat(batch), **options)["statistics"]
    for row, one in zip(got, batch.lists(), strict=True):
        more = one.labels[:, None] > one.labels[None, :]
        gaps = one.scores[:, None] - one.scores[None, :]
        ordered = (gaps[more] > 0).sum() + (gaps[more] == 0).sum() / 2
        assert row[:2].tolist() == [more.sum().item(), ordered.item()]


@sanitize
@pytest.mark.parametrize(
    "offsets", [[0, 40, 20, 60], [0, 20, 30, 50], [5, 20, 40, 60], [0, 60] * 20]
)
def test_broken_offsets_poison_everything(offsets: list[int], lambda_long_host) -> None:
    """Offsets on a GPU are not checked, which would synchronise. Lists may overlap."""
    lambda_long_host.set(crossover=8)
    batch = Case("broken", (60,), "", labels="grades").batch(torch.float32)
    call = one_list(batch)
    for statistics in (False, True):
        options = {"offsets": torch.tensor(offsets), "needs_statistics": statistics, "k": 3}
        got = forward(lambda_long_host, call, **options)
        assert got["list_scale"].isnan().all() and got["loss"].isnan()
        for row in got["statistics"]:
            assert row[0] == 0 and row[1:].isnan().all()
