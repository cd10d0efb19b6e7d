"""MovieLens-100K for `movielens.py`: find the ratings, check them, split them.

The licence of MovieLens forbids redistribution, so this repository does not hold it. Without a path
the ratings come from GroupLens or, where that site cannot be reached, from a PyPI wheel that ships
them; they are then kept in `$XDG_CACHE_HOME/fused_rankloss` (`~/.cache/fused_rankloss`).
"""

import contextlib
import http.client
import io
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

USERS, ITEMS, RATINGS = 943, 1682, 100_000
RELEVANT_FROM = 4  # stars, of 5

URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
WHEEL = "recbole==1.2.1"
MEMBERS = ("u.data", "ml-100k.inter")  # what the ratings are called in the archive and in the wheel


class DataError(Exception):
    """The ratings cannot be had, or are not MovieLens-100K; the message is one line."""


# --- Finding the ratings ------------------------------------------------------------------------


def load_ratings(path: Path | None = None) -> np.ndarray:
    """Returns the ratings as int64 `[100000, 3]`: user and item counted from 0, stars 1 to 5.

    `path` is `u.data`, `ml-100k.inter`, a folder or zip that holds one of them, or the wheel; None
    takes the cached copy, else downloads one.
    """
    if path is not None:
        return parse_ratings(read_table(path), str(path))
    cached = cache_folder() / "ml-100k.tsv"
    if cached.exists():
        return parse_ratings(read_table(cached), str(cached))
    table, source = download_table()
    ratings = parse_ratings(table, source)
    with contextlib.suppress(OSError):  # without a cache the next run downloads again, no more
        cached.parent.mkdir(parents=True, exist_ok=True)
        unfinished = cached.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(table)
        unfinished.replace(cached)
    return ratings


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fused_rankloss"


def read_table(path: Path) -> bytes:
    """The bytes of the ratings table in a file, folder, zip or wheel."""
    try:
        if path.is_dir():
            path = next(path / name for name in MEMBERS if (path / name).exists())
        if not zipfile.is_zipfile(path):
            return path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            return archive.read(
                next(name for name in archive.namelist() if name.rsplit("/")[-1] in MEMBERS)
            )
    except StopIteration:
        raise DataError(f"{path}: holds neither {' nor '.join(MEMBERS)}") from None
    # RuntimeError: a member is encrypted, or compressed in a way that zipfile does not know.
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def download_table() -> tuple[bytes, str]:
    """Tries each source in turn; returns the ratings table and where it is from."""
    sources: dict[str, Callable[[Path], Path]] = {URL: from_grouplens, WHEEL: from_wheel}
    failures = []
    for source, fetch in sources.items():
        print(f"Fetching MovieLens-100K: {source}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            try:
                return read_table(fetch(Path(folder))), source
            except (DataError, OSError, http.client.HTTPException) as error:
                failures.append(f"{source}: {error}")
    raise DataError(
        f"cannot download MovieLens-100K ({'; '.join(failures)}); "
        "give a copy of ml-100k.zip or u.data with --data"
    )


def from_grouplens(folder: Path) -> Path:
    target = folder / "ml-100k.zip"
    with urllib.request.urlopen(URL, timeout=10) as response:
        target.write_bytes(response.read())
    return target


def from_wheel(folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--timeout=10"]
    command = [*pip, "download", "--retries=1", "--quiet", "--no-deps", f"--dest={folder}", WHEEL]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise DataError((done.stderr.strip() or "pip failed").splitlines()[-1])
    return next(folder.glob("*.whl"))


# --- Checking them ------------------------------------------------------------------------------


def parse_ratings(table: bytes, source: str) -> np.ndarray:
    """Parses lines of user, item, stars, timestamp, and checks that they are MovieLens-100K."""
    header = int(table.startswith(b"user_id"))
    try:
        if not table.strip():
            raise ValueError("empty")
        text = io.StringIO(table.decode("ascii"))
        ratings = np.loadtxt(text, delimiter="\t", skiprows=header, usecols=(0, 1, 2), ndmin=2)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{source}: not tab-separated user, item, stars: {reason}") from None

    problems = []
    if len(ratings) != RATINGS:
        problems.append(f"{len(ratings):,} ratings, not {RATINGS:,}")
    for values, name, count in zip(
        ratings.T, ("users", "items", "stars"), (USERS, ITEMS, 5), strict=True
    ):
        distinct = np.unique(values)
        if not np.array_equal(distinct, np.arange(1, count + 1)):
            problems.append(f"{name} are not 1 to {count} ({len(distinct)} different ones)")
    if len(np.unique(ratings[:, :2], axis=0)) != len(ratings):
        problems.append("some user has rated an item twice")
    if problems:
        raise DataError(f"{source}: not MovieLens-100K: {'; '.join(problems)}")
    return ratings.astype(np.int64) - np.array([1, 1, 0])


# --- Splitting them -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """Bool matrices `[943, 1682]`. Rated: the user gave any stars. Relevant: 4 stars or more.

    Training sees `train_relevant` and nothing else: to it a held-out film is one that the user has
    not chosen, like any other. What the user has rated before is no recommendation, and is left out
    of the ranking: at validation the films of training, at the test those of validation too.
    """

    train_rated: Tensor
    train_relevant: Tensor
    valid_rated: Tensor
    valid_relevant: Tensor
    test_relevant: Tensor


def split_ratings(ratings: np.ndarray, seed: int, held_out: float = 0.1) -> Split:
    """Draws a share `held_out` of each user's ratings for validation, and as many for the test."""
    order = np.random.default_rng(seed).permutation(len(ratings))
    ratings = ratings[order[np.argsort(ratings[order, 0], kind="stable")]]  # by user, shuffled
    users, items, stars = ratings.T
    count = np.bincount(users, minlength=USERS)
    place = np.arange(len(users)) - (np.cumsum(count) - count)[users]  # within the user's ratings
    size = np.rint(held_out * count).astype(np.int64)[users]
    test, valid = place < size, (place >= size) & (place < 2 * size)
    train = ~(test | valid)

    def matrix(chosen: np.ndarray) -> Tensor:
        cells = torch.zeros(USERS, ITEMS, dtype=torch.bool)
        cells[users[chosen], items[chosen]] = True
        return cells

    relevant = stars >= RELEVANT_FROM
    return Split(
        train_rated=matrix(train),
        train_relevant=matrix(train & relevant),
        valid_rated=matrix(valid),
        valid_relevant=matrix(valid & relevant),
        test_relevant=matrix(test & relevant),
    )
