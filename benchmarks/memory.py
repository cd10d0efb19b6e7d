"""Peak memory of one call beyond its inputs.

CPU: measured in a fresh process per (case, provider), by the kernel's own count of resident pages:

    peak_extra_bytes = VmHWM after the call - VmRSS before it

Before: the libraries are loaded and warmed up by a small case of the same kind, the inputs exist,
and the high-water mark is reset. The call is the timed one: forward, and backward in mode ``full``;
the loss and the gradient that it returns are part of the figure. So that resident pages are the
bytes in use, the process has malloc give every block of 64 KiB and more its own pages and give them
back at once, and has no huge pages. Pages are 4 KiB, and stacks and heaps grow beside the call:
figures under some 100 KiB are noise. Where the mark cannot be reset (other systems than Linux)
nothing is reported.

CUDA: max_memory_allocated during the call - memory_allocated before it, in this process.
"""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.families import family_of
from benchmarks.family import Batch, Case, Provider
from benchmarks.timing import operations

_ROOT = Path(__file__).absolute().parents[1]
_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_PR_SET_THP_DISABLE = 41
# Fixing the thresholds also switches off malloc's habit of raising them.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_TOP_PAD_": "0"}


@dataclasses.dataclass(frozen=True)
class Memory:
    peak_extra_bytes: int
    process_peak_bytes: int | None = None  # libraries and inputs too; CPU only


def measure(case: Case, provider: Provider, seed: int, threads: int) -> Memory | str:
    """Peak memory on the CPU, or why there is none."""
    if not _CLEAR_REFS.exists():
        return "only measured on Linux"
    job = json.dumps(dataclasses.asdict(case))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", job, provider.name, str(seed), str(threads)],
        cwd=_ROOT,
        env=os.environ | _MALLOC,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        return f"failed: {last[0]}"
    return Memory(**json.loads(done.stdout.splitlines()[-1]))


def measure_cuda(batch: Batch, provider: Provider) -> Memory:
    made = provider.prepare(batch)
    [warm_up] = operations(provider, made, batch.case.mode)
    warm_up()
    del warm_up  # with the gradient that it holds
    [call] = operations(provider, made, batch.case.mode)
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = call()
    torch.cuda.synchronize()
    del result
    return Memory(torch.cuda.max_memory_allocated() - before)


def _status(field: str) -> int:
    """Bytes, of a line such as ``VmHWM:   123456 kB``."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def _child(case: Case, provider: Provider, seed: int) -> Memory:
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)
    torch.ones(1_000_000).sort()  # starts the threads

    make_batch = family_of(case.loss).make_batch
    # Compiling leaves memory behind, which is not the call's: it compiles for the case itself.
    small = make_batch(case if provider.compiles else case.warm_up(), seed, "cpu")
    [call] = operations(provider, provider.prepare(small), case.mode)
    call()
    batch = make_batch(case, seed, "cpu")
    [call] = operations(provider, provider.prepare(batch), case.mode)
    del small, batch
    gc.collect()
    libc.malloc_trim(0)
    _CLEAR_REFS.write_text("5")  # the high-water mark starts anew
    before = _status("VmRSS")
    result = call()
    peak = _status("VmHWM")
    del result
    return Memory(peak - before, peak)


if __name__ == "__main__":
    job, provider_name, seed, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    fields = json.loads(job)
    family = family_of(fields["loss"])
    memory = _child(family.case(**fields), family.provider(provider_name), int(seed))
    print(json.dumps(dataclasses.asdict(memory)))
