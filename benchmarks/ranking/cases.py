"""What is measured, and its data. A case is data: adding one is adding a row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import product

from benchmarks.pairwise.cases import Data, ListCase
from benchmarks.pairwise.data import ListBatch, draw
from benchmarks.ranking.losses import LOSSES

# Grades 0 to 4 in about the shares of MSLR-WEB30K: most documents of a search are of no use.
SEARCH = Data(levels=5, shares=(0.52, 0.32, 0.13, 0.02, 0.01))
_LISTWISE = ("listnet", "list_mle", "approx_ndcg")


def make_batch(case: ListCase, seed: int, device: str) -> ListBatch:
    return draw(case, SEARCH, seed, device)


def _cases() -> Iterable[ListCase]:
    # RankNet: time and memory against n.
    ranknet = ListCase(64, loss="pairwise_logistic")
    yield from (replace(ranknet, length=n, preset="quick") for n in (64, 4096, 100_000))
    yield from (replace(ranknet, length=n) for n in (1024, 10_000, 1_000_000))
    yield from (replace(ranknet, length=n, mode="forward") for n in (4096, 1_000_000))
    yield replace(ranknet, length=1_000_000, dtype="bf16")
    # LambdaRank: batches as a training step has them, and one list, short and long.
    batch = ListCase(512, num_lists=256, loss="lambdarank")
    yield replace(batch, preset="quick")
    yield replace(batch, mode="forward")
    yield replace(batch, dtype="bf16")
    yield replace(batch, length=128, num_lists=64, preset="quick")
    yield replace(batch, length=120, num_lists=64, ragged=True)
    yield from (replace(batch, length=n, num_lists=1) for n in (64, 100_000))
    yield replace(batch, length=1000, num_lists=1024, loss="lambdarank_at_100")
    # NDCG-Loss2++, which has no form below O(n^2); ragged, it is what cross-encoders train with.
    yield replace(batch, length=128, loss="ndcg_loss2pp", preset="quick")
    yield replace(batch, length=120, num_lists=64, ragged=True, loss="ndcg_loss2pp")
    for loss in _LISTWISE:
        yield replace(batch, loss=loss, preset="quick")
        yield replace(batch, length=100_000, num_lists=1, loss=loss)
    yield replace(batch, length=120, num_lists=64, ragged=True, loss="list_mle")
    # More pairs than a CPU's baselines can be asked for.
    yield from (
        replace(batch, length=length, num_lists=num_lists, preset="full")
        for num_lists, length in ((4096, 128), (1024, 1000))
    )
    yield from _cuda_cases()


def _cuda_cases() -> Iterable[ListCase]:
    """What fills a GPU: batches of thousands of lists."""
    for loss, dtype in product(LOSSES, ("fp32", "bf16")):
        case = ListCase(128, num_lists=4096, loss=loss, dtype=dtype, cuda_only=True)
        if loss != "lambdarank" or dtype != "fp32":  # that one is above
            yield replace(case, preset="quick" if dtype == "bf16" else "default")
    yield ListCase(1000, num_lists=1024, loss="pairwise_logistic", cuda_only=True)


CASES = tuple(_cases())

# For pytest-benchmark: every path, in seconds.
SMALL_CASES = tuple(
    ListCase(**shape, loss=loss, mode=mode)
    for loss, shape, mode in product(
        LOSSES,
        (
            {"length": 64},
            {"length": 600},
            {"length": 200, "dtype": "bf16"},
            {"length": 40, "num_lists": 64},
            {"length": 30, "num_lists": 64, "ragged": True},
        ),
        ("forward", "full"),
    )
) + tuple(ListCase(12_000, loss=loss) for loss in ("pairwise_logistic", "lambdarank", *_LISTWISE))
