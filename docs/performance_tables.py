"""Writes the tables of performance.md from the committed rows: python docs/performance_tables.py

A table for each loss: forward + backward, newest rows, every alternative that was timed in the same
run. A test compares the page with what this makes of the rows.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

PAGE = Path(__file__).with_name("performance.md")
ROWS = PAGE.parents[1] / "benchmarks" / "results" / "intel-xeon-processor.csv"
MARKERS = "<!-- tables -->", "<!-- end of tables -->"

LOSSES = {
    "pairwise_hinge": "Pairwise hinge",
    "pairwise_squared_hinge": "Pairwise squared hinge",
    "pairwise_logistic": "Pairwise logistic (RankNet)",
    "lambdarank": "LambdaRank",
    "lambdarank_at_100": "LambdaRank at 100",
    "ndcg_loss2pp": "NDCG-Loss2++",
    "listnet": "ListNet",
    "list_mle": "ListMLE",
    "approx_ndcg": "ApproxNDCG",
    "batch_hard_triplet": "Batch-hard triplets",
    "batch_semi_hard_triplet": "Semi-hard triplets",
    "batch_all_triplet": "Batch-all triplets",
    "triplet": "Given triplets, squared distance",
    "triplet_euclidean": "Given triplets, Euclidean distance",
}
PROVIDERS = {
    "eager": "plain PyTorch",
    "padded_eager": "padded pair matrices",
    "scattered": "scattered, then padded",
    "chunked": "chunked PyTorch",
    "compile": "torch.compile",
    "sort_cumsum": "sort + cumsum",
    "metric_learning": "pytorch-metric-learning",
    "sentence_transformers": "sentence-transformers",
    "keops": "KeOps",
    "torch_nn": "torch.nn",
}
YARDSTICKS = {"numpy_argsort": "numpy.argsort", "torch_sort": "torch.sort", "matmul": "torch.mm"}


def newest(rows: list[dict[str, str]]) -> dict[tuple[str, str, str], dict[str, dict[str, str]]]:
    """The rows of the newest run of each loss, case and dtype, by provider."""
    runs: dict[tuple[str, str, str], dict[str, dict[str, str]]] = {}
    for row in rows:
        if row["mode"] != "full":
            continue
        run = runs.setdefault((row["loss"], row["case"], row["dtype"]), {})
        if any(other["utc"] != row["utc"] for other in run.values()):
            run.clear()  # rows are in the order of time
        run[row["provider"]] = row
    return runs


def two_digits(value: float) -> str:
    """Two significant digits; whole numbers in full."""
    return f"{value:,.0f}" if value >= 9.95 else f"{float(f'{value:.2g}'):g}"


def compared(run: dict[str, dict[str, str]], names: dict[str, str]) -> str:
    """The strongest first."""
    ratios = sorted(
        (float(run[provider]["relative_to_fused"]), name)
        for provider, name in names.items()
        if provider in run
    )
    return ", ".join(f"{name} {two_digits(ratio)}×" for ratio, name in ratios) or "none"


def tables() -> str:
    with ROWS.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    runs = newest(rows)
    lines = []
    for loss, title in LOSSES.items():
        lines += [f"### {title}", ""]
        lines += ["| case | time | alternatives take | yardstick takes | extra memory |"]
        lines += ["|---|---|---|---|---|"]
        of_loss = [(case, dtype, run) for (name, case, dtype), run in runs.items() if name == loss]
        of_loss.sort(key=lambda row: (row[1] != "fp32", int(row[2]["fused"]["num_scores"])))
        for case, dtype, run in of_loss:
            fused = run["fused"]
            name = case if dtype == "fp32" else f"{case}, {dtype}"
            extra = fused["peak_extra_bytes"]
            memory = f"{two_digits(float(extra) / 2**20)}\u00a0MiB" if extra else ""
            cells = [
                name,
                f"{two_digits(float(fused['p50_ms']))}\u00a0ms",
                compared(run, PROVIDERS),
                compared(run, YARDSTICKS),
                memory,
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def with_tables(page: str) -> str:
    begin, end = MARKERS
    pattern = f"(?<={re.escape(begin)}\n).*(?={re.escape(end)})"
    return re.sub(pattern, lambda _: f"\n{tables()}\n", page, count=1, flags=re.S)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
