"""The lists that the losses are tested on, as data: one row a regime, and why it is there.

Lists are chosen where one way to compute ends and another begins: nothing to do (empty, one item,
one grade), the lane counts of vector loops and warps (8, 16, 32) and their neighbours, the
sizes of csrc/cpu/*/policy.h (256 and 512 items, where direct pair loops hand over to sorting; 256
grades, where counted labels hand over to sorted ones; 2^15 items, where one list is worth several
threads), and batches whose lists are nothing alike.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import torch
from torch import Tensor

import fused_rankloss
from support.batches import Batch

LOSSES = {
    "hinge": fused_rankloss.pairwise_hinge_loss,
    "squared_hinge": fused_rankloss.pairwise_squared_hinge_loss,
}
REDUCTIONS = ("mean", "sum", "none", "list_mean", "batch_mean")
WEIGHTINGS = ("product", "preferred")
SCORE_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def generator_for(name: str) -> torch.Generator:
    """Random numbers that belong to a case, whatever ran before it."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


@dataclass(frozen=True)
class Case:
    """A batch: the length of every list, and how its scores and labels are drawn."""

    name: str
    sizes: tuple[int, ...]
    why: str
    scores: str = "normal"
    labels: str = "binary"
    weighted: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.why})"

    def batch(self, dtype: torch.dtype = torch.float64) -> Batch:
        generator = generator_for(self.name)
        total = sum(self.sizes)
        scores = SCORES[self.scores](total, generator).to(dtype)
        labels = LABELS[self.labels](total, generator)
        weights = WEIGHTS(total, generator).to(dtype) if self.weighted else None
        return Batch(scores, labels, self.sizes, weights)


def _normal(n: int, generator: torch.Generator) -> Tensor:
    return torch.randn(n, generator=generator, dtype=torch.float64)


def _quarters(n: int, generator: torch.Generator) -> Tensor:
    return torch.randint(-12, 13, (n,), generator=generator).double() / 4


def _wide(n: int, generator: torch.Generator) -> Tensor:
    """Magnitudes from 2^-12 to 2^12, both signs."""
    exponents = torch.rand(n, generator=generator, dtype=torch.float64) * 24 - 12
    return torch.exp2(exponents) * (torch.randint(0, 2, (n,), generator=generator) * 2 - 1)


def _spanning(grades: int, n: int, generator: torch.Generator) -> Tensor:
    """Integers in [-100, grades - 100), with both ends."""
    labels = torch.randint(0, grades, (n,), generator=generator)
    labels[0], labels[1] = 0, grades - 1
    return labels - 100


SCORES = {
    "normal": _normal,
    # Ties everywhere, and every gap a multiple of 1/4: many pairs sit exactly on the margin.
    "quarters": _quarters,
    "equal": lambda n, generator: torch.full((n,), 0.5, dtype=torch.float64),
    "ascending": lambda n, generator: torch.arange(n, dtype=torch.float64) / 16,
    "descending": lambda n, generator: -torch.arange(n, dtype=torch.float64) / 16,
    "wide": _wide,
}

