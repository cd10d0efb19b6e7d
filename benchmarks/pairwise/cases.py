"""What is measured. A case is data: adding one is adding a row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import product

from benchmarks.family import Case
from benchmarks.pairwise.losses import LOSSES

MAIN_LOSS = "pairwise_hinge"  # measured in every way; the others where they differ from it
_WARM_UP_LENGTH = 1000
_WARM_UP_LISTS = 4


@dataclass(frozen=True)
class Data:
    """How scores, labels and weights are drawn."""

    scores: str = "normal"  # normal | ties (a grid of 1/8) | sorted
    levels: int = 2
    positives: float = 0.5  # share of label 1, for two levels
    shares: tuple[float, ...] | None = None  # of the labels 0, 1, ...; None: all alike
    weighted: bool = False


DATA = {
    "": Data(),
    "1% positive": Data(positives=0.01),
    "5 grades": Data(levels=5),
    "ties": Data(scores="ties"),
    "sorted": Data(scores="sorted"),
    "weights": Data(weighted=True),
}


@dataclass(frozen=True)
class ListCase(Case):
    length: int  # items of a list; their mean where ragged
    num_lists: int = 1  # 1: scores [N]; more: [B, N], or flat with offsets where ragged
    ragged: bool = False
    loss: str = field(default=MAIN_LOSS, kw_only=True)

    @property
    def shape(self) -> str:
        length = ("~" if self.ragged else "") + _short(self.length)
        return length if self.num_lists == 1 else f"{self.num_lists}x{length}"

    def warm_up(self) -> ListCase:
        return replace(
            self,
            length=min(self.length, _WARM_UP_LENGTH),
            num_lists=min(self.num_lists, _WARM_UP_LISTS),
        )


def _short(n: int) -> str:
    """1000000 as 1e6, 128 as 128."""
    digits = str(n).rstrip("0")
    zeros = len(str(n)) - len(digits)
    return f"{digits}e{zeros}" if len(digits) == 1 and zeros >= 3 else str(n)


def _cases() -> Iterable[ListCase]:
    # One list: time and memory against n, and the latency of one call at the small end.
    yield from (ListCase(n, preset="quick") for n in (64, 10_000, 1_000_000))
    yield from (ListCase(n) for n in (1_000, 30_000, 100_000))
    yield from (ListCase(n, preset="full") for n in (10_000_000, 100_000_000))
    yield from (ListCase(n, mode="forward") for n in (64, 10_000, 1_000_000))
    # What the data does to it. Sorted input and ties are where sorts behave differently.
    yield ListCase(1_000_000, data="5 grades", preset="quick")
    yield from (
        ListCase(1_000_000, data=data) for data in ("1% positive", "ties", "sorted", "weights")
    )
    yield from (ListCase(1_000_000, dtype=dtype) for dtype in ("bf16", "fp64"))
    yield ListCase(1_000_000, dtype="bf16", data="5 grades")
    yield from (ListCase(n, dtype="bf16", preset="full") for n in (10_000_000, 100_000_000))
    # Batches of lists.
    yield ListCase(128, num_lists=4096, preset="quick")
    yield ListCase(128, num_lists=4096, mode="forward")
    shapes = ((32768, 20), (1024, 1000), (256, 8192))
    yield from (ListCase(length, num_lists=num_lists) for num_lists, length in shapes)
    yield from (
        ListCase(length, num_lists=num_lists, data="5 grades")
        for num_lists, length in ((4096, 128), (1024, 1000))
    )
    yield from (ListCase(120, num_lists=4096, ragged=True, data=data) for data in ("", "5 grades"))
    # The other losses.
    for loss in LOSSES:
        if loss != MAIN_LOSS:
            yield from (ListCase(n, loss=loss) for n in (64, 10_000, 1_000_000))
            yield ListCase(1_000_000, data="1% positive", loss=loss)
            yield ListCase(128, num_lists=4096, loss=loss)


CASES = tuple(_cases())

# For pytest-benchmark: every path, in seconds.
SMALL_CASES = tuple(
    ListCase(**shape, data=data, loss=loss, mode=mode)
    for loss, shape, data, mode in product(
        LOSSES,
        (
            {"length": 64},
            {"length": 2000},
            {"length": 32, "num_lists": 64},
            {"length": 30, "num_lists": 64, "ragged": True},
        ),
        ("", "5 grades"),
        ("forward", "full"),
    )
)
