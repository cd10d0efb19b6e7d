"""What the package is to reach, as data. A miss is printed, never raised: machines differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.family import FUSED
from benchmarks.results import Row, latest

MIB, GIB = 2**20, 2**30


@dataclass(frozen=True)
class Goal:
    case: str  # its key
    quantity: str  # time | speed | bytes_per_score | growth | peak_mib | process_gib
    bound: float  # time and memory: at most; speed: at least
    # The provider compared with: time / its time, or its time / time; of growth, a smaller case.
    other: str = ""

    @property
    def text(self) -> str:
        return {
            "time": f"time at most {self.bound:g}x {self.other}",
            "speed": f"at least {self.bound:g}x faster than {self.other}",
            "bytes_per_score": f"peak extra memory at most {self.bound:g} bytes a score",
            "growth": f"bytes a score at most {self.bound:g}x those of {self.other}",
            "peak_mib": f"peak extra memory at most {self.bound:g} MiB",
            "process_gib": f"the process within {self.bound:g} GiB",
        }[self.quantity]


_HINGE = "pairwise_hinge"
_RANKNET, _LAMBDARANK = "pairwise_logistic", "lambdarank"
_HARD, _ALL = "batch_hard_triplet", "batch_all_triplet"

GOALS = (
    Goal(f"{_HINGE}/1e6/fp32/full", "time", 1.0, "numpy_argsort"),
    Goal(f"{_HINGE}/1e7/fp32/full", "time", 0.7, "numpy_argsort"),
    Goal(f"{_HINGE}/1e6 5 grades/fp32/full", "time", 3.0, "fused_binary"),
    Goal(f"{_HINGE}/1e4/fp32/full", "speed", 100, "eager"),
    Goal(f"{_HINGE}/4096x128/fp32/full", "time", 0.5, "torch_sort"),
    Goal(f"{_HINGE}/4096x128/fp32/full", "speed", 20, "padded_eager"),
    Goal(f"{_HINGE}/64/fp32/full", "time", 1.0, "eager"),
    Goal(f"{_HINGE}/1e6/fp32/full", "bytes_per_score", 40),
    Goal(f"{_HINGE}/1e6 5 grades/fp32/full", "bytes_per_score", 40),
    Goal(f"{_HINGE}/4096x128/fp32/full", "bytes_per_score", 40),
    Goal(f"{_HINGE}/1e8/fp32/full", "bytes_per_score", 40),
    Goal(f"{_HINGE}/1e8/fp32/full", "process_gib", 8),
    Goal(f"{_RANKNET}/4096/fp32/full", "speed", 100, "eager"),
    Goal(f"{_LAMBDARANK}/256x512/fp32/full", "speed", 20, "eager"),
    Goal(f"{_LAMBDARANK}/1e5/fp32/full", "time", 60, "torch_sort"),
    Goal(f"{_RANKNET}/1e5/fp32/full", "bytes_per_score", 128),
    Goal(f"{_RANKNET}/1e6/fp32/full", "bytes_per_score", 128),
    Goal(f"{_RANKNET}/1e6/fp32/full", "growth", 1.1, "1e5"),
    Goal(f"{_LAMBDARANK}/1e5/fp32/full", "bytes_per_score", 128),
    Goal(f"{_HARD}/4096x128 4 a class/fp32/full", "time", 1.0, "matmul"),
    Goal(f"{_HARD}/4096x512 4 a class/fp32/full", "time", 1.0, "matmul"),
    Goal(f"{_HARD}/4096x128 4 a class/fp32/full", "speed", 8, "metric_learning"),
    Goal(f"{_HARD}/4096x512 4 a class/fp32/full", "speed", 8, "metric_learning"),
    Goal(f"{_HARD}/4096x128 4 a class/fp32/full", "speed", 8, "sentence_transformers"),
    Goal(f"{_HARD}/4096x512 4 a class/fp32/full", "speed", 8, "sentence_transformers"),
    Goal(f"{_HARD}/32x128 4 a class/fp32/full", "time", 1.0, "eager"),
    Goal(f"{_HARD}/32768x128 4 a class/fp32/full", "peak_mib", 64),
    Goal(f"{_ALL}/2048x128 4 a class/fp32/full", "time", 3.0, "matmul"),
    Goal(f"{_ALL}/512x128 4 a class/fp32/full", "speed", 50, "eager"),  # the [N, N, N] form
    *(
        Goal(f"catalogue_{loss}/256x100000x64/fp32/full", "time", bound, "products")
        for loss, bound in (
            ("hinge", 1.5),
            ("warp", 1.5),
            ("squared_hinge", 1.7),
            ("softmax", 1.7),
            ("logistic", 2.0),
        )
    ),
    Goal("catalogue_hinge/1024x1000000x64/fp32/full", "process_gib", 1.5),
)


def measured(goal: Goal, rows: dict[tuple[str, str], Row]) -> float | None:
    """The goal's quantity; None if it was not measured."""
    fused = rows.get((goal.case, FUSED))
    if goal.quantity in ("time", "speed"):
        other = rows.get((goal.case, goal.other))
        if other is None or not other.relative_to_fused:
            return None
        ratio = other.relative_to_fused
        return ratio if goal.quantity == "speed" else 1 / ratio
    if fused is None:
        return None
    if goal.quantity == "bytes_per_score":
        return fused.bytes_per_score
    if goal.quantity == "growth":
        loss, _, *rest = goal.case.split("/")
        smaller = rows.get(("/".join([loss, goal.other, *rest]), FUSED))
        if smaller is None or not smaller.bytes_per_score or fused.bytes_per_score is None:
            return None
        return fused.bytes_per_score / smaller.bytes_per_score
    peak, unit = fused.process_peak_bytes, GIB
    if goal.quantity == "peak_mib":
        peak, unit = fused.peak_extra_bytes, MIB
    return None if peak is None else peak / unit


def table(rows: Iterable[Row], only_measured: bool = False) -> str:
    """The goals with what was measured last."""
    newest = latest(rows)
    lines = [f"{'case':<48} {'goal':<51} {'measured':>9}"]
    for goal in GOALS:
        value = measured(goal, newest)
        if value is None and only_measured:
            continue
        if value is None:
            verdict, shown = "", "-"
        else:
            reached = value >= goal.bound if goal.quantity == "speed" else value <= goal.bound
            verdict, shown = ("pass" if reached else "MISS"), f"{value:.3g}"
        lines.append(f"{goal.case:<48} {goal.text:<51} {shown:>9}  {verdict}".rstrip())
    return "\n".join(lines)