LABELS = {
    "binary": lambda n, g: torch.randint(0, 2, (n,), generator=g),
    "bool": lambda n, g: torch.randint(0, 2, (n,), generator=g).bool(),
    "rare": lambda n, g: (torch.rand(n, generator=g) < 0.02).long(),
    "common": lambda n, g: (torch.rand(n, generator=g) < 0.98).long(),
    "grades": lambda n, g: torch.randint(0, 5, (n,), generator=g),
    "signed": lambda n, g: torch.randint(-40, 40, (n,), generator=g),
    "below_255": lambda n, g: _spanning(255, n, g),
    "below_256": lambda n, g: _spanning(256, n, g),
    "below_257": lambda n, g: _spanning(257, n, g),
    "continuous": lambda n, g: torch.rand(n, generator=g),
    "distinct": lambda n, g: torch.randperm(n, generator=g),
    "thousandths": lambda n, g: torch.randint(0, 1000, (n,), generator=g) / 1000,
    # All the variety in the second half, which another thread looks at.
    "half_constant": lambda n, g: torch.where(
        torch.arange(n) < n // 2, 0.25, torch.randint(0, 1000, (n,), generator=g) / 1000
    ),
    # Integers except one in the middle.
    "one_fraction": lambda n, g: (
        torch.randint(0, 9, (n,), generator=g) + (torch.arange(n) == n // 2) / 2
    ),
    "relevant": lambda n, g: torch.ones(n, dtype=torch.long),
    "irrelevant": lambda n, g: torch.zeros(n, dtype=torch.long),
}


def WEIGHTS(n: int, generator: torch.Generator) -> Tensor:
    """Non-negative, a fifth of them 0."""
    weights = torch.rand(n, generator=generator, dtype=torch.float64) * 2
    return weights * (torch.rand(n, generator=generator) >= 0.2)


# Small enough for every combination of loss, dtype and option.
SMALL = [
    Case("no_lists", (), "a batch of nothing"),
    Case("empty", (0,), "one list without items"),
    Case("single", (1,), "one item has no partner"),
    Case("pair", (2,), "the smallest list with a pair", labels="distinct"),
    Case("all_relevant", (5,), "no pair among equal labels", labels="relevant"),
    Case("none_relevant", (33,), "no pair among equal labels", labels="irrelevant"),
    Case("score_ties", (20,), "all gaps equal the margin", scores="equal"),
    Case("boundary", (40,), "pairs exactly on the margin", scores="quarters"),
    Case("boundary_grades", (48,), "ties in scores and labels", scores="quarters", labels="grades"),
    Case("n31", (31,), "one below a warp", labels="grades"),
    Case("n32", (32,), "exactly a warp", labels="bool"),
    Case("n33", (33,), "one above a warp", labels="distinct"),
    Case("n127", (127,), "one below 128", labels="continuous"),
    Case("n128", (128,), "a power of two", labels="rare"),
    Case("n129", (129,), "one above 128", labels="signed"),
    Case("in_order", (70,), "sorted already, descending", scores="descending"),
    Case("upside_down", (70,), "sorted the other way", scores="ascending", labels="grades"),
    Case("wide", (60,), "scores of very different size", scores="wide", labels="grades"),
    Case(
        "ragged",
        (3, 0, 1, 17, 2, 64, 0, 33, 8, 1),
        "short lists, empty ones between and at the end",
        labels="grades",
    ),
    Case("trailing_empty", (4, 0, 0), "nothing left for the last lists"),
    Case("only_empty", (0, 0, 0), "lists, but no items"),
    Case("pairless_lists", (3, 9, 1, 5), "lists without pairs beside lists with", labels="common"),
    Case("weighted", (6, 41, 0, 19), "weights, some of them 0", labels="grades", weighted=True),
    Case(
        "weighted_boundary",
        (50,),
        "weights on ties",
        scores="quarters",
        labels="grades",
        weighted=True,
    ),
]

# Where sorting, blocking and threads begin; still within reach of the row oracle.
MEDIUM = [
    Case("n255", (255,), "one below 256", labels="grades"),
    Case("n256", (256,), "a power of two", scores="quarters"),
    Case("n257", (257,), "one above 256", labels="grades"),
    # Compared pair by pair, and their grades counted, where those do not end one beyond the tables.
    Case("n300_levels_255", (300,), "a span of 255 labels", labels="below_255"),
    Case("n300_levels_256", (300,), "a span of 256 labels", labels="below_256"),
    Case("n300_levels_257", (300,), "a span of 257 labels", labels="below_257"),
    Case("n511", (511,), "one below 512", labels="continuous"),
    Case("n512", (512,), "a power of two", scores="quarters", labels="grades"),
    Case("n513", (513,), "one above 512", labels="distinct"),
    Case("levels_256", (700,), "256 neighbouring integer labels", labels="below_256"),
    Case("levels_257", (700,), "257 neighbouring integer labels", labels="below_257"),
    Case("n1023", (1023,), "one below 1024", labels="grades"),
    Case("n1024", (1024,), "a power of two", labels="binary"),
    Case("n1025", (1025,), "one above 1024", labels="continuous"),
    Case("n2047", (2047,), "one below 2048", scores="quarters", labels="grades"),
    Case("n2049", (2049,), "one above 2048", scores="wide", labels="rare"),
    Case("n3000_fraction", (3000,), "integer labels except one", labels="one_fraction"),
    Case("n4096_distinct", (4096,), "as many grades as items", labels="distinct"),
    Case("few_relevant", (5000,), "a hundred against five thousand", labels="rare"),
    Case("few_irrelevant", (5000,), "five thousand against a hundred", labels="common"),
    Case(
        "one_long",
        (2, 3000, 7, 0, 31, 5, 64, 1) + (6,) * 200,
        "one long list among short ones",
        labels="grades",
    ),
    Case("many_short", (8,) * 1500, "more lists than any thread has items", labels="grades"),
    Case("growing", tuple(range(90)), "every length up to 89", labels="grades"),
    Case("weighted_long", (1500, 40), "weighted sums", labels="grades", weighted=True),
    Case(
        "weighted_ties",
        (1200,),
        "weighted sums across ties",
        scores="quarters",
        labels="binary",
        weighted=True,
    ),
]

# Above every threshold for several threads on one list; checked by the sorting oracle.
LARGE = [
    Case("n32767", (32_767,), "one below 2^15", labels="grades"),
    Case("n32768", (32_768,), "2^15", labels="grades"),
    Case("n32769", (32_769,), "one above 2^15", labels="grades"),
    Case("n100001", (100_001,), "many threads on one list"),
    Case("n200000_ties", (200_000,), "1e10 pairs, 25 distinct scores", scores="quarters"),
    Case("n131073_grades", (131_073,), "one above 2^17, graded", labels="grades"),
    Case("n70000_distinct", (70_000,), "more than 2^16 grades", labels="distinct"),
    Case("n140000_fractions", (140_000,), "labels sorted by several threads", labels="thousandths"),
    Case("n140000_half", (140_000,), "nothing to sort in the first half", labels="half_constant"),
    Case("n300000_equal", (300_000,), "a grade of more than 2^17 equal scores", scores="equal"),
    Case("n150000_rare", (150_000,), "unbalanced labels", scores="wide", labels="rare"),
    Case(
        "two_long",
        (100_003, 5, 65_537, 0, 300),
        "several long lists and short ones",
        labels="grades",
    ),
]


def by_name(cases: list[Case]) -> dict[str, Case]:
    return {case.name: case for case in cases}
