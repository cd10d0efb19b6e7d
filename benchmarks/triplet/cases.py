"""What is measured. A case is data: adding one is adding a row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import product

from benchmarks.family import Case
from benchmarks.triplet.losses import LOSSES

MAIN_LOSS = "batch_hard_triplet"
PER_CLASS = {"4 a class": 4, "8 a class": 8, "16 a class": 16, "2 classes": None}
DRAWN_DATA = "4 a class"  # in the figures
DRAWN_DIM = 128
_WARM_UP_ROWS = 512


@dataclass(frozen=True)
class EmbeddingCase(Case):
    rows: int  # embeddings, or triplets of them
    dim: int
    references: int = 0  # size of a memory bank; 0: the batch is its own references
    loss: str = field(default=MAIN_LOSS, kw_only=True)
    data: str = field(default=DRAWN_DATA, kw_only=True)  # of PER_CLASS; "" for given triplets

    @property
    def shape(self) -> str:
        bank = f"+{self.references}" if self.references else ""
        return f"{self.rows}{bank}x{self.dim}"

    def warm_up(self) -> EmbeddingCase:
        return replace(
            self,
            rows=min(self.rows, _WARM_UP_ROWS),
            references=min(self.references, _WARM_UP_ROWS),
        )


def _cases() -> Iterable[EmbeddingCase]:
    Hard = EmbeddingCase
    # Batch-hard: a small batch, time and memory against N, wide embeddings, the labels.
    yield from (Hard(n, 128, preset="quick") for n in (32, 1024))
    yield from (Hard(n, 128) for n in (256, 4096, 16_384))
    yield Hard(32_768, 128)
    yield from (Hard(n, 512) for n in (32, 1024, 4096))
    yield from (Hard(4096, 128, data=data) for data in ("16 a class", "2 classes"))
    yield from (Hard(n, 128, mode="forward") for n in (32, 4096))
    yield Hard(8192, 128, dtype="bf16")
    yield Hard(1024, 128, references=65_536)
    # The two that take every triplet of a batch.
    for loss in ("batch_semi_hard_triplet", "batch_all_triplet"):
        yield EmbeddingCase(256, 128, loss=loss, preset="quick")
        yield from (EmbeddingCase(n, 128, loss=loss) for n in (32, 512, 2048, 8192))
        yield EmbeddingCase(2048, 128, loss=loss, data="16 a class")
    # Triplets as given.
    for loss in ("triplet", "triplet_euclidean"):
        yield EmbeddingCase(1024, 128, loss=loss, data="", preset="quick")
        yield EmbeddingCase(65_536, 128, loss=loss, data="")
    yield from _cuda_cases()


def _cuda_cases() -> Iterable[EmbeddingCase]:
    """What only a GPU should be asked for: half precision, and batches up to a million."""
    half = [(65_536, 128), (65_536, 512)]
    yield from (
        EmbeddingCase(*shape, dtype="bf16", mode=mode, preset="quick", cuda_only=True)
        for shape in half
        for mode in ("forward", "full")
    )
    yield EmbeddingCase(65_536, 128, preset="quick", cuda_only=True)
    yield EmbeddingCase(65_536, 128, dtype="fp16", cuda_only=True)
    yield EmbeddingCase(16_384, 512, cuda_only=True)
    for loss in ("batch_semi_hard_triplet", "batch_all_triplet"):
        yield EmbeddingCase(8192, 128, loss=loss, dtype="bf16", preset="quick", cuda_only=True)
        yield EmbeddingCase(65_536, 128, loss=loss, dtype="bf16", cuda_only=True)
        yield EmbeddingCase(16_384, 128, loss=loss, data="8 a class", cuda_only=True)
    for n, dim in product((1024, 2048, 4096, 16_384, 131_072), (64, 128, 256, 512, 1024)):
        yield EmbeddingCase(n, dim, dtype="bf16", preset="full", cuda_only=True)
    for data in ("16 a class", "2 classes"):
        yield EmbeddingCase(65_536, 128, data=data, dtype="bf16", preset="full", cuda_only=True)
    yield EmbeddingCase(1_000_000, 128, dtype="bf16", preset="full", cuda_only=True)


CASES = tuple(_cases())

# For pytest-benchmark: every path, in seconds.
SMALL_CASES = tuple(
    EmbeddingCase(*shape, loss=loss.name, data=data, mode=mode)
    for loss in LOSSES.values()
    for shape in ((32, 16), (200, 65))
    for data in (("4 a class", "2 classes") if loss.mining else ("",))
    for mode in ("forward", "full")
) + tuple(EmbeddingCase(48, 16, 160, loss=loss.name) for loss in LOSSES.values() if loss.mining)
