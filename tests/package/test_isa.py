"""The inner loops exist once for each instruction set: all of them give the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.isolated import run_python

pytestmark = pytest.mark.slow

# The CPU features that each instruction set needs, as named in /proc/cpuinfo.
NEEDS = {
    "baseline": set(),
    "avx2": {"avx2"},
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
}

# A digest of losses and gradients over every small and medium case, option and dtype.
DIGEST = """
import hashlib, torch
from support.batches import evaluate, flat
from support.cases import LOSSES, MEDIUM, SCORE_DTYPES, SMALL
from pairwise.test_minority import draw

for loss, function in LOSSES.items():
    for dtype in SCORE_DTYPES:
        digest = hashlib.sha256()
        batches = [case.batch(dtype) for case in SMALL + MEDIUM]
        # One class is searched for in the other: 5,003 is no multiple of any vector.
        batches += [draw("normal", 5003, 50, small_is, dtype) for small_is in (0, 1)]
        for batch in batches:
            for options in ({"reduction": "none"}, {"margin": 0.25, "weighting": "preferred"}):
                got = evaluate(function, flat(batch), **options)
                for tensor in (got.loss, got.grad):
                    digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        print(loss, dtype, digest.hexdigest())
"""

# The same for learning to rank: lists that go by pairs and by scans, of one chunk and of several.
LTR_DIGEST = """
import hashlib, torch
from support.batches import evaluate, flat
from support.cases import MEDIUM, SMALL, by_name
from support.ranking import RANKING, graded

CASES = by_name(SMALL + MEDIUM)
for name, ranking in RANKING.items():
    for dtype in (torch.float32, torch.float64):
        digest = hashlib.sha256()
        for case in ("growing", "wide", "weighted", "n513", "n1025", "weighted_long", "n2049"):
            if case == "n2049" and name in ("ndcg_loss2++", "arp"):
                continue  # a quadratic number of pairs, which are direct anyway
            got = evaluate(ranking, flat(graded(CASES[case], dtype)), reduction="none")
            for tensor in (got.loss, got.grad):
                digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        print(name, dtype, digest.hexdigest())
"""

# Products of tiles are rounded by their instruction set: triplets are held against the oracle.
TRIPLETS = """
import torch
from support.cases import by_name
from support.embeddings import BATCH_LOSSES, LARGE_TRIPLET_CASES, run_batch
from support.oracle.triplet import exact_batch
from support.triplet_tolerance import check_batch, product_unit

CASES = by_name(LARGE_TRIPLET_CASES)
for case in (CASES["d300"], CASES["d600"]):
    for dtype in (torch.float32, torch.float64):
        batch = case.batch(dtype)
        for mining, function in BATCH_LOSSES.items():
            got = run_batch(function, batch)
            wanted = exact_batch(batch, mining, product_unit=product_unit(mining, dtype))
            check_batch(got, wanted, dtype, case=case)
"""


def flags() -> set[str]:
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return set()
    lines = (line for line in path.read_text().splitlines() if line.startswith("flags"))
    return set(next(lines, ":").split(":")[1].split())


@pytest.fixture(scope="module")
def baseline() -> tuple[str, str]:
    return tuple(run_python(code, FUSED_RANKLOSS_ISA="baseline") for code in (DIGEST, LTR_DIGEST))


def skip_without(isa: str) -> None:
    missing = NEEDS.get(isa, set()) - flags()
    if missing:
        pytest.skip(f"this processor has no {', '.join(sorted(missing))}")


@pytest.mark.parametrize("isa", NEEDS)
def test_triplets(isa: str) -> None:
    skip_without(isa)
    run_python(TRIPLETS, FUSED_RANKLOSS_ISA=isa)


@pytest.mark.parametrize("isa", ["avx2", "avx512", ""], ids=["avx2", "avx512", "unset"])
def test_instruction_sets_agree(isa: str, baseline: tuple[str, str]) -> None:
    skip_without(isa)
    assert [text.count("\n") for text in baseline] == [8, 20]
    chosen = run_python(
        "import fused_rankloss; print(fused_rankloss.build_info()['cpu_isa'])",
        FUSED_RANKLOSS_ISA=isa,
    )
    assert chosen.strip() == isa or (isa == "" and chosen.strip() in NEEDS)
    for code, wanted in zip((DIGEST, LTR_DIGEST), baseline, strict=True):
        assert run_python(code, FUSED_RANKLOSS_ISA=isa) == wanted
