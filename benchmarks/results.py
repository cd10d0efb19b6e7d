"""The CSV of a device: one row per measurement, appended, never rewritten."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import torch

from fused_rankloss import _extension

FOLDER = Path(__file__).parent / "results"


@dataclasses.dataclass(frozen=True)
class Row:
    utc: str
    commit: str  # "+dirty": with uncommitted changes
    device: str
    threads: int
    torch: str
    version: str  # of this package
    loss: str
    case: str  # shape, and what is special about the data
    provider: str
    mode: str
    dtype: str
    num_lists: int
    length: int  # mean length of the lists
    num_scores: int
    levels: int
    p20_ms: float
    p50_ms: float
    p80_ms: float
    relative_to_fused: float | None  # median of paired samples: times the time of fused
    samples: int
    seed: int
    peak_extra_bytes: int | None
    bytes_per_score: float | None  # peak_extra_bytes / num_scores
    process_peak_bytes: int | None

    @property
    def key(self) -> str:
        """The case's key."""
        return f"{self.loss}/{self.case}/{self.dtype}/{self.mode}"


COLUMNS = tuple(field.name for field in dataclasses.fields(Row))


@dataclasses.dataclass(frozen=True)
class Environment:
    """What is equal in all rows of a run."""

    utc: str
    commit: str
    device: str
    threads: int
    torch: str
    version: str
    seed: int


def environment(device: str, seed: int) -> Environment:
    return Environment(
        utc=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        commit=_commit(),
        device=device_name(device),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        version=_extension.build_info()["version"],
        seed=seed,
    )


def device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.+)$", info.read_text(), re.M) if info.exists() else None
    name = found[1] if found else platform.processor() or platform.machine()
    return re.sub(r"\((R|TM)\)|\bCPU\b|@.*", "", name).strip()


def path_for(device: str, folder: Path = FOLDER) -> Path:
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    return folder / f"{slug}.csv"


def append(path: Path, rows: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    if not is_new:
        _check_header(path)
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(_to_text(row) for row in rows)


def load(path: Path) -> list[Row]:
    _check_header(path)
    with path.open(newline="") as file:
        return [_from_text(line) for line in csv.DictReader(file)]


def latest(rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """The last row of each case key and provider."""
    return {(row.key, row.provider): row for row in rows}


def _check_header(path: Path) -> None:
    header = path.read_text().partition("\n")[0]
    if header != ",".join(COLUMNS):
        raise ValueError(f"{path}: expected the columns {','.join(COLUMNS)}, got {header}")


def _to_text(row: Row) -> dict[str, object]:
    def text(value: object) -> object:
        return f"{value:.6g}" if isinstance(value, float) else value

    return {name: text(value) for name, value in dataclasses.asdict(row).items()}


def _from_text(line: dict[str, str]) -> Row:
    values: dict[str, object] = {}
    for field in dataclasses.fields(Row):
        kind = str(field.type).removesuffix(" | None")
        text = line[field.name]
        convert = {"int": int, "float": float, "str": str}[kind]
        values[field.name] = None if text == "" and kind != "str" else convert(text)
    return Row(**values)


def _commit() -> str:
    """The commit of the working tree; results themselves do not make it dirty."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        done = subprocess.run(
            command, cwd=FOLDER.parent, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise OSError(done.stderr)
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "--short=10", "HEAD")
        changes = git("status", "--porcelain", "--", ":/", ":(exclude,top)benchmarks/results")
    except OSError:
        return "unknown"
    return commit + ("+dirty" if changes else "")
