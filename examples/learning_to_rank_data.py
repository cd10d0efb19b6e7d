"""Search data for `learning_to_rank.py`: find the files, read them, make features of them.

The files are LightGBM's, `rank.train` and `rank.test` in lines `label index:value ...` with the
number of documents of each query in `rank.train.query` and `rank.test.query`; or LETOR's,
`train.txt` and `test.txt` in lines `label qid:number index:value ...` (MSLR-WEB10K, Yahoo). Without
a path LightGBM's example data is downloaded (MIT licence; 201 and 50 queries of real search data)
and kept in `$XDG_CACHE_HOME/fused_rankloss` (`~/.cache/fused_rankloss`).
"""

import http.client
import os
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

URL = "https://raw.githubusercontent.com/microsoft/LightGBM/v4.6.0/examples/lambdarank"
LIGHTGBM = ("rank.train", "rank.test")
LETOR = ("train.txt", "test.txt")


class DataError(Exception):
    """The data cannot be had or read; the message is one line."""


@dataclass(frozen=True)
class Queries:
    """Documents of queries, one query after another."""

    features: np.ndarray  # float32 [T, F]
    labels: np.ndarray  # int64 [T]
    sizes: np.ndarray  # int64 [Q]

    def offsets(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.sizes)])

    def take(self, queries: np.ndarray) -> "Queries":
        """Some of the queries, in that order."""
        offsets = self.offsets()
        parts = [np.arange(offsets[q], offsets[q + 1]) for q in queries]
        items = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
        return Queries(self.features[items], self.labels[items], self.sizes[queries])


# --- Finding and reading ------------------------------------------------------------------------


def load_queries(folder: Path | None = None) -> tuple[Queries, Queries]:
    """Training and test queries of a folder; None takes the cached copy, else downloads one."""
    folder = download() if folder is None else folder
    for names in (LIGHTGBM, LETOR):
        if all((folder / name).is_file() for name in names):
            tables = [read(folder / name) for name in names]
            width = max(table.features.shape[1] for table in tables)
            return tuple(widen(table, width) for table in tables)
    raise DataError(f"{folder}: holds neither {' and '.join(LIGHTGBM)} nor {' and '.join(LETOR)}")


def read(path: Path) -> Queries:
    """One file of either kind."""
    rows, columns, values, labels, qids = [], [], [], [], []
    try:
        for line in path.read_text().splitlines():
            words = line.split("#")[0].split()
            if not words:
                continue
            if len(words) > 1 and words[1].startswith("qid:"):
                qids.append(words.pop(1))
            for word in words[1:]:
                column, value = word.split(":")
                rows.append(len(labels))
                columns.append(int(column))
                values.append(float(value))
            labels.append(int(words[0]))
        features = np.zeros((len(labels), max(columns, default=-1) + 1), dtype=np.float32)
        features[rows, columns] = values
        sizes = run_lengths(qids) if qids else np.loadtxt(f"{path}.query", dtype=np.int64, ndmin=1)
    except (ValueError, IndexError, OSError) as error:
        raise DataError(f"{path}: not lines of label index:value: {error}") from None
    if sizes.sum() != len(labels) or sizes.min(initial=1) < 1:
        raise DataError(f"{path}: {len(labels)} documents, but its queries have {sizes.sum()}")
    return Queries(features, np.array(labels, dtype=np.int64), sizes)


def run_lengths(qids: list[str]) -> np.ndarray:
    starts = [0] + [i for i in range(1, len(qids)) if qids[i] != qids[i - 1]]
    return np.diff([*starts, len(qids)]).astype(np.int64)


def widen(table: Queries, width: int) -> Queries:
    missing = width - table.features.shape[1]
    features = np.pad(table.features, ((0, 0), (0, missing)))
    return Queries(features, table.labels, table.sizes)


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fused_rankloss"


def download() -> Path:
    """The folder of LightGBM's example data, which is fetched where it is missing.

    Only what can be read is kept: a server may answer with something else.
    """
    folder = cache_folder() / "lightgbm-lambdarank"
    names = [*LIGHTGBM, *(f"{name}.query" for name in LIGHTGBM)]
    if all((folder / name).is_file() for name in names):
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            for name in names:
                print(f"Fetching search data: {URL}/{name}", file=sys.stderr)
                with urllib.request.urlopen(f"{URL}/{name}", timeout=10) as response:
                    (Path(unfinished) / name).write_bytes(response.read())
            for name in LIGHTGBM:
                read(Path(unfinished) / name)
            for name in names:
                (Path(unfinished) / name).replace(folder / name)
    except (DataError, OSError, http.client.HTTPException) as error:
        raise DataError(
            f"cannot download {URL}/{name} ({error}); give a folder with {LIGHTGBM[0]}, "
            f"{LIGHTGBM[1]} and their .query files, or {LETOR[0]} and {LETOR[1]}, with --data"
        ) from None
    return folder


# --- Splitting and features ---------------------------------------------------------------------


def split(queries: Queries, share: float, seed: int) -> tuple[Queries, Queries]:
    """Training and validation queries; `share` of all, drawn at random, are for validation."""
    order = np.random.default_rng(seed).permutation(len(queries.sizes))
    held_out = max(1, round(share * len(order)))
    return queries.take(np.sort(order[held_out:])), queries.take(np.sort(order[:held_out]))


def for_the_network(queries: Queries) -> Tensor:
    """Features for a neural ranker, `[T, 2 F]`: each value, and its rank within its query.

    The rank, a number in [-1, 1] with ties in the middle of their places, says how a document
    compares with the others that it competes with, on the same scale for every query and feature.
    """
    ranks = np.zeros_like(queries.features)
    offsets = queries.offsets()
    for begin, end in zip(offsets, offsets[1:], strict=False):
        rows = queries.features[begin:end]
        ordered = np.sort(rows, axis=0)
        for column in range(rows.shape[1]):
            below = np.searchsorted(ordered[:, column], rows[:, column], side="left")
            not_above = np.searchsorted(ordered[:, column], rows[:, column], side="right")
            ranks[begin:end, column] = (below + not_above) / len(rows) - 1
    return torch.from_numpy(np.concatenate([squashed(queries.features), ranks], axis=1))


def squashed(features: np.ndarray) -> np.ndarray:
    """Values of any size, as LETOR has them, brought near each other: sign(x) log(1 + |x|)."""
    return np.sign(features) * np.log1p(np.abs(features))
